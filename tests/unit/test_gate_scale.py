"""The gate `scale`: same order, other scale."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.gate import Gate, Gates, Verdict, check, load
from bench.gate.file import ScaleGate
from bench.records.baselines import save
from bench.records.run import Run
from bench.reports.verdict import notes
from tests.support.made_runs import made_run

QUERIES, DOCUMENTS = 30, 5
VALUES = [0.5] * QUERIES
Scores = Mapping[str, Sequence[tuple[str, float]]]
Change = Callable[[float], float]


def scores(change: Change = float, seed: int = 3) -> Scores:
    """Falling scores from 0 to 1 of 30 queries, put through a change of scale."""
    rng = np.random.default_rng(seed)
    rankings: dict[str, list[tuple[str, float]]] = {}
    for number in range(QUERIES):
        falling = sorted(rng.uniform(0, 1, DOCUMENTS).tolist(), reverse=True)
        rankings[f"q{number}"] = [(f"d{i}", change(score)) for i, score in enumerate(falling)]
    return rankings


def run(folder: Path, name: str, rankings: Scores | None, version: int = 1, **more: Any) -> Run:
    by_name = None
    if rankings is not None:
        by_name = {"a": rankings}
    return made_run(
        folder,
        {"a": VALUES},
        rankings=by_name,
        systems={"a": {"model": "a", "version": version}},
        name=name,
        **more,
    )


def checked(new: Run, old: Run, **question: float) -> tuple[Verdict, Gate]:
    verdict = check(new, old, Gates(drift=None, scale=ScaleGate(**question)))
    (gate,) = [gate for gate in verdict.gates if gate.name == "scale"]
    return verdict, gate


@pytest.mark.parametrize("version", [1, 2])
def test_the_same_order_on_another_scale_fails_whichever_system_gave_it(
    tmp_path: Path, version: int
) -> None:
    old, new = run(tmp_path, "old", scores()), run(tmp_path, "new", scores(np.tanh), version)
    verdict, gate = checked(new, old)
    assert (verdict.outcome, gate.outcome, verdict.exit_code) == ("fail", "fail", 1)
    assert gate.numbers["tau"] == 1
    before = [[score for _, score in ranking] for ranking in scores().values()]
    distance = np.mean([np.abs(np.tanh(row) - np.array(row)).mean() for row in before])
    assert gate.numbers["distance"] == pytest.approx(distance)
    assert gate.numbers["range"] == pytest.approx(np.max(before) - np.min(before))
    (line,) = [note for note in notes(verdict) if note.startswith("a, scale:")]
    assert "same order, other scale: the best score of a query went 0.8" in line
    assert ("the same system by its record" in line) is (version == 1)
    others = [gate.outcome for gate in verdict.gates if gate.name != "scale"]
    assert others == ["pass"]


@pytest.mark.parametrize(
    ("change", "question", "outcome"),
    [
        (float, {}, "pass"),
        (lambda score: score + 1e-5, {}, "pass"),
        (lambda score: score + 0.01, {}, "fail"),
        (lambda score: score + 0.01, {"score": 0.05}, "pass"),
        (lambda score: 1e-6 * score, {}, "fail"),
    ],
)
def test_what_is_allowed(tmp_path: Path, change: Change, question: Any, outcome: str) -> None:
    pair = run(tmp_path, "new", scores(change)), run(tmp_path, "old", scores())
    assert checked(*pair, **question)[1].outcome == outcome


def test_sixteen_bits_allow_more(tmp_path: Path) -> None:
    old = run(tmp_path, "old", scores())
    new = made_run(
        tmp_path,
        {"a": VALUES},
        rankings={"a": scores(lambda score: score + 0.01)},
        systems={"a": {"dtype": "bfloat16"}},
        name="new",
    )
    gate = checked(new, old)[1]
    assert (gate.outcome, gate.limit) == ("pass", "≤ 5.00%")


def test_documents_that_change_places_are_no_other_scale(tmp_path: Path) -> None:
    turned = {
        query: [(f"d{DOCUMENTS - 1 - i}", score) for i, (_, score) in enumerate(ranking)]
        for query, ranking in scores().items()
    }
    gate = checked(run(tmp_path, "new", turned), run(tmp_path, "old", scores()))[1]
    assert (gate.outcome, gate.numbers["tau"], gate.numbers["distance"]) == ("pass", -1, 0)


def test_another_order_on_another_scale_is_called_so(tmp_path: Path) -> None:
    turned = {
        query: [(f"d{DOCUMENTS - 1 - i}", score / 2) for i, (_, score) in enumerate(ranking)]
        for query, ranking in scores().items()
    }
    gate = checked(run(tmp_path, "new", turned), run(tmp_path, "old", scores()))[1]
    assert gate.outcome == "fail"
    assert gate.remark.startswith("other scale, and another order (tau -1.000)")


def test_few_queries_far_off_are_counted(tmp_path: Path) -> None:
    moved = dict(scores())
    query, ranking = next(iter(moved.items()))
    moved[query] = [(doc_id, score - 500) for doc_id, score in ranking]
    gate = checked(run(tmp_path, "new", moved), run(tmp_path, "old", scores()))[1]
    assert gate.outcome == "fail"
    assert (gate.numbers["moved"], gate.numbers["queries"]) == (1, len(moved))
    assert f"1 of {len(moved)} queries moved by more than is allowed" in gate.remark


def test_a_baseline_without_scores_is_inconclusive(tmp_path: Path) -> None:
    verdict, gate = checked(run(tmp_path, "new", scores()), run(tmp_path, "old", None))
    assert (gate.outcome, gate.measured) == ("inconclusive", "not in the baseline")
    assert verdict.exit_code == 4


def test_places_of_an_order_have_no_scale(tmp_path: Path) -> None:
    places = {
        query: [(doc, float(DOCUMENTS - i)) for i, (doc, _) in enumerate(ranking)]
        for query, ranking in scores().items()
    }
    pair = run(tmp_path, "new", places), run(tmp_path, "old", places)
    gate = checked(*pair)[1]
    assert (gate.outcome, gate.decides) == ("incomparable", False)
    assert checked(pair[0], run(tmp_path, "third", scores()))[1].outcome == "fail"


def test_other_candidates_are_incomparable(tmp_path: Path) -> None:
    other = run(tmp_path, "old", scores(), quality={"candidates": "def"})
    gate = checked(run(tmp_path, "new", scores()), other)[1]
    assert gate.outcome == "incomparable"


def test_a_saved_baseline_holds_what_the_gate_reads(tmp_path: Path) -> None:
    old = Run(save(run(tmp_path, "old", scores()), "kept", tmp_path / "baselines"))
    assert checked(run(tmp_path, "new", scores()), old)[1].outcome == "pass"
    assert checked(run(tmp_path, "other", scores(np.tanh)), old)[1].outcome == "fail"


def test_the_gates_file_asks_for_it_by_an_empty_mapping(tmp_path: Path) -> None:
    path = tmp_path / "gates.yaml"
    path.write_text("scale: {}\nrerankers:\n  b: {scale: null}\n  c: {scale: {score: 0.1}}\n")
    gates = load(path)
    assert gates.of("a").scale == ScaleGate()
    assert gates.of("b").scale is None
    assert gates.of("c").scale == ScaleGate(score=0.1)
    assert Gates().scale is None


def test_a_ranking_of_one_query_alone_is_compared_on_what_both_have(tmp_path: Path) -> None:
    few = dict(list(scores().items())[:3])
    gate = checked(run(tmp_path, "new", few), run(tmp_path, "old", scores()))[1]
    assert gate.numbers["queries"] == 3
    assert "27 queries ranked by one run only" in gate.remark


def test_one_document_far_from_all_others_allows_no_other_scale(tmp_path: Path) -> None:
    odd = [("d0", 0.9), ("d1", -10_000.0)]
    before = {**scores(), "q7": odd}
    halved = {query: [(doc, score / 2) for doc, score in rows] for query, rows in before.items()}
    old = run(tmp_path, "old", before)
    _, gate = checked(run(tmp_path, "new", {**halved, "q7": odd}, version=2), old)
    assert (gate.outcome, gate.numbers["tau"]) == ("fail", 1)
    assert gate.numbers["range"] < 1
    verdict = check(run(tmp_path, "same", {**halved, "q7": odd}), old, Gates())
    assert [gate.outcome for gate in verdict.gates if gate.name == "drift"] == ["fail"]
