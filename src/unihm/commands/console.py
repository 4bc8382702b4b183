"""What all commands share: how they print, load and refuse."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unihm.schema.scene import PerceivedScene


def say(line: str) -> None:
    print(line, file=sys.stderr)


def report(value: dict[str, Any], as_json: bool, text: str | None = None) -> None:
    """Print a command's result, for a program or for a person."""
    if as_json:
        import json

        print(json.dumps(value))
    else:
        print(text if text is not None else "\n".join(f"{name}: {item}" for name, item in value.items()))


def load_weights(load: Callable[[], Any]) -> Any:
    """Load weights with the heavy libraries kept quiet, and say once what licence they carry."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from unihm.notice import print_licence_notice_once

    print_licence_notice_once()
    return load()


def pixel(text: str) -> tuple[int, int]:
    try:
        u, v = (int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--point needs a pixel U,V such as 320,240, got '{text}'.") from None
    return u, v


def box_of_pixels(text: str) -> tuple[int, int, int, int]:
    try:
        u0, v0, u1, v1 = (int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--box needs two corners U0,V0,U1,V1 such as 280,180,360,300, got '{text}'.") from None
    return u0, v0, u1, v1


def prompts(point: str | None, box: str | None) -> tuple[tuple[int, int] | None, tuple[int, int, int, int] | None]:
    """What --point and --box say; only one of them may be given."""
    if point is not None and box is not None:
        raise ValueError("Give --point or --box, not both: each says alone which object is meant.")
    return None if point is None else pixel(point), None if box is None else box_of_pixels(box)


def say_if_cut_off(perceived: PerceivedScene) -> None:
    """Tell that the image does not show the whole object."""
    if perceived.target_object.cut_off:
        say("note: the object is partly outside the image; its shape is completed only as far as it is seen.")


def check_writable(folder: Path) -> None:
    """Refuse an output folder that cannot be written before any work is done for it."""
    from unihm.schema.storage import atomic_path

    probe = folder / ".probe"
    with atomic_path(probe):
        pass
    probe.unlink()


def tried(facts: dict[str, Any] | None) -> list[str]:
    """What a person wants to read of a choice in simulation (`simulation.choice.choose`)."""
    if facts is None:
        return []
    result = "success" if facts["success"] else f"failed: {facts['reason']}"
    lines = [f"{facts['task']} on the perceived object ({facts['criterion']}): {result}"]
    if facts["candidates"] > 1:
        lines.append(f"candidate {facts['chosen']} of {facts['candidates']}: {facts['why']}")
        lines.append(f"confidence: {100 * facts['confidence']:.0f} % of the candidates succeeded")
    return lines
