"""Does the paper's recipe run? Ten real steps of ``--preset paper`` on a Qwen3 of 0.6 billion weights.

Run: ``python benchmarks/paper_steps.py --data STORE --out OUT [--language FOLDER] [--steps 10]``

Without ``--language`` a checkpoint of Qwen3-0.6B's sizes with random weights is written first, in the format in which
the pretrained one is published, with byte pairs learned from the store's instructions. What is measured is the same
with the pretrained weights, the loss aside.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import Qwen3Config, Qwen3ForCausalLM

from unihm.datasets.episode_store import read_episodes
from unihm.training.generator import train_generator
from unihm.training.generator_presets import GENERATOR

_SIZES = {
    "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16,
    "num_key_value_heads": 8, "head_dim": 128, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
}  # fmt: skip
"""Of Qwen3-0.6B, as its published config states them."""
_PIECES = 4096  # byte pairs; the published vocabulary of 151,936 would only be ballast here


def write_checkpoint(data: Path, folder: Path) -> None:
    """A Qwen3 of these sizes with random weights."""
    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    texts = [text for episode in read_episodes(data) for text in episode.instructions]
    pieces.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=_PIECES, initial_alphabet=alphabet))
    torch.manual_seed(0)
    config = Qwen3Config(vocab_size=pieces.get_vocab_size(), tie_word_embeddings=True, **_SIZES)
    Qwen3ForCausalLM(config).save_pretrained(folder)
    pieces.save(str(folder / "tokenizer.json"))


def main() -> None:
    """Train some steps and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="episode store")
    parser.add_argument("--out", type=Path, required=True, help="folder for the run, 10 GB")
    parser.add_argument("--language", type=Path, help="folder of a pretrained Qwen3; default: random weights")
    parser.add_argument("--steps", type=int, default=10)
    options = parser.parse_args()
    language = options.language or options.out / "qwen3-random"
    if not (language / "config.json").is_file():
        write_checkpoint(options.data, language)
    recipe = GENERATOR["paper"]
    recipe = replace(recipe, loop=replace(recipe.loop, log_steps=1))
    start = time.perf_counter()
    result = train_generator(
        options.data, options.out / "run", preset=recipe, language=language, stop_after=options.steps
    )
    lines = [json.loads(line) for line in (options.out / "run" / "log.jsonl").read_text().splitlines()]
    seconds = np.diff([line["seconds"] for line in lines])
    print(f"loss of steps 1 to {len(lines)}:", *(format(line["loss"], ".3f") for line in lines))
    print(f"median {np.median(seconds):.1f} s a step of {recipe.batch_size} motions; whole run "
          f"{time.perf_counter() - start:.0f} s; {torch.get_num_threads()} threads; largest memory "
          f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")  # fmt: skip
    print("selection recordings:", json.dumps(result["figures"]))


if __name__ == "__main__":
    main()
