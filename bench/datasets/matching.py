"""Why ids of two files do not meet: the usual ways in which programs write one id as two."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping

FORMS: Mapping[str, Callable[[str], str]] = {
    "upper and lower case": str.casefold,
    "leading zeros": lambda text: text.lstrip("0") or "0",
    "a '.0' at the end": lambda text: text.removesuffix(".0"),
    "quotes": lambda text: text.strip("\"'"),
    "the Unicode normal form": lambda text: unicodedata.normalize("NFC", text),
    "the ending of a file name": lambda text: text.rpartition(".")[0] or text,
}
LOOKED_AT = 1000


def difference(unknown: Iterable[str], known: Iterable[str]) -> str:
    """Return how ids that are not among the known ones differ from them, such as "3 agree but for
    leading zeros ('007', '7')".

    Empty where they differ in no way that has a name. Looks at the first thousand unknown ids.
    """
    sample = [text for text, _ in zip(unknown, range(LOOKED_AT), strict=False)]
    wanted = list(known)
    for name, form in FORMS.items():
        theirs = {form(text): text for text in sample}
        pairs = {form(text): text for text in wanted if form(text) in theirs}
        if pairs:
            key, ours = next(iter(pairs.items()))
            return f"{len(pairs)} agree but for {name} ({theirs[key]!a} there, {ours!a} here)"
    return ""
