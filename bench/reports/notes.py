"""Notes on rows, where they belong: under the table that they are about, or once where they hold of
several.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from bench.records.rows import GroupKey, Row, groups, notes_on
from bench.reports import timings


def notes(
    table: Sequence[Row], label: Callable[[Row], str]
) -> tuple[Mapping[GroupKey, list[str]], list[str]]:
    """Return each group's own notes, and those that are the same in several groups."""
    found: dict[GroupKey, list[str]] = {}
    for group, members in groups(list(table)).items():
        names = {row.trial.id: label(row) for row in members}
        found[group] = [
            f"{timings.about(about, members, names)}: {note}" for about, note in notes_on(members)
        ]
    tables = Counter(text for texts in found.values() for text in texts)
    own = {group: [text for text in texts if tables[text] == 1] for group, texts in found.items()}
    return own, [f"{text} (in {count} tables)" for text, count in tables.items() if count > 1]
