"""`verify` recomputes a run from its folder: an intact one passes, and each planted change is named
at its place.
"""

from __future__ import annotations

import gzip
import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench
from bench.contract.request import CandidateList, Failure
from bench.core.errors import BenchError
from bench.records.run import Run
from bench.reports.verification import title
from bench.rerankers.base import BaseReranker, Description
from bench.verification.finding import Code, Finding, Reason
from bench.verification.wording import REASONS, SENTENCES, sentence
from tests.support import command
from tests.support.fakes import HashReranker
from tests.support.made_maps import CURVE, map_file
from tests.support.paths import ROOT
from tests.support.tampered_runs import edited, having, raised, rewritten, slower, swapped

TITLE = "everyday, bm25, 12 candidates"
HERE = "tests.integration.test_verify"
TRIAL = "everyday--bm25--hashing--cpu"
BLENDED = "everyday--bm25--blended"
CASCADE = "everyday--bm25--cascade--cpu"
REPORTS = ("report.md", "report.html")
HASHING = {"tests.support.fakes:HashReranker": {"name": "hashing"}}


class Refusing(BaseReranker):
    """Turns the order around, and refuses some queries."""

    reads_texts = False

    def fingerprint(self) -> dict[str, Any]:
        return {}

    def describe(self) -> Description:
        return Description("backwards", {})

    def rerank(self, requests: Sequence[CandidateList]) -> list[Any]:
        outcomes: list[Any] = []
        for request in requests:
            scores: Any = np.arange(len(request.doc_ids), dtype=float)
            if request.query_id.endswith("1"):
                scores = Failure("busy")
            outcomes.append(scores)
        return outcomes


SUITE: dict[str, Any] = {
    "name": "verified",
    "datasets": [{"embedded:everyday": {"queries": 14}}],
    "first_stages": ["bm25"],
    "rerankers": [HASHING, {"blend": {"of": "word-overlap", "name": "blended"}}],
    "pipelines": [
        {
            "name": "cascade",
            "stages": [
                {"bm25": {"keep": 12}},
                {"word-overlap": {"name": "words", "keep": 8}},
                {f"{HERE}:Refusing": {"name": "refusing", "keep": 5}},
                HASHING,
            ],
        }
    ],
    "measures": ["nDCG@10", "RR@10", "R@20", "infAP"],
    "depth": 12,
    "devices": ["cpu"],
    "latency": {
        "queries": 4,
        "rounds": 2,
        "warmup_max": 1,
        "offline_pairs": 10,
        "span_queries": 1,
    },
}


@pytest.fixture(scope="module")
def intact_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verified")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RERANK_BENCH_CACHE", str(folder / "cache"))
        return bench.run(SUITE, out=folder / "out").folder


@pytest.fixture
def folder(intact_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(intact_run, tmp_path / "run"))


def findings(folder: Path) -> list[Finding]:
    return bench.verify(folder, rescore=0).findings


def places(found: Sequence[Finding], code: Code) -> set[tuple[str, str, str, str]]:
    return {
        (place.file, place.query, place.document, place.key)
        for place in (finding.place for finding in found if finding.code == code)
    }


def test_an_intact_run_passes_and_every_check_has_compared_something(intact_run: Path) -> None:
    verification = bench.verify(intact_run, rescore=0)
    assert verification.findings == []
    assert verification.gaps == []
    assert verification.exit_code == 0
    compared = {ledger.name: ledger.compared for ledger in verification.ledgers}
    assert {name for name, count in compared.items() if not count} == {"usage"}
    assert compared["rankings"] > 800


def test_a_changed_grade_is_named_by_its_query(folder: Path) -> None:
    file = "judgments/everyday--bm25--first-stage.parquet"
    row = rewritten(folder / file, raised("grade", 1))
    found = findings(folder)
    assert places(found, Code.CHANGED_ROWS) == {(file, row["query"], "", "")}
    assert (file, "", "", "") in places(found, Code.DATA_HASH)


