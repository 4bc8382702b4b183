"""Does the contact kernel bear a noisy cloud? The comparison of the paper's Fig. B2, as a table and a picture.

Run: ``python benchmarks/contact_kernel.py --data STORE --models FOLDER --out FOLDER``

Fingertips alone, as in the figure: those of the recorded person in the frame in which the object has risen by 3 cm,
where they are within 3 cm of it. Each is moved to the least of ``E(x) / sigma_contact^2 + 1/2 |x - x_recorded|^2 /
sigma_gen^2``, the object being its cloud with noise of 0 to 10 mm on every point, and E one of

- ``plane``: f of Eq. 12 of the distance to the plane at the nearest point (Eqs. 11 and 12 of the paper);
- ``planes``: the same with the largest of four planes' distances;
- ``smoothed``: ``planes`` of the smoothed cloud, which is what `unihm refine` evaluates;
- ``euclidean``: half the squared distance to the nearest point.

Then it is measured against the true mesh. Recordings are of `release/validation`, three draws of noise each. Normals
are ``given`` (those of the clean cloud) or ``estimated`` from the noisy points.
"""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from unihm.datasets.episode_store import episode_table, read_episodes
from unihm.datasets.splits import split
from unihm.evaluation.refinement import true_object
from unihm.evaluation.tables import text_table
from unihm.geometry.point_cloud import estimate_normals
from unihm.geometry.signed_distance import CloudDistance
from unihm.kinematics.keypoints import TIPS
from unihm.refinement.config import PLANES, RefinementConfig
from unihm.refinement.frame import contact_root
from unihm.refinement.workspace import smoothed_if_noisy
from unihm.schema.episode import Episode
from unihm.simulation.ycb import LEANING, ycb_mesh

KERNELS = ("plane", "planes", "smoothed", "euclidean")
NOISES = (0.0, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0)  # mm
_DRAWS, _STEPS = 3, 40
_LIFTED, _NEAR = 0.03, 0.03  # m
_DEEP = 2.0  # mm


