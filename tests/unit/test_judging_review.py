"""A person's review: agreement as scikit-learn has it, the sample, and intervals that cover what a
person would have measured.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import BenchError, DataError
from bench.judging import review_files
from bench.judging.agreement import agreement, expanded, kappa
from bench.judging.bounds import ndcg
from bench.judging.imputation import Reviewed, imputed
from bench.judging.sample import Member, Sample, allotted, drawn
from bench.quality import measures
from bench.ranking.order import Ranking

GRADES = 4
ALL = np.arange(GRADES)


def reviewed_pairs(seed: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the model's grades, a person's, and how many judgments there are of each grade."""
    rng = np.random.default_rng(seed)
    model = np.repeat(ALL, size)
    person = np.clip(model + rng.integers(-1, 2, len(model)), 0, 3)
    totals = np.array([900.0, 300.0, 150.0, 40.0])
    return model, person, totals


@pytest.mark.parametrize("quadratic", [False, True])
@pytest.mark.parametrize("is_even", [False, True])
def test_kappa_is_scikit_learns(quadratic: bool, is_even: bool) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    model, person, totals = reviewed_pairs(3, 13)
    if is_even:
        totals = np.full(GRADES, 13.0)
    counts = np.zeros((GRADES, GRADES))
    np.add.at(counts, (model, person), 1)
    theirs = metrics.cohen_kappa_score(
        model,
        person,
        weights="quadratic" if quadratic else None,
        labels=ALL,
        sample_weight=(totals / 13)[model],
    )
    ours = kappa(expanded(counts, totals), quadratic=quadratic)
    assert float(ours) == pytest.approx(theirs, abs=1e-12)
    whole = agreement(range(GRADES), counts, totals, seed=1)
    interval = whole.weighted if quadratic else whole.kappa
    assert interval.value == pytest.approx(theirs, abs=1e-12)
    assert interval.low is not None
    assert interval.high is not None
    assert interval.low < theirs < interval.high
    accuracy = metrics.accuracy_score(model, person, sample_weight=(totals / 13)[model])
    assert whole.accuracy.value == pytest.approx(accuracy, abs=1e-12)


def test_intervals_of_kappa_cover_it() -> None:
    """200 reviews of 15 pairs a grade, of a judge whose errors are known."""
    rng = np.random.default_rng(0)
    rows = np.array([[0.8, 0.2, 0, 0], [0.1, 0.7, 0.2, 0], [0, 0.2, 0.7, 0.1], [0, 0.1, 0.2, 0.7]])
    totals = np.array([500.0, 200.0, 100.0, 50.0])
    truth = float(kappa(rows * totals[:, None]))
    covered = 0
    for seed in range(200):
        counts = np.stack([rng.multinomial(15, row) for row in rows]).astype(float)
        interval = agreement(range(GRADES), counts, totals, seed).kappa
        assert interval.low is not None
        assert interval.high is not None
        covered += interval.low <= truth <= interval.high
    assert 0.88 <= covered / 200 <= 0.99


def test_a_sample_with_nothing_to_vary_is_flat() -> None:
    totals = np.array([30.0, 15, 15, 0])
    counts = np.array([[4.0, 0, 0, 0], [0, 0, 0, 0], [0, 3, 0, 0], [0, 0, 0, 3]])
    outcome = agreement(range(4), counts, totals, seed=0)
    assert outcome.kappa.low == outcome.kappa.high
    assert outcome.has_flat_interval
    counts[2, 2] = 1
    outcome = agreement(range(4), counts, totals, seed=0)
    assert outcome.kappa.low != outcome.kappa.high
    assert not outcome.has_flat_interval


def test_one_grade_for_everything_has_no_kappa() -> None:
    counts = np.diag([10.0, 0, 0, 0])
    whole = agreement(range(GRADES), counts, np.array([50.0, 0, 0, 0]), seed=0)
    assert whole.kappa.value is None
    assert whole.accuracy.value == 1


