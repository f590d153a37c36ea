"""The rounds of a search for the best pipeline, over stages whose times are written here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from bench.composition.chain import Chain
from bench.composition.composed import Limits
from bench.tuning.outcome import Candidate
from bench.tuning.search import Queries, Search
from bench.tuning.stage_bench import StageBench

LIMIT = 10.0
QUERIES = Queries([f"d{i}" for i in range(30)], [f"c{i}" for i in range(60)])


class Written:
    """Stages that take `ms` in the rounds and `later_ms` in the confirmation."""

    def __init__(self, ms: Mapping[str, float], later_ms: Mapping[str, float]) -> None:
        self.ms, self.later_ms = ms, {**ms, **later_ms}
        self.confirmed: list[str] = []

    def pipelines(self, chains: Sequence[Chain], query_ids: Sequence[str], label: str) -> Any:
        times = self.ms
        if label.startswith("confirmation"):
            times = self.later_ms
            self.confirmed += [chain.first for chain in chains if label == "confirmation 0"]
        return {
            str(chain): {query_id: [times[chain.first]] for query_id in query_ids}
            for chain in chains
        }


def searched(ms: Mapping[str, float], later_ms: Mapping[str, float]) -> tuple[str | None, Written]:
    """Return the first stage that is chosen of those given, best first, and the stages."""
    candidates = [
        Candidate(Chain(name, 10), 1 - place / 100, (), 0.0, LIMIT, LIMIT)
        for place, name in enumerate(ms)
    ]
    stages = Written(ms, later_ms)
    winner = Search(cast(StageBench, stages), Limits(p95_ms=LIMIT), QUERIES).run(candidates)
    if winner is None:
        return None, stages
    return winner.chain.first, stages


def test_what_better_ones_beat_is_asked_where_these_do_not_fit_after_all() -> None:
    """Eight of a batch look as if they fit, of which four and then two are left."""
    names = "abcdefgh"
    choice, stages = searched(dict.fromkeys(names, 9.0), {"a": 11.0, "b": 11.0, "c": 11.0})
    assert choice == "d"
    assert stages.confirmed == ["a", "b", "c", "d"]


def test_what_is_dropped_in_the_first_round_follows_what_later_ones_dropped() -> None:
    names = "abcdefgh"
    late = dict.fromkeys("abcdef", 11.0)
    choice, stages = searched(dict.fromkeys(names, 9.0), late)
    assert choice == "g"
    assert stages.confirmed == list(names)


def test_what_was_beaten_is_not_timed_where_the_best_fit() -> None:
    choice, stages = searched(dict.fromkeys("abcdefgh", 9.0), {})
    assert choice == "a"
    assert stages.confirmed == ["a", "b"]


def test_what_did_not_fit_in_a_round_is_not_asked_again() -> None:
    choice, stages = searched({"a": 9.0, "b": 9.0, "c": 12.0, "d": 12.0}, {"a": 11.0, "b": 11.0})
    assert choice is None
    assert stages.confirmed == ["a", "b"]


def test_a_later_batch_follows_what_was_beaten_in_the_one_before() -> None:
    names = "abcdefghij"
    choice, stages = searched(dict.fromkeys(names, 9.0), dict.fromkeys("abcdefgh", 11.0))
    assert choice == "i"
    assert stages.confirmed == list(names)
