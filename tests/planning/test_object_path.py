"""Paths are smooth, keep their speeds, go through their key poses, and move as their task does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from unihm.geometry.pose import yaw_pose
from unihm.planning.object_path import carry, draw, drawn_path, lift, slide, swing, through
from unihm.planning.pace import GENH2R, SPEED, SPEEDS, TURN_SPEED, TURN_SPEEDS, Pace

LOW, HIGH = np.array([-0.3, -0.3, 0.05]), np.array([0.3, 0.3, 0.5])
STANDS = yaw_pose(0.3, (0.1, -0.05, 0.06))


def pose(position, rotvec=(0.0, 0.0, 0.0)) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3] = Rotation.from_rotvec(rotvec).as_matrix()
    T[:3, 3] = position
    return T


def speeds(path: np.ndarray, fps: float = 30.0) -> tuple[np.ndarray, np.ndarray]:
    """Finite differences: velocity in the world, m/s, and angular velocity in the object's frame, rad/s."""
    R = Rotation.from_matrix(path[:, :3, :3])
    return np.diff(path[:, :3, 3], axis=0) * fps, (R[:-1].inv() * R[1:]).as_rotvec() * fps


def angles(R: np.ndarray, S: np.ndarray) -> np.ndarray:
    return Rotation.from_matrix(R.swapaxes(-1, -2) @ S).magnitude()


def assert_sound(path: np.ndarray, speed: float = SPEED, turn_speed: float = TURN_SPEED, fps: float = 30.0) -> None:
    R = path[:, :3, :3]
    np.testing.assert_allclose(R @ R.swapaxes(1, 2), np.broadcast_to(np.eye(3), R.shape), atol=1e-9)
    assert (np.linalg.det(R) > 0).all()
    assert (path[:, 3] == [0, 0, 0, 1]).all()
    v, omega = speeds(path, fps)
    assert np.linalg.norm(v, axis=1).max() <= 1.01 * speed
    assert np.linalg.norm(omega, axis=1).max() <= 1.01 * turn_speed


coordinates = st.floats(-0.4, 0.4)
vectors = st.tuples(coordinates, coordinates, coordinates)
key_poses = st.lists(st.builds(pose, vectors, vectors.map(lambda v: tuple(6 * x for x in v))), min_size=2, max_size=5)


@settings(deadline=None, max_examples=40)
@given(keys=key_poses, speed=st.floats(0.05, 0.5), turn_speed=st.floats(0.2, 3.0), tension=st.floats(0.0, 0.9))
def test_paths_through_any_key_poses_are_sound(keys, speed, turn_speed, tension):
    keys = np.stack(keys)
    assume(np.ptp(keys, axis=0).max() > 1e-3)
    path = through(keys, speed=speed, turn_speed=turn_speed, tension=tension)
    assert_sound(path, speed, turn_speed)
    np.testing.assert_allclose(path[0], keys[0], atol=1e-9)
    np.testing.assert_allclose(path[-1], keys[-1], atol=1e-9)


@settings(deadline=None, max_examples=10)
@given(keys=key_poses)
def test_paths_go_through_every_key_pose_in_order(keys):
    keys = np.stack(keys)
    assume(np.ptp(keys, axis=0).max() > 1e-3)
    path = through(keys, fps=1000.0)  # the key pose itself lies between two frames
    last = 0
    for key in keys:
        near = np.linalg.norm(path[last:, :3, 3] - key[:3, 3], axis=1) < 1e-3
        near &= angles(path[last:, :3, :3], key[:3, :3]) < np.radians(0.1)
        assert near.any()
        last += int(near.argmax())


def test_velocity_and_angular_velocity_are_continuous():
    keys = np.stack(
        [
            pose((0, 0, 0)),
            pose((0.2, 0, 0.1), (0.5, 0, 0)),
            pose((0.3, 0.2, 0.1), (0.5, 1, 0)),
            pose((0, 0.2, 0.3), (0, 1, 1)),
        ]
    )
    jumps = []
    for fps in (120.0, 480.0):
        v, omega = speeds(through(keys, fps=fps), fps)
        jumps.append([np.linalg.norm(np.diff(x, axis=0), axis=1).max() for x in (v, omega)])
    # What jumps keeps its size however finely it is sampled.
    assert (np.array(jumps[1]) < 0.3 * np.array(jumps[0])).all()
    assert jumps[1][0] < 0.01 * SPEED


