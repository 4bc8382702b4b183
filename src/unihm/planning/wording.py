"""Reading an instruction: which task, which way, how far. Words that are not understood are refused, not guessed."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from unihm.planning.amounts import read_distance

_VERBS = {
    "lift": r"pick|lift|raise|rais|elevate|hoist|heave|haul|grab|grasp|grip|seize|hold|take|get|fetch|collect|remove",
    "move": r"move|mov|put|place|plac|set|carry|carri|bring|hand|shift|transport|relocate|relocat",
    "push": r"push|shove|shov|nudge|nudg|slide|slid|pull|drag",
}
_ENDINGS = r"(?:s|es|ed|d|ing|ting|bing|ging)?"
_REFUSED = (
    r"turn|rotate|spin|twist|pour|throw|toss|drop|open|shake|stack|flip|tilt|insert|hang|squeeze|screw|unscrew|"
    r"press|cut|wipe|fold|lower|close (?:it|the)"
)
_DIRECTIONS = {
    "left": r"left(?:ward|wards)?",
    "right": r"right(?:ward|wards)?(?! (?:now|away|here|there)\b)",
    "away": r"(?<!right )away|forward|forwards|ahead|farther|further|to the far side",
    "toward": r"(?:to|towards?) (?:me|us|you|myself|yourself|the (?:camera|viewer))|to the near side|closer|nearer|"
    r"here|backwards?|bring(?:ing)? me",
    "up": r"up|upwards?|higher",
}
_OPPOSITES = (("left", "right"), ("away", "toward"))
# How the hand comes and holds is the generator's business and says nothing about the path.
_MANNER = (
    r"from (?:the )?(?:left|right|front|near|far|back|top|above|behind)(?: side)?",
    r"(?:with|between) (?:all )?\w+ fingers",
    r"close your hand|(?:(?:left|right|whole|your|my|the) )+hands?|hand's width",
)


@dataclass(frozen=True, kw_only=True)
class Wording:
    """What an instruction asks for."""

    task: str
    """``lift``, ``move`` or ``push``."""
    steps: tuple[tuple[tuple[str, ...], float | str | None], ...]
    """Per clause the directions (left, right, away, toward, up) and how far: metres, ``little``, ``far`` or None."""
    pulls: bool
    """Whether the verb itself means toward the person (pull, drag)."""
    nudges: bool
    """Whether the verb itself means a short way."""


def read(instruction: str) -> Wording:
    """Understand an instruction.

    Raises:
        ValueError: It is empty, negated, holds no known verb or one that cannot be done, points two opposite ways, or
            names a place relative to another object.
    """
    if not instruction.strip():
        raise ValueError('The instruction is empty; say what to do, for example "lift the red can".')
    text = re.sub(r"\s+", " ", re.sub(r"[^a-z0-9.,' ]", " ", instruction.lower())).strip(" .")
    known = "Known are lift (pick up, grab, raise), move (put, place, carry, bring) and push (slide, pull)."
    if re.search(r"\b(?:don't|do not|never|doesn't|dont)\b", text):
        raise ValueError(f"'{instruction}' says what not to do; say what to do.")
    refused = re.search(rf"\b(?:{_REFUSED}){_ENDINGS}\b", text)
    if refused:
        raise ValueError(f"'{refused.group()}' is not something this planner can do. {known}")
    for phrase in _MANNER:
        text = re.sub(rf"\b(?:{phrase})\b", " ", text)
    verbs = {task: re.findall(rf"\b(?:{stems}){_ENDINGS}\b", text) for task, stems in _VERBS.items()}
    if not any(verbs.values()):
        raise ValueError(f"No known verb in '{instruction}'. {known}")
    if verbs["push"] and (verbs["lift"] or verbs["move"]):
        raise ValueError(f"'{instruction}' asks to push and to lift or move; ask for one of them.")
    task = "push" if verbs["push"] else "move" if verbs["move"] else "lift"
    _refuse_relations(text)
    text = _without_selection(text, task)
    steps = tuple(_step(clause, task) for clause in re.split(r",(?!\d)|\band\b|\bthen\b", text))
    steps = tuple(step for step in steps if step[0] or step[1] is not None)
    _refuse_contradictions(instruction, steps)
    if task == "move" and not verbs["lift"] and any(d == ("up",) for d, _ in steps) and len(steps) == 1:
        task = "lift"  # "move it up"
    if task == "move" and any(verb.startswith("hand") for verb in verbs["move"]) and not any(d for d, _ in steps):
        steps += ((("toward",), None),)  # "hand it over"
    words = " ".join(verbs["push"])
    return Wording(task=task, steps=steps, pulls=bool(re.search("pull|drag", words)), nudges="nudg" in words)


def direction_vector(direction: str, T_world_camera: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, " 3"]:
    """Unit vector in the world of a direction as the camera sees it; all but ``up`` are horizontal."""
    if direction == "up":
        return np.array([0.0, 0.0, 1.0])
    # Of a camera that looks ahead its axis, of one that looks straight down the image's upward direction leads away.
    away = T_world_camera[:3, 2] - T_world_camera[:3, 1]
    away = np.array([away[0], away[1], 0.0])
    away /= np.linalg.norm(away)
    right = np.array([away[1], -away[0], 0.0])
    return {"right": right, "left": -right, "away": away, "toward": -away}[direction]


def _step(clause: str, task: str) -> tuple[tuple[str, ...], float | str | None]:
    ways = re.sub(r"\b(?:pick|lift|rais|hold|grab|take|get)\w*(?: \w+){0,4}? up\b", " ", clause)
    directions = tuple(name for name, words in _DIRECTIONS.items() if re.search(rf"\b(?:{words})\b", ways))
    if re.search(r"\bback\b", ways) and task != "lift":
        raise ValueError("'back' can mean away from the camera or toward it; say 'away' or 'toward me'.")
    return directions, read_distance(clause)


def _without_selection(text: str, task: str) -> str:
    """Take out the words that say which object ("the left can"), not which way."""
    text = re.sub(
        r"(?<!to )(?<!toward )(?<!towards )\bthe (?:\w+ )?(?:left|right|front|back|rear)"
        r"(?= (?!by|and|then|a|an|\d)[a-z]+)",
        "the",
        text,
    )
    without = re.sub(
        r"\b(?:(?:that is |which is )?on (?:the|my|your) (?:left|right)|in the (?:back|front))\b", " ", text
    )
    others = re.search("|".join(rf"\b(?:{words})\b" for words in _DIRECTIONS.values()), without)
    # "Put it on the left" is a direction, "lift the can on the left" and "move the can on the left away" are not.
    return without if task != "move" or others else text


def _refuse_relations(text: str) -> None:
    # "Above the table" and "in front of me" name no other object.
    other = r"(?!me\b|you\b|us\b|the table|two\b)(?:the |a |an |my |your )?\w+"
    relation = re.search(
        r"\b((left|right|front|back) of|next to|beside|behind|between|under|below|on top of|into|inside|onto|"
        rf"near(?! side)|(?<!hand )(?<!it )over|above) {other}",
        text,
    )
    if relation:
        raise ValueError(
            f"'{relation.group()}' names a place by another object, which this planner cannot do; "
            "say a direction (left, right, away, toward me) and a distance."
        )


def _refuse_contradictions(instruction: str, steps: tuple) -> None:
    named = {d for directions, _ in steps for d in directions}
    for one, other in _OPPOSITES:
        if one in named and other in named:
            raise ValueError(f"'{instruction}' asks for {one} and {other}; ask for one of them.")
