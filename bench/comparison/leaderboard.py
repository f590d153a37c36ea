"""Every run of a folder, grouped by what makes its numbers comparable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.comparison.across import differences, sentence
from bench.core.counting import candidates, counted
from bench.core.errors import BenchError, RecordError
from bench.quality.measures import JUDGED
from bench.records.measure import resolve_measure
from bench.records.rows import Row
from bench.records.run import Run
from bench.records.schema import Record


@dataclass(frozen=True)
class Entry:
    """One system in one group: its newest row, and the run that it is of. `timing` is the newest
    entry of the same system on the same machine that was timed, None where none was. `earlier` is
    measure -> the id of the newest run that has it, of those that the run lacks: the row has their
    values, too.
    """

    row: Row
    record: Record
    run: Run
    timing: Entry | None = None
    earlier: Mapping[str, str] = field(default_factory=dict)

    @property
    def machine(self) -> str:
        """The processor that scored, or the accelerator where one did."""
        environment = self.record.environment
        on_accelerator = self.row.trial.host.startswith(("cuda", "mps"))
        accelerator = environment.get("gpu") if on_accelerator else None
        return str(accelerator or environment.get("cpu") or "?")


@dataclass(frozen=True)
class Board:
    """The systems that answered the same questions, best first. `measure` is the full name of what
    they are ordered by; those that were not measured by it come last.
    """

    key: str
    measure: str
    entries: tuple[Entry, ...]
    difference: str = ""
    """What sets this group apart from the earlier one over the same dataset that it is most like,
    where there is one.
    """

    @property
    def others(self) -> list[str]:
        """The other measures that a system has, in the order of the newest run."""
        names: dict[str, None] = {}
        for entry in sorted(self.entries, key=lambda entry: entry.run.info.started, reverse=True):
            names |= dict.fromkeys(entry.row.quality)
        return [name for name in names if name not in (self.measure, JUDGED)]

    @property
    def title(self) -> str:
        record = self.entries[0].record
        trial, queries = record.trial, counted(record.counts.queries, "query")
        depth = candidates(trial.depth, record.candidates.get("longest"))
        return f"{trial.dataset}, {trial.first_stage}, {depth}, {queries}"


def collect(
    folder: Path, measure: str | None = None, on_unreadable: Callable[[str], None] | None = None
) -> list[Board]:
    """Every group under `folder`, the one with most systems first. Run folders that cannot be read
    are left out; `on_unreadable` gets the reason of each.

    Raises RecordError when there is no finished trial, and BenchError when no group holds the
    measure.
    """
    newest: dict[tuple[str, str, str | None], Entry] = {}
    timed: dict[tuple[str, str, str | None, str], Entry] = {}
    for run in sorted(_runs(folder, on_unreadable), key=lambda run: run.info.started):
        for row in run.rows:
            # without a quality, most queries failed: an older record is shown
            if row.status == "done" and row.quality:
                record = run.records[row.trial.id]
                system = record.question.hash, record.system.hash, row.trial.device
                entry = Entry(row, record, run)
                newest[system] = _with_earlier(entry, newest.get(system))
                if row.query_here:
                    timed[*system, entry.machine] = entry
    if not newest:
        raise RecordError(
            f"{folder}: no finished trial in any run folder below it; give the folder that holds "
            "runs, such as results"
        )
    grouped: dict[str, list[Entry]] = {}
    for system, entry in newest.items():
        timing = timed.get((*system, entry.machine))
        grouped.setdefault(system[0], []).append(replace(entry, timing=timing))
    boards = [board for key, entries in grouped.items() if (board := _board(key, entries, measure))]
    if not boards:
        names: set[str] = set()
        for entry in newest.values():
            names.update(entry.record.quality)
        known = ", ".join(sorted(names))
        raise BenchError(f"no run under {folder} holds {measure}; they hold {known}")
    return _told_apart(sorted(boards, key=lambda board: (-len(board.entries), board.title)))


def _with_earlier(entry: Entry, before: Entry | None) -> Entry:
    """Return an entry with the measures that only an earlier run of the same system has."""
    if before is None:
        return entry
    row = entry.row
    earlier = {
        name: before.earlier.get(name, before.run.info.id)
        for name in before.row.quality
        if name not in row.quality
    }
    if not earlier:
        return entry
    quality = {name: before.row.quality[name] for name in earlier}
    differences = {
        name: before.row.differences[name] for name in earlier if name in before.row.differences
    }
    row = replace(
        row,
        quality={**row.quality, **quality},
        differences={**row.differences, **differences},
    )
    return replace(entry, row=row, earlier=earlier)


def _told_apart(boards: list[Board]) -> list[Board]:
    """The boards, each with how it differs from the most similar earlier one over a dataset of the
    same name.
    """
    distinct: list[Board] = []
    for board in boards:
        first = board.entries[0].record
        earlier = [
            other
            for other in distinct
            if other.entries[0].record.trial.dataset == first.trial.dataset
        ]
        changes = [
            (other, differences(first.question, other.entries[0].record.question))
            for other in earlier
        ]
        if changes:
            other, fields = min(changes, key=lambda change: len(change[1]))
            board = replace(
                board,
                difference=f"Not comparable with group {other.key}: it differs in "
                f"{sentence(fields)}",
            )
        distinct.append(board)
    return distinct


def _runs(folder: Path, on_unreadable: Callable[[str], None] | None) -> Iterator[Run]:
    """The runs below a folder whose records can be read."""
    for path in sorted(folder.glob("**/run.json")):
        try:
            run = Run(path.parent)
            _ = run.rows
        except RecordError as error:
            if on_unreadable is not None:
                on_unreadable(f"{error}: the run is left out")
            continue
        yield run


def _board(key: str, entries: list[Entry], measure: str | None) -> Board | None:
    name = _measure_of(entries, measure)
    if name is None:
        return None
    return Board(key, name, tuple(sorted(entries, key=lambda entry: _rank(entry, name))))


def _measure_of(entries: Sequence[Entry], wanted: str | None) -> str | None:
    """Return the full name of the measure that systems are ordered by, None where none has it. By
    default it is the headline of the newest run, or what more of the systems have.
    """
    names: dict[str, int] = {}
    for entry in reversed(entries):
        try:
            own = [resolve_measure(entry.run, wanted, {entry.row.trial.id})]
        except BenchError:
            own = [name for name in entry.earlier if name == wanted]
        if wanted is None:
            own = [name for name in entry.row.quality if name != JUDGED] or own
        for name in own:
            names[name] = names.get(name, 0) + 1
    return max(names, key=lambda name: names[name], default=None)


def _rank(entry: Entry, measure: str) -> tuple[bool, bool, float]:
    """Return what systems are ordered by, the best first."""
    value = entry.row.quality.get(measure)
    if value is None:
        return True, entry.row.meaningless, 0.0
    return False, entry.row.meaningless, -value.mean
