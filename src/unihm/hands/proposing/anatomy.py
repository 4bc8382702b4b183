"""Which chain is the thumb, how the others stand in a row, and where the palm looks.

The thumb is the chain without which the others bend about parallel axes. The palm's x is the fingers' mean first
bone, z the side to which they bend, ``y = z × x``; the thumb's side of the row then says which hand it is. Hands whose
thumb stands opposite the other fingers, and grippers, have no palm like a hand's: they are held as a human pinch is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from jaxtyping import Float

from unihm.hands.proposing.fingers import Finger
from unihm.kinematics.keypoints import FINGERS

_SNAP = np.cos(np.radians(10))
_WORDS = {
    "thumb": ("thumb", "th"),
    "index": ("index", "ff", "fore", "forefinger"),
    "middle": ("middle", "mid", "mf"),
    "ring": ("ring", "rf"),
    "pinky": ("pinky", "little", "lf", "small", "pinkie"),
}
# The mean human pinch over the 31 750 right-hand frames of DexYCB, in the human palm frame (measured for the
# gripper's hand.yaml): middle between thumb tip and index tip, m; from index tip to thumb tip; from the wrist to the
# middle.
_PINCH_CENTRE = np.array([0.023, -0.025, 0.057])
_PINCH_JAW = np.array([-0.86, -0.34, 0.38])
_PINCH_APPROACH = np.array([0.50, -0.44, 0.74])


@dataclass(frozen=True, kw_only=True, eq=False)
class Anatomy:
    """A hand's fingers by their human names and its palm frame."""

    fingers: dict[str, Finger]
    """Thumb first where there is one, then from the index finger outwards."""
    T_link_palm: Float[np.ndarray, "4 4"]
    """The palm frame in the palm link."""
    side: str
    """``right`` or ``left``."""
    pinches: bool
    """True where the thumb stands opposite the other fingers, as in a gripper."""


def find_anatomy(fingers: list[Finger], side: str | None, file_words: str, doubts: list[str]) -> Anatomy:
    """Name the fingers and place the palm.

    Args:
        fingers: The chains; closing directions of a gripper's fingers already face each other.
        side: ``right`` or ``left`` where the user said so.
        file_words: Names in the file, which may hold ``left`` or ``right``.
        doubts: Lines are added for what is not clear.
    """
    told = side or _side_in(file_words)
    if len(fingers) == 2:
        if side is None:
            doubts.append(_side_doubt("a gripper is as good as right or left", told))
        return _pinching(fingers[0], [fingers[1]], told or "right")
    thumb, others = _thumb(fingers, doubts)
    if thumb is not None and len(others) > 4:
        others = _nearest_four(others, doubts)
    axis = np.sum([finger.axis for finger in others if finger.clear] or [finger.axis for finger in others], axis=0)
    axis = axis / max(float(np.linalg.norm(axis)), 1e-9)
    if thumb is not None and thumb.axis @ axis < -0.5:
        others = _in_row(others, axis)
        if side is None:
            doubts.append(_side_doubt("the thumb stands opposite the fingers, which is as good as right or left", told))
        return _pinching(thumb, others if (told or "right") == "right" else others[::-1], told or "right")
    along = np.sum([finger.along for finger in others], axis=0)
    x = along - (along @ axis) * axis
    R = _snapped(np.stack([x / np.linalg.norm(x), -axis, np.cross(axis, x / np.linalg.norm(x))], axis=1))
    row = sorted(others, key=lambda finger: float(finger.base @ R[:, 1]))
    found = _side_of(thumb, row, R[:, 1])
    if found is None:
        if side is None:
            doubts.append(_side_doubt("nothing in its shape tells a right from a left hand", told))
        found = told or "right"
    elif side is not None and side != found:
        doubts.append(f"its shape is that of a {found} hand; you said {side}, which is written")
    elif told is not None and told != found:
        doubts.append(f"its shape is that of a {found} hand, the file's names say {told}; the shape is believed")
    thumb_at_low = found == "right"  # on a right hand y points away from the thumb
    row = row if thumb_at_low else row[::-1]
    named = ({"thumb": thumb} if thumb is not None else {}) | dict(zip(FINGERS[1:], row, strict=False))
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = R, named.get("middle", named["index"]).base
    anatomy = Anatomy(fingers=named, T_link_palm=T, side=side or found, pinches=False)
    _compare_names(anatomy, doubts)
    return anatomy