def test_changed_rows_are_named_by_query_and_document(folder: Path) -> None:
    """A score, an order, a value of a query, a point of the depth curve, a timing, a score of a
    stage, each in another file.
    """
    scores, values = f"scores/{TRIAL}.parquet", f"per_query/{TRIAL}.parquet"
    depths, calls = f"depths/{TRIAL}.parquet", f"latency/{TRIAL}.parquet"
    stages, ranking = f"stages/{CASCADE}.parquet", f"rankings/{BLENDED}.run.gz"
    score = rewritten(folder / scores, raised("score", -1e-9, number=17))
    value = rewritten(folder / values, having("value", 0.123, number=3))
    point = rewritten(folder / depths, having("value", 0.123, number=40))
    timing = rewritten(folder / calls, slower)
    stage = rewritten(folder / stages, raised("score", 1e-9, number=5))
    query, document = swapped(folder / ranking)
    found = findings(folder)
    assert places(found, Code.CHANGED_ROWS) == {
        (scores, score["query"], "", ""),
        (values, value["query"], "", ""),
        (depths, point["query"], "", ""),
        (calls, timing["query"], "", ""),
        (stages, stage["query"], "", ""),
    }
    assert places(found, Code.CHANGED_FILE) == {(ranking, "", "", "")}
    assert places(found, Code.SCORE) == {(scores, score["query"], score["doc_id"], "")}
    assert places(found, Code.ORDER) == {(ranking, query, document, "rank 1")}
    assert places(found, Code.VALUE) == {(values, value["query"], "", value["measure"])}
    at_depth = f"{point['measure']} at depth {point['depth']}"
    assert places(found, Code.DEPTH_VALUE) == {(depths, point["query"], "", at_depth)}
    keys = {(place[0], place[3]) for place in places(found, Code.PERCENTILE)}
    assert (f"records/{TRIAL}.json", "timings.single.mean_ms") in keys


RECORD = f"records/{TRIAL}.json"
OF_CASCADE = f"records/{CASCADE}.json"
CHANGES: dict[str, tuple[str, Sequence[str | int], Any, Code, str]] = {
    "mean": (
        RECORD,
        ("quality", "nDCG@10", "mean"),
        lambda value: value + 1e-6,
        Code.MEAN,
        "quality.nDCG@10",
    ),
    "interval": (
        RECORD,
        ("quality", "RR@10", "high"),
        lambda value: value - 1e-4,
        Code.INTERVAL,
        "quality.RR@10.high",
    ),
    "difference": (
        RECORD,
        ("vs_first_stage", "nDCG@10", "mean"),
        lambda value: value + 0.01,
        Code.DIFFERENCE,
        "vs_first_stage.nDCG@10.mean",
    ),
    "p": (
        RECORD,
        ("vs_first_stage", "nDCG@10", "p"),
        lambda value: value / 2,
        Code.P_VALUE,
        "vs_first_stage.nDCG@10.p",
    ),
    "oracle": (
        "records/everyday--bm25--oracle.json",
        ("quality", "nDCG@10", "mean"),
        lambda value: value - 0.01,
        Code.MEAN,
        "quality.nDCG@10",
    ),
    "percentile": (
        RECORD,
        ("timings", 0, "values", "p50_ms", 0),
        lambda value: value / 2,
        Code.PERCENTILE,
        "timings.single.p50_ms",
    ),
    "candidate hash": (
        RECORD,
        ("candidates", "hash"),
        lambda value: "0" * len(value),
        Code.CANDIDATES_HASH,
        "candidates.hash",
    ),
    "key hash": (
        RECORD,
        ("keys", "system", "hash"),
        lambda value: "0" * len(value),
        Code.KEY_HASH,
        "keys.system.hash",
    ),
    "judgments hash": (
        RECORD,
        ("dataset", "qrels_hash"),
        lambda value: "0" * len(value),
        Code.KEY_FIELD,
        "keys.quality.fields.dataset.qrels_hash",
    ),
    "pairs": (
        RECORD,
        ("counts", "pairs"),
        lambda value: value - 1,
        Code.COUNT,
        "counts.pairs",
    ),
    "stage quality": (
        OF_CASCADE,
        ("stages", 1, "quality", "nDCG@10", "mean"),
        lambda value: value + 0.001,
        Code.STAGE,
        "stages.1.quality.nDCG@10",
    ),
    "stage recall": (
        OF_CASCADE,
        ("stages", 2, "recall"),
        lambda value: value - 0.001,
        Code.STAGE,
        "stages.2.recall",
    ),
}


