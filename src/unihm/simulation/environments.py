"""The tasks as Gymnasium environments, so that others' policies can be tried on them (optional extra ``gym``).

    import gymnasium, unihm.simulation.environments
    env = gymnasium.make("unihm/Grab-v0", hand="leap")

What a policy sends goes to the same position controllers, in the same worlds, and is judged by the same judges as a
motion. The reward is what an action adds to `Outcome.progress`: an episode's sum is at most 1, and 1 is success.
"""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo is a compiled module without type stubs.)
from __future__ import annotations

from dataclasses import replace
from typing import Any

import mujoco
import numpy as np
from scipy.spatial.transform import Rotation

from unihm.geometry.camera import Camera
from unihm.geometry.pose import pose_to_vector
from unihm.hands.description import HandDescription, describe_hand
from unihm.registry import unknown_name
from unihm.schema.motion import HandMotion
from unihm.simulation import constants
from unihm.simulation.fixtures import FIXTURES, Fixture
from unihm.simulation.perceived import perceive
from unihm.simulation.recorder import Recorder
from unihm.simulation.solid_object import SolidObject, object_of_thing
from unihm.simulation.tabletop import look_at, tabletop_camera
from unihm.simulation.tasks import TASKS, Task, scatter
from unihm.simulation.tasks.setting import Setting
from unihm.simulation.things import Thing
from unihm.simulation.world import World, build_world

try:
    import gymnasium
    from gymnasium import spaces
except ImportError as error:
    raise ValueError("The environments need Gymnasium: pip install 'unihm[gym]'.") from error

CONTROL_HZ = 25.0
"""Actions a second."""
_RECORDS = 100  # a second
_SPEED, _TURN = 0.25, 1.5  # m/s, rad/s: what a palm increment of 1 means; people lift at 0.25 m/s
_WITHIN = 6.0  # s that a policy has (FACTS 5)
_REACH = 0.6  # m from the beginning, the room in which the palm can be sent about
_START = 0.12  # m between the fingertips and what they shall reach, at the beginning
_WAY = 0.12  # m to a goal, or of a slide
_FAR = 10.0  # m; what flies farther is observed there
_CLOUD = 256  # points of the perceived object
_THING = Thing(name="can", kind="can", size=(0.06, 0.06, 0.1), color=(0.78, 0.12, 0.12), position=(0.0, 0.0))
_THING_MASS = 0.2  # kg
_PICTURE = (320, 240)


