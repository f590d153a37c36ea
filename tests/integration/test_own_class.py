"""Any class with score(pairs), or predict(pairs), is a reranker: it is scored, timed and recorded
as any other.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench
from bench import rerankers
from bench.contract.stage import Description
from bench.core.errors import BenchError, SuiteError
from bench.core.options import validated
from bench.latency import timed_pass
from bench.rerankers.base import PointwiseReranker
from bench.rerankers.options import RerankerOptions
from tests.support.command import bench as command
from tests.support.command import bench_process

HERE = "tests.integration.test_own_class"
Pairs = Sequence[tuple[str, str]]


class Scoring:
    """What README asks for, and no more."""

    def score(self, pairs: Pairs) -> list[int]:
        return [len(document) for _, document in pairs]


class Predicting:
    """As a CrossEncoder has it, with arguments of its own."""

    def __init__(self, factor: float = 1.0, device: str | None = None) -> None:
        self.factor, self.device = factor, device
        self.closed = False

    def predict(self, sentences: Pairs, batch_size: int = 32) -> Any:
        return np.array(
            [self.factor * len(document) for _, document in sentences], dtype=np.float32
        )


class Wrong:
    def score(self, pairs: Pairs) -> list[str]:
        return ["high"] * len(pairs)


class Raising:
    def score(self, pairs: Pairs) -> list[float]:
        raise ValueError("kaboom")


class Tiring:
    """Scores all queries at once, and one alone no more."""

    def score(self, pairs: Pairs) -> list[int]:
        if len({query for query, _ in pairs}) == 1:
            raise ValueError("tired")
        return [len(document) for _, document in pairs]


class Forking:
    """Has a process of its own end by SIGTERM, as pools end theirs, and says how it ended."""

    def score(self, pairs: Pairs) -> list[int]:
        ready, says_so = os.pipe()
        process = os.fork()
        if not process:
            try:
                os.write(says_so, b"!")
                # no signal.pause(): one that comes just before it would be waited for
                while True:
                    time.sleep(0.05)
            finally:
                os._exit(0)
        os.read(ready, 1)
        os.kill(process, signal.SIGTERM)
        ended = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        if ended != -signal.SIGTERM:
            raise RuntimeError(f"ended with {ended}")
        return [len(document) for _, document in pairs]


class LikeTheDocs(PointwiseReranker):
    """Says that it runs on no device, as the page on adding one's own once showed it."""

    placement = "none"

    def fingerprint(self) -> dict[str, Any]:
        return {"backend": "like the docs"}

    def describe(self) -> Description:
        return Description("like the docs", self.fingerprint())

    def score(self, pairs: Pairs) -> Any:
        return np.array([-float(len(document)) for _, document in pairs])


