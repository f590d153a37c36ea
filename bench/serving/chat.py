"""OpenAI's chat completions, as far as a listwise reranker needs them: one greedy answer, whole.

{model, messages, max_tokens} -> {choices: [{message: {content}}], usage};
https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.contract.request import Usage
from bench.serving.limits import Limits
from bench.serving.problem import Problem
from bench.serving.shapes import Body, model_of

MOST_TOKENS = 256
"""Tokens of an answer to a request that sets no limit."""
_ONLY = {"stream": (None, False), "n": (None, 1), "temperature": (None, 0), "tools": (None, [])}
"""What would ask for another answer than the one greedy text, and the values of it that do not."""


@dataclass(frozen=True)
class Conversation:
    """Messages, and the tokens that the answer may have."""

    messages: list[dict[str, str]]
    max_tokens: int
    model: str | None

    @classmethod
    def read(cls, body: Body, limits: Limits) -> Conversation:
        """Raises Problem naming the field that cannot be used."""
        for name, allowed in _ONLY.items():
            if body.get(name) not in allowed:
                raise Problem(
                    400,
                    f"'{name}' can only be {json.dumps(allowed[1])} here: one greedy answer, whole",
                )
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages or not all(map(_is_message, messages)):
            raise Problem(
                400,
                "'messages' must be a list of at least one object with a 'role' and a 'content', "
                "both texts",
            )
        max_tokens = body.get("max_tokens") or body.get("max_completion_tokens") or MOST_TOKENS
        if not isinstance(max_tokens, int) or isinstance(max_tokens, bool) or max_tokens < 1:
            raise Problem(400, "'max_tokens' must be a whole number above 0")
        roles = [message["role"] for message in messages]
        contents = [message["content"] for message in messages]
        limits.check_texts([*roles, *contents], "messages")
        limits.check_pairs("", ["".join(contents)], None)
        turns = zip(roles, contents, strict=True)
        conversation = [{"role": role, "content": content} for role, content in turns]
        return cls(conversation, max_tokens, model_of(body))

    def write(self, text: str, usage: Usage, model: str) -> dict[str, object]:
        """Return the answer as the protocol writes it."""
        finish_reason = "stop"
        if usage.tokens_out >= self.max_tokens:
            finish_reason = "length"
        return {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": finish_reason,
                }
            ],
            "usage": {
                "prompt_tokens": usage.tokens,
                "completion_tokens": usage.tokens_out,
                "total_tokens": usage.tokens + usage.tokens_out,
            },
        }


def _is_message(message: Any) -> bool:
    return isinstance(message, Mapping) and all(
        isinstance(message.get(name), str) for name in ("role", "content")
    )
