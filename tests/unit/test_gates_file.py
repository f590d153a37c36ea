"""The gates file: what it may say, and what it says when it is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from bench.core.errors import SuiteError
from bench.gate import Gates, check, load
from bench.gate.file import HEADLINE, MARGIN, schema_text
from bench.probes import PROBES
from bench.records.probe_file import NAMES
from tests.support.made_runs import made_run

WHOLE = """
quality: {nDCG@10: 0.01, RR@10: 0.02}
drift: {across: versions, required: true}
scale: {score: 0.01}
speed: 1.10
failures: 0.01
memory: {max_gib: 8, ratio: 1.2}
cost: {ratio: 1.05}
missing: fail
rerankers:
  hosted: {quality: 0.03, drift: null}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "gates.yaml"
    path.write_text(text)
    return path


def test_a_whole_file(tmp_path: Path) -> None:
    found = load(written(tmp_path, WHOLE))
    assert found.quality == {"nDCG@10": 0.01, "RR@10": 0.02}
    assert found.drift is not None
    assert (found.drift.across, found.drift.required) == (("versions",), True)
    assert found.speed is not None
    assert (found.speed.ratio, found.speed.required) == (1.1, True)
    assert found.memory is not None
    assert (found.memory.max_gib, found.memory.ratio) == (8, 1.2)


def test_a_reranker_may_have_limits_of_its_own(tmp_path: Path) -> None:
    found = load(written(tmp_path, WHOLE))
    ours, others = found.of("hosted"), found.of("ours")
    assert (ours.quality, ours.drift) == ({HEADLINE: 0.03}, None)
    assert ours.speed == others.speed == found.speed
    assert others.quality == found.quality


@pytest.mark.parametrize("text", ["", "{}"])
def test_an_empty_file_is_the_default(tmp_path: Path, text: str) -> None:
    found = load(written(tmp_path, text))
    assert found.model_dump() == Gates().model_dump()
    assert (found.quality, found.speed) == ({HEADLINE: MARGIN}, None)
    assert found.drift is not None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("qualty: 0.01", ":1: qualty: unknown key: did you mean 'quality'?"),
        (
            "quality: {RR@10: 0.01, nDCG@10: 1}",
            ":1: quality: 1: a measure between 0 and 1 cannot lose so much",
        ),
        ("quality: {}", ":1: quality: no measure is named"),
        ("quality: 5", ":1: quality: 5: a measure between 0 and 1 cannot lose so much"),
        (
            "rerankers:\n  a:\n    quality: 1.5",
            ":3: rerankers.a.quality: 1.5: a measure between 0 and 1 cannot lose so much",
        ),
        (
            "quality:\n  nDCG@10: -0.01",
            ":1: quality: -0.01: the loss that is still acceptable is a number above 0",
        ),
        ("quality:\n  nDCG@10: .nan", ":2: quality.nDCG@10: input should be a finite number"),
        (
            "drift: null\nquality:\n  nDGC@10: 0.01",
            ":3: quality.nDGC@10: 'nDGC@10' is not a measure",
        ),
        (
            "rerankers:\n  a:\n    quality: {nDGC@10: 0.01}",
            ":3: rerankers.a.quality.nDGC@10: 'nDGC@10' is not a measure",
        ),
        ("speed: fast", ":1: speed"),
        ("quality: yes", ":1: quality: should be a mapping, as in {key: value} (given: True)"),
        ("speed: yes", ":1: speed: should be a mapping, as in {key: value}"),
        ("failures: yes", ":1: failures:"),
        ("speed: {}", ":1: speed.ratio: is missing"),
        ("\nspeed: -1", ":2: speed.ratio: input should be greater than 0 (given: -1)"),
        ("drift:\n  tua: 0.9", ":2: drift.tua: unknown key: did you mean 'tau'?"),
        ("memory: {}", ":1: memory: give max_gib or ratio"),
        ("cost: {usd: 1}", ":1: cost.usd: unknown key: did you mean 'max_usd'?"),
        ("failures: 1", ":1: failures: input should be less than 1 (given: 1)"),
        ("missing: warn", ":1: missing:"),
        ("rerankers:\n  a: {missing: fail}", ":2: rerankers.a.missing: unknown key"),
        ("- quality", ":1: a gates file is a mapping"),
        ("quality: {", "not valid YAML"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(SuiteError) as caught:
        load(path)
    assert f"{path}" in str(caught.value)
    assert told in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"nowhere\.yaml: cannot be read"):
        load(tmp_path / "nowhere.yaml")


