from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.spatial import cKDTree
from torch.nn.functional import binary_cross_entropy_with_logits
from transformers import SamMaskDecoderConfig
from transformers.models.sam.modeling_sam import SamTwoWayTransformer

from unihm.perception.point_sam import PointSAM, PointSAMConfig, load_point_sam, segment
from unihm.perception.point_sam_parts import interpolate, interpolation

TINY = PointSAMConfig(
    patches=16,
    patch_size=8,
    patch_hidden=(16, 32),
    patch_width=32,
    width=32,
    depth=2,
    heads=4,
    mlp=48,
    tokens=32,
    decoder_heads=4,
    decoder_mlp=64,
    iou_width=32,
)

# Some of each part of the published weights, from their source.
PUBLISHED = {
    "pc_encoder.patch_embed.patch_encoder.conv1.0.weight": (128, 6),
    "pc_encoder.patch_embed.patch_encoder.conv1.1.weight": (128,),
    "pc_encoder.patch_embed.patch_encoder.conv1.3.weight": (128, 128),
    "pc_encoder.patch_embed.patch_encoder.conv2.0.weight": (512, 256),
    "pc_encoder.patch_embed.patch_encoder.conv2.1.bias": (512,),
    "pc_encoder.patch_embed.patch_encoder.conv2.3.weight": (512, 512),
    "pc_encoder.patch_proj.weight": (1024, 512),
    "pc_encoder.pos_embed.0.weight": (128, 3),
    "pc_encoder.pos_embed.2.weight": (1024, 128),
    "pc_encoder.transformer.blocks.0.norm1.weight": (1024,),
    "pc_encoder.transformer.blocks.0.attn.q_proj.weight": (1024, 1024),
    "pc_encoder.transformer.blocks.0.attn.q_proj.bias": (1024,),
    "pc_encoder.transformer.blocks.0.attn.k_proj.weight": (1024, 1024),
    "pc_encoder.transformer.blocks.0.attn.v_proj.bias": (1024,),
    "pc_encoder.transformer.blocks.0.attn.proj.weight": (1024, 1024),
    "pc_encoder.transformer.blocks.0.norm2.bias": (1024,),
    "pc_encoder.transformer.blocks.23.mlp.fc1_g.weight": (2730, 1024),
    "pc_encoder.transformer.blocks.23.mlp.fc1_x.bias": (2730,),
    "pc_encoder.transformer.blocks.23.mlp.norm.weight": (2730,),
    "pc_encoder.transformer.blocks.23.mlp.fc2.weight": (1024, 2730),
    "pc_encoder.transformer.fc_norm.weight": (1024,),
    "pc_encoder.out_proj.weight": (256, 1024),
    "point_encoder.pe_layer.positional_encoding_gaussian_matrix": (3, 128),
    "point_encoder.point_embeddings.0.weight": (1, 256),
    "point_encoder.point_embeddings.1.weight": (1, 256),
    "mask_encoder.patch_encoder.conv1.0.weight": (128, 4),
    "mask_encoder.patch_encoder.conv2.3.weight": (256, 512),
    "mask_encoder.no_mask_embed.weight": (1, 256),
    "mask_decoder.transformer.layers.0.self_attn.q_proj.weight": (256, 256),
    "mask_decoder.transformer.layers.0.norm1.weight": (256,),
    "mask_decoder.transformer.layers.1.cross_attn_token_to_image.k_proj.weight": (128, 256),
    "mask_decoder.transformer.layers.1.cross_attn_image_to_token.out_proj.weight": (256, 128),
    "mask_decoder.transformer.layers.1.mlp.lin1.weight": (2048, 256),
    "mask_decoder.transformer.layers.1.mlp.lin2.weight": (256, 2048),
    "mask_decoder.transformer.layers.1.norm4.bias": (256,),
    "mask_decoder.transformer.final_attn_token_to_image.v_proj.weight": (128, 256),
    "mask_decoder.transformer.norm_final_attn.weight": (256,),
    "mask_decoder.iou_token.weight": (1, 256),
    "mask_decoder.mask_tokens.weight": (4, 256),
    "mask_decoder.output_hypernetworks_mlps.3.layers.2.weight": (256, 256),
    "mask_decoder.output_upscaling.0.weight": (256, 256),
    "mask_decoder.output_upscaling.1.weight": (256,),
    "mask_decoder.output_upscaling.3.weight": (256, 256),
    "mask_decoder.iou_prediction_head.layers.0.weight": (256, 256),
    "mask_decoder.iou_prediction_head.layers.2.weight": (4, 256),
}
# What the published file holds besides; at the tiny width where it depends on it.
OF_IMAGES = {
    "pc_encoder.transformer.cls_token": (1, 1, 32),
    "pc_encoder.transformer.pos_embed": (1, 1025, 32),
    "pc_encoder.transformer.patch_embed.proj.weight": (32, 3, 14, 14),
    "pc_encoder.transformer.patch_embed.proj.bias": (32,),
    "pc_encoder.transformer.head.weight": (1000, 32),
    "pc_encoder.transformer.head.bias": (1000,),
}


