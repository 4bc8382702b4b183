"""CLIP's visual ResNet-50: the published names and sizes, written down here, and its attention against torch's."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from unihm.cliport.clip_resnet import ClipEncoder, ClipResNet, load_clip

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def official() -> dict[str, tuple[int, ...]]:
    """Names and shapes below ``visual.`` in OpenAI's RN50.pt."""
    shapes: dict[str, tuple[int, ...]] = {}

    def norm(name: str, width: int) -> None:
        shapes.update({f"{name}.{field}": () if "num" in field else (width,) for field in NORM})

    for i, (before, after) in enumerate(((3, 32), (32, 32), (32, 64)), start=1):
        shapes[f"conv{i}.weight"] = (after, before, 3, 3)
        norm(f"bn{i}", after)
    inputs = 64
    for layer, (blocks, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), start=1):
        for block in range(blocks):
            name = f"layer{layer}.{block}"
            for i, shape in enumerate(((width, inputs, 1, 1), (width, width, 3, 3), (4 * width, width, 1, 1)), start=1):
                shapes[f"{name}.conv{i}.weight"] = shape
                norm(f"{name}.bn{i}", shape[0])
            if block == 0:
                shapes[f"{name}.downsample.0.weight"] = (4 * width, inputs, 1, 1)
                norm(f"{name}.downsample.1", 4 * width)
            inputs = 4 * width
    shapes["attnpool.positional_embedding"] = (50, 2048)
    for name, outputs in (("k", 2048), ("q", 2048), ("v", 2048), ("c", 1024)):
        shapes[f"attnpool.{name}_proj.weight"] = (outputs, 2048)
        shapes[f"attnpool.{name}_proj.bias"] = (outputs,)
    return shapes


@pytest.fixture(scope="module")
def network() -> ClipResNet:
    torch.manual_seed(0)
    return ClipResNet()


def published(network: ClipResNet) -> dict[str, torch.Tensor]:
    """Half precision, below ``visual.``, with entries of the text part beside it."""
    state = {f"visual.{k}": v.half() if v.is_floating_point() else v.clone() for k, v in network.state_dict().items()}
    return {**state, "logit_scale": torch.tensor(4.6), "token_embedding.weight": torch.zeros(3, 2)}


def test_names_shapes_and_number_of_parameters_are_the_published_ones(network):
    assert {k: tuple(v.shape) for k, v in network.state_dict().items()} == official()
    # 102.0 M parameters of CLIP RN50 are 63.7 M of text and 38.3 M of vision.
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(38.3e6, abs=0.05e6)


def test_maps_and_embedding(network):
    with torch.no_grad():
        maps, embedding = network(torch.rand(1, 3, 224, 224))
    assert [tuple(m.shape[1:]) for m in maps] == [(256, 56, 56), (512, 28, 28), (1024, 14, 14), (2048, 7, 7)]
    assert embedding.shape == (1, 1024)


def test_the_attention_is_that_of_torch(network):
    pool, x = network.attnpool, torch.randn(2, 2048, 7, 7)
    tokens = x.flatten(2).permute(2, 0, 1)
    tokens = torch.cat([tokens.mean(dim=0, keepdim=True), tokens]) + pool.positional_embedding[:, None]
    q, k, v, c = pool.q_proj, pool.k_proj, pool.v_proj, pool.c_proj
    expected, _ = F.multi_head_attention_forward(
        tokens[:1],
        tokens,
        tokens,
        2048,
        32,
        None,
        torch.cat([q.bias, k.bias, v.bias]),
        None,
        None,
        False,
        0.0,
        c.weight,
        c.bias,
        training=False,
        need_weights=False,
        use_separate_proj_weight=True,
        q_proj_weight=q.weight,
        k_proj_weight=k.weight,
        v_proj_weight=v.weight,
    )
    with torch.no_grad():
        assert torch.allclose(pool(x), expected[0], atol=1e-4)


def test_the_published_names_load_and_nothing_else_does(network, tmp_path):
    path = tmp_path / "clip.safetensors"
    state = published(network)
    save_file(state, path)
    loaded = load_clip(path)
    assert torch.equal(loaded.layer3[2].conv2.weight, network.layer3[2].conv2.weight.half().float())
    assert not loaded.training
    del state["visual.layer4.2.bn3.running_var"]
    save_file({**state, "visual.layer5.0.conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"missing layer4\.2\.bn3\.running_var; unexpected layer5\.0\.conv1\.weight"):
        load_clip(path)


def test_a_torchscript_archive_as_openai_publishes_it(network, tmp_path):
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.visual = network
            self.logit_scale = nn.Parameter(torch.tensor(4.6))

        def forward(self, x):
            return x * self.logit_scale

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit, which wrote the published file
        torch.jit.trace(Whole(), torch.zeros(1)).save(tmp_path / "RN50.pt")
        loaded = load_clip(tmp_path / "RN50.pt")
    assert all(
        torch.equal(a, b) for a, b in zip(loaded.state_dict().values(), network.state_dict().values(), strict=True)
    )


def test_what_is_no_clip_is_refused(tmp_path):
    (tmp_path / "noise.pt").write_bytes(b"noise")
    torch.save({"backbone.conv1.weight": torch.zeros(1)}, tmp_path / "other.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    for name, message in (
        ("noise.pt", "damaged or no weights file"),
        ("other.pt", "no weights whose names begin with 'visual.'"),
        ("list.pt", "something other than tensors by name"),
        ("none.pt", "does not exist"),
    ):
        with pytest.raises(ValueError, match=message):
            load_clip(tmp_path / name)


def test_a_pyramid_like_the_own_one(network):
    encoder = ClipEncoder(network, (8, 16, 24)).train()
    maps = encoder(torch.rand(2, 3, 64, 64))
    assert [tuple(m.shape) for m in maps] == [(2, 8, 32, 32), (2, 16, 16, 16), (2, 24, 8, 8)]
    sum(m.square().mean() for m in maps).backward()
    assert all(p.grad is not None for p in encoder.project.parameters())
    assert all(p.grad is None for p in network.parameters())
