"""The generator as it is used: request in, codes out; and its weights on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers.models.qwen3.modeling_qwen3 import Qwen3Model

from unihm.generation.base import GenerationRequest
from unihm.generation.decoding import write_codes
from unihm.generation.qwen3 import Conditions, GeneratorConfig, MotionQwen3
from unihm.generation.text_encoder import load_text_encoder
from unihm.registry import unknown_name
from unihm.schema.weights import assign, read_weights, write_weights
from unihm.tokenizer.tokenizer import Tokenizer

KIND = "generator"
SHIPPED = "generator.safetensors"


@runtime_checkable
class Reader(Protocol):
    """Turns instructions into token states: the sentence encoder, or a language model's own embeddings."""

    def __call__(self, instructions: Sequence[str]) -> tuple[Float[Tensor, "B L w"], Bool[Tensor, "B L"]]:
        """States and the mask of real tokens; raises ValueError where an instruction is empty."""
        ...


class Qwen3Generator:
    """Writes the codes of a motion of any hand that the tokenizer knows."""

    def __init__(
        self,
        network: MotionQwen3,
        tokenizer: Tokenizer,
        reader: Reader,
        *,
        temperature: float = 0.0,
        steps: int = 1,
        card: Mapping[str, Any] | None = None,
    ):
        """Join the parts; `load_generator` is the usual way.

        Args:
            network: The trained network.
            tokenizer: The tokenizer whose codes it writes.
            reader: Reads the instruction.
            temperature: Of the sampling where a request states none.
            steps: Decoding rounds, see `decoding.write_codes`.
            card: What is known about the weights.
        """
        self.network = network.eval()
        self.tokenizer = tokenizer
        self.reader = reader
        self.temperature = temperature
        self.steps = steps
        self.card = dict(card or {})

    def generate(self, request: GenerationRequest) -> Int[np.ndarray, "N L"]:
        """Codebook indices of the motion that the request asks for (Eq. 9).

        Raises:
            ValueError: The instruction is empty, the hand is not one of the tokenizer's, or `qpos0` does not fit.
        """
        conditions = self.conditions(request)
        temperature = self.temperature if request.temperature is None else request.temperature
        codes = write_codes(
            self.network,
            conditions,
            steps=self.steps,
            temperature=temperature,
            top_k=request.top_k,
            rng=torch.Generator().manual_seed(request.seed),
        )
        return codes[0].numpy()

    @torch.no_grad()
    def conditions(self, request: GenerationRequest) -> Conditions:
        """A request as the network reads it, a batch of one."""
        hands = self.tokenizer.hands
        if request.hand not in hands:
            raise unknown_name("Hand of the tokenizer", request.hand, hands)
        features = self.tokenizer.model.hands[request.hand]
        if len(request.qpos0) != len(features.joint_names):
            raise ValueError(
                f"qpos0 has {len(request.qpos0)} values, '{request.hand}' has {len(features.joint_names)} joints."
            )
        words, words_mask = self.reader([request.instruction])
        frames = len(request.T_world_canonical)
        size = self.tokenizer.frames_per_chunk
        index = np.arange(-(-frames // size) * size).clip(max=frames - 1)
        palm = torch.from_numpy(request.T_canonical_palm0).float()[None]
        qpos = torch.from_numpy(request.qpos0).float()[None]
        points = torch.from_numpy(_thinned(request.object_points_canonical)).float()[None]
        return Conditions(
            words=words,
            words_mask=words_mask,
            points=points,
            cloud_given=torch.ones(1, dtype=torch.bool),
            T_world_canonical=torch.from_numpy(request.T_world_canonical[index]).float()[None],
            lengths=torch.tensor([frames]),
            T_canonical_palm0=palm,
            start=start_latent(self.tokenizer, request.hand, features.pack(qpos, palm)),
            hand=torch.tensor([hands.index(request.hand)]),
        )

    def save(self, path: str | Path, card: Mapping[str, Any]) -> str:
        """Write weights and card; returns the fingerprint.

        Args:
            path: The ``.safetensors`` file.
            card: Training facts; config, tokenizer and decoding are added here.
        """
        full = {
            "config": asdict(self.network.config),
            "tokenizer": self.tokenizer.fingerprint,
            "hands": list(self.tokenizer.hands),
            "decoding": {"temperature": self.temperature, "steps": self.steps},
            **card,
        }
        return write_weights(path, self.network.state_dict(), full, kind=KIND)


def load_generator(path: str | Path | None = None, *, tokenizer: Tokenizer) -> Qwen3Generator:
    """A trained generator that reads words through the frozen sentence encoder (`qwen3-tiny`).

    Args:
        path: The ``.safetensors`` file, its card beside it; None takes the weights that come with the package.
        tokenizer: The tokenizer whose codes it was trained on.

    Raises:
        ValueError: A file is missing or damaged, the weights do not fit their card, or they were trained on the
            codes of another tokenizer.
    """
    if path is None:
        with as_file(files("unihm") / "assets" / "weights") as folder:
            return load_generator(Path(folder) / SHIPPED, tokenizer=tokenizer)
    network, card = read_generator(path, tokenizer)
    return Qwen3Generator(network, tokenizer, load_text_encoder(), card=card, **card["decoding"])


def read_generator(path: str | Path, tokenizer: Tokenizer) -> tuple[MotionQwen3, dict[str, Any]]:
    """Network and card, checked against each other and against the tokenizer."""
    tensors, card = read_weights(path, kind=KIND)
    missing = {"config", "tokenizer", "hands", "decoding"} - set(card)
    if missing:
        raise ValueError(f"Weights card of '{path}' is damaged: it lacks {', '.join(sorted(missing))}.")
    if card["tokenizer"] != tokenizer.fingerprint or tuple(card["hands"]) != tokenizer.hands:
        raise ValueError(
            f"Generator '{path}' writes the codes of tokenizer '{card['tokenizer']}', this is "
            f"'{tokenizer.fingerprint}'; train it again or load the other tokenizer."
        )
    try:
        config = GeneratorConfig(**card["config"])
    except TypeError as error:
        raise ValueError(f"Weights card of '{path}' is damaged: {error}.") from error
    network = new_network(config, tokenizer)
    assign(network, tensors, path)
    return network.eval(), card


def new_network(config: GeneratorConfig, tokenizer: Tokenizer, body: Qwen3Model | None = None) -> MotionQwen3:
    """A network for the codes of a tokenizer: random weights, or random ones around a given transformer."""
    return MotionQwen3(
        config,
        tokenizer.codebook,
        hands=len(tokenizer.hands),
        frames_per_chunk=tokenizer.frames_per_chunk,
        body=body,
    )


def start_latent(tokenizer: Tokenizer, hand: str, pose: Float[Tensor, "B F"]) -> Float[Tensor, "B D"]:
    """E_j(Qpos_0) of Eq. 9: the encoder's latent of one chunk in which the hand holds its initial pose.

    Args:
        tokenizer: Its encoder of the hand is used.
        hand: One of the tokenizer's hands.
        pose: Features of the initial pose, see `tokenizer.features`.
    """
    still = pose[:, None].expand(-1, tokenizer.frames_per_chunk, -1)
    return tokenizer.vqvae.encode(hand, still, torch.ones(len(pose), 1, dtype=torch.bool))[:, 0]


_MAX_POINTS = 1024


def _thinned(points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "m 3"]:
    """At most 1024 points, evenly by index: the maximum over points gains nothing from more."""
    if len(points) <= _MAX_POINTS:
        return points
    return points[np.linspace(0, len(points) - 1, _MAX_POINTS).round().astype(int)]
