"""Which episodes train, which choose between models, and which are only reported on.

- `release`, test parts: `unseen` is every right hand on a gelatin box, bleach bottle or wood block; `seen` is
  the ``valid`` recordings of the published UniHM split with the other 17 objects. Training: its ``train``
  recordings and the reflected left hands, of these 17 objects.
- `unihm`, test: the ``valid`` recordings of the published UniHM split.
- `s0`, test: the last of five trials of subjects 3 to 10; validation: that of subjects 1 and 2.
- `s1`, test: subjects 8 and 9; validation: subject 7.
- `s3`, test: objects 7, 11 and 15 of the sorted twenty; validation: objects 3 and 19.
- `oakink`, test parts: `unseen` is every recording of a fifth of the objects of OakInk, `seen` a fifth of the
  recordings of the others; both fifths by a hash of the name. Differs from OakInk's own splits, which are made for
  pictures (by view, by subject) or choose their objects by chance.

`oakink` is for recordings of OakInk, the others are for those of DexYCB; `s0` to `s3` are its own (Chao et al., CVPR
2021), which count objects from 0. Where no validation part is defined, a tenth of the training recordings is kept for
choosing between models.
An episode that states its own part (attribute `PART`: ``train`` or ``validation``) belongs to that part of each of the
splits of DexYCB: composed episodes, and recordings of other data sets that join them.
Everything else trains. Reflected left hands train or join that tenth, where the split's rule on subjects,
objects and trials allows; defined validation parts and all test parts are right hands as recorded. No recording
lies in two parts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from unihm.datasets.episode_rows import EpisodeRecord
from unihm.registry import unknown_name

PART = "part"
"""Attribute: the part of every split of DexYCB that an episode states for itself; never a test part."""
_OWN_PARTS = ("train", "validation")
_FIFTH, _TENTH = 5, 10
_UNSEEN_OBJECTS = frozenset({7, 11, 15})
_S3_VALIDATION_OBJECTS = frozenset({3, 19})
_S1_TEST_SUBJECTS = frozenset({8, 9})
_S1_VALIDATION_SUBJECTS = frozenset({7})
_S0_VALIDATION_SUBJECTS = frozenset({1, 2})


@dataclass(frozen=True)
class Split:
    """A rule that gives each episode at most one part."""

    part_of: Callable[[EpisodeRecord], str | None]
    """The part of an episode; None where the split leaves it out."""
    parts: Mapping[str, frozenset[str]]
    """Names that may be asked for, and what `part_of` says for them."""


def split(name: str, part: str, records: Iterable[EpisodeRecord]) -> list[str]:
    """Ids of the episodes in one part of a split, in the order of `records`.

    Args:
        name: A key of `SPLITS`.
        part: ``train``, ``validation`` or ``test``; for ``release`` and ``oakink`` also ``seen`` and ``unseen``.
        records: The episodes of a store, see `episode_store.episode_table`.

    Raises:
        ValueError: The split or the part does not exist, or the episodes lack what the split is defined by.
    """
    if name not in SPLITS:
        raise unknown_name("Split", name, SPLITS)
    rule = SPLITS[name]
    if part not in rule.parts:
        raise unknown_name(f"Part of split '{name}'", part, rule.parts)
    return [record.id for record in records if rule.part_of(record) in rule.parts[part]]


def _or_stated(rule: Callable[[EpisodeRecord], str | None]) -> Callable[[EpisodeRecord], str | None]:
    """A rule for those that do not state their part."""

    def part_of(record: EpisodeRecord) -> str | None:
        stated = record.attributes.get(PART)
        if stated is None:
            return rule(record)
        if stated not in _OWN_PARTS:
            raise ValueError(f"Episode '{record.id}' states part '{stated}', expected {' or '.join(_OWN_PARTS)}.")
        return stated

    return part_of


def _release(record: EpisodeRecord) -> str | None:
    if _number(record, "object_position") in _UNSEEN_OBJECTS:
        return None if record.mirrored else "unseen"
    return _unihm(record, test="seen")


def _unihm(record: EpisodeRecord, test: str = "test") -> str | None:
    published = _attribute(record, "unihm_split")
    if record.mirrored or published == "train":
        return _train_or_tenth(record)
    return test if published == "valid" else None


def _s0(record: EpisodeRecord) -> str | None:
    if _number(record, "trial") % 5 != 4:
        return "train"
    if record.mirrored:
        return None
    return "validation" if _number(record, "subject_number") in _S0_VALIDATION_SUBJECTS else "test"


def _s1(record: EpisodeRecord) -> str | None:
    return _held_out(record, "subject_number", _S1_TEST_SUBJECTS, _S1_VALIDATION_SUBJECTS)


def _s3(record: EpisodeRecord) -> str | None:
    return _held_out(record, "object_position", _UNSEEN_OBJECTS, _S3_VALIDATION_OBJECTS)


def _oakink(record: EpisodeRecord) -> str | None:
    _attribute(record, "intent", "OakInk")
    if _hash(f"object/{record.object_name}") % _FIFTH == 0:
        return "unseen"
    return "seen" if _hash(f"seen/{record.recording}") % _FIFTH == 0 else _train_or_tenth(record)


def _held_out(record: EpisodeRecord, key: str, test: frozenset[int], validation: frozenset[int]) -> str | None:
    value = _number(record, key)
    if value not in test | validation:
        return "train"
    if record.mirrored:
        return None
    return "test" if value in test else "validation"


def _train_or_tenth(record: EpisodeRecord) -> str:
    """A tenth of the recordings by a hash of their name: the choice depends on nothing else in the store."""
    return "validation" if _hash(record.recording) % _TENTH == 0 else "train"


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def _attribute(record: EpisodeRecord, key: str, dataset: str = "DexYCB") -> str:
    if key not in record.attributes:
        raise ValueError(f"Episode '{record.id}' has no attribute '{key}': the splits are those of {dataset}.")
    return record.attributes[key]


def _number(record: EpisodeRecord, key: str) -> int:
    return int(_attribute(record, key))


_PARTS = {name: frozenset({name}) for name in ("train", "validation", "test")}
_SEEN_UNSEEN = {
    "train": frozenset({"train"}),
    "validation": frozenset({"validation"}),
    "test": frozenset({"seen", "unseen"}),
    "seen": frozenset({"seen"}),
    "unseen": frozenset({"unseen"}),
}
SPLITS = {
    "release": Split(_or_stated(_release), _SEEN_UNSEEN),
    "unihm": Split(_or_stated(_unihm), _PARTS),
    "s0": Split(_or_stated(_s0), _PARTS),
    "s1": Split(_or_stated(_s1), _PARTS),
    "s3": Split(_or_stated(_s3), _PARTS),
    "oakink": Split(_oakink, _SEEN_UNSEEN),
}
"""Names on the command line to rules."""
