"""The elements of a URDF as records: links with their solids, joints, and mimic relations as written."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping

import numpy as np

from unihm.kinematics.urdf_records import GREY, JOINT_TYPES, Joint, Link, MeshReference, Mimic, Shape
from unihm.kinematics.urdf_xml import attribute, number, numbers, only, origin

_Solid = tuple[str, tuple[float, ...], float]
"""Kind, size, and how far along z the centre stands from the origin."""


def read_links(robot: ET.Element) -> tuple[Link, ...]:
    """All links, in the order of the file."""
    materials = {m.get("name"): color for m in robot.findall("material") if (color := _rgba(m))}
    return tuple(_link(element, materials) for element in robot.findall("link"))


def read_joints(robot: ET.Element) -> tuple[Joint, ...]:
    """All joints, in the order of the file; who mimics whom is told by `read_mimics`."""
    return tuple(_joint(element) for element in robot.findall("joint"))


def read_mimics(robot: ET.Element) -> dict[str, Mimic]:
    """Joint name to the relation as written: its source may itself mimic another joint."""
    relations = {}
    for element in robot.findall("joint"):
        where = f"joint '{element.get('name')}'"
        mimic = only(element, "mimic", where)
        if mimic is not None:
            where += ", <mimic>"
            relations[element.get("name", "")] = Mimic(
                source=attribute(mimic, "joint", where),
                multiplier=number(mimic, "multiplier", where, 1.0),
                offset=number(mimic, "offset", where, 0.0),
            )
    return relations


def _link(element: ET.Element, materials: Mapping[str | None, tuple[float, ...]]) -> Link:
    name = attribute(element, "name", "a <link>")
    where = f"link '{name}'"
    solids: dict[str, list[Shape]] = {"collision": [], "visual": []}
    meshes: list[MeshReference] = []
    for role, shapes in solids.items():
        for item in element.findall(role):
            geometry = only(item, "geometry", f"{where}, <{role}>")
            if geometry is None or len(geometry) != 1:
                raise ValueError(f"{where}: a <{role}> needs one <geometry> with one shape.")
            T = origin(item, where)
            if geometry[0].tag == "mesh":
                meshes.append(_mesh(geometry[0], role, T, f"{where}, <mesh>"))
                continue
            material = item.find("material")
            color = GREY
            if material is not None:
                color = _rgba(material) or materials.get(material.get("name"), GREY)
            for kind, size, z in _solids(geometry[0], where):
                T_link_shape = T.copy()
                T_link_shape[:3, 3] += z * T[:3, 2]
                shapes.append(Shape(kind=kind, size=size, T_link_shape=T_link_shape, color=color))
    mass = element.find("inertial/mass")
    return Link(
        name=name,
        collisions=tuple(solids["collision"]),
        visuals=tuple(solids["visual"]),
        mesh_references=tuple(meshes),
        mass=0.0 if mass is None else numbers(mass, "value", 1, f"{where}, <mass>")[0],
    )


def _solids(element: ET.Element, where: str) -> list[_Solid]:
    tag = element.tag.rpartition("}")[2]  # Drake writes its capsules as <drake:capsule>
    where = f"{where}, <{tag}>"
    if tag == "sphere":
        return [("sphere", _lengths(element, "radius", where), 0.0)]
    if tag == "cylinder":
        return [("cylinder", _lengths(element, "radius", where) + _lengths(element, "length", where), 0.0)]
    if tag == "box":
        return [("box", _lengths(element, "size", where, 3), 0.0)]
    if tag == "capsule":
        # URDF 1.1: the length is that of the cylinder between the caps (so MuJoCo and Drake read it as well).
        radius, length = _lengths(element, "radius", where), _lengths(element, "length", where, zero=True)[0]
        if length == 0:
            return [("sphere", radius, 0.0)]
        caps: list[_Solid] = [("sphere", radius, z) for z in (-length / 2, length / 2)]
        return [("cylinder", (*radius, length), 0.0), *caps]
    raise ValueError(f"{where} is no shape that we know; expected box, cylinder, sphere, capsule or mesh.")


def _lengths(element: ET.Element, key: str, where: str, count: int = 1, *, zero: bool = False) -> tuple[float, ...]:
    values = numbers(element, key, count, where)
    if min(values) < 0 or (min(values) == 0 and not zero):
        raise ValueError(f"{where}: sizes must be positive, found {key} = '{element.get(key)}'.")
    return values


def _mesh(element: ET.Element, role: str, T_link_mesh: np.ndarray, where: str) -> MeshReference:
    scale = numbers(element, "scale", 3, where) if "scale" in element.attrib else (1.0, 1.0, 1.0)
    if 0.0 in scale:
        raise ValueError(f"{where}: scale is '{element.get('scale')}', expected factors other than 0.")
    return MeshReference(
        filename=attribute(element, "filename", where), role=role, T_link_mesh=T_link_mesh, scale=scale
    )


def _joint(element: ET.Element) -> Joint:
    name = attribute(element, "name", "a <joint>")
    where = f"joint '{name}'"
    kind = attribute(element, "type", where)
    if kind not in JOINT_TYPES:
        hint = " A hand floats by itself: remove this joint and what it hangs from." if kind == "floating" else ""
        raise ValueError(f"{where} has type '{kind}'; expected one of {', '.join(JOINT_TYPES)}.{hint}")
    ends = {}
    for tag in ("parent", "child"):
        end = only(element, tag, where)
        if end is None:
            raise ValueError(f"{where} has no <{tag}>.")
        ends[tag] = attribute(end, "link", f"{where}, <{tag}>")
    lower, upper = _limits(element, kind, where)
    limit = only(element, "limit", where)
    drive = {"effort": math.inf, "velocity": math.inf}
    if limit is not None:
        for key, default in drive.items():
            drive[key] = number(limit, key, f"{where}, <limit>", default, largest=math.inf)
    return Joint(
        name=name,
        kind=kind,
        parent=ends["parent"],
        child=ends["child"],
        T_parent_child=origin(element, where),
        axis=_axis(element, kind, where),
        lower=lower,
        upper=upper,
        effort=drive["effort"],
        # Exporters write 0 where nothing was filled in; taken at its word, the joint could never move.
        velocity=drive["velocity"] if drive["velocity"] > 0 else math.inf,
    )


def _axis(element: ET.Element, kind: str, where: str) -> np.ndarray:
    item = only(element, "axis", where)
    axis = np.array([1.0, 0.0, 0.0])  # the URDF default
    if item is not None and kind != "fixed":
        axis = np.array(numbers(item, "xyz", 3, f"{where}, <axis>"))
    norm = float(np.linalg.norm(axis))
    if norm < 1e-9:
        raise ValueError(f"{where} has a zero axis.")
    return axis / norm


def _limits(element: ET.Element, kind: str, where: str) -> tuple[float, float]:
    """Lower and upper limit.

    One limit may be missing and is then 0, the format's default; a joint for which both are missing is refused,
    since nobody means the [0, 0] of the format. Infinite limits are what they say. Limits of continuous joints have
    no meaning, and those of mimic joints may be missing.
    """
    free = (-math.inf, math.inf)
    if kind in ("continuous", "fixed"):
        return free
    limit = only(element, "limit", where)
    if limit is None or {"lower", "upper"}.isdisjoint(limit.keys()):
        if element.find("mimic") is not None:
            return free
        hint = "" if kind == "prismatic" else " A joint without end is of type continuous."
        raise ValueError(f"{where} is {kind} but has no <limit lower upper>.{hint}")
    lower, upper = (number(limit, key, f"{where}, <limit>", 0.0, largest=math.inf) for key in ("lower", "upper"))
    if lower > upper or lower == math.inf or upper == -math.inf:
        raise ValueError(f"{where}: lower limit {lower} exceeds upper {upper}; swap them if they are exchanged.")
    return lower, upper


def _rgba(material: ET.Element) -> tuple[float, ...] | None:
    color = material.find("color")
    return None if color is None else numbers(color, "rgba", 4, f"material '{material.get('name')}'")
