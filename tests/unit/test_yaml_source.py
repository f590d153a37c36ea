"""YAML as it circulates: dates, tags, recursion, bombs and other excess are one line with file and
line, in no time.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import yaml

from bench.core.errors import SuiteError
from bench.core.yaml_source import Source, plain_yaml, text_of
from bench.gate.file import load as load_gates
from bench.suite.suite import load as load_suite
from bench.suite.suite import parse

SUITE = "name: plain\ndatasets: [embedded:everyday]\nrerankers: [word-overlap]\n"


def bomb(levels: int, width: int) -> str:
    lines = [f"a0: &a0 [{', '.join('x' * width)}]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]" for i in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: !!timestamp x", 2, "timestamp' is not plain data"),
        ("a: !!int ''", 1, "'' is not of type int"),
        ("a: !!bool maybe", 1, "'maybe' is not of type bool"),
        ("a:\n  b: !!float x", 2, "'x' is not of type float"),
        ("a: !!binary x", 1, "binary' is not plain data"),
        ("a: !!set {b}", 1, "set' is not plain data"),
        ("a: !!python/object/apply:os.abort []", 1, "is not plain data"),
        ("x: &x [*x]", 1, "part of itself"),
        ("x: &x {<<: *x}", 1, "part of itself"),
        ("? [a]\n: b", 1, "cannot be a key"),
        ("? {a: b}\n: c", 1, "cannot be a key"),
        ("a: 99999999999999999999", 1, "more than 19 digits"),
        (f"a: {'9' * 5000}", 1, "not of type int"),
        (f"a: {'[' * 60}{']' * 60}", 1, "50 levels"),
        (bomb(9, 9), 5, "more than 50,000 values"),
    ],
)
def test_what_is_no_plain_data_names_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(SuiteError) as error:
        Source(text, "x.yaml")
    assert str(error.value).startswith(f"x.yaml:{line}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text", [f"x: {'[' * 2000}{']' * 2000}", "- " * 5000, "a: \0", "x" * (2**20 + 1)]
)
def test_what_has_no_line_names_its_file(text: str) -> None:
    with pytest.raises(SuiteError, match=r"^x\.yaml: [^\n]*$"):
        Source(text, "x.yaml")


def test_dates_and_small_bombs_are_data() -> None:
    assert Source("day: 2001-99-99\nalso: 2024-02-29", "x.yaml").data == {
        "day": "2001-99-99",
        "also": "2024-02-29",
    }
    assert Source(bomb(4, 5), "x.yaml").data["a3"][0][0][0] == list("xxxxx")
    assert Source("base: &base {a: 1}\nmore: {<<: *base, b: 2}", "x.yaml").data["more"] == {
        "a": 1,
        "b": 2,
    }


def test_gates_and_suites_are_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(f"{SUITE}depth: !!int ''\n")
    with pytest.raises(SuiteError, match=r"x\.yaml:4: "):
        load_suite(path)
    path.write_text("quality: 0.01\nspeed: &x [*x]\n")
    with pytest.raises(SuiteError, match=r"x\.yaml:2: "):
        load_gates(path)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("rerankers: [':x']", "not the name of a module"),
        ("rerankers: ['.rel:x']", "not the name of a module"),
        (
            "rerankers: [{rerank-server: {model: m, base_url: 'http://[::1', optional: true}}]",
            "not an address",
        ),
        (
            "rerankers: [{rerank-server: {model: m, base_url: 'http://u:secret@h:port'}}]",
            "not an address",
        ),
        ("rerankers: [{run-file: '~nobody-by-this-name/x.run'}]", "no home folder is known"),
        (f"rerankers: [{{run-file: {'a' * 5000}}}]", "cannot be a path"),
        ('rerankers: [{run-file: "a\\0b"}]', "cannot be a path"),
        ("measures: ['P(rel=0)@5']", "from 1 to"),
    ],
)
def test_what_cannot_be_meant_is_one_line(entry: str, message: str, tmp_path: Path) -> None:
    key = entry.partition(":")[0]
    lines = [line for line in SUITE.splitlines() if not line.startswith(key)]
    with pytest.raises(SuiteError, match=message) as error:
        parse("\n".join([*lines, entry]), "x.yaml", tmp_path)
    assert "secret" not in str(error.value), "an address may hold a password"
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("reference", ["~nobody-by-this-name/x", "a" * 5000])
def test_a_dataset_that_cannot_be_a_path_is_one_line(reference: str, tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"no home folder|cannot be a path"):
        parse(SUITE.replace("embedded:everyday", f"files:{reference}"), "x.yaml", tmp_path)


def test_a_mapping_that_yaml_cannot_write_is_said() -> None:
    with pytest.raises(SuiteError, match="what YAML cannot"):
        load_suite({"name": "x", "datasets": [object()]})
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(SuiteError, match="part of itself"):
        load_suite({"name": "x", "datasets": endless})


def test_a_file_without_an_end_is_refused_at_the_limit() -> None:
    endless = Path("/dev/zero")
    if not endless.exists():
        pytest.skip("this system has no /dev/zero")
    with pytest.raises(SuiteError, match="/dev/zero: more than 1,048,576 characters"):
        Source(text_of(endless), str(endless))


def test_what_a_mapping_holds_is_what_is_read() -> None:
    texts = [
        "a\x85b",
        "a\u2028b",
        "\x85",
        " a\n\nb ",
        "2020-01-02",
        "1e5",
        "yes",
        "ü 🙂",
        "\ufeffa",
    ]
    data = {"texts": texts, "numbers": [1e5, 1e-7, -0.0, 10**18, True, None], "ü": {"1": []}}
    for sort_keys in (True, False):
        assert Source(plain_yaml(data, sort_keys=sort_keys), "x.yaml").data == data


def test_a_date_is_the_text_that_a_file_has() -> None:
    """As a suite that the caller has read with a YAML library of its own."""
    assert Source(plain_yaml({"as_of": date(2020, 1, 2)}), "x.yaml").data == {"as_of": "2020-01-02"}


@pytest.mark.parametrize("value", [{1}, b"a", 1j])
def test_what_would_be_read_as_something_else_is_refused(value: object) -> None:
    with pytest.raises((yaml.YAMLError, SuiteError)):
        Source(plain_yaml({"since": value}), "x.yaml")
