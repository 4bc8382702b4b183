"""What is said of compiling, once."""

from __future__ import annotations

from pathlib import Path

from unihm import compiled


def test_the_first_compilation_is_announced_and_later_ones_are_not(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(compiled, "_code_folder", lambda package: tmp_path / "code")
    compiled.tell_of_compiling(Path("refinement"))
    told = capsys.readouterr()
    assert told.err == "Compiling refinement for this machine, once; about half a minute.\n"
    assert not told.out  # JSON goes there
    (tmp_path / "code" / "body").mkdir()
    (tmp_path / "code" / "body" / "place.nbc").touch()
    compiled.tell_of_compiling(Path("refinement"))
    assert not capsys.readouterr().err
