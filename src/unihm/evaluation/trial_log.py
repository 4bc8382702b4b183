"""Trials as they end, one line of JSON each, so that a run of hours can go on where it was interrupted.

The first line states the settings and the code that made them. Whole lines are appended in one write; a line that a
crash has cut is dropped when the file is opened again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from unihm.evaluation.trials import TrialName, TrialResult
from unihm.schema.storage import write_text

FILE = "trials.jsonl"
_KIND, _VERSION = "unihm simulated trials", 1
_PACKAGE = Path(__file__).resolve().parent.parent
_DECIDES = (
    "assets/hands",
    "contact_phases.py",
    "evaluation/judging.py",
    "evaluation/simulated_trials.py",
    "evaluation/variants.py",
    "geometry",
    "hands",
    "kinematics",
    "perception",
    "pipeline.py",
    "planning",
    "refinement",
    "scenes",
    "simulation",
    "whole_path",
)
"""Files and folders of this package on which the outcome of a trial depends."""


class TrialLog:
    """The finished trials of a run; without a folder they are only remembered."""

    def __init__(self, folder: Path | None, settings: Mapping[str, Any]):
        """Read what is finished, or begin.

        Args:
            folder: Where ``trials.jsonl`` lies or shall lie.
            settings: JSON values that decide on the outcomes.

        Raises:
            ValueError: The file was made with other settings, or is damaged.
        """
        self._path = None if folder is None else folder / FILE
        self.results: dict[TrialName, TrialResult] = {}
        if self._path is None:
            return
        head = {"kind": _KIND, "version": _VERSION, "settings": json.loads(json.dumps(settings))}
        if not self._path.is_file():
            write_text(self._path, json.dumps(head) + "\n")
            return
        text = self._path.read_text(encoding="utf-8")
        lines = text[: text.rfind("\n") + 1].splitlines()
        if text and not text.endswith("\n"):
            write_text(self._path, "".join(f"{line}\n" for line in lines))
        try:
            old, *trials = (json.loads(line) for line in lines)
            if (old["kind"], old["version"]) != (_KIND, _VERSION):
                raise ValueError(f"it holds {old['kind']!r}, version {old['version']}")
            results = [_result(trial) for trial in trials]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"'{self._path}' is damaged: {error}; remove it, or give another --out folder.") from error
        if different := _differences(old["settings"], head["settings"]):
            raise ValueError(
                f"'{self._path}' holds trials of other settings ({different}); give another --out folder, or remove it."
            )
        self.results = {result.name: result for result in results}

    def add(self, results: Iterable[TrialResult]) -> None:
        """Keep finished trials.

        Args:
            results: Whole lines of them are written at once.
        """
        results = list(results)
        self.results.update({result.name: result for result in results})
        if self._path is None or not results:
            return
        text = "".join(json.dumps({**r.name._asdict(), **_outcome(r)}) + "\n" for r in results)
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(file, text.encode())
        finally:
            os.close(file)


def code_digest() -> str:
    """16 hexadecimal digits that change with the code and the hands on which the outcome of a trial depends."""
    digest = hashlib.sha256()
    for name in _DECIDES:
        entry = _PACKAGE / name
        files = (
            [entry] if entry.is_file() else sorted(p for p in entry.rglob("*") if p.suffix in (".py", ".yaml", ".urdf"))
        )
        for file in files:
            digest.update(f"{file.relative_to(_PACKAGE).as_posix()}\n".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _outcome(result: TrialResult) -> dict[str, Any]:
    return {name: getattr(result, name) for name in ("object", "success", "reason", "measures", "note")}


def _result(line: dict[str, Any]) -> TrialResult:
    name = TrialName(**{field: line.pop(field) for field in TrialName._fields})
    return TrialResult(name=name, **line)


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """The settings that differ, in words; empty where none does."""
    names = [name for name in dict.fromkeys([*new, *old]) if old.get(name) != new.get(name)]
    return "; ".join(f"{name}: {_short(old.get(name))} there, {_short(new.get(name))} here" for name in names)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
