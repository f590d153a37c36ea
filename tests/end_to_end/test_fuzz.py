"""A few of the cases of scripts/fuzz.py, and whether it would notice a fault."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from scripts import fuzz


def test_mutated_input_ends_in_no_traceback_no_hang_and_no_stray_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MPLBACKEND", "Agg")
    tally = fuzz.fuzz(cases=45, seed=20, limit=120, jobs=2)
    assert tally.faults == {}
    assert sum(tally.kinds.values()) == 45
    assert set(tally.kinds) == set(fuzz.KINDS)
    assert tally.codes[0] > 9, "some mutations leave valid input"
    assert tally.codes[2] > 9, "and some do not"


def test_a_case_is_the_same_whenever_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mutants = []
    for _ in range(2):
        rng = random.Random("7 11")
        mutants.append(
            [
                fuzz.mutate_tree(rng, {"a": [1, {"b": "c"}], "d": "e"}),
                fuzz.mutate_lines(rng, "q1 Q0 d1 1 0.5 x\nq1 Q0 d2 2 0.4 x\n"),
            ]
        )
    assert repr(mutants[0]) == repr(mutants[1])


def test_a_file_outside_and_a_traceback_are_noticed(tmp_path: Path) -> None:
    work = tmp_path / "in" / "ner" / "work"
    (work / "out").mkdir(parents=True)
    before = fuzz.snapshot(tmp_path)
    (work / "out" / "report.md").write_text("allowed")
    assert fuzz.snapshot(tmp_path) == before
    (tmp_path / "in" / "stray").write_text("not allowed")
    assert set(fuzz.snapshot(tmp_path)) - set(before) == {"in/stray"}
    text = (
        'Traceback (most recent call last):\n  File "/x/bench/records/run.py", line 7, in '
        "read\nKeyError: 'value'\n"
    )
    assert fuzz.signature(text) == "bench/records/run.py:7 read  KeyError: 'value'"
