"""The files that an outsider's code consists of: its module, and what that imports from the same
folder.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules

from bench.core.digest import file_digest
from bench.core.errors import SuiteError
from bench.core.paths import files_below

_INSTALLED = {"site-packages", "dist-packages"}
_IMPORTED: dict[str, tuple[ModuleSpec, str]] = {}
"""File -> the spec by which it was imported, which a reload replaces, and its digest then."""


def module_files(module: str) -> list[Path]:
    """Return the files of an outsider's module or package, and of the modules in the same folder
    that it imports, however indirectly. Of an installed one, the module's own file.
    """
    files: dict[Path, None] = {}
    names = [module.partition(".")[0]]
    place: Path | None = None
    # this package is known by its version
    seen: set[str] = {"bench"}
    while names:
        name = names.pop()
        if name in seen:
            continue
        seen.add(name)
        origin = _origin(name)
        if origin is None:
            continue
        is_package = origin.name == "__init__.py"
        folder = origin.parent.parent if is_package else origin.parent
        if _INSTALLED & set(origin.parts):
            if place is None:
                files[origin] = None
            continue
        if place not in (None, folder):
            continue
        place = folder
        own = package_files(origin.parent) if is_package else [origin]
        files |= dict.fromkeys(own)
        others = frozenset(module.name for module in iter_modules([str(folder)])) - seen
        for file in own:
            names += _imported(file, others)
    return list(files)


def package_files(folder: Path) -> list[Path]:
    """Return the Python files of a package."""
    return sorted(path for path in files_below(folder) if path.suffix == ".py")


def refuse_changed(files: Sequence[Path]) -> None:
    """Raise SuiteError where this process runs an earlier text of one of these files than the file
    has now: since the last call of this, it was written to and not imported again.
    """
    specs: dict[str | None, ModuleSpec] = {}
    for module in list(sys.modules.values()):
        spec = getattr(module, "__spec__", None)
        if isinstance(spec, ModuleSpec):
            specs[spec.origin] = spec
    for file in files:
        spec = specs.get(str(file))
        if spec is None:
            continue
        digest = file_digest(file)
        known_spec, known = _IMPORTED.get(str(file), (None, ""))
        if known_spec is spec and known != digest:
            raise SuiteError(
                f"{file.name} has changed since this process imported it, and would run as it was: "
                f"start Python anew, or call importlib.reload on {spec.name}"
            )
        _IMPORTED[str(file)] = (spec, digest)


def _origin(name: str) -> Path | None:
    """Return the file of a top-level module, without importing it."""
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return None
    return Path(spec.origin)


def _imported(file: Path, modules: frozenset[str]) -> frozenset[str]:
    """Return the top-level names that a Python file imports; none where it imports none of
    `modules`.
    """
    try:
        return _imported_by(file, file_digest(file), modules)
    except (OSError, SyntaxError, ValueError):
        return frozenset()


@lru_cache(maxsize=4096)
def _imported_by(file: Path, digest: str, modules: frozenset[str]) -> frozenset[str]:
    """Return the same, worked out once per process for each content of a file. A package may have
    hundreds, which take seconds to parse: most name no module that is in question.
    """
    source = file.read_bytes()
    # letters outside of ASCII may be written in several ways
    if not any(name.encode() in source or not name.isascii() for name in modules):
        return frozenset()
    names: set[str] = set()
    for node in _statements(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return frozenset(names)


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield every statement of a file, also inside functions: imports are never in expressions."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting += getattr(node, name, ())
