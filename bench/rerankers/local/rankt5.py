"""RankT5: a T5 fine-tuned with ranking losses, whose score is the logit of one token that its
vocabulary had to spare.

Method: Zhuang et al., "RankT5: Fine-Tuning T5 for Text Ranking with Ranking Losses" (2022,
arXiv:2210.10634), the encoder-decoder kind: the unnormalised logit of `<extra_id_10>` at the first
decoder step.
"""

from __future__ import annotations

from typing import ClassVar

from bench.core.options import at_default, option
from bench.rerankers.local.t5 import T5Options, T5Reranker
from bench.rerankers.options import ModelOptions


class RankT5Options(T5Options):
    prompt: str = option(
        "Query: {query} Document: {document}",
        decides="scores",
        description="the model's input, with {query} and {document}",
    )
    token: str = option(
        "<extra_id_10>",
        min_length=1,
        decides="scores",
        description="the token whose logit is the score",
    )


class RankT5Reranker(T5Reranker):
    """Scores a pair by the logit of one token at the first decoder step."""

    Options: ClassVar[type[ModelOptions]] = RankT5Options
    options: RankT5Options
    backend = "rankt5"

    def answers(self) -> dict[str, str]:
        return {"token": self.options.token}

    def also_loaded(self, ids: list[int]) -> dict[str, list[int]]:
        # redaction takes what is named `token` for a secret; records from before have no other name
        if "token" in at_default(self.options):
            return {}
        return {"answer_ids": ids}