@pytest.fixture(scope="module")
def model() -> PointSAM:
    torch.manual_seed(0)
    return PointSAM(TINY).eval()


@pytest.fixture(scope="module")
def scene():
    """Two clouds in the unit ball, with colours and three clicks on points of each."""
    rng = torch.Generator().manual_seed(1)
    points = torch.randn(2, 100, 3, generator=rng)
    points = points - points.mean(dim=1, keepdim=True)
    points = points / points.norm(dim=-1).amax(dim=1)[:, None, None]
    return points, 2 * torch.rand(2, 100, 3, generator=rng) - 1, points[:, 40:43], torch.tensor([[1, 0, 1], [1, 1, 0]])


def checkpoint(model: PointSAM) -> dict[str, torch.Tensor]:
    return {**model.state_dict(), **{name: torch.ones(shape) for name, shape in OF_IMAGES.items()}}


def test_names_and_shapes_are_the_published_ones():
    with torch.device("meta"):
        state = PointSAM(PointSAMConfig()).state_dict()
    assert {name: tuple(state[name].shape) for name in PUBLISHED} == PUBLISHED
    assert "pc_encoder.transformer.blocks.0.attn.k_proj.bias" not in state
    # Per part: encoder 12 + 2 + 4 + 24 x 19 + 2 + 2; clicks 1 + 2; masks 12 + 1; decoder 2 x 36 + 10 + 2 + 24 + 6 + 6.
    counts = Counter(name.split(".")[0] for name in state)
    assert counts == {"pc_encoder": 478, "point_encoder": 3, "mask_encoder": 13, "mask_decoder": 120}


def test_the_two_way_transformer_is_the_one_of_sam(model):
    config = SamMaskDecoderConfig(
        hidden_size=32, num_attention_heads=4, mlp_dim=64, layer_norm_eps=1e-5, attn_implementation="eager"
    )
    reference = SamTwoWayTransformer(config).eval()
    own = model.mask_decoder.transformer
    reference.load_state_dict({name.replace("norm", "layer_norm"): x for name, x in own.state_dict().items()})
    rng = torch.Generator().manual_seed(2)
    queries = torch.randn(2, 7, 32, generator=rng)
    cloud, positions = torch.randn(2, 2, 9, 32, generator=rng)
    got = own(queries, cloud, positions)
    # SAM has images of height x width and several sets of clicks an image; here height and sets are one.
    expected = reference(
        queries[:, None],
        cloud.mT[:, :, None],
        positions.mT[:, :, None],
        attention_similarity=None,
    )
    for a, b in zip(got, expected[:2], strict=True):
        torch.testing.assert_close(a, b[:, 0])


def test_three_neighbours_are_weighted_by_inverse_squares():
    rng = np.random.default_rng(3)
    points, centres, values = rng.normal(size=(50, 3)), rng.normal(size=(9, 3)), rng.normal(size=(9, 4))
    points[0] = centres[5]  # no division by 0; all weight on it
    tensors = (torch.as_tensor(x)[None] for x in (points, centres, values))
    points_t, centres_t, values_t = tensors
    index, weights = interpolation(points_t, centres_t)
    got = interpolate(values_t, index, weights)[0].numpy()

    distance, nearest = cKDTree(centres).query(points, k=3)
    share = 1 / np.maximum(distance**2, 1e-8)
    expected = np.einsum("nk,nkc->nc", share / share.sum(axis=1, keepdims=True), values[nearest])
    np.testing.assert_allclose(got, expected, atol=1e-9)
    np.testing.assert_allclose(got[0], values[5], atol=1e-6)


