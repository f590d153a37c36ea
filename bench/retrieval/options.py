"""What a suite may say about a first stage. Imports nothing heavier than pydantic."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import field_validator

from bench.core.options import StageOptions, option
from bench.core.words import TOKEN, compiled


class FirstStageOptions(StageOptions):
    """What every first stage takes."""

    name: str | None = option(
        None, min_length=1, decides="nothing", description="what tables call this first stage"
    )
    depth: int | None = option(
        None,
        ge=1,
        decides="scores",
        place="elsewhere",
        description="candidates per query; the suite's depth when absent",
    )


class BM25Options(FirstStageOptions):
    """BM25, by default with the parameters of Anserini's baselines (k1 0.9, b 0.4)."""

    k1: float = option(
        0.9, ge=0, decides="scores", description="how slowly repeated terms saturate"
    )
    b: float = option(
        0.4, ge=0, le=1, decides="scores", description="how strongly long documents are held back"
    )
    method: Literal["lucene", "robertson", "atire"] = option(
        "lucene", decides="scores", description="variant of the formula, as bm25s names them"
    )
    stemmer: str | None = option(
        "english", decides="scores", description="Snowball stemmer of PyStemmer; null for none"
    )
    stopwords: str | tuple[str, ...] | None = option(
        "english",
        decides="scores",
        description="language of bm25s's list, or the words; null for none",
    )
    token_pattern: str = option(
        TOKEN,
        decides="scores",
        description="regular expression whose matches in the lower-cased, composed (NFC) text "
        "are the tokens; \\p{M} is any combining mark",
    )

    @field_validator("token_pattern")
    @classmethod
    def _is_a_pattern(cls, pattern: str) -> str:
        try:
            groups = compiled(pattern).groups
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        if groups > 1:
            raise ValueError("more than one group: use (?:...) for groups that are not the token")
        return pattern


class RunOptions(FirstStageOptions):
    """Candidates from a run file."""

    path: str = option(
        min_length=1,
        decides="scores",
        place="elsewhere",
        description="a run, relative to the suite's folder: TREC, MS MARCO or JSON, plain or "
        ".gz, .bz2, .xz, .zst",
    )


def run_name(file_name: str) -> str:
    """Return a run file's name without the endings that say how it is packed and written."""
    for ending in (".gz", ".bz2", ".xz", ".zst", ".run", ".txt", ".trec", ".tsv", ".json"):
        file_name = file_name.removesuffix(ending)
    return file_name