def test_a_path_stops_where_it_turns_back():
    there = pose((0.2, 0, 0), (0, 0, 1))
    path = through(np.stack([np.eye(4), there, np.eye(4)]))
    (turning,) = np.flatnonzero(np.linalg.norm(path[:, :3, 3] - there[:3, 3], axis=1) < 1e-6)
    np.testing.assert_allclose(path[turning], there, atol=1e-9)
    v, _ = speeds(path)
    assert np.abs(v[turning - 1 : turning + 1]).max() < 0.02 * SPEED
    np.testing.assert_allclose(path[:, 1:3, 3], 0, atol=1e-12)


def test_two_key_poses_give_a_straight_way_and_one_axis():
    start, goal = pose((0, 0, 0), (0.1, 0.2, 0)), pose((0.1, 0.2, -0.1), (0.5, -1.0, 0.3))
    path = through(np.stack([start, goal]))
    part = np.linalg.norm(path[:, :3, 3] - start[:3, 3], axis=1) / np.linalg.norm(goal[:3, 3] - start[:3, 3])
    np.testing.assert_allclose(path[:, :3, 3], start[:3, 3] + part[:, None] * (goal - start)[:3, 3], atol=1e-12)
    slerp = Slerp([0, 1], Rotation.from_matrix(np.stack([start, goal])[:, :3, :3]))
    np.testing.assert_allclose(path[:, :3, :3], slerp(np.clip(part, 0, 1)).as_matrix(), atol=1e-9)
    # A bend between points on one line is none either.
    row = np.stack([pose((x, 2 * x, 0)) for x in (0.0, 0.05, 0.1, 0.3)])
    path = through(row)
    np.testing.assert_allclose(path[:, 1, 3], 2 * path[:, 0, 3], atol=1e-12)
    assert (np.diff(path[:, 0, 3]) >= 0).all()


def test_bends_are_slowed():
    hairpin = np.stack([pose((0, 0, 0)), pose((0.1, 0, 0)), pose((0.1, 0.02, 0)), pose((0, 0.02, 0))])
    path = through(hairpin, speed=0.5)
    v, _ = speeds(path)
    assert np.linalg.norm(np.diff(v, axis=0) * 30, axis=1).max() < 2.0  # m/s^2
    assert np.linalg.norm(v, axis=1).max() < 0.3


def test_start_and_stop_are_smooth_and_rests_last_as_asked():
    # 0.2 m at a peak of 0.2 m/s: the mean is 8/15 of it, so 1.875 s or 57 of 30 frames a second.
    path = through(np.stack([np.eye(4), pose((0.2, 0, 0))]), rest_frames=5, hold_frames=4)
    assert len(path) == 5 + 57 + 4
    assert (path[:5] == path[0]).all()
    assert path[5, 0, 3] > 0
    assert (path[-5:] == path[-1]).all()
    np.testing.assert_array_equal(path[0], np.eye(4))
    x = path[4:-4, 0, 3]
    tau = np.arange(58) / 57
    np.testing.assert_allclose(x, 0.2 * (10 * tau**3 - 15 * tau**4 + 6 * tau**5), atol=1e-9)
    fine = through(np.stack([np.eye(4), pose((0.2, 0, 0), (0, 0, 0.2))]), fps=1000.0)
    for speed in speeds(fine, 1000.0):
        acceleration = np.linalg.norm(np.diff(speed, axis=0), axis=1)  # zero while it rests
        assert np.abs(np.diff(acceleration)).max() < 0.01 * acceleration.max()  # no jump where it starts or stops


def test_a_lift_goes_up_and_nowhere_else():
    path = lift(STANDS, 0.25)
    np.testing.assert_allclose(path[:, :3, :3], np.broadcast_to(STANDS[:3, :3], (len(path), 3, 3)), atol=1e-12)
    np.testing.assert_allclose(path[:, :2, 3], np.broadcast_to(STANDS[:2, 3], (len(path), 2)), atol=1e-12)
    assert (np.diff(path[:, 2, 3]) >= 0).all()
    assert path[-1, 2, 3] == pytest.approx(0.31)
    assert_sound(path)
    assert np.linalg.norm(speeds(path)[0], axis=1).max() == pytest.approx(SPEED, rel=0.02)


