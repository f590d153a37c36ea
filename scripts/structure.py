"""Measure the structure and the style of the package, from its source alone.

    python scripts/structure.py            a table
    python scripts/structure.py --json     the same for a program
    python scripts/structure.py PATH       another checkout, to compare before and after
    python scripts/structure.py --problems the lines that break the style, with the fix

A *floor* is one more than the highest floor among a room's imports; rooms are the packages (or
files) directly under `bench/`. Imports inside functions and under TYPE_CHECKING count: all of them
are dependencies of whoever reads the code.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "bench"
# Participles and pronouns that say nothing about what a variable holds.
NAMES_WITHOUT_A_NOUN = frozenset(
    (
        *("asked", "find", "found", "given", "held", "it", "kept", "least", "made", "most", "one"),
        *("said", "shown", "taken", "that", "them", "these", "they", "thing", "this", "told"),
        "whole",
    )
)

KEYS_OF_FILES = {"bench/records/schema.py": frozenset({"asked"})}
"""Names that are keys of files, as in every run folder of before."""
NESTED = "a conditional expression inside another: write if and else"
TWO_LOOPS = "a comprehension of two loops: write the outer one as a for loop"
NO_NOUN = "names nothing: take the noun of its type, such as run, rows, record, outcome"

Graph = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Module:
    """One source file: `name` is dotted, from the package on."""

    name: str
    path: Path

    @cached_property
    def source(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @cached_property
    def lines(self) -> list[str]:
        return self.source.splitlines()


def modules(root: Path = ROOT) -> dict[str, Module]:
    """Return every module of the package by its dotted name; a package bears the name of its
    folder.
    """
    result = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        result[name] = Module(name, path)
    return result


def file_graph(by_name: Mapping[str, Module]) -> Graph:
    """Return module -> the modules that it imports, wherever in the file the import stands."""
    return {name: frozenset(_imports(module, by_name)) - {name} for name, module in by_name.items()}


def room_graph(files: Graph) -> Graph:
    """Return room -> rooms that it imports. A room is what lies directly under the package; its
    root file is the room ''.
    """
    rooms: dict[str, set[str]] = {}
    for name, targets in files.items():
        room = room_of(name)
        rooms.setdefault(room, set()).update(room_of(target) for target in targets)
    return {room: frozenset(targets - {room}) for room, targets in rooms.items()}


def room_of(module: str) -> str:
    """Return the name under the package that a module belongs to: 'bench.gate.file' is in
    'gate'.
    """
    return module.removeprefix(PACKAGE).removeprefix(".").partition(".")[0]


def circles(graph: Graph) -> list[list[str]]:
    """Return the groups of two or more nodes that reach each other (Tarjan's strongly connected
    components), sorted.
    """
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for target in sorted(graph.get(node, ())):
            if target not in order:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], order[target])
        if low[node] == order[node]:
            start = stack.index(node)
            group = stack[start:]
            del stack[start:]
            if len(group) > 1:
                groups.append(sorted(group))

    for node in sorted(graph):
        if node not in order:
            visit(node)
    return sorted(groups)


def floors(graph: Graph) -> dict[str, int]:
    """Return the floor of each node, from 1; the members of a circle share one floor."""
    home = {node: node for node in graph}
    for group in circles(graph):
        home.update(dict.fromkeys(group, group[0]))
    heights: dict[str, int] = {}

    def height(node: str) -> int:
        if node not in heights:
            members = [member for member in graph if home[member] == node]
            targets: set[str] = set()
            for member in members:
                targets.update(home[target] for target in graph[member] if target in home)
            heights[node] = 1 + max((height(target) for target in targets - {node}), default=0)
        return heights[node]

    return {node: height(home[node]) for node in graph}


def nested_conditionals(tree: ast.AST) -> list[int]:
    """Return the lines of conditional expressions that hold another one."""
    return [node.lineno for node in _conditionals(tree) if len(list(_conditionals(node))) > 1]


def comprehensions_of_two_loops(tree: ast.AST) -> list[int]:
    """Return the lines of comprehensions with more than one loop."""
    kinds = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, kinds) and len(node.generators) > 1
    ]


def names_without_a_noun(tree: ast.AST) -> list[tuple[int, str]]:
    """Return (line, name) of each variable, parameter, attribute and property that bears a word of
    NAMES_WITHOUT_A_NOUN.
    """
    bindings = [(line, name) for line, name in _bindings(tree) if name in NAMES_WITHOUT_A_NOUN]
    return sorted(bindings)


def any_dictionaries(tree: ast.AST) -> list[int]:
    """Return the lines of `dict[str, Any]` and `Mapping[str, Any]`."""
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            is_mapping = node.value.id in ("dict", "Mapping")
            if is_mapping and ast.unparse(node.slice) in ("str, Any", "(str, Any)"):
                lines.append(node.lineno)
    return lines


@dataclass(frozen=True)
class Problem:
    """A line that breaks the style of the house, and what to write in its place."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


