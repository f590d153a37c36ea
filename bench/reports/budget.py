"""The choice inside a latency budget as a document: a table and sentences for each first stage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from bench.comparison.budgets import Choice, missing_queries
from bench.contract.trial import FIRST_STAGE
from bench.core.counting import candidates, percent
from bench.core.wording import worded
from bench.latency.scenarios import one_query_at, reader
from bench.latency.sweep_plan import SETTINGS
from bench.quality.statistics import ALPHA, Difference
from bench.records.points import Point
from bench.reports import cells, numbers
from bench.reports.cells import REQUEST_MARK, Cell
from bench.reports.document import Bullets, Column, Document, Record, Row, Section, Table
from bench.reports.judges import Marked
from bench.reports.names import as_sentence, name_of, too_few, too_few_moved
from bench.reports.sections.results import REQUEST_NOTE
from bench.reports.settings import DTYPES, USUAL, Settings, short
from bench.reports.training_notes import training_notes
from bench.reports.wording import RANDOM, doubt_of, out_of_verdict

NEAR = 1.1
"""Up to this share of a limit, a point is reported as per cent above it."""
QUALITY = "quality"
WORDS = {
    "runtime": "{}",
    "dtype": "{}",
    "batch_size": "batch {}",
    "token_budget": "{} tokens a batch",
    "threads": "threads {}",
}
"""Settings in a sentence, in the order in which they are written."""


class Choices(Marked[Choice]):
    """A list of choices that a notebook shows as the command prints it: tables and sentences."""

    def __repr__(self) -> str:
        lines = ["\n".join([title(choice), *sentences(choice)]) for choice in self]
        return "\n\n".join(lines) or "[]"

    def document(self) -> Document:
        return document(self)


def document(choices: Sequence[Choice]) -> Document:
    """Return a section per choice: what fits, best first, and what to know of it."""
    sections = []
    for i, choice in enumerate(choices):
        items = Bullets([(sentence,) for sentence in sentences(choice)])
        sections.append(Section(f"choice{i}", title(choice), [table(choice), items]))
    data = [_flat_choice(choice) for choice in choices]
    return Document("", sections, data=data, records=[*_records(choices)])


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
    """Return each point of the table with its verdict."""
    points: list[tuple[Point, str]] = []
    for point, verdict in (
        (choice.best, "best"),
        (choice.runner_up, "runner-up"),
        *((point, "fits") for point in choice.fitting),
        (choice.between, "interpolated"),
        *((point, "too slow") for point in choice.too_slow),
        *((point, "p95 withheld") for point in choice.withheld),
        *((point, "not scored") for point in choice.unscored),
        *((point, f"not compared: {doubt_of(point)}") for point in choice.uncompared),
    ):
        # What fits holds the best and the runner-up, which have their verdicts already.
        if point and all(point is not other for other, _ in points):
            points.append((point, verdict))
    return points


def sentences(choice: Choice) -> list[str]:
    """Return the answer in words, and what to know before trusting it."""
    return [*_answer(choice), *_doubts(choice), *_more(choice)]


def _answer(choice: Choice) -> Iterator[str]:
    best, other, difference = choice.best, choice.runner_up, choice.difference
    first_stage = choice.first_stage_quality
    if best is None:
        if choice.too_slow and not choice.withheld:
            nearest = choice.too_slow[0]
            yield (
                f"Nothing that was timed fits. The nearest is {_named(nearest)}: "
                f"{_beyond(choice.limits.used(nearest) or 0)}."
            )
        return
    yield f"{_named(best)} has the best {choice.measure} that fits: {_quality(best)}."
    if best.meaningless:
        yield f"It has {RANDOM}."
    if other and difference:
        yield (
            f"The runner-up, {_named(other)}, is lower by {difference.mean:.4f} "
            f"{numbers.signed_interval(difference)}, p {numbers.p_value(difference.p)}: "
            f"{_apart(difference)}."
        )
        if (other.quality or 0) < (first_stage or 0):
            yield f"{_label(other)} is below the first stage."
    if first_stage is not None and (best.quality or 0) <= first_stage:
        quality = numbers.quality(first_stage)
        yield f"{_label(best)} does not improve on the first stage ({quality})."


def _apart(difference: Difference) -> str:
    """Return whether the queries tell two points apart."""
    if difference.p < ALPHA:
        return "a significant difference"
    if too_few(difference):
        return too_few_moved(difference)
    if difference.queries == 1:
        return "this query does not tell the two apart"
    return f"these {difference.queries} queries do not tell the two apart"


def _beyond(share: float) -> str:
    """Return how far a point is beyond the limit, of which it uses this share: never as "1 times"
    of it.
    """
    if share < NEAR:
        return f"{100 * (share - 1):.2g} % over the limit"
    if share < 10:
        return f"{share:.2g} times the limit"
    return f"{share:,.0f} times the limit"


def _search(choice: Choice) -> Iterator[str]:
    """Yield which times lack the search, and how long that took where it was timed."""
    searching = {point.searches for point, _ in verdicts(choice)}
    if False not in searching:
        return
    sentence = f"Times are without the search by {choice.first_stage}, which comes on top"
    if True in searching:
        sentence = (
            "The times of pipelines have their search in them, those of the other rows are without "
            f"the search by {choice.first_stage}, which comes on top"
        )
    if choice.search_ms is not None:
        sentence += f" (p50 {numbers.milliseconds(choice.search_ms)} ms)"
    yield f"{sentence}."


def _doubts(choice: Choice) -> Iterator[str]:
    limit, best = choice.limits.p95_ms, choice.best
    yield from _search(choice)
    if any(_is_request(point) for point, _ in verdicts(choice)):
        yield f"{REQUEST_NOTE}."
    if best and limit and best.p95_high_ms and best.p95_high_ms > limit:
        yield (
            f"The p95 of {_label(best)} lies inside the limit, but the 95 % interval of it reaches "
            f"{numbers.milliseconds(best.p95_high_ms)} ms: "
            "time more queries before relying on it."
        )
    rows = [(name_of(point.trial), point.seen) for point, _ in verdicts(choice)]
    yield from map(as_sentence, training_notes(rows))
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
            share = percent(chosen.failed)
            yield f"{share} of the queries of {_named(chosen)} failed and score 0."
    for point in choice.unscored:
        reason = "the quality of these scores was not measured"
        if point.failed:
            share = percent(point.failed)
            reason = f"{share} of its queries failed: no quality is concluded from the rest"
        yield f"{_named(point)} was timed, but {reason}."
    for point in choice.uncompared:
        reasons = "; ".join(worded(note) for note in point.doubts)
        yield f"{_named(point)} is not compared: {reasons}."


def _more(choice: Choice) -> Iterator[str]:
    between, top, other = choice.between, choice.unlimited, choice.best_untimed
    if between and between.between:
        low, high = between.between
        yield (
            f"Interpolated between the timed depths {low} and {high}, not measured: "
            f"{_named(between)} would reach {_quality(between)}. To know, add {between.depth} to "
            "latency.sweep.depths."
        )
    if other:
        quality = numbers.quality(other.quality[choice.measure].mean)
        name = name_of(other.trial)
        yield f"Without the limit, the best is {name} with {quality}; it was not timed."
    elif top and top is not choice.best:
        yield f"Without the limit, the best is {_named(top)} with {_quality(top)}."
    yield from _unplaced(choice)
    for text in choice.disturbances:
        yield as_sentence(text)
    for point in choice.latency_only:
        yield (
            f"Latency only: {_named(point)} would fit. It has no weights, so that its quality "
            "is not known."
        )
    depths = choice.timed_depths
    if len(depths) == 1 and depths[0] > 1:
        yield (
            f"Only depth {depths[0]} was timed. Quality is known at smaller depths "
            "too, their times are not guessed: "
            "name them in latency.sweep.depths."
        )


def _unplaced(choice: Choice) -> Iterator[str]:
    """Return which rerankers have no place in the table, and why."""
    names = [name_of(row.trial) for row in choice.untimed if row.status == "done"]
    if names:
        yield f"Not timed: {', '.join(names)}."
    for row in choice.untimed:
        if row.status != "done":
            yield f"{name_of(row.trial)} is not placed: {out_of_verdict(row)}."


def _named(point: Point) -> str:
    """Return a point in a sentence: the reranker, its depth, what loaded, its times."""
    times = f"p50 {numbers.milliseconds(point.p50_ms)}"
    if point.p95_ms:
        times += f", p95 {numbers.milliseconds(point.p95_ms)}"
    parts = [*_loaded(point.settings), times]
    return f"{_label(point)} over {candidates(point.depth)} ({', '.join(parts)} ms)"


def _quality(point: Point) -> str:
    return numbers.quality(point.quality or 0)


def _is_request(point: Point) -> bool:
    """Return whether its times hold a network."""
    return point.scenario == one_query_at(remote=True)


def _label(point: Point) -> str:
    name = name_of(point.trial)
    return f"{name}{REQUEST_MARK}" if _is_request(point) else name


def _loaded(settings: Settings) -> list[str]:
    """Return what loaded, in words."""
    words = []
    for name, form in WORDS.items():
        value = settings.get(name)
        if value and value not in USUAL:
            words.append(form.format(DTYPES.get(str(value), value)))
    return words


def _row(point: Point, verdict: str, settings: str) -> Row:
    by_column = {
        "depth": cells.count(point.depth),
        "settings": cells.text(settings),
        QUALITY: cells.seen(cells.mean(point.quality), point.seen),
        "p50": _time(point.p50_ms, point),
        "p95": _time(point.p95_ms, point),
        "queries": cells.count(point.queries),
        "verdict": cells.text(verdict),
    }
    return Row(_label(point), by_column, kind=point.trial.kind)


def _time(ms: float | None, point: Point) -> Cell:
    """Return milliseconds; a sign marks those that were interpolated."""
    about = "~" if point.between else ""
    return Cell("duration", f"{about}{numbers.milliseconds(ms)}", ms)


def _records(choices: Sequence[Choice]) -> Iterator[Record]:
    """Yield a row per point, for data frames."""
    for choice in choices:
        about = {
            "dataset": choice.dataset,
            "first_stage": choice.first_stage,
            "measure": choice.measure,
        }
        for point, verdict in verdicts(choice):
            yield {**about, **_flat(point), "verdict": verdict}


def _flat_choice(choice: Choice) -> Record:
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


def _flat(point: Point) -> Record:
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
