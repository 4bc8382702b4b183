"""Who can write instructions for an episode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from unihm.schema.episode import Episode


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was written for one episode, and what it took."""

    instructions: tuple[str, ...]
    """Distinct sentences."""
    requests: int = 0
    """Answers that a server gave for it."""
    tokens_in: int = 0
    """As the server counted, all requests together."""
    tokens_out: int = 0
    """Likewise."""


@runtime_checkable
class Annotator(Protocol):
    """Writes instructions; from several threads at once."""

    @property
    def model(self) -> str:
        """Its name, which the annotations keep."""
        ...

    @property
    def prompt(self) -> str:
        """Version of what it goes by: another one writes other sentences."""
        ...

    def write(self, episode: Episode) -> Written:
        """Instructions for one episode.

        Raises:
            endpoint.Refused: None will be written for any other episode either.
            ValueError: There are none for this episode; the message says why.
        """
        ...

    def stop(self) -> None:
        """Begin nothing more: what waits ends with an error, what is under way is finished."""
        ...
