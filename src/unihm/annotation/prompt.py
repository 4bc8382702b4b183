"""What a vision-language model is asked about the keyframes of an episode, and what counts as an answer."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from typing import Any

from unihm.annotation.keyframes import COLORS

PROMPT_VERSION = "keyframes-1"
"""Changes with the words below and with how the keyframes are drawn; annotations state it."""
SENTENCES = 5
"""Instructions that are asked for, as in Sec. 3.1."""
LONGEST = 200
"""Characters of one instruction."""
_REPEATED = 2000  # characters of an unusable reply that are sent back

_FINGERS = ", ".join(
    f"{f} {c}" for f, c in zip(("thumb", "index", "middle", "ring", "little finger"), COLORS, strict=True)
)
_LABELS = ("first frame", *["shortly before the first touch"] * 3, "last frame")
_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)\n?\s*```", re.DOTALL)
_ASK = """\
You see {number} keyframes of a recording in which one right hand handles one object on a table: the first frame, \
the three frames just before the hand first touches the object, and the last frame. They are drawn from motion \
capture: the object in orange, the hand as bones and joints ({fingers}), the shadows of both straight below them on \
the table. The real colours and textures are not shown. The object is called "{name}".

Write exactly {count} different instructions, each of which a person might have said to ask for this motion. Vary what \
they mention (from which side the hand comes, which fingers hold, where the object goes, how high, how fast) and how \
they are worded. Say only what the frames show; left and right are those of the image. Each instruction is one line of \
plain text with at most {longest} characters.

Answer with a JSON list of {count} strings and nothing else."""


def question(name: str, pictures: Sequence[bytes], times: Sequence[float]) -> list[dict[str, Any]]:
    """The messages of a chat completion that asks for instructions.

    Args:
        name: What the object is called.
        pictures: The keyframes as PNG files.
        times: Of each, in seconds.
    """
    text = _ASK.format(number=len(pictures), fingers=_FINGERS, name=name, count=SENTENCES, longest=LONGEST)
    content: list[dict[str, Any]] = [{"type": "text", "text": text}]
    for number, (picture, time, label) in enumerate(zip(pictures, times, _LABELS, strict=True), start=1):
        content.append({"type": "text", "text": f"Keyframe {number}, at {time:.2f} s, {label}:"})
        url = "data:image/png;base64," + base64.b64encode(picture).decode("ascii")
        content.append({"type": "image_url", "image_url": {"url": url}})
    return [{"role": "user", "content": content}]


def asked_again(messages: Sequence[dict[str, Any]], reply: str, complaint: str) -> list[dict[str, Any]]:
    """The conversation so far, with what was wrong with the reply."""
    text = f"That is not usable: {complaint} Answer with a JSON list of {SENTENCES} different strings and nothing else."
    said = reply[:_REPEATED].strip() or "(nothing)"  # servers refuse an empty message
    return [*messages, {"role": "assistant", "content": said}, {"role": "user", "content": text}]


def read_reply(reply: str) -> tuple[str, ...]:
    """The instructions in a reply: a JSON list, bare or in one fenced block, and nothing beside it.

    Raises:
        ValueError: The reply is something else; the message says what, for the model to read.
    """
    text = reply.strip()
    fenced = _FENCE.fullmatch(text)
    try:
        found = json.loads(fenced.group(1) if fenced else text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"the reply is not JSON ({str(error)[:80]}).") from error
    if not isinstance(found, list) or not all(isinstance(sentence, str) for sentence in found):
        raise ValueError("the reply is not a JSON list of strings.")
    sentences = tuple(sentence.strip() for sentence in found)
    if len(sentences) != SENTENCES:
        raise ValueError(f"the list has {len(sentences)} entries, expected {SENTENCES}.")
    for number, sentence in enumerate(sentences, start=1):
        if not sentence:
            raise ValueError(f"instruction {number} is empty.")
        if len(sentence) > LONGEST:
            raise ValueError(f"instruction {number} has {len(sentence)} characters, at most {LONGEST} are allowed.")
        if not sentence.isprintable():
            raise ValueError(f"instruction {number} holds line breaks or control characters.")
    if len({" ".join(sentence.casefold().split()).rstrip(".!?") for sentence in sentences}) < SENTENCES:
        raise ValueError("some instructions are the same.")
    return sentences
