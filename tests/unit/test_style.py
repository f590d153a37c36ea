"""The rules of style that a program can check: CONTRIBUTING has them in words."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from scripts import structure
from tests.support.paths import ROOT

ROOMS = sorted(
    path.name for path in (ROOT / "bench").iterdir() if path.is_dir() and any(path.rglob("*.py"))
)
CONDITIONALS = 4.2
"""Conditional expressions per 1,000 lines of the package: the value that is reached. Lower it when
there are fewer.
"""

ANYTHING = 2.1
"""`dict[str, Any]` and `Mapping[str, Any]` per 1,000 lines of the package."""


def sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def problems(paths: list[Path]) -> str:
    lines: list[str] = []
    for path in paths:
        lines += map(str, structure.problems(path.relative_to(ROOT), tree(path)))
    return "\n".join(lines)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_clean(room: str) -> None:
    assert problems(sources(ROOT / "bench" / room)) == ""


def test_the_files_at_the_root_of_the_package_are_clean() -> None:
    paths = sorted((ROOT / "bench").glob("*.py"))
    assert paths
    assert problems(paths) == ""


@pytest.mark.parametrize("folder", ["benchmarks", "scripts"])
def test_programs_next_to_the_package_are_clean(folder: str) -> None:
    paths = sources(ROOT / folder)
    assert paths
    assert problems(paths) == ""


def test_dictionaries_of_anything_stay_at_the_edges() -> None:
    modules = structure.modules(ROOT).values()
    lines = sum(len(module.lines) for module in modules)
    count = sum(len(structure.any_dictionaries(tree(module.path))) for module in modules)
    assert 1000 * count / lines <= ANYTHING, "give what is in it a type: a model, a NamedTuple"


def test_conditional_expressions_become_fewer() -> None:
    modules = structure.modules(ROOT).values()
    lines = sum(len(module.lines) for module in modules)
    trees = [tree(module.path) for module in modules]
    density = structure.conditionals_per_thousand(trees, lines)
    assert density <= CONDITIONALS, "write an if, with an early return, in place of x if y else z"


@pytest.mark.parametrize(
    ("code", "line", "text"),
    [
        ("a = 1 if b else 2 if c else 3", 1, structure.NESTED),
        ("a = 1\nb = [x for y in a for x in y]", 2, structure.TWO_LOOPS),
        ("found = 1", 1, "'found'"),
        ("for one in rows: pass", 1, "'one'"),
        ("[told for told in rows]", 1, "'told'"),
        ("def f(given): pass", 1, "'given'"),
        ("class A:\n    kept: int", 2, "'kept'"),
        ("class A:\n    @property\n    def asked(self): pass", 3, "'asked'"),
        ("def f(self):\n    self.made = 1", 2, "'made'"),
        ("with f() as held: pass", 1, "'held'"),
        ("if (most := f()): pass", 1, "'most'"),
    ],
)
def test_each_rule_finds_what_breaks_it(code: str, line: int, text: str) -> None:
    (problem,) = structure.problems(Path("a.py"), ast.parse(code))
    assert (problem.path, problem.line) == (Path("a.py"), line)
    assert text in problem.text


@pytest.mark.parametrize(
    "code",
    [
        "row = 1 if b else 2",
        "pairs = [(a if b else c, d) for a in rows]",
        "def find(name): return found[name]",
        "rows = [[cell for cell in row] for row in table]",
    ],
)
def test_what_breaks_no_rule_is_no_problem(code: str) -> None:
    assert structure.problems(Path("a.py"), ast.parse(code)) == []
