"""From words and an image to a moving hand: perceive, plan, generate, decode, refine (Eqs. 7-9, Algorithm 1).

With several candidates, each is simulated on the object as it is perceived, and the best is kept.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from unihm.contact_phases import contact_phase, release_of
from unihm.generation.base import GENERATORS, GenerationRequest, Generator
from unihm.geometry.object_frame import canonical_object_frame, view_canonical
from unihm.geometry.signed_distance import CloudDistance
from unihm.geometry.width import width
from unihm.hands.hand import HandModel
from unihm.hands.opening import opening
from unihm.perception.base import PERCEPTIONS, Perception
from unihm.planning.base import PLANNERS, planner_for
from unihm.planning.initial_pose import InitialPose
from unihm.planning.pregrasp import other_pregrasps, pregrasp
from unihm.refinement import RefinementConfig, RefinementReport, refinements
from unihm.schema.episode import Episode
from unihm.schema.motion import HandMotion, MotionTokens
from unihm.schema.plan import Plan
from unihm.schema.scene import PerceivedScene, Scene
from unihm.simulation.trying import GRASPS, Trying
from unihm.tokenizer.tokenizer import Tokenizer, load_tokenizer

if TYPE_CHECKING:
    from unihm.simulation.perceived import Perceived
    from unihm.simulation.perceived_part import PerceivedPart

WAYS, _IN_TURN = 4, (2, 3, 0, 1)
"""Candidates are the motions that together stand for all likely ones, so many, in this order."""
_SURE = 5.7
"""Log-odds of the refinement below which one more likely way is refined, and the better of the two is taken: as many
motions lie below it as below 7.0 of the weights of the grasps' score before (docs/lab_notes.md)."""
_log = logging.getLogger(__name__)
OPPOSING = -0.5
"""Two contact normals oppose when their cosine lies below this (120 degrees apart or more)."""


Made = tuple[MotionTokens, HandMotion, tuple[tuple[HandMotion, RefinementReport], ...]]
"""Tokens, the decoded motion, and the refined one with its report for each grasp."""


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
    candidates: tuple[HandMotion, ...] = ()
    """What was simulated, in the order of ``report["simulation"]["outcomes"]``; `motion` is one of them."""


class Candidate(NamedTuple):
    """One of several motions, and how it was made."""

    tokens: MotionTokens
    """What the generator wrote."""
    generated: HandMotion
    """Decoded."""
    motion: HandMotion
    """Refined, or a variation of that."""
    refinement: RefinementReport
    """Of the refinement."""


