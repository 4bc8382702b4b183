"""Which of the things in an image the words mean, and what shall be done: attention among words and proposals.

The sequence is one learned token, the words, and one token for each proposal; there are no positions among proposals,
so their order means nothing. Every proposal is judged for itself (target or not, reference or not): "none of them" and
"one of two" are answers like any other.

Letters: B instructions, P proposals, W words, w dimensions of a word's state, N crops, E size of an embedding,
M measures.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

AMOUNTS = ("none", "little", "far", "full", "half", "stated")
"""How an instruction may say how far; ``none`` says nothing of it, ``stated`` gives a number."""
_STEEP = 10.0  # of the differences of measures, which are of order one: a tenth of that is clearly more
LIKENESS = 2
"""Of a proposal's name to the sentence and to the most similar word."""
KINDS = ("free", "drawer", "door", "lid", "body")
"""What a proposal may be: a free object, a moving part of a fixture, or the body that such parts hang on."""


@dataclass(frozen=True, kw_only=True)
class Grounded:
    """What an instruction means in its image; all are logits."""

    target: Float[Tensor, "B P"]
    """Of each proposal, whether it is meant, each for itself; -inf for padding."""
    reference: Float[Tensor, "B P"]
    """Whether it is the other thing that says where to; -inf for padding."""
    task: Float[Tensor, "B _"]
    """Of `schema.task.TASKS`."""
    relation: Float[Tensor, "B _"]
    """Of the relations that the config names."""
    amount: Float[Tensor, "B _"]
    """Of `AMOUNTS`."""


@dataclass(frozen=True, kw_only=True)
class Described:
    """What a proposal is, whatever the words say."""

    whole: Float[Tensor, " N"]
    """Logit: whether it is one whole thing, not a piece of one or several."""
    kind: Float[Tensor, "N _"]
    """Logits of `KINDS`."""
    name: Float[Tensor, "N w"]
    """Unit vector to be compared with the sentence encoder's vectors of nouns ("mug", "red mug")."""


class Descriptions(nn.Module):
    """Embeddings to what proposals are."""

    def __init__(self, embedding: int, text_width: int):
        """Untrained heads.

        Args:
            embedding: Size of an embedding.
            text_width: Dimensions of a noun's vector.
        """
        super().__init__()
        self.whole = _head(embedding, embedding, 1)
        self.kind = _head(embedding, embedding, len(KINDS))
        self.name = _head(embedding, embedding, text_width)

    def forward(self, embedding: Float[Tensor, "N E"]) -> Described:
        """Described, each crop for itself."""
        return Described(
            whole=self.whole(embedding)[:, 0],
            kind=self.kind(embedding),
            name=nn.functional.normalize(self.name(embedding), dim=-1),
        )