def test_each_changed_number_of_a_record_is_named_by_its_key_and_nothing_else(folder: Path) -> None:
    for file, keys, change, _, _ in CHANGES.values():
        edited(folder / file, keys, change)
    everything = findings(folder)
    # reports print two of the means, the difference and its p, an oracle and a percentile
    found = [finding for finding in everything if finding.place.file not in REPORTS]
    printed = [finding for finding in everything if finding.place.file in REPORTS]
    assert {finding.code for finding in printed} == {Code.PRINTED}
    cells = {finding.place.key.partition(": ")[2] for finding in printed}
    assert cells >= {"oracle, nDCG@10", "hashing (cpu), Δ first", "hashing (cpu), p"}
    assert {cell.partition(",")[0] for cell in cells} == {"oracle", "hashing (cpu)"}
    for name, (file, _, _, code, key) in CHANGES.items():
        assert (file, "", "", key) in places(found, code), name
    files = {file for file, *_ in CHANGES.values()}
    assert {place[0] for place in places(found, Code.CHANGED_FILE)} == files
    assert {finding.place.file for finding in found} == files


def test_changed_losses_are_named_in_the_record_and_in_the_table(folder: Path) -> None:
    def moved(data: list[dict[str, Any]]) -> list[dict[str, Any]]:
        data[0]["not_retrieved"] += 1
        data[-1]["ranked_below"] -= 1
        return data

    edited(folder / RECORD, ("losses", "stages"), moved)
    file = f"losses/{TRIAL}.parquet"
    row = rewritten(folder / file, having("loss", "failed"))
    found = findings(folder)
    assert {place[3] for place in places(found, Code.LOSSES)} == {
        "losses.stages.0.not_retrieved",
        "losses.stages.1.ranked_below",
    }
    assert places(found, Code.LOSS) == {(file, row["query"], row["doc_id"], "")}


def test_files_that_are_gone_new_or_damaged_are_named(folder: Path) -> None:
    (folder / f"usage/{TRIAL}.parquet").unlink(missing_ok=True)
    (folder / "queries/everyday--bm25--first-stage.parquet").unlink()
    shutil.copy(folder / f"scores/{TRIAL}.parquet", folder / "scores/planted.parquet")
    (folder / f"depths/{TRIAL}.parquet").write_bytes(b"PAR1")
    found = findings(folder)
    gone = ("queries/everyday--bm25--first-stage.parquet", "", "", "")
    assert places(found, Code.MISSING_FILE) == {gone}
    assert places(found, Code.EXTRA_FILE) == {("scores/planted.parquet", "", "", "")}
    assert (f"depths/{TRIAL}.parquet", "", "", "") in places(found, Code.UNREADABLE)


def test_who_recomputes_the_digests_is_found_by_what_depends_on_the_change(folder: Path) -> None:
    from bench.records.digests import write_digests

    rewritten(folder / f"scores/{TRIAL}.parquet", raised("score", 0.5, number=30))
    write_digests(folder, (folder / "run.json").read_bytes())
    found = findings(folder)
    assert {finding.code for finding in found} >= {Code.ORDER} or places(found, Code.SCORE)
    assert not places(found, Code.CHANGED_ROWS)


def test_what_is_missing_of_a_record_and_a_record_of_no_trial_are_named(folder: Path) -> None:
    from bench.records.digests import write_digests

    edited(folder / RECORD, ("vs_first_stage",), lambda own: dict(list(own.items())[1:]))
    shutil.copy(folder / RECORD, folder / "records" / "left-out.json")
    write_digests(folder, (folder / "run.json").read_bytes())
    found = findings(folder)
    assert [place[3] for place in places(found, Code.ABSENT)] == ["vs_first_stage.nDCG@10"]
    assert places(found, Code.NO_TRIAL) == {("records/left-out.json", "", "", "")}
    others = [finding for finding in found if finding.code != Code.PRINTED]
    assert len(others) == 2
    printed = {key for _, _, _, key in places(found, Code.PRINTED)}
    assert printed == {f"{TITLE}: hashing (cpu), {name}" for name in ("Δ first", "p")}


def test_digests_that_are_gone_are_named(folder: Path) -> None:
    (folder / "digests.json").unlink()
    assert places(findings(folder), Code.MISSING_FILE) == {("digests.json", "", "", "")}


