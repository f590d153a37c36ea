"""Where output goes: devices, pipes and links are written to, modes follow the umask, and what
cannot be written is one line.
"""

from __future__ import annotations

import os
import resource
import shlex
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.cli.main import cli
from bench.core import atomic
from bench.core.atomic import clear_building, restore_folder, whole_folder, write_atomically
from bench.core.errors import BenchError, RecordError
from bench.core.filenames import MAX_BYTES, file_stem, is_file_name
from bench.records import baselines
from bench.records.run import Run
from tests.support.command import bench
from tests.support.made_runs import made_run
from tests.support.paths import ROOT

ORDER = {"q0": [("d1", 2.0), ("d2", 1.0)]}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return like(tmp_path, "made")


@pytest.fixture
def old(tmp_path: Path) -> str:
    """The folder of a run that says the same: a run is no baseline of itself."""
    return str(like(tmp_path, "old").folder)


def like(tmp_path: Path, name: str) -> Run:
    rankings = {"first-stage": ORDER, "a": ORDER}
    return made_run(
        tmp_path / "results",
        {"first-stage": [0.2, 0.4], "a": [0.5, 0.6]},
        rankings=rankings,
        name=name,
    )


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o007, 0o660)])
def test_modes_follow_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "folder" / "file", b"x")
        with whole_folder(tmp_path / "made") as made:
            (made / "file").write_bytes(b"x")
    finally:
        os.umask(before)
    for file in (tmp_path / "folder" / "file", tmp_path / "made" / "file"):
        assert stat.S_IMODE(file.stat().st_mode) == mode
        assert stat.S_IMODE(file.parent.stat().st_mode) == mode | (mode >> 2 & 0o111)


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    target, link, dangling = tmp_path / "target", tmp_path / "link", tmp_path / "dangling"
    target.write_text("old")
    link.symlink_to(target)
    dangling.symlink_to("later")
    for path in (link, dangling):
        write_atomically(path, b"new")
        assert path.is_symlink()
    assert (target.read_text(), (tmp_path / "later").read_text()) == ("new", "new")


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe, answers = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: answers.append(pipe.read_bytes()))
    reader.start()
    write_atomically(pipe, b"through")
    reader.join(10)
    assert answers == [b"through"]
    assert pipe.is_fifo()


def test_a_pipe_that_nobody_reads_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic, "READER_WAIT_S", 0.05)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(
        BenchError, match="pipe: cannot be written: no process reads from this pipe"
    ):
        write_atomically(tmp_path / "pipe", b"x")


def test_a_device_is_written_to_by_every_command(run: Run, old: str, tmp_path: Path) -> None:
    node = tmp_path / "null"
    try:
        os.mknod(node, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except (OSError, AttributeError):
        pytest.skip("making a device takes root")
    name = str(run.folder)
    for arguments in (
        ["check", name, "--baseline", old, "--format", f"json:{node}", "--format", f"junit:{node}"],
        ["schema", str(node)],
        ["export", name, "--format", "csv", "--out", str(node)],
    ):
        assert CliRunner().invoke(cli, arguments).exit_code == 0
        assert stat.S_ISCHR(node.stat().st_mode)


def test_standard_output_by_its_path_follows_what_was_printed(
    run: Run, old: str, tmp_path: Path
) -> None:
    name, out = str(run.folder), tmp_path / "out.txt"
    with out.open("w") as file:
        command = [
            "check",
            name,
            "--baseline",
            old,
            "--format",
            "table",
            "--format",
            "markdown:/dev/stdout",
        ]
        subprocess.run([sys.executable, "-m", "bench", *command], cwd=ROOT, stdout=file, check=True)
    text = out.read_text()
    assert 0 < text.index("quality nDCG@10") < text.index("## ")


def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(BenchError, match="file: cannot be written: File too large"):
            write_atomically(path, b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_standard_output_that_cannot_be_written_is_one_line_and_no_verdict(
    run: Run, old: str
) -> None:
    name = str(run.folder)
    command = [sys.executable, "-m", "bench", "check", name, "--baseline", old]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["rerank-bench: No space left on device"]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "ascii"])
def test_a_terminal_that_is_not_utf_8_changes_no_exit_code(
    run: Run, old: str, tmp_path: Path, encoding: str
) -> None:
    name = str(run.folder)
    forms = ("--format", "markdown", "--format", "json", "--format", "table", "--format", "github")
    done = bench("check", name, "--baseline", old, *forms, cwd=tmp_path, encoding=encoding)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_name_of_255_bytes_is_shortened_and_told_apart() -> None:
    long = "検" * 85
    stems = {file_stem(long), file_stem(f"{long}x"), file_stem("a" * 300)}
    assert len(stems) == 3
    assert max(len(stem.encode()) for stem in stems) <= MAX_BYTES
    assert file_stem("a/b c:d") == "a-b-c-d"


