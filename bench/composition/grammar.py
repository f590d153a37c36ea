"""Pipelines as they are named in a line: `bm25:100 > minilm-l6:30 > bge`, and in a suite's YAML.

A stage is a row of the run, `cut`, `rrf(a, b)`, `z-score(a 0.3, b 0.7)` or `min-max(...)` of rows,
or `blend(a 0.7)`: a row with that share, and the scores of the stage before with the rest.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from bench.composition.chain import Chain
from bench.composition.stored import Stored
from bench.composition.works import BEFORE, Cut, Fuse, Rank, Step, Work
from bench.core.errors import BenchError, nearest
from bench.ranking.fusion import Norm

_KEEP = re.compile(r"(?P<stage>.*\S)\s*:\s*(?P<keep>[0-9]+)")
_CALL = re.compile(r"(?P<name>rrf|blend|z-score|min-max|none)\s*\((?P<parts>.*)\)")
_WEIGHT = re.compile(r"(?P<row>.*\S)\s+(?P<weight>[0-9]*\.?[0-9]+)")
NORMS: Mapping[str, Norm] = {"z-score": "z-score", "min-max": "min-max", "none": "none"}


def read(text: str, dataset: Stored) -> Chain:
    """Return the pipeline of a line. Raises BenchError for a row that the run lacks, and for what
    cannot be read.
    """
    try:
        return _read(text, dataset)
    except BenchError as error:
        raise BenchError(f"--pipeline '{text}': {error}") from error


def _read(text: str, dataset: Stored) -> Chain:
    parts = [part.strip() for part in text.split(">")]
    if not all(parts):
        raise BenchError("a stage is empty: write bm25:100 > minilm-l6:30 > bge")
    first, depth = _cut(parts[0])
    if first not in dataset.first_stages:
        known = dataset.first_stages
        raise BenchError(f"the run has no first stage '{first}': {nearest(first, known)}")
    deepest = dataset.first_stages[first].depth
    handed = depth or deepest
    if handed > deepest:
        raise BenchError(f"{first} retrieved {deepest} documents per query, not {handed}")
    steps: list[Step] = []
    chain = Chain(first, handed)
    for part in parts[1:]:
        name, keep = _cut(part)
        if keep is not None and keep > handed:
            raise BenchError(f"{name} gets {handed} documents and cannot hand on {keep}")
        handed = keep or handed
        steps.append(Step(_work(name, dataset.rows), keep))
    return Chain(chain.first, chain.depth, tuple(steps))


def _cut(part: str) -> tuple[str, int | None]:
    """Return a stage and how many documents it hands on, None where it does not say."""
    match = _KEEP.fullmatch(part)
    if match is None:
        return part, None
    if not int(match["keep"]):
        raise BenchError(f"{part}: hand on 1 document or more")
    return match["stage"], int(match["keep"])


def _work(name: str, rows: Collection[str]) -> Work:
    if name in rows:
        return Rank(name)
    if name == "cut":
        return Cut()
    call = _CALL.fullmatch(name)
    if call is None:
        raise BenchError(f"the run has no row '{name}': {nearest(name, rows)}")
    names: list[str] = []
    weights: list[float] = []
    for part in call["parts"].split(","):
        row, weight = _weighted(part.strip(), rows)
        names.append(row)
        weights.append(weight)
    if call["name"] == "blend":
        if len(names) != 1 or not 0 <= weights[0] <= 1:
            raise BenchError(f"{name}: write blend(ROW SHARE), the share from 0 to 1")
        return Fuse((names[0], BEFORE), "weighted", (weights[0], 1 - weights[0]))
    if len(names) < 2 or not any(weights):
        raise BenchError(f"{name}: a fusion takes two rows or more, a weight above 0 among them")
    own: tuple[float, ...] | None = tuple(weights)
    if set(weights) == {1.0}:
        own = None
    if call["name"] == "rrf":
        return Fuse(tuple(names), "rrf", own)
    return Fuse(tuple(names), "weighted", own, NORMS[call["name"]])


def _weighted(part: str, rows: Collection[str]) -> tuple[str, float]:
    """Return a row of a fusion and its weight, 1 where none is given."""
    weight = 1.0
    match = _WEIGHT.fullmatch(part)
    if match is not None and part not in rows:
        part, weight = match["row"], float(match["weight"])
    if part not in rows:
        raise BenchError(f"the run has no row '{part}': {nearest(part, rows)}")
    return part, weight
