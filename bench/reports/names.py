"""What reports call trials and groups, the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.contract.trial import Trial
from bench.core.counting import candidates, counted
from bench.quality.statistics import ALPHA, Difference, smallest_p
from bench.records.rows import GroupKey, Row
from bench.reports import numbers


def device_of(trial: Trial) -> str:
    """Return the device of a trial; empty where it has none."""
    return trial.device or ""


def name_of(trial: Trial) -> str:
    """Return the reranker of a trial, and its device where it has one."""
    return trial.label


def title_of(group: GroupKey, longest: int | None = None) -> str:
    """Return the title of a group: dataset, first stage, candidates. `longest` is the number of
    candidates of the query that has the most.
    """
    dataset, first_stage, depth = group
    return f"{dataset}, {first_stage}, {candidates(depth, longest)}"


def about(rows: Sequence[Row], members: Sequence[Row], labels: Mapping[str, str]) -> str:
    """Return whom a note is about: the rows by name, or all rerankers. `labels` are by trial id."""
    rerankers = [row for row in members if row.trial.kind != "reference"]
    if len(rerankers) > 1 and list(rows) == rerankers:
        return "every reranker"
    return ", ".join(labels[row.trial.id] for row in rows)


def at_odds(differences: Sequence[Difference]) -> str:
    """Return why the intervals of these differences exclude 0 though p is .05 or more; empty where
    none does.
    """
    odd = [difference for difference in differences if difference.is_at_odds]
    if not odd:
        return ""
    widest = max(odd, key=lambda difference: difference.moved)
    move = f"{widest.moved} of {counted(widest.queries, 'query')} move"
    move = move if len({difference.moved for difference in odd}) == 1 else f"at most {move}"
    return (
        f"the 95 % interval of Δ excludes 0 though p is .05 or more: {move}, and the "
        "fewer move, the more a bootstrap interval is too narrow; go by p"
    )


def too_few(difference: Difference) -> bool:
    """Return whether no p below .05 can come of the queries that moved."""
    return difference.moved > 0 and smallest_p(difference.moved) > ALPHA


def too_few_moved(difference: Difference, of: str = "") -> str:
    """Return that the queries which moved allow no small p, and which is the smallest. `of` is what
    they should tell.
    """
    smallest = numbers.p_value(smallest_p(difference.moved))
    queries = f"{counted(difference.queries, 'query')}, of which {difference.moved} move,"
    return f"{queries} are too few to tell{of}: the smallest p they allow is {smallest}"


def as_sentence(text: str) -> str:
    """Return a note as a sentence."""
    return f"{text[:1].upper()}{text[1:]}."
