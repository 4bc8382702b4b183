"""Checked motions: what is stored is what was simulated, margins are physics, and a store grows or refuses."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import numpy as np
import pytest

from physical_builders import LEANS, OBJECT, Pretend, squeezed, write_models, write_store
from unihm.cli import main
from unihm.datasets.episode_store import episode_table, read_episodes
from unihm.datasets.manifest import REFINED, hands_in
from unihm.datasets.motion_parts import parts_folder
from unihm.datasets.motion_store import attach, motion_header, motion_ids, read_checks, read_motions
from unihm.datasets.summary import info
from unihm.hands.description import describe_hand
from unihm.physical_data import PhysicalRefining, Recording, checking, refine_store
from unihm.physical_data.checking import FRICTIONS, seed_of
from unihm.simulation.tasks import run
from unihm.simulation.ycb import LEANING, MASSES, load_ycb


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def store(tmp_path):
    """Nine recordings, and one that leans on something."""
    grasp = squeezed(10.0)
    return write_store(tmp_path / "store", dict.fromkeys([*(f"made/{k}" for k in range(9)), LEANS], grasp))


@pytest.fixture
def as_it_is(monkeypatch):
    """Refinement that leaves a motion as it is: the tests know what scripted grasps bear."""
    monkeypatch.setattr(checking, "refinements", lambda motion, hand, count, **_: [(motion, None)])


def run_store(store, refining, models, **options):
    return refine_store(store, ["panda"], refining, models, **{"workers": 1, **options})[0]


def recording(models, motion) -> Recording:
    """As a store would hand it out."""
    solid = load_ycb(models, OBJECT)
    motion = motion.replace(contact_phase=np.clip(np.arange(len(motion)) / 30, 0, 1))
    return Recording(id="made/0", recording="one", hand="panda", motion=motion, object=solid)


def test_margins_are_those_of_coulomb(models, as_it_is):
    """Two pads with force F hold what weighs m (g + a) with the friction mu where 2 mu F is as large."""
    needed = MASSES[OBJECT] * (9.81 + 1.35)  # N; a minimum-jerk lift of 15 cm in 0.8 s
    search = PhysicalRefining(candidates=1)
    for force, friction, factor in ((needed / (2 * 0.57), 0.65, 1.0), (needed / (2 * 0.35), 0.4, 2.0)):
        done = search(recording(models, squeezed(force)))
        assert done.checked is not None
        assert (done.checked.success, done.checked.candidate, done.checked.tried) == (True, 0, 1)
        assert done.checked.friction_margin == friction
        assert done.checked.mass_margin == factor
    lost = search(recording(models, squeezed(needed / (2 * 1.1)))).checked
    assert lost is not None
    assert (lost.success, lost.reason) == (False, "slipped")
    assert lost.friction_margin is lost.mass_margin is None


def test_the_search_ends_with_the_first_success(models, as_it_is):
    """Grasps that are too weak as they are: some variations squeeze more."""
    weak = squeezed(MASSES[OBJECT] * 11.2 / (2 * 0.82))
    done = PhysicalRefining(candidates=12)(recording(models, weak))
    assert done.checked is not None
    assert done.checked.success
    assert 0 < done.checked.candidate == done.checked.tried - 1 < 11
    again = PhysicalRefining(candidates=12)(recording(models, weak))
    assert again.checked == done.checked
    other = PhysicalRefining(candidates=12, seed=1)(recording(models, weak))
    assert other.checked is not None
    assert other.checked.seed == seed_of("made/0", 1) != done.checked.seed


def test_what_is_stored_is_what_was_simulated(tmp_path, models, as_it_is):
    weak, beside = squeezed(MASSES[OBJECT] * 11.2 / (2 * 0.82)), squeezed(10.0, aside=0.1)
    store = write_store(tmp_path / "store", {"made/0": weak, "made/1": beside})
    row = run_store(store, PhysicalRefining(candidates=12), models)
    assert (row.episodes, row.success, row.success_first, row.reasons) == (2, 1, 0, {"missed": 1})
    checks = read_checks(store, "panda")
    assert checks["made/0"].recording == "recording of made/0"
    assert (checks["made/1"].candidate, checks["made/1"].tried) == (0, 12)
    motions = read_motions(store, "panda", kind=REFINED)
    solid = load_ycb(models, OBJECT)
    for episode in read_episodes(store):
        motion, check = attach(motions[episode.id], episode), checks[episode.id]
        assert motion.object_points is not None
        outcome, _ = run("grab", motion, object=solid, criterion="light")
        assert (outcome.success, outcome.reason) == (check.success, check.reason)
    held, margin = motions["made/0"], checks["made/0"].friction_margin
    assert margin is not None
    assert run("grab", held, object=solid, criterion="light", friction=margin)[0].success
    below = FRICTIONS[FRICTIONS.index(margin) + 1]
    assert not run("grab", held, object=solid, criterion="light", friction=below)[0].success


def test_a_store_is_refined_by_name_and_counted(store, models):
    here = Pretend()
    row = run_store(store, here, models)
    assert here.ids == [f"made/{k}" for k in range(9)]
    assert (row.kept, row.episodes, row.success, row.success_first) == (False, 8, 5, 2)
    assert (row.reasons, row.leaning, row.skipped) == ({"slipped": 3}, 1, {"bad luck": 1})
    motions, plain = read_motions(store, "panda", kind=REFINED), read_motions(store, "panda")
    assert list(motions) == [name for name in here.ids if name != "made/7"]
    assert len(motions["made/3"]) == len(plain["made/3"]) + 1  # they have a time of their own
    episode = read_episodes(store, ["made/3"])[0]
    own = attach(motions["made/3"], episode)
    assert own.T_world_object is not None
    assert len(own.T_world_object) == len(own) == len(episode) + 1
    facts = info(store)["refined"]["panda"]
    assert (facts["motions"], facts["success"], facts["success_share"]) == (8, 5, 0.625)
    assert facts["friction_margin"] == {"0.5": 5}
    assert facts["skipped"] == 1
    assert not list((store / "refined").glob(".*.parts"))
    assert hands_in(store) == ("panda",)  # the retargeted ones are untouched


def test_a_store_grows_and_keeps_what_is_there(store, models):
    run_store(store, Pretend(), models, ids=["made/2", "made/5", LEANS])
    assert motion_ids(store, "panda", kind=REFINED) == ["made/2", "made/5"]
    more = Pretend()
    assert run_store(store, more, models).episodes == 8
    assert more.ids == [f"made/{k}" for k in (0, 1, 3, 4, 6, 7, 8)]
    assert motion_ids(store, "panda", kind=REFINED) == [f"made/{k}" for k in range(9) if k != 7]
    before = (store / "refined" / "panda.parquet").read_bytes()
    again = Pretend()
    row = run_store(store, again, models)
    assert (row.kept, row.episodes, row.success, row.skipped) == (True, 8, 5, {"bad luck": 1})
    assert again.ids == []  # what was skipped is not tried again either
    assert (store / "refined" / "panda.parquet").read_bytes() == before


def test_an_interrupted_run_goes_on(tmp_path, store, models):
    whole = write_store(tmp_path / "whole", dict.fromkeys([f"made/{k}" for k in range(9)] + [LEANS], squeezed(10.0)))
    run_store(whole, Pretend(), models, workers=2)
    with pytest.raises(KeyboardInterrupt):
        run_store(store, Pretend(stop_at=4), models)
    assert hands_in(store, REFINED) == ()
    assert info(store)["refined"] == {}
    rest = Pretend()
    assert run_store(store, rest, models).episodes == 8
    assert rest.ids == [f"made/{k}" for k in range(3, 9)]
    digests = [motion_header(folder, "panda", kind=REFINED)["digest"] for folder in (store, whole)]
    assert digests[0] == digests[1]


def test_other_settings_are_refused_and_force_replaces(store, models, tmp_path, caplog):
    run_store(store, Pretend(), models, ids=["made/0", "made/1"])
    with pytest.raises(ValueError, match=r"'panda'.*another candidates \(was 4, is 9\).*data refine --force"):
        run_store(store, Pretend(9), models)
    other = write_models(tmp_path / "other")
    mesh = other / OBJECT / "mesh_simplified.obj"
    mesh.write_text(mesh.read_text() + "# another one")
    with pytest.raises(ValueError, match="another models"):
        run_store(store, Pretend(), other)
    with caplog.at_level(logging.WARNING):
        assert run_store(store, Pretend(code="2"), models, ids=["made/0"]).kept
    assert "made by other code" in caplog.text
    with pytest.raises(ValueError, match="lack 7 of the recordings; added to, they would be of two kinds"):
        run_store(store, Pretend(code="2"), models)
    assert run_store(store, Pretend(9), models, ids=["made/4"], force=True).episodes == 1
    assert motion_ids(store, "panda", kind=REFINED) == ["made/4"]
    # Other retargeted motions are another source.
    write_store(store, dict.fromkeys([record.id for record in episode_table(store)], squeezed(11.0)))
    with pytest.raises(ValueError, match="another retargeted"):
        run_store(store, Pretend(9), models)


def test_other_episodes_take_the_refined_motions_with_them(store, models):
    run_store(store, Pretend(), models)
    write_store(store, {"made/1": squeezed(10.0, lift=0.2)})
    assert hands_in(store, REFINED) == ()
    with pytest.raises(ValueError, match=r"Refined motions in .* of hand 'panda' not found"):
        read_checks(store, "panda")


def test_parts_of_another_run_are_not_mixed_in(store, models, caplog):
    with pytest.raises(KeyboardInterrupt):
        run_store(store, Pretend(stop_at=4), models)
    rest = Pretend(9)
    with caplog.at_level(logging.WARNING):
        run_store(store, rest, models)
    assert len(rest.ids) == 9
    assert "made otherwise" in caplog.text
    assert not parts_folder(store, "panda", REFINED).exists()


def test_where_nothing_comes_of_it_nothing_is_written(store, models):
    for _ in range(2):
        with pytest.raises(ValueError, match=r"No recording of 'panda' gave a motion; of 1 it was said: bad luck"):
            run_store(store, Pretend(), models, ids=["made/7"])
        assert hands_in(store, REFINED) == ()
        assert not parts_folder(store, "panda", REFINED).exists()


def test_a_left_hand_holds_the_mirrored_object(shared_data):
    """The cloud of a mirrored episode lies on the surface that the simulation touches."""
    from unihm.datasets.dexycb import REFLECTION
    from unihm.geometry.mesh_distance import MeshDistance
    from unihm.geometry.surface import load_surface

    models = shared_data / "ycb_models"
    points = load_surface(models / "025_mug" / "mesh_simplified.obj", 300)[0] @ REFLECTION[:3, :3]
    plain, mirrored = (load_ycb(models, "025_mug", convex="hull", mirrored=yes) for yes in (False, True))
    apart = [np.abs(MeshDistance(s.vertices, s.faces).query(points)[0]).max() for s in (plain, mirrored)]
    assert apart[1] < 1e-6
    assert apart[0] > 4e-3  # the mug is no mirror image of itself
    assert mirrored.volume == pytest.approx(plain.volume)
    np.testing.assert_allclose(mirrored.centre_of_mass, plain.centre_of_mass * [1, -1, 1], atol=1e-12)
    np.testing.assert_allclose(np.diag(mirrored.inertia), np.diag(plain.inertia), rtol=1e-9)
    np.testing.assert_allclose(mirrored.parts[0], plain.parts[0] * [1, -1, 1])


def test_a_real_recording(tmp_path, shared_data):
    """From the published annotations to a motion that is known to hold the real can, or not, and why."""
    from unihm.datasets.dexycb import DexYcbReader
    from unihm.datasets.episode_store import write_episodes
    from unihm.datasets.hand_retargeting import HandRetargeting
    from unihm.datasets.store_retargeting import retarget_store

    first = next(iter(DexYcbReader().episodes(shared_data / "dexycb")))
    write_episodes(tmp_path, [first])
    retarget_store(tmp_path, ["panda"], HandRetargeting(), workers=1)
    row = run_store(tmp_path, PhysicalRefining(candidates=1), shared_data / "ycb_models")
    assert (row.episodes, row.skipped) == (1, {})
    check = read_checks(tmp_path, "panda")[first.id]
    assert check.recording == first.recording
    motion = attach(read_motions(tmp_path, "panda", kind=REFINED)[first.id], first)
    assert motion.qpos_target is not None
    solid = load_ycb(shared_data / "ycb_models", first.object_name)
    outcome, _ = run("grab", motion, object=solid, criterion="light")
    assert (outcome.success, outcome.reason) == (check.success, check.reason)


def test_the_five_leaning_recordings_are_in_the_store_format():
    assert len(LEANING) == 5
    assert LEANS in LEANING


def command(capsys, *arguments) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_the_command(capsys, store, models, as_it_is):
    arguments = ("data", "refine", store, "--models", models, "--candidates", 1, "--workers", 1)
    status, out, _ = command(capsys, *arguments, "--limit", 2, "--json")
    facts = json.loads(out)
    assert status == 0
    assert facts["hands"][0] | {"seconds": 0.0} == {
        "hand": "panda",
        "kept": False,
        "episodes": 1,
        "success": 1,
        "success_first": 1,
        "reasons": {},
        "leaning": 1,
        "skipped": {},
        "seconds": 0.0,
    }
    status, out, _ = command(capsys, *arguments, "--limit", 2)
    assert status == 0
    assert "panda: 1 of 1 succeed (complete before), 1 unvaried" in out
    assert "left out: 1 recordings that start leaning" in out
    check = read_checks(store, "panda")["made/0"]
    assert (check.friction_margin, check.mass_margin) == (0.3, 2.0)


def test_one_line_for_what_is_wrong(capsys, tmp_path, store, models):
    def refused(*arguments) -> str:
        status, out, err = command(capsys, "data", "refine", *arguments)
        lines = [line for line in err.splitlines() if line.startswith("error: ")]
        assert (status, out, len(lines)) == (2, "", 1), err
        return lines[0]

    assert "--models needs the folder" in refused(store)
    assert "neither mesh_simplified.obj" in refused(store, "--models", tmp_path)
    assert "candidates is 0" in refused(store, "--models", models, "--candidates", 0)
    assert "Criterion 'soft' not found" in refused(store, "--models", models, "--criterion", "soft")
    assert "Mode of refinement 'joined' not found" in refused(store, "--models", models, "--mode", "joined")
    assert "--part needs the split" in refused(store, "--models", models, "--part", "seen")
    assert "--limit is 0" in refused(store, "--models", models, "--limit", 0)
    assert "splits are those of DexYCB" in refused(store, "--models", models, "--split", "release")
    assert "Engine 'fork' not found" in refused(store, "--models", models, "--engine", "fork")
    assert "workers is 0" in refused(store, "--models", models, "--workers", 0)
    assert "Hand 'pandas' not found" in refused(store, "--models", models, "--hands", "pandas")
    assert "of hand 'leap' not found" in refused(store, "--models", models, "--hands", "leap")
    assert "is not a unihm data set" in refused(tmp_path, "--models", models)
    assert hands_in(store, REFINED) == ()


def test_a_recording_that_is_refused_is_skipped_with_the_reason(models, as_it_is):
    motion = squeezed(10.0)
    motion = motion.replace(qpos=motion.qpos + 1.0, qpos_target=None)
    done = PhysicalRefining(candidates=1)(recording(models, motion))
    assert done.motion is done.checked is None
    assert "outside its limits" in done.skipped
    left = replace(recording(models, squeezed(10.0)), hand="leap_left")
    with pytest.raises(ValueError, match="is a left one"):
        PhysicalRefining().describe(left.hand)
    assert describe_hand("panda").side == "right"
