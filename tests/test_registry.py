"""Names, lazy imports, and the hint for a name that does not exist."""

from __future__ import annotations

import pytest

from unihm.registry import Registry, unknown_name


def test_entries_are_imported_when_they_are_chosen():
    table = Registry("Number", {"pi": "math:pi", "nothing": "no_such_module:x"})
    assert table["pi"] == pytest.approx(3.14159, abs=1e-5)
    assert list(table) == ["pi", "nothing"]
    assert len(table) == 2
    with pytest.raises(ModuleNotFoundError):
        table["nothing"]


def test_unknown_names_get_a_hint_and_the_list():
    table = Registry("Hand", {"short": "math:pi", "longer": "math:e"})
    with pytest.raises(ValueError, match=r"Hand 'lnger' not found. Did you mean 'longer'\? Available: longer, short."):
        table["lnger"]
    assert str(unknown_name("Split", "x", [])) == "Split 'x' not found. Available: none."
