"""`rerank-bench probe`, and what reports and gates make of its files."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import bench as rerank_bench
from bench import gate, reports
from bench.contract.request import Usage
from bench.core.errors import BenchError, RecordError
from bench.probes.suite import Sizes, Skipped, cost, rows
from bench.records import probe_file
from bench.records.probe_file import ProbeFile
from bench.records.run import Run
from bench.reports import probed
from bench.reports.renderers.markdown import render
from bench.suite.suite import load
from tests.support.command import Ended, bench
from tests.support.embedded_runs import embedded_run
from tests.support.fakes import HashReranker

PROBES = ("reversed", "split", "batch-size", "title", "upper-case")


class Wavering(HashReranker):
    """Turns its order around in every second call."""

    sign = 1

    def score(self, pairs: Any) -> Any:
        self.sign = -self.sign
        return self.sign * super().score(pairs)


class Talking(HashReranker):
    """Prints to standard output, as code under construction does."""

    def score(self, pairs: Any) -> Any:
        print("scoring")  # noqa: T201
        return super().score(pairs)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("probed")


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return embedded_run(folder, "hash", name="small", depth=5, latency=None)


def command(folder: Path, *arguments: str, width: int = 80) -> Ended:
    cache = {"RERANK_BENCH_CACHE": str(folder / "cache")}
    return bench("probe", *arguments, "-q", cwd=folder, width=width, **cache)


@pytest.fixture(scope="module")
def ended(folder: Path, run: Run) -> Ended:
    options = [part for name in PROBES for part in ("--probe", name)]
    return command(folder, "word-overlap", "--queries", "6", "--depth", "5", *options)


@pytest.fixture(scope="module")
def probes(ended: Ended, folder: Path) -> ProbeFile:
    return probe_file.read(folder / "results/probes/word-overlap--everyday--bm25.json")


def test_a_table_says_what_holds_and_why_a_probe_is_not_applied(ended: Ended) -> None:
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert "word-overlap, everyday, bm25: 6 queries of 5 candidates" in lines
    assert max(map(len, lines)) <= 80
    (split,) = [line.split() for line in lines if line.startswith(" split")]
    assert split == ["split", "same", "order", "0.0", "%", "1.000", "+0.0000", "–", "holds"]
    assert "not applicable: batch-size (it has no option batch_size)" in lines
    assert "probes  results/probes/word-overlap--everyday--bm25.json" in lines


def test_a_reranker_to_which_no_probe_applies_is_not_stable(folder: Path) -> None:
    arguments = ("--queries", "6", "--depth", "5", "--out", "silent", "--probe", "batch-size")
    ended = command(folder, "word-overlap", *arguments)
    assert ended.returncode == 2
    assert "word-overlap: no probe applies" in ended.stderr


def test_the_file_holds_what_was_probed(probes: ProbeFile, run: Run) -> None:
    assert [result.name for result in probes.results] == list(PROBES)
    assert [result.outcome for result in probes.results] == [
        "holds",
        "holds",
        "not applicable",
        "holds",
        "reported",
    ]
    trial = next(name for name in run.records if "word-overlap" in name)
    assert probes.system.hash == run.records[trial].system.hash
    assert (len(probes.query_ids), probes.depth, probes.tolerance) == (6, 5, 1e-3)


def test_json_and_markdown_hold_the_same(folder: Path, probes: ProbeFile) -> None:
    sizes = ("--queries", "6", "--depth", "5", "--probe", "split", "--out", "elsewhere")
    data = json.loads(command(folder, "word-overlap", *sizes, "--format", "json").stdout)
    (result,) = data["rerankers"][0]["results"]
    split = probes.result("split")
    assert split is not None
    assert result == split.model_dump(mode="json")
    assert "| split |" in command(folder, "word-overlap", *sizes, "--format", "markdown").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["word-overlap", "--probe", "splitt"], "no probe 'splitt'.*split"),
        (["wordoverlap"], "unknown reranker 'wordoverlap'.*word-overlap"),
        (["regression", "--reranker", "word"], "no reranker 'word'.*word-overlap"),
        (["quickstart", "-o", "a=1"], "--option is of a reranker"),
    ],
)
def test_bad_input_is_one_line(folder: Path, arguments: list[str], message: str) -> None:
    ended = command(folder, *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    assert re.search(message, ended.stderr)


def test_an_unstable_reranker_exits_1(folder: Path) -> None:
    ended = command(folder, f"{__name__}:Wavering", "-o", "salt=w", "--probe", "second-call")
    assert ended.returncode == 1
    assert "holds in 0 probes; is accused by second-call" in " ".join(ended.stdout.split())


def test_what_cannot_be_probed_is_named() -> None:
    suite = load(
        {
            "name": "s",
            "datasets": ["embedded:everyday"],
            "rerankers": [
                "oracle",
                {"fuse": {"of": ["word-overlap", {"word-overlap": {"name": "other"}}]}},
            ],
        }
    )
    skipped = [row for row in rows(suite, Sizes()) if isinstance(row, Skipped)]
    assert [row.reason for row in skipped] == ["it is made of others: probe these"]


def test_what_an_outsiders_code_prints_is_not_in_the_output(folder: Path) -> None:
    sizes = ("--queries", "3", "--depth", "4", "--probe", "split", "--format", "json")
    ended = command(folder, f"{__name__}:Talking", "-o", "salt=w", *sizes)
    assert json.loads(ended.stdout)["rerankers"][0]["results"]
    assert "scoring" in ended.stderr


def test_a_dataset_that_cannot_be_loaded_leaves_the_others_their_probes(folder: Path) -> None:
    (folder / "two.yaml").write_text(
        "name: two\ndatasets: ['files:absent', 'embedded:everyday']\nrerankers: [word-overlap]\n"
    )
    (folder / "absent").mkdir()
    (folder / "absent" / "queries.tsv").write_text("q1\tx\n")
    sizes = ("two.yaml", "--queries", "3", "--depth", "4", "--probe", "split", "--out", "two")
    ended = command(folder, *sizes)
    words = " ".join(ended.stdout.split())
    assert ended.returncode == 2
    assert "word-overlap, everyday, bm25: 3 queries of 4 candidates" in words
    assert "absent, bm25: not probed: " in words
    assert ended.stderr.startswith("rerank-bench: absent, bm25: ")
    ended = command(folder, *sizes, "--estimate")
    assert ended.returncode == 2
    assert "absent, bm25: not probed: " in " ".join(ended.stdout.split())


def test_an_estimate_counts_every_list_and_loads_nothing(folder: Path) -> None:
    server = {"rerank-server": {"model": "m", "base_url": "http://127.0.0.1:9", "name": "gone"}}
    entries = {"name": "s", "datasets": ["embedded:everyday"]}
    suite = load({**entries, "rerankers": [server]})
    (skipped,) = rows(suite, Sizes())
    assert isinstance(skipped, Skipped)
    assert "nothing listens" in skipped.reason
    (row,) = rows(suite, Sizes(queries=2, depth=4), absent=True)
    assert not isinstance(row, Skipped)
    expected = cost(row, Sizes(queries=2, depth=4), ["split"])
    # a server on this machine costs nothing by the query; of another one no price is known
    assert (expected.usage.calls, expected.usd) == (2 * (1 + 1 + 2), 0.0)
    assert expected.absent == skipped.reason
    elsewhere = {**server["rerank-server"], "base_url": "https://gateway.invalid"}
    suite = load({**entries, "rerankers": [{"rerank-server": elsewhere}]})
    (row,) = rows(suite, Sizes(queries=2, depth=4), absent=True)
    assert not isinstance(row, Skipped)
    unknown = cost(row, Sizes(queries=2, depth=4), ["split"])
    assert unknown.usd is None
    lines = render(probed.costs([expected, unknown], [])).splitlines()
    assert [line.split()[-2] for line in lines if line.startswith("| gone")] == ["–", "?"]
    plain = load({"name": "s", "datasets": ["embedded:everyday"], "rerankers": ["word-overlap"]})
    (row,) = rows(plain, Sizes(queries=4, depth=6))
    assert not isinstance(row, Skipped)
    expected = cost(row, Sizes(queries=4, depth=6), ["split", "alone", "blank", "batch-size"])
    # the call that all are compared with, the same again, two halves, five alone, a blank more
    assert expected.usage == Usage(pairs=4 * (6 + 6 + 6 + 5 + 7))
    assert (expected.probes, expected.usd) == (3, 0.0)
    ended = command(folder, "word-overlap", "--estimate")
    assert ended.returncode == 0
    assert "nothing was loaded, sent or scored" in ended.stdout


def test_a_report_has_a_line_of_the_same_system(run: Run, probes: ProbeFile) -> None:
    reports.write(run)
    text = (Path(run.folder) / "report.md").read_text(encoding="utf-8")
    day = probes.measured_at[:10]
    assert f"word-overlap: 3 probes of its order hold (6 queries of everyday, {day})" in text


def gates_of(run: Run, gates: str, folder: Path) -> gate.Verdict:
    path = folder / "gates.yaml"
    path.write_text(f"quality: null\ndrift: null\n{gates}\n", encoding="utf-8")
    return gate.check(run, run, gate.load(path))


@pytest.mark.parametrize(
    ("names", "outcome", "remark"),
    [
        ("all", "pass", ""),
        ("[reversed, split]", "pass", ""),
        ("[split, batch-size]", "incomparable", "batch-size not applicable"),
        ("[alone]", "incomparable", "no probe 'alone' in the file of probes: known: batch-size"),
    ],
)
def test_a_gate_asks_what_must_hold(
    run: Run, probes: ProbeFile, folder: Path, names: str, outcome: str, remark: str
) -> None:
    text = f"rerankers: {{word-overlap: {{probes: {names}}}}}"
    (answer,) = gates_of(run, text, folder).gates
    assert (answer.name, answer.outcome) == ("probes", outcome)
    assert answer.remark.startswith(remark)


def test_a_gate_fails_where_a_probe_accuses_and_where_there_are_no_probes(
    run: Run, probes: ProbeFile, folder: Path
) -> None:
    results = [
        result.model_copy(update={"outcome": "accused"}) if result.name == "split" else result
        for result in probes.results
    ]
    changes = {"results": results, "measured_at": "2999-01-01T00:00:00Z"}
    path = Path(run.folder) / "probes" / "newer.json"
    probe_file.write(path, probes.model_copy(update=changes))
    try:
        verdict = gates_of(run, "probes: all", folder)
    finally:
        path.unlink()
    gates = {answer.trial.reranker: answer for answer in verdict.gates}
    assert gates["word-overlap"].outcome == "fail"
    assert gates["word-overlap"].remark == "split accused"
    assert gates["hash"].outcome == "incomparable"
    assert gates["hash"].remark.endswith("rerank-bench probe SUITE --reranker hash")


def test_a_gate_of_an_unknown_probe_exits_2_with_a_hint(run: Run, folder: Path) -> None:
    path = folder / "unknown.yaml"
    path.write_text("quality: null\nprobes: [splitt]\n", encoding="utf-8")
    other = folder / "other"
    shutil.copytree(run.folder, other)
    arguments = ("check", str(other), "--baseline", str(run.folder), "--gates", str(path))
    ended = bench(*arguments, cwd=folder)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "unknown.yaml:2: probes: there is no probe 'splitt': did you mean" in ended.stderr


@pytest.mark.parametrize("part", ["rerankers", "pipelines"])
def test_a_gate_says_that_a_row_made_of_others_is_not_probed(tmp_path: Path, part: str) -> None:
    stages = [{"bm25": {"keep": 5}}, "word-overlap"]
    entries: dict[str, Any] = {
        "rerankers": [{"blend": {"of": "word-overlap", "name": "own"}}],
        "pipelines": [{"name": "own", "stages": stages}],
    }
    own = {part: entries[part], "rerankers": entries["rerankers"][: part == "rerankers"]}
    run = embedded_run(tmp_path, "hash", name="small", depth=5, latency=None, **own)
    text = "probes: null\nrerankers: {own: {probes: all}}"
    (answer,) = gates_of(run, text, tmp_path).gates
    assert answer.outcome == "incomparable"
    assert "made of others is not probed" in answer.remark
    assert "rerankers: {own: {probes: null}}" in answer.remark


def test_a_file_that_is_none_is_refused_in_one_line(tmp_path: Path, probes: ProbeFile) -> None:
    path = tmp_path / "probes.json"
    for text in ("", "[]", "{}", '{"format": "rerank-bench probes", "version": 99}'):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(RecordError, match=r"probes\.json: "):
            probe_file.read(path)
    probe_file.write(path, probes)
    broken = json.loads(path.read_text(encoding="utf-8"))
    broken["results"][0]["tau"] = 7
    path.write_text(json.dumps(broken), encoding="utf-8")
    with pytest.raises(RecordError, match="tau"):
        probe_file.read(path)


def test_python_gives_the_same_probes_as_the_command(
    tmp_path: Path, probes: ProbeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RERANK_BENCH_CACHE", str(tmp_path / "cache"))
    answer = rerank_bench.probe("word-overlap", probes=PROBES, queries=6, depth=5, out=tmp_path)
    (own,) = answer
    assert own.results == probes.results
    assert probe_file.read(tmp_path / "word-overlap--everyday--bm25.json") == own
    frame = answer.to_frame()
    assert frame["name"].tolist() == list(PROBES)
    assert "upper-case" in answer._repr_html_()
    fuse = {"fuse": {"of": ["word-overlap", {"word-overlap": {"name": "other"}}]}}
    suite = {"name": "s", "datasets": ["embedded:everyday"], "rerankers": ["word-overlap", fuse]}
    several = rerank_bench.probe(suite, probes=["split"], queries=5, depth=4)
    assert ([len(several), len(several.skipped)], several.failed) == ([1, 1], [])
    with pytest.raises(BenchError, match="made of others"):
        rerank_bench.probe(suite, reranker="fuse", probes=["split"])
    with pytest.raises(BenchError, match="no probe 'splitt'"):
        rerank_bench.probe("word-overlap", probes=["splitt"])


def test_python_probes_an_object_and_finds_it_unstable() -> None:
    class Alternating:
        sign = 1

        def predict(self, pairs: Any) -> Any:
            self.sign = -self.sign
            return [self.sign * len(document) for _, document in pairs]

    (own,) = rerank_bench.probe(Alternating(), probes=["second-call"], queries=5, depth=4)
    assert own.named("accused") == ["second-call"]
