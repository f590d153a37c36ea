"""monoT5: how much a T5 would rather write `true` than `false` after query and document.

Method: Nogueira, Jiang, Pradeep and Lin, "Document Ranking with a Pretrained Sequence-to-Sequence
Model" (2020, arXiv:2003.06713). They rank by the log-softmax over the two logits: a monotone
function of the difference taken here, which rounds to 0 where that is large. mT5 checkpoints
(Bonifacio et al., 2021, arXiv:2108.13897) answer with other tokens, mostly `yes` and `no`.
"""

from __future__ import annotations

from typing import ClassVar

from bench.core.options import option
from bench.rerankers.local.t5 import T5Options, T5Reranker
from bench.rerankers.options import ModelOptions

_WORD_START = "\u2581"  # how SentencePiece writes the space before a word


class MonoT5Options(T5Options):
    prompt: str = option(
        "Query: {query} Document: {document} Relevant:",
        decides="scores",
        description="the model's input, with {query} and {document}",
    )
    token_true: str = option(
        "true",
        min_length=1,
        decides="scores",
        description="the word the model answers with when the document is relevant",
    )
    token_false: str = option(
        "false",
        min_length=1,
        decides="scores",
        description="the word it answers with when the document is not relevant",
    )


class MonoT5Reranker(T5Reranker):
    """Scores a pair by the logit of `token_true` less that of `token_false`, at the first decoder
    step.
    """

    Options: ClassVar[type[ModelOptions]] = MonoT5Options
    options: MonoT5Options
    backend = "monot5"

    def answers(self) -> dict[str, str]:
        words = {"token_true": self.options.token_true, "token_false": self.options.token_false}
        return {
            option: _WORD_START + word.removeprefix(_WORD_START) for option, word in words.items()
        }
