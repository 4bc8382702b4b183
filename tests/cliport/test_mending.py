"""Pieces of things: cut from made scenes whose masks are known, put together by the shipped network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unihm.cliport.instances import PART, THING, Instances
from unihm.cliport.mending import mended
from unihm.cliport.network import load_planner
from unihm.cliport.picture import picture
from unihm.scenes.composer import Staged, draw_scenes
from unihm.scenes.household import draw_object
from unihm.scenes.layout import Placed


@pytest.fixture(scope="module")
def network():
    return load_planner()[0]


@pytest.fixture(scope="module")
def example():
    orange = Placed(object=draw_object(np.random.default_rng(0), "orange"), T_world_object=np.eye(4), lying=False)
    return draw_scenes(11, "apart", views=1, staged=Staged(object=orange)).examples[0]


@pytest.fixture(scope="module")
def looked_at(example):
    scene = example.scene
    T = scene.camera.T_world_camera
    points = scene.camera.unproject(scene.depth) @ T[:3, :3].T + T[:3, 3]
    return picture("camera", colour=scene.color, points_world=points, valid=scene.depth > 0, T_world_camera=T)


def of_truth(example) -> Instances:
    kinds = tuple(THING if thing.joint is None else PART for thing in example.things)
    return Instances(labels=example.instances.astype(np.int64) - 1, kinds=kinds, handles=example.handles)


def encoded(network, looked_at, found: Instances):
    crops = looked_at.crop(np.stack([found.mask(i) for i in range(len(found))]))
    with torch.no_grad():
        return network.encode(torch.from_numpy(crops.images), torch.from_numpy(crops.measures))


ORANGE = 0


def cut_in_two(found: Instances, number: int, share: float, kind: str, handle: bool) -> Instances:
    """With the right part of an instance as one of its own."""
    mask = found.mask(number)
    u = np.nonzero(mask)[1]
    piece = mask & (np.arange(mask.shape[1])[None] > np.quantile(u, 1 - share))
    return Instances(
        labels=np.where(piece, len(found), found.labels),
        kinds=(*found.kinds, kind),
        handles=found.handles | (piece & handle),
    )


def test_what_is_whole_stays(network, looked_at, example):
    found = of_truth(example)
    result = mended(network, looked_at, found, encoded(network, looked_at, found))
    assert len(result.found) == len(found)
    assert not result.held_by
    for number in range(len(found)):
        assert any((result.found.mask(i) == found.mask(number)).all() for i in range(len(found)))


@pytest.mark.parametrize("kind", [THING, PART])
def test_a_piece_goes_back_to_its_thing(network, looked_at, example, kind: str):
    found = of_truth(example)
    pieces = cut_in_two(found, ORANGE, 0.2, kind, handle=False)
    result = mended(network, looked_at, pieces, encoded(network, looked_at, pieces))
    assert len(result.found) == len(found) == len(result.encoded)
    (again,) = [i for i in range(len(found)) if (result.found.mask(i) == found.mask(ORANGE)).all()]
    assert result.found.kinds[again] == THING
    # What is kept of it is its crop, not one of the pieces'.
    fresh = encoded(network, looked_at, result.found)
    assert torch.allclose(result.encoded.embedding, fresh.embedding, atol=1e-4)
    sizes = [np.count_nonzero(result.found.mask(i) & looked_at.valid) for i in range(len(found))]
    assert sizes == sorted(sizes, reverse=True)


def test_a_part_with_a_handle_stays_and_says_what_it_may_belong_to(network, looked_at, example):
    found = of_truth(example)
    pieces = cut_in_two(found, ORANGE, 0.2, PART, handle=True)
    result = mended(network, looked_at, pieces, encoded(network, looked_at, pieces))
    assert len(result.found) == len(pieces)
    ((part, thing),) = result.held_by.items()
    assert (result.found.mask(part) == pieces.mask(len(found))).all()
    assert (result.found.mask(thing) == pieces.mask(ORANGE)).all()


def test_pieces_far_apart_in_space_are_not_one(network, looked_at, example):
    found = of_truth(example)
    pieces = cut_in_two(found, ORANGE, 0.2, THING, handle=False)
    points = looked_at.points_world.copy()
    points[pieces.mask(len(found)), 1] += 0.1
    apart = type(looked_at)(**{**vars(looked_at), "points_world": points})
    known = encoded(network, looked_at, pieces)
    assert len(mended(network, apart, pieces, known).found) == len(pieces)
