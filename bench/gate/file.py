"""What a gates file says: which questions are put to each reranker, and the worst answer that
passes.

quality: {nDCG@10: 0.01, RR@10: 0.02}   # the largest mean loss that is still acceptable
drift: {across: [versions]}             # the same scores, also after a library was upgraded
scale: {}                               # the same scale of scores, of whichever system
probes: [reversed, split]               # probes that hold (docs/probes.md), or all
speed: 1.10                             # the largest ratio to the baseline's time
failures: 0                             # the share of queries whose call may fail
memory: {max_gib: 8}
cost: {ratio: 1.05}
slices: {language: 0.05}                # the same, for each class of the queries
rerankers:
  cohere-rerank-v3.5: {quality: 0.03, drift: null}
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from bench.core.errors import BenchError, SuiteError, nearest
from bench.core.options import Options, as_mapping, written_number
from bench.core.yaml_source import Source, text_of
from bench.quality.score_measures import is_of_scores
from bench.records.probe_file import NAMES

MARGIN = 0.01
SLOWDOWN = 1.10
COUNTS = frozenset({"numq", "numret", "numrel", "numrelret"})
"""Measures that count documents; every other one lies between 0 and 1."""
ACROSS = "as `across: [FIELD]` in the gates file"
"""Where a check is told what may differ."""
EXAMPLES = {
    "drift": "drift: {across: [versions]}",
    "scale": "scale: {}",
    "speed": "speed: 1.10",
    "failures": "failures: 0",
    "memory": "memory: {max_gib: 8}",
    "cost": "cost: {ratio: 1.05}",
}
"""Values that are no mapping of measures, as they are written."""
ALL = "all"
"""Stands for every probe that was applied."""
HEADLINE = "headline"
"""Stands for the first measure of the baseline."""


def _one_or_many(value: Any) -> Any:
    if isinstance(value, str):
        return [value]
    return value


Across = Annotated[
    tuple[str, ...],
    BeforeValidator(_one_or_many, json_schema_input_type=str | tuple[str, ...]),
]


class DriftGate(Options):
    """The scores of one and the same system. Tolerances are those of its number format unless
    given.
    """

    across: Across = Field(
        (),
        description="fields of the system key that may differ; 'versions' is every library's "
        "version",
    )
    score: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="largest score difference, as a share of the baseline's range of scores",
    )
    tau: float | None = Field(None, gt=0, le=1, description="least mean Kendall tau")
    overlap: float | None = Field(None, gt=0, le=1, description="least mean overlap of the top 10")
    required: bool = Field(
        False,
        description="another system is incomparable (exit 3), and not merely shown as not checked",
    )


class ScaleGate(Options):
    """Where the scores of a row lie, whatever their order and whichever system gives them."""

    score: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="largest mean distance between the scores of a query's places, as a share of "
        "the baseline's range of scores; that of its number format unless given",
    )


class SpeedGate(Options):
    """The median of the paired ratios of times, query by query."""

    ratio: float = Field(
        gt=0,
        allow_inf_nan=False,
        description="the largest ratio to the baseline's time that passes",
    )
    across: Across = Field(
        (),
        description="fields of the speed key that may differ between stored timings, as in drift",
    )
    required: bool = Field(
        True,
        description="timings that are not comparable exit 3; false shows them and decides "
        "without them",
    )


class _Limit(Options):
    @model_validator(mode="after")
    def _some_limit(self) -> _Limit:
        if all(value is None for value in self.__dict__.values()):
            raise ValueError(f"give {' or '.join(type(self).model_fields)}")
        return self


class MemoryGate(_Limit):
    """Peak memory of the timed pass: the accelerator's where there is one, else the process's."""

    max_gib: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="the most GiB that pass"
    )
    ratio: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="the largest ratio to the baseline's peak that passes",
    )


class CostGate(_Limit):
    """US dollars per 1,000 queries."""

    max_usd: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="the highest cost that passes"
    )
    ratio: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="the largest ratio to the baseline's cost that passes",
    )


class RerankerGates(Options):
    """The questions put to a reranker. `null` leaves one out."""

    quality: dict[str, float] | None = Field(
        {HEADLINE: MARGIN}, description="measure -> largest acceptable mean loss, or just the loss"
    )
    drift: DriftGate | None = DriftGate()
    scale: ScaleGate | None = None
    probes: Across | None = Field(
        None, description="names of probes that must hold, or all; see `rerank-bench probe`"
    )
    speed: SpeedGate | None = None
    failures: float | None = Field(
        None, ge=0, lt=1, description="share of queries whose call may fail"
    )
    memory: MemoryGate | None = None
    cost: CostGate | None = None
    slices: dict[str, float] | None = Field(
        None,
        description="field of the queries, such as language, or length or difficulty -> largest "
        "acceptable mean loss of the first measure on each of its classes",
    )

    @field_validator(
        "quality", mode="before", json_schema_input_type=float | dict[str, float] | None
    )
    @classmethod
    def _headline(cls, value: Any) -> Any:
        if _is_number(value):
            return {HEADLINE: value}
        if isinstance(value, list):
            raise ValueError(
                f"{_shown(value)} is a list: write the margin alone, such as 0.01, or a measure "
                "and its margin, such as {nDCG@10: 0.01}"
            )
        return value

    @field_validator("speed", mode="before", json_schema_input_type=float | SpeedGate | None)
    @classmethod
    def _bare_ratio(cls, value: Any) -> Any:
        if _is_number(value):
            return as_mapping(SpeedGate, value)
        return value

    @field_validator(*EXAMPLES, mode="before")
    @classmethod
    def _no_list(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, list):
            example = EXAMPLES[str(info.field_name)]
            raise ValueError(f"{_shown(value)} is a list: write such as {example}")
        return value

    @field_validator("probes")
    @classmethod
    def _known_probes(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value == ():
            raise ValueError("no probe is named: write all, or null to leave probes out")
        for name in value or ():
            if name not in (ALL, *NAMES):
                raise ValueError(f"there is no probe '{name}': {nearest(name, (ALL, *NAMES))}")
        return value

    @field_validator("slices")
    @classmethod
    def _slice_margins(cls, value: dict[str, float] | None) -> dict[str, float] | None:
        for field, margin in (value or {}).items():
            if problem := _margin_problem(HEADLINE, margin):
                raise ValueError(f"{field}: {problem}")
        return value

    @field_validator("quality")
    @classmethod
    def _margins(cls, value: dict[str, float] | None) -> dict[str, float] | None:
        if value == {}:
            raise ValueError(
                "no measure is named: write such as {nDCG@10: 0.01}, or null to leave quality out"
            )
        for measure, margin in (value or {}).items():
            if problem := _margin_problem(measure, margin):
                raise ValueError(problem)
        return value


class Gates(RerankerGates):
    """The contents of a gates file; without one, its defaults."""

    across: Across = Field(
        (),
        description="fields of the quality key that may differ: what is under test, such as "
        "candidates",
    )
    missing: Literal["pass", "fail"] = Field(
        "fail", description="what a reranker of the baseline that the new run lacks counts as"
    )
    rerankers: dict[str, RerankerGates] = Field(
        default_factory=dict, description="reranker -> what holds for it in place of the above"
    )

    _source: Source | None = PrivateAttr(default=None)

    def of(self, reranker: str) -> RerankerGates:
        """What is asked of one reranker."""
        own = self.rerankers.get(reranker)
        if own is None:
            return self
        changes = {name: value for name, value in own if name in own.model_fields_set}
        return self.model_copy(update=changes)

    def with_speed(self) -> Gates:
        """The same, with the usual speed limit where the file gives none."""
        if self.speed:
            return self
        return self.model_copy(update={"speed": SpeedGate(ratio=SLOWDOWN)})

    def refuse_unknown(self, known: Iterable[str]) -> None:
        """Raises SuiteError for a reranker of the file that is in neither run: what was meant for
        it would hold for nobody.
        """
        names = set(known)
        for name in self.rerankers:
            if name not in names:
                raise self.problem(
                    ("rerankers", name), f"no reranker of the two runs: {nearest(name, names)}"
                )

    def problem(self, keys: tuple[str | int, ...], message: object) -> SuiteError:
        if self._source:
            return self._source.problem(keys, message)
        if not keys:
            return SuiteError(str(message))
        return SuiteError(f"{'.'.join(map(str, keys))}: {message}")


def _shown(values: Sequence[Any]) -> str:
    """Return a list as it may be written in YAML, cut."""
    text = ", ".join(map(str, values))
    if len(text) > 40:
        text = f"{text[:39]}…"
    return f"[{text}]"


def _is_number(value: Any) -> bool:
    """Whether a number is written. `yes` is none, though Python counts with it."""
    if isinstance(value, int | float):
        return not isinstance(value, bool)
    return written_number(value) is not None


def _margin_problem(measure: str, margin: float) -> str | None:
    """What is wrong with a margin, or None."""
    if not (math.isfinite(margin) and margin > 0):
        return f"{margin:g}: the loss that is still acceptable is a number above 0, such as 0.01"
    if margin >= 1 and re.split("[(@]", measure)[0].casefold() not in COUNTS:
        return (
            f"{margin:g}: a measure between 0 and 1 cannot lose so much, so that nothing "
            "could fail: give a margin such as 0.01"
        )
    return None


def quality_of(measure: str | None = None, margin: float | None = None) -> Gates:
    """The defaults, with another measure or margin. Raises BenchError for a margin that is none."""
    if margin is None:
        margin = MARGIN
    if problem := _margin_problem(measure or HEADLINE, margin):
        raise BenchError(f"--margin {problem}")
    return Gates(quality={measure or HEADLINE: margin})


def schema_text() -> str:
    """Return the JSON Schema of gates files as the file that is shipped next to the suites."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Gates.model_json_schema(),
        "title": "rerank-bench gates",
    }
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"


def load(path: Path | str) -> Gates:
    """A gates file. Raises SuiteError naming file, line, key and fix."""
    source = Source(text_of(path), str(path))
    data = source.data
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise source.problem((), "a gates file is a mapping such as 'quality: {nDCG@10: 0.01}'")
    try:
        gates = Gates.model_validate(data)
    except ValidationError as error:
        raise source.explain(error, Gates) from error
    gates._source = source
    _check_measures(gates)
    return gates


def _check_measures(gates: Gates) -> None:
    from bench.quality import measures as quality

    places: dict[tuple[str, ...], RerankerGates] = {("quality",): gates}
    for name, own in gates.rerankers.items():
        places["rerankers", name, "quality"] = own
    for keys, questions in places.items():
        for measure in questions.quality or {}:
            if measure == HEADLINE or is_of_scores(measure):
                continue
            try:
                quality.parse(measure)
            except SuiteError as error:
                raise gates.problem((*keys, measure), error) from error
