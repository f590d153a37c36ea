"""Parts of the sentences of notes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bench.core.counting import percent
from bench.core.note import Note

Words = Callable[[Note], str]


class _Names(dict[str, str]):
    """The names of a sentence. A record from elsewhere may lack one."""

    def __missing__(self, name: str) -> str:
        return "?"


def _filled(template: str, note: Note) -> str:
    names = _Names(note.names)
    names["count"] = f"{note.count:.0f}"
    names["total"] = f"{note.total:.0f}"
    names["text"] = note.text
    return template.format_map(names)


def says(template: str) -> Words:
    """Return the words of a sentence in which nothing but names and whole numbers change."""
    return partial(_filled, template)


def named(note: Note, name: str) -> str:
    return note.names.get(name, "?")


def share(note: Note) -> str:
    if not note.total:
        return "0%"
    return percent(note.count / note.total)


def more(note: Note) -> str:
    """Return what else is known, as the end of a sentence."""
    if not note.text:
        return ""
    return f"; {note.text}"
