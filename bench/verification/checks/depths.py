"""Quality at every smaller depth, from the same scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core.errors import RecordError
from bench.latency.sweep_plan import SETTINGS
from bench.quality import depth_curve
from bench.records.tables import DEPTHS, file_of, read_stretches
from bench.verification.evidence import Evidence, TrialEvidence
from bench.verification.finding import Code, Ledger, Place, Reason

if TYPE_CHECKING:
    import pandas as pd


def check(evidence: Evidence, ledger: Ledger) -> None:
    for trial in evidence.trials:
        with ledger.reading(trial.file(DEPTHS)):
            _other_systems(trial, ledger)
            _check(trial, ledger)


def _other_systems(trial: TrialEvidence, ledger: Ledger) -> None:
    """Say which settings of a sweep were scored, too: their scores are not kept."""
    folder = file_of(trial.group.evidence.folder, DEPTHS, trial.id).with_suffix("")
    for path in sorted(folder.glob("*.parquet")):
        ledger.gap(Reason.OTHER_SYSTEM, f"{DEPTHS.name}/{trial.id}/{path.name}")


def _check(trial: TrialEvidence, ledger: Ledger) -> None:
    import pandas as pd

    folder = trial.group.evidence.folder
    parts = [rows.to_pandas() for rows in read_stretches(folder, DEPTHS, trial.id)]
    parts = [rows for rows in parts if len(rows)]
    if not parts:
        return
    table = pd.concat(parts, ignore_index=True)
    own = table[[f"system_{name}" for name in SETTINGS]].isna().all(axis=1)
    questions = trial.group.questions
    if questions is None or not trial.orders:
        ledger.gap(Reason.NO_CANDIDATES, trial.file(DEPTHS))
        return
    rows = table[own]
    depths = sorted(map(int, rows["depth"].unique()))
    try:
        curve = depth_curve.curve(trial.orders, questions, depths)
    except KeyError as error:
        raise RecordError(f"a ranking holds {error}, which is no candidate") from error
    _compare(trial, rows, curve, ledger)


def _compare(
    trial: TrialEvidence, rows: pd.DataFrame, curve: depth_curve.Curve, ledger: Ledger
) -> None:
    file = trial.file(DEPTHS)
    columns = (rows[name].tolist() for name in ("depth", "measure", "query", "value"))
    for depth, measure, query_id, value in zip(*columns, strict=True):
        expected = curve[depth].get(measure, {}).get(query_id)
        place = Place(file, query_id, key=f"{measure} at depth {depth}")
        ledger.near(Code.DEPTH_VALUE, place, expected, value)
    count = 0
    for by_measure in curve.values():
        count += sum(len(values) for values in by_measure.values())
    ledger.same(Code.COUNT, Place(file), count, len(rows))
