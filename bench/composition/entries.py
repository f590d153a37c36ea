"""Pipelines of a YAML file, in the grammar of suites, as chains over the rows of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from bench.composition.chain import Chain
from bench.composition.grammar import searched
from bench.composition.hybrids import Fusion
from bench.composition.rules import RULES, SkipRule
from bench.composition.stored import Stored
from bench.composition.works import BEFORE, Cut, Fuse, Rank, Skip, Step, Work
from bench.contract.part import Part
from bench.core.errors import BenchError, nearest
from bench.core.options import Options
from bench.core.yaml_source import Source, text_of
from bench.ranking.fusion import Norm
from bench.ranking.options import FusionNorm, FusionOptions
from bench.rerankers.composed.options import CutOptions, FuseOptions, SkipOptions
from bench.retrieval.options import HybridOptions
from bench.suite.named_options import first_stage_options, reranker_options
from bench.suite.naming import display_name
from bench.suite.pipeline_entry import KEEP, PipelineEntry, keep_of, without_keep


class PipelinesFile(Options):
    """A file that names pipelines: a suite's own `pipelines`, and nothing else."""

    pipelines: tuple[PipelineEntry, ...] = Field(min_length=1)


def entries(path: Path) -> tuple[PipelineEntry, ...]:
    """Return the pipelines of a YAML file: of its key `pipelines`, a whole suite's among them.
    Raises SuiteError naming file, line and key.
    """
    source = Source(text_of(path), str(path))
    if not isinstance(source.data, dict) or "pipelines" not in source.data:
        raise source.problem((), "a list under the key 'pipelines' is needed, as in a suite")
    try:
        file = PipelinesFile.model_validate({"pipelines": source.data["pipelines"]})
    except ValidationError as error:
        raise source.explain(error, PipelinesFile) from error
    return file.pipelines


def chain_of(entry: PipelineEntry, dataset: Stored) -> Chain:
    """Return a pipeline of a file as a chain. Raises BenchError for a stage that is no row of the
    run.
    """
    first, *later = entry.stages
    keep = keep_of(first)
    try:
        name = _first(without_keep(first), dataset, keep)
        chain = searched(name, keep, dataset)
    except (BenchError, ValueError) as error:
        raise BenchError(f"pipeline '{entry.name}', {first.name}: {error}") from error
    steps: list[Step] = []
    for stage in later:
        try:
            work = _work(without_keep(stage), dataset)
        except (BenchError, ValueError) as error:
            raise BenchError(f"pipeline '{entry.name}', {stage.name}: {error}") from error
        steps.append(Step(work, keep_of(stage)))
    return Chain(chain.first, chain.depth, tuple(steps))


def _first(stage: Part, dataset: Stored, depth: int | None) -> str:
    """Return the name of a first stage of the run, or of a hybrid of some of them, as it is at a
    depth.
    """
    name = display_name(stage)
    if stage.name != "hybrid" or first_stage_options(stage).get("name") in dataset.first_stages:
        return name
    options = HybridOptions.model_validate(first_stage_options(stage))
    if options.is_tuned and name in dataset.first_stages:
        return name
    _refuse_tuned(options)
    parts = [display_name(part) for part in options.of]
    widths = [width for width in (depth, options.depth, options.retrieve) if width is not None]
    return dataset.add_hybrid(parts, _fusion(options), max(widths, default=None))


def _fusion(options: FusionOptions) -> Fusion:
    weights = options.weights if isinstance(options.weights, tuple) else None
    if weights is not None and set(weights) == {1.0}:
        # a line says nothing of equal ones
        weights = None
    return Fusion(options.by, weights, _norm(options.norm), options.k)


def _norm(norm: FusionNorm) -> Norm:
    """Return how scores are normalised. Raises BenchError for maps, which a composition has not."""
    if norm == "calibrated":
        raise BenchError(
            "norm: calibrated reads calibration files, and is composed as a row of the run alone: "
            "run it in the suite, and name its row here"
        )
    return norm


def _refuse_tuned(options: FusionOptions) -> None:
    if options.is_tuned:
        raise BenchError("weights are numbers here, not 'tuned': a run tunes those of its rows")


def _work(stage: Part, dataset: Stored) -> Work:
    """Return what a stage does: a row of that name does what it did in the run, and parts of a
    fusion are rows.
    """
    name = display_name(stage)
    if name in dataset.rows:
        return Rank(name)
    options = reranker_options(stage)
    if stage.name == "cut":
        cut = CutOptions.model_validate(options)
        return Cut(cut.min_score, cut.within)
    if stage.name == "blend":
        share = _number(options.get("weight", 0.5))
        parts = (_row(options.get("of"), dataset), BEFORE)
        return Fuse(parts, "weighted", (share, 1 - share), _norm(options.get("norm", "z-score")))
    if stage.name == "skip":
        skip = SkipOptions.model_validate(options)
        rules = skip.when.model_dump(exclude_none=True)
        (by,) = [rule for rule in RULES if rule in rules]
        row = _row(skip.of.to_entry(), dataset)
        return Skip(row, SkipRule(by, rules[by], skip.folds, skip.seed))
    if stage.name == "fuse":
        fuse = FuseOptions.model_validate(options)
        _refuse_tuned(fuse)
        rows = tuple(_row(part.to_entry(), dataset) for part in fuse.of)
        fusion = _fusion(fuse)
        return Fuse(rows, fusion.by, fusion.weights, fusion.norm, fusion.k)
    raise BenchError(f"the run has no row of that name: {nearest(name, dataset.rows)}")


def _row(entry: Any, dataset: Stored) -> str:
    name = display_name(Part.model_validate(entry))
    if name not in dataset.rows:
        raise BenchError(f"the run has no row '{name}': {nearest(name, dataset.rows)}")
    return name


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BenchError(
            f"a weight is a number here, not {value!r}: compose tunes blends by itself"
        )
    return float(value)


def entry_of(chain: Chain, name: str, parts: Mapping[str, Part]) -> PipelineEntry:
    """Return a chain as a suite names it. `parts` are the entries of first stages, hybrids among
    them, and rows.
    """
    first = parts[chain.first]
    options = first_stage_options(first)
    options.pop("depth", None)
    stages = [Part(name=first.name, options={**options, KEEP: chain.depth})]
    for step in chain.steps:
        stages.append(_with_keep(step.work.part(parts), step.keep))
    entries = [stage.to_entry() for stage in stages]
    return PipelineEntry.model_validate({"name": name, "stages": entries})


def _with_keep(part: Part, keep: int | None) -> Part:
    """Return an entry that hands on this many. A bare value gets the name of its option by that."""
    if keep is None:
        return part
    return Part(name=part.name, options={**reranker_options(part), KEEP: keep})
