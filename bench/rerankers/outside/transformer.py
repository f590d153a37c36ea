"""A PyTerrier transformer as a reranker: it gets frames with qid, query, docno, text, score and
rank, and its scores decide.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract.request import CandidateList
from bench.contract.stage import Description
from bench.core.errors import RerankerError
from bench.core.plugins import name_of
from bench.ranking.order import step_at
from bench.rerankers.base import BaseReranker

if TYPE_CHECKING:
    from bench.contract.request import Outcome, Scores


class TransformerReranker(BaseReranker):
    """Hands all queries of a chunk over in one frame. Documents that the transformer drops come
    after all others, as they were handed over. Never cached, since nobody can tell whether it is
    still the same.
    """

    pointwise = False
    transformer: ClassVar[Any]

    def fingerprint(self) -> dict[str, Any]:
        return {}

    def describe(self) -> Description:
        text = re.sub(r" at 0x[0-9a-fA-F]+", "", repr(self.transformer))
        identity = {"transformer": name_of(self.transformer), "repr": text[:200]}
        return Description("pyterrier", identity, {"device": self.device})

    def rerank(self, requests: Sequence[CandidateList]) -> list[Outcome]:
        """Raises RerankerError for results without the columns qid, docno and score, or of a
        document twice.
        """
        import pandas as pd

        frame = pd.concat([_frame(request) for request in requests], ignore_index=True)
        results = self.transformer.transform(frame)
        missing = {"qid", "docno", "score"} - set(getattr(results, "columns", ()))
        if missing:
            columns = ", ".join(sorted(missing))
            raise RerankerError(f"{name_of(self.transformer)}: its results lack {columns}")
        by_query: dict[str, dict[str, float]] = {request.query_id: {} for request in requests}
        for query_id, doc_id, score in zip(
            map(str, results["qid"]), map(str, results["docno"]), results["score"], strict=True
        ):
            scores = by_query.setdefault(query_id, {})
            if doc_id in scores:
                raise RerankerError(
                    f"{name_of(self.transformer)}: query '{query_id}' has '{doc_id}' twice"
                )
            scores[doc_id] = float(score)
        return [_scores(request, by_query[request.query_id]) for request in requests]


def is_transformer(candidate: Any) -> bool:
    """Return whether an object is a PyTerrier transformer: it has a method of this name."""
    return not isinstance(candidate, type) and callable(getattr(candidate, "transform", None))


def wrap_transformer(transformer: Any) -> type[TransformerReranker]:
    """Return a reranker class around a PyTerrier transformer."""
    return type("TransformerReranker", (TransformerReranker,), {"transformer": transformer})


def _frame(request: CandidateList) -> Any:
    import pandas as pd

    count = len(request.doc_ids)
    scores: Sequence[float] = request.scores
    if len(scores) != count:
        scores = range(count, 0, -1)
    return pd.DataFrame(
        {
            "qid": [request.query_id] * count,
            "query": [request.query] * count,
            "docno": list(request.doc_ids),
            "text": list(request.docs),
            "score": [float(score) for score in scores],
            "rank": list(range(count)),
        }
    )


def _scores(request: CandidateList, answers: dict[str, float]) -> Scores:
    """Return a score per document, those without an answer below all others, in their order."""
    import numpy as np

    lowest = min(answers.values(), default=0.0)
    step = step_at(lowest)
    scores = np.empty(len(request.doc_ids), dtype=np.float64)
    below = 0
    for place, doc_id in enumerate(request.doc_ids):
        if doc_id in answers:
            scores[place] = answers[doc_id]
        else:
            below += 1
            scores[place] = lowest - step * below
    return scores
