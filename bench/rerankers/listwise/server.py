"""A listwise reranker behind any server that speaks OpenAI's chat completions: hosted models, vLLM,
Ollama, llama.cpp.

References: https://docs.vllm.ai (OpenAI-compatible server), https://docs.ollama.com (OpenAI
compatibility). A window waits for the one before it; the windows of other queries do not, up to
`concurrency` of them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from bench.contract.identity import Identity
from bench.contract.request import CandidateList, Usage
from bench.contract.stage import Description
from bench.core.errors import RerankerError
from bench.core.options import option
from bench.rerankers.listwise import permutation, prompts
from bench.rerankers.listwise.sliding_window import (
    ListwiseOptions,
    Sorting,
    expected_usage,
    falling,
)
from bench.rerankers.options import RerankerOptions
from bench.rerankers.remote.answer import Answer
from bench.rerankers.remote.chat import ChatReranker, tokens_in
from bench.rerankers.remote.http import HttpOptions
from bench.rerankers.remote.overlap import Part
from bench.rerankers.remote.refusal import HINTS, Kind, Refusal

if TYPE_CHECKING:
    from bench.contract.request import Scores

_CUT = (
    "the answer was cut off in the midst of the model's thinking; raise answer_tokens, or "
    "turn thinking off by body"
)
_TOKENS_PER_IDENTIFIER = 8
"""More than "[20] > " takes in any tokenizer, where every character may be a token of its own."""


class ListwiseServerOptions(ListwiseOptions, HttpOptions):
    answer_tokens: int | None = option(
        None,
        ge=1,
        decides="scores",
        description="tokens the model may write; enough for the identifiers when absent, a model "
        "that thinks needs more",
    )


class ListwiseServerReranker(ChatReranker):
    """Scores are the places in the final order. An answer that names no passage leaves its window
    as it was, and counts as repaired; one that is thinking alone is none, and its query has failed.
    """

    Options: ClassVar[type[RerankerOptions]] = ListwiseServerOptions
    service = "listwise-server"
    pointwise = False
    documents_per_call = sys.maxsize
    hints: ClassVar[dict[Kind, str]] = HINTS | dict.fromkeys(
        (Kind.TOO_LONG, Kind.TOO_LARGE), "lower document_words or window"
    )
    options: ListwiseServerOptions

    def _identity(self) -> Identity:
        identity = super()._identity()
        # its keys have always held an empty body too: answers that were paid for stay valid
        return replace(identity, settings={"body": {}, **identity.settings})

    def expected_usage(
        self, requests: Sequence[CandidateList], tokens: Callable[[str], int]
    ) -> Usage:
        return expected_usage(requests, self.options, tokens)

    def describe(self) -> Description:
        """Return what is asked of the server, with the name that it gave its model in its latest
        answer, which is often more exact than ours.
        """
        plain = super().describe()
        facts = {**plain.facts, "served_model": self.served_model or None}
        return Description(plain.backend, plain.identity, facts)

    def ask(self, query: str, documents: Sequence[str]) -> Answer:
        """Return an order of one window of passages, from one request."""
        options = self.options
        data = self._chat(
            prompts.messages(options.prompt, query, documents, options.system),
            options.answer_tokens or _TOKENS_PER_IDENTIFIER * len(documents),
        )
        if not isinstance(data, dict) or not isinstance(data.get("choices"), list):
            raise RerankerError(
                f"{self.service}: the answer has no list of choices; is base_url the address up "
                "to /chat/completions?"
            )
        if not data["choices"]:
            raise Refusal("an answer without a choice")
        choice = data["choices"][0]
        self._note_model(data.get("model"))
        text = choice["message"].get("content")
        if not isinstance(text, str):
            text = ""
        order, repaired = permutation.read(text, len(documents))
        is_cut = choice.get("finish_reason") == "length"
        tokens, tokens_out = tokens_in(data.get("usage"))
        answer = Answer(
            list(enumerate(falling(order).tolist())),
            tokens=tokens,
            tokens_out=tokens_out,
            repairs=int(repaired),
            cut=int(is_cut and repaired),
        )
        if permutation.is_unfinished(text) or (is_cut and not text.strip()):
            return replace(answer, unusable=_CUT)
        return answer

    def _answer(self, request: CandidateList, part: Part, scores: Scores) -> None:
        """Write the scores of a request's documents, window after window. Raises Refusal or
        RerankerError.
        """
        sorting = Sorting(request, self.options)
        while window := sorting.window:
            answer = self._insist(
                request.query_id, sorting.query, [sorting.passages[position] for position in window]
            )
            self.meter.count(answer.usage(), request.query_id)
            if answer.unusable:
                raise Refusal(answer.unusable, kind=Kind.REQUEST)
            places = answer.in_order(len(window), self.service)
            sorting.take(sorted(range(len(window)), key=lambda position: -places[position]))
        scores[:] = sorting.scores()
        self.meter.count(Usage(pairs=len(scores), truncated=len(sorting.cut)), request.query_id)
