"""Per-query values are ir_measures' own on input without ties; thresholds, missing queries and bad
names behave as documented.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys

import ir_measures
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.errors import SuiteError
from bench.quality import measures, vectorised
from bench.quality.expression import measure_of
from bench.ranking.order import rank
from tests.support.agreement import DOUBLE

WITH_ARGUMENTS = {
    "nDCG": ["nDCG", "nDCG@10", "nDCG(dcg='exp-log2')@10"],
    "RR": ["RR", "RR@10", "RR(rel=2)@10"],
    "AP": ["AP", "AP@100", "AP(rel=2)"],
    "P": ["P@5", "P(rel=2)@10"],
    "R": ["R@5", "R@100"],
    "Success": ["Success@1", "Success@5"],
    "Judged": ["Judged@10"],
    "ERR": ["ERR@10"],
    "IPrec": ["IPrec@0.1"],
    "NumRet": ["NumRet"],
}
EVERY = [name for stem in measures.MEASURES for name in WITH_ARGUMENTS.get(stem, [stem])]


def collection(seed: int) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, float]]]:
    rng = random.Random(seed)
    docs = [f"d{i}" for i in range(60)]
    qrels = {
        f"{i + 1}": {doc: rng.choice([0, 0, 0, 1, 2, 3]) for doc in rng.sample(docs, 25)}
        for i in range(12)
    }
    run = {
        query: dict(zip(rng.sample(docs, 40), rng.sample(range(1000), 40), strict=True))
        for query in qrels
    }
    return qrels, {
        query: {doc: score / 7 for doc, score in scores.items()} for query, scores in run.items()
    }


@pytest.mark.parametrize("name", EVERY)
def test_every_measure_equals_ir_measures_on_input_without_ties(name: str) -> None:
    qrels, run = collection(seed=len(name))
    rankings = {query: rank(list(scores), list(scores.values())) for query, scores in run.items()}
    measure = measure_of(name)
    expected = {
        metric.query_id: metric.value for metric in ir_measures.iter_calc([measure], qrels, run)
    }
    assert measures.evaluate(rankings, qrels, [name]) == {str(measure): expected}


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="ir_measures reads no names there")
@pytest.mark.filterwarnings("ignore:.*Python 3.14:DeprecationWarning")
@pytest.mark.parametrize(
    "name",
    [*EVERY, "RBP(p=0.8)", "nDCG(gains={0:0,1:5})@3", "INST(T=1.5,max_rel=3)", "P(rel=None)"],
)
def test_a_name_is_the_measure_that_ir_measures_reads_in_it(name: str) -> None:
    assert repr(measure_of(name)) == repr(ir_measures.parse_measure(name))


def test_the_listed_measures_are_ones_that_ir_measures_has() -> None:
    assert set(measures.MEASURES) <= set(ir_measures.measures.registry)


def test_the_relevance_threshold_reaches_binary_measures_and_shows_in_their_names() -> None:
    qrels = {"q": {"a": 1, "b": 2}}
    values = measures.evaluate(
        {"q": rank(["a", "b"], [2.0, 1.0])},
        qrels,
        ["RR@10", "nDCG@10", "RR(rel=1)@10"],
        min_relevance=2,
    )
    assert values["RR(rel=2)@10"]["q"] == 0.5
    assert values["RR@10"]["q"] == 1.0, "the measure's own threshold wins"
    assert "nDCG@10" in values


def test_a_query_without_candidates_scores_zero_and_one_without_judgments_is_left_out() -> None:
    values = measures.evaluate(
        {"q1": rank(["a"], [1.0]), "q9": rank(["a"], [1.0])},
        {"q1": {"a": 1}, "q2": {"a": 1}},
        ["nDCG@10"],
    )
    assert values == {"nDCG@10": {"q1": 1.0, "q2": 0.0}}


def test_no_ranking_at_all_scores_zero_everywhere() -> None:
    assert measures.evaluate({}, {"q": {"a": 1}}, ["RR@10"]) == {"RR@10": {"q": 0.0}}


@pytest.mark.parametrize(
    "name", ["ndcg@10", "nDGC@10", "MRR10", "__import__('os')", "nDCG@ten", ""]
)
def test_a_name_that_is_no_measure_gets_the_nearest(name: str) -> None:
    with pytest.raises(SuiteError, match="not a measure"):
        measures.parse(name)


def test_the_nearest_name_is_offered() -> None:
    with pytest.raises(SuiteError, match="did you mean 'nDCG'"):
        measures.parse("nDGC@10")


@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("ndcg_cut_10", "nDCG@10"),
        ("ndcg_cut.5", "nDCG@5"),
        ("ndcg@10", "nDCG@10"),
        ("ndcg_at_3", "nDCG@3"),
        ("NDCG_10", "nDCG@10"),
        ("mrr@10", "RR@10"),
        ("mrr", "RR"),
        ("MRR10", "RR@10"),
        ("recip_rank", "RR"),
        ("map", "AP"),
        ("map_cut_100", "AP@100"),
        ("mAP@5", "AP@5"),
        ("P_10", "P@10"),
        ("precision@5", "P@5"),
        ("prec_at_5", "P@5"),
        ("recall@20", "R@20"),
        ("recall_1000", "R@1000"),
        ("hit@5", "Success@5"),
        ("hit_rate@5", "Success@5"),
        ("hits@1", "Success@1"),
        ("success_5", "Success@5"),
        ("accuracy_at_1", "Success@1"),
        ("r-precision", "Rprec"),
        ("num_rel_ret", "NumRelRet"),
        ("bpref", "Bpref"),
    ],
)
def test_another_tools_name_leads_to_the_measure_and_its_cutoff(name: str, measure: str) -> None:
    with pytest.raises(
        SuiteError,
        match=re.escape(
            f"'{name}' is not a measure that ir_measures knows: did you mean '{measure}'?"
        ),
    ):
        measures.parse(name)
    assert measure_of(measure) is not None


@pytest.mark.parametrize(
    "name",
    [
        "nDCG@0",
        "P@0",
        "Judged@0",
        "RBP@0",
        "nDCG@5.5",
        "P@True",
        "nDCG(cutoff=0)",
        "P@-1",
        "nDCG@1000000000000",
    ],
)
def test_a_cutoff_that_is_none_is_refused(name: str) -> None:
    """Libraries behind ir_measures end the process for some of them."""
    with pytest.raises(
        SuiteError, match=r"cutoff \S+ is not a whole number from 1 to 1,000,000,000"
    ):
        measures.parse(name)


@pytest.mark.parametrize(
    "name",
    ["P(rel=0)@5", "P(rel=-1)@5", "RR(rel=0)@10", "AP(rel=1.5)", "P(rel='x')@5", "SetP(rel=True)"],
)
def test_a_threshold_that_unjudged_documents_reach_is_refused(name: str) -> None:
    with pytest.raises(SuiteError, match=r"rel \S+ is not a whole number from 1 to"):
        measures.parse(name)


@pytest.mark.parametrize(
    "name", ["P@10@5", "nDCG@", "@10", "P(5)", "P(**a)", "P(rel=[1])", "P(rel=x)", "a.P", ""]
)
def test_what_cannot_be_read_as_a_measure_is_one_line(name: str) -> None:
    with pytest.raises(SuiteError, match="is not a measure that ir_measures knows"):
        measures.parse(name)


@pytest.mark.parametrize(
    ("name", "twice"),
    [
        ("P(rel=1,rel=2)@5", "rel"),
        ("P(cutoff=3,rel=2)@5", "cutoff"),
        ("nDCG(gains={1:1,1:2})@3", "1"),
    ],
)
def test_what_is_given_twice_is_refused(name: str, twice: str) -> None:
    with pytest.raises(SuiteError, match=f": {twice} is given twice: leave one out"):
        measures.parse(name)


@pytest.mark.parametrize(
    "value", ["[1]", "...", "-5", "1.5", "'a'", "None", "1e999", "2147483647", "True"]
)
def test_a_gain_that_trec_eval_would_misread_is_refused(value: str) -> None:
    with pytest.raises(SuiteError, match="is not a gain per grade, whole numbers from 0 to"):
        measures.parse(f"nDCG(gains={{1:{value}}})@3")


@pytest.mark.parametrize(
    "name",
    [
        "IPrec@0.123",
        "IPrec@1.5",
        "IPrec@-0.5",
        "IPrec@1e999",
        "SetF(beta=1e300)",
        "SetF(beta=1e-05)",
        "SetF(beta=-1.0)",
        "Compat(p=1e999)",
    ],
)
def test_a_number_that_would_measure_something_else_is_refused(name: str) -> None:
    with pytest.raises(SuiteError, match=r"(recall|beta|p) \S+ is not a number"):
        measures.parse(name)


@pytest.mark.parametrize(
    "name",
    [
        "P@5\nx",
        "\n",
        "P@5\x1b[31m",
        "P(self=5)@5",
        f"nDCG@0x{'f' * 5000}",
        f"nDCG@{'9' * 5000}",
        f"nDCG(gains={{1:0x{'f' * 5000}}})@3",
        "x" * 10_000,
    ],
)
def test_an_error_about_any_name_is_one_short_line(name: str) -> None:
    with pytest.raises(SuiteError) as refused:
        measures.parse(name)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 400


def test_a_parameter_that_is_missing_is_named() -> None:
    with pytest.raises(SuiteError, match="'BPM': cutoff is missing"):
        measures.parse("BPM")


def test_a_measure_that_a_library_fails_at_is_named() -> None:
    with pytest.raises(SuiteError, match="ir_measures cannot compute Accuracy: ZeroDivisionError"):
        measures.evaluate({"q": rank(["a"], [1.0])}, {"q": {"a": 1}}, ["Accuracy"])


def test_measures_that_look_below_the_candidates() -> None:
    assert measures.cutoffs_beyond(["nDCG@10", "RR", "R@1000", "IPrec@0.1", "P@5"], 10) == [
        "R@1000"
    ]


@pytest.mark.parametrize("name", ["nDCG(foo=1)@10", "P", "RBP(rel=1)"])
def test_a_measure_that_cannot_be_computed_as_written_is_told_at_once(name: str) -> None:
    with pytest.raises(
        SuiteError, match=r"takes cutoff|written like P@10|needs pip install|invalid param|required"
    ):
        measures.parse(name)


def test_query_ids_of_any_kind_do() -> None:
    """gdeval, which computes ERR, reads only numeric ids."""
    qrels, run = collection(seed=5)
    rankings = {query: rank(list(scores), list(scores.values())) for query, scores in run.items()}
    renamed = measures.evaluate(
        {f"é {q}": r for q, r in rankings.items()},
        {f"é {q}": g for q, g in qrels.items()},
        ["ERR@10", "nDCG@10"],
    )
    plain = measures.evaluate(rankings, qrels, ["ERR@10", "nDCG@10"])
    assert {
        name: {f"é {q}": v for q, v in values.items()} for name, values in plain.items()
    } == renamed


GRADES = st.dictionaries(
    st.sampled_from([f"d{i}" for i in range(30)]), st.integers(-2, 4), min_size=1, max_size=25
).filter(
    lambda grades: (
        max(grades.values()) >= 0
    )  # pytrec_eval crashes the process where all are negative
)
RANKED = st.lists(st.sampled_from([f"d{i}" for i in range(40)]), unique=True, max_size=35)
VECTORISED = [
    "nDCG",
    "nDCG@3",
    "nDCG@10",
    "RR",
    "RR@2",
    "RR(rel=2)@10",
    "AP",
    "AP(rel=3)",
    "AP@5",
    "P@1",
    "P(rel=2)@10",
]
VECTORISED += ["R@5", "R(rel=2)@50", "Success@1", "Success(rel=4)@10", "Judged@10", "Judged@100"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(GRADES, RANKED), min_size=1, max_size=6))
def test_vectorised_measures_equal_ir_measures(
    made: list[tuple[dict[str, int], list[str]]],
) -> None:
    """On any judgments (negative grades, none relevant) and rankings (short, empty, unjudged)."""
    qrels = {str(i): grades for i, (grades, _) in enumerate(made, 1)}
    rankings = {str(i): rank(docs, range(len(docs), 0, -1)) for i, (_, docs) in enumerate(made, 1)}
    run = {
        query: dict(zip(r.doc_ids, r.strict_scores(), strict=True))
        for query, r in rankings.items()
        if r.doc_ids
    }
    parsed = [measure_of(name) for name in VECTORISED]
    assert all(vectorised.supports(measure) for measure in parsed)
    expected: dict[str, dict[str, float]] = {
        str(measure): dict.fromkeys(qrels, 0.0) for measure in parsed
    }
    for metric in ir_measures.iter_calc(parsed, qrels, run) if run else ():
        expected[str(metric.measure)][metric.query_id] = metric.value
    found = measures.evaluate(rankings, qrels, VECTORISED)
    assert {name: pytest.approx(values, abs=DOUBLE) for name, values in expected.items()} == found


def test_variants_that_are_not_vectorised_go_to_ir_measures() -> None:
    for name in ("nDCG(dcg='exp-log2')@10", "ERR@10", "RR(rel=0)@10", "P(judged_only=True)@5"):
        assert not vectorised.supports(measure_of(name))


def test_a_query_of_nothing_but_spam_does_not_crash_the_process() -> None:
    """In a process of its own: without care, pytrec_eval takes the process down where all grades of
    a query are negative.
    """
    script = """
from bench.quality.measures import evaluate
from bench.ranking.order import rank

rankings = {query: rank(["a", "b"], [2.0, 1.0]) for query in ("spam", "fine")}
qrels = {"spam": {"a": -2, "b": -1}, "fine": {"a": 1, "b": -2}}
found = evaluate(rankings, qrels, ["Bpref", "Rprec", "infAP", "SetP", "nDCG", "Judged@2"])
print([found[name]["spam"] for name in found], [found[name]["fine"] for name in found])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "[0.0, 0.0, 0.0, 0.0, 0.0, 1.0] [1.0, 1.0, 1.0, 0.5, 1.0, 1.0]", (
        done.stderr
    )
