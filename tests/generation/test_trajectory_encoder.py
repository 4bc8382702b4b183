from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from unihm.generation.trajectory_encoder import FEATURES, HIDDEN, TrajectoryEncoder, path_features


def lift(frames: int = 8, rest: int = 3) -> torch.Tensor:
    """An object at rest that rises 2 cm a frame and turns 0.1 rad a frame about the vertical."""
    T = np.tile(np.eye(4), (frames, 1, 1))
    moving = np.clip(np.arange(frames) - rest, 0, None)
    T[:, :3, :3] = Rotation.from_rotvec(0.1 * moving[:, None] * [0.0, 0.0, 1.0]).as_matrix()
    T[:, :3, 3] = [0.5, -0.3, 0.06]
    T[:, 2, 3] += 0.02 * moving
    return torch.from_numpy(T).float()[None]


def test_features_of_a_lift_by_hand():
    x = path_features(lift(), torch.tensor([8]))[0]
    assert x.shape == (8, FEATURES)
    torch.testing.assert_close(x[:, 2], torch.tensor([0, 0, 0, 0, 0.2, 0.4, 0.6, 0.8]))  # z in units of 10 cm
    torch.testing.assert_close(x[:, 12], 0.6 + x[:, 2])  # height above the table
    torch.testing.assert_close(x[:, 11], torch.tensor([0, 0, 0, 0, 0.8, 0.8, 0.8, 0.8]))  # 4 frames of velocity
    torch.testing.assert_close(x[7, 3], torch.tensor(np.cos(0.4) - 1, dtype=torch.float32))
    torch.testing.assert_close(x[:, 13], torch.arange(8) / 30)
    torch.testing.assert_close(x[:, 14], (7 - torch.arange(8)) / 30)
    torch.testing.assert_close(x[:, 15], torch.arange(8) / 7)
    torch.testing.assert_close(x[:, 16], (torch.arange(8) - 4) / 30)  # more than 1 cm from frame 4 on


@settings(max_examples=25, deadline=None)
@given(x=st.floats(-1, 1), y=st.floats(-1, 1), yaw=st.floats(-3, 3))
def test_place_and_heading_on_the_table_do_not_matter(x, y, yaw):
    move = torch.eye(4)
    move[:2, :2] = torch.tensor([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    move[:2, 3] = torch.tensor([x, y])
    lengths = torch.tensor([8])
    torch.testing.assert_close(path_features(move @ lift(), lengths), path_features(lift(), lengths), atol=2e-5, rtol=0)


def test_height_above_the_table_matters():
    raised = lift()
    raised[..., 2, 3] += 0.1
    lengths = torch.tensor([8])
    assert (path_features(raised, lengths) - path_features(lift(), lengths)).abs().max() > 0.9


def test_padding_is_blank_and_changes_nothing():
    padded = torch.cat([lift(), lift()[:, -1:].expand(-1, 4, -1, -1)], dim=1)
    x = path_features(padded, torch.tensor([8]))
    torch.testing.assert_close(x[:, :8], path_features(lift(), torch.tensor([8])))
    assert (x[:, 8:] == 0).all()


def test_an_object_that_stays_and_a_single_frame_are_finite():
    still = torch.eye(4).expand(2, 4, 4, 4)
    assert path_features(still, torch.tensor([4, 1])).isfinite().all()


def test_one_token_a_chunk_through_512():
    encoder = TrajectoryEncoder(16, frames_per_chunk=4)
    assert encoder(lift(), torch.tensor([8])).shape == (1, 2, 16)
    assert HIDDEN == 512  # paper, C.3
