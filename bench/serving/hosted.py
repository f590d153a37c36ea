"""A loaded reranker that many connections share. All its work is done by one thread: no model of ours is made for two at a time, and a
thread pool of the numeric libraries for every connection would slow all of them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import rerankers
from bench.errors import BenchError, RerankerError
from bench.rerankers.base import Description, Failure, Request, Reranker, Usage
from bench.scoring.engine import checked
from bench.serving.chat import Conversation
from bench.serving.problem import Problem
from bench.serving.shapes import MAX_DOCUMENTS, Question

if TYPE_CHECKING:
    from bench.rerankers.base import Scores


class Hosted:
    """Knows the reranker by `names`: the first one stands in answers, a request may use any of them or none."""

    def __init__(self, reranker: Reranker, names: Sequence[str]) -> None:
        self.names = tuple(dict.fromkeys(names))
        self._reranker = reranker
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._description: Description | None = None

    @property
    def talks(self) -> bool:
        """Whether the model behind it can also be chatted with."""
        return hasattr(self._reranker, "continue_chat")

    def load(self) -> None:
        """Raises what the reranker's `load` raises."""
        self._worker.submit(self._reranker.load).result()

    def close(self) -> None:
        """Let go of the model, once the work in hand is done."""
        self._worker.submit(self._reranker.close)
        self._worker.shutdown()

    def describe(self) -> Description:
        if self._description is None:
            self._description = self._worker.submit(self._reranker.describe).result()
        return self._description

    def info(self) -> dict[str, Any]:
        """What is served, in the words of Text Embeddings Inference, and the whole description."""
        from importlib.metadata import version

        found = self.describe()
        return {
            "model_id": self.names[0],
            "model_sha": found.identity.get("revision"),
            "model_dtype": found.identity.get("dtype"),
            "model_type": {"reranker": {}},
            "max_input_length": found.identity.get("max_length"),
            "max_client_batch_size": MAX_DOCUMENTS,
            "version": f"rerank-bench {version('rerank-bench')}",
            "description": found.to_dict(),
        }

    def scores(self, question: Question) -> tuple[Scores, int]:
        """One raw score per document, and the tokens read. Raises Problem."""
        self._check_name(question.model)
        return self._worker.submit(self._scores, question).result()

    def talk(self, conversation: Conversation) -> tuple[str, Usage]:
        """What a language model says next, and what it read and wrote. Raises Problem."""
        self._check_name(conversation.model)
        if not self.talks:
            raise Problem(404, f"{self.names[0]} writes no text; serve a listwise reranker")
        return self._worker.submit(self._talk, conversation).result()

    def _talk(self, conversation: Conversation) -> tuple[str, Usage]:
        try:
            text: str = self._reranker.continue_chat(conversation.messages, conversation.most)  # type: ignore[attr-defined]
        except BenchError as error:
            raise Problem(400, str(error)) from error
        return text, self._reranker.take_usage()

    def _check_name(self, asked: str | None) -> None:
        if asked is not None and asked not in self.names:
            raise Problem(404, f"no model '{asked}' here; served: {', '.join(self.names)}")

    def _scores(self, question: Question) -> tuple[Scores, int]:
        request = Request("query", question.query, [str(i) for i in range(len(question.documents))], question.documents)
        try:
            (outcome,) = checked(self._reranker, [request])
        except BenchError as error:
            raise Problem(500, str(error)) from error
        finally:
            tokens = int(self._reranker.take_usage().tokens)  # also after an error: they are not the next request's
        if isinstance(outcome, Failure):
            raise Problem(502, outcome.reason)
        return outcome, tokens


def build(name: str, options: dict[str, Any], device: str) -> Hosted:
    """A reranker that can be had here, not loaded yet. Raises BenchError for one that a request alone cannot be scored by."""
    reranker = rerankers.build(name, options, device, Path.cwd())
    if hasattr(reranker, "bind"):
        raise RerankerError(f"{name}: scores by judgments or by query ids, which no /rerank request holds")
    reranker.check()
    return Hosted(reranker, _names(name, reranker))


def _names(name: str, reranker: Any) -> list[str]:
    """The name given to it, the catalogue's, the model's: a folder's by its last part alone."""
    weights, options = getattr(reranker, "weights", None), reranker.options
    model = weights.label if weights else getattr(options, "model", None)
    found = [options.name, None if name in rerankers.TABLE and model else name, model]
    return [one for one in found if one]
