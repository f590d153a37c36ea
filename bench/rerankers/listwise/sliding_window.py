"""What every listwise reranker does: a language model orders a window of passages, and the window
slides from the back of the list to its front, carrying the best along.

Sources: Sun et al., "Is ChatGPT Good at Search?" (RankGPT, 2023, arXiv:2304.09542) for the sliding
window; Pradeep et al., "RankVicuna" (2023, arXiv:2309.15088) and "RankZephyr" (2023,
arXiv:2312.02724) for models trained to do it. A model is asked by an engine: `listwise` holds one
on this machine, `listwise-server` talks to one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import model_validator

from bench.contract.request import CandidateList, Usage
from bench.core.options import deciding, option
from bench.rerankers.listwise.prompts import messages, plain, shortened
from bench.rerankers.options import RerankerOptions

if TYPE_CHECKING:
    from bench.contract.request import Scores


TOKENS_PER_PLACE = 5
"""What "[12] > " takes in most tokenizers, for telling beforehand what a model will write."""


class ListwiseOptions(RerankerOptions):
    """What both engines take."""

    window: int = option(20, ge=2, le=200, decides="scores", description="passages in one prompt")
    stride: int = option(
        10,
        ge=1,
        decides="scores",
        description="passages by which the window moves to the front; less than window",
    )
    passes: int = option(
        1, ge=1, le=100, decides="scores", description="times that the window goes through the list"
    )
    prompt: Literal["rank-llm", "rank-gpt"] = option(
        "rank-llm",
        decides="scores",
        description="rank-llm for RankZephyr, RankVicuna and one message in general; rank-gpt "
        "for a message per passage",
    )
    system: str | None = option(
        None,
        decides="scores",
        description="system message; the prompt's own when absent, none when empty",
    )
    document_words: int = option(
        300,
        ge=1,
        decides="scores",
        description="words of a document that are shown; ten characters count as a word at least",
    )

    @model_validator(mode="after")
    def _moves(self) -> ListwiseOptions:
        if self.stride >= self.window:
            raise ValueError(
                f"stride {self.stride} must be less than window {self.window}, or the best would "
                "not be carried along"
            )
        return self

    def sorting(self) -> dict[str, object]:
        """Return the options that decide scores and are both engines'."""
        values = deciding(self, "scores")
        return {name: values[name] for name in ListwiseOptions.model_fields if name in values}


class Sorting:
    """One query's way through the window. While `window` is not empty, an engine has the passages
    at these positions ordered, and hands the order to `take`.
    """

    def __init__(self, request: CandidateList, options: ListwiseOptions) -> None:
        self.query_id = request.query_id
        self.query = plain(request.query)
        excerpts = [shortened(doc, options.document_words) for doc in request.docs]
        self.passages = [text for text, _ in excerpts]
        self.cut = {position for position, (_, was_cut) in enumerate(excerpts) if was_cut}
        """Positions of the documents of which less than the whole was shown."""
        self.query_was_cut = False
        self._order = list(range(len(excerpts)))
        self._spans = deque(spans(len(excerpts), options.window, options.stride) * options.passes)

    @property
    def window(self) -> list[int]:
        """Positions (in the request) of the passages to be ordered next, in their present order;
        empty at the end.
        """
        if not self._spans:
            return []
        start, end = self._spans[0]
        return self._order[start:end]

    def take(self, order: Sequence[int]) -> None:
        """Put the window into this order (positions within it, the best first) and move on."""
        start, end = self._spans.popleft()
        window = self._order[start:end]
        self._order[start:end] = [window[position] for position in order]

    def scores(self) -> Scores:
        """Return one strictly falling score per document, in the order of the request.

        Shape: (documents,).
        """
        return falling(self._order)


def expected_usage(
    requests: Sequence[CandidateList], options: ListwiseOptions, tokens: Callable[[str], int]
) -> Usage:
    """Return what sorting would use, estimated without a model: the windows as the first stage
    fills them, the prompt around each of them included.
    """
    calls = sent = written = 0
    for request in requests:
        sorting = Sorting(request, options)
        while window := sorting.window:
            prompt = messages(
                options.prompt,
                sorting.query,
                [sorting.passages[position] for position in window],
                options.system,
            )
            sent += sum(tokens(message["content"]) for message in prompt)
            calls += 1
            written += TOKENS_PER_PLACE * len(window)
            sorting.take(range(len(window)))
    return Usage(
        pairs=sum(len(request.docs) for request in requests),
        calls=calls,
        tokens=sent,
        tokens_out=written,
    )


def spans(count: int, window: int, stride: int) -> list[tuple[int, int]]:
    """Return the places of the window, step by step: (start, end) in a list of `count`, from its
    back to its front. One passage needs no step.
    """
    steps = []
    end = count
    while end > 1:
        start = max(0, end - window)
        steps.append((start, end))
        if start == 0:
            break
        end -= stride
    return steps


def falling(order: Sequence[int]) -> Scores:
    """Return an order (the best first) as scores: as many as there are for the first, down to 1 for
    the last.

    Shape: (len(order),).
    """
    import numpy as np

    scores = np.empty(len(order), dtype=np.float64)
    scores[np.asarray(order, dtype=np.intp)] = np.arange(len(order), 0, -1)
    return scores
