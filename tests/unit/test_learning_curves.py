"""Learning curves on planted values: the rule says that more labels help where they do, that they
do not where the curve is flat, and nothing where it cannot tell.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bench.comparison.learning_curves import LearningCurve, Outlook, learning_curves
from bench.records.run import Run
from bench.reports import plots
from bench.reports.document import Document
from bench.reports.renderers import terminal
from bench.reports.sections.learning_curves import learning_curves as section_of
from bench.reports.sections.learning_curves import sentence
from bench.reports.view import View
from bench.training.fit import ELSEWHERE
from bench.training.recipe import Recipe
from tests.support.made_runs import made_run

pytestmark = pytest.mark.usefixtures("pixels")

SHARES = (0.1, 0.25, 0.5, 1.0)
QUERIES = 300


def planted(
    folder: Path,
    gains: Sequence[float],
    *,
    noise: float = 0.05,
    queries: int = QUERIES,
    seed: int = 0,
) -> Run:
    """Return a run whose shares gain so much over the untuned base, on average over queries."""
    generator = np.random.default_rng(seed)
    base = generator.uniform(0.2, 0.6, queries)
    values = {"first-stage": base - 0.1, "untuned": base}
    records = {"untuned": _training(0.0)}
    for fraction, gain in zip(SHARES, gains, strict=True):
        name = f"{fraction:g}"
        values[name] = np.clip(base + gain + generator.normal(0, noise, queries), 0, 1)
        records[name] = _training(fraction)
    return made_run(folder / "run", values, record=records)


def _training(fraction: float) -> dict[str, object]:
    facts = {"recipe": "planted", "fraction": fraction, "queries": round(1000 * fraction)}
    more = {"pairs": 0, "steps": 1, "best_step": 1, "dev": 0.5, "seconds": 1.0}
    return {"description": {"facts": {"training": {**facts, **more}}}}


def curve(folder: Path, gains: Sequence[float], **planting: float) -> LearningCurve:
    (only,) = learning_curves(planted(folder, gains, **planting))  # type: ignore[arg-type]
    return only


def test_gains_are_to_the_untuned_base(tmp_path: Path) -> None:
    rising = curve(tmp_path, (0.02, 0.06, 0.10, 0.14))
    assert rising.base.trial.reranker == "untuned"
    assert [share.queries for share in rising.shares] == [100, 250, 500, 1000]
    gains = [share.gain.mean for share in rising.shares]
    assert gains == pytest.approx([0.02, 0.06, 0.10, 0.14], abs=0.01)
    for share in rising.shares:
        assert share.gain.low < share.gain.mean < share.gain.high


@pytest.mark.parametrize(
    ("gains", "outlook", "words"),
    [
        ((0.02, 0.06, 0.10, 0.14), Outlook.LIKELY, "More labels are likely to help"),
        ((0.02, 0.10, 0.14, 0.14), Outlook.UNLIKELY, "More labels are unlikely to help"),
        ((0.02, 0.10, 0.16, 0.12), Outlook.UNLIKELY, "More labels are unlikely to help"),
    ],
)
def test_a_clear_curve_is_called_what_it_is(
    tmp_path: Path, gains: Sequence[float], outlook: Outlook, words: str
) -> None:
    clear = curve(tmp_path, gains, noise=0.01)
    assert clear.outlook is outlook
    assert words in sentence(clear)


def test_a_noisy_curve_decides_nothing(tmp_path: Path) -> None:
    noisy = curve(tmp_path, (0.0, 0.01, 0.01, 0.015), noise=0.3, queries=30)
    assert noisy.outlook is Outlook.UNCLEAR
    assert "Whether more labels would help is not clear" in sentence(noisy)


def test_the_last_step_counts_per_doubling(tmp_path: Path) -> None:
    rising = curve(tmp_path, (0.02, 0.06, 0.10, 0.14), noise=0.0)
    assert rising.doubling is not None
    assert rising.doubling.mean == pytest.approx(0.04)


def test_a_flat_curve_is_seldom_called_rising(tmp_path: Path) -> None:
    """The interval is two-sided at 95 %: a flat end is called likely at most 1 time in 40, in the
    long run; 2 of 20 is the 98 % quantile of that.
    """
    calls = 0
    for seed in range(20):
        flat = curve(tmp_path / str(seed), (0.1, 0.1, 0.1, 0.1), queries=60, seed=seed)
        calls += flat.outlook is Outlook.LIKELY
    assert calls <= 2


def test_without_a_row_of_the_base_gains_are_to_the_first_stage(tmp_path: Path) -> None:
    values = {"first-stage": [0.1, 0.2, 0.3], "half": [0.2, 0.3, 0.4], "all": [0.3, 0.4, 0.5]}
    records = {"half": _training(0.5), "all": _training(1.0)}
    (only,) = learning_curves(made_run(tmp_path, values, record=records))
    assert only.base.trial.reranker == "first-stage"


def test_one_share_is_no_curve(tmp_path: Path) -> None:
    values = {"first-stage": [0.1, 0.2], "all": [0.3, 0.4]}
    assert learning_curves(made_run(tmp_path, values, record={"all": _training(1.0)})) == []


def test_it_is_drawn(tmp_path: Path) -> None:
    run = planted(tmp_path, (0.02, 0.06, 0.10, 0.14))
    (path,) = plots.write(run, "learning", tmp_path, "svg")
    text = path.read_text()
    assert "labelled queries" in text
    assert "gain in nDCG@10 over untuned" in text


def test_a_narrow_terminal_shows_the_gain_and_whose_it_is(tmp_path: Path) -> None:
    """The first that goes is its interval, which the sentence above the table has for the last."""
    names = [f"everyday-small, {share}" for share in ("untuned", "50 %", "100 %")]
    values = {"first-stage": [0.1, 0.2, 0.3, 0.2]}
    records: dict[str, dict[str, object]] = {}
    for number, name in enumerate(names):
        values[name] = [0.2 + 0.1 * number, 0.3, 0.4, 0.5 + 0.1 * number]
        records[name] = _training(number / 2)
    run = made_run(tmp_path, values, record=records)
    section = section_of(View(run))
    assert section is not None
    file = io.StringIO()
    terminal.show(Document("", [section]), Console(width=80, file=file))
    lines = file.getvalue().splitlines()
    (head,) = [line for line in lines if line.split()[:1] == ["row"] and "gain" in line]
    assert head.split() == ["row", "labelled", "queries", "nDCG@10", "gain", "p"]
    for name, gain in zip(names[1:], ("+0.0500", "+0.1000"), strict=True):
        assert any(line.startswith(f" {name} (cpu)") and gain in line for line in lines)


def test_every_key_of_a_recipe_decides_weights_or_not() -> None:
    """A new key has to be one or the other: what decides weights is part of what they are kept
    under, next to the lists and the base.
    """
    deciding = {
        *("kind", "head", "loss", "lora", "epochs", "batch", "length", "rate", "warmup"),
        *("dropout", "dtype", "checks", "patience", "seed", "anchor", "sharpness", "ltr"),
    }
    assert set(Recipe.model_fields) - ELSEWHERE == deciding
