"""Whether scores tell a query with an answer from one without, over scores that are drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.meaning.answerability import (
    KEPT,
    PLACED,
    TOP,
    Answerability,
    Problem,
    Signal,
    answerability,
)
from bench.records import sampling
from bench.records.run import Run
from bench.reports.answerability import notes_of, sentence
from bench.reports.view import View
from tests.support.command import bench as command
from tests.support.made_scores import scored_run

QUERIES, SIZE = 150, 12
GRADES = [2, 1, *[0] * (SIZE - 2)]
"""Grades of each query's documents: one of them is relevant from grade 2 on."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """`grades` knows the grades, `shifted` too, on a scale of its own for each query, `random` and
    `first-stage` do not; `listwise` depends on its list, `places` are ranks. Every tenth query has
    no relevant document.
    """
    rng = np.random.default_rng(3)
    names = ("first-stage", "grades", "shifted", "random", "listwise", "places")
    rows: dict[str, dict[str, list[tuple[str, float]]]] = {name: {} for name in names}
    judgments: list[tuple[str, str, int]] = []
    doc_ids = [f"d{place}" for place in range(SIZE)]
    for number in range(QUERIES):
        grades = np.array(GRADES) * bool(number % 10)
        noise = rng.random(SIZE) * 0.9
        scores = {
            "first-stage": rng.gamma(2, 4, size=SIZE),
            "grades": grades + noise,
            "shifted": grades + noise + 20 * rng.random(),
            "random": rng.normal(size=SIZE),
            "listwise": grades + noise,
            "places": rng.permutation(SIZE) + 1.0,
        }
        for name, values in scores.items():
            rows[name][f"q{number}"] = list(zip(doc_ids, values.tolist(), strict=True))
        judgments += [
            (f"q{number}", doc_id, int(grade))
            for doc_id, grade in zip(doc_ids, grades, strict=True)
        ]
    record: dict[str, dict[str, object]] = {}
    for name in names:
        record[name] = {"pointwise": name != "listwise"}
    record["first-stage"] = {"candidates": {"first_stage": "bm25"}}
    facts = {"min_relevance": 2, "relevant_only": False}
    folder = tmp_path_factory.mktemp("answerability")
    return scored_run(folder, rows, judgments, facts=facts, record=record)


@pytest.fixture(scope="module")
def rows(run: Run) -> dict[str, Answerability]:
    return {row.table.row.trial.reranker: row for row in answerability(run)}


def signal(row: Answerability, name: str = TOP) -> Signal:
    (own,) = [signal for signal in row.signals if signal.name == name]
    return own


def test_who_knows_the_grades_has_1_and_who_knows_nothing_has_chance(
    rows: dict[str, Answerability],
) -> None:
    assert signal(rows["grades"]).auroc.value == 1.0
    assert signal(rows["grades"]).false_accepts.value == 0.0
    for name in ("random", "first-stage"):
        own = signal(rows[name])
        assert own.auroc.value is not None
        assert own.auroc.value == pytest.approx(rows[name].chance, abs=0.06)
        assert own.auroc.low is not None
        assert own.auroc.high is not None
        assert own.auroc.low < own.auroc.value < own.auroc.high
        assert own.false_accepts.value == pytest.approx(KEPT, abs=0.07)
    assert 0.5 < rows["random"].chance < 0.53


def test_scales_that_shift_from_query_to_query_leave_the_margin_alone(
    rows: dict[str, Answerability],
) -> None:
    own = rows["shifted"]
    top, margin = signal(own).auroc.value, signal(own, "margin").auroc.value
    probability = signal(own, PLACED).auroc.value
    assert top is not None
    assert margin is not None
    assert probability is not None
    assert top < 0.6
    assert margin == signal(rows["grades"], "margin").auroc.value or margin > top
    # the map reads the place of a score within its list, which a shift leaves as it is
    assert probability > top + 0.1


def test_values_are_those_of_a_count_over_all_pairs(
    run: Run, rows: dict[str, Answerability]
) -> None:
    lists = run.scores_of("tiny--bm25--shifted")
    with_answer: list[float] = []
    without: list[float] = []
    for query_id, own in lists.items():
        is_answered = int(query_id[1:]) % 10 != 0
        if is_answered:
            with_answer.append(max(own.scores))
        rest = [
            score
            for doc_id, score in zip(own.doc_ids, own.scores, strict=True)
            if doc_id != "d0" or not is_answered
        ]
        without.append(max(rest))
    wins = sum((a > b) + (a == b) / 2 for a in with_answer for b in without)
    row = rows["shifted"]
    assert (row.answerable, row.without) == (len(with_answer), len(without)) == (135, 150)
    assert signal(row).auroc.value == pytest.approx(wins / (135 * 150))
    threshold = sorted(with_answer, reverse=True)[122 - 1]
    assert signal(row).threshold == threshold
    accepted = sum(value >= threshold for value in without) / 150
    assert signal(row).false_accepts.value == pytest.approx(accepted)


def test_rows_of_which_nothing_can_be_said_are_named(rows: dict[str, Answerability]) -> None:
    problems = {name: row.problem for name, row in rows.items() if row.problem}
    assert problems == {"listwise": Problem.DEPENDS, "places": Problem.RANKS}
    assert not rows["listwise"].signals


def test_few_queries_give_no_number(tmp_path: Path) -> None:
    lists = {f"q{number}": [("a", 2.0), ("b", 0.3 * number)] for number in range(9)}
    judgments = [(query_id, "a", 1) for query_id in lists]
    made = scored_run(tmp_path, {"few": lists}, judgments, record={"few": {"pointwise": True}})
    [row] = answerability(made)
    assert row.problem is Problem.FEW


def test_lists_of_which_nothing_is_left_are_called_so(tmp_path: Path) -> None:
    lists = {f"q{number}": [("a", 2.0), ("b", 0.3 * number)] for number in range(20)}
    judgments = [(query_id, doc_id, 1) for query_id in lists for doc_id in ("a", "b")]
    made = scored_run(tmp_path, {"all": lists}, judgments, record={"all": {"pointwise": True}})
    [row] = answerability(made)
    assert (row.problem, row.answerable, row.without) == (Problem.FULL, 20, 0)
    (line,) = notes_of([row])
    assert "fewer than 10 queries have a candidate that is no answer" in line


def test_rows_of_which_some_queries_failed_have_counts_of_their_own(tmp_path: Path) -> None:
    lists = {f"q{number}": [("a", 2.0), ("b", 0.3 * number)] for number in range(20)}
    some = {query_id: lists[query_id] for query_id in list(lists)[:12]}
    judgments = [(query_id, "a", 1) for query_id in lists]
    facts: dict[str, dict[str, object]] = {name: {"pointwise": True} for name in ("whole", "part")}
    made = scored_run(tmp_path, {"whole": lists, "part": some}, judgments, record=facts)
    whole, part, *_ = notes_of(answerability(made))
    assert whole.startswith("whole (cpu): 20 queries with a relevant document")
    assert part.startswith("part (cpu): 12 queries with a relevant document")
    assert part.endswith("against 12 lists without.")


def test_the_command_prints_a_table_and_names_what_it_cannot_say(run: Run) -> None:
    shown = command("answerability", str(run.folder), cwd=run.folder, width=120)
    assert shown.returncode == 0
    assert "listwise" in shown.stdout
    assert "needs one more call" in " ".join(shown.stdout.split())
    written = command(
        "answerability", str(run.folder), "grades", "--format", "json", cwd=run.folder
    )
    [data] = json.loads(written.stdout)
    assert data["signals"][0]["auroc"]["value"] == 1.0
    assert command("answerability", str(run.folder), "gradez", cwd=run.folder).returncode == 2


def test_the_verdict_says_what_the_best_row_tells(run: Run) -> None:
    view = View(run)
    for finding in view.findings:
        assert finding.best is not None
        assert set(view.top_score_of) == {finding.best.trial.id}
    [row] = view.top_score_of.values()
    known = row.problem is None
    assert bool(sentence(row)) == known


def test_a_large_run_is_drawn_from_some_of_its_queries_and_says_so(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (finding,) = View(run).findings
    assert not View(run).drawn_from(finding.group)
    monkeypatch.setattr(sampling, "SAMPLED", 100)
    view = View(Run(run.folder))
    sample = view.sample_of(finding)
    assert sample is not None
    assert len(sample) == 100
    assert sample == View(Run(run.folder)).sample_of(finding)
    [row] = view.top_score_of.values()
    assert set(row.table.query_ids) == set(sample)
    drawn = "100 of 150 queries, drawn at random"
    assert view.drawn_from(finding.group) == drawn
    assert finding.best is not None
    names = [separation.name for separation in view.rankings.separations[finding.group]]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("grades", "tells a query with an answer from one without (AUROC 1.0000)"),
        ("random", "hardly tells a query with an answer from one without"),
    ],
)
def test_a_sentence_says_how_well(name: str, words: str, rows: dict[str, Answerability]) -> None:
    assert words in sentence(rows[name])
