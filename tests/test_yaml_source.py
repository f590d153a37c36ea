"""YAML as people write it: what its loader would drop without a word is refused with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import gate, suite
from bench.errors import SuiteError
from bench.yaml_source import Source


@pytest.mark.parametrize(
    ("text", "line", "key", "first"),
    [
        ("quality: 0.01\nfailures: 0\nquality: null\n", 3, "quality", 1),
        ("rerankers:\n  ours: {quality: 0.02}\n  ours: {drift: null}\n", 3, "ours", 2),
        ('memory: {max_gib: 8, "max_gib": 80}\n', 1, "max_gib", 1),
        ("quality:\n  nDCG@10: 0.01\n  RR@10: 0.01\n  nDCG@10: 0.5\n", 4, "nDCG@10", 2),
    ],
)
def test_a_key_that_stands_twice_is_refused_in_a_gates_file(tmp_path: Path, text: str, line: int, key: str, first: int) -> None:
    path = tmp_path / "gates.yaml"
    path.write_text(text)
    with pytest.raises(SuiteError) as caught:
        gate.load(path)
    expected = f"{path}:{line}: {key}: this key is in line {first} already: keep one of the two"
    assert str(caught.value) == expected


def test_a_key_that_stands_twice_is_refused_in_a_suite(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(
        "name: x\ndatasets: [embedded:everyday]\nrerankers:\n  - cross-encoder:\n      model: a\n      max_length: 8\n      model: b\n"
    )
    with pytest.raises(SuiteError, match=r"suite\.yaml:7: model: this key is in line 5 already"):
        suite.load(path)


def test_keys_of_two_mappings_and_of_merged_ones_are_not_repeats() -> None:
    text = "base: &base {a: 1, b: 2}\nfirst: {<<: *base, a: 3}\nlist: [{a: 1}, {a: 2}]\nagain: *base\n"
    data = Source(text, "x.yaml").data
    assert data["first"] == {"a": 3, "b": 2}
    assert data["list"] == [{"a": 1}, {"a": 2}]
