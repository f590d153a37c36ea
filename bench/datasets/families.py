"""Families of collections: what shares documents or queries with a training set that models have
seen. A model trained on one member has an advantage on all of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

MEMBERS: Mapping[str, tuple[str, ...]] = {
    "msmarco": ("msmarco", "ms-marco", "trec-dl", "dl19", "dl20", "dl21", "dl22", "dl23"),
    "mmarco": ("mmarco",),
    "nq": ("nq", "natural-questions", "nq-open"),
    "hotpotqa": ("hotpotqa",),
    "fever": ("fever",),
    "fiqa": ("fiqa",),
    "quora": ("quora",),
    "squad": ("squad", "xquad"),
    "triviaqa": ("triviaqa", "trivia-qa"),
    "stackexchange": ("cqadupstack", "stackexchange"),
    "codesearchnet": ("codesearchnet",),
    "miracl": ("miracl",),
    "mrtydi": ("mr-tydi", "mrtydi"),
    "mldr": ("mldr",),
    "dureader": ("dureader",),
    "t2ranking": ("t2ranking",),
    "everyday": ("everyday",),
}
"""Family -> how the names of its collections begin, in ir_datasets and elsewhere."""
TRANSLATED = {"mmarco": "msmarco"}
"""Family -> the family that it is a translation of: who saw one saw the other's content."""


def families_of(dataset_id: str) -> tuple[str, ...]:
    """Return the families that a collection belongs to by its id, such as `irds:beir/nq/test`,
    `files:data/trec-dl19` or `embedded:everyday`; none where its name says nothing.
    """
    words = re.split(r"[/:#\\]", dataset_id.casefold())
    families: list[str] = []
    for family, beginnings in MEMBERS.items():
        if any(_begins_with_any(word, beginnings) for word in words):
            families.append(family)
    return with_translations(families)


def with_translations(families: list[str]) -> tuple[str, ...]:
    """Return families with those that they are translations of, or that are translations of
    them.
    """
    wider = dict.fromkeys(families)
    for translation, original in TRANSLATED.items():
        if translation in wider or original in wider:
            wider |= dict.fromkeys((translation, original))
    return tuple(wider)


def _begins_with_any(word: str, names: tuple[str, ...]) -> bool:
    """Return whether a word is one of these names, alone or with more after it: `nq-dev`, not
    `nqx`.
    """
    pattern = "|".join(map(re.escape, names))
    return re.fullmatch(rf"(?:{pattern})(?![a-z]).*", word) is not None
