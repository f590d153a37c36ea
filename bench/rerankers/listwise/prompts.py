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
    """Return a document as a prompt shows it, and whether it was cut: its first words, one space
    between them.
    """
    all_words = document.split()
    text = " ".join(all_words[:words])
    excerpt = text[: words * CHARACTERS_PER_WORD]
    return plain(excerpt), len(all_words) > words or len(excerpt) < len(text)


def plain(text: str) -> str:
    """Return a text without anything that looks like a passage's number: "[1]" becomes "(1)", as
    published.
    """
    return _IDENTIFIER.sub(r"(\1)", text)


def messages(name: str, query: str, passages: Sequence[str], system: str | None = None) -> Messages:
    """Return the chat that asks for an order of the passages; query and passages are `plain` ones.

    `system` takes the place of the prompt's own system message; an empty one leaves it out.
    """
    if system is None:
        system = SYSTEM[name]
    chat = PROMPTS[name](query, passages)
    if not system:
        return chat
    return [{"role": "system", "content": system}, *chat]


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
    chat: Messages = []
    for request, reply in turns:
        chat.append({"role": "user", "content": request})
        chat.append({"role": "assistant", "content": reply})
    return [*chat, {"role": "user", "content": last}]


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
