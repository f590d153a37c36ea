"""The results of gpu_check.py as a page: from the lines alone, with nothing but the standard
library.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Sequence
from pathlib import Path

CLAIM_MS = 100.0
"""What a GPU should take for 100 candidates, as the project's first text has it; and a CPU five to
ten times as long.
"""


def page(lines: Sequence[dict]) -> str:
    """Return the report as Markdown."""
    parts = [
        *_head(lines),
        *_pieces(lines),
        *_architectures(lines),
        *_claim(lines),
        *_attention(lines),
        *_packing(lines),
        *_forward(lines),
        *_search(lines),
        *_throughput(lines),
        *_agreement(lines),
    ]
    return "\n".join(parts) + "\n"


def tests(path: Path, *, may_skip_all: bool) -> dict[str, object]:
    """Return how the tests in a JUnit file ended, as fields of a line: where all were skipped,
    nothing was tested.
    """
    try:
        cases = list(ElementTree.parse(path).iter("testcase"))
    except (OSError, ElementTree.ParseError) as error:
        return {
            "status": "failed",
            "reason": f"pytest left no results ({error}); log.txt says more",
        }
    bad = [
        case for case in cases if case.find("failure") is not None or case.find("error") is not None
    ]
    skipped = [case for case in cases if case.find("skipped") is not None]
    counts = {
        "passed": len(cases) - len(bad) - len(skipped),
        "failed": len(bad),
        "skipped": len(skipped),
    }
    if not bad and not counts["passed"] and not may_skip_all:
        return {"status": "failed", "reason": "no test ran; log.txt says more", **counts}
    if not bad:
        return {"status": "done", **counts}
    names = ", ".join(f"{case.get('classname')}.{case.get('name')}" for case in bad[:5])
    return {"status": "failed", "reason": f"{len(bad)} failed: {names}", **counts}


def of_kind(lines: Iterable[dict], kind: str) -> list[dict]:
    return [line for line in lines if line.get("kind") == kind]


def _head(lines: Sequence[dict]) -> list[str]:
    machine = next(iter(of_kind(lines, "machine")), {})
    gpu, versions = machine.get("gpu", {}), machine.get("versions", {})
    title = machine.get("device", "?")
    parts = [f"# rerank-bench on {title}", ""]
    if machine.get("dry_run"):
        parts += [
            "**A dry run: tiny networks on the CPU. No number here says anything about a GPU.**",
            "",
        ]
    known = {
        "driver": gpu.get("driver"),
        "CUDA": gpu.get("cuda"),
        "power limit, W": gpu.get("gpu_power_limit_w"),
        **versions,
    }
    facts = [machine.get("started", "?"), f"commit {machine.get('commit') or 'unknown'}"]
    facts += [f"{name} {value}" for name, value in known.items() if value is not None]
    ended = bool(of_kind(lines, "end"))
    return [*parts, "; ".join(facts) + ("." if ended else ". **Not finished.**"), ""]


def _pieces(lines: Sequence[dict]) -> list[str]:
    odd = [line for line in of_kind(lines, "piece") if line["status"] != "done"]
    parts = [
        f"- {line['name']}: {line['status']}, {line.get('reason', 'no reason given')}"
        for line in odd
    ]
    for line in of_kind(lines, "piece"):
        if line["name"] == "tests" and "passed" in line:
            parts.append(
                f"- tests marked `gpu`: {line['passed']} passed, {line['failed']} failed, "
                f"{line['skipped']} skipped"
            )
    return ["## What was not done, and the tests", "", *parts, ""] if parts else []


def _limits(lines: Sequence[dict]) -> dict[str, float]:
    return {line["dtype"]: line["tflops"] for line in of_kind(lines, "matrix") if "tflops" in line}


def _architectures(lines: Sequence[dict]) -> list[str]:
    rows = of_kind(lines, "architecture")
    if not rows:
        return []
    limits = _limits(lines)
    measured = ", ".join(f"{name} {value:.1f}" for name, value in limits.items())
    parts = [
        "## Networks of the catalogue, random weights, 100 candidates of MS MARCO's lengths per "
        "query",
        "",
        f"Matrix units, measured as square products (TFLOP/s): {measured or 'not measured'}. "
        "`share` is of that, padding counted as work; "
        "p95 needs 59 queries; energy is the whole board's.",
        "",
        "| network | device | dtype | p50 ms | p95 ms | ms/pair | pairs/s | peak GB | J/1k pairs "
        "| share | queries |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        name = f"| {row['model']} | {row['device']} | {row['dtype']} |"
        if "left_out" in row:
            parts.append(f"{name} {row['left_out']} | | | | | | | |")
            continue
        on_gpu = row["device"] != "cpu"
        limit = limits.get(row["dtype"]) if on_gpu else None
        share = row["tflops"] / limit if limit and row.get("tflops") else None
        cells = [
            _number(row["p50_ms"], 1),
            _number(row["p95_ms"], 1),
            _number(row["ms_per_pair"], 3),
            _number(row.get("pairs_per_s"), 0),
            _number(row.get("gpu_allocated_gb"), 2),
            _number(row.get("joules_per_1000_pairs"), 1),
            "–" if share is None else f"{share:.0%}",
            str(row["queries"]),
        ]
        parts.append(f"{name} {' | '.join(cells)} |")
    return [*parts, ""]


def _claim(lines: Sequence[dict]) -> list[str]:
    machine = next(iter(of_kind(lines, "machine")), {})
    rows = [row for row in of_kind(lines, "architecture") if "p50_ms" in row]
    on_cpu = {row["model"]: row["p50_ms"] for row in rows if row["device"] == "cpu"}
    on_gpu = [row for row in rows if row["device"] == "cuda"]
    if machine.get("dry_run") or not on_gpu:
        return []
    parts = [
        f"## Against the claim: below {CLAIM_MS:g} ms for 100 candidates, a CPU 5 to 10 times as "
        "long",
        "",
    ]
    within = sorted({row["model"] for row in on_gpu if row["p50_ms"] < CLAIM_MS})
    beyond = sorted({row["model"] for row in on_gpu} - set(within))
    parts += [
        f"- within {CLAIM_MS:g} ms at p50 in some number format: {', '.join(within) or 'none'}"
    ]
    parts += [f"- not within: {', '.join(beyond) or 'none'}"]
    for row in on_gpu:
        if row["model"] in on_cpu and row["dtype"] == "float32":
            ratio = on_cpu[row["model"]] / row["p50_ms"]
            parts.append(
                f"- {row['model']} in float32: this machine's CPU takes {ratio:.1f} times as long"
            )
    return [*parts, ""]


def _attention(lines: Sequence[dict]) -> list[str]:
    rows = of_kind(lines, "attention")
    if not rows:
        return []
    parts = [
        "## A new shape of a batch: minilm-l6 in bfloat16, one query a call",
        "",
        "| attention | p50 ms, shapes met for the first time | p50 ms, the same shapes again |",
        "|---|---|---|",
    ]
    for row in rows:
        first, second = (_number(row[f"{name}_p50_ms"], 1) for name in ("first", "second"))
        parts.append(f"| {row['attention']} | {first} | {second} |")
    return [*parts, ""]


def _packing(lines: Sequence[dict]) -> list[str]:
    rows = of_kind(lines, "packing")
    if not rows:
        return []
    limit = _limits(lines).get("bfloat16")
    parts = [
        "## Padded batches and packed ones, bfloat16, turn by turn",
        "",
        "`share` is of the matrix units; the operations of a padded batch are counted for both.",
        "",
        "| network | batches | p50 ms | p95 ms | pairs/s | times the padded pairs/s | padding "
        "| share | difference of scores, of their spread |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        work = row["padded_tflops"]
        cells = [
            row["model"],
            row["way"],
            _number(row["p50_ms"], 1),
            _number(row["p95_ms"], 1),
            _number(row["pairs_per_s"], 0),
            _number(row["ratio"], 2),
            f"{row['padding']:.0%}",
            f"{work / limit:.0%}" if work and limit else "–",
            "–" if row["share_of_spread"] is None else f"{row['share_of_spread']:.1e}",
        ]
        parts.append(f"| {' | '.join(cells)} |")
    return [*parts, ""]


def _forward(lines: Sequence[dict]) -> list[str]:
    rows = of_kind(lines, "forward")
    if not rows:
        return []
    limit = _limits(lines).get("bfloat16")
    rates = [line["gigabytes_per_s"] for line in lines if "gigabytes_per_s" in line]
    parts = [
        "## A packed forward pass alone, bfloat16, inputs on the device",
        "",
        "`share` is of the matrix units, without padding. One graph is the card's own time: "
        "nothing waits for Python. At the card's limits of multiplying and copying: what the "
        "products take, and what each operation's own reading and writing takes.",
        "",
        "| network | pairs | way | ms | share | ms at the limits | difference of logits |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        name = f"| {row['model']} | {row['pairs']} | {row['way']} |"
        if "left_out" in row:
            parts.append(f"{name} {row['left_out']} | | | |")
            continue
        share, bounds = "–", "–"
        if limit and rates:
            products, moving = row["operations"] / limit / 1e9, row["moved_bytes"] / rates[0] / 1e6
            share = f"{products / row['ms']:.0%}"
            bounds = f"{products:.2f} + {moving:.2f}"
        cells = [
            _number(row["ms"], 2),
            share,
            bounds,
            f"{row['max_difference']:.1e}",
        ]
        parts.append(f"{name} {' | '.join(cells)} |")
    return [*parts, ""]


def _search(lines: Sequence[dict]) -> list[str]:
    rows = of_kind(lines, "search")
    if not rows:
        return []
    parts = [
        "## Exact search over random unit vectors, the best 100",
        "",
        "| place | vectors | dimensions | p50 ms, one query a call | queries/s, 64 a call |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [
            row["place"],
            f"{row['vectors']:,}",
            str(row["dimensions"]),
            _number(row["p50_ms"], 2),
            _number(row["queries_per_s"], 0),
        ]
        parts.append(f"| {' | '.join(cells)} |")
    return [*parts, ""]


def _throughput(lines: Sequence[dict]) -> list[str]:
    rows = of_kind(lines, "throughput")
    if not rows:
        return []
    parts = [
        "## Against CrossEncoder.predict, MiniLM-L6's size, 1,000 pairs a call, turn by turn",
        "",
    ]
    parts += [
        "| way | dtype | pairs/s | times as long as rerank-bench | max score difference |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [
            row["way"],
            row["dtype"],
            f"{row['pairs_per_s']:.0f}",
            f"{row['ratio']:.2f}",
            f"{row['max_difference']:.1e}",
        ]
        parts.append(f"| {' | '.join(cells)} |")
    return [*parts, ""]


def _agreement(lines: Sequence[dict]) -> list[str]:
    rows = of_kind(lines, "agreement")
    if not rows:
        return []
    parts = ["## Scores on the device against the CPU's in float32, tiny networks", ""]
    parts += [
        "| network | dtype | max difference | as a share of the spread | tau |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        share = "–" if row["share_of_spread"] is None else f"{row['share_of_spread']:.1e}"
        parts.append(
            f"| {row['model']} | {row['dtype']} | {row['max_difference']:.1e} | {share} | "
            f"{row['tau']:.3f} |"
        )
    return [*parts, ""]


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"
