"""Every row that runs a model in another way stands beside the same model in torch and float32:
speed and scores together.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench import reports
from bench.comparison.agreement import agreements
from bench.records.run import Run
from bench.reports import show
from bench.reports.sections.agreement import way
from tests.support.made_runs import made_run

MODEL = {
    "backend": "cross-encoder",
    "model": "m",
    "revision": "r",
    "max_length": 64,
    "dtype": "float32",
    "runtime": "torch",
}
EXACT = {"q0": [("a", 3.0), ("b", 2.0), ("c", 1.0)], "q1": [("a", 3.0), ("b", 2.0), ("c", 1.0)]}
SWAPPED = {"q0": [("a", 3.0), ("c", 2.25), ("b", 2.0)], "q1": [("a", 3.0), ("b", 2.0), ("c", 1.0)]}


def run_of(tmp_path: Path, rows: dict[str, dict[str, Any]], **more: Any) -> Run:
    """`rows`: name -> fields of the system key that differ from MODEL's; the last one's ranking is
    another.
    """
    names = list(rows)
    return made_run(
        tmp_path,
        {name: [0.8, 0.4] if name == names[-1] else [0.8, 0.6] for name in names},
        systems={name: MODEL | fields for name, fields in rows.items()},
        rankings={name: SWAPPED if name == names[-1] else EXACT for name in names},
        **more,
    )


def test_a_row_is_set_against_its_plain_one(tmp_path: Path) -> None:
    run = run_of(
        tmp_path,
        {"plain": {}, "fast": {"runtime": "openvino", "dtype": "bfloat16", "openvino": "2026.1"}},
    )
    ((group, (one,)),) = agreements(run).items()
    assert group == ("tiny", "bm25", 5)
    assert (one.new.trial.reranker, one.plain.trial.reranker) == ("fast", "plain")
    assert one.drift.max_difference == pytest.approx(1.25)
    assert one.drift.tau == pytest.approx((1 / 3 + 1) / 2)
    assert one.change == pytest.approx(-0.1)
    assert way(one.new, one.plain) == "openvino bf16"


@pytest.mark.parametrize(
    "rows",
    [
        {"only": {}, "other": {"model": "n", "dtype": "int8"}},
        {"half": {"dtype": "float16"}, "fast": {"runtime": "onnx"}},
        {"only": {}, "longer": {"max_length": 128, "runtime": "onnx"}},
        {"only": {}, "prompted": {"prompt": "x", "runtime": "onnx"}},
        {"api": {"backend": "cohere", "dtype": None}},
    ],
    ids=["another model", "no plain row", "another length", "another prompt", "no weights"],
)
def test_what_is_not_the_same_model_stands_alone(
    tmp_path: Path, rows: dict[str, dict[str, Any]]
) -> None:
    assert agreements(run_of(tmp_path, rows)) == {}


def test_the_plain_row_on_the_same_device_comes_first(tmp_path: Path) -> None:
    rows = {"on-cpu": {}, "on-gpu": {}, "half-on-gpu": {"dtype": "float16"}}
    run = run_of(tmp_path, rows, devices={"on-cpu": "cpu", "on-gpu": "cuda", "half-on-gpu": "cuda"})
    (found,) = agreements(run).values()
    assert [(one.new.trial.reranker, one.plain.trial.reranker) for one in found] == [
        ("half-on-gpu", "on-gpu")
    ]
    alone = run_of(
        tmp_path / "alone",
        {"on-cpu": {}, "half-on-gpu": {"dtype": "float16"}},
        devices={"half-on-gpu": "cuda"},
    )
    ((one,),) = agreements(alone).values()
    assert way(one.new, one.plain) == "fp16 cuda"


def test_another_batch_of_the_same_system_is_told_by_its_batch(tmp_path: Path) -> None:
    facts = {"plain": {"token_budget": 1024}, "batched": {"batch_size": 32}}
    record = {name: {"description": {"facts": told}} for name, told in facts.items()}
    ((one,),) = agreements(run_of(tmp_path, {"plain": {}, "batched": {}}, record=record)).values()
    assert way(one.new, one.plain) == "fp32 b32"


@pytest.mark.parametrize("width", [80, 140])
def test_reports_print_it_beside_the_speed(
    tmp_path: Path, width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    times = {"plain": [40.0, 40.0], "fast": [20.0, 20.0]}
    run = run_of(
        tmp_path, {"plain": {}, "fast": {"runtime": "onnx", "dtype": "int8"}}, milliseconds=times
    )
    console = Console(width=width, color_system=None)
    show(run, console)
    line = next(line for line in capsys.readouterr().out.splitlines() if "onnx" in line)
    assert line.split()[:1] == ["fast"]
    assert "2.00x" in line
    assert "-0.1000" in line
    assert len(line) <= width
    page = reports.markdown(run)
    assert "| fast (cpu) | onnx int8 | 2.00x | – | 1.2e+00 | 0.6667 | 1.000 | -0.1000 |" in page
    table = reports.html(run).partition("torch in float32")[2].partition("</tbody>")[0]
    cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", table, re.DOTALL)
    assert [re.sub("<[^>]*>", "", cell) for cell in cells[-8:]] == [
        "fast (cpu)",
        "onnx int8",
        "2.00x",
        "–",
        "1.2e+00",
        "0.6667",
        "1.000",
        "-0.1000",
    ]


def test_a_run_without_such_rows_says_nothing_of_it(tmp_path: Path) -> None:
    run = run_of(tmp_path, {"only": {}})
    assert all(
        "torch in float32" not in page for page in (reports.markdown(run), reports.html(run))
    )
