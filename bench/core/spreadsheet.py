"""Cells that a spreadsheet may open: a text that it would run as a formula is a text in it."""

from __future__ import annotations

from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that Excel, LibreOffice and Google Sheets compute; see OWASP, "CSV
Injection".
"""


def guarded(value: Any) -> Any:
    """Return the value, and a text that reads as a formula with an apostrophe before it. A lone
    sign stays, and so does a number.
    """
    if (
        isinstance(value, str)
        and len(value) > 1
        and value.startswith(_FORMULA)
        and not _is_number(value)
    ):
        return f"'{value}"
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
