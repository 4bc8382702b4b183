"""Furniture of scenes in MuJoCo: handles move by their joints, drawers stay in the chest, words are its own."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from unihm.datasets.object_names import OBJECT_NAMES
from unihm.geometry.pose import yaw_pose
from unihm.scenes.appearance import colour_name
from unihm.scenes.families import FAMILIES
from unihm.scenes.furniture import WORDS, Furniture, draw_furniture, part_thing
from unihm.schema.joint import Joint
from unihm.simulation.fixture import Fixture
from unihm.simulation.fixtures import add_fixture

SEEDS = range(8)


def standing(seed: int) -> Furniture:
    rng = np.random.default_rng(seed)
    return draw_furniture(rng).standing_at(yaw_pose(rng.uniform(-3, 3), (0.1, -0.2)))


def model_of(furniture: Furniture):
    spec = mujoco.MjSpec()
    for part in furniture.parts:
        add_fixture(spec, part)
    model = spec.compile()
    data = mujoco.MjData(model)
    return model, data


def moved(joint: Joint, position: float) -> np.ndarray:
    """What the joint does to points of its part from where they are now."""
    T, by = np.eye(4), position - joint.position
    if joint.kind == "slide":
        T[:3, 3] = by * joint.axis_world
        return T
    T[:3, :3] = Rotation.from_rotvec(by * joint.axis_world).as_matrix()
    T[:3, 3] = joint.origin_world - T[:3, :3] @ joint.origin_world
    return T


def body_pose(data, name: str) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = data.body(name).xmat.reshape(3, 3), data.body(name).xpos
    return T


@pytest.mark.parametrize("seed", SEEDS)
def test_joints_move_handles_as_in_mujoco(seed: int):
    furniture = standing(seed)
    model, data = model_of(furniture)
    for index, part in enumerate(furniture.parts):
        thing = part_thing(furniture, index, 64, np.random.default_rng(0))
        joint = thing.joint
        assert joint is not None
        address = model.joint(f"{part.name}/joint").qposadr[0]
        data.qpos[address] = joint.position
        mujoco.mj_forward(model, data)
        now = body_pose(data, f"{part.name}/moving")
        for position in (0.0, 0.4 * joint.upper, joint.upper):
            data.qpos[address] = position
            mujoco.mj_forward(model, data)
            T = body_pose(data, f"{part.name}/moving") @ np.linalg.inv(now)
            assert moved(joint, position) == pytest.approx(T, abs=1e-9)
            assert part.handle_at(np.array(position)) == pytest.approx(T @ thing.T_world_object, abs=1e-9)
        assert model.joint(f"{part.name}/joint").range == pytest.approx([0, joint.upper])


@pytest.mark.parametrize("seed", SEEDS)
def test_handle_points_are_on_the_handle(seed: int):
    furniture = standing(seed)
    model, data = model_of(furniture)
    for part in furniture.parts:
        data.qpos[model.joint(f"{part.name}/joint").qposadr[0]] = part.position0
    mujoco.mj_forward(model, data)
    for index, part in enumerate(furniture.parts):
        thing = part_thing(furniture, index, 256, np.random.default_rng(0))
        points, normals = thing.points_world, thing.normals_object @ thing.T_world_object[:3, :3].T
        geoms = [i for i in range(model.ngeom) if model.geom(i).name.startswith(f"{part.name}/handle")]
        gaps = []
        for i in geoms:
            radius, half = model.geom_size[i, :2]
            local = (points - data.geom_xpos[i]) @ data.geom_xmat[i].reshape(3, 3)
            local[:, 2] -= local[:, 2].clip(-half, half)
            gaps.append(np.linalg.norm(local, axis=1) - radius)
        nearest = np.min(gaps, axis=0)
        assert np.abs(nearest).max() < 1e-9
        outside = points + 1e-4 * normals
        assert np.einsum("ni,ni->n", outside - points, normals) == pytest.approx(1e-4)
        # None behind the panel: with the handle's x axis pointing away from it.
        assert thing.surface_object[:, 0].min() > -part.handle_distance
        assert thing.dimensions_m == pytest.approx(np.ptp(thing.surface_object, axis=0))


def boxes(data, model, start: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Least and greatest corners of a shut piece's boards, in the world's axes as they stand."""
    found = []
    for i in range(model.ngeom):
        if model.geom(i).name.startswith(start):
            found.append((data.geom_xpos[i] - model.geom_size[i], data.geom_xpos[i] + model.geom_size[i]))
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_shut_parts_fit_into_their_frame(seed: int):
    rng = np.random.default_rng(seed)
    furniture = draw_furniture(rng)  # along the axes
    model, data = model_of(furniture)
    mujoco.mj_forward(model, data)
    frame = [box for part in furniture.parts for box in boxes(data, model, f"{part.name}/frame")]
    moving = [boxes(data, model, f"{part.name}/moving") for part in furniture.parts]
    everything = [(k, box) for k, group in enumerate([frame, *moving]) for box in group]
    for a, (low_a, high_a) in everything:
        assert low_a[2] > -1e-9
        for b, (low_b, high_b) in everything:
            if a < b:
                assert (np.minimum(high_a, high_b) - np.maximum(low_a, low_b)).min() < 1e-9
    # The outline has the frame, and each swept footprint the handle wherever it goes.
    for part, swept in zip(furniture.parts, furniture.swept, strict=True):
        for position in np.linspace(0, part.upper, 7):
            point = part.handle_at(np.array(position))[:2, 3]
            edge = np.roll(swept, -1, axis=0) - swept
            side = edge[:, 0] * (point - swept)[:, 1] - edge[:, 1] * (point - swept)[:, 0]
            assert side.min() > -1e-9


