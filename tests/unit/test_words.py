"""Words of any script stay whole: combining marks belong to their letters, and composed and
decomposed texts are the same.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from pathlib import Path
from typing import Literal

import pytest

from bench import retrieval
from bench.contract.candidates import Candidates
from bench.core.errors import SuiteError
from bench.core.note import Code
from bench.core.words import TOKEN, compiled, normal, unserved_script
from bench.datasets.base import Dataset
from bench.datasets.memory import MemoryDocuments
from bench.rerankers.reference.word_overlap import overlap, words
from tests.support.notes import noted

Form = Literal["NFC", "NFD"]


def tokens(text: str) -> list[str]:
    return compiled(TOKEN).findall(normal(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The CO2 of a small café", ["the", "co2", "of", "small", "café"]),
        ("दिल्ली में बारिश", ["दिल्ली", "में", "बारिश"]),
        ("কলকাতায় বৃষ্টি", ["কলকাতায়", "বৃষ্টি"]),
        ("சென்னை மழை", ["சென்னை", "மழை"]),
        ("ශ්‍රී ලංකා", ["ශ්‍රී", "ලංකා"]),
        ("كِتَابٌ جَدِيد", ["كِتَابٌ", "جَدِيد"]),
        ("שָׁלוֹם", ["שָׁלוֹם"]),
        ("می‌روم", ["می", "روم"]),
        ("東京 tower", ["東", "京", "tower"]),
        ("서울의 비", ["서울의"]),
        ("နေပြည်တော် x", ["န", "ပ", "ည", "တ"]),
        ("ភ្នំពេញ", ["ភ", "ន", "ព", "ញ"]),
        ("น้ำ", ["น", "ำ"]),
        ("นกบิน", ["นกบ", "น"]),
    ],
)
def test_words_of_many_scripts(text: str, expected: list[str]) -> None:
    """The last ones are cut at vowel signs: their scripts put no spaces between words, and pieces
    serve better than phrases.
    """
    assert (
        tokens(text)
        == tokens(unicodedata.normalize("NFD", text))
        == [unicodedata.normalize("NFC", word) for word in expected]
    )


def test_any_mark_in_a_pattern_of_ones_own() -> None:
    marks = [
        chr(code)
        for code in range(sys.maxunicode)
        if unicodedata.category(chr(code)).startswith("M")
    ]
    for pattern in (r"\p{M}", r"[\p{M}]", r"[x\p{M}\]]", r"[]\p{M}]", r"[x[\p{M}]"):
        assert all(compiled(pattern).fullmatch(mark) for mark in marks), pattern
        assert not compiled(pattern).fullmatch("a")
    assert not any(compiled(r"[^\p{M}]").fullmatch(mark) for mark in marks)
    assert compiled(r"\[\p{M}").fullmatch("[\u0301")
    with pytest.raises(re.error):
        compiled(r"\p{L}")


def bm25(docs: dict[str, str], queries: dict[str, str], **options: object) -> Candidates:
    found = Dataset(
        "test",
        MemoryDocuments({key: {"text": text} for key, text in docs.items()}),
        queries,
        {},
        {},
        template="{text}",
    )
    return retrieval.build("bm25", {"stemmer": None, **options}, Path()).retrieve(
        found, list(queries), 10
    )


@pytest.mark.parametrize(
    ("of_documents", "of_queries"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")]
)
def test_composed_and_decomposed_texts_are_the_same(of_documents: Form, of_queries: Form) -> None:
    docs = {"d1": "Đường phố Huế vắng vẻ", "d2": "Món phở ở Hà Nội", "d3": "Der Schlüssel der Tür"}
    queries = {"q1": "phố Huế", "q2": "PHỞ Hà Nội", "q3": "Tür"}
    plain = bm25(docs, queries)
    assert [ranking.doc_ids[0] for ranking in plain.by_query.values()] == ["d1", "d2", "d3"]
    mixed = bm25(
        {key: unicodedata.normalize(of_documents, text) for key, text in docs.items()},
        {key: unicodedata.normalize(of_queries, text) for key, text in queries.items()},
    )
    assert mixed.by_query == plain.by_query
    assert mixed.source["normal_form"] == "NFC"
    assert mixed.source["unicode"] == unicodedata.unidata_version


def test_stop_words_and_patterns_of_ones_own_meet_the_same_texts() -> None:
    docs = {"d1": "für den Weg", "d2": "der Weg"}
    stop = [unicodedata.normalize("NFD", "Für"), "DER"]
    assert bm25(docs, {"q": "für der"}, stopwords=stop).by_query["q"].doc_ids == ()
    assert bm25({"d1": "क ख"}, {"q": "ख"}, token_pattern=r"[\w\p{M}]+").by_query["q"].doc_ids == (
        "d1",
    )
    with pytest.raises(SuiteError, match="not a regular expression"):
        bm25(docs, {"q": "x"}, token_pattern=r"[\p{M}")


@pytest.mark.parametrize(
    ("stemmer", "text", "expected"),
    [
        ("english", "plain words", None),
        ("english", "आज मौसम", ("DEVANAGARI", ["hindi", "nepali"])),
        ("hindi", "आज मौसम", None),
        ("russian", "plain words", ("LATIN", ["serbian"])),
        ("serbian", "Београд", None),
        ("english", "東京の天気", ("CJK", [])),
        ("english", "half и половина", ("CYRILLIC", ["russian", "serbian"])),
        ("english", "12 34 ?!", None),
    ],
)
def test_the_script_that_a_stemmer_cannot_read(stemmer: str, text: str, expected: object) -> None:
    assert unserved_script(stemmer, [text]) == expected


def test_a_stemmer_of_another_script_is_noted() -> None:
    docs, queries = {"d1": "आज मौसम अच्छा है"}, {"q": "मौसम"}
    note = noted(bm25(docs, queries, stemmer="english").warnings, Code.OTHER_SCRIPT)
    assert {name: note.names[name] for name in ("script", "stemmer", "languages")} == {
        "script": "Devanagari",
        "stemmer": "english",
        "languages": "hi or ne",
    }
    for candidates in (bm25(docs, queries, stemmer="hindi"), bm25(docs, queries)):
        (few,) = candidates.warnings
        assert (few.code, few.count, few.total) == (Code.SHORT_LISTS, 1, 10)


def test_word_overlap_keeps_words_whole() -> None:
    assert words("दिल्ली में a b_2") == {"दिल्ली", "में", "a", "b_2"}
    assert overlap(words(unicodedata.normalize("NFD", "Huế")), words("ở huế")) == 1.0
    assert overlap(words("दिन"), words("दाल")) == 0.0, "they share a letter and no word"


@pytest.mark.parametrize("text", ["မြန်မာ", "ខ្មែរ", "ភ្នំពេញ", "น้ำ", "ນ້ຳ"])
def test_a_query_that_equals_its_document_finds_it_in_scripts_without_spaces(text: str) -> None:
    assert bm25({"it": text, "other": "cat"}, {"q": text}).by_query["q"].doc_ids == ("it",)


def test_the_index_is_another_where_the_token_pattern_is() -> None:
    assert bm25({"d": "cat"}, {"q": "cat"}).source["token_pattern"] == TOKEN
    assert (
        bm25({"d": "cat"}, {"q": "cat"}).source
        != bm25({"d": "cat"}, {"q": "cat"}, token_pattern="[a-z]+").source
    )
