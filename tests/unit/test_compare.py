"""Comparisons: the right pairs, the same numbers as the record and as scipy, and a clear refusal
where keys differ.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats as scipy_stats

import bench
from bench.cli.main import cli
from bench.comparison.across import sentence
from bench.comparison.pairs import Comparison, compare
from bench.core.errors import BenchError, IncomparableError, RecordError
from bench.quality import statistics
from bench.records.measure import resolve_measure
from bench.records.run import Run
from bench.reports import comparison as report
from bench.reports.renderers import render, terminal
from tests.support.made_runs import made_run

BASE, BETTER, OTHER = [0.1, 0.5, 0.3, 0.9], [0.2, 0.7, 0.3, 0.8], [0.0, 0.0, 0.1, 0.2]
FAKE = "tests.support.fakes:HashReranker"


def by_name(found: list[Comparison]) -> dict[str, Comparison]:
    return {one.new.trial.reranker: one for one in found}


def test_one_run_is_compared_with_its_first_stage(tmp_path: Path) -> None:
    run = made_run(tmp_path, {"first-stage": BASE, "a": BETTER, "b": OTHER})
    by_reranker = by_name(compare([run]))
    assert list(by_reranker) == ["a", "b"]
    one = by_reranker["a"]
    assert (one.mean, one.baseline_mean) == pytest.approx((0.5, 0.45))
    assert one.difference.mean == pytest.approx(0.05)
    assert (one.difference.wins, one.difference.ties, one.difference.losses) == (2, 1, 1)
    assert one.deltas == pytest.approx({"q0": 0.1, "q1": 0.2, "q2": 0.0, "q3": -0.1})
    assert [query for query, _ in one.moved(2)] == ["q1", "q0"]
    assert [query for query, _ in one.moved(9)] == ["q1", "q0", "q3"], (
        "a query that did not move is no mover"
    )


def test_the_baseline_may_be_any_row(tmp_path: Path) -> None:
    run = made_run(tmp_path, {"first-stage": BASE, "a": BETTER, "b": OTHER})
    by_reranker = by_name(compare([run], "a"))
    assert list(by_reranker) == ["first-stage", "b"]
    assert by_reranker["first-stage"].difference.mean == pytest.approx(-0.05)
    with pytest.raises(
        BenchError,
        match="--baseline first: no finished trial of that name: did you mean 'first-stage'",
    ):
        compare([run], "first")


def test_a_baseline_may_have_the_name_that_tables_give_it(tmp_path: Path) -> None:
    devices = {"a": "cpu", "b": "cuda"}
    run = made_run(tmp_path, {"first-stage": BASE, "a": BETTER, "b": OTHER}, devices=devices)
    with_device = by_name(compare([run], "a (cpu)"))
    assert list(with_device) == ["first-stage", "b"]
    assert with_device["b"].baseline.trial.reranker == "a"
    with pytest.raises(BenchError, match="no finished trial of that name"):
        compare([run], "a (cuda)")


def test_the_baseline_is_the_first_stage_though_a_reranker_has_its_name(tmp_path: Path) -> None:
    run = made_run(tmp_path, {"first-stage": BASE, "a": BETTER, "b": OTHER})
    named = next(record for record in run.records.values() if record.trial.reranker == "a")
    trial = named.trial.model_copy(update={"reranker": "first-stage"})
    run.records[trial.id] = named.model_copy(update={"trial": trial})
    comparisons = compare([run])
    assert {comparison.baseline.trial.kind for comparison in comparisons} == {"reference"}
    assert [comparison.new.trial.id for comparison in comparisons] == [
        trial.id,
        next(key for key, record in run.records.items() if record.trial.reranker == "b"),
    ]


def test_several_runs_compare_each_reranker_with_itself_in_the_first(tmp_path: Path) -> None:
    old = made_run(tmp_path, {"first-stage": BASE, "a": BASE, "b": OTHER}, name="old")
    new = made_run(tmp_path, {"first-stage": BASE, "a": BETTER, "c": OTHER}, name="new")
    (one,) = compare([old, new])
    assert (one.new.run, one.baseline.run) == (new, old)
    assert one.difference.mean == pytest.approx(0.05)


def test_a_named_baseline_serves_every_run(tmp_path: Path) -> None:
    old = made_run(tmp_path, {"first-stage": BASE, "stock": BASE}, name="old")
    new = made_run(tmp_path, {"first-stage": BASE, "tuned": BETTER}, name="new")
    by_reranker = by_name(compare([old, new], "stock"))
    assert set(by_reranker) == {"first-stage", "tuned"}
    assert by_reranker["tuned"].baseline.run is old


def test_runs_without_a_common_reranker_are_told_apart_from_incomparable_ones(
    tmp_path: Path,
) -> None:
    runs = [made_run(tmp_path, {"first-stage": BASE, name: BETTER}, name=name) for name in "ab"]
    with pytest.raises(RecordError, match="nothing to compare"):
        compare(runs)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"candidates": "other"}, "candidates"),
        ({"dataset": {"corpus": "c1", "qrels": "q2"}}, "dataset.qrels"),
        ({"depth": 9, "candidates": "deep"}, "candidates, depth"),
    ],
)
def test_a_quality_key_that_differs_is_refused_and_its_fields_named(
    tmp_path: Path, change: dict[str, Any], named: str
) -> None:
    old = made_run(tmp_path, {"a": BASE}, name="old")
    new = made_run(tmp_path, {"a": BETTER}, quality=change, first_stage="other", name="new")
    changed = ", ".join(rf"{name}( \(\w+ → \w+\))?" for name in named.split(", "))
    with pytest.raises(IncomparableError, match=f"they differ in {changed}") as caught:
        compare([old, new])
    text = str(caught.value)
    assert text.index("Z-old") < text.index("Z-new"), "in the order of the command line"
    assert caught.value.exit_code == 3
    allowed = named.split(".")[0].split(", ")[-1]
    (one,) = compare([old, new], across=[allowed])
    assert ", ".join(one.across) == named
    with pytest.raises(IncomparableError):
        compare([old, new], across=["measures"])


def test_measures_that_one_run_alone_has_are_named_and_the_others_compared(
    tmp_path: Path,
) -> None:
    """A run's own measures change no value of the others; earlier versions have them in the key."""
    values = {"first-stage": BASE, "a": BASE}
    old = made_run(tmp_path, values, name="old")
    more = {"R@20": {"first-stage": BASE, "a": BETTER}}
    quality = {"measures": ["R@20", "nDCG@10"]}
    new = made_run(tmp_path, {**values, "a": BETTER}, name="new", more=more, quality=quality)
    (one,) = compare([old, new])
    assert (one.measure, one.across) == ("nDCG@10", ())
    told = f"measured in run {new.info.id} alone, and not compared: R@20"
    assert told in render(report.document([one]), "markdown")
    (one,) = compare([new, old])
    assert one.measure == "nDCG@10"
    (one,) = compare([old, new], across=["measures"])
    with pytest.raises(RecordError, match=r"holds no R@20; both hold nDCG@10: name one of these"):
        compare([new, old], measure="R@20")
    more = {"nDCG@10": values}
    first = made_run(tmp_path, values, measure="R@20", name="first", more=more)
    (one,) = compare([first, old])
    assert one.measure == "nDCG@10", "the first one that both have"


