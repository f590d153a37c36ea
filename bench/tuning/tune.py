"""From a suite and a budget to the best pipeline: scores, compositions, forecasts, timed rounds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.composition.compose import Composing
from bench.composition.composed import Limits
from bench.composition.stored import Stored, stored
from bench.composition.times import Forecasts, StageTimes, together
from bench.core.digest import digest_of
from bench.core.errors import BenchError, SuiteError, nearest
from bench.core.filenames import clash
from bench.core.progress import Observer
from bench.core.version import version
from bench.machine import fingerprint
from bench.machine.clock import REAL_CLOCK, Clock
from bench.quality import statistics
from bench.records.measure import require_measured
from bench.records.run import Run
from bench.runner import loop
from bench.suite.naming import display_name
from bench.suite.planning import one_name
from bench.suite.suite import Suite
from bench.tuning.candidates import Choice
from bench.tuning.journal import Journal
from bench.tuning.outcome import Candidate, Outcome, TimedPipeline
from bench.tuning.search import Probe, Queries, Search, parted, probed
from bench.tuning.stage_bench import StageBench
from bench.tuning.suite_parts import SuiteParts, suite_parts
from bench.tuning.winner import write

JOURNAL = "timed.json"


@dataclass(frozen=True)
class Settings:
    """How a suite is searched. `out` is the folder for the winner and for what was timed, so that
    an interrupted search goes on; scores are those of a run under `results`, cached. `dataset` is
    the one to tune on, where the suite has several.
    """

    out: Path
    results: Path = Path("results")
    measure: str | None = None
    device: str | None = None
    dataset: str | None = None
    observer: Observer = field(default_factory=Observer)
    clock: Clock = REAL_CLOCK


def tune(suite: Suite, limits: Limits, settings: Settings) -> Outcome:
    """Return the best pipeline of a suite's first stages and rerankers inside the limits, and write
    it to the folder of the settings, as a suite and as JSON. Raises BenchError where nothing can be
    composed.
    """
    with prepared(suite, limits, settings) as prospects:
        search = Search(prospects.stages, limits, prospects.queries)
        winner = search.run(prospects.candidates)
        outcome = _outcome(prospects, search, winner)
    stages = prospects.stages
    write(outcome, stages.suite, prospects.parts, prospects.run, settings.out)
    return outcome


@dataclass(frozen=True)
class Prospects:
    """What a search begins with: the candidates of a suite that a run has scored, best first, with
    forecasts of their time, the stages that time them, and the queries that they are timed on.
    """

    composing: Composing
    parts: SuiteParts
    stages: StageBench
    queries: Queries
    candidates: Sequence[Candidate]
    left_out: Sequence[tuple[str, str]]

    @property
    def run(self) -> Run:
        """The run that scored the suite's rows."""
        return self.composing.dataset.run


@contextmanager
def prepared(suite: Suite, limits: Limits, settings: Settings) -> Iterator[Prospects]:
    """Score a suite, compose, forecast, and close its stages at the end."""
    suite = _of_one_dataset(suite, settings.dataset)
    _refuse(suite, limits)
    require_measured(suite.rank_measures, settings.measure)
    device, watch = settings.device, settings.observer
    untimed = suite.model_copy(update={"latency": None})
    run = loop.run(untimed, out=settings.results, device=device, time_it=False, observer=watch)
    (scores,) = stored(run)
    composing = Composing(scores, Limits(), settings.measure)
    scores.verify()
    place = _devices(suite)[0] if device is None else fingerprint.resolve_device(device)
    parts = suite_parts(suite, device, watch, scores)
    journal = Journal(settings.out / JOURNAL, _key(suite, limits, run, place))
    stages = StageBench(
        suite, place, parts.retrieved, parts.entries, journal, parts.settled, settings.clock
    )
    with stages.open():
        yield _prospects(stages, composing, parts)


def _devices(suite: Suite) -> list[str]:
    return list(dict.fromkeys(fingerprint.resolve_device(name) for name in suite.devices))


def _prospects(stages: StageBench, composing: Composing, parts: SuiteParts) -> Prospects:
    dataset = composing.dataset
    searches = {group.first: group.depth for group in dataset.groups}
    common = set(dataset.query_ids)
    for retrieved in stages.retrieved.values():
        common &= {request.query_id for request in retrieved.questions.requests}
    queries = parted(sorted(common), stages.suite.seed)
    forecasts = probed(stages, list(_probes(dataset, parts)), searches, queries)
    choice = Choice(composing, _with_hybrids(forecasts, dataset))
    if not choice.candidates:
        raise BenchError("the suite has no row whose scores can be composed: name rerankers")
    left_out = [*choice.left_out, *parts.left_out]
    return Prospects(composing, parts, stages, queries, choice.candidates, left_out)


