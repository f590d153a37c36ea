"""How a loader reads a collection."""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.errors import Unavailable
from bench.datasets.grades import Grades


class NotDownloaded(Unavailable):
    """A dataset that is not on this disk, where a check forbids to fetch it."""


@dataclass(frozen=True)
class Reading:
    """How a loader reads: what a dataset's options say of fields and grades, and what a check looks
    at.

    `fields` are those that the document template names; of a large documents file only the first
    `limit` are read; `offline` forbids downloads. `judged` is false where the collection's own
    judgments are not read.
    """

    fields: tuple[str, ...] = ()
    grades: Grades | None = None
    limit: int | None = None
    offline: bool = False
    judged: bool = True
