"""The simulation table on a made-up store of boxes and a gripper, whose grabs hold or fail for known reasons."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from scripted_motions import BOX, box_grab
from unihm.datasets.episode_store import read_episodes, write_episodes
from unihm.datasets.motion_store import attach, read_motions, write_motions
from unihm.datasets.object_model import load_surface
from unihm.evaluation import simulated_trials, simulation, simulation_films, trial_log, variants
from unihm.evaluation.judging import judge_by, until
from unihm.evaluation.simulation import evaluate_simulation
from unihm.evaluation.simulation_options import SimulationOptions, official_urdf
from unihm.evaluation.simulation_tables import text, write_tables
from unihm.evaluation.trials import TrialBatch, TrialName, TrialResult, TrialSettings
from unihm.evaluation.variants import Variant, executable, spelled
from unihm.hands.description import describe_hand
from unihm.schema.episode import Episode
from unihm.schema.motion import HandMotion
from unihm.simulation.resting import at_rest
from unihm.simulation.tasks import TASKS, Trial, prepare, run
from unihm.simulation.tasks.setting import Setting
from unihm.simulation.ycb import load_ycb

BRICK, MARKER, BLOCK = "061_foam_brick", "040_large_marker", "036_wood_block"  # the marker counts as hard
FIRM, LOOSE = 0.02, 0.03  # m of each finger: the box's half is 25 mm
OBJECTS = (BRICK, BRICK, MARKER, BRICK, BLOCK, BLOCK)
CLOSED = (FIRM, LOOSE, FIRM, None, FIRM, FIRM)


def grab(closed: float) -> HandMotion:
    """Down on a box, close, lift by 15 cm; nothing but what is drawn is commanded, as in a store."""
    motion = box_grab()
    target = motion.qpos_target
    assert target is not None
    share = (0.04 - target) / (0.04 - target.min())
    return motion.replace(qpos=0.04 - (0.04 - closed) * share, qpos_target=None)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> tuple[Path, Path]:
    """Six recordings: four seen (held, loose, held and hard, without a motion), two unseen (both held)."""
    root = tmp_path_factory.mktemp("simulation")
    for name in (BRICK, MARKER, BLOCK):
        folder = root / "models" / name
        folder.mkdir(parents=True)
        trimesh.creation.box(3 * [BOX]).export(folder / "mesh_simplified.obj")
    points, normals = load_surface(root / "models" / BRICK / "mesh_simplified.obj", 256)
    episodes, motions = [], {}
    for i, (name, closed) in enumerate(zip(OBJECTS, CLOSED, strict=True)):
        motion = grab(closed or FIRM)
        assert motion.T_world_object is not None
        episodes.append(
            Episode(
                id=f"made/{i}",
                recording=f"made/{i}",
                dataset="made",
                subject="nobody",
                object_name=name,
                mirrored=False,
                fps=motion.fps,
                keypoints_world=np.random.default_rng(i).normal(size=(len(motion), 21, 3)),
                T_world_object=motion.T_world_object,
                object_points=points,
                object_normals=normals,
                T_world_camera=np.eye(4),
                instructions=tuple(f"lift it, way {k}" for k in range(5)),
                contact_frame=30,
                lift_frame=40,
                attributes={"object_position": str(11 if i >= 4 else 3), "unihm_split": "valid", "trial": "0"},
            )
        )
        if closed is not None:
            motions[f"made/{i}"] = motion
    write_episodes(root / "data", episodes)
    write_motions(root / "data", "panda", motions)
    return root / "data", root / "models"


def evaluate(store, options: SimulationOptions | None = None, **changes):
    data, models = store
    changes = {"variants": ["retargeted"], "excluded": (), "workers": 1, "progress": False, **changes}
    return evaluate_simulation(data, models, "release", ["panda"], options, **changes)


def rows_by(table, *columns):
    return {tuple(row[name] for name in columns): row for row in table.rows}


@pytest.fixture(scope="module", autouse=True)
def _steady_code():
    """Whoever edits the package while its tests run does not disturb them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulation, "code_digest", lambda: "this")
        yield


@pytest.fixture(scope="module")
def two_frictions(store, tmp_path_factory):
    """A run by three criteria at a good and a hopeless friction, and its folder."""
    out = tmp_path_factory.mktemp("out")
    options = SimulationOptions(criteria=("light", "full", "hard"), frictions=(0.8, 0.001))
    return evaluate(store, options, excluded=("made/5",), out=out), options, out


