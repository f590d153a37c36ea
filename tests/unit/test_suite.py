"""A suite that cannot be used is told by file, line, key and fix; the schema for editors agrees
with the validator.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from bench.contract.part import Part
from bench.core.errors import SuiteError
from bench.suite import suite as suites
from bench.suite.json_schema import schema, schema_text
from bench.suite.planning import plan
from tests.support.paths import ROOT

GOOD = """\
name: mine
datasets:
  - embedded:everyday
first_stages:
  - bm25: {k1: 1.2}
rerankers:
  - minilm-bi-encoder
  - cross-encoder: {model: some/model, max_length: 256, optional: true}
measures: [nDCG@10]
"""


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    found = schema()
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


def problem(tmp_path: Path, text: str) -> str:
    path = tmp_path / "suite.yaml"
    path.write_text(text)
    with pytest.raises(SuiteError) as caught:
        suites.load(path)
    return str(caught.value).replace(str(path), "suite.yaml")


def test_a_good_suite_loads_with_its_defaults(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(GOOD)
    suite = suites.load(path)
    assert suite.depth == 100
    assert suite.base_dir == tmp_path
    assert suite.written == yaml.safe_load(GOOD)
    assert suites.load(suite.resolved()).resolved() == suite.resolved()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            ("measures:", "mesures:"),
            ["suite.yaml:9: mesures: unknown key", "did you mean 'measures'?"],
        ),
        (
            ("k1: 1.2", "k2: 1.2"),
            ["suite.yaml:5: first_stages.0.bm25.k2: unknown key", "did you mean 'k1'?"],
        ),
        (
            ("k1: 1.2", "k1: high"),
            ["suite.yaml:5: first_stages.0.bm25.k1:", "valid number", "'high'"],
        ),
        (
            ("minilm-bi-encoder", "minlm-bi-encoder"),
            ["suite.yaml:7:", "did you mean 'minilm-bi-encoder'?"],
        ),
        (
            ("max_length", "max_lenght"),
            ["suite.yaml:8: rerankers.1.cross-encoder.max_lenght", "did you mean 'max_length'?"],
        ),
        (("- bm25:", "- bm52:"), ["suite.yaml:5:", "did you mean 'bm25'?"]),
        (("embedded:everyday", "embeded:everyday"), ["suite.yaml:3:", "did you mean 'embedded'?"]),
        (("[nDCG@10]", "[ndcg@10]"), ["suite.yaml:9: measures.0:", "did you mean 'nDCG@10'?"]),
        (("name: mine", "name: mine\ndepth: many"), ["suite.yaml:2: depth:", "integer", "'many'"]),
        (
            ("name: mine", "name: mine\ndepth: 0"),
            ["suite.yaml:2: depth:", "greater than or equal to 1"],
        ),
        (
            ("name: mine", "name: mine\ndevices: [gpu]"),
            ["suite.yaml:2: devices.0:", "not a device"],
        ),
        (
            ("name: mine", "name: mine\nsweep: {}"),
            ["suite.yaml:2: sweep: unknown key: it belongs under latency"],
        ),
        (
            ("name: mine", "name: mine\nkeep: 5"),
            ["keep: unknown key: it belongs in the options of a pipeline's stage"],
        ),
        (
            ("name: mine", "name: mine\nserver: {}"),
            ["server: unknown key: it belongs under latency or among latency.scenarios"],
        ),
        (
            ("max_length", "depth"),
            ["suite.yaml:8: rerankers.1.cross-encoder.depth: unknown key: it belongs at the top"],
        ),
        (
            ("name: mine", "name: mine\nlatency: {measures: [AP]}"),
            ["latency.measures: unknown key: it belongs at the top level of the suite"],
        ),
        (
            ("k1: 1.2", "batch_size: 8"),
            ["bm25.batch_size: unknown key: it belongs in the options of a reranker such as"],
        ),
        (
            ("minilm-bi-encoder", "bm25"),
            ["suite.yaml:7: rerankers.0.bm25: 'bm25' is a first stage: it belongs under"],
        ),
        (
            ("- bm25: {k1: 1.2}", "- minilm-l6"),
            ["first_stages.0.minilm-l6: 'minilm-l6' is a reranker: it belongs under rerankers"],
        ),
        (
            ("- minilm-bi-encoder", "- embedded:everyday"),
            ["'embedded:everyday' is a dataset: it belongs under datasets"],
        ),
        (
            ("name: mine", "name: mine\npipelines: [{name: a, stages: [minilm-l6]}]"),
            ["pipelines.0.stages.0.minilm-l6: a pipeline begins with a first stage"],
        ),
        (
            ("name: mine", "name: mine\npipelines: cascade"),
            ["suite.yaml:2: pipelines: should be a list, as in [a, b] (given: 'cascade')"],
        ),
        (
            ("name: mine", "name: mine\nlatency: fast"),
            ["suite.yaml:2: latency: should be a mapping, as in {key: value} (given: 'fast')"],
        ),
        (("k1: 1.2", "k3: 1.2"), ["bm25.k3: unknown key: did you mean 'k1'?"]),
        (("name: mine", "name: a/b"), ["suite.yaml:1: name:"]),
        (("name: mine\n", ""), ["suite.yaml:1: name: is missing"]),
        (("  - embedded:everyday\n", "  []\n"), ["datasets"]),
        (("name: mine", "name: [mine"), ["suite.yaml:2: not valid YAML"]),
        (("  - minilm-bi-encoder", "  - {a: 1, b: 2}"), ["suite.yaml:7:", "an entry is a name"]),
        (
            ("name: mine", "name: mine\nexecutor: [processes]"),
            ["suite.yaml:2: executor: one executor: a name", "'processes: {workers: 4}'"],
        ),
        (
            ("name: mine", "name: mine\npipelines: [{name: a, stages: []}]"),
            ["suite.yaml:2: pipelines.0.stages: needs at least one"],
        ),
        (
            (
                "name: mine",
                "name: mine\npipelines: [{name: a, stages: [bm25, {word-overlap: "
                "{optional: true}}]}]",
            ),
            ["pipelines.0.stages.1.word-overlap: optional: it belongs to the pipeline"],
        ),
        (
            ("name: mine", "name: mine\npipelines: [{name: a, stages: [bm25: {optional: true}]}]"),
            ["suite.yaml:2: pipelines.0.stages.0.bm25: optional: it belongs to the pipeline"],
        ),
        (
            ("embedded:everyday", "files:nowhere#dev"),
            ["suite.yaml:3: datasets.0.files:nowhere#dev: there is no nowhere in"],
        ),
        (
            ("- bm25: {k1: 1.2}", "- run: {path: gone.run}"),
            ["suite.yaml:5: first_stages.0.run: there is no gone.run in"],
        ),
        (
            ("- minilm-bi-encoder", "- run-file: gone.run"),
            ["suite.yaml:7: rerankers.0.run-file: there is no gone.run in"],
        ),
        (
            ("- minilm-bi-encoder", "- packaged:all-MiniLM-L6-v2"),
            ["suite.yaml:7: rerankers.0", "cross-encoder: {model: 'packaged:all-MiniLM-L6-v2'}"],
        ),
    ],
)
def test_a_problem_names_file_line_key_and_fix(
    tmp_path: Path, change: tuple[str, str], expected: list[str]
) -> None:
    message = problem(tmp_path, GOOD.replace(*change))
    for part in expected:
        assert part in message, message


def test_all_problems_of_the_top_level_are_told_at_once(tmp_path: Path) -> None:
    message = problem(tmp_path, "name: mine\ndepht: 3\nseed: x\ndatasets: [embedded:everyday]\n")
    assert len(message.splitlines()) == 2


@pytest.mark.parametrize(
    "text", ["", "- a\n- b\n", "just text", "!!python/object/apply:os.system ['true']"]
)
def test_what_is_no_mapping_is_no_suite(tmp_path: Path, text: str) -> None:
    assert "suite.yaml" in problem(tmp_path, text)


def test_a_missing_file_and_an_unknown_name_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="no such suite file"):
        suites.load(tmp_path / "none.yaml")
    with pytest.raises(SuiteError, match="did you mean 'quickstart'"):
        suites.load("quikstart")


def test_a_bare_value_goes_to_the_one_required_option(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    (tmp_path / "bm25.run").touch()
    path.write_text(GOOD.replace("  - bm25: {k1: 1.2}", "  - run: bm25.run"))
    assert suites.load(path).first_stages[0].to_entry() == {"run": "bm25.run"}
    assert "mapping" in problem(tmp_path, GOOD.replace("{k1: 1.2}", "fast"))


@pytest.mark.parametrize("name", sorted(suites.shipped()))
def test_every_shipped_suite_is_valid_for_both_validators(
    name: str, validator: jsonschema.Draft202012Validator
) -> None:
    suite = suites.load(name)
    assert suite.name == name
    validator.validate(suite.written)


def test_the_shipped_schema_is_the_generated_one() -> None:
    shipped = ROOT / "suites" / "suite.schema.json"
    assert shipped.read_text() == schema_text(), (
        "run `rerank-bench schema suites/suite.schema.json`"
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "x"},
        {"name": "x", "datasets": ["embedded:everyday"], "rerankers": ["no-such-thing"]},
        {
            "name": "x",
            "datasets": ["embedded:everyday"],
            "rerankers": [{"cross-encoder": {"modle": "a"}}],
        },
        {"name": "x", "datasets": ["everyday"]},
        {"name": "x", "datasets": ["embedded:everyday"], "depht": 3},
    ],
)
def test_the_schema_refuses_what_the_validator_refuses(
    wrong: dict[str, Any], validator: jsonschema.Draft202012Validator
) -> None:
    with pytest.raises(SuiteError):
        suites.load(wrong)
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(json.loads(json.dumps(wrong)))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "rerankers: [{word-overlap: {name: oracle}}]",
            "rerankers.0.word-overlap: 'oracle' is the",
        ),
        ("rerankers: [{word-overlap: {name: First-Stage}}]", "'First-Stage' is the name of a row"),
        ("rerankers: [{cross-encoder: ./oracle}]", "rerankers.0.cross-encoder: 'oracle' is the"),
        (
            "pipelines: [{name: first-stage, stages: [bm25, word-overlap]}]",
            "pipelines.0.name: 'first-stage' is the name of a row that every table has: give it",
        ),
        (
            "rerankers: ['bench.rerankers.reference.fixed:OracleReranker']",
            "is a reference and competes with no reranker",
        ),
        (
            "pipelines: [{name: best, stages: [bm25, oracle]}]",
            "pipelines.0.stages.1.oracle: pipeline 'best': 'oracle' is a reference and no stage",
        ),
        (
            "pipelines: [{name: best, stages: [bm25, {first-stage: {keep: 3}}]}]",
            "pipelines.0.stages.1.first-stage: pipeline 'best': 'first-stage' is a reference",
        ),
        (
            "pipelines: [{name: best, stages: [bm25, {'bench.rerankers.reference.fixed:"
            "OracleReranker': {name: mine}}]}]",
            "pipeline 'best': 'bench.rerankers.reference.fixed:OracleReranker' is a reference",
        ),
    ],
)
def test_nothing_competes_as_a_reference_or_under_its_name(
    lines: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(f"name: taken\ndatasets: [embedded:everyday]\n{lines}\n")
    with pytest.raises(SuiteError) as refused:
        suites.load(path)
    assert str(refused.value).startswith(f"{path}:3: ")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_two_rerankers_of_one_name_are_told_apart_by_file_line_and_keys(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(
        "name: two\ndatasets: [embedded:everyday]\nrerankers:\n"
        "- word-overlap\n- first-stage\n- word-overlap: {name: word-overlap}\n"
    )
    message = r"suite\.yaml:6: rerankers\.2\.word-overlap: rerankers\.0\.word-overlap is named"
    with pytest.raises(SuiteError, match=message):
        plan(suites.load(path))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "pipelines:\n- name: one\n  stages: [bm25, word-overlap]\n- name: one\n"
            "  stages: [bm25, {word-overlap: {keep: 5}}]\n",
            "suite.yaml:6: pipelines.1.name: pipelines.0.name is named 'one' too",
        ),
        (
            "rerankers: [{minilm-l6: {name: one}}]\npipelines:\n- name: one\n"
            "  stages: [bm25, minilm-bi-encoder]\n",
            "suite.yaml:5: pipelines.0.name: rerankers.0.minilm-l6 is named 'one' too",
        ),
        (
            "pipelines:\n- name: one\n  stages:\n  - bm25\n"
            "  - cross-encoder: {model: owner/name, weights: random}\n",
            "suite.yaml:7: pipelines.0.stages.1.cross-encoder: reranker 'cross-encoder': weights",
        ),
        (
            "rerankers:\n- cross-encoder: {model: owner/name, weights: random}\n",
            "suite.yaml:4: rerankers.0.cross-encoder: reranker 'cross-encoder': weights: random",
        ),
    ],
)
def test_what_planning_refuses_names_file_line_and_keys(
    lines: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(f"name: two\ndatasets: [embedded:everyday]\n{lines}")
    with pytest.raises(SuiteError) as refused:
        plan(suites.load(path), "cpu")
    assert message in str(refused.value)


def test_a_whole_number_with_an_exponent_says_what_to_write(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(
        "name: two\ndatasets: [embedded:everyday]\nrerankers: [word-overlap]\ndepth: 1e2\n"
    )
    with pytest.raises(SuiteError, match=r"suite\.yaml:4: depth: .*: write 100$"):
        suites.load(path)


def test_a_part_without_options_has_its_own_name() -> None:
    """One field alone is no entry {name: x}."""
    part = Part(name="x")
    assert (part.name, part.options, part.to_entry()) == ("x", None, "x")
    assert part == Part.model_validate("x") == Part("x")
    assert Part.model_validate({"name": "x"}) == Part("name", "x"), "as a suite file has it"
    assert Part.model_validate({"x": {"keep": 3}}).to_entry() == {"x": {"keep": 3}}
