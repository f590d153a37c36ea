"""What can judge: a kind and a model, as `--with openai-chat:gpt-4.1-mini` names them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bench.contract.identity import Fields
from bench.contract.request import Usage
from bench.core.plugins import resolve
from bench.judging.prompt import Prompt

if TYPE_CHECKING:
    from bench.catalogue.price import Price

TABLE = {
    "openai-chat": "bench.judging.openai_chat:open_judge",
    "local-chat": "bench.judging.local_chat:open_judge",
}
"""Kind -> a function (model, Terms) -> Judge. A new kind is a file and a line here."""


@dataclass(frozen=True)
class Terms:
    """On what terms a judge is asked. `options` are those of its kind, as a suite would have
    them.
    """

    prompt: Prompt
    options: Fields
    max_tokens: int
    asks: int
    max_cost: float | None = None


@dataclass(frozen=True)
class Question:
    """A pair with its texts. `attempts` are the answers without a grade that it may still get."""

    key: str
    query_id: str
    doc_id: str
    query: str
    document: str
    attempts: int


@dataclass(frozen=True)
class Utterance:
    """What a judge wrote, whether there was room for no more, and what that took."""

    text: str
    is_cut: bool
    usage: Usage
    model: str = ""
    seconds: float = 0.0


Heard = Callable[[Question, Utterance], str | None]
"""Keeps an answer; returns why it has no grade, None where it has one."""
Ended = Callable[[], None]
"""Is called whenever a question has ended, answered or not."""


class Judge(Protocol):
    """A model that is asked one question at a time, or several at once.

    `names` are all that its model is called, `fields` what decides its answers, as far as that is
    known; `temperature` is None where none is sent. `base_url` is without secrets.
    """

    model: str
    base_url: str | None
    temperature: float | None
    price: Price | None
    is_free: bool
    concurrency: int
    requests_per_minute: float | None
    tokens_per_minute: float | None

    def check(self) -> None:
        """Raises Unavailable where it cannot be asked here."""

    def load(self) -> None:
        """Load what is asked. Raises BenchError."""

    def fields(self) -> Fields: ...

    def names(self) -> Sequence[str]: ...

    @property
    def served_model(self) -> str:
        """What its answers call the model; empty where they do not."""

    def ask(self, questions: Iterable[Question], heard: Heard, ended: Ended) -> dict[str, str]:
        """Ask every question; return key -> reason of those without a graded answer. Raises
        BenchError where no other would be answered either; what was heard stays.
        """

    def doubt(self) -> None:
        """Raises RerankerError where another model answers by now than the one that was loaded."""

    def close(self) -> None: ...


def open_judge(name: str, terms: Terms) -> Judge:
    """Return the judge of `KIND:MODEL`; nothing is loaded yet. Raises BenchError."""
    kind, _, model = name.partition(":")
    function: Callable[[str, Terms], Judge] = resolve(kind, TABLE, "kind of judge")
    return function(model, terms)


def bill(judge: Judge, usage: Usage) -> float | None:
    """Return US dollars for what a judge used; 0 where nothing is paid, None where no price is
    known.
    """
    if judge.is_free:
        return 0.0
    if judge.price is None:
        return None
    return judge.price.bill(vars(usage))
