"""Mass, centre and inertia of a hand's moving bodies, from its URDF where stated, else from its solids.

Links behind fixed joints are one body, so their inertials are added up (Steiner). What a file does not say is assumed
and said: a link with solids and no mass has `HAND_DENSITY`, a moving body with neither weighs `LEAST_MASS`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from unihm.hands.description import HandDescription
from unihm.hands.hand_file import HAND_FILE, read_hand_file
from unihm.kinematics.urdf import Shape
from unihm.kinematics.urdf_xml import numbers, only, origin, read_robot
from unihm.simulation.constants import HAND_DENSITY, LEAST_MASS

_LEAST_RADIUS = 0.005  # m: a body of which nothing is known turns like a ball of this radius
_ENTRIES = ("ixx", "ixy", "ixz", "iyy", "iyz", "izz")


@dataclass(frozen=True, kw_only=True)
class Inertial:
    """How a body resists."""

    mass: float
    """kg."""
    centre: Float[np.ndarray, " 3"]
    """Centre of mass in the body, m."""
    inertia: Float[np.ndarray, "3 3"]
    """About the centre of mass, along the body's axes, kg m^2."""

    def moved(self, T: Float[np.ndarray, "4 4"]) -> Inertial:
        """The same in another frame: T takes points of this one to that one."""
        R = T[:3, :3]
        return Inertial(mass=self.mass, centre=R @ self.centre + T[:3, 3], inertia=R @ self.inertia @ R.T)


def body_inertials(hand: HandDescription) -> tuple[list[Inertial], tuple[str, ...]]:
    """The inertials of a hand's bodies.

    Args:
        hand: The hand.

    Returns:
        One inertial a moving body of `hand.chain`, and last that of the base, in the frames of these bodies (the base:
        the palm frame); and a sentence for each thing that had to be assumed.

    Raises:
        ValueError: The URDF states a mass below 0, or an inertia that is none.
    """
    stated = _stated(hand)
    bodies: list[list[Inertial]] = [[] for _ in range(len(hand.chain.parent) + 1)]
    notes = []
    for link in hand.urdf.links:
        part = stated.get(link.name)
        if part is None and (solids := link.collisions or link.visuals):
            part = _total([_of_solid(shape) for shape in solids])
            notes.append(f"link '{link.name}' states no mass: {part.mass:.4f} kg by {HAND_DENSITY:g} kg/m^3")
        if part is not None:
            bodies[hand.chain.body_of_link[link.name]].append(part.moved(hand.chain.T_body_link[link.name]))
    found = []
    for i, parts in enumerate(bodies):
        if not parts:
            name = next(link for link, body in hand.chain.body_of_link.items() if body in (i, i - len(bodies)))
            notes.append(f"body '{name}' has neither mass nor solids: {LEAST_MASS:g} kg")
            inertia = 0.4 * LEAST_MASS * _LEAST_RADIUS**2 * np.eye(3)
            parts = [Inertial(mass=LEAST_MASS, centre=np.zeros(3), inertia=inertia)]
        found.append(_realisable(_total(parts)))
    return found, tuple(notes)


def _stated(hand: HandDescription) -> dict[str, Inertial]:
    """Inertials by link, as the URDF has them, for links that state a mass above 0."""
    path = hand.folder / read_hand_file(hand.folder / HAND_FILE).urdf
    found = {}
    for element in read_robot(path).findall("link"):
        name = element.get("name", "")
        where = f"URDF file '{path}': link '{name}', <inertial>"
        inertial = only(element, "inertial", where)
        mass_element = None if inertial is None else only(inertial, "mass", where)
        if inertial is None or mass_element is None:
            continue
        mass = numbers(mass_element, "value", 1, where)[0]
        if mass < 0:
            raise ValueError(f"{where}: the mass is {mass} kg, expected 0 or more.")
        if mass == 0:
            continue
        T = origin(inertial, where)
        item = only(inertial, "inertia", where)
        if item is None:  # a point with the least extent
            inertia = 0.4 * mass * _LEAST_RADIUS**2 * np.eye(3)
        else:
            xx, xy, xz, yy, yz, zz = (numbers(item, key, 1, where)[0] for key in _ENTRIES)
            inertia = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
            if np.linalg.eigvalsh(inertia)[0] < -1e-9:
                raise ValueError(f"{where}: the inertia has a negative principal moment.")
        found[name] = Inertial(mass=mass, centre=np.zeros(3), inertia=inertia).moved(T)
    return found


def _of_solid(shape: Shape) -> Inertial:
    """Of a solid of `HAND_DENSITY`, in the link."""
    if shape.kind == "sphere":
        (r,) = shape.size
        volume, squares = 4 / 3 * np.pi * r**3, np.full(3, r**2 / 5)
    elif shape.kind == "cylinder":
        r, length = shape.size
        volume, squares = np.pi * r**2 * length, np.array([r**2 / 4, r**2 / 4, length**2 / 12])
    else:
        volume, squares = float(np.prod(shape.size)), np.array(shape.size) ** 2 / 12
    mass = HAND_DENSITY * volume
    inertia = mass * np.diag(squares.sum() - squares)  # squares: means of x^2, y^2, z^2 over the solid
    return Inertial(mass=mass, centre=np.zeros(3), inertia=inertia).moved(shape.T_link_shape)


def _total(parts: list[Inertial]) -> Inertial:
    mass = sum(part.mass for part in parts)
    centre = sum((part.mass * part.centre for part in parts), np.zeros(3)) / mass
    inertia = np.zeros((3, 3))
    for part in parts:
        d = part.centre - centre
        inertia += part.inertia + part.mass * (d @ d * np.eye(3) - np.outer(d, d))
    return Inertial(mass=mass, centre=centre, inertia=inertia)


def _realisable(body: Inertial) -> Inertial:
    """The nearest that a body can have: positive principal moments, none larger than the other two together.

    Rounded numbers in URDFs miss this by a little, which MuJoCo refuses. What is added is far below the armature of
    the joints.
    """
    moments, axes = np.linalg.eigh(body.inertia)
    least = 1e-4 * body.mass * _LEAST_RADIUS**2
    moments = np.maximum(moments, least)
    lacking = moments[2] - moments[0] - moments[1]
    if lacking >= 0:
        moments[:2] += lacking / 2 * (1 + 1e-9) + 1e-6 * moments[2]
    return Inertial(mass=body.mass, centre=body.centre, inertia=(axes * moments) @ axes.T)
