"""JSON that may be anything by now: of a cache, of a model's folder, or edited by a person."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def json_value(text: str | bytes) -> Any:
    """Return the value of a JSON text. Raises ValueError where it is none, or nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def read_json(path: Path) -> Any:
    """Return the value of a JSON file. Raises OSError where it cannot be read, ValueError where it
    holds no JSON text in UTF-8, or one that is nested too deeply.
    """
    return json_value(path.read_text(encoding="utf-8"))
