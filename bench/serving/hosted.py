"""A loaded reranker that many connections share. All its work is done by one thread: no model of
ours is made for two at a time, and a thread pool of the numeric libraries for every connection
would slow all of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from bench import rerankers
from bench.contract.meter import Meter
from bench.contract.request import CandidateList, Failure, Usage
from bench.contract.stage import Description, Reranker
from bench.core.errors import BenchError, RerankerError
from bench.core.redaction import redacted
from bench.core.version import version
from bench.rerankers.composed.calibrated import calibrated
from bench.scoring.job import checked
from bench.serving.chat import Conversation
from bench.serving.limits import Limits
from bench.serving.problem import ClientGone, Problem
from bench.serving.search import Hit, Search
from bench.serving.shapes import Question

if TYPE_CHECKING:
    from bench.contract.request import Scores

Scale = Literal["raw", "sigmoid", "probability"]
Request = TypeVar("Request")
Response = TypeVar("Response")


def _sigmoid(scores: Scores) -> Scores:
    """Return scores between 0 and 1. Above 37 all are 1: raw ones keep their order."""
    from scipy.special import expit

    squashed: Scores = expit(scores)
    return squashed


_LARGE = 2**20
"""Characters of a request from which on the memory that it took is given back to the system."""


def _give_back_memory() -> None:
    """Have the C library return what it holds for later: glibc would keep it for good. No other
    library needs to be asked.
    """
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _probabilities(scores: Scores) -> Scores:
    """Return the scores of a calibrated stage; documents that a cut left out, which have scores
    below all others, are no more probable than 0.
    """
    import numpy as np

    return np.clip(scores, 0.0, 1.0)


_SCALES: Mapping[Scale, Callable[[Scores], Scores]] = {
    "raw": lambda scores: scores,
    "sigmoid": _sigmoid,
    "probability": _probabilities,
}


class Hosted:
    """Knows the reranker by `names`: a request may use any of them or none; an answer names the one
    that was used, or the first.

    `scale` says whether scores leave as the reranker's own, squashed by a sigmoid, or as the
    probabilities that a calibration makes of them; `limits` what a request may ask for.
    """

    def __init__(
        self,
        reranker: Reranker,
        names: Sequence[str],
        *,
        scale: Scale = "raw",
        limits: Limits | None = None,
    ) -> None:
        self.names = tuple(dict.fromkeys(names))
        self.scale: Scale = scale
        self.limits = limits or Limits()
        self._reranker = reranker
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._description: Description | None = None
        self._is_closed = False

    @property
    def talks(self) -> bool:
        """Whether the model behind it can also be chatted with."""
        return self._reranker.talks

    @property
    def searches(self) -> bool:
        """Whether it has a collection to search."""
        return False

    @property
    def why_not_documents(self) -> str:
        """Why it cannot score the documents of a request; empty where it can."""
        return ""

    def load(self) -> None:
        """Raises what the reranker's `load` raises."""
        self._worker.submit(self._reranker.load).result()
        self.describe()

    def close(self, *, wait: bool = True) -> None:
        """Let go of the model, once the work in hand is done; without `wait`, drop what waits for
        it and return at once.
        """
        if wait and not self._is_closed:
            self._worker.submit(self._reranker.close)
        self._is_closed = True
        self._worker.shutdown(wait=wait, cancel_futures=not wait)

    def describe(self) -> Description:
        if self._description is None:
            self._description = self._worker.submit(self._reranker.describe).result()
        return self._description

    def info(self) -> dict[str, object]:
        """Return what is served, in the words of Text Embeddings Inference, and the whole
        description.
        """
        description = self.describe()
        return {
            "model_id": self.names[0],
            "model_sha": description.identity.get("revision"),
            "model_dtype": description.identity.get("dtype"),
            "model_type": {"reranker": {}},
            "max_input_length": description.identity.get("max_length"),
            "max_client_batch_size": self.limits.documents,
            "scores": self.scale,
            "version": f"rerank-bench {version()}",
            "description": redacted(description.to_dict()),
        }

    def models(self) -> dict[str, object]:
        """Return every name, as OpenAI's `/v1/models` lists them; the same on every call."""
        models = [
            {"id": name, "object": "model", "created": 0, "owned_by": "rerank-bench"}
            for name in self.names
        ]
        return {"object": "list", "data": models}

    def scores(
        self, question: Question, is_gone: Callable[[], bool] = lambda: False
    ) -> tuple[Scores, int]:
        """Return one score per document, and the tokens read. `is_gone` says, when the model's turn
        comes, whether the client has gone: nothing is scored for it. Raises Problem and ClientGone.
        """
        self._check_name(question.model)
        self._check_scale(question.raw)
        max_length = self.describe().identity.get("max_length")
        self.limits.check_pairs(question.query, question.documents, max_length)
        scores, tokens = self._in_turn(is_gone, self._scores, question)
        return self._scaled(scores), tokens

    def _scaled(self, scores: Scores) -> Scores:
        return _SCALES[self.scale](scores)

    def search(
        self, search: Search, is_gone: Callable[[], bool] = lambda: False
    ) -> tuple[list[Hit], int]:
        """Return the documents of its collection for a query, and the tokens read. Raises Problem:
        a reranker has none.
        """
        raise Problem(404, f"{self.names[0]} has no collection; serve a suite to search one")

    def talk(
        self, conversation: Conversation, is_gone: Callable[[], bool] = lambda: False
    ) -> tuple[str, Usage]:
        """Return what a language model says next, and what it read and wrote; `is_gone` is as of
        `scores`. Raises Problem and ClientGone.
        """
        self._check_name(conversation.model)
        if not self.talks:
            raise Problem(404, f"{self.names[0]} writes no text; serve a listwise reranker")
        return self._in_turn(is_gone, self._talk, conversation)

    def _in_turn(
        self, is_gone: Callable[[], bool], work: Callable[[Request], Response], request: Request
    ) -> Response:
        """Return what the model's thread answers, once all earlier requests are answered."""

        def answer() -> Response:
            if is_gone():
                raise ClientGone
            return work(request)

        return self._worker.submit(answer).result()

    def _talk(self, conversation: Conversation) -> tuple[str, Usage]:
        try:
            return self._reranker.continue_chat(conversation.messages, conversation.max_tokens)
        except BenchError as error:
            raise Problem(400, str(error)) from error

    def _check_name(self, name: str | None) -> None:
        if name is not None and name not in self.names:
            raise Problem(404, f"no model '{name}' here; served: {', '.join(self.names)}")

    def _check_scale(self, raw: bool | None) -> None:
        if raw is None or raw == (self.scale == "raw"):
            return
        scale = "raw" if raw else "sigmoid"
        raise Problem(
            400,
            f"'raw_scores' cannot be {json.dumps(raw)} here: scores are {self.scale}; leave it "
            f"out, or start the server with --scores {scale}",
        )

    def _scores(self, question: Question) -> tuple[Scores, int]:
        size = len(question.query) + sum(map(len, question.documents))
        doc_ids = [str(number) for number in range(len(question.documents))]
        request = CandidateList("query", question.query, doc_ids, question.documents)
        meter = Meter()
        try:
            (outcome,) = checked(self._reranker, [request], meter)
        except BenchError as error:
            raise Problem(500, str(error)) from error
        finally:
            self._reranker.pause()
            if size > _LARGE:
                _give_back_memory()
        if isinstance(outcome, Failure):
            raise Problem(502, outcome.reason)
        return outcome, int(meter.usage.tokens)


