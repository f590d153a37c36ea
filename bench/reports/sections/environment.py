"""Where the numbers come from: the machine, what loaded, the data, the keys, and how to run it
again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from bench.core.note import read_notes
from bench.core.redaction import without_places
from bench.core.wording import sentences
from bench.records.rows import groups
from bench.records.schema import Record
from bench.reports.document import (
    Block,
    Code,
    Facts,
    Fold,
    Heading,
    Paragraph,
    Preformatted,
    Section,
    Words,
)
from bench.reports.names import name_of
from bench.reports.view import View

NOTED = ("ties", "failed", "beyond_single_precision")
"""Counts that the notes have."""
OF_NOTES = ("warnings", "disturbances")
"""Facts that are lists of notes."""
KEYS = (
    "Two numbers may be compared where their quality keys agree; two latencies where their speed "
    "keys agree."
)


def environment(view: View) -> Section:
    """Return the machine and its libraries; what the system did not say is left out."""
    machine = view.run.info.environment
    libraries = machine.get("libraries") or {}
    facts = flat({name: value for name, value in machine.items() if name != "libraries"})
    facts |= {name: str(version) for name, version in libraries.items() if version}
    blocks: list[Block] = [Facts(facts)]
    if not facts:
        blocks = [Paragraph(("The run holds no facts about its machine.",), quiet=True)]
    return Section("environment", "Environment", blocks, folded=True)


def keys(view: View) -> Section:
    """Return, per group, its data and what each of its trials ran with."""
    blocks: list[Block] = [Paragraph((KEYS,), quiet=True)]
    for group, records in groups(view.run.records.values()).items():
        inner: list[Block] = [Heading("Data and candidates", level=4), Facts(_data(records[0]))]
        inner += [_trial(record) for record in records]
        blocks.append(Fold((f"{view.title(group)}: data, rerankers and keys",), inner))
    return Section("keys", "Data and keys", blocks)


def reproduce(view: View) -> Section:
    """Return the command that made the run, and what it was of."""
    info = view.run.info
    command = Code(info.command or f"rerank-bench run {info.suite}")
    version = f" with rerank-bench {info.version}. Run "
    words: Words = ("Reproduce: ", command, version, Code(info.id), f", {info.started}.")
    return Section("reproduce", "Reproduce", [Paragraph(words)], titled=False)


def suite(view: View) -> Section:
    """Return the suite with every default, as a file that `rerank-bench run` takes."""
    import yaml

    resolved = without_places(view.run.info.resolved)
    text = str(yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True, width=100))
    pinned: Words = (
        "Candidates, judgments and weights are pinned by the hashes above; timings are of the "
        "machine above. This page is rebuilt from the run folder alone by ",
        Code("rerank-bench report"),
        ".",
    )
    fold = Fold(("The suite as resolved, every default filled in",), [Preformatted(text)])
    return Section("suite", "Suite", [Paragraph(pinned), fold])


def flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested facts as one level of name -> text; bytes in GiB, empty ones left out."""
    texts: dict[str, str] = {}
    for key, value in facts.items():
        words = str(key)
        # A variable of the environment keeps its name.
        if not words.isupper():
            words = words.replace("_", " ")
        name = f"{prefix}{words}"
        if isinstance(value, Mapping):
            texts |= flat(value, f"{name}: ")
        elif value is None or value == "" or value == []:
            continue
        elif key in OF_NOTES:
            texts[name] = ", ".join(sentences(read_notes(value)))
        elif str(key).endswith("_bytes") and isinstance(value, int):
            texts[name.removesuffix(" bytes")] = f"{value / 2**30:.2f} GiB"
        else:
            texts[name] = _text(value)
    return texts


def _data(record: Record) -> dict[str, str]:
    counts = {
        name.replace("_", " "): str(value)
        for name, value in record.counts.model_dump().items()
        if name not in NOTED
    }
    return {**flat(record.dataset), **flat(record.candidates, "candidates: "), **counts}


def _trial(record: Record) -> Fold:
    description = record.description
    loaded = {
        **flat({"backend": description.get("backend")}),
        **flat(description.get("identity") or {}),
        **flat(description.get("facts") or {}),
        **flat({"scored by": record.executor}),
        **flat(record.usage, "usage: "),
    }
    timing = flat({key: value for key, value in (record.latency or {}).items() if key != "notes"})
    blocks: list[Block] = []
    for title, facts in (("What loaded", loaded), ("The timed pass", timing)):
        blocks += [Heading(title, level=4), Facts(facts)] if facts else []
    blocks.append(Heading("Keys", level=4))
    for name, key in record.keys.items():
        fields = json.dumps(key.fields, indent=1, ensure_ascii=False)
        summary: Words = (f"{name} key ", Code(key.hash))
        blocks.append(Fold(summary, [Preformatted(fields)], style="inner"))
    return Fold((name_of(record.trial),), blocks, style="inner")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str | int):
        return str(without_places(value))
    if isinstance(value, Iterable):
        return ", ".join(map(_text, value))
    return str(value)