def test_the_command_says_what_differs_and_exits_1(folder: Path) -> None:
    edited(folder / RECORD, ("quality", "nDCG@10", "mean"), lambda value: value + 0.25)
    result = command.bench("verify", str(folder), "--rescore", "0", cwd=folder)
    assert result.returncode == 1
    assert "quality.nDCG@10" in result.stdout
    data = json.loads(
        command.bench("verify", ".", "--format", "json", "--rescore", "0", cwd=folder).stdout
    )
    assert data["exit_code"] == 1
    codes = {finding["code"] for finding in data["findings"]}
    assert codes == {"mean", "changed-file", "printed"}
    assert command.bench("verify", "none", cwd=folder).returncode == 2


def test_a_run_of_schema_version_1_passes_and_says_what_it_lacks() -> None:
    verification = bench.verify(ROOT / "tests" / "data" / "run-v1", rescore=0)
    assert verification.findings == []
    reasons = {gap.reason for gap in verification.gaps}
    assert reasons >= {Reason.NO_DIGESTS, Reason.NO_SCORES, Reason.OTHER_DRAWS}


def test_a_run_without_scores_or_texts_says_so(tmp_path: Path) -> None:
    suite = {**SUITE, "store_scores": False, "store_texts": False, "latency": None}
    verification = bench.verify(bench.run(suite, out=tmp_path), rescore=0)
    assert verification.findings == []
    assert {gap.reason for gap in verification.gaps} == {Reason.NO_SCORES, Reason.NO_STAGES}


class Endless(HashReranker):
    """Says of itself what JSON has no number for."""

    def fingerprint(self) -> dict[str, Any]:
        return {"backend": "endless", "limits": [math.inf, -math.inf, math.nan]}

    def describe(self) -> Description:
        return Description("endless", self.fingerprint())


def test_an_identity_that_holds_no_number_has_the_key_of_what_is_stored(tmp_path: Path) -> None:
    suite = {**SUITE, "rerankers": [f"{HERE}:Endless"], "pipelines": [], "latency": None}
    verification = bench.verify(bench.run(suite, out=tmp_path), rescore=2)
    assert verification.findings == []


def test_pairs_are_scored_again_and_rows_that_cannot_be_are_named(folder: Path) -> None:
    verification = bench.verify(folder, rescore=5)
    assert verification.findings == []
    [rescored] = [ledger for ledger in verification.ledgers if ledger.name == "rescored"]
    # the reranker, and two of the three stages of the pipeline
    assert rescored.compared == 15
    reasons = {(gap.place.file, gap.text) for gap in rescored.gaps}
    assert reasons == {
        (f"scores/{BLENDED}.parquet", "it is made of others"),
        (f"stages/{CASCADE}.parquet", "its scores depend on the list"),
    }
    file = f"scores/{TRIAL}.parquet"
    row = rewritten(folder / file, raised("score", 9.0, number=30))
    found = bench.verify(folder, rescore=10_000).findings
    assert places(found, Code.RESCORED) == {(file, row["query"], row["doc_id"], "")}


def test_a_far_score_lets_no_other_one_pass(folder: Path) -> None:
    """A score far from all others does not widen what rounding explains."""
    file = f"scores/{TRIAL}.parquet"
    far = rewritten(folder / file, raised("score", 1e6, number=0))
    row = rewritten(folder / file, raised("score", 0.5, number=30))
    found = places(bench.verify(folder, rescore=10_000).findings, Code.RESCORED)
    assert found == {(file, own["query"], own["doc_id"], "") for own in (far, row)}


def test_a_record_that_lost_a_stage_is_named(folder: Path) -> None:
    path = folder / "records" / f"{CASCADE}.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    del data["stages"][0]
    path.write_text(json.dumps(data), encoding="utf-8")
    assert Code.STAGE in {finding.code for finding in findings(folder)}


def test_a_row_whose_model_is_not_at_hand_is_named(folder: Path) -> None:
    info = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    text = json.dumps(info["resolved"]).replace("HashReranker", "GoneReranker")
    edited(folder / "run.json", ("resolved",), lambda _: json.loads(text))
    verification = bench.verify(folder, rescore=5)
    gaps = [gap for gap in verification.gaps if gap.reason == Reason.NOT_RESCORED]
    assert f"scores/{TRIAL}.parquet" in {gap.place.file for gap in gaps}
    assert all(gap.text for gap in gaps)


