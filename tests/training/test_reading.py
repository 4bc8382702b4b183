from __future__ import annotations

import re

import pytest
import torch

from unihm.datasets import phrases
from unihm.generation.asked import SLOTS, InstructionReader
from unihm.generation.text_encoder import load_text_encoder
from unihm.training.reading import ReadingTraining, Sentence, draw_sentences, reading_accuracy, train_reader

TABLES = {"approach": phrases.APPROACH, "travel": phrases.TRAVEL, "height": phrases.HEIGHT, "speed": phrases.SPEED}


def says(text: str, phrase: str) -> bool:
    pattern = re.escape(phrase).replace(re.escape("{it_is}"), "(it is|they are)")
    return re.search(rf"\b{pattern}\b", text.lower()) is not None


@pytest.mark.parametrize("held_out", [False, True])
def test_sentences_say_what_is_stated(held_out):
    drawn = draw_sentences(300, seed=1, held_out=held_out)
    assert draw_sentences(300, seed=1, held_out=held_out) == drawn
    assert draw_sentences(300, seed=2, held_out=held_out) != drawn
    counts = dict.fromkeys(SLOTS, 0)
    for sentence in drawn:
        for slot, value in sentence.stated.items():
            counts[slot] += 1
            if slot == "grip":
                words = phrases.grip(value, held_out)
            else:
                assert value in SLOTS[slot]
                words = TABLES[slot][held_out][value]
                others = [p for v, ps in TABLES[slot][held_out].items() if v != value for p in ps]
                # "high up" says nothing of "up": a longer phrase of the true value may contain another's.
                plain = sentence.text.lower()
                for word in sorted(words, key=len, reverse=True):
                    plain = plain.replace(word, "")
                assert not any(says(plain, other) for other in others), sentence
            assert any(says(sentence.text, word) for word in words), sentence
    assert min(counts.values()) > 20
    assert sum(not s.stated for s in drawn) > 5


def test_held_out_words_never_occur_in_training():
    train = draw_sentences(400, seed=0)
    test = draw_sentences(400, seed=0, held_out=True)
    assert not {s.text for s in train} & {s.text for s in test}
    held_out = [p for table in TABLES.values() for ps in table[1].values() for p in ps]
    assert not [s for s in train if any(says(s.text, p) for p in held_out)]


def test_a_short_training_reads_its_own_sentences():
    reader, words = InstructionReader(384), load_text_encoder()
    torch.manual_seed(0)
    before = torch.get_rng_state()
    config = ReadingTraining(sentences=192, epochs=25)
    train_reader(reader, words, config, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    assert not reader.training
    assert not any(p.requires_grad for p in reader.parameters())
    own = reading_accuracy(reader, words, draw_sentences(192, seed=3))
    assert set(own) == set(SLOTS)
    assert max(own.values()) > 0.95
    assert min(own.values()) > 0.8
    # What is said of a slot that nobody speaks of is less than of one that is spoken of.
    said = [s for s in draw_sentences(192, seed=3) if s.stated.get("approach") == "left"]
    silent = [s for s in draw_sentences(192, seed=3) if "approach" not in s.stated]
    place = SLOTS["approach"].index("left")
    told, untold = (reader(*words([s.text for s in sentences]))[:, place] for sentences in (said, silent))
    assert told.mean() > 0.4
    assert untold.mean() < 0.1


def test_accuracy_counts_values_and_silence():
    """With a reader of made-up logits the shares are known."""
    sentences = [
        Sentence(text="a", stated={"approach": "left"}),
        Sentence(text="b", stated={}),
        Sentence(text="c", stated={"approach": "left", "grip": ("thumb", "index")}),
        Sentence(text="d", stated={"approach": "above"}),
    ]

    class Always(InstructionReader):
        def logits(self, words, mask):
            found = {slot: torch.zeros(len(words), len(values) + 1) for slot, values in SLOTS.items()}
            for slot in ("travel", "height", "speed"):
                found[slot][:, -1] = 1  # silence
            found["approach"][:, SLOTS["approach"].index("left")] = 1
            found["grip"][:] = torch.tensor([1.0, 1.0, -1.0, -1.0, -1.0, 1.0])
            return found

    def words(texts):
        return torch.zeros(len(texts), 1, 8), torch.ones(len(texts), 1, dtype=torch.bool)

    found = reading_accuracy(Always(8), words, sentences)
    assert found == {"approach": 0.5, "travel": 1.0, "height": 1.0, "speed": 1.0, "grip": 0.25}
