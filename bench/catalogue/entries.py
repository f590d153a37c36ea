"""The known rerankers: short name -> backend, options and facts.

The data are in `catalogue.yaml`; nothing here loads a model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pydantic import Field, model_validator

from bench.catalogue.price import Price
from bench.core.options import Options

NOT_THE_VENDORS = "not the vendor's own page"
_COMMIT = re.compile(r"[0-9a-f]{40}")


class ListedPrice(Price):
    """A price with its date and its source."""

    as_of: date
    url: str = Field(pattern=r"^https://")
    vendor: bool = Field(
        description="whether the page is the vendor's own; else a reseller's or a survey's"
    )

    @property
    def source(self) -> str:
        """Return where the price was read, and that it is not the vendor's own page where it is
        not.
        """
        if self.vendor:
            return self.url
        return f"{self.url}, {NOT_THE_VENDORS}"


class Architecture(Options):
    """What a model's network is made of: enough to build and to time it without its weights."""

    task: Literal["classify", "answer", "text-to-text", "list"] = Field(
        description="a score per pair by a classifier, by the next token of a causal or a "
        "text-to-text model, or an order that is written"
    )
    type: str = Field(description="transformers' model_type")
    config: Mapping[str, Any] = Field(
        description="the part of config.json that decides shapes and work"
    )
    prompt_tokens: int = Field(
        ge=0,
        description="tokens of an input next to query and document: special ones and the prompt",
    )
    source: str = Field(
        pattern=r"^https://",
        description="where config.json was read: the model's own, or that of the model it was "
        "trained from",
    )


class TrainedOn(Options):
    """What a model has seen of known collections."""

    collections: tuple[str, ...] = Field(
        description="families of collections (bench.datasets.families) of which it saw the "
        "training split, or the answers of a teacher to it; others may be missing where the source "
        "names no more"
    )
    source: str = Field(pattern=r"^https://", description="the card or paper that says so")


class Facts(Options):
    """What a reader wants to know before choosing. A run records what really loaded."""

    parameters: int | None = Field(gt=0)
    licence: str
    languages: tuple[str, ...] = Field(
        description="ISO 639-1 codes, or 'multilingual'; empty when not known"
    )
    max_length: int | None = Field(gt=0, description="the model's own limit in tokens")
    prompt: str | None = Field(description="text that the model expects before a query")
    needs_code: bool = Field(
        False,
        description="its network is Python code that comes with the weights: trust_remote_code "
        "must be set",
    )
    url: str = Field(pattern=r"^https://")
    notes: str | None = None
    caution: str | None = Field(
        None,
        description="what a reader of its results should know: stands under the table when it ran",
    )
    trained_on: TrainedOn | None = Field(
        None, description="None where its makers do not say: not known, and not nothing"
    )
    architecture: Architecture | None = Field(
        None, description="None where `weights: random` cannot be had"
    )
    price: ListedPrice | None = Field(
        None, description="None for what runs here, and where no public price was found"
    )


class Entry(Options):
    """One known reranker. A hub model has a pinned commit, or a note that says why it has none."""

    backend: str
    options: Mapping[str, Any]
    revision_note: str | None = None
    facts: Facts

    @model_validator(mode="after")
    def _pinned(self) -> Entry:
        model = str(self.options.get("model", ""))
        revision = self.options.get("revision")
        if revision is not None and not _COMMIT.fullmatch(str(revision)):
            raise ValueError(f"revision '{revision}' is not a commit of 40 hex digits")
        if "/" in model and revision is None and not self.revision_note:
            raise ValueError(f"{model}: a revision or a revision_note is missing")
        return self


@lru_cache(maxsize=1)
def load() -> Mapping[str, Entry]:
    """Return every entry by its short name, validated, in the file's order."""
    import yaml

    # ten times as fast where libyaml is there
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = Path(__file__).with_name("catalogue.yaml").read_text(encoding="utf-8")
    data = loader(text).get_single_data()
    return MappingProxyType({name: Entry.model_validate(entry) for name, entry in data.items()})


def price(backend: str, model: str, base_url: str | None = None) -> Price | None:
    """Return the price of a hosted model, where the catalogue has one; `base_url` where it is not
    the service's usual address.
    """
    for entry in load().values():
        if (
            entry.backend == backend
            and entry.options.get("model") == model
            and entry.options.get("base_url") == base_url
        ):
            return entry.facts.price
    return None


def trained_on(model: str, adapter: str | None = None) -> tuple[str, ...] | None:
    """Return the families of collections that a model has seen, whatever runs it and however a
    suite calls it; None where that is not known.
    """
    for entry in load().values():
        is_same = (entry.options.get("model"), entry.options.get("adapter")) == (model, adapter)
        if is_same and entry.facts.trained_on is not None:
            return entry.facts.trained_on.collections
    return None


def is_listed(backend: str, base_url: str) -> bool:
    """Return whether an entry of this backend names the address: that of a hosted service."""
    address = base_url.rstrip("/")
    return any(
        entry.backend == backend and str(entry.options.get("base_url")).rstrip("/") == address
        for entry in load().values()
    )
