"""The catalogue holds facts, not wishes: every entry is valid, pinned and can be built."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from bench import rerankers
from bench.catalogue import entries
from bench.catalogue.entries import Entry
from bench.models import weights

ENTRIES = entries.load()
HOSTED = {"cohere", "voyage", "mixedbread", "rerank-server", "listwise-server"}
FACTS = {
    "parameters": 1,
    "licence": "MIT",
    "languages": ["en"],
    "max_length": 512,
    "prompt": None,
    "url": "https://example.org",
}


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_every_entry_builds_and_brings_its_options(name: str) -> None:
    entry = ENTRIES[name]
    assert entry.backend in rerankers.TABLE
    reranker: Any = rerankers.build(name)
    for key, value in entry.options.items():
        assert getattr(reranker.options, key) == value
    assert set(entry.options) <= set(rerankers.options_for(entry.backend).model_fields)


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_every_entry_says_what_it_is(name: str) -> None:
    entry = ENTRIES[name]
    assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name)
    assert name not in rerankers.TABLE
    if entry.backend in HOSTED:
        assert "documents leave this machine" in (entry.facts.notes or "")
        assert (entry.facts.parameters is None) == (entry.facts.licence == "proprietary")
    else:
        assert entry.facts.parameters
        assert entry.facts.max_length
        assert "/" not in entry.options["model"] or entry.options["model"] in entry.facts.url
        assert entry.options.get("max_length", 1) <= entry.facts.max_length


def test_no_model_and_no_commit_is_listed_twice() -> None:
    # an adapter makes another model of the same weights
    models = [
        (entry.options["model"], entry.backend, entry.options.get("adapter"))
        for entry in ENTRIES.values()
    ]
    commits = [
        entry.options["revision"] for entry in ENTRIES.values() if entry.options.get("revision")
    ]
    assert len(set(models)) == len(models)
    assert len(set(commits)) == len(commits)


def test_packaged_models_are_known() -> None:
    for entry in ENTRIES.values():
        if str(entry.options["model"]).startswith(weights.PACKAGED):
            assert entry.options["model"].removeprefix(weights.PACKAGED) in weights.MODELS


@pytest.mark.parametrize(
    "change",
    [
        {"options": {"model": "owner/model"}},
        {"options": {"model": "owner/model", "revision": "main"}},
        {"facts": FACTS | {"url": "example.org"}},
        {"facts": FACTS | {"parameters": 0}},
        {"facts": {key: value for key, value in FACTS.items() if key != "licence"}},
        {
            "facts": FACTS
            | {
                "price": {
                    "usd": -1,
                    "per": "1000 searches",
                    "as_of": "2026-01-01",
                    "url": "https://example.org",
                }
            }
        },
        {"colour": "red"},
    ],
)
def test_an_entry_that_is_not_sound_is_refused(change: dict[str, Any]) -> None:
    sound = {
        "backend": "cross-encoder",
        "options": {"model": "owner/model", "revision": "a" * 40},
        "facts": FACTS,
    }
    Entry.model_validate(sound)
    with pytest.raises(ValidationError):
        Entry.model_validate(sound | change)


def test_a_model_without_a_commit_needs_a_reason() -> None:
    Entry.model_validate(
        {
            "backend": "cross-encoder",
            "options": {"model": "owner/model"},
            "revision_note": "not published",
            "facts": FACTS,
        }
    )


def test_loading_is_cheap() -> None:
    code = (
        "import sys; from bench.catalogue import entries; entries.load(); print('torch' in "
        "sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
    assert entries.load() is ENTRIES
