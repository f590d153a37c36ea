"""`weights: random`: the networks have the published sizes, do the work of the trained ones, and
never come near a quality.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench
from bench import reports, rerankers
from bench.catalogue import entries
from bench.catalogue.entries import Architecture
from bench.comparison.budgets import budget
from bench.comparison.pairs import compare, sides
from bench.contract.request import CandidateList
from bench.core.errors import RecordError, SuiteError, Unavailable
from bench.latency.estimate import seconds_per_query
from bench.latency.sample import Condition
from bench.machine import memory
from bench.records.rows import architectures, rows
from bench.records.run import Run
from bench.reports import budget as budget_report
from bench.reports import exports, sections
from bench.reports.document import Table
from bench.rerankers.listwise.sliding_window import spans
from bench.rerankers.random import architecture as module
from bench.rerankers.random.architecture import ArchitectureReranker
from bench.rerankers.random.network import build, count_parameters
from bench.rerankers.random.text_lengths import TextLengths
from bench.runner import loop
from bench.suite.suite import load
from tests.support.agreement import close
from tests.support.made_collections import write_collection

KNOWN = {name: entry for name, entry in entries.load().items() if entry.facts.architecture}
ENCODER = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "vocab_size": 400,
}
CAUSAL = {**ENCODER, "num_key_value_heads": 1, "head_dim": 16, "tie_word_embeddings": True}
DEBERTA = {
    **ENCODER,
    "type_vocab_size": 0,
    "relative_attention": True,
    "position_buckets": 8,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "pooler_hidden_size": 32,
}
T5 = {"d_model": 32, "d_ff": 64, "d_kv": 16, "num_heads": 2, "num_layers": 2, "vocab_size": 400}
TINY = {
    "bert": ("minilm-l6", "classify", ENCODER),
    "xlm-roberta": (
        "bge-reranker-base",
        "classify",
        {**ENCODER, "type_vocab_size": 1, "max_position_embeddings": 514},
    ),
    "deberta-v2": ("mxbai-rerank-large-v1", "classify", DEBERTA),
    "t5": ("monot5-base", "text-to-text", T5),
    "qwen3": ("qwen3-reranker-0.6b", "answer", CAUSAL),
    "mistral": ("rank-zephyr-7b", "list", CAUSAL),
}
REQUEST = CandidateList(
    "q", "what runs", [f"d{i}" for i in range(5)], ["a cat " * n for n in (9, 1, 30, 4, 2)]
)
TRIAL = "tiny--bm25--tinybert-l2--random-weights--cpu"
BARE = {"tinybert-l2": {"weights": "random"}}
FAKE = {"tests.support.fakes:HashReranker": {"name": "fake"}}


def tiny(kind: str, **options: Any) -> ArchitectureReranker:
    """A network of a kind, two layers of it, under the options of the catalogue entry whose kind it
    is.
    """
    name, task, config = TINY[kind]
    model = rerankers.options_for(name)
    network = Architecture(
        task=task, type=kind, config=config, prompt_tokens=4, source="https://example.org"
    )
    facts = KNOWN[name].facts.model_copy(
        update={"parameters": 1000, "max_length": 512, "architecture": network}
    )
    entry = KNOWN[name].model_copy(update={"facts": facts})
    return ArchitectureReranker(
        kind,
        entry,
        model.model_validate({"weights": "random", "dtype": "float32", **options}),
        "cpu",
    )


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_a_network_has_as_many_weights_as_the_published_one(name: str) -> None:
    facts = KNOWN[name].facts
    assert facts.architecture is not None
    assert facts.parameters is not None
    # Publishers round to two or three digits, or leave out a head.
    assert count_parameters(facts.architecture) == pytest.approx(facts.parameters, rel=0.01)


def test_the_networks_that_people_ask_about_are_known() -> None:
    asked = {
        "minilm-l6",
        "minilm-l12",
        "tinybert-l2",
        "bge-reranker-base",
        "bge-reranker-large",
        "bge-reranker-v2-m3",
        "mxbai-rerank-large-v1",
    }
    asked |= {
        "monot5-base",
        "monot5-large",
        "monot5-3b",
        "qwen3-reranker-0.6b",
        "qwen3-reranker-4b",
        "rank-zephyr-7b",
    }
    assert asked <= set(KNOWN)


@pytest.mark.parametrize("kind", sorted(TINY))
def test_every_kind_does_its_work(kind: str) -> None:
    """One finite number per document, as many tokens as foretold, alone as well as among others."""
    reranker = tiny(kind)
    reranker.check()
    reranker.load()
    [scores] = reranker.rerank([REQUEST])
    used = reranker.meter.take()
    assert isinstance(scores, np.ndarray)
    assert scores.shape == (5,)
    assert np.isfinite(scores).all()
    assert used.tokens + used.tokens_out == reranker.work(REQUEST)
    assert used.slots >= used.tokens
    assert len(reranker.rerank([REQUEST, REQUEST])) == 2
    description = reranker.describe()
    assert (description.identity["weights"], description.identity["dtype"]) == ("random", "float32")
    assert reranker.fingerprint() == {}, "nothing of it is ever cached"
    assert seconds_per_query(reranker, "cpu", [REQUEST]) > 0


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta", "deberta-v2"])
def test_a_classifier_takes_the_shorter_way_only_where_its_logits_stay_the_same(kind: str) -> None:
    import torch

    reranker = tiny(kind)
    reranker.load()
    network = reranker._network
    lengths = np.array([30, 12, 7])
    plain = build(reranker.architecture, "float32", "cpu")
    with torch.inference_mode():
        expected = plain(**network.inputs(lengths)).logits.reshape(-1)
    close(network.logits(network.inputs(lengths)), expected)
    assert network.first_token_only or kind == "deberta-v2"


def test_weights_are_finite_repeatable_and_tied_where_they_should_be() -> None:
    import torch

    network, again = (build(Architecture(**_facts("qwen3")), "bfloat16", "cpu") for _ in range(2))
    assert network.lm_head.weight is network.model.embed_tokens.weight
    for (name, one), (_, other) in zip(
        network.named_parameters(), again.named_parameters(), strict=True
    ):
        assert one.dtype == torch.bfloat16
        assert torch.isfinite(one).all(), name
        assert torch.equal(one, other)
        assert "norm" not in name or (one == 1).all()


def _facts(kind: str) -> dict[str, Any]:
    _, task, config = TINY[kind]
    return {
        "task": task,
        "type": kind,
        "config": config,
        "prompt_tokens": 4,
        "source": "https://example.org",
    }


def test_inputs_are_cut_at_the_maximum_length_and_batches_hold_what_the_options_say() -> None:
    reranker = tiny("bert", max_length=16, batch_size=2)
    reranker.load()
    reranker.rerank([REQUEST])
    used = reranker.meter.take()
    assert used.truncated == 2
    assert used.tokens <= 5 * 16
    assert reranker.describe().facts["batch_size"] == 2


def test_a_listwise_network_reads_every_window_and_writes_every_place() -> None:
    reranker = tiny("mistral", window=4, stride=2)
    reranker.load()
    many = CandidateList("q", "what", [f"d{i}" for i in range(9)], ["a cat"] * 9)
    [scores] = reranker.rerank([many])
    assert isinstance(scores, np.ndarray)
    used = reranker.meter.take()
    windows = spans(9, 4, 2)
    assert used.calls == len(windows)
    assert used.tokens_out == 5 * sum(end - start for start, end in windows)
    assert np.argsort(-scores).tolist() == list(range(9)), "the order stays the first stage's"


def test_tokens_are_counted_as_another_model_would_or_by_characters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from bench.rerankers.random import text_lengths

    counted = TextLengths()
    assert counted(["the cat sat", ""]).tolist() == [3, 0]
    monkeypatch.setattr(text_lengths, "_stand_in", lambda: None)
    ruled = TextLengths()
    assert ruled(["12345678", "123456789", ""]).tolist() == [2, 3, 0]
    assert "4 characters a token" in ruled.rule


def test_a_reranker_whose_architecture_is_not_known_is_refused_in_one_line(
    collection: Path,
) -> None:
    for name in ("minilm-bi-encoder", "electra-base"):
        with pytest.raises(
            SuiteError,
            match=rf"reranker '{name}': weights: random needs an architecture, which the "
            r"catalogue has of tinybert-l2",
        ):
            rerankers.build(name, {"weights": "random"})
    with pytest.raises(SuiteError, match="weights: random needs an architecture"):
        rerankers.build("cross-encoder", {"model": "owner/name", "weights": "random"})


def test_what_does_not_fit_into_memory_is_skipped_with_its_reason(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "available_bytes", lambda device: 10**9)
    huge = rerankers.build("rank-zephyr-7b", {"weights": "random"})
    with pytest.raises(Unavailable, match=r"needs 17.4 GB in bfloat16, 70 % of 1.0 GB"):
        huge.check()
    finished_run = run(collection, tmp_path, FAKE, {"monot5-3b": {"weights": "random"}})
    [bare] = architectures(finished_run)
    assert (bare.status, bare.reason) == (
        "skipped",
        "needs 13.7 GB in float32, 70 % of 1.0 GB may be taken",
    )
    assert "monot5-3b (random weights) (cpu) skipped: needs 13.7 GB" in report(finished_run)


def test_memory_that_a_container_allows_is_respected(tmp_path: Path) -> None:
    def group(name: str, **files: str) -> Path:
        (tmp_path / name).mkdir()
        for file, text in files.items():
            (tmp_path / name / file.replace("_dot_", ".")).write_text(text)
        return tmp_path / name

    tight = group(
        "tight",
        memory_dot_max="1000\n",
        memory_dot_current="700\n",
        memory_dot_stat="anon 5\ninactive_file 200\n",
    )
    loose = group("loose", memory_dot_max="max\n", memory_dot_current="700\n")
    assert memory.limited_bytes([tight, loose, tmp_path / "absent"]) == [500]
    assert (memory.available_bytes() or 0) > 0


def suite(collection: Path, *rows: Any, **more: Any) -> dict[str, Any]:
    plan = {
        "queries": 3,
        "rounds": 1,
        "warmup_max": 2,
        "offline_pairs": 10,
        "span_queries": 1,
        **more.pop("latency", {}),
    }
    return {
        "name": "bare",
        "datasets": [f"files:{collection}"],
        "rerankers": list(rows),
        "depth": 4,
        "latency": plan,
        **more,
    }


def run(collection: Path, tmp_path: Path, *rows: Any, time_it: bool = True, **more: Any) -> Run:
    """Without reports."""
    return loop.run(
        load(suite(collection, *(rows or (FAKE, BARE)), **more)),
        out=tmp_path / "results",
        time_it=time_it,
    )


def report(found: Run) -> str:
    return reports.markdown(found)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with a reranker and a network without weights, swept over two depths."""
    folder = tmp_path_factory.mktemp("bare")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RERANK_BENCH_CACHE", str(folder / "cache"))
        settings = suite(
            write_collection(folder / "tiny"),
            FAKE,
            BARE,
            latency={"sweep": {"depths": [2, 3], "batch_sizes": [1]}},
        )
        return bench.run(settings, out=folder / "results")


