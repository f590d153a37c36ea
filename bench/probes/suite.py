"""The probes of a suite's rerankers, or of one reranker over the embedded collection."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import rerankers
from bench.contract.request import Usage, cut
from bench.contract.stage import Reranker
from bench.core.errors import BenchError, SuiteError, nearest
from bench.core.options import as_mapping
from bench.core.outsiders import outsiders_code
from bench.core.progress import Observer
from bench.core.version import version
from bench.probes import PROBES, SECOND_CALL
from bench.probes.answers import all_lists, variants_of
from bench.probes.base import ProbedQuery
from bench.probes.orders import MEASURE
from bench.probes.reranker import probe, why_not
from bench.records.judges import judge_line
from bench.records.keys import identity_of, system_key
from bench.records.probe_file import ProbeFile
from bench.records.writer import now
from bench.runner.forecast import Tokens, bill
from bench.runner.retrieve import Retrieved, retrieve
from bench.suite.planning import Group, Planned, plan
from bench.suite.suite import Suite, load, shipped

if TYPE_CHECKING:
    from bench.catalogue.price import Price

COLLECTION = "embedded:everyday"
SUITES = (".yaml", ".yml")
UNJUDGED = "nobody has judged its queries yet, and a probe compares quality"


@dataclass(frozen=True)
class Sizes:
    """How many queries are probed, with how many documents each, and the seed of their choice."""

    queries: int = 20
    depth: int = 20
    seed: int = 0


@dataclass(frozen=True)
class Skipped:
    """A row that is not probed, and why."""

    reranker: str
    reason: str


@dataclass(frozen=True)
class Failed(Skipped):
    """A row that could not be probed, or of a dataset and first stage those that could not."""


@dataclass(frozen=True)
class Cost:
    """What the probes of a row would take. `usd` is None where no price is known for what they use;
    `absent` says why the row cannot run here.
    """

    reranker: str
    probes: int
    usage: Usage
    price: Price | None
    usd: float | None
    absent: str = ""


@dataclass(frozen=True)
class ProbeRow:
    """A row that can be probed, with its queries; `absent` says why it cannot run here."""

    planned: Planned
    suite: Suite
    queries: Sequence[ProbedQuery]
    retrieved: Retrieved
    absent: str = ""

    def rebuilt(self, settings: Mapping[str, int]) -> Reranker:
        """Return the reranker with some of its options changed."""
        part = self.planned.part
        options = dict(as_mapping(rerankers.options_for(part.name), part.options))
        return rerankers.build(
            part.name,
            {**options, **settings},
            self.planned.trial.device or "cpu",
            self.suite.base_dir,
        )


def names_a_suite(target: str) -> bool:
    """Return whether a text names a suite: a file, or one that is shipped; else a reranker."""
    return Path(target).suffix in SUITES or target in shipped()


def suite_named(target: Any, options: Mapping[str, Any]) -> Suite:
    """Return the suite that a text, a path or a mapping names, or one of a reranker with these
    options. Raises SuiteError for options of a suite.
    """
    is_mapping = isinstance(target, Mapping)
    name = str(target) if isinstance(target, str | Path) else ""
    if not (is_mapping or names_a_suite(name)):
        return suite_of(name or target, options)
    if options:
        raise SuiteError(
            f"{', '.join(options)}: options are of a reranker: a suite holds those of its stages"
        )
    return load(target if is_mapping else name)


def suite_of(reranker: Any, options: Mapping[str, Any]) -> Suite:
    """Return a suite of one reranker over the embedded collection: of a name, or of an object as in
    a suite that is a mapping.
    """
    entry: Any = reranker
    if options:
        entry = {reranker: dict(options)}
    return load({"name": "probe", "datasets": [COLLECTION], "rerankers": [entry]})


def check_names(names: Sequence[str]) -> None:
    """Raise BenchError for a probe that there is not."""
    for name in names:
        if name not in PROBES:
            raise BenchError(f"there is no probe '{name}': {nearest(name, PROBES)}")


def rows(
    suite: Suite,
    sizes: Sizes,
    *,
    only: str | None = None,
    device: str | None = None,
    absent: bool = False,
    observer: Observer | None = None,
) -> Iterator[ProbeRow | Skipped]:
    """Yield the rerankers of a suite with their lists, and those that are not probed; in the place
    of those over a dataset and first stage that cannot be loaded, why. With `absent` those that
    cannot run here have lists, too. Raises BenchError where there is none of the name `only`.
    """
    observer = observer or Observer()
    groups = plan(suite, device, lenient=True)
    names: set[str] = set()
    for group in groups:
        trials = [planned.trial for planned in group.planned]
        names |= {trial.reranker for trial in trials if trial.kind == "reranker"}
    if only is not None and only not in names:
        raise BenchError(f"the suite has no reranker '{only}': {nearest(only, names)}")
    for group in groups:
        chosen: list[Planned] = []
        for planned in group.planned:
            name = planned.trial.reranker
            if planned.trial.kind == "reference" or only not in (None, name):
                continue
            reason = _why_skipped(planned)
            if not absent:
                reason = _why_absent(planned) or reason
            if reason:
                yield Skipped(name, reason)
            else:
                chosen.append(planned)
        if chosen:
            try:
                retrieved = _retrieved(suite, group, observer)
            except BenchError as error:
                trial = chosen[0].trial
                yield Failed(f"{trial.dataset}, {trial.first_stage}", str(error))
                continue
            queries = probed_queries(retrieved, sizes)
            for planned in chosen:
                yield ProbeRow(planned, suite, queries, retrieved, _why_absent(planned))


def _retrieved(suite: Suite, group: Group, observer: Observer) -> Retrieved:
    """Return the lists of a dataset and first stage. Raises BenchError for all that stops them."""
    with outsiders_code():
        retrieved = retrieve(suite, group, observer)
    if retrieved.dataset.is_unjudged:
        raise BenchError(f"{retrieved.dataset.id}: {UNJUDGED}")
    return retrieved


def _why_absent(planned: Planned) -> str:
    """Return why a row cannot run here; empty where it can."""
    if planned.status.status == "pending":
        return ""
    return planned.status.reason or planned.status.status


def _why_skipped(planned: Planned) -> str:
    """Return why a row is not probed; empty where it is."""
    reranker = planned.reranker
    if planned.trial.kind != "reranker" or reranker.latency_only:
        return "its weights are random: its scores mean nothing"
    if planned.pipeline is not None or reranker.parts:
        return "it is made of others: probe these"
    if reranker.is_given or not reranker.reads_texts:
        return "it reads no texts"
    if reranker.needs_collection or reranker.learns or reranker.is_untrained:
        return "it learns from a run, or looks its documents up in the collection"
    return ""


def probed_queries(retrieved: Retrieved, sizes: Sizes) -> list[ProbedQuery]:
    """Return a seeded choice of the queries, in the order of the collection, with their texts."""
    requests = retrieved.questions.requests
    places = range(len(requests))
    generator = random.Random(sizes.seed)
    chosen = sorted(generator.sample(places, min(sizes.queries, len(places))))
    threshold = retrieved.dataset.min_relevance
    queries: list[ProbedQuery] = []
    for place in chosen:
        request = cut(requests[place], sizes.depth)
        fields = request.to_dict()
        grades = retrieved.dataset.qrels[request.query_id]
        relevant = frozenset(
            position
            for position, doc_id in enumerate(request.doc_ids)
            if grades.get(doc_id, 0) >= threshold
        )
        plain = type(request)(
            request.query_id,
            request.query,
            fields["doc_ids"],
            fields["docs"],
            fields["scores"],
        )
        queries.append(ProbedQuery(plain, relevant, sizes.seed + place))
    return queries


def probe_row(
    row: ProbeRow, sizes: Sizes, names: Sequence[str] = (), observer: Observer | None = None
) -> ProbeFile:
    """Probe one row. Raises BenchError where it cannot be loaded, or its first call fails."""
    trial = row.planned.trial
    probed = probe(
        row.planned.reranker,
        row.rebuilt,
        row.queries,
        row.retrieved.questions.qrels,
        names=names,
        seed=sizes.seed,
        observer=observer,
    )
    return ProbeFile(
        reranker=trial.reranker,
        device=trial.device,
        system=system_key(identity_of(probed.description)),
        dataset=trial.dataset,
        judged_by=judge_line(row.retrieved.dataset),
        first_stage=trial.first_stage,
        depth=min(sizes.depth, trial.depth),
        query_ids=[query.request.query_id for query in row.queries],
        seed=sizes.seed,
        measure=MEASURE,
        tolerance=probed.tolerance,
        repeats=probed.repeats,
        results=list(probed.results),
        measured_at=now(),
        software=version(),
    )


def probed_rows(
    suite: Suite,
    sizes: Sizes,
    names: Sequence[str] = (),
    *,
    only: str | None = None,
    device: str | None = None,
    observer: Observer | None = None,
) -> Iterator[ProbeFile | Skipped]:
    """Yield the probes of each reranker of a suite as soon as they are there, or why it has none.
    Raises BenchError where there is none of the name `only`.
    """
    for row in rows(suite, sizes, only=only, device=device, observer=observer):
        if isinstance(row, Skipped):
            yield row
            continue
        try:
            yield probe_row(row, sizes, names, observer)
        except BenchError as error:
            yield Failed(row.planned.trial.reranker, str(error))


def refuse_nothing(
    files: Sequence[ProbeFile], skipped: Sequence[Skipped], failed: Sequence[Failed]
) -> None:
    """Raise BenchError where no reranker was probed: nothing that could be read as stable."""
    if not files:
        reasons = [f"{row.reranker}: {row.reason}" for row in failed]
        reasons += [f"{row.reranker}: {row.reason}" for row in skipped]
        raise BenchError("; ".join(reasons) or "the suite has no reranker")


def cost(row: ProbeRow, sizes: Sizes, names: Sequence[str] = ()) -> Cost:
    """Return what the probes of a row would use, the first call and its repetition included;
    nothing is loaded or sent.
    """
    reranker = row.planned.reranker
    tokens = Tokens(row.retrieved.questions.requests, sizes.seed)
    base = [query.request for query in row.queries]
    lists = [*base, *base]
    count = 0
    for name in names or PROBES:
        one_probe = PROBES[name]
        if why_not(one_probe, reranker, row.queries):
            continue
        count += 1
        if name != SECOND_CALL:
            lists += all_lists(variants_of(one_probe, row.queries))
    usage = reranker.expected_usage(lists, tokens)
    price = reranker.price()
    usd = bill(reranker, usage)
    return Cost(row.planned.trial.reranker, count, usage, price, usd, row.absent)