@dataclass
class Pipeline:
    """The whole path with its models loaded once; `generate` may be called many times."""

    generator_name: str = "qwen3-tiny"
    tokenizer_path: Path | None = None
    generator_path: Path | None = None
    perception: str = "cliport"
    perception_path: Path | None = None
    planner: str | None = None
    """Key of `PLANNERS`; by default the one that fits the perception."""
    refinement: RefinementConfig = field(default_factory=RefinementConfig)
    top_k: int | None = None
    top_p: float | None = None
    one_of: tuple[int, int] | None = None

    def __post_init__(self):
        self.tokenizer: Tokenizer = load_tokenizer(self.tokenizer_path)
        self.generator: Generator = GENERATORS[self.generator_name](self.generator_path, tokenizer=self.tokenizer)

    @cached_property
    def seeing(self) -> Perception:
        """The perception, loaded when a picture comes."""
        return PERCEPTIONS[self.perception](self.perception_path)

    def plan(
        self,
        scene: Scene,
        instruction: str,
        *,
        point: tuple[int, int] | None = None,
        box: tuple[int, int, int, int] | None = None,
    ) -> tuple[PerceivedScene, Plan]:
        """Perception and planning only: which object, its cloud, its path."""
        perceived = self.seeing.perceive(scene, instruction, point, box)
        return perceived, self.plan_of(perceived, instruction)

    def plan_of(self, perceived: PerceivedScene, instruction: str) -> Plan:
        """Planning only, for a scene that is understood already."""
        return PLANNERS[self._planner(perceived)]().plan(perceived, instruction)

    def _planner(self, perceived: PerceivedScene) -> str:
        return self.planner or planner_for(perceived)

    def generate(
        self,
        scene: Scene,
        instruction: str,
        hand: HandModel,
        *,
        point: tuple[int, int] | None = None,
        box: tuple[int, int, int, int] | None = None,
        initial_pose: InitialPose | None = None,
        temperature: float | None = None,
        seed: int = 0,
        trying: Trying | None = None,
    ) -> PipelineResult:
        """A refined motion of `hand` from one RGB-D image and words.

        Args:
            scene: Colour, depth, camera.
            instruction: Free text.
            hand: The hand that shall move.
            point: Pixel (u, v) on the object, where words do not decide.
            box: Or corner pixels (u0, v0, u1, v1) of a box about it.
            initial_pose: Where the hand starts; None is the stated pre-grasp on the camera's side of the table.
            temperature: Of the token sampling; None is the generator's default.
            seed: Of the token sampling; same seed, same motion.
            trying: Candidates that are simulated on the object as the image shows it.

        Raises:
            ValueError: The words or the image do not say what to do; the message says what is missing.
        """
        completion = self.seeing.completion  # loads the perception before its time is taken
        watch = Stopwatch()
        with watch("perceive_and_plan"):
            perceived, plan = self.plan(scene, instruction, point=point, box=box)
        start = initial_pose or rest_at(pregrasp(plan), hand)
        others = () if initial_pose else tuple(rest_at(T, hand) for T in other_pregrasps(plan))
        thing = None
        if trying is not None and trying.wanted:
            from unihm.simulation.choice import perceived_of_scene

            with watch("close_shape"):
                thing = perceived_of_scene(scene, perceived)
        result = self.follow(
            plan,
            hand,
            start,
            other_starts=others,
            temperature=temperature,
            seed=seed,
            trying=trying,
            thing=thing,
            watch=watch,
        )
        seen_by = {"perception": self.perception, "completion": completion, "planner": self._planner(perceived)}
        report = {**result.report, "parts": {**seen_by, **result.report["parts"]}}
        return PipelineResult(**{**vars(result), "perceived": perceived, "report": report})

    def follow(
        self,
        plan: Plan,
        hand: HandModel,
        start: InitialPose,
        *,
        other_starts: Sequence[InitialPose] = (),
        temperature: float | None = None,
        seed: int = 0,
        trying: Trying | None = None,
        thing: Perceived | PerceivedPart | None = None,
        watch: Stopwatch | None = None,
    ) -> PipelineResult:
        """Tokens, motion and refinement for a plan that is already made (Eq. 9).

        Tokens end where the object is let go; refinement makes the hand open and leave.

        Args:
            plan: Object path and cloud.
            hand: The hand that shall move.
            start: Where it starts.
            other_starts: Where it may start as well, if candidates are tried.
            temperature: Of the token sampling; None is the generator's default.
            seed: Of the token sampling; of candidate i it is ``seed + i``.
            trying: Candidates that are simulated.
            thing: The object, or part that moves, that they are simulated on; by default the plan's cloud, closed.
            watch: Takes the times.

        Raises:
            ValueError: The plan's cloud cannot be closed, or does not fit.
        """
        watch, trying = watch or Stopwatch(), trying or Trying()
        if trying.wanted and thing is None:
            from unihm.simulation.perceived import perceived_of_cloud

            thing = perceived_of_cloud(plan.object_points, plan.object_normals, plan.T_world_object[0])
        warn_if_too_wide(plan, hand)
        samples = self._samples(temperature)
        grasps = 1 if samples else min(trying.candidates, GRASPS)
        made = self._make(plan, hand, start, temperature, seed, grasps, watch)
        unsure = not (samples or self.one_of or trying.wanted) and _merit(made) < _SURE
        if unsure:
            other = self._make(plan, hand, start, temperature, seed, grasps, watch, (_IN_TURN[0], WAYS))
            made = max(made, other, key=_merit)
        candidates = [Candidate(*made[:2], *refined) for refined in made[2]]
        report: dict[str, Any] = {}
        best = 0
        if thing is not None and trying.wanted:
            from unihm.simulation.choice import choose, judged_by

            ways = self._other_ways(plan, hand, [start, *other_starts], temperature, seed, trying.candidates)
            with watch("simulate"):
                best, report["simulation"] = choose(
                    _motions(candidates, ways, trying.candidates, seed, hand),
                    thing,
                    judged_by(plan.task, thing),
                    criterion=trying.criterion,
                    hand=hand.description,
                    enough=trying.enough,
                    workers=trying.workers,
                    progress=trying.progress,
                )
            report["simulation"]["candidates_are"] = (
                "samples of the tokens" if samples else "grasps, other ways, other starts, and variations"
            )
        tokens, generated, motion, refinement = candidates[best]
        before = min(plan.rest_frames, len(plan) - 1)
        lift = int(np.searchsorted(refinement.frame_of, before))  # refinement may have stretched the time
        report = {
            "instruction": plan.instruction,
            "task": plan.task,
            "hand": hand.name,
            "parts": {"generator": self.generator_name},
            "frames": len(motion),
            "fps": motion.fps,
            "lift_frame": lift,
            "tokens": int(tokens.codes.size),
            "seed": seed,
            "ways_compared": 2 if unsure else 1,
            "seconds": watch.seconds,
            "refinement": vars(refinement),
            **report,
            "contact_at_lift": contact_at(motion, hand, lift),
            "contact_at_lift_before_refinement": contact_at(generated, hand, before),
        }
        return PipelineResult(
            plan=plan,
            tokens=tokens,
            generated=generated,
            motion=motion,
            report=report,
            candidates=tuple(one.motion for one in candidates) if "simulation" in report else (),
        )

    def _other_ways(
        self,
        plan: Plan,
        hand: HandModel,
        starts: Sequence[InitialPose],
        temperature: float | None,
        seed: int,
        count: int,
    ) -> Iterator[Candidate]:
        """Motions that are not those of the first tokens: samples, or other likely ways and other starts."""
        watch = Stopwatch()
        if self._samples(temperature):
            asked = [(starts[0], seed + i, None) for i in range(1, count)]
        else:
            ways = [] if self.one_of else [(starts[0], seed, (k, WAYS)) for k in _IN_TURN]
            asked = [*ways[:2], *((one, seed, None) for one in starts[1:]), *ways[2:]]
        for start, number, way in asked:
            tokens, generated, refined = self._make(plan, hand, start, temperature, number, 1, watch, way)
            yield Candidate(tokens, generated, *refined[0])

    def _make(
        self,
        plan: Plan,
        hand: HandModel,
        start: InitialPose,
        temperature: float | None,
        seed: int,
        grasps: int,
        watch: Stopwatch,
        way: tuple[int, int] | None = None,
    ) -> Made:
        """One sample: its tokens, the decoded motion, and the refined one and its report for each grasp."""
        with watch("generate"):
            tokens = self._write_tokens(plan, hand, start, temperature, seed, way)
        with watch("decode"):
            written = self.tokenizer.decode(tokens, hand.name)
            held = np.minimum(np.arange(len(plan)), len(written) - 1)  # how it leaves is refinement's part
            generated = written.replace(
                qpos=written.qpos[held],
                T_world_palm=written.T_world_palm[held],
                T_world_object=plan.T_world_object,
                object_points=plan.object_points,
                object_normals=plan.object_normals,
                panel_object=plan.panel_object,
                contact_phase=contact_phase(len(plan), plan.rest_frames, release_frame=release_of(plan)),
                instruction=plan.instruction,
                source=f"generated by {self.generator_name}, seed {seed}",
            )
        with watch("refine"):
            refined = refinements(generated, hand.description, grasps, config=self.refinement)
        return tokens, generated, refined

    def _samples(self, temperature: float | None) -> bool:
        """Whether another seed writes other tokens."""
        own = getattr(self.generator, "temperature", 0.0)
        return self.one_of is None and (own if temperature is None else temperature) > 0

    def _write_tokens(
        self,
        plan: Plan,
        hand: HandModel,
        start: InitialPose,
        temperature: float | None,
        seed: int,
        way: tuple[int, int] | None,
    ) -> MotionTokens:
        T_object_canonical = canonical_object_frame(
            plan.T_world_object[0], plan.object_points, start.T_world_palm[:3, 3]
        )
        T_world_canonical = plan.T_world_object[: release_of(plan)] @ T_object_canonical
        T_canonical_object = np.linalg.inv(T_object_canonical)
        request = GenerationRequest(
            instruction=plan.instruction,
            object_points_canonical=plan.object_points @ T_canonical_object[:3, :3].T + T_canonical_object[:3, 3],
            T_world_canonical=T_world_canonical,
            T_canonical_palm0=np.linalg.inv(T_world_canonical[0]) @ start.T_world_palm,
            hand=hand.name,
            qpos0=start.qpos,
            lift_frame=plan.rest_frames,
            view_canonical=view_canonical(plan.T_world_camera, T_world_canonical[0]),
            temperature=temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            one_of=way or self.one_of,
            seed=seed,
        )
        return MotionTokens(
            codes=self.generator.generate(request),
            tokenizer=self.tokenizer.fingerprint,
            frames_per_chunk=self.tokenizer.frames_per_chunk,
            num_frames=len(T_world_canonical),
            fps=plan.fps,
            hand=hand.name,
            T_world_canonical=T_world_canonical,
            instruction=plan.instruction,
            source=f"generated by {self.generator_name}, seed {seed}",
        )


