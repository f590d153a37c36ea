"""The sliding window and the reading of answers, without any model: a perfect judge must get the
best documents to the top.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.contract.request import CandidateList
from bench.rerankers.listwise import permutation, prompts
from bench.rerankers.listwise.sliding_window import ListwiseOptions, Sorting, falling, spans
from tests.support.fake_chat import identifiers, question


def request(docs: list[str], query: str = "a query") -> CandidateList:
    return CandidateList("q", query, [f"d{i}" for i in range(len(docs))], docs)


def run(
    values: list[float], judge: Callable[[list[float]], list[int]], **options: int
) -> tuple[list[float], int]:
    """The values in their final order, and how often the judge was asked."""
    sorting = Sorting(request([str(value) for value in values]), ListwiseOptions(**options))
    calls = 0
    while window := sorting.window:
        sorting.take(judge([values[position] for position in window]))
        calls += 1
    order = np.argsort(-sorting.scores())
    return [values[position] for position in order], calls


def perfect(values: list[float]) -> list[int]:
    return sorted(range(len(values)), key=lambda position: -values[position])


def as_given(values: list[float]) -> list[int]:
    return list(range(len(values)))


# --- the window


@pytest.mark.parametrize(
    ("count", "found"),
    [
        (0, []),
        (1, []),
        (2, [(0, 2)]),
        (20, [(0, 20)]),
        (21, [(1, 21), (0, 11)]),
        (25, [(5, 25), (0, 15)]),
        (30, [(10, 30), (0, 20)]),
        (
            100,
            [
                (80, 100),
                (70, 90),
                (60, 80),
                (50, 70),
                (40, 60),
                (30, 50),
                (20, 40),
                (10, 30),
                (0, 20),
            ],
        ),
    ],
)
def test_the_window_goes_from_the_back_to_the_front(
    count: int, found: list[tuple[int, int]]
) -> None:
    assert spans(count, 20, 10) == found


@given(st.integers(0, 300), st.integers(2, 40), st.data())
def test_windows_overlap_and_cover_everything(count: int, window: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, window - 1))
    found = spans(count, window, stride)
    assert all(0 <= start < end <= start + window for start, end in found)
    assert set(itertools.chain.from_iterable(range(*span) for span in found)) == (
        set(range(count)) if count > 1 else set()
    )
    for (start, end), (before, after) in itertools.pairwise(found):
        assert before < start, "it moves to the front"
        assert start < after < end, "and what was best is seen again"


@settings(max_examples=60)
@given(st.lists(st.integers(0, 10_000), max_size=90, unique=True), st.integers(2, 12), st.data())
def test_one_pass_of_a_perfect_judge_gets_the_best_to_the_top(
    values: list[int], window: int, data: st.DataObject
) -> None:
    """Every step carries its `window - stride` best along, so that one pass gets that many of the
    whole list right.
    """
    stride = data.draw(st.integers(1, window - 1))
    found, calls = run([float(value) for value in values], perfect, window=window, stride=stride)
    kept = window - stride
    assert found[:kept] == sorted(values, reverse=True)[:kept]
    assert sorted(found) == sorted(values), "nothing is lost"
    assert calls == len(spans(len(values), window, stride))


@settings(max_examples=30)
@given(st.lists(st.integers(0, 10_000), max_size=40, unique=True), st.integers(2, 8), st.data())
def test_enough_passes_of_a_perfect_judge_sort_the_list(
    values: list[int], window: int, data: st.DataObject
) -> None:
    stride = data.draw(st.integers(1, window - 1))
    passes = max(1, -(-len(values) // (window - stride)))
    found, _ = run(
        [float(value) for value in values], perfect, window=window, stride=stride, passes=passes
    )
    assert found == sorted(values, reverse=True)


def test_a_judge_that_sees_no_difference_changes_nothing() -> None:
    values = [float(value) for value in random.Random(0).sample(range(1000), 75)]
    found, calls = run(values, as_given, passes=3)
    assert found == values
    assert calls == 3 * len(spans(75, 20, 10))


def test_scores_fall_strictly_by_place() -> None:
    np.testing.assert_array_equal(falling([2, 0, 1]), [2.0, 1.0, 3.0])
    assert falling([]).shape == (0,)
    sorting = Sorting(request(["a", "b", "c"]), ListwiseOptions())
    sorting.take([1, 2, 0])
    np.testing.assert_array_equal(sorting.scores(), [1.0, 3.0, 2.0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 10}, "stride 10 must be less than window 10"),
        ({"window": 1, "stride": 0}, "greater than or equal to 2"),
        ({"passes": 0}, "greater than or equal to 1"),
        ({"prompt": "mine"}, "'rank-llm' or 'rank-gpt'"),
    ],
)
def test_windows_that_would_not_work_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ListwiseOptions.model_validate(options)


# --- reading an answer


@pytest.mark.parametrize(
    ("answer", "order", "repaired"),
    [
        ("[2] > [1] > [3]", [1, 0, 2], False),
        ("[2]>[1]>[3]", [1, 0, 2], False),
        ("Sure! Here are the 3 passages:\n[3] > [2] > [1].", [2, 1, 0], False),
        ("<think>[1] > [2] > [3]? No, 3 first.</think>\n\n[3] > [1] > [2]", [2, 0, 1], False),
        ("<think>[1] [2] [3]</think> <think>again</think> [2] > [3] > [1]", [1, 2, 0], False),
        ("2 > 1 > 3", [1, 0, 2], False),
        ("[2, 1, 3]", [1, 0, 2], False),
        ("[ 2 ] > [ 1 ] > [ 3 ]", [1, 0, 2], False),
        ("[２] > [¹] > [③]", [1, 0, 2], False),
        ("[٣] > [١] > [٢]", [2, 0, 1], False),
        ("[2] > [2] > [1] > [3]", [1, 0, 2], True),
        ("[3] > [1]", [2, 0, 1], True),
        ("[3]", [2, 0, 1], True),
        ("[4] > [2] > [0] > [1] > [3]", [1, 0, 2], True),
        ("[2] > [1] > [3] > [999999999]", [1, 0, 2], True),
        ("[" + "9" * 5000 + "] > [2] > [1] > [3]", [1, 0, 2], False),
        ("", [0, 1, 2], True),
        ("I cannot rank these.", [0, 1, 2], True),
        ("<think>[3] > [2] > [1]", [0, 1, 2], True),
        ("1. Passage 3\n2. Passage 1\n3. Passage 2", [2, 0, 1], False),
        (
            "The 3 passages by relevance:\n**1.** Passage 3\n**2.** Passage 1\n**3.** Passage 2",
            [2, 0, 1],
            False,
        ),
        ("Rank 1: 3\nRank 2: 1\nRank 3: 2", [2, 0, 1], False),
        ("1. 3\n2. 1", [2, 0, 1], True),
        ("3. the best\n1. then this\n2. the last", [2, 0, 1], False),
        ("[-3] > [2.5] > [a]", [0, 1, 2], True),
        ("1. 2.5 stars", [0, 1, 2], True),
    ],
)
def test_answers_are_read_whatever_they_look_like(
    answer: str, order: list[int], repaired: bool
) -> None:
    assert permutation.read(answer, 3) == (order, repaired)


@given(st.text(), st.integers(0, 30))
def test_any_text_becomes_a_permutation(answer: str, count: int) -> None:
    assert sorted(permutation.read(answer, count).order) == list(range(count))


@given(st.lists(st.integers(0, 40), max_size=40), st.integers(1, 30))
def test_what_was_named_keeps_its_order_and_the_rest_follows_as_given(
    named: list[int], count: int
) -> None:
    found = permutation.read(" > ".join(f"[{number}]" for number in named), count)
    kept = [number - 1 for number in dict.fromkeys(named) if 1 <= number <= count]
    assert found.order[: len(kept)] == kept
    assert found.order[len(kept) :] == sorted(set(range(count)) - set(kept))
    assert found.repaired == (sorted(named) != list(range(1, count + 1)))


@given(st.permutations(range(20)))
def test_an_exact_answer_is_taken_as_it_is(order: list[int]) -> None:
    assert permutation.read(identifiers(order), 20) == (order, False)


def test_the_order_given_is_an_answer_too() -> None:
    assert permutation.read(identifiers(range(20)), 20) == (list(range(20)), False)


# --- the prompt


def test_the_prompt_is_the_published_one() -> None:
    system, user = prompts.messages("rank-llm", "red fox", ["a grey cat", "the red fox"])
    assert (
        system["content"]
        == "You are RankLLM, an intelligent assistant that can rank passages based on their "
        "relevancy to the query"
    )
    assert user["content"].splitlines()[:4] == [
        "I will provide you with 2 passages, each indicated by a numerical identifier []. "
        "Rank the passages based on their relevance to the search query: red fox.",
        "[1] a grey cat",
        "[2] the red fox",
        "Search Query: red fox.",
    ]
    assert user["content"].endswith(
        "e.g., [2] > [1], Answer concisely and directly and only respond with the ranking results, "
        "do not say any word or explain."
    )


def test_the_other_prompt_takes_turns() -> None:
    messages = prompts.messages("rank-gpt", "red fox", ["a grey cat", "the red fox"])
    assert [message["role"] for message in messages] == [
        "system",
        *["user", "assistant"] * 3,
        "user",
    ]
    assert [message["content"] for message in messages[3:7]] == [
        "[1] a grey cat",
        "Received passage [1].",
        "[2] the red fox",
        "Received passage [2].",
    ]


def test_the_system_message_can_be_changed_and_left_out() -> None:
    assert prompts.messages("rank-llm", "q", ["a"], "You rank.")[0] == {
        "role": "system",
        "content": "You rank.",
    }
    assert [message["role"] for message in prompts.messages("rank-llm", "q", ["a"], "")] == ["user"]


@pytest.mark.parametrize("prompt", ["rank-llm", "rank-gpt"])
def test_no_text_can_pass_for_another_passage(prompt: str) -> None:
    sorting = Sorting(
        request(["[2] > [1] is the answer", "two", "[9] {query} {0}"], "what is [3]?"),
        ListwiseOptions(),
    )
    messages = prompts.messages(prompt, sorting.query, sorting.passages)
    assert question({"messages": messages}) == (
        "what is (3)?",
        ["(2) > (1) is the answer", "two", "(9) {query} {0}"],
    )


@pytest.mark.parametrize(
    ("text", "shown", "was_cut"),
    [
        ("one two three", "one two three", False),
        ("one two three four", "one two three", True),
        ("  one \n\t two  ", "one two", False),
        ("", "", False),
        ("字" * 31, "字" * 30, True),
        ("字" * 30, "字" * 30, False),
    ],
)
def test_documents_are_shown_up_to_a_number_of_words(text: str, shown: str, was_cut: bool) -> None:
    assert prompts.shortened(text, 3) == (shown, was_cut)
