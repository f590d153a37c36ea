"""What a stage, a scenario, an executor or a dataset can do is a declared member: nobody finds out
by `getattr` or `hasattr`, but where an outsider's object comes in.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.support.paths import ROOT

PACKAGE = ROOT / "bench"
DECLARE = (
    "contract/stage.py",
    "contract/meter.py",
    "contract/part.py",
    "datasets/base.py",
    "latency/scenarios/base.py",
    "rerankers/base.py",
    "retrieval/base.py",
    "scoring/contract.py",
    "scoring/executors/base.py",
)
"""The files whose classes say what ours can do."""
OTHERS = (
    "rerankers/outside/",
    "retrieval/__init__.py",
    "retrieval/base.py",
    "scoring/contract.py",
    "models/encoders.py",
    "rerankers/remote/mixedbread.py",
)
"""Where objects of others are asked: those that outsiders hand over, networks, an SDK's answers."""


def declared_members() -> set[str]:
    """Return the public names that the classes of these files declare."""
    names: set[str] = set()
    for file in DECLARE:
        for node in ast.walk(ast.parse((PACKAGE / file).read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                names |= set(members_of(node))
    return {name for name in names if not name.startswith("_")}


def members_of(node: ast.ClassDef) -> Iterator[str]:
    for part in node.body:
        if isinstance(part, ast.FunctionDef | ast.ClassDef):
            yield part.name
        elif isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            yield part.target.id


def questions(code: str, names: set[str]) -> list[tuple[int, str]]:
    """Return the lines that ask an object for one of these names, which it may lack."""
    lines = []
    for node in ast.walk(ast.parse(code)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        if node.func.id not in ("getattr", "hasattr") or len(node.args) < 2:
            continue
        name = node.args[1]
        if isinstance(name, ast.Constant) and name.value in names:
            lines.append((node.lineno, name.value))
    return lines


def test_our_own_objects_are_not_asked_what_they_can_do() -> None:
    names = declared_members()
    assert {"reads_texts", "placement", "retrieve", "documents"} <= names
    asking = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE).as_posix()
        lines = questions(path.read_text(encoding="utf-8"), names)
        if lines and not place.startswith(OTHERS):
            asking[place] = lines
    assert not asking, "declare the member in its class with a default, and read it"


@pytest.mark.parametrize("place", OTHERS)
def test_each_exception_is_needed(place: str) -> None:
    paths = [path for path in PACKAGE.rglob("*.py") if str(path).startswith(str(PACKAGE / place))]
    names = declared_members()
    assert any(questions(path.read_text(encoding="utf-8"), names) for path in paths)


@pytest.mark.parametrize(
    "code",
    [
        "hasattr(stage, 'reads_texts')",
        "getattr(self.stage, 'placement', None)",
        "if getattr(\n    stage,\n    'talks', False\n): pass",
    ],
)
def test_a_planted_question_is_found(code: str) -> None:
    assert questions(code, declared_members())