def problems(path: Path, tree: ast.AST) -> list[Problem]:
    """Return the lines of a file that break a rule without exceptions, in order. `path` is relative
    to the root.
    """
    keys = KEYS_OF_FILES.get(path.as_posix(), frozenset())
    rows = [
        *((line, NESTED) for line in nested_conditionals(tree)),
        *((line, TWO_LOOPS) for line in comprehensions_of_two_loops(tree)),
        *(
            (line, f"'{name}': {NO_NOUN}")
            for line, name in names_without_a_noun(tree)
            if name not in keys
        ),
    ]
    return [Problem(path, line, text) for line, text in sorted(rows)]


def conditionals_per_thousand(trees: Iterable[ast.AST], lines: int) -> float:
    """Return the conditional expressions per 1,000 lines."""
    return sum(len(list(_conditionals(tree))) for tree in trees) * 1000 / lines


def measure(root: Path = ROOT) -> dict[str, float | str]:
    """Return the figures of one checkout, in the order in which they are printed. Densities are per
    1,000 lines.
    """
    by_name = modules(root)
    files = file_graph(by_name)
    rooms = room_graph(files)
    trees = [module.tree for module in by_name.values()]
    lines: list[str] = []
    for module in by_name.values():
        lines += module.lines
    per_thousand = 1000 / len(lines)
    functions = sorted(_function_lengths(trees))
    sizes = sorted(len(module.lines) for module in by_name.values() if module.lines)
    widths = sorted(len(line) for line in lines if line.strip())
    loose = [
        room
        for room in rooms
        if f"{PACKAGE}.{room}" in by_name
        and by_name[f"{PACKAGE}.{room}"].path.name != "__init__.py"
    ]
    return {
        "lines": len(lines),
        "files": len(by_name),
        "packages": len(
            [module for module in by_name.values() if module.path.name == "__init__.py"]
        ),
        "modules loose at the root": len(loose),
        "floors of rooms": max(floors(rooms).values()),
        "arrows between rooms": sum(len(targets) for targets in rooms.values()),
        "circles of rooms": len(circles(rooms)),
        "circles of files": len(circles(files)),
        "file length, median / p90 / max": _spread(sizes),
        "function length, median / p90 / max": _spread(functions),
        "conditional expressions": round(conditionals_per_thousand(trees, len(lines)), 1),
        "nested ones": round(
            sum(len(nested_conditionals(tree)) for tree in trees) * per_thousand, 2
        ),
        "comprehensions of two loops": round(
            sum(len(comprehensions_of_two_loops(tree)) for tree in trees) * per_thousand, 2
        ),
        "names without a noun": round(
            sum(len(names_without_a_noun(tree)) for tree in trees) * per_thousand, 1
        ),
        "dict[str, Any]": round(
            sum(len(any_dictionaries(tree)) for tree in trees) * per_thousand, 1
        ),
        "comment lines": round(
            sum(line.lstrip().startswith("#") for line in lines) * per_thousand, 1
        ),
        "line width, p90": widths[int(len(widths) * 0.9)],
    }


def _imports(module: Module, by_name: Mapping[str, Module]) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in by_name)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in by_name:
                    yield inner
                elif node.module in by_name:
                    yield node.module


def _bindings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, name) wherever a name is given: by assignment, loop, comprehension, parameter,
    `as`, attribute or property.
    """
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.arg(arg=name):
                yield node.lineno, name
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                yield node.lineno, name
            case ast.FunctionDef(name=name) if _is_property(node):
                yield node.lineno, name


def _is_property(function: ast.FunctionDef) -> bool:
    decorators = {ast.unparse(decorator) for decorator in function.decorator_list}
    return not decorators.isdisjoint(("property", "cached_property"))


def _conditionals(tree: ast.AST) -> Iterator[ast.IfExp]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.IfExp))


def _function_lengths(trees: list[ast.Module]) -> Iterator[int]:
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield (node.end_lineno or node.lineno) - node.lineno + 1


def _spread(values: list[int]) -> str:
    return f"{median(values):.0f} / {values[int(len(values) * 0.9)]} / {values[-1]}"


def main(arguments: list[str]) -> None:
    paths = [
        Path(argument).resolve() for argument in arguments if not argument.startswith("-")
    ] or [ROOT]
    if "--problems" in arguments:
        for root in paths:
            for module in modules(root).values():
                for problem in problems(module.path.relative_to(root), module.tree):
                    print(problem)
        return
    figures = [measure(path) for path in paths]
    if "--json" in arguments:
        print(json.dumps(figures, indent=1))
        return
    for name in figures[0]:
        print(f"{name:38}" + "".join(f"{row[name]:>18}" for row in figures))


if __name__ == "__main__":
    main(sys.argv[1:])
