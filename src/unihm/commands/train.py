"""Training of the learned parts."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from unihm.commands.console import report


def train_tokenizer(
    *,
    data: Path,
    out: Path = Path("runs/tokenizer"),
    preset: Literal["tiny", "base", "residual", "paper", "paper-mlp"] = "base",
    split: str = "release",
    seed: int = 0,
    resume: bool = False,
    workers: int = 1,
    hand: tuple[str, ...] = (),
    add_hand: Path | None = None,
    keep_charts: bool = False,
    weights: Path | None = None,
    frames: int | None = None,
    json: bool = False,
):
    """Train the shared codebook (Sec. 3.2): one stream by charts and a predictive codec, or the paper's VQ-VAE.

    Args:
        data: Episode store with retargeted motions, from `unihm data import`.
        out: Folder for log, checkpoints and weights.
        preset: base is what is shipped, tiny a small one; paper and paper-mlp are the paper's (1D-Conv and MLP),
            residual its networks with a residual quantiser.
        split: Which recordings to train on.
        seed: Seed of everything random.
        resume: Go on from the last checkpoint in OUT.
        workers: Hands that are learned at once, a process each.
        hand: Which hands; default: all that DATA has motions of.
        add_hand: Instead, teach one more hand (a folder or a name) the codes that exist; codes and the other hands stay
            as they are, bit by bit.
        keep_charts: Fit the codes alone, to what the hands' charts in WEIGHTS see.
        weights: With --add-hand, the tokenizer to add to, with --keep-charts whose charts; default: the shipped one.
        frames: With --add-hand, learn from about so many frames; default: all of the train part.
        json: Print the figures as JSON.
    """
    if add_hand is not None and keep_charts:
        raise ValueError("--add-hand keeps the codes and --keep-charts fits them anew; give one of them.")
    if add_hand is not None:
        from unihm.training.adding import add_hand as add

        report(
            add(
                add_hand,
                data,
                out,
                weights=weights,
                frames=frames,
                preset=preset,
                split=split,
                seed=seed,
                resume=resume,
            ),
            json,
        )
        return
    if frames is not None or (weights is not None and not keep_charts):
        raise ValueError("--frames goes with --add-hand, --weights with --add-hand or --keep-charts.")
    from unihm.tokenizer.tokenizer import load_tokenizer
    from unihm.training.tokenizer import train_tokenizer as train

    known = load_tokenizer(weights) if keep_charts else None
    done = train(
        data, out, preset=preset, split=split, seed=seed, resume=resume, workers=workers, hands=hand, charts_of=known
    )  # fmt: skip
    report(done, json)


def train_generator(
    *,
    data: Path,
    out: Path = Path("runs/generator"),
    preset: Literal["tiny", "base", "paper"] = "base",
    split: str = "release",
    tokenizer: Path | None = None,
    language: str | None = None,
    without: tuple[str, ...] = (),
    lora: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    resume: bool = False,
    json: bool = False,
):
    """Train the language model that writes motion tokens (Sec. 3.3).

    Args:
        data: Episode store with retargeted motions, from `unihm data import`.
        out: Folder for log, checkpoints and weights.
        preset: Size and length of the training.
        split: Which recordings to train on.
        tokenizer: Tokenizer weights; default: the shipped ones.
        language: Folder or hub id of a pretrained Qwen3 (qwen3-0.6b), which reads the words with its own embeddings;
            default: the sizes of the preset, from random weights.
        without: Ablations: words, cloud, masking, prior, touching.
        lora: With --language, rank of adapters that are trained in place of its weights (pip install 'unihm[lora]').
        steps: Stop after so many steps in all; --resume goes on.
        seed: Seed of everything random.
        resume: Go on from the last checkpoint in OUT.
        json: Print the figures as JSON.
    """
    from unihm.training.generator import train_generator as train

    done = train(
        data, out, preset=preset, split=split, tokenizer=tokenizer, seed=seed, resume=resume, language=language,
        without=without, lora=lora, stop_after=steps,
    )  # fmt: skip
    report(done, json)


def train_metrics(
    *,
    data: Path,
    out: Path = Path("runs/metrics"),
    preset: Literal["tiny", "base"] = "base",
    split: str = "release",
    seed: int = 0,
    resume: bool = False,
    json: bool = False,
):
    """Train the encoder of motions and texts in which FID, KID and R-precision are taken (Appendix F).

    Args:
        data: Episode store with retargeted motions, from `unihm data import`; all its hands are learned from.
        out: Folder for log, checkpoints and weights.
        preset: base is what is shipped, tiny a small one.
        split: Which recordings to train on; a split is evaluated with the encoder that was trained on it.
        seed: Seed of everything random.
        resume: Go on from the last checkpoint in OUT.
        json: Print the figures as JSON.
    """
    from unihm.training.metrics import train_metrics as train

    report(train(data, out, preset=preset, split=split, seed=seed, resume=resume), json)


def train_completion(
    *,
    data: Path | None = None,
    out: Path = Path("runs/completion"),
    preset: Literal["tiny", "base"] = "base",
    seed: int = 0,
    resume: bool = False,
    steps: int | None = None,
    json: bool = False,
):
    """Train the completion of clouds that one view shows (SnowflakeNet) on household objects that unihm draws.

    Args:
        data: Folder of meshes of your own (m, upright in their files), each seen as often as a family of objects.
        out: Folder for log, checkpoint and weights.
        preset: base is what is shipped, tiny a small one.
        seed: Seed of everything random.
        resume: Go on from the last checkpoint in OUT.
        steps: Stop after so many steps in all; --resume goes on.
        json: Print the figures as JSON.
    """
    from unihm.training.completion import train_completion as train

    report(train(out, data=data, preset=preset, seed=seed, resume=resume, stop_after=steps), json)


def train_planner(
    *,
    data: Path | None = None,
    finetune: Path | None = None,
    out: Path = Path("runs/planner"),
    preset: Literal["tiny", "base", "further", "finetune"] | None = None,
    weights: Path | None = None,
    rgb_only: bool = False,
    clip: Path | None = None,
    heightmap: bool = False,
    only_words: bool = False,
    keep: float = 0.0,
    seed: int = 0,
    resume: bool = False,
    json: bool = False,
):
    """Train the planner: cut an image into things, and find what words mean and where it shall go (CLIPort).

    Args:
        data: Scenes from `unihm data synthesize`, to train from random weights.
        finetune: Instead, scenes of a workplace that the planner alone shall get used to.
        out: Folder for logs, checkpoints, view.safetensors and planner.safetensors; `--perception-weights` takes it.
        preset: Length of the training; default: base, or finetune with --finetune; further: --finetune on many scenes.
        weights: With --finetune, the folder of the planner to begin with; default: the shipped one.
        rgb_only: Without depth in the networks: the ablation of Table 4.
        clip: Local file of CLIP's RN50, whose frozen encoder then is the semantic stream; a copy goes to OUT.
        heightmap: Look at things from straight above, as CLIPort does, and not from the camera.
        keep: With --finetune, share of the words' network before in what is written, 0 to 1: more of what was known.
        only_words: With --finetune, keep the network that cuts images into things, and teach it new names and looks.
        seed: Seed of everything random.
        resume: Go on from the last checkpoints in OUT.
        json: Print the figures as JSON.
    """
    from unihm.assets import WEIGHTS
    from unihm.training.planner import train_planner as train

    scenes = data if finetune is None else finetune
    if scenes is None or (data is not None and finetune is not None):
        raise ValueError("Training the planner needs --data or --finetune, one of them.")
    if weights is not None and finetune is None:
        raise ValueError("--weights is the planner that --finetune begins with; it needs --finetune.")
    if heightmap and finetune is not None:
        raise ValueError("Whether a planner looks from above is settled with --data; --finetune keeps to it.")
    if only_words and finetune is None:
        raise ValueError("--only-words keeps a network that --finetune begins with; it needs --finetune.")
    if not 0 <= keep < 1 or (keep and finetune is None):
        raise ValueError(f"--keep is {keep:g}; expected 0 to less than 1, and with --finetune.")
    report(
        train(
            scenes,
            out,
            preset=preset or ("base" if finetune is None else "finetune"),
            seed=seed,
            resume=resume,
            rgb_only=rgb_only,
            finetune=None if finetune is None else weights or WEIGHTS,
            clip=clip,
            heightmap=heightmap,
            only_words=only_words,
            keep=keep,
        ),
        json,
    )
