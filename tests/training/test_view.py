"""Training of the view network: its targets, its augmentation, and that it learns and resumes."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from view_scenes import HEIGHT, WIDTH, scene, scenes

from unihm.cliport.view_network import OFFSET_CELLS, VIEW_CLASSES, ViewMaps, ViewNetwork, load_view_network
from unihm.scene_data.rows import row_of
from unihm.scene_data.store import SceneStore
from unihm.schema.weights import read_tensors
from unihm.training.loop import fit
from unihm.training.unified import one_thread
from unihm.training.view import VIEW, ViewTask, ViewTraining, measured, train_view
from unihm.training.view_augmentation import ViewAugmentation, augmented, mirrored, view_batch, with_targets, zoomed
from unihm.training.view_data import ViewSet, gather_views, view_targets
from unihm.training.view_objective import best_overlaps, view_loss

CELLS = 96
NAMES = dict(zip(VIEW_CLASSES, range(len(VIEW_CLASSES)), strict=True))


@pytest.fixture(scope="module")
def views(tmp_path_factory) -> ViewSet:
    return gather_views(tmp_path_factory.mktemp("views"), scenes(3), 6, {}, CELLS)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    store = SceneStore.begin(folder, {"seed": 0})
    store.write(0, [row_of(one, f"0-{i}") for i, one in enumerate(scenes(3))])
    return folder


def _truth(batch) -> ViewMaps:
    """What a perfect network would say."""
    return ViewMaps(classes=(batch.classes + 1e-6).log(), offsets=batch.offsets.clone())


# Targets


def test_targets_of_a_disc_and_a_drawer_by_hand():
    instances = np.zeros((48, 64), np.uint8)
    instances[8:16, 8:17] = 1  # odd width: the last column of cells is covered by half
    instances[24:40, 20:60] = 2
    handles = np.zeros_like(instances, dtype=bool)
    handles[30:34, 30:50] = True
    found = view_targets(instances, handles, np.array([False, True]), 32)
    assert found.thing.shape == (24, 32)
    assert (found.coverage[4:8, 4:8] == 255).all()
    assert (found.coverage[4:8, 8] == 128).all()
    assert (found.coverage[4:8, 9] == 0).all()
    assert found.thing[5, 9] == 1  # beside it, and known to be
    assert found.thing[5, 10] == 0
    assert (found.part[4:8, 4:9] == NAMES["thing"]).all()
    assert (found.part[15:17, 15:25] == NAMES["handle"]).all()
    assert found.part[13, 12] == NAMES["panel"]
    assert (found.part[:2] == 0).all()


def test_offsets_lead_to_the_middle_of_each_thing(views):
    batch = view_batch(views, np.array([0, 3]))
    row, column = np.mgrid[: batch.things.shape[1], : batch.things.shape[2]]
    for k in range(2):
        truth = scenes(3)[3 * k].instances
        for thing in (1, 2, 3):
            v, u = (x.mean() for x in np.nonzero(truth == thing))
            here = (batch.things[k].numpy() == thing) & (batch.votes[k].numpy() > 0)
            right, down = OFFSET_CELLS * batch.offsets[k].numpy()
            # Pixel centres are whole numbers, and so are those of cells: the middle of two pixels is half a cell on.
            # Where two things share cells, each cell is one thing's alone.
            near = 0.01 if thing == 3 else 0.3
            np.testing.assert_allclose((column + right)[here], (u + 0.5) / 2 - 0.5, atol=near)
            np.testing.assert_allclose((row + down)[here], (v + 0.5) / 2 - 0.5, atol=near)
            assert here.sum() >= (truth == thing).sum() / 4
    torch.testing.assert_close(batch.classes.sum(dim=1), torch.ones(2, *row.shape))


def test_what_was_stored_is_what_the_image_shows(views):
    example = scenes(3)[1]
    batch = view_batch(views, np.array([1]))
    colour = example.scene.color.reshape(HEIGHT // 2, 2, WIDTH // 2, 2, 3).mean(axis=(1, 3)) / 255
    np.testing.assert_allclose(batch.views[0, :3].numpy(), np.moveaxis(colour, -1, 0), atol=1.1 / 255)
    up = batch.views[0, 7].numpy()
    assert np.median(up[up > 0]) == pytest.approx(1, abs=0.01)
    np.testing.assert_array_equal(views.whole(5), scenes(3)[5].instances)


def test_no_scene_is_in_both_parts(views):
    assert views.training.tolist() == [0, 1, 2, 3]
    assert views.held_out.tolist() == [4, 5]


def test_one_scene_is_too_few(tmp_path):
    with pytest.raises(ValueError, match="too few"):
        gather_views(tmp_path, scenes(1), 2, {}, CELLS)


def test_images_of_another_number_or_size_are_refused(tmp_path):
    with pytest.raises(ValueError, match="There are 2 images, expected 3"):
        gather_views(tmp_path, scenes(1), 3, {}, CELLS)
    small = replace(scene(0, 0), instances=np.zeros((10, 10), np.uint8), handles=np.zeros((10, 10), bool))
    with pytest.raises(ValueError, match="expected one size"):
        gather_views(tmp_path, [scene(0, 0), small], 2, {}, CELLS)


def test_a_run_goes_on_with_the_images_that_it_began_with(tmp_path):
    first = gather_views(tmp_path, scenes(2), 4, {}, CELLS)
    grown = gather_views(tmp_path, scenes(3), 6, {}, CELLS, resume=True)
    assert len(grown.training) == len(first.training) == 2
    assert len(gather_views(tmp_path, scenes(3), 6, {}, CELLS).training) == 4


# Augmentation


def test_mirrored_targets_are_the_targets_of_the_mirrored_image(views):
    batch = view_batch(views, np.array([2]))
    stored = views.targets(2)
    labels = torch.from_numpy(np.stack([stored.thing, stored.part, stored.coverage / 255]).astype(np.float32))
    inputs, labels = mirrored(batch.views[0], labels)
    turned = with_targets(inputs[None], labels[None])
    torch.testing.assert_close(turned.classes, batch.classes.flip(-1))
    torch.testing.assert_close(turned.offsets[:, 1], batch.offsets[:, 1].flip(-1))
    torch.testing.assert_close(turned.offsets[:, 0], -batch.offsets[:, 0].flip(-1), atol=1e-5, rtol=0)
    # The same from a mirrored scene: its colours flip, its normals to the right change sign.
    example = scenes(3)[2]
    flipped = replace(
        example,
        scene=replace(
            example.scene, color=example.scene.color[:, ::-1].copy(), depth=example.scene.depth[:, ::-1].copy()
        ),
        instances=example.instances[:, ::-1].copy(),
        handles=example.handles[:, ::-1].copy(),
    )
    again = gather_views(views.folder.parent / "flipped", [flipped, scene(7, 0)], 2, {}, CELLS)
    seen = view_batch(again, np.array([0]))
    torch.testing.assert_close(seen.classes, turned.classes, atol=0.01, rtol=0)
    torch.testing.assert_close(seen.views[:, :3], turned.views[:, :3], atol=0.005, rtol=0)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000))
def test_augmented_images_stay_consistent(views, seed):
    rng = np.random.default_rng(seed)
    stored = views.targets(0)
    labels = torch.from_numpy(np.stack([stored.thing, stored.part, stored.coverage / 255]).astype(np.float32))
    inputs, labels = augmented(torch.from_numpy(views.inputs(0)), labels, ViewAugmentation(), rng)
    batch = with_targets(inputs[None], labels[None])
    assert torch.isfinite(batch.views).all()
    assert ((batch.views[:, :3] >= 0) & (batch.views[:, :3] <= 1)).all()
    assert (batch.views[:, 4:] * (batch.views[:, 3:4] == 0) == 0).all()
    torch.testing.assert_close(batch.classes.sum(dim=1), torch.ones_like(batch.classes[:, 0]))
    assert view_loss(_truth(batch), batch)[0] < 1.0


def test_zoomed_things_grow_as_said(views):
    stored = views.targets(0)
    labels = torch.from_numpy(np.stack([stored.thing, stored.part, stored.coverage / 255]).astype(np.float32))
    inputs = torch.from_numpy(views.inputs(0))

    how = ViewAugmentation(zoom=1.3)
    for seed in range(6):
        size = 1.3 ** np.random.default_rng(seed).uniform(-1, 1)  # the first number that is drawn
        seen, grown = zoomed(inputs, labels, how, np.random.default_rng(seed))
        if size > 1:
            continue  # things may leave the image
        assert seen[3].mean() == pytest.approx(float(inputs[3].mean()) * size**2, rel=0.05)
        before, after = (float((x[2] * (x[0] == 1)).sum()) for x in (labels, grown))
        assert after / before == pytest.approx(size**2, rel=0.05)


# Objective


def test_overlaps_by_hand():
    truth = np.array([[1, 1, 0, 2], [1, 1, 0, 2], [0, 0, 0, 3]])
    labels = np.array([[0, 0, 0, 1], [0, -1, -1, -1], [-1, -1, 2, 2]])
    np.testing.assert_allclose(best_overlaps(labels, truth, 2), [3 / 5, 1 / 2])
    np.testing.assert_allclose(best_overlaps(labels, truth, 1), [3 / 5, 1 / 2, 1 / 2])
    np.testing.assert_array_equal(best_overlaps(np.full((3, 4), -1), truth, 1), [0, 0, 0])


def test_the_truth_costs_least(views):
    batch = view_batch(views, np.array([0, 1]))
    least, figures = view_loss(_truth(batch), batch)
    assert figures["dice"] < 0.06
    assert figures["offsets"] == 0
    wrong = batch.classes.clone()
    wrong[0, :, batch.things[0] == 2] = torch.tensor([1.0, 0, 0, 0])[:, None]  # one thing of six is not seen
    loss, missing = view_loss(ViewMaps(classes=(wrong + 1e-6).log(), offsets=batch.offsets), batch)
    assert loss > least
    assert missing["dice"] - figures["dice"] == pytest.approx(1 / 6, abs=0.02)
    _, astray = view_loss(ViewMaps(classes=_truth(batch).classes, offsets=batch.offsets + 0.5), batch)
    assert astray["offsets"] == pytest.approx(1.0, abs=1e-5)


# Training


def brief(epochs: int = 2) -> ViewTraining:
    tiny = VIEW["tiny"]
    return replace(tiny, loop=replace(tiny.loop, epochs=epochs, checkpoint_steps=1))


def test_two_images_are_learned_by_heart(views):
    torch.manual_seed(0)
    network = ViewNetwork(VIEW["tiny"].network)
    batch = view_batch(views, views.held_out)
    optimizer = torch.optim.AdamW(network.parameters(), lr=6e-3)
    with one_thread():
        for _ in range(70):
            loss, _ = view_loss(network(batch.views), batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert measured(network.eval(), views, views.held_out)["iou"] > 0.9


def test_training_to_weights_and_back(store, tmp_path):
    result = train_view(store, tmp_path, preset=brief(1), seed=2)
    network, card = load_view_network(result["weights"])
    assert network.config.cells == CELLS
    assert card["fingerprint"] == result["fingerprint"]
    assert card["figures"] == result["figures"]
    assert (card["training_images"], card["held_out_images"]) == (4, 2)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert 0 <= lines[-1]["iou"] <= 1
    further = train_view(store, tmp_path / "further", preset=brief(1), start=result["weights"])
    assert further["fingerprint"] != result["fingerprint"]
    rgb = train_view(store, tmp_path / "rgb", preset=brief(1), start=result["weights"], rgb_only=True)
    assert load_view_network(rgb["weights"])[0].config.rgb_only
    with pytest.raises(ValueError, match="does not fit"):
        train_view(store, tmp_path / "back", preset=brief(1), start=rgb["weights"])


def test_resumed_equals_uninterrupted(views, tmp_path):
    tensors = {}
    for name, stops in (("whole", (None,)), ("parts", (1, 3, None))):
        for i, stop in enumerate(stops):
            task = ViewTask(views, brief())
            torch.manual_seed(0)
            fit(
                ViewNetwork(task.config.network), task.loss, task.batches, task.config.loop, tmp_path / name,
                steps_per_epoch=task.steps_per_epoch, resume=i > 0, on_epoch_end=task.validate, stop_after=stop,
            )  # fmt: skip
        tensors[name] = read_tensors(tmp_path / name / "checkpoint.safetensors")[0]
    assert tensors["whole"].keys() == tensors["parts"].keys()
    for key, tensor in tensors["whole"].items():
        assert torch.equal(tensor, tensors["parts"][key]), key


def test_the_same_seed_draws_the_same_batch(views):
    one, same, other = (view_batch(views, np.arange(3), ViewAugmentation(), seed).views for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
