"""A plain Python function as a reranker, so that an idea can be measured before it becomes a
class.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract.request import CandidateList
from bench.contract.stage import Description
from bench.core.errors import RerankerError, SuiteError
from bench.core.plugins import name_of
from bench.ranking.order import as_scores
from bench.rerankers.base import BaseReranker
from bench.rerankers.outside.calls import check_call

if TYPE_CHECKING:
    from bench.contract.request import Outcome, Scores

ScoreFunction = Callable[[str, list[str]], Sequence[float]]
"""`(query, docs) -> scores`: one finite number per document, in the order of `docs`; higher is
better. An array serves as well.
"""

Outside = Any
"""Not a name but the thing: a function, a class or object that scores pairs, a transformer."""


class FunctionReranker(BaseReranker):
    """Calls a function once a query. Never cached, since nobody can tell whether the function is
    still the same.
    """

    pointwise = False
    function: ClassVar[staticmethod[[str, list[str]], Sequence[float]]]

    def fingerprint(self) -> dict[str, Any]:
        return {}

    def describe(self) -> Description:
        return Description("function", {"function": name_of(self.function)})

    def rerank(self, requests: Sequence[CandidateList]) -> list[Outcome]:
        """Raises RerankerError for answers that are not numbers; what the function raises itself
        passes through.
        """
        return [
            self._numbers(self.function(request.query, list(request.docs)), request)
            for request in requests
        ]

    def _numbers(self, answer: Any, request: CandidateList) -> Scores:
        try:
            return as_scores(answer)
        except ValueError as error:
            where = f"query '{request.query_id}': {name_of(self.function)}"
            raise RerankerError(f"{where} must return one number per document: {error}") from error


def wrap(function: ScoreFunction) -> type[FunctionReranker]:
    """Return a reranker class around a function. Raises SuiteError for what cannot be called with a
    query and documents, or answers with no numbers.
    """
    if inspect.isclass(function) or not callable(function):
        raise SuiteError(f"{name_of(function)} is not a function (query, docs) -> scores")
    check_call(function, ("query", "docs"), name_of(function))
    return type("FunctionReranker", (FunctionReranker,), {"function": staticmethod(function)})
