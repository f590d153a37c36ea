"""The action and the recipes for CI: their commands and options exist, and their scripts do what
they say when a shell runs them.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
import pytest
import yaml

from bench.cli.main import cli
from bench.gate import load
from bench.records import baselines
from bench.runner import loop
from bench.suite.suite import load as load_suite
from tests.support.paths import ROOT

ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
RECIPES = {
    text.split("\n")[0].removeprefix("# "): yaml.safe_load(text)
    for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
}
GITHUB, GITLAB = RECIPES[".github/workflows/rerank.yaml"], RECIPES[".gitlab-ci.yml"]["rerank"]
FAKE = {"tests.support.fakes:HashReranker": {"name": "fake"}}


def step(name: str) -> dict[str, Any]:
    [named] = [step for step in ACTION["runs"]["steps"] if step.get("name") == name]
    return dict(named)


def commands(script: str) -> Iterator[list[str]]:
    """Every call of rerank-bench in a shell script, as words."""
    joined = re.sub(r"\\\n\s*", " ", script)
    for call in re.findall(r"rerank-bench (?:run|check|baseline)\b[^\n|;&]*", joined):
        yield shlex.split(call)[1:]


def test_every_input_is_described_and_used_and_none_is_undeclared() -> None:
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    used = set(re.findall(r"inputs\.([\w-]+)", text))
    assert used == set(ACTION["inputs"])
    assert all(
        entry.get("description") and ("default" in entry or entry.get("required"))
        for entry in ACTION["inputs"].values()
    )
    assert ACTION["runs"]["using"] == "composite"
    assert set(GITHUB["jobs"]["check"]["steps"][1]["with"]) <= set(ACTION["inputs"])
    assert GITHUB[True] == "pull_request"  # YAML 1.1 reads the key `on` as true


def test_no_input_is_pasted_into_a_script() -> None:
    """What a pull request may choose reaches a shell as a variable, never as its text."""
    for each in ACTION["runs"]["steps"]:
        assert "${{" not in each.get("run", "")
        assert "run" not in each or each["shell"] == "bash"


@pytest.mark.parametrize(
    "script",
    [
        *(each["run"] for each in ACTION["runs"]["steps"] if "run" in each),
        "\n".join([*GITLAB["script"], *GITLAB["after_script"]]),
    ],
)
def test_scripts_are_bash_and_call_what_exists(script: str) -> None:
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    for words in commands(script):
        command = cli.commands[words[0]]
        assert isinstance(command, click.Command)
        options = {
            name
            for parameter in command.params
            for name in (*parameter.opts, *parameter.secondary_opts)
        }
        assert [word for word in words if word.startswith("--") and word not in options] == []


def test_the_gates_file_of_the_page_is_valid(tmp_path: Path) -> None:
    text = next(
        block
        for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
        if block.startswith("# gates.yaml")
    )
    path = tmp_path / "gates.yaml"
    path.write_text(text)
    gates = load(path)
    assert gates.speed is not None
    assert set(type(gates).model_fields) == set(yaml.safe_load(text)), "the page shows every key"
    assert load(ROOT / "suites" / "gates" / "regression.yaml").missing == "fail"


def test_the_page_names_every_exit_code_and_format() -> None:
    from bench.cli.comparing import FORMS
    from bench.gate import EXIT_CODES

    for outcome, code in EXIT_CODES.items():
        assert f"| {code} | {outcome} |" in PAGE
    assert all(f"`{form}`" in PAGE for form in FORMS)


# The scripts, run by a shell, with the commands of a user's machine


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A PATH with `rerank-bench`, and with `gh`, `curl` and `pip` that only write down how they
    were called.
    """
    tools = tmp_path / "tools"
    tools.mkdir()
    write_tool(tools / "rerank-bench", f'exec "{sys.executable}" -m bench "$@"')
    write_tool(tools / "python", f'exec "{sys.executable}" "$@"')
    note = f'printf "%s\\n" "${{0##*/}} $*" >> "{tmp_path}/calls"'
    for name in ("curl", "pip"):
        write_tool(tools / name, note)
    write_tool(tools / "gh", f'{note}\ncat "{tmp_path}/gh-answers" 2>/dev/null || true')
    return tmp_path


