"""From a suite and a budget to the best pipeline: scores, compositions, forecasts, timed rounds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.composition.chain import Chain
from bench.composition.compose import Composing
from bench.composition.composed import Limits
from bench.composition.grid import grid
from bench.composition.prices import price_of
from bench.composition.steps import NotStored
from bench.composition.stored import Stored, stored
from bench.composition.times import Forecasts
from bench.contract.part import Part
from bench.core.digest import digest_of
from bench.core.errors import BenchError, SuiteError
from bench.core.progress import Observer
from bench.core.version import version
from bench.machine import fingerprint
from bench.machine.clock import REAL_CLOCK, Clock
from bench.quality import statistics
from bench.records.run import Run
from bench.runner import loop
from bench.runner.retrieve import Retrieved, retrieve
from bench.suite.naming import display_name
from bench.suite.planning import plan
from bench.suite.suite import Suite
from bench.tuning.journal import Journal
from bench.tuning.outcome import Candidate, Outcome, TimedPipeline
from bench.tuning.search import Search, parted, probed
from bench.tuning.stage_bench import StageBench
from bench.tuning.winner import write

JOURNAL = "timed.json"


def tune(
    suite: Suite,
    limits: Limits,
    *,
    out: Path,
    results: Path = Path("results"),
    measure: str | None = None,
    device: str | None = None,
    observer: Observer | None = None,
    clock: Clock = REAL_CLOCK,
) -> Outcome:
    """Return the best pipeline of a suite's first stages and rerankers inside the limits, and write
    it to `out`, as a suite and as JSON. Scores are those of a run under `results`, cached; what was
    timed is in `out`, so that an interrupted search goes on.

    Raises BenchError where nothing can be composed.
    """
    _refuse(suite, limits)
    watch = observer or Observer()
    untimed = suite.model_copy(update={"latency": None})
    run = loop.run(untimed, out=results, device=device, time_it=False, observer=watch)
    (dataset,) = stored(run)
    composing = Composing(dataset, Limits(), measure)
    dataset.verify()
    place = fingerprint.resolve_device(suite.devices[0] if device is None else device)
    journal = Journal(out / JOURNAL, _key(suite, limits, run, place))
    stages = StageBench(
        suite, place, _retrieved(suite, device, watch, dataset), _parts(suite), journal, clock
    )
    with stages.open():
        outcome = _searched(stages, composing, limits)
    write(outcome, suite, stages.parts, run, out)
    return outcome


def _searched(stages: StageBench, composing: Composing, limits: Limits) -> Outcome:
    dataset, seed = composing.dataset, stages.suite.seed
    depths = {group.first: group.depth for group in dataset.groups}
    common = set(dataset.query_ids)
    for retrieved in stages.retrieved.values():
        common &= {request.query_id for request in retrieved.questions.requests}
    queries = parted(sorted(common), seed)
    rows = [name for name in dataset.rows if name in stages.parts]
    forecasts = probed(stages, rows, depths, queries)
    candidates, left_out = _candidates(composing, forecasts)
    if not candidates:
        raise BenchError("the suite has no row whose scores can be composed: name rerankers")
    search = Search(stages, limits, queries)
    winner = search.run(candidates)
    return _outcome(composing, search, winner, candidates, left_out)


def _outcome(
    composing: Composing,
    search: Search,
    winner: TimedPipeline | None,
    candidates: Sequence[Candidate],
    left_out: Sequence[tuple[str, str]],
) -> Outcome:
    """Return what a search comes to, with all that was not timed counted by reason."""
    seed = search.stages.suite.seed
    runner_up = _runner_up(search, winner)
    difference = None
    estimate = None
    if winner is not None:
        estimate = statistics.estimate(winner.candidate.values, seed)
    if winner is not None and runner_up is not None:
        ours, theirs = winner.candidate.values, runner_up.candidate.values
        difference = statistics.difference(ours, theirs, seed)
    timed = sorted(search.timed.values(), key=lambda pipeline: -pipeline.candidate.quality)
    nearest = min(timed, key=lambda pipeline: pipeline.p95_ms, default=None)
    untimed = [each for each in candidates if each.chain not in search.timed]
    too_dear = [each for each in untimed if not search.is_affordable(each)]
    beyond = [each for each in untimed if not search.is_promising(each)]
    return Outcome(
        composing.dataset.dataset,
        composing.headline,
        search.limits,
        winner,
        runner_up,
        nearest,
        difference,
        estimate,
        timed,
        len(candidates),
        len(beyond) - len(too_dear),
        len(too_dear),
        left_out,
        search.stages.calls,
    )


def _candidates(
    composing: Composing, forecasts: Forecasts
) -> tuple[list[Candidate], list[tuple[str, str]]]:
    """Return what the stored scores allow, best first, with the slowest of a few calls as the
    forecast; and what is left out, with the reason.
    """
    candidates: list[Candidate] = []
    left_out = list(composing.dataset.left_out.items())
    for chain in grid(composing.dataset):
        reason = _untimed(chain, forecasts)
        if reason:
            left_out.append((str(chain), reason))
            continue
        try:
            values = composing.dataset.measuring.values(chain)[composing.headline]
        except NotStored as error:
            left_out.append((str(chain), str(error)))
            continue
        candidates.append(
            Candidate(
                chain,
                float(values.mean()),
                values.tolist(),
                price_of(chain, composing.prices),
                float(forecasts.samples(chain).max()),
            )
        )
    return sorted(candidates, key=lambda each: (-each.quality, each.forecast_ms)), left_out


def _untimed(chain: Chain, forecasts: Forecasts) -> str:
    """Return why a chain has no forecast; nothing where it has."""
    if chain.first not in forecasts.searches:
        return "a hybrid that the suite does not name as a first stage"
    rows = [row for row in chain.rows if row not in forecasts.stages]
    if rows:
        return f"no timed call of {rows[0]} succeeded (a stage that a run trains needs the run)"
    return ""


def _runner_up(search: Search, winner: TimedPipeline | None) -> TimedPipeline | None:
    """Return the next best of what was confirmed and fits."""
    if winner is None:
        return None
    others = [each for each in search.finalists if each.chain != winner.chain]
    fitting = [each for each in others if search.fits(each)]
    return next(iter(fitting), None)


def _refuse(suite: Suite, limits: Limits) -> None:
    if limits.p95_ms is None and limits.p50_ms is None:
        raise BenchError("a search needs a limit: --p95-ms 100, or --p50-ms 100 for the median")
    if len(suite.datasets) > 1:
        names = ", ".join(display_name(part) for part in suite.datasets)
        raise SuiteError(f"a pipeline is tuned on one dataset, and the suite has {names}")
    if not suite.rerankers:
        raise SuiteError("there is nothing to compose: the suite has no rerankers")


def _retrieved(
    suite: Suite, device: str | None, observer: Observer, dataset: Stored
) -> dict[str, Retrieved]:
    """Return the candidates of each first stage that was stored, with texts."""
    retrieved: dict[str, Retrieved] = {}
    names = {group.first for group in dataset.groups}
    for group in plan(suite, device):
        name = display_name(group.first_stage)
        if name in names:
            retrieved[name] = retrieve(suite, group, observer)
    return retrieved


def _parts(suite: Suite) -> dict[str, Part]:
    """Return the entries of first stages and rerankers by their names in tables."""
    parts = [*suite.first_stages, *suite.rerankers]
    return {display_name(part): part for part in parts}


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
