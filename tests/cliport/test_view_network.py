"""The view network's shapes, file and formats."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from unihm.cliport.view_input import COLOUR_CHANNELS, VIEW_CHANNELS
from unihm.cliport.view_network import (
    VIEW_CLASSES,
    ViewConfig,
    ViewNetwork,
    half_where_fast,
    load_view_network,
    without_depth,
)

SMALL = ViewConfig(widths=(8, 16, 24))


def _network(config: ViewConfig = SMALL, seed: int = 0) -> ViewNetwork:
    torch.manual_seed(seed)
    return ViewNetwork(config).eval()


def _views(*shape: int) -> torch.Tensor:
    return torch.rand(shape[0], len(VIEW_CHANNELS), *shape[1:], generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", [(24, 32), (23, 45), (18, 32)])
def test_any_size_gives_maps_of_that_size(size):
    maps = _network()(_views(2, *size))
    assert maps.classes.shape == (2, len(VIEW_CLASSES), *size)
    assert maps.offsets.shape == (2, 2, *size)
    assert maps.classes.dtype == torch.float32


def test_views_of_a_batch_do_not_touch_each_other():
    network, views = _network(), _views(3, 24, 32)
    together = network(views).classes
    alone = torch.cat([network(view[None]).classes for view in views])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_without_depth_geometry_changes_nothing():
    network, views = _network(ViewConfig(widths=(8, 16), rgb_only=True)), _views(1, 24, 32)
    other = views.clone()
    other[:, COLOUR_CHANNELS:] = 0
    torch.testing.assert_close(network(views).classes, network(other).classes, atol=0, rtol=0)
    other[:, 0] = 0
    assert not torch.equal(network(views).classes, network(other).classes)


def test_the_ablation_begins_with_the_weights_of_what_needs_no_depth():
    network, views = _network(), _views(1, 24, 32)
    views[:, COLOUR_CHANNELS:] = 0
    small = without_depth(network)
    assert small.config.rgb_only
    assert not small.training
    torch.testing.assert_close(small(views).classes, network(views).classes, atol=1e-5, rtol=1e-4)


def test_half_precision_says_the_same():
    network, views = _network(), _views(1, 48, 64)
    with half_where_fast(torch.device("cpu")):
        half = network(views)
    whole = network(views)
    assert (half.classes - whole.classes).abs().max() < 0.05 * whole.classes.abs().max()
    assert half.classes.dtype == torch.float32


def test_maps_are_those_of_the_one_view():
    network, views = _network(), _views(1, 24, 32)
    classes, offsets = network.maps(views[0].numpy())
    with torch.inference_mode(), half_where_fast(torch.device("cpu")):
        maps = network(views)
    np.testing.assert_array_equal(classes, maps.classes[0].numpy())
    np.testing.assert_array_equal(offsets, maps.offsets[0].numpy())


def test_the_usual_network_is_small():
    weights = sum(p.numel() for p in ViewNetwork(ViewConfig()).parameters())
    assert 3.5e6 < weights < 4.5e6  # 9 MB in half precision


@pytest.mark.parametrize("rgb_only", [False, True])
def test_saved_weights_load_as_they_were(tmp_path, rgb_only):
    network = _network(ViewConfig(widths=(8, 16), rgb_only=rgb_only)).half().float()
    mark = network.save(tmp_path / "view.safetensors", {"seed": 3})
    loaded, card = load_view_network(tmp_path / "view.safetensors")
    assert loaded.config == network.config
    assert (card["seed"], card["fingerprint"], card["kind"]) == (3, mark, "view")
    views = _views(1, 24, 32)
    torch.testing.assert_close(loaded(views).offsets, network(views).offsets, atol=0, rtol=0)


def test_weights_for_other_inputs_are_refused(tmp_path):
    path = tmp_path / "view.safetensors"
    _network().save(path, {})
    card = json.loads(path.with_suffix(".json").read_text())
    for change, complaint in (
        ({"channels": ["red"]}, "trained with channels"),
        ({"offset_cells": 16.0}, "trained with offset_cells"),
        ({"config": {"depth": 3}}, "damaged"),
        ({"config": {**card["config"], "widths": [8, 16]}}, "does not fit"),
    ):
        path.with_suffix(".json").write_text(json.dumps({**card, **change}))
        with pytest.raises(ValueError, match=complaint):
            load_view_network(path)