def test_across_takes_only_fields_that_exist(tmp_path: Path) -> None:
    runs = [made_run(tmp_path, {"a": BASE}, name=name) for name in ("old", "new")]
    with pytest.raises(BenchError, match="did you mean 'candidates'"):
        compare(runs, across=["candidate"])


def test_only_shared_queries_are_paired_and_the_others_counted(tmp_path: Path) -> None:
    old = made_run(tmp_path, {"a": BASE}, name="old")
    new = made_run(
        tmp_path, {"a": [*BETTER, 1.0]}, quality={"dataset": {"corpus": "c2"}}, name="new"
    )
    (one,) = compare([old, new], across=["dataset"])
    assert (len(one.deltas), one.unpaired) == (4, 1)
    assert one.difference.mean == pytest.approx(0.05)


def test_trials_of_two_datasets_meet_their_own(tmp_path: Path) -> None:
    old = made_run(tmp_path, {"a": BASE}, dataset="one", name="old")
    new = made_run(
        tmp_path, {"a": BETTER}, dataset="two", quality={"dataset": {"corpus": "c9"}}, name="new"
    )
    with pytest.raises(
        IncomparableError, match=r"differ in dataset\.corpus \(c1 → c9\), dataset\.qrels"
    ):
        compare([old, new])


def test_a_measure_is_found_by_its_short_name(tmp_path: Path) -> None:
    run = made_run(tmp_path, {"a": BASE}, measure="RR(rel=2)@10")
    assert [resolve_measure(run, asked) for asked in (None, "RR@10", "rr@10", "RR(rel=2)@10")] == [
        "RR(rel=2)@10"
    ] * 4
    with pytest.raises(BenchError, match=r"hold no nDCG@10: known: RR\(rel=2\)@10"):
        resolve_measure(run, "nDCG@10")