def optimised(
    tips: Float[np.ndarray, "k 3"], cloud: CloudDistance, kernel: str, config: RefinementConfig
) -> Float[np.ndarray, "k 3"]:
    """Fingertips at the least of the energy; damped Gauss-Newton steps, each point by itself."""
    weight, prior, k = config.sigma_contact**-2, config.generated.palm**-2, 1 / config.inside_scale
    x, damping = tips.copy(), np.full(len(tips), 1e-3)

    def residual(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Root of twice the contact's energy, and its gradient."""
        if kernel == "euclidean":
            away = x - cloud.query(x)[1]
            d = np.linalg.norm(away, axis=1)
            return d, away / np.maximum(d, 1e-9)[:, None]
        d, _, normal = cloud.query(x, k=1 if kernel == "plane" else PLANES)
        root, slope = np.array([contact_root(float(value), k) for value in d]).T
        return root, slope[:, None] * normal

    def energy(x: np.ndarray) -> np.ndarray:
        return 0.5 * weight * residual(x)[0] ** 2 + 0.5 * prior * ((x - tips) ** 2).sum(axis=1)

    cost = energy(x)
    for _ in range(_STEPS):
        r, J = residual(x)
        g = weight * r[:, None] * J + prior * (x - tips)
        H = weight * J[:, :, None] * J[:, None, :] + (prior * (1 + damping))[:, None, None] * np.eye(3)
        tried = x - np.linalg.solve(H, g[..., None])[..., 0]
        value = energy(tried)
        better = value < cost
        x, cost = np.where(better[:, None], tried, x), np.where(better, value, cost)
        damping = np.where(better, damping * 0.3, np.minimum(damping * 8 + 1e-3, 1e6))
    return x


def seen_by(kernel: str, points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"]) -> CloudDistance:
    """The cloud as a kernel has it."""
    return CloudDistance(smoothed_if_noisy(points, normals)[0] if kernel == "smoothed" else points, normals)


def tips_of(episode: Episode) -> Float[np.ndarray, "k 3"]:
    """Recorded fingertips near the object, in its frame, m."""
    T = episode.T_world_object
    away = np.linalg.norm(T[:, :3, 3] - T[0, :3, 3], axis=1) >= _LIFTED
    t = int(np.argmax(away)) if away.any() else len(T) - 1
    tips = (episode.keypoints_world[t, list(TIPS)] - T[t, :3, 3]) @ T[t, :3, :3]
    near = CloudDistance(episode.object_points, episode.object_normals).query(tips)[1]
    return tips[np.linalg.norm(tips - near, axis=1) < _NEAR].astype(np.float64)


@cache
def noise_of(number: int, seed: int, count: int) -> Float[np.ndarray, "n 3"]:
    """Unit noise of a recording: the same at every level and for every kernel."""
    return np.random.default_rng([seed, number]).standard_normal((count, 3))


def measure(episodes: list[Episode], models: Path, config: RefinementConfig) -> list[dict]:
    """Rows of the table: one a kernel, kind of normals and noise."""
    found: dict[tuple, list[np.ndarray]] = {}
    moved: dict[tuple, list[np.ndarray]] = {}
    for number, episode in enumerate(episodes):
        mesh = true_object(ycb_mesh(models, episode.object_name), episode.mirrored)
        tips = tips_of(episode)
        points, normals = episode.object_points.astype(np.float64), episode.object_normals.astype(np.float64)
        clean = {kernel: optimised(tips, seen_by(kernel, points, normals), kernel, config) for kernel in KERNELS}
        for noise in NOISES:
            for draw in range(_DRAWS if noise else 1):
                noisy = points + 1e-3 * noise * noise_of(number, draw, len(points))
                for kind in ("given", "estimated"):
                    n = normals if kind == "given" else _facing(estimate_normals(noisy), normals)
                    for kernel in KERNELS:
                        x = optimised(tips, seen_by(kernel, noisy, n), kernel, config)
                        found.setdefault((kernel, kind, noise), []).append(1e3 * mesh.query(x)[0])
                        moved.setdefault((kernel, kind, noise), []).append(
                            1e3 * np.linalg.norm(x - clean[kernel], axis=1)
                        )
    rows = []
    for (kernel, kind, noise), values in found.items():
        d = np.concatenate(values)
        rows.append(
            {
                "kernel": kernel,
                "normals": kind,
                "noise_mm": noise,
                "tips": len(d),
                "off_surface_mm": float(np.abs(d).mean()),
                "p95_mm": float(np.percentile(np.abs(d), 95)),
                "deeper_than_2_mm": float((d < -_DEEP).mean()),
                "from_noiseless_mm": float(np.concatenate(moved[kernel, kind, noise]).mean()),
            }
        )
    return rows


def _facing(normals: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Normals turned to the side of others: which side is out is not what is asked here."""
    return np.where(((normals * like).sum(axis=1) < 0)[:, None], -normals, normals)


def draw(rows: list[dict], episode: Episode, config: RefinementConfig, path: Path) -> None:
    """Fig. B2: fingertips on the noisy and on the clean cloud, by kernel; and the table as curves."""
    points, normals = episode.object_points.astype(np.float64), episode.object_normals.astype(np.float64)
    noisy = points + 5e-3 * noise_of(0, 0, len(points))
    tips = tips_of(episode)
    figure = Figure(figsize=(15, 8), layout="constrained")
    grid = figure.add_gridspec(2, 3)
    for column, kernel in enumerate(("smoothed", "euclidean")):
        x = optimised(tips, seen_by(kernel, noisy, normals), kernel, config)
        for row, cloud in enumerate((noisy, points)):
            axis = figure.add_subplot(grid[row, column], projection="3d")
            axis.scatter(*(1e3 * cloud.T), s=6, color="tab:blue", alpha=0.6)
            axis.scatter(*(1e3 * tips.T), s=50, color="tab:red", label="recorded")
            axis.scatter(*(1e3 * x.T), s=50, color="tab:green", label="optimised")
            axis.set_title(f"{kernel}, {'5 mm noise' if row == 0 else 'the same on the clean cloud'}", fontsize=10)
            axis.set_aspect("equal")
            axis.tick_params(labelsize=7)
    axis.legend(fontsize=8)
    for row, (column, label) in enumerate(
        (("off_surface_mm", "mean distance from the true surface, mm"), ("deeper_than_2_mm", "share deeper than 2 mm"))
    ):
        axis = figure.add_subplot(grid[row, 2])
        for k, kernel in enumerate(KERNELS):
            for kind, style in (("given", "-"), ("estimated", ":")):
                chosen = [one for one in rows if (one["kernel"], one["normals"]) == (kernel, kind)]
                x = [one["noise_mm"] for one in chosen]
                axis.plot(x, [one[column] for one in chosen], style, color=f"C{k}", label=f"{kernel}, normals {kind}")
        axis.set_xlabel("noise on every point, mm")
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        if row == 0:
            axis.legend(fontsize=8)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print the table and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    known = split("release", "validation", episode_table(arguments.data))
    wanted = [name for name in known if name not in LEANING]
    episodes = [one for one in read_episodes(arguments.data, wanted) if len(tips_of(one))]
    config = RefinementConfig()
    rows = measure(episodes, arguments.models, config)
    print(text_table(rows, 3))
    print(f"{len(episodes)} recordings of release/validation, {_DRAWS} draws of noise each.")
    arguments.out.mkdir(parents=True, exist_ok=True)
    mug = next((one for one in episodes if one.object_name == "025_mug"), episodes[0])
    draw(rows, mug, config, arguments.out / "contact_kernel.png")


if __name__ == "__main__":
    main()
