"""Text from outside as a terminal may print it: what models, files and servers say must not move
the cursor or turn lines around.
"""

from __future__ import annotations

import re

_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
"""Control characters but for tab and line feed, and those that change the direction of writing."""


LONGEST_REASON = 400
"""Characters of a reason in a record, a table or a message. The whole text is in errors/."""


LONGEST_QUOTE = 100
"""Characters of an id, a cell or a line that a message cites."""


def shortened(text: str, longest: int = LONGEST_REASON) -> str:
    """Return a text of at most `longest` characters: a longer one is cut out of its middle."""
    if len(text) <= longest:
        return text
    mark = f" [... {len(text):,} characters ...] "
    half = (longest - len(mark)) // 2
    return f"{text[:half]}{mark}{text[-half:]}"


def quoted(text: str, longest: int = LONGEST_QUOTE) -> str:
    """Return a text in quotes, control characters escaped, a long one without its middle: how a
    message cites an id, a cell or a line of a file.
    """
    return repr(shortened(text, longest))


def one_line(text: str) -> str:
    """Return a printable text as one line: what a cell of a table holds."""
    return " ".join(printable(" ".join(text.split())).split())


def printable(text: str) -> str:
    """Return a text without control characters and without marks of direction."""
    return _UNPRINTABLE.sub("", text)
