"""Dense retrieval: exact against a brute force written here, embeddings that are made once and
never taken for others, what a kill costs, and an approximate search whose recall is measured.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench
from bench import datasets, retrieval
from bench.contract.candidates import Candidates
from bench.contract.index_facts import IndexFacts, together
from bench.core.cache_dir import cache_dir
from bench.core.errors import BenchError
from bench.core.note import Code
from bench.core.progress import Observer
from bench.datasets.base import Dataset
from bench.models import tiny
from bench.records.facts import check_candidates
from bench.retrieval import dense_gpu, dense_index
from bench.retrieval.dense_gpu import ExactOnDevice
from bench.retrieval.dense_index import DenseBlock, Exact, Index, join
from bench.retrieval.vectors import Embedding, Store
from scripts import kill_embedding
from tests.support import tiny_models

TEXTS = {
    "d1": "the cat sat on the mat",
    "d2": "a dog and the cat",
    "d3": "hot tea and cold fish",
    "d4": "the cat sat on the mat",
    "d5": "rain on the river bank",
    "d6": "why does money run",
    "d7": "hot tea and cold fish",
    "d8": "the moon " * 40,
}
QUERIES = {"q1": "cat on a mat", "q2": "hot fish", "q3": "the river"}


@pytest.fixture(autouse=True)
def _cache(own_cache_and_no_keys: None) -> None:
    """A cache of its own."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoders")
    tiny_models.bi_encoder(folder / "one")
    tiny_models.bi_encoder(folder / "two", seed=1)
    return folder


def write_collection(folder: Path, texts: Mapping[str, str] = TEXTS) -> Path:
    folder.mkdir(exist_ok=True)
    docs = [{"doc_id": name, "title": "a title", "text": text} for name, text in texts.items()]
    (folder / "docs.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in docs))
    lines = [f"{name}\t{text}\n" for name, text in QUERIES.items()]
    (folder / "queries.tsv").write_text("".join(lines))
    (folder / "qrels.txt").write_text("q1 0 d1 1\nq2 0 d3 1\nq3 0 d5 1\n")
    return folder


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    return write_collection(tmp_path / "collection")


def loaded(collection: Path, **options: Any) -> Dataset:
    return datasets.load(f"files:{collection}", options, collection)


def retrieved(
    dataset: Dataset, name: str, options: Mapping[str, Any], depth: int = 5
) -> Candidates:
    stage = retrieval.build(name, dict(options), Path())
    try:
        return stage.retrieve(dataset, list(dataset.queries), depth)
    finally:
        stage.close()


def built(candidates: Candidates) -> IndexFacts:
    assert candidates.built is not None
    return candidates.built


def brute_force(
    doc_ids: Sequence[str], vectors: np.ndarray, query: np.ndarray, depth: int
) -> list[tuple[str, float]]:
    """Return the best documents by comparing every one: score descending, then id descending."""
    scored = []
    for doc_id, vector in zip(doc_ids, vectors, strict=True):
        product = 0.0
        for left, right in zip(vector.tolist(), query.tolist(), strict=True):
            product += left * right
        scored.append((product, doc_id))
    return [(doc_id, product) for product, doc_id in sorted(scored, reverse=True)[:depth]]


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@pytest.mark.parametrize("dimensions", [None, 8])
def test_dense_equals_a_brute_force_search(
    collection: Path, models: Path, similarity: str, dimensions: int | None
) -> None:
    from sentence_transformers import SentenceTransformer

    dataset = loaded(collection)
    options = {
        "model": str(models / "one"),
        "similarity": similarity,
        "dimensions": dimensions,
        "query_prompt": "why ",
        "document_prompt": "the ",
    }
    candidates = retrieved(dataset, "dense", options)
    model = SentenceTransformer(str(models / "one"), device="cpu")

    def vectors(prompt: str, texts: Sequence[str]) -> np.ndarray:
        rows = model.encode([f"{prompt}{text}" for text in texts])[:, :dimensions]
        if similarity == "cosine":
            rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows, dtype=np.float64)

    documents = vectors("the ", [f"a title {text}".strip() for text in TEXTS.values()])
    for query_id, row in zip(QUERIES, vectors("why ", list(QUERIES.values())), strict=True):
        ranking = candidates.by_query[query_id]
        expected = brute_force(list(TEXTS), documents.astype(np.float16), row, 5)
        assert ranking.doc_ids == tuple(doc_id for doc_id, _ in expected)
        scale = max(abs(score) for _, score in expected)
        assert ranking.scores == pytest.approx([s for _, s in expected], abs=2e-3 * scale)


