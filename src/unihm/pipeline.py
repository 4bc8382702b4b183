"""From words and an image to a moving hand: perceive, plan, generate, decode, refine (Eqs. 7-9, Algorithm 1)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from unihm.contact_phases import contact_phase
from unihm.generation.base import GENERATORS, GenerationRequest, Generator
from unihm.geometry.object_frame import canonical_object_frame
from unihm.geometry.pose import vector_to_pose
from unihm.geometry.signed_distance import CloudDistance
from unihm.hands.hand import HandModel
from unihm.perception.base import PERCEPTIONS
from unihm.planning.base import PLANNERS
from unihm.planning.pregrasp import pregrasp
from unihm.refinement import RefinementConfig, refine
from unihm.schema.episode import Episode
from unihm.schema.motion import HandMotion, MotionTokens
from unihm.schema.plan import Plan
from unihm.schema.scene import PerceivedScene, Scene
from unihm.tokenizer.tokenizer import Tokenizer, load_tokenizer

OPPOSING = -0.5
"""Two contact normals oppose when their cosine lies below this (120 degrees apart or more)."""


@dataclass(frozen=True, kw_only=True)
class InitialPose:
    """Where the hand starts."""

    T_world_palm: Float[np.ndarray, "4 4"]
    """Palm pose in the world, m."""
    qpos: Float[np.ndarray, " nq"]
    """Joint positions in the hand's order, rad or m."""

    @classmethod
    def load(cls, path: str | Path, hand: HandModel) -> InitialPose:
        """Read a start pose: a motion ``.npz`` (its first frame) or a JSON file.

        The JSON reads ``{"xyz": [..3], "wxyz": [..4], "qpos": {joint: value, ...}}``; joints left out stand at
        the hand's rest pose.

        Raises:
            ValueError: The file is damaged, for another hand, or names unknown joints.
        """
        path = Path(path)
        if path.suffix == ".npz":
            motion = HandMotion.load(path)
            if motion.hand != hand.name:
                raise ValueError(f"'{path}' starts the hand '{motion.hand}', expected '{hand.name}'.")
            return cls(T_world_palm=motion.T_world_palm[0], qpos=motion.qpos[0])
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            vector = np.array([*value["xyz"], *value["wxyz"]], dtype=float)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"Initial pose '{path}' needs xyz (3), wxyz (4) and qpos: {error}.") from error
        if vector.shape != (7,) or not np.isfinite(vector).all() or not vector[3:].any():
            raise ValueError(f"Initial pose '{path}' needs finite xyz (3) and a quaternion wxyz (4).")
        qpos = hand.rest_qpos.numpy().copy()
        for name, angle in value.get("qpos", {}).items():
            if name not in hand.joint_names:
                raise ValueError(f"Initial pose '{path}': unknown joint '{name}'; {hand.name} has {hand.joint_names}.")
            qpos[hand.joint_names.index(name)] = float(angle)
        return cls(T_world_palm=vector_to_pose(vector), qpos=qpos)


@dataclass(frozen=True, kw_only=True)
class PipelineResult:
    """Everything between the words and the motion."""

    plan: Plan
    """Object path and cloud."""
    tokens: MotionTokens
    """What the generator wrote."""
    generated: HandMotion
    """The decoded tokens."""
    motion: HandMotion
    """The refined motion."""
    report: dict[str, Any]
    """Stage times, contact distances, token count; plain JSON values."""
    perceived: PerceivedScene | None = None
    """What was seen, where a picture was given."""


