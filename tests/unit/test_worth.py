"""Whether a gain is worth its price, from made rows whose answers are known."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest

from bench.comparison import worth
from bench.comparison.worth import worths
from bench.contract.candidates import QueryCandidates
from bench.contract.trial import Trial
from bench.datasets.folds import folds
from bench.quality import statistics
from bench.records.rows import Row
from bench.records.run import Run
from bench.records.scores import score_writer
from bench.reports.sections.worth import sentence
from bench.rerankers.composed.base import ordered

MEASURE = "nDCG@10"


class MadeRun:
    """What `worths` reads of a run: per-query values and texts."""

    seed = 7
    # no scores are kept there
    folder = Path("nowhere")

    def __init__(self, values: dict[str, dict[str, float]]) -> None:
        self.by_trial = values
        names = list(next(iter(values.values())))
        self.queries = pd.DataFrame({"query": names, "text": [f"text of {n}" for n in names]})

    def values(self, trial_id: str, measure: str) -> dict[str, float]:
        assert measure == MEASURE
        return self.by_trial[trial_id]


def row(run: MadeRun, first_stage: str, name: str, base: str | None = None, **facts: Any) -> Row:
    values = list(run.by_trial[f"{first_stage}-{name}"].values())
    differences = {}
    if base is not None:
        against = list(run.by_trial[base].values())
        differences = {MEASURE: statistics.difference(values, against)}
    trial = Trial(
        id=f"{first_stage}-{name}",
        dataset="d",
        first_stage=first_stage,
        reranker=name,
        depth=10,
        kind="reference" if base is None else "reranker",
    )
    quality = {MEASURE: statistics.estimate(values)}
    return Row(trial, "done", None, quality=quality, differences=differences, **facts)


def made(*values: list[float]) -> MadeRun:
    names = ["a-first-stage", "b-first-stage", "a-good", "a-bad"]
    return MadeRun(
        {
            name: {f"q{number}": value for number, value in enumerate(own)}
            for name, own in zip(names, values, strict=False)
        }
    )


def test_a_row_that_is_better_everywhere_is_the_choice_on_every_half() -> None:
    run = made([0.5] * 8, [0.4] * 8, [0.9] * 6 + [0.8, 0.7], [0.1] * 4 + [0.6] * 4)
    rows = [row(run, "a", "first-stage"), row(run, "b", "first-stage")]
    rows += [row(run, "a", "bad", "a-first-stage"), row(run, "a", "good", "a-first-stage")]
    found = worths(cast(Run, run), rows, MEASURE)
    assert found is not None
    best, bad = found.rows
    assert (best.row.name, bad.row.name) == ("good", "bad")
    assert (best.hurt, best.helped, bad.hurt, bad.helped) == (0, 1, 0.5, 0.5)
    assert (best.best_in_halves, bad.best_in_halves, found.survival) == (1, 0, 1)
    assert (found.best_search, found.search, found.queries) == ("a", ["a", "b"], 8)
    # the first stage "a" is the better one on either half
    assert best.over_search is not None
    assert best.over_search.mean == pytest.approx(best.gain.mean)


def test_the_first_stage_to_compare_with_is_chosen_on_the_other_half() -> None:
    """Each first stage is best on one half alone: chosen on the other half, it is the worse one."""
    values = ["q0", "q1", "q2", "q3"]
    texts = {name: f"text of {name}" for name in values}
    half = folds(texts, 2, MadeRun.seed)
    on_first = [1.0 if half[name] == 0 else 0.0 for name in values]
    on_second = [1.0 - value for value in on_first]
    run = made(on_first, on_second, [0.25] * 4)
    rows = [row(run, "a", "first-stage"), row(run, "b", "first-stage")]
    rows.append(row(run, "a", "good", "a-first-stage"))
    found = worths(cast(Run, run), rows, MEASURE)
    assert found is not None
    assert found.rows[0].over_search is not None
    assert found.rows[0].over_search.mean == pytest.approx(0.25)


def test_rows_that_differ_by_chance_alone_rarely_survive() -> None:
    import numpy as np

    generator = np.random.default_rng(1)
    columns = [list(generator.random(200)) for _ in range(4)]
    run = made(*columns)
    rows = [row(run, "a", "first-stage"), row(run, "b", "first-stage")]
    rows += [row(run, "a", "good", "a-first-stage"), row(run, "a", "bad", "a-first-stage")]
    found = worths(cast(Run, run), rows, MEASURE)
    assert found is not None
    # four choices without a difference: a quarter is chance
    assert found.survival < 0.5


def test_a_price_needs_a_gain_and_a_time() -> None:
    run = made([0.5] * 4, [0.4] * 4, [0.6] * 4, [0.4] * 4)
    rows = [row(run, "a", "first-stage"), row(run, "a", "good", "a-first-stage")]
    rows.append(row(run, "a", "bad", "a-first-stage"))
    found = worths(cast(Run, run), rows, MEASURE)
    assert found is not None
    good, bad = found.rows
    assert good.over_search is None, "there is one first stage: nothing to choose"
    assert (good.ms_per_point, good.usd_per_point) == (None, None)
    timed = worth.Worth(good.row, good.gain, None, 1.0, added_ms=50.0, usd=2.0)
    assert timed.ms_per_point == pytest.approx(5.0)
    assert timed.usd_per_point == pytest.approx(0.2)
    assert worth.Worth(bad.row, bad.gain, None, 0.0, 50.0, 2.0).ms_per_point is None


def test_one_query_has_no_halves() -> None:
    run = made([0.5], [0.4], [0.6])
    rows = [row(run, "a", "first-stage"), row(run, "a", "good", "a-first-stage")]
    assert worths(cast(Run, run), rows, MEASURE) is None


def test_nothing_is_worth_anything_without_rows() -> None:
    run = made([0.5] * 4)
    assert worths(cast(Run, run), [row(run, "a", "first-stage")], MEASURE) is None


class ScoredRun(MadeRun):
    """A run that keeps the scores of its first stages."""

    def __init__(self, folder: Path, lists: dict[str, dict[str, dict[str, float]]]) -> None:
        names = list(lists["a-first-stage"])
        super().__init__({name: dict.fromkeys(names, 0.0) for name in (*lists, "a-good")})
        self.folder = folder
        self._lists = lists
        for trial, own in lists.items():
            with score_writer(folder, trial) as write:
                for query_id, ranking in self.ranking(trial).items():
                    scores = tuple(own[query_id][doc_id] for doc_id in ranking.doc_ids)
                    write(query_id, QueryCandidates(ranking.doc_ids, scores))
        rows = [("d", name, "x", 1) for name in names]
        self.judgments = pd.DataFrame(rows, columns=["dataset", "query", "document", "grade"])

    def ranking(self, trial_id: str) -> dict[str, QueryCandidates]:
        return {
            query_id: ordered(list(scores), list(scores.values()))
            for query_id, scores in self._lists[trial_id].items()
        }


def test_a_row_is_compared_with_a_fusion_tuned_on_the_other_half(tmp_path: Path) -> None:
    """In one half of the queries the relevant document is first by the first stage "a", in the
    other by "b": weights of the other half prefer the wrong stage. The most even ones that put it
    first there are .65 and .35, and put it second here: z-scores are 1.34, -.27 and -1.07 by one
    stage and -1.07, 1.34 and -.27 by the other, and their sums -.23, .77 and -.55.
    """
    (tmp_path / "scores").mkdir()
    names = [f"q{number}" for number in range(8)]
    half = folds({name: f"text of {name}" for name in names}, 2, MadeRun.seed)
    good, bad = {"x": 3.0, "y": 1.0, "z": 0.0}, {"x": 0.0, "y": 3.0, "z": 1.0}
    lists = {
        "a-first-stage": {name: (good, bad)[half[name]] for name in names},
        "b-first-stage": {name: (bad, good)[half[name]] for name in names},
    }
    run = ScoredRun(tmp_path, lists)
    rows = [row(run, "a", "first-stage"), row(run, "b", "first-stage")]
    rows.append(row(run, "a", "good", "a-first-stage"))
    dataset = worths(cast(Run, run), rows, MEASURE)
    assert dataset is not None
    assert dataset.fusion is not None
    assert dataset.fusion.names == ["a", "b"]
    for name in names:
        served = dataset.fusion.weights.of(name)
        assert served[half[name]] == 0.35
    assert dataset.fusion.mean == pytest.approx(1 / math.log2(3))
    (best,) = dataset.rows
    assert best.over_fusion is not None
    assert best.over_fusion.mean == pytest.approx(-dataset.fusion.mean)


def test_one_search_at_two_depths_is_no_fusion(tmp_path: Path) -> None:
    (tmp_path / "scores").mkdir()
    names = [f"q{number}" for number in range(8)]
    lists = {
        "a-first-stage": {name: {"x": 3.0, "y": 1.0, "z": 0.0} for name in names},
        "b-first-stage": {name: {"x": 3.0, "y": 1.0} for name in names},
    }
    run = ScoredRun(tmp_path, lists)
    rows = [row(run, "a", "first-stage"), row(run, "b", "first-stage")]
    rows.append(row(run, "a", "good", "a-first-stage"))
    dataset = worths(cast(Run, run), rows, MEASURE)
    assert dataset is not None
    assert (dataset.fusion, dataset.rows[0].over_fusion) == (None, None)


def test_without_scores_of_two_first_stages_there_is_no_fusion() -> None:
    run = made([0.5] * 8, [0.4] * 8, [0.9] * 8)
    rows = [row(run, "a", "first-stage"), row(run, "b", "first-stage")]
    rows.append(row(run, "a", "good", "a-first-stage"))
    dataset = worths(cast(Run, run), rows, MEASURE)
    assert dataset is not None
    assert dataset.fusion is None
    assert dataset.rows[0].over_fusion is None


@pytest.mark.parametrize(("p", "ending"), [(0.2, "cannot tell from nothing"), (0.01, "(p .010)")])
def test_the_verdict_weighs_a_gain_against_a_fusion_without_a_reranker(
    p: float, ending: str
) -> None:
    run = made([0.5] * 4, [0.4] * 4, [0.6] * 4)
    rows = [row(run, "a", "first-stage"), row(run, "a", "good", "a-first-stage")]
    dataset = worths(cast(Run, run), rows, MEASURE)
    assert dataset is not None
    (good,) = dataset.rows
    alone = sentence(good)
    assert "fused" not in alone
    assert "another document" not in alone
    changed = replace(good.row, first_changed=0.25)
    over = replace(good.gain, mean=-0.02, p=p)
    text = sentence(replace(good, row=changed, over_fusion=over))
    assert "another document is first for 25 %" in text
    (part,) = [each for each in text.split("; ") if "fused without a reranker" in each]
    assert part.startswith("against the first stages fused without a reranker it is -0.0200")
    assert part.endswith(ending)
