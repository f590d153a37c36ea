"""Mutated suites, gates, collections, run files and run folders, given to every command that reads
them.

    python scripts/fuzz.py                              10,000 cases from seed 0
    python scripts/fuzz.py --seconds 600 --seed 7       as many of them as ten minutes allow
    python scripts/fuzz.py --case 4711 --keep FOLDER    one case again: files, commands, output

Commands run in process, under a time limit and a memory limit. It counts tracebacks (one in a run's
errors/ too, since these rerankers raise nothing), hangs, crashes of the interpreter, and files that
appear, change or go outside --out. All must be 0. A case is made from the seed and its number
alone, so that each can be looked at again.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ADDRESS_SPACE = 12 << 30
GRACE = 3
"""Times the limit that a worker may be silent before it is ended: a limit in Python ends no loop in
C.
"""
LOST = "LOST"

# ----------------------------------------------------------------------------------------------
# material

SUITE: dict[str, Any] = {
    "name": "fuzz",
    "description": "a small suite",
    "datasets": ["files:data"],
    "first_stages": [{"run": "first.run"}],
    "rerankers": [
        "word-overlap",
        {"own_reranker:overlap": {"name": "own"}},
        {"run-file": {"path": "other.run", "name": "other"}},
    ],
    "measures": ["nDCG@10", "RR@10"],
    "depth": 10,
    "latency": None,
    "chunk_pairs": 64,
}
LATENCY = {
    "queries": 8,
    "rounds": 2,
    "warmup_max": 2,
    "offline_pairs": 40,
    "span_queries": 2,
    "sweep": {"depths": [5, 10]},
}
GATES: dict[str, Any] = {
    "quality": {"nDCG@10": 0.4, "RR@10": 0.5},
    "drift": {"across": ["versions"], "score": 0.01},
    "speed": {"ratio": 2.0, "required": False},
    "failures": 0.1,
    "missing": "fail",
    "rerankers": {"own": {"quality": 0.4, "drift": None}},
}
OWN_RERANKER = """
def overlap(query, docs):
    words = set(query.split())
    return [len(words & set(doc.split())) + 1 / (1 + len(doc)) for doc in docs]
