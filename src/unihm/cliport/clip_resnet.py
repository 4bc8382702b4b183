"""CLIP's visual ResNet-50 as a frozen semantic encoder, as in the original CLIPort (Radford et al., ICML 2021).

Parameters carry the names and shapes of OpenAI's checkpoint below ``visual.``, so it loads strictly. Against the usual
ResNet-50: a stem of three convolutions, averages before every stride, and attention as the last pooling.

Letters: N crops, s cells, C channels.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from unihm.schema.storage import atomic_path
from unihm.schema.weights import assign

CLIP = "clip.safetensors"
"""Name of the file beside a planner's weights that were trained with it."""

_BLOCKS = (3, 4, 6, 3)
_WIDTH, _HEADS, _EMBEDDING = 64, 32, 1024
_PIXELS = 224  # edge of the images it was trained on; the attention's positions fit no other
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)
_PREFIX = "visual."


class ClipResNet(nn.Module):
    """Images to the maps of its four layers and one vector; it stays frozen whatever is trained around it."""

    def __init__(self):
        """The network with random weights; `load_clip` is the usual way."""
        super().__init__()
        half = _WIDTH // 2
        self.conv1 = nn.Conv2d(3, half, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(half)
        self.conv2 = nn.Conv2d(half, half, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(half, _WIDTH, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(_WIDTH)
        inputs = _WIDTH
        for i, blocks in enumerate(_BLOCKS):
            width, stride = _WIDTH * 2**i, 1 if i == 0 else 2
            first = _Bottleneck(inputs, width, stride)
            inputs = 4 * width
            self.add_module(
                f"layer{i + 1}", nn.Sequential(first, *(_Bottleneck(inputs, width) for _ in range(blocks - 1)))
            )
        self.attnpool = _AttentionPool(inputs, _PIXELS // 32)
        self.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> ClipResNet:
        """Nothing: the statistics of its batch norms are those it was published with."""
        return super().train(False)

    def forward(self, images: Float[Tensor, "N 3 224 224"]) -> tuple[list[Tensor], Float[Tensor, "N 1024"]]:
        """Maps of 256, 512, 1024 and 2048 channels (56, 28, 14 and 7 cells wide), and the embedding.

        Args:
            images: RGB, 0 to 1.
        """
        x = (images - images.new_tensor(_MEAN)[:, None, None]) / images.new_tensor(_STD)[:, None, None]
        for convolution, norm in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
            x = F.relu(norm(convolution(x)))
        x = F.avg_pool2d(x, 2)
        maps = []
        for i in range(len(_BLOCKS)):
            x = self.get_submodule(f"layer{i + 1}")(x)
            maps.append(x)
        return maps, self.attnpool(x)


class ClipEncoder(nn.Module):
    """A pyramid like that of `streams.Encoder`, projected from the frozen network's maps."""

    def __init__(self, clip: ClipResNet, widths: Sequence[int]):
        """Untrained projections.

        Args:
            clip: The frozen network.
            widths: Channels of the maps, fine to coarse; three.
        """
        super().__init__()
        self.clip = clip
        channels = [4 * _WIDTH * 2**i for i in (0, 1, 3)]
        self.project = nn.ModuleList(nn.Conv2d(c, w, 1) for c, w in zip(channels, widths, strict=True))
        self.embed = nn.Linear(_EMBEDDING, widths[-1])

    def forward(self, colour: Float[Tensor, "N 3 s s"]) -> list[Tensor]:
        """Fine (half the crop's resolution) to coarse (an eighth); the embedding is added to the coarse map."""
        with torch.no_grad():
            images = F.interpolate(colour, size=(_PIXELS, _PIXELS), mode="bilinear", antialias=False)
            layers, embedding = self.clip(images)
        maps = [
            F.interpolate(project(layers[i]), size=colour.shape[-1] // 2 ** (level + 1), mode="bilinear")
            for level, (project, i) in enumerate(zip(self.project, (0, 1, 3), strict=True))
        ]
        maps[-1] = maps[-1] + self.embed(embedding)[..., None, None]
        return maps


def load_clip(path: str | Path) -> ClipResNet:
    """CLIP's visual ResNet-50 from a local file, strictly.

    Args:
        path: OpenAI's ``RN50.pt`` (a TorchScript archive), or its weights by name in a file of torch's or in a
            safetensors file. What does not begin with ``visual.`` belongs to CLIP's text part and is left out.

    Raises:
        ValueError: The file cannot be read, or its names or shapes are not those of the visual ResNet-50.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"File '{path}' does not exist; expected the weights of CLIP RN50.")
    visual = {name.removeprefix(_PREFIX): tensor for name, tensor in _read(path).items() if name.startswith(_PREFIX)}
    if not visual:
        raise ValueError(f"'{path}' holds no weights whose names begin with '{_PREFIX}'; expected those of CLIP RN50.")
    # Drawing weights that are replaced at once would take as long as reading the file.
    with torch.device("meta"):
        network = ClipResNet()
    network = network.to_empty(device="cpu")
    assign(network, visual, path)
    return network


def copy_clip(path: str | Path, copy: str | Path) -> None:
    """What `load_clip` takes from a file, in a safetensors file that it takes as well."""
    tensors = {_PREFIX + name: tensor for name, tensor in load_clip(path).state_dict().items()}
    with atomic_path(Path(copy)) as temporary:
        save_file(tensors, temporary)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if _is_torchscript(path):
            return dict(torch.jit.load(path, map_location="cpu").state_dict())
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, ValueError, OSError, EOFError, KeyError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise ValueError(f"'{path}' is damaged or no weights file ({type(error).__name__}): {reason}") from error
    if not isinstance(stored, dict) or not all(isinstance(tensor, Tensor) for tensor in stored.values()):
        raise ValueError(f"'{path}' holds something other than tensors by name; expected the state of CLIP RN50.")
    return stored


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


class _Bottleneck(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int = 1):
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = None
        if inputs != 4 * width:
            # The published names count from the average pooling, which has no weights and is called -1.
            self.downsample = nn.Sequential(nn.Conv2d(inputs, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        if self.stride > 1:
            x, y = F.avg_pool2d(x, self.stride), F.avg_pool2d(y, self.stride)
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class _AttentionPool(nn.Module):
    """The mean of all cells asks, they and it answer."""

    def __init__(self, width: int, cells: int):
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.randn(cells**2 + 1, width) / width**0.5)
        self.k_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.c_proj = nn.Linear(width, _EMBEDDING)

    def forward(self, x: Float[Tensor, "N C h h"]) -> Float[Tensor, "N D"]:
        cells = x.flatten(2).mT
        cells = torch.cat([cells.mean(dim=1, keepdim=True), cells], dim=1) + self.positional_embedding
        query, key, value = (
            project(tokens).unflatten(-1, (_HEADS, -1)).transpose(1, 2)
            for project, tokens in ((self.q_proj, cells[:, :1]), (self.k_proj, cells), (self.v_proj, cells))
        )
        return self.c_proj(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(1))
