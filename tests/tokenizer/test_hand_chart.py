"""Charts: what goes in comes out, poses turn with the frame, and they begin as a linear regression."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from unihm.geometry.lie import se3_exp, se3_log
from unihm.tokenizer.features import PALM_SIZE
from unihm.tokenizer.hand_chart import HandChart, ReferenceChart, join


def chart(joints: int = 5, latent: int = 8, seed: int = 0, std: float = 0.3) -> HandChart:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = HandChart(joints, latent, width=16, couplings=3).double()
        for parameter in made.parameters():
            torch.nn.init.normal_(parameter, std=std)
        made.gain.data += 2 * torch.eye(latent)
    return made


def features(count: int, joints: int, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    R = Rotation.random(count, random_state=rng).as_matrix()
    x = np.concatenate([rng.normal(size=(count, 3)), R[:, :, 0], R[:, :, 1], rng.uniform(-1, 1, (count, joints))], 1)
    return torch.from_numpy(x)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), joints=st.integers(1, 8))
def test_a_hand_that_is_encoded_and_decoded_comes_back_as_it_was(seed, joints):
    made, x = chart(joints, seed=seed), features(6, joints, seed)
    torch.testing.assert_close(made.decode(made.encode(x)), x, atol=1e-5, rtol=0)


def test_joints_do_not_depend_on_where_the_palm_is_and_the_palm_turns_with_the_frame():
    made, x = chart(), features(4, 5)
    pose = made.encode(x)
    T = torch.eye(4, dtype=torch.float64)
    T[:3, :3] = torch.from_numpy(Rotation.from_rotvec([0.3, -1.0, 0.4]).as_matrix())
    T[:3, 3] = torch.tensor([0.1, 0.5, -0.2])
    moved = x.clone()
    moved[:, :3] = x[:, :3] @ T[:3, :3].T + T[:3, 3] / 0.1
    moved[:, 3:PALM_SIZE] = (x[:, 3:PALM_SIZE].reshape(-1, 2, 3) @ T[:3, :3].T).reshape(-1, 6)
    other = made.encode(moved)
    torch.testing.assert_close(other.fingers, pose.fingers)
    torch.testing.assert_close(other.R, T[:3, :3] @ pose.R)
    torch.testing.assert_close(other.t, pose.t @ T[:3, :3].T + T[:3, 3])


def test_the_palm_offset_is_what_the_chart_says():
    made = chart()
    pose = made.encode(features(3, 5))
    x = made.decode(pose)
    T = made.T_reference_palm(pose.fingers)
    torch.testing.assert_close(x[:, :3] * 0.1, pose.t + (pose.R @ T[:, :3, 3:])[..., 0])


def test_leading_axes_are_kept_and_joined():
    made, x = chart(), features(6, 5)
    flat, shaped = made.encode(x), made.encode(x.reshape(2, 3, -1))
    torch.testing.assert_close(shaped.fingers.reshape(6, -1), flat.fingers)
    torch.testing.assert_close(join(torch.cat, [shaped[0], shaped[1]]).R, flat.R)
    torch.testing.assert_close(made.decode(shaped), x.reshape(2, 3, -1), atol=1e-5, rtol=0)


def test_the_start_is_the_linear_regression():
    rng = np.random.default_rng(0)
    fingers, slope = rng.normal(size=(500, 6)), rng.normal(size=(4, 6))
    joints = fingers @ slope.T + 0.3
    made = HandChart(4, 6, width=8, couplings=2)
    made.start_from(*(torch.from_numpy(a).float() for a in (fingers, joints, np.full((500, 6), 0.1))))
    shown = made.joints_of(torch.from_numpy(fingers).float()).detach().numpy()
    np.testing.assert_allclose(shown, joints, atol=2e-2)
    T = made.T_reference_palm(torch.zeros(1, 6)).detach()
    torch.testing.assert_close(se3_log(T), torch.full((1, 6), 0.1))
    torch.testing.assert_close(T, se3_exp(torch.full((1, 6), 0.1)))


def test_joints_that_follow_nothing_still_have_an_inverse():
    fingers = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    made = HandChart(3, 6, width=8, couplings=2)
    made.start_from(fingers, torch.zeros(200, 3), torch.zeros(200, 6))
    joints = torch.rand(5, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(made.joints_of(made.fingers_of(joints)), joints, atol=1e-4, rtol=0)


def test_the_reference_hand_is_its_own_latent_pose():
    made, x = ReferenceChart(5, 8), features(4, 5)
    pose = made.encode(x)
    torch.testing.assert_close(pose.fingers, torch.nn.functional.pad(x[:, PALM_SIZE:], (0, 3)))
    torch.testing.assert_close(made.decode(pose), x)


def test_hands_with_too_many_joints_are_refused():
    with pytest.raises(ValueError, match="A hand with 9 joints needs at least as many latent fingers"):
        HandChart(9, 8)
    with pytest.raises(ValueError, match="does not fit into 4 latent fingers"):
        ReferenceChart(5, 4)
