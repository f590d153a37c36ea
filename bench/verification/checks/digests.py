"""Every file is the one that the run wrote; where a table is not, the queries whose rows differ."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench.core.digest import file_digest
from bench.core.version import version
from bench.records.digests import (
    FILE,
    Draws,
    FolderDigests,
    RowDigest,
    changed_keys,
    read_row_digests,
    row_digests,
    table_files,
    written_files,
)
from bench.records.tables import DIGESTS, Table
from bench.verification.evidence import Evidence
from bench.verification.finding import Code, Finding, Ledger, Place, Reason


def check(evidence: Evidence, ledger: Ledger) -> None:
    """Compare the digests of files and rows with those that the run wrote when it ended."""
    digests = evidence.digests
    if digests is None:
        is_done = evidence.run.info.status == "done"
        if is_done and (evidence.folder / DIGESTS.name).is_dir():
            ledger.findings.append(Finding(Code.MISSING_FILE, Place(FILE)))
            return
        ledger.gap(Reason.NO_DIGESTS if is_done else Reason.UNFINISHED, FILE)
        return
    _draws(evidence, digests, ledger)
    folder = evidence.folder
    tables = {path.relative_to(folder).as_posix(): table for path, table in table_files(folder)}
    rows: Mapping[str, Mapping[str, RowDigest]] = {}
    with ledger.reading("digests"):
        rows = read_row_digests(folder)
    for name, expected in digests.files.items():
        path = folder / name
        ledger.compared += 1
        if not path.is_file():
            ledger.findings.append(Finding(Code.MISSING_FILE, Place(name)))
            continue
        if file_digest(path) == expected:
            continue
        _changed(path, Place(name), tables.get(name), rows.get(name), ledger)
    for name in written_files(folder):
        if name not in digests.files:
            ledger.findings.append(Finding(Code.EXTRA_FILE, Place(name)))


def _draws(evidence: Evidence, digests: FolderDigests, ledger: Ledger) -> None:
    """Compare how often the run says to have resampled with what its version does: other numbers
    would keep its intervals from being checked.
    """
    if evidence.run.info.version != version():
        return
    usual: Mapping[str, int] = Draws().model_dump()
    for name, written in digests.draws.model_dump().items():
        ledger.same(Code.DRAWS, Place(FILE, key=f"draws.{name}"), usual[name], written)


def _changed(
    path: Path,
    place: Place,
    table: Table | None,
    before: Mapping[str, RowDigest] | None,
    ledger: Ledger,
) -> None:
    """Add the queries of a file whose rows differ, or the file."""
    keys: list[str] = []
    if table is not None and before is not None:
        with ledger.reading(place.file):
            now = row_digests(path, table)
            keys = changed_keys(before, now)
            for key in keys:
                own = Place(place.file, query=key)
                counts = [digests[key].rows if key in digests else 0 for digests in (before, now)]
                ledger.findings.append(Finding(Code.CHANGED_ROWS, own, counts[0], counts[1]))
    if not keys:
        ledger.findings.append(Finding(Code.CHANGED_FILE, place))
