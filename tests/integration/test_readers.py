"""Files of a run in the hands of the tools that they are for: every reader sees our order, and
computes our values from it.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import math
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ir_measures
import pytest
import yaml
from click.testing import CliRunner

from bench.cli.main import cli
from bench.core.errors import BenchError
from bench.quality.expression import measure_of
from bench.ranking.trec import metadata_path, read_run, split_run
from bench.records.run import Run
from tests.support.agreement import DOUBLE, PRINTED
from tests.support.embedded_runs import embedded_run
from tests.support.made_runs import made_run

Scores = Mapping[str, Mapping[str, float]]
MEASURE = "nDCG@10"
TREC_EVAL = os.environ.get("TREC_EVAL") or shutil.which("trec_eval") or ""
"""Binaries to try, parted as PATH is. To build one: git clone
https://github.com/usnistgov/trec_eval, then make.
"""
WITHOUT_TREC_EVAL = pytest.mark.skipif(
    not TREC_EVAL, reason="no trec_eval on PATH, and none named by TREC_EVAL"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A whole run with tied scores and long ones."""
    folder = tmp_path_factory.mktemp("read")
    return embedded_run(folder, "hash", name="read", depth=20, latency=None)


@pytest.fixture(scope="module")
def qrels(run: Run) -> dict[str, dict[str, int]]:
    """The judgments of the run's queries, as other tools want them."""
    from bench import datasets

    judged = datasets.load("embedded:everyday", None, Path()).qrels
    return {query_id: dict(judged[query_id]) for query_id in run.ranking(next(iter(run.records)))}