def _merit(made: Made) -> float:
    """Log-odds of the first of the refined motions; of one without a grasp there are none."""
    merit = made[2][0][1].merit
    return -np.inf if merit is None else merit


def warn_if_too_wide(plan: Plan, hand: HandModel) -> None:
    """Say in one line that a hand cannot span what it shall hold; its rim or handle may still do."""
    if plan.task not in ("grab", "place"):
        return
    try:
        narrowest = width(plan.object_points)
    except ValueError:  # what is flat is not wide
        return
    opens = opening(hand.description)
    if narrowest > opens:
        _log.warning(
            "The object is %.1f cm wide at its narrowest and %s opens %.1f cm: only a rim or a handle can be held.",
            100 * narrowest,
            hand.name,
            100 * opens,
        )


def rest_at(T_world_palm: Float[np.ndarray, "4 4"], hand: HandModel) -> InitialPose:
    """The hand at rest at a pose of its palm, m."""
    return InitialPose(T_world_palm=T_world_palm, qpos=hand.rest_qpos.numpy().copy())


def _motions(
    known: list[Candidate], ways: Iterator[Candidate], count: int, seed: int, hand: HandModel
) -> Iterator[HandMotion]:
    """The motions of `known`, of what else there is, and variations of all, made when they are wanted and put there."""
    yield from (one.motion for one in known)
    for one in islice(ways, count - len(known)):
        known.append(one)
        yield one.motion
    if (number := len(known)) < count:
        from unihm.simulation.candidates import candidates

        varied = candidates([one.motion for one in known], count, seed, hand=hand.description)
        for i, motion in enumerate(varied[number:]):
            known.append(known[i % number]._replace(motion=motion))
            yield motion


def plan_of_episode(episode: Episode, instruction: str) -> Plan:
    """The true cloud and path of an episode as a plan, for generation without perception.

    Recorded episodes are grabs; composed ones (`unihm.composing`) name their task, and the panel of a handle.
    """
    return Plan(
        instruction=instruction or episode.instructions[0],
        task=episode.attributes.get("task", "grab"),
        fps=episode.fps,
        T_world_object=episode.T_world_object,
        object_points=episode.object_points,
        object_normals=episode.object_normals,
        rest_frames=episode.lift_frame,
        T_world_camera=episode.T_world_camera,
        panel_object=episode.panel_object,
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
