"""Secrets out of what is kept or shown: passwords in addresses, values whose key says that they are
secret, and places of this machine.

One place for run.json, records, baselines, the score cache, reports and messages. What an option is
called decides, and what an address looks like; a key that is read from the environment is never in
a suite at all.
"""

from __future__ import annotations

import os
import re
import sysconfig
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

HIDDEN = "***"
_USER_INFO = re.compile(r"(?<=://)[^/?#\s'\"<>@]*@(?:[^/?#\s'\"<>@]*@)*")
_SECRET_NAME = re.compile(
    r"(^|[_-])(api[_-]?keys?|keys?|secrets?|passw(or)?ds?|passphrases?|pwds?|tokens?|auth|authorizations?|bearer|credentials?|cookies?)$"
)
_PLAIN_NAME = re.compile(
    r"(^|[_-])((sort|primary|foreign|group|row|doc|document|query|cache)[_-]?keys?"
    r"|(pad|eos|bos|unk|sep|cls|mask|stop|special|start|end|true|false|yes|no)[_-]?tokens?)$"
)
"""Names of places in a table and of a tokenizer's pieces: no secrets, though they end like some."""
_PIECE = re.compile(r"<[^<>\s]{1,40}>|\[[^\[\]\s]{1,40}\]|\u2581\w{0,20}")
"""A tokenizer's piece, as `rankt5: {token: <extra_id_10>}` has one: not what opens a door."""
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SECRET_VALUE = re.compile(
    r"\b(Bearer|Basic)\s+(?=\S*[\d=])\S{8,}"
    r"|\b(sk-|pa-|xai-)(?=[\w-]*\d)[\w-]{20,}|\b(hf_|gsk_|jina_)[A-Za-z0-9]{20,}"
)
"""What the services that are known here make their keys look like."""
_IN_QUERY = re.compile(
    r"([?&][\w.-]*(?:key|token|secret|passw(?:or)?d|pwd|auth|credentials?|signature|sig)=)[^&\s'\"#]+",
    re.IGNORECASE,
)
_SHORTEST = 6
"""Characters from which a secret is looked for inside of texts: a shorter one is part of many
words.
"""
_TRACEBACK_FILE = re.compile(r'(?<=^  File ")[^"\n]+(?=", line )', re.MULTILINE)
_VALUES: set[str] = set()
"""The secrets of the suites that were read in this process."""


def redacted(data: Any) -> Any:
    """Return plain data without its secrets: mappings and lists are gone through, texts by
    `redacted_text`.
    """
    return _without(_known_secrets(), data)


def redacted_text(text: str) -> str:
    """Return a text without the passwords of its addresses, without what looks like a key, and
    without the secrets that are known: those of the suites read here, and of the environment.
    """
    return _text_without(_known_secrets(), text)


def keep_out(data: Any) -> None:
    """Have the secrets of plain data left out of every text from now on: code of an outsider may
    put them into its errors.
    """
    _VALUES.update(secret_values(data))


def _known_secrets() -> list[str]:
    """Return the secrets, the longest first, so that none is left in part."""
    environment = {
        value
        for name, value in os.environ.items()
        if is_secret_name(name) and not os.path.isabs(value)
    }
    secrets = [secret for secret in _VALUES | environment if len(secret) >= _SHORTEST]
    return sorted(secrets, key=len, reverse=True)


def for_others(text: str) -> str:
    """Return a text for a file that others may read: without secrets, paths as seen from the
    working folder or the home folder, and no other folder's place above them.
    """
    for folder, short in ((str(Path.cwd()), ""), (str(Path.home()), f"~{os.sep}")):
        if len(folder) > 1:
            text = text.replace(folder + os.sep, short)
    return redacted_text(text)


def traceback_for_others(text: str) -> str:
    """Return a traceback for a file that others may read: files of this project, of installed
    packages and of Python from their own folder on, others as seen from the working folder.
    """
    return for_others(_TRACEBACK_FILE.sub(lambda file: _file_for_others(file[0]), text))


def _file_for_others(path: str) -> str:
    if not os.path.isabs(path):
        return path
    package = Path(__file__).parents[1]
    if Path(path).is_relative_to(package):
        return str(Path(path).relative_to(package.parent))
    _, packages, inside = path.rpartition(f"site-packages{os.sep}")
    if packages:
        return f"{packages}{inside}"
    library = Path(sysconfig.get_path("stdlib"))
    if Path(path).is_relative_to(library):
        return str(Path(path).relative_to(library.parent))
    return argument(path)


def argument(text: str) -> str:
    """Return an argument of a command line for others: an absolute path elsewhere keeps its last
    part.
    """
    name = ""
    equals = ""
    value = text
    if text.startswith("-"):
        name, equals, value = text.partition("=")
    value = for_others(value)
    if os.path.isabs(value):
        value = os.path.basename(value.rstrip(os.sep)) or value
    return f"{name}{equals}{value}"


def without_places(data: Any) -> Any:
    """Return plain data for a file that others may read: an absolute path, also one behind the name
    of a kind as in `files:/data/x`, keeps what follows the working folder, else its last part.
    """
    if isinstance(data, Mapping):
        return {name: without_places(value) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [without_places(value) for value in data]
    if not isinstance(data, str) or "://" in data:
        return data
    kind, colon, path = data.partition(":")
    if colon and os.path.isabs(path) and not os.path.isabs(data):
        return f"{kind}:{argument(path)}"
    if os.path.isabs(data):
        return argument(data)
    return data


def secret_values(data: Any) -> set[str]:
    """Return the values of plain data whose name says that they are secret, as texts."""
    values: set[str] = set()
    if isinstance(data, Mapping):
        for name, value in data.items():
            if _hides(name, value):
                values |= _leaves(value)
            else:
                values |= secret_values(value)
    elif isinstance(data, list | tuple):
        for value in data:
            values |= secret_values(value)
    return values


@cache
def is_secret_name(name: str) -> bool:
    """Return whether a value of this name is not for others to read: api_key, passwords,
    access_token.
    """
    plain = _CAMEL.sub("_", name).lower()
    return bool(_SECRET_NAME.search(plain)) and not _PLAIN_NAME.search(plain)


def _leaves(value: Any) -> set[str]:
    """Return the texts and numbers of plain data, as texts."""
    if isinstance(value, Mapping):
        return set().union(*map(_leaves, value.values()))
    if isinstance(value, list | tuple | set):
        return set().union(*map(_leaves, value))
    if value is None or isinstance(value, bool) or value == "":
        return set()
    return {str(value)}


def _hides(name: Any, value: Any) -> bool:
    """Return whether a value is secret by its name.

    A switch, a number of tokens and a tokenizer's pieces are none.
    """
    if not isinstance(name, str) or not is_secret_name(name):
        return False
    if name.lower().endswith("tokens") and isinstance(value, int | float):
        return False
    return any(not _PIECE.fullmatch(leaf) for leaf in _leaves(value))


def _without(secrets: Sequence[str], data: Any) -> Any:
    if isinstance(data, str):
        return _text_without(secrets, data)
    if isinstance(data, Mapping):
        return {name: _under(name, value, secrets) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [_without(secrets, value) for value in data]
    return data


def _text_without(secrets: Sequence[str], text: str) -> str:
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    text = _USER_INFO.sub(f"{HIDDEN}@", text)
    text = _IN_QUERY.sub(rf"\g<1>{HIDDEN}", text)
    return _SECRET_VALUE.sub(HIDDEN, text)


def _under(name: Any, value: Any, secrets: Sequence[str]) -> Any:
    if _hides(name, value):
        return HIDDEN
    return _without(secrets, value)