def store_of(
    vectors: np.ndarray, rows: Sequence[int], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> Store:
    DenseBlock.of(vectors).save(folder)
    doc_ids = [f"d{number:05d}" for number in range(len(rows))]
    return Store(folder, doc_ids, np.array(rows), len(vectors), 0.0, 0, False)


@pytest.mark.parametrize("depth", [1, 7, 50, 500])
def test_blocked_search_equals_brute_force_where_many_documents_tie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: int
) -> None:
    """Vectors of a few small whole numbers tie all the time, also at the ends of blocks; and some
    texts are shared by several documents.
    """
    monkeypatch.setattr(dense_index, "BLOCK", 32)
    monkeypatch.setattr(dense_index, "QUERIES", 3)
    rng = np.random.default_rng(1)
    vectors = rng.integers(-2, 3, (200, 4)).astype(np.float32)
    rows = [*range(200), *rng.integers(0, 200, 100).tolist()]
    store = store_of(vectors, rows, monkeypatch, tmp_path)
    queries = rng.integers(-2, 3, (7, 4)).astype(np.float32)
    for in_memory in (0, 1 << 30):
        monkeypatch.setattr(dense_index, "IN_MEMORY", in_memory)
        index = Index(store, Exact(store.array(dense_index.VECTORS)))
        together = index.search(queries, depth)
        for query, ranking in zip(queries, together, strict=True):
            expected = brute_force(store.doc_ids, vectors[rows], query, depth)
            assert list(zip(ranking.doc_ids, ranking.scores, strict=True)) == expected
            assert index.search(query[None], depth) == [ranking]