@pytest.fixture(scope="module")
def exported(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(run, "trec", tmp_path_factory.mktemp("trec"))


def export(run: Run, form: str, out: Path, *options: str) -> Path:
    arguments = ["export", str(run.folder), "--format", form, "--out", str(out), *options]
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return out


def by_pytrec_eval(path: Path) -> Scores:
    pytrec_eval = pytest.importorskip("pytrec_eval")
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        return dict(pytrec_eval.parse_run(lines))


def by_ir_measures(path: Path) -> Scores:
    scores: dict[str, dict[str, float]] = {}
    for row in ir_measures.read_trec_run(str(path)):
        scores.setdefault(row.query_id, {})[row.doc_id] = row.score
    return scores


def by_pyterrier(path: Path) -> Scores:
    terrier = pytest.importorskip("pyterrier")
    frame = terrier.io.read_results(str(path))
    return {
        query_id: dict(zip(rows["docno"], rows["score"], strict=True))
        for query_id, rows in frame.groupby("qid")
    }


def by_ranx(path: Path) -> Scores:
    ranx = pytest.importorskip("ranx", reason="ranx is not installed: 200 MB of numba")
    found: Scores = ranx.Run.from_file(
        str(path), kind="gz" if path.suffix == ".gz" else "trec"
    ).to_dict()
    return found


def by_trectools(path: Path) -> Scores:
    trectools = pytest.importorskip("trectools", reason="trectools is not installed")
    if path.suffix == ".gz":
        pytest.skip("trectools reads plain files")
    frame = trectools.TrecRun(str(path)).run_data
    return {
        str(query_id): dict(zip(rows["docid"], rows["score"], strict=True))
        for query_id, rows in frame.groupby("query")
    }


READERS: dict[str, Callable[[Path], Scores]] = {
    "pytrec_eval": by_pytrec_eval,
    "ir_measures": by_ir_measures,
    "PyTerrier": by_pyterrier,
    "ranx": by_ranx,
    "trectools": by_trectools,
}


@pytest.mark.parametrize("reader", sorted(READERS))
@pytest.mark.parametrize("where", ["rankings", "export"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_every_reader_sees_the_order_and_the_scores(
    run: Run, exported: Path, qrels: dict[str, dict[str, int]], reader: str, where: str
) -> None:
    for trial_id, record in run.records.items():
        inside = run.folder / "rankings" / f"{trial_id}.run.gz"
        scores = READERS[reader](inside if where == "rankings" else exported / f"{trial_id}.run")
        ours = run.ranking(trial_id)
        assert scores.keys() == ours.keys()
        for query_id, ranking in ours.items():
            assert scores[query_id] == dict(zip(ranking.doc_ids, ranking.scores, strict=True))
            falling = sorted(scores[query_id].items(), key=lambda pair: pair[1], reverse=True)
            assert [doc_id for doc_id, _ in falling] == list(ranking.doc_ids)
        judged = ir_measures.calc_aggregate([measure_of(MEASURE)], qrels, dict(scores))
        assert next(iter(judged.values())) == pytest.approx(
            record.quality[MEASURE].mean, abs=DOUBLE
        )


@WITHOUT_TREC_EVAL
@pytest.mark.parametrize("binary", TREC_EVAL.split(os.pathsep))
def test_trec_eval_computes_our_values(
    run: Run, exported: Path, qrels: dict[str, dict[str, int]], binary: str, tmp_path: Path
) -> None:
    judgments = tmp_path / "qrels.txt"
    judgments.write_text(
        "".join(
            f"{query} 0 {doc} {grade}\n" for query, of in qrels.items() for doc, grade in of.items()
        )
    )
    for trial_id, record in run.records.items():
        command = [
            binary,
            "-q",
            "-c",
            "-m",
            "ndcg_cut.10",
            str(judgments),
            str(exported / f"{trial_id}.run"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        values = {
            query: float(value)
            for _, query, value in (line.split() for line in done.stdout.splitlines())
        }
        assert values.pop("all", None) == pytest.approx(
            record.quality[MEASURE].mean, abs=PRINTED
        ), done.stderr
        ours = run.per_query[
            (run.per_query["trial"] == trial_id) & (run.per_query["measure"] == MEASURE)
        ]
        assert values == pytest.approx(
            dict(zip(ours["query"], ours["value"], strict=True)), abs=PRINTED
        )


def test_what_made_a_ranking_is_next_to_it_or_in_its_header_by_option(
    run: Run, exported: Path, tmp_path: Path
) -> None:
    headed = export(run, "trec", tmp_path, "--header")
    assert not list(headed.glob("*.yaml"))
    for trial_id in run.records:
        plain = exported / f"{trial_id}.run"
        metadata = metadata_path(plain).read_text()
        assert metadata == metadata_path(run.folder / "rankings" / f"{trial_id}.run.gz").read_text()
        assert set(yaml.safe_load(metadata)) == {"platform", "implementation", "data", "method"}
        assert split_run(headed / plain.name) == (metadata, plain.read_bytes())
        assert (headed / plain.name).read_bytes().startswith(b"# ir_metadata.start\n# platform:\n")
        assert read_run(headed / plain.name) == read_run(plain)


def test_a_run_folder_of_before_keeps_its_header_and_is_read(run: Run, tmp_path: Path) -> None:
    """Runs kept their metadata in the run file itself."""
    old = tmp_path / "old"
    shutil.copytree(run.folder, old)
    for trial_id in run.records:
        path = old / "rankings" / f"{trial_id}.run.gz"
        metadata = metadata_path(path)
        header = "".join(f"# {line}\n" for line in metadata.read_text().splitlines())
        text = (
            f"# ir_metadata.start\n{header}# "
            f"ir_metadata.end\n{gzip.decompress(path.read_bytes()).decode()}"
        )
        path.write_bytes(gzip.compress(text.encode()))
        metadata.unlink()
    found = Run(old)
    out = export(found, "trec", tmp_path / "trec")
    for trial_id in run.records:
        assert found.ranking(trial_id) == run.ranking(trial_id)
        assert by_ir_measures(out / f"{trial_id}.run") == by_ir_measures(
            run.folder / "rankings" / f"{trial_id}.run.gz"
        )
        assert metadata_path(out / f"{trial_id}.run").read_bytes() == (
            metadata_path(run.folder / "rankings" / f"{trial_id}.run.gz").read_bytes()
        )


def test_an_mteb_file_names_the_language_of_its_dataset(run: Run, tmp_path: Path) -> None:
    assert [
        scores["languages"] for scores in _test_scores(export(run, "mteb", tmp_path / "en"))
    ] == [["eng-Latn"]] * 2
    foreign = export(
        run, "mteb", tmp_path / "de", "--language", "deu-Latn", "--language", "eng-Latn"
    )
    assert {tuple(scores["languages"]) for scores in _test_scores(foreign)} == {
        ("deu-Latn", "eng-Latn")
    }
    other = made_run(tmp_path, {"first-stage": [0.1, 0.5], "a": [0.2, 0.7]})
    assert {
        tuple(scores["languages"]) for scores in _test_scores(export(other, "mteb", tmp_path / "x"))
    } == {("und-Zyyy",)}


def _test_scores(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text())["scores"]["test"][0] for path in folder.rglob("*.json")]


@pytest.mark.skipif(importlib.util.find_spec("mteb") is None, reason="mteb is not installed")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("language", ["eng-Latn", "und-Zyyy"])
def test_mteb_reads_the_score_of_its_files(run: Run, tmp_path: Path, language: str) -> None:
    from mteb.results import TaskResult

    means = {record.trial.reranker: record.quality[MEASURE].mean for record in run.records.values()}
    for path in export(run, "mteb", tmp_path, "--language", language).rglob("*.json"):
        score = TaskResult.from_disk(path).get_score()
        assert not math.isnan(score)
        assert score == means[path.parents[1].name]


def test_the_hub_reads_a_model_card_and_its_results(run: Run) -> None:
    hub = pytest.importorskip("huggingface_hub")
    text = CliRunner().invoke(cli, ["export", str(run.folder), "--format", "model-card"]).output
    for entry in yaml.safe_load(text.strip().strip("-"))["model-index"]:
        card = hub.ModelCard(f"---\n{yaml.safe_dump({'model-index': [entry]})}---\n# a card\n")
        ours = next(
            record for record in run.records.values() if record.trial.reranker == entry["name"]
        )
        values = {result.metric_name: result.metric_value for result in card.data.eval_results}
        assert values == {name: round(ours.quality[name].mean, 6) for name in values}
        assert {result.dataset_name for result in card.data.eval_results} == {
            "everyday, bm25, 20 candidates"
        }


def test_a_latex_table_compiles(run: Run, tmp_path: Path) -> None:
    compiler = shutil.which("pdflatex") or shutil.which("tectonic")
    if compiler is None:
        pytest.skip("no pdflatex and no tectonic on PATH")
    table = CliRunner().invoke(cli, ["export", str(run.folder), "--format", "latex"]).output
    source = (
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n"
        + table
        + "\\end{document}\n"
    )
    (tmp_path / "table.tex").write_text(source)
    done = subprocess.run(
        [compiler, "table.tex"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("trec", "--language", "eng-Latn"), "--language is an option of --format mteb"),
        (("csv", "--header"), "--header is an option of --format trec"),
        (("mteb", "--language", "English"), "such as eng-Latn"),
    ],
)
def test_options_of_other_formats_are_refused(
    run: Run, arguments: tuple[str, ...], message: str
) -> None:
    done = CliRunner().invoke(cli, ["export", str(run.folder), "--format", *arguments])
    assert isinstance(done.exception, BenchError)
    assert message in str(done.exception)
