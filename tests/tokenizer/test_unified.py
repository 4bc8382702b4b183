"""The public tokenizer around one stream for all hands."""

from __future__ import annotations

import numpy as np
import pytest

from unihm.schema.motion import MotionTokens
from unihm.tokenizer.tokenizer import Tokenizer, load_tokenizer
from unihm.tokenizer.unified import UnifiedTokenizer


@pytest.fixture
def tokenizer(unified) -> Tokenizer:
    return Tokenizer(unified, fingerprint="abc")


@pytest.mark.parametrize("frames", [1, 4, 5, 25])
@pytest.mark.parametrize("levels", [2, 5])
def test_shapes_for_any_length_and_rate(tokenizer, make_motion, frames, levels):
    tokens = tokenizer.encode(make_motion(frames=frames), levels=levels)
    assert tokens.codes.shape == (-(-frames // 4), levels)
    for hand, nq in (("left_claw", 3), ("tongs", 1)):
        assert tokenizer.decode(tokens, hand).qpos.shape == (frames, nq)


def test_rates(tokenizer, make_motion):
    assert (tokenizer.rates, tokenizer.levels) == ((2, 5), 2)
    assert tokenizer.bits_per_frame == 2 * 4 / 4
    assert tokenizer.levels_within(4.9) == 2
    assert tokenizer.levels_within(5.0) == 5
    with pytest.raises(ValueError, match=r"at most 1 bits a frame\. Available: 2, 5"):
        tokenizer.levels_within(1.0)
    with pytest.raises(ValueError, match=r"A row cannot have 3 codes\. Available: 2, 5"):
        tokenizer.translate(make_motion(), "tongs", levels=3)
    assert 0 < tokenizer.finger_bits(2) < tokenizer.bits(2)


def test_many_motions_at_once_are_each_alone(tokenizer, make_motion):
    motions = [make_motion(frames=n, seed=n) for n in (7, 8, 12, 5)] + [make_motion("tongs", frames=9)]
    for motion, tokens in zip(motions, tokenizer.encode_all(motions, levels=5), strict=True):
        alone = tokenizer.encode(motion, levels=5)
        np.testing.assert_array_equal(tokens.codes, alone.codes)
        assert (tokens.hand, tokens.num_frames) == (motion.hand, len(motion))
    decoded = tokenizer.decode_all(tokenizer.encode_all(motions), "tongs")
    assert [len(m) for m in decoded] == [7, 8, 12, 5, 9]


def test_joints_far_beyond_their_limits_are_refused(tokenizer, make_motion):
    motion = make_motion()
    with pytest.raises(ValueError, match=r"Joint 'b' of 'left_claw' is far beyond its limits -0\.6 to 1\.2"):
        tokenizer.encode(motion.replace(qpos=motion.qpos + np.array([0, 90.0, 0])))


def test_a_further_hand_leaves_codes_and_hands_as_they_are(tokenizer, hand_features, make_motion, tmp_path):
    only = UnifiedTokenizer(tokenizer.config, [hand_features["left_claw"]])
    known = tokenizer.model.state_dict()
    only.load_state_dict({name: known[name] for name in only.state_dict()})
    marks = [Tokenizer(m).save(tmp_path / f"{n}.safetensors", {}) for n, m in enumerate((only, tokenizer.model))]
    assert marks[0] == marks[1]
    small, large = (load_tokenizer(tmp_path / f"{n}.safetensors") for n in range(2))
    assert small.card["fingerprint"] != large.card["fingerprint"]  # the files differ, the codes do not
    tokens = small.encode(make_motion(), levels=5)
    np.testing.assert_array_equal(tokens.codes, large.encode(make_motion(), levels=5).codes)
    np.testing.assert_array_equal(small.decode(tokens, "left_claw").qpos, large.decode(tokens, "left_claw").qpos)
    assert large.decode(tokens, "tongs").hand == "tongs"


def test_tokens_as_json_can_be_edited(tokenizer, make_motion, tmp_path):
    import json

    tokens = tokenizer.encode(make_motion())
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps({**tokens.as_json(), "seconds_per_chunk": 0.1}))
    again = MotionTokens.from_json(path)
    np.testing.assert_array_equal(again.codes, tokens.codes)
    np.testing.assert_allclose(again.T_world_canonical, tokens.T_world_canonical, atol=1e-12)
    edited = tokens.as_json()
    edited["codes"][2][1] = (edited["codes"][2][1] + 1) % 16
    path.write_text(json.dumps(edited))
    before, after = (tokenizer.decode(t, "left_claw").qpos for t in (tokens, MotionTokens.from_json(path)))
    np.testing.assert_array_equal(before[:8], after[:8])  # what came before the edited row
    assert np.abs(before[8:12] - after[8:12]).max() > 1e-3
    for text, message in (
        ("{", "cannot be read as tokens"),
        ("{}", "it lacks 'codes'"),
        (json.dumps({**edited, "codes": [[1, 2], [3]]}), "cannot be read as tokens"),
        (json.dumps({**edited, "codes": [[0.5, 2]]}), "rows of whole numbers"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            MotionTokens.from_json(path)
