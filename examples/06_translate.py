"""One motion, every hand: encode a hand's motion as tokens once, decode them with the others, and stream it.

python examples/06_translate.py
"""

from pathlib import Path

import numpy as np

from unihm import viewer
from unihm.hands.hand import load_hand
from unihm.schema.motion import HandMotion
from unihm.tokenizer.stream import Translator
from unihm.tokenizer.tokenizer import load_tokenizer

OUT = Path("out/examples")


def closing_hand() -> HandMotion:
    """A human hand that closes while it moves 10 cm forwards."""
    human = load_hand("human")
    share = np.linspace(0, 1, 45)[:, None]
    T_world_palm = np.tile(np.eye(4), (45, 1, 1))
    T_world_palm[:, :3, 3] = share * [0.1, 0, 0] + [0, 0, 0.3]
    rest, closed = human.rest_qpos.numpy(), 0.7 * human.upper.numpy()
    return HandMotion(
        hand="human",
        fps=30.0,
        joint_names=tuple(human.joint_names),
        qpos=np.where(human.upper.numpy() > 1.2, rest + share * (closed - rest), rest),
        T_world_palm=T_world_palm,
    )


def main() -> None:
    """Print the tokens and write a page for each hand."""
    motion = closing_hand()
    tokenizer = load_tokenizer()
    tokens = tokenizer.encode(motion)
    print(f"{len(motion)} frames are {tokens.codes.size} tokens, {tokenizer.bits_per_frame:g} bits a frame:")
    print(tokens.codes[:3])
    for hand in ("shadow", "leap", "inspire"):
        decoded = tokenizer.decode(tokens, hand)
        viewer.write_html(decoded, OUT / f"translated-{hand}.html")
        print(f"{hand}: {len(decoded)} frames, {OUT / f'translated-{hand}.html'}")

    # The same frame by frame: what a teleoperated hand would be sent, one chunk later.
    translator = Translator(tokenizer, "human", "xhand")
    chunks = [translator.push(q, T) for q, T in zip(motion.qpos, motion.T_world_palm, strict=True)]
    print("xhand, streamed:", sum(len(c.qpos) for c in [*chunks, translator.finish()] if c is not None), "frames")


if __name__ == "__main__":
    main()