"""


def make_material(folder: Path) -> None:
    """Write the inputs that every case starts from, two run folders among them."""
    import yaml

    import bench

    rng = random.Random(1)
    words = [
        "apple",
        "banana",
        "cherry",
        "damson",
        "elder",
        "fig",
        "grape",
        "hazel",
        "iris",
        "juniper",
        "kiwi",
        "lemon",
    ]
    data = folder / "data"
    data.mkdir(parents=True)
    texts = [" ".join(rng.choices(words, k=8)) for _ in range(30)]
    docs = [
        {"doc_id": f"d{i:02}", "title": f"Note {i}", "text": text} for i, text in enumerate(texts)
    ]
    (data / "docs.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in docs))
    (data / "queries.tsv").write_text(
        "".join(f"q{i}\t{' '.join(rng.sample(words, 3))}\n" for i in range(12))
    )
    grades = []
    for i in range(11):
        for j in rng.sample(range(30), 7):
            grades.append((f"q{i}", f"d{j:02}", rng.choice([0, 1, 1, 2, 3])))
    (data / "qrels.txt").write_text(
        "".join(f"{query} 0 {doc} {grade}\n" for query, doc, grade in grades)
    )
    for name in ("first.run", "other.run"):
        lines = []
        for i in range(12):
            for rank, j in enumerate(rng.sample(range(30), 10), 1):
                lines.append(f"q{i} Q0 d{j:02} {rank} {10 - rank + rng.random():.4f} {name}\n")
        (folder / name).write_text("".join(lines))
    (folder / "own_reranker.py").write_text(OWN_RERANKER)
    (folder / "gates.yaml").write_text(yaml.safe_dump(GATES, sort_keys=False))
    (folder / "suite.yaml").write_text(yaml.safe_dump(SUITE, sort_keys=False))
    with in_folder(folder):
        for name, latency in (("run-a", LATENCY), ("run-b", LATENCY | {"rounds": 1})):
            run = bench.run({**SUITE, "latency": latency}, out=folder / "made")
            shutil.move(run.folder, folder / name)
    shutil.rmtree(folder / "made")


@contextlib.contextmanager
def in_folder(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


# ----------------------------------------------------------------------------------------------
# mutations

TEXTS = (
    "",
    " ",
    "x" * 300,
    "検" * 90,
    "é",
    "e\u0301",
    "\u202eabc",
    "\U0001f600",
    "\ud800",
    "a\0b",
    "a\nb",
    "a\tb",
    "a\u2028b",
    "\ufeff",
    "../../escaped",
    "..",
    ".",
    "/",
    LOST,
    "a/b",
    "~nobody-by-this-name/x",
    "~",
    "con",
    "-x",
    "#",
    "a#b",
    "a|b",
    "`x`",
    "<script>alert(1)</script>",
    "{{7*7}}",
    "%s %d",
    "${HOME}",
    "$(id)",
    "'; --",
    "\\",
    "\\input{x}",
    "=1+1",
    "@x",
    "2001-99-99",
    "2024-02-29",
    "NaN",
    "inf",
    "1e999",
    "0x10",
    "1_000",
    "yes",
    "null",
    ":x",
    "x:",
    "a.b:c",
    ".rel:x",
    "own_reranker:nope",
    "own_reranker:overlap",
    "files:",
    "files:data",
    "files:first.run",
    "irds:nope",
    "embedded:nope",
    "embedded:everyday",
    "word-overlap",
    "function",
    "run-file",
    "cross-encoder",
    "first-stage",
    "oracle",
    "bm25",
    "scoreddocs",
    "nDCG@10",
    "nDCG@0",
    "nDCG",
    "P(rel=0)@5",
    "AP(rel=2)",
    "nDCG@99999999999999999999",
    "RBP(p=0.8)",
    "ERR@10",
    "infAP",
    "SetF",
    "cpu",
    "cuda:99",
    "q1",
    "d01",
    "http://[::1",
    "http://127.0.0.1:9",
    "headline",
    "versions",
    "single",
)
NUMBERS = (
    0,
    -1,
    1,
    2,
    3,
    1.5,
    0.1,
    -0.0,
    1e-320,
    1e308,
    -1e308,
    1e30,
    10**9,
    10**18,
    2**63 - 1,
    -(2**63),
    10**30,
    10**400,
)
SPECIAL = (None, True, False, float("nan"), float("inf"), float("-inf"))
NESTED: tuple[Any, ...] = (
    [],
    {},
    [[]],
    [None],
    {"": None},
    {"name": "x"},
    {"a": {"b": {"c": []}}},
    [1, "a", None],
    {"x": [{}] * 3},
)


def odd(rng: random.Random) -> Any:
    """A value that somebody, some day, puts there."""
    value = rng.choice(rng.choice((TEXTS, TEXTS, NUMBERS, SPECIAL, NESTED)))
    if value == LOST:
        return str(Path.cwd().parent / "absolute")
    if isinstance(value, list | dict):
        return json.loads(json.dumps(value))
    return value


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items: Any = ()
    if isinstance(tree, dict):
        items = tree.items()
    elif isinstance(tree, list):
        items = enumerate(tree)
    for key, value in items:
        yield from places(value, (*path, key))


def mutate_tree(rng: random.Random, tree: Any) -> Any:
    """One change somewhere in a tree of dicts and lists."""
    paths = list(places(tree))
    path = rng.choice(paths[1:] or paths)
    if not path:
        return odd(rng)
    parent: Any = tree
    for key in path[:-1]:
        parent = parent[key]
    key = path[-1]
    what = rng.choice(
        [
            "replace",
            "replace",
            "delete",
            "twice",
            "rename",
            "wrap",
            "swap",
            "add",
            "large",
            "deep",
        ]
    )
    if what == "replace":
        parent[key] = odd(rng)
    elif what == "delete":
        del parent[key]
    elif what == "twice" and isinstance(parent, list):
        parent.insert(key, parent[key])
    elif what == "rename" and isinstance(parent, dict):
        parent[rng.choice([odd_key(rng), f"{key}s", str(key).upper()])] = parent.pop(key)
    elif what == "wrap":
        parent[key] = rng.choice(
            [[parent[key]], {"name": parent[key]}, [[parent[key]]], str(parent[key])]
        )
    elif what == "add":
        target = parent
        if isinstance(parent[key], dict | list):
            target = parent[key]
        if isinstance(target, dict):
            target[odd_key(rng)] = odd(rng)
        else:
            target.append(odd(rng))
    elif what == "large" and isinstance(parent[key], list) and parent[key]:
        parent[key] = parent[key] * rng.choice([20, 200])
    elif what == "deep":
        for _ in range(rng.choice([3, 40, 200])):
            parent[key] = [parent[key]]
    else:
        other = rng.choice(paths)
        target = tree
        for step in other:
            target = target[step]
        parent[key] = json.loads(json.dumps(target, default=str))
    return tree


def odd_key(rng: random.Random) -> Any:
    key = odd(rng)
    if isinstance(key, list | dict):
        return "key"
    return key


def mutate_lines(rng: random.Random, text: str) -> str:
    lines = text.split("\n")
    for _ in range(rng.choice([1, 1, 2, 5])):
        at = rng.randrange(len(lines))
        what = rng.choice(
            [
                "delete",
                "twice",
                "swap",
                "cell",
                "cell",
                "cell",
                "cut",
                "join",
                "insert",
                "shuffle",
                "all",
                "space",
            ]
        )
        cells = re.split(r"(\s+)", lines[at])
        if what == "delete":
            del lines[at]
        elif what == "twice":
            lines.insert(at, lines[at])
        elif what == "swap":
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        elif what == "cell":
            cells[rng.randrange(len(cells))] = str(odd(rng))
            lines[at] = "".join(cells)
        elif what == "cut":
            lines[at] = lines[at][: rng.randrange(len(lines[at]) + 1)]
        elif what == "join" and at + 1 < len(lines):
            lines[at] += lines.pop(at + 1)
        elif what == "insert":
            lines.insert(at, str(odd(rng)))
        elif what == "shuffle":
            rng.shuffle(lines)
        elif what == "all":
            column, value = rng.randrange(6), str(odd(rng))
            lines = ["\t".join(_with_cell(line.split(), column, value)) for line in lines]
        else:
            lines[at] = lines[at].replace(" ", rng.choice(["", "\t", "  ", ",", "\u00a0"]))
        lines = lines or [""]
    return rng.choice(["\n", "\n", "\n", "\r\n", "\r"]).join(lines)


def _with_cell(cells: list[str], column: int, value: str) -> list[str]:
    if column < len(cells):
        cells[column] = value
    return cells


def mutate_bytes(rng: random.Random, data: bytes) -> bytes:
    what = rng.choice(
        [
            "flip",
            "flip",
            "cut",
            "empty",
            "drop",
            "twice",
            "noise",
            "bom",
            "utf16",
            "latin",
            "null",
            "gzip",
            "space",
        ]
    )
    at, end = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
    if what == "flip" and data:
        flipped = bytearray(data)
        for _ in range(rng.choice([1, 1, 3, 20])):
            flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        return bytes(flipped)
    changed = {
        "cut": data[:at],
        "empty": b"",
        "drop": data[:at] + data[end:],
        "twice": data[:end] + data[at:],
        "noise": data[:at] + rng.randbytes(rng.choice([1, 10, 1000])) + data[at:],
        "bom": b"\xef\xbb\xbf" + data,
        "utf16": data.decode("utf-8", "replace").encode("utf-16"),
        "latin": data[:at] + "é".encode("latin-1") + data[at:],
        "null": data[:at] + b"\0" * 5 + data[at:],
        "gzip": gzip.compress(data, mtime=0),
        "space": b"\n \n" + data,
    }
    return changed.get(what, data)


def mutate_table(rng: random.Random, data: bytes) -> bytes:
    """A Parquet table with other columns, types, cells or rows."""
    import pandas as pd

    table = pd.read_parquet(io.BytesIO(data))
    column = rng.choice(list(table.columns))
    what = rng.choice(
        [
            "drop",
            "rename",
            "type",
            "cells",
            "cells",
            "rows",
            "twice",
            "none",
            "extra",
            "null",
            "shuffle",
        ]
    )
    if what == "drop":
        table = table.drop(columns=column)
    elif what == "rename":
        table = table.rename(columns={column: rng.choice([str(odd(rng)), "value", "trial"])})
    elif what == "type":
        if rng.random() < 0.5:
            table[column] = table[column].astype(str)
        else:
            table[column] = range(len(table))
    elif what == "cells":
        value = odd(rng)
        cells = table[column].astype(object)
        rows = rng.choice([slice(None), slice(0, 1), slice(0, 3)])
        if isinstance(value, list | dict):
            value = None
        cells[rows] = value
        table[column] = cells
    elif what == "rows":
        table = table.iloc[: rng.randrange(len(table) + 1)]
    elif what == "twice":
        table = pd.concat([table, table])
    elif what == "none":
        table = table.iloc[:0]
    elif what == "extra":
        table["more"] = 1
    elif what == "null":
        table[column] = None
    else:
        table = table.sample(frac=1, random_state=rng.randrange(1000))
    table.columns = [str(name).encode("utf-8", "replace").decode() for name in table.columns]
    buffer = io.BytesIO()
    try:
        table.to_parquet(buffer, index=rng.random() < 0.1)
    except Exception:  # what a table cannot hold
        return mutate_bytes(rng, data)
    return buffer.getvalue()


def mutate_place(rng: random.Random, path: Path, others: list[Path]) -> None:
    """What is there by that name is something else."""
    what = rng.choice(["remove", "folder", "other", "dangling", "loop", "null device", "outside"])
    other = rng.choice(others)
    content = b""
    if other.is_file():
        content = other.read_bytes()
    path.unlink()
    if what == "folder":
        path.mkdir()
    elif what == "other":
        path.write_bytes(content)
    elif what == "dangling":
        path.symlink_to("nowhere")
    elif what == "loop":
        path.symlink_to(path.name)
    elif what == "null device":
        path.symlink_to(os.devnull)
    elif what == "outside":
        path.symlink_to(Path.cwd().parent / "outside.txt")


def mutate_file(rng: random.Random, path: Path, others: list[Path]) -> None:
    """Change one file, mostly in the terms of its format."""
    if not path.is_file() or path.is_symlink():
        return
    choice = rng.random()
    if choice < 0.06:
        mutate_place(rng, path, others)
        return
    data = path.read_bytes()
    if choice >= 0.25:
        # An earlier change may have left nothing to parse.
        unreadable = (ValueError, OSError, KeyError, TypeError, IndexError, RecursionError)
        with contextlib.suppress(*unreadable):
            path.write_bytes(mutate_format(rng, path, data))
            return
    path.write_bytes(mutate_bytes(rng, data))


def mutate_format(rng: random.Random, path: Path, data: bytes) -> bytes:
    import yaml

    times = rng.choice([1, 1, 1, 2, 4])
    if path.suffix in (".yaml", ".json"):
        if path.suffix == ".yaml":
            tree = yaml.safe_load(data)
        else:
            tree = json.loads(data)
        for _ in range(times):
            tree = mutate_tree(rng, tree)
        if path.suffix == ".json":
            return json.dumps(tree, skipkeys=True).encode("utf-8", "surrogatepass")
        try:
            return yaml.safe_dump(tree, sort_keys=False).encode("utf-8", "surrogatepass")
        except yaml.YAMLError:
            return json.dumps(tree, skipkeys=True).encode()
    if path.suffix == ".parquet":
        return mutate_table(rng, data)
    if path.suffix == ".gz":
        return gzip.compress(
            mutate_lines(rng, gzip.decompress(data).decode()).encode("utf-8", "surrogatepass"),
            mtime=0,
        )
    if path.suffix == ".jsonl" and rng.random() < 0.7:
        lines = data.decode().split("\n")
        at = rng.randrange(len(lines) - 1)
        tree = json.loads(lines[at])
        for _ in range(times):
            tree = mutate_tree(rng, tree)
        lines[at] = json.dumps(tree, skipkeys=True)
        return "\n".join(lines).encode("utf-8", "surrogatepass")
    return mutate_lines(rng, data.decode()).encode("utf-8", "surrogatepass")


# ----------------------------------------------------------------------------------------------
# cases

Command = list[str]
EXPORTS = ("latex", "csv", "parquet", "mteb", "model-card", "trec")
PLOTS = ("pareto", "depth", "latency", "sweep", "per-query")
SUITE_COMMANDS: tuple[Command, ...] = (
    ["validate", "suite.yaml"],
    ["validate", "suite.yaml"],
    ["run", "suite.yaml", "--estimate", "--out", "out", "--device", "cpu"],
    ["run", "suite.yaml", "--quiet", "--out", "out", "--no-latency", "--device", "cpu"],
    ["show", "suite", "suite.yaml"],
)
DATA_COMMANDS: tuple[Command, ...] = (
    ["validate", "suite.yaml"],
    ["run", "suite.yaml", "--estimate", "--format", "json", "--out", "out", "--device", "cpu"],
    ["run", "suite.yaml", "--quiet", "--out", "out", "--no-latency", "--device", "cpu"],
)
CHECK = ["check", "runs/b", "--baseline", "runs/a", "--gates", "gates.yaml"]
GATE_COMMANDS: tuple[Command, ...] = (
    CHECK,
    [
        *CHECK,
        "--format",
        "json:out/verdict.json",
        "--format",
        "junit:out/verdict.xml",
        "--format",
        "markdown",
    ],
    [*CHECK, "--accept-underpowered", "--format", "github"],
)
RUN_COMMANDS: tuple[Command, ...] = (
    ["report", "runs/a"],
    ["show", "run", "runs/a"],
    ["compare", "runs/a"],
    ["compare", "runs/a", "runs/b", "--format", "json"],
    ["compare", "runs/b", "runs/a", "--baseline", "word-overlap", "--format", "csv"],
    ["check", "runs/a", "--baseline", "runs/b"],
    [
        "check",
        "runs/b",
        "--baseline",
        "runs/a",
        "--measure",
        "RR@10",
        "--margin",
        "0.5",
        "--format",
        "junit",
    ],
    [
        "check",
        "runs/a",
        "--baseline",
        "runs/b",
        "--gates",
        "gates.yaml",
        "--format",
        "markdown:out/verdict.md",
    ],
    ["parity", "runs/a", "runs/b"],
    ["verify", "runs/a", "--rescore", "0"],
    ["verify", "runs/b", "--rescore", "0", "--format", "json"],
    ["answerability", "runs/a"],
    ["parity", "runs/a", "word-overlap", "own"],
    ["budget", "runs/a", "--p95-ms", "50"],
    ["budget", "runs/a", "--p50-ms", "50", "--format", "json"],
    ["compose", "runs/a"],
    ["compose", "runs/a", "--frontier", "--format", "json"],
    ["leaderboard", "runs"],
    ["leaderboard", "runs", "--format", "json"],
    ["baseline", "save", "runs/a", "--in", "out/baselines", "--latency"],
    ["baseline", "save", "runs/a", "--in", "out/baselines", "--name", "kept", "--replace"],
    ["baseline", "list", "--in", "runs"],
    *(["export", "runs/a", "--format", form, "--out", f"out/{form}"] for form in EXPORTS),
    *(["plot", "runs/a", "--kind", kind, "--out", "out"] for kind in PLOTS),
)


def below(*names: str) -> Callable[[], list[Path]]:
    """All files below these names of the working folder, in order."""

    def files() -> list[Path]:
        paths: list[Path] = []
        for name in names:
            paths += [Path(name), *Path(name).rglob("*")]
        return sorted(path for path in paths if path.is_file())

    return files


KINDS: dict[str, tuple[Callable[[], list[Path]], tuple[Command, ...]]] = {
    "suite": (below("suite.yaml"), SUITE_COMMANDS),
    "gates": (below("gates.yaml"), GATE_COMMANDS),
    "collection": (below("data"), DATA_COMMANDS),
    "run file": (below("first.run", "other.run"), DATA_COMMANDS),
    "run folder": (below("runs/a"), RUN_COMMANDS),
}
WEIGHTS = (3, 1, 3, 2, 5)


def prepare(material: Path, number: int, seed: int, kind: str | None) -> tuple[str, list[Command]]:
    """Fill the working folder for one case. Returns its kind and its commands."""
    rng = random.Random(f"{seed} {number}")
    kind = kind or rng.choices(list(KINDS), WEIGHTS)[0]
    for name in ("suite.yaml", "gates.yaml", "first.run", "other.run", "own_reranker.py"):
        shutil.copy(material / name, name)
    shutil.copytree(material / "data", "data")
    if kind in ("gates", "run folder"):
        shutil.copytree(material / "run-a", "runs/a")
        shutil.copytree(material / "run-b", "runs/b")
    Path("out").mkdir()
    files, commands = KINDS[kind]
    listed = [path for path in files() if path.suffix not in (".png", ".html", ".md")]
    for path in rng.sample(listed, min(len(listed), rng.choice([1, 1, 1, 2, 3]))):
        mutate_file(rng, path, listed)
    if kind == "collection" and rng.random() < 0.4:
        text = Path("suite.yaml").read_text()
        Path("suite.yaml").write_text(text.replace("run: first.run", "bm25: {}"))
    if kind == "run folder":
        return kind, rng.sample(commands, 2)
    return kind, [rng.choice(commands)]


class Hang(BaseException):
    """A command took longer than its limit."""


@dataclass
class Answer:
    """What a command answered: words, exit code, and the end of its output."""

    command: Command
    code: int
    output: str


@dataclass
class Result:
    """A case that was run: `faults` maps a sort of fault to what it looks like."""

    number: int
    kind: str
    faults: dict[str, str] = field(default_factory=dict)
    codes: list[int] = field(default_factory=list)


def call(words: Command, limit: int) -> tuple[int, str]:
    """The exit code and the output of a command of rerank-bench, run here. Raises Hang."""
    from bench.cli import main as cli

    def too_long(number: int, frame: Any) -> None:
        raise Hang

    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="replace", write_through=True)
    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(limit)
    sys.argv = ["rerank-bench", *words]
    code = 0
    try:
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
            try:
                cli.main()
            except SystemExit as exit_:
                code = int(exit_.code or 0)
            except Exception:
                traceback.print_exc()
                code = cli.INTERNAL
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return code, stream.buffer.getvalue().decode("utf-8", "replace")


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    """Return every file and folder that no command may touch, with its size and time."""
    places = {}
    for path in root.rglob("*"):
        name = path.relative_to(root)
        outputs = (("in", "ner", "work", "out"), ("in", "ner", "work", "runs"))
        if name.parts[:4] in outputs or name.parts[0] in ("cache", "home"):
            continue
        stat = path.lstat()
        places[str(name)] = (stat.st_size, stat.st_mtime_ns)
        if path.is_dir():
            places[str(name)] = (0, 0)
    return places


def try_case(
    root: Path, material: Path, number: int, seed: int, limit: int, kind: str | None = None
) -> tuple[Result, list[Answer]]:
    """Return the result of one case and what its commands answered."""
    for path in root.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    work = root / "in" / "ner" / "work"
    work.mkdir(parents=True)
    (root / "in" / "ner" / "outside.txt").write_text("not yours")
    os.chdir(work)
    kind, commands = prepare(material, number, seed, kind)
    before = snapshot(root)
    result = Result(number, kind)
    answers: list[Answer] = []
    for words in commands:
        try:
            code, output = call(words, limit)
        except Hang:
            result.faults["hang"] = words[0]
            break
        answers.append(Answer(words, code, output[-4000:]))
        result.codes.append(code)
        if "Traceback (most recent call last)" in output or code not in (0, 1, 2, 3, 4):
            result.faults["traceback"] = signature(output)
        for path in Path("out").glob("*/*/errors/*.txt"):
            error = path.read_text(errors="replace")
            # whole reasons that a record had to cut are kept there, too
            if "Traceback (most recent call last)" in error:
                result.faults["traceback"] = signature(error)
            path.unlink()
    changed = sorted(set(before.items()) ^ set(snapshot(root).items()))
    if changed:
        names = dict.fromkeys(name for name, _ in changed)
        result.faults["outside"] = ", ".join(names)[:200]
    return result, answers


def signature(output: str) -> str:
    """The deepest line of ours in a traceback, and the error: two cases with the same one have the
    same cause.
    """
    ours = re.findall(r'File "[^"]*/(bench/[^"]+)", line (\d+), in (\S+)', output)
    lines = [
        line
        for line in output.splitlines()
        if re.match(r"^[\w.]+(Error|Exception|Warning|Exit|Interrupt)\b", line)
    ]
    where, error = "?", output[-120:]
    if ours:
        file, line, function = ours[-1]
        where = f"{file}:{line} {function}"
    if lines:
        error = lines[-1][:120]
    return f"{where}  {error}"


# ----------------------------------------------------------------------------------------------
# workers


def work(material: Path, numbers: list[int], seed: int, limit: int, kind: str | None) -> None:
    """Run cases one after the other; a line of JSON before each and after it."""
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    real_output = sys.stdout
    # Below the folder of the process that oversees this one: it removes what an end leaves behind.
    with tempfile.TemporaryDirectory(prefix="work-", dir=material.parent) as folder:
        root = Path(folder).resolve() / "root"
        root.mkdir()
        set_environment(root)
        for number in numbers:
            print(json.dumps({"begins": number}), file=real_output, flush=True)
            result, _ = try_case(root, material, number, seed, limit, kind)
            print(json.dumps(asdict(result)), file=real_output, flush=True)
        os.chdir("/")


def set_environment(root: Path) -> None:
    os.environ |= {
        "RERANK_BENCH_CACHE": str(root / "cache"),
        "HOME": str(root / "home"),
        "MPLBACKEND": "Agg",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "120",
    }


class Tally:
    """The faults that the workers came across, their cases and all exit codes."""

    def __init__(self) -> None:
        self.faults: dict[tuple[str, str], list[int]] = defaultdict(list)
        self.kinds: Counter[str] = Counter()
        self.codes: Counter[int] = Counter()
        self._lock = threading.Lock()

    def add(self, result: Result) -> None:
        with self._lock:
            self.kinds[result.kind] += 1
            self.codes.update(result.codes)
            for sort, text in result.faults.items():
                if (sort, text) not in self.faults:
                    line = f"case {result.number}, {result.kind}: {sort}: {text}"
                    print(line, file=sys.stderr, flush=True)
                self.faults[sort, text].append(result.number)


@dataclass(frozen=True)
class Plan:
    """What all workers have in common. `end`: the time, as `time.monotonic` has it, from which on
    no further case begins.
    """

    material: Path
    seed: int
    limit: int
    kind: str | None
    end: float


def oversee(numbers: list[int], plan: Plan, tally: Tally) -> None:
    """Keep a worker busy with these cases; one that dies or falls silent is replaced after the case
    that it was at.
    """
    while numbers and time.monotonic() < plan.end:
        with _worker(numbers, plan) as worker:
            case = numbers[0]
            alarm = threading.Timer(GRACE * plan.limit + 60, worker.kill)
            alarm.start()
            assert worker.stdout
            for line in worker.stdout:
                alarm.cancel()
                alarm = threading.Timer(GRACE * plan.limit, worker.kill)
                alarm.start()
                message = json.loads(line)
                if "begins" in message:
                    case = message["begins"]
                    continue
                tally.add(Result(**message))
                numbers = numbers[numbers.index(case) + 1 :]
                if time.monotonic() > plan.end:
                    # What the worker says from here on is that it was ended.
                    numbers = []
                    worker.kill()
                    break
            alarm.cancel()
        if numbers:
            sort = {-signal.SIGKILL: "hang"}.get(worker.returncode, "crash")
            tally.add(Result(case, "?", {sort: f"the process ended with {worker.returncode}"}))
            numbers = numbers[numbers.index(case) + 1 :]


def _worker(numbers: list[int], plan: Plan) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--worker", str(plan.material), json.dumps(numbers)]
    command += ["--seed", str(plan.seed), "--limit", str(plan.limit)]
    if plan.kind:
        command += ["--kind", plan.kind]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def fuzz(
    cases: int,
    seed: int,
    limit: int,
    jobs: int,
    kind: str | None = None,
    seconds: float = float("inf"),
) -> Tally:
    """Run cases 0 to `cases` - 1 in `jobs` processes, as many as begin within `seconds`."""
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="fuzz-material-") as folder:
        plan = Plan(prepared(Path(folder)), seed, limit, kind, time.monotonic() + seconds)
        shares = [list(range(job, cases, jobs)) for job in range(jobs)]
        threads = [threading.Thread(target=oversee, args=(share, plan, tally)) for share in shares]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return tally


def prepared(folder: Path) -> Path:
    """Return the folder with what every case starts from."""
    material = folder.resolve() / "material"
    material.mkdir()
    os.environ |= {
        "MPLBACKEND": "Agg",
        "RERANK_BENCH_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    make_material(material)
    return material


def again(number: int, seed: int, limit: int, kind: str | None, keep: Path | None) -> None:
    """Run one case and print all that it answers."""
    root = (keep or Path(tempfile.mkdtemp(prefix="fuzz-"))).resolve()
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fuzz-material-") as folder:
        material = prepared(Path(folder))
        set_environment(root)
        sys.dont_write_bytecode = True
        result, answers = try_case(root, material, number, seed, limit, kind)
    for answer in answers:
        print(f"$ rerank-bench {' '.join(answer.command)}")
        print(f"{answer.output}[exit code {answer.code}]\n")
    print(f"case {number}, {result.kind}, in {root}: {result.faults or 'no fault'}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, default=60, help="seconds that a command may take")
    parser.add_argument(
        "--seconds", type=float, default=float("inf"), help="begin no case after this time"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--kind", choices=list(KINDS), help="cases of this kind alone")
    parser.add_argument("--case", type=int, help="run this case alone and show what it prints")
    parser.add_argument("--keep", type=Path, help="folder for the files of --case")
    parser.add_argument(
        "--worker", nargs=2, metavar=("MATERIAL", "NUMBERS"), help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    seed, limit, kind = options.seed, options.limit, options.kind
    if options.worker:
        material, numbers = options.worker
        work(Path(material), json.loads(numbers), seed, limit, kind)
        return 0
    if options.case is not None:
        again(options.case, seed, limit, kind, options.keep)
        return 0
    started = time.monotonic()
    tally = fuzz(options.cases, seed, limit, options.jobs, kind, options.seconds)
    kinds = ", ".join(f"{count} {name}" for name, count in sorted(tally.kinds.items()))
    print(f"{sum(tally.kinds.values()):,} cases in {time.monotonic() - started:,.0f} s ({kinds})")
    codes = ", ".join(f"{code}: {count}" for code, count in sorted(tally.codes.items()))
    print(f"exit codes: {codes}")
    counts: Counter[str] = Counter()
    for (sort, _), numbers in tally.faults.items():
        counts[sort] += len(numbers)
    for sort in ("traceback", "hang", "crash", "outside"):
        print(f"{sort:<10}{counts[sort]}")
    for (sort, text), numbers in sorted(tally.faults.items(), key=lambda item: -len(item[1])):
        print(f"{len(numbers):>5} {sort}: {text}")
        print(f"      cases {', '.join(map(str, sorted(numbers)[:8]))}")
    return int(bool(tally.faults))


if __name__ == "__main__":
    sys.exit(main())
