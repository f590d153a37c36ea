"""What is kept or shown holds no secret and no place of this machine: run folders, baselines,
caches, messages.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

import bench
from bench import reports, rerankers
from bench.contract.stage import Description
from bench.core.errors import SuiteError
from bench.core.redaction import (
    argument,
    for_others,
    is_secret_name,
    redacted,
    redacted_text,
    secret_values,
    without_places,
)
from bench.rerankers.base import BaseReranker
from bench.rerankers.outside.own_class import OwnOptions
from bench.scoring.cache import ScoreCache
from bench.suite import suite
from tests.support.command import bench as command
from tests.support.fake_cohere import good_jina, serve
from tests.support.made_collections import write_common_things

SECRETS = ("hunter2-and-more", "body-secret-1", "body-secret-2", "sk-proj-0123456789abcdefghij")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:hunter2@host:80/v1", "http://***@host:80/v1"),
        ("http://me:hun@ter2@host/v1", "http://***@host/v1"),
        ("see https://host/a@b and mail@host", "see https://host/a@b and mail@host"),
        ("GET http://host/v1?key=abc&x=1", "GET http://host/v1?key=***&x=1"),
        ("Authorization: Bearer abcdef0123456789", "Authorization: ***"),
        ("the key sk-proj-0123456789abcdefghij was", "the key *** was"),
        (
            "Basic understanding of hf-internal-testing/tiny-random-bert",
            "Basic understanding of hf-internal-testing/tiny-random-bert",
        ),
    ],
)
def test_what_is_secret_in_a_text(text: str, shown: str) -> None:
    assert redacted_text(text) == shown


def test_what_is_secret_in_data() -> None:
    data = {
        "api_key": "a",
        "accessToken": "b",
        "nested": [{"Password": "c", "max_tokens": 5, "token_true": "yes"}],
        "api_key_env": "MY_KEY",
        "key": 7,
        "secret": "",
        "api_keys": ["d", "e"],
        "credentials": {"user": "f"},
        "password": 12345,
        "passwords": [1],
        "tokens_per_minute": 9,
        "token_budget": 8,
        "tokens": 7,
        "sort_key": "year",
        "pad_token": "x",
        "token": "<extra_id_5>",
        "use_auth": True,
        "auth": False,
        "key_of": [{"authTokens": ["h"]}],
    }
    assert redacted(data) == {
        "api_key": "***",
        "accessToken": "***",
        "nested": [{"Password": "***", "max_tokens": 5, "token_true": "yes"}],
        "api_key_env": "MY_KEY",
        "key": "***",
        "secret": "",
        "api_keys": "***",
        "credentials": "***",
        "password": "***",
        "passwords": "***",
        "tokens_per_minute": 9,
        "token_budget": 8,
        "tokens": 7,
        "sort_key": "year",
        "pad_token": "x",
        "token": "<extra_id_5>",
        "use_auth": True,
        "auth": False,
        "key_of": [{"authTokens": "***"}],
    }
    assert secret_values(data) == {"a", "b", "c", "d", "e", "f", "h", "7", "12345", "1"}


def test_no_option_of_ours_is_taken_for_a_secret() -> None:
    """But for two, whose values tell: a tokenizer's piece, and a number of tokens."""
    names = {
        name for backend in rerankers.TABLE for name in rerankers.options_for(backend).model_fields
    }
    assert {name for name in names if is_secret_name(name)} == {"token", "answer_tokens"}
    token = rerankers.options_for("rankt5").model_fields["token"].default
    assert redacted({"rankt5": {"token": token}}) == {"rankt5": {"token": token}}


class Spiller:
    """An outsider's class that puts what it was given into its error."""

    def __init__(
        self, api_key: str, settings: dict[str, Any], url: str, spills: bool = False
    ) -> None:
        self.values, self.spills = (api_key, settings, url), spills

    def score(self, pairs: Any) -> list[float]:
        if self.spills:
            raise RuntimeError(f"refused: {self.values} {os.environ['SPILL_TOKEN']}")
        return [float(len(document)) for _, document in pairs]


class Teller(BaseReranker):
    """An outsider's reranker whose own words hold what it was given."""

    Options = OwnOptions
    options: OwnOptions

    def fingerprint(self) -> dict[str, Any]:
        return {"backend": "teller", **self.options.arguments}

    def describe(self) -> Description:
        return Description(
            "teller",
            {**self.options.arguments, "place": f"http://h/{self.options.arguments['api_key']}/v1"},
        )

    def rerank(self, requests: Any) -> list[Any]:
        return [[0.0] * len(request.docs) for request in requests]


def run_rows(folder: Path, rows: Sequence[Any]) -> subprocess.CompletedProcess[str]:
    """Return how a run of these rerankers ended that writes to `out` in the folder."""
    suite_file = {
        "name": "kept",
        "datasets": ["files:data"],
        "rerankers": rows,
        "latency": None,
        "depth": 4,
    }
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump(suite_file))
    return command("run", str(path), "--out", str(folder / "out"), cwd=folder)


