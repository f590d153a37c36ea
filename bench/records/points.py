"""Every way of running a reranker that a run has timed, beside the quality that it has: depth,
number format, runtime, batch size, threads.

Reads records only. Quality belongs to a system (a reranker whose scores are the same): batch size
and threads leave it as it is, another number format or runtime is another system, which has a
quality of its own or, where it was not scored, none.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby, pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from bench.contract.identity import Fields
from bench.contract.trial import System, Trial
from bench.core.note import Note
from bench.latency.columns import P95
from bench.latency.sample import Condition
from bench.latency.scenarios import one_query, one_query_at
from bench.latency.summary import Summary, summarise
from bench.latency.sweep_plan import SETTINGS
from bench.quality.query_values import QueryValues
from bench.records.folder import RunFolder, plain
from bench.records.rows import doubts
from bench.records.schema import ArchitectureRecord, Record
from bench.records.tables import DEPTHS, SYSTEM, of_measure, read_stretches
from bench.records.training import seen_families

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Records = Mapping[str, Record | ArchitectureRecord]


@dataclass(frozen=True, repr=False)
class Point:
    """One way to run one reranker. `settings` are what loaded, None where the record does not say.

    Percentiles are in milliseconds, None where withheld for want of queries. `values` are per
    query, None where nothing scored the system. `between` names the two measured depths around an
    interpolated point. `doubts` say why its order means nothing, as where a model with random
    weights was scored to try a suite out.
    """

    trial: Trial
    system: System
    depth: int
    settings: Mapping[str, Any]
    queries: int
    p50_ms: float
    p95_ms: float | None
    p95_high_ms: float | None
    values: QueryValues | None = None
    between: tuple[int, int] | None = None
    scenario: str = ""
    doubts: tuple[Note, ...] = ()
    failed: float = 0.0
    """The share of queries whose call failed when the system was scored."""
    seen: tuple[str, ...] = ()
    """The families of its collection that a model of it was trained on."""
    searches: bool = False
    """Whether the search is part of its times, as it is of a pipeline's."""

    def __repr__(self) -> str:
        quality = "not scored" if self.quality is None else f"{self.quality:.4f}"
        p95 = "withheld" if self.p95_ms is None else f"{self.p95_ms:.4g} ms"
        return (
            f"<{self.trial.reranker} at depth {self.depth}: {quality}, p50 {self.p50_ms:.4g} "
            f"ms, p95 {p95}>"
        )

    @property
    def meaningless(self) -> bool:
        """Whether its order means nothing."""
        return bool(self.doubts)

    @cached_property
    def quality(self) -> float | None:
        """The mean over queries."""
        if not self.values:
            return None
        return self.values.mean


class Qualities:
    """Per-query values of one measure, by system and depth."""

    def __init__(self, run: RunFolder, measure: str) -> None:
        failed = {trial_id for trial_id, record in run.records.items() if record.mostly_failed}
        self._curves = {
            key: values
            for key, values in _curves(run, measure).items()
            if key[0].trial not in failed
        }
        self._at = dict(self._curves)
        for trial_id, record in run.records.items():
            if measure in record.quality and trial_id not in failed:
                key = (System(trial_id), _deepest(record))
                self._at.setdefault(key, run.values(trial_id, measure))

    def at(self, system: System, depth: int) -> QueryValues | None:
        return self._at.get((system, depth))

    def depths(self, system: System) -> list[int]:
        return sorted(depth for other, depth in self._at if other == system)

    def curve(self, trial_id: str) -> dict[int, float]:
        """Return depth -> mean over queries, by rising depth, of a trial as it is. Empty where the
        run holds no quality of it at several depths.
        """
        system = System(trial_id)
        means = {
            depth: values.mean for (other, depth), values in self._curves.items() if other == system
        }
        return dict(sorted(means.items()))


def _curves(run: RunFolder, measure: str) -> dict[tuple[System, int], QueryValues]:
    """Return the values of each system and depth in the table `depths`, which is read some rows at
    a time.
    """
    curves: dict[tuple[System, int], QueryValues] = {}
    for key, members in groupby(_parts(run, measure), key=itemgetter(0)):
        query_ids: list[str] = []
        values = array("d")
        for _, rows in members:
            query_ids += rows["query"].to_pylist()
            values.frombytes(rows["value"].to_numpy().tobytes())
        if key in curves or len(set(query_ids)) < len(query_ids):
            by_query = {**curves.get(key, {}), **dict(zip(query_ids, values, strict=True))}
            query_ids, values = list(by_query), array("d", by_query.values())
        curves[key] = QueryValues(run.places.of(query_ids), values)
    return curves


def _parts(run: RunFolder, measure: str) -> Iterator[tuple[tuple[System, int], pa.Table]]:
    """Yield the rows of a measure in the table `depths`, those next to each other that are of one
    system and depth.
    """
    import numpy as np

    names = [*SYSTEM, "depth"]
    for rows in read_stretches(run.folder, DEPTHS):
        rows = of_measure(rows, measure).combine_chunks()
        is_new = np.zeros(rows.num_rows, dtype=bool)
        is_new[:1] = True
        for name in names:
            cells = rows[name].dictionary_encode(null_encoding="encode").combine_chunks()
            codes = cells.indices.to_numpy()
            is_new[1:] |= codes[1:] != codes[:-1]
        starts = np.flatnonzero(is_new).tolist()
        for start, end in pairwise([*starts, rows.num_rows]):
            cells = [rows[name][start].as_py() for name in names]
            yield (_system(*cells[:-1]), int(cells[-1])), rows.slice(start, end - start)


