"""A tokenizer of random codes: what the generator learns from it is arbitrary, but the same each time."""

from __future__ import annotations

import pytest
from generation_builders import build_request

from unified_builders import small_tokenizer
from unihm.tokenizer.tokenizer import Tokenizer


@pytest.fixture(scope="session")
def make_tokenizer():
    return small_tokenizer


@pytest.fixture(scope="session")
def make_request():
    return build_request


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return small_tokenizer()
