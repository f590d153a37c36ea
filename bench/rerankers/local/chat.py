"""Language models that are talked to: their chat template, and texts that cannot break out of
it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from bench.core.errors import RerankerError

_PROBE = "probe passage"
_MARKUP = re.compile(r"[<\[].*[>\]]", re.DOTALL)


def require_template(tokenizer: Any, model: str) -> None:
    """Raise RerankerError for a tokenizer that cannot turn a conversation into a prompt."""
    if not getattr(tokenizer, "chat_template", None):
        raise RerankerError(
            f"{model}: a language model without a chat template; choose one that was tuned to "
            "follow instructions, "
            "or save its template as chat_template.jinja next to the weights"
        )
    if _PROBE not in render(tokenizer, [{"role": "user", "content": _PROBE}], model):
        raise RerankerError(
            f"{model}: its chat template leaves out what a user says; it was made for something "
            "else"
        )


def render(tokenizer: Any, messages: Sequence[dict[str, str]], model: str) -> str:
    """Return a conversation as the text that the model continues, without thinking aloud where its
    template knows of that.

    Raises RerankerError where the template refuses these messages.
    """
    from jinja2.exceptions import TemplateError

    try:
        text: str = tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
    except TemplateError as error:
        message = f"{model}: its chat template refuses the conversation ({error})"
        if messages[0]["role"] == "system":
            message += "; try system: ''"
        raise RerankerError(message) from error
    return text


def harmless(tokenizer: Any) -> Callable[[str], str]:
    """Return a function that takes a text's power to act as markup: a token of the tokenizer's own,
    such as <|im_end|>, gets a space inside and is read as the characters that it is written with.
    Any other text stays as it is.
    """
    added = (
        getattr(token, "content", str(token)) for token in tokenizer.added_tokens_decoder.values()
    )
    special = {*tokenizer.all_special_tokens, *(text for text in added if _MARKUP.fullmatch(text))}
    longest_first = sorted(
        (text for text in special if len(text) > 1 and not text[1].isspace()), key=len, reverse=True
    )
    if not longest_first:
        return lambda text: text
    pattern = re.compile("|".join(map(re.escape, longest_first)))

    def apart(text: str) -> str:
        while pattern.search(text):  # again, where taking one apart left another standing
            text = pattern.sub(lambda match: f"{match.group()[0]} {match.group()[1:]}", text)
        return text

    return apart