def _thumb(fingers: list[Finger], doubts: list[str]) -> tuple[Finger | None, list[Finger]]:
    """The chain without which the others are most alike; None where all are alike.

    Of fingers that stand around the palm (axes that cancel) each is as good.
    """
    scores = []
    for candidate in fingers:
        others = [finger for finger in fingers if finger is not candidate]
        alike = np.mean([a.axis @ b.axis for a, b in permutations(others, 2)])
        apart = np.mean([candidate.axis @ finger.axis for finger in others])
        scores.append(float(alike - apart))
    order = np.argsort(scores)[::-1]
    if scores[order[0]] < 0.1 and np.linalg.norm(np.mean([finger.axis for finger in fingers], axis=0)) < 0.3:
        best = _named(fingers).index("thumb") if "thumb" in _named(fingers) else 0
        doubts.append(f"the fingers stand around the palm, '{fingers[best].label}' is taken as the thumb")
        return fingers[best], [finger for finger in fingers if finger is not fingers[best]]
    if scores[order[0]] < 0.1:
        doubts.append("all fingers bend about the same axis: no thumb was found")
        return None, fingers
    best = order[0]
    tied = [i for i in order if scores[i] > scores[best] - 0.15]
    if len(tied) > 1:
        hinted = [i for i in tied if _named(fingers)[i] == "thumb"]
        if len(hinted) == 1:
            best = hinted[0]
            doubts.append(f"several fingers could be the thumb; '{fingers[best].label}' is named so")
        else:
            # The base that lies farthest back, as a thumb's does.
            along = np.sum([finger.along for finger in fingers], axis=0)
            best = min(tied, key=lambda i: float(fingers[i].base @ along))
            labels = ", ".join(f"'{fingers[i].label}'" for i in tied)
            doubts.append(f"several fingers could be the thumb ({labels}); '{fingers[best].label}' was taken")
    return fingers[best], [finger for finger in fingers if finger is not fingers[best]]


def _nearest_four(others: list[Finger], doubts: list[str]) -> list[Finger]:
    centre = np.mean([finger.base for finger in others], axis=0)
    keep = sorted(others, key=lambda finger: float(np.linalg.norm(finger.base - centre)))[:4]
    left_out = ", ".join(f"'{finger.label}'" for finger in others if finger not in keep)
    doubts.append(f"a human hand has no counterpart for {left_out}: left at rest")
    return [finger for finger in others if finger in keep]


def _side_of(thumb: Finger | None, row: list[Finger], y: Float[np.ndarray, " 3"]) -> str | None:
    """Right where the thumb's joints lie towards -y of the row; None where they lie in its middle."""
    if thumb is None:
        return None
    places = [float(finger.base @ y) for finger in row]
    width = max(max(places) - min(places), 0.02)
    # Joints count more than the tip, which a mirrored rest posture may carry across.
    offset = float(np.mean(thumb.joints_palm @ y)) - (max(places) + min(places)) / 2
    return None if abs(offset) < 0.15 * width else ("right" if offset < 0 else "left")


