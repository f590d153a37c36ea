"""What rerank-bench does on a GPU, measured in one command on a bare machine: no network, no
installation, at most eight minutes.

    python scripts/gpu_check.py                          # writes results/gpu/TIME-CARD/
    python scripts/gpu_check.py --wheels wheels          # packages that the machine lacks
    python scripts/gpu_check.py --collect-wheels wheels  # that folder, where there is a network
    python scripts/gpu_check.py --dry-run                # on the CPU with tiny networks, a minute

The machine needs Python 3.11 or newer and torch. Each piece of work runs in a worker process under
a limit of its own; one that is killed, runs out of memory or breaks the device costs itself alone.
Results are appended to results.jsonl as they come, and report.md is written anew after each, so
that whatever ends the command leaves all that was measured before.

Exits 0 when every piece was done or left out for a stated reason, 1 when one failed, 2 when it
could not begin.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import gpu_report
import gpu_wheels

ROOT = Path(__file__).resolve().parent.parent
STEPS = Path(__file__).resolve().with_name("gpu_steps.py")
BUDGET_S = 480.0
START_S = 120.0
"""What a worker may take to start: the first import of torch from a cold disk is slow."""
TESTS_S = 120.0
ENDED = threading.Event()
"""Set when somebody else ends this process."""
TICK_S = 0.2
RESERVE_S = 5.0
"""Seconds of the budget that are kept for stopping and writing the report."""


class Log:
    """The results file: one JSON object per line, on the disk before the next piece of work
    begins.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "results.jsonl"

    def add(self, **line: object) -> None:
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.report()

    def lines(self) -> list[dict]:
        """Return the lines so far; the last one is left out where a worker was killed in the middle
        of it.
        """
        if not self.path.exists():
            return []
        lines = []
        for text in self.path.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(text))
            except ValueError:
                continue
        return lines

    def unfinished(self, name: str, limit: float, current: str | None, *, is_over: bool) -> int:
        """Note that a worker was stopped within a piece, or before it began one; return the one
        piece that this settles.
        """
        if is_over:
            self.add(
                kind="piece",
                name=name,
                status="left out",
                reason="the time for everything was over",
            )
        elif current:
            self.add(
                kind="piece", name=name, status="failed", reason=f"not done within {limit:g} s"
            )
        else:
            self.add(
                kind="piece",
                name=name,
                status="failed",
                reason=f"a worker did not begin it within {limit:g} s",
            )
        return 1

    def report(self) -> None:
        beside = self.folder / ".report.md"
        beside.write_text(gpu_report.page(self.lines()), encoding="utf-8")
        os.replace(beside, self.folder / "report.md")


def main() -> int:
    options = arguments()
    if sys.version_info < (3, 11):  # noqa: UP036, whoever runs a script has installed nothing that would have checked
        return refuse(f"rerank-bench needs Python 3.11 or newer, this is {sys.version.split()[0]}")
    signal.signal(
        signal.SIGTERM, lambda *_: ENDED.set()
    )  # a worker has a session of its own, and must be ended with this process
    if options.collect_wheels:
        return gpu_wheels.collect(options.collect_wheels, options.for_python, options.with_tests)
    work = Path(tempfile.mkdtemp(prefix="gpu-check-"))
    try:
        return check(options, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, help="folder of the results; results/gpu/TIME-CARD when absent"
    )
    parser.add_argument(
        "--wheels", type=Path, metavar="DIR", help="wheels of packages that this machine may lack"
    )
    parser.add_argument(
        "--budget-s",
        type=float,
        default=BUDGET_S,
        help="seconds for everything together (default: %(default)g)",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="PIECE",
        help="only the pieces whose names begin so, such as architecture:minilm",
    )
    parser.add_argument(
        "--no-tests", action="store_true", help="leave out the tests that are marked `gpu`"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="on the CPU, with tiny networks: tries the script, measures nothing of use",
    )
    parser.add_argument(
        "--collect-wheels",
        type=Path,
        metavar="DIR",
        help="download wheels for --wheels into DIR, and do nothing else",
    )
    parser.add_argument(
        "--for-python",
        default="3.12",
        metavar="X.Y",
        help="with --collect-wheels: the other machine's (default: %(default)s)",
    )
    parser.add_argument(
        "--with-tests",
        action="store_true",
        help="with --collect-wheels: also what the tests and `predict` need",
    )
    return parser.parse_args()


