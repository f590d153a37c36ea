"""Training recipes: what a file may say, and what each mistake says in return."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from bench.core.errors import SuiteError
from bench.core.progress import Observer
from bench.suite import suite
from bench.training import recipe
from bench.training.json_schema import schema_text
from bench.training.split import split
from tests.support.paths import ROOT

PLAIN = "name: mine\nbase: minilm-l6\ndata: embedded:everyday-train\n"
FULL = """name: full
base: packaged:all-MiniLM-L6-v2
data: [embedded:everyday-train: {queries: 80}, embedded:everyday]
dev: {share: 0.2}
test: embedded:everyday
split_by: article
depth: 40
negatives:
  from: [bm25: {keep: 40}, minilm-bi-encoder: {keep: 30}]
  ranks: [2, 30]
  margin: 0.1
  below: 0.9
  easy: 0.25
  per_query: 8
teacher: minilm-bi-encoder
loss: margin-mse
lora: {rank: 4, alpha: 8}
epochs: 1
batch: 32
length: 128
rate: 5e-5
seed: 7
patience: null
fractions: [1, 0.1, 0.5]
"""
LTR = """name: cheap
kind: ltr
data: embedded:everyday-train
ltr: {model: linear, encoder: minilm-bi-encoder}
"""


def read(text: str) -> recipe.Recipe:
    return recipe.parse(text, "recipe.yaml", Path.cwd())


def test_a_short_recipe_has_the_usual_values() -> None:
    mine = read(PLAIN)
    assert [part.name for part in mine.data] == ["embedded:everyday-train"]
    assert mine.objective == "binary-cross-entropy"
    assert (mine.dev.share, mine.test) == (0.15, None)
    assert [part.name for part in mine.negatives.pipeline] == ["bm25"]


def test_a_full_recipe_is_read_as_written() -> None:
    full = read(FULL)
    assert full.rate == 5e-5
    assert list(full.fractions) == [0.1, 0.5, 1]
    assert full.test is not None
    assert full.test.dataset is not None
    assert [part.name for part in full.negatives.pipeline] == ["bm25", "minilm-bi-encoder"]
    assert (full.negatives.ranks, full.negatives.below) == ((2, 30), 0.9)


@pytest.mark.parametrize("text", [PLAIN, FULL, LTR])
def test_what_is_resolved_is_a_recipe_of_the_same_values(text: str) -> None:
    read_once = read(text)
    again = recipe.load(read_once.resolved())
    assert again.resolved() == read_once.resolved()


@pytest.mark.parametrize("text", [PLAIN, FULL, LTR])
def test_the_schema_takes_what_the_reader_takes(text: str) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(schema_text()))
    data = yaml.safe_load(text)
    data["rate"] = 1e-5
    assert list(validator.iter_errors(data)) == []
    assert list(validator.iter_errors({**data, "negatives": {"form": "bm25"}})) != []


def test_the_shipped_schema_says_what_a_recipe_may() -> None:
    shipped = ROOT / "suites" / "recipe.schema.json"
    assert shipped.read_text() == schema_text(), (
        "run: rerank-bench schema --recipe suites/recipe.schema.json"
    )


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        ("epoch: 3", 4, "unknown key: did you mean 'epochs'?"),
        ("negatives: {form: bm25}", 4, "did you mean 'from'?"),
        ("negatives: {ranks: [9, 2]}", 4, "no window of ranks"),
        ("negatives: {ranks: [9, 200]}", 1, "below the depth of 50"),
        ("negatives: {from: minilm-l6}", 4, "begins with a first stage"),
        ("negatives: {from: [bm25, {minilm-l6: {keep: 90}}]}", 4, "more than the 50 documents"),
        ("negatives: {below: 0.9}", 1, "name a teacher"),
        ("teacher: minilm-bi-encoder", 1, "the teacher does nothing here"),
        ("teacher: minilm-bi-encodr\nloss: margin-mse", 4, "did you mean 'minilm-bi-encoder'?"),
        ("loss: contrastive", 1, "a cross-encoder has no loss contrastive"),
        ("loss: margin-mse", 1, "name a reranker as teacher"),
        ("loss: listnet\nanchor: 5", 1, "name a teacher"),
        ("teacher: minilm-bi-encoder\nanchor: 5", 1, "labels of listnet have one"),
        ("anchor: 0", 4, "greater than 0"),
        ("rate: .inf", 4, "finite number"),
        ("negatives: {margin: .inf}", 4, "finite number"),
        ("sharpness: 2", 1, "labels of listnet have one"),
        ("kind: bi-encoder\nhead: cosine", 1, "of a cross-encoder, and this is a bi-encoder"),
        ("head: cosine", 1, "saved as an adapter alone"),
        ("head: cosine\nlora: 8", 1, "saved as an adapter alone"),
        ("dev: 1.5", 4, "less than 1"),
        ("test: everyday", 4, "lacks its kind"),
        ("test: {files:./nowhere: {queries: 3}}", 4, "there is no ./nowhere"),
        ("test: {share: 0.1, dataset: embedded:everyday}", 4, "give a share"),
        ("fractions: [2]", 4, "is no share"),
        ("kind: ltr", 1, "base: an ltr has none"),
        ("ltr: {model: linear}", 1, "options of kind ltr"),
        ("lora: big", 4, "give a rank, such as 8"),
    ],
)
def test_a_mistake_names_its_line_and_its_fix(change: str, line: int, words: str) -> None:
    with pytest.raises(SuiteError) as problem:
        read(f"{PLAIN}{change}\n")
    assert str(problem.value).startswith(f"recipe.yaml:{line}:")
    assert words in str(problem.value)


def test_a_recipe_needs_a_base_and_an_ltr_none() -> None:
    with pytest.raises(SuiteError, match="base is missing"):
        read("name: mine\ndata: embedded:everyday-train\n")
    for idle in ("dev: 0.2", "epochs: 3", "negatives: {easy: 0.5}"):
        with pytest.raises(SuiteError, match=f"{idle.partition(':')[0]}.*: an ltr"):
            read(f"{LTR}{idle}\n")
    with pytest.raises(SuiteError, match=r"ltr\.train"):
        read(LTR.replace("model: linear", "train: embedded:everyday"))


def test_a_suite_and_a_recipe_in_each_others_place_are_one_line() -> None:
    written = "name: mine\ndatasets: [embedded:everyday]\nrerankers: [oracle]\n"
    with pytest.raises(SuiteError) as problem:
        read(written)
    assert str(problem.value) == (
        "recipe.yaml:2: datasets: of a suite, and no training recipe: "
        "`rerank-bench run recipe.yaml` runs it"
    )
    with pytest.raises(SuiteError, match=r"^s\.yaml:3: data: .*`rerank-bench train s\.yaml`"):
        suite.parse(PLAIN, "s.yaml", ROOT)
    with pytest.raises(SuiteError, match=r"name: names a folder: letters, digits.*'a/b'"):
        read(PLAIN.replace("name: ", "name: a/b # "))


def test_data_that_cannot_be_trained_on_are_named_with_their_line() -> None:
    def refused(change: str, reason: str) -> None:
        with pytest.raises(SuiteError, match=f"^recipe.yaml:[0-9]+: {reason}"):
            split(read(f"{PLAIN.replace('data: ', 'dev: 0.2 # ')}{change}\n"), Observer())

    refused("data: embedded:evryday", r"data\.0: .*did you mean 'everyday'")
    refused("data: {embedded:everyday: {qrels: none}}", "data: everyday: no query has a relevant")
    refused("data: embedded:everyday\nsplit_by: topc", "split_by: .*has no field 'topc'")
    refused("data: embedded:everyday\ntest: embedded:evryday", "test: .*did you mean 'everyday'")


@pytest.mark.parametrize("line", ["epochs: .inf", "epochs: 1.0e+30", "seed: 4294967296"])
def test_what_no_training_could_end_or_begin_with_is_refused(line: str) -> None:
    with pytest.raises(SuiteError, match=f"recipe.yaml:.*{line.partition(':')[0]}"):
        read(f"{PLAIN}{line}\n")


def test_a_recipe_in_the_folder_of_its_training_stays_as_it_was_written(tmp_path: Path) -> None:
    from bench.training.train import _write_recipe

    path = tmp_path / "recipe.yaml"
    text = "# ours\nname: a\nbase: tiny:bert-cross-encoder\ndata: embedded:everyday-train\n"
    path.write_text(text)
    _write_recipe(recipe.load(path), tmp_path)
    assert path.read_text() == text
    _write_recipe(recipe.load(path), tmp_path / "out")
    assert "name: a\n" in (tmp_path / "out" / "recipe.yaml").read_text()
