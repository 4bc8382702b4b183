from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from unihm.datasets import instructions
from unihm.generation.asked import SIZE, SLOTS, InstructionReader, direction, place
from unihm.geometry.object_frame import view_canonical
from unihm.schema.episode import Episode


def asking(slot: str, value: str) -> torch.Tensor:
    asked = torch.zeros(1, SIZE)
    asked[0, place(slot).start + SLOTS[slot].index(value)] = 1
    return asked


@pytest.mark.parametrize(
    ("slot", "value", "expected"),
    [
        ("approach", "front", [0.0, -1.0, 0.0]),
        ("approach", "behind", [0.0, 1.0, 0.0]),
        ("approach", "left", [-1.0, 0.0, 0.0]),
        ("approach", "right", [1.0, 0.0, 0.0]),
        ("approach", "above", [0.0, 0.0, 1.0]),
        ("travel", "closer", [0.0, -1.0, 0.0]),
        ("travel", "away", [0.0, 1.0, 0.0]),
        ("travel", "left", [-1.0, 0.0, 0.0]),
        ("travel", "right", [1.0, 0.0, 0.0]),
        ("travel", "up", [0.0, 0.0, 1.0]),
    ],
)
def test_directions_of_somebody_who_looks_along_y(slot, value, expected):
    asked = asking(slot, value)
    assert direction(asked, slot, torch.tensor([[0.0, 1.0]]))[0].tolist() == expected
    unseen = direction(asked, slot, torch.zeros(1, 2))[0].tolist()  # without a view there is only up
    assert unseen == (expected if expected[2] else [0.0, 0.0, 0.0])
    other = "travel" if slot == "approach" else "approach"
    assert not direction(asked, other, torch.tensor([[0.0, 1.0]])).any()


def test_half_a_chance_is_half_a_direction():
    asked = 0.5 * asking("approach", "front") + 0.25 * asking("approach", "above")
    assert direction(asked, "approach", torch.tensor([[1.0, 0.0]]))[0].tolist() == [-0.5, 0.0, 0.25]


@settings(max_examples=40, deadline=None)
@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(0.1, 1.2), st.floats(-3, 3))
def test_words_point_where_the_annotator_measured_them(canonical_yaw, camera_yaw, down, reach_yaw):
    """What is called "left" when an episode is put into words is "left" when the words are read."""
    # A camera's z looks ahead and down, its y down.
    R = Rotation.from_euler("z", camera_yaw) * Rotation.from_euler("x", -np.pi / 2 - down)
    T_world_camera, T_world_canonical = np.eye(4), np.eye(4)
    T_world_camera[:3, :3] = R.as_matrix()
    T_world_canonical[:3, :3] = Rotation.from_euler("z", canonical_yaw).as_matrix()
    reach = np.array([np.cos(reach_yaw), np.sin(reach_yaw), 0.0])
    episode = Episode(
        id="e", recording="r", dataset="d", subject="s", object_name="o", mirrored=False, fps=30.0,
        keypoints_world=np.zeros((1, 21, 3)), T_world_object=np.eye(4)[None], object_points=np.eye(3),
        object_normals=np.eye(3), T_world_camera=T_world_camera, instructions=("lift it",), contact_frame=0,
        lift_frame=0, attributes={},
    )  # fmt: skip
    word = instructions._side(episode, reach, 1.0, ("above", "front", "behind", "left", "right"))
    view = torch.from_numpy(view_canonical(T_world_camera, T_world_canonical)).float()[None]
    assert view.norm().item() == pytest.approx(1, abs=1e-5)
    score = {
        value: float(
            direction(asking("approach", value), "approach", view)[0].numpy() @ T_world_canonical[:3, :3].T @ reach
        )
        for value in SLOTS["approach"]
    }
    assert score[word] >= max(score.values()) - 1e-5


def test_a_camera_that_looks_down_gives_no_view():
    T = np.eye(4)
    T[:3, :3] = np.diag([1.0, -1.0, -1.0])
    assert not view_canonical(T, np.eye(4)).any()


def test_probabilities_are_some_and_none_without_words():
    torch.manual_seed(0)
    reader = InstructionReader(24).eval()
    words, mask = torch.randn(3, 5, 24), torch.ones(3, 5, dtype=torch.bool)
    mask[1] = False
    mask[2, 3:] = False
    asked = reader(words, mask)
    assert asked.shape == (3, SIZE)
    assert not asked[1].any()
    for slot in SLOTS:
        values = asked[[0, 2], place(slot)]
        if slot == "grip":
            assert (values.abs() <= 1).all()
        else:
            assert (values > 0).all()
            assert (values.sum(-1) < 1).all()  # the rest is that nothing is said
    assert sum(place(slot).stop - place(slot).start for slot in SLOTS) == SIZE
    changed = words.clone()
    changed[2, 3:] = 9.0  # padding is not read
    torch.testing.assert_close(reader(changed, mask)[2], asked[2])