def test_a_real_run_gives_the_numbers_of_its_own_records(collection: Path, tmp_path: Path) -> None:
    """Same seed, same queries, same order: the interval is the one that the report shows."""
    suite = {
        "name": "tiny",
        "datasets": [f"files:{collection}"],
        "rerankers": [{FAKE: {"name": "fake"}}],
        "latency": None,
        "seed": 3,
    }
    run = bench.run(suite, out=tmp_path / "results")
    for one in compare([run], measure="RR@10"):
        stored = one.new.record.vs_first_stage["RR@10"]
        assert vars(stored) == pytest.approx(vars(one.difference))


# The statistics


def test_holm_is_the_closure_of_bonferroni() -> None:
    """Marcus, Peritz & Gabriel 1976: a hypothesis is rejected when every intersection that it is
    part of is.
    """
    rng = np.random.default_rng(1)
    for n in (1, 2, 5, 6):
        ps = [float(p) for p in rng.beta(0.3, 2, size=n)]
        subsets = [s for size in range(1, n + 1) for s in itertools.combinations(range(n), size)]
        expected = [
            max(min(1.0, len(s) * min(ps[j] for j in s)) for s in subsets if i in s)
            for i in range(n)
        ]
        assert statistics.holm(ps) == pytest.approx(expected)
    assert statistics.holm([]) == []


def test_holm_runs_over_all_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    base = rng.uniform(0.3, 0.5, 30)
    rows = {
        name: base + rng.uniform(shift - 0.2, shift + 0.2, 30)
        for name, shift in (("a", 0.08), ("b", 0.05), ("c", 0.0))
    }
    comparisons = compare([made_run(tmp_path, {"first-stage": base, **rows})])
    assert [one.p_holm for one in comparisons] == pytest.approx(
        statistics.holm([one.difference.p for one in comparisons])
    )
    assert comparisons[1].p_holm > comparisons[1].difference.p


def test_effect_size_and_detectable_effect_are_those_of_the_t_test() -> None:
    delta = np.random.default_rng(2).normal(0.05, 0.2, 80)
    t = scipy_stats.ttest_1samp(delta, 0).statistic
    assert statistics.effect_size(list(delta)) == pytest.approx(t / math.sqrt(80))
    two_sided, power = scipy_stats.norm.ppf([0.975, 0.8])
    # The sum of the two quantiles is 2.8016, and 2.8 in the code.
    assert statistics.minimum_detectable(list(delta)) == pytest.approx(
        (two_sided + power) * scipy_stats.sem(delta), rel=0.001
    )


def test_nothing_varies_nothing_is_divided_by_zero() -> None:
    assert statistics.effect_size([0.1] * 7) is None
    assert statistics.minimum_detectable([0.1] * 7) == 0.0
    assert statistics.effect_size([0.1]) is None
    assert statistics.minimum_detectable([0.1]) == math.inf


@given(st.lists(st.integers(-100, 100), unique=True, min_size=2, max_size=40))
def test_tau_is_scipys(ranks: list[int]) -> None:
    assert statistics.kendall_tau(ranks) == pytest.approx(
        scipy_stats.kendalltau(range(len(ranks)), ranks).statistic
    )


# What people and programs read


