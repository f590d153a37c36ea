"""`list rerankers` at any width: every entry with its facts, what it needs, and whether that is
here, without loading anything.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from bench.catalogue import entries
from bench.contract import requirement
from bench.core.errors import BenchError
from bench.discover import listing, needs
from bench.discover.doctor import PACKAGES
from bench.discover.needs import Needs
from bench.discover.reranker_list import lines
from bench.models import hub
from tests.support.command import bench as command
from tests.support.paths import ROOT


class Shortest:
    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor

    def score(self, pairs: list[tuple[str, str]]) -> list[float]:
        return [-self.factor * len(document) for _, document in pairs]


def row(name: str, width: int = 1000) -> str:
    [found] = [line for line in lines(width=width) if line.split()[:1] == [name]]
    return found


def test_the_catalogue_holds_the_field() -> None:
    groups = dict(needs.by_backend())
    assert len(groups) >= 9
    assert sum(map(len, groups.values())) == len(entries.load()) >= 35


@pytest.mark.parametrize("width", [80, 100, 118, 140, 1000])
def test_every_entry_is_there_and_no_line_is_too_long(width: int) -> None:
    text = list(lines(width=width))
    assert max(map(len, text)) <= width
    firsts = [line.split()[0] for line in text if line]
    assert [name for name in entries.load() if firsts.count(name) != 1] == []
    assert any(line.startswith(f"{len(entries.load())} rerankers over ") for line in text)


def test_a_wide_row_tells_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert re.fullmatch(
        r"bge-reranker-v2-m3 +568M +8k +many +Apache-2\.0 +– +local hub +fetch "
        r"+BAAI/bge-reranker-v2-m3",
        row("bge-reranker-v2-m3"),
    )
    assert re.fullmatch(
        r"cohere-rerank-v4\.0-pro +\? +32k +many +proprietary +\$2\.5/1k searches\* +api "
        r"CO_API_KEY +no CO_API_KEY +rerank-v4\.0-pro",
        row("cohere-rerank-v4.0-pro"),
    )
    monkeypatch.setenv("CO_API_KEY", "set")
    assert "api CO_API_KEY  ready" in re.sub(r" {2,}", "  ", row("cohere-rerank-v4.0-pro"))


def test_a_narrow_list_says_in_the_heading_what_all_rows_share() -> None:
    text = "\n".join(lines("voyage", 80))
    assert (
        "voyage: size ?, tokens 32k, licence proprietary, needs api VOYAGE_API_KEY, here\nno "
        "VOYAGE_API_KEY" in text
    )
    assert re.search(r"voyage-rerank-2\.5 +many +\$0\.05/M tokens", text)
    assert "cohere" not in text


def test_what_is_needed_and_whether_it_is_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.delenv("SENTENCE_TRANSFORMERS_HOME", raising=False)
    assert needs.needs("minilm-cross-encoder") == Needs(("demo",), "ready")
    assert needs.needs("minilm-l6") == Needs(("local", "hub"), "fetch")
    assert needs.needs("qwen3-reranker-8b") == Needs(("local", "hub", "GPU"), "fetch")
    assert needs.needs("gte-multilingual") == Needs(("local", "hub", "code"), "fetch")
    assert needs.needs("voyage-rerank-2.5") == Needs(
        ("api", "VOYAGE_API_KEY"), "no VOYAGE_API_KEY", is_remote=True
    )
    revision = entries.load()["minilm-l6"].options["revision"]
    (
        tmp_path / "hub" / "models--cross-encoder--ms-marco-MiniLM-L6-v2" / "snapshots" / revision
    ).mkdir(parents=True)
    assert needs.needs("minilm-l6").state == "ready"
    assert not hub.is_stored("cross-encoder/ms-marco-MiniLM-L6-v2", "0" * 40)
    assert hub.is_stored("cross-encoder/ms-marco-MiniLM-L6-v2", None)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        requirement, "find_spec", lambda name: None if name in ("cohere", "torch") else object()
    )
    monkeypatch.setenv("CO_API_KEY", "set")
    assert needs.needs("cohere-rerank-v3.5").state == "no cohere"
    assert needs.needs("minilm-l6").state == "no torch"
    assert needs.needs("minilm-bi-encoder").state == "no torch"


def test_an_unknown_backend_gets_a_hint() -> None:
    with pytest.raises(BenchError, match="did you mean 'cross-encoder'"):
        list(lines("crossencoder"))


def test_the_command_filters_and_fills_the_terminal_it_has(tmp_path: Path) -> None:
    narrow = command("list", "rerankers", "--backend", "cohere", cwd=tmp_path).stdout
    wide = command("list", "rerankers", "--backend", "cohere", cwd=tmp_path, width=140).stdout
    assert "licence proprietary" in narrow
    assert "LICENCE" in wide
    refused = command("list", "suites", "--backend", "cohere", cwd=tmp_path)
    assert (refused.returncode, refused.stderr) == (
        2,
        "rerank-bench: --backend goes with `list rerankers`\n",
    )


@pytest.mark.parametrize("what", ["suites", "scenarios", "datasets", "executors"])
def test_a_list_wraps_in_a_terminal_and_is_cut_nowhere(
    what: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    listing.show_list(what)
    in_full = capsys.readouterr().out
    monkeypatch.setenv("COLUMNS", "80")
    listing.show_list(what)
    wrapped = capsys.readouterr().out
    assert sorted(wrapped.split()) == sorted(in_full.split())
    assert "..." not in in_full
    assert max(map(len, wrapped.splitlines())) <= 80


def test_an_argument_of_an_own_class_counts_as_deciding_the_scores() -> None:
    decided = listing._options_by_decision(f"{__name__}:Shortest")
    assert decided == {
        "scores": ["factor"],
        "speed": [],
        "nothing": ["name", "optional", "trained_on"],
    }


def test_doctor_looks_for_what_every_extra_installs() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for package, extra in PACKAGES:
        if extra:
            required = " ".join(extras[extra])
            assert re.search(rf"\b{package}\b", required) or extra == "local", package
    assert {extra for _, extra in PACKAGES} == {"", *extras} - {"dev", "notebook"}


def test_doctor_looks_for_every_key_of_the_catalogue(tmp_path: Path) -> None:
    found = needs.keys()
    assert {
        "CO_API_KEY",
        "VOYAGE_API_KEY",
        "MXBAI_API_KEY",
        "JINA_API_KEY",
        "OPENAI_API_KEY",
    } <= set(found)
    told = command("doctor", cwd=tmp_path, JINA_API_KEY="sk-very-secret", HF_HUB_OFFLINE="1").stdout
    assert [
        key for key in (*found, "HF_TOKEN") if not re.search(rf"^{key} +(set|not set)$", told, re.M)
    ] == []
    assert re.search(r"^JINA_API_KEY +set$", told, re.M)
    assert "very-secret" not in told