def test_rows_of_known_grabs(two_frictions):
    table, _, _ = two_frictions
    rows = rows_by(table, "split", "criterion", "friction", "group", "variant")
    for criterion in ("light", "full", "hard"):
        seen = rows["release/seen", criterion, 0.8, "all", "retargeted"]
        assert (seen["hand"], seen["task"], seen["n"], seen["skipped"]) == ("panda", "grab", 3, 1)
        assert seen["success"] == pytest.approx(2 / 3)
        assert (seen["ci_low"], seen["ci_high"]) == pytest.approx((0.2077, 0.9385), abs=1e-4)  # Wilson, of tables
        assert sum(seen["reasons"].values()) == 1
        assert set(seen["reasons"]) <= {"missed", "knocked", "slipped"}
        assert seen["cluster_low"] < seen["success"] < seen["cluster_high"]
        easy = rows["release/seen", criterion, 0.8, "easy", "retargeted"]
        hard = rows["release/seen", criterion, 0.8, "hard", "retargeted"]
        assert (easy["n"], easy["success"], hard["n"], hard["success"]) == (2, 0.5, 1, 1.0)
        assert hard["cluster_low"] is None  # one object
        assert rows["release/seen", criterion, 0.8, BRICK, "retargeted"]["n"] == 2
        spanned = rows["release/seen", criterion, 0.8, "graspable", "retargeted"]
        assert spanned["n"] == 3  # 5 cm wide
        unseen = rows["release/unseen", criterion, 0.8, "all", "retargeted"]
        assert (unseen["n"], unseen["success"], unseen["reasons"]) == (1, 1.0, {})
        both = rows["release", criterion, 0.8, "all", "retargeted"]
        assert (both["n"], both["success"], both["skipped"]) == (4, 0.75, 1)
        assert ("release", criterion, 0.8, BRICK, "retargeted") not in rows
        pair = rows["release", criterion, None, "paired", "retargeted: friction 0.001 - 0.8"]
        assert (pair["n"], pair["success"], pair["gained"], pair["lost"]) == (4, -0.75, 0, 3)
        assert pair["ci_low"] < -0.75 < pair["ci_high"]
        assert pair["p_value"] == pytest.approx(0.25)  # 2 / 2^3
    assert table.facts["excluded"] == {"made/5": ""}
    assert "slip_mm_per_frame" in rows["release", "full", 0.8, "all", "retargeted"]


def test_criteria_from_one_rollout_are_those_of_their_own(store, two_frictions, monkeypatch):
    table, _, out = two_frictions
    _, models = store
    lines = [json.loads(line) for line in (out / "trials.jsonl").read_text().splitlines()[1:]]
    assert len(lines) == table.facts["trials"] == 24
    for line in lines:
        if line["episode"] == "made/0":
            motion = at_rest(stored(store, line["episode"])[1], load_ycb(models, BRICK))
            setting = {"criterion": line["criterion"], "friction": line["friction"]}
            outcome, _ = run("grab", motion, object=load_ycb(models, BRICK), **setting)
            assert (line["success"], line["reason"]) == (outcome.success, outcome.reason)
            if line["criterion"] != "hard" or outcome.success:  # what is lost is not pushed for hard again
                measures = {k: v for k, v in outcome.measures.items() if k != "force_max_n"}
                assert {k: line["measures"][k] for k in measures} == pytest.approx(measures, rel=1e-5)

    counted, own = [], Trial.run
    monkeypatch.setattr(Trial, "run", lambda self, **o: counted.append(1) or own(self, **o))
    for closed, rollouts in ((FIRM, 2), (LOOSE, 1)):
        motion, solid = grab(closed), load_ycb(models, BRICK)
        trial = prepare("grab", motion, object=solid, criterion="light")
        setting = Setting(object=solid, T_world_object=trial.T_world_object)
        tasks = {c: TASKS["grab"].of_motion(motion, replace(setting, criterion=c)) for c in ("light", "full", "hard")}
        counted.clear()
        judged = judge_by(trial, tasks)
        assert list(judged) == ["light", "full", "hard"]
        assert len(counted) == rollouts
        whole = judged["full"][1]
        cut = until(whole, 1.0)
        assert (len(cut.times), cut.times[-1]) == (101, pytest.approx(1.0))
        assert len(cut.touching) == len(cut.configuration) == 101
        assert until(whole, 1e3) is whole


