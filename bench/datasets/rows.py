"""The rows of documents, queries and qrels files: each one checked, the first bad one told with its file and line."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from bench.datasets.lines import Notes, id_problem, numbered_lines
from bench.errors import DataError

GRADE = re.compile(r"[+-]?[0-9]{1,9}")
BEIR_HEADER = ["query-id", "corpus-id", "score"]


def read_documents(path: Path, id_key: str, notes: Notes) -> dict[str, dict[str, str]]:
    """doc_id -> its string fields, `text` always among them. Fields of other types are left out."""
    documents: dict[str, dict[str, str]] = {}
    for number, line in numbered_lines(path, notes):
        row = _json_row(path, number, line)
        doc_id = _id(path, number, row.pop(id_key, None), id_key)
        if doc_id in documents:
            raise DataError.at(path, number, f"document '{doc_id}' appears a second time; ids must be unique")
        _check_text(path, number, row)
        documents[doc_id] = {sys.intern(key): value for key, value in row.items() if isinstance(value, str)}
    if not documents:
        raise DataError(f"{path}: holds no documents")
    return documents


def read_tsv_queries(path: Path, notes: Notes) -> dict[str, str]:
    """query_id -> text, from lines of id, tab, text."""
    queries: dict[str, str] = {}
    for number, line in numbered_lines(path, notes):
        query_id, tab, text = line.partition("\t")
        if not tab:
            raise DataError.at(path, number, "expected a query id, a tab and the query's text; there is no tab")
        _add_query(queries, path, number, query_id, text, "query id")
    return _some(queries, path)


def read_json_queries(path: Path, notes: Notes) -> dict[str, str]:
    """query_id -> text, from BEIR's queries.jsonl."""
    queries: dict[str, str] = {}
    for number, line in numbered_lines(path, notes):
        row = _json_row(path, number, line)
        _check_text(path, number, row)
        _add_query(queries, path, number, row.get("_id"), row["text"], "_id")
    return _some(queries, path)


def read_qrels(path: Path, notes: Notes, beir: bool) -> dict[str, dict[str, int]]:
    """query_id -> doc_id -> grade. Grades are integers; negative ones are legal, as in TREC. A judgment given twice alike is counted."""
    qrels: dict[str, dict[str, int]] = {}
    columns = "a query id, a document id and a grade, separated by tabs" if beir else "query id, iteration, document id and grade"
    for number, line in numbered_lines(path, notes):
        cells = [cell.strip() for cell in line.split("\t")] if beir else line.split()
        if beir and cells == BEIR_HEADER:
            continue
        if len(cells) != (3 if beir else 4):
            raise DataError.at(path, number, f"expected {columns}; found {len(cells)} column(s)")
        query_id, doc_id, grade = cells if beir else (cells[0], cells[2], cells[3])
        for value, what in ((query_id, "query id"), (doc_id, "document id")):
            _id(path, number, value, what)
        if not GRADE.fullmatch(grade):
            raise DataError.at(path, number, f"grade '{grade}' is not an integer")
        known = qrels.setdefault(query_id, {}).setdefault(doc_id, int(grade))
        if known != int(grade):
            raise DataError.at(path, number, f"document '{doc_id}' is judged {grade} for query '{query_id}', and {known} before")
        notes[f"judgments in {path.name}"] += 1
    repeated = notes.pop(f"judgments in {path.name}", 0) - sum(len(grades) for grades in qrels.values())
    notes[f"judgments repeated in {path.name}"] = repeated
    if not qrels:
        raise DataError(f"{path}: holds no judgments")
    return qrels


def _json_row(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError.at(path, number, f"not valid JSON: {error}") from error
    if not isinstance(row, dict):
        raise DataError.at(path, number, f"expected a JSON object, found {_json_type(row)}")
    if "\\u" in line:
        _check_surrogates(path, number, row)
    return row


def _check_surrogates(path: Path, number: int, row: dict[str, Any]) -> None:
    """JSON can spell half a character, which no tokenizer and no file takes."""
    for key, value in row.items():
        try:
            f"{key}{value if isinstance(value, str) else ''}".encode()
        except UnicodeEncodeError as error:
            raise DataError.at(path, number, f"field {key!a} holds half a character (a lone surrogate)") from error


def _check_text(path: Path, number: int, row: dict[str, Any]) -> None:
    if "text" not in row:
        keys = ", ".join(f"'{key}'" for key in row) or "nothing else"
        raise DataError.at(path, number, f"there is no 'text' (found {keys})")
    if not isinstance(row["text"], str):
        raise DataError.at(path, number, f"'text' must be a string, found {_json_type(row['text'])}")


def _json_type(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _id(path: Path, number: int, value: Any, what: str) -> str:
    """An id as a string; whole numbers are taken as their digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise DataError.at(path, number, f"there is no '{what}'" if value is None else f"'{what}' must be a string")
    problem = id_problem(value)
    if problem:
        raise DataError.at(path, number, f"{what} {value!r} {problem}")
    return sys.intern(value)


def _add_query(queries: dict[str, str], path: Path, number: int, query_id: Any, text: str, what: str) -> None:
    query_id = _id(path, number, query_id.strip() if isinstance(query_id, str) else query_id, what)
    if query_id in queries:
        raise DataError.at(path, number, f"query '{query_id}' appears a second time; ids must be unique")
    if not text.strip():
        raise DataError.at(path, number, f"query '{query_id}' has no text")
    queries[query_id] = text.strip()


def _some(queries: dict[str, str], path: Path) -> dict[str, str]:
    if not queries:
        raise DataError(f"{path}: holds no queries")
    return queries
