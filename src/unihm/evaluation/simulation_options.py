"""How motions are tried in simulation, checked before any of them is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unihm.hands.description import HandDescription
from unihm.registry import unknown_name
from unihm.simulation.constants import FRICTION
from unihm.simulation.hand_solids import hand_solids
from unihm.simulation.tasks import TASKS
from unihm.simulation.tasks.place import DISTANCES

CRITERIA: Mapping[str, tuple[str, ...]] = {
    "grab": ("light", "full", "hard"),
    "place": tuple(DISTANCES),
    "slide": ("full",),
}
"""Tasks that are done to nothing but an object, and their criteria, each stricter than the one before."""
_USUAL = {"grab": ("light", "full")}
_QUICK = 2  # recordings of each part; with `QUICK_HANDS` hands under 40 s
QUICK_HANDS = 2


@dataclass(frozen=True, kw_only=True)
class SimulationOptions:
    """How motions are tried."""

    task: str = "grab"
    """Key of `CRITERIA`."""
    criteria: tuple[str, ...] = ()
    """How outcomes are judged; by default light and full for grabs, full else."""
    frictions: tuple[float, ...] = (FRICTION,)
    """Sliding friction of every pair; every motion is tried at each."""
    cloud_noise: tuple[float, ...] = (0.0,)
    """Standard deviation of Gaussian noise on each point of the cloud that refinement sees, mm; every motion is refined
    at each. Normals are left as they are."""
    noise: float = 0.0
    """Displacement of the object as a share of 2 cm and 10 degrees, as in `tasks.prepare`."""
    follow: bool = False
    """Whether motions are moved with the displaced object, as if they had been planned for where it is."""
    repeats: int = 1
    """Times that every recording is tried, each with noise of its own."""
    hand_meshes: Path | None = None
    """Folder of official hands, ``<hand>/*.urdf``: every trial is made with their collision meshes as well."""
    limit: int | None = None
    """Recordings of each part, chosen evenly; None: all."""
    quick: bool = False
    """Two recordings of each part, and the first two hands."""
    seed: int = 0
    """Of noise, sensors, candidates, generation and intervals."""

    def __post_init__(self):
        if self.task in TASKS and self.task not in CRITERIA:
            raise ValueError(
                f"Task '{self.task}' is done to a drawer, door or lid, which recordings do not have; "
                f"available: {', '.join(CRITERIA)}."
            )
        if self.task not in CRITERIA:
            raise unknown_name("Task", self.task, CRITERIA)
        if not self.criteria:
            object.__setattr__(self, "criteria", _USUAL.get(self.task, CRITERIA[self.task][:1]))
        for name in ("criteria", "frictions", "cloud_noise"):
            object.__setattr__(self, name, tuple(dict.fromkeys(getattr(self, name))))
        for name in self.criteria:
            if name not in CRITERIA[self.task]:
                raise unknown_name(f"Criterion of task '{self.task}'", name, CRITERIA[self.task])
        if not self.frictions or not all(np.isfinite(mu) and mu > 0 for mu in self.frictions):
            raise ValueError(f"Frictions are {self.frictions}, expected at least one, all more than 0.")
        if not self.cloud_noise or not all(np.isfinite(mm) and mm >= 0 for mm in self.cloud_noise):
            raise ValueError(f"Noises of the cloud (mm) are {self.cloud_noise}, expected at least one, all 0 or more.")
        if not (np.isfinite(self.noise) and self.noise >= 0):
            raise ValueError(f"The noise is a share of 2 cm and 10 degrees, expected at least 0, got {self.noise}.")
        for name in ("repeats", "limit"):
            count = getattr(self, name)
            if count is not None and count < 1:
                raise ValueError(f"{name} is {count}, expected at least 1.")

    @property
    def count(self) -> int | None:
        """Recordings of each part; None: all."""
        return min(_QUICK, self.limit or _QUICK) if self.quick else self.limit

    @property
    def strictest(self) -> str:
        """The criterion by which candidates are compared."""
        return max(self.criteria, key=CRITERIA[self.task].index)


def official_urdf(folder: Path, hand: HandDescription) -> Path:
    """The URDF with collision meshes for a hand in a folder of official hands.

    Args:
        folder: With a folder for every hand; left hands lie with the right ones.
        hand: The hand.

    Raises:
        ValueError: There is none that describes this hand and has collision geometry.
    """
    place = Path(folder) / hand.name.removesuffix("_left")
    found = sorted(place.glob("*.urdf"), key=lambda path: ("glb" in path.stem, path.name))
    why = "there is no .urdf file"
    for path in found:
        try:
            hand_solids(hand, path)
        except ValueError as error:
            why = why if "left" in path.stem and hand.side == "right" else str(error)
        else:
            return path
    raise ValueError(f"'{place}' holds no URDF with collision meshes for hand '{hand.name}': {why}")
