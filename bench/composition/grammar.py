"""Pipelines as they are named in a line: `bm25:100 > minilm-l6:30 > bge`, and in a suite's YAML.

A stage is a row of the run, `rrf(a, b)`, `z-score(a 0.3, b 0.7)` or `min-max(...)` of rows,
`blend(a 0.7)`: a row with that share, and the scores of the stage before with the rest; `cut`,
`cut(within 0.3)` or `cut(min_score 2)`; or `skip(a margin_below 1.5)`: a row for the queries that
the rule asks. The first may be a fusion, too: `hybrid(bm25, dense)`, `z-score(bm25 0.3, dense)`.
A weight may be `0.3 or 0.4`: one for the first half of the queries, one for the second, as tuned
weights are. A name that would be read as something else is in double quotes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from bench.composition.chain import Chain
from bench.composition.hybrids import Fusion
from bench.composition.names import EITHER, NUMBER, QUOTED
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
_RANK_CONSTANT = re.compile(rf"k (?P<k>{NUMBER})")
_WEIGHT = re.compile(rf"(?P<row>.*?\S)\s+(?P<first>{NUMBER})(?:{EITHER}(?P<second>{NUMBER}))?")
_MARK = re.compile("\x00(?P<number>[0-9]+)\x00")
"""What takes the place of a name in quotes, until it is looked up."""
NORMS: Mapping[str, Norm] = {"z-score": "z-score", "min-max": "min-max", "none": "none"}


def read(text: str, dataset: Stored, half: int = 0) -> Chain:
    """Return the pipeline of a line, as it is for a half of the queries, 0 or 1. Raises BenchError
    for a row that the run lacks, and for what cannot be read.
    """
    reader = _Reader(dataset, half)
    try:
        return reader.chain(QUOTED.sub(reader.marked, text))
    except BenchError as error:
        problem = _MARK.sub(reader.unmarked, str(error))
        raise BenchError(f"--pipeline '{text}': {problem}") from error


def searched(name: str, depth: int | None, dataset: Stored) -> Chain:
    """Return a first stage of the run, at a depth, or as deep as it is. Raises BenchError where it
    has not retrieved as many.
    """
    known = dataset.first_stages
    if name not in known:
        raise BenchError(f"the run has no first stage '{name}': {nearest(name, known)}")
    deepest = known[name].depth
    handed = depth or deepest
    if handed > deepest:
        raise BenchError(f"{name} retrieved {deepest} documents per query, not {handed}")
    return Chain(name, handed)


@dataclass
class _Reader:
    """Reads lines over the rows of a dataset, for a half of the queries. `names` are those in
    quotes, which marks stand for.
    """

    dataset: Stored
    half: int
    names: list[str] = field(default_factory=list)

    def marked(self, match: re.Match[str]) -> str:
        """Return a mark in the place of a name in quotes."""
        self.names.append(match[1].replace('""', '"'))
        return f"\x00{len(self.names) - 1}\x00"

    def unmarked(self, match: re.Match[str]) -> str:
        return self.names[int(match["number"])]

    def name(self, word: str) -> str:
        """Return the name that a word is."""
        return _MARK.sub(self.unmarked, word)

    def chain(self, text: str) -> Chain:
        parts = [part.strip() for part in text.split(">")]
        if not all(parts):
            raise BenchError("a stage is empty: write bm25:100 > minilm-l6:30 > bge")
        first, depth = _cut(parts[0])
        chain = searched(self.first(first), depth, self.dataset)
        handed = chain.depth
        steps: list[Step] = []
        for part in parts[1:]:
            name, keep = _cut(part)
            if keep is not None and keep > handed:
                raise BenchError(f"{name} gets {handed} documents and cannot hand on {keep}")
            handed = keep or handed
            steps.append(Step(self.work(name), keep))
        return Chain(chain.first, chain.depth, tuple(steps))

    def first(self, word: str) -> str:
        """Return the name of a first stage: of the run, or of a hybrid of some of them, which is
        added to them.
        """
        known = self.dataset.first_stages
        name = self.name(word)
        if name in known:
            return name
        call = _CALL.fullmatch(word)
        if call is None or call["name"] in ("blend", "cut", "skip"):
            # of which the run has none
            return name
        words = [each.strip() for each in call["parts"].split(",")]
        width: int | None = None
        each = _EACH.fullmatch(words[-1])
        if each is not None:
            width = int(each["count"])
            words = words[:-1]
        names, fusion = self.fusion(call["name"], words, known)
        return self.dataset.add_hybrid(names, fusion, width)

    def work(self, word: str) -> Work:
        name = self.name(word)
        if name in self.dataset.rows:
            return Rank(name)
        if word == "cut":
            return Cut()
        call = _CALL.fullmatch(word)
        if call is None or call["name"] == "hybrid":
            raise self.no_row(name)
        words = [each.strip() for each in call["parts"].split(",")]
        if call["name"] == "cut":
            return _score_cut(words)
        if call["name"] == "skip":
            return self.skip(call["parts"].strip())
        if call["name"] == "blend":
            return self.blend(word, words)
        names, fusion = self.fusion(call["name"], words, self.dataset.rows)
        return Fuse(tuple(names), fusion.by, fusion.weights, fusion.norm, fusion.k)

    def fusion(
        self, kind: str, words: Sequence[str], known: Collection[str]
    ) -> tuple[list[str], Fusion]:
        """Return what is fused and how, from the words of a call."""
        k: float = RANK_CONSTANT
        constant = _RANK_CONSTANT.fullmatch(words[-1])
        if constant is not None:
            k = float(constant["k"])
            words = words[:-1]
        pairs = [self.weighted(word, known) for word in words]
        weights = tuple(weight for _, weight in pairs)
        if len(pairs) < 2 or not any(weights):
            call = f"{kind}({', '.join(words)})"
            raise BenchError(
                f"{call}: a fusion takes two rows or more, a weight above 0 among them"
            )
        own = None if set(weights) == {1.0} else weights
        names = [name for name, _ in pairs]
        if kind in NORMS:
            return names, Fusion("weighted", own, NORMS[kind])
        return names, Fusion("rrf", own, k=k)

    def blend(self, call: str, words: Sequence[str]) -> Fuse:
        norm: Norm = "z-score"
        if words[-1] in NORMS:
            norm = NORMS[words[-1]]
            words = words[:-1]
        pairs = [self.weighted(word, self.dataset.rows) for word in words]
        if len(pairs) != 1 or not 0 <= pairs[0][1] <= 1:
            raise BenchError(f"{call}: write blend(ROW SHARE), the share from 0 to 1")
        row, share = pairs[0]
        return Fuse((row, BEFORE), "weighted", (share, 1 - share), norm)

    def skip(self, text: str) -> Skip:
        """Return a stage for some of the queries from words such as `a margin_below 1.5`."""
        for by in RULES:
            word, separator, rest = text.partition(f" {by} ")
            value, *others = rest.split() or [""]
            if not separator or not _is_number(value):
                continue
            row = self.name(word)
            if row not in self.dataset.rows:
                raise self.no_row(row)
            if len(others) % 2:
                raise BenchError(f"skip({text}): '{others[-1]}' has no number after it")
            settings = dict(zip(others[::2], map(_whole, others[1::2]), strict=True))
            fields = {"of": row, "when": {by: float(value)}, **settings}
            own = validated(SkipOptions, fields, f"skip({text})")
            return Skip(row, SkipRule(by, float(value), own.folds, own.seed))
        raise BenchError(f"skip({text}): write skip(ROW RULE NUMBER), a rule of {', '.join(RULES)}")

    def weighted(self, word: str, known: Collection[str]) -> tuple[str, float]:
        """Return what is fused and its weight, 1 where none is given."""
        weight = 1.0
        match = _WEIGHT.fullmatch(word)
        # a name that ends in a number is written in quotes
        if match is not None and (word not in known or self.name(match["row"]) in known):
            word = match["row"]
            both = (match["first"], match["second"] or match["first"])
            weight = float(both[self.half])
        name = self.name(word)
        if name not in known:
            raise self.no_row(name, known)
        return name, weight

    def no_row(self, name: str, known: Collection[str] | None = None) -> BenchError:
        known = self.dataset.rows if known is None else known
        return BenchError(f"the run has no row '{name}': {nearest(name, known)}")


def _cut(part: str) -> tuple[str, int | None]:
    """Return a stage and how many documents it hands on, None where it does not say."""
    match = _KEEP.fullmatch(part)
    if match is None:
        return part, None
    if not int(match["keep"]):
        raise BenchError(f"{part}: hand on 1 document or more")
    return match["stage"], int(match["keep"])


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


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise BenchError(f"'{text}' is no whole number")
    return int(text)
