"""Secrets out of what is kept or shown: passwords in addresses, values whose key says that they are secret, and places of this machine.

One place for run.json, records, baselines, the score cache, reports and messages. What an option is called decides, and what an address
looks like; a key that is read from the environment is never in a suite at all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HIDDEN = "***"
_USER_INFO = re.compile(r"(?<=://)[^/?#\s'\"<>@]*@(?:[^/?#\s'\"<>@]*@)*")
_SECRET_NAME = re.compile(
    r"(^|[_-])(api[_-]?key|key|secret|passw(or)?d|passphrase|pwd|token|auth|authorization|bearer|credentials?|cookie)$"
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SECRET_VALUE = re.compile(
    r"\b(Bearer|Basic)\s+(?=\S*[\d=])\S{8,}"
    r"|\b(sk-|pa-|xai-)(?=[\w-]*\d)[\w-]{20,}|\b(hf_|gsk_|jina_)[A-Za-z0-9]{20,}"
)
"""What the services that are known here make their keys look like."""
_IN_QUERY = re.compile(r"([?&][\w.-]*(?:key|token|secret|password|signature|sig)=)[^&\s'\"#]+", re.IGNORECASE)


def redacted(data: Any) -> Any:
    """Return plain data without its secrets: mappings and lists are gone through, texts by `redacted_text`."""
    if isinstance(data, str):
        return redacted_text(data)
    if isinstance(data, Mapping):
        return {name: _under(name, value) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [redacted(value) for value in data]
    return data


def redacted_text(text: str) -> str:
    """Return a text without the passwords of its addresses and without what looks like a key."""
    text = _USER_INFO.sub(f"{HIDDEN}@", text)
    text = _IN_QUERY.sub(rf"\g<1>{HIDDEN}", text)
    return _SECRET_VALUE.sub(HIDDEN, text)


def for_others(text: str) -> str:
    """Return a text for a file that others may read: without secrets, paths as seen from the working
    folder or the home folder, and no other folder's place above them."""
    for folder, shown in ((str(Path.cwd()), ""), (str(Path.home()), f"~{os.sep}")):
        if len(folder) > 1:
            text = text.replace(folder + os.sep, shown)
    return redacted_text(text)


def argument(text: str) -> str:
    """Return an argument of a command line for others: an absolute path elsewhere keeps its last part."""
    name, equals, value = text.partition("=") if text.startswith("-") else ("", "", text)
    value = for_others(value)
    if os.path.isabs(value):
        value = os.path.basename(value.rstrip(os.sep)) or value
    return f"{name}{equals}{value}"


def secret_values(data: Any) -> set[str]:
    """Return the texts of plain data whose name says that they are secret."""
    values: set[str] = set()
    if isinstance(data, Mapping):
        for name, value in data.items():
            if isinstance(name, str) and is_secret_name(name) and isinstance(value, str):
                values.add(value)
            else:
                values |= secret_values(value)
    elif isinstance(data, list | tuple):
        for value in data:
            values |= secret_values(value)
    return values


def is_secret_name(name: str) -> bool:
    """Whether a value of this name is not for others to read: api_key, password, access_token."""
    return bool(_SECRET_NAME.search(_CAMEL.sub("_", name).lower()))


def _under(name: Any, value: Any) -> Any:
    if isinstance(name, str) and is_secret_name(name) and isinstance(value, str) and value:
        return HIDDEN
    return redacted(value)
