"""How a loader reads a collection."""

from __future__ import annotations

from dataclasses import dataclass

from bench.datasets.grades import Grades


@dataclass(frozen=True)
class Reading:
    """How a loader reads: what a dataset's options say of fields and grades, and what a check looks at.

    `fields` are those that the document template names; `limit` is the number of documents from which a file is only sampled, with
    `limit` documents read; `offline` forbids downloads.
    """

    fields: tuple[str, ...] = ()
    grades: Grades | None = None
    limit: int | None = None
    offline: bool = False
