"""A judge on this machine: a causal language model with a chat template, as listwise rerankers load
it. It writes greedily, one answer at a time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from bench import rerankers
from bench.contract.identity import Fields
from bench.core.errors import RerankerError
from bench.judging.judges import Ended, Heard, Judge, Question, Terms, Utterance
from bench.machine.fingerprint import resolve_device

if TYPE_CHECKING:
    from bench.catalogue.price import Price

BACKEND = "listwise"


class LocalJudge(Judge):
    """A chat model that is loaded here."""

    base_url: str | None = None
    temperature: float | None = 0
    price: Price | None = None
    is_free = True
    concurrency = 1
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    served_model = ""

    def __init__(self, model: str, terms: Terms) -> None:
        """Raises BenchError for a model or options that cannot be used."""
        self.model = model
        self._prompt = terms.prompt
        self._max_tokens = terms.max_tokens
        options = {**terms.options, "model": model}
        self._reranker = rerankers.build(BACKEND, options, resolve_device("auto"))

    def check(self) -> None:
        self._reranker.check()

    def load(self) -> None:
        self._reranker.load()

    def fields(self) -> Fields:
        return {**self._reranker.fingerprint(), "max_tokens": self._max_tokens}

    def names(self) -> Sequence[str]:
        return [self.model]

    def ask(self, questions: Iterable[Question], heard: Heard, ended: Ended) -> dict[str, str]:
        reasons: dict[str, str] = {}
        for question in questions:
            reason = self._asked(question, heard)
            if reason is not None:
                reasons[question.key] = reason
            ended()
        return reasons

    def _asked(self, question: Question, heard: Heard) -> str | None:
        """Ask for one grade, once: a greedy model says the same again. Return why there is none."""
        messages = self._prompt.messages(question.query, question.document)
        began = time.monotonic()
        try:
            text, usage = self._reranker.continue_chat(messages, self._max_tokens)
        except RerankerError as error:
            return str(error)
        seconds = time.monotonic() - began
        is_cut = usage.tokens_out >= self._max_tokens
        return heard(question, Utterance(text, is_cut, usage, seconds=seconds))

    def doubt(self) -> None:
        """Nothing else can answer than what was loaded."""

    def close(self) -> None:
        self._reranker.close()


def open_judge(model: str, terms: Terms) -> Judge:
    """Return a judge on this machine. Raises BenchError for a model that cannot be used."""
    return LocalJudge(model, terms)
