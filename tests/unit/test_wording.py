"""Notes are codes with numbers, and each code has its words."""

from __future__ import annotations

import json

import pytest

from bench.core.note import Code, Note, Notes, note, read_note, read_notes
from bench.core.wording import WORDS, sentences, worded


def test_every_code_has_words() -> None:
    assert set(WORDS) == set(Code)
    for code in Code:
        sentence = worded(Note(code, count=3, total=4, text="timed out"))
        assert sentence
        assert "\n" not in sentence


@pytest.mark.parametrize(
    ("note", "sentence"),
    [
        (Note(Code.TIES, 21, 24), "21 of 24 documents tie in score"),
        (Note(Code.TRUNCATED, 1, 8), "12 % of the pairs were cut at max length"),
        (Note(Code.CUT_QUERIES, 1), "once a query was too long and was cut as well"),
        (
            Note(Code.FAILED, 1, 1, "timed out"),
            "1 of 1 query failed and score 0 (e.g. timed out)",
        ),
        (
            Note(Code.BLANKS, 2),
            "not sent, and ranked behind all others: 2 documents without text",
        ),
        (Note(Code.TEXT, text="the machine was busy"), "the machine was busy"),
        (
            note(Code.CONTRADICTED, 1, 3, file="my.run"),
            "queries of my.run whose rank column contradicts their scores: 1 of 3 (the score "
            "decides, the higher first, as in trec_eval)",
        ),
        (
            note(Code.TIED_CANDIDATES, 2, file="my.run"),
            "documents in my.run that share their score with a neighbour, ordered by doc_id "
            "(descending): 2",
        ),
        (
            note(Code.CUT_IN_TIES, 1, file="my.run", depth=2),
            "queries of my.run cut at depth 2 between documents of equal score: 1",
        ),
        (
            note(Code.SHORT_LISTS, 2, 100, source="my.run"),
            "my.run lists at most 2 documents per query, and the depth is 100",
        ),
        (
            note(Code.ABSENT_CANDIDATES, 2, 5, file="my.run"),
            "2 of 5 candidates are not in my.run: they come after all others, as the first stage "
            "had them",
        ),
        (
            note(Code.NO_TOKEN, 3),
            "queries that have no token (nothing is left of them by the token pattern and the stop "
            "words), and get no candidates: 3",
        ),
        (Note(Code.FAILED_CALLS, 2, 12, "timed out"), "2 of 12 timed calls failed (timed out)"),
        (Note(Code.NO_TIME, text="timed out"), "no call gave a time (timed out)"),
        (Note(Code.NO_TIME, where="offline"), "offline: no call gave a time"),
        (
            Note(Code.QUERIES_OUT_OF_TIME, 2, 6),
            "timed on 2 of 6 queries: the time limit was reached",
        ),
        (Note(Code.BLANK_DOCUMENTS, 2), "documents whose rendered text is blank: 2"),
        (Note(Code.FOREIGN_CPU, 0.2), "other processes took 20 % of the CPU during timing"),
        (Note(Code.LOAD, 9.1, 2), "the load average was 9.1 on 2 cores"),
        (
            Note(Code.QUOTA, 0.3),
            "the container's CPU quota held threads up for 30 % of the time",
        ),
        (Note(Code.CPU_HEAT, 1), "the CPU was slowed down for heat once"),
        (Note(Code.CPU_HEAT, 4), "the CPU was slowed down for heat 4 times"),
        (
            note(Code.GPU_HEAT, 2.5, device="cuda"),
            "cuda was slowed down for heat during 2.5 s",
        ),
        (
            note(
                Code.OTHER_SCRIPT,
                script="Devanagari",
                stemmer="english",
                others="hindi or null",
                languages="hi or ne",
            ),
            "most letters of the queries are Devanagari, which the stemmer 'english' cannot "
            "read: set language to hi or ne, or stemmer to null",
        ),
        (
            note(
                Code.OTHER_SCRIPT,
                script="Latin",
                stemmer="russian",
                others="english or null",
                languages="",
            ),
            "most letters of the queries are Latin, which the stemmer 'russian' cannot read: set "
            "stemmer to english or null",
        ),
        (
            note(Code.WORKER_DIED, text="was killed by SIGKILL"),
            "a worker was killed by SIGKILL, and another one got its work",
        ),
        (
            Note(Code.COLD_FAILED, 2, 2, "no weights"),
            "2 of 2 fresh processes gave no answer (no weights)",
        ),
        (
            note(Code.SHALLOW, depth=5, measures="R@100"),
            "depth 5 ends above the cutoff of R@100: there is nothing below it to find",
        ),
        (
            note(Code.OTHER_FORMAT, wanted="bfloat16", loaded="float32"),
            "bfloat16 was asked for, float32 is what runs",
        ),
        (
            note(Code.NO_TEXT_FIELD, 3, file="docs.jsonl", fields="title, txt"),
            "documents without a 'text' in docs.jsonl (they have title, txt): 3",
        ),
    ],
)
def test_a_note_is_worded_with_its_numbers(note: Note, sentence: str) -> None:
    assert worded(note) == sentence


def test_a_note_survives_json_and_sentences_of_earlier_versions_are_texts() -> None:
    noted = note(Code.SHORT_LISTS, 2, 100, source="my.run").at("pets, my.run")
    stored = json.loads(json.dumps(noted.to_dict()))
    assert stored == {
        "code": "short-lists",
        "count": 2,
        "total": 100,
        "where": "pets, my.run",
        "names": {"source": "my.run"},
    }
    assert read_note(stored) == noted
    assert worded(noted) == (
        "pets, my.run: my.run lists at most 2 documents per query, and the depth is 100"
    )
    assert read_note("a sentence") == Note(Code.TEXT, text="a sentence")


@pytest.mark.parametrize(
    "value",
    [
        5,
        None,
        [],
        {},
        {"code": "nonsense"},
        {"code": "ties", "names": 3},
        {"code": "ties", "count": [1]},
        {"code": "ties", "total": "three"},
        {"code": "ties", "count": 10**400},
        {"code": "ties", "count": float("nan")},
    ],
)
def test_what_is_no_note_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"note|Code"):
        read_note(value)


@pytest.mark.parametrize("values", [5, {"code": "ties"}, "ties", [[]]])
def test_notes_are_a_list(values: object) -> None:
    with pytest.raises(ValueError, match="note"):
        read_notes(values)


def test_counts_of_one_code_and_file_are_one_note() -> None:
    notes = Notes()
    for name in ("a.txt", "b.txt", "a.txt"):
        notes.add(Code.BLANK_LINES, 1, file=name)
    notes.add(Code.UNREACHABLE, 0)
    assert sentences(notes.all()) == [
        "blank lines skipped in a.txt: 2",
        "blank lines skipped in b.txt: 1",
    ]