def test_it_is_timed_as_every_reranker_is(finished: Run) -> None:
    [row] = architectures(finished)
    assert (row.trial.id, row.trial.kind, row.status) == (TRIAL, "architecture", "done")
    assert row.name == "tinybert-l2 (random weights)"
    assert row.query_here is not None
    assert row.throughput is not None
    assert {"tokenise", "copy", "forward"} <= set(row.parts[Condition("single")])
    record = finished.architectures[TRIAL]
    assert set(record.keys) == {"system", "speed"}
    assert record.description["facts"]["parameters"] == 4386049
    swept = finished.sweep[finished.sweep["trial"] == TRIAL]
    assert set(zip(swept["depth"], swept["batch_size"].fillna(0), strict=True)) == {
        (2, 0),
        (3, 0),
        (2, 1),
        (3, 1),
    }


def renamed(run: Run, folder: Path) -> Run:
    """The same run under another id, as a second one would have it: a run is no baseline of
    itself.
    """
    shutil.copytree(run.folder, folder)
    info = folder / "run.json"
    info.write_text(info.read_text().replace(f'"id": "{run.info.id}"', '"id": "again"', 1))
    return Run(folder)


def test_it_never_comes_near_a_quality(finished: Run, tmp_path: Path) -> None:
    """Not in a record of quality, a table, a ranking, a comparison, a check, a choice or an export:
    there is no number that could be taken for one.
    """
    assert TRIAL not in finished.records
    assert "quality" not in type(finished.architectures[TRIAL]).model_fields
    for table in (finished.per_query, finished.depths):
        assert not table["trial"].str.contains("random").any()
    assert not (finished.folder / "rankings" / f"{TRIAL}.run.gz").exists()
    assert TRIAL not in {row.trial.id for row in rows(finished)}
    assert not finished.to_frame()["reranker"].str.contains("random").any()
    assert TRIAL not in {side.trial.id for side in sides(finished)}
    assert TRIAL not in {one.new.trial.id for one in compare([finished])}
    again = renamed(finished, tmp_path / "again")
    assert TRIAL not in {gate.trial.id for gate in bench.check(finished, again, margin=0.1).gates}
    [choice] = budget(finished, p50_ms=60_000)
    assert choice.best is not None
    assert choice.best.trial.kind == "reranker"
    shown = [point for point, _ in budget_report.verdicts(choice)]
    assert all(point.trial.kind == "reranker" for point in shown)
    assert [(point.trial.id, point.values, point.quality) for point in choice.latency_only] == [
        (TRIAL, None, None)
    ]
    assert all(
        "random weights" not in text
        for text in (
            exports.export(finished, "csv"),
            exports.export(finished, "latex"),
            exports.export(finished, "model-card"),
        )
    )
    assert "Latency only: tinybert-l2 (random weights) (cpu)" in " ".join(
        budget_report.sentences(choice)
    )


