"""The networks: for each hand an encoder and a decoder, between them one codebook for all (Eqs. 1, 2, B3 to B6).

An encoder turns each chunk of frames into one latent, a decoder turns latents back into frames. With the
``conv`` backbone both look at neighbouring chunks; with ``mlp`` each chunk stands alone (Table B1 compares them).

Letters: B batch, T frames, N chunks, F features of a frame, D latent size, W width.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from unihm.tokenizer.codebook import make_quantiser
from unihm.tokenizer.features import HandFeatures


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    """Sizes of the networks and of the codebook."""

    reference_hand: str = "shadow"
    """The hand whose encoder defines the codes (paper: the Shadow hand)."""
    frames_per_chunk: int = 4
    """Frames that one row of codes stands for."""
    fps: float = 30.0
    """Frame rate of the motions, so that a chunk always lasts as long."""
    backbone: Literal["conv", "mlp"] = "conv"
    """Whether chunks see their neighbours."""
    latent: int = 64
    """D."""
    width: int = 128
    """W."""
    encoder_blocks: int = 2
    """Residual blocks of an encoder."""
    decoder_blocks: int = 3
    """Residual blocks of a decoder."""
    quantiser: str = "residual"
    """``residual`` or ``vq``."""
    levels: int = 6
    """L, codes for a chunk."""
    codes: int = 512
    """K, codes to choose from at each level (paper: 8192 at one level)."""
    beta: float = 0.25
    """Weight of the commitment term (paper: 0.25)."""


class ResidualBlock(nn.Module):
    """``x + W2 gelu(conv(gelu(norm(x))))``, blind to what lies outside the mask."""

    def __init__(self, width: int, kernel: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Conv1d(width, width, kernel, padding=kernel // 2)
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)  # starts as the identity
        nn.init.zeros_(self.out.bias)

    def forward(self, x_BNW: Float[Tensor, "B N W"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B N W"]:
        """One step; a chunk outside of the mask counts as zeros, like one beyond the end."""
        y = nn.functional.gelu(self.norm(x_BNW)) * mask[..., None]
        y = self.mix(y.transpose(1, 2)).transpose(1, 2)
        return x_BNW + self.out(nn.functional.gelu(y))


class Encoder(nn.Module):
    """E_h: frames to latents."""

    def __init__(self, features: int, config: TokenizerConfig):
        super().__init__()
        self.frames = config.frames_per_chunk
        kernel = 3 if config.backbone == "conv" else 1
        self.read = nn.Linear(self.frames * features, config.width)
        self.blocks = nn.ModuleList(ResidualBlock(config.width, kernel) for _ in range(config.encoder_blocks))
        self.norm = nn.LayerNorm(config.width)
        self.write = nn.Linear(config.width, config.latent)

    def forward(self, x_BTF: Float[Tensor, "B T F"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B N D"]:
        """Latents z_e of Eq. B3; T is a whole number of chunks."""
        y = self.read(x_BTF.reshape(x_BTF.shape[0], mask.shape[1], -1))
        for block in self.blocks:
            y = block(y, mask)
        return self.write(self.norm(y))


class Decoder(nn.Module):
    """D_h: latents to frames."""

    def __init__(self, features: int, config: TokenizerConfig):
        super().__init__()
        self.features = features
        kernel = 3 if config.backbone == "conv" else 1
        self.read = nn.Linear(config.latent, config.width)
        self.blocks = nn.ModuleList(ResidualBlock(config.width, kernel) for _ in range(config.decoder_blocks))
        self.norm = nn.LayerNorm(config.width)
        self.write = nn.Linear(config.width, config.frames_per_chunk * features)

    def forward(self, z_BND: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B T F"]:
        """Features of Eq. B6."""
        y = self.read(z_BND)
        for block in self.blocks:
            y = block(y, mask)
        return self.write(self.norm(y)).reshape(z_BND.shape[0], -1, self.features)


class SharedVQVAE(nn.Module):
    """Encoders and decoders of several hands around one codebook."""

    looks_ahead = True

    def __init__(self, config: TokenizerConfig, hands: Iterable[HandFeatures]):
        """Random weights.

        Args:
            config: Sizes.
            hands: How each hand's joints are scaled.
        """
        super().__init__()
        self.config = config
        self.hands = {features.hand: features for features in hands}
        self.quantiser = make_quantiser(
            config.quantiser, levels=config.levels, size=config.codes, latent=config.latent, beta=config.beta
        )
        self.encoders = nn.ModuleDict({name: Encoder(f.size, config) for name, f in self.hands.items()})
        self.decoders = nn.ModuleDict({name: Decoder(f.size, config) for name, f in self.hands.items()})

    def encode(self, hand: str, x_BTF: Float[Tensor, "B T F"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B N D"]:
        """``z_e = E_h(x)`` (Eq. B3)."""
        return self.encoders[hand](x_BTF, mask)

    def decode(self, hand: str, z_BND: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B T F"]:
        """``x = D_h(z_q)`` (Eq. B6)."""
        return self.decoders[hand](z_BND, mask)

    @property
    def rates(self) -> tuple[int, ...]:
        """Numbers of codes in a row at which a stream may end: all levels, nothing else."""
        return (self.config.levels,)

    def write(self, hand: str, x_BTF: Float[Tensor, "B T F"], levels: int) -> Int[Tensor, "B N L"]:
        """Codes of features (Eqs. 1, B3, B4); T is a whole number of chunks."""
        assert levels in self.rates
        mask = torch.ones(len(x_BTF), x_BTF.shape[1] // self.config.frames_per_chunk, dtype=torch.bool)
        return self.quantiser.quantize(self.encode(hand, x_BTF, mask)).codes

    def read(self, hand: str, codes_BNL: Int[Tensor, "B N L"]) -> Float[Tensor, "B T F"]:
        """Features of codes (Eqs. 2, B5, B6)."""
        z = self.quantiser.embed(codes_BNL)
        return self.decode(hand, z, torch.ones(z.shape[:2], dtype=torch.bool))

    def train_only(self, *parts: nn.Module) -> None:
        """Let gradients reach these parts alone; everything else stays bit by bit as it is."""
        self.requires_grad_(False)
        for part in parts:
            part.requires_grad_(True)


def chunk_mask(num_frames: Tensor, chunks: int, frames_per_chunk: int) -> Bool[Tensor, "B N"]:
    """Which chunks hold at least one frame.

    Args:
        num_frames: Frames of each motion, (B,).
        chunks: N of the padded batch.
        frames_per_chunk: Frames in a chunk.
    """
    first = torch.arange(chunks, device=num_frames.device) * frames_per_chunk
    return first[None] < num_frames[:, None]
