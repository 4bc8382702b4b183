"""Forms of instructions: a frame ("Could you ...?") around a clause ("lift the mug slowly"), or a whole sentence.

Slots in braces are filled by `instructions`: ``object``, ``it``, ``it_is``; ``approach``, ``grip``, ``height``,
``speed`` and ``adverb`` (a speed that stands before its verb), ``travel`` and ``aside`` (a travel that is not upward).
What a form says beyond its slots must be true of every episode that it is used for: objects that never leave the table
are moved and never lifted, "table" stands only in forms and phrases for objects that lie on it.
"""

from __future__ import annotations

import re
from functools import cache

_SLOT = re.compile(r"\{(\w+)\}")
_SAYS = {"adverb": "speed", "aside": "travel"}
_WORDS = {"object", "it", "it_is"}

_RIGHT_HAND = "With your right hand, {do}."
_FRAMES = (
    "{do}.",
    "Please {do}.",
    "{do}, please.",
    "Now {do}.",
    "Could you {do}?",
    "Can you {do}?",
    "I want you to {do}.",
    "I need you to {do}.",
    "You should {do}.",
    "Your task is to {do}.",
    _RIGHT_HAND,
)
_CLAUSES = (
    "pick up the {object}",
    "pick the {object} up {speed}",
    "pick up the {object} {grip}",
    "pick up the {object} {approach}",
    "{adverb} pick up the {object}",
    "lift the {object} {height}",
    "lift the {object} {grip}",
    "lift the {object} {speed} and bring {it} {aside}",
    "lift the {object} from the table and bring {it} {travel} {speed}",
    "{adverb} lift the {object} {height}",
    "reach {approach} and pick up the {object}",
    "reach for the {object} {approach} and lift {it} {speed}",
    "grasp the {object} {approach}",
    "grasp the {object} {approach} and lift {it} {travel}",
    "grasp the {object} {grip} and raise {it} {height}",
    "grab the {object} {approach}",
    "grab the {object} {grip}, then move {it} {travel}",
    "grab the {object} and carry {it} {aside} {speed}",
    "grip the {object} {grip} and lift {it} {speed}",
    "raise the {object} {speed}",
    "raise the {object} off the table {speed}",
    "raise the {object} {height} and then bring {it} {aside}",
    "take the {object} off the table",
    "take the {object} {approach} {grip} and raise {it} {height}",
    "take hold of the {object} {grip} and bring {it} {travel}",
    "take hold of the {object} {approach}",
    "get the {object} off the table {speed}",
    "hold the {object} {grip} and lift {it} {travel} {speed}",
    "move the {object} {travel}",
    "carry the {object} {aside}",
)
_SENTENCES = (
    "I need the {object}; lift {it} {speed}.",
    "The {object} should be picked up {approach}.",
    "The {object} should be lifted {height}.",
    "The {object} should be grasped {grip}.",
    "The {object} must be moved {aside}.",
    "{grip}, lift the {object}.",
    "{approach}, reach for the {object} and lift {it}.",
)
_SLIDING = (
    "move the {object}",
    "move the {object} {aside}",
    "move the {object} {speed}",
    "{adverb} move the {object} {aside}",
    "slide the {object} {aside}",
    "slide the {object} {aside} {speed}",
    "move the {object} {grip}",
    "move the {object} {aside} {grip}",
    "reach for the {object} {approach} and move {it}",
)

_HELD_OUT_FRAMES = (
    "Kindly {do}.",
    "Next, {do}.",
    "Try to {do}.",
    "It is time to {do}.",
    "Would you be so kind as to {do}?",
    "The robot has to {do}.",
)
_HELD_OUT_CLAUSES = (
    "collect the {object}",
    "collect the {object} {grip}",
    "seize the {object} and hoist {it}",
    "seize the {object} {approach}",
    "seize the {object} {approach} and hoist {it} {travel}",
    "clasp the {object} {approach}",
    "clutch the {object} {grip} and haul {it} {travel}",
    "elevate the {object} {height}",
    "elevate the {object} {height} and relocate {it} {aside}",
    "hoist the {object} {speed}",
    "heave the {object} upward {speed}",
    "remove the {object} from the tabletop {speed}",
    "close a hand around the {object} {approach}, then heave {it} upward {speed}",
    "transport the {object} {aside}",
    "haul the {object} {travel}",
    "haul the {object} {travel} {speed}",
)
_HELD_OUT_SENTENCES = (
    "Would you mind collecting the {object} {grip}?",
    "Would you mind hoisting the {object} {height}?",
    "The {object} ought to be seized {approach}.",
    "The {object} ought to leave the tabletop {speed}.",
    "The {object} ought to travel {aside}.",
)
_HELD_OUT_SLIDING = (
    "relocate the {object}",
    "relocate the {object} {aside}",
    "relocate the {object} {speed}",
    "displace the {object} {aside} {speed}",
    "displace the {object} {grip}",
    "displace the {object} {aside} {grip}",
    "displace the {object} {approach}",
)


@cache
def forms(*, held_out: bool = False, lifted: bool = True) -> tuple[str, ...]:
    """All forms, with the slots that phrases go into.

    Args:
        held_out: Those that never occur in training.
        lifted: For objects that leave what they lie on; else for those that are moved along it.
    """
    frames = _HELD_OUT_FRAMES if held_out else _FRAMES
    clauses = (_HELD_OUT_CLAUSES, _HELD_OUT_SLIDING) if held_out else (_CLAUSES, _SLIDING)
    whole = (_HELD_OUT_SENTENCES if held_out else _SENTENCES) if lifted else ()
    framed = (
        frame.replace("{do}", clause)
        for clause in clauses[not lifted]
        for frame in frames
        if frame != _RIGHT_HAND or "grip" not in slots(clause)  # "with your right hand ... with your whole hand"
    )
    return (*framed, *whole)


@cache
def slots(form: str) -> frozenset[str]:
    """The slots of a form that say something of the episode."""
    return frozenset(_SLOT.findall(form)) - _WORDS


@cache
def stated(form: str) -> frozenset[str]:
    """What a form states: ``approach``, ``grip``, ``travel``, ``height``, ``speed``, or nothing."""
    return frozenset(_SAYS.get(slot, slot) for slot in slots(form))