def _probes(dataset: Stored, parts: SuiteParts) -> list[Probe]:
    """Return what each row is timed on: two depths of the deepest first stage, or the lists that a
    row ran over which depends on its list.
    """
    deepest = max(dataset.groups, key=lambda group: group.depth)
    probes: list[Probe] = []
    for row, lists in dataset.rows.items():
        if row not in parts.entries or not lists:
            continue
        over = lists[0].over
        if over is None:
            depths = sorted({max(1, deepest.depth // 4), deepest.depth})
            probes.append(Probe(row, deepest.first, depths))
        else:
            probes.append(Probe(row, over[0], (over[1],)))
    return probes


def _with_hybrids(forecasts: Forecasts, dataset: Stored) -> Forecasts:
    """Return the forecasts with the hybrids that the suite does not name: their searches one after
    the other.
    """
    hybrids: dict[str, StageTimes] = {}
    for name, hybrid in dataset.hybrids.items():
        parts = [forecasts.searches.get(group.first) for group in hybrid.members]
        known = [part for part in parts if part is not None]
        if len(known) == len(parts):
            hybrids[name] = together(name, known)
    return Forecasts(forecasts.stages, {**forecasts.searches, **hybrids}, forecasts.seed)


def _outcome(prospects: Prospects, search: Search, winner: TimedPipeline | None) -> Outcome:
    """Return what a search comes to, with all that was not timed counted by reason."""
    stages, composing = prospects.stages, prospects.composing
    seed = stages.suite.seed
    runner_up = _runner_up(search, winner)
    difference = None
    estimate = None
    if winner is not None:
        estimate = statistics.estimate(winner.candidate.values, seed)
    if winner is not None and runner_up is not None:
        ours, theirs = winner.candidate.values, runner_up.candidate.values
        difference = statistics.difference(ours, theirs, seed)
    timed = sorted(search.timed.values(), key=lambda pipeline: -pipeline.candidate.quality)
    nearest_one = min(timed, key=lambda pipeline: pipeline.p95_ms, default=None)
    untimed = [each for each in prospects.candidates if each.chain not in search.timed]
    too_dear = [each for each in untimed if not search.is_affordable(each)]
    beyond = [each for each in untimed if not search.is_promising(each)]
    return Outcome(
        composing.dataset.dataset,
        composing.headline,
        search.limits,
        winner,
        runner_up,
        nearest_one,
        difference,
        estimate,
        timed,
        len(beyond) - len(too_dear),
        len(too_dear),
        prospects.left_out,
        stages.calls,
        stages.device,
        [name for name in _devices(stages.suite) if name != stages.device],
        prospects.run,
        prospects.candidates,
        stages.journal.reused,
        stages.journal.disturbances,
    )


def _runner_up(search: Search, winner: TimedPipeline | None) -> TimedPipeline | None:
    """Return the next best of what was confirmed and fits."""
    if winner is None:
        return None
    others = [each for each in search.finalists if each.chain != winner.chain]
    fitting = [each for each in others if search.fits(each)]
    return next(iter(fitting), None)


def dataset_names(suite: Suite) -> list[str]:
    """Return the names of a suite's datasets, each of which is tuned on by itself.

    Raises SuiteError for two that would share a folder.
    """
    names = [display_name(part) for part in suite.datasets]
    places = clash(names)
    if places is not None:
        raise one_name(suite, "datasets", suite.datasets, places)
    return names


def _of_one_dataset(suite: Suite, name: str | None) -> Suite:
    """Return a suite with one dataset of its own. Raises SuiteError where it has no such dataset,
    or several and none is named.
    """
    by_name = dict(zip(dataset_names(suite), suite.datasets, strict=True))
    if name is None:
        if len(by_name) > 1:
            known = ", ".join(by_name)
            raise SuiteError(
                f"a pipeline is tuned on one dataset, and the suite has {known}: choose one with "
                "--dataset"
            )
        return suite
    if name not in by_name:
        raise SuiteError(f"the suite has no dataset '{name}': {nearest(name, by_name)}")
    return suite.model_copy(update={"datasets": (by_name[name],)})


def _refuse(suite: Suite, limits: Limits) -> None:
    if limits.p95_ms is None and limits.p50_ms is None:
        raise BenchError("a search needs a limit: --p95-ms 100, or --p50-ms 100 for the median")
    if not suite.rerankers:
        raise SuiteError("there is nothing to compose: the suite has no rerankers")


def _key(suite: Suite, limits: Limits, run: Run, device: str) -> str:
    """Return what an earlier search has to agree in before its timings are used."""
    environment = fingerprint.fingerprint(device)
    return digest_of(
        {
            "suite": suite.resolved(),
            "inputs": run.info.inputs,
            "limits": str(limits),
            "version": version(),
            "machine": fingerprint.speed_fields(environment),
        }
    )
