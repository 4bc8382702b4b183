"""SnowflakeNet: the official names and sizes, strict loading, what holds for its clouds, and that it learns."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from unihm.perception.point_ops import farthest_points, gather, mean_nearest
from unihm.perception.snowflake import (
    SnowflakeConfig,
    SnowflakeNet,
    completion_loss,
    load_official,
    normalised,
    restored,
)

TINY = SnowflakeConfig(
    width=32, feature=64, seed_points=32, coarse_points=64, up_factors=(1, 2, 2), groups=(48, 16), neighbours=8
)

# Written down from the authors' repository (AllenXiangX/SnowflakeNet, models/), PCN sizes.
OFFICIAL = {
    "feat_extractor.sa_module_1.mlp_conv.0.conv.weight": (64, 6, 1, 1),
    "feat_extractor.sa_module_1.mlp_conv.0.conv.bias": (64,),
    "feat_extractor.sa_module_1.mlp_conv.0.bn.weight": (64,),
    "feat_extractor.sa_module_1.mlp_conv.0.bn.bias": (64,),
    "feat_extractor.sa_module_1.mlp_conv.0.bn.running_mean": (64,),
    "feat_extractor.sa_module_1.mlp_conv.0.bn.running_var": (64,),
    "feat_extractor.sa_module_1.mlp_conv.0.bn.num_batches_tracked": (),
    "feat_extractor.sa_module_1.mlp_conv.1.conv.weight": (128, 64, 1, 1),
    "feat_extractor.sa_module_1.mlp_conv.1.bn.weight": (128,),
    "feat_extractor.transformer_1.conv_key.weight": (64, 64, 1),
    "feat_extractor.transformer_1.conv_query.weight": (64, 64, 1),
    "feat_extractor.transformer_1.conv_value.bias": (64,),
    "feat_extractor.transformer_1.pos_mlp.0.weight": (64, 3, 1, 1),
    "feat_extractor.transformer_1.pos_mlp.1.weight": (64,),
    "feat_extractor.transformer_1.pos_mlp.1.running_var": (64,),
    "feat_extractor.transformer_1.pos_mlp.1.num_batches_tracked": (),
    "feat_extractor.transformer_1.pos_mlp.3.weight": (64, 64, 1, 1),
    "feat_extractor.transformer_1.attn_mlp.0.weight": (256, 64, 1, 1),
    "feat_extractor.transformer_1.attn_mlp.1.running_mean": (256,),
    "feat_extractor.transformer_1.attn_mlp.3.weight": (64, 256, 1, 1),
    "feat_extractor.transformer_1.linear_start.weight": (64, 128, 1),
    "feat_extractor.transformer_1.linear_end.weight": (128, 64, 1),
    "feat_extractor.sa_module_2.mlp_conv.0.conv.weight": (128, 131, 1, 1),
    "feat_extractor.sa_module_2.mlp_conv.1.conv.weight": (256, 128, 1, 1),
    "feat_extractor.transformer_2.linear_start.weight": (64, 256, 1),
    "feat_extractor.transformer_2.linear_end.bias": (256,),
    "feat_extractor.sa_module_3.mlp_conv.0.conv.weight": (512, 259, 1, 1),
    "feat_extractor.sa_module_3.mlp_conv.1.conv.weight": (512, 512, 1, 1),
    "feat_extractor.sa_module_3.mlp_conv.1.bn.running_var": (512,),
    "decoder.decoder_coarse.ps.weight": (512, 128, 256),
    "decoder.decoder_coarse.ps.bias": (128,),
    "decoder.decoder_coarse.mlp_1.conv_1.weight": (128, 640, 1),
    "decoder.decoder_coarse.mlp_1.conv_2.weight": (128, 128, 1),
    "decoder.decoder_coarse.mlp_1.conv_shortcut.weight": (128, 640, 1),
    "decoder.decoder_coarse.mlp_2.conv_1.weight": (64, 128, 1),
    "decoder.decoder_coarse.mlp_3.conv_1.weight": (128, 640, 1),
    "decoder.decoder_coarse.mlp_4.0.weight": (64, 128, 1),
    "decoder.decoder_coarse.mlp_4.2.weight": (3, 64, 1),
    **{
        f"decoder.uppers.{i}.{name}": shape
        for i in range(3)
        for name, shape in {
            "mlp_1.mlp.0.weight": (64, 3, 1),
            "mlp_1.mlp.2.weight": (128, 64, 1),
            "mlp_2.mlp.0.weight": (256, 768, 1),
            "mlp_2.mlp.2.bias": (128,),
            "skip_transformer.mlp_v.conv_1.weight": (128, 256, 1),
            "skip_transformer.mlp_v.conv_shortcut.weight": (128, 256, 1),
            "skip_transformer.conv_key.weight": (64, 128, 1),
            "skip_transformer.conv_query.weight": (64, 128, 1),
            "skip_transformer.conv_value.weight": (64, 128, 1),
            "skip_transformer.pos_mlp.0.weight": (64, 3, 1, 1),
            "skip_transformer.attn_mlp.3.bias": (64,),
            "skip_transformer.conv_end.weight": (128, 64, 1),
            "mlp_ps.mlp.0.weight": (64, 128, 1),
            "mlp_ps.mlp.2.weight": (32, 64, 1),
            "mlp_delta_feature.conv_1.weight": (128, 256, 1),
            "mlp_delta_feature.conv_2.weight": (128, 128, 1),
            "mlp_delta.mlp.0.weight": (64, 128, 1),
            "mlp_delta.mlp.2.weight": (3, 64, 1),
        }.items()
    },
    "decoder.uppers.0.ps.weight": (32, 128, 1),
    "decoder.uppers.1.ps.weight": (32, 128, 4),
    "decoder.uppers.2.ps.weight": (32, 128, 8),
}


def _box(n: int, seed: int, size=(1.0, 0.6, 0.4)) -> torch.Tensor:
    """Points on the surface of a box (n, 3)."""
    rng = torch.Generator().manual_seed(seed)
    x = 2 * torch.rand(n, 3, generator=rng) - 1
    x[torch.arange(n), torch.randint(3, (n,), generator=rng)] = 1.0 - 2 * torch.randint(2, (n,), generator=rng)
    return 0.5 * x * torch.tensor(size)


@pytest.fixture
def tiny() -> SnowflakeNet:
    torch.manual_seed(0)
    return SnowflakeNet(TINY).eval()


@pytest.fixture
def partial() -> torch.Tensor:
    return torch.stack([_box(60, 1), _box(60, 2, (0.3, 0.3, 0.8))])


@pytest.fixture(scope="module")
def official() -> SnowflakeNet:
    torch.manual_seed(0)
    return SnowflakeNet(SnowflakeConfig())


def test_names_and_shapes_are_the_official_ones(official):
    own = {name: tuple(tensor.shape) for name, tensor in official.state_dict().items()}
    assert {name: own.get(name) for name in OFFICIAL} == OFFICIAL
    assert len(own) == 287
    # 19.32 million as published, with the normalisations that are stored and not used.
    unused = sum(2 * tensor.numel() for name, tensor in official.state_dict().items() if name.endswith("bn.weight"))
    assert sum(p.numel() for p in official.parameters()) + unused == 19_320_812


def test_a_checkpoint_in_the_official_format_loads(tmp_path, official):
    weights = {f"module.{name}": torch.rand_like(t.float()).to(t) for name, t in official.state_dict().items()}
    torch.save({"epoch_index": 7, "best_metric": 0.7, "model": weights}, tmp_path / "ckpt-best.pth")
    loaded = load_official(tmp_path / "ckpt-best.pth", SnowflakeConfig())
    assert not loaded.training
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, weights[f"module.{name}"])


def test_safetensors_and_plain_names_load(tmp_path, tiny, partial):
    save_file(tiny.state_dict(), tmp_path / "a.safetensors")
    torch.save(tiny.state_dict(), tmp_path / "b.pth")
    for path in (tmp_path / "a.safetensors", tmp_path / "b.pth"):
        assert torch.equal(load_official(path, TINY)(partial)[-1], tiny(partial)[-1])


def test_wrong_checkpoints_are_refused_in_one_line(tmp_path, tiny):
    def refused(content: object, config: SnowflakeConfig = TINY) -> str:
        torch.save(content, tmp_path / "x.pth")
        with pytest.raises(ValueError, match=r"x\.pth") as error:
            load_official(tmp_path / "x.pth", config)
        assert "\n" not in str(error.value)
        return str(error.value)

    weights = {f"module.{name}": tensor for name, tensor in tiny.state_dict().items()}
    lost = dict(weights)
    del lost["module.decoder.uppers.0.ps.weight"]
    assert "missing decoder.uppers.0.ps.weight" in refused({"model": lost})
    assert "unexpected extra" in refused({"model": {**weights, "module.extra": torch.zeros(1)}})
    wide = SnowflakeConfig(**{**vars(TINY), "up_factors": (1, 2, 4)})
    assert "misshapen decoder.uppers.2.ps.weight (8, 32, 2) instead of (8, 32, 4)" in refused({"model": weights}, wide)
    assert "no weights by name" in refused([1, 2])
    assert "no weights by name" in refused({"model": 3})
    assert "other than tensors under epoch" in refused({"epoch": 1})
    assert "UnpicklingError" in refused({"model": nn.Linear(1, 1)})  # code, which is not run
    for name in ("x.pth", "x.safetensors"):
        for content in (b"", b"nothing", b"<!DOCTYPE html>", bytes(range(256))):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(ValueError, match="damaged"):
                load_official(tmp_path / name, TINY)
    with pytest.raises(ValueError, match="does not exist"):
        load_official(tmp_path / "absent.pth", TINY)


def test_clouds_have_the_sizes_of_the_config(tiny, partial):
    assert [tuple(cloud.shape) for cloud in tiny(partial)] == [(2, 32, 3), (2, 64, 3), (2, 128, 3), (2, 256, 3)]
    with pytest.raises(ValueError, match="48 farthest points from a cloud of 20"):
        tiny(partial[:, :20])
    with pytest.raises(ValueError, match="multiple of 4"):
        SnowflakeConfig(width=30)


def test_children_stay_within_the_radius_of_their_parent(partial):
    torch.manual_seed(0)
    network = SnowflakeNet(SnowflakeConfig(**{**vars(TINY), "radius": 4.0}))
    for upper in network.decoder.uppers:
        upper.mlp_delta.mlp[2].weight.data *= 1e3  # displacements as large as they can be
    _, _, before, after = network(partial)
    moved = (after - before.repeat_interleave(2, dim=1)).abs().max()
    assert moved.item() == pytest.approx(4.0**-2, rel=1e-3)


def test_only_the_first_points_place_in_the_order_matters(tiny, partial):
    order = 1 + torch.randperm(59, generator=torch.Generator().manual_seed(0))
    shuffled = partial[:, torch.cat([torch.zeros(1, dtype=torch.int64), order])]
    for ours, theirs in zip(tiny(shuffled), tiny(partial), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_batches_do_not_mix(tiny, partial):
    for ours, theirs in zip(tiny(partial[1:]), tiny(partial), strict=True):
        torch.testing.assert_close(ours, theirs[1:])


def test_a_moved_and_scaled_cloud_is_completed_alike_in_metres(tiny, partial):
    def complete(cloud):
        unit, centre, scale = normalised(cloud)
        return restored(tiny(unit)[-1], centre, scale)

    partial, tiny = partial.double(), tiny.double()
    shift = torch.tensor([0.3, -1.0, 0.8])
    torch.testing.assert_close(complete(0.1 * partial + shift), 0.1 * complete(partial) + shift)


def test_normalised_has_unit_diagonal_and_an_inverse(partial):
    unit, centre, scale = normalised(0.2 * partial + 1.0)
    low, high = unit.amin(dim=1), unit.amax(dim=1)
    torch.testing.assert_close((high - low).norm(dim=-1), torch.ones(2))
    torch.testing.assert_close(high, -low)
    torch.testing.assert_close(restored(unit, centre, scale), 0.2 * partial + 1.0)
    with pytest.raises(ValueError, match="coincide"):
        normalised(torch.ones(1, 5, 3))


def test_loss_by_hand():
    """On a line: the truth's first point is 1 and 2 away at the coarse levels; the last level meets both its points."""

    def at(*x):
        return torch.tensor([[[v, 0.0, 0.0] for v in x]])

    loss = completion_loss([at(1.0), at(2.0), at(1.0)], truth=at(0.0, -1.0), partial=at(4.0))
    assert loss.item() == pytest.approx(1 + 2 + (1 + 1.5) / 2 + 3)


