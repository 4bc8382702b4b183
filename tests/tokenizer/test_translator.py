"""A stream says what the whole motion would, a chunk at a time."""

from __future__ import annotations

import numpy as np
import pytest

from unihm.tokenizer.features import canonical_path
from unihm.tokenizer.stream import Translator
from unihm.tokenizer.tokenizer import Tokenizer


@pytest.mark.parametrize("frames", [8, 13, 3])
def test_a_stream_gives_the_codes_and_frames_of_the_whole_motion(unified, make_motion, frames):
    tokenizer, motion = Tokenizer(unified), make_motion(frames=frames)
    path = canonical_path(motion)
    tokens = tokenizer.encode(motion, levels=5)
    whole = tokenizer.decode(tokens, "tongs")
    translator = Translator(tokenizer, "left_claw", "tongs")
    chunks = [translator.push(q, T, frame) for q, T, frame in zip(motion.qpos, motion.T_world_palm, path, strict=True)]
    assert [n for n, chunk in enumerate(chunks) if chunk is not None] == list(range(3, frames, 4))
    last = translator.finish()
    assert (last is None) == (frames % 4 == 0)
    found = [chunk for chunk in (*chunks, last) if chunk is not None]
    np.testing.assert_array_equal(np.stack([chunk.codes for chunk in found]), tokens.codes)
    np.testing.assert_allclose(np.concatenate([c.qpos for c in found]), whole.qpos, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([c.T_world_palm for c in found]), whole.T_world_palm, atol=1e-5)


def test_a_motion_without_an_object_fixes_its_frame_itself(unified, make_motion):
    tokenizer, motion = Tokenizer(unified), make_motion(frames=4, with_object=False)
    translator = Translator(tokenizer, "left_claw", "tongs", levels=2)
    for q, T in zip(motion.qpos, motion.T_world_palm, strict=True):
        chunk = translator.push(q, T)
    np.testing.assert_array_equal(chunk.codes, tokenizer.encode(motion).codes[0])
    translator.reset()
    assert translator.finish() is None


def test_wrong_frames_and_networks_that_look_ahead_are_refused(unified, model, make_motion):
    translator = Translator(Tokenizer(unified), "left_claw", "tongs")
    with pytest.raises(ValueError, match=r"joints of shape \(2,\).*expected \(3,\)"):
        translator.push(np.zeros(2), np.eye(4))
    with pytest.raises(ValueError, match="NaN"):
        translator.push(np.full(3, np.nan), np.eye(4))
    with pytest.raises(ValueError, match="do not look ahead"):
        Translator(Tokenizer(model), "left_claw", "tongs")
    with pytest.raises(ValueError, match="Did you mean 'tongs'"):
        Translator(Tokenizer(unified), "left_claw", "tong")