def test_every_report_says_what_it_is(finished: Run) -> None:
    document = sections.document(finished, "terminal")
    [section] = [section for section in document.sections if section.key == "latency-only"]
    [table] = section.blocks
    assert isinstance(table, Table)
    assert {column.title for column in table.columns} == {
        "parameters",
        "p50 ms",
        "p95 ms",
        "ms/pair",
        "pairs/s",
    }
    markdown, html = ((finished.folder / name).read_text() for name in ("report.md", "report.html"))
    for page in (markdown, html):
        assert "Latency only" in page
        assert "no quality is known" in page
        assert "tinybert-l2 (random weights) (cpu)" in page
    lines = markdown.splitlines()
    rows = [i for i, line in enumerate(lines) if line.startswith("| tinybert-l2 (random weights)")]
    assert rows
    for row in rows:
        header = next(line for line in reversed(lines[:row]) if line.startswith("| reranker"))
        assert "nDCG" not in header
    sweep = markdown.split("Sweep of tinybert-l2 (random weights) (cpu)")[1].split("Sweep of")[0]
    assert "nDCG" not in sweep.split("p50 / p95")[0]


def test_only_bare_networks_leave_nothing_to_choose_from(collection: Path, tmp_path: Path) -> None:
    finished_run = run(collection, tmp_path, BARE)
    with pytest.raises(RecordError, match="no reranker of this run was timed"):
        budget(finished_run, p95_ms=100)
    assert "Latency only" in report(finished_run)


