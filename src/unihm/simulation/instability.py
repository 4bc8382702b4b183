"""What to do when a simulation blows up: notice it, and write down how it came to that.

MuJoCo would put an unstable world back to its start and go on, which looks like a motion. Here that is off
(`world.build_world`): a rollout ends instead, and the states before can be read, step by step.
"""

# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from unihm.schema.storage import save_record
from unihm.simulation.constants import FASTEST, LAST_STATES
from unihm.simulation.world import World

_STATE = mujoco.mjtState.mjSTATE_INTEGRATION
_lock, _inside, _previous = threading.Lock(), 0, None
KIND, VERSION = "unstable_rollout", 1


def instability(world: World, data: Any) -> str:
    """What is wrong with a state, or nothing: NaN, a warning of MuJoCo's, or a speed beyond `FASTEST`."""
    speeds = np.abs(data.qvel)
    if speeds.max() < FASTEST and not data.warning.number.any():  # false for NaN
        return ""
    if not np.isfinite(speeds).all():
        return "NaN or infinite speed"
    if (worst := int(speeds.argmax())) >= 0 and speeds[worst] >= FASTEST:
        joint = world.model.joint(int(world.model.dof_jntid[worst])).name
        return f"joint '{joint}' moves at {speeds[worst]:.3g} m/s or rad/s, expected less than {FASTEST:g}"
    kind = int(np.flatnonzero(data.warning.number)[0])
    return mujoco.mju_warningText(kind, int(data.warning[kind].lastinfo))


class LastStates:
    """The states of the last `LAST_STATES` steps, kept block by block and computed again when they are wanted.

    A block begins with a complete state (what the solver starts from included), so stepping from there with the same
    controls repeats it bit for bit; steps themselves need not be slowed down by copying.
    """

    def __init__(self, world: World, every: int, seed: int):
        """Keep enough blocks of `every` steps.

        Args:
            world: The world.
            every: Steps a block.
            seed: To be written beside the states.
        """
        self._world, self._seed = world, seed
        self._blocks: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=max(1, -(-LAST_STATES // every)))
        self._size = mujoco.mj_stateSize(world.model, _STATE)

    def keep(self, data: Any, control: np.ndarray) -> None:
        """Keep a block: its first state, and a view (steps, nu) of its controls."""
        state = np.empty(self._size)
        mujoco.mj_getState(self._world.model, data, state, _STATE)
        self._blocks.append((state, control))

    def write(self, folder: Path, failure: str) -> Path:
        """Write ``unstable-*.npz`` (a record of kind `KIND`): time, qpos, qvel and control before every step.

        Args:
            folder: Where to; made if need be.
            failure: What went wrong.
        """
        model = self._world.model
        data = mujoco.MjData(model)
        rows: dict[str, list[np.ndarray]] = {"time": [], "qpos": [], "qvel": [], "control": []}
        with silent_warnings():
            for state, controls in self._blocks:
                mujoco.mj_setState(model, data, state, _STATE)
                for control in controls:
                    for name, value in (("time", data.time), ("qpos", data.qpos), ("qvel", data.qvel)):
                        rows[name].append(np.array(value))
                    rows["control"].append(control)
                    data.ctrl[:] = control
                    mujoco.mj_step(model, data)
        arrays = {name: np.array(values) for name, values in rows.items()}
        digest = hashlib.sha256(arrays["qpos"].tobytes() + arrays["control"].tobytes()).hexdigest()[:12]
        path = Path(folder) / f"unstable-{digest}.npz"
        thing = self._world.object
        header = {
            "failure": failure,
            "seed": self._seed,
            "hand": self._world.hand.name,
            "object": "" if thing is None else thing.name,
            "joints": [model.joint(i).name for i in range(model.njnt)],
        }
        save_record(path, kind=KIND, version=VERSION, header=header, arrays=arrays)
        return path


@contextmanager
def silent_warnings() -> Iterator[None]:
    """MuJoCo's warnings neither printed nor appended to a file in the working folder; they are still counted.

    The handler is the process's: the first thread that is here sets it, the last one that leaves puts the old one back.
    """
    global _inside, _previous
    with _lock:
        if not _inside:
            _previous = mujoco.get_mju_user_warning()
            mujoco.set_mju_user_warning(_ignore)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                mujoco.set_mju_user_warning(_previous)


def _ignore(_: str) -> None:
    pass