@pytest.mark.parametrize(
    ("scenario", "queries", "reason"),
    [
        ("single", 2, "Tiring: 3 of 3 timed calls failed (ValueError: tired); timing was given up"),
        ("offline", 1, "Tiring, offline: no call gave a time (ValueError: tired)"),
        ("cold", 2, "Tiring, cold: 2 of 2 fresh processes gave no answer (ValueError: tired)"),
    ],
)
def test_a_row_that_is_scored_and_cannot_be_timed_is_a_failure(
    collection: Path, tmp_path: Path, scenario: str, queries: int, reason: str
) -> None:
    suite = {
        "name": "own",
        "datasets": [f"files:{collection}"],
        "rerankers": [{f"{HERE}:Tiring": {"name": "Tiring"}}],
        "latency": {
            "queries": queries,
            "warmup_max": 0,
            "scenarios": [scenario],
            "cold_runs": 2,
        },
        "depth": 5,
        "devices": "cpu",
    }
    (tmp_path / "own.yaml").write_text(json.dumps(suite))
    ended = command("run", "own.yaml", "--quiet", "--out", "out", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (2, f"rerank-bench: {reason}\n")
    run = bench.load(next((tmp_path / "out").glob("own/*")))
    assert run.failures() == [reason]
    row = run.to_frame().set_index("reranker").loc["Tiring"]
    assert row["status"] == "done"
    assert row["nDCG@10"] > 0
    assert np.isnan(row.get("p50 ms", np.nan))


def test_a_timed_pass_that_ends_early_is_a_failure(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(*_: object) -> None:
        raise BenchError(f"{tmp_path / 'clock'} stands still")

    monkeypatch.setattr(timed_pass, "measure", ended)
    suite = {
        "name": "own",
        "datasets": [f"files:{collection}"],
        "rerankers": [{f"{HERE}:Scoring": {"name": "Scoring"}}],
        "depth": 5,
        "devices": "cpu",
    }
    (tmp_path / "own.yaml").write_text(json.dumps(suite))
    answer = command("run", "own.yaml", "--out", "out", cwd=tmp_path)
    assert answer.returncode == 2
    lines = answer.stderr.splitlines()
    [noted] = [
        line for line in lines if f"timing ended early: {tmp_path / 'clock'} stands still" in line
    ]
    assert lines[-1] == "rerank-bench: 1 failure, see above"
    run = bench.load(next((tmp_path / "out").glob("own/*")))
    assert run.failures() == [noted.replace(f"{tmp_path}/", "")]
    assert run.rows[-1].status == "done"


def test_a_class_in_a_suite_is_scored_and_timed(collection: Path, tmp_path: Path) -> None:
    names = {
        "Scoring": {},
        "Predicting": {"factor": -1},
        "LikeTheDocs": {},
        "Wrong": {},
        "Raising": {},
    }
    entries = [{f"{HERE}:{name}": {"name": name, **options}} for name, options in names.items()]
    plan = {"queries": 2, "rounds": 1, "warmup_max": 1}
    suite = {
        "name": "own",
        "datasets": [f"files:{collection}"],
        "rerankers": entries,
        "latency": plan,
        "depth": 5,
        "devices": "cpu",
    }
    run = bench.run(suite, out=tmp_path / "out")
    table = run.to_frame().set_index("reranker")
    assert table.loc[["Scoring", "Predicting", "LikeTheDocs"], "status"].tolist() == ["done"] * 3
    assert (table.loc[["Scoring", "Predicting", "LikeTheDocs"], "p50 ms"] > 0).all()
    assert (
        table.loc["Predicting", "nDCG@10"]
        == table.loc["LikeTheDocs", "nDCG@10"]
        != table.loc["Scoring", "nDCG@10"]
    )
    assert (
        "score(pairs) must return one number per pair: numbers are needed, not text"
        in table.loc["Wrong", "reason"]
    )
    assert table.loc["Raising", "reason"].startswith("ValueError: kaboom (errors/"), (
        "its own error is not one of what it returned"
    )
    traceback = next((run.folder / "errors").iterdir()).read_text()
    assert "in score" in traceback
    files = [line.split('"')[1] for line in traceback.splitlines() if line.startswith("  File ")]
    assert "bench/core/outsiders.py" in files
    assert not [file for file in files if Path(file).is_absolute()]
    record = next(
        record for record in run.records.values() if record.trial.reranker == "Predicting"
    )
    assert record.description["identity"] == {"class": f"{HERE}:Predicting", "factor": -1}
    assert record.trial.device == "cpu"


@pytest.mark.parametrize(
    "reranker", [f"{HERE}:Scoring", f"{HERE}:Predicting", Scoring(), Predicting()]
)
def test_a_class_or_an_object_on_its_own(reranker: Any) -> None:
    assert bench.reranker(reranker, device="cpu").rerank("q", ["aa", "a", "aaa"]) == [
        (2, 3.0),
        (0, 2.0),
        (1, 1.0),
    ]


def test_options_are_the_arguments_of_the_class() -> None:
    assert bench.reranker(f"{HERE}:Predicting", device="cpu", factor=2).score(
        "q", ["aa"]
    ).tolist() == [4.0]
    with pytest.raises(SuiteError, match="got an unexpected keyword argument 'facto'"):
        rerankers.build(f"{HERE}:Predicting", {"facto": 2})
    with pytest.raises(BenchError, match="unexpected keyword"):
        rerankers.build(f"{HERE}:Scoring", {"factor": 2})


def test_the_class_is_made_on_the_device_of_the_suite_when_it_loads() -> None:
    made = rerankers.build(f"{HERE}:Predicting", None, "cpu")
    made.load()
    assert made._object.device == "cpu"  # type: ignore[attr-defined]
    assert made.fingerprint() == {}


class Async:
    async def score(self, pairs: Pairs) -> list[int]:
        return []


class Yielding:
    def predict(self, pairs: Pairs) -> Iterator[float]:
        yield 1.0


class Demanding:
    def score(self, pairs: Pairs, batch_size: int) -> list[int]:
        return []


class Static:
    @staticmethod
    def score(pairs: Pairs) -> list[int]:
        return [len(document) for _, document in pairs]


async def awaited(query: str, docs: list[str]) -> list[float]:
    return []


def of_documents(docs: list[str]) -> list[float]:
    return []


class Called:
    async def __call__(self, query: str, docs: list[str]) -> list[float]:
        return []


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        (Async, f"{HERE}:Async.score is async, so that a call gives no numbers"),
        (Async(), f"{HERE}:Async.score is async"),
        (Yielding, f"{HERE}:Yielding.predict yields, and all numbers are needed at once"),
        (Demanding, f"{HERE}:Demanding.score cannot be called with (pairs): missing a required"),
        (awaited, f"{HERE}:awaited is async"),
        (Called(), f"{HERE}:Called is async"),
        (of_documents, f"{HERE}:of_documents cannot be called with (query, docs): too many"),
    ],
)
def test_what_cannot_be_called_as_a_reranker_is_refused_before_anything_is_computed(
    candidate: Any, words: str
) -> None:
    with pytest.raises(SuiteError, match=re.escape(words)):
        rerankers.build(candidate)
    if not isinstance(candidate, Called):
        name = getattr(candidate, "__name__", "Async")
        with pytest.raises(SuiteError, match=re.escape(words)):
            rerankers.build(f"{HERE}:{name}")


