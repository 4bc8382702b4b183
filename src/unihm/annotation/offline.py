"""Instructions from the facts of an episode, without a model or network."""

from __future__ import annotations

from dataclasses import dataclass

from unihm.annotation.base import Written
from unihm.datasets.instructions import COUNT, VERSION, episode_facts, instructions, is_lift, names_of
from unihm.schema.episode import Episode


@dataclass(frozen=True, kw_only=True)
class OfflineAnnotator:
    """Puts measured facts into words, see `datasets.instructions`."""

    seed: int = 0
    """Same seed, same sentences."""
    model: str = "offline"
    """As annotations name it."""

    @property
    def prompt(self) -> str:
        """Version of the words, and the seed."""
        return f"{VERSION}, seed {self.seed}"

    def write(self, episode: Episode) -> Written:
        """`COUNT` sentences in training words; what is composed for another task keeps its own."""
        if not is_lift(episode):
            return Written(instructions=episode.instructions)
        facts = episode_facts(episode, names_of(episode))
        return Written(instructions=instructions(facts, self.seed, count=COUNT))

    def stop(self) -> None:
        """There is nothing that waits."""
