"""The command line: one subcommand per step of the method.

Nothing heavy is imported before a command is chosen. A function's signature is its options and its docstring is its
help (tyro).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from unihm.commands import bench, data, evaluate, generate, hands, motion, simulate, train
from unihm.commands.console import say
from unihm.registry import unknown_name

USER_ERROR = 2
INTERRUPTED = 130

COMMANDS: dict[str, Callable | dict[str, Callable]] = {
    "demo": generate.demo,
    "generate": generate.generate,
    "plan": generate.plan,
    "retarget": motion.retarget,
    "translate": motion.translate,
    "tokens": motion.tokens,
    "refine": motion.refine,
    "simulate": simulate.simulate,
    "view": motion.view,
    "hands": {
        "list": hands.hands_list,
        "show": hands.hands_show,
        "check": hands.hands_check,
        "add": hands.hands_add,
    },
    "data": {
        "import": data.data_import,
        "retarget": data.data_retarget,
        "refine": data.data_refine,
        "compose": data.data_compose,
        "join": data.data_join,
        "synthesize": data.data_synthesize,
        "annotate": data.data_annotate,
        "info": data.data_info,
    },
    "train": {
        "tokenizer": train.train_tokenizer,
        "generator": train.train_generator,
        "planner": train.train_planner,
        "metrics": train.train_metrics,
        "completion": train.train_completion,
    },
    "bench": {
        "retargeting": bench.bench_retargeting,
        "refinement": bench.bench_refinement,
        "generation": bench.bench_generation,
    },
    "eval": {
        "tokenizer": evaluate.eval_tokenizer,
        "generation": evaluate.eval_generation,
        "wording": evaluate.eval_wording,
        "refinement": evaluate.eval_refinement,
        "simulation": evaluate.eval_simulation,
        "perception": evaluate.eval_perception,
    },
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (0 only on success)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output went away, as in `unihm ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError) as error:
        if os.environ.get("UNIHM_TRACEBACK"):
            raise
        say("error: " + " ".join(str(error).split()))
        return USER_ERROR


def _run(arguments: list[str]) -> int:
    table: dict[str, Any] = COMMANDS
    prog = ["unihm"]
    while True:
        if not arguments or arguments[0] in ("-h", "--help"):
            print(_overview(table, prog))
            return 0 if arguments else USER_ERROR
        name = arguments.pop(0)
        if prog == ["unihm"] and name == "--version":
            from unihm import __version__

            print(__version__)
            return 0
        if name not in table:
            raise unknown_name("Command", " ".join([*prog[1:], name]), [" ".join([*prog[1:], n]) for n in table])
        prog.append(name)
        if not isinstance(table[name], dict):
            break
        table = table[name]
    import tyro

    tyro.cli(
        table[prog[-1]],
        prog=" ".join(prog),
        args=arguments,
        config=(tyro.conf.PositionalRequiredArgs, tyro.conf.FlagCreatePairsOff)
        if prog[1] not in ("train", "eval", "bench")
        else (tyro.conf.FlagCreatePairsOff,),
    )
    return 0


def _overview(table: dict[str, Any], prog: list[str]) -> str:
    """The list of commands, each with the first line of its docstring."""
    lines = [f"usage: {' '.join(prog)} COMMAND ...", "", "Words and an RGB-D image become a moving robot hand.", ""]
    for name, entry in table.items():
        entries = {name: entry} if callable(entry) else {f"{name} {sub}": f for sub, f in entry.items()}
        for words, function in entries.items():
            lines.append(f"  {words:18s} {(function.__doc__ or '').strip().splitlines()[0]}")
    lines += ["", f"{' '.join(prog)} COMMAND --help shows a command's options."]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