def test_shapes_and_batches_do_not_mix(model, scene):
    points, colours, prompts, labels = scene
    with torch.no_grad():
        masks, iou = model(points, colours, prompts, labels)
        alone, alone_iou = model(points[1:], colours[1:], prompts[1:], labels[1:])
    assert masks.shape == (2, 3, 100)
    assert iou.shape == (2, 3)
    torch.testing.assert_close(alone, masks[1:])
    torch.testing.assert_close(alone_iou, iou[1:])


def test_every_click_and_the_last_mask_matter(model, scene):
    points, colours, prompts, labels = scene
    with torch.no_grad():
        cloud = model.encode(points, colours)
        masks, _ = model.decode(cloud, prompts, labels)
        fewer, _ = model.decode(cloud, prompts[:, :2], labels[:, :2])
        flipped, _ = model.decode(cloud, prompts, 1 - labels)
        reordered, _ = model.decode(cloud, prompts.flip(1), labels.flip(1))
        refined, iou = model.decode(cloud, prompts, labels, previous=masks[:, 0])
        other, _ = model.decode(cloud, prompts, labels, previous=masks[:, 1])
    assert (masks - fewer).abs().max() > 1e-3
    assert (masks - flipped).abs().max() > 1e-3
    torch.testing.assert_close(reordered, masks)
    assert refined.shape == (2, 1, 100)
    assert iou.shape == (2, 1)
    assert (refined - other).abs().max() > 1e-4