def test_the_search_of_a_device_picks_what_that_of_the_processor_picks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its device is the processor here: the code is the same on another."""
    monkeypatch.setattr(dense_gpu, "BLOCK", 64)
    monkeypatch.setattr(dense_gpu, "QUERIES", 3)
    rng = np.random.default_rng(4)
    vectors = rng.integers(-2, 3, (300, 6)).astype(np.float32)
    store = store_of(vectors, range(300), monkeypatch, tmp_path)
    queries = rng.integers(-2, 3, (8, 6)).astype(np.float32)
    index = Index(store, ExactOnDevice(store.array(dense_index.VECTORS), "cpu"))
    for depth in (1, 40, 1000):
        for query, ranking in zip(queries, index.search(queries, depth), strict=True):
            expected = brute_force(store.doc_ids, vectors, query, depth)
            assert list(zip(ranking.doc_ids, ranking.scores, strict=True)) == expected


def test_scores_depend_neither_on_other_queries_nor_on_the_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(2)
    vectors = dense_index.unit(rng.normal(size=(3000, 24)).astype(np.float32))
    store = store_of(vectors, range(3000), monkeypatch, tmp_path)
    queries = dense_index.unit(rng.normal(size=(130, 24)).astype(np.float32))
    index = Index(store, Exact(store.array(dense_index.VECTORS)))
    together = index.search(queries, 100)
    monkeypatch.setattr(dense_index, "BLOCK", 700)
    assert [index.search(query[None], 100)[0] for query in queries] == together


def test_a_search_of_one_query_is_that_of_all(collection: Path, models: Path) -> None:
    dataset = loaded(collection)
    stage = retrieval.build("dense", {"model": str(models / "one")}, Path())
    together = stage.retrieve(dataset, list(QUERIES), 4).by_query
    for query_id in QUERIES:
        ranking = stage.search(dataset, query_id, 4)
        assert ranking.doc_ids == together[query_id].doc_ids
        assert ranking.scores == pytest.approx(together[query_id].scores, abs=1e-5)
    stage.close()


def stores() -> list[Path]:
    return sorted(cache_dir("vectors").glob("*/store"))


def test_embeddings_are_made_once_and_opened_afterwards(collection: Path, models: Path) -> None:
    dataset = loaded(collection)
    options = {"model": str(models / "one")}
    first = built(retrieved(dataset, "dense", options))
    second = built(retrieved(dataset, "dense", {**options, "query_prompt": "why "}))
    third = built(retrieved(dataset, "dense", {**options, "batch_size": 2}))
    assert not first.opened
    assert second == third == replace(first, opened=True)
    # two texts are shared by two documents each
    assert (first.documents, first.entries, first.kind) == (8, 6, "vectors")
    assert len(stores()) == 1
    assert first.bytes == sum(path.stat().st_size for path in stores()[0].iterdir())
    assert first.seconds is not None
    assert first.seconds > 0


@pytest.mark.parametrize(
    "options",
    [
        {"model": "two"},
        {"document_prompt": "the "},
        {"max_length": 16},
        {"dtype": "bfloat16"},
        {"similarity": "dot"},
        {"dimensions": 8},
    ],
)
def test_another_encoder_never_gets_the_embeddings(
    collection: Path, models: Path, options: dict[str, Any]
) -> None:
    dataset = loaded(collection)
    usual = {"model": "one"}
    folder = {"model": str(models / usual["model"])}
    retrieved(dataset, "dense", folder)
    other = {**usual, **options}
    changed = retrieved(dataset, "dense", {**other, "model": str(models / other["model"])})
    assert not built(changed).opened
    assert len(stores()) == 2


def test_other_weights_under_the_same_name_never_get_the_embeddings(
    collection: Path, tmp_path: Path
) -> None:
    dataset = loaded(collection)
    folder = tmp_path / "encoder"
    tiny_models.bi_encoder(folder)
    before = retrieved(dataset, "dense", {"model": str(folder)})
    tiny_models.bi_encoder(folder, seed=3)
    after = retrieved(dataset, "dense", {"model": str(folder)})
    assert not built(after).opened
    assert before.hash != after.hash


def test_a_changed_collection_or_template_never_gets_the_embeddings(
    collection: Path, models: Path
) -> None:
    options = {"model": str(models / "one")}
    retrieved(loaded(collection), "dense", options)
    template = retrieved(loaded(collection, document="{text}"), "dense", options)
    write_collection(collection, {**TEXTS, "d6": "why does the sun run"})
    texts = retrieved(loaded(collection), "dense", options)
    assert not built(template).opened
    assert not built(texts).opened
    assert len(stores()) == 3


def test_a_damaged_store_is_set_aside_and_made_again(collection: Path, models: Path) -> None:
    dataset = loaded(collection)
    options = {"model": str(models / "one")}
    before = retrieved(dataset, "dense", options)
    path = stores()[0] / "vectors.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    after = retrieved(dataset, "dense", options)
    assert [about.code for about in after.warnings if about.code == Code.VECTORS_DAMAGED]
    assert after.by_query == before.by_query
    assert path.parent.with_name("store.damaged").is_dir()
    assert built(retrieved(dataset, "dense", options)).opened


def test_a_collection_that_nothing_names_is_embedded_and_not_kept(
    collection: Path, models: Path
) -> None:
    dataset = loaded(collection)
    nameless = replace(dataset, identity={"id": "nameless"})
    options = {"model": str(models / "one")}
    by_query = retrieved(nameless, "dense", options).by_query
    assert stores() == []
    assert by_query == retrieved(dataset, "dense", options).by_query


def test_a_cache_that_cannot_be_written_costs_the_keeping_alone(
    collection: Path, models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dataset = loaded(collection)
    options = {"model": str(models / "one")}
    expected = retrieved(dataset, "dense", options)
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("RERANK_BENCH_CACHE", str(tmp_path / "file"))
    candidates = retrieved(dataset, "dense", options)
    assert [about.code for about in candidates.warnings].count(Code.VECTORS_NOT_KEPT) == 1
    assert candidates.by_query == expected.by_query


class Counting:
    """An encoder whose vectors are of a text's length, and that notes the texts that it gets."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, texts: Sequence[str]) -> tuple[DenseBlock, int]:
        self.texts += texts
        return DenseBlock.of(np.array([[len(text), 1.0] for text in texts], np.float32)), 0


def test_equal_texts_are_encoded_once_and_parts_of_other_texts_are_not_used(
    collection: Path, tmp_path: Path
) -> None:
    encode = Counting()

    def embedding(dataset: Dataset) -> Embedding:
        return Embedding(dataset, encode, join, "encoding", Observer(), chunk=2)

    dataset = loaded(collection, document="{text}")
    texts = list(dict.fromkeys(text.strip() for text in TEXTS.values()))

    class Killed(BaseException):
        pass

    def killed(chunk: Sequence[str]) -> tuple[DenseBlock, int]:
        if chunk[0] == texts[4]:
            raise Killed
        return encode(chunk)

    with pytest.raises(Killed):
        replace_encode(embedding(dataset), killed).store(tmp_path / "vectors")
    assert encode.texts == texts[:4]
    # the first two texts of the collection are other ones now
    write_collection(collection, {**TEXTS, "d1": "a new text", "d4": "a new text"})
    changed = loaded(collection, document="{text}")
    store, notes = embedding(changed).store(tmp_path / "vectors")
    assert encode.texts[4:] == ["a new text", texts[1], *texts[4:]]
    assert [about.code for about in notes] == [Code.VECTORS_DAMAGED]
    vectors = store.array("vectors.npy")
    for place, doc_id in enumerate(store.doc_ids):
        length = len(changed.texts([doc_id])[0])
        assert vectors[store.rows[place]].tolist() == [length, 1.0]


