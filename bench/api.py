"""What a notebook calls: the command's verbs as functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import BenchError, RecordError, RerankerError
from bench.core.progress import Observer
from bench.records.run import Run

if TYPE_CHECKING:
    import pandas as pd

    from bench.contract.request import Scores
    from bench.gate import Verdict
    from bench.reports.answerability import Answerabilities
    from bench.reports.budget import Choices
    from bench.reports.calibrated import Calibrations
    from bench.reports.composed import Compositions
    from bench.reports.cut import Cuts
    from bench.reports.probed import Probes
    from bench.rerankers.outside.function import Outside
    from bench.runner.forecast import Forecast
    from bench.verification.verify import Verification


def run(
    suite: str | Path | Mapping[str, Any],
    *,
    out: str | Path = "results",
    device: str | None = None,
    latency: bool = True,
    fresh: bool = False,
    progress: Observer | None = None,
) -> Run:
    """Run a suite (a shipped name, a YAML file or a mapping) and write its reports. The same as
    `rerank-bench run`. A mapping may have objects among its rerankers: a class or an object with
    `score(pairs)` or `predict(pairs)`, a function, a PyTerrier transformer.

    What failed is in `run.failures()`. Raises bench.core.errors.BenchError with one
    clear message for anything the caller can mend, and when no trial finished.
    """
    from bench import reports
    from bench.core.redaction import argument, redacted
    from bench.runner import loop
    from bench.suite.suite import load as load_suite

    loaded = load_suite(suite)
    # The command is kept in the run's records, so that no secret may be in it.
    if isinstance(suite, Mapping):
        words = repr(redacted(loaded.written))
    else:
        words = repr(argument(str(suite)))
    done = loop.run(
        loaded,
        out=Path(out),
        device=device,
        time_it=latency,
        fresh=fresh,
        observer=progress,
        command=f"bench.run({words})",
    )
    reports.write(done, (progress or Observer()).note)
    failures = done.failures()
    if failures and not (done.records or done.architectures):
        raise BenchError("\n".join(failures))
    return done


def estimate(
    suite: str | Path | Mapping[str, Any],
    *,
    out: str | Path = "results",
    device: str | None = None,
    latency: bool = True,
    fresh: bool = False,
) -> Forecast:
    """Return what `run` with the same arguments would take: pairs, calls, tokens, dollars, time.
    Nothing is scored and nothing is sent.

    The rows are in `.rows`, as a table in `.to_frame()`; `.usd` is their sum. Raises BenchError as
    `run` does.
    """
    from bench.runner.forecast import forecast
    from bench.suite.suite import load as load_suite

    return forecast(load_suite(suite), out=Path(out), device=device, time_it=latency, fresh=fresh)


def compare(
    runs: Run | str | Path | Sequence[Run | str | Path],
    *,
    baseline: str | None = None,
    measure: str | None = None,
    across: Sequence[str] = (),
) -> pd.DataFrame:
    """Return paired differences, a row per comparison: rerankers against a baseline, or with
    several runs each against itself in the first.

    Columns as in `rerank-bench compare --format csv`; the first ones name the trials, then
    difference, low, high, p, p_holm, t_p, effect_size, wins, ties, losses, minimum_detectable.
    Raises IncomparableError naming the fields where runs measured different things.
    """
    from bench.comparison.pairs import compare as paired
    from bench.reports.comparison import flat
    from bench.reports.judges import frame

    several = [runs] if isinstance(runs, Run | str | Path) else runs
    opened = [_opened(run) for run in several]
    comparisons = paired(opened, baseline, measure, across)
    return frame([flat(comparison) for comparison in comparisons], *opened)


def slices(
    run: Run | str | Path,
    by: str | Sequence[str] = (),
    *,
    baseline: str | None = None,
    measure: str | None = None,
) -> pd.DataFrame:
    """Return the rerankers of a run by classes of queries: by fields of theirs, `length`,
    `difficulty`; all of them without `by`.

    A row per field, class and reranker, as in `rerank-bench slices --format csv`; classes of fewer
    than ten queries are there with `judged` false. Raises BenchError as the command does.
    """
    from bench.comparison.slices import slicings
    from bench.reports.judges import frame
    from bench.reports.sliced import records

    opened = _opened(run)
    fields = [by] if isinstance(by, str) else by
    return frame(records(slicings(opened, fields, baseline, measure)), opened)


def budget(
    run: Run | Path | str,
    *,
    p95_ms: float | None = None,
    p50_ms: float | None = None,
    device: str | None = None,
    measure: str | None = None,
    dataset: str | None = None,
    first_stage: str | None = None,
) -> Choices:
    """Return the best quality inside a latency budget, for each dataset and first stage of a run: a
    list that a notebook shows as tables; `.to_frame()` has a row per timed point and its verdict.

    The same as `rerank-bench budget`; arguments and errors are those of
    `bench.comparison.budgets.budget`.
    """
    from bench.comparison import budgets
    from bench.reports.budget import Choices

    choices = budgets.budget(
        run,
        p95_ms=p95_ms,
        p50_ms=p50_ms,
        device=device,
        measure=measure,
        dataset=dataset,
        first_stage=first_stage,
    )
    return Choices(choices).about(_opened(run))


def compose(
    run: Run | Path | str,
    pipelines: Sequence[str] = (),
    *,
    file: str | Path | None = None,
    dataset: str | None = None,
    measure: str | None = None,
    p95_ms: float | None = None,
    p50_ms: float | None = None,
    usd_per_1k: float | None = None,
    tuned: bool = True,
) -> Compositions:
    """Return what the stored scores of a run allow: cascades, fusions and blends with their quality
    and a forecast of their latency, a list that a notebook shows as tables; `.to_frame()` has a row
    per pipeline.

    The same as `rerank-bench compose`: the pipelines named, such as "bm25:100 > minilm-l6:30 >
    bge", or those of a file, else a grid. Raises BenchError as the command does.
    """
    from bench.composition.compose import compose as composed
    from bench.composition.composed import Limits
    from bench.reports.composed import Compositions

    limits = Limits(p95_ms, p50_ms, usd_per_1k)
    opened = _opened(run)
    compositions = composed(
        opened,
        pipelines,
        file=None if file is None else Path(file),
        dataset=dataset,
        measure=measure,
        limits=limits,
        tuned=tuned,
    )
    return Compositions(compositions).about(opened)


def calibrate(
    run: Run | Path | str,
    reranker: str | None = None,
    *,
    dataset: str | None = None,
    first_stage: str | None = None,
    folds: int = 5,
    seed: int | None = None,
) -> Calibrations:
    """Return what the scores of each row of a run mean, or those of one reranker: errors of the
    scores as they are and of maps to probabilities, cross-fitted by query; a list that a notebook
    shows as tables, `.to_frame()` has a row per map.

    The same as `rerank-bench calibrate`. Raises BenchError as the command does.
    """
    from bench.meaning.calibrate import Settings, calibrated, tables_of
    from bench.reports.calibrated import Calibrations

    opened = _opened(run)
    tables = tables_of(opened, reranker, dataset=dataset, first_stage=first_stage)
    settings = Settings(folds, opened.seed if seed is None else seed)
    rows = calibrated(opened, tables, settings, is_named=reranker is not None)
    return Calibrations(rows).about(opened)


def cut(
    run: Run | Path | str,
    reranker: str,
    *,
    keep_recall: float | None = None,
    keep_precision: float | None = None,
    on: Run | Path | str | None = None,
    dataset: str | None = None,
    first_stage: str | None = None,
    folds: int = 5,
    seed: int | None = None,
) -> Cuts:
    """Return a threshold of a reranker's scores that keeps a share of the relevant documents, or of
    which this share is relevant, in expectation over queries: a list that a notebook shows,
    `.to_frame()` has a row per set of queries. `on` is another dataset of the run, or another run,
    that it is tried on.

    The same as `rerank-bench calibrate RUN RERANKER --keep-recall`. Raises BenchError as the
    command does.
    """
    from bench.meaning.calibrate import tables_of
    from bench.meaning.cut import cuts, others_on, promise
    from bench.reports.cut import Cuts

    goal, opened = promise(keep_recall, keep_precision), _opened(run)
    tables = tables_of(opened, reranker, dataset=dataset, first_stage=first_stage)
    others = others_on(opened, tables, on, _opened)
    return Cuts(cuts(opened, tables, goal, others, folds, seed)).about(opened)


def probe(
    target: str | Path | Mapping[str, Any] | Outside,
    *,
    reranker: str | None = None,
    probes: Sequence[str] = (),
    queries: int = 20,
    depth: int = 20,
    seed: int = 0,
    device: str | None = None,
    out: str | Path | None = None,
    progress: Observer | None = None,
    **options: Any,
) -> Probes:
    """Return whether the order of a suite's rerankers is stable (a shipped name, a YAML file or a
    mapping), or that of one reranker over the embedded collection (a name with its options, or an
    object as `bench.reranker` takes): a list that a notebook shows, with an entry per reranker;
    `.to_frame()` has a row per probe, `.skipped` and `.failed` say who is not there.

    The same as `rerank-bench probe`, with its errors; `out` is a folder for the files.
    """
    from bench.probes.suite import Sizes, suite_named
    from bench.reports.probed import probed

    suite = suite_named(target, options)
    return probed(suite, Sizes(queries, depth, seed), probes, reranker, device, out, progress)


def check(
    new: Run | str | Path,
    baseline: Run | str | Path,
    *,
    gates: str | Path | None = None,
    measure: str | None = None,
    margin: float | None = None,
    accept_underpowered: bool = False,
    sequential: bool = False,
) -> Verdict:
    """Return whether `new` is no worse than `baseline` (a run, its folder, or a saved baseline's
    name): `.outcome`, `.gates`, `.exit_code`.

    Asks what the file `gates` asks, or the quality of one measure with its margin. Stored timings
    only: `rerank-bench check --live` takes them anew. `accept_underpowered` has no effect any more:
    a margin below what the queries support is inconclusive by itself. `sequential` says after how
    many queries the quality gates were certain; `rerank-bench check SUITE --sequential` runs no
    more of them. Raises BenchError as the command does.
    """
    from bench import gate

    if gates and (measure is not None or margin is not None):
        raise BenchError("the gates file says measures and margins; leave measure and margin out")
    questions = gate.load(gates) if gates else gate.quality_of(measure, margin)
    # A verdict on an older run than the newest would be of something else.
    ours, theirs = _opened(new, _refuse), _opened(baseline, _refuse)
    gate.refuse_itself(ours, theirs)
    return gate.check(ours, theirs, questions, sequential=sequential)


def verify(run: Run | str | Path, *, rescore: int = 20) -> Verification:
    """Return what recomputing a run from its folder gives: `.findings` that differ, `.gaps` that
    could not be checked, `.exit_code`. `rescore` pairs of each row are scored again where its model
    is at hand. The same as `rerank-bench verify`. Raises RecordError for what is no run.
    """
    from bench.reports.verification import verified

    return verified(_opened(run), rescore)


def answerability(
    run: Run | str | Path,
    reranker: str | None = None,
    *,
    dataset: str | None = None,
    first_stage: str | None = None,
    ask: bool = False,
) -> Answerabilities:
    """Return whether the scores of each row of a run tell that nothing relevant is among the
    candidates; `.to_frame()` has a row per signal. `ask`: rerankers whose scores depend on the list
    once more. The same as `rerank-bench answerability`, with its errors.
    """
    from bench.meaning.answerability import answerability as answerable
    from bench.probes.shorter_lists import ShorterLists
    from bench.reports.answerability import Answerabilities

    opened = _opened(run)
    rows = answerable(opened, reranker, dataset=dataset, first_stage=first_stage)
    return Answerabilities(ShorterLists(opened).asked(rows) if ask else rows).about(opened)


def _refuse(text: str) -> None:
    raise RecordError(text)


def load(folder: str | Path) -> Run:
    """Return a run: from its folder, the newest of a folder of runs, `latest`, or a saved baseline.
    Raises RecordError when there is none.
    """
    return _opened(folder)


def _opened(run: Run | str | Path, on_unfinished: Callable[[str], None] | None = None) -> Run:
    from bench.records import baselines

    return run if isinstance(run, Run) else baselines.find(run, on_unfinished=on_unfinished)


class Loaded:
    """A reranker on its own: `bench.reranker("minilm-l6").rerank(query, docs)`."""

    def __init__(
        self,
        name: str | Outside,
        options: Mapping[str, Any],
        device: str,
        calibration: str | Path | None = None,
    ) -> None:
        from bench import rerankers
        from bench.machine.fingerprint import resolve_device
        from bench.rerankers.composed.calibrated import calibrated

        place = resolve_device(device)
        self._reranker = rerankers.build(name, dict(options), place, Path.cwd())
        if calibration is not None:
            label = name if isinstance(name, str) else self._reranker.label
            self._reranker = calibrated(self._reranker, label, calibration, place)
        self._reranker.check()
        self._reranker.load()

    def score(self, query: str, docs: Sequence[str]) -> Scores:
        """Return a raw score per document, in the order given, shape (len(docs),), or a probability
        where it was loaded with a calibration. Higher is better.
        """
        from bench.contract.meter import Meter
        from bench.contract.request import CandidateList, Failure
        from bench.scoring.job import checked

        if not docs:
            raise RerankerError("there are no documents to rerank")
        candidates = CandidateList("query", query, [str(i) for i in range(len(docs))], list(docs))
        [outcome] = checked(self._reranker, [candidates], Meter())
        if isinstance(outcome, Failure):
            raise RerankerError(outcome.reason)
        return outcome

    def rerank(self, query: str, docs: Sequence[str]) -> list[tuple[int, float]]:
        """Return (index in `docs`, score), best first; equal scores keep the order given."""
        pairs = [(i, float(score)) for i, score in enumerate(self.score(query, docs))]
        return sorted(pairs, key=lambda pair: -pair[1])

    def describe(self) -> dict[str, Any]:
        """Return what loaded."""
        from bench.rerankers.description import described

        return dict(described(self._reranker))


def reranker(
    name: str | Outside,
    device: str = "auto",
    *,
    calibration: str | Path | None = None,
    **options: Any,
) -> Loaded:
    """Return a reranker that is loaded and ready: one of the catalogue, a backend with options, an
    outsider's "package.module:Name", a function `(query, docs) -> scores`, an object with
    `score(pairs)` or `predict(pairs)`, or a PyTerrier transformer.

    With the path of a calibration file its scores are probabilities of relevance, in the same
    order. Raises CalibrationError for a file of another reranker's scores.
    """
    return Loaded(name, options, device, calibration)
