"""The parts of a judgment: the prompt as published, the grade in an answer, families of models."""

from __future__ import annotations

import click
import pytest

from bench.catalogue import entries
from bench.catalogue.model_families import MEMBERS, family_of
from bench.catalogue.price import Price
from bench.cli.judging import Body
from bench.contract.request import Usage
from bench.core.errors import RerankerError
from bench.judging import grades, prompt
from bench.judging.budget import Budget
from bench.judging.grades import NoGrade, grade_in

PUBLISHED = "c92537a4f97293dfe1fd5f3dccc3f7dea44e3ace65061a74dbf8afc833441546"
"""SHA-256 of qrel_zeroshot_bing.txt in castorini/umbrela at commit 16cba3e."""


def test_the_prompt_is_the_published_one_byte_for_byte() -> None:
    own = prompt.published()
    assert own.digest == PUBLISHED
    (message,) = own.messages("why {passage}?", "since {query}")
    assert "Query: why {passage}?\nPassage: since {query}\n" in message["content"]
    assert (
        message["content"]
        .replace("why {passage}?", "{query}")
        .replace("since {query}", "{passage}")
        == own.text
    )


@pytest.mark.parametrize(
    ("answer", "grade"),
    [
        ("##final score: 2", 2),
        ("## final score: 0\n", 0),
        ("M: 3\nT: 2\n##final score: 3", 3),
        ("**Final Score**: 1", 1),
        ('{"final_score": 2}', 2),
        ("The final score is 1.", 1),
        ("##final score: 2\n##final score: 2", 2),
        ("<think>final score: 3? no</think>\n##final score: 1", 1),
        ("3", 3),
        ("**2**", 2),
        ("[2].", 2),
    ],
)
def test_a_grade_is_read(answer: str, grade: int) -> None:
    assert grade_in(answer) == grade


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", grades.EMPTY),
        (" \n", grades.EMPTY),
        ("relevant", grades.NO_GRADE),
        ("M: 3, T: 2", grades.NO_GRADE),
        ("##final score: 1\n##final score: 2", grades.SEVERAL),
        ("##final score: 4", "4 is no grade"),
        ("##final score: 2.5", "2.5 is no grade"),
        ("##final score: 2/3", "2/3 is no grade"),
        ("##final score: -1", "-1 is no grade"),
        ("##final score: 2 or 3", "2 or 3 is no grade"),
        ("##final score: 1-2", "1-2 is no grade"),
        ("##final score: 12", "12 is no grade"),
        ("<think>final score: 3", grades.UNFINISHED),
        ("33", grades.NO_GRADE),
        ("-1", grades.NO_GRADE),
        ("\u22121", grades.NO_GRADE),
        ("<2", grades.NO_GRADE),
        ("2+", grades.NO_GRADE),
        ("final score: \u22121", "1 is no grade"),
        ("final score: 2 and 3", "2 and 3 is no grade"),
        ("final score: 2; 3", "2; 3 is no grade"),
    ],
)
def test_what_is_no_grade_is_none(answer: str, reason: str) -> None:
    with pytest.raises(NoGrade, match=reason):
        grade_in(answer)


def test_an_answer_that_ran_out_of_room_says_so() -> None:
    with pytest.raises(NoGrade, match="cut off before its grade; raise --max-tokens"):
        grade_in("Considering the intent of", is_cut=True)


def test_families_go_by_name() -> None:
    assert family_of("Qwen/Qwen3-Reranker-0.6B") == family_of("qwen2.5-7b-instruct") == "qwen"
    assert family_of("castorini/rank_zephyr_7b_v1_full") == "mistral"
    assert family_of("meta-llama/Meta-Llama-3-8B-Instruct") == "llama"
    assert family_of("openai/gpt-oss-20b") == "gpt"
    assert family_of("cross-encoder/ms-marco-MiniLM-L6-v2") is None
    assert family_of("phinance-7b") is None


def test_every_language_model_of_the_catalogue_has_a_family() -> None:
    """Their makers say what they were trained from: a judge of the same weights is no referee."""
    backends = ("llm", "listwise", "listwise-server")
    names = [
        str(entry.options["model"])
        for entry in entries.load().values()
        if entry.backend in backends
    ]
    assert len(names) >= 4
    assert {family_of(name) for name in names} <= set(MEMBERS)


def test_a_budget_counts_what_is_in_flight() -> None:
    budget = Budget(1.0, Price(usd=1e6, per="million tokens"))
    assert budget.reserve(Usage(calls=1)) == 0
    part = Budget(2.5, Price(usd=1e6, per="million tokens"))
    first = part.reserve(Usage(tokens=1))
    part.reserve(Usage(tokens=1))
    with pytest.raises(RerankerError, match=r"2\.5 is reached"):
        part.reserve(Usage(tokens=1))
    part.settle(first, Usage(tokens=0))
    part.reserve(Usage(tokens=1))


@pytest.mark.parametrize("text", ["{", "[1]", '{"a":' * 100_000])
def test_fields_of_a_request_that_are_no_json_object_are_refused(text: str) -> None:
    assert Body().convert('{"top_p": 1}', None, None) == {"top_p": 1}
    with pytest.raises(click.BadParameter, match="write a JSON object"):
        Body().convert(text, None, None)
