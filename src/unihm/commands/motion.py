"""What can be done to a motion: make it from keypoints, translate, encode, refine, show it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unihm.commands.console import load_weights, report, say, tried


def retarget(
    source: str,
    *,
    hand: str = "shadow",
    preset: str = "default",
    data: Path | None = None,
    fps: float | None = None,
    scale: float = 1.0,
    max_gap: float = 0.5,
    camera: Path | None = None,
    depth: Path | None = None,
    mirrored: bool = False,
    out: Path | None = None,
    json: bool = False,
):
    """Human keypoints to a motion of the named hand (Eq. B1).

    Args:
        source: Keypoints (T,21,3) in metres as .npy or .npz, a video file, or an episode id, with --data.
        hand: Which hand moves; see `unihm hands list`. Its side says which human hand is looked for.
        preset: Named settings of the objective: default, position, or vector.
        data: Episode store, when SOURCE is an episode id.
        fps: Frames per second; default: what the file states, else 30.
        scale: Factor that makes the keypoints metres.
        max_gap: Longest run of missing frames that is bridged, s; a longer one is refused.
        camera: Calibration (camera.json) of the video: the wrist then moves in the camera's frame.
        depth: Depth frames of the video; the hand is then placed by them.
        mirrored: The video shows a mirror image.
        out: The motion file; default out/<source>-<hand>.npz.
        json: Print the figures as JSON.
    """
    import time
    from dataclasses import replace

    import numpy as np
    from tqdm import tqdm

    from unihm.hands.description import describe_hand
    from unihm.registry import unknown_name
    from unihm.retargeting import PRESETS, retarget_with_report

    model = describe_hand(hand)
    if preset not in PRESETS:
        raise unknown_name("--preset", preset, PRESETS)
    facts: dict[str, Any] = {"hand": model.name}
    episode = None
    if data is not None:
        from unihm.datasets.episode_store import read_episodes

        episode = next(iter(read_episodes(data, [source])))
        keypoints, rate = episode.keypoints_world, episode.fps
    else:
        from unihm.sources.base import read_source
        from unihm.sources.gaps import GapConfig, bridge

        sequence = read_source(
            source, side=model.side, fps=fps, scale=scale, camera=camera, depth=depth, mirrored=mirrored
        )
        sequence, gaps = bridge(sequence, GapConfig(max_gap_s=max_gap))
        keypoints, rate = sequence.keypoints, sequence.fps
        facts |= {"frame": sequence.frame, "missing": gaps.missing, "bridged": gaps.bridged}
    start = time.perf_counter()
    config = replace(PRESETS[preset], fps=float(rate))
    with tqdm(desc=f"retarget {model.name}", total=len(keypoints), unit="frame", disable=None, delay=2) as bar:
        motions, search = retarget_with_report(
            [keypoints], model, config, progress=lambda share: bar.update(int(share * len(keypoints)) - bar.n)
        )
    motion = motions[0].replace(fps=rate, source=source)
    seconds = time.perf_counter() - start
    if episode is not None:
        from unihm.datasets.motion_store import attach

        motion = attach(motion, episode)
    target = out or Path("out") / f"{Path(source).stem}-{model.name}.npz"
    motion.save(target)
    outside = np.maximum(model.chain.lower - motion.qpos, motion.qpos - model.chain.upper)
    facts |= {
        "frames": len(motion),
        "fingertip_mm": round(search.fingertip_mm, 3),
        "status": search.status,
        "limit_violations": int((outside > 1e-9).any(axis=-1).sum()),
        "ms_per_frame": round(seconds / len(motion) * 1e3, 3),
        "out": str(target),
    }
    report(facts, json)


def translate(
    motion: Path,
    *,
    to: str | None = None,
    bits: float | None = None,
    polish: int = 0,
    stream: str | None = None,
    weights: Path | None = None,
    out: Path | None = None,
    json: bool = False,
):
    """A motion of one hand to another through the shared codebook (Eq. 6).

    Args:
        motion: A motion .npz; or - to read frames from standard input and write translated ones as they come, one JSON
            object a line with "qpos" and "palm" (x y z and quaternion w x y z). See --stream.
        to: The hand to translate to.
        bits: The finest code of at most so many bits a frame; default: the finest there is.
        polish: Steps of the retargeting solver on the keypoints, after translation.
        stream: With -, the hand whose frames come; its joints in the order of `unihm hands show`.
        weights: Tokenizer weights; default: the shipped ones.
        out: The motion file; default beside the input, <motion>-<to>.npz.
        json: Print the facts as JSON.
    """
    from unihm.evaluation.cases import RECORDED_HAND
    from unihm.hands.hand import list_hands, load_hand
    from unihm.schema.motion import HandMotion
    from unihm.tokenizer.tokenizer import load_tokenizer

    if to is None:
        raise ValueError(f"--to needs the hand to translate to. Available: {', '.join(list_hands())}.")
    if polish < 0:
        raise ValueError(f"--polish is {polish}, expected at least 0.")
    if (str(motion) == "-") != (stream is not None) or (stream is not None and polish):
        raise ValueError("- for standard input and --stream HAND go together, without --polish.")
    tokenizer = load_weights(lambda: load_tokenizer(weights))
    levels = tokenizer.rates[-1] if bits is None else tokenizer.levels_within(bits)
    if stream is not None:
        from unihm.commands.streaming import translate_lines

        translate_lines(tokenizer, stream, to, levels)
        return
    target = load_hand(to)
    source = HandMotion.load(motion)
    translated = tokenizer.translate(source, target.name, levels=levels)
    if polish:
        from unihm.retargeting import polish as polished
        from unihm.tokenizer.figures import keypoints_world

        # Any hand's tokens can be read as the recorded person's hand, which has all keypoints.
        person = source if source.hand == RECORDED_HAND else tokenizer.translate(source, RECORDED_HAND, levels=levels)
        keypoints = keypoints_world(person, load_hand(RECORDED_HAND))
        translated = polished(translated, keypoints, target.description, steps=polish)
    path = out or motion.with_name(f"{motion.stem}-{target.name}.npz")
    translated.save(path)
    facts = {
        "from": source.hand,
        "to": target.name,
        "frames": len(translated),
        "tokens": -(-len(source) // tokenizer.frames_per_chunk) * levels,
        "bits_per_frame": tokenizer.bits(levels),
        "out": str(path),
    }
    report(facts, json)


def tokens(
    motion: Path,
    *,
    decode: str | None = None,
    bits: float | None = None,
    weights: Path | None = None,
    out: Path | None = None,
    json: bool = False,
):
    """A motion as tokens with their times; or tokens back to a motion.

    Args:
        motion: A motion .npz to encode; or tokens, as .npz or as the JSON that --json prints, perhaps edited; or the
            word codebook, to draw the most used codes on three hands and how often each is used.
        decode: Decode the tokens with this hand and write the motion.
        bits: The finest code of at most so many bits a frame; default: the coarsest, the one a generator writes.
        weights: Tokenizer weights; default: the shipped ones.
        out: The tokens file (with --decode the motion file, of the codebook a .png or .html file); default beside the
            input, out/codebook.html.
        json: Print the tokens as JSON.
    """
    from unihm.schema.motion import HandMotion, MotionTokens
    from unihm.schema.storage import load_record_header
    from unihm.tokenizer.tokenizer import load_tokenizer

    tokenizer = load_weights(lambda: load_tokenizer(weights))
    if str(motion) == "codebook":
        from unihm.viewer.codebook_sheet import write_codebook

        picture = out or Path("out") / "codebook.html"
        report({**write_codebook(tokenizer, picture), "out": str(picture)}, json)
        return
    path = motion
    if motion.suffix == ".json":
        written = MotionTokens.from_json(motion)
    elif load_record_header(motion).get("kind") == "motion_tokens":
        written = MotionTokens.load(motion)
    else:
        levels = tokenizer.levels if bits is None else tokenizer.levels_within(bits)
        written = tokenizer.encode(HandMotion.load(motion), levels=levels)
        path = motion.with_name(f"{motion.stem}-tokens.npz") if out is None or decode else out
        written.save(path)
    facts: dict[str, Any] = {
        **written.as_json(),
        "seconds_per_chunk": written.frames_per_chunk / written.fps,
        "bits_per_frame": tokenizer.bits(written.codes.shape[1]),
        "out": str(path),
    }
    if decode is not None:
        decoded = tokenizer.decode(written, decode)
        target = out or motion.with_name(f"{motion.stem}-{decode}.npz")
        decoded.save(target)
        facts["decoded"] = str(target)
    lines = [f"{len(written.codes)} chunks of {written.frames_per_chunk} frames, {written.codes.shape[1]} codes each"]
    for index, row in enumerate(written.codes):
        lines.append(f"  {index * facts['seconds_per_chunk']:6.3f} s  " + " ".join(f"{code:5d}" for code in row))
    lines += [f"{name}: {facts[name]}" for name in ("out", "decoded") if name in facts]
    report(facts, json, "\n".join(lines))


def refine(
    motion: Path,
    *,
    object: Path | None = None,
    mode: str = "joint",
    timing: bool = True,
    candidates: int = 1,
    task: str = "grab",
    criterion: str = "full",
    workers: int = 1,
    seed: int = 0,
    out: Path | None = None,
    json: bool = False,
):
    """Touch the object without piercing it, and hold it (Algorithm 1, or the whole motion at once).

    Args:
        motion: A motion .npz with an object path.
        object: The object's surface in its own frame: a mesh, or points .xyz; default: the motion's own cloud.
        mode: joint (the whole motion at once) or causal (the paper's, frame by frame).
        timing: Let the motion take longer where limits or the grasp need it; --no-timing keeps its frames.
        candidates: Motions that are simulated on the cloud, closed: other grasps and variations; the best is kept.
        task: Of the candidates: grab, place, pull or push (over the table).
        criterion: How strictly: full, hard or light to grab; full or strict to place.
        workers: Processes that simulate candidates.
        seed: Of the variations.
        out: The refined motion; default beside the input, <motion>-refined.npz.
        json: Print the figures as JSON.
    """
    from unihm.hands.description import describe_hand
    from unihm.refinement import MODES, RefinementConfig, refinements
    from unihm.registry import unknown_name
    from unihm.schema.motion import HandMotion
    from unihm.simulation.trying import GRASPS

    if mode not in MODES:
        raise unknown_name("--mode", mode, MODES)
    if candidates < 1:
        raise ValueError(f"candidates is {candidates}, expected at least 1.")
    if workers < 1:
        raise ValueError(f"workers is {workers}, expected at least 1.")
    tasks = {"grab": "grab", "place": "place", "pull": "slide", "push": "slide"}
    if task not in tasks:
        raise unknown_name("--task", task, tasks)
    source = HandMotion.load(motion)
    if object is not None:
        from unihm.geometry.surface import load_surface

        points, normals = load_surface(object)
        source = source.replace(object_points=points, object_normals=normals)
    thing = None
    if candidates > 1:
        from unihm.simulation.choice import check_choice, perceived_of_motion

        thing = perceived_of_motion(source)
        check_choice(source, thing, tasks[task], criterion)
    hand = describe_hand(source.hand)
    found = refinements(source, hand, min(candidates, GRASPS), mode=mode, config=RefinementConfig(timing=timing))
    refined, figures = found[0]
    facts: dict[str, Any] = {**vars(figures)}
    if thing is not None:
        from tqdm import tqdm

        from unihm.simulation.candidates import candidates as varied
        from unihm.simulation.choice import choose

        motions = varied([one for one, _ in found], candidates, seed, hand=hand)
        with tqdm(desc="candidates", total=candidates, unit="motion", disable=None, delay=2) as bar:
            best, facts["simulation"] = choose(
                motions,
                thing,
                tasks[task],
                families=len(found),
                criterion=criterion,
                workers=workers,
                progress=lambda done: bar.update(done - bar.n),
            )
        refined = motions[best]
    path = out or motion.with_name(f"{motion.stem}-refined.npz")
    refined.save(path)
    facts["out"] = str(path)
    lines = [f"{name}: {value}" for name, value in facts.items() if name not in ("simulation", "frame_of")]
    report(facts, json, "\n".join([*lines[:-1], *tried(facts.get("simulation")), lines[-1]]))


def view(
    motion: Path, *, html: Path | None = None, host: str = "127.0.0.1", port: int = 8080, frames: Path | None = None
):
    """Play a motion in the browser, or write one offline page.

    Args:
        motion: A motion .npz.
        html: Write an offline page with a player to this file instead of serving one.
        host: Address to listen on; only this machine by default.
        port: Port to listen on.
        frames: Write a still picture (PNG) of three times of the motion to this file instead.
    """
    from unihm import viewer
    from unihm.schema.motion import HandMotion

    source = HandMotion.load(motion)
    if html is not None:
        viewer.write_html(source, html)
        say(f"out: {html}")
    if frames is not None:
        viewer.write_frames_png(source, frames)
        say(f"out: {frames}")
    if html is None and frames is None:
        viewer.serve(source, host=host, port=port)
