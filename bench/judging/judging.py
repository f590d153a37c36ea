"""The loop: what is not answered yet is asked, answers are kept as they come, and the judgments are
written when every pair has its answer or its reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from bench.contract.request import Usage
from bench.core.errors import RerankerError
from bench.core.progress import Observer
from bench.judging.answers import Answers, Reply
from bench.judging.assignment import Asking, Assignment, questions
from bench.judging.grades import NoGrade, grade_in
from bench.judging.judges import Judge, Question, Utterance
from bench.judging.pool import Pair


@dataclass(frozen=True)
class Judged:
    """What became of an assignment: a grade per pair, or the reason why there is none."""

    assignment: Assignment
    grades: Mapping[Pair, int]
    reasons: Mapping[Pair, str]
    replies: Sequence[Reply]

    @property
    def usage(self) -> Usage:
        """What the answers took, whenever they came."""
        return Usage(
            calls=len(self.replies),
            tokens=sum(reply.tokens for reply in self.replies),
            tokens_out=sum(reply.tokens_out for reply in self.replies),
        )


def ask(
    judge: Judge,
    assignments: Sequence[Assignment],
    asking: Asking,
    answers: Answers,
    observer: Observer,
) -> list[Judged]:
    """Ask what is to be asked; return what became of each assignment. Raises BenchError where the
    judge gives up or another model answers by now; what was heard until then is kept, unless it is
    not known who said it.
    """
    waiting = [assignment for assignment in assignments if assignment.to_ask]
    if waiting:
        judge.load()
    reasons: dict[str, str] = {}
    heard = partial(_heard, answers)
    for assignment in waiting:
        total = len(assignment.to_ask)
        with observer.task(f"judging {assignment.pool.dataset}", total, "pairs") as advance:
            for batch in questions(assignment, asking):
                reasons |= judge.ask(batch, heard, partial(advance, 1))
    if waiting:
        _refuse_another(judge, answers)
    return [_judged(assignment, answers, reasons) for assignment in assignments]


def _refuse_another(judge: Judge, answers: Answers) -> None:
    try:
        judge.doubt()
    except RerankerError:
        answers.forget()
        raise


def _heard(answers: Answers, question: Question, utterance: Utterance) -> str | None:
    """Keep an answer; return why it has no grade, None where it has one."""
    grade: int | None = None
    reason: str | None = None
    try:
        grade = grade_in(utterance.text, is_cut=utterance.is_cut)
    except NoGrade as problem:
        reason = str(problem)
    answers.add(
        Reply(
            question.key,
            question.query_id,
            question.doc_id,
            utterance.text,
            grade,
            reason or "",
            utterance.model,
            utterance.usage.tokens,
            utterance.usage.tokens_out,
            round(utterance.seconds, 3),
            datetime.now(UTC).isoformat(timespec="seconds"),
        )
    )
    return reason


def _judged(assignment: Assignment, answers: Answers, new: Mapping[str, str]) -> Judged:
    grades: dict[Pair, int] = {}
    reasons = dict(assignment.reasons)
    for pair, key in assignment.keys.items():
        grade = answers.grade(key)
        if grade is not None:
            grades[pair] = grade
        elif key in new:
            reasons[pair] = new[key]
    replies: list[Reply] = []
    for key in dict.fromkeys(assignment.keys.values()):
        replies += answers.of(key)
    return Judged(assignment, grades, reasons, replies)