def test_ndcg_of_arrays_is_that_of_the_measures() -> None:
    rng = np.random.default_rng(4)
    query = np.repeat(np.arange(20), 30)
    grades = rng.integers(0, 4, len(query)) * (query != 7)
    ranks = np.concatenate([rng.permutation(30) + 1 for _ in range(20)]).astype(float)
    qrels: dict[str, dict[str, int]] = {}
    rankings: dict[str, Ranking] = {}
    for number in range(20):
        places = np.flatnonzero(query == number)
        qrels[f"q{number}"] = {f"d{place}": int(grades[place]) for place in places}
        order = places[np.argsort(ranks[places])]
        rankings[f"q{number}"] = Ranking(
            tuple(f"d{place}" for place in order), tuple(-ranks[order].astype(float))
        )
    expected = measures.evaluate(rankings, qrels, ["nDCG@10"])["nDCG@10"]
    (ours,) = ndcg(grades[None, :], query, ranks, 20)
    np.testing.assert_allclose(ours, list(expected.values()), atol=1e-12)


class World:
    """Two rows over queries of graded documents, the first one better; a judge that errs."""

    def __init__(self, seed: int, accuracy: float, size: int, queries: int = 40) -> None:
        rng = np.random.default_rng(seed)
        self.query = np.repeat(np.arange(queries), 30)
        latent = rng.normal(size=len(self.query)) + 0.5 * rng.normal(size=queries)[self.query]
        truth = np.digitize(latent, [0.6, 1.2, 1.8])
        columns = [self._ranks(strength * latent, rng) for strength in (2.0, 1.0)]
        pooled = np.minimum(*columns) <= 10
        self.query, self.truth = self.query[pooled], truth[pooled]
        self.ranks = np.minimum(np.stack(columns, axis=1)[pooled], 30.0)
        self.queries = queries
        away = 0.4 ** np.abs(ALL[:, None] - ALL[None, :])
        np.fill_diagonal(away, 0)
        confusion = (1 - accuracy) * away / away.sum(axis=1, keepdims=True)
        confusion += accuracy * np.eye(GRADES)
        levels = confusion[self.truth].cumsum(axis=1)
        self.model = (levels < rng.random(len(self.truth))[:, None]).sum(axis=1).clip(0, 3)
        places = [np.flatnonzero(self.model == grade) for grade in ALL]
        counts = allotted({grade: len(own) for grade, own in enumerate(places)}, size)
        chosen = [rng.choice(own, counts[grade], replace=False) for grade, own in enumerate(places)]
        self.places = np.concatenate(chosen)

    def _ranks(self, signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        scores = signal + 1.5 * rng.normal(size=len(signal))
        return (-scores.reshape(-1, 30)).argsort(axis=1).argsort(axis=1).ravel() + 1.0

    def measured(self, grades: np.ndarray) -> np.ndarray:
        """Return nDCG@10 of both rows and their difference, shape (3, draws)."""
        first, second = (
            ndcg(grades, self.query, own, self.queries).mean(axis=1) for own in self.ranks.T
        )
        return np.stack([first, second, first - second])

    def drawn(self, draws: int, seed: int) -> np.ndarray:
        pairs = Reviewed(
            GRADES,
            self.model,
            self.query,
            self.queries,
            self.ranks,
            self.places,
            self.truth[self.places],
        )
        return imputed(pairs, draws, seed)


def test_simulated_judges_of_known_quality_are_seen_through() -> None:
    """Of 25 judges that are right nine times in ten, 60 reviewed pairs give intervals of nDCG@10
    and of the difference of two rows that cover what the true grades give, and values nearer to
    them than the judge's own.
    """
    from scipy.stats import t as student

    covered = np.zeros(3)
    errors, naive = [], []
    for seed in range(25):
        world = World(seed, accuracy=0.9, size=60)
        values = world.measured(world.drawn(25, seed))
        (truth,) = world.measured(world.truth[None, :]).T
        (judged,) = world.measured(world.model[None, :]).T
        centre = values.mean(axis=1)
        reach = student.ppf(0.975, 14) * values.std(axis=1, ddof=1)
        covered += np.abs(centre - truth) <= reach
        errors.append(centre - truth)
        naive.append(judged - truth)
    assert (covered / 25 >= 0.84).all()
    assert covered.sum() / 75 >= 0.9
    assert abs(np.mean(errors, axis=0)[2]) < abs(np.mean(naive, axis=0)[2]) / 2


def test_what_a_person_said_stays() -> None:
    world = World(1, accuracy=0.8, size=40)
    grades = world.drawn(5, seed=2)
    assert (grades[:, world.places] == world.truth[world.places]).all()
    assert set(np.unique(grades)) <= set(ALL.tolist())


def sample_of(*grades: int, written_as: tuple[int, int, int, int] = (0, 1, 2, 3)) -> Sample:
    pairs = {
        f"p{number}": Member(query="q1", document=f"d{number}", grade=grade)
        for number, grade in enumerate(grades, 1)
    }
    return Sample(
        dataset="made", seed=1, qrels_digest="0" * 64, written_as=written_as, totals={}, pairs=pairs
    )


def test_a_sample_is_even_over_grades_and_seeded(tmp_path: Path) -> None:
    path = tmp_path / "qrels.txt"
    lines = [f"q{number % 9} model d{number} {min(number // 30, 3)}" for number in range(100)]
    path.write_text("\n".join([*lines, "q1 people x 3"]) + "\n")
    sample = drawn("made", path, (0, 1, 2, 3), 40, seed=5)
    grades = [member.grade for member in sample.pairs.values()]
    assert np.bincount(grades).tolist() == [10, 10, 10, 10]
    assert grades != sorted(grades), "the order tells nothing"
    assert sample.totals == {0: 30, 1: 30, 2: 30, 3: 10}
    assert "x" not in {member.document for member in sample.pairs.values()}
    assert drawn("made", path, (0, 1, 2, 3), 40, seed=5) == sample
    assert drawn("made", path, (0, 1, 2, 3), 40, seed=6) != sample
    everything = drawn("made", path, (0, 1, 2, 3), 500, seed=5)
    assert len(everything.pairs) == 100


def test_the_files_of_a_person_hold_no_grade_and_run_no_text() -> None:
    hostile = '=HYPERLINK("http://x")</script><script>alert(1)</script>'
    sample = sample_of(3, 0)
    pairs = [review_files.Shown("p1", hostile, 'a, "b"\nc'), review_files.Shown("p2", "q", "d")]
    table = review_files.table_of(pairs)
    assert table.splitlines()[0] == "pair,query,document,grade"
    assert "\"'=HYPERLINK(" in table
    page = review_files.page_of(sample, pairs)
    assert "<script>alert(1)" not in page
    assert '"grade"' not in page


@pytest.mark.parametrize(
    "rewritten",
    [
        lambda text: text,
        lambda text: "\ufeff" + text.replace(",", ";"),
        lambda text: text.replace(",", "\t"),
        lambda text: text.replace("p1,2", "p1,2.0"),
        lambda text: text.replace(",", ";").replace("p1;2", "p1;2,0"),
        lambda text: text.replace("p2,", f'p2,,"{"long " * 40_000}"'),
    ],
    ids=["plain", "semicolons", "tabs", "decimals", "decimal commas", "a long document"],
)
def test_a_csv_comes_back_as_spreadsheets_write_it(
    tmp_path: Path, rewritten: Callable[[str], str]
) -> None:
    path = tmp_path / "review.csv"
    path.write_text(rewritten("pair,grade\np1,2\np2,\np3,0\n"), encoding="utf-8")
    assert review_files.read(path, sample_of(1, 1, 1)) == {"p1": 2, "p3": 0}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("pair,grade\np9,1\n", r":2: there is no pair 'p9'"),
        ("pair,grade\np1,4\n", r":2: pair p1: grade '4' is none of 0, 1, 2, 3"),
        ("pair,grade\np1,2\np1,2\n", r":3: pair p1 is there twice"),
        ("pair,grade\np1,\n", r"no pair has a grade yet"),
        ("query,grade\np1,2\n", r":1: the columns are pair, query, document, grade"),
        ("pair,x,grade\np1\n", r":2: has fewer cells"),
    ],
)
def test_a_csv_that_cannot_be_used_names_its_line(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "review.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=problem):
        review_files.read(path, sample_of(1, 1))


def test_grades_of_a_person_are_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "review.csv").write_text("pair,grade\n")
    with pytest.raises(BenchError, match="is there and may hold grades"):
        review_files.write(tmp_path, sample_of(1), [])
