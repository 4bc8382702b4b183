"""Several stores as one, to train on all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from unihm.datasets.episode_store import episode_table, read_episodes, write_episodes
from unihm.datasets.made_with import differences
from unihm.datasets.manifest import MANIFEST, MOTIONS, alone, hands_in, read_manifest
from unihm.datasets.motion_store import motion_header, motion_rows, write_motion_table
from unihm.schema.episode import Episode


def join_stores(out: str | Path, folders: Sequence[str | Path]) -> dict[str, Any]:
    """Write a store of the episodes of several ones, and of the motions of the hands that all of them have.

    Instructions that were written after an import become the episodes' own. Refined motions stay where they are.

    Args:
        out: The new store.
        folders: At least two stores.

    Returns:
        The new store's manifest.

    Raises:
        ValueError: There are fewer than two stores, one is damaged, an episode is in two of them, motions of a hand
            were made in different ways, or `out` holds something else.
    """
    out, stores = Path(out), [Path(folder) for folder in folders]
    if len(stores) < 2:
        raise ValueError(f"Joining needs at least two stores, got {len(stores)}.")
    options = {"format": "joined", "stores": [read_manifest(folder)["fingerprint"] for folder in stores]}
    where: dict[str, Path] = {}
    for folder in stores:
        for record in episode_table(folder):
            if record.id in where:
                raise ValueError(f"Episode '{record.id}' is in '{where[record.id]}' and in '{folder}'.")
            where[record.id] = folder
    if (out / MANIFEST).exists() and read_manifest(out)["options"] != options:
        raise ValueError(f"'{out}' holds other episodes; choose another folder or remove it.")
    hands = [hand for hand in hands_in(stores[0]) if all(hand in hands_in(folder) for folder in stores)]
    tables = {hand: _joined(stores, hand) for hand in hands}
    with alone(out):
        manifest = write_episodes(out, _episodes(stores), options=options)
        for hand, (header, table) in tables.items():
            write_motion_table(out, hand, table, header, kind=MOTIONS)
    return manifest


def _episodes(stores: Sequence[Path]) -> Iterator[Episode]:
    for folder in stores:
        yield from read_episodes(folder)


def _joined(stores: Sequence[Path], hand: str) -> tuple[dict[str, Any], pa.Table]:
    """Header and rows of a hand's motions."""
    headers = [motion_header(folder, hand) for folder in stores]
    first = headers[0]
    for folder, header in zip(stores[1:], headers[1:], strict=True):
        if header["joint_names"] != first["joint_names"]:
            raise ValueError(f"Motions of '{hand}' in '{folder}' have other joints than those in '{stores[0]}'.")
        different = differences(first["made_with"] or {}, header["made_with"] or {})
        if different:
            raise ValueError(
                f"Motions of '{hand}' in '{folder}' were made with another {different} than those in '{stores[0]}'; "
                "'unihm data retarget --force' makes them anew."
            )
    facts = {"joint_names": first["joint_names"], "made_with": first["made_with"]}
    if all("unconverged" in header for header in headers):
        facts["unconverged"] = sum(header["unconverged"] for header in headers)
    return facts, pa.concat_tables([motion_rows(folder, hand).replace_schema_metadata(None) for folder in stores])
