"""What a suite may say about a first stage. Imports nothing heavier than pydantic."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import field_validator, model_validator

from bench.contract.part import Part, refuse_same_labels
from bench.core.options import Kind, StageOptions, Values, deciding, decision, option
from bench.core.words import TOKEN, TRIGRAM, compiled
from bench.ranking.options import TUNED, FusionOptions, refuse_unused
from bench.retrieval.languages import BY_NAME, Cutting, language_of


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
    """BM25, by default with the parameters of Anserini's baselines (k1 0.9, b 0.4).

    A language, and a way of cutting, set those options that are not given.
    """

    k1: float = option(
        0.9, ge=0, decides="scores", description="how slowly repeated terms saturate"
    )
    b: float = option(
        0.4, ge=0, le=1, decides="scores", description="how strongly long documents are held back"
    )
    method: Literal["lucene", "robertson", "atire"] = option(
        "lucene", decides="scores", description="variant of the formula, as bm25s names them"
    )
    language: str | None = option(
        None,
        decides="scores",
        added=True,
        description="of the texts, by its ISO 639-1 code or English name: sets stemmer, stopwords "
        "and cutting where they are not given",
    )
    stemmer: str | None = option(
        "english", decides="scores", description="Snowball stemmer of PyStemmer; null for none"
    )
    stopwords: str | tuple[str, ...] | None = option(
        "english",
        decides="scores",
        description="language of bm25s's list, or the words; null for none",
    )
    cutting: Cutting = option(
        "words",
        decides="scores",
        added=True,
        description="words, each Han character or kana on its own; or overlapping trigrams of "
        "characters, for scripts without spaces: they are neither stemmed nor stopped unless "
        "these are given. Sets token_pattern",
    )
    token_pattern: str = option(
        TOKEN,
        decides="scores",
        description="regular expression whose matches in the lower-cased, composed (NFC) text "
        "are the tokens; \\p{M} is any combining mark",
    )

    @model_validator(mode="before")
    @classmethod
    def _with_settings(cls, options: Any) -> Any:
        """Return the options with those that its language and its cutting set."""
        if not isinstance(options, Mapping):
            return options
        values = dict(options)
        # YAML reads the code of Norwegian as false
        if values.get("language") is False:
            values["language"] = "no"
        own_pattern = values.get("token_pattern", TRIGRAM) != TRIGRAM
        if values.get("cutting") == "trigrams" and own_pattern:
            raise ValueError("give cutting or token_pattern: both say how texts are cut")
        return {**settings_of(values), **values}

    def changed(self) -> Values:
        """Return the options that decide scores and have another value than their default and what
        the language or the way of cutting sets.
        """
        settings = settings_of({"language": self.language, "cutting": self.cutting})
        settings["cutting"] = settings_of({"language": self.language}).get("cutting", "words")
        return {
            name: value
            for name, value in deciding(self, "scores").items()
            if value != settings.get(name, decision(BM25Options, name).default)
        }

    @field_validator("language")
    @classmethod
    def _is_a_language(cls, name: str | None) -> str | None:
        if name is None:
            return None
        return language_of(name).code

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


def settings_of(options: Mapping[str, Any]) -> Values:
    """Return the options of BM25 that the language and the way of cutting among these set; none
    for a language that is not known.
    """
    settings: Values = {}
    language = BY_NAME.get(str(options.get("language")).lower())
    if language is not None:
        settings = {"stemmer": language.stemmer, "stopwords": language.stopwords}
        if "token_pattern" not in options:
            settings["cutting"] = language.cutting
    if options.get("cutting", settings.get("cutting")) == "trigrams":
        settings |= {"stemmer": None, "stopwords": None, "token_pattern": TRIGRAM}
    return settings


class HybridOptions(FusionOptions, FirstStageOptions):
    """Several first stages as one."""

    holds: ClassVar[Mapping[str, Kind]] = {"of": "first_stages", "train": "datasets"}

    of: tuple[Part, ...] = option(
        min_length=2,
        max_length=20,
        decides="scores",
        place="elsewhere",
        description="first stages, each an entry as elsewhere; a hybrid may be one of them",
    )
    retrieve: int | None = option(
        None,
        ge=1,
        decides="scores",
        description="candidates of each part; as many as the whole gives when absent or fewer",
    )
    train: Part | None = option(
        None,
        decides="scores",
        place="elsewhere",
        description="tuned: a dataset whose judged queries the weights are chosen on, in place of "
        "folds",
    )

    @model_validator(mode="after")
    def _fits_its_parts(self) -> HybridOptions:
        refuse_same_labels(self.of)
        for part in self.of:
            if isinstance(part.options, Mapping) and part.options.get("depth") is not None:
                raise ValueError(
                    f"{part.label}: depth is of the whole; 'retrieve' next to 'of' is how many "
                    "candidates each part gives"
                )
        self.refuse_other_count(len(self.of))
        refuse_unused(self.model_fields_set, {"train": self.is_tuned}, f"weights: {TUNED}")
        if self.train is not None and {"folds", "seed"} & self.model_fields_set:
            raise ValueError("folds or train, not both: weights are chosen on one or the other")
        return self


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
    for ending in (".gz", ".bz2", ".xz", ".zst", ".run", ".txt", ".trec", ".tsv", ".json", ".yaml"):
        file_name = file_name.removesuffix(ending)
    return file_name
