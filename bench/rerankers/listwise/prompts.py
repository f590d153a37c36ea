"""The prompts of listwise rerankers, as published, and what a passage looks like in them.

`rank-llm`  one user message. RankZephyr and RankVicuna as their authors run them
(max_passage_words, 300, included):
            https://github.com/castorini/rank_llm,
            src/rank_llm/rerank/prompt_templates/rank_zephyr_template.yaml
`rank-gpt`  a turn for every passage. https://github.com/sunnweiwei/RankGPT; the same repository,
rank_gpt_template.yaml
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

Messages = list[dict[str, str]]

CHARACTERS_PER_WORD = 10
"""Some scripts write no spaces: a budget in words would not bound their texts."""
_IDENTIFIER = re.compile(r"\[(\d+)\]")


def shortened(document: str, words: int) -> tuple[str, bool]:
    """A document as a prompt shows it, and whether it was cut: its first words, one space between
    them.
    """
    found = document.split()
    text = " ".join(found[:words])
    shown = text[: words * CHARACTERS_PER_WORD]
    return plain(shown), len(found) > words or len(shown) < len(text)


def plain(text: str) -> str:
    """A text without anything that looks like a passage's number: "[1]" becomes "(1)", as
    published.
    """
    return _IDENTIFIER.sub(r"(\1)", text)


def messages(name: str, query: str, passages: Sequence[str], system: str | None = None) -> Messages:
    """The chat that asks for an order of the passages; query and passages are `plain` ones."""
    said = SYSTEM[name] if system is None else system
    return [
        *([{"role": "system", "content": said}] if said else []),
        *PROMPTS[name](query, passages),
    ]


def _rank_llm(query: str, passages: Sequence[str]) -> Messages:
    count = len(passages)
    lines = [
        f"I will provide you with {count} passages, each indicated by a numerical identifier []. "
        f"Rank the passages based on their relevance to the search query: {query}.",
        *(f"[{number}] {passage}" for number, passage in enumerate(passages, 1)),
        f"Search Query: {query}.",
        f"Rank the {count} passages above based on their relevance to the search query. All the "
        "passages should be included and listed "
        "using identifiers, in descending order of relevance. The output format should be [] > "
        "[], e.g., [2] > [1], Answer concisely and "
        "directly and only respond with the ranking results, do not say any word or explain.",
    ]
    return [{"role": "user", "content": "\n".join(lines)}]


def _rank_gpt(query: str, passages: Sequence[str]) -> Messages:
    count = len(passages)
    turns = [
        (
            f"I will provide you with {count} passages, each indicated by number identifier [].\n"
            f"Rank the passages based on their relevance to query: {query}.",
            "Okay, please provide the passages.",
        ),
        *(
            (f"[{number}] {passage}", f"Received passage [{number}].")
            for number, passage in enumerate(passages, 1)
        ),
    ]
    last = (
        f"Search Query: {query}.\n"
        f"Rank the {count} passages above based on their relevance to the search query. The "
        "passages should be listed in descending order "
        "using identifiers. The most relevant passages should be listed first. The output format "
        "should be [] > [], e.g., [1] > [2]. Only "
        "response the ranking results, do not say any word or explain."
    )
    said = [
        {"role": role, "content": text}
        for turn in turns
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]
    return [*said, {"role": "user", "content": last}]


PROMPTS: Mapping[str, Callable[[str, Sequence[str]], Messages]] = {
    "rank-llm": _rank_llm,
    "rank-gpt": _rank_gpt,
}
SYSTEM: Mapping[str, str] = {
    "rank-llm": "You are RankLLM, an intelligent assistant that can rank passages based on their "
    "relevancy to the query",
    "rank-gpt": "You are RankGPT, an intelligent assistant that can rank passages based on their "
    "relevancy to the query.",
}
