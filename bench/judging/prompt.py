"""What a chat model is asked of a query and a passage: a published prompt, or one of a file."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import BenchError, reading_problem

PUBLISHED = "umbrela"
SOURCE = "Upadhyay et al. 2024, arXiv:2406.06519; https://github.com/castorini/umbrela"
LICENCE = "Apache-2.0"
_FIELD = re.compile(r"\{(query|passage)\}")


@dataclass(frozen=True)
class Prompt:
    """A prompt with the places `{query}` and `{passage}`. `source` and `licence` are of a published
    one.
    """

    name: str
    text: str
    source: str = ""
    licence: str = ""

    @property
    def digest(self) -> str:
        """The SHA-256 of the text, in hex digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def messages(self, query: str, passage: str) -> list[dict[str, str]]:
        """Return the chat that asks for a grade. What looks like a place in a text stays as it
        is.
        """
        texts = {"query": query, "passage": passage}
        content = _FIELD.sub(lambda field: texts[field[1]], self.text)
        return [{"role": "user", "content": content}]


def published() -> Prompt:
    """Return UMBRELA's zero-shot prompt as it was published; `prompts/NOTICE.md` has its source."""
    path = Path(__file__).parent / "prompts" / "umbrela.txt"
    return Prompt(PUBLISHED, path.read_text(encoding="utf-8"), SOURCE, LICENCE)


def load(path: Path | None) -> Prompt:
    """Return the prompt of a file, or the published one. Raises BenchError where the file cannot be
    read, or lacks a place.
    """
    if path is None:
        return published()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"{path}: the prompt cannot be read: {reading_problem(error)}") from error
    for name in ("query", "passage"):
        if f"{{{name}}}" not in text:
            raise BenchError(
                f"{path}: the prompt has no {{{name}}}: write it where the {name} belongs"
            )
    return Prompt(path.name, text)
