import json
from dataclasses import replace

import pytest

from unihm.datasets.dexycb import OBJECT_POSITIONS, SIDES
from unihm.datasets.episode_rows import EpisodeRecord
from unihm.datasets.splits import SPLITS, split

UNSEEN = {"009_gelatin_box", "021_bleach_cleanser", "036_wood_block"}


def record(subject: int, trial: int, object_position: int, mirrored: bool, unihm_split: str = "none") -> EpisodeRecord:
    name = f"dexycb/{subject}/{trial}"
    return EpisodeRecord(
        id=name,
        recording=name,
        dataset="dexycb",
        subject=str(subject),
        object_name=sorted(OBJECT_POSITIONS)[object_position],
        mirrored=mirrored,
        fps=30.0,
        contact_frame=1,
        lift_frame=2,
        num_frames=3,
        instructions=(),
        attributes={
            "subject_number": str(subject),
            "trial": str(trial),
            "object_position": str(object_position),
            "unihm_split": unihm_split,
        },
    )


@pytest.fixture(scope="module")
def records(shared_data) -> list[EpisodeRecord]:
    """One record for each of the 1000 real recordings, from the published index alone."""
    entries = [
        (side, entry)
        for side in SIDES
        for entry in json.loads((shared_data / "dexycb" / f"dexycb_{side}_index.json").read_text())
    ]
    by_subject: dict[str, list[str]] = {}
    for _, entry in entries:
        by_subject.setdefault(entry["subject"], []).append(entry["sequence"])
    return [
        record(
            int(entry["subject"][-2:]),
            sorted(by_subject[entry["subject"]]).index(entry["sequence"]),
            OBJECT_POSITIONS[entry["object"]],
            side == "left",
            entry["unihm_split"] or "none",
        )
        for side, entry in entries
    ]


def right_hands(name, part, records):
    mirrored = {r.id for r in records if r.mirrored}
    return [i for i in split(name, part, records) if i not in mirrored]


def test_sizes_are_those_that_were_published(records):
    def sizes(name, *parts):
        return tuple(len(right_hands(name, part, records)) for part in parts)

    train, validation, test = sizes("unihm", "train", "validation", "test")
    assert (train + validation, test) == (400, 100)
    assert sizes("s3", "train", "validation", "test") == (374, 51, 76)
    assert sizes("s1", "train", "validation", "test") == (350, 50, 101)
    assert sizes("s0", "train", "validation", "test") == (400, 20, 81)
    assert sizes("release", "unseen", "seen") == (76, 82)


@pytest.mark.parametrize("name", [name for name in SPLITS if name != "oakink"])
def test_parts_share_no_recording_and_tests_hold_no_mirrored_hand(name, records):
    parts = {part: set(split(name, part, records)) for part in ("train", "validation", "test")}
    assert all(parts.values())
    assert not parts["train"] & parts["validation"]
    assert not (parts["train"] | parts["validation"]) & parts["test"]
    assert len(right_hands(name, "test", records)) == len(parts["test"])


def test_release_keeps_unseen_objects_and_published_test_recordings_out_of_training(records):
    by_id = {r.id: r for r in records}
    used = [by_id[i] for part in ("train", "validation") for i in split("release", part, records)]
    assert not {r.object_name for r in used} & UNSEEN
    assert not [r for r in used if r.attributes["unihm_split"] == "valid"]
    assert {by_id[i].object_name for i in split("release", "unseen", records)} == UNSEEN
    assert not {by_id[i].object_name for i in split("release", "seen", records)} & UNSEEN
    seen, unseen = (set(split("release", part, records)) for part in ("seen", "unseen"))
    assert set(split("release", "test", records)) == seen | unseen
    assert not seen & unseen


def test_mirrored_hands_obey_the_split(records):
    by_id = {r.id: r for r in records}
    subjects = {by_id[i].attributes["subject_number"] for i in split("s1", "train", records)}
    assert subjects == {"1", "2", "3", "4", "5", "6", "10"}
    positions = {int(by_id[i].attributes["object_position"]) for i in split("s3", "train", records)}
    assert positions == set(range(20)) - {3, 7, 11, 15, 19}
    assert {int(by_id[i].attributes["trial"]) % 5 for i in split("s0", "train", records)} == {0, 1, 2, 3}
    assert any(by_id[i].mirrored for i in split("s1", "train", records))


