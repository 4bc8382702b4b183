"""Annotating a store: offline and by an endpoint, what is kept, and what the command refuses."""

from __future__ import annotations

import base64
import io
import json
import threading

import pytest
from annotation_builders import GOOD, SENTENCES, chat_server, fails, lift_episode, says
from dataset_builders import make_episode, make_motion
from PIL import Image

from unihm.annotation import annotating, vision
from unihm.annotation.endpoint import TRIES
from unihm.annotation.keyframes import SIZE, draw_keyframes
from unihm.annotation.offline import OfflineAnnotator
from unihm.annotation.prompt import PROMPT_VERSION
from unihm.cli import main
from unihm.datasets.annotations import ANNOTATIONS, JOURNAL, open_journal, read_annotations
from unihm.datasets.episode_store import episode_table, read_episodes, write_episodes
from unihm.datasets.manifest import read_manifest
from unihm.datasets.motion_store import read_motions, write_motions

KEY = "sk-not-for-any-eye"


@pytest.fixture
def store(tmp_path):
    write_episodes(tmp_path / "store", [lift_episode(number) for number in range(4)], shard_size=3)
    return tmp_path / "store"


_drawn = {}


def drawn_once(episode):
    """The keyframes of an episode, which the same builder makes in many tests."""
    key = episode.id, episode.T_world_camera.tobytes()
    if key not in _drawn:
        _drawn[key] = draw_keyframes(episode)
    return _drawn[key]


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch):
    monkeypatch.setattr(vision, "draw_keyframes", drawn_once)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("UNIHM_API_KEY", KEY)
    # Faults are waited for in tests of the client; here nobody has the time.
    monkeypatch.setattr("unihm.annotation.endpoint._FIRST_WAIT", 1e-4)


def annotate(capsys, store, *arguments) -> tuple[int, dict, str]:
    """Exit status, facts and what was said."""
    status = main(["data", "annotate", str(store), "--json", *map(str, arguments)])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return status, json.loads(out) if out else {}, err


def asking(server, *more):
    return "--base-url", server.url, "--model", "seer", "--rate", 1e6, *more


def test_offline_is_the_default_and_readers_see_it(capsys, store):
    before = {e.id: e.instructions for e in read_episodes(store)}
    status, facts, _ = annotate(capsys, store)
    assert (status, facts["written"], facts["kept"], facts["failed"]) == (0, 4, 0, {})
    for episode, record in zip(read_episodes(store), episode_table(store), strict=True):
        assert episode.instructions == record.instructions != before[episode.id]
        assert len(set(episode.instructions)) >= 5
        assert any("box" in sentence for sentence in episode.instructions)
    assert {(a.model, a.prompt) for a in read_annotations(store).values()} == {("offline", OfflineAnnotator().prompt)}
    assert not (store / JOURNAL).exists()
    status, facts, _ = annotate(capsys, store)
    assert (status, facts["written"], facts["kept"]) == (0, 0, 4)


def test_motions_and_fingerprint_stay_and_the_imported_words_come_back(capsys, store):
    episodes = read_episodes(store)
    write_motions(store, "mitten", {e.id: make_motion(e) for e in episodes})
    manifest = read_manifest(store)
    annotate(capsys, store)
    assert read_manifest(store) == manifest
    assert len(read_motions(store, "mitten", [e.id for e in episodes])) == 4
    (store / ANNOTATIONS).unlink()
    assert [e.instructions for e in read_episodes(store)] == [e.instructions for e in episodes]


def test_other_episodes_take_the_annotations_with_them(capsys, store):
    annotate(capsys, store)
    table = (store / ANNOTATIONS).read_bytes()
    write_episodes(store, [lift_episode(9)])
    assert not (store / ANNOTATIONS).exists()
    (store / ANNOTATIONS).write_bytes(table)
    with pytest.raises(ValueError, match="was written for other episodes"):
        read_episodes(store)


def test_five_pictures_are_sent_and_the_answers_kept(capsys, store):
    with chat_server() as server:
        status, facts, said = annotate(capsys, store, *asking(server, "--price-in", 2, "--price-out", 10))
    assert status == 0
    assert len(server.requests) == 4
    for path, headers, body in server.requests:
        assert path == "/v1/chat/completions"
        assert headers["Authorization"] == f"Bearer {KEY}"
        content = json.loads(body)["messages"][0]["content"]
        urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
        assert len(urls) == 5
        for url in urls:
            kind, data = url.split(",")
            assert kind == "data:image/png;base64"
            assert Image.open(io.BytesIO(base64.b64decode(data))).size == SIZE
        text = " ".join(part["text"] for part in content if part["type"] == "text")
        assert "cracker box" in text
        assert "made/0" not in body.decode()  # neither ids nor anything else of the store
        assert "subject" not in body.decode()
    assert all(e.instructions == SENTENCES for e in read_episodes(store))
    assert {(a.model, a.prompt) for a in read_annotations(store).values()} == {("seer", PROMPT_VERSION)}
    assert (facts["tokens_in"], facts["tokens_out"]) == (4000, 360)
    assert facts["money"] == pytest.approx((4000 * 2 + 360 * 10) / 1e6)
    assert "4 requests with 20 images" in said
    assert "at the given prices" in said
    for file in store.rglob("*"):
        assert file.is_dir() or KEY.encode() not in file.read_bytes()
    assert KEY not in said


