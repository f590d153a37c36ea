"""The noise floor: one reranker against itself in real processes, kept with the machine, shown in
later runs. No time is asserted.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import bench
from bench import reports
from bench.cli.main import cli
from bench.contract.request import CandidateList
from bench.core.errors import BenchError
from bench.core.note import Code, note
from bench.core.wording import worded
from bench.machine import fingerprint, noise_floor
from bench.machine.noise_floor import Noise, recall, remember
from bench.runner import noise as measuring
from bench.suite.suite import load
from tests.support.fakes import HashReranker


class Uneven(HashReranker):
    """The second copy in a process takes many times as long as the first: even a machine with much
    else to do does not make up for a tenth of a second.
    """

    copies = 0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        Uneven.copies += 1
        self.seconds = 0.0 if Uneven.copies == 1 else 0.1

    def rerank(self, requests: Sequence[CandidateList]) -> list[Any]:
        time.sleep(self.seconds)
        return super().rerank(requests)


@pytest.fixture
def suite_file(collection: Path, tmp_path: Path) -> Path:
    """Two rerankers, of which the first runs on no device."""
    path = tmp_path / "suite.yaml"
    entries = [
        {"tests.support.fakes:RemoteReranker": {"name": "hosted"}},
        {"tests.support.fakes:HashReranker": {"name": "ours", "delay_ms": 2}},
    ]
    entries.append({"tests.end_to_end.test_noise:Uneven": {"name": "uneven"}})
    plan = {"queries": 4, "rounds": 1, "warmup_max": 3, "depth": 3}
    path.write_text(
        yaml.safe_dump(
            {
                "name": "tiny",
                "datasets": [f"files:{collection}"],
                "rerankers": entries,
                "latency": plan,
                "depth": 5,
            }
        )
    )
    return path


def made(**more: Any) -> Noise:
    facts = {
        "reranker": "ours",
        "device": "cpu",
        "suite": "tiny",
        "depth": 5,
        "queries": 20,
        "rounds": 2,
        "taken": "2026-11-24T00:00:00Z",
    }
    return Noise(
        **{
            **facts,
            "processes": [1.001, 0.992],
            "ratio": 0.998,
            "low": 0.989,
            "high": 1.006,
            **more,
        }
    )


def test_two_copies_are_timed_in_each_process(suite_file: Path) -> None:
    measurement = measuring.measure(load(suite_file), processes=2, queries=4, rounds=2)
    told = measurement.noise
    assert (told.reranker, told.device, told.depth, told.queries, told.rounds) == (
        "ours",
        "cpu",
        3,
        4,
        2,
    )
    assert len(told.processes) == 2
    assert told.low <= told.ratio <= told.high
    assert min(told.processes) <= told.ratio <= max(told.processes)
    assert set(fingerprint.SPEED_FIELDS) <= set(measurement.environment)


def test_a_difference_between_the_copies_would_show(suite_file: Path) -> None:
    """The measurement can fail: here the second copy is slower, and the interval lies far from
    1.
    """
    told = measuring.measure(load(suite_file), "uneven", processes=1, queries=4, rounds=2).noise
    assert told.high < 0.8
    assert told.floor > 0.2


def test_the_floor_reaches_as_far_as_the_interval_and_the_oddest_process() -> None:
    assert made().floor == pytest.approx(0.011)
    assert made(processes=[1.05, 0.99]).floor == pytest.approx(0.05)
    assert worded(made().note()).startswith(
        "differences in latency below 1.1 % are noise on this machine (A/A: ours against itself, "
        "2 processes"
    )


def test_a_floor_belongs_to_a_machine() -> None:
    here = fingerprint.fingerprint("cpu")
    assert recall(here) is None
    path = remember(made(), here)
    assert recall(here) == made()
    assert recall({**here, "libraries": {"torch": "99"}}) == made(), (
        "an upgrade leaves the machine as noisy as it was"
    )
    for name in ("cpu", "usable_cores", "cpu_quota", "gpu", "threads"):
        assert recall({**here, name: "other"}) is None
    path.write_text("{")
    assert recall(here) is None


def test_facts_without_a_known_floor_stay_as_they_are() -> None:
    assert noise_floor.with_noise_floor({"notes": ["x"]}, fingerprint.fingerprint("cpu")) == {
        "notes": ["x"]
    }


def test_what_is_in_doubt_is_no_floor_of_the_machine(
    suite_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it take the place of one, and one that an earlier version kept is not shown."""
    here = fingerprint.fingerprint("cpu")
    busy = made(disturbances=[note(Code.FOREIGN_CPU, 0.4)])
    remember(made(queries=3), here)
    assert recall(here) is None
    remember(made(), here)
    for noise, reason in ((made(queries=3), "of 3 distinct queries"), (busy, "of a disturbed")):
        measured = measuring.Measured(noise, here)
        monkeypatch.setattr(measuring, "measure", lambda *_, measured=measured, **__: measured)
        words = ["noise", "--suite", str(suite_file), "--quiet"]
        shown = CliRunner().invoke(cli, words, catch_exceptions=False)
        assert f"not kept      it is {reason}" in shown.output
        assert "reports of later runs show the 1.1 % of 2026-11-24" in shown.output
        assert recall(here) == made()
    assert "measure again when it is quiet" in shown.output


