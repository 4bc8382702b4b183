"""Builders for the tests of annotating: episodes that can be drawn, and a server that speaks the protocol."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from dataset_builders import BOX, make_episode

SENTENCES = tuple(f"Lift the box, way number {word}." for word in ("one", "two", "three", "four", "five"))


def lift_episode(number: int = 0, **changes):
    """A box that is lifted by 25 cm by an open hand beside it, seen by a camera that looks down on it."""
    num_frames = 24
    s = np.clip((np.arange(num_frames) - 10) / 10, 0, 1)
    T = np.tile(np.eye(4), (num_frames, 1, 1))
    T[:, :3, 3] = [0.6, 0.0, BOX[2]]
    T[:, 2, 3] += 0.25 * s
    rng = np.random.default_rng(number)
    axis = rng.integers(3, size=400)
    normals = np.eye(3)[axis] * rng.choice([-1.0, 1.0], size=(400, 1))
    points = np.where(normals != 0, normals * BOX, rng.uniform(-BOX, BOX, size=(400, 3)))
    fingers = np.arange(5)[:, None, None] * [0, -0.02, 0] + np.arange(1, 5)[:, None] * np.array([0.03, 0, 0])
    hand = np.concatenate([np.zeros((1, 3)), fingers.reshape(-1, 3)]) + np.array([-0.17, 0.04, 0.02])
    approach = np.clip((8 - np.arange(num_frames)) / 8, 0, 1)[:, None, None] * np.array([-0.2, 0.1, 0.1])
    pitch = 0.6  # rad, downward
    camera = np.eye(4)
    camera[:3, :3] = [[0, -np.sin(pitch), np.cos(pitch)], [-1, 0, 0], [0, -np.cos(pitch), -np.sin(pitch)]]
    camera[2, 3] = 0.5
    values = dict(
        num_frames=num_frames,
        keypoints_world=T[:, None, :3, 3] + hand + approach,
        T_world_object=T,
        object_points=points,
        object_normals=normals,
        T_world_camera=camera,
        contact_frame=8,
        lift_frame=11,
        object_name="003_cracker_box",
    )
    return make_episode(number, **{**values, **changes})


@dataclass
class ChatServer:
    """Answers chat completions with what `replies` give, one after the other, the last one for ever."""

    replies: list[tuple[int, dict[str, str], bytes]]
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    choose: Callable[[dict], tuple[int, dict[str, str], bytes]] | None = None
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reply(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        self.requests.append((path, headers, body))
        if self.choose is not None:
            return self.choose(json.loads(body))
        with self.lock:
            return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


def says(text: str | None, **usage: int) -> tuple[int, dict[str, str], bytes]:
    """A completion with this content."""
    value = {"choices": [{"message": {"role": "assistant", "content": text}}], "usage": usage}
    return 200, {}, json.dumps(value).encode()


def fails(status: int, message: str = "broken", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """An error in the protocol's form."""
    body = json.dumps({"error": {"message": message}}).encode()
    return status, {name.replace("_", "-"): value for name, value in headers.items()}, body


GOOD = says(json.dumps(SENTENCES), prompt_tokens=1000, completion_tokens=90)


@contextmanager
def chat_server(*replies: tuple[int, dict[str, str], bytes], choose=None) -> Iterator[ChatServer]:
    """A server on this machine until the block ends."""
    server = ChatServer(list(replies) or [GOOD], choose=choose)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, headers, content = server.reply(self.path, dict(self.headers), body)
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST  # what a redirect of a POST becomes

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


class FakeTime:
    """A clock that goes on only when somebody sleeps."""

    def __init__(self):
        self.now, self.slept = 100.0, []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
