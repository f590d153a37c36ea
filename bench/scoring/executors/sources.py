"""Modules of outsiders by value: the files that another machine needs to import the same."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bench.contract.recipe import Recipe
from bench.contract.stage import Component
from bench.core.errors import RerankerError
from bench.core.module_files import package_files
from bench.core.plugins import OURS, take_from

LARGEST = 16 << 20
"""Bytes of source text that are handed to an actor, at most."""
Texts = Mapping[str, str]
"""Source files by their path in the folder that is searched for modules."""
Sources = Mapping[str, Texts]
"""The same by the module that is imported from there."""


def modules_of(recipe: Recipe, parts: Sequence[Component] = ()) -> Iterator[str]:
    """Yield the modules that a recipe names, and those that the parts of what it builds name."""
    module, _, attribute = recipe.name.partition(":")
    if attribute:
        yield module.partition(".")[0]
    for part in parts:
        if part.recipe is not None:
            yield from modules_of(part.recipe, part.reranker.parts)


def sources_of(modules: Iterable[str]) -> Sources:
    """Return the files of outsiders' modules, imported here by their names: all of a package, and
    of a module that lies in a folder also those next to it. None of what is installed, or of this
    project.

    Raises RerankerError where they are too large to be code.
    """
    sources = {module: _files(module) for module in modules}
    return {module: texts for module, texts in sources.items() if texts}


def unpack(sources: Sources, folder: Path) -> None:
    """Write files into a folder, where this process looks for modules from now on: others of the
    names that were sent, which lie on this machine, do not take their place.
    """
    for module, texts in sources.items():
        place = folder / module
        for name, text in texts.items():
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", errors="surrogateescape")
        take_from(place, module)
        # for what the module imports: before the folders of this machine
        sys.path.append(str(place))


def _files(module: str) -> Texts:
    file = getattr(sys.modules.get(module), "__file__", None)
    if f"{module}." == OURS or file is None or _is_installed(Path(file)):
        return {}
    # not resolved: a link has the name that is imported
    path = Path(file).absolute()
    if path.name == "__init__.py":
        return _texts(path.parents[1], package_files(path.parent))
    return _texts(path.parent, sorted(path.parent.glob("*.py")))


def _texts(root: Path, paths: list[Path]) -> Texts:
    texts: dict[str, str] = {}
    size = 0
    for path in paths:
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        size += len(text)
        if size > LARGEST:
            raise RerankerError(
                f"{root}: more than {LARGEST >> 20} MiB of Python files lie next to the class: "
                "keep its module in a folder of its own"
            )
        texts[path.relative_to(root).as_posix()] = text
    return texts


def _is_installed(path: Path) -> bool:
    folders = {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}
    return any(path.is_relative_to(folder) for folder in folders) or any(
        step in ("site-packages", "dist-packages") for step in path.parts
    )