def test_all_kinds_and_states_occur():
    pieces = [standing(seed) for seed in range(60)]
    parts: list[Fixture] = [part for piece in pieces for part in piece.parts]
    assert {part.kind for part in parts} == set(WORDS)
    assert {len(piece.parts) for piece in pieces} == {1, 2, 3}
    shut = np.mean([part.position0 == 0 for part in parts])
    assert 0.3 < shut < 0.7
    assert max(part.position0 / part.upper for part in parts) > 0.75
    assert {part.knob for part in parts} == {False, True}


def test_words_are_right():
    for seed in range(25):
        piece = standing(seed)
        things = [part_thing(piece, k, 8, np.random.default_rng(0)) for k in range(len(piece.parts))]
        places = [thing.attributes["place"] for thing in things]
        assert len({words for words in places}) == len(things)
        assert (places == [()]) == (len(things) == 1)
        heights = [thing.T_world_object[2, 3] for thing in things]
        for words, height in zip(places, heights, strict=True):
            assert ("top" not in words) or height == max(heights)
            assert ("bottom" not in words) or height == min(heights)
        for part, colour in zip(piece.parts, piece.colours, strict=True):
            rgb = np.round(255 * np.array(part.colors[1])).astype(np.uint8)
            assert colour_name(rgb) is not None
            assert colour.split()[-1] in (colour_name(rgb) or "")


def test_left_is_left_of_who_looks_at_the_front():
    for seed in range(60):
        piece = draw_furniture(np.random.default_rng(seed))
        at = {
            words[0]: part.handle_at(np.array(0.0))[1, 3]
            for part, words in zip(piece.parts, piece.places, strict=True)
            if words
        }
        if "left" in at:  # who looks along -x has +y at the right
            assert at["left"] < at["right"]
            return
    pytest.fail("no piece with two columns")


def test_held_out_nouns_occur_nowhere_else():
    known = {word for family in FAMILIES.values() for word in (*family.synonyms, *family.class_words)} | set(FAMILIES)
    known |= {word for names in OBJECT_NAMES.values() for word in (names.name, *names.synonyms)}
    for names, held_out, _ in WORDS.values():
        assert not set(held_out) & known
        assert not set(names) & known


@pytest.mark.parametrize("seed", SEEDS)
def test_points_on_furniture_lie_on_the_boards_of_its_model(seed):
    furniture = standing(seed)
    model, data = model_of(furniture)
    for part in furniture.parts:
        data.joint(f"{part.name}/joint").qpos = part.position0
    mujoco.mj_forward(model, data)
    points = furniture.surface_world
    nearest = np.full(len(points), np.inf)
    for geom in np.flatnonzero(model.geom_type == mujoco.mjtGeom.mjGEOM_BOX):
        local = (points - data.geom_xpos[geom]) @ data.geom_xmat[geom].reshape(3, 3)
        beyond = np.abs(local) - model.geom_size[geom]
        nearest = np.minimum(nearest, np.abs(beyond.max(axis=1)))
        # Each board has points on it.
        assert (np.abs(beyond.max(axis=1)) < 1e-9).sum() >= 8
    assert nearest.max() < 1e-9