class Grounder(nn.Module):
    """Words and proposals to what is meant."""

    def __init__(
        self,
        *,
        embedding: int,
        measures: int,
        text_width: int,
        width: int,
        layers: int,
        heads: int,
        tasks: int,
        relations: int,
        dropout: float,
    ):
        """An untrained transformer.

        Args:
            embedding: Size of a proposal's embedding.
            measures: Facts of a proposal.
            text_width: Dimensions of a word's state.
            width: Of the transformer.
            layers: Of the transformer.
            heads: Of its attention.
            tasks: Number of tasks.
            relations: Number of relations.
            dropout: In the transformer and on the words.
        """
        super().__init__()
        self.start = nn.Parameter(torch.randn(width) / width**0.5)
        self.word = nn.Sequential(nn.LayerNorm(text_width), nn.Dropout(dropout), nn.Linear(text_width, width))
        self.proposal = nn.Linear(embedding + measures + LIKENESS, width)
        layer = nn.TransformerEncoderLayer(
            width, heads, 2 * width, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.body = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        # Leftmost, tallest, behind the other: what words compare is told as differences. Attention could form them, but
        # what tells two neighbours apart is small against the measures and drowns in the dropout.
        self.standing = nn.Linear(measures, width, bias=False)
        self.between = nn.Linear(measures, layers * heads, bias=False)
        self.roles = _head(width, width, 2)
        # Tasks are mostly a matter of the words, so their plain mean is there beside what attention made of them.
        self.sentence = nn.Sequential(nn.LayerNorm(text_width), nn.Dropout(dropout))
        self.outputs = (tasks, relations, len(AMOUNTS))
        self.asked = _head(width + text_width, width, sum(self.outputs))

    def forward(
        self,
        embedding: Float[Tensor, "B P E"],
        measures: Float[Tensor, "B P M"],
        names: Float[Tensor, "B P w"],
        real: Bool[Tensor, "B P"],
        words: Float[Tensor, "B W w"],
        words_mask: Bool[Tensor, "B W"],
    ) -> Grounded:
        """What B instructions mean.

        Args:
            embedding: Of the proposals.
            measures: Of the proposals, of order one.
            names: Of the proposals, see `Described`. Through them, nouns that no instruction in training had can
                still be matched.
            real: False for padding; an image may hold no proposal.
            words: Token states.
            words_mask: False for padding.
        """
        batch, count = words.shape[:2]
        sentence = sentence_vector(words, words_mask)
        likeness = names @ nn.functional.normalize(words, dim=-1).mT
        closest = likeness.masked_fill(~words_mask[:, None], -1.0).amax(dim=-1)
        whole = (names @ nn.functional.normalize(sentence, dim=-1)[..., None])[..., 0]
        facts = torch.cat([embedding, measures, torch.stack([whole, closest], dim=-1)], dim=-1)
        start = self.start.expand(batch, 1, -1)
        difference = torch.tanh(_STEEP * (measures[:, :, None] - measures[:, None]))
        others = real[..., None].to(measures)
        standing = (difference * others[:, None]).sum(dim=2) / others.sum(dim=1, keepdim=True).clamp(min=1)
        tokens = torch.cat([start, self.word(words), self.proposal(facts) + self.standing(standing)], dim=1)
        seen = torch.cat([torch.ones_like(words_mask[:, :1]), words_mask, real], dim=1)
        out = self._attend(tokens, seen, self.between(difference), 1 + count)
        roles = self.roles(out[:, 1 + count :]).masked_fill(~real[..., None], -torch.inf)
        asked = torch.cat([out[:, 0], self.sentence(sentence)], dim=-1)
        task, relation, amount = self.asked(asked).split(self.outputs, dim=-1)
        return Grounded(target=roles[..., 0], reference=roles[..., 1], task=task, relation=relation, amount=amount)

    def _attend(
        self,
        tokens: Float[Tensor, "B L d"],
        seen: Bool[Tensor, "B L"],
        between: Float[Tensor, "B P P layers_heads"],
        before: int,
    ) -> Float[Tensor, "B L d"]:
        """The transformer, whose heads see besides how the proposals, which follow `before` other tokens, differ."""
        layers = self.body.layers
        batch, length = tokens.shape[:2]
        hidden = torch.where(seen, 0.0, -torch.inf)[:, None, None]
        for number, layer in enumerate(layers):
            heads = between.shape[-1] // len(layers)
            own = between[..., number * heads : (number + 1) * heads].movedim(-1, 1)
            bias = nn.functional.pad(own, (before, 0, before, 0)) + hidden
            tokens = layer(tokens, src_mask=bias.reshape(batch * heads, length, length))
        assert self.body.norm is not None
        return self.body.norm(tokens)


def sentence_vector(words: Float[Tensor, "B W w"], words_mask: Bool[Tensor, "B W"]) -> Float[Tensor, "B w"]:
    """The mean of the token states, which is how MiniLM itself makes one vector of a sentence."""
    weight = words_mask[..., None].to(words)
    return (words * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


def _head(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, outputs))
