"""What a service answered, and the scores in it: trusted only once they are complete, finite, and
each document has exactly one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.contract.request import Usage, is_amount
from bench.core.counting import counted
from bench.core.errors import RerankerError
from bench.core.json_file import json_value

MOST_IN_AN_ANSWER = 1e9
"""Tokens or units that no single request uses: a larger number is nonsense."""


@dataclass(frozen=True)
class Answer:
    """What a service said: (position of a document in the request, its score), in any order, and
    what it charged. A model that writes its answer also wrote `tokens_out`, and its answer may have
    needed `repairs`, some of them since it was `cut` off. `unusable` says why there is no order in
    it, though it was paid for. `text` is what it wrote, where that is kept.
    """

    scores: Sequence[tuple[Any, Any]]
    billed_units: float = 0.0
    tokens: int = 0
    tokens_out: int = 0
    repairs: int = 0
    cut: int = 0
    unusable: str | None = None
    text: str = ""

    def refuse_impossible(self, service: str) -> None:
        """Raise RerankerError for an amount that no answer costs: it would be part of every sum and
        bill after it.
        """
        amounts = {
            "billed_units": self.billed_units,
            "tokens": self.tokens,
            "tokens_out": self.tokens_out,
        }
        for name, number in amounts.items():
            if not is_amount(number):
                raise RerankerError(
                    f"{service}: the answer reports an impossible usage: {name} {number!r:.40}"
                )

    def usage(self) -> Usage:
        """Return what the answer cost, apart from its HTTP request."""
        usage = Usage(
            billed_units=self.billed_units, tokens=self.tokens, tokens_out=self.tokens_out
        )
        if self.unusable:
            return usage
        return usage + Usage(repairs=self.repairs, cut_answers=self.cut)

    def in_order(self, count: int, service: str) -> list[float]:
        """Return one finite score per document, in the order of the documents.

        Raises RerankerError for anything else: fewer scores than documents are no ranking of them.
        """
        scores: dict[int, float] = {}
        for position, score in self.scores:
            is_whole = isinstance(position, int) and not isinstance(position, bool)
            if not is_whole or not 0 <= position < count:
                raise RerankerError(
                    f"{service}: the answer scores document {position!r} of {count}"
                )
            if position in scores:
                raise RerankerError(f"{service}: the answer scores document {position} twice")
            number = finite(score)
            if number is None:
                raise RerankerError(
                    f"{service}: the answer gives document {position} the score {score!r}"
                )
            scores[position] = number
        if len(scores) != count:
            message = (
                f"{service}: the answer has {counted(len(scores), 'score')} for "
                f"{counted(count, 'document')}"
            )
            if scores:
                message += f"; if it returns no more, set documents_per_request: {len(scores)}"
            raise RerankerError(message)
        return [scores[position] for position in range(count)]


def finite(value: Any) -> float | None:
    """Return a number as a float; None where it is none, not finite, or beyond what a float
    holds.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    if not math.isfinite(number):
        return None
    return number


def amount(value: Any) -> float:
    """Return what a service says that it used, as a number. A header's digits count.

    What is no possible number is 0, as if the service had not said.
    """
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    number = finite(value)
    if number is None or not 0 <= number <= MOST_IN_AN_ANSWER:
        return 0.0
    return number


def count(value: Any) -> int:
    """Return what a service says that it used, as a whole number."""
    return int(amount(value))


def json_of(response: Any) -> Any:
    """Return what a response holds; None where it is not JSON."""
    try:
        return json_value(response.content)
    except ValueError:
        return None
