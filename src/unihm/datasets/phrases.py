"""Phrases for the slots of an instruction: from where the hand comes, where the object goes, how high, how fast.

Each slot has phrases for training and others that never occur there, to test paraphrases with. Within a slot every
value has as many phrases as the others, in the same order of forms, so that instructions can be made that differ in one
value alone. The planner (`planning.wording`) understands the training phrases; it need not understand the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from unihm.kinematics.keypoints import FINGERS

Phrases = Mapping[str, tuple[str, ...]]
"""Value of a slot to the phrases that say it. ``{it_is}`` stands for "it is" or "they are"."""

APPROACH: tuple[Phrases, Phrases] = (
    {
        "front": ("from the front", "from the near side"),
        "behind": ("from behind", "from the far side"),
        "left": ("from the left", "from the left side"),
        "right": ("from the right", "from the right side"),
        "above": ("from above", "from the top"),
    },
    {
        "front": ("via the viewer's side", "by way of the front", "with a hand arriving at the front"),
        "behind": ("via the hidden side", "by way of the rear", "with a hand arriving at the rear"),
        "left": ("via the left flank", "by way of the left", "with a hand arriving at the left"),
        "right": ("via the right flank", "by way of the right", "with a hand arriving at the right"),
        "above": ("via the upper face", "by way of the top", "with a hand arriving at the top"),
    },
)
"""From where the hand reaches, as seen through the camera; training, held out."""

TRAVEL: tuple[Phrases, Phrases] = (
    {
        "up": ("straight up", "straight upwards", "vertically upwards"),
        "closer": ("toward the camera", "closer to the camera", "to the near side"),
        "away": ("away from the camera", "farther from the camera", "to the far side"),
        "left": ("to the left", "toward the left", "leftward"),
        "right": ("to the right", "toward the right", "rightward"),
    },
    {
        "up": ("directly skyward", "along a vertical line"),
        "closer": ("nearer to the viewer", "in the viewer's direction"),
        "away": ("out into the distance", "in the direction of the background"),
        "left": ("toward the view's left edge", "in the left-hand direction"),
        "right": ("toward the view's right edge", "in the right-hand direction"),
    },
)
"""Where the object goes, as seen through the camera; training, held out."""

HEIGHT: tuple[Phrases, Phrases] = (
    {
        "low": ("just off the table", "slightly above the table", "a few centimetres", "a little bit"),
        "middle": (
            "a hand's width above the table",
            "a hand's width off the table",
            "a little way up",
            "a hand's width",
        ),
        "high": ("well above the table", "clear of the table", "to a fair height", "to a good height"),
        "top": ("high above the table", "far above the table", "high up", "high in the air"),
    },
    {
        "low": ("by a small amount", "until {it_is} at a slight elevation"),
        "middle": ("by a modest amount", "until {it_is} at a modest elevation"),
        "high": ("by a sizeable amount", "until {it_is} at a sizeable elevation"),
        "top": ("by a large amount", "until {it_is} at a lofty elevation"),
    },
)
"""How high the object is lifted; training, held out."""

SPEED: tuple[Phrases, Phrases] = (
    {
        "slow": ("slowly", "at a slow pace", "with slow movements", "calmly"),
        "middle": ("steadily", "at a steady pace", "with steady movements", "smoothly"),
        "fast": ("quickly", "at a quick pace", "with quick movements", "swiftly"),
    },
    {
        "slow": ("without any haste", "at a low tempo", "in a sluggish manner"),
        "middle": ("with average haste", "at an ordinary tempo", "in a neither hasty nor sluggish manner"),
        "fast": ("with great haste", "at a high tempo", "in a hasty manner"),
    },
)
"""How fast the object moves; training, held out."""

_NUMBERS = ("no", "one", "two", "three", "four", "five")


def adverbs(phrases: Sequence[str]) -> tuple[str, ...]:
    """The phrases that may stand before a verb."""
    return tuple(phrase for phrase in phrases if phrase.endswith("ly") and " " not in phrase)


def grip(fingers: Sequence[str], held_out: bool = False) -> tuple[str, ...]:
    """Phrases that say which fingers hold the object.

    Args:
        fingers: Names of `FINGERS`, in their order; with fewer than two there is nothing to say.
        held_out: Those that never occur in training.
    """
    if len(fingers) < 2:
        return ()
    count, named = _NUMBERS[len(fingers)], _named(fingers)
    if held_out:
        every = len(fingers) == len(FINGERS)
        return ("using the entire hand", "by means of every digit") if every else (
            f"using the {named}", f"by means of {count} digits",
        )  # fmt: skip
    if len(fingers) == len(FINGERS):
        return "with all five fingers", "with your whole hand", "with your thumb and four fingers"
    others = _NUMBERS[len(fingers) - 1]
    with_thumb = f"with your thumb and {others} finger{'s' if len(fingers) > 2 else ''}"
    return (
        f"with {count} fingers",
        f"with your {named}",
        with_thumb if fingers[0] == "thumb" else f"with only your {named}",
    )


def _named(fingers: Sequence[str]) -> str:
    """The fingers in a row: thumb and index finger; thumb, index and middle fingers."""
    names = ["little" if name == "pinky" else name for name in fingers]
    noun = "finger" if len(fingers) == 2 and fingers[0] == "thumb" else "fingers"
    return f"{', '.join(names[:-1])} and {names[-1]} {noun}"
