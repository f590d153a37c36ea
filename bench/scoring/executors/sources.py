"""Modules of outsiders by value: the files that another machine needs to import the same class."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from bench.core.errors import RerankerError
from bench.core.plugins import OURS, import_from, look_in

LARGEST = 16 << 20
"""Bytes of source text that are handed to an actor, at most."""
Sources = Mapping[str, str]
"""Texts of source files by their path in the folder that is searched for modules."""


def sources_of(kind: type) -> Sources:
    """Return the files of the module of an outsider's class: all of a package, and of a module that
    lies in a folder also those next to it. None of what is installed, or of this project.

    Raises RerankerError where they are too large to be code.
    """
    if f"{kind.__module__}.".startswith(OURS):
        return {}
    module = sys.modules.get(kind.__module__.partition(".")[0])
    file = getattr(module, "__file__", None)
    if file is None or _is_installed(Path(file)):
        return {}
    path = Path(file).resolve()
    if path.name == "__init__.py":
        return _texts(path.parents[1], sorted(path.parent.rglob("*.py")))
    return _texts(path.parent, sorted(path.parent.glob("*.py")))


def unpack(sources: Sources, module: str, folder: Path) -> None:
    """Write files into a folder, where this process looks for modules from now on, and import the
    one that is named: another of this name, which lies on this machine, does not take its place.
    """
    for name, text in sources.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
    look_in(folder)
    sys.path.append(str(folder))
    import_from([str(folder)], module.partition(".")[0])


def _texts(root: Path, paths: list[Path]) -> Sources:
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