def test_a_reranker_that_neither_run_knows_is_told(tmp_path: Path) -> None:
    """Else what was meant for it would silently hold for nobody."""
    runs = [
        made_run(
            tmp_path, {"minilm": [0.5, 0.6]}, rankings={"minilm": {"q0": [("d", 1.0)]}}, name=name
        )
        for name in ("new", "old")
    ]
    settings = load(written(tmp_path, "rerankers:\n  minilmm: {quality: 0.03}"))
    with pytest.raises(
        SuiteError,
        match=r"gates\.yaml:2: rerankers\.minilmm: no reranker of the two runs: did you mean "
        r"'minilm'",
    ):
        check(runs[0], runs[1], settings)


def test_a_number_with_an_exponent_and_no_point_is_a_number(tmp_path: Path) -> None:
    """YAML 1.1 reads it as text."""
    path = tmp_path / "gates.yaml"
    path.write_text("quality: 1e-2\nspeed: 11e-1\nfailures: 1e-1\n")
    gates = load(path)
    assert gates.quality == {"headline": 0.01}
    assert gates.speed is not None
    assert (gates.speed.ratio, gates.failures) == (1.1, 0.1)


def test_a_file_that_asks_nothing_is_named_with_what_to_write(tmp_path: Path) -> None:
    path = tmp_path / "gates.yaml"
    path.write_text("quality: null\ndrift: null\n")
    new = made_run(tmp_path, {"a": [0.1, 0.2]}, name="new")
    old = made_run(tmp_path, {"a": [0.1, 0.2]}, name="old")
    with pytest.raises(SuiteError, match=r"gates\.yaml:1: .* asks nothing .* write such as qual"):
        check(new, old, load(path))


def test_the_shipped_schema_says_what_a_file_may() -> None:
    shipped = Path(__file__).parents[2] / "suites" / "gates.schema.json"
    assert shipped.read_text() == schema_text(), (
        "run: rerank-bench schema --gates suites/gates.schema.json"
    )
    validator = jsonschema.Draft202012Validator(json.loads(schema_text()))
    for text in (WHOLE, "quality: 0.01\nscale: {}", "scale: {score: 0.1}\ndrift: null"):
        validator.validate(yaml.safe_load(text))
    for text in ("scale: {score: 0}", "scale: true", "quality: [0.1]", "speeds: 1"):
        assert not validator.is_valid(yaml.safe_load(text)), text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("probes: [reversd]", "there is no probe 'reversd': did you mean 'reversed'"),
        ("probes: alll", "there is no probe 'alll': did you mean 'all'"),
        ("rerankers: {a: {probes: [splitt]}}", "did you mean 'split'"),
        ("probes: []", "no probe is named"),
        ("scale: {score: 2}", "less than 1"),
        ("drift: {score: 1}", "less than 1"),
        ("drift: {tau: -0.5}", "greater than 0"),
        ("drift: {overlap: 0}", "greater than 0"),
        ("speed: .inf", "finite"),
        ("memory: {ratio: .inf}", "finite"),
        ("cost: {max_usd: .inf}", "finite"),
    ],
)
def test_a_gate_that_could_not_fail_or_names_no_probe_is_refused_at_load(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "gates.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SuiteError, match=re.escape(message)) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}:1")
    assert "\n" not in str(caught.value)


def test_every_probe_may_be_asked_for(tmp_path: Path) -> None:
    assert tuple(PROBES) == NAMES
    path = tmp_path / "gates.yaml"
    path.write_text(f"probes: [all, {', '.join(PROBES)}]", encoding="utf-8")
    assert load(path).probes == ("all", *PROBES)
