"""What one call of `judge` has before it: pairs with their keys, those that are answered already,
and those to ask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.contract.identity import Fields
from bench.core.digest import digest_of
from bench.datasets.base import Dataset
from bench.judging.answers import Answers
from bench.judging.judges import Question
from bench.judging.pool import Pair, Pool
from bench.judging.prompt import Prompt

AT_ONCE = 512
"""Pairs whose texts are in memory together."""
BLANK = "the document has no text"


@dataclass
class Assignment:
    """The pairs of one dataset. `keys` are of the pairs that can be asked, `reasons` says why
    others cannot, or got no grade; `cut` counts documents that were shortened. `characters` are of
    the messages that are to be sent.
    """

    pool: Pool
    dataset: Dataset
    keys: dict[Pair, str] = field(default_factory=dict)
    reasons: dict[Pair, str] = field(default_factory=dict)
    to_ask: dict[Pair, int] = field(default_factory=dict)
    cut: int = 0
    sample: list[str] = field(default_factory=list)
    characters: int = 0

    @property
    def answered(self) -> int:
        """The pairs that are not asked, since their answers are kept."""
        return len(self.keys) - len(self.to_ask)


@dataclass(frozen=True)
class Asking:
    """What decides an answer next to the texts, and how often a pair may be asked. `words` is the
    length that documents are cut to, None where they are not.
    """

    fields: Fields
    prompt: Prompt
    asks: int
    words: int | None = None
    asks_again: bool = False

    def key(self, query: str, document: str) -> str:
        """Return a digest of everything that decides an answer."""
        return digest_of(
            {
                "judge": dict(self.fields),
                "prompt": self.prompt.digest,
                "query": query,
                "document": document,
            }
        )

    def shown(self, text: str) -> tuple[str, bool]:
        """Return a document as the judge sees it, and whether it was cut."""
        if self.words is None:
            return text, False
        words = text.split()
        if len(words) <= self.words:
            return text, False
        return " ".join(words[: self.words]), True


def assigned(pool: Pool, dataset: Dataset, asking: Asking, answers: Answers) -> Assignment:
    """Return what is to be asked of a pool, given what was answered before. Two pairs of the same
    texts are asked once.
    """
    assignment = Assignment(pool, dataset)
    pending: set[str] = set()
    for pair, query, text in _texts(dataset, pool.pairs):
        document, is_cut = asking.shown(text)
        assignment.cut += is_cut
        if not document.strip():
            assignment.reasons[pair] = BLANK
            continue
        key = asking.key(query, document)
        assignment.keys[pair] = key
        replies = answers.of(key)
        if key in pending or answers.grade(key) is not None:
            continue
        attempts = asking.asks
        if not asking.asks_again:
            attempts -= len(replies)
        if attempts < 1:
            assignment.reasons[pair] = replies[-1].reason
            continue
        pending.add(key)
        assignment.to_ask[pair] = attempts
        (message,) = asking.prompt.messages(query, document)
        assignment.characters += len(message["content"])
        if len(assignment.sample) < AT_ONCE // 4:
            assignment.sample.append(message["content"])
    return assignment


def questions(assignment: Assignment, asking: Asking) -> Iterator[list[Question]]:
    """Yield the questions of an assignment, some hundred at a time, their texts read again."""
    batch: list[Question] = []
    for pair, query, text in _texts(assignment.dataset, list(assignment.to_ask)):
        document, _ = asking.shown(text)
        key = assignment.keys[pair]
        attempts = assignment.to_ask[pair]
        batch.append(Question(key, pair.query_id, pair.doc_id, query, document, attempts))
        if len(batch) == AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _texts(dataset: Dataset, pairs: Sequence[Pair]) -> Iterator[tuple[Pair, str, str]]:
    """Yield pairs with the text of the query and of the document."""
    queries: Mapping[str, str] = dataset.queries
    for start in range(0, len(pairs), AT_ONCE):
        batch = pairs[start : start + AT_ONCE]
        texts = dataset.texts([pair.doc_id for pair in batch])
        for pair, text in zip(batch, texts, strict=True):
            yield pair, queries[pair.query_id], text
