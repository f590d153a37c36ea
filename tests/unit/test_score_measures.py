"""Measures of scores: ECE, Brier and AUC over all pairs of a row, in suites and in gates."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench
from bench.calibration import errors
from bench.comparison.pairs import compare
from bench.core.errors import BenchError, SuiteError
from bench.gate import Gate, Gates, check, load
from bench.meaning.score_measures import (
    Absence,
    JudgedPairs,
    RowScores,
    score_difference,
    score_measures,
    score_value,
)
from bench.quality import measures
from bench.quality.score_measures import SCORE_MEASURES
from bench.records import tables
from bench.records.baselines import save
from bench.records.run import Run
from bench.reports.document import Heading
from bench.reports.exports import export
from bench.reports.sections import score_measures as score_measures_section
from bench.reports.sections.score_measures import errors_of_scores
from bench.reports.view import View
from bench.runner import loop
from bench.suite import suite as suites
from tests.support.made_maps import CURVE, map_file
from tests.support.made_runs import made_run

ECE, BRIER, AUC = (SCORE_MEASURES[name] for name in ("ECE", "Brier", "AUC"))
QUERIES, DOCUMENTS = 120, 8


def suite_of(folder: Path) -> dict[str, Any]:
    path = map_file(folder / "map.json", CURVE)
    return {
        "name": "worth",
        "datasets": [{"embedded:everyday": {"queries": 24}}],
        "measures": ["nDCG@10", "ECE", "Brier", "AUC"],
        "rerankers": [
            "word-overlap",
            {"calibrated": {"of": "word-overlap", "map": str(path)}},
            {"fuse": {"of": ["word-overlap", {"word-overlap": {"name": "b"}}], "name": "rrf"}},
        ],
        "depth": 20,
        "latency": None,
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("worth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RERANK_BENCH_CACHE", str(folder / "cache"))
        return loop.run(suites.load(suite_of(folder)), out=folder, time_it=False)


def test_a_suite_may_ask_for_measures_of_scores(run: Run) -> None:
    rows = {row.table.row.trial.reranker: row for row in score_measures(run)}
    assert "oracle" not in rows
    for name in ("word-overlap", "calibrated"):
        pairs = rows[name].pairs
        values = {value.measure.name: value.interval for value in rows[name].values}
        qrels = {
            (query, doc): grade
            for query, doc, grade in run.judgments[["query", "document", "grade"]].values
        }
        scored = run.scores[run.scores["trial"] == rows[name].table.row.trial.id]
        labels = np.array([qrels.get((q, d), -1) for q, d in scored[["query", "doc_id"]].values])
        known = labels >= 0
        probabilities = scored["score"].to_numpy()[known]
        relevant = (labels[known] >= 1).astype(float)
        assert len(pairs.labels) == known.sum()
        assert values["Brier"].value == pytest.approx(np.mean((probabilities - relevant) ** 2))
        good, bad = probabilities[relevant > 0], probabilities[relevant == 0]
        above = (good[:, None] > bad).mean() + (good[:, None] == bad).mean() / 2
        assert values["AUC"].value == pytest.approx(above)
        assert values["ECE"].value == errors.expected_calibration_error(probabilities, relevant)
        for interval in values.values():
            assert interval.low is not None
            assert interval.high is not None
            assert interval.low <= interval.high
    plain, own = (rows[name].values[2].interval.value for name in ("word-overlap", "calibrated"))
    assert plain == own


def test_a_row_without_scores_that_mean_something_has_a_reason(run: Run) -> None:
    rows = {row.table.row.trial.reranker: row for row in score_measures(run)}
    absences = [value.absence for value in rows["first-stage"].values]
    assert absences == [Absence.NO_PROBABILITIES, Absence.NO_PROBABILITIES, None]
    assert {value.absence for value in rows["rrf"].values} == {Absence.RANKS}
    assert all(value.interval.value is None for value in rows["rrf"].values)
    section = errors_of_scores(View(run))
    assert section is not None
    table, reasons = section.blocks[0], section.blocks[1]
    assert [column.better for column in table.columns[::2]][:3] == ["lower", "lower", "higher"]  # type: ignore[union-attr]
    texts = [str(item[0]) for item in reasons.items]  # type: ignore[union-attr]
    assert "rrf: no ECE, Brier, AUC: scores are ranks" in texts


def test_each_table_of_several_says_of_what_it_is(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = score_measures(run)
    others: list[RowScores] = []
    for row in rows:
        trial = row.table.row.trial.model_copy(update={"dataset": "other"})
        table = replace(row.table, row=replace(row.table.row, trial=trial))
        others.append(replace(row, table=table))
    monkeypatch.setattr(score_measures_section, "score_measures", lambda _: [*rows, *others])
    section = errors_of_scores(View(run))
    assert section is not None
    titles = [block.text for block in section.blocks if isinstance(block, Heading)]
    assert titles == ["everyday, bm25", "other, bm25"]


def test_nothing_ranks_by_a_measure_of_scores(run: Run) -> None:
    for name in SCORE_MEASURES:
        with pytest.raises(BenchError, match=f"{name} is a measure of scores over all pairs"):
            compare([run], measure=name)
        with pytest.raises(BenchError, match="no value per query"):
            bench.compose(run, ["bm25 > word-overlap"], measure=name)
        for record in run.records.values():
            assert name not in record.quality


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"measures": ["ECE"]}, r"measures.0: ECE is a measure of scores .* \[nDCG@10, ECE\]"),
        ({"measures": ["AUC", "RR@10"]}, r"such as \[RR@10, AUC\]"),
        ({"measures": ["RR@10", "ece"]}, "did you mean 'ECE'"),
        (
            {"measures": ["RR@10", "Brier"], "store_scores": False},
            "Brier is computed of the scores that a run keeps",
        ),
    ],
)
def test_what_a_suite_may_not_say(changes: dict[str, Any], problem: str) -> None:
    entries = {"name": "x", "datasets": ["embedded:everyday"], "rerankers": ["word-overlap"]}
    with pytest.raises(SuiteError, match=problem):
        suites.load({**entries, **changes})


def test_the_measures_of_rankings_and_of_scores_have_names_of_their_own() -> None:
    assert not set(SCORE_MEASURES) & set(measures.MEASURES)
    assert [measure.loss(0.1) for measure in (ECE, BRIER, AUC)] == [0.1, 0.1, -0.1]


def test_pairs_without_both_labels_have_no_auc() -> None:
    half = np.full(6, 0.5)
    pairs = JudgedPairs(["q"], half, np.ones(6), np.zeros(6, dtype=np.int64), are_ranks=False)
    assert score_value(pairs, AUC, 0).absence is Absence.ONE_LABEL
    assert score_value(pairs, BRIER, 0).interval.value == 0.25
    empty = pairs.over([])
    assert score_value(empty, ECE, 0).absence is Absence.NO_PAIRS


Probabilities = Mapping[str, Sequence[float]]


def probabilities(sharpness: float, seed: int = 3) -> Probabilities:
    """Probabilities that say the truth at a sharpness of 1."""
    rng = np.random.default_rng(seed)
    lists: dict[str, list[float]] = {}
    for number in range(QUERIES):
        logits = rng.normal(0, 1.5, DOCUMENTS)
        lists[f"q{number}"] = (1 / (1 + np.exp(-sharpness * logits))).tolist()
    return lists


def judged_run(folder: Path, name: str, lists: Probabilities) -> Run:
    """A run with these probabilities, and judgments drawn of the true ones."""
    rankings: dict[str, list[tuple[str, float]]] = {}
    judgments: list[tuple[str, str, str, int]] = []
    rng = np.random.default_rng(11)
    for query, own in lists.items():
        order = np.argsort(-np.array(own), kind="stable")
        rankings[query] = [(f"d{place}", own[place]) for place in order]
        for place, share in enumerate(probabilities(1.0)[query]):
            judgments.append(("tiny", query, f"d{place}", int(rng.uniform() < share)))
    run = made_run(
        folder,
        {"a": [0.5] * QUERIES},
        rankings={"a": rankings},
        systems={"a": {"model": "a", "name": name}},
        name=name,
    )
    path = tables.path_of(run.folder, tables.JUDGMENTS, "group")
    tables.write_rows(path, tables.JUDGMENTS, judgments)
    return run


def gate(new: Run, old: Run, measure: str, margin: float) -> Gate:
    verdict = check(new, old, Gates(drift=None, quality={measure: margin}))
    (only,) = verdict.gates
    return only


@pytest.mark.parametrize(("measure", "better"), [("ECE", "lower"), ("Brier", "lower")])
def test_a_gate_knows_which_way_is_better(tmp_path: Path, measure: str, better: str) -> None:
    true = judged_run(tmp_path, "true", probabilities(1.0))
    blunt = judged_run(tmp_path, "blunt", probabilities(6.0))
    worse, improved = gate(blunt, true, measure, 0.01), gate(true, blunt, measure, 0.01)
    assert (worse.outcome, improved.outcome) == ("fail", "pass")
    assert worse.numbers["difference"] > 0
    assert improved.numbers["difference"] == pytest.approx(-worse.numbers["difference"])
    assert (worse.limit, worse.numbers["better"]) == ("< +0.01", better)
    same = gate(true, true_again(tmp_path), measure, 0.001)
    assert same.outcome == "pass"
    if measure == "Brier":
        assert (worse.numbers["p"] < 0.001, same.numbers["p"]) == (True, 1.0)
        assert "paired permutation test of the difference: p below .001" in worse.remark
    else:
        assert worse.numbers["p"] is None


def true_again(folder: Path) -> Run:
    return judged_run(folder, "again", probabilities(1.0))


def test_auc_is_better_the_higher_it_is(tmp_path: Path) -> None:
    true = judged_run(tmp_path, "true", probabilities(1.0))
    turned = judged_run(tmp_path, "turned", probabilities(-1.0))
    worse, improved = gate(turned, true, "AUC", 0.02), gate(true, turned, "AUC", 0.02)
    assert (worse.outcome, worse.limit) == ("fail", "> -0.02")
    assert improved.outcome == "pass"
    assert gate(judged_run(tmp_path, "same", probabilities(6.0)), true, "AUC", 0.02).numbers[
        "difference"
    ] == pytest.approx(0, abs=1e-12)


def test_a_saved_baseline_keeps_what_the_gate_reads(tmp_path: Path) -> None:
    true = judged_run(tmp_path, "true", probabilities(1.0))
    baseline = Run(save(true, "kept", tmp_path / "baselines"))
    blunt = judged_run(tmp_path, "blunt", probabilities(6.0))
    direct, kept = gate(blunt, true, "Brier", 0.01), gate(blunt, baseline, "Brier", 0.01)
    assert kept.numbers == direct.numbers


def test_the_difference_of_ece_does_not_count_the_noise_of_labels() -> None:
    """The ECE of a true list and of a blunt one differ less in few pairs than in truth."""
    rng = np.random.default_rng(4)
    plain: list[float] = []
    crossed: list[float] = []
    for number in range(30):
        logits = rng.normal(0, 1.5, (100, 10))
        true = 1 / (1 + np.exp(-logits))
        labels = (rng.uniform(size=true.shape) < true).astype(float).ravel()
        owners = np.repeat(np.arange(100), 10)
        queries = [str(place) for place in range(100)]
        blunt = 1 / (1 + np.exp(-1.6 * logits))
        ours = JudgedPairs(queries, blunt.ravel(), labels, owners, are_ranks=False)
        theirs = JudgedPairs(queries, true.ravel(), labels, owners, are_ranks=False)
        measured = score_difference(ours, theirs, ECE, number)
        plain.append(measured.value - measured.baseline_value)
        crossed.append(measured.difference)
    many = rng.normal(0, 1.5, 200_000)
    labels = (rng.uniform(size=many.shape) < 1 / (1 + np.exp(-many))).astype(float)
    truth = errors.expected_calibration_error(1 / (1 + np.exp(-1.6 * many)), labels)
    assert np.mean(plain) < 0.8 * truth
    assert np.mean(crossed) == pytest.approx(truth, abs=0.1 * truth)


def test_the_gate_is_open_where_there_is_no_value(tmp_path: Path) -> None:
    true = judged_run(tmp_path, "true", probabilities(1.0))
    raw = {query: [9 * share for share in own] for query, own in probabilities(1.0).items()}
    logits = judged_run(tmp_path, "logits", raw)
    one = gate(logits, true, "ECE", 0.01)
    assert (one.outcome, one.measured) == ("inconclusive", "no value")
    assert one.remark.startswith("new run: its scores are no probabilities")
    few = dict(list(probabilities(6.0).items())[:9])
    assert gate(judged_run(tmp_path, "few", few), true, "ECE", 0.01).outcome == "inconclusive"
    bare = made_run(tmp_path, {"a": [0.5] * QUERIES}, name="bare")
    assert gate(bare, true, "ECE", 0.01).outcome == "inconclusive"


def test_the_gates_file_takes_them(tmp_path: Path) -> None:
    path = tmp_path / "gates.yaml"
    path.write_text("quality: {nDCG@10: 0.01, ECE: 0.02, AUC: 0.01}\n")
    assert load(path).quality == {"nDCG@10": 0.01, "ECE": 0.02, "AUC": 0.01}
    path.write_text("quality: {ECE: 1}\n")
    with pytest.raises(SuiteError, match="a measure between 0 and 1 cannot lose so much"):
        load(path)


def test_tables_for_programs_and_papers_have_the_measures_of_scores(run: Run) -> None:
    values = {
        row.table.row.trial.id: {value.measure.name: value.interval for value in row.values}
        for row in score_measures(run)
    }
    frame = run.to_frame().set_index("reranker")
    text = export(run, "csv")
    assert isinstance(text, str)
    lines = {line["reranker"]: line for line in csv.DictReader(io.StringIO(text))}
    calibrated = values["everyday--bm25--calibrated"]
    for name in ("ECE", "Brier", "AUC"):
        own = calibrated[name]
        row = frame.loc["calibrated"]
        assert (row[name], row[f"{name} low"], row[f"{name} high"]) == (
            own.value,
            own.low,
            own.high,
        )
        assert float(lines["calibrated"][name]) == own.value
    # ranks have no errors, and the oracle no scores
    assert np.isnan(frame.loc["rrf", "ECE"])
    assert lines["oracle"]["AUC"] == ""
    latex = export(run, "latex")
    assert isinstance(latex, str)
    head = next(line for line in latex.splitlines() if line.strip().startswith("reranker &"))
    assert head.split(" \\\\")[0].endswith("ECE & Brier & AUC")
    row = next(line for line in latex.splitlines() if line.strip().startswith("calibrated"))
    assert f"{calibrated['AUC'].value:.4f}" in row


def test_a_run_that_asks_for_none_has_no_such_columns(tmp_path: Path) -> None:
    made = made_run(tmp_path, {"first-stage": [0.5, 0.4], "a": [0.6, 0.4]})
    assert not {"ECE", "Brier", "AUC"} & set(made.to_frame().columns)
