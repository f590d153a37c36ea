"""Maps, errors and the calibration file, next to scikit-learn where it is installed and to plain
brute force everywhere.
"""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from bench.calibration import errors, file, maps
from bench.calibration.errors import expected_calibration_error
from bench.calibration.lists import ScoredLists
from bench.core.errors import CalibrationError

QUERIES, SIZE = 40, 12


def drawn(seed: int = 0) -> tuple[ScoredLists, np.ndarray]:
    """Lists of rounded scores, so that some are equal, and labels that follow them."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(1.0, 2.0, size=QUERIES * SIZE).round(1)
    labels = (rng.random(len(scores)) < 1 / (1 + np.exp(2 - scores))).astype(float)
    return ScoredLists(scores, np.arange(0, len(scores) + 1, SIZE)), labels


LISTS, LABELS = drawn()
PROBABILITIES = 1 / (1 + np.exp(1 - LISTS.scores))


@pytest.mark.parametrize("by", ["mass", "width"])
def test_ece_is_scikit_learns(by: errors.Binning) -> None:
    calibration = pytest.importorskip("sklearn.calibration", reason="scikit-learn is not installed")
    strategy = {"mass": "quantile", "width": "uniform"}[by]
    observed, predicted = calibration.calibration_curve(
        LABELS, PROBABILITIES, n_bins=8, strategy=strategy
    )
    curve = errors.reliability(PROBABILITIES, LABELS, 8, by)
    assert curve.observed == pytest.approx(observed, abs=1e-12)
    assert curve.predicted == pytest.approx(predicted, abs=1e-12)
    shares = curve.documents / len(LABELS)
    expected = float(np.abs(observed - predicted) @ shares)
    assert expected_calibration_error(PROBABILITIES, LABELS, 8, by) == pytest.approx(expected)


def test_ece_of_bins_by_hand() -> None:
    probabilities = np.array([0.1, 0.1, 0.4, 0.9])
    labels = np.array([0.0, 1.0, 0.0, 1.0])
    # width: {.1, .1, .4} and {.9}; mass: the median is .25, so {.1, .1} and {.4, .9}
    by_width = 3 / 4 * abs(0.2 - 1 / 3) + 1 / 4 * abs(0.9 - 1)
    by_mass = 1 / 2 * abs(0.1 - 0.5) + 1 / 2 * abs(0.65 - 0.5)
    assert expected_calibration_error(probabilities, labels, 2, "width") == pytest.approx(by_width)
    assert expected_calibration_error(probabilities, labels, 2, "mass") == pytest.approx(by_mass)


def test_errors_are_scikit_learns() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    edges = np.where(LISTS.scores > 4, 1.0, PROBABILITIES)
    for values in (PROBABILITIES, edges):
        assert errors.brier(values, LABELS) == pytest.approx(
            metrics.brier_score_loss(LABELS, values)
        )
        assert errors.log_loss(values, LABELS) == pytest.approx(metrics.log_loss(LABELS, values))
        assert errors.auc(values, LABELS) == pytest.approx(metrics.roc_auc_score(LABELS, values))


def test_errors_by_brute_force() -> None:
    relevant, others = LISTS.scores[LABELS == 1], LISTS.scores[LABELS == 0]
    wins = [(a > b) + (a == b) / 2 for a, b in product(relevant, others)]
    assert errors.auc(LISTS.scores, LABELS) == pytest.approx(np.mean(wins))
    share = np.full(len(LABELS), LABELS.mean())
    assert errors.brier_skill(share, LABELS) == pytest.approx(0.0)
    assert errors.brier_skill(LABELS, LABELS) == 1.0
    pairs = zip(PROBABILITIES, LABELS, strict=True)
    losses = [-np.log(p) if label else -np.log(1 - p) for p, label in pairs]
    assert errors.log_loss(PROBABILITIES, LABELS) == pytest.approx(np.mean(losses))


def test_what_is_not_defined_is_no_number() -> None:
    ones = np.ones(3)
    assert np.isnan(errors.auc(np.arange(3.0), ones))
    assert np.isnan(errors.brier_skill(ones, ones))
    nothing = np.empty(0)
    for error in (errors.brier, errors.brier_skill, errors.log_loss, expected_calibration_error):
        assert np.isnan(error(nothing, nothing))


def test_platt_is_scikit_learns() -> None:
    calibration = pytest.importorskip("sklearn.calibration", reason="scikit-learn is not installed")
    slope, offset = calibration._sigmoid_calibration(LISTS.scores, LABELS)
    platt = maps.fitted("platt", LISTS, LABELS)
    expected = 1 / (1 + np.exp(slope * LISTS.scores + offset))
    assert platt.of_lists(LISTS) == pytest.approx(expected, abs=1e-5)


def test_platt_with_features_is_scikit_learns_regression() -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    platt = maps.fitted("platt", LISTS, LABELS, ["z", "gap"])
    relevant, others = LABELS.sum(), (1 - LABELS).sum()
    high, low = (relevant + 1) / (relevant + 2), 1 / (others + 2)
    columns = np.column_stack([LISTS.scores, LISTS.z_scores(), LISTS.gaps()])
    # a target between 0 and 1 is both labels, with weights
    targets = np.where(LABELS == 1, high, low)
    model = linear.LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000)
    model.fit(
        np.vstack([columns, columns]),
        np.repeat([1, 0], len(LABELS)),
        sample_weight=np.concatenate([targets, 1 - targets]),
    )
    expected = model.predict_proba(columns)[:, 1]
    assert platt.of_lists(LISTS) == pytest.approx(expected, abs=1e-4)


def test_isotonic_is_scikit_learns() -> None:
    isotonic = pytest.importorskip("sklearn.isotonic", reason="scikit-learn is not installed")
    model = isotonic.IsotonicRegression(out_of_bounds="clip").fit(LISTS.scores, LABELS)
    own = maps.fitted("isotonic", LISTS, LABELS)
    beyond = np.linspace(LISTS.scores.min() - 1, LISTS.scores.max() + 1, 997)
    for scores in (LISTS.scores, beyond):
        assert own.probabilities(scores) == pytest.approx(model.predict(scores), abs=1e-9)


def test_isotonic_pools_neighbours_that_fall() -> None:
    lists = ScoredLists.single(np.array([1.0, 2.0, 2.0, 3.0, 4.0]))
    own = maps.fitted("isotonic", lists, np.array([0.0, 1.0, 0.0, 0.0, 1.0]))
    # 2 has the mean 1/2 of two documents, 3 has 0: together 1/3
    assert own.of_lists(lists) == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3, 1])


@pytest.mark.parametrize("scores", [PROBABILITIES, LISTS.scores])
def test_beta_has_the_least_log_loss_of_its_curves(scores: np.ndarray) -> None:
    """Scores from 0 to 1 as they are, others through a logistic curve."""
    lists = ScoredLists(scores, LISTS.offsets)
    beta = maps.fitted("beta", lists, LABELS)
    parameters = beta.model_dump()
    relevant, others = LABELS.sum(), (1 - LABELS).sum()
    targets = np.where(LABELS == 1, (relevant + 1) / (relevant + 2), 1 / (others + 2))

    def loss(shifted: maps.ScoreMap) -> float:
        p = shifted.of_lists(lists)
        return float(-(targets * np.log(p) + (1 - targets) * np.log(1 - p)).mean())

    for name, step in product(("a", "b", "c"), (-0.01, 0.01)):
        moved = max(parameters[name] + step, 0.0) if name != "c" else parameters[name] + step
        assert loss(type(beta)(**{**parameters, name: moved})) >= loss(beta)
    assert (parameters["centre"] is None) == (scores is PROBABILITIES)
    assert beta.rises


def test_places_within_lists_by_plain_loops() -> None:
    lists = ScoredLists(np.array([3.0, 5.0, 3.0, 1.0, 7.0, 7.0]), np.array([0, 4, 4, 6]))
    first = np.array([3.0, 5.0, 3.0, 1.0])
    assert lists.z_scores() == pytest.approx([*((first - first.mean()) / first.std()), 0, 0])
    assert lists.gaps().tolist() == [2, 2, 2, 0, 0, 0]
    alone = ScoredLists.single(first)
    platt = maps.fitted("platt", LISTS, LABELS, ["z", "gap"])
    assert platt.needs_list
    assert platt.of_lists(lists)[:4] == pytest.approx(platt.probabilities(first))
    assert alone.gaps().tolist() == [2, 2, 2, 0]


def test_unjudged_documents_have_a_place_in_their_list_and_no_label() -> None:
    unknown = LABELS.copy()
    unknown[::3] = np.nan
    rest = ~np.isnan(unknown)
    alone = ScoredLists.single(LISTS.scores[rest])
    for kind in ("platt", "isotonic"):
        own = maps.fitted(kind, LISTS, unknown)
        same = maps.fitted(kind, alone, unknown[rest])
        assert own.of_lists(LISTS) == pytest.approx(same.of_lists(LISTS))
    with_place = maps.fitted("platt", LISTS, unknown, ["z"])
    assert with_place != maps.fitted("platt", alone, unknown[rest], ["z"])


def test_labels_that_scores_part_have_a_finite_map() -> None:
    lists = ScoredLists.single(np.arange(10.0))
    labels = (np.arange(10) > 4).astype(float)
    for kind in maps.TABLE:
        values = maps.fitted(kind, lists, labels).of_lists(lists)
        assert np.isfinite(values).all()
        assert (np.diff(values) >= 0).all()


def test_a_map_needs_both_labels_and_a_known_kind() -> None:
    for labels in (np.zeros(10), np.ones(10)):
        with pytest.raises(CalibrationError, match="needs relevant documents and others"):
            maps.fitted("platt", ScoredLists.single(np.arange(10.0)), labels)
    with pytest.raises(CalibrationError, match="did you mean 'isotonic'"):
        maps.fitted("isotonics", LISTS, LABELS)
    with pytest.raises(CalibrationError, match="reads the score alone"):
        maps.fitted("beta", LISTS, LABELS, ["z"])


def fitted_on() -> file.FittedOn:
    return file.FittedOn(
        reranker="a",
        identity="0123",
        dataset="d",
        relevant_from=2,
        unjudged="left-out",
        pairs=480,
        relevant=100,
        queries=40,
        cross_fitted={"brier": file.ErrorInterval(value=0.1, low=0.05, high=0.2)},
    )


@pytest.mark.parametrize(
    ("kind", "features"), [*((kind, ()) for kind in maps.TABLE), ("platt", ("z",))]
)
def test_a_file_reads_back_the_map_that_it_holds(
    tmp_path: Path, kind: str, features: tuple[str, ...]
) -> None:
    own = maps.fitted(kind, LISTS, LABELS, features)
    calibration = file.Calibration(
        map=own, fitted_on=fitted_on(), by="language", groups={"en": own}
    )
    path = tmp_path / "calibration.json"
    file.write(path, calibration)
    again = file.read(path)
    assert again == calibration
    assert again.map.of_lists(LISTS).tolist() == own.of_lists(LISTS).tolist()


def test_lines_of_numpy_apply_a_file(tmp_path: Path) -> None:
    """What docs/scores.md and the modules say."""
    scores = LISTS.scores[:SIZE]
    parts = {}
    for kind in maps.TABLE:
        features = ("z",) if kind == "platt" else ()
        own = maps.fitted(kind, LISTS, LABELS, features)
        path = tmp_path / kind
        file.write(path, file.Calibration(map=own, fitted_on=fitted_on()))
        parts[kind] = (own.probabilities(scores), json.loads(path.read_text())["map"])
    expected, platt = parts["platt"]
    x = platt["score"] * scores + platt["intercept"]
    x += platt["z"] * (scores - scores.mean()) / scores.std()
    assert 1 / (1 + np.exp(-x)) == pytest.approx(expected)
    expected, isotonic = parts["isotonic"]
    assert np.interp(scores, isotonic["scores"], isotonic["probabilities"]) == pytest.approx(
        expected
    )
    expected, beta = parts["beta"]
    p = 1 / (1 + np.exp(-(scores - beta["centre"]) / beta["scale"]))
    p = np.clip(p, 1e-6, 1 - 1e-6)
    p = 1 / (1 + np.exp(-(beta["a"] * np.log(p) - beta["b"] * np.log(1 - p) + beta["c"])))
    assert p == pytest.approx(expected)


PLANTED: list[tuple[list[str], object, str]] = [
    (["format"], "other", "format: this is no calibration file"),
    (["version"], 9, "version: 9 is not 1"),
    (["map"], 3, "map: has to be an object with a kind"),
    (["map", "kind"], "plat", "map: kind: there is no map 'plat': did you mean 'platt'"),
    (["map", "score"], "high", "map: option 'score': "),
    (["map", "slope"], 1.0, "map: option 'slope': unknown key"),
    (
        ["groups"],
        {"en": {"kind": "isotonic", "scores": [2, 1], "probabilities": [0, 1]}},
        "groups.en",
    ),
    (["fitted_on", "pairs"], -1, "'fitted_on.pairs'"),
    (["fitted_on", "unjudged"], "lost", "'fitted_on.unjudged'"),
]


@pytest.mark.parametrize(("keys", "value", "problem"), PLANTED)
def test_a_bad_file_gives_a_line_with_file_and_key(
    tmp_path: Path, keys: list[str], value: object, problem: str
) -> None:
    path = tmp_path / "calibration.json"
    own = maps.fitted("platt", LISTS, LABELS)
    file.write(path, file.Calibration(map=own, fitted_on=fitted_on()))
    fields = json.loads(path.read_text())
    inner = fields
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(fields))
    with pytest.raises(CalibrationError) as caught:
        file.read(path)
    assert str(path) in str(caught.value)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "[1]", "{", "null"])
def test_what_is_no_calibration_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(content)
    with pytest.raises(CalibrationError, match=r"calibration\.json: "):
        file.read(path)
    with pytest.raises(CalibrationError, match="cannot be read"):
        file.read(tmp_path / "absent.json")


@pytest.mark.parametrize("kind", ["platt", "beta"])
def test_scores_whose_spread_is_no_number_have_no_curve(kind: str) -> None:
    lists = ScoredLists.single(np.array([1e308, -1e308, 0.0, 1.0]))
    with pytest.raises(CalibrationError, match="the scores are too large to be mapped"):
        maps.fitted(kind, lists, np.array([1.0, 0, 0, 1]))


@pytest.mark.filterwarnings("error")
def test_large_scores_have_the_z_scores_of_small_ones() -> None:
    scores = np.array([3.0, 1.0, 2.0, 5.0, -1.0])
    offsets = np.array([0, 3, 5])
    large = scores * np.array([1.0, 1.0, 1.0, 1e200, 1e200])
    expected = ScoredLists(scores, offsets).z_scores()
    assert ScoredLists(large, offsets).z_scores() == pytest.approx(expected)
