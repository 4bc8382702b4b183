"""Motions to tokens and back, on any hand that shares the codebook (Sec. 3.2).

Encoding on one hand and decoding on another is Eq. 6: ``x_j = D_j(e_{Q(E_i(x_i))})``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from unihm.registry import unknown_name
from unihm.schema.motion import HandMotion, MotionTokens
from unihm.schema.weights import assign, fingerprint, read_weights, write_weights
from unihm.tokenizer.features import PALM_SIZE, HandFeatures, canonical_path
from unihm.tokenizer.predictive import CodecConfig
from unihm.tokenizer.unified import UnifiedConfig, UnifiedTokenizer
from unihm.tokenizer.vqvae import SharedVQVAE, TokenizerConfig

KIND = "tokenizer"
_FARTHEST = 2.0  # half ranges from the middle: farther out, a joint is not one of this hand's in these units
SHIPPED = "tokenizer.safetensors"


@runtime_checkable
class TokenModel(Protocol):
    """What the tokenizer asks of the networks."""

    hands: dict[str, HandFeatures]
    """Which hands it knows, and how their joints are scaled."""

    looks_ahead: bool
    """Whether a chunk's codes depend on chunks after it."""

    @property
    def config(self) -> TokenizerConfig | UnifiedConfig:
        """Sizes, reference hand, frame rate."""
        ...

    @property
    def rates(self) -> tuple[int, ...]:
        """Numbers of codes in a row, coarse to fine, at which a stream may end."""
        ...

    def write(self, hand: str, x_BTF: Float[Tensor, "B T F"], levels: int) -> Int[Tensor, "B N L"]:
        """Codes of a hand's features; T is a whole number of chunks."""
        ...

    def read(self, hand: str, codes_BNL: Int[Tensor, "B N L"]) -> Float[Tensor, "B T F"]:
        """Features of a hand that codes stand for."""
        ...


