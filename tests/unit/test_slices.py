"""Classes of queries, and whether two groups of a run agree on an order."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from bench.comparison.orders import OrderAgreement, order_agreements, tau_b
from bench.comparison.slices import slicings
from bench.core.errors import BenchError
from bench.gate import Gates, check
from bench.quality import statistics
from bench.records.run import Run
from bench.records.tables import QUERIES, QUERY_FIELDS, path_of, write_rows
from bench.reports import sliced
from bench.reports.renderers import render
from bench.reports.sections.orders import names_of
from tests.support.made_runs import MEASURE, made_run

RNG = np.random.default_rng(11)
QUERIES_OF_ALL = 60
FIRST = np.repeat([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], 10)
GAINS = np.where(np.arange(QUERIES_OF_ALL) % 2 == 0, 0.1, -0.1)
VALUES = {
    "first-stage": FIRST,
    "a": np.clip(FIRST + GAINS * RNG.uniform(0.5, 1, QUERIES_OF_ALL), 0, 1),
    "b": np.clip(FIRST + RNG.normal(0, 0.1, QUERIES_OF_ALL), 0, 1),
    "oracle": np.ones(QUERIES_OF_ALL),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Every second query is of language en, the others of hi, but for three of de."""
    folder = tmp_path_factory.mktemp("slices")
    run = made_run(folder, VALUES)
    trial = next(iter(run.records))
    texts, fields = [], []
    for i in range(QUERIES_OF_ALL):
        texts.append(("tiny", f"q{i}", "x" * (1 + i // 20)))
        language = "en" if i % 2 == 0 else "hi"
        if i in (1, 3, 5):
            language = "de"
        fields += [("tiny", f"q{i}", "language", language), ("tiny", f"q{i}", "year", str(i))]
    write_rows(path_of(run.folder, QUERIES, trial), QUERIES, texts)
    write_rows(path_of(run.folder, QUERY_FIELDS, trial), QUERY_FIELDS, fields)
    return Run(run.folder)


def test_a_field_parts_the_queries_and_small_classes_are_not_judged(run: Run) -> None:
    [table] = slicings(run, ["language"])
    assert [(piece.name, len(piece.queries)) for piece in table.small] == [("de", 3)]
    result = next(
        result
        for result in table.results
        if (result.piece.name, result.new.trial.reranker) == ("hi", "a")
    )
    places = [i for i in range(QUERIES_OF_ALL) if i % 2 and i not in (1, 3, 5)]
    expected = statistics.difference(
        list(VALUES["a"][places]), list(FIRST[places]), result.new.run.seed
    )
    assert (result.difference.mean, result.difference.p) == pytest.approx(
        (expected.mean, expected.p)
    )
    assert result.mean == pytest.approx(VALUES["a"][places].mean())
    # a gain and a loss that cancel each other over all queries
    signs = {
        r.piece.name: r.difference.mean > 0 for r in table.results if r.new.trial.reranker == "a"
    }
    assert signs == {"en": True, "hi": False}


def test_p_is_corrected_for_all_rows_and_slices_of_a_table(run: Run) -> None:
    [table] = slicings(run, ["language"])
    ps = [result.difference.p for result in table.results]
    assert len(ps) == 4
    assert [result.p_holm for result in table.results] == statistics.holm(ps)


@pytest.mark.parametrize(
    ("field", "names"),
    [
        ("difficulty", ["hard", "medium", "easy"]),
        ("length", ["short", "medium", "long"]),
        ("year", ["low", "medium", "high"]),
    ],
)
def test_numbers_are_cut_into_thirds_and_equal_ones_stay_together(
    run: Run, field: str, names: list[str]
) -> None:
    [table] = slicings(run, [field])
    pieces = {result.piece.name: result.piece for result in table.results}
    assert list(pieces) == names
    assert [len(piece.queries) for piece in pieces.values()] == [20, 20, 20]
    spans = [piece.span for piece in pieces.values() if piece.span]
    assert all(before[1] < after[0] for before, after in pairwise(spans))


def test_without_fields_all_are_shown_and_an_unknown_one_is_refused(run: Run) -> None:
    fields = [table.field for table in slicings(run)]
    assert fields == ["language", "year", "length", "difficulty"]
    with pytest.raises(BenchError, match="did you mean 'language'"):
        slicings(run, ["lang"])


def test_the_document_says_what_is_left_out_and_how_hard_queries_mislead(run: Run) -> None:
    text = render(sliced.document(slicings(run, ["language", "difficulty"])), "markdown")
    assert "Fewer than 10 queries, not judged: de (3)." in text
    assert "regression to the mean" in text
    assert f"Thirds by the first stage's {MEASURE}" in text
    assert "oracle" not in text
    lines = render(sliced.document(slicings(run, ["language"])), "csv").splitlines()
    assert len(lines) == 1 + 4 + 1


@pytest.mark.parametrize("seed", range(5))
def test_tau_b_is_scipys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = rng.integers(0, 5, 9).astype(float), rng.integers(0, 5, 9).astype(float)
    assert tau_b(left, right) == pytest.approx(kendalltau(left, right).statistic)


def test_one_collection_has_no_order_to_agree_with(tmp_path: Path) -> None:
    values = {"first-stage": FIRST, "a": FIRST, "b": VALUES["b"]}
    assert order_agreements(made_run(tmp_path, values)) == []


def test_pairs_of_groups_that_differ_in_the_same_are_told_apart() -> None:
    groups = [("en", "bm25", 20), ("de", "bm25", 20), ("en", "dense", 20), ("de", "dense", 20)]
    pairs = [(groups[0], groups[1]), (groups[2], groups[3]), (groups[0], groups[3])]
    agreements = [OrderAgreement(*pair, 6, 0.5, 0.1, 0.9, ("a", "b")) for pair in pairs]
    assert names_of(agreements) == [
        "en / de, bm25",
        "en / de, dense",
        "en / de, bm25 / dense",
    ]


def test_a_gate_sees_a_loss_in_one_class_that_the_mean_hides(tmp_path: Path) -> None:
    """One language loses .1 and the other gains it."""
    values = {"first-stage": FIRST, "a": np.full(QUERIES_OF_ALL, 0.5)}
    old = made_run(tmp_path, values, name="old")
    shifts = np.where(np.arange(QUERIES_OF_ALL) % 2 == 0, 0.1, -0.1)
    shifts += RNG.normal(0, 0.005, QUERIES_OF_ALL)
    new = made_run(tmp_path, {**values, "a": values["a"] + shifts}, name="new")
    rows = []
    for i in range(QUERIES_OF_ALL):
        language = "de" if i in (1, 3, 5) else ("en", "hi")[i % 2]
        rows.append(("tiny", f"q{i}", "language", language))
    trial = next(iter(new.records))
    write_rows(path_of(new.folder, QUERY_FIELDS, trial), QUERY_FIELDS, rows)
    gates = Gates(quality={MEASURE: 0.04}, drift=None, slices={"language": 0.05, "shoe": 0.05})
    verdict = check(Run(new.folder), old, gates)
    outcomes = {gate.name: gate.outcome for gate in verdict.gates}
    assert outcomes == {
        f"quality {MEASURE}": "pass",
        f"quality {MEASURE}, language en": "pass",
        f"quality {MEASURE}, language hi": "fail",
        "quality by shoe": "incomparable",
    }
    assert any("not judged: de (3)" in gate.remark for gate in verdict.gates)
    assert verdict.exit_code == 1


def with_fields(run: Run, fields: list[tuple[str, str, str, str]]) -> Run:
    write_rows(path_of(run.folder, QUERY_FIELDS, next(iter(run.records))), QUERY_FIELDS, fields)
    return Run(run.folder)


def test_a_margin_that_a_class_cannot_lose_does_not_pass(tmp_path: Path) -> None:
    low = np.where(np.arange(40) < 20, 0.03, 0.6)
    fields = [("tiny", f"q{i}", "kind", "hard" if i < 20 else "easy") for i in range(30)]
    old = made_run(tmp_path, {"a": low}, name="old")
    gates = Gates(quality={MEASURE: 0.1}, drift=None, slices={"kind": 0.05})
    seen = {}
    for name, hard in {"same": 0.03, "zeros": 0.0}.items():
        values = np.where(np.arange(40) < 20, hard, 0.6)
        new = with_fields(made_run(tmp_path, {"a": values}, name=name), fields)
        seen[name] = {gate.name: gate for gate in check(new, old, gates).gates}
    hard_class, easy_class = (f"quality {MEASURE}, kind {kind}" for kind in ("hard", "easy"))
    assert seen["same"][hard_class].outcome == "inconclusive"
    assert "0.05 cannot be lost: the baseline's mean is 0.0300" in seen["same"][hard_class].remark
    assert seen["same"][easy_class].outcome == "pass"
    assert seen["zeros"][hard_class].outcome == "fail"
    assert "10 queries without a kind, not judged" in seen["same"][hard_class].remark


def test_numbers_without_an_order_part_no_queries(tmp_path: Path) -> None:
    fields = []
    for i in range(QUERIES_OF_ALL):
        fields.append(("tiny", f"q{i}", "year", "nan" if i % 7 == 0 else str(i)))
    run = with_fields(made_run(tmp_path, VALUES), fields)
    with pytest.raises(BenchError, match="--by year: no field that parts the queries"):
        slicings(run, ["year"])
