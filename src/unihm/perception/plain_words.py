"""The same instruction in plainer words, and which of them are about the thing.

People have many words for few things to do. What surrounds the wish ("I'd be glad if you could ...") is left out;
verbs, directions and places beside another thing become the plainest ones of the same meaning. Words for things stay,
and so do numbers. What is not understood stays as it is.

The words are common English ones, written down from general knowledge: neither the held-out forms of
`scenes.asking_forms` nor what is said of them in `unihm eval` were consulted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from unihm.cliport.color_names import COLORS
from unihm.perception.plain_verbs import FORMS, KNOWN, MOVES, STAYS, VERBS

_A = r"(?= (?:the|a|an|my|your|our|this|that|its) (?!(?:table|handle|grip|rim|neck|edge|sides?|top|bottom)\b))"
"""A thing follows; "above the table" and "by its handle" are no places beside one."""
_BESIDE: Mapping[str, tuple[str, ...]] = {
    "to the left of": (
        r"(?:(?:at|on|to|toward|towards) )?(?:the |its )?left(?:[- ]hand)? (?:side|part|hand) of",
        r"(?:at the left|on the left|left(?:ward|wards)) (?:of|from)",
    ),
    "to the right of": (
        r"(?:(?:at|on|to|toward|towards) )?(?:the |its )?right(?:[- ]hand)? (?:side|part|hand) of",
        r"(?:at the right|on the right|right(?:ward|wards)) (?:of|from)",
    ),
    "behind": (
        r"(?:in|at|to|on|around|round) (?:the )?(?:back|rear|far side|far end|other side|opposite side|back side)"
        r" (?:of|from)",
        r"(?:beyond|past|in back of|further back than|farther back than)",
    ),
    "in front of": (
        r"(?:at|to|on|by) (?:the )?(?:front|near side|near end|nearer side|closer side|front side) of",
        r"(?:on|to|at) (?:this|my|our) side of|this side of|ahead of|before",
    ),
    "next to": (
        r"alongside(?: of)?|abreast of|near(?: to)?|close to|close by|nearby|by the side of|at the side of|"
        r"side by side with|neighbou?ring|right by|by|besides",
    ),
    "on top of": (r"atop|upon|on the top of|over the top of|on to the top of",),
    "inside": (r"within|inside of|in the inside of|into the inside of|in the middle of",),
}
_WAYS: Mapping[str, tuple[str, ...]] = {
    "to the left": (
        r"left(?:ward|wards)",
        r"(?:over |across |sideways |off )?(?:to|toward|towards) (?:the|my|your|our|its) left(?:[- ]hand)?"
        r"(?: (?:side|direction|hand))?",
    ),
    "to the right": (
        r"right(?:ward|wards)",
        r"(?:over |across |sideways |off )?(?:to|toward|towards) (?:the|my|your|our|its) right(?:[- ]hand)?"
        r"(?: (?:side|direction|hand))?",
    ),
    "away from me": (
        r"(?:farther|further) (?:away|off|back|out)(?: from (?:me|us|here))?",
        r"(?:to|toward|towards) the (?:back|rear|far side|far end|background|other side)(?: of the table)?",
        r"(?:forward|forwards|outward|outwards|rearward|rearwards|onward|onwards)",
        r"into the (?:distance|background)|out of my way",
    ),
    "towards me": (
        r"(?:closer|nearer)(?: (?:to|toward|towards) (?:me|us|here|my side))?",
        r"(?:to|toward|towards|in) (?:my|our) (?:direction|side|end)",
        r"(?:to|toward|towards) the (?:front|near side|near end|foreground)(?: of the table)?",
        r"(?:over |in |up )?(?:to|toward|towards) (?:me|us|here|myself|where i (?:am|sit|stand))|this way|over here|"
        r"my way|into the foreground",
    ),
}
_END = r"(?=[.,!?]|$| by\b| and\b| a (?:little|bit|lot)\b| slightly\b| \d)"
_LEAVE = (
    r"(?:,? (?:please|thanks|thank you|(?:will|would|could|can) you|for (?:me|us)|okay|right now|at once|now|"
    r"if (?:you (?:can|could|would|please|like|may|don't mind|wouldn't mind)|possible)|immediately|quickly))+"
)
_HOLDERS = ("bottle", "box", "can", "jar", "carton", "tube")
_NO_NAME = r"(?= *$| (?:on|in|at|by|behind|beside|next|near|with|that|which|to|from|left|right|between)\b)"
"""What follows a noun that is not part of a longer one."""
_DETERMINER = r"\b(?:the|a|an|my|your|our|this|that|these|those|its|some|any)\b"
_BEFORE = (
    r"(?:^|[,;:.?!] |\b(?:to|and|then|please|kindly|you|robot|just|now|be|been|being|gets?|got|needs?|must|mind|by|of|"
    r"for|let's|should|will|would|could|can|shall|carefully|gently|slowly|quickly) )$"
)
"""What stands before a verb."""
_NOBODY = (
    r"\b(?:the (?:robot|machine|hand|arm|gripper|assistant)|"
    r"(?:your|the|our|my) \w+(?: \w+)? (?:is|now is|will be) to|"
    r"a (?:favou?r|moment|hand|look)|(?:my|the|your) (?:turn|wish|request|order|time|plan|next step))\b"
)
"""What a frame may speak of besides things."""
_NOT = r"\b(?:not|never|dont|cannot)\b|n't\b"
_NEGATED = re.compile(
    r"(?:(?:please|kindly|now|robot|you|hey|ok|okay),? )*"
    r"(?:do not|don't|dont|never|(?:must|should|may|can)(?: not|n't))"
    r"(?! (?:leave|let|forget|keep|hesitate|worry|mind))\b[^,;.:]*[.!?]*$",
    re.IGNORECASE,
)


def plainly(instruction: str, nouns: Sequence[str] = ()) -> str:
    """An instruction in plainer words.

    Args:
        instruction: Free text.
        nouns: What things are called; words within these stay.

    Returns:
        The instruction, perhaps as it was.
    """
    text = re.sub(r"\s+", " ", instruction).strip()
    text = _beside(_wish(text))
    text = _ways(_verbs(text, nouns))
    return text[:1].upper() + text[1:]


def check_wish(instruction: str) -> None:
    """Refuse words that only say what not to do; raises ValueError."""
    if _NEGATED.match(instruction.strip()):
        raise ValueError(f"'{instruction.strip()}' says what not to do; say what to do.")


def ruled_out(plain: str) -> frozenset[str]:
    """Relations, and tasks of moving parts, that are the opposite of what the words say without doubt.

    Args:
        plain: From `plainly`.
    """
    text = plain.lower().replace(about(plain), " ") if about(plain) else plain.lower()
    text = re.sub(rf"(?:{_NOT})[^,;:.?!]*", " ", text)  # "should not stand open; close it"
    found: frozenset[str] = frozenset()
    for one, other in _OPPOSITES:
        said = [re.search(pattern, text) is not None for pattern, _ in (one, other)]
        if said[0] != said[1]:
            found |= (other if said[0] else one)[1]
    return found


def about(plain: str) -> str:
    """The words for the thing that an instruction is about: "the mug on the left"; empty where that is not certain.

    Args:
        plain: From `plainly`.
    """
    match = _SUBJECT.match(plain)
    if match is not None:
        return match["thing"].strip().lower()
    match = _ABOUT.match(plain)
    if match is None:
        return ""
    end = re.search(_PLACES if match["moves"] else _HOW_FAR, match["rest"], re.IGNORECASE)
    words = (match["rest"][: end.start()] if end else match["rest"]).strip()
    return words if " " in words else ""


def noun_in(words: str, nouns: Sequence[str]) -> str:
    """The longest of some nouns that occurs in the words; empty where none does."""
    text = re.sub(r"[^a-z -]+", " ", words.lower())
    said = [noun for noun in nouns if noun in text and re.search(rf"\b{re.escape(noun)}\b", text)]
    # Of "the orange lid" orange is the colour.
    return max(said, key=lambda noun: (noun not in COLORS, len(noun)), default="")


def contained(thing: str, nouns: Sequence[str]) -> str:
    """The words for a thing, with the container in place of what it holds: "the bleach" is the bleach bottle.

    Args:
        thing: From `about`.
        nouns: What things are called; these tell which containers there are.

    Returns:
        The words, perhaps as they were.
    """
    noun = noun_in(thing, nouns)
    known = frozenset(nouns)
    named = (name for holder in _HOLDERS for name in (f"{noun} {holder}", f"{holder} of {noun}") if name in known)
    name = next(named, "")
    return re.sub(rf"\b{re.escape(noun)}\b{_NO_NAME}", name, thing, count=1) if name else thing


def _wish(text: str) -> str:
    """Without the frame: what comes before the first verb, unless it is about a thing, and thanks at the end."""
    match = _ANY_VERB.search(text)
    frame = re.sub(_NOBODY, " ", text[: match.start()].lower()) if match else ""
    if match and not re.search(_DETERMINER, frame) and not re.search(_NOT, frame):
        text = text[match.start() :]
    return re.sub(rf"{_LEAVE}\s*([.!?]*)$", r"\1", text, flags=re.IGNORECASE)


def _beside(text: str) -> str:
    for plain, patterns in _BESIDE.items():
        text = re.sub(rf"\b(?:{'|'.join(patterns)}){_A}", plain, text, flags=re.IGNORECASE)
    return text


def _ways(text: str) -> str:
    if re.match(r"(?:lift|raise|pick up|grab)\b", text, re.IGNORECASE):
        return text  # "lift the mug farther away" says which
    for plain, patterns in _WAYS.items():
        text = re.sub(rf"(?<!the )\b(?:{'|'.join(patterns)}){_END}", plain, text, flags=re.IGNORECASE)
    return text


def _verbs(text: str, nouns: Sequence[str]) -> str:
    """With plain verbs, where they stand as verbs do, and not within the name of a thing."""
    low = text.lower()
    said = [noun for noun in nouns if noun in low]  # a pattern for each of a thousand nouns would be compiled each time
    kept = [m.span() for noun in said for m in re.finditer(rf"\b{re.escape(noun)}\b", low)]
    given = re.search(r"\bgiv(?:e|es|en|ing)\b", low)  # "give it a shove"

    def plain(match: re.Match[str]) -> str:
        inside = any(start < match.end() and match.start() < end for start, end in kept)
        verb = re.search(_BEFORE, low[: match.start()]) or (given and low[: match.start()].endswith(" a "))
        return FORMS[match.group().lower()] if verb and not inside else match.group()

    return _SAID.sub(plain, text)


_WANTS = ("i want", "i need", "i would like", "let me have", "find")
_ABOUT = re.compile(
    rf"(?:(?P<stays>{'|'.join(sorted(STAYS, key=len, reverse=True))})|(?P<moves>{'|'.join((*MOVES, *_WANTS))}))"
    r" (?P<rest>(?:the|my|your|our|this|that) .*)",
    re.IGNORECASE,
)
_FIRST = r"(?:^|[,;:.?!] )"
_AT_END = r"(?= *(?:[.,!?;]|$|by\b|and\b|\d|halfway|all the way|an? (?:little|bit|crack)))"
_SIDE = r"\b(?:to|toward|towards|on|at) the {0}\b|\b{0}wards?\b|\b{0}\b(?: of\b|" + _AT_END + ")"
_OPPOSITES: tuple[tuple[tuple[str, frozenset[str]], tuple[str, frozenset[str]]], ...] = (
    (
        (_SIDE.replace("{0}", "left"), frozenset({"left", "left of"})),
        (_SIDE.replace("{0}", "right"), frozenset({"right", "right of"})),
    ),
    (
        (r"\baway\b|\bfarther\b|\bfurther\b", frozenset({"away"})),
        (r"\btowards? me\b|\bcloser\b|\bnearer\b", frozenset({"toward"})),
    ),
    ((r"\bbehind\b", frozenset({"behind"})), (r"\bin front of\b", frozenset({"in front of"}))),
    (
        (rf"\b(?:open(?:ed|ing)?|out)\b{_AT_END}|{_FIRST}(?:open|pull)\b", frozenset({"open", "pull"})),
        (rf"\b(?:shut|closed|in)\b{_AT_END}|{_FIRST}(?:close|shut|push)\b", frozenset({"close", "push"})),
    ),
)
"""Pairs of what words say: pattern, and the relations or tasks of moving parts that they mean."""
_SUBJECT = re.compile(
    r"(?P<thing>(?:the|my|your|our|this|that) [^,;.?!]+?) (?:should|needs?|goes?|belongs?|has to|have to|must|ought to|"
    r"is to|are to)\b",
    re.IGNORECASE,
)
_HOW_FAR = (
    r"[,.;:?!]|(?<= )(?:"
    rf"and(?! (?:light |dark )?(?:{'|'.join(COLORS)})\b)|"
    r"then|up|down|out|off|open|shut|closed|in(?= *(?:$|[.,!?]|\d|by))|by|to \w+ degrees|"
    r"to the (?:left|right)\b(?! of)|towards?\b|"
    r"halfway|all the way|completely|fully|high|slightly|far(?= )|\d|"
    r"an? (?:little|bit|lot|long|push|pull|poke|thrust|jerk|half|quarter|crack|hundred|few)|"
    r"one(?= (?:inch|foot|hundred|and|half|meter|metre|\w+meter|\w+metre|cm|mm))|"
    r"(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|sixty|"
    r"ninety|half)\b)"
)
_PLACES = (
    rf"{_HOW_FAR}|(?<= )(?<!the )(?<!on the )(?:(?:to|toward|towards|left|right|away|closer|nearer|farther|further|"
    r"behind|in front of|next to|beside|onto|into|inside|over|across)\b|"
    r"(?:on|in)\b(?! the (?:left|right|middle|front|back)\b))"
)
_SAID = re.compile(
    rf"\b(?:{'|'.join(map(re.escape, sorted(FORMS, key=len, reverse=True)))})\b(?! (?:of|is|was)\b)", re.IGNORECASE
)
_ANY_VERB = re.compile(
    rf"\b(?:{'|'.join(sorted({*KNOWN, *(o for others in VERBS.values() for o in others)}, key=len, reverse=True))})"
    rf"(?= )",
    re.IGNORECASE,
)