@settings(deadline=None, max_examples=20)
@given(
    position=st.tuples(st.floats(0.2, 0.4), coordinates, st.floats(0.03, 0.2)),
    rotvec=vectors,
    height=st.floats(0.05, 0.3),
)
def test_a_carry_goes_up_over_and_down(position, rotvec, height):
    goal = pose(position, rotvec)
    path = carry(STANDS, goal, height)
    assert_sound(path)
    np.testing.assert_allclose(path[0], STANDS, atol=1e-9)
    np.testing.assert_allclose(path[-1], goal, atol=1e-9)
    z = path[:, 2, 3]
    low, high = sorted([STANDS[2, 3], position[2]])
    assert z.min() >= low - 1e-9
    assert z.max() <= high + height + 1e-9
    assert z.max() > high + 0.97 * height
    assert (np.diff(np.sign(np.diff(z)[np.diff(z) != 0])) != 0).sum() <= 1  # up, then down
    # The first and last centimetre is nearly vertical and hardly turns.
    before = np.arange(len(path)) < z.argmax()  # a path to a lower goal passes the height of its start once more
    for end, part in ((path[0], before), (path[-1], ~before)):
        near = part & (np.abs(z - end[2, 3]) < 0.01)
        near &= np.linalg.norm(path[:, :2, 3] - end[:2, 3], axis=1) < 0.1
        assert np.linalg.norm(path[near, :2, 3] - end[:2, 3], axis=1).max() < 0.004
        assert angles(path[near, :3, :3], end[:3, :3]).max() < 0.1
    sideways = path[:, :2, 3] - STANDS[:2, 3]
    assert np.abs(np.cross(np.pad(sideways, ((0, 0), (0, 1))), [*(goal - STANDS)[:2, 3], 0])).max() < 1e-9


def test_a_slide_keeps_height_and_tilt():
    tilted = STANDS @ pose((0, 0, 0), (0.4, 0.2, 0))
    goal = yaw_pose(2.0) @ tilted
    goal[:3, 3] = [-0.2, 0.1, STANDS[2, 3] + 5e-4]
    path = slide(tilted, goal)
    assert_sound(path)
    np.testing.assert_allclose(path[:, 2, 3], STANDS[2, 3], atol=1e-12)
    np.testing.assert_allclose(path[:, 2, :3], np.broadcast_to(tilted[2, :3], (len(path), 3)), atol=1e-12)  # z row
    np.testing.assert_allclose(path[-1, :2], goal[:2], atol=1e-9)
    with pytest.raises(ValueError, match=r"20\.0 mm higher and tilted by 0\.0"):
        slide(STANDS, pose((0, 0, 0.02)) @ STANDS)
    with pytest.raises(ValueError, match=r"tilted by 28\.6 degrees"):
        slide(STANDS, STANDS @ pose((0, 0, 0), (0.5, 0, 0)))


def test_a_swing_keeps_its_distance_from_the_axis():
    origin, axis = np.array([0.1, 0.3, 0.0]), np.array([0.0, 0.0, 2.0])
    door = lambda angle: swing(STANDS, origin, axis, angle)  # noqa: E731
    path = door(1.9)
    assert_sound(path)
    arm = path[:, :3, 3] - origin
    np.testing.assert_allclose(np.linalg.norm(arm[:, :2], axis=1), 0.35, atol=1e-12)
    np.testing.assert_allclose(path[:, 2, 3], STANDS[2, 3], atol=1e-12)
    np.testing.assert_allclose(path[-1], pose(origin) @ yaw_pose(1.9) @ pose(-origin) @ STANDS, atol=1e-12)
    # The handle stays as it is in the door's frame.
    np.testing.assert_allclose(door(-0.5)[-1], pose(origin) @ yaw_pose(-0.5) @ pose(-origin) @ STANDS, atol=1e-12)
    np.testing.assert_allclose(door(4.0)[-1, :3, :3], (yaw_pose(4.0) @ STANDS)[:3, :3], atol=1e-12)
    v, omega = (np.linalg.norm(x, axis=1).max() for x in speeds(door(4.0)))
    assert v == pytest.approx(0.35 * omega, rel=1e-3)


def test_a_draw_is_straight():
    path = draw(STANDS, np.array([3.0, 4.0, 0.0]), -0.2)
    assert_sound(path)
    moved = path[:, :3, 3] - STANDS[:3, 3]
    np.testing.assert_allclose(moved, np.linalg.norm(moved, axis=1)[:, None] * [-0.6, -0.8, 0.0], atol=1e-12)
    np.testing.assert_allclose(moved[-1], [-0.12, -0.16, 0.0], atol=1e-12)
    np.testing.assert_allclose(path[:, :3, :3], np.broadcast_to(STANDS[:3, :3], (len(path), 3, 3)), atol=1e-12)


