"""The choice inside a latency budget as a document: a table and sentences for each first stage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from bench.comparison.budgets import Choice, missing_queries
from bench.contract.trial import FIRST_STAGE
from bench.latency.scenarios import one_query_at, reader
from bench.latency.sweep_plan import SETTINGS
from bench.quality.statistics import ALPHA, Difference
from bench.records.points import Point
from bench.reports import cells, numbers
from bench.reports.cells import REQUEST_MARK, Cell
from bench.reports.document import Block, Bullets, Column, Document, Row, Section, Table, labelled
from bench.reports.names import as_sentence, device_of, name_of, too_few, too_few_moved
from bench.reports.sections.results import REQUEST_NOTE
from bench.reports.settings import DTYPES, short
from bench.reports.wording import RANDOM, out_of_verdict

NEAR = 1.1
"""Up to this share of a limit, a point is reported as per cent above it."""
QUALITY = "quality"


class Choices(list[Choice]):
    """Choices that a notebook shows as the command prints them: a table each, and sentences."""

    def __repr__(self) -> str:
        lines = ["\n".join([title(choice), *sentences(choice)]) for choice in self]
        return "\n\n".join(lines) or "[]"

    def _repr_html_(self) -> str:
        from bench.reports.renderers.html import fragment

        return fragment(document(self))


def document(choices: Sequence[Choice]) -> Document:
    """Return a section per choice: what fits, best first, and what to know of it."""
    sections = []
    for i, choice in enumerate(choices):
        items = Bullets([(sentence,) for sentence in sentences(choice)])
        blocks: list[Block] = [table(choice), items]
        sections.append(Section(f"choice{i}", title(choice), blocks))
    return Document("", sections, data=[_flat_choice(choice) for choice in choices])


def title(choice: Choice) -> str:
    return f"{choice.measure} within {choice.limits}: {choice.dataset}, {choice.first_stage}"


def table(choice: Choice) -> Table:
    """Return what fits, best first, then what does not, then the first stage."""
    points = verdicts(choice)
    among = [point.settings for point, _ in points]
    rows = [_row(point, verdict, short(point.settings, among)) for point, verdict in points]
    if choice.first_stage_quality is not None and rows:
        quality = {QUALITY: cells.mean(choice.first_stage_quality)}
        rows.append(Row(FIRST_STAGE, {**quality, "verdict": cells.text("")}, kind="reference"))
    columns = [
        Column("depth", "depth", priority=2),
        Column("settings", "settings", align="left", priority=6),
        Column(QUALITY, choice.measure, better="higher", priority=0),
        Column("p50", "p50 ms", better="lower", priority=4),
        Column("p95", "p95 ms", better="lower", priority=3),
        Column("queries", "queries", "distinct queries timed", priority=7),
        Column("verdict", "verdict", align="left", priority=1),
    ]
    return Table("reranker", columns, rows, title(choice))


def verdicts(choice: Choice) -> list[tuple[Point, str]]:
    """Each point that is shown, with what is said of it."""
    named = [(choice.best, "best"), (choice.runner_up, "runner-up")]
    rows = [(point, name) for point, name in named if point]
    others = [point for point in choice.fitting if all(point is not shown for shown, _ in rows)]
    rows += [(point, "fits") for point in others]
    rows += [(choice.between, "interpolated")] if choice.between else []
    rows += [(point, "too slow") for point in choice.too_slow]
    rows += [(point, "p95 withheld") for point in choice.withheld]
    return rows + [(point, "not scored") for point in choice.unscored]


def sentences(choice: Choice) -> list[str]:
    """The answer in words, and what to know before trusting it."""
    return [*_answer(choice), *_doubts(choice), *_more(choice)]


def _answer(choice: Choice) -> Iterator[str]:
    best, other, found = choice.best, choice.runner_up, choice.difference
    if best is None:
        if choice.too_slow and not choice.withheld:
            nearest = choice.too_slow[0]
            yield (
                f"Nothing that was timed fits. The nearest is {_named(nearest)}: "
                f"{_beyond(choice.limits.used(nearest) or 0)}."
            )
        return
    yield (
        f"{_named(best)} has the best {choice.measure} that fits: "
        f"{numbers.quality(best.quality or 0)}."
    )
    if other and found:
        yield (
            f"The runner-up, {_named(other)}, is lower by {found.mean:.4f} "
            f"{numbers.signed_interval(found)}, p {numbers.p_value(found.p)}: {_apart(found)}."
        )
        if (other.quality or 0) < (choice.first_stage_quality or 0):
            yield f"{_label(other)} is below the first stage."
    if choice.first_stage_quality is not None and (best.quality or 0) <= choice.first_stage_quality:
        yield (
            "It does not improve on the first stage "
            f"({numbers.quality(choice.first_stage_quality)})."
        )


def _apart(difference: Difference) -> str:
    """Whether the queries tell two points apart."""
    if difference.p < ALPHA:
        return "a significant difference"
    if too_few(difference):
        return too_few_moved(difference)
    if difference.queries == 1:
        return "this query does not tell the two apart"
    return f"these {difference.queries} queries do not tell the two apart"


def _beyond(share: float) -> str:
    """How far a point is beyond the limit, of which it uses this share: never as "1 times" of
    it.
    """
    return (
        f"{100 * (share - 1):.2g} % over the limit"
        if share < NEAR
        else f"{share:.2g} times the limit"
    )


def _doubts(choice: Choice) -> Iterator[str]:
    limit, best = choice.limits.p95_ms, choice.best
    if best and best.meaningless:
        yield f"It has {RANDOM}."
    if any(_is_request(point) for point, _ in verdicts(choice)):
        yield f"{REQUEST_NOTE}."
    if best and limit and best.p95_high_ms and best.p95_high_ms > limit:
        yield (
            "Its p95 lies inside the limit, but the 95 % interval of it reaches "
            f"{numbers.milliseconds(best.p95_high_ms)} ms: "
            "time more queries before relying on it."
        )
    for point in choice.withheld:
        more = missing_queries(point)
        option = reader(point.scenario).queries_option
        yield (
            f"p95 of {_named(point)} is withheld: {point.queries} distinct queries were timed. "
            f"Time {more} more "
            f"(latency: {{{option}: {point.queries + more}}}), or ask for the median: --p50-ms "
            f"{limit:g}."
        )
    for chosen in (choice.best, choice.runner_up):
        if chosen and chosen.failed:
            yield f"{chosen.failed:.0%} of the queries of {_named(chosen)} failed and score 0."
    for point in choice.unscored:
        if point.failed:
            yield (
                f"{_named(point)} was timed, but {point.failed:.0%} of its queries failed: no "
                "quality is concluded from the rest."
            )
        else:
            yield f"{_named(point)} was timed, but the quality of these scores was not measured."


def _more(choice: Choice) -> Iterator[str]:
    between, top, other = choice.between, choice.unlimited, choice.best_untimed
    if between and between.between:
        low, high = between.between
        yield (
            f"Interpolated between the timed depths {low} and {high}, not measured: "
            f"{_named(between)} would reach "
            f"{numbers.quality(between.quality or 0)}. To know, add {between.depth} to "
            "latency.sweep.depths."
        )
    if other:
        yield (
            f"Without the limit, the best is {name_of(other.trial)} with "
            f"{numbers.quality(other.quality[choice.measure].mean)}; it was not timed."
        )
    elif top and top is not choice.best:
        yield (
            f"Without the limit, the best is {_named(top)} with "
            f"{numbers.quality(top.quality or 0)}."
        )
    yield from _unplaced(choice)
    for text in choice.disturbances:
        yield as_sentence(text)
    for point in choice.latency_only:
        yield (
            f"Latency only: {_named(point)} would fit. It has no weights, so that its quality "
            "is not known."
        )
    if choice.timed_depths and len(choice.timed_depths) == 1 and choice.timed_depths[0] > 1:
        yield (
            f"Only depth {choice.timed_depths[0]} was timed. Quality is known at smaller depths "
            "too, their times are not guessed: "
            "name them in latency.sweep.depths."
        )


def _unplaced(choice: Choice) -> Iterator[str]:
    """Which rerankers have no place in the table, and why."""
    names = [name_of(row.trial) for row in choice.untimed if row.status == "done"]
    if names:
        yield f"Not timed: {', '.join(names)}."
    for row in choice.untimed:
        if row.status != "done":
            yield f"{name_of(row.trial)} is not placed: {out_of_verdict(row)}."


def _named(point: Point) -> str:
    """A point in a sentence."""
    used = _settings(point)
    times = [f"p50 {numbers.milliseconds(point.p50_ms)}"] + (
        [f"p95 {numbers.milliseconds(point.p95_ms)}"] if point.p95_ms else []
    )
    return (
        f"{_label(point)} at depth {point.depth} "
        f"({', '.join([*([used] if used else []), *times])} ms)"
    )


def _is_request(point: Point) -> bool:
    """Whether its times hold a network."""
    return point.scenario == one_query_at(remote=True)


def _label(point: Point) -> str:
    mark = REQUEST_MARK if _is_request(point) else ""
    return f"{labelled(point.trial.reranker, device_of(point.trial))}{mark}"


def _settings(point: Point) -> str:
    """What loaded, in words."""
    found = point.settings
    words = {"batch_size": "batch {}", "token_budget": "{} tokens a batch", "threads": "threads {}"}
    dtype = str(found.get("dtype") or "")
    told = [str(found["runtime"])] if found.get("runtime") not in (None, "torch") else []
    told += [DTYPES.get(dtype, dtype)] if dtype else []
    return ", ".join(
        [*told, *(form.format(found[name]) for name, form in words.items() if found.get(name))]
    )


def _row(point: Point, verdict: str, settings: str) -> Row:
    by_column = {
        "depth": cells.count(point.depth),
        "settings": cells.text(settings),
        QUALITY: cells.mean(point.quality),
        "p50": _time(point.p50_ms, point),
        "p95": _time(point.p95_ms, point),
        "queries": cells.count(point.queries),
        "verdict": cells.text(verdict),
    }
    return Row(_label(point), by_column, kind=point.trial.kind)


def _time(ms: float | None, point: Point) -> Cell:
    """Return milliseconds; those that were interpolated are marked as about so much."""
    about = "~" if point.between else ""
    return Cell("duration", f"{about}{numbers.milliseconds(ms)}", ms)


def _flat_choice(choice: Choice) -> dict[str, Any]:
    return {
        "outcome": choice.outcome,
        "dataset": choice.dataset,
        "first_stage": choice.first_stage,
        "measure": choice.measure,
        "p50_limit_ms": choice.limits.p50_ms,
        "p95_limit_ms": choice.limits.p95_ms,
        "first_stage_quality": choice.first_stage_quality,
        "difference": asdict(choice.difference) if choice.difference else None,
        "untimed": [name_of(row.trial) for row in choice.untimed],
        "disturbances": list(choice.disturbances),
        "points": [{**_flat(point), "verdict": verdict} for point, verdict in verdicts(choice)],
        "notes": sentences(choice),
    }


def _flat(point: Point) -> dict[str, Any]:
    return {
        "reranker": point.trial.reranker,
        "device": point.trial.device,
        "depth": point.depth,
        "scenario": point.scenario,
        **{name: point.settings.get(name) for name in SETTINGS},
        "quality": point.quality,
        "p50_ms": point.p50_ms,
        "p95_ms": point.p95_ms,
        "p95_high_ms": point.p95_high_ms,
        "queries_timed": point.queries,
        "interpolated_between": point.between,
    }