def test_a_small_cloud_has_fewer_patches(model, scene):
    points, colours, prompts, labels = scene
    masks, _ = model(points[:, :5], colours[:, :5], prompts, labels)
    assert masks.shape == (2, 3, 5)
    assert torch.isfinite(masks).all()
    with pytest.raises(ValueError, match="at least 3 points"):
        model.encode(points[:, :2], colours[:, :2])


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_checkpoint_loads_strictly(model, scene, tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(checkpoint(model), path)
    torch.manual_seed(9)
    loaded = load_point_sam(path, TINY)
    with torch.no_grad():
        for a, b in zip(loaded(*scene), model(*scene), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_other_weights_are_refused_by_name(model, tmp_path):
    path = tmp_path / "model.safetensors"

    def refused(change) -> str:
        tensors = checkpoint(model)
        change(tensors)
        save_file(tensors, path)
        with pytest.raises(ValueError, match="does not fit the model") as error:
            load_point_sam(path, TINY)
        assert "\n" not in str(error.value)
        return str(error.value)

    name = "mask_decoder.iou_token.weight"
    assert f"missing {name}" in refused(lambda tensors: tensors.pop(name))
    assert "unexpected pc_encoder.more" in refused(lambda tensors: tensors.update({"pc_encoder.more": torch.ones(1)}))
    message = refused(lambda tensors: tensors.update({name: torch.ones(2, 32)}))
    assert f"misshapen {name} (2, 32) instead of (1, 32)" in message


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_damaged_and_foreign_files_are_refused_in_one_line(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    with pytest.raises(ValueError, match="does not exist"):
        load_point_sam(path, TINY)
    for content in (b"", b"no weights at all", bytes(range(256))):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is damaged") as error:
            load_point_sam(path, TINY)
        assert "\n" not in str(error.value)


def test_what_is_no_state_of_a_network_is_refused(tmp_path):
    path = tmp_path / "model.pt"
    torch.save({"epoch": 3}, path)
    with pytest.raises(ValueError, match="tensors by name"):
        load_point_sam(path, TINY)
    torch.save({"config": TINY}, path)  # reading it would run code
    with pytest.raises(ValueError, match="is damaged or no weights file"):
        load_point_sam(path, TINY)


def blobs(batch: int, rng: torch.Generator):
    """A red and a blue blob, either of them on the left, a click on one of them, and which points are of it."""
    which = torch.arange(60) % 2 == 0
    apart = torch.tensor([1.0, 0.0, 0.0]) * (2 * torch.randint(2, (batch, 1, 1), generator=rng) - 1)
    points = torch.where(which[:, None], apart, -apart) + 0.3 * torch.randn(batch, 60, 3, generator=rng)
    points = points - points.mean(dim=1, keepdim=True)
    points = points / points.norm(dim=-1).amax(dim=1)[:, None, None]
    colours = torch.where(which[:, None], torch.tensor([0.8, -0.8, -0.8]), torch.tensor([-0.8, -0.8, 0.8]))
    colours = (colours + 0.1 * torch.randn(batch, 60, 3, generator=rng)).clamp(-1, 1)
    click = torch.randint(60, (batch,), generator=rng)
    return points, colours, points[torch.arange(batch), click][:, None], which == which[click][:, None]


def overlap(masks: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    return (masks & truth).sum(dim=-1) / (masks | truth).sum(dim=-1)


@pytest.fixture(scope="module")
def trained() -> PointSAM:
    """A tiny model that has seen a thousand pairs of blobs."""
    torch.manual_seed(4)
    rng = torch.Generator().manual_seed(5)
    model = PointSAM(replace(TINY, patches=8))
    # Slower waves than the published ones, which take far more than a thousand pairs to make sense of.
    model.point_encoder.pe_layer.positional_encoding_gaussian_matrix.mul_(0.2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=80)
    for _ in range(80):
        points, colours, click, truth = blobs(16, rng)
        masks, iou = model(points, colours, click, torch.ones(16, 1, dtype=torch.int64))
        each = truth[:, None].expand_as(masks)
        # All guesses learn the mask: if only the best did, one would learn red and one blue, whatever the click.
        loss = binary_cross_entropy_with_logits(masks, each.float())
        quality = (iou - overlap(masks > 0, each)).square().mean()
        optimizer.zero_grad()
        (loss + quality).backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def test_a_tiny_model_learns_what_a_click_means(trained):
    points, colours, click, truth = blobs(32, torch.Generator().manual_seed(6))
    with torch.no_grad():
        masks, iou = trained(points, colours, click, torch.ones(32, 1, dtype=torch.int64))
    best = masks[torch.arange(32), iou.argmax(dim=1)] > 0
    assert overlap(best, truth).mean() > 0.8


def numpy_blobs():
    points, colours, click, truth = (x[0].numpy() for x in blobs(1, torch.Generator().manual_seed(7)))
    return points.astype(np.float64), ((colours + 1) / 2).astype(np.float64), click.astype(np.float64), truth


@pytest.mark.parametrize("scale", [0.05, 1.0, 30.0])
def test_place_and_size_of_the_cloud_do_not_matter(trained, scale):
    points, colours, click, truth = numpy_blobs()
    shift = np.array([3.0, -20.0, 0.7])
    mask = segment(trained, scale * points + shift, colours, scale * click + shift, np.array([1]))
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, segment(trained, points, colours, click, np.array([True])))
    assert (mask & truth).sum() / (mask | truth).sum() > 0.8


def test_segment_refines_the_best_mask_click_by_click(model):
    points, colours, _, _ = numpy_blobs()
    clicks = points[[0, 1]]
    got = segment(model, points, colours, clicks, np.array([1, 0]))
    centre = points.mean(axis=0)
    ball = (points - centre) / np.linalg.norm(points - centre, axis=1).max()
    cloud, pixels = torch.as_tensor(ball).float()[None], torch.as_tensor(2 * colours - 1).float()[None]
    with torch.no_grad():
        encoded = model.encode(cloud, pixels)
        masks, iou = model.decode(encoded, cloud[:, :1], torch.tensor([[1]]))
        best = masks[:, int(iou.argmax())]
        refined, _ = model.decode(encoded, cloud[:, :2], torch.tensor([[1, 0]]), previous=best)
    np.testing.assert_array_equal(got, refined[0, 0].numpy() > 0)
    np.testing.assert_array_equal(segment(model, points, colours, clicks[:1], np.array([1])), best[0].numpy() > 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": np.zeros((0, 3))}, "at least one prompt"),
        ({"points": np.ones((60, 3))}, "are the same"),
        ({"points": np.full((60, 3), np.nan)}, "Points are not finite"),
        ({"colours": np.full((60, 3), 255.0)}, "between 0 and 1"),
        ({"prompts": np.full((1, 3), 9.0)}, "Prompt 0 lies outside"),
        ({"labels": np.array([0])}, "first prompt must be on the object"),
        ({"labels": np.array([2])}, "Labels must be 1"),
    ],
)
def test_what_cannot_be_segmented_is_refused(model, change, message):
    points, colours, click, _ = numpy_blobs()
    if len(change.get("points", points)) == 0:
        colours = colours[:0]
    given = {"points": points, "colours": colours, "prompts": click, "labels": np.array([1]), **change}
    with pytest.raises(ValueError, match=message):
        segment(model, **given)
