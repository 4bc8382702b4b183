from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from generation_builders import LATENT, build_conditions
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from unihm.generation import prior_features
from unihm.generation.asked import SIZE
from unihm.generation.prior_features import WITH_PATH, WITHOUT_PATH, _sphere, blocks, sizes


def asked(batch: int) -> torch.Tensor:
    return torch.rand(batch, SIZE, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("names", [WITH_PATH, WITHOUT_PATH])
def test_sizes_are_those_of_the_blocks(names):
    found = blocks(build_conditions(batch=3), asked(3))
    assert {name: found[name].shape for name in names} == {n: (3, s) for n, s in sizes(names, LATENT).items()}
    assert set(found) == set(WITH_PATH) | set(WITHOUT_PATH)


@settings(max_examples=25, deadline=None)
@given(x=st.floats(-1, 1), y=st.floats(-1, 1), yaw=st.floats(-3, 3))
def test_place_and_heading_on_the_table_do_not_matter(x, y, yaw):
    c = build_conditions()
    move = torch.eye(4)
    move[:2, :2] = torch.tensor([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    move[:2, 3] = torch.tensor([x, y])
    here, there = (blocks(given, asked(2)) for given in (c, replace(c, T_world_canonical=move @ c.T_world_canonical)))
    for name, value in here.items():
        torch.testing.assert_close(there[name], value, atol=1e-4, rtol=1e-4, msg=name)


def test_only_the_height_says_how_high_the_table_is():
    c = build_conditions()
    raised = c.T_world_canonical.clone()
    raised[..., 2, 3] += 0.1
    here, there = (blocks(given, asked(2)) for given in (c, replace(c, T_world_canonical=raised)))
    for name, value in here.items():
        expected = value + 0.1 if name == "height" else value
        torch.testing.assert_close(there[name], expected, atol=1e-5, rtol=1e-4, msg=name)


def test_order_and_repetition_of_points_do_not_matter():
    c = build_conditions()
    order = torch.randperm(c.points.shape[1], generator=torch.Generator().manual_seed(1))
    points = torch.cat([c.points[:, order], c.points[:, :3]], dim=1)
    here, there = (blocks(given, asked(2)) for given in (c, replace(c, points=points)))
    for name, value in here.items():
        torch.testing.assert_close(there[name], value, msg=name)


def test_padding_changes_nothing():
    c = build_conditions()
    after = c.T_world_canonical[:, -1:].repeat(1, 8, 1, 1)
    after[..., 2, 3] += 1.0
    path = torch.cat([c.T_world_canonical, after], dim=1)
    for name, value in blocks(c, asked(2)).items():
        torch.testing.assert_close(blocks(replace(c, T_world_canonical=path), asked(2))[name], value, msg=name)


def test_a_ball_reaches_as_far_in_every_direction():
    ball = torch.randn(1, 20_000, 3, generator=torch.Generator().manual_seed(0))
    ball = 0.05 * ball / ball.norm(dim=-1, keepdim=True)
    c = replace(build_conditions(batch=1), points=ball)
    found = blocks(c, asked(1))
    torch.testing.assert_close(found["silhouette"], torch.full((1, 64), 0.05), atol=5e-4, rtol=0)
    torch.testing.assert_close(found["box"], torch.tensor([[0.05, 0.05, 0.05, -0.05, -0.05, -0.05]]), atol=5e-4, rtol=0)
    torch.testing.assert_close(_sphere(64).norm(dim=1), torch.ones(64))
    assert _sphere(64).mean(0).norm() < 0.01


def test_a_hand_that_follows_the_object_is_seen_where_it_was():
    """A palm that does not move is seen from the lifted object as farther below; by hand for a plain lift."""
    c = build_conditions(batch=1)
    path = torch.eye(4).repeat(1, 12, 1, 1)
    path[..., 2, 3] = 0.05 + 0.1 * (torch.arange(12) - 4).clamp(min=0) / 7
    c = replace(c, T_world_canonical=path)
    seen = blocks(c, asked(1))["palm_seen"].unflatten(1, (-1, 3))[0]
    torch.testing.assert_close(seen[-1], c.start.t[0] - torch.tensor([0, 0, 0.1]))
    # Turned as well, as NumPy sees it.
    path = path @ build_conditions(batch=1).T_world_canonical
    found = blocks(replace(c, T_world_canonical=path), asked(1))
    palm = np.eye(4)
    palm[:3, :3], palm[:3, 3] = c.start.R[0].numpy(), c.start.t[0].numpy()
    seen = np.linalg.inv(path[0, -1].double().numpy()) @ path[0, 0].double().numpy() @ palm
    np.testing.assert_allclose(found["palm_seen"][0, -3:], seen[:3, 3], atol=1e-5)
    np.testing.assert_allclose(found["palm_axes_seen"][0, -9:], seen[:3, :3].flatten(), atol=1e-5)
    torch.testing.assert_close(blocks(c, asked(1))["timing"], torch.tensor([[4.0, 11.0, 7.0]]) / 30)


def test_pivots_are_the_points_that_move_and_speed_up_least():
    """Against least squares on the steps themselves, with a weak pull to the origin; by SciPy's optimiser."""
    c = build_conditions(batch=2, frames=48)
    found = blocks(c, asked(2))["pivots"].unflatten(1, (-1, 2, 3))
    path = (torch.linalg.inv(c.T_world_canonical[:, :1]) @ c.T_world_canonical).double().numpy()
    moments = np.linspace(16, 47, 17).round().astype(int)  # from the lift to the end
    for row, T in enumerate(path[:, moments]):
        for window, (first, last) in enumerate(prior_features._WINDOWS):
            for order, small in ((1, prior_features._STILL), (2, prior_features._STEADY)):

                def cost(p, n=order, part=T[first:last], small=small):
                    return (np.diff(part[:, :3, :3] @ p + part[:, :3, 3], n, axis=0) ** 2).sum() + small * p @ p

                best = minimize(cost, np.zeros(3), tol=1e-12).x
                np.testing.assert_allclose(found[row, window, order - 1], best, atol=1e-4)


@pytest.mark.parametrize(
    ("heights", "expected"),
    [((0, 0.15, 0.3), (1, 1)), ((0, 0.2, 0), (1, 0)), ((0, 0, 0), (0, 0)), ((0, 0.02, 0), (0.38, 0))],
)
def test_lifts_placings_and_slides_differ(heights, expected):
    c = build_conditions(batch=1)
    path = c.T_world_canonical[:, :1].repeat(1, 3, 1, 1)
    path[0, :, 2, 3] += torch.tensor(heights)
    found = blocks(replace(c, T_world_canonical=path, lengths=torch.tensor([3]), lift=torch.tensor([1])), asked(1))
    assert found["rises"][0].tolist() == pytest.approx(expected, abs=0.01)