def _pinching(thumb: Finger, others: list[Finger], side: str) -> Anatomy:
    """The frame in which the pads stand where a human thumb and index finger meet."""
    mirror = np.diag([1.0, 1.0 if side == "right" else -1.0, 1.0])
    jaw = thumb.end - np.mean([finger.end for finger in others], axis=0)
    if np.linalg.norm(jaw) < 1e-3 or thumb.is_jaw:
        jaw = np.mean([finger.closing for finger in others], axis=0) - thumb.closing
    approach = thumb.along + np.mean([finger.along for finger in others], axis=0)
    if np.linalg.norm(np.cross(approach, jaw)) < 0.3 * np.linalg.norm(jaw):
        # Spread out flat: they reach to where they close.
        approach = thumb.closing + np.mean([finger.closing for finger in others], axis=0)
    ours = _frame(approach, jaw)
    human = _frame(mirror @ _PINCH_APPROACH, mirror @ _PINCH_JAW)
    T = np.eye(4)
    T[:3, :3] = ours @ human.T
    centre = (thumb.end + np.mean([finger.end for finger in others], axis=0)) / 2
    T[:3, 3] = centre - T[:3, :3] @ mirror @ _PINCH_CENTRE
    named = {"thumb": thumb} | dict(zip(FINGERS[1:], others, strict=False))
    return Anatomy(fingers=named, T_link_palm=T, side=side, pinches=True)


def _frame(main: Float[np.ndarray, " 3"], second: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "3 3"]:
    """Right-handed axes: the second direction exactly, the first across it."""
    b = second / np.linalg.norm(second)
    a = main - (main @ b) * b
    if np.linalg.norm(a) < 1e-6:
        a = np.cross(b, np.eye(3)[int(np.argmin(np.abs(b)))])
    a = a / np.linalg.norm(a)
    return np.stack([a, b, np.cross(a, b)], axis=1)


def _in_row(others: list[Finger], axis: Float[np.ndarray, " 3"]) -> list[Finger]:
    return sorted(others, key=lambda finger: float(-finger.base @ axis))


def _snapped(R: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
    """The palm link's own axes where they are near: designers build hands along them."""
    nearest = np.abs(R).argmax(axis=0)
    largest = R[nearest, np.arange(3)]
    if np.abs(largest).min() < _SNAP or len(set(nearest.tolist())) < 3:
        return R
    snapped = np.zeros((3, 3))
    snapped[nearest, np.arange(3)] = np.sign(largest)
    return snapped


def _side_in(words: str) -> str | None:
    tokens = set(_tokens(words))
    found = [side for side, marks in (("left", {"left", "lh"}), ("right", {"right", "rh"})) if tokens & marks]
    return found[0] if len(found) == 1 else None


def _side_doubt(why: str, told: str | None) -> str:
    return f"side: {why}; written as {told or 'right'}" + (" after the file's names" if told else "") + " (--side)"


def _tokens(text: str) -> list[str]:
    return re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", text).lower())


def _named(fingers: list[Finger]) -> list[str | None]:
    """The human finger that each chain's names speak of, where they speak of one.

    A word that several chains use names a part of every finger ("middle phalanx") and says nothing.
    """
    spoken: list[set[str]] = []
    for finger in fingers:
        names = [name for joint in finger.chain.joints for name in (joint.child, joint.name)]
        tokens = {token for name in [*names, *finger.chain.end_links] for token in _tokens(name)}
        spoken.append({name for name, words in _WORDS.items() if any(_speaks(t, w) for t in tokens for w in words)})
    found: list[str | None] = []
    for own in spoken:
        only = {name for name in own if sum(name in other for other in spoken) == 1}
        found.append(only.pop() if len(only) == 1 else None)
    return found


def _speaks(token: str, word: str) -> bool:
    """Short marks stand alone or before a joint's letter, as in FFJ3; long words anywhere."""
    return (
        word in token if len(word) > 3 else re.fullmatch(rf"{word}(j|tip|distal|proximal|knuckle)?", token) is not None
    )


def _compare_names(anatomy: Anatomy, doubts: list[str]) -> None:
    named = _named(list(anatomy.fingers.values()))
    for (name, finger), said in zip(anatomy.fingers.items(), named, strict=True):
        if said is not None and said != name:
            doubts.append(f"finger '{finger.label}' is called {said} in the file, its place is that of the {name}")
