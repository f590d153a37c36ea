"""Portions, negatives and leaks of training data, against what a plain reading of their rules
gives.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from bench.contract.candidates import QueryCandidates
from bench.core.errors import DataError
from bench.datasets import leaks
from bench.datasets.base import Dataset
from bench.datasets.judged_queries import Judged, JudgedQuery, judged, tokens
from bench.datasets.leaks import refuse_measured
from bench.datasets.memory import MemoryDocuments
from bench.datasets.similarity import NEAR, near_pairs
from bench.models import seen_queries
from bench.training.negatives import choose
from bench.training.options import Negatives
from bench.training.portions import Portions, parted
from bench.training.split import Split, _without_leaks
from tests.support import made_training

WORDS = [f"word{number}" for number in range(18)]


def made_dataset(seed: int, queries: int = 40) -> Dataset:
    """Return a collection in which queries share words, documents and articles at random."""
    generator = random.Random(seed)
    documents = {
        f"d{number:02}": {"text": f"text {number}", "article": f"a{number // 4}"}
        for number in range(60)
    }
    ids = list(documents)
    qrels: dict[str, dict[str, int]] = {}
    texts: dict[str, str] = {}
    for number in range(queries):
        query_id = f"q{number:02}"
        words = [*generator.choices(WORDS, k=2), f"name{number % (queries - 2)}"]
        texts[query_id] = " ".join([*words, f"place{number % (queries - 2)}"])
        relevant = generator.sample(ids, generator.choice((1, 1, 1, 2)))
        zeros = generator.sample(ids, generator.randint(0, 4))
        qrels[query_id] = dict.fromkeys(zeros, 0) | {
            doc: generator.choice((1, 2)) for doc in relevant
        }
    return Dataset("made", MemoryDocuments(documents), texts, qrels, {"id": "made"})


def plain_similarity(
    own: frozenset[str], other: frozenset[str], all_texts: list[frozenset[str]]
) -> float:
    def weight(word: str) -> float:
        return math.log(1 + len(all_texts) / sum(word in text for text in all_texts))

    either = sum(map(weight, own | other))
    return sum(map(weight, own & other)) / either if either else 0.0


@pytest.mark.parametrize("seed", range(6))
def test_near_pairs_are_those_of_all_pairs(seed: int) -> None:
    generator = random.Random(seed)
    texts = [" ".join(generator.choices(WORDS, k=generator.randint(0, 9))) for _ in range(40)]
    # one word more, in another order
    others = [" ".join([*reversed(text.split()), "word0"]) for text in texts]
    sets = [tokens(text) for text in (*texts, *others)]
    expected = {
        (left, right)
        for left in range(40)
        for right in range(40)
        if plain_similarity(sets[left], sets[40 + right], sets) >= NEAR
    }
    assert set(near_pairs(sets[:40], sets[40:])) == expected
    assert 10 < len(expected) < 200


def test_small_words_differ_and_names_do_not() -> None:
    filler = [f"how do you and i find what is the capital of an {word}land" for word in WORDS]
    own = ["how do I boil an egg", "what is the capital of Peru"]
    others = ["How do you boil an egg?", "what is the capital of Chad", *filler]
    pairs = set(near_pairs([*map(tokens, own)], [*map(tokens, others)]))
    assert pairs == {(0, 0)}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("split_by", [None, "article"])
def test_portions_share_nothing_and_keep_to_their_shares(seed: int, split_by: str | None) -> None:
    everything = judged([made_dataset(seed, 14)])
    portions = parted(everything, 0.25, 0.25, split_by, seed)
    parts = [portions.train, portions.dev, portions.test]
    names = [query.name for part in parts for query in part]
    assert sorted(names) == sorted(query.name for query in everything.queries)
    assert all(parts)
    for one, other in combinations(parts, 2):
        assert leaks.leaks(one, other, documents=True) == []
        if split_by is not None:
            assert _articles(one).isdisjoint(_articles(other))
    for part in parts[1:]:
        assert len(part) <= round(0.25 * len(names))
    turned = Judged(everything.datasets, everything.queries[::-1], 0)
    again = parted(turned, 0.25, 0.25, split_by, seed)
    assert {query.name for query in again.test} == {query.name for query in portions.test}


def _articles(queries: Sequence[JudgedQuery]) -> set[int]:
    return {int(doc_id[1:]) // 4 for query in queries for doc_id in query.positives}


def test_queries_that_hang_together_cannot_be_parted() -> None:
    documents = MemoryDocuments({"d": {"text": "one text"}})
    qrels = {f"q{number}": {"d": 1} for number in range(4)}
    texts = {query_id: f"word{query_id}" for query_id in qrels}
    dataset = Dataset("one", documents, texts, qrels, {"id": "one"})
    with pytest.raises(DataError, match="name a dataset for test"):
        parted(judged([dataset]), None, 0.5, None, 1)


@pytest.mark.parametrize("seed", range(12))
def test_negatives_are_those_of_their_rules(seed: int) -> None:
    generator = random.Random(seed)
    dataset = made_dataset(seed)
    ids = [f"d{number:02}" for number in range(60)]
    options = Negatives.model_validate(
        {
            "ranks": [generator.randint(1, 5), generator.randint(10, 30)],
            "margin": generator.choice((None, 0.0, 2.5)),
            "below": generator.choice((None, 0.5, 0.9)),
            "easy": generator.choice((0, 0.3, 1)),
            "per_query": generator.randint(1, 12),
        }
    )
    for query in judged([dataset]).queries:
        order = tuple(generator.sample(ids, 30))
        scores = tuple(sorted((generator.uniform(0, 20) for _ in order), reverse=True))
        teacher = {doc: generator.gauss(0, 3) for doc in ids}
        barred = set(generator.sample(ids, 5)) - set(query.positives)
        pool = [doc for doc in ids if doc not in barred]
        candidates = QueryCandidates(order, scores)
        chosen = choose(options, query, candidates, pool, seed, teacher=teacher, barred=barred)
        usable = _usable(options, query, candidates, teacher, barred)
        easy_wanted = round(options.easy * options.per_query)
        wanted = options.per_query - easy_wanted
        zeros = [doc for doc, grade in query.grades.items() if grade == 0 and doc not in barred]
        random_pool = set(pool) - set(order) - set(query.grades)
        assert set(chosen.judged) <= set(zeros)
        assert len(chosen.judged) == min(wanted, len(zeros))
        # those that the pipeline retrieved come first, in its order
        retrieved = [doc for doc in order if doc in zeros]
        assert list(chosen.judged)[: len(retrieved)] == retrieved[:wanted]
        assert set(chosen.hard) <= usable
        assert len(chosen.hard) == min(wanted - len(chosen.judged), len(usable))
        assert list(chosen.hard) == sorted(chosen.hard, key=order.index)
        assert set(chosen.easy) <= random_pool
        rest = options.per_query - len(chosen.judged) - len(chosen.hard)
        assert len(chosen.easy) == min(rest, len(random_pool))
        assert len(set(chosen.doc_ids)) == len(chosen.doc_ids)
        assert (
            choose(options, query, candidates, pool, seed, teacher=teacher, barred=barred) == chosen
        )


def _usable(
    options: Negatives,
    query: JudgedQuery,
    candidates: QueryCandidates,
    teacher: dict[str, float],
    barred: set[str],
) -> set[str]:
    """Return the hard negatives that the rules allow, document by document."""
    assert options.ranks is not None
    score = dict(zip(candidates.doc_ids, candidates.scores, strict=True))
    known = [score[doc] for doc in query.positives if doc in score]
    inside: set[str] = set()
    for rank, doc in enumerate(candidates.doc_ids, start=1):
        in_window = options.ranks[0] <= rank <= options.ranks[1]
        if not in_window or doc in query.grades or doc in barred:
            continue
        if options.margin is not None and known and score[doc] > max(known) - options.margin:
            continue
        inside.add(doc)
    if options.below is None:
        return inside
    best = max(teacher[doc] for doc in query.positives)
    low = min(teacher[doc] for doc in (*inside, *query.positives))
    if best == low:
        return set()
    return {doc for doc in inside if teacher[doc] <= low + options.below * (best - low)}


def test_leaks_are_those_of_all_pairs_and_an_error_names_them() -> None:
    train = judged([made_dataset(1)]).queries
    test = judged([made_dataset(2)]).queries
    pairs = leaks.leaks(train, test, documents=True)
    by_document = {
        (own.name, other.name)
        for own in train
        for other in test
        if set(own.positives) & set(other.positives)
    }
    assert by_document <= {(leak.training.name, leak.other.name) for leak in pairs}
    assert leaks.leaks(leaks.without(train, pairs), test, documents=True) == []
    with pytest.raises(DataError) as problem:
        leaks.refuse(pairs, "test")
    first = pairs[0]
    assert f"'{first.training.name}'" in str(problem.value)
    assert f"'{first.other.name}' of test" in str(problem.value)
    assert "leaks: drop" in str(problem.value)


@pytest.mark.parametrize(
    "text",
    [
        "who BUILT the stra\u00dfe?",
        "\uff57\uff48\uff4f built the strasse",
        "who\u200b built\u00a0the stras\u00adse",
        "Who built the STRASSE ?!",
    ],
)
def test_a_query_in_another_writing_is_a_leak(text: str) -> None:
    own = JudgedQuery(0, "q", "q", text, {}, (), frozenset())
    other = own._replace(text="who built the strasse")
    assert leaks.leaks([own], [other], documents=False)


def test_queries_that_nobody_has_judged_are_compared_by_their_texts() -> None:
    dataset = made_dataset(1)
    own = judged([dataset])
    split = Split(parted(own, 0.2, 0.2, None, 1), [dataset], [dataset], [dataset])
    texts = {"a": split.portions.train[0].text, "b": "something else entirely"}
    measured = Dataset("new", dataset.documents, texts, {}, {"id": "new"})
    with pytest.raises(DataError, match="1 query of training would say beforehand"):
        refuse_measured(split.seen, measured)
    other = Dataset("new", dataset.documents, {"b": texts["b"]}, {}, {"id": "new"})
    refuse_measured(split.seen, other)


def test_dev_queries_that_the_test_asks_are_refused_or_dropped() -> None:
    everything = judged([made_dataset(1)]).queries
    train, dev, test = everything[:20], everything[20:30], everything[30:]
    repeats = [query._replace(name=f"dev-{query.name}") for query in test[:3]]
    rest = leaks.without(dev, leaks.leaks(dev, test, documents=False))
    portions = Portions(train, [*rest, *repeats], test)
    other = {"test": "embedded:everyday"}
    with pytest.raises(DataError, match=r"3 queries of dev .*`leaks: drop`"):
        _without_leaks(made_training.recipe(**other), portions._replace(train=everything[:1]))
    dropped = _without_leaks(made_training.recipe(**other, leaks="drop"), portions)
    assert dropped.dev == rest
    assert dropped.test == test
    assert leaks.leaks(dropped.train, test, documents=True) == []
    with pytest.raises(DataError, match="nothing is left to choose the best step by"):
        _without_leaks(made_training.recipe(**other, leaks="drop"), portions._replace(dev=repeats))


def test_a_file_of_digests_refuses_what_the_queries_themselves_do(tmp_path: Path) -> None:
    """But for the texts in the message; queries of the test are known not to leak."""
    own = judged([made_dataset(1)])
    train, dev, test = parted(own, 0.2, 0.2, None, 1)
    seen = leaks.Seen(train, dev, leaks.tested_of(test))
    seen_queries.write(seen, tmp_path)
    stored = seen_queries.read(tmp_path)
    assert stored is not None
    other = made_dataset(2)
    with pytest.raises(DataError) as plain:
        refuse_measured(seen, other)
    with pytest.raises(DataError) as digested:
        refuse_measured(stored, other)
    bare = re.sub(r"^(  .*?'q\d+') \(.*?\)", r"\1", str(plain.value), flags=re.MULTILINE)
    assert str(digested.value) == bare
    assert train[0].text not in (tmp_path / seen_queries.FILE).read_text()
    tested = [query.query_id for query in test]
    qrels = {query_id: made_dataset(1).qrels[query_id] for query_id in tested}
    refuse_measured(stored, replace(made_dataset(1), qrels=qrels))
    (tmp_path / seen_queries.FILE).write_text("{}\n")
    with pytest.raises(DataError, match=r"queries\.log:1: does not name a query"):
        seen_queries.read(tmp_path)