def test_joints_move_as_fixtures_do():
    from unihm.simulation.fixtures import FIXTURES

    for name, Kind in FIXTURES.items():
        fixture = Kind(T_world_fixture=yaw_pose(0.7, (0.2, 0.1)))
        design, R = fixture.design, fixture.T_world_fixture[:3, :3]
        axis, upper = R @ np.array(design.axis), float(fixture.upper)
        if design.slides:
            path = draw(fixture.T_world_handle, axis, upper)
        else:
            anchor = R @ np.array(design.anchor) + fixture.T_world_fixture[:3, 3]
            path = swing(fixture.T_world_handle, anchor, axis, upper)
        np.testing.assert_allclose(path[-1], fixture.handle_at(np.array(upper)), atol=1e-9, err_msg=name)
        assert_sound(path)


def test_drawn_paths_stay_in_their_box_and_repeat():
    turned = []
    for seed in range(20):
        path = drawn_path(np.random.default_rng(seed), STANDS, LOW, HIGH)
        assert_sound(path, SPEEDS[1], TURN_SPEEDS[1])
        assert (path[:, :3, 3] >= LOW).all()
        assert (path[:, :3, 3] <= HIGH).all()
        np.testing.assert_allclose(path[0], STANDS, atol=1e-12)
        turned.append(angles(path[0, :3, :3], path[-1, :3, :3]))
    assert np.ptp(turned) > 1.0
    again = [drawn_path(np.random.default_rng(3), STANDS, LOW, HIGH, legs=1) for _ in range(2)]
    np.testing.assert_array_equal(*again)


NAN, SHEARED, MIRRORED = pose((np.nan, 0, 0)), np.eye(4), np.diag([1.0, 1.0, -1.0, 1.0])
SHEARED[0, 1] = 0.2
MOVE = np.stack([np.eye(4), pose((0.1, 0, 0))])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: through(MOVE[:1]), "at least two key poses, got 1"),
        (lambda: through(MOVE[[0, 0, 0]]), "All 3 key poses are the same"),
        (lambda: through(np.stack([np.eye(4), NAN])), "Pose 1 holds NaN"),
        (lambda: through(np.stack([SHEARED, np.eye(4)])), "Pose 0 holds no rotation"),
        (lambda: through(np.stack([np.eye(4), MIRRORED])), "Pose 1 holds no rotation"),
        (lambda: through(MOVE, speed=0.0), r"speed is 0\.0; expected a finite number above 0"),
        (lambda: through(MOVE, turn_speed=-1.0), r"turn_speed is -1\.0"),
        (lambda: through(MOVE, fps=float("nan")), "fps is nan"),
        (lambda: through(MOVE, tension=1.0), r"tension is 1\.0"),
        (lambda: through(MOVE, rest_frames=0), "0 rest and 10 hold frames"),
        (lambda: lift(STANDS, 0.0), r"height of a lift is 0\.0 m"),
        (lambda: lift(NAN, 0.1), "Pose 0 holds NaN"),
        (lambda: carry(STANDS, MOVE[1], -0.1), r"clearance height is -0\.1 m"),
        (lambda: carry(STANDS, STANDS, 0.1), "nothing goes over"),
        (lambda: slide(STANDS, STANDS), "All 2 key poses are the same"),
        (lambda: swing(STANDS, np.zeros(3), np.zeros(3), 1.0), "has no direction"),
        (lambda: swing(STANDS, np.zeros(3), np.ones(3), 0.0), r"angle of a swing is 0\.0 rad"),
        (lambda: swing(STANDS, np.full(3, np.nan), np.ones(3), 1.0), "passes through"),
        (lambda: draw(STANDS, np.full(3, np.nan), 0.1), "has no direction"),
        (lambda: draw(STANDS, np.ones(3), float("inf")), "distance of a draw is inf m"),
        (lambda: drawn_path(np.random.default_rng(0), STANDS, HIGH, LOW), "start inside of the box"),
        (lambda: drawn_path(np.random.default_rng(0), pose((0, 0, 9)), LOW, HIGH), "start inside of the box"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as refusal:
        call()
    assert "\n" not in str(refusal.value)


def test_a_slower_pace_takes_longer():
    usual, slow = (lift(STANDS, 0.2, pace) for pace in (GENH2R, Pace(speed=SPEEDS[0])))
    assert len(slow) - GENH2R.rest_frames - GENH2R.hold_frames == pytest.approx(
        2 * (len(usual) - GENH2R.rest_frames - GENH2R.hold_frames), abs=1
    )
