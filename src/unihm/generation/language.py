"""`qwen3-0.6b`: a pretrained Qwen3 reads the instruction with its own embeddings and writes the motion (C.1).

A pretrained checkpoint (config.json, model.safetensors in one file or in shards, tokenizer.json) gives the
transformer and the word embeddings; the parts around it are trained. What is trained is saved as one weights file
with its card, and the checkpoint's tokenizer.json beside it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer as BytePairs
from torch import Tensor, nn
from transformers.models.qwen3.configuration_qwen3 import Qwen3Config
from transformers.models.qwen3.modeling_qwen3 import Qwen3Model

from unihm.generation.generator import Qwen3Generator, read_generator, read_sampling
from unihm.generation.qwen3 import GeneratorConfig
from unihm.schema.storage import atomic_path, write_text
from unihm.schema.weights import assign
from unihm.tokenizer.tokenizer import Tokenizer

_MAX_TOKENS = 64
_FILES = ["config.json", "tokenizer.json", "model*.safetensors", "model.safetensors.index.json"]


class OwnWords:
    """Reads instructions with a language model's byte-pair tokens and word embeddings."""

    def __init__(self, embeddings: nn.Embedding, pieces: BytePairs):
        self.embeddings = embeddings
        self._pieces = pieces

    @torch.no_grad()
    def __call__(self, instructions: Sequence[str]) -> tuple[Float[Tensor, "B L w"], Bool[Tensor, "B L"]]:
        """Word embeddings, padded to the longest instruction, and the mask of real tokens.

        Raises:
            ValueError: An instruction has no words.
        """
        for instruction in instructions:
            if not instruction.strip():
                raise ValueError("The instruction is empty; expected words such as 'pick up the mug'.")
        ids = [torch.tensor(self._pieces.encode(i.strip()).ids[:_MAX_TOKENS]) for i in instructions]
        states = [self.embeddings(i).float() for i in ids]
        padded = nn.utils.rnn.pad_sequence(states, batch_first=True)
        return padded, torch.arange(padded.shape[1]) < torch.tensor([len(i) for i in ids])[:, None]

    def save(self, words: Path, pieces: Path) -> None:
        """Write the embeddings as safetensors and the byte pairs as tokenizer.json, each atomically."""
        with atomic_path(words) as temporary:
            save_file({"embed_tokens.weight": self.embeddings.weight.detach().contiguous()}, temporary)
        write_text(pieces, self._pieces.to_str())


def load_qwen3(path: str | Path) -> tuple[Qwen3Model, OwnWords]:
    """A pretrained Qwen3 in the format of Hugging Face.

    Args:
        path: Local folder, or a hub id such as ``Qwen/Qwen3-0.6B``, which is downloaded to the hub's cache.

    Raises:
        ValueError: A file is missing or damaged, or the weights are not exactly those of the config.
    """
    folder = Path(path)
    if not folder.is_dir():
        folder = _from_hub(str(path))
    for name in _FILES[:2]:
        if not (folder / name).is_file():
            raise ValueError(f"'{folder}' has no {name}.")
    try:
        values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if values.get("model_type") != "qwen3":
            raise ValueError(f"its model_type is {values.get('model_type')!r}, expected 'qwen3'")
        config = Qwen3Config.from_dict(values)
        files = sorted(folder.glob("model*.safetensors"))
        tensors = {name: tensor for file in files for name, tensor in load_file(file).items()}
        pieces = BytePairs.from_file(str(folder / "tokenizer.json"))
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise ValueError(f"The checkpoint '{folder}' is damaged: {error}.") from error
    if not files:
        raise ValueError(f"'{folder}' has no model.safetensors.")
    model = Qwen3Model(config)
    # A checkpoint of the causal language model names the transformer `model` and may hold an output layer.
    inner = {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name != "lm_head.weight"}
    assign(model, inner, folder)
    words = OwnWords(model.embed_tokens.requires_grad_(False), pieces)
    return model, words


def config_of(model: Qwen3Model) -> GeneratorConfig:
    """The generator's sizes with a given transformer in it."""
    body = model.config
    rope = body.rope_parameters or {}
    return GeneratorConfig(
        hidden=body.hidden_size,
        layers=body.num_hidden_layers,
        heads=body.num_attention_heads,
        kv_heads=body.num_key_value_heads or body.num_attention_heads,
        head_size=body.head_dim,
        feedforward=body.intermediate_size,
        rope_theta=float(rope.get("rope_theta", 1e6)),  # type: ignore[arg-type]  # a plain dict in practice
        norm_eps=body.rms_norm_eps,
        word_tokens=None,
        text_width=body.hidden_size,
        attention="causal",
    )


def load_language_generator(path: str | Path | None = None, *, tokenizer: Tokenizer) -> Qwen3Generator:
    """A trained generator around a pretrained Qwen3.

    Args:
        path: The ``.safetensors`` file; its card, and ``NAME.words.safetensors`` and ``NAME.tokenizer.json`` as
            `save_words` writes them, lie beside it. None is an error: these weights do not come with the package.
        tokenizer: The tokenizer whose codes it was trained on.

    Raises:
        ValueError: No path is given, or a file is missing, damaged or does not fit.
    """
    if path is None:
        raise ValueError(
            "Generator 'qwen3-0.6b' has no weights in the package; train it and give their path, or use 'qwen3-tiny'."
        )
    path = Path(path)
    network, card = read_generator(path, tokenizer)
    words, pieces = _beside(path)
    if not (words.is_file() and pieces.is_file()):
        raise ValueError(f"'{path}' lacks '{words.name}' or '{pieces.name}' beside it.")
    try:
        weight = load_file(words)["embed_tokens.weight"]
        reader = OwnWords(nn.Embedding.from_pretrained(weight), BytePairs.from_file(str(pieces)))
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise ValueError(f"'{words}' or '{pieces}' is damaged: {error}.") from error
    if weight.shape[1] != network.config.text_width:
        raise ValueError(f"'{words}' has width {weight.shape[1]}, the generator {network.config.text_width}.")
    return Qwen3Generator(network, tokenizer, reader, card=card, sampling=read_sampling(card["sampling"]))


def save_words(path: str | Path, words: OwnWords) -> None:
    """Write word embeddings and byte pairs beside a generator's weights.

    Args:
        path: The generator's ``.safetensors`` file.
        words: What its `Qwen3Generator` reads with.
    """
    words.save(*_beside(Path(path)))


def _beside(path: Path) -> tuple[Path, Path]:
    return path.with_suffix(".words.safetensors"), path.with_suffix(".tokenizer.json")


def _from_hub(name: str) -> Path:
    """The hub's snapshot of a repository, with nothing but what is needed."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=_FILES))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"'{name}' is neither a local folder nor a reachable hub id: {reason}") from error