def replace_encode(embedding: Embedding, encode: Any) -> Embedding:
    return replace(embedding, encode=encode)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is a POSIX signal")
def test_a_kill_loses_at_most_the_chunk_at_work(tmp_path: Path) -> None:
    findings = kill_embedding.kill_often(6, 3, tmp_path)
    assert kill_embedding.is_sound(findings), findings
    assert findings["kills"] == 6


def test_two_that_want_the_same_embeddings_make_them_once(collection: Path, tmp_path: Path) -> None:
    encode = Counting()
    dataset = loaded(collection)
    opened: list[bool] = []

    def work() -> None:
        embedding = Embedding(dataset, encode, join, "encoding", Observer(), chunk=2)
        opened.append(embedding.store(tmp_path / "vectors")[0].opened)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(encode.texts) == 6
    assert sorted(opened) == [False, True, True, True]


def test_two_processes_make_embeddings_once(tmp_path: Path) -> None:
    kill_embedding.write_collection(tmp_path / "collection")
    processes = [kill_embedding.start(tmp_path) for _ in range(2)]
    assert [process.wait(120) for process in processes] == [0, 0]
    chunks = -(-kill_embedding.DOCUMENTS // kill_embedding.CHUNK)
    assert kill_embedding.chunks_begun(tmp_path) == chunks


class Tasks(Observer):
    """Notes the tasks and how far they came."""

    def __init__(self) -> None:
        self.units: dict[str, list[int]] = {}

    def task(self, label: str, total: int, unit: str) -> Any:
        from contextlib import nullcontext

        self.units[label] = [total, 0]

        def advance(count: int) -> None:
            self.units[label][1] += count

        return nullcontext(advance)


def test_embedding_reports_its_progress(collection: Path, models: Path) -> None:
    observer = Tasks()
    options = {"model": str(models / "one")}
    stage = retrieval.build("dense", options, Path(), "cpu", observer)
    stage.load(loaded(collection))
    stage.close()
    assert observer.units == {"encoding with one": [6, 6]}


@pytest.mark.parametrize("kind", ["faiss-hnsw", "faiss-ivf"])
def test_the_recall_of_an_approximate_search_is_measured(
    tmp_path: Path, models: Path, kind: str
) -> None:
    pytest.importorskip("faiss")
    words = tiny.WORDS
    rng = np.random.default_rng(0)
    texts = {f"d{i}": " ".join(rng.choice(words, 6)) for i in range(300)}
    dataset = loaded(write_collection(tmp_path / "many", texts))
    options = {"model": str(models / "one")}
    exact = retrieved(dataset, "dense", options, 20)
    near = retrieved(dataset, "dense", {**options, "index": kind, "effort": 1}, 20)
    shares = []
    for query_id in QUERIES:
        wanted = dict(zip(*vars(exact.by_query[query_id]).values(), strict=True))
        ranking = near.by_query[query_id]
        shares.append(len(wanted.keys() & set(ranking.doc_ids)) / 20)
        for doc_id, score in zip(ranking.doc_ids, ranking.scores, strict=True):
            # scored as the exact search scores it
            assert wanted.get(doc_id, score) == score
    assert built(near).recall == pytest.approx(sum(shares) / 3)
    codes = [about.code for about in near.warnings]
    assert codes.count(Code.APPROXIMATE) == 1
    # the vectors are shared with the exact search, the index is its own
    assert len(stores()) == 1
    assert built(near).bytes > built(exact).bytes
    again = built(retrieved(dataset, "dense", {**options, "index": kind}, 20))
    assert again.opened


def test_an_index_of_faiss_that_cannot_be_written_is_served_from_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faiss = pytest.importorskip("faiss")
    from bench.retrieval import ann

    vectors = np.eye(8, dtype=np.float16)
    index = ann.approximate(vectors, "faiss-hnsw", None, None)
    with pytest.raises(OSError, match="faiss cannot write it"):
        ann._save(index, tmp_path / "absent")

    def full(*arguments: object) -> None:
        raise RuntimeError("write error in index.faiss: No space left on device")

    built: list[object] = []
    made = ann._made

    def counted(*arguments: Any) -> ann.Approximate:
        built.append(arguments)
        return made(*arguments)

    monkeypatch.setattr(faiss, "write_index", full)
    monkeypatch.setattr(ann, "_made", counted)
    served = ann.approximate(vectors, "faiss-hnsw", None, tmp_path / "index")
    assert (served.folder, len(built)) == (None, 1)
    assert not (tmp_path / "index").exists()
    [rows] = served.pick(vectors[3:4].astype(np.float32), 2)
    assert rows[0] == 3


def refusal(options: Mapping[str, Any], dataset: Dataset) -> str:
    with pytest.raises(BenchError) as error:
        retrieved(dataset, "dense", options)
    return str(error.value)


def test_options_that_cannot_be_are_refused_in_a_line(collection: Path, models: Path) -> None:
    dataset = loaded(collection)
    assert "it encodes no single text" not in refusal({"model": "tiny:none"}, dataset)
    message = refusal({"model": "minilm-l6"}, dataset)
    assert "'minilm-l6' is a reranker (cross-encoder), and encodes no single text" in message
    message = refusal({"model": str(models / "one"), "dimensions": 500}, dataset)
    assert message.endswith("dimensions: 500 is more than the 32 of its vectors")
    assert "there is no tiny model 'none'" in refusal({"model": "tiny:none"}, dataset)


def test_a_bi_encoder_of_the_catalogue_is_known_by_its_name() -> None:
    options = retrieval.options_for("dense").model_validate({"model": "minilm-bi-encoder"})
    packaged = retrieval.options_for("minilm-dense")()
    assert dict(options) == dict(packaged)


def test_texts_that_the_encoder_cuts_are_counted(collection: Path, models: Path) -> None:
    candidates = retrieved(loaded(collection), "dense", {"model": str(models / "one")})
    (about,) = [one for one in candidates.warnings if one.code == Code.CUT_DOCUMENTS]
    assert (about.count, about.total) == (1, 6)


def test_a_run_records_the_index_and_times_encoding_and_search_apart(
    collection: Path, models: Path, tmp_path: Path
) -> None:
    first_stage = {"dense": {"model": str(models / "one"), "name": "vectors"}}
    suite = {
        "name": "dense",
        "datasets": [f"files:{collection}"],
        "first_stages": [first_stage],
        "pipelines": [{"name": "two", "stages": [first_stage, {"word-overlap": {"keep": 2}}]}],
        "depth": 4,
        "measures": ["nDCG@10"],
        "latency": {
            "scenarios": ["single"],
            "queries": 3,
            "span_queries": 3,
            "warmup_max": 1,
            "first_stages": True,
        },
    }
    run = bench.run(suite, out=tmp_path / "out")
    record = next(iter(run.records.values()))
    facts = IndexFacts.read(record.candidates["index"])
    assert (facts.documents, facts.entries, facts.opened) == (8, 6, False)
    report = (run.folder / "report.md").read_text(encoding="utf-8")
    assert "<summary>Indexes</summary>" in report
    assert "| vectors | collection | 8 | 6 vectors |" in report
    spans = set(run.latency["span"].dropna())
    assert {"vectors", "vectors: encode", "vectors: search"} <= spans
    again = bench.run(suite, out=tmp_path / "again")
    opened = IndexFacts.read(next(iter(again.records.values())).candidates["index"])
    assert opened == replace(facts, opened=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [("bytes", -1), ("documents", "8"), ("opened", None), ("parts", [{}]), ("recall", "all")],
)
def test_facts_of_an_index_that_cannot_be_are_refused(name: str, value: object) -> None:
    fields: dict[str, Any] = dict(IndexFacts("vectors", 8, 6, 100, 1.5, False).to_dict())
    check_candidates({"index": fields})
    with pytest.raises(ValueError, match=rf"index\.{name}"):
        check_candidates({"index": {**fields, name: value}})


def test_the_facts_of_parts_add_up() -> None:
    words = IndexFacts("postings", 8, 40, 1000, None, True)
    vectors = IndexFacts("vectors", 8, 6, 200, 1.5, True)
    whole = together([("bm25", words), ("run", None), ("dense", vectors)])
    assert whole is not None
    assert (whole.bytes, whole.seconds, whole.bytes_per_document) == (1200, None, 150)
    assert [part.name for part in whole.parts] == ["bm25", "dense"]
    assert IndexFacts.read(whole.to_dict()) == whole
    assert together([("run", None)]) is None


def test_the_lists_of_first_stages_load_nothing_heavy() -> None:
    code = (
        "import sys; from bench import retrieval;"
        "[retrieval.options_for(name) for name in retrieval.TABLE];"
        "print({'numpy', 'torch', 'scipy', 'faiss'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