def test_without_timing_it_is_skipped(collection: Path, tmp_path: Path) -> None:
    finished_run = run(collection, tmp_path, time_it=False)
    [row] = architectures(finished_run)
    assert (row.status, row.reason) == ("skipped", "has a latency only, and nothing is timed")


def test_what_would_take_hours_is_skipped(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.runner.record.seconds_per_query", lambda *arguments: 5000.0)
    [row] = architectures(run(collection, tmp_path))
    assert (row.status, row.reason) == (
        "skipped",
        "one query would take some 5000 s here, and the time limit is 300 s",
    )


def test_an_interrupted_run_keeps_its_record(collection: Path, tmp_path: Path) -> None:
    first = run(collection, tmp_path)
    info = json.loads((first.folder / "run.json").read_text()) | {
        "status": "running",
        "finished": None,
    }
    (first.folder / "run.json").write_text(json.dumps(info))
    again = run(collection, tmp_path)
    assert again.folder == first.folder
    assert again.architectures[TRIAL].finished == first.architectures[TRIAL].finished


@pytest.mark.gpu
def test_on_a_gpu_it_is_built_there_within_its_memory() -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    reranker: Any = rerankers.build("minilm-l6", {"weights": "random", "dtype": "bfloat16"}, "cuda")
    reranker.check()
    reranker.load()
    [scores] = reranker.rerank([REQUEST])
    assert np.isfinite(scores).all()
    assert {str(parameter.device) for parameter in reranker._network.network.parameters()} == {
        "cuda:0"
    }
    assert (
        0
        < (memory.available_bytes("cuda") or 0)
        <= torch.cuda.get_device_properties(0).total_memory
    )
    reranker.close()
