"""What a vision-language model is shown and asked, and which replies count."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from annotation_builders import SENTENCES, lift_episode
from PIL import Image

from unihm.annotation.keyframes import SIZE, draw_keyframes, keyframes, png
from unihm.annotation.prompt import asked_again, question, read_reply


def share(picture: np.ndarray, color: str) -> float:
    """How much of a picture has a colour: the object's orange, the thumb's red, the table's brown."""
    r, g, b = picture.astype(float).transpose(2, 0, 1) / picture.max(axis=2).clip(1)
    masks = {
        "orange": (r == 1) & (g > 0.5) & (g < 0.75) & (b < 0.4),
        "red": (r == 1) & (g < 0.4) & (b < 0.4),
        "brown": (r == 1) & (g > 0.85) & (b > 0.72) & (b < 0.85),
    }
    return float(masks[color].mean())


@pytest.fixture(scope="module")
def pictures():
    return draw_keyframes(lift_episode())


def test_the_frames_are_those_of_the_paper():
    assert keyframes(lift_episode()) == (0, 5, 6, 7, 23)
    assert keyframes(lift_episode(contact_frame=2)) == (0, 0, 0, 1, 23)
    assert keyframes(lift_episode(contact_frame=24, lift_frame=24)) == (0, 20, 21, 22, 23)


def test_object_hand_and_table_are_seen(pictures):
    assert len(pictures) == 5
    for picture in pictures:
        assert picture.shape == (SIZE[1], SIZE[0], 3)
        assert share(picture, "orange") > 0.01
        assert share(picture, "red") > 0.001
        assert share(picture, "brown") > 0.3


def test_the_object_rises_in_the_picture_and_the_hand_comes_from_the_left(pictures):
    def where(picture, axis, low, high):
        r, g, b = picture.astype(float).transpose(2, 0, 1)
        return np.nonzero((r > low * g) & (r < high * g) & (g > 1.5 * b))[axis].mean()

    orange = [where(picture, 0, 1.4, 1.8) for picture in pictures]
    assert orange[4] < orange[0] - 40  # rows count downward
    assert abs(orange[1] - orange[0]) < 12  # it rests until it is touched; the hand hides some of it
    red = [np.nonzero((p[..., 0] > 2.5 * p[..., 1].astype(float)) & (p[..., 0] > 60))[1].mean() for p in pictures]
    assert red[0] < red[3] - 10


def test_pictures_are_repeatable_files(pictures):
    again = draw_keyframes(lift_episode())
    for one, other in zip(pictures, again, strict=True):
        assert png(one) == png(other)
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png(one)))), one)


def test_a_camera_that_looks_away_is_named():
    away = lift_episode().T_world_camera @ np.diag([-1.0, 1, -1, 1])
    with pytest.raises(ValueError, match="camera of episode 'made/000' does not see"):
        draw_keyframes(lift_episode(T_world_camera=away))


def test_the_question_says_what_the_pictures_cannot():
    (message,) = question("mug", [b"x"] * 5, [0.0, 0.5, 0.53, 0.57, 2.0])
    text = " ".join(part["text"] for part in message["content"] if part["type"] == "text")
    assert 'called "mug"' in text
    assert "exactly 5 different" in text
    assert "at 2.00 s, last frame" in text
    assert sum(part["type"] == "image_url" for part in message["content"]) == 5


def test_replies_are_read():
    text = json.dumps(SENTENCES)
    assert read_reply(text) == SENTENCES
    for fenced in (f"```json\n{text}\n```", f"```\n{text}\n```\n", f"\n```json\n[\n{text[1:-1]}\n]\n```"):
        assert read_reply(fenced) == SENTENCES


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [
        ("", "not JSON"),
        ("Lift the box.", "not JSON"),
        (f"Here you are: {json.dumps(SENTENCES)}", "not JSON"),
        (f"```json\n{json.dumps(SENTENCES)}\n```\nEnjoy!", "not JSON"),
        ("[" * 10**5, "not JSON"),
        (json.dumps({"instructions": SENTENCES}), "not a JSON list of strings"),
        (json.dumps([*SENTENCES[:4], 5]), "not a JSON list of strings"),
        (json.dumps(SENTENCES[:4]), "has 4 entries, expected 5"),
        (json.dumps([*SENTENCES, "More."]), "has 6 entries, expected 5"),
        (json.dumps([*SENTENCES[:4], " "]), "instruction 5 is empty"),
        (json.dumps([*SENTENCES[:4], "x" * 201]), "has 201 characters, at most 200"),
        (json.dumps([*SENTENCES[:4], "two\nlines"]), "line breaks"),
        (json.dumps([*SENTENCES[:4], "bell\x07"]), "control characters"),
        (json.dumps([*SENTENCES[:4], SENTENCES[0].upper().rstrip(".") + " "]), "the same"),
    ],
)
def test_unusable_replies_are_complained_about(reply, complaint):
    with pytest.raises(ValueError, match=complaint):
        read_reply(reply)


def test_the_complaint_is_said_and_long_replies_are_not_repeated():
    asked = question("mug", [b"x"] * 5, [0.0] * 5)
    messages = asked_again(asked, "x" * 10**6, "the reply is not JSON.")
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert len(messages[1]["content"]) == 2000
    assert "not JSON" in messages[2]["content"]
    assert asked_again(asked, "", "empty.")[1]["content"]