def test_the_key_may_come_from_another_variable(capsys, store, monkeypatch):
    monkeypatch.setenv("OTHER", "sk-other")
    with chat_server() as server:
        assert annotate(capsys, store, *asking(server, "--key-from", "OTHER", "--limit", 1))[0] == 0
        assert server.requests[0][1]["Authorization"] == "Bearer sk-other"


def test_a_dry_run_sends_and_writes_nothing(capsys, store, monkeypatch):
    monkeypatch.delenv("UNIHM_API_KEY")
    files = sorted(store.rglob("*"))
    with chat_server() as server:
        status, facts, _ = annotate(capsys, store, *asking(server, "--dry-run", "--price-in", 1))
        assert server.requests == []
    assert status == 0
    assert (facts["estimate"]["requests"], facts["estimate"]["images"]) == (4, 20)
    assert facts["estimate"]["money"] == pytest.approx(facts["estimate"]["tokens_in"] / 1e6)
    assert annotate(capsys, store, "--dry-run")[0] == 0
    assert sorted(store.rglob("*")) == files


def test_an_unusable_reply_is_asked_again_with_the_complaint(capsys, store):
    with chat_server(says("Sure! Lift it."), GOOD) as server:
        status, facts, _ = annotate(capsys, store, *asking(server, "--limit", 1))
    assert (status, facts["written"], facts["requests"]) == (0, 1, 2)
    first, second = (json.loads(body)["messages"] for _, _, body in server.requests)
    assert second[:1] == first
    assert second[1] == {"role": "assistant", "content": "Sure! Lift it."}
    assert "not JSON" in second[2]["content"]


def test_who_never_answers_usably_fails_and_is_named(capsys, store):
    with chat_server(says("[]")) as server:
        status, facts, said = annotate(capsys, store, *asking(server, "--limit", 1))
        assert len(server.requests) == vision.ASKED
    assert status == 2
    assert "has 0 entries" in facts["failed"]["made/000"]
    assert "error: 1 episodes failed (made/000)" in said


