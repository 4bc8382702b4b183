"""Hand tables: YAML files of kinematic numbers beside this module, read into `Robot` records.

    robot: svh_right                  name in the URDF
    solids: fitted                    where a program fitted them: ``tools/solids/<hand>.json``
    colors: {body: r g b a, ...}
    links:
      NAME: {mass: kg, color: body, solids: [{box: [x, y, z], xyz: [...], rpy: [...]}, {cylinder: [radius, length]}]}
      NAME: {solids_of: [HAND, LINK, y]}   those of another hand's link, reflected along an axis of its frame, or `same`
    joints:
      - {name: N, parent: P, child: C, xyz: [...], rpy: [...], axis: [...], limits: [lower, upper], mimic: [N, m, o]}

A joint without limits is fixed. Fitted solids come before those of the table.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from .robot import Joint, Link, Robot, Solid, reflected

TABLES = Path(__file__).resolve().parent
SOLIDS = TABLES.parent / "solids"
KINDS = ("box", "cylinder", "sphere")


def hand_names() -> list[str]:
    """All hands with a table."""
    return sorted(path.stem for path in TABLES.glob("*.yaml"))


@cache
def read_hand(name: str) -> Robot:
    """The hand of a table, with its solids."""
    data = yaml.safe_load((TABLES / f"{name}.yaml").read_text(encoding="utf-8"))
    links = [link(key, item) for key, item in data["links"].items()]
    joints = [joint(item) for item in data["joints"]]
    if data.get("solids") == "fitted":
        add_fitted(name, links)
    return Robot(data["robot"], data["colors"], links, joints)


def link(name: str, item: dict[str, Any]) -> Link:
    """One link of a table."""
    solids = []
    if "solids_of" in item:
        hand, other, axis = item["solids_of"]
        source = next(x for x in read_hand(hand).links if x.name == other)
        solids = (
            list(source.solids) if axis == "same" else [reflected(solid, "xyz".index(axis)) for solid in source.solids]
        )
    for row in item.get("solids", ()):
        kind = next(kind for kind in KINDS if kind in row)
        solids.append(Solid(kind, tuple(row[kind]), tuple(row.get("xyz", (0, 0, 0))), tuple(row.get("rpy", (0, 0, 0)))))
    return Link(name, item.get("mass", 0.0), solids, item.get("color", "body"))


def joint(item: dict[str, Any]) -> Joint:
    """One joint of a table."""
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in item.items()}
    return Joint(**values)


def add_fitted(name: str, links: list[Link]) -> None:
    """Put the fitted solids before the links' own."""
    path = SOLIDS / f"{name}.json"
    if not path.exists():
        raise ValueError(f"{name}.yaml wants fitted solids, but {path} does not exist: run tools/fit_solids.py {name}.")
    fitted = json.loads(path.read_text(encoding="utf-8"))["links"]
    if unknown := sorted(set(fitted) - {item.name for item in links}):
        raise ValueError(f"{path.name} names links {', '.join(unknown)}, which {name}.yaml does not have.")
    for item in links:
        item.solids[:0] = [
            Solid(s["kind"], tuple(s["size"]), tuple(s["xyz"]), tuple(s["rpy"])) for s in fitted.get(item.name, ())
        ]
