"""Outsiders' modules by value, for actors on other machines."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench import rerankers
from bench.contract.recipe import Recipe
from bench.core import plugins
from bench.scoring.executors import sources


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is searched for modules."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_the_modules_of_a_recipe_are_those_that_its_parts_name(folder: Path) -> None:
    (folder / "first_to_travel.py").write_text("def one(query, docs):\n    return map(len, docs)\n")
    inner = {"of": ["first_to_travel:one", "word-overlap"], "by": "rrf"}
    options = {"of": [{"fuse": {**inner, "name": "inner"}}, "word-overlap"], "by": "rrf"}
    fuse = rerankers.build("fuse", options)
    recipe = Recipe("fuse", options, str(folder))
    assert list(sources.modules_of(recipe, fuse.parts)) == ["first_to_travel"]
    assert list(sources.modules_of(Recipe("a.b.c:Kind", {}, ""))) == ["a"]


def test_a_linked_module_travels_by_the_name_that_is_imported(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "version_2.py").write_text("NUMBER = 2\n")
    (folder / "linked_to_travel.py").symlink_to(folder / "elsewhere" / "version_2.py")
    (folder / "next_to_it.py").write_text("")
    __import__("linked_to_travel")
    found = sources.sources_of(["linked_to_travel"])
    assert found == {
        "linked_to_travel": {"linked_to_travel.py": "NUMBER = 2\n", "next_to_it.py": ""}
    }


def test_a_package_travels_with_what_lies_behind_its_links(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "part.py").write_text("NUMBER = 3\n")
    package = folder / "package_to_travel"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "linked").symlink_to(folder / "elsewhere")
    __import__("package_to_travel")
    found = sources.sources_of(["package_to_travel"])["package_to_travel"]
    assert found == {
        "package_to_travel/__init__.py": "",
        "package_to_travel/linked/part.py": "NUMBER = 3\n",
    }


def test_what_is_installed_or_ours_stays(folder: Path) -> None:
    assert sources.sources_of(["bench", "numpy", "json", "sys", "never_imported"]) == {}


def test_a_module_of_this_machine_does_not_take_the_place_of_what_was_sent(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "sent_module.py").write_text("PLACE = 'here'\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(plugins, "_SENT", {})
    monkeypatch.setattr(plugins, "_FOLDERS", [])
    sent = {"sent_module": {"sent_module.py": "from sent_help import PLACE\n"}}
    sent["sent_module"]["sent_help.py"] = "PLACE = 'sent'\n"
    sources.unpack(sent, folder / "sent")
    # the folders of the process and of the suite have one of this name, too
    monkeypatch.chdir(folder)
    plugins.look_in(folder)
    assert plugins.resolve("sent_module:PLACE", {}, "reranker") == "sent"
