"""Forms of instructions about scenes: a frame ("Could you ...?") around a clause ("push the mug 10 cm to the left").

Slots in braces are filled by `asking`: ``object`` with its article, ``it``, ``where`` (a direction, or a relation and
the reference), ``far`` (a number with a unit), ``vague`` (a distance without a number), ``turn`` (an angle), ``share``
(of the whole way of a joint). The held-out forms have verbs and frames that occur in no training form; those for
recordings (`datasets.sentence_forms`) keep the same ones apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

FRAMES = (
    "{do}.",
    "{do}.",
    "{do}",
    "Please {do}.",
    "{do}, please.",
    "Now {do}.",
    "Okay, {do}.",
    "Could you {do}?",
    "Could you please {do}?",
    "Can you {do}?",
    "Can you {do} for me?",
    "Hey, can you {do}?",
    "Would you {do}?",
    "I want you to {do}.",
    "I need you to {do}.",
    "I would like you to {do}.",
    "You should {do}.",
    "Your task is to {do}.",
    "Robot, {do}.",
    "Go ahead and {do}.",
    "Let's {do}.",
)
"""Training frames around a clause; the plain ones twice, because people mostly say no more."""

HELD_OUT_FRAMES = (
    "{do}.",
    "Kindly {do}.",
    "Next, {do}.",
    "Try to {do}.",
    "It is time to {do}.",
    "Would you be so kind as to {do}?",
    "The robot has to {do}.",
    "I'd be grateful if you managed to {do}.",
    "Be a dear and {do}!",
    "What I'm after: {do}.",
)
"""Frames that never occur in training, but for the first."""

CLAUSES: Mapping[str, tuple[str, ...]] = {
    "grab": (
        "pick up {object}",
        "pick {object} up",
        "lift {object}",
        "lift {object} up",
        "lift {object} off the table",
        "grab {object}",
        "take {object}",
        "take hold of {object} and lift {it}",
        "grasp {object} and pick {it} up",
        "raise {object}",
        "get {object} off the table",
        "hold {object} up",
    ),
    "grab far": (
        "lift {object} {far}",
        "lift {object} by {far}",
        "lift {object} up {far}",
        "raise {object} {far}",
        "raise {object} by {far}",
        "pick up {object} and lift {it} {far}",
        "hold {object} {far} above the table",
        "grab {object} and raise {it} {far}",
    ),
    "grab vague": ("lift {object} {vague}", "raise {object} {vague}", "pick up {object} and lift {it} {vague}"),
    "place": (
        "put {object} {where}",
        "place {object} {where}",
        "set {object} {where}",
        "move {object} {where}",
        "bring {object} {where}",
        "carry {object} {where}",
        "pick up {object} and put {it} {where}",
        "take {object} and place {it} {where}",
        "grab {object} and set {it} down {where}",
        "lift {object} and put {it} down {where}",
    ),
    "place toward": (
        "move {object} {where}",
        "bring {object} {where}",
        "carry {object} {where}",
        "pick up {object} and move {it} {where}",
        "lift {object} and carry {it} {where}",
    ),
    "place toward far": (
        "move {object} {far} {where}",
        "move {object} {where} by {far}",
        "carry {object} {far} {where}",
        "put {object} {far} {where}",
        "pick up {object} and put {it} down {far} {where}",
        "lift {object} and move {it} {far} {where}",
    ),
    "place toward vague": ("move {object} {vague} {where}", "pick up {object} and move {it} {vague} {where}"),
    "place and turn": (
        "put {object} {where} and turn {it} {turn}",
        "move {object} {where} and rotate {it} by {turn}",
        "turn {object} by {turn} and put {it} {where}",
    ),
    "turn": (
        "turn {object} {turn}",
        "turn {object} by {turn}",
        "rotate {object} {turn}",
        "rotate {object} by {turn}",
        "pick up {object} and turn {it} by {turn}",
    ),
    "push": ("push {object} {where}", "slide {object} {where}", "push {object} over {where}"),
    "push far": (
        "push {object} {far} {where}",
        "push {object} {where} by {far}",
        "slide {object} {far} {where}",
        "slide {object} {where} by {far}",
    ),
    "push vague": ("push {object} {vague} {where}", "slide {object} {vague} {where}"),
    "push away": ("push {object}", "give {object} a push"),
    "pull": ("pull {object} {where}", "drag {object} {where}", "pull {object} over {where}"),
    "pull far": (
        "pull {object} {far} {where}",
        "pull {object} {where} by {far}",
        "drag {object} {far} {where}",
    ),
    "pull vague": ("pull {object} {vague} {where}", "drag {object} {vague} {where}"),
    "pull toward": ("pull {object}", "give {object} a pull"),
    "draw": (
        "open {object}",
        "pull out {object}",
        "pull {object} out",
        "pull {object} open",
        "pull open {object}",
        "slide {object} open",
        "slide out {object}",
    ),
    "draw far": (
        "pull {object} out {far}",
        "pull out {object} by {far}",
        "open {object} by {far}",
        "slide {object} open {far}",
    ),
    "draw share": ("open {object} {share}", "pull {object} {share} out", "pull {object} out {share}"),
    "shut": (
        "close {object}",
        "shut {object}",
        "push {object} in",
        "push in {object}",
        "push {object} shut",
        "push {object} closed",
        "slide {object} shut",
    ),
    "shut far": ("push {object} in {far}", "push {object} {far} in", "slide {object} in by {far}"),
    "open": ("open {object}", "open up {object}", "pull {object} open", "get {object} open"),
    "open lid": ("open {object}", "open up {object}", "lift {object} open", "flip {object} open"),
    "open far": ("open {object} to {turn}", "open {object} {turn}", "turn {object} open to {turn}"),
    "open share": ("open {object} {share}", "pull {object} open {share}"),
    "close": ("close {object}", "shut {object}", "push {object} shut", "push {object} closed", "get {object} closed"),
}
"""What is asked for -> training clauses."""

HELD_OUT_CLAUSES: Mapping[str, tuple[str, ...]] = {
    "grab": ("hoist {object}", "fetch {object}", "seize {object}", "collect {object}", "heave {object} upward"),
    "grab far": ("hoist {object} {far}", "elevate {object} by {far}", "haul {object} upward by {far}"),
    "grab vague": ("hoist {object} {vague}", "elevate {object} {vague}"),
    "place": (
        "relocate {object} so that {it} ends up {where}",
        "deposit {object} {where}",
        "park {object} {where}",
        "transfer {object} {where}",
    ),
    "place toward": ("relocate {object} {where}", "transport {object} {where}", "transfer {object} {where}"),
    "place toward far": ("relocate {object} {far} {where}", "transport {object} {where} by {far}"),
    "place toward vague": ("relocate {object} {vague} {where}", "transfer {object} {vague} {where}"),
    "place and turn": (
        "deposit {object} {where} and twist {it} by {turn}",
        "swivel {object} {turn} and park {it} {where}",
    ),
    "turn": ("twist {object} by {turn}", "swivel {object} {turn}", "spin {object} {turn}"),
    "push": ("shove {object} {where}", "nudge {object} {where}", "scoot {object} {where}"),
    "push far": ("shove {object} {far} {where}", "scoot {object} {where} by {far}"),
    "push vague": ("shove {object} {vague} {where}", "nudge {object} {vague} {where}"),
    "push away": ("shove {object}", "give {object} a shove"),
    "pull": ("tug {object} {where}", "draw {object} {where}", "yank {object} {where}"),
    "pull far": ("tug {object} {far} {where}", "draw {object} {where} by {far}"),
    "pull vague": ("tug {object} {vague} {where}", "draw {object} {vague} {where}"),
    "pull toward": ("tug {object}", "give {object} a tug"),
    "draw": ("tug {object} open", "draw {object} out", "yank open {object}", "extend {object}"),
    "draw far": ("draw {object} out by {far}", "extend {object} by {far}"),
    "draw share": ("tug {object} open {share}", "draw {object} {share} out"),
    "shut": ("shove {object} in", "return {object} to its closed position", "retract {object}"),
    "shut far": ("shove {object} in by {far}", "retract {object} by {far}"),
    "open": ("swing open {object}", "swing {object} open", "unclose {object}"),
    "open lid": ("swing {object} open", "tip {object} open", "fold back {object}"),
    "open far": ("swing {object} open to {turn}", "tip {object} open to {turn}"),
    "open share": ("swing {object} open {share}", "swing open {object} {share}"),
    "close": ("swing {object} shut", "swing {object} closed", "slam {object}"),
}
"""The same keys -> clauses that never occur in training."""

SENTENCES: Mapping[str, tuple[str, ...]] = {
    "grab": (
        "I need {object}; pick {it} up.",
        "I want {object} in your hand.",
        "{object} should be picked up.",
        "Grab {object} for me.",
        "See {object}? Pick {it} up.",
    ),
    "place": (
        "I want {object} {where}.",
        "{object} should go {where}.",
        "{object} goes {where}.",
        "{object} belongs {where}, so put {it} there.",
    ),
    "place toward far": ("{object} should be moved {far} {where}.", "I need {object} {far} {where}."),
    "push far": ("{object} should be pushed {far} {where}.",),
    "pull far": ("{object} should be pulled {far} {where}.",),
    "draw": ("{object} should be pulled out.", "I need {object} open."),
    "shut": ("{object} should be pushed shut.", "I want {object} shut."),
    "open": ("I need {object} open.", "{object} should be opened."),
    "open lid": ("I need {object} open.", "{object} should be opened."),
    "close": ("I want {object} closed.", "{object} should be closed."),
}
"""What is asked for -> training forms that are whole sentences."""

HELD_OUT_SENTENCES: Mapping[str, tuple[str, ...]] = {
    "grab": ("{object} ought to leave the tabletop.", "Would you mind fetching {object}?"),
    "place": ("{object} ought to end up {where}.", "Would you mind depositing {object} {where}?"),
    "place toward far": ("{object} ought to travel {far} {where}.",),
    "push far": ("{object} ought to get shoved {far} {where}.",),
    "pull far": ("{object} ought to get tugged {far} {where}.",),
    "draw": ("Would you mind tugging {object} open?",),
    "shut": ("{object} ought not to stick out.",),
    "open": ("Would you mind swinging {object} open?",),
    "open lid": ("Would you mind swinging {object} open?",),
    "close": ("Would you mind swinging {object} shut?",),
}
"""The same for those that never occur in training."""

WHERE: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "left": (("to the left", "left", "toward the left"), ("leftwards", "in the left-hand direction")),
    "right": (("to the right", "right", "toward the right"), ("rightwards", "in the right-hand direction")),
    "away": (("away", "away from me", "farther away"), ("into the distance", "away from the viewer")),
    "toward": (("toward me", "closer to me", "towards me"), ("nearer to the viewer", "in my direction")),
    "left of": (("to the left of {r}", "left of {r}", "on the left of {r}"), ("on the left-hand side of {r}",)),
    "right of": (("to the right of {r}", "right of {r}", "on the right of {r}"), ("on the right-hand side of {r}",)),
    "behind": (("behind {r}",), ("to the rear of {r}",)),
    "in front of": (("in front of {r}",), ("on the viewer's side of {r}",)),
    "next to": (("next to {r}", "beside {r}"), ("adjacent to {r}", "alongside {r}")),
    "on": (("on {r}", "on top of {r}", "onto {r}"), ("atop {r}", "upon {r}")),
    "in": (("in {r}", "into {r}", "inside {r}"), ("within {r}", "in the interior of {r}")),
}
"""Relation -> phrases for it, training and held out."""

VAGUE: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "little": (("a little", "a bit", "slightly", "a little bit"), ("a tad",)),
    "far": (("far", "a long way", "a lot"), ("a great way",)),
}
"""Distances without a number -> phrases, training and held out; in front of a direction."""

VAGUE_UP: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "little": (VAGUE["little"][0], VAGUE["little"][1]),
    "far": (("high up", "high above the table"), ("as high as possible",)),
}
"""The same upward."""

SHARE: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "little": (("a little", "a bit", "slightly"), ("a crack",)),
    "half": (("halfway",), ("half-way",)),
    "full": (("all the way", "completely", "fully"), ("as far as it goes",)),
}
"""Shares of the whole way of a joint -> phrases, training and held out."""


def singular(form: str) -> bool:
    """Whether a form speaks of one thing, so that it does not go with "the pliers"."""
    return re.search(r"\b(?:goes|belongs|ends)\b", form) is not None
