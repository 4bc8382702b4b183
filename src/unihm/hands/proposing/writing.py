"""A proposal becomes a folder: ``hand.yaml``, the user's URDF, and a README that says where they come from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import yaml

from unihm.geometry.pose import pose_to_vector
from unihm.hands.hand_file import HAND_FILE, HandFile, PointOnLink
from unihm.hands.proposing.propose import Proposal
from unihm.schema.storage import atomic_path, write_text


def write_folder(proposal: Proposal, folder: Path) -> None:
    """Write the files of a hand; each is replaced atomically.

    Args:
        proposal: What to write.
        folder: Where; made if it does not exist.

    Raises:
        ValueError: The folder cannot be written.
    """
    content = proposal.urdf_path.read_bytes()
    with atomic_path(folder / proposal.file.urdf) as temporary:
        temporary.write_bytes(content)
    write_text(folder / HAND_FILE, hand_file_text(proposal.file, proposal.doubts))
    write_text(folder / "README.md", _readme(proposal, hashlib.sha256(content).hexdigest()))


def hand_file_text(file: HandFile, doubts: tuple[str, ...] = ()) -> str:
    """The text of a ``hand.yaml``, with what is unsure as comments at its head."""
    vector = [round(float(value), 7) for value in pose_to_vector(file.T_link_palm)]
    lines = [f"# Unsure: {doubt}" for doubt in doubts]
    lines += [
        *_block({"name": file.name, "side": file.side, "urdf": file.urdf}),
        "# Pose of the palm frame: origin at the middle finger's base, x along the fingers, z out of the palm.",
        f"root_to_palm: {_flow({'link': file.palm_link, 'xyz': vector[:3], 'wxyz': vector[3:]})}",
        f"locked_joints: {_flow(file.locked_joints)}",
        "rest_qpos:" if file.rest_qpos else "rest_qpos: {}",
        *(f"  {line}" for line in _block(file.rest_qpos)),
        f"fingers: {_flow(list(file.fingers))}",
        "# Contact points of the pads.",
        "fingertips:",
        *(f"  {name}: {_point(point, with_radius=True)}" for name, point in file.fingertips.items()),
        "# Counterparts of the human keypoints.",
        "keypoints:",
        *(f"  {name}: {_point(point)}" for name, point in file.keypoints.items()),
    ]
    return "\n".join(lines) + "\n"


def _point(point: PointOnLink, with_radius: bool = False) -> str:
    value: dict[str, object] = {"link": point.link, "xyz": [round(float(x), 6) for x in point.xyz]}
    if with_radius:
        value["radius"] = point.radius
    return _flow(value)


def _block(values: Mapping[str, object]) -> list[str]:
    text = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True) if values else ""
    return text.splitlines()


def _flow(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000, allow_unicode=True).strip()


def _readme(proposal: Proposal, digest: str) -> str:
    file = proposal.file
    doubts = [f"- {doubt}" for doubt in proposal.doubts] or ["- nothing"]
    return "\n".join(
        [
            f"# {file.name} ({file.side})",
            "",
            f"Proposed by `unihm hands add {proposal.urdf_path.name}` from the kinematic tree alone. Read `hand.yaml`,",
            "look at the drawing, and correct what is wrong; then run `unihm hands check` on this folder.",
            "",
            "Where it comes from",
            f": `{file.urdf}` is an unchanged copy of `{proposal.urdf_path.name}`",
            f"  (SHA-256 `{digest}`).",
            "  Its licence is that of its author. Mesh files were not copied: kinematics do not need them.",
            "",
            "Unsure",
            *doubts,
            "",
        ]
    )
