"""Small collections on disk, in our own layout."""

from __future__ import annotations

import json
from pathlib import Path

QUERIES = 24
"""How many `write_common_things` writes."""


def write_collection(folder: Path) -> Path:
    """Write 12 documents and 6 queries, of which one has no judgment and one no candidate."""
    folder.mkdir()
    words = ["apple", "banana", "cherry", "grape"]
    docs = [
        {
            "doc_id": f"d{i:02}",
            "title": f"Note {i}",
            "text": f"{words[i % 4]} {words[(i + 1) % 4]} number{i}",
        }
        for i in range(12)
    ]
    (folder / "docs.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in docs))
    queries = {
        "q1": "apple",
        "q2": "banana",
        "q3": "cherry number2",
        "q4": "grape",
        "q5": "zzzz",
        "q6": "apple banana",
    }
    (folder / "queries.tsv").write_text(
        "".join(f"{key}\t{text}\n" for key, text in queries.items())
    )
    grades = [
        ("q1", "d00", 3),
        ("q1", "d03", 1),
        ("q2", "d01", 2),
        ("q2", "d00", 0),
        ("q3", "d02", 3),
        ("q4", "d07", 1),
        ("q5", "d05", 2),
    ]
    (folder / "qrels.txt").write_text(
        "".join(f"{query} 0 {doc} {grade}\n" for query, doc, grade in grades)
    )
    return folder


def write_common_things(folder: Path) -> None:
    """Write a collection in which every query finds the same 4 documents."""
    data = folder / "data"
    data.mkdir()
    docs = [{"doc_id": f"d{i}", "text": f"common thing{i}"} for i in range(4)]
    (data / "docs.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in docs))
    (data / "queries.tsv").write_text("".join(f"q{i}\tcommon variant{i}\n" for i in range(QUERIES)))
    (data / "qrels.txt").write_text("".join(f"q{i} 0 d{i % 4} 1\n" for i in range(QUERIES)))
