"""Run every shipped suite as far as this machine reaches, on some queries and with a short timed
pass, and verify the folder that each leaves: nothing may differ.

    python scripts/verify_suites.py [--queries 12] [--untimed] [--out FOLDER] [SUITE ...]

Exits 1 where something differs, and names it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

import bench
from bench.core.errors import BenchError
from bench.records.run import Run
from bench.reports.verification import gaps, title
from bench.suite.suite import shipped
from bench.verification.wording import sentence

SHORT = {"queries": 3, "rounds": 1, "offline_pairs": 20, "warmup_max": 2, "span_queries": 1}


def shortened(path: Path, folder: Path, queries: int, *, timed: bool) -> Path:
    """Return a suite of some queries, written next to the run files that it names."""
    fields: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    datasets: list[dict[str, Any]] = []
    for dataset in fields["datasets"]:
        entry: dict[str, Any] = dataset if isinstance(dataset, dict) else {dataset: {}}
        for name, options in entry.items():
            datasets.append({name: {**(options or {}), "queries": queries}})
    fields["datasets"] = datasets
    if fields.get("latency"):
        fields["latency"] = {**fields["latency"], **SHORT} if timed else None
    for run in path.parent.glob("*.run.gz"):
        shutil.copy(run, folder)
    written = folder / path.name
    written.write_text(yaml.safe_dump(fields), encoding="utf-8")
    return written


def verified(name: str, run: Run, seconds: float) -> bool:
    """Print what verifying a run finds; return whether nothing differs."""
    began = time.perf_counter()
    verification = bench.verify(run)
    took = time.perf_counter() - began
    done = sum(status.status == "done" for status in run.info.trials)
    print(
        f"{name}: {done} of {len(run.info.trials)} rows ran in {seconds:.0f} s; "
        f"{title(verification)}, in {took:.1f} s"
    )
    for line in [*map(sentence, verification.findings[:20]), *gaps(verification)]:
        print(f"  {line}")
    return not verification.findings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE")
    parser.add_argument("--queries", type=int, default=12)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--untimed", action="store_true", help="without timed passes")
    arguments = parser.parse_args()
    out = arguments.out or Path(tempfile.mkdtemp())
    out.mkdir(parents=True, exist_ok=True)
    is_clean = True
    for name in arguments.suites or shipped():
        began = time.perf_counter()
        try:
            timed = not arguments.untimed
            path = shortened(shipped()[name], out, arguments.queries, timed=timed)
            run = bench.run(path, out=out / "results", device="cpu")
        except BenchError as error:
            print(f"{name}: cannot run here: {str(error).splitlines()[0]}")
            continue
        is_clean = verified(name, run, time.perf_counter() - began) and is_clean
        sys.stdout.flush()
    return 0 if is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
