"""Scale: the scores must mean what they meant, whoever gives them. A model that halves its scores
and keeps every order leaves quality as it is, and moves every threshold, cut and weighted sum that
was set on the old ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.comparison.pairs import Side, comparable
from bench.comparison.scale import Scale, scale, scale_tolerance
from bench.core.counting import counted, two_digits
from bench.core.errors import IncomparableError
from bench.gate.asking import Context
from bench.gate.file import ACROSS, RerankerGates, ScaleGate
from bench.gate.verdict import Gate, Line, Outcome

SAME_ORDER = 0.995
"""Mean Kendall tau from which on two orders are called the same."""


def ask(new: Side, baseline: Side, questions: RerankerGates, context: Context) -> Iterator[Gate]:
    """Yield the scale gate where the file asks for it."""
    if questions.scale:
        yield scale_gate(new, baseline, questions.scale, context.across)


def scale_gate(new: Side, baseline: Side, question: ScaleGate, across: Sequence[str] = ()) -> Gate:
    """Whether the scores of a row lie where they lay. Inconclusive where one of the runs holds no
    scores, and without a say where scores only number places, which have no scale.
    """
    try:
        comparable(new, baseline, across, ACROSS)
    except IncomparableError as error:
        return Gate(new.trial, "scale", "incomparable", "not compared", remark=str(error))
    for side, run in ((baseline, "the baseline"), (new, "the new run")):
        if not side.run.has_ranking(side.trial.id):
            reason = f"its scores are not in {run}: save or run it anew"
            return Gate(new.trial, "scale", "inconclusive", f"not in {run}", remark=reason)
    share = question.score
    if share is None:
        share = scale_tolerance(new, baseline).score
    measured = scale(new, baseline, share)
    if measured.is_order_only:
        reason = "its scores number the places of an order, in both runs: they have no scale"
        return Gate(new.trial, "scale", "incomparable", remark=reason, decides=False)
    return _answer(new, baseline, measured, share)


def _answer(new: Side, baseline: Side, measured: Scale, share: float) -> Gate:
    outcome = _outcome(measured)
    distance = f"{measured.share:.2%} of the range"
    limit = f"≤ {share:.2%}"
    best = f"{two_digits(measured.best.before)} → {two_digits(measured.best.now)}"
    lowest = f"{two_digits(measured.lowest.before)} → {two_digits(measured.lowest.now)}"
    remarks: list[str] = []
    if outcome == "fail":
        remarks.append(_changed(measured, best, lowest))
        if new.record.system.hash == baseline.record.system.hash:
            remarks.append("the same system by its record")
    if measured.unshared:
        remarks.append(f"{counted(measured.unshared, 'query')} ranked by one run only")
    return Gate(
        trial=new.trial,
        name="scale",
        outcome=outcome,
        measured=f"{distance}, tau {measured.tau:.3f}",
        limit=limit,
        remark="; ".join(remarks),
        numbers={**measured.to_dict(), "outcome": outcome, "max_share": share},
        lines=(
            Line("scale", distance, limit),
            Line("scale, best score", best, ""),
            Line("scale, lowest score", lowest, ""),
        ),
    )


def _outcome(measured: Scale) -> Outcome:
    if measured.is_within is None:
        return "inconclusive"
    return "pass" if measured.is_within else "fail"


def _changed(measured: Scale, best: str, lowest: str) -> str:
    """Return what became of the scores, in one line."""
    order = "same order, other scale"
    if measured.tau < SAME_ORDER:
        order = f"other scale, and another order (tau {measured.tau:.3f})"
    return (
        f"{order}: the best score of a query went {best}, the lowest {lowest} (medians), and "
        f"{measured.moved} of {counted(measured.queries, 'query')} moved by more than is allowed: "
        "thresholds, cuts, calibration maps and weighted sums of the old scale hold no more"
    )