def test_the_tenth_is_about_a_tenth_and_does_not_depend_on_the_rest_of_the_store(records):
    validation = split("release", "validation", records)
    train = split("release", "train", records)
    assert 0.07 < len(validation) / (len(validation) + len(train)) < 0.13
    half = records[::2]
    assert split("release", "validation", half) == [r.id for r in half if r.id in set(validation)]
    assert split("release", "validation", records[::-1]) == validation[::-1]


def test_rules_on_single_records():
    assert split("s0", "test", [record(3, 4, 0, False)]) == ["dexycb/3/4"]
    assert split("s0", "validation", [record(2, 9, 1, False)]) == ["dexycb/2/9"]
    assert split("s0", "train", [record(2, 8, 1, True), record(2, 9, 1, True)]) == ["dexycb/2/8"]
    assert split("s1", "test", [record(8, 0, 0, False), record(9, 0, 0, False), record(10, 0, 0, False)]) == [
        "dexycb/8/0",
        "dexycb/9/0",
    ]
    assert split("release", "unseen", [record(1, 35, 7, False, "train"), record(1, 36, 7, True)]) == ["dexycb/1/35"]


def oakink_record(number: int, object_name: str) -> EpisodeRecord:
    name = f"oakink/{object_name}_0001_0000/{number}"
    return replace(
        record(1, 1, 1, False), id=f"{name}/0", recording=name, object_name=object_name, attributes={"intent": "use"}
    )


def test_oakink_keeps_a_fifth_of_the_objects_and_of_the_other_recordings_for_tests():
    records = [oakink_record(n, f"A{10000 + n % 100}") for n in range(1000)]
    parts = {part: set(split("oakink", part, records)) for part in ("train", "validation", "seen", "unseen")}
    assert sum(map(len, parts.values())) == len(set.union(*parts.values())) == 1000
    assert set(split("oakink", "test", records)) == parts["seen"] | parts["unseen"]
    objects = {part: {name.split("_")[0] for name in ids} for part, ids in parts.items()}
    assert not objects["unseen"] & (objects["train"] | objects["validation"] | objects["seen"])
    assert 0.1 < len(objects["unseen"]) / 100 < 0.3
    others = 1000 - len(parts["unseen"])
    assert 0.15 < len(parts["seen"]) / others < 0.25
    assert 0.05 < len(parts["validation"]) / others < 0.11
    hands = [replace(r, id=r.recording + "/1") for r in records]
    assert split("oakink", "seen", hands) == [name[:-1] + "1" for name in split("oakink", "seen", records)]


def stated(part: str, number: int = 0) -> EpisodeRecord:
    name = f"composed/open-door/{number:05d}"
    return replace(record(1, 1, 1, False), id=name, recording=name, attributes={"part": part})


@pytest.mark.parametrize("name", [name for name in SPLITS if name != "oakink"])
def test_an_episode_that_states_its_part_is_in_it(name):
    """Whatever else its attributes say, and never in a test part."""
    records = [stated("train", 0), stated("validation", 1), record(1, 1, 0, False, "train")]
    records.append(
        replace(record(8, 4, 7, False, "valid"), attributes={**record(8, 4, 7, False).attributes, "part": "train"})
    )
    assert split(name, "validation", records[:2]) == [records[1].id]
    assert {records[0].id, records[3].id} <= set(split(name, "train", records))
    assert not split(name, "test", [records[0], records[1], records[3]])
    with pytest.raises(ValueError, match=r"states part 'test', expected train or validation"):
        split(name, "train", [stated("test")])


def test_unknown_names_and_foreign_episodes_are_refused():
    with pytest.raises(ValueError, match=r"Split 'realease' not found\. Did you mean 'release'"):
        split("realease", "train", [])
    with pytest.raises(ValueError, match="Part of split 's1' 'unseen' not found"):
        split("s1", "unseen", [])
    foreign = record(1, 1, 1, False)
    foreign.attributes.pop("subject_number")  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="no attribute 'subject_number'"):
        split("s1", "train", [foreign])
    with pytest.raises(ValueError, match="no attribute 'intent': the splits are those of OakInk"):
        split("oakink", "train", [record(1, 1, 1, False)])