@pytest.fixture
def repository(workspace: Path, collection: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a suite, a gates file and a baseline."""
    (workspace / "suites").mkdir()
    suite = {
        "name": "rerank",
        "datasets": [f"files:../{collection.name}"],
        "rerankers": [FAKE],
        "devices": "cpu",
    }
    (workspace / "suites" / "rerank.yaml").write_text(yaml.safe_dump(suite))
    (workspace / "gates.yaml").write_text("quality: {nDCG@10: 0.01}\nfailures: 0\n")
    monkeypatch.chdir(workspace)
    baselines.save(
        loop.run(load_suite("suites/rerank.yaml"), out=workspace / "earlier", time_it=False)
    )
    return workspace


def write_tool(path: Path, script: str) -> None:
    path.write_text(f"#!/usr/bin/env bash\n{script}\n")
    path.chmod(0o755)


def shell(script: str, workspace: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    (workspace / "temp").mkdir(exist_ok=True)
    known = {
        "PATH": f"{workspace / 'tools'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "RUNNER_TEMP": str(workspace / "temp"),
        "GITHUB_OUTPUT": str(workspace / "output"),
        "GITHUB_STEP_SUMMARY": str(workspace / "summary"),
        "GITHUB_REPOSITORY": "us/ours",
    }
    run = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(
        run,
        cwd=workspace,
        env={**os.environ, **known, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def check(repository: Path, **more: str) -> subprocess.CompletedProcess[str]:
    inputs = {
        "SUITE": "suites/rerank.yaml",
        "BASELINE": "rerank",
        "GATES": "gates.yaml",
        "ARGUMENTS": "",
        **more,
    }
    return shell(step("Run and check")["run"], repository, **inputs)


def test_the_action_passes_and_leaves_its_report(repository: Path) -> None:
    """By the path of a baseline: the name of the artifact, which holds no slash, follows from it.
    The job of GitLab takes a baseline by its name.
    """
    done = check(repository, BASELINE="./results/baselines/rerank")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "::notice title=rerank-bench::pass" in done.stdout
    out = repository / "temp" / "rerank-bench"
    assert {"annotations.txt", "junit.xml", "verdict.json", "verdict.md", "runs"} == {
        path.name for path in out.iterdir()
    }
    assert (repository / "output").read_text() == "label=.-results-baselines-rerank\noutcome=pass\n"
    assert (
        step("Keep the report")["with"]["name"] == "rerank-bench-${{ steps.check.outputs.label }}"
    )
    assert [gate["gate"] for gate in json.loads((out / "verdict.json").read_text())["gates"]] == [
        "quality nDCG@10",
        "drift",
        "failures",
    ]
    assert (repository / "summary").read_text().startswith("## ✅ pass: rerank")
    assert ElementTree.parse(out / "junit.xml").getroot().get("tests") == "3"


def test_the_action_fails_and_says_why(repository: Path) -> None:
    path = repository / "suites" / "rerank.yaml"
    suite = yaml.safe_load(path.read_text())
    suite["rerankers"] = [
        {"tests.support.fakes:HashReranker": {"name": "fake", "crash": "paper jam"}}
    ]
    path.write_text(yaml.safe_dump(suite))
    done = check(repository, GATES="")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "::error title=fake%3A run fail::" in done.stdout
    assert "paper jam" in done.stdout
    assert (repository / "output").read_text() == "label=rerank\noutcome=fail\n"


def test_other_peoples_actions_are_pinned_by_commit_with_their_version() -> None:
    lines = [
        line
        for text in ((ROOT / "action.yml").read_text(), PAGE)
        for line in text.splitlines()
        if "uses:" in line
    ]
    others = [line for line in lines if "OWNER/rerank-bench" not in line]
    assert len(others) == 3
    assert all(
        re.search(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line) for line in others
    )


def test_a_bad_suite_of_the_action_is_named(repository: Path) -> None:
    done = check(repository, SUITE="suites/rerank.yaml; touch forged")
    assert done.returncode == 2
    assert "there is no such suite file" in done.stderr
    assert not (repository / "forged").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"BASELINE": "rerunk"}, "did you mean 'rerank'"),
        ({"ARGUMENTS": "--no-such-option"}, "No such option"),
    ],
)
def test_bad_input_of_the_actions_check_is_named(
    repository: Path, more: dict[str, str], message: str
) -> None:
    tool = repository / "tools" / "rerank-bench"
    earlier = f'[ "$1" = check ] || {{ mkdir -p "$4"; cp -r "{repository}/earlier/." "$4"; exit; }}'
    write_tool(tool, f'{earlier}\nexec "{sys.executable}" -m bench "$@"')
    done = check(repository, **more)
    assert done.returncode == 2
    assert message in done.stderr


@pytest.mark.parametrize(
    ("old", "verb"),
    [("", "us/ours/issues/7/comments"), ("41\n42\n", "-X PATCH repos/us/ours/issues/comments/41")],
)
def test_the_action_posts_one_comment_and_keeps_it_up_to_date(
    workspace: Path, old: str, verb: str
) -> None:
    out = workspace / "temp" / "rerank-bench"
    out.mkdir(parents=True)
    (out / "verdict.md").write_text("## verdict\n" + "x" * 70_000)
    (workspace / "gh-answers").write_text(old)
    done = shell(
        step("Comment")["run"],
        workspace,
        MARKER="<!-- rerank-bench s b -->",
        NUMBER="7",
        GH_TOKEN="secret",
    )
    assert done.returncode == 0, done.stderr
    looked, posted = (workspace / "calls").read_text().splitlines()
    assert "issues/7/comments --paginate" in looked
    assert verb in posted
    assert f"body=@{out / 'comment.md'}" in posted
    body = (out / "comment.md").read_text()
    assert body.startswith("<!-- rerank-bench s b -->\n\n## verdict")
    assert len(body) < 65_536
    assert "secret" not in done.stdout + done.stderr + (workspace / "calls").read_text()


def test_the_action_comments_nothing_where_there_is_no_verdict(workspace: Path) -> None:
    done = shell(step("Comment")["run"], workspace, MARKER="m", NUMBER="7")
    assert (done.returncode, (workspace / "calls").exists()) == (0, False)


@pytest.mark.parametrize(
    ("version", "wanted"), [("", "/action[local,api]"), ("0.1.0", "rerank-bench[local,api]==0.1.0")]
)
def test_the_action_installs_what_is_asked(workspace: Path, version: str, wanted: str) -> None:
    write_tool(workspace / "tools" / "python", f'printf "%s\\n" "$*" >> "{workspace}/calls"')
    done = shell(
        step("Install rerank-bench")["run"],
        workspace,
        EXTRAS="local,api",
        VERSION=version,
        GITHUB_ACTION_PATH="/action",
    )
    assert done.returncode == 0
    assert (
        workspace / "calls"
    ).read_text() == f"-m pip install --quiet --constraint /action/constraints.txt {wanted}\n"


def test_the_gitlab_job_checks_and_comments(repository: Path) -> None:
    done = shell("\n".join(GITLAB["script"]), repository)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        ElementTree.parse(repository / GITLAB["artifacts"]["reports"]["junit"])
        .getroot()
        .get("failures")
        == "0"
    )
    assert (repository / "calls").read_text() == "pip install --quiet rerank-bench[local]\n"
    place = {"CI_API_V4_URL": "api", "CI_PROJECT_ID": "5", "CI_MERGE_REQUEST_IID": "9"}
    for token, called in (("", False), ("secret", True)):
        after = shell(
            "\n".join(GITLAB["after_script"]), repository, RERANK_BENCH_TOKEN=token, **place
        )
        assert after.returncode == 0, after.stderr
        assert (
            "api/projects/5/merge_requests/9/notes" in (repository / "calls").read_text()
        ) is called
    assert "body@verdict.md" in (repository / "calls").read_text()
    assert GITLAB["artifacts"]["when"] == "always"