def test_everything_that_can_be_said_has_words() -> None:
    assert set(SENTENCES) == set(Code)
    assert set(REASONS) == set(Reason)


def test_a_saved_baseline_passes(intact_run: Path, tmp_path: Path) -> None:
    from bench.records import baselines

    saved = baselines.save(Run(intact_run), "kept", tmp_path)
    verification = bench.verify(saved, rescore=0)
    assert [sentence(finding) for finding in verification.findings] == []
    assert verification.gaps


def test_records_whose_trials_run_json_no_longer_names_are_verified_all_the_same(
    folder: Path,
) -> None:
    def moved(trials: list[Any]) -> list[Any]:
        return [{**own, "trial": {**own["trial"], "first_stage": "moved"}} for own in trials]

    edited(folder / "run.json", ("trials",), moved)
    assert findings(folder), "what run.json says is changed"


@pytest.mark.parametrize(
    ("file", "old", "new", "cell"),
    [
        ("report.md", "| *first-stage* | {mean}", "| *first-stage* | 0.9999", "first-stage, RR@10"),
        ("report.html", '<td data-sort="{mean}">', '<td data-sort="0.99">', "first-stage, RR@10"),
    ],
)
def test_a_printed_number_that_is_not_the_records_is_named_by_its_cell(
    folder: Path, file: str, old: str, new: str, cell: str
) -> None:
    text = (folder / file).read_text(encoding="utf-8")
    run = Run(folder)
    first = run.records["everyday--bm25--first-stage"].quality["RR@10"].mean
    hashing = run.records[TRIAL].vs_first_stage["nDCG@10"]
    low, p = f"[{hashing.low:+.3f}", f"{hashing.p:.3f}".lstrip("0")
    if file == "report.md":
        lead, after = text.split("| *first-stage* |", 1)
        text = f"{lead}| *first-stage* |{after.replace(f'{first:.4f}', '0.9999', 1)}"
        lead, after = text.split("| hashing (cpu) |", 1)
        after = after.replace(low, f"[{hashing.low - 0.002:+.3f}", 1).replace(p, ".001", 1)
        text = f"{lead}| hashing (cpu) |{after}"
    else:
        assert old.format(mean=first) in text
        text = text.replace(old.format(mean=first), new, 1)
    (folder / file).write_text(text, encoding="utf-8")
    found = findings(folder)
    expected = {(file, "", "", f"{TITLE}: {cell}")}
    if file == "report.md":
        expected |= {(file, "", "", f"{TITLE}: hashing (cpu), {name}") for name in ("Δ first", "p")}
    assert places(found, Code.PRINTED) == expected
    assert len(found) == len(expected)


def test_a_cell_that_is_printed_twice_is_one_finding_of_its_check(folder: Path) -> None:
    report = folder / "report.md"
    mean = f"{Run(folder).records[TRIAL].quality['nDCG@10'].mean:.4f}"
    text = report.read_text(encoding="utf-8")
    assert text.count(mean) > 1
    report.write_text(text.replace(mean, "0.9999"), encoding="utf-8")
    verification = bench.verify(folder, rescore=0)
    counts = {ledger.name: len(ledger.findings) for ledger in verification.ledgers}
    assert counts["reports"] == sum(counts.values()) == 1
    assert title(verification).endswith(f"1 thing differs in {verification.compared:,} comparisons")


def test_checks_that_find_the_same_are_told_from_what_differs(folder: Path) -> None:
    (folder / "judgments" / "everyday--bm25--first-stage.parquet").write_bytes(b"damaged")
    verification = bench.verify(folder, rescore=0)
    count = sum(len(ledger.findings) for ledger in verification.ledgers)
    assert len(verification.findings) < count
    assert title(verification).endswith(f"(the checks count {count}: several find the same)")