def build(
    name: str,
    options: Mapping[str, object],
    device: str,
    *,
    aliases: Sequence[str] = (),
    scale: Scale = "raw",
    limits: Limits | None = None,
    calibration: Path | None = None,
) -> Hosted:
    """Return a reranker that can run here, not loaded yet. Raises BenchError for one that cannot
    score a request by itself, or give the scores that are asked for.
    """
    reranker = rerankers.build(name, dict(options), device, Path.cwd())
    names = _names(name, reranker)
    if reranker.is_given:
        raise RerankerError(
            f"{name}: scores by judgments or by query ids, which no /rerank request holds"
        )
    if calibration is not None:
        reranker = calibrated(reranker, name, calibration, device)
    refuse_without_map(name, reranker, scale)
    reranker.check()
    return Hosted(reranker, [*names, *aliases], scale=scale, limits=limits)


def refuse_without_map(name: str, reranker: Reranker, scale: Scale) -> None:
    """Raise RerankerError where probabilities are asked of scores that are none."""
    if scale == "probability" and not reranker.gives_probabilities:
        raise RerankerError(
            f"--scores probability: the scores of {name} are no probabilities: give a file of "
            "`rerank-bench calibrate` by --calibration, or serve a stage `calibrated: {of: ..., "
            "map: ...}`"
        )


def _names(name: str, reranker: Reranker) -> list[str]:
    """Return the reranker's names: its own, the catalogue's, the model's (of a folder its last part
    alone). A backend's name is one where there is no model.
    """
    names = [reranker.options.name, name, reranker.model_name]
    if name in rerankers.TABLE and reranker.model_name:
        names.remove(name)
    return [name for name in names if name]
