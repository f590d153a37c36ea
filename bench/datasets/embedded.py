"""The collections that come with the package: small, free, and enough to see every part of the
harness work offline.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path

from bench.core.errors import SuiteError, nearest
from bench.datasets.base import Dataset
from bench.datasets.files import OURS, read_folder
from bench.datasets.reading import Reading

CARD = "card.md"
SHARED = "documents.txt"
"""In the place of its own documents: the name of the collection whose documents it shares."""


def collections() -> Traversable:
    """Return the folder whose sub-folders are the collections, each with docs.jsonl (or
    documents.txt, which names the collection whose documents it shares), queries.tsv, qrels.txt and
    card.md.
    """
    return files("bench.datasets") / "collections"


def names(root: Traversable | None = None) -> list[str]:
    """Return what can be named after `embedded:`."""
    folder = root or collections()
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if (entry / OURS[1]).is_file())


def load(
    reference: str,
    base_dir: Path,
    reading: Reading = Reading(),  # noqa: B008
    root: Traversable | None = None,
) -> Dataset:
    """Return an embedded collection by its name. Raises SuiteError naming the nearest one."""
    with as_file(_entry(reference, root)) as folder:
        dataset = read_folder(folder, "", "embedded", reading)
        shared = folder / SHARED
        if not shared.is_file():
            return dataset
        owner = shared.read_text(encoding="utf-8").strip()
    documents = load(owner, base_dir, reading, root).documents
    return replace(dataset, documents=documents, has_texts=True)


def card(name: str, root: Traversable | None = None) -> str:
    """Return what the collection says about itself: contents, making, licence (Markdown)."""
    return (_entry(name, root) / CARD).read_text(encoding="utf-8")


def _entry(name: str, root: Traversable | None) -> Traversable:
    known = names(root)
    if name not in known:
        hint = "none is installed"
        if known:
            hint = nearest(name, known)
        raise SuiteError(f"there is no embedded collection '{name}': {hint}")
    return (root or collections()) / name