def refuse(text: str) -> int:
    print(text, file=sys.stderr)
    return 2


def check(options: argparse.Namespace, work: Path) -> int:
    deadline = time.monotonic() + options.budget_s - RESERVE_S
    site = work / "site"
    unpacked = gpu_wheels.unpack(options.wheels, site) if options.wheels else []
    environment = surroundings(work, site)
    first, problem = machine(options.dry_run, environment)
    if problem:
        return refuse(problem)
    folder = (
        options.out
        or ROOT
        / "results"
        / "gpu"
        / f"{first['started'].replace(':', '').replace('-', '')}-{slug(first['device'])}"
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        log = Log(folder)
        log.add(kind="machine", unpacked=unpacked, **first)
    except OSError as error:
        return refuse(f"{folder}: cannot be written ({error.strerror}); --out names another folder")
    print(f"{first['device']}: results in {folder}")
    pieces = [piece for piece in first["pieces"] if is_asked(piece["name"], options.only)]
    large = []
    # a dry run has no large networks, and starts one worker for all
    if not options.dry_run:
        large = [piece for piece in pieces if piece["name"].startswith("architecture:")]
    run_pieces(
        [piece for piece in pieces if piece not in large],
        log,
        environment,
        options.dry_run,
        deadline,
    )
    if not options.no_tests and is_asked("tests", options.only):
        if first["versions"]["pytest"]:
            run_tests(log, environment, options.dry_run, deadline, work)
        else:
            log.add(
                kind="piece",
                name="tests",
                status="left out",
                reason="pytest is not installed here; see --wheels",
            )
    run_pieces(large, log, environment, options.dry_run, deadline)
    log.add(
        kind="end", seconds=round(options.budget_s - RESERVE_S - (deadline - time.monotonic()), 1)
    )
    failed = [
        line["name"]
        for line in log.lines()
        if line["kind"] == "piece" and line["status"] == "failed"
    ]
    print(f"report: {folder / 'report.md'}")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def surroundings(work: Path, site: Path) -> dict[str, str]:
    """Return the environment of the workers: this repository and the wheels in reach, no hub, and
    every cache in a folder of ours.

    A bare machine may have no home folder that can be written.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    paths = [str(ROOT), str(ROOT / "scripts"), str(site), os.environ.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    caches = (
        "HF_HOME",
        "XDG_CACHE_HOME",
        "RERANK_BENCH_CACHE",
        "TRITON_CACHE_DIR",
        "TORCHINDUCTOR_CACHE_DIR",
        "MPLCONFIGDIR",
    )
    environment |= {name: str(work / name.lower()) for name in caches}
    environment |= {"HF_HUB_OFFLINE": "1", "TMPDIR": str(work)}
    return environment


def machine(dry_run: bool, environment: dict[str, str]) -> tuple[dict, str | None]:
    """Return what the machine is and the pieces of work, or why nothing can be done, in one
    line.
    """
    command = [sys.executable, str(STEPS), "--describe", *(["--dry-run"] if dry_run else [])]
    try:
        answer = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=START_S
        )
    except subprocess.TimeoutExpired:
        return {}, f"the machine was not described within {START_S:g} s"
    if answer.returncode != 0:
        *_, last = answer.stderr.strip().splitlines() or ["no reason given"]
        hint = (
            "; --wheels DIR brings packages that this machine lacks"
            if "No module named" in last
            else ""
        )
        return {}, f"{last}{hint}"
    first = json.loads(answer.stdout.strip().splitlines()[-1])
    first |= {
        "started": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": commit(),
        "dry_run": dry_run,
    }
    return first, None


def commit() -> str | None:
    """Return the commit of this repository, where git and its folder are here."""
    try:
        command = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def run_pieces(
    pieces: list[dict], log: Log, environment: dict[str, str], dry_run: bool, deadline: float
) -> None:
    """Work through the pieces, one worker after another: each goes on where the one before it was
    stopped.
    """
    waiting = list(pieces)
    while waiting:
        if time.monotonic() > deadline:
            for piece in waiting:
                log.add(
                    kind="piece", name=piece["name"], status="left out", reason="no time was left"
                )
            return
        done = run_worker(waiting, log, environment, dry_run, deadline)
        waiting = waiting[done:]


def run_worker(
    pieces: list[dict], log: Log, environment: dict[str, str], dry_run: bool, deadline: float
) -> int:
    """Run one worker over the pieces until it is through, dies or outlives a limit; return how many
    pieces are settled.
    """
    command = [
        sys.executable,
        str(STEPS),
        "--results",
        str(log.path),
        *(["--dry-run"] if dry_run else []),
    ]
    errors = log.folder / "log.txt"
    with open(errors, "a", encoding="utf-8") as stderr:
        worker = subprocess.Popen(
            [*command, *(piece["name"] for piece in pieces)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
    words: queue.Queue = queue.Queue()
    listener = threading.Thread(target=listen, args=(worker, words), daemon=True)
    listener.start()
    try:
        return watch(worker, words, pieces, log, deadline)
    finally:
        stop(worker)
        listener.join(TICK_S)
        if not listener.is_alive():
            worker.stdout.close()


def watch(
    worker: subprocess.Popen, words: queue.Queue, pieces: list[dict], log: Log, deadline: float
) -> int:
    """Hold a worker to the limits. It says "begin NAME" and "end NAME" on its standard output."""
    settled, current, limit, began = 0, None, START_S, time.monotonic()
    while True:
        try:
            word, _, name = words.get(timeout=TICK_S).partition(" ")
        except queue.Empty:
            if ENDED.is_set():
                raise SystemExit(143) from None
            if time.monotonic() < min(deadline, began + limit):
                continue
            return settled + log.unfinished(
                pieces[settled]["name"], limit, current, is_over=time.monotonic() >= deadline
            )
        if word == "begin":
            current, limit = name, pieces[settled]["limit_s"]
            print(f"  {name}", flush=True)
        elif word == "end":
            settled, current, limit = settled + 1, None, START_S
            log.report()
        else:  # its standard output was closed: it has ended
            worker.wait()
            if settled == len(pieces) or (settled and current is None):
                return settled
            reason = f"the worker ended with {worker.returncode}; log.txt says more"
            log.add(kind="piece", name=pieces[settled]["name"], status="failed", reason=reason)
            return settled + 1
        began = time.monotonic()


def listen(worker: subprocess.Popen, words: queue.Queue) -> None:
    """Pass on what a worker says, line by line, and an empty line when it has ended."""
    for line in worker.stdout:
        words.put(line.strip())
    words.put("")


def stop(process: subprocess.Popen) -> None:
    """End a process and all that it has started, where it still runs."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def run_tests(
    log: Log, environment: dict[str, str], dry_run: bool, deadline: float, work: Path
) -> None:
    """Run the tests that are marked `gpu`; in a dry run they are collected, and skip themselves."""
    seconds = min(TESTS_S, deadline - time.monotonic())
    if seconds < 10:
        return log.add(kind="piece", name="tests", status="left out", reason="no time was left")
    tests = sorted(
        path
        for path in (ROOT / "tests").rglob("test_*.py")
        if "@pytest.mark.gpu" in path.read_text(encoding="utf-8")
    )
    files = [str(path) for path in (tests[:1] if dry_run else tests)]
    results = work / "tests.xml"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-m",
        "gpu",
        "-p",
        "no:cacheprovider",
        "-c",
        str(ROOT / "pyproject.toml"),
    ]
    command += [
        "-o",
        "filterwarnings=ignore",
    ]  # another machine's libraries may warn of what ours do not
    command += [
        "--rootdir",
        str(ROOT),
        "--continue-on-collection-errors",
        f"--junitxml={results}",
        *files,
    ]
    print("  tests", flush=True)
    began = time.monotonic()
    with open(log.folder / "log.txt", "a", encoding="utf-8") as output:
        process = subprocess.Popen(
            command, env=environment, cwd=work, stdout=output, stderr=output, start_new_session=True
        )
        try:
            while (
                process.poll() is None and time.monotonic() - began < seconds and not ENDED.is_set()
            ):
                time.sleep(TICK_S)
            is_done = process.poll() is not None
        finally:
            stop(process)
    if ENDED.is_set():
        raise SystemExit(143)
    if not is_done:
        return log.add(
            kind="piece", name="tests", status="failed", reason=f"not done within {seconds:.0f} s"
        )
    outcome = gpu_report.tests(results, may_skip_all=dry_run)
    return log.add(
        kind="piece", name="tests", seconds=round(time.monotonic() - began, 1), **outcome
    )


def is_asked(name: str, only: list[str] | None) -> bool:
    return only is None or any(name.startswith(beginning) for beginning in only)


def slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-") or "device"


if __name__ == "__main__":
    sys.exit(main())