def test_an_interrupted_run_goes_on(store, two_frictions, tmp_path, monkeypatch):
    table, options, out = two_frictions
    whole = (out / "trials.jsonl").read_text().splitlines(keepends=True)
    path = tmp_path / "trials.jsonl"
    path.write_text("".join(whole[:11]) + whole[11][:40])  # killed while it wrote
    done = []
    own = simulation.run_batch
    monkeypatch.setattr(simulation, "run_batch", lambda batch: done.extend(batch.names) or own(batch))
    again = evaluate(store, options, excluded=("made/5",), out=tmp_path)
    assert len(done) == 24 - 10
    assert again.rows == table.rows
    assert again.facts["trials_of_an_earlier_run"] == 10
    assert sorted(path.read_text().splitlines()) == sorted("".join(whole).splitlines())

    with pytest.raises(ValueError, match=r"other settings \(seed: 0 there, 1 here\); give another --out"):
        evaluate(store, replace(options, seed=1), excluded=("made/5",), out=tmp_path)
    monkeypatch.setattr(simulation, "code_digest", lambda: "other")
    with pytest.raises(ValueError, match=r"other settings \(code: this there, other here\)"):
        evaluate(store, options, excluded=("made/5",), out=tmp_path)
    path.write_text("".join(whole[:3]) + "{}\n" + whole[3])
    with pytest.raises(ValueError, match=r"trials\.jsonl' is damaged"):
        evaluate(store, options, excluded=("made/5",), out=tmp_path)


def test_candidates_are_tried_on_what_is_seen(store, monkeypatch):
    asked = []
    own = simulated_trials.best_of

    def best_of(motions, perceived, task, **options):
        asked.append((motions, perceived, options))
        return own(motions, perceived, task, **options)

    monkeypatch.setattr(simulated_trials, "best_of", best_of)
    names = ["retargeted", "retargeted + best of 1", "retargeted+best-of-3"]
    options = SimulationOptions(criteria=("light",), limit=1)
    table = evaluate(store, options, variants=names, parts=["seen"])
    ((motions, perceived, told),) = asked  # one try for all N
    assert len(motions) == 3
    assert perceived.object.name == "perceived"
    assert (told["criterion"], "friction" in told) == ("light", False)
    rows = rows_by(table, "variant", "group")
    for name in (*spelled(names[1:2]), "retargeted + best of 3"):
        row = rows[name, "all"]
        assert (row["n"], row["success"], row["perceived_success"]) == (1, 1.0, 1.0)
    assert rows["retargeted", "all"]["perceived_success"] is None
    assert rows["retargeted + best of 3 - retargeted", "paired"]["success"] == 0


def test_noise_is_that_of_the_tasks(store, tmp_path):
    _, models = store
    options = SimulationOptions(criteria=("light",), noise=1.0, repeats=2, seed=4)
    for follow in (True, False):
        out = tmp_path / str(follow)
        evaluate(store, replace(options, follow=follow), parts=["unseen"], out=out, excluded=("made/5",))
        lines = [json.loads(line) for line in (out / "trials.jsonl").read_text().splitlines()[1:]]
        assert [line["repeat"] for line in lines] == [0, 1]
        for line in lines:
            batch = one_batch(store, options, follow, line["repeat"])
            recording = simulated_trials._Recording(batch)
            outcome, _ = run(
                "grab",
                at_rest(stored(store, "made/4")[1], load_ycb(models, BLOCK)),
                object=load_ycb(models, BLOCK),
                criterion="light",
                noise=1.0,
                follow=follow,
                seed=recording._seed(line["repeat"]),
            )
            assert (line["success"], line["reason"]) == (outcome.success, outcome.reason)
            assert line["measures"]["height_mm"] == pytest.approx(outcome.measures["height_mm"], rel=1e-5)
            assert not follow or line["success"]


def stored(store, name: str) -> tuple[Episode, HandMotion]:
    """A recording and its motion with the digits that a store keeps."""
    (episode,) = read_episodes(store[0], [name])
    return episode, attach(read_motions(store[0], "panda", [name])[name], episode)


def one_batch(store, options, follow, repeat) -> TrialBatch:
    _, models = store
    episode, motion = stored(store, "made/4")
    settings = TrialSettings(
        models=models, task="grab", noise=1.0, follow=follow, seed=options.seed, chosen_by="light", hand_meshes={}
    )
    name = TrialName("unseen", "made/4", "panda", repeat, "retargeted", 0.0, "own", 0.8, "light")
    return TrialBatch(episode=episode, hand="panda", motions={"retargeted": motion}, names=(name,), settings=settings)