def test_moved_queries_stand_with_their_words_and_top_documents(
    collection: Path, tmp_path: Path
) -> None:
    suite = {
        "name": "moved",
        "datasets": [f"files:{collection}"],
        "rerankers": [{FAKE: {"name": "fake"}}],
        "depth": 5,
    }
    run = bench.run(suite, out=tmp_path, latency=False)
    comparisons = compare([run])
    (name, moves), *_ = report.moves_of(comparisons)
    assert name == "fake (cpu)"
    move = moves[0]
    fake = next(one for one in comparisons if one.new.trial.reranker == "fake")
    assert (move.query_id, move.delta) == fake.moved(1)[0]
    assert move.text == run.queries.set_index("query")["text"][move.query_id]
    assert [one.doc_id for one in move.after] == list(
        run.ranking(fake.new.trial.id)[move.query_id].doc_ids[:3]
    )
    assert [one.doc_id for one in move.before] == list(
        run.ranking(fake.baseline.trial.id)[move.query_id].doc_ids[:3]
    )
    judged = run.judgments.set_index(["query", "document"])["grade"]
    shown = [(one.doc_id, one.grade) for one in (*move.before, *move.after)]
    assert any(grade is not None for _, grade in shown)
    assert all(grade == judged.get((move.query_id, doc_id)) for doc_id, grade in shown)
    console = Console(width=80, record=True, file=io.StringIO())
    terminal.show(report.document(comparisons), console)
    told = console.export_text()
    assert f"{move.query_id}, {move.text}" in told
    assert max(map(len, told.splitlines())) <= 80
    page = render(report.document(comparisons), "markdown")
    assert f"first-stage 1. {move.before[0].doc_id} " in page
    assert f"fake (cpu) 1. {move.after[0].doc_id} " in page


def test_what_is_before_and_after_is_named_by_its_row_or_its_run(tmp_path: Path) -> None:
    """Against another row nothing was before."""
    ranked = {"q0": [("d2", 2.0), ("d1", 1.0)]}
    rankings = {"a": ranked, "b": ranked, "b" * 60: ranked}
    values = {"a": BASE, "b": BETTER, "b" * 60: OTHER}
    old, new = (made_run(tmp_path, values, rankings=rankings, name=name) for name in ("old", "new"))
    page = render(report.document(compare([old], "a")), "markdown")
    assert "  b (cpu) 1. d2" in page
    assert "  a (cpu) 2. d1" in page
    assert f"  {'b' * 12}…{'b' * 5} (cpu) 1. d2" in page
    assert "before" not in page
    page = render(report.document(compare([old, new])), "markdown")
    assert "before" not in page, "nothing moved"
    page = render(report.document(compare([old, new], "a")), "markdown")
    assert "  before 1. d2" not in page
    changed = made_run(tmp_path, {"a": BETTER}, rankings={"a": ranked}, name="changed")
    page = render(report.document(compare([old, changed])), "markdown")
    assert "before 1. d2" in page
    assert "after 2. d1" in page


def test_a_field_that_differs_is_said_in_plain_words() -> None:
    """No Python of lists and dictionaries, and of a list what was added or left out."""
    fields = {
        "measures": (["a", "b"], ["b", "c", "d"]),
        "more": (["a"], ["a", "b"]),
        "order": (["a", "b"], ["b", "a"]),
        "options": (None, {"k": [1, 2], "of": {"x": None}}),
    }
    assert sentence(fields) == (
        "measures (with c, d, without a), more (with b), order (in another order), "
        "options (none → k: 1, 2, of: x: none)"
    )


def test_a_run_that_keeps_no_texts_shows_ids_and_grades(tmp_path: Path) -> None:
    ranked = {"q0": [("d2", 2.0), ("d1", 1.0)]}
    run = made_run(tmp_path, {"first-stage": BASE, "a": BETTER}, rankings={"a": ranked})
    (_, moves), *_ = report.moves_of(compare([run]))
    move = next(move for move in moves if move.query_id == "q0")
    assert (move.text, move.before) == (None, ())
    assert [str(one) for one in move.after] == ["d2 (not judged)", "d1 (not judged)"]


@pytest.mark.parametrize(("n", "shown"), [(0, 0), (1, 1), (2, 2)])
def test_as_many_moved_queries_are_shown_as_are_asked_for(
    tmp_path: Path, n: int, shown: int
) -> None:
    run = made_run(tmp_path, {"first-stage": BASE, "a": BETTER})
    words = ["compare", str(run.folder), "--moved", str(n), "--format", "markdown"]
    answer = CliRunner().invoke(cli, words)
    assert answer.exit_code == 0, answer.output
    assert ("Moved most" in answer.output) == (n > 0)
    assert answer.output.count("\n**q") == shown


