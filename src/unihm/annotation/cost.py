"""What annotating by an endpoint will take, estimated before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass

from unihm.annotation.keyframes import BEFORE_CONTACT
from unihm.annotation.prompt import SENTENCES, question

_IMAGE_TOKENS = 255  # GPT-4o's count for a picture within one tile of 512 pixels; Qwen2.5-VL takes 140 for this size
_SENTENCE_TOKENS = 25  # with quotes and comma; most take 15 to 20
_LETTERS = 4  # a token, in English


@dataclass(frozen=True, kw_only=True)
class Cost:
    """An estimate; unusable replies and faults that are tried again come on top."""

    requests: int
    """One an episode."""
    images: int
    """Keyframes that are sent."""
    tokens_in: int
    """About."""
    tokens_out: int
    """About; models that think before they answer take many more."""
    money: float | None
    """In the currency of the prices; None without prices."""

    def __str__(self) -> str:
        text = (
            f"{self.requests} requests with {self.images} images, about {self.tokens_in} tokens in and "
            f"{self.tokens_out} out"
        )
        return text if self.money is None else f"{text}, about {self.money:.2f} at the given prices"


def estimate(episodes: int, price_in: float | None = None, price_out: float | None = None) -> Cost:
    """The cost of annotating so many episodes.

    Args:
        episodes: How many.
        price_in: Of a million tokens that are sent.
        price_out: Of a million tokens that come back.
    """
    images = BEFORE_CONTACT + 2
    message = question("object of some name", [b""] * images, [0.0] * images)
    letters = sum(len(part.get("text", "")) for part in message[0]["content"])
    tokens_in = episodes * (letters // _LETTERS + images * _IMAGE_TOKENS)
    tokens_out = episodes * SENTENCES * _SENTENCE_TOKENS
    return Cost(
        requests=episodes,
        images=episodes * images,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        money=money(tokens_in, tokens_out, price_in, price_out),
    )


def money(tokens_in: int, tokens_out: int, price_in: float | None, price_out: float | None) -> float | None:
    """What tokens cost at prices per million; None without prices."""
    if price_in is None and price_out is None:
        return None
    return (tokens_in * (price_in or 0.0) + tokens_out * (price_out or 0.0)) / 1e6