def test_cells_rows_and_tables_that_a_report_lost_and_reports_that_are_gone_are_named(
    folder: Path,
) -> None:
    report = folder / "report.md"
    text = report.read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith("| hashing (cpu) |"))
    *cells, _, end = row.split("|")
    report.write_text(text.replace(row, "|".join([*cells, end]), 1), encoding="utf-8")
    [place] = places(findings(folder), Code.PRINTED)
    assert place[0] == "report.md"
    assert place[3].startswith(f"{TITLE}: hashing (cpu), ")
    report.write_text(text, encoding="utf-8")
    lines = report.read_text(encoding="utf-8").splitlines(keepends=True)
    report.write_text("".join(line for line in lines if not line.startswith("| *oracle*")))
    (folder / "report.html").write_text("<p>nothing</p>", encoding="utf-8")
    found = findings(folder)
    assert places(found, Code.PRINTED_ROW) == {("report.md", "", "", f"{TITLE}: oracle")}
    assert places(found, Code.NOT_PRINTED) == {("report.html", "", "", TITLE)}
    report.unlink()
    (folder / "report.html").unlink()
    verification = bench.verify(folder, rescore=0)
    assert verification.exit_code == 0
    assert {gap.place.file for gap in verification.gaps} == set(REPORTS)
    assert {gap.reason for gap in verification.gaps} == {Reason.NO_REPORT}


@pytest.mark.parametrize("name", ["quality", "flips", "latency"])
def test_other_draws_in_the_digests_of_a_run_of_this_version_are_a_difference(
    folder: Path, name: str
) -> None:
    edited(folder / "digests.json", ("draws", name), lambda value: value + 1)
    verification = bench.verify(folder, rescore=0)
    assert places(verification.findings, Code.DRAWS) == {("digests.json", "", "", f"draws.{name}")}
    assert verification.exit_code == 1


def test_a_run_in_which_no_row_was_measured_is_never_green(folder: Path) -> None:
    def failed(trials: list[Any]) -> list[Any]:
        return [{**own, "status": "failed", "reason": "busy"} for own in trials]

    edited(folder / "run.json", ("trials",), failed)
    (folder / "digests.json").unlink()
    for name in ("digests", "records"):
        shutil.rmtree(folder / name)
    verification = bench.verify(folder)
    assert (verification.findings, verification.exit_code) == ([], 2)
    result = command.bench("verify", str(folder), cwd=folder)
    assert result.returncode == 2
    assert "no row was measured" in result.stdout
    assert "nothing differs" not in result.stdout


def test_calibrated_rows_are_scored_again_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The map's path is relative to the suite; a run folder names no place of a machine."""
    work, elsewhere = tmp_path / "work", tmp_path / "elsewhere"
    (work / "maps").mkdir(parents=True)
    elsewhere.mkdir()
    map_file(work / "maps" / "curve.json", CURVE)
    monkeypatch.chdir(work)
    stage = {"calibrated": {"of": "word-overlap", "map": "maps/curve.json", "name": "curve"}}
    suite = {**SUITE, "rerankers": [stage], "pipelines": [], "latency": None}
    folder = bench.run(suite, out="out").folder.resolve()
    monkeypatch.chdir(elsewhere)
    verification = bench.verify(folder, rescore=6)
    assert (verification.findings, verification.gaps) == ([], [])
    [rescored] = [ledger for ledger in verification.ledgers if ledger.name == "rescored"]
    assert rescored.compared == 6
    (work / "maps" / "curve.json").unlink()
    [gap] = bench.verify(folder, rescore=6).gaps
    assert gap.reason == Reason.NOT_RESCORED
    assert "no such calibration file" in gap.text


def test_a_ranking_with_a_document_of_no_candidate_is_named(folder: Path) -> None:
    rankings = sorted((folder / "rankings").glob(f"{TRIAL}*.run.gz"))
    assert rankings
    text = gzip.decompress(rankings[0].read_bytes()).decode()
    lines = text.splitlines(keepends=True)
    place = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    fields = lines[place].split()
    fields[2] = "planted"
    lines[place] = " ".join(fields) + "\n"
    rankings[0].write_bytes(gzip.compress("".join(lines).encode()))
    found = findings(folder)
    assert any("planted" in str(finding.actual) for finding in found)


@pytest.mark.parametrize("key", ["measures", "pipelines", "first_stages", "rerankers", "slices"])
def test_a_suite_of_run_json_whose_lists_are_none_is_refused(folder: Path, key: str) -> None:
    info = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    info["resolved"][key] = 7
    (folder / "run.json").write_text(json.dumps(info), encoding="utf-8")
    with pytest.raises(BenchError, match=key):
        bench.load(folder)