def test_the_arguments_of_an_outsiders_class_stay_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_common_things(tmp_path)
    values = ("argument-1", "argument-2", "argument-3", "argument-4", "87654321", "environment-5")
    options = {
        "api_key": values[0],
        "settings": {
            "passwords": [values[1]],
            "pin": 7,
            "auth": {"user": values[3]},
            "password": int(values[4]),
        },
        "url": f"https://h/v1?sig={values[2]}",
    }
    rows = [
        {"tests.end_to_end.test_redaction:Spiller": {"name": "kind", **options}},
        {"tests.end_to_end.test_redaction:Spiller": {"name": "spills", "spills": True, **options}},
        {"tests.end_to_end.test_redaction:Teller": {"name": "teller", **options}},
    ]
    monkeypatch.setenv("RERANK_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SPILL_TOKEN", values[5])
    done = run_rows(tmp_path, rows)
    assert "refused: ('***'" in done.stderr + done.stdout
    files = [
        path for name in ("out", "cache") for path in (tmp_path / name).rglob("*") if path.is_file()
    ]
    texts = {str(path): path.read_bytes().decode("utf-8", "replace") for path in files}
    texts |= {
        path: gzip.decompress(Path(path).read_bytes()).decode()
        for path in texts
        if path.endswith(".gz")
    }
    assert [path for path in texts if path.endswith("fingerprint.json")]
    assert [path for path in texts if "/errors/" in path]
    assert [path for path in texts if "teller" in path and path.endswith("ir_metadata.yaml")]
    texts["terminal"] = done.stdout + done.stderr
    for value in values:
        assert [name for name, text in texts.items() if value in text] == []


def test_another_secret_has_other_scores(tmp_path: Path) -> None:
    folders = {
        ScoreCache({"backend": "x", "api_key": key}, root=tmp_path).folder for key in ("one", "two")
    }
    assert len(folders) == 2


def test_places_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert for_others(f"{tmp_path}/data/x.tsv:3 and /home/somebody/y") == "data/x.tsv:3 and ~/y"
    assert [
        argument(text)
        for text in (
            f"{tmp_path}/s.yaml",
            "/elsewhere/deep/s.yaml",
            "--out=/elsewhere/out",
            "--quiet",
            "a/b",
        )
    ] == [
        "s.yaml",
        "s.yaml",
        "--out=out",
        "--quiet",
        "a/b",
    ]


def test_a_run_its_baseline_and_its_cache_hold_no_secret_and_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_common_things(tmp_path)
    monkeypatch.setenv("RERANK_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KEY_OF_OURS", SECRETS[3])
    with serve() as server:
        server.always = good_jina
        url = server.url.replace("http://", f"http://me:{SECRETS[0]}@")
        body = {"api_key": SECRETS[1], "user": {"access_token": SECRETS[2]}}
        ours: dict[str, Any] = {
            "name": "ours",
            "model": "m",
            "base_url": url,
            "body": body,
            "api_key_env": "KEY_OF_OURS",
        }
        chat = {**ours, "name": "chat", "retries": 0}
        rows = [
            {"rerank-server": ours},
            {"listwise-server": chat},
            {"tests.support.fakes:HashReranker": {"name": "odd", "crash": str(tmp_path)}},
        ]
        done = run_rows(tmp_path, rows)
        assert server.requests[0]["api_key"] == SECRETS[1], "what is sent is as written"
    saved = command("baseline", "save", "out/kept", "--in", "kept-baselines", cwd=tmp_path)
    assert saved.returncode == 0, saved.stderr
    files = [
        path
        for name in ("out", "kept-baselines", "cache")
        for path in (tmp_path / name).rglob("*")
        if path.is_file()
    ]
    assert [path for path in files if path.name == "run.json"]
    texts = {str(path): path.read_bytes().decode("utf-8", "replace") for path in files}
    texts |= {"terminal": done.stdout + done.stderr, "saving": saved.stdout + saved.stderr}
    for secret in SECRETS:
        assert [name for name, text in texts.items() if secret in text] == []
    kept = {name: text for name, text in texts.items() if name.startswith(str(tmp_path))}
    assert [name for name, text in kept.items() if f"{tmp_path}/" in text] == []
    asked = json.loads(
        next(text for name, text in kept.items() if "/out/" in name and name.endswith("run.json"))
    )
    assert "***@127.0.0.1" in json.dumps(asked["asked"])
    assert "suite.yaml" in asked["command"]


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "htp://me:hunter2-and-more@host"},
        {"base_url": "http://me:hunter2-and-more@host:port"},
        {"base_url": "http://host", "body": "hunter2-and-more:x http://a:hunter2-and-more@b"},
        {"base_url": "http://host", "api_key": "hunter2-and-more"},
    ],
)
def test_a_mistake_in_a_suite_is_told_without_its_secret(options: dict[str, Any]) -> None:
    entry = {"rerank-server": {"model": "m", **options}}
    with pytest.raises(SuiteError) as caught:
        suite.load({"name": "x", "datasets": ["embedded:everyday"], "rerankers": [entry]})
    text = str(caught.value)
    assert "\n" not in text
    assert "a:hunter2" not in text
    assert "me:hunter2" not in text


def test_a_report_names_no_folder_of_the_machine(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranked = tmp_path / "far" / "ours.run"
    ranked.parent.mkdir()
    ranked.write_text("q1 Q0 d03 1 9 x\nq2 Q0 d00 1 8 x\n")
    suite = tmp_path / "far" / "suite.yaml"
    suite.write_text(
        f"name: tiny\ndatasets: ['files:{collection}']\nlatency: null\n"
        f"rerankers: [word-overlap, {{run-file: {{path: '{ranked}'}}}}]\n"
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    run = bench.run(suite, out=elsewhere / "results")
    page = reports.html(run)
    assert str(tmp_path) not in page
    assert str(tmp_path) not in reports.markdown(run)
    assert "files:tiny" in page
    assert "ours.run" in page
    for path in run.folder.glob("records/*.json"):
        assert str(tmp_path) not in path.read_text()


def test_places_are_cut_to_their_last_part_and_addresses_stay() -> None:
    data = {"a": "files:/data/x/tiny", "b": ["/data/ours.run", "http://h/v1"], "c": "a / b: c"}
    assert without_places(data) == {
        "a": "files:tiny",
        "b": ["ours.run", "http://h/v1"],
        "c": "a / b: c",
    }
