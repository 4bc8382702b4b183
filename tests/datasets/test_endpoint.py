"""The client of OpenAI-compatible endpoints: waits, tries, refusals, and where the key goes."""

from __future__ import annotations

import json
import socket
import threading
from email.utils import formatdate

import pytest
from annotation_builders import GOOD, SENTENCES, FakeTime, chat_server, fails, says

from unihm.annotation.endpoint import MAX_REPLY, TRIES, Endpoint, Refused, check_url
from unihm.annotation.pace import Pace

KEY = "sk-not-for-any-eye"
ASK = [{"role": "user", "content": "hello"}]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def time():
    return FakeTime()


def endpoint(server, time, rate=6e6, **options):
    return Endpoint(server.url, "seer", KEY, Pace(rate, clock=time.clock, sleep=time.sleep), **options)


def test_a_request_follows_the_protocol(time):
    with chat_server() as server:
        reply = endpoint(server, time).complete(ASK)
    ((path, headers, body),) = server.requests
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert KEY not in body.decode()
    assert json.loads(body)["model"] == "seer"
    assert json.loads(body)["messages"] == ASK
    assert (json.loads(reply.text), reply.tokens_in, reply.tokens_out) == (list(SENTENCES), 1000, 90)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured_by_all_threads(time, status):
    with chat_server(fails(status, Retry_After="17"), GOOD) as server:
        pace = Pace(6e6, clock=time.clock, sleep=time.sleep)
        Endpoint(server.url, "seer", KEY, pace).complete(ASK)
        assert len(server.requests) == 2
    assert sum(time.slept) == pytest.approx(17, abs=0.01)


def test_retry_after_may_be_a_date(time):
    import time as real

    with chat_server(fails(429, Retry_After=formatdate(real.time() + 30, usegmt=True)), GOOD) as server:
        endpoint(server, time).complete(ASK)
    assert 25 < sum(time.slept) <= 30.1


@pytest.mark.parametrize("value", ["nan", "inf", "soon", ""])
def test_a_senseless_retry_after_is_an_ordinary_fault(time, value):
    with chat_server(fails(429, Retry_After=value), GOOD) as server:
        endpoint(server, time).complete(ASK)
    assert 0.4 < sum(time.slept) <= 1.1


def test_whoever_asks_to_wait_for_hours_is_left(time):
    with chat_server(fails(429, Retry_After="7200")) as server, pytest.raises(Refused, match="asks to wait 7200 s"):
        endpoint(server, time).complete(ASK)
    assert time.slept == []


def test_waits_double_and_end(time):
    with chat_server(fails(500, "no such luck")) as server:
        with pytest.raises(ValueError, match=r"answers 500 no such luck \(5 tries\)") as caught:
            endpoint(server, time).complete(ASK)
        assert len(server.requests) == TRIES
    assert not isinstance(caught.value, Refused)
    waits = [wait for wait in time.slept if wait > 0.01]
    assert len(waits) == TRIES - 1
    assert all(2.0**k / 2 <= wait <= 2.0**k for k, wait in enumerate(waits))


def test_a_dead_server_and_a_silent_one_are_tried_again(time):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        dead = Endpoint(url, "seer", KEY, Pace(6e6, clock=time.clock, sleep=time.sleep))
        with pytest.raises(ValueError, match=r"no answer from http://127.*refused.*5 tries"):
            dead.complete(ASK)
        silent.listen(16)
        mute = Endpoint(url, "seer", KEY, Pace(6e6, clock=time.clock, sleep=time.sleep), timeout=0.05)
        with pytest.raises(ValueError, match="timed out"):
            mute.complete(ASK)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_is_final_and_never_shows_the_key(time, status):
    with chat_server(fails(status, f"Incorrect API key {KEY}")) as server:
        with pytest.raises(Refused, match=f"answers {status} Incorrect API key") as caught:
            endpoint(server, time).complete(ASK)
        assert len(server.requests) == 1
    assert KEY not in str(caught.value)


def test_a_bad_request_is_not_repeated_but_others_may_fare_better(time):
    with chat_server(fails(400, "content filter")) as server:
        with pytest.raises(ValueError, match="answers 400 content filter") as caught:
            endpoint(server, time).complete(ASK)
        assert len(server.requests) == 1
    assert not isinstance(caught.value, Refused)


@pytest.mark.parametrize("status", [302, 307])
def test_redirects_do_not_carry_the_key_elsewhere(time, status):
    with chat_server() as other, chat_server(fails(status, Location=other.url + "/chat/completions")) as server:
        with pytest.raises(Refused, match=rf"answers {status} .*redirects are not followed"):
            endpoint(server, time).complete(ASK)
        assert other.requests == []


def test_responses_are_bounded_and_checked(time):
    for reply, message in (
        ((200, {}, b" " * (MAX_REPLY + 1)), "longer than"),
        ((200, {}, b"[" * 10**5), "not a chat completion"),
        ((200, {}, b'{"choices": []}'), "not a chat completion"),
        ((200, {}, b"<html>"), "not a chat completion"),
    ):
        with chat_server(reply) as server, pytest.raises(ValueError, match=message):
            endpoint(server, time).complete(ASK)
    with chat_server(says(None)) as server:
        assert endpoint(server, time).complete(ASK).text == ""


def test_the_rate_holds_for_all_threads_together():
    with chat_server() as server:
        pace = Pace(60 / 0.05)
        shared = Endpoint(server.url, "seer", KEY, pace)
        import time as real

        start = real.monotonic()
        threads = [threading.Thread(target=shared.complete, args=(ASK,)) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert real.monotonic() - start >= 4 * 0.05


def test_the_rate_is_so_many_a_minute(time):
    pace = Pace(30.0, clock=time.clock, sleep=time.sleep)
    for _ in range(4):
        pace.turn()
    assert time.now == pytest.approx(100 + 3 * 2)


def test_a_stop_ends_waits(time):
    pace = Pace(1.0)
    pace.turn()
    waiting = threading.Thread(target=pace.turn)
    waiting.start()
    pace.stop()
    waiting.join(timeout=5)
    assert not waiting.is_alive()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("api.example.org/v1", "expected http:// or https://"),
        ("ftp://example.org", "expected http:// or https://"),
        ("file:///etc/passwd", "expected http:// or https://"),
        ("http://", "expected http:// or https://"),
        ("https://me:secret@example.org/v1", "user or password"),
        ("https://example.org/v1?key=secret", "scheme, host and path only"),
        ("https://example.org/a b", "scheme, host and path only"),
        ("https://example.org:port/v1", "is not a URL"),
        ("https://[::1/v1", "is not a URL"),
    ],
)
def test_other_urls_are_refused(url, message):
    with pytest.raises(ValueError, match=message) as caught:
        check_url(url)
    assert "secret@" not in str(caught.value)


@pytest.mark.parametrize("key", ["", "two words", "line\nbreak", "schlüssel"])
def test_keys_that_cannot_stand_in_a_header_are_refused_unseen(key):
    with pytest.raises(ValueError, match="API key") as caught:
        Endpoint("http://localhost/v1", "seer", key, Pace(60.0))
    assert not key or key not in str(caught.value)
