"""The files of an outsider's code: its module, and the neighbours that it imports."""

from __future__ import annotations

import sys
from pathlib import Path
from unicodedata import normalize

import pytest

from bench.core.module_files import module_files

MINE = """
def score(query, docs):
    if docs:
        from helper_of_files import scale
    import {accented}
    # not_imported_of_files
    return [0.0 for doc in docs]
"""


def test_neighbours_that_are_imported_are_found_however_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accented = "größe_of_files"
    # one of the two ways to write these letters
    (tmp_path / "mine_of_files.py").write_text(
        MINE.format(accented=normalize("NFD", accented)), encoding="utf-8"
    )
    (tmp_path / "helper_of_files.py").write_text("import json, deeper_of_files\n")
    (tmp_path / "deeper_of_files.py").write_text("scale = 1\n")
    (tmp_path / f"{normalize('NFC', accented)}.py").write_text("")
    (tmp_path / "not_imported_of_files.py").write_text("")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert {normalize("NFC", path.stem) for path in module_files("mine_of_files")} == {
        "mine_of_files",
        "helper_of_files",
        "deeper_of_files",
        accented,
    }


def test_a_package_is_all_of_its_files_and_what_each_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "package_of_files"
    (package / "inner").mkdir(parents=True)
    for path in (package / "__init__.py", package / "inner" / "__init__.py"):
        path.write_text("")
    (package / "inner" / "one.py").write_text("import next_of_files.part\n")
    (tmp_path / "next_of_files").mkdir()
    for name in ("__init__", "part"):
        (tmp_path / "next_of_files" / f"{name}.py").write_text("import package_of_files\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    names = [str(path.relative_to(tmp_path)) for path in module_files("package_of_files")]
    assert sorted(names) == [
        "next_of_files/__init__.py",
        "next_of_files/part.py",
        "package_of_files/__init__.py",
        "package_of_files/inner/__init__.py",
        "package_of_files/inner/one.py",
    ]
