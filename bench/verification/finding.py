"""What a check of a run finds: what differs, what could not be checked, how much was."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from bench.core.errors import BenchError

ROUNDING = 1e-9
"""By how much sums of the same numbers may differ from library to library."""
Value = str | int | float | bool | None


class Code(StrEnum):
    """What differs; `wording.py` says it."""

    UNREADABLE = "unreadable"
    MISSING_FILE = "missing-file"
    EXTRA_FILE = "extra-file"
    NO_TRIAL = "no-trial"
    CHANGED_FILE = "changed-file"
    CHANGED_ROWS = "changed-rows"
    KEY_HASH = "key-hash"
    KEY_FIELD = "key-field"
    DATA_HASH = "data-hash"
    CANDIDATES_HASH = "candidates-hash"
    CANDIDATE = "candidate"
    DEPTH = "depth"
    ORDER = "order"
    SCORE = "score"
    BEST_ORDER = "best-order"
    QUERY = "query"
    VALUE = "value"
    MEAN = "mean"
    INTERVAL = "interval"
    DIFFERENCE = "difference"
    ABSENT = "absent"
    P_VALUE = "p-value"
    MOVED = "moved"
    DEPTH_VALUE = "depth-value"
    COUNT = "count"
    LOSS = "loss"
    LOSSES = "losses"
    STAGE = "stage"
    PERCENTILE = "percentile"
    CALLS = "calls"
    CALL = "call"
    USAGE = "usage"
    COST = "cost"
    RESCORED = "rescored"
    DRAWS = "draws"
    PRINTED = "printed"
    PRINTED_ROW = "printed-row"
    NOT_PRINTED = "not-printed"


class Reason(StrEnum):
    """Why something could not be checked; `wording.py` says it."""

    NO_DIGESTS = "no-digests"
    NO_SCORES = "no-scores"
    NO_RANKING = "no-ranking"
    NO_JUDGMENTS = "no-judgments"
    NO_CANDIDATES = "no-candidates"
    NO_STAGES = "no-stages"
    NO_TIMINGS = "no-timings"
    NO_LOSSES = "no-losses"
    NO_TEXTS = "no-texts"
    OTHER_DRAWS = "other-draws"
    OTHER_SYSTEM = "other-system"
    NOT_RESCORED = "not-rescored"
    UNFINISHED = "unfinished"
    NO_REPORT = "no-report"
    OTHER_REPORT = "other-report"


@dataclass(frozen=True)
class Place:
    """Where something is: a file of the folder and, as far as they say more, a query, a document, a
    key of the file.
    """

    file: str
    query: str = ""
    document: str = ""
    key: str = ""


@dataclass(frozen=True)
class Finding:
    """A value that is not what the rest of the folder gives."""

    code: Code
    place: Place
    expected: Value = None
    actual: Value = None


@dataclass(frozen=True)
class Gap:
    """What could not be checked. `text` is what somebody else says of the reason."""

    reason: Reason
    place: Place
    text: str = ""


@dataclass
class Ledger:
    """What one check has compared."""

    name: str
    compared: int = 0
    findings: list[Finding] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)

    def same(self, code: Code, place: Place, expected: Value, actual: Value) -> bool:
        """Count a comparison; add a finding unless both are the same."""
        self.compared += 1
        if expected == actual:
            return True
        self.findings.append(Finding(code, place, expected, actual))
        return False

    def near(
        self,
        code: Code,
        place: Place,
        expected: float | None,
        actual: float | None,
        tolerance: float = ROUNDING,
    ) -> bool:
        """Count a comparison; add a finding unless both are equal but for rounding."""
        self.compared += 1
        if expected is None or actual is None:
            is_near = expected is actual
        else:
            is_near = math.isclose(expected, actual, rel_tol=tolerance, abs_tol=tolerance)
        if not is_near:
            self.findings.append(Finding(code, place, expected, actual))
        return is_near

    def gap(self, reason: Reason, file: str, text: str = "", key: str = "") -> None:
        """Add what could not be checked, once."""
        gap = Gap(reason, Place(file, key=key), text)
        if gap not in self.gaps:
            self.gaps.append(gap)

    @contextmanager
    def reading(self, file: str) -> Iterator[None]:
        """Make a finding of what cannot be read in the block."""
        try:
            yield
        except BenchError as error:
            self.findings.append(Finding(Code.UNREADABLE, Place(file), actual=str(error)))