def test_refinement_sees_the_noisy_cloud(store, monkeypatch):
    clouds = {}

    def refinements(motion, hand, count, **options):
        assert (hand.name, count, options) == ("panda", 1, {"mode": "toy"})
        clouds.setdefault(motion.source, []).append(motion.object_points)
        if motion.source == "made/2":
            raise ValueError("it cannot be done")
        return [(motion, None)]

    monkeypatch.setattr("unihm.refinement.refinements", refinements)
    toy = {"toy": {"mode": "toy"}}
    monkeypatch.setattr(variants, "REFINEMENTS", toy)
    monkeypatch.setattr(simulated_trials, "REFINEMENTS", toy)
    options = SimulationOptions(criteria=("light",), cloud_noise=(0.0, 5.0))
    names = ["retargeted", "retargeted + toy", "retargeted + toy + best of 1"]
    table = evaluate(store, options, variants=names, parts=["seen"])
    plain, noisy, seen, seen_noisy = clouds["made/0"]
    assert np.std(noisy - plain) == pytest.approx(5e-3, rel=0.1)
    assert np.std(seen_noisy - seen) == pytest.approx(5e-3, rel=0.1)
    assert len(seen) != len(plain)  # another cloud: what a camera saw, here in a frame of its own
    assert np.abs(np.ptp(seen, axis=0) - BOX).max() < 0.01
    rows = rows_by(table, "variant", "cloud_noise_mm", "group")
    assert rows["retargeted", 0.0, "all"]["n"] == 3
    assert ("retargeted", 5.0, "all") not in rows
    noisy_row = rows["retargeted + toy", 5.0, "all"]
    assert noisy_row["reasons"].pop("refused") == 1
    assert noisy_row["success"] == pytest.approx(1 / 3)
    pair = rows["retargeted + toy: cloud noise 5 mm - 0 mm", 5.0, "paired"]
    assert (pair["n"], pair["success"]) == (3, 0.0)
    assert rows["retargeted + toy - retargeted", 0.0, "paired"]["lost"] == 1


def test_official_meshes_stand_beside_ours(store, shared_data):
    folder = shared_data / "hands_official"
    options = SimulationOptions(criteria=("light",), limit=1, hand_meshes=folder)
    table = evaluate(store, options, parts=["seen"])
    rows = rows_by(table, "solids", "group")
    assert rows["own", "all"]["success"] == rows["official", "all"]["success"] == 1
    assert rows["official", "paired"]["variant"] == "retargeted: official - own solids"
    assert official_urdf(folder, describe_hand("shadow")).name == "shadow_hand_right.urdf"
    assert official_urdf(folder, describe_hand("shadow_left")).name == "shadow_hand_left.urdf"
    with pytest.raises(ValueError, match="holds no URDF with collision meshes for hand 'panda'"):
        official_urdf(shared_data, describe_hand("panda"))


def test_what_a_process_died_of_is_counted(store):
    batch = one_batch(store, SimulationOptions(), False, 0)
    names = tuple(batch.names[0]._replace(repeat=repeat) for repeat in range(3))
    batch = replace(batch, names=names)

    def process(part):
        if names[1] in part.names:
            return None
        return [
            TrialResult(name=name, object=BLOCK, success=True, reason="", measures={}, note="") for name in part.names
        ]

    found = simulation._one_by_one(batch, process)
    assert [(result.name, result.success, result.reason) for result in found] == [
        (names[0], True, ""),
        (names[1], False, "crashed"),
        (names[2], True, ""),
    ]


def test_films_show_one_of_each(store, two_frictions, tmp_path, monkeypatch):
    _, options, out = two_frictions
    shown = []
    monkeypatch.setattr(
        simulation_films, "film", lambda world, rollout, path: shown.append((world.object.name, path.name))
    )
    monkeypatch.setattr(simulation_films, "contact_sheet", lambda world, rollout, path: shown.append(path.name))
    table = evaluate(store, options, excluded=("made/5",), out=out, videos=True)
    films = table.facts["videos"]
    assert [(film["kind"], film["reason"], film["criterion"]) for film in films] == [
        ("success", "", "hard"),
        ("failure", films[1]["reason"], "hard"),
    ]
    assert films[1]["episode"] == "made/1"
    assert shown[2:] == [(BRICK, "panda-failure.mp4"), "panda-failure.png"]
    assert "panda failure: " in text(table.rows, table.facts)