def measured(run: RunFolder, *, architectures: bool = False) -> tuple[Point, ...]:
    """Every timed point of the rerankers of a run, without values: those of the timed pass, then
    those of the sweep. A point that both hold is the sweep's, where it stands beside its
    neighbours. `architectures`: those of networks without weights, and of nothing else.
    """
    rerankers = {
        trial_id: record
        for trial_id, record in run.records.items()
        if record.trial.kind == "reranker"
    }
    records: Records = run.architectures if architectures else rerankers
    return tuple(
        {
            _key(point): point for point in (*_timed_pass(run, records), *_sweep(run, records))
        }.values()
    )


def valued(points: Iterable[Point], qualities: Qualities) -> list[Point]:
    """The same points with the values that their systems have at their depths."""
    return [replace(point, values=qualities.at(point.system, point.depth)) for point in points]


def interpolated(points: list[Point], qualities: Qualities) -> Iterator[Point]:
    """Points at depths that have a quality and lie between two timed depths of the same settings,
    their percentiles on the straight line between them. Nothing beyond the timed depths is guessed.
    """
    series: dict[Any, list[Point]] = {}
    for point in points:
        series.setdefault((point.system, *point.settings.values()), []).append(point)
    for members in series.values():
        members.sort(key=lambda point: point.depth)
        for below, above in pairwise(members):
            inside = [
                depth
                for depth in qualities.depths(below.system)
                if below.depth < depth < above.depth
            ]
            yield from (_between(below, above, depth, qualities) for depth in inside)


def _between(below: Point, above: Point, depth: int, qualities: Qualities) -> Point:
    share = (depth - below.depth) / (above.depth - below.depth)

    def line(low: float | None, high: float | None) -> float | None:
        if low is None or high is None:
            return None
        return low + share * (high - low)

    return replace(
        below,
        depth=depth,
        queries=min(below.queries, above.queries),
        p50_ms=below.p50_ms + share * (above.p50_ms - below.p50_ms),
        p95_ms=line(below.p95_ms, above.p95_ms),
        p95_high_ms=line(below.p95_high_ms, above.p95_high_ms),
        values=qualities.at(below.system, depth),
        between=(below.depth, above.depth),
    )


def _timed_pass(run: RunFolder, records: Records) -> Iterator[Point]:
    plan = run.info.resolved.get("latency") or {}
    for trial_id, record in records.items():
        keys = [(trial_id, Condition(name)) for name in one_query()]
        summary = next((run.summaries[key] for key in keys if key in run.summaries), None)
        if summary:
            deepest = _deepest(record)
            depth = min(plan.get("depth") or deepest, deepest)
            yield _point(record, System(trial_id), depth, _loaded(record), summary)


def _sweep(run: RunFolder, records: Records) -> Iterator[Point]:
    table = run.sweep[run.sweep["trial"].isin(list(records))]
    names = [*SYSTEM, "depth", *SETTINGS]
    samples: list[pd.DataFrame] = []
    keys: list[Any] = []
    for key, rows in table.groupby(names, dropna=False, sort=False):
        samples.append(rows.assign(trial=str(len(keys))))
        keys.append(key)
    if not samples:
        return
    import pandas as pd

    timings = summarise(pd.concat(samples), run.seed)
    here = Condition(one_query_at(remote=False))
    for i, key in enumerate(keys):
        summary = timings.get((str(i), here))
        if summary:
            cells = dict(zip(names, key, strict=True))
            system = _system(*(cells[name] for name in SYSTEM))
            settings = {name: plain(cells[name]) for name in SETTINGS}
            yield _point(records[system.trial], system, int(cells["depth"]), settings, summary)


def _point(
    record: Record | ArchitectureRecord,
    system: System,
    depth: int,
    settings: Mapping[str, Any],
    summary: Summary,
) -> Point:
    times = (summary.queries, summary.p50_ms, summary.p95_ms, summary.of(P95).high)
    failed = 0.0
    # a changed system has other failures, which are not known
    if not system.changes:
        failed = record.failed_share
    return Point(
        record.trial,
        system,
        depth,
        settings,
        *times,
        scenario=summary.scenario,
        doubts=tuple(doubts(record)),
        failed=failed,
        seen=tuple(seen_families(record)),
        searches=isinstance(record, Record) and bool(record.stages),
    )


def _deepest(record: Record | ArchitectureRecord) -> int:
    """Return the largest number of candidates of one query that was reranked."""
    depth = record.trial.depth
    return min(depth, int(record.candidates.get("longest", depth)))


def _loaded(record: Record | ArchitectureRecord) -> Fields:
    loaded = {**record.description.get("facts", {}), **record.description.get("identity", {})}
    return {name: loaded.get(name) for name in SETTINGS}


def _system(trial: Any, *changes: Any) -> System:
    """The system of a table's cells."""
    return System(str(trial), *map(plain, changes))


def _key(point: Point) -> tuple[Any, ...]:
    return point.trial.id, point.depth, *point.settings.values()
