"""The measures that a run holds, by the names that people write."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence

from bench.core.errors import BenchError, RecordError, nearest
from bench.quality.measures import JUDGED
from bench.quality.names import meant
from bench.quality.score_measures import is_of_scores
from bench.records.judges import refuse_unjudged
from bench.records.run import Run


def resolve_measure(run: Run, wanted: str | None, trials: Container[str] | None = None) -> str:
    """The full name of a measure that the run holds, of the `trials` with these ids if given: the
    headline when None; `RR@10` finds `RR(rel=2)@10`, which it is called where grade 2 is relevant.
    """
    names: dict[str, None] = {}
    for trial_id, record in run.records.items():
        if trials is None or trial_id in trials:
            names |= dict.fromkeys(record.quality)
    measures = list(names)
    if not measures:
        refuse_unjudged(run)
        raise RecordError(
            f"{run.folder}: no trial of this run finished, so there is nothing to compare"
        )
    if wanted is None:
        return next((name for name in measures if name != JUDGED), JUDGED)
    if wanted in measures:
        return wanted
    _refuse_of_scores(wanted)
    alike = [name for name in measures if _short(name) == wanted.casefold()]
    if len(alike) == 1:
        return alike[0]
    hint = nearest(meant(wanted) or wanted, measures)
    raise BenchError(f"{run.folder}: its records hold no {wanted}: {hint}")


def require_measured(measures: Sequence[str], wanted: str | None) -> None:
    """Raise BenchError where a run that takes these measures will not hold the one that is wanted:
    before anything is scored.
    """
    if wanted is None:
        return
    _refuse_of_scores(wanted)
    if _short(wanted) not in map(_short, (*measures, JUDGED)):
        hint = nearest(meant(wanted) or wanted, list(measures))
        raise BenchError(f"the suite takes no {wanted}: {hint}")


def _refuse_of_scores(wanted: str) -> None:
    if is_of_scores(wanted):
        raise BenchError(
            f"{wanted} is a measure of scores over all pairs together: it has no value per query "
            f"to compare, test or choose by. The report and `calibrate` show it, and a gates file "
            f"guards it by quality: {{{wanted}: 0.01}}"
        )


def _short(measure: str) -> str:
    """Return a measure's name without what is in parentheses, in lower case."""
    return re.sub(r"\(.*?\)", "", measure).casefold()