class Weighing:
    def __init__(self, weights: Any) -> None:
        self.weights = weights

    def score(self, pairs: Pairs) -> list[float]:
        return [self.weights.get(len(document) % 2, 0.0) for _, document in pairs]


class WeighingOptions(RerankerOptions):
    weights: Any
    typed: dict[int, float] | None = None


class WeighingWithOptions(LikeTheDocs):
    Options = WeighingOptions


@pytest.mark.parametrize("name", ["Weighing", "WeighingWithOptions"])
@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({0: 1.0, 1: 2.0}, "keys of an option are text: write '0' in the place of 0"),
        ({"by": [{True: 1}]}, "keys of an option are text: write 'True' in the place of"),
        ([1, [float("inf")]], "inf is no finite number"),
    ],
)
def test_an_option_that_would_be_another_one_in_a_worker_is_refused(
    weights: Any, words: str, name: str
) -> None:
    with pytest.raises(SuiteError, match=re.escape(words)):
        rerankers.build(f"{HERE}:{name}", {"weights": weights})
    assert rerankers.build(f"{HERE}:{name}", {"weights": {"0": [1, 2.5, None, "a"]}})


def test_an_option_whose_type_makes_numbers_of_keys_takes_them() -> None:
    for typed in ({1: 0.5}, {"1": 0.5}):
        options = {"weights": 1, "typed": typed}
        assert validated(WeighingOptions, options, "it").typed == {1: 0.5}


def test_a_static_method_scores_pairs() -> None:
    for reranker in (Static, Static()):
        assert bench.reranker(reranker).score("q", ["a", "bcd"]).tolist() == [1.0, 3.0]


def test_a_process_that_it_forked_and_ends_is_no_interrupt(
    collection: Path, tmp_path: Path
) -> None:
    suite = {
        "name": "own",
        "datasets": [f"files:{collection}"],
        "rerankers": [f"{HERE}:Forking"],
        "latency": None,
    }
    (tmp_path / "own.yaml").write_text(json.dumps(suite))
    # a process of its own: Ray, once it has been in use, handles signals of this one and its forks
    done = bench_process("run", "own.yaml", "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