def test_the_code_that_decides_is_known(monkeypatch):
    digest = trial_log.code_digest()
    assert len(digest) == 16
    assert all((trial_log._PACKAGE / name).exists() for name in trial_log._DECIDES)
    monkeypatch.setattr(trial_log, "_DECIDES", trial_log._DECIDES[1:])
    assert trial_log.code_digest() != digest


def test_names_of_variants():
    assert executable("retargeted") == Variant(base="retargeted")
    assert executable("generated+best-of-16").name == "generated + best of 16"
    for way in variants.REFINEMENTS:
        assert executable(f"retargeted  + {way}+ best of 4") == Variant(base="retargeted", refinement=way, candidates=4)
    with pytest.raises(ValueError, match="'human' is the recorded person, whom no controller can execute"):
        executable("human")
    for wrong in ("retarget", "retargeted + best of 0", "retargeted + best of four", "best of 4", "generated + human"):
        with pytest.raises(ValueError, match=f"Variant '{wrong.replace('+', '.')}' not found"):
            executable(wrong)


def test_bad_requests_are_refused(store, tmp_path):
    data, _ = store
    with pytest.raises(ValueError, match="is done to a drawer, door or lid"):
        SimulationOptions(task="open")
    with pytest.raises(ValueError, match="Did you mean 'full'"):
        SimulationOptions(criteria=("ful",))
    with pytest.raises(ValueError, match="expected at least one, all more than 0"):
        SimulationOptions(frictions=(0.8, 0.0))
    with pytest.raises(ValueError, match="limit is 0, expected at least 1"):
        SimulationOptions(limit=0)
    with pytest.raises(ValueError, match="need a generator"):
        evaluate(store, variants=["generated"])
    with pytest.raises(ValueError, match=r"--out"):
        evaluate(store, videos=True)
    with pytest.raises(ValueError, match="of hand 'shadow' not found"):
        evaluate_simulation(data, store[1], "release", ["shadow"])
    with pytest.raises(ValueError, match=r"holds neither mesh_simplified\.obj nor points\.xyz"):
        evaluate_simulation(data, tmp_path, "release", ["panda"])


def test_weights_that_know_the_recordings_are_refused(store):
    class Known:
        def __init__(self):
            self.card = {"train_recordings": ["made/4"]}

        def generate(self, request):
            raise AssertionError

        def generate_all(self, requests):
            raise AssertionError

    with pytest.raises(ValueError, match="trained on 1 of 6 test recordings, among them made/4"):
        evaluate(store, variants=["generated"], generator=Known(), tokenizer=_tokenizer())


def _tokenizer():
    from unihm.tokenizer.tokenizer import load_tokenizer

    tokenizer = load_tokenizer()
    tokenizer.card["train_recordings"] = ["elsewhere"]
    return tokenizer


def test_files_agree(two_frictions, tmp_path):
    table, _, _ = two_frictions
    facts = {"command": "unihm eval simulation", "seed": 0, **table.facts, "rows": table.rows}
    write_tables(facts, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "table.json").read_text()) == facts
    lines = list(csv.DictReader((tmp_path / "out" / "table.csv").open()))
    assert [float(line["success"]) for line in lines] == [row["success"] for row in table.rows]
    assert sum(float(line[name] or 0) for line in lines for name in line if name.startswith("reasons_")) == sum(
        sum(row.get("reasons", {}).values()) for row in table.rows
    )
    shown = (tmp_path / "out" / "table.txt").read_text()
    assert "67 % [21, 94]" in shown
    assert "-75 %" in shown
    assert "Left out, since they lean on something unrecorded: made/5" in shown
    assert (tmp_path / "out" / "table.png").stat().st_size > 1000
    assert text([]) == "no rows"


def test_the_command(store, capsys, tmp_path):
    from unihm.cli import main

    data, models = (str(path) for path in store)
    words = ["eval", "simulation", "--data", data, "--models", models, "--hand", "panda", "--workers", "1"]
    options = ["--variants", "retargeted", "--criterion", "light", "--parts", "unseen", "--quick", "--json"]
    assert main([*words, *options, "--out", str(tmp_path / "o")]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["quick"], facts["task"], facts["candidates_chosen_by"]) == (True, "grab", "light")
    row = facts["rows"][0]
    assert {"split", "hand", "task", "variant", "n", "success", "ci_low", "ci_high"} <= set(row)
    assert (row["split"], row["n"], row["success"]) == ("release/unseen", 2, 1.0)
    assert (tmp_path / "o" / "table.png").is_file()
    assert main([*words, "--variants", "human"]) == 2
    assert "error: Variant 'human'" in capsys.readouterr().err
