"""An interrupted run is continued only where everything that decides its numbers is as it was, and
it says so.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import bench
from bench.core import plugins
from bench.core.errors import BenchError
from bench.core.note import Code
from bench.core.progress import Observer
from bench.core.wording import worded
from bench.records.run import Run
from tests.support.fake_cohere import good_tei, serve
from tests.support.fakes import FakeOptions, HashReranker
from tests.support.notes import noted

MODULE = (
    "from helper_of_mine import scale\ndef score(query, docs):\n    return [scale * "
    "len(doc) for doc in docs]\n"
)


class Notes(Observer):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture
def place(collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with everything that a run may depend on: a collection, a first stage's run, a
    reranker of one's own.
    """
    shutil.copytree(collection, tmp_path / "data")
    (tmp_path / "first.run").write_text("q1 Q0 d03 1 9 x\nq1 Q0 d00 2 8 x\nq2 Q0 d01 1 1 x\n")
    (tmp_path / "mine_for_continuing.py").write_text(MODULE)
    (tmp_path / "helper_of_mine.py").write_text("scale = 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(plugins, "_FOLDERS", [])
    forget_modules()
    return tmp_path


def forget_modules() -> None:
    """As if another process went on."""
    for name in ("mine_for_continuing", "helper_of_mine"):
        sys.modules.pop(name, None)


def run(fresh: bool = False, observer: Observer | None = None, **more: object) -> Run:
    suite = {
        "name": "mine",
        "datasets": ["files:data"],
        "first_stages": [{"run": "first.run"}],
        "rerankers": ["mine_for_continuing:score"],
        "latency": None,
        "depth": 5,
        "devices": "cpu",
        **more,
    }
    return bench.run(suite, out="out", fresh=fresh, progress=observer)


def interrupt(run: Run) -> None:
    """As if the process had been killed just before the end."""
    info = json.loads((run.folder / "run.json").read_text())
    (run.folder / "run.json").write_text(json.dumps(info | {"status": "running", "finished": None}))


def test_where_nothing_changed_it_is_continued_and_says_so(place: Path) -> None:
    first = run()
    interrupt(first)
    (first.folder / "records" / "data--first--oracle.json").unlink()
    half_written = first.folder / "rankings" / ".0123456789abcdef.tmp"
    half_written.touch()
    notes = Notes()
    second = run(observer=notes)
    assert second.folder == first.folder
    assert not half_written.exists()
    assert len(second.info.continued) == 1
    note = noted(second.info.warnings, Code.CONTINUED)
    assert (note.count, note.total) == (2, 3)
    assert worded(note) in notes.texts
    assert worded(note) in (second.folder / "report.md").read_text()


def edit(path: str, text: str) -> Callable[[Path], object]:
    return lambda place: (place / path).write_text(text)


CHANGES = {
    "data": edit("data/qrels.txt", "q1 0 d00 1\nq2 0 d01 2\n"),
    "first.run": edit("first.run", "q1 Q0 d00 1 9 x\n"),
    "mine_for_continuing": edit("mine_for_continuing.py", MODULE.replace("scale *", "-scale *")),
}


@pytest.mark.parametrize("name", list(CHANGES))
def test_where_an_input_changed_a_new_run_begins_and_names_it(place: Path, name: str) -> None:
    first = run()
    interrupt(first)
    CHANGES[name](place)
    forget_modules()
    notes = Notes()
    second = run(observer=notes)
    assert second.folder != first.folder
    assert (
        f"the unfinished run {first.folder.name} is not continued: {name} changed since"
        in notes.texts
    )
    assert second.info.continued == []


def test_a_helper_that_a_reranker_imports_is_its_code_too(place: Path) -> None:
    first = run()
    interrupt(first)
    (place / "unrelated.py").write_text("scale = 3\n")
    (place / "helper_of_mine.py").write_text("scale = -1\n")
    forget_modules()
    notes = Notes()
    assert run(observer=notes).folder != first.folder
    assert any("mine_for_continuing changed since" in text for text in notes.texts)


@pytest.mark.parametrize("name", ["mine_for_continuing", "helper_of_mine"])
def test_code_that_changed_since_it_was_imported_is_refused(place: Path, name: str) -> None:
    """As in a notebook: what runs is the old text, and the run would name the new one."""
    first = run()
    file = place / f"{name}.py"
    file.write_text(file.read_text().replace("scale *", "-scale *").replace("= 1", "= -1"))
    with pytest.raises(BenchError, match=rf"{name}.py has changed .* importlib.reload on {name}$"):
        run()
    importlib.reload(sys.modules["helper_of_mine"])
    importlib.reload(sys.modules["mine_for_continuing"])
    again = run()
    assert not again.per_query["value"].equals(first.per_query["value"])


def test_a_module_of_another_suite_s_folder_does_not_take_the_place(place: Path) -> None:
    suites: list[Path] = []
    for name in ("one", "other"):
        folder = place / name
        folder.mkdir()
        (folder / "in_two_folders.py").write_text("def score(query, docs): return [0] * len(docs)")
        suite = folder / "suite.yaml"
        suite.write_text(
            f"{{name: {name}, datasets: ['files:../data'], rerankers: ['in_two_folders:score'], "
            "latency: null, depth: 5, devices: cpu}"
        )
        suites.append(suite)
    bench.run(suites[0], out="out")
    with pytest.raises(BenchError, match=r"has imported .*one/in_two.*the suite's is .*other/in_"):
        bench.run(suites[1], out="out")
    bench.run(suites[0], out="out")


def test_an_object_is_never_taken_for_the_one_before(place: Path) -> None:
    """Its name is that of its function, and nothing says what it does."""
    first = run(rerankers=[lambda query, docs: [0] * len(docs)])
    interrupt(first)
    notes = Notes()
    assert run(rerankers=[lambda query, docs: [1] * len(docs)], observer=notes).folder != (
        first.folder
    )
    assert any("is as it was, nothing can tell" in text for text in notes.texts)


def test_a_file_that_nothing_needs_changes_nothing(place: Path) -> None:
    first = run()
    interrupt(first)
    (place / "unrelated.py").write_text("scale = 3\n")
    assert run().folder == first.folder


def test_fresh_does_not_continue_what_was_not_fresh(place: Path) -> None:
    """Records of a finished group may hold scores of the cache."""
    first = run()
    interrupt(first)
    notes = Notes()
    second = run(fresh=True, observer=notes)
    assert second.folder != first.folder
    assert any("--fresh changed since" in text for text in notes.texts)
    interrupt(second)
    assert run(fresh=True).folder == second.folder


def test_other_libraries_do_not_continue(place: Path) -> None:
    first = run()
    interrupt(first)
    info = json.loads((first.folder / "run.json").read_text())
    library = next(name for name in info["inputs"] if name == "numpy")
    info["inputs"][library] = "0.1"
    (first.folder / "run.json").write_text(json.dumps(info))
    notes = Notes()
    assert run(observer=notes).folder != first.folder
    assert any("numpy changed since" in text for text in notes.texts)


def test_a_run_without_inputs_is_of_an_earlier_version(place: Path) -> None:
    first = run()
    interrupt(first)
    info = json.loads((first.folder / "run.json").read_text())
    del info["inputs"], info["continued"]
    (first.folder / "run.json").write_text(json.dumps(info))
    assert Run(first.folder).info.inputs == {}
    assert run().folder != first.folder


def test_no_path_of_this_machine_is_among_the_inputs(place: Path) -> None:
    assert str(place) not in json.dumps(run().info.inputs)


def test_a_damaged_record_is_made_again(place: Path) -> None:
    first = run()
    interrupt(first)
    (first.folder / "records" / "data--first--oracle.json").write_text("{")
    second = run()
    assert second.folder == first.folder
    assert "data--first--oracle" in second.records


class Weighing(HashReranker):
    """Its scores come from a file that no option declares."""

    def fingerprint(self) -> dict[str, Any]:
        return {"weights": Path("weights.txt").read_text()}


def test_what_an_outsider_says_of_its_scores_counts(place: Path) -> None:
    (place / "weights.txt").write_text("1")
    entry = "tests.integration.test_continuing:Weighing"
    first = run(rerankers=[entry])
    interrupt(first)
    assert run(rerankers=[entry]).folder == first.folder
    interrupt(first)
    (place / "weights.txt").write_text("2")
    assert run(rerankers=[entry]).folder != first.folder


@pytest.fixture
def other_user(tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Called, makes this process one without the rights of the superuser, until the test ends."""

    def become() -> None:
        if os.geteuid() == 0:
            os.seteuid(65534)

    yield become
    os.seteuid(os.getuid())


@pytest.mark.skipif(os.name != "posix", reason="users and modes are POSIX's")
def test_folders_of_another_user_are_one_line(
    place: Path,
    other_user: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """An unfinished run that is not ours is left alone; where nothing can be written, one line says
    so.
    """
    with tempfile.TemporaryDirectory() as folder:
        open_place = Path(folder)
        shutil.copytree(place, open_place, dirs_exist_ok=True)
        (open_place / "cache").mkdir()
        monkeypatch.chdir(open_place)
        monkeypatch.setenv("RERANK_BENCH_CACHE", str(open_place / "cache"))
        first = run()
        interrupt(first)
        for path in (open_place, *open_place.rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)
        first.folder.chmod(0o555)
        other_user()
        notes = Notes()
        assert run(observer=notes).folder.name != first.folder.name
        assert (
            f"the unfinished run {first.folder.name} is not continued: Permission denied"
            in notes.texts
        )
        os.seteuid(os.getuid())
        (open_place / "out" / "mine").chmod(0o555)
        other_user()
        with pytest.raises(
            BenchError, match="cannot be made: Permission denied; choose another place with --out"
        ):
            run()
        os.seteuid(os.getuid())
        for path in (open_place, *open_place.rglob("*")):
            path.chmod(0o777)


class Sorting(HashReranker):
    """An outsider's class with arguments of its own, one of which has a name like that of a
    secret.
    """

    class Options(FakeOptions):
        sort_secret: str = ""
        weights: str = ""


def test_an_argument_that_looks_like_a_secret_decides_as_well(place: Path) -> None:
    first = run(rerankers=[{"tests.integration.test_continuing:Sorting": {"sort_secret": "len"}}])
    interrupt(first)
    second = run(rerankers=[{"tests.integration.test_continuing:Sorting": {"sort_secret": "neg"}}])
    assert second.folder != first.folder
    assert '"len"' not in (first.folder / "run.json").read_text()


def test_a_file_among_the_arguments_of_an_outsiders_class_decides(place: Path) -> None:
    (place / "w.txt").write_text("1")
    entry = {
        "tests.integration.test_continuing:Sorting": {
            "weights": "w.txt",
            "log": str(place / "log.txt"),
        }
    }
    first = run(rerankers=[entry])
    interrupt(first)
    assert (place / "log.txt").exists()
    assert run(rerankers=[entry]).folder == first.folder, "what the run wrote itself is no input"
    interrupt(first)
    (place / "w.txt").write_text("2")
    notes = Notes()
    assert run(rerankers=[entry], observer=notes).folder != first.folder
    assert any("argument w.txt changed since" in text for text in notes.texts)


class Leaving(HashReranker):
    """Goes to another working folder, as code of users does."""

    def load(self) -> None:
        Path("elsewhere").mkdir(exist_ok=True)
        os.chdir("elsewhere")


def test_code_that_leaves_the_working_folder_splits_neither_run_nor_cache(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RERANK_BENCH_CACHE", "cache")
    done = run(rerankers=["tests.integration.test_continuing:Leaving", "mine_for_continuing:score"])
    assert Path.cwd() == place
    assert [status.status for status in done.info.trials] == ["done"] * 4
    assert done.folder.parts[0] == "out"
    assert (place / "cache" / "scores").is_dir()
    assert list((place / "elsewhere").iterdir()) == []


def test_a_server_that_serves_another_model_decides(place: Path) -> None:
    with serve() as server:
        server.always = good_tei
        server.info = {"model_id": "one", "max_input_length": 512}
        entry = {
            "rerank-server": {
                "model": "m",
                "shape": "tei",
                "base_url": server.url,
                "name": "served",
            }
        }
        first = run(rerankers=[entry])
        interrupt(first)
        requests = len(server.requests)
        assert run(rerankers=[entry]).folder == first.folder
        assert len(server.requests) == requests, "nothing is scored to learn what is served"
        interrupt(first)
        server.info = {"model_id": "two", "max_input_length": 512}
        notes = Notes()
        assert run(rerankers=[entry], observer=notes).folder != first.folder
        assert any("fingerprint of served changed since" in text for text in notes.texts)
