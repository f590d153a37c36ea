"""Servers that speak OpenAI's chat completions: the request, and what an answer holds next to its
text.

POST {base_url}/chat/completions {model, messages, temperature, max_tokens} -> {choices: [{message:
{content}}], model, usage}; https://platform.openai.com/docs/api-reference/chat.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.rerankers.remote.answer import count, json_of
from bench.rerankers.remote.http import HttpOptions, HttpReranker


class ChatReranker(HttpReranker):
    """A client of a chat model. `served_model` is the name that its latest answer gave the model,
    which is often more exact than ours; empty where none gave one.
    """

    sends_blanks = True

    def __init__(self, options: HttpOptions, device: str = "cpu") -> None:
        super().__init__(options, device)
        self.served_model = ""

    def _chat(self, messages: Sequence[dict[str, str]], max_tokens: int) -> Any:
        """Return what the server answers to one request; None where it is not JSON."""
        body = {
            "model": self.options.model,
            "messages": messages,
            "temperature": 0,
            "max_tokens": max_tokens,
        }
        return json_of(self._post("/chat/completions", body))

    def _note_model(self, model: object) -> None:
        """Keep the name that the server gives its model, where it gives one."""
        if isinstance(model, str):
            self.served_model = self._public(model) or self.served_model


def tokens_in(usage: object) -> tuple[int, int]:
    """Return the tokens read and the tokens written that an answer reports."""
    if not isinstance(usage, dict):
        return 0, 0
    return count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