@dataclass
class Pipeline:
    """The whole path with its models loaded once; `generate` may be called many times."""

    generator_name: str = "qwen3-tiny"
    tokenizer_path: Path | None = None
    generator_path: Path | None = None
    perception: str = "tabletop"
    planner: str = "verbs"
    refinement: RefinementConfig = field(default_factory=RefinementConfig)

    def __post_init__(self):
        self.tokenizer: Tokenizer = load_tokenizer(self.tokenizer_path)
        self.generator: Generator = GENERATORS[self.generator_name](self.generator_path, tokenizer=self.tokenizer)

    def plan(
        self, scene: Scene, instruction: str, *, point: tuple[int, int] | None = None
    ) -> tuple[PerceivedScene, Plan]:
        """Perception and planning only: which object, its cloud, its path."""
        perceived = PERCEPTIONS[self.perception]().perceive(scene, instruction, point)
        return perceived, PLANNERS[self.planner]().plan(perceived, instruction)

    def generate(
        self,
        scene: Scene,
        instruction: str,
        hand: HandModel,
        *,
        point: tuple[int, int] | None = None,
        initial_pose: InitialPose | None = None,
        temperature: float | None = None,
        seed: int = 0,
    ) -> PipelineResult:
        """A refined motion of `hand` from one RGB-D image and words.

        Args:
            scene: Colour, depth, camera.
            instruction: Free text.
            hand: The hand that shall move.
            point: Pixel (u, v) on the object, where words do not decide.
            initial_pose: Where the hand starts; None is the stated pre-grasp on the camera's side of the table.
            temperature: Of the token sampling; None is the generator's default.
            seed: Of the token sampling; same seed, same motion.

        Raises:
            ValueError: The words or the image do not say what to do; the message says what is missing.
        """
        watch = Stopwatch()
        with watch("perceive_and_plan"):
            perceived, plan = self.plan(scene, instruction, point=point)
        start = initial_pose or InitialPose(T_world_palm=pregrasp(plan), qpos=hand.rest_qpos.numpy().copy())
        result = self.follow(plan, hand, start, temperature=temperature, seed=seed, watch=watch)
        return PipelineResult(**{**vars(result), "perceived": perceived})

    def follow(
        self,
        plan: Plan,
        hand: HandModel,
        start: InitialPose,
        *,
        temperature: float | None = None,
        seed: int = 0,
        watch: Stopwatch | None = None,
    ) -> PipelineResult:
        """Tokens, motion and refinement for a plan that is already made (Eq. 9)."""
        watch = watch or Stopwatch()
        with watch("generate"):
            tokens = self._write_tokens(plan, hand, start, temperature, seed)
        with watch("decode"):
            generated = self.tokenizer.decode(tokens, hand.name).replace(
                T_world_object=plan.T_world_object,
                object_points=plan.object_points,
                object_normals=plan.object_normals,
                contact_phase=contact_phase(len(plan), plan.rest_frames),
                instruction=plan.instruction,
                source=f"generated by {self.generator_name}, seed {seed}",
            )
        with watch("refine"):
            motion, refinement = refine(generated, hand, self.refinement)
        lift = min(plan.rest_frames, len(motion) - 1)
        report = {
            "instruction": plan.instruction,
            "task": plan.task,
            "hand": hand.name,
            "frames": len(motion),
            "fps": motion.fps,
            "lift_frame": lift,
            "tokens": int(tokens.codes.size),
            "seed": seed,
            "seconds": watch.seconds,
            "refinement": vars(refinement),
            "contact_at_lift": contact_at(motion, hand, lift),
            "contact_at_lift_before_refinement": contact_at(generated, hand, lift),
        }
        return PipelineResult(plan=plan, tokens=tokens, generated=generated, motion=motion, report=report)

    def _write_tokens(
        self, plan: Plan, hand: HandModel, start: InitialPose, temperature: float | None, seed: int
    ) -> MotionTokens:
        T_object_canonical = canonical_object_frame(
            plan.T_world_object[0], plan.object_points, start.T_world_palm[:3, 3]
        )
        T_world_canonical = plan.T_world_object @ T_object_canonical
        T_canonical_object = np.linalg.inv(T_object_canonical)
        request = GenerationRequest(
            instruction=plan.instruction,
            object_points_canonical=plan.object_points @ T_canonical_object[:3, :3].T + T_canonical_object[:3, 3],
            T_world_canonical=T_world_canonical,
            T_canonical_palm0=np.linalg.inv(T_world_canonical[0]) @ start.T_world_palm,
            hand=hand.name,
            qpos0=start.qpos,
            temperature=temperature,
            seed=seed,
        )
        return MotionTokens(
            codes=self.generator.generate(request),
            tokenizer=self.tokenizer.fingerprint,
            frames_per_chunk=self.tokenizer.frames_per_chunk,
            num_frames=len(plan),
            fps=plan.fps,
            hand=hand.name,
            T_world_canonical=T_world_canonical,
            instruction=plan.instruction,
            source=f"generated by {self.generator_name}, seed {seed}",
        )


def plan_of_episode(episode: Episode, instruction: str) -> Plan:
    """The true cloud and path of a recorded episode as a plan, for generation without perception."""
    return Plan(
        instruction=instruction or episode.instructions[0],
        task="lift",
        fps=episode.fps,
        T_world_object=episode.T_world_object,
        object_points=episode.object_points,
        object_normals=episode.object_normals,
        rest_frames=episode.lift_frame,
        T_world_camera=episode.T_world_camera,
    )


def contact_at(motion: HandMotion, hand: HandModel, frame: int) -> dict[str, Any]:
    """How the fingertips stand to the object in one frame.

    Returns:
        ``distances_mm``: signed distance of every fingertip's pad to the object cloud (negative inside);
        ``opposing_tips_mm``: the smaller-is-better distance of the best pair of tips whose surface normals
        oppose, the larger of the two (null where no two normals oppose).
    """
    assert motion.T_world_object is not None
    assert motion.object_points is not None
    assert motion.object_normals is not None
    tips_palm, _ = hand.fingertips_and_jacobian(torch.as_tensor(motion.qpos[frame]))
    T_object_palm = np.linalg.inv(motion.T_world_object[frame]) @ motion.T_world_palm[frame]
    tips_object = tips_palm.numpy() @ T_object_palm[:3, :3].T + T_object_palm[:3, 3]
    signed, nearest, normals = CloudDistance(motion.object_points, motion.object_normals).query(tips_object)
    distance = np.linalg.norm(tips_object - nearest, axis=-1)
    best = None
    for a in range(len(distance)):
        for b in range(a):
            if normals[a] @ normals[b] < OPPOSING:
                worse = float(max(distance[a], distance[b])) * 1e3
                best = worse if best is None else min(best, worse)
    return {
        "distances_mm": {
            name: round(float(np.copysign(d, s)) * 1e3, 2)
            for name, d, s in zip(hand.fingertips, distance, signed, strict=True)
        },
        "opposing_tips_mm": None if best is None else round(best, 2),
    }


class Stopwatch:
    """Wall time per named stage, s."""

    def __init__(self):
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time one stage."""
        start = time.perf_counter()
        yield
        self.seconds[stage] = round(self.seconds.get(stage, 0.0) + time.perf_counter() - start, 4)
