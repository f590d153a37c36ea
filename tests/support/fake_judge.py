"""A chat model that grades passages, on the scriptable server of `fake_cohere`."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import Any

from tests.support.fake_cohere import Answer, reply

_QUERY = re.compile(r"^Query: (.*)$", re.MULTILINE)
_PASSAGE = re.compile(r"^Passage: (.*?)\n\nSplit this", re.MULTILINE | re.DOTALL)


def pair_of(request: dict[str, Any]) -> tuple[str, str]:
    """Return the query and the passage that a request with UMBRELA's prompt asks about."""
    content = request["messages"][0]["content"]
    query, passage = _QUERY.search(content), _PASSAGE.search(content)
    assert query
    assert passage
    return query[1], passage[1]


def grade_of(query: str, passage: str) -> int:
    """Return a grade that depends on nothing but the texts."""
    return zlib.crc32(f"{query}\0{passage}".encode()) % 4


def good(request: dict[str, Any]) -> Answer:
    """Answer in the form that the prompt asks for: 10 tokens read, 5 written."""
    return writes(f"##final score: {grade_of(*pair_of(request))}")(request)


def writes(text: str, **choice: Any) -> Callable[[dict[str, Any]], Answer]:
    """Return a server whose model writes this text."""

    def answer(request: dict[str, Any]) -> Answer:
        message = {"role": "assistant", "content": text}
        body = {
            "model": f"{request['model']}-2026-01-01",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop", **choice}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5},
        }
        return reply(200, body)

    return answer
