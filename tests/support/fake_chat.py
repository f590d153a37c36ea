"""OpenAI's chat completions on the scriptable server of `fake_cohere`: a model that orders passages
as a test wants.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from tests.support.fake_cohere import Answer, relevance, reply

_PASSAGE = re.compile(r"^\[(\d+)\] ?(.*)$", re.MULTILINE)
_QUERY = re.compile(r"^Search Query: (.*)\.$", re.MULTILINE)


def question(request: dict[str, Any]) -> tuple[str, list[str]]:
    """The query and the passages that a request asks about, read from its messages."""
    said = "\n".join(
        message["content"] for message in request["messages"] if message["role"] == "user"
    )
    passages = _PASSAGE.findall(said)
    assert [int(number) for number, _ in passages] == list(range(1, len(passages) + 1))
    found = _QUERY.search(said)
    assert found, "a prompt ends with its query"
    return found.group(1), [text for _, text in passages]


def order_of(query: str, passages: Sequence[str]) -> list[int]:
    """Positions by falling relevance."""
    return sorted(range(len(passages)), key=lambda position: -relevance(query, passages[position]))


def identifiers(order: Sequence[int]) -> str:
    return " > ".join(f"[{position + 1}]" for position in order)


def good_chat(request: dict[str, Any]) -> Answer:
    """A perfect answer, in the form that was asked for."""
    return says(identifiers(order_of(*question(request))))(request)


def says(text: Any, **more: Any) -> Callable[[dict[str, Any]], Answer]:
    """A server whose model writes this text, whatever it is asked. 7 tokens a message, 2 a passage
    written.
    """

    def answer(request: dict[str, Any]) -> Answer:
        written = str(text).count("[")
        return reply(
            200,
            {
                "id": "x",
                "object": "chat.completion",
                "model": f"{request['model']}-2026-01-01",
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": text},
                        "finish_reason": "stop",
                    }
                ],
                "usage": {
                    "prompt_tokens": 7 * len(request["messages"]),
                    "completion_tokens": 2 * written,
                },
                **more,
            },
        )

    return answer