class Tokenizer:
    """A trained codebook with the encoders and decoders of its hands."""

    def __init__(
        self,
        model: SharedVQVAE | UnifiedTokenizer,
        *,
        fingerprint: str = "untrained",
        card: Mapping[str, Any] | None = None,
    ):
        """Wrap a model; `load_tokenizer` is the usual way to get one.

        Args:
            model: The networks.
            fingerprint: Name of these codes, written into tokens.
            card: What is known about the weights.
        """
        self.model = model.eval()
        self.config = model.config
        self.fingerprint = fingerprint
        self.card = dict(card or {})

    @property
    def hands(self) -> tuple[str, ...]:
        """Names of the hands that can be encoded and decoded."""
        return tuple(self.model.hands)

    @property
    def frames_per_chunk(self) -> int:
        """Frames that one row of codes stands for."""
        return self.config.frames_per_chunk

    @property
    def rates(self) -> tuple[int, ...]:
        """Numbers of codes in a row, coarse to fine, at which a stream may end."""
        return self.model.rates

    @property
    def levels(self) -> int:
        """L, codes in a row at the lowest rate: what a generator has to write."""
        return self.rates[0]

    @property
    def codes_per_level(self) -> int:
        """K, codes to choose from at each level."""
        return self.config.codes

    @property
    def bits_per_frame(self) -> float:
        """Length of the code stream at the lowest rate."""
        return self.bits(self.levels)

    def bits(self, levels: int) -> float:
        """Bits for a frame when every code costs ``log2 K`` bits."""
        return levels * float(np.log2(self.codes_per_level)) / self.frames_per_chunk

    def levels_within(self, bits: float) -> int:
        """The finest rate of at most so many bits for a frame.

        Raises:
            ValueError: Even the lowest one has more.
        """
        found = [levels for levels in self.rates if self.bits(levels) <= bits + 1e-9]
        if not found:
            raise ValueError(
                f"No stream has at most {bits:g} bits a frame. Available: "
                f"{', '.join(f'{self.bits(levels):g}' for levels in self.rates)}."
            )
        return found[-1]

    @property
    def unified(self) -> UnifiedTokenizer:
        """The networks, where all hands share one stream, which is what a generator writes.

        Raises:
            ValueError: They are of the other kind.
        """
        if not isinstance(self.model, UnifiedTokenizer):
            raise ValueError(
                "This tokenizer has no stream that all hands share; expected one of the presets tiny or base."
            )
        return self.model

    def finger_bits(self, levels: int) -> float | None:
        """Those of `bits` that say what the fingers do; None where the networks mix them with the palm's."""
        share = self.model.finger_share(levels) if isinstance(self.model, UnifiedTokenizer) else None
        return None if share is None else share * self.bits(levels)

    def features(self, hand: str) -> HandFeatures:
        """How a hand's joints are scaled; raises ValueError for a hand that it does not know."""
        if hand not in self.model.hands:
            raise unknown_name("Hand of the tokenizer", hand, self.hands)
        return self.model.hands[hand]

    def read(self, motion: HandMotion, path: Float[np.ndarray, "T 4 4"]) -> Float[Tensor, "T F"]:
        """Features of a motion that can be encoded; raises ValueError for one that cannot, see `encode`."""
        features = self.features(motion.hand)
        if abs(motion.fps - self.config.fps) > 0.01 * self.config.fps:
            raise ValueError(f"The motion has {motion.fps:g} frames/s, the tokenizer reads {self.config.fps:g}.")
        if len(motion) == 0:
            raise ValueError("The motion has no frames.")
        if len(path) != len(motion):
            raise ValueError(f"The object frame has {len(path)} poses for {len(motion)} frames.")
        x_TF = features.of_motion(motion, path).float()
        if not torch.isfinite(x_TF).all():
            raise ValueError("The motion holds NaN or infinite values.")
        worst, joint = x_TF[:, PALM_SIZE:].abs().max(0).values.max(0)
        if worst > _FARTHEST:
            raise ValueError(
                f"Joint '{features.joint_names[joint]}' of '{motion.hand}' is far beyond its limits "
                f"{features.lower[joint]:g} to {features.upper[joint]:g}; are these its units and its joint order?"
            )
        return x_TF

    def encode(
        self,
        motion: HandMotion,
        T_world_canonical: Float[np.ndarray, "T 4 4"] | None = None,
        *,
        levels: int | None = None,
    ) -> MotionTokens:
        """Tokens of a motion (Eq. 1).

        Args:
            motion: A motion of a known hand at the tokenizer's frame rate, of any length: the last chunk is filled
                with the last frame.
            T_world_canonical: Path of the canonical object frame; None takes the motion's own, see
                `features.canonical_path`.
            levels: Codes in a row, one of `rates`; None is the lowest rate.

        Raises:
            ValueError: The hand or its joints are unknown, the frame rate differs, the motion is empty, holds
                non-finite numbers or joint positions far beyond their limits.
        """
        return self.encode_all([motion], None if T_world_canonical is None else [T_world_canonical], levels=levels)[0]

    @torch.no_grad()
    def encode_all(
        self,
        motions: Sequence[HandMotion],
        T_world_canonical: Sequence[Float[np.ndarray, "_ 4 4"]] | None = None,
        *,
        levels: int | None = None,
    ) -> list[MotionTokens]:
        """Tokens of several motions, in batches; otherwise as `encode`."""
        levels = self._rate(levels)
        paths = list(map(canonical_path, motions)) if T_world_canonical is None else T_world_canonical
        batches: dict[tuple[str, int], list[int]] = {}
        rows: list[Tensor] = []
        chunks = [-(-len(motion) // self.frames_per_chunk) for motion in motions]
        for number, (motion, path) in enumerate(zip(motions, paths, strict=True)):
            rows.append(self.read(motion, path))
            batches.setdefault((motion.hand, self._length(chunks[number])), []).append(number)
        codes: dict[int, np.ndarray] = {}
        for (hand, _), numbers in batches.items():
            # A motion that is shorter than the longest stands still at its end; its further codes are dropped.
            frame = torch.arange(max(chunks[number] for number in numbers) * self.frames_per_chunk)
            x_BTF = torch.stack([rows[number][frame.clamp(max=len(rows[number]) - 1)] for number in numbers])
            found = self.model.write(hand, x_BTF, levels).numpy()
            codes |= {number: found[row, : chunks[number]] for row, number in enumerate(numbers)}
        return [
            MotionTokens(
                codes=codes[number],
                tokenizer=self.fingerprint,
                frames_per_chunk=self.frames_per_chunk,
                num_frames=len(motion),
                fps=motion.fps,
                hand=motion.hand,
                T_world_canonical=path,
                instruction=motion.instruction,
                source=motion.source,
            )
            for number, (motion, path) in enumerate(zip(motions, paths, strict=True))
        ]

    def decode(self, tokens: MotionTokens, hand: str) -> HandMotion:
        """The motion of a hand that tokens stand for (Eq. 2; with another hand's tokens, Eq. 6).

        Joint positions are within the hand's limits and palm rotations are proper. The object path travels with
        the tokens, but which cloud belongs to it is not known here: `T_world_object` is None.

        Raises:
            ValueError: The hand is unknown, or the tokens come from other weights or do not fit the codebook.
        """
        return self.decode_all([tokens], hand)[0]

    @torch.no_grad()
    def decode_all(self, tokens: Sequence[MotionTokens], hand: str) -> list[HandMotion]:
        """Motions of several tokens, in batches; otherwise as `decode`."""
        features = self.features(hand)
        batches: dict[tuple[int, int], list[int]] = {}
        for number, one in enumerate(tokens):
            self._check(one)
            batches.setdefault((self._length(len(one.codes)), one.codes.shape[1]), []).append(number)
        found: dict[int, HandMotion] = {}
        for (_, levels), numbers in batches.items():
            longest = max(len(tokens[number].codes) for number in numbers)
            codes = np.zeros((len(numbers), longest, levels), dtype=np.int64)
            for row, number in enumerate(numbers):
                codes[row, : len(tokens[number].codes)] = tokens[number].codes
            x_BTF = self.model.read(hand, torch.from_numpy(codes)).double()
            qpos, T_canonical_palm = features.unpack(x_BTF)
            lower, upper = features.limits(qpos)
            for number, q, T in zip(
                numbers, torch.clamp(qpos, lower, upper).numpy(), T_canonical_palm.numpy(), strict=True
            ):
                one = tokens[number]
                found[number] = HandMotion(
                    hand=hand,
                    fps=one.fps,
                    joint_names=features.joint_names,
                    qpos=q[: one.num_frames],
                    T_world_palm=one.T_world_canonical @ T[: one.num_frames],
                    instruction=one.instruction,
                    source=one.source,
                )
        return [found[number] for number in range(len(tokens))]

    def translate(self, motion: HandMotion, hand: str, *, levels: int | None = None) -> HandMotion:
        """The same motion on another hand (Eq. 6), with the same object.

        Args:
            motion: Of a known hand.
            hand: The other hand.
            levels: Codes in a row, one of `rates`; None is the highest rate.
        """
        return self.decode(self.encode(motion, levels=levels or self.rates[-1]), hand).replace(
            T_world_object=motion.T_world_object,
            object_points=motion.object_points,
            object_normals=motion.object_normals,
            contact_phase=motion.contact_phase,
        )

    def _length(self, chunks: int) -> int:
        """Motions with the same value may share a batch: any, unless what follows a motion's end would be seen."""
        return chunks if self.model.looks_ahead else 0

    def _rate(self, levels: int | None) -> int:
        levels = self.levels if levels is None else levels
        if levels not in self.rates:
            raise ValueError(f"A row cannot have {levels} codes. Available: {', '.join(map(str, self.rates))}.")
        return levels

    def _check(self, tokens: MotionTokens) -> None:
        """Tokens must come from these weights and index into this codebook."""
        if tokens.tokenizer != self.fingerprint:
            raise ValueError(
                f"The tokens were written by tokenizer '{tokens.tokenizer}', this is '{self.fingerprint}'; "
                "encode the motion again."
            )
        if tokens.frames_per_chunk != self.frames_per_chunk:
            raise ValueError(
                f"A token row stands for {tokens.frames_per_chunk} frames, here for {self.frames_per_chunk}."
            )
        rows = -(-tokens.num_frames // self.frames_per_chunk)
        fits = tokens.codes.ndim == 2 and len(tokens.codes) == rows and tokens.codes.shape[1] in self.rates
        if tokens.num_frames < 1 or not fits:
            expected = " or ".join(str((rows, levels)) for levels in self.rates)
            raise ValueError(f"Codes have the shape {tokens.codes.shape}; {tokens.num_frames} frames need {expected}.")
        if tokens.codes.min() < 0 or tokens.codes.max() >= self.codes_per_level:
            raise ValueError(
                f"Codes lie in {tokens.codes.min()}..{tokens.codes.max()}, the codebook has "
                f"0..{self.codes_per_level - 1}."
            )
        if len(tokens.T_world_canonical) != tokens.num_frames:
            raise ValueError(
                f"The object frame has {len(tokens.T_world_canonical)} poses for {tokens.num_frames} frames."
            )

    def save(self, path: str | Path, card: Mapping[str, Any]) -> str:
        """Write the weights and their card; returns the fingerprint under which they load.

        Args:
            path: The ``.safetensors`` file.
            card: Training facts; config and hands are added here.
        """
        tensors = {name: value for name, value in self.model.state_dict().items() if name != "quantiser.usage"}
        full = {
            "codes": _mark_of_codes(self.model, tensors),
            "model": "vqvae" if isinstance(self.model, SharedVQVAE) else "unified",
            "config": asdict(self.config),
            "hands": [asdict(features) for features in self.model.hands.values()],
            **card,
        }
        mark = write_weights(path, tensors, full, kind=KIND)
        return full["codes"] or mark


def load_tokenizer(path: str | Path | None = None, *, shipped: str = SHIPPED) -> Tokenizer:
    """A trained tokenizer.

    Args:
        path: The ``.safetensors`` file, its card beside it; None takes weights that come with the package.
        shipped: Which of them.

    Raises:
        ValueError: A file is missing, damaged or of another kind, or the weights do not fit their card.
    """
    if path is None:
        # Both files are needed, so the folder is made real, not a single file.
        with as_file(files("unihm") / "assets" / "weights") as folder:
            return load_tokenizer(Path(folder) / shipped)
    tensors, card = read_weights(path, kind=KIND)
    try:
        hands = [_hand_features(entry) for entry in card["hands"]]
        model = _model(card.get("model", "vqvae"), card["config"], hands)
    except (KeyError, TypeError) as error:
        raise ValueError(f"Weights card of '{path}' is damaged: {error!r}.") from error
    if isinstance(model, SharedVQVAE):
        tensors["quantiser.usage"] = model.quantiser.usage  # counts of the last training epoch are not weights
    assign(model, tensors, path)
    return Tokenizer(model, fingerprint=card.get("codes") or card["fingerprint"], card=card)


def _mark_of_codes(model: nn.Module, tensors: Mapping[str, Tensor]) -> str | None:
    """Fingerprint of what gives codes their meaning, as stored; None where that is all of the weights.

    With one stream for all hands a further hand changes nothing for tokens that exist, so it must not change the name
    under which they are known.
    """
    if not isinstance(model, UnifiedTokenizer):
        return None
    return fingerprint({name: value.half() for name, value in tensors.items() if name.startswith("codec.")})


def _model(kind: str, config: Mapping[str, Any], hands: list[HandFeatures]) -> SharedVQVAE | UnifiedTokenizer:
    if kind == "vqvae":
        return SharedVQVAE(TokenizerConfig(**config), hands)
    if kind == "unified":
        codec = config["codec"]
        codec = CodecConfig(**{**codec, "stages": tuple(codec["stages"])})
        return UnifiedTokenizer(UnifiedConfig(**{**config, "codec": codec}), hands)
    raise ValueError(f"The tokenizer is of kind '{kind}', this unihm knows vqvae and unified.")


def _hand_features(entry: Mapping[str, Any]) -> HandFeatures:
    return HandFeatures(
        hand=entry["hand"],
        joint_names=tuple(entry["joint_names"]),
        lower=tuple(entry["lower"]),
        upper=tuple(entry["upper"]),
    )