class TaskEnvironment(gymnasium.Env):
    """One task with one hand.

    Observation: ``qpos`` (nq,) joints, ``palm`` (7,) pose as xyz and quaternion wxyz, ``goal`` (3,) where the object
    shall go (place), which way over the table (slide), else zeros; with a fixture ``joint`` (1,) its position and
    ``handle`` (7,) the handle's pose; with an object ``object`` (7,) its pose now, or, of a perceived one, ``cloud``
    (256, 3) as it was seen at the beginning. World frame, m, rad.

    Action, each in [-1, 1]: three translations and three turns of the commanded palm, in its own axes, as a share of
    0.25 m/s and 1.5 rad/s; then the targets of all joints between their limits.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": CONTROL_HZ}  # noqa: RUF012 (Gymnasium's own form)

    def __init__(
        self,
        task: str = "grab",
        *,
        hand: str = "allegro",
        object: SolidObject | None = None,
        fixture: str | None = None,
        criterion: str = "full",
        observation: str = "state",
        noise: float = 1.0,
        friction: float = constants.FRICTION,
        render_mode: str | None = None,
        backend: str = "auto",
    ):
        """Make an environment; each reset builds its world.

        Args:
            task: Key of `TASKS`.
            hand: Name or folder.
            object: What is handled, standing with its frame's origin above the table; by default a can of 6 cm.
            fixture: Kind of fixture; by default the drawer for pull and push, the door for open and close. What shall
                be shut stands wide open.
            criterion: See the task.
            observation: ``state`` or ``cloud``: whether the object is known, or perceived once.
            noise: Displacement of object or fixture at reset, share of FACTS 5's range.
            friction: Sliding friction of every pair.
            render_mode: ``rgb_array`` or None.
            backend: See `unihm.simulation.rendering`.

        Raises:
            ValueError: Something is unknown or does not fit the task.
        """
        kind = TASKS[task]
        if observation not in ("state", "cloud"):
            raise unknown_name("Observation", observation, ["state", "cloud"])
        if render_mode not in (None, "rgb_array"):
            raise unknown_name("Render mode", str(render_mode), ["rgb_array"])
        self.render_mode, self._backend = render_mode, backend
        self.hand: HandDescription = describe_hand(hand)
        self._task, self._criterion, self._noise, self._friction = task, criterion, noise, friction
        self._fixture, self._object = None, None
        if kinds := getattr(kind, "kinds", ()):
            if (fixture or kinds[0]) not in FIXTURES:
                raise unknown_name("Fixture", str(fixture), FIXTURES)
            self._fixture = FIXTURES[fixture or kinds[0]]()
            if not kind.opening:
                self._fixture = replace(self._fixture, position0=self._fixture.upper)
        else:
            self._object = object or object_of_thing(_THING, _THING_MASS)
        self._seen = observation == "cloud" and self._object is not None
        nq = len(self.hand.joint_names)
        self.action_space = spaces.Box(-1.0, 1.0, (6 + nq,), np.float32)
        shapes = {"qpos": (nq,), "palm": (7,), "goal": (3,)}
        if self._fixture is not None:
            shapes |= {"joint": (1,), "handle": (7,)}
        else:
            shapes |= {"cloud": (_CLOUD, 3)} if self._seen else {"object": (7,)}
        self.observation_space = spaces.Dict(
            {name: spaces.Box(-_FAR, _FAR, shape, np.float32) for name, shape in shapes.items()}
        )
        self._renderer: Any = None
        self._recorder: Recorder | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """A new world: object or fixture displaced, hand open in front of it, everything at rest."""
        super().reset(seed=seed)
        self.close()
        draw = int(self.np_random.integers(2**31))
        shift = scatter(self._noise, draw, np.zeros(3))
        T_world_object, fixture = None, None
        if self._object is not None:
            T_world_object = np.eye(4)
            T_world_object[2, 3] = -self._object.lowest(np.eye(4))
            T_world_object = shift @ T_world_object
            corners = self._object.vertices @ T_world_object[:3, :3].T + T_world_object[:3, 3]
            reach = np.array([*T_world_object[:2, 3], corners[:, 2].max()])
            T_world_palm = self._facing(reach, np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0]))
        else:
            assert self._fixture is not None
            fixture = replace(self._fixture, T_world_fixture=shift @ self._fixture.T_world_fixture)
            handle = fixture.T_world_handle
            T_world_palm = self._facing(handle[:3, 3], handle[:3, 0], handle[:3, 1])
        self.task = self._posed(T_world_palm, T_world_object, fixture)
        self.world: World = build_world(
            self.hand,
            T_world_palm,
            object=self._object,
            T_world_object=T_world_object,
            fixture=fixture,
            friction=self._friction,
        )
        self._cloud = None
        if self._seen and self._object is not None and T_world_object is not None:
            view = perceive(self._object, T_world_object, tabletop_camera(), seed=draw, count=_CLOUD)
            self._cloud = view.points.astype(np.float32)
        self._sent = T_world_palm.copy()
        self._recorder = Recorder(self.world, T_world_palm, self.hand.rest_qpos)
        self._progress = 0.0
        return self._observed(), {}

    def step(self, action: np.ndarray):
        """One action; ``info`` has ``success``, ``reason`` (of a failure, so far or final) and ``measures``."""
        assert self._recorder is not None, "reset the environment first"
        action = np.clip(np.asarray(action, dtype=np.float64), -1, 1)
        if not np.isfinite(action).all():
            raise ValueError("The action holds NaN.")
        self._send(action[:6])
        lower, upper = self.hand.chain.lower, self.hand.chain.upper
        finger = lower + (action[6:] + 1) / 2 * (upper - lower)
        self._recorder.advance(self._sent, finger, 1 / CONTROL_HZ, self.task.disturbance)
        rollout = self._recorder.rollout()
        outcome = self.task.judge(rollout)
        reward = outcome.progress - self._progress
        self._progress = outcome.progress
        over = len(self._recorder) >= self.task.seconds * _RECORDS
        terminated = outcome.success or bool(over) or outcome.reason in ("unstable", "pierced")
        info = {"success": outcome.success, "reason": outcome.reason, "measures": outcome.measures}
        return self._observed(), float(reward), terminated, False, info

    def render(self) -> np.ndarray | None:
        """What a camera in front of the table sees, RGB (240, 320, 3)."""
        if self.render_mode is None or self._recorder is None:
            return None
        from unihm.simulation.rendering import ModelRenderer

        if self._renderer is None:
            (width, height), T = _PICTURE, look_at(1.0, np.radians(35), yaw=np.radians(40), target=(0.0, 0.0, 0.12))
            camera = Camera(
                fx=300.0, fy=300.0, cx=(width - 1) / 2, cy=(height - 1) / 2, width=width, height=height,
                depth_scale=1000.0, T_world_camera=T,
            )  # fmt: skip
            self._renderer = ModelRenderer(self.world.model, camera, backend=self._backend)
        mujoco.mj_kinematics(self.world.model, self._recorder.data)
        return self._renderer.render(self._recorder.data).color

    def close(self) -> None:
        """Give back what rendering holds."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _send(self, increment: np.ndarray) -> None:
        """Move the commanded palm, but not out of reach, and not toward the wrist's singularity."""
        sent = self._sent.copy()
        turned = Rotation.from_rotvec(_TURN / CONTROL_HZ * increment[3:]).as_matrix()
        sent[:3, :3] = _orthonormal(sent[:3, :3] @ turned)
        middle = np.degrees(np.arcsin(np.clip(self.world.T_world_reference[:3, 0] @ sent[:3, 2], -1, 1)))
        if abs(middle) > 90 - 2 * constants.GIMBAL_MARGIN:
            sent[:3, :3] = self._sent[:3, :3]
        sent[:3, 3] += _SPEED / CONTROL_HZ * self._sent[:3, :3] @ increment[:3]
        start = self.world.T_world_reference[:3, 3]
        sent[:3, 3] = np.clip(sent[:3, 3], start - _REACH, start + _REACH)
        sent[2, 3] = max(sent[2, 3], self.world.table_height)
        self._sent = sent

    def _facing(self, place: np.ndarray, out: np.ndarray, along: np.ndarray) -> np.ndarray:
        """A palm whose fingertips look at a place from `_START` before it, the fingers side by side `along` a bar."""
        R = np.column_stack([-out, along, np.cross(-out, along)])
        chain = self.hand.chain
        T_palm_body = chain.forward_kinematics(self.hand.rest_qpos)
        tips = []
        for tip in self.hand.fingertips:
            body, point = chain.point(tip.link, np.asarray(tip.xyz))
            tips.append(point if body < 0 else T_palm_body[body, :3, :3] @ point + T_palm_body[body, :3, 3])
        farthest = np.array([np.max([tip[0] for tip in tips]), *np.mean(tips, axis=0)[1:]])
        T = np.eye(4)
        T[:3, :3] = R
        T[:3, 3] = place + _START * out - R @ farthest
        return T

    def _posed(self, T_world_palm: np.ndarray, T_world_object: np.ndarray | None, fixture: Fixture | None) -> Task:
        """What is asked for this time, as the task of a motion that takes 6 s and says where the object goes."""
        path, self._goal = None, np.zeros(3)
        if self._task in ("place", "slide") and T_world_object is not None:
            angle = self.np_random.uniform(0, 2 * np.pi)
            way = np.array([np.cos(angle), np.sin(angle), 0.0])
            path = np.stack([T_world_object, T_world_object])
            path[1, :3, 3] += _WAY * way
            self._goal = path[1, :3, 3] if self._task == "place" else way
        asked = HandMotion(
            hand=self.hand.name,
            fps=1 / _WITHIN,
            joint_names=self.hand.joint_names,
            qpos=np.stack([self.hand.rest_qpos] * 2),
            T_world_palm=np.stack([T_world_palm] * 2),
            T_world_object=path,
        )
        setting = Setting(object=self._object, fixture=fixture, hand=self.hand, criterion=self._criterion)
        return TASKS[self._task].of_motion(asked, setting)

    def _observed(self) -> dict[str, np.ndarray]:
        assert self._recorder is not None
        now = self._recorder
        seen: dict[str, Any] = {"qpos": now.qpos, "palm": pose_to_vector(now.T_world_palm), "goal": self._goal}
        if now.fixture is not None and self.world.fixture is not None:
            handle = self.world.fixture.handle_at(np.array(now.fixture))
            seen |= {"joint": [now.fixture], "handle": pose_to_vector(handle)}
        elif self._cloud is not None:
            seen["cloud"] = self._cloud
        else:
            seen["object"] = now.object_pose
        return {name: np.clip(value, -_FAR, _FAR).astype(np.float32) for name, value in seen.items()}


def _orthonormal(R: np.ndarray) -> np.ndarray:
    """The nearest rotation: increments are multiplied up."""
    U, _, Vt = np.linalg.svd(R)
    return U @ Vt


ENVIRONMENTS = {f"unihm/{task.capitalize()}-v0": task for task in TASKS}
"""Id -> task."""
for _id, _name in ENVIRONMENTS.items():
    if _id not in gymnasium.registry:
        gymnasium.register(_id, entry_point=f"{__name__}:TaskEnvironment", kwargs={"task": _name})