def test_loss_is_zero_only_for_the_truth_at_every_level():
    truth = _box(64, 0)[None]
    spread = gather(truth, farthest_points(truth, 64))
    clouds = [spread[:, :16], spread[:, :32], truth]
    assert completion_loss(clouds, truth, truth[:, :20]).item() == 0
    for level in range(3):
        wrong = [cloud + 0.01 * (i == level) for i, cloud in enumerate(clouds)]
        assert completion_loss(wrong, truth, truth[:, :20]).item() > 1e-3


def test_gradients_reach_every_parameter(tiny, partial):
    completion_loss(tiny(partial), _box(300, 3).expand(2, -1, -1), partial).backward()
    for name, parameter in tiny.named_parameters():
        assert parameter.grad is not None, name
        # A softmax does not see what is added to all its inputs, so this one has no effect.
        if not name.endswith("attn_mlp.3.bias"):
            assert parameter.grad.abs().max() > 1e-8, name


def test_it_learns_the_far_side_of_a_box():
    torch.manual_seed(0)
    network = SnowflakeNet(TINY)
    truth = _box(256, 0)[None]
    partial, unseen = truth[:, truth[0, :, 0] > -0.1][:, :80], truth[:, truth[0, :, 0] < -0.4]
    untrained = mean_nearest(unseen, network(partial)[-1]).item()
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    losses = []
    for _ in range(40):
        loss = completion_loss(network(partial), truth, partial)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert mean_nearest(unseen, network(partial)[-1]).item() < 0.7 * untrained