@pytest.mark.parametrize(
    "name", ["", "..", "../x", "a/b", "a\\b", "C:x", ".hidden", "a\0b", "/root"]
)
def test_what_leads_elsewhere_is_no_file_name(name: str) -> None:
    assert not is_file_name(name)


@pytest.mark.parametrize("trial", ["../../../escaped", "/tmp/escaped", "a/b"])
def test_a_foreign_run_whose_ids_lead_elsewhere_is_refused(
    run: Run, tmp_path: Path, trial: str
) -> None:
    path = run.folder / "run.json"
    path.write_text(path.read_text().replace('"tiny--bm25--a"', f'"{trial}"'))
    before = sorted(tmp_path.rglob("*"))
    for arguments in (
        ["export", str(run.folder), "--format", "trec"],
        ["baseline", "save", str(run.folder)],
    ):
        done = CliRunner().invoke(
            cli, [*arguments, "--out" if arguments[0] == "export" else "--in", str(tmp_path / "x")]
        )
        assert isinstance(done.exception, RecordError)
        assert (
            f"run.json: not a record: trials.1.trial.id: Value error, '{trial}' cannot be the name"
            in str(done.exception)
        )
    assert sorted(tmp_path.rglob("*")) == before


def test_a_record_of_another_trial_is_refused(run: Run) -> None:
    records = run.folder / "records"
    shutil.copy(records / "tiny--bm25--first-stage.json", records / "tiny--bm25--a.json")
    with pytest.raises(
        RecordError, match=r"holds the record of tiny--bm25--first-stage, and run.json says"
    ):
        _ = Run(run.folder).records


KILLED = """
import os, sys
from pathlib import Path
from bench.core import atomic

def counted(function):
    def call(*arguments, **more):
        global calls
        calls += 1
        if calls == int(sys.argv[2]):
            os.kill(os.getpid(), 9)
        return function(*arguments, **more)
    return call

calls = 0
for name in ("mkdir", "rename"):
    setattr(Path, name, counted(getattr(Path, name)))
for name in ("open", "unlink", "rmdir"):
    setattr(os, name, counted(getattr(os, name)))
if sys.argv[3] == "without exchange":
    atomic.ctypes.CDLL = None
with atomic.whole_folder(Path(sys.argv[1]), replace=True) as folder:
    for name in ("a", "b"):
        (folder / name).write_text("new")
"""


@pytest.mark.parametrize("system", ["with exchange", "without exchange"])
def test_a_replaced_folder_is_the_old_or_the_new_one_whenever_it_is_killed(
    tmp_path: Path, system: str
) -> None:
    """Killed at its first call that changes a folder, at its second, and so on, until it ends
    before it is killed.
    """
    texts = []
    for step in range(1, 60):
        folder = tmp_path / str(step) / "folder"
        folder.mkdir(parents=True)
        for name in ("a", "b"):
            (folder / name).write_text("old")
        command = [sys.executable, "-c", KILLED, str(folder), str(step), system]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if system == "without exchange":
            restore_folder(folder)
        contents = {path.name: path.read_text() for path in folder.iterdir()}
        assert contents in ({"a": "old", "b": "old"}, {"a": "new", "b": "new"})
        texts.append(contents["a"])
        if done.returncode == 0:
            break
        assert done.returncode == -9, done.stderr
        clear_building(folder)
        assert [path for path in folder.parent.glob(".building-*") if any(path.iterdir())] == []
    assert done.returncode == 0
    assert (texts[0], texts[-1]) == ("old", "new")


def test_a_baseline_that_was_moved_aside_is_there_again(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "baselines"
    baselines.save(run, "base", folder)
    readers: list[Callable[[], Run]] = [
        lambda: baselines.saved(folder)["base"],
        lambda: baselines.find("base", folder),
        lambda: baselines.find(folder / "base"),
    ]
    for read in readers:
        (folder / "base").rename(folder / ".base.old")
        assert read().info.id == run.info.id
    with pytest.raises(BenchError, match="is there already"):
        baselines.save(run, "base", folder)


def test_a_closed_standard_output_changes_no_exit_code() -> None:
    command = f"{shlex.quote(sys.executable)} -m bench list suites >&-"
    done = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