def test_a_server_that_always_fails_leaves_one_line_and_resumable_state(capsys, store, monkeypatch):
    monkeypatch.setattr(annotating, "FAILURES_IN_A_ROW", 2)
    with chat_server(fails(500, "out of order")) as server:
        status, facts, said = annotate(capsys, store, *asking(server, "--workers", 1))
        assert len(server.requests) <= 3 * TRIES  # one may have begun before the second failure was noticed
    assert (status, facts["written"]) == (2, 0)
    assert "2 episodes in a row failed" in facts["gave_up"]
    errors = [line for line in said.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "out of order" in errors[0]
    assert len(read_episodes(store)) == 4  # with the words of the import
    with chat_server() as server:
        assert annotate(capsys, store, *asking(server))[1]["written"] == 4


def test_a_refusal_ends_the_run_at_once(capsys, store):
    with chat_server(fails(401, f"no such key {KEY}")) as server:
        status, facts, said = annotate(capsys, store, *asking(server, "--workers", 1))
        assert len(server.requests) == 1
    assert status == 2
    assert "answers 401 no such key [key]" in facts["gave_up"]
    assert KEY not in said + json.dumps(facts)


def test_a_rerun_asks_only_for_what_is_missing(capsys, store):
    turn = iter([GOOD, fails(400, "content filter"), GOOD, fails(400, "content filter")])
    with chat_server(choose=lambda _: next(turn)) as server:
        status, facts, said = annotate(capsys, store, *asking(server, "--workers", 1))
    assert (status, facts["written"], len(facts["failed"])) == (2, 2, 2)
    assert "2 episodes failed (made/001, made/003)" in said
    with chat_server() as server:
        status, facts, _ = annotate(capsys, store, *asking(server))
        assert len(server.requests) == 2
    assert (status, facts["written"], facts["kept"]) == (0, 2, 2)
    assert all(e.instructions == SENTENCES for e in read_episodes(store))


def test_a_killed_run_leaves_its_journal(capsys, store):
    annotate(capsys, store, "--limit", 1)
    line = {"id": "made/001", "instructions": ["A.", "B."], "model": "offline", "prompt": OfflineAnnotator().prompt}
    first = json.dumps({"fingerprint": read_manifest(store)["fingerprint"]})
    (store / JOURNAL).write_text(f"{first}\n{json.dumps(line)}\n" + json.dumps(line)[:30])
    status, facts, said = annotate(capsys, store)
    assert (status, said) == (0, "")
    assert (facts["kept"], facts["written"]) == (2, 2)
    assert read_episodes(store, ["made/001"])[0].instructions == ("A.", "B.")
    (store / JOURNAL).write_text(f"{first}\n{{}}\n")
    assert "Line 2 of" in annotate(capsys, store)[2]
    (store / JOURNAL).write_text('{"fingerprint": "of others"}\n{"id": 3}\n')  # of episodes that are gone
    assert annotate(capsys, store)[1]["kept"] == 4


def test_other_writers_are_replaced_only_by_force(capsys, store):
    annotate(capsys, store)
    with chat_server() as server:
        status, _, said = annotate(capsys, store, *asking(server, "--limit", 2))
        assert status == 2
        assert "holds annotations by offline (sentences-" in said
        assert "--force" in said
        assert server.requests == []
        status, facts, _ = annotate(capsys, store, *asking(server, "--limit", 2, "--force"))
        assert (status, facts["written"]) == (0, 2)
        assert annotate(capsys, store, *asking(server, "--force"))[1]["kept"] == 2  # an interrupted one goes on
    assert "holds annotations by seer" in annotate(capsys, store, "--seed", 1)[2]


def test_a_seed_is_another_writer(capsys, store):
    annotate(capsys, store)
    before = [e.instructions for e in read_episodes(store)]
    assert annotate(capsys, store, "--seed", 1)[0] == 2
    assert annotate(capsys, store, "--seed", 1, "--force")[0] == 0
    assert [e.instructions for e in read_episodes(store)] != before


def test_two_runs_at_once_are_refused(capsys, store):
    with open_journal(store):
        status, _, said = annotate(capsys, store)
    assert status == 2
    assert "Another run is annotating" in said


def test_requests_run_side_by_side(capsys, store):
    together = threading.Barrier(2, timeout=20)  # breaks where one request waits for another's answer

    def choose(_):
        together.wait()
        return GOOD

    with chat_server(choose=choose) as server:
        status, facts, _ = annotate(capsys, store, *asking(server, "--workers", 2))
    assert (status, facts["written"]) == (0, 4)


def test_an_episode_that_cannot_be_drawn_fails_alone(capsys, tmp_path):
    unseen = lift_episode(1).T_world_camera.copy()
    unseen[:3, [0, 2]] *= -1
    write_episodes(tmp_path / "store", [lift_episode(0), lift_episode(1, T_world_camera=unseen)])
    with chat_server() as server:
        status, facts, _ = annotate(capsys, tmp_path / "store", *asking(server))
    assert (status, facts["written"], list(facts["failed"])) == (2, 1, ["made/001"])


def test_objects_of_any_data_set_have_a_name(capsys, tmp_path):
    odd = make_episode(0, object_name="Kitchen_Tongs-7")
    oak = make_episode(1, object_name="S10001", attributes={"category": "wrench"})
    write_episodes(tmp_path / "store", [odd, oak])
    assert annotate(capsys, tmp_path / "store")[0] == 0
    for episode, names in zip(
        read_episodes(tmp_path / "store"), (["kitchen tongs"], ["wrench", "spanner"]), strict=True
    ):
        assert all(any(f"the {n}" in s.lower() for n in names) for s in episode.instructions)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--base-url", "example.org/v1", "--model", "m"], "expected http:// or https://"),
        (["--base-url", "http://localhost/v1"], "needs --model"),
        (
            ["--base-url", "http://localhost/v1", "--model", "m", "--key-from", "NO_SUCH_KEY"],
            "NO_SUCH_KEY holds no API",
        ),
        (["--engine", "endpoint"], "needs --base-url"),
        (["--engine", "offlin"], "Did you mean 'offline'?"),
        (["--engine", "offline", "--base-url", "http://localhost/v1"], "asks no model"),
        (["--model", "m"], "asks no model"),
        (["--rate", "0"], "--rate is 0.0, expected more than 0"),
        (["--rate", "nan"], "--rate is nan"),
        (["--workers", "0"], "--workers is 0"),
        (["--timeout", "-1"], "--timeout is -1.0"),
        (["--price-in", "-1"], "--price-in is -1.0"),
        (["--limit", "0"], "--limit is 0"),
        (["--part", "train"], "--part needs the split"),
        (["--split", "relase"], "relase"),
    ],
)
def test_bad_options_are_one_line(capsys, store, arguments, message):
    status, facts, said = annotate(capsys, store, *arguments)
    assert (status, facts) == (2, {})
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert not (store / JOURNAL).exists()


def test_a_folder_that_is_no_store_is_named(capsys, tmp_path):
    assert "is not a unihm data set" in annotate(capsys, tmp_path / "nowhere")[2]


def test_help_is_the_docstring(capsys):
    with pytest.raises(SystemExit):
        main(["data", "annotate", "--help"])
    out = capsys.readouterr().out
    for option in ("--base-url", "--model", "--key-from", "--dry-run", "--price-in"):
        assert option in out
