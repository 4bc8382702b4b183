"""The generator as it is used: request in, codes out; and its weights on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers.models.qwen3.modeling_qwen3 import Qwen3Model

from unihm.generation.base import GenerationRequest
from unihm.generation.conditions import Conditions
from unihm.generation.decoding import Sampling, write_codes
from unihm.generation.qwen3 import GeneratorConfig, MotionQwen3
from unihm.generation.text_encoder import load_text_encoder
from unihm.generation.touching import Person, Touch
from unihm.hands.hand import load_hand
from unihm.kinematics.keypoints import TIPS, WRIST
from unihm.registry import unknown_name
from unihm.schema.weights import assign, read_weights, write_weights
from unihm.tokenizer.hand_chart import LatentPose, join
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
        sampling: Sampling | None = None,
        card: Mapping[str, Any] | None = None,
    ):
        """Join the parts; `load_generator` is the usual way.

        Args:
            network: The trained network.
            tokenizer: The tokenizer whose codes it writes.
            reader: Reads the instruction.
            sampling: How codes are drawn where a request states nothing.
            card: What is known about the weights.
        """
        self.network = network.eval()
        self.tokenizer = tokenizer
        self.reader = reader
        self.sampling = sampling or Sampling()
        self.person = person_of(tokenizer)
        self.card = dict(card or {})

    @property
    def temperature(self) -> float:
        """Of the sampling where a request states none."""
        return self.sampling.temperature

    def generate(self, request: GenerationRequest) -> Int[np.ndarray, "N L"]:
        """Codebook indices of the motion that the request asks for (Eq. 9).

        Raises:
            ValueError: The instruction is empty, the hand is not one of the tokenizer's, or `qpos0` does not fit.
        """
        return self.generate_all([request])[0]

    def generate_all(self, requests: Sequence[GenerationRequest]) -> list[Int[np.ndarray, "_ L"]]:
        """Codebook indices of several motions in one batch; the first request's seed and sampling count for all.

        Raises:
            ValueError: See `generate`; or there are no requests.
        """
        if not requests:
            raise ValueError("There are no requests; expected at least one.")
        first = requests[0]
        sampling = sampling_of(self.sampling, first)
        conditions = self.conditions(requests)
        rng = torch.Generator().manual_seed(first.seed)
        codes, _ = write_codes(self.network, self.tokenizer.unified.codec, conditions, sampling, rng, self.person)
        size = self.tokenizer.frames_per_chunk
        return [
            row[: -(-len(request.T_world_canonical) // size)].numpy()
            for row, request in zip(codes, requests, strict=True)
        ]

    @torch.no_grad()
    def conditions(self, requests: Sequence[GenerationRequest]) -> Conditions:
        """Requests as the network reads them."""
        words, words_mask = self.reader([request.instruction for request in requests])
        size = self.tokenizer.frames_per_chunk
        lengths = [len(request.T_world_canonical) for request in requests]
        frame = np.arange(-(-max(lengths) // size) * size)
        given = [request.lift_frame is not None for request in requests]
        # Without a path the object is where it is first, whatever follows.
        paths = [
            request.T_world_canonical[frame.clip(max=length - 1 if known else 0)]
            for request, length, known in zip(requests, lengths, given, strict=True)
        ]
        return Conditions(
            words=words,
            words_mask=words_mask,
            points=torch.stack([_thinned(request.object_points_canonical) for request in requests]),
            cloud_given=torch.ones(len(requests), dtype=torch.bool),
            T_world_canonical=torch.from_numpy(np.stack(paths)).float(),
            path_given=torch.tensor(given),
            lengths=torch.tensor(lengths),
            lift=torch.tensor(
                [length if r.lift_frame is None else r.lift_frame for r, length in zip(requests, lengths, strict=True)]
            ),
            view=torch.stack([_view(request) for request in requests]),
            start=join(torch.cat, [self._start(request) for request in requests]),
        )

    def _start(self, request: GenerationRequest) -> LatentPose:
        """(1,) E_j(Qpos_0) of Eq. 9: the initial pose as the chart of its hand reads it."""
        hands = self.tokenizer.hands
        if request.hand not in hands:
            raise unknown_name("Hand of the tokenizer", request.hand, hands)
        features = self.tokenizer.features(request.hand)
        if len(request.qpos0) != len(features.joint_names):
            raise ValueError(
                f"qpos0 has {len(request.qpos0)} values, '{request.hand}' has {len(features.joint_names)} joints."
            )
        palm = torch.from_numpy(request.T_canonical_palm0).float()[None]
        qpos = torch.from_numpy(request.qpos0).float()[None]
        return self.tokenizer.unified.chart(request.hand).encode(features.pack(qpos, palm))

    def save(self, path: str | Path, card: Mapping[str, Any]) -> str:
        """Write weights and card; returns the fingerprint.

        Args:
            path: The ``.safetensors`` file.
            card: Training facts; config, tokenizer and decoding are added here.
        """
        full = {
            "config": asdict(self.network.config),
            "tokenizer": self.tokenizer.fingerprint,
            "sampling": asdict(self.sampling),
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
    return Qwen3Generator(network, tokenizer, load_text_encoder(), card=card, sampling=read_sampling(card["sampling"]))


def read_generator(path: str | Path, tokenizer: Tokenizer) -> tuple[MotionQwen3, dict[str, Any]]:
    """Network and card, checked against each other and against the tokenizer."""
    tensors, card = read_weights(path, kind=KIND)
    missing = {"config", "tokenizer", "sampling"} - set(card)
    if missing:
        raise ValueError(f"Weights card of '{path}' is damaged: it lacks {', '.join(sorted(missing))}.")
    if card["tokenizer"] != tokenizer.fingerprint:
        raise ValueError(
            f"Generator '{path}' writes the codes of tokenizer '{card['tokenizer']}', this is "
            f"'{tokenizer.fingerprint}'; train it again or load the other tokenizer."
        )
    try:
        config = GeneratorConfig(**{**card["config"], "without": tuple(card["config"]["without"])})
    except (TypeError, KeyError) as error:
        raise ValueError(f"Weights card of '{path}' is damaged: {error}.") from error
    network = new_network(config, tokenizer)
    assign(network, tensors, path)
    return network.eval(), card


def new_network(config: GeneratorConfig, tokenizer: Tokenizer, body: Qwen3Model | None = None) -> MotionQwen3:
    """A network for the codes of a tokenizer: random weights, or random ones around a given transformer."""
    return MotionQwen3(config, tokenizer.unified.codec, body=body)


def read_sampling(values: Mapping[str, Any]) -> Sampling:
    """The way of drawing that a card states."""
    touch = Touch(**{**values["touch"], "fingers": tuple(values["touch"]["fingers"])})
    return Sampling(**{**values, "touch": touch})


def person_of(tokenizer: Tokenizer) -> Person:
    """The hand whose poses the codes tell."""
    name = tokenizer.unified.config.reference_hand
    features, chart, hand = tokenizer.features(name), tokenizer.unified.chart(name), load_hand(name)

    def tips(pose: LatentPose) -> Float[Tensor, "*batch 5 3"]:
        qpos, T_canonical_palm = features.unpack(chart.decode(pose))
        lower, upper = features.limits(qpos)
        points = hand.keypoints(torch.clamp(qpos, lower, upper).double())[..., list(TIPS), :].to(qpos)
        return points @ T_canonical_palm[..., :3, :3].mT + T_canonical_palm[..., None, :3, 3]

    wrist = hand.keypoints(hand.rest_qpos.double())[WRIST].float()
    return Person(tips=tips, wrist_palm=wrist)


def sampling_of(own: Sampling, request: GenerationRequest) -> Sampling:
    """How codes are drawn where a request asks for something else than the generator's own way."""
    temperature = own.temperature if request.temperature is None else request.temperature
    return replace(own, temperature=temperature, top_k=request.top_k, top_p=request.top_p, one_of=request.one_of)


_POINTS = 1024


def _thinned(request_points: Float[np.ndarray, "n 3"]) -> Float[Tensor, "m 3"]:
    """1024 points, evenly by index: a maximum over points gains nothing from more, and repeated ones change nothing."""
    index = np.linspace(0, len(request_points) - 1, _POINTS).round().astype(int)
    return torch.from_numpy(request_points[index]).float()


def _view(request: GenerationRequest) -> Float[Tensor, " 2"]:
    """The speaker's view as a unit vector; zero where it is not known or has no horizontal direction."""
    view = np.zeros(2) if request.view_canonical is None else request.view_canonical
    return torch.from_numpy(view / max(float(np.linalg.norm(view)), 1e-6)).float()