def test_the_command_keeps_what_later_reports_show(
    suite_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [
        "noise",
        "--suite",
        str(suite_file),
        "--processes",
        "1",
        "--queries",
        "4",
        "--quiet",
    ]
    shown = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert shown.exit_code == 0
    assert "A/A ratio" in shown.output
    assert "not kept      it is of 4 distinct queries, and a floor needs 20" in shown.output
    assert "noise floor" not in shown.output
    plain = json.loads(
        CliRunner().invoke(cli, [*arguments, "--format", "json"], catch_exceptions=False).output
    )
    assert plain["floor"] >= abs(plain["ratio"] - 1)
    assert plain["kept"] is None
    here = fingerprint.fingerprint("cpu")
    measured = measuring.Measured(made(processes=[1.0123]), here)
    monkeypatch.setattr(measuring, "measure", lambda *_, **__: measured)
    shown = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert "noise floor   1.2 %: a smaller difference" in shown.output
    assert recall(here) == measured.noise
    run = bench.run(str(suite_file), out=tmp_path / "results")
    facts = {
        record.trial.reranker: record.latency for record in run.records.values() if record.latency
    }
    assert facts["ours"]["noise"]["processes"] == [1.0123]
    assert "noise" not in facts["hosted"], "a network has its own"
    assert "are noise on this machine (A/A: ours against itself" in reports.markdown(run)


def test_what_cannot_be_timed_is_told(suite_file: Path, collection: Path) -> None:
    suite = load(suite_file)
    with pytest.raises(
        BenchError, match="no reranker 'our' that runs on a device: did you mean 'ours'"
    ):
        measuring.measure(suite, "our")
    with pytest.raises(BenchError, match="no reranker 'hosted' that runs on a device"):
        measuring.measure(suite, "hosted")
    missing = load(
        {
            "name": "m",
            "datasets": [f"files:{collection}"],
            "rerankers": [{"tests.support.fakes:MissingReranker": {"name": "gone"}}],
        }
    )
    with pytest.raises(
        BenchError,
        match=r"no reranker of the suite runs on a device here \(gone: no FAKE_API_KEY\. export "
        r"FAKE_API_KEY=\.\.\.\)",
    ):
        measuring.measure(missing)
    crashing = load(
        {
            "name": "c",
            "datasets": [f"files:{collection}"],
            "rerankers": [{"tests.support.fakes:HashReranker": {"crash": "no"}}],
        }
    )
    with pytest.raises(BenchError, match="timed calls failed"):
        measuring.measure(crashing, processes=1)
