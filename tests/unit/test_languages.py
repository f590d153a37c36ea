"""BM25 by language: stemmer, stop words and cutting set together, by one option; what is given by
itself wins.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from bench import retrieval
from bench.contract.candidates import Candidates
from bench.core.errors import SuiteError
from bench.core.note import Code
from bench.core.words import TOKEN, TRIGRAM, compiled, normal
from bench.datasets.base import Dataset
from bench.datasets.memory import MemoryDocuments
from bench.retrieval.bm25 import BM25
from bench.retrieval.bm25_index import Analyzer
from bench.retrieval.languages import BY_NAME, LANGUAGES, Language
from bench.retrieval.options import BM25Options
from bench.suite.suite import load
from tests.support.notes import counts, noted


def options(**given: Any) -> BM25Options:
    return BM25Options.model_validate(given)


def bm25(docs: dict[str, str], queries: dict[str, str], **given: Any) -> Candidates:
    documents = MemoryDocuments({key: {"text": text} for key, text in docs.items()})
    data = Dataset("test", documents, queries, {}, {}, template="{text}")
    return retrieval.build("bm25", given, Path()).retrieve(data, list(queries), 10)


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.code)
def test_every_language_has_a_stemmer_and_stop_words_that_exist(language: Language) -> None:
    by_code, by_name = options(language=language.code), options(language=language.name.title())
    assert by_code == by_name
    assert by_code.stemmer == language.stemmer
    assert Analyzer(by_code).tokens(f"{language.name} 2024")
    assert not {"language", "cutting"} & BM25Options().model_fields_set


def test_codes_and_names_are_of_one_language_each() -> None:
    assert len(BY_NAME) == 2 * len(LANGUAGES) + len(("nb", "nn"))


def test_a_language_sets_what_is_not_given() -> None:
    german = options(language="de")
    assert (german.stemmer, german.stopwords, german.token_pattern) == ("german", "german", TOKEN)
    mixed = options(language="de", stopwords=None, stemmer="english", k1=1.2)
    assert (mixed.language, mixed.stemmer, mixed.stopwords) == ("de", "english", None)
    thai = options(language="th")
    assert (thai.stemmer, thai.stopwords, thai.token_pattern) == (None, None, TRIGRAM)
    assert options(language="th", cutting="words").token_pattern == TOKEN
    assert options(language="th", token_pattern="[a-z]+").token_pattern == "[a-z]+"
    assert options(cutting="trigrams").stopwords is None
    assert options(**thai.model_dump()) == thai
    assert options(cutting="trigrams", stemmer="german").stemmer == "german"
    english = options(language="en").model_dump(exclude={"language"})
    assert english == BM25Options().model_dump(exclude={"language"})


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"language": "hindi"}, "bm25(language=hi)"),
        ({"language": "th"}, "bm25(language=th)"),
        ({"language": "th", "cutting": "words"}, "bm25(language=th, cutting=words)"),
        ({"cutting": "trigrams"}, "bm25(cutting=trigrams)"),
        ({"language": "hi", "stemmer": "english"}, "bm25(language=hi, stemmer=english)"),
        ({"stemmer": None}, "bm25(stemmer=None)"),
        ({}, "bm25"),
    ],
)
def test_a_name_says_what_was_asked(given: dict[str, Any], name: str) -> None:
    assert BM25(options(**given), Path()).name == name


def test_norwegian_is_no_truth_value(tmp_path: Path) -> None:
    """YAML reads `no` as false."""
    path = tmp_path / "suite.yaml"
    path.write_text(
        "name: x\ndatasets: [embedded:everyday]\nfirst_stages: [{bm25: {language: no}}]\n"
        "rerankers: [word-overlap]\nmeasures: [nDCG@10]\n"
    )
    (stage,) = load(path).first_stages
    assert stage.name == "bm25"
    assert BM25(BM25Options.model_validate(stage.options), tmp_path).name == "bm25(language=no)"
    assert options(language=False).stemmer == options(language="nn").stemmer == "norwegian"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"language": "germn"}, "option 'language': no language of this name: .*'german'"),
        ({"language": "klingon!"}, "option 'language': .*known: ar, bg, .*, zh, or their English"),
        ({"language": 7}, "option 'language'"),
        ({"cutting": "bigrams"}, "option 'cutting'"),
        ({"cutting": "trigrams", "token_pattern": "x"}, "give cutting or token_pattern"),
    ],
)
def test_an_unknown_language_is_refused_with_the_nearest(
    tmp_path: Path, given: dict[str, Any], problem: str
) -> None:
    with pytest.raises(SuiteError, match=problem):
        retrieval.build("bm25", given, tmp_path)


def trigrams(text: str) -> list[str]:
    return compiled(TRIGRAM).findall(normal(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ab abc abcd, CO2!", ["ab", "abc", "abc", "bcd", "co2"]),
        ("", []),
        ("น้ำตก", ["น้ำ", "้ำต", "ำตก"]),
        ("phở", ["phở"]),
    ],
)
def test_trigrams_are_runs_of_letters_and_marks(text: str, expected: list[str]) -> None:
    assert trigrams(text) == [normal(piece) for piece in expected]
    assert trigrams(unicodedata.normalize("NFD", text)) == trigrams(text)


def test_trigrams_equal_a_plain_loop() -> None:
    text = normal("กรุงเทพมหานคร เป็นเมืองหลวง of Thailand, a b")
    pieces: list[str] = []
    for run in re.findall(r"[\w\u0e31\u0e34-\u0e3a\u0e47-\u0e4e]+", text):
        pieces += [run[i : i + 3] for i in range(max(1, len(run) - 2))]
    assert trigrams(text) == pieces


def test_a_part_of_a_phrase_without_spaces_is_found() -> None:
    docs = {"d1": "กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย", "d2": "แมวนอนหลับอยู่บนหลังคาบ้าน"}
    candidates = bm25(docs, {"q": "เมืองหลวงของไทย"}, language="th")
    assert candidates.by_query["q"].doc_ids[0] == "d1"
    assert Code.OTHER_SCRIPT not in counts(candidates.warnings)


def test_what_decides_the_index_is_recorded() -> None:
    docs = {"d1": "कुत्ते भौंकते हैं"}
    source = bm25(docs, {"q": "कुत्ता"}, language="hindi").source
    wanted = {"language": "hi", "stemmer": "hindi", "stopwords": None, "token_pattern": TOKEN}
    assert {key: source[key] for key in wanted} == wanted
    assert bm25(docs, {"q": "x"}, cutting="trigrams").source["cutting"] == "trigrams"
    plain = bm25(docs, {"q": "x"}).source
    assert not {"language", "cutting"} & set(plain), "indexes of older suites stay theirs"


def test_the_stemmers_script_is_noted_with_languages_that_have_it() -> None:
    docs = {"d1": "東京の天気"}
    note = noted(bm25(docs, {"q": "東京"}).warnings, Code.OTHER_SCRIPT)
    assert note.names["languages"] == "zh"


@pytest.mark.parametrize(
    ("option", "stemmer", "languages"),
    [
        ({"language": "hi"}, "hindi", "en or es or fr or pt or de"),
        ({"stemmer": "russian"}, "russian", ""),
    ],
)
def test_for_latin_letters_the_widely_spoken_languages_are_named(
    option: dict[str, str], stemmer: str, languages: str
) -> None:
    """Under the key that the suite has."""
    note = noted(bm25({"d": "rain"}, {"q": "rain"}, **option).warnings, Code.OTHER_SCRIPT)
    assert note.names == {
        "script": "Latin",
        "stemmer": stemmer,
        "languages": languages,
        "others": "english or spanish or french or portuguese or german or null",
    }


COLLECTIONS = Path(__file__).parents[3] / "shared" / "data" / "xquad-r"


@pytest.mark.skipif(not COLLECTIONS.is_dir(), reason="no XQuAD-R next to this checkout")
@pytest.mark.parametrize(
    ("code", "usual", "of_language"), [("de", 0.759, 0.789), ("zh", 0.834, 0.834)]
)
def test_a_language_gains_what_the_documentation_says(
    code: str, usual: float, of_language: float
) -> None:
    import pytrec_eval

    from bench import datasets

    data = datasets.load(f"files:{COLLECTIONS / code}", None, Path())
    measure = pytrec_eval.RelevanceEvaluator(data.qrels, {"ndcg_cut_10"})
    for given, expected in (({}, usual), ({"language": code}, of_language)):
        candidates = retrieval.build("bm25", given, Path()).retrieve(data, list(data.queries), 10)
        run = {
            query_id: dict(zip(ranking.doc_ids, ranking.scores, strict=True))
            for query_id, ranking in candidates.by_query.items()
        }
        values = [row["ndcg_cut_10"] for row in measure.evaluate(run).values()]
        assert sum(values) / len(data.qrels) == pytest.approx(expected, abs=0.0006)
