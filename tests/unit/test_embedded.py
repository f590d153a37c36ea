"""The embedded collections are whole: ids, grades, enough of each, traps and paraphrases, and
nothing shared between test and train.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench import datasets
from bench.datasets.base import Dataset

TEST, TRAIN, QUESTIONS = "everyday", "everyday-train", "everyday-questions"


def load(name: str) -> Dataset:
    return datasets.load(f"embedded:{name}", None, Path.cwd())


@pytest.fixture(scope="module")
def both() -> dict[str, Dataset]:
    return {name: load(name) for name in (TEST, TRAIN)}


@pytest.fixture(scope="module")
def questions() -> Dataset:
    return load(QUESTIONS)


def topics(dataset: Dataset) -> set[str]:
    return {fields["topic"] for _, fields in dataset.documents}


@pytest.mark.parametrize(("name", "passages", "queries"), [(TEST, 300, 60), (TRAIN, 200, 60)])
def test_there_is_enough_of_everything(
    both: dict[str, Dataset], name: str, passages: int, queries: int
) -> None:
    dataset = both[name]
    assert len(dataset.documents) >= passages
    assert len(dataset.queries) >= queries
    assert len(topics(dataset)) >= 15
    assert dataset.warnings == ()


@pytest.mark.parametrize("name", [TEST, TRAIN])
def test_every_judgment_has_its_query_and_passage_and_every_query_several_relevant_ones(
    both: dict[str, Dataset], name: str
) -> None:
    dataset, ids = both[name], set(both[name].documents.ids())
    assert set(dataset.qrels) == set(dataset.queries)
    for query_id, grades in dataset.qrels.items():
        assert set(grades) <= ids, query_id
        assert set(grades.values()) <= {0, 1, 2, 3}, query_id
        assert 3 in grades.values(), query_id
        assert sum(grade >= 2 for grade in grades.values()) >= 2, query_id
        assert sum(grade >= 1 for grade in grades.values()) >= 3, query_id
        assert sum(grade == 0 for grade in grades.values()) >= 2, query_id


@pytest.mark.parametrize("name", [TEST, TRAIN])
def test_no_passage_or_query_stands_twice(both: dict[str, Dataset], name: str) -> None:
    texts = [normal(fields["text"]) for _, fields in both[name].documents]
    assert len(set(texts)) == len(texts)
    queries = [normal(text) for text in both[name].queries.values()]
    assert len(set(queries)) == len(queries)


def test_test_and_train_share_nothing(both: dict[str, Dataset]) -> None:
    test, train = both[TEST], both[TRAIN]
    assert not set(test.documents.ids()) & set(train.documents.ids())
    assert not set(test.queries) & set(train.queries)
    assert not topics(test) & topics(train)
    assert not {normal(text) for text in test.queries.values()} & {
        normal(text) for text in train.queries.values()
    }
    windows = [
        {window for _, fields in dataset.documents for window in shingles(fields["text"])}
        for dataset in (test, train)
    ]
    assert not windows[0] & windows[1], "eight words in a row stand in both"


@pytest.mark.parametrize("name", [TEST, TRAIN])
def test_words_mislead_on_every_query(both: dict[str, Dataset], name: str) -> None:
    """For each query some passage of grade 0 shares more of its words than some passage of grade 2
    or 3 does.
    """
    dataset = both[name]
    text = {doc_id: f"{fields['title']} {fields['text']}" for doc_id, fields in dataset.documents}
    for query_id, grades in dataset.qrels.items():
        words = stems(dataset.queries[query_id])
        share = {doc_id: len(words & stems(text[doc_id])) / len(words) for doc_id in grades}
        trap = max(share[doc_id] for doc_id, grade in grades.items() if grade == 0)
        paraphrase = min(share[doc_id] for doc_id, grade in grades.items() if grade >= 2)
        assert trap > paraphrase or trap >= 0.25, (query_id, trap, paraphrase)


def test_the_training_questions_ask_about_every_training_passage(
    both: dict[str, Dataset], questions: Dataset
) -> None:
    train = both[TRAIN]
    assert list(questions.documents) == list(train.documents)
    assert questions.has_texts
    assert questions.warnings == ()
    counts: dict[str, int] = {}
    for query_id, grades in questions.qrels.items():
        topic = query_id.rpartition("-")[0]
        assert {doc_id.rpartition("-")[0] for doc_id in grades} == {topic}, query_id
        assert len(grades) == 14, query_id
        assert set(grades.values()) <= {0, 1, 2, 3}, query_id
        best = [doc_id for doc_id, grade in grades.items() if grade == 3]
        assert 1 <= len(best) <= 2, query_id
        for doc_id in best:
            counts[doc_id] = counts.get(doc_id, 0) + 1
    assert set(counts) == set(train.documents.ids())
    assert min(counts.values()) >= 4


def test_no_training_question_is_asked_elsewhere(
    both: dict[str, Dataset], questions: Dataset
) -> None:
    texts = [normal(text) for text in questions.queries.values()]
    assert len(set(texts)) == len(texts)
    for dataset in both.values():
        assert not set(questions.queries) & set(dataset.queries)
        assert not set(texts) & {normal(text) for text in dataset.queries.values()}


def test_each_collection_has_a_card_that_tells_its_size_licence_and_limits(
    both: dict[str, Dataset], questions: Dataset
) -> None:
    from bench.datasets.embedded import card

    for name, dataset in {**both, QUESTIONS: questions}.items():
        text = card(name)
        judgments = sum(map(len, dataset.qrels.values()))
        for number in (len(dataset.documents), len(dataset.queries), judgments):
            assert str(number) in text, (name, number)
        assert "CC0" in text
    assert "not for claims" in card(TEST)


def normal(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def shingles(text: str, size: int = 8) -> set[str]:
    words = normal(text).split()
    return {" ".join(words[i : i + size]) for i in range(len(words) - size + 1)}


def stems(text: str) -> set[str]:
    import Stemmer
    from bm25s.stopwords import STOPWORDS_EN

    words = set(re.findall(r"\w\w+", text.lower())) - set(STOPWORDS_EN)
    return set(Stemmer.Stemmer("english").stemWords(list(words)))
