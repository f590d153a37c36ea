"""A listwise reranker behind any server that speaks OpenAI's chat completions: hosted models, vLLM,
Ollama, llama.cpp.

POST {base_url}/chat/completions {model, messages, temperature, max_tokens} -> {choices: [{message:
{content}}], usage}. References: https://platform.openai.com/docs/api-reference/chat,
https://docs.vllm.ai (OpenAI-compatible server), https://docs.ollama.com (OpenAI compatibility). A
window waits for the one before it; the windows of other queries do not, up to `concurrency` of
them.
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
from bench.rerankers.remote.answer import Answer, count
from bench.rerankers.remote.http import HttpOptions, HttpReranker, json_of
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


class ListwiseServerReranker(HttpReranker):
    """Scores are the places in the final order. An answer that names no passage leaves its window
    as it was, and counts as repaired; one that is thinking alone is none, and its query has failed.
    """

    Options: ClassVar[type[RerankerOptions]] = ListwiseServerOptions
    service = "listwise-server"
    pointwise = False
    documents_per_call = sys.maxsize
    sends_blanks = True
    hints: ClassVar[dict[Kind, str]] = HINTS | dict.fromkeys(
        (Kind.TOO_LONG, Kind.TOO_LARGE), "lower document_words or window"
    )
    options: ListwiseServerOptions

    def __init__(self, options: ListwiseServerOptions, device: str = "cpu") -> None:
        super().__init__(options, device)
        self._answering_model: str | None = None

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
        facts = {**plain.facts, "served_model": self._answering_model}
        return Description(plain.backend, plain.identity, facts)

    def ask(self, query: str, documents: Sequence[str]) -> Answer:
        """Return an order of one window of passages, from one request."""
        data = json_of(self._post("/chat/completions", self._body(query, documents)))
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
        tokens, tokens_out = _tokens(data.get("usage"))
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

    def _note_model(self, model: object) -> None:
        """Keep the name that the server gives its model, where it gives one."""
        if isinstance(model, str) and self._public(model):
            self._answering_model = self._public(model)

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

    def _body(self, query: str, documents: Sequence[str]) -> dict[str, object]:
        options = self.options
        return {
            "model": options.model,
            "messages": prompts.messages(options.prompt, query, documents, options.system),
            "temperature": 0,
            "max_tokens": options.answer_tokens or _TOKENS_PER_IDENTIFIER * len(documents),
        }


def _tokens(usage: object) -> tuple[int, int]:
    """Return the tokens read and the tokens written that an answer reports."""
    if not isinstance(usage, dict):
        return 0, 0
    return count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
