"""Pipelines as they are named in a line: `bm25:100 > minilm-l6:30 > bge`, and in a suite's YAML.

A stage is a row of the run, `rrf(a, b)`, `z-score(a 0.3, b 0.7)` or `min-max(...)` of rows,
`blend(a 0.7)`: a row with that share, and the scores of the stage before with the rest; `cut`,
`cut(within 0.3)` or `cut(min_score 2)`; or `skip(a margin_below 1.5)`: a row for the queries that
the rule asks. The first may be a fusion, too: `hybrid(bm25, dense)`, `z-score(bm25 0.3, dense)`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence

from bench.composition.chain import Chain
from bench.composition.hybrids import Fusion
from bench.composition.rules import RULES, SkipRule
from bench.composition.stored import Stored
from bench.composition.works import BEFORE, Cut, Fuse, Rank, Skip, Step, Work
from bench.core.errors import BenchError, nearest
from bench.core.options import validated
from bench.ranking.fusion import RANK_CONSTANT, Norm
from bench.rerankers.composed.options import CutOptions, SkipOptions

_KEEP = re.compile(r"(?P<stage>.*\S)\s*:\s*(?P<keep>[0-9]+)")
_CALL = re.compile(r"(?P<name>rrf|hybrid|blend|z-score|min-max|none|cut|skip)\s*\((?P<parts>.*)\)")
_EACH = re.compile(r"(?P<count>[0-9]+) each")
_RANK_CONSTANT = re.compile(r"k (?P<k>[0-9]*\.?[0-9]+)")
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
    first = _first(first, dataset)
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


def _first(name: str, dataset: Stored) -> str:
    """Return the name of a first stage: of the run, or of a hybrid of some of them, which is added
    to them.
    """
    if name in dataset.first_stages:
        return name
    known = dataset.first_stages
    call = _CALL.fullmatch(name)
    if call is None or call["name"] in ("blend", "cut", "skip"):
        raise BenchError(f"the run has no first stage '{name}': {nearest(name, known)}")
    words = [word.strip() for word in call["parts"].split(",")]
    width: int | None = None
    each = _EACH.fullmatch(words[-1])
    if each is not None:
        width = int(each["count"])
        words = words[:-1]
    names, fusion = _fusion(call["name"], words, known)
    return dataset.add_hybrid(names, fusion, width)


def _work(name: str, rows: Collection[str]) -> Work:
    if name in rows:
        return Rank(name)
    if name == "cut":
        return Cut()
    call = _CALL.fullmatch(name)
    if call is None or call["name"] == "hybrid":
        raise BenchError(f"the run has no row '{name}': {nearest(name, rows)}")
    words = [word.strip() for word in call["parts"].split(",")]
    if call["name"] == "cut":
        return _score_cut(words)
    if call["name"] == "skip":
        return _skip(call["parts"].strip(), rows)
    if call["name"] == "blend":
        return _blend(name, words, rows)
    names, fusion = _fusion(call["name"], words, rows)
    return Fuse(tuple(names), fusion.by, fusion.weights, fusion.norm, fusion.k)


def _fusion(kind: str, words: Sequence[str], known: Collection[str]) -> tuple[list[str], Fusion]:
    """Return what is fused and how, from the words of a call."""
    k: float = RANK_CONSTANT
    constant = _RANK_CONSTANT.fullmatch(words[-1])
    if constant is not None and words[-1] not in known:
        k = float(constant["k"])
        words = words[:-1]
    pairs = [_weighted(word, known) for word in words]
    weights = tuple(weight for _, weight in pairs)
    if len(pairs) < 2 or not any(weights):
        call = f"{kind}({', '.join(words)})"
        raise BenchError(f"{call}: a fusion takes two rows or more, a weight above 0 among them")
    own = None if set(weights) == {1.0} else weights
    names = [name for name, _ in pairs]
    if kind in NORMS:
        return names, Fusion("weighted", own, NORMS[kind])
    return names, Fusion("rrf", own, k=k)


def _blend(name: str, words: Sequence[str], rows: Collection[str]) -> Fuse:
    norm: Norm = "z-score"
    if words[-1] in NORMS and words[-1] not in rows:
        norm = NORMS[words[-1]]
        words = words[:-1]
    pairs = [_weighted(word, rows) for word in words]
    if len(pairs) != 1 or not 0 <= pairs[0][1] <= 1:
        raise BenchError(f"{name}: write blend(ROW SHARE), the share from 0 to 1")
    row, share = pairs[0]
    return Fuse((row, BEFORE), "weighted", (share, 1 - share), norm)


def _score_cut(words: Sequence[str]) -> Cut:
    """Return a cut by score from words such as `within 0.3`."""
    limits: dict[str, float] = {}
    for word in words:
        key, _, value = word.partition(" ")
        if key not in ("min_score", "within") or not _is_number(value):
            raise BenchError(f"cut({word}): write cut(within 0.3) or cut(min_score 2)")
        limits[key] = float(value)
    own = validated(CutOptions, limits, f"cut({', '.join(words)})")
    return Cut(own.min_score, own.within)


def _skip(text: str, rows: Collection[str]) -> Skip:
    """Return a stage for some of the queries from words such as `a margin_below 1.5`."""
    for by in RULES:
        row, separator, rest = text.partition(f" {by} ")
        value, *others = rest.split() or [""]
        if not separator or not _is_number(value):
            continue
        if row not in rows:
            raise BenchError(f"the run has no row '{row}': {nearest(row, rows)}")
        if len(others) % 2:
            raise BenchError(f"skip({text}): '{others[-1]}' has no number after it")
        settings = dict(zip(others[::2], map(_whole, others[1::2]), strict=True))
        fields = {"of": row, "when": {by: float(value)}, **settings}
        own = validated(SkipOptions, fields, f"skip({text})")
        return Skip(row, SkipRule(by, float(value), own.folds, own.seed))
    raise BenchError(f"skip({text}): write skip(ROW RULE NUMBER), a rule of {', '.join(RULES)}")


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise BenchError(f"'{text}' is no whole number")
    return int(text)


def _weighted(part: str, known: Collection[str]) -> tuple[str, float]:
    """Return what is fused and its weight, 1 where none is given."""
    weight = 1.0
    match = _WEIGHT.fullmatch(part)
    if match is not None and part not in known:
        part, weight = match["row"], float(match["weight"])
    if part not in known:
        raise BenchError(f"the run has no row '{part}': {nearest(part, known)}")
    return part, weight
