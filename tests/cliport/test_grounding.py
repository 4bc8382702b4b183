from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from network_builders import SMALL, build_network, draw_crops, draw_words

from unihm.cliport.grounding import AMOUNTS, Grounded, Grounder, sentence_vector
from unihm.cliport.objectives import choice_loss
from unihm.schema.task import TASKS

NETWORK = build_network()


@torch.no_grad()
def ground(rows: torch.Tensor, count: int, words=None) -> Grounded:
    encoded = NETWORK.encode(*draw_crops(count))
    return NETWORK.ground(encoded, rows, *(draw_words(len(rows)) if words is None else words))


@settings(max_examples=12, deadline=None)
@given(counts=st.lists(st.integers(0, 4), min_size=1, max_size=3), padding=st.integers(0, 2))
def test_shapes_for_any_number_of_proposals(counts, padding):
    total, longest = sum(counts), max(counts) + padding
    rows = torch.full((len(counts), longest), -1)
    for i, count in enumerate(counts):
        rows[i, :count] = torch.arange(count) + sum(counts[:i])
    out = ground(rows, total)
    assert out.target.shape == out.reference.shape == rows.shape
    assert (out.target.isfinite() == (rows >= 0)).all()
    assert (out.reference.isfinite() == (rows >= 0)).all()
    assert out.task.shape == (len(counts), len(TASKS))
    assert out.relation.shape == (len(counts), len(SMALL.relations))
    assert out.amount.shape == (len(counts), len(AMOUNTS))
    assert out.task.isfinite().all()


@settings(max_examples=8, deadline=None)
@given(order=st.permutations(range(5)))
def test_the_order_of_proposals_means_nothing(order):
    rows = torch.arange(5)[None]
    plain, permuted = ground(rows, 5), ground(rows[:, order], 5)
    for name in ("target", "reference"):
        assert torch.allclose(getattr(permuted, name), getattr(plain, name)[:, order], atol=1e-5)
    for name in ("task", "relation", "amount"):
        assert torch.allclose(getattr(permuted, name), getattr(plain, name), atol=1e-5)


def test_padding_of_proposals_and_words_changes_nothing():
    rows = torch.tensor([[2, 0, 1]])
    words, mask = draw_words(1)
    plain = ground(rows, 3, (words, mask))
    longer = torch.cat([words, 99 * torch.randn(1, 3, 384)], dim=1)
    longer_mask = torch.cat([mask, torch.zeros(1, 3, dtype=torch.bool)], dim=1)
    padded = ground(torch.tensor([[2, 0, 1, -1, -1]]), 3, (longer, longer_mask))
    assert torch.allclose(padded.target[:, :3], plain.target, atol=1e-5)
    assert torch.allclose(padded.task, plain.task, atol=1e-5)
    assert torch.allclose(padded.amount, plain.amount, atol=1e-5)


def test_instructions_of_one_image_are_told_apart_and_do_not_meet():
    rows = torch.arange(4).expand(3, 4)
    words, mask = draw_words(3)
    together = ground(rows, 4, (words, mask))
    for i in range(3):
        alone = ground(rows[:1], 4, (words[i : i + 1], mask[i : i + 1]))
        assert torch.allclose(together.target[i], alone.target[0], atol=1e-5)
    assert (together.target[0] - together.target[1]).abs().max() > 1e-3


def test_the_mean_of_words_leaves_out_padding():
    words = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [50.0, 50.0]], [[1.0, 1.0]] * 3])
    mask = torch.tensor([[True, True, False], [False] * 3])
    assert sentence_vector(words, mask).tolist() == [[2.0, 4.0], [0.0, 0.0]]


def test_names_have_unit_length():
    with torch.no_grad():
        described = NETWORK.describe(NETWORK.encode(*draw_crops(3)))
    assert described.name.shape == (3, 384)
    assert described.name.norm(dim=1).tolist() == pytest.approx([1.0] * 3)
    assert described.kind.shape == (3, 5)
    assert described.whole.shape == (3,)


def test_comparisons_among_things_alike_are_learned_in_seconds():
    """Of "the left one" and "the right one": which of the things of the named kind has the least or most of a measure.

    Neighbours differ by a fraction of what the measures are scaled to; without differences between proposals the same
    training finds half of them.
    """
    torch.manual_seed(0)
    sizes = {"embedding": 16, "measures": 8, "text_width": 32, "width": 64, "layers": 3, "heads": 4}
    grounder = Grounder(**sizes, tasks=6, relations=5, dropout=0.1)
    sides, kinds = torch.randn(4, 32), torch.randn(3, 16)
    optimizer = torch.optim.AdamW(grounder.parameters(), 1e-3)

    def drawn(count: int = 64, things: int = 8):
        measures = 0.25 * torch.randn(count, things, 8) + torch.randn(count, 1, 8)
        kind, asked, side = torch.randint(3, (count, things)), torch.randint(3, (count,)), torch.randint(4, (count,))
        kind[:, 0] = asked  # there is one at least
        words = torch.stack([sides[side], torch.nn.functional.pad(kinds[asked], (0, 16))], dim=1)
        value = measures[torch.arange(count), :, side // 2] * (1 - 2 * (side % 2))[:, None]
        target = value.masked_fill(kind != asked[:, None], -torch.inf).argmax(dim=1)
        embedding = kinds[kind] + 0.1 * torch.randn(count, things, 16)
        real, spoken = torch.ones(count, things, dtype=torch.bool), torch.ones(count, 2, dtype=torch.bool)
        return grounder(embedding, measures, torch.zeros(count, things, 32), real, words, spoken), target, real

    for _ in range(200):
        out, target, real = drawn()
        fits = torch.nn.functional.one_hot(target, real.shape[1]).bool()
        loss = choice_loss(out.target, fits, real)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    grounder.eval()
    with torch.no_grad():
        out, target, _ = drawn(512)
    assert (out.target.argmax(dim=1) == target).float().mean() > 0.75
