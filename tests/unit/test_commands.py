"""The table of commands, which are imported when they are used."""

from __future__ import annotations

import ast
import subprocess
import sys

import click
import pytest

from bench.cli.commands import TABLE
from bench.cli.main import cli
from tests.support.paths import ROOT


@pytest.mark.parametrize("name", TABLE)
def test_a_command_is_named_and_said_as_in_the_table(name: str) -> None:
    command = cli.commands[name]
    assert command.name == name
    assert command.get_short_help_str(limit=1000) == TABLE[name].sentence


def test_every_command_of_a_module_is_in_the_table() -> None:
    functions = {entry.function for entry in TABLE.values()}
    for path in sorted((ROOT / "bench" / "cli").glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                text = "".join(ast.unparse(each) for each in node.decorator_list)
                if "click.command" in text or "click.group" in text:
                    function = f"bench.cli.{path.stem}:{node.name}"
                    assert function in functions or function == "bench.cli.main:cli"


def test_a_command_that_is_not_there_is_refused_with_its_neighbours() -> None:
    context = click.Context(cli)
    assert cli.get_command(context, "rn") is None
    assert "rn" not in cli.commands
    assert sorted(cli.commands) == cli.list_commands(context)


def test_help_imports_no_command() -> None:
    code = (
        "import sys; sys.argv = ['rerank-bench', '--help']\n"
        "from bench.cli.main import cli\n"
        "try: cli()\n"
        "finally: print(sorted({'numpy', 'yaml', 'pydantic', 'bench.suite', 'bench.records',"
        " 'bench.cli.running'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
