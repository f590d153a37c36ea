"""`rerank-bench calibrate` over a run whose scores and labels are drawn with a known curve."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench
from bench.calibration import errors, file, maps
from bench.calibration.cuts import steps_of
from bench.calibration.file import ErrorInterval
from bench.calibration.lists import ScoredLists
from bench.calibration.platt import Platt
from bench.contract.identity import Identity
from bench.contract.stage import Description
from bench.core.errors import BenchError, CalibrationError
from bench.core.note import Code
from bench.meaning.calibrate import RowCalibration, Settings, calibrate, calibrated, tables_of
from bench.meaning.cross_fitting import FOLDS, Recipe, cross_fitted, fold_numbers, lists_of
from bench.meaning.cut import cut
from bench.meaning.error_intervals import Labelled, auc_of, errors_of
from bench.meaning.resampling import Resampling
from bench.ranking.score_maps import digests_of, used_map
from bench.records.run import Run
from bench.records.tables import QUERY_FIELDS, path_of, write_rows
from bench.reports.calibrated import document
from bench.reports.calibrated import sentences as remarks
from bench.reports.cut import sentences
from bench.reports.document import Bullets, Table
from bench.reports.renderers import render
from tests.support.command import Ended
from tests.support.command import bench as command_line
from tests.support.made_maps import map_file
from tests.support.made_scores import scored_run
from tests.support.paths import ROOT

QUERIES, SIZE = 60, 10


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """`logits` follows the labels, `noise` does not, `chances` are the true probabilities, `places`
    are ranks. Every fifth document is unjudged.
    """
    rng = np.random.default_rng(5)
    rows: dict[str, dict[str, list[tuple[str, float]]]] = {
        name: {} for name in ("first-stage", "logits", "chances", "noise", "places")
    }
    judgments: list[tuple[str, str, int]] = []
    for number in range(QUERIES):
        query, names = f"q{number}", [f"d{place}" for place in range(SIZE)]
        chances = rng.beta(0.6, 1.4, size=SIZE).clip(0.01, 0.99)
        grades = (rng.random(SIZE) < chances) * 2
        scores = {
            "first-stage": rng.gamma(2, 4, size=SIZE),
            "logits": 3 * np.log(chances / (1 - chances)) + 4,
            "chances": chances,
            "noise": rng.normal(size=SIZE),
            "places": np.arange(SIZE, 0, -1),
        }
        for name, values in scores.items():
            rows[name][query] = list(zip(names, values.tolist(), strict=True))
        judgments += [
            (query, name, int(grade))
            for place, (name, grade) in enumerate(zip(names, grades, strict=True))
            if place % 5
        ]
    facts = {"min_relevance": 2, "relevant_only": False}
    made = scored_run(tmp_path_factory.mktemp("calibrate"), rows, judgments, facts=facts)
    values = [("language", f"q{number}", ("de", "en")[number % 2]) for number in range(QUERIES)]
    fields = [
        ("tiny", query, name, value) for name, query, value in [*values, ("source", "q0", "web")]
    ]
    write_rows(path_of(made.folder, QUERY_FIELDS, "tiny"), QUERY_FIELDS, fields)
    return Run(made.folder)


@pytest.fixture(scope="module")
def rows(run: Run) -> dict[str, RowCalibration]:
    names = ("logits", "chances", "places")
    tables = [table for table in tables_of(run) if table.row.trial.reranker in names]
    calibrations = calibrated(run, tables, Settings(), is_named=False)
    return {row.table.row.trial.reranker: row for row in calibrations}


def command(run: Run, *arguments: object, width: int = 110) -> Ended:
    """Return how `calibrate` ended over a run."""
    words = [str(word) for word in arguments]
    return command_line("calibrate", str(run.folder), *words, cwd=run.folder, width=width)


def value(row: RowCalibration, name: str, error: str, reading: int = 0) -> float:
    (each,) = [each for each in row.readings[reading].all if each.name == name]
    number = each.errors[error].value
    assert number is not None
    return number


def test_true_probabilities_are_calibrated_and_a_map_finds_them(
    rows: dict[str, RowCalibration],
) -> None:
    chances, logits = rows["chances"], rows["logits"]
    assert value(chances, "as they are", "ece_mass") < 0.06
    assert value(logits, "logistic of them", "ece_mass") > 0.2
    for kind in ("platt", "isotonic", "beta"):
        assert value(logits, kind, "ece_mass") < 0.08
    best = value(chances, "as they are", "brier")
    assert value(logits, "platt", "brier") == pytest.approx(best, abs=0.01)
    assert value(logits, "platt", "brier_skill") > 0.2


def test_the_best_map_has_the_highest_brier_skill(rows: dict[str, RowCalibration]) -> None:
    reading = rows["logits"].readings[0]
    skills = {each.name: each.errors["brier_skill"].value or 0.0 for each in reading.maps}
    worst = min(reading.maps, key=lambda each: skills[each.name])
    low = {**worst.errors, "log_loss": ErrorInterval(value=0.0)}
    others = [each for each in reading.maps if each is not worst]
    best = replace(reading, maps=[replace(worst, errors=low), *others]).best
    assert best is not None
    assert skills[best.name] == max(skills.values()) > skills[worst.name]


def test_fitting_on_the_queries_measured_would_look_better(run: Run) -> None:
    """Scores without any meaning: what is fitted on the measured queries looks skilled, and what is
    fitted on others does not.
    """
    (table,) = tables_of(run, "noise")
    labels = table.labels(unjudged_as_not_relevant=True)
    lists = lists_of(table)
    fold_of = fold_numbers(run, table, FOLDS, 0)
    for kind in ("isotonic", "platt", "beta"):
        same = maps.fitted(kind, lists, labels).of_lists(lists)
        other = cross_fitted(Recipe(kind), lists, labels, fold_of)
        assert errors.brier_skill(same, labels) > 0 > errors.brier_skill(other, labels)
        assert errors.log_loss(same, labels) < errors.log_loss(other, labels)
    same = maps.fitted("isotonic", lists, labels).of_lists(lists)
    other = cross_fitted(Recipe("isotonic"), lists, labels, fold_of)
    in_sample = errors.expected_calibration_error(same, labels)
    assert in_sample < 1e-9
    assert errors.expected_calibration_error(other, labels) > 0.01


def test_a_query_is_measured_by_a_map_of_other_queries(run: Run) -> None:
    (table,) = tables_of(run, "logits")
    labels = table.labels(unjudged_as_not_relevant=True)
    lists, fold_of = lists_of(table), fold_numbers(run, table, FOLDS, 0)
    before = cross_fitted(Recipe("platt"), lists, labels, fold_of)
    own = fold_of == 3
    changed = labels.copy()
    changed[np.repeat(own, SIZE)] = 1 - changed[np.repeat(own, SIZE)]
    after = cross_fitted(Recipe("platt"), lists, changed, fold_of)
    assert (before == after)[np.repeat(own, SIZE)].all()
    assert (before != after)[~np.repeat(own, SIZE)].all()


def test_groups_have_maps_of_their_own(run: Run) -> None:
    (table,) = tables_of(run, "logits")
    labels = table.labels(unjudged_as_not_relevant=True)
    lists, fold_of = lists_of(table), fold_numbers(run, table, FOLDS, 0)
    names = ["even" if number % 2 == 0 else "odd" for number in range(QUERIES)]
    own = cross_fitted(Recipe("platt"), lists, labels, fold_of, names)
    is_even = np.array([name == "even" for name in names])
    part, is_theirs = lists.part(is_even)
    alone = cross_fitted(Recipe("platt"), part, labels[is_theirs], fold_of[is_even])
    assert own[is_theirs] == pytest.approx(alone)


def test_unjudged_documents_are_left_out_and_the_other_reading_is_next_to_it(
    rows: dict[str, RowCalibration],
) -> None:
    row = rows["chances"]
    left_out, not_relevant = row.readings
    assert (left_out.unjudged, not_relevant.unjudged) == ("left-out", "not-relevant")
    assert row.unjudged == QUERIES * SIZE // 5
    assert (left_out.pairs, not_relevant.pairs) == (QUERIES * SIZE * 4 // 5, QUERIES * SIZE)
    assert left_out.relevant == not_relevant.relevant
    assert value(row, "as they are", "ece_mass", 1) > value(row, "as they are", "ece_mass")


def test_maps_of_few_judged_documents_say_so(
    rows: dict[str, RowCalibration], tmp_path: Path
) -> None:
    """A document that nobody judged gets the probability of judged ones."""
    assert "no part in its maps" not in " ".join(remarks(list(rows.values())))
    lists = {
        f"q{number}": [(f"d{place}", 5 - place**0.5 + number / 9) for place in range(5)]
        for number in range(20)
    }
    judgments = [(query, name, int(name == "d0") * 2) for query in lists for name in ("d0", "d1")]
    facts = {"min_relevance": 2, "relevant_only": False}
    few = scored_run(tmp_path, {"few": lists}, judgments, facts=facts)
    (row,) = [row for row in calibrate(few) if row.table.row.trial.reranker == "few"]
    (text,) = [text for text in remarks([row]) if "no part in its maps" in text]
    assert text.startswith("few (cpu): 60 of 100 documents have no judgment, and no part in its m")
    assert "Of those that have one 50 % are relevant, of all at least 20 %: a map gives" in text


def test_ranks_are_marked_among_all_and_refused_alone(
    run: Run, rows: dict[str, RowCalibration]
) -> None:
    row = rows["places"]
    assert row.table.are_ranks
    assert row.readings[0].maps == []
    assert set(row.readings[0].raw[0].errors) == {"auc"}
    with pytest.raises(CalibrationError, match="its scores are ranks"):
        calibrate(run, "places")
    text = render(document(list(rows.values())), "markdown")
    assert "places (cpu): its scores are ranks" in text


def test_several_rows_have_a_line_each_with_their_best_map(rows: dict[str, RowCalibration]) -> None:
    (section,) = document(list(rows.values())).sections
    (table,) = [block for block in section.blocks if isinstance(block, Table)]
    assert [line.name for line in table.rows] == [row.table.name for row in rows.values()]
    for line, row in zip(table.rows, rows.values(), strict=True):
        best = row.readings[0].best
        if best is None:
            assert not {"map", "brier_skill", "ece_mass"} & set(line.cells)
            continue
        assert line.cells["map"].text == best.name
        assert line.cells["brier_skill"].number == best.errors["brier_skill"].value
        assert line.cells["ece_mass"].number == best.errors["ece_mass"].value
        assert line.cells["auc"].number == row.readings[0].raw[0].errors["auc"].value
    lines = [block for block in section.blocks if isinstance(block, Bullets)]
    assert ("Here: unjudged left out.",) in [line for block in lines for line in block.items]
    (own,) = document([rows["logits"]]).sections
    assert sum(isinstance(block, Table) for block in own.blocks) == len(rows["logits"].readings)


def test_intervals_are_of_queries_drawn_with_their_documents() -> None:
    """The vectorised intervals are those of a plain loop over the same draws."""
    rng = np.random.default_rng(1)
    owners = np.repeat(np.arange(20), 7)
    probabilities = rng.random(len(owners))
    labels = (rng.random(len(owners)) < probabilities).astype(float)
    resampling = Resampling(20, 3, resamples=200)
    own = errors_of(probabilities, Labelled(labels, owners, resampling))
    plain: dict[str, list[float]] = {
        name: [] for name in ("brier", "brier_skill", "log_loss", "auc")
    }
    for counts in resampling.counts.astype(int):
        drawn = np.repeat(np.arange(len(owners)), counts[owners])
        for name, values in plain.items():
            values.append(getattr(errors, name)(probabilities[drawn], labels[drawn]))
    for name, values in plain.items():
        low, high = np.quantile(values, [0.025, 0.975])
        assert own[name].low == pytest.approx(low)
        assert own[name].high == pytest.approx(high)
        assert own[name].value == getattr(errors, name)(probabilities, labels)
    assert resampling.counts.sum(axis=1).tolist() == [20.0] * 200


def test_many_steps_of_scores_change_an_auc_interval_by_little() -> None:
    rng = np.random.default_rng(2)
    owners = np.repeat(np.arange(100), 40)
    labels = (rng.random(len(owners)) < 0.3).astype(float)
    scores = rng.normal(labels, 1.0)
    resampling = Resampling(100, 3, resamples=100)
    own = auc_of(scores, Labelled(labels, owners, resampling))
    plain = []
    for counts in resampling.counts.astype(int):
        drawn = np.repeat(np.arange(len(owners)), counts[owners])
        plain.append(errors.auc(scores[drawn], labels[drawn]))
    low, high = np.quantile(plain, [0.025, 0.975])
    assert own.low == pytest.approx(low, abs=3e-4)
    assert own.high == pytest.approx(high, abs=3e-4)


def test_equal_scores_count_half_in_an_auc_interval_of_many_steps() -> None:
    """Most documents have the same score, and the relevant ones come first."""
    scores = np.concatenate([np.arange(1, 601), np.zeros(3000)])
    labels = np.concatenate([np.arange(600) % 2, np.ones(1500), np.zeros(1500)])
    resampling = Resampling(2, 3, resamples=100)
    own = auc_of(scores, Labelled(labels, np.zeros(3600, dtype=np.int64), resampling))
    assert own.value == errors.auc(scores, labels)
    assert own.low == pytest.approx(own.value, abs=1e-3)
    assert own.high == pytest.approx(own.value, abs=1e-3)


def test_a_saved_map_is_of_all_queries_and_says_what_it_was_fitted_on(
    run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "calibration.json"
    done = command(run, "logits", "--out", path, "--map", "isotonic")
    assert done.returncode == 0
    calibration = file.read(path)
    (table,) = tables_of(run, "logits")
    labels = table.labels(unjudged_as_not_relevant=False)
    assert calibration.map == maps.fitted("isotonic", lists_of(table), labels)
    facts = calibration.fitted_on
    record = run.records["tiny--bm25--logits"]
    assert facts.identity == record.system.hash
    assert (facts.reranker, facts.dataset, facts.relevant_from) == ("logits", "tiny", 2)
    assert (facts.pairs, facts.unjudged_pairs, facts.queries) == (480, 120, 60)
    assert facts.unjudged == "left-out"
    assert facts.raw is not None
    cross_fitted_errors = calibrate(run, "logits")[0].readings[0].maps[2].errors
    assert facts.cross_fitted == cross_fitted_errors


def test_programs_get_every_error_and_the_curve(run: Run) -> None:
    done = command(run, "chances", "--format", "json")
    (row,) = json.loads(done.stdout)
    assert [reading["unjudged"] for reading in row["readings"]] == ["left-out", "not-relevant"]
    scores = {each["name"]: each for each in row["readings"][0]["scores"]}
    assert list(scores) == ["as they are", "platt", "platt + z + gap", "isotonic", "beta"]
    names = {"ece_mass", "ece_width", "brier", "brier_skill", "log_loss", "auc"}
    for each in scores.values():
        assert set(each["errors"]) == names
        assert sum(point["documents"] for point in each["reliability"]) == 480
        for error in each["errors"].values():
            assert error["low"] <= error["value"] + 1e-12
            assert error["value"] <= error["high"] + 1e-12


def test_a_notebook_gets_the_same(run: Run) -> None:
    answer = bench.calibrate(run.folder, "chances")
    frame = answer.to_frame()
    done = command(run, "chances", "--format", "csv")
    assert len(frame) == len(done.stdout.splitlines()) - 1
    assert "platt" in answer._repr_html_()


def test_a_notebook_gets_the_same_cut(run: Run) -> None:
    done = command(run, "logits", "--keep-recall", "0.8", "--on", run.folder, "--format", "json")
    (row,) = json.loads(done.stdout)
    answer = bench.cut(run.folder, "logits", keep_recall=0.8, on=run)
    assert answer[0].threshold == row["threshold"]
    assert answer[0].here.recall.value == row["here"]["recall"]["value"]
    assert len(answer.to_frame()) == 2 + len(row["carried"]) == 3
    assert "Promised" in answer._repr_html_()
    for options in ({}, {"keep_recall": 0.8, "keep_precision": 0.5}, {"keep_recall": 1.5}):
        with pytest.raises(CalibrationError, match="keep_"):
            bench.cut(run, "logits", **options)  # type: ignore[arg-type]


def test_the_lines_of_the_docs_apply_a_map() -> None:
    page = (ROOT / "docs" / "scores.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    space: dict[str, Any] = {}
    exec(text, space)
    own = Platt(**space["platt"])
    assert space["probabilities"] == pytest.approx(own.probabilities(space["scores"]))


@pytest.mark.parametrize("form", ["table", "markdown", "csv"])
def test_ece_is_never_alone(run: Run, form: str) -> None:
    text = command(run, "logits", "--format", form, width=60).stdout
    if form == "csv":
        assert {"ece_mass", "brier_skill", "log_loss"} <= set(text.splitlines()[0].split(","))
    else:
        for line in text.splitlines():
            assert "ECE" not in line or "Brier skill" in line or "columns" in line
        assert "ECE" in text


def test_a_picture_is_drawn(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "curve.svg"
    assert command(run, "logits", "--plot", path).returncode == 0
    assert "platt: ECE" in path.read_text()


def test_a_cut_says_what_it_promises_and_what_it_keeps(run: Run) -> None:
    (table,) = tables_of(run, "logits")
    done = cut(run, table, "recall", 0.8)
    labels = table.labels(unjudged_as_not_relevant=False)
    is_kept = table.scores >= done.threshold
    here = done.here
    assert here.precision.value == labels[is_kept & (labels >= 0)].mean()
    assert here.documents.value == is_kept.sum() / QUERIES
    assert here.of_documents == SIZE
    is_relevant = labels == 1
    relevant = np.bincount(table.owners[is_relevant])
    kept = np.bincount(table.owners[is_relevant & is_kept], minlength=len(relevant))
    recalls = kept[relevant > 0] / relevant[relevant > 0]
    assert here.recall.value == pytest.approx(recalls.mean())
    assert done.queries == (relevant > 0).sum()
    empty = 1 - len(set(table.owners[is_kept].tolist())) / QUERIES
    assert here.empty.value == pytest.approx(empty)
    assert recalls.mean() >= 0.8
    assert done.low <= done.threshold <= done.high
    assert here.tokens is None
    assert "at least 80 % of its relevant" in next(sentences(done))
    assert "at least 99.5 % of its relevant" in next(sentences(replace(done, level=0.995)))


def test_a_cut_of_other_folds_serves_each_query(run: Run) -> None:
    """With labels of a fold changed, its own documents are kept as before."""
    (table,) = tables_of(run, "logits")
    done = cut(run, table, "recall", 0.8)
    lists, labels = lists_of(table), table.labels(unjudged_as_not_relevant=False)
    fold_of = fold_numbers(run, table, FOLDS, run.seed)
    is_kept = np.zeros(len(table.scores), dtype=bool)
    for fold in range(FOLDS):
        part, is_theirs = lists.part(fold_of != fold)
        threshold = steps_of("recall", part, labels[is_theirs]).threshold(0.8)
        own = fold_of[table.owners] == fold
        is_kept[own] = table.scores[own] >= threshold
    assert done.elsewhere.documents.value == is_kept.sum() / QUERIES


def test_a_threshold_is_tried_on_another_run(run: Run) -> None:
    done = command(run, "logits", "--keep-precision", 0.5, "--on", run.folder, "--format", "json")
    (answer,) = json.loads(done.stdout)
    (carried,) = answer["carried"]
    assert carried["same_identity"] is True
    assert carried["run"] == run.info.id
    assert carried["precision"] == answer["here"]["precision"]
    assert answer["keeps"] == "scores"
    assert any("query precision" in note for note in answer["notes"])
    assert command(run, "logits", "--keep-recall", 0.9).returncode == 0


def test_too_few_queries_are_named(run: Run) -> None:
    text = command(run, "logits", "--keep-recall", 0.999, "--format", "markdown").stdout
    assert "999 are needed" in text
    assert "-∞" in text


def test_a_field_of_the_queries_gives_each_group_a_map(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    done = command(run, "logits", "--by", "language", "--out", path, "--format", "markdown")
    assert "maps of its own: de, en" in done.stdout
    calibration = file.read(path)
    assert calibration.by == "language"
    (table,) = tables_of(run, "logits")
    labels = table.labels(unjudged_as_not_relevant=False)
    is_english = np.array([int(query_id[1:]) % 2 == 1 for query_id in table.query_ids])
    part, is_theirs = lists_of(table).part(is_english)
    assert calibration.groups["en"] == maps.fitted("platt", part, labels[is_theirs])
    assert calibration.map == maps.fitted("platt", lists_of(table), labels)


PLANTED: list[tuple[tuple[Any, ...], str]] = [
    (("absent",), "there is no row 'absent'"),
    (("logits", "--dataset", "other"), "there is no dataset 'other'; there is tiny"),
    (("--out", "map.json"), "--out is of one row"),
    (("logits", "--plot", "curve.txt"), "give a name that ends in .png"),
    (("logits", "--folds", "500"), "cannot be parted into 500 folds"),
    (("logits", "--keep-recall", "1.5"), "1.5 is not in the range"),
    (("logits", "--keep-precision", "nan"), "nan is not in the range"),
    (("--keep-recall", "0.9"), "a threshold is of one reranker"),
    (("logits", "--keep-recall", "0.9", "--keep-precision", "0.9"), "give one of them"),
    (("logits", "--on", "tiny"), "--on tries a threshold"),
    (("logits", "--keep-recall", "0.9", "--on", "none"), "--on: no dataset of this run (tiny)"),
    (("logits", "--map", "beta"), "--map and --place decide what --out writes"),
    (("logits", "--place"), "--map and --place decide what --out writes"),
    (("places", "--keep-recall", "0.9"), "its scores are ranks"),
    (("logits", "--by", "langage"), "keeps no field 'langage' of tiny's queries: did you mean"),
    (("logits", "--by", "source"), "59 queries of tiny, such as 'q1', have no field 'source'"),
    (("logits", "--map", "beta", "--place", "--out", "map.json"), "beta reads the score alone"),
]


@pytest.mark.parametrize(("arguments", "problem"), PLANTED)
def test_bad_input_gives_a_line(run: Run, arguments: tuple[Any, ...], problem: str) -> None:
    done = command(run, *arguments)
    assert done.returncode == 2
    assert problem in done.stderr
    assert "Traceback" not in done.stderr


def test_labels_of_a_single_kind_leave_a_reason(tmp_path: Path) -> None:
    lists = {f"q{number}": [("a", 0.9), ("b", 0.1)] for number in range(8)}
    judgments = [(query, doc, 0) for query in lists for doc in ("a", "b")]
    run = scored_run(tmp_path, {"first-stage": lists, "flat": lists}, judgments)
    (row,) = calibrate(run, "flat", settings=Settings(folds=2))
    platt = row.readings[0].maps[0]
    assert "needs relevant documents and others" in platt.problem
    assert platt.errors == {}
    assert row.readings[0].best is None
    with pytest.raises(BenchError, match="needs relevant documents"):
        maps.fitted("platt", lists_of(row.table), np.zeros(16))


@pytest.mark.filterwarnings("error")
def test_what_is_judged_in_no_list_or_in_a_single_one_has_no_numbers(tmp_path: Path) -> None:
    lists = {f"q{number}": [("a", 0.9 + number), ("b", 0.1), ("c", 0.05)] for number in range(8)}
    for judgments in ([("q0", "z", 1), ("q0", "y", 0)], [("q0", "a", 1), ("q0", "b", 0)]):
        run = scored_run(
            tmp_path / judgments[0][1], {"first-stage": lists, "row": lists}, judgments
        )
        (row,) = calibrate(run, "row", settings=Settings(folds=2))
        assert not [each for each in row.readings[0].maps if each.are_probabilities]
        text = render(document([row], curves=True), "markdown")
        assert "nan" not in text
        assert "No candidate is judged" in text or "needs relevant documents" in text


def test_a_row_of_too_few_queries_leaves_the_others_their_maps(tmp_path: Path) -> None:
    lists = {f"q{number}": [("a", 0.9 - number / 50), ("b", number / 40)] for number in range(12)}
    few = {query_id: lists[query_id] for query_id in list(lists)[:3]}
    judgments = [(query_id, "a", 1) for query_id in lists] + [
        (query_id, "b", 0) for query_id in lists
    ]
    run = scored_run(tmp_path, {"first-stage": lists, "few": few}, judgments)
    done = command(run)
    assert done.returncode == 0
    assert "first-stage" in done.stdout
    assert "No map of few (cpu): 3 queries" in done.stdout.replace("\n  ", " ")
    refused = command(run, "few")
    assert refused.returncode == 2
    assert "tiny--bm25--few: 3 queries of different texts cannot be parted" in refused.stderr
    cut_off = command(run, "few", "--keep-recall", "0.5")
    assert "tiny--bm25--few: 3 queries of different texts cannot be parted" in cut_off.stderr


def test_a_group_whose_labels_are_all_the_same_is_named() -> None:
    lists = ScoredLists(np.arange(8.0), np.arange(0, 9, 2))
    labels = np.array([0.0, 1, 0, 1, 1, 1, 1, 1])
    fold_of = np.array([0, 1, 0, 1])
    with pytest.raises(CalibrationError, match="the queries of 'en': a map needs relevant"):
        cross_fitted(Recipe("platt"), lists, labels, fold_of, ["de", "de", "en", "en"])


def brute_auc(values: np.ndarray, labels: np.ndarray) -> float:
    """The share of pairs of a relevant document and another in which the former is higher."""
    wins = [
        float(high > low) + 0.5 * float(high == low)
        for high in values[labels == 1]
        for low in values[labels == 0]
    ]
    return float(np.mean(wins))


def test_the_auc_of_maps_is_the_mean_of_the_folds_own(
    run: Run, rows: dict[str, RowCalibration]
) -> None:
    """Platt's curves rise, so that within a fold the AUC is that of the scores; pooled it is not,
    since each fold has a curve of its own.
    """
    (table,) = tables_of(run, "logits")
    labels = table.labels(unjudged_as_not_relevant=False)
    is_known = ~np.isnan(labels)
    folds = fold_numbers(run, table, FOLDS, 0)[table.owners]
    expected = []
    for fold in range(FOLDS):
        is_own = is_known & (folds == fold)
        expected.append(brute_auc(table.scores[is_own], labels[is_own]))
    assert value(rows["logits"], "platt", "auc") == pytest.approx(np.mean(expected), abs=1e-12)
    raw = value(rows["logits"], "as they are", "auc")
    assert raw == pytest.approx(brute_auc(table.scores[is_known], labels[is_known]), abs=1e-12)
    (own,) = [each for each in rows["logits"].readings[0].maps if each.name == "platt"]
    interval = own.errors["auc"]
    assert interval.low is not None
    assert interval.high is not None
    assert interval.low < value(rows["logits"], "platt", "auc") < interval.high


def test_rows_are_compared_by_a_permutation_of_queries(run: Run) -> None:
    """A brute force over the queries' shares of the Brier difference; the first stage is the
    baseline, by Platt's map.
    """
    answer = {row.table.row.trial.reranker: row for row in bench.calibrate(run)}
    assert answer["first-stage"].against is None
    assert answer["places"].against is None
    against = answer["chances"].against
    assert against is not None
    assert against.baseline == "first-stage"
    briers = [value(answer["chances"], "as they are", "brier")]
    briers.append(value(answer["first-stage"], "platt", "brier"))
    assert against.mean == pytest.approx(briers[0] - briers[1], abs=1e-12)
    reading = answer["first-stage"].readings[0]
    (platt,) = [each for each in reading.maps if each.name == "platt"]
    own = answer["chances"].readings[0].raw[0]
    assert own.squares is not None
    assert platt.squares is not None
    delta = own.squares - platt.squares
    signs = np.random.default_rng(7).choice([-1.0, 1.0], size=(20_000, len(delta)))
    p = (np.abs(signs @ delta) >= abs(delta.sum()) - 1e-12).mean()
    assert against.p == pytest.approx(p, abs=0.01)
    assert against.p < 0.01 <= answer["noise"].against.p  # type: ignore[union-attr]
    assert against.p <= against.p_holm
    text = " ".join(command(run, width=160).stdout.split())
    assert "paired permutation test over queries" in text
    done = json.loads(command(run, "--format", "json").stdout)
    stored = {row["reranker"]: row["brier_against"] for row in done}
    assert stored["chances"]["p_holm"] == against.p_holm


def planted(out: Path, outlier: float) -> Run:
    """60 queries whose scores follow the labels; one document that is not relevant has a score of
    its own.
    """
    rng = np.random.default_rng(3)
    lists: dict[str, list[tuple[str, float]]] = {}
    judgments: list[tuple[str, str, int]] = []
    for number in range(QUERIES):
        labels = (rng.random(SIZE) < 0.4).astype(int)
        scores = (labels + rng.normal(0, 0.7, SIZE)).tolist()
        if not number:
            labels[0], scores[0] = 0, outlier
        names = [f"d{place}" for place in range(SIZE)]
        lists[f"q{number}"] = list(zip(names, scores, strict=True))
        grades = zip(names, labels.tolist(), strict=True)
        judgments += [(f"q{number}", name, grade) for name, grade in grades]
    return scored_run(out, {"first-stage": lists, "a": lists}, judgments)


def test_a_far_score_that_flattens_platt_is_noted(tmp_path: Path) -> None:
    (plain,) = bench.calibrate(planted(tmp_path / "plain", 1.0), "a")
    (far,) = bench.calibrate(planted(tmp_path / "far", 4000.0), "a")
    assert list(plain.notes) == []
    (own,) = far.notes
    assert (own.code, own.count, own.total) == (Code.FAR_SCORES, 1, QUERIES * SIZE)
    assert value(far, "platt", "brier_skill") < 0.5 * value(plain, "platt", "brier_skill")
    assert value(far, "isotonic", "brier_skill") > 0.9 * value(plain, "isotonic", "brier_skill")
    text = " ".join(render(document([far]), "markdown").split())
    assert "1 of 600 scores are far off and flatten Platt's curve" in text


def test_no_file_is_written_where_no_map_could_be_fitted_on_other_queries(
    run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "map.json"
    folder = Path(shutil.copytree(run.folder, tmp_path / "run"))
    fields = [("tiny", f"q{number}", "many", f"g{number}") for number in range(QUERIES)]
    write_rows(path_of(folder, QUERY_FIELDS, "many"), QUERY_FIELDS, fields)
    done = command(Run(folder), "logits", "--by", "many", "--out", path)
    assert (done.returncode, path.exists()) == (2, False)
    assert done.stderr.count("\n") == 1
    assert "no platt map is written: none could be fitted on other queries" in done.stderr


def test_a_map_names_its_system_whatever_the_versions_of_libraries(
    run: Run, tmp_path: Path
) -> None:
    """A run under other library versions writes the same identity, and the map serves both."""
    path = tmp_path / "map.json"
    assert command(run, "logits", "--out", path).returncode == 0
    fitted = file.read(path).fitted_on
    assert fitted.identity == run.records["tiny--bm25--logits"].identity.digest
    parts = [{"backend": "x", "torch": "2.1"}, {"backend": "y", "libraries": {"onnx": "1"}}]
    old = Identity.read({"backend": "fuse", "torch": "2.1", "by": "rrf", "parts": parts})
    parts = [{"backend": "x", "torch": "2.9"}, {"backend": "y", "libraries": {"onnx": "2"}}]
    new = Identity.read({"backend": "fuse", "torch": "2.9", "by": "rrf", "parts": parts})
    other = Identity.read({"backend": "fuse", "torch": "2.9", "by": "rrf", "parts": parts[:1]})
    assert old.digest != new.digest
    assert old.without_libraries().digest == new.without_libraries().digest
    assert other.without_libraries().digest != new.without_libraries().digest


def test_a_map_that_is_fitted_anew_serves_the_reranker_under_other_library_versions(
    tmp_path: Path,
) -> None:
    made = Description("x", {"torch": "2.9", "model": "m"}, {})
    older = Description("x", {"torch": "2.1", "model": "m"}, {})
    identity = Identity.read({"backend": "x", "torch": "2.1", "model": "m"}).without_libraries()
    used = used_map(str(map_file(tmp_path / "new.json", identity=identity.digest)))
    assert used.refuse_other("x", made, "refuse") is None
    of_before = used_map(str(map_file(tmp_path / "old.json", identity=digests_of(older)[0])))
    assert of_before.refuse_other("x", older, "refuse") is None
    with pytest.raises(CalibrationError, match="library version"):
        of_before.refuse_other("x", made, "refuse")
