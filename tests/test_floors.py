"""Imports go down only, and importing the package does nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "unihm"

FLOORS = {
    "geometry": 0,
    "registry": -1,  # names only; under everything
    "cache": -1,
    "compiled": 0,
    "processes": -1,
    "notice": 0,
    "assets": 0,
    "schema": 1,
    "kinematics": 1,
    "hands": 1,
    "tokenizer": 2,
    "cliport": 2,
    "sources.checks": 2,  # what keypoints must be, asked by retargeting
    "retargeting": 3,
    "contact_phases": 3,
    "refinement": 3,
    "perception": 3,
    "planning": 3,
    "generation": 3,
    "generation.text_encoder": 2,
    "datasets": 3,
    "datasets.object_names": 2,  # words alone
    "scenes": 3,
    "simulation": 3,
    "sources": 3,
    "pipeline": 4,
    "physical_data": 4,
    "scene_data": 4,
    "annotation": 4,
    "training": 4,
    "evaluation": 4,
    "composing": 5,
    "viewer": 5,
    "whole_path": 6,
    "commands": 7,
    "cli": 8,
}
# Two parts that are one step of the method may know each other on the same floor.
SAME_FLOOR = {
    ("refinement", "contact_phases"),  # the contact term is gated by the phase
    ("datasets", "contact_phases"),  # episodes state when the hand touches
    ("datasets", "retargeting"),  # a store holds its episodes' motions
    ("simulation", "contact_phases"),  # candidates vary as the phase grows
    ("training", "evaluation"),  # the metric encoder is trained, and part of the evaluation
    ("planning", "perception"),  # a plan starts from what was perceived
    ("simulation", "perception"),  # a planner in simulation sees the object through a camera
    ("training", "scene_data"),  # the planner learns from made scenes
    ("evaluation", "scene_data"),  # and is judged on others
    ("scenes", "simulation"),  # made scenes are models of the simulation
    ("scenes", "planning"),  # their instructions come with the path that a planner should find
}
# Down within floor 1 and between floors 0 and 1 for plain records.
WITHIN = {("hands", "kinematics"), ("schema", "hands"), ("kinematics", "schema"), ("hands", "schema")}


def _part(module: str) -> str | None:
    """The row of FLOORS that a module of the package belongs to."""
    name = module.removeprefix("unihm.")
    while name:
        if name in FLOORS:
            return name
        name = name.rpartition(".")[0]
    return None


def _modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        if name != "unihm":
            yield name, path


def _imports(path: Path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_module_has_a_floor():
    assert [name for name, _ in _modules() if _part(name) is None] == []


@pytest.mark.parametrize(("name", "path"), [pytest.param(n, p, id=n) for n, p in _modules()])
def test_imports_go_down_only(name: str, path: Path):
    mine = _part(name)
    assert mine is not None
    for imported in _imports(path):
        if not imported.startswith("unihm."):
            continue
        other = _part(imported)
        if other is None or other == mine or (mine, other) in SAME_FLOOR | WITHIN:
            continue
        assert FLOORS[other] < FLOORS[mine], f"{name} (floor {FLOORS[mine]}) imports {imported} (floor {FLOORS[other]})"


def test_import_and_help_load_nothing_heavy():
    code = (
        "import sys, unihm, unihm.cli; "
        "heavy = {'torch', 'numpy', 'scipy', 'mujoco', 'transformers', 'viser', 'matplotlib'} & set(sys.modules); "
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"importing unihm.cli loads {done.stderr.strip()}"
