"""Per-query quality from ranks: the common measures vectorised, every other one by ir_measures.

Queries without judgments are left out; queries without candidates score 0 (trec_eval -c). Binary
measures take the dataset's relevance threshold unless the measure names its own, and the threshold
then shows in the measure's name: RR(rel=2)@10.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.core.errors import SuiteError, first_line, nearest
from bench.core.printable import LONGEST_QUOTE, quoted, shortened
from bench.datasets.base import Qrels
from bench.quality import names as names_elsewhere
from bench.quality import parameters, vectorised
from bench.quality.expression import Repetition, measure_of
from bench.quality.score_measures import SCORE_MEASURES
from bench.ranking.order import strict_scores

if TYPE_CHECKING:
    from bench.contract.candidates import QueryCandidates
    from bench.ranking.order import Ranking

MEASURES: Mapping[str, str] = {
    "nDCG": "normalised discounted cumulative gain over graded judgments",
    "RR": "reciprocal rank of the first relevant document (its mean is MRR)",
    "AP": "average precision (its mean is MAP)",
    "P": "precision: the share of the top k that is relevant",
    "R": "recall: the share of the relevant documents in the top k",
    "Success": "1 when a relevant document is in the top k",
    "Judged": "the share of the top k that has a judgment",
    "ERR": "expected reciprocal rank over graded judgments",
    "Rprec": "precision at the number of relevant documents",
    "Bpref": "binary preference: judged non-relevant documents above relevant ones",
    "infAP": "average precision inferred from incomplete judgments",
    "SetP": "precision of the whole candidate set",
    "SetR": "recall of the whole candidate set",
    "SetF": "F measure of the whole candidate set",
    "IPrec": "interpolated precision at a recall level",
    "NumRet": "documents returned",
    "NumRel": "relevant documents known",
    "NumRelRet": "relevant documents returned (NumRet with rel)",
}
"""The ir_measures names a suite may use, with a line each. A test holds them against ir_measures
itself.
"""

GRADED_WITHOUT_REL = frozenset({"RBP", "NumRet"})
"""Measures for which `rel` changes what is measured (graded to binary, returned to relevant
returned), not just the threshold.
"""

ROUNDING = 1e-6
"""By how much a value may lie beyond the range of its measure."""
COUNTS = frozenset({"NumRet", "NumRel", "NumRelRet"})
JUDGED = "Judged@10"
_ABSENT = re.compile(r"invalid param (\w+)=<object object at \w+>")


def parse(name: str, min_relevance: int = 1) -> Any:
    """An ir_measures measure from its name. Raises SuiteError with the nearest valid name.

    Thresholds are filled in for measures that take one.
    """
    try:
        measure = measure_of(name)
    except Repetition as error:
        raise SuiteError(f"{_cited(name)}: {error}: leave one out") from error
    except ValueError as error:
        raise SuiteError(
            f"{_cited(name)} is not a measure that ir_measures knows: {_hint(name)}"
        ) from error
    takes_threshold = "rel" in measure.SUPPORTED_PARAMS and measure.NAME not in GRADED_WITHOUT_REL
    if not set(measure.params) <= set(measure.SUPPORTED_PARAMS):
        raise SuiteError(
            f"{_cited(name)}: {measure.NAME} takes "
            f"{', '.join(measure.SUPPORTED_PARAMS) or 'no parameters'}"
        )
    for parameter, value in measure.params.items():
        if kind := parameters.refused(parameter, value):
            cited = shortened(repr(value), LONGEST_QUOTE)
            raise SuiteError(f"{_cited(name)}: {parameter} {cited} is not {kind}")
    if min_relevance != 1 and takes_threshold and "rel" not in measure.params:
        measure = measure(rel=min_relevance)
    _require_provider(name, measure)
    return measure


def _cited(name: str) -> str:
    """Return a name in quotes, on one line, a long one without its middle."""
    return f"'{shortened(name, LONGEST_QUOTE)}'" if name.isprintable() else quoted(name)


def _hint(name: str) -> str:
    """Return the measure that another tool calls so, with its cutoff, else the nearest name."""
    measure = names_elsewhere.meant(name)
    stem = name.split("@")[0].split("(")[0]
    return (
        f"did you mean {_cited(measure)}?"
        if measure
        else nearest(stem, (*MEASURES, *SCORE_MEASURES))
    )


def value_range(name: str) -> tuple[float, float]:
    """Return the smallest and the largest value that a query can have in a measure.

    Counts have no upper end. ERR has none where grades are above 4, the highest that its provider
    reckons with. A measure that is not known here may have any value.
    """
    stem = re.split(r"[@(]", name, maxsplit=1)[0]
    if stem not in MEASURES:
        return -math.inf, math.inf
    if stem in COUNTS or stem == "ERR":
        return 0.0, math.inf
    return 0.0, 1.0


def cutoffs_beyond(measures: Iterable[str], depth: int) -> list[str]:
    """Return the measures that look further down than `depth`, as the suite writes them."""
    return [name for name in measures if parse(name).params.get("cutoff", 0) > depth]


def _require_provider(name: str, measure: Any) -> None:
    import ir_measures

    try:
        able = [
            provider
            for provider in ir_measures.DefaultPipeline.providers
            if provider.supports(measure)
        ]
    except (
        AssertionError
    ) as error:  # the library's way to say that a parameter is missing or of the wrong type
        problem = _ABSENT.sub(r"\1 is missing", str(error))
        raise SuiteError(
            f"{_cited(name)}: {problem}; measures at a cutoff are written like P@10"
        ) from error
    if not any(provider.is_available() for provider in able):
        needs = (
            " or ".join(str(provider.install_instructions()) for provider in able)
            or "another measure: nothing computes this one"
        )
        raise SuiteError(f"{_cited(name)} cannot be computed here: it needs {needs}")


def names(measures: Iterable[str], min_relevance: int = 1) -> list[str]:
    """The measures' full names, with the relevance threshold where it applies, in the order given
    and without repeats.
    """
    return list(dict.fromkeys(str(parse(name, min_relevance)) for name in measures))


def evaluate(
    rankings: Mapping[str, Ranking | QueryCandidates],
    qrels: Qrels,
    measures: Sequence[str],
    min_relevance: int = 1,
) -> dict[str, dict[str, float]]:
    """Per measure and query, the value of a ranking: {measure: {query_id: value}}, over every query
    of `qrels`; nothing where none of its queries has a judgment.

    `measures` are names as a suite writes them; keys of the result are the full names of
    `names(...)`.
    """
    import ir_measures

    if qrels and not any(qrels.values()):
        return {}
    parsed = {
        str(measure): measure for measure in (parse(name, min_relevance) for name in measures)
    }
    common = {name: measure for name, measure in parsed.items() if vectorised.supports(measure)}
    values: dict[str, dict[str, float]] = {name: dict.fromkeys(qrels, 0.0) for name in parsed}
    if common:
        judged = vectorised.collect(rankings, qrels)
        values |= {
            name: dict(zip(qrels, vectorised.compute(measure, judged).tolist(), strict=True))
            for name, measure in common.items()
        }
    rest = [measure for name, measure in parsed.items() if name not in common]
    if rest:
        for name, query_id, value in _by_ir_measures(ir_measures, rest, rankings, qrels):
            values[name][query_id] = value
    return values


def _safe(grades: Mapping[str, int]) -> dict[str, int]:
    """These grades; 0 for each where all are negative, as those of spam are. No value changes by
    it, but pytrec_eval crashes the process on a query whose highest grade is below 0.
    """
    if max(grades.values(), default=0) >= 0:
        return dict(grades)
    return dict.fromkeys(grades, 0)


def _by_ir_measures(
    library: Any,
    measures: Sequence[Any],
    rankings: Mapping[str, Ranking | QueryCandidates],
    qrels: Qrels,
) -> Iterator[tuple[str, str, float]]:
    """(measure, query_id, value) of the queries that have a ranking."""
    numbers = {
        query_id: str(i) for i, query_id in enumerate(qrels, 1)
    }  # one provider (gdeval) reads only numeric query ids
    run = {
        numbers[query_id]: dict(zip(ranking.doc_ids, strict_scores(ranking.doc_ids), strict=True))
        for query_id, ranking in rankings.items()
        if query_id in qrels and ranking.doc_ids
    }
    if not run:
        return
    query_ids = {number: query_id for query_id, number in numbers.items()}
    judgments = {numbers[query_id]: _safe(grades) for query_id, grades in qrels.items()}
    try:
        for metric in library.iter_calc(list(measures), judgments, run):
            yield str(metric.measure), query_ids[metric.query_id], float(metric.value)
    except Exception as error:  # whatever the libraries behind it raise, such as a division by zero
        raise SuiteError(
            f"ir_measures cannot compute {', '.join(map(str, measures))}: {first_line(error)}"
        ) from error