def test_every_format_says_the_same(tmp_path: Path) -> None:
    run = made_run(tmp_path, {"first-stage": BASE, "a_|_b": BETTER})
    comparisons = compare([run])
    (row,) = csv.DictReader(io.StringIO(render(report.document(comparisons), "csv")))
    (value,) = json.loads(render(report.document(comparisons), "json"))
    assert float(row["difference"]) == value["difference"] == pytest.approx(0.05)
    assert {move["query"]: move["difference"] for move in value["moved"]} == pytest.approx(
        {"q1": 0.2, "q0": 0.1, "q3": -0.1}
    )
    page = render(report.document(comparisons), "markdown")
    assert "a\\_\\|\\_b" in page
    assert "+0.0500" in page
    assert "q1 +0.2000" in page


@pytest.mark.parametrize("width", [80, 140])
def test_the_terminal_table_fits(tmp_path: Path, width: int) -> None:
    run = made_run(tmp_path, {"first-stage": BASE, "a-reranker-with-a-long-name": BETTER})
    console = Console(width=width, record=True, file=io.StringIO())
    terminal.show(report.document(compare([run])), console)
    text = console.export_text()
    assert "+0.0500" in text
    assert ("at 80 columns: baseline" in text) == (width == 80)
    assert max(len(line) for line in text.split("moved most")[0].splitlines()) <= width


def test_a_single_query_is_valid_json(tmp_path: Path) -> None:
    run = made_run(tmp_path, {"first-stage": [0.5], "a": [0.6]})
    (value,) = json.loads(render(report.document(compare([run])), "json"))
    assert (value["effect_size"], value["minimum_detectable"]) == (None, None)


@pytest.mark.parametrize("form", ["table", "markdown", "json", "csv"])
def test_the_command(tmp_path: Path, form: str) -> None:
    run = made_run(tmp_path, {"first-stage": [0.25, 0.5], "a": [0.5, 0.5]})
    done = CliRunner().invoke(cli, ["compare", str(run.folder), "--format", form])
    assert done.exit_code == 0, done.output
    assert "0.125" in done.output


def test_from_python_a_comparison_is_a_table(tmp_path: Path) -> None:
    run = made_run(tmp_path, {"first-stage": BASE, "a": BETTER, "b": OTHER})
    table = bench.compare(run).set_index("reranker")
    assert table["difference"].to_dict() == pytest.approx({"a": 0.05, "b": -0.375})
    assert list(bench.compare(run.folder, baseline="a")["reranker"]) == ["first-stage", "b"]
    other = made_run(tmp_path, {"a": BETTER}, quality={"candidates": "other"}, name="other")
    with pytest.raises(IncomparableError):
        bench.compare([run, other])


def test_from_python_a_check_is_a_verdict(tmp_path: Path) -> None:
    rankings = {"a": {f"q{i}": [("d2", 2.0), ("d1", 1.0)] for i in range(4)}}
    old, new = (
        made_run(tmp_path, {"a": BASE}, rankings=rankings, name=name) for name in ("old", "new")
    )
    verdict = bench.check(new, old.folder, margin=0.01)
    assert verdict.outcome == "pass"
    assert repr(verdict).startswith("<Verdict pass: 2 gates, ")
    assert len(repr(verdict)) < 100
    with pytest.raises(BenchError, match="leave measure and margin out"):
        bench.check(old, old, gates="gates.yaml", margin=0.1)


def test_values_that_contradict_the_record_are_refused(tmp_path: Path) -> None:
    old, new = (made_run(tmp_path, {"a": [0.5, 0.6]}, name=name) for name in ("old", "new"))
    [path] = (new.folder / "per_query").iterdir()
    table = pd.read_parquet(path)
    table["value"] += 0.1
    table.to_parquet(path)
    with pytest.raises(
        RecordError, match=r"the mean 0\.650000, and its record says 0\.550000: the run is damaged"
    ):
        compare([old, Run(new.folder)])
