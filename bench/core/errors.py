"""Everything that rerank-bench prints for a user instead of a traceback.

BenchError               one or two plain lines, exit code 2
|-- SuiteError           the suite file: unknown key, wrong type, missing file
|-- DataError            documents, queries, qrels or run files that cannot be used
|-- RecordError          a run folder that cannot be read
|-- CalibrationError     scores that cannot be calibrated, a calibration file that cannot be used
|-- IncomparableError    records that answer different questions, exit code 3
|-- ExecutorError        there is no room for the work where it is to be done: the run ends
|-- RerankerError        a reranker gave unusable scores or cannot run as configured
`-- Unavailable          a package, weight, key or device that is not here; an optional row is
                         skipped
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from bench.core.printable import printable, shortened

LONG = 600
"""Characters from which a problem with a line of a file is cut."""
CLOSE = 0.5
"""How alike two names are from which one may be meant by the other (difflib's ratio)."""
ALMOST_SURE = 0.8
"""How alike two names are from which one is nearly always a slip of the other."""


class BenchError(Exception):
    """A problem that the user can mend. `str(error)` is what is printed; `exit_code` is what the
    command returns.
    """

    exit_code = 2


class SuiteError(BenchError):
    """The suite cannot be used as written."""


class DataError(BenchError):
    """A collection or a run file cannot be used as it is."""

    @classmethod
    def at(cls, path: Path | str, line: int, problem: str) -> DataError:
        """Return an error that names its file and its line (counted from 1).

        A cell as long as a book is cut out of its middle.
        """
        if len(problem) > LONG:
            problem = f"{problem[: LONG // 2]} ... {problem[-LONG // 2 :]}"
        return cls(f"{path}:{line}: {problem}")


class RecordError(BenchError):
    """A run folder is missing, incomplete or of an unknown schema."""


class CalibrationError(BenchError):
    """Scores have no map to probabilities, or a calibration file cannot be used."""


class IncomparableError(BenchError):
    """Two records were asked different questions: their difference would mean nothing. Names the
    fields that differ.
    """

    exit_code = 3


class ExecutorError(BenchError):
    """The place where work is to be done has no room for it: it ends the run, and no row alone."""


class RerankerError(BenchError):
    """A reranker cannot run as configured, or returned scores that cannot be used."""


class Unavailable(BenchError):
    """Something a reranker, dataset or first stage needs is not on this machine.

    `reason` is a few words for a table cell ("no CO_API_KEY"), `fix` the sentence that helps
    ("export CO_API_KEY=...").
    """

    def __init__(self, reason: str, fix: str = "") -> None:
        message = reason
        if fix:
            message = f"{reason}. {fix}"
        super().__init__(message)
        self.reason = reason
        self.fix = fix


def first_line(error: BaseException) -> str:
    """Return an error as one line: its type and the first line of what it says, as far as it says
    something.
    """
    try:
        text = str(error).strip().partition("\n")[0]
    except Exception:  # an outsider's error, whose own text raises
        text = ""
    # half a character can be shown nowhere
    text = printable(text.encode("utf-8", "backslashreplace").decode())
    if not text:
        return type(error).__name__
    return shortened(f"{type(error).__name__}: {text}")


def reading_problem(error: OSError | UnicodeDecodeError) -> str:
    """Return why a text file cannot be read."""
    if isinstance(error, UnicodeDecodeError):
        return "is not text in UTF-8"
    return error.strerror or str(error)


def causes(error: BaseException) -> list[BaseException]:
    """Return an error and what it came from, the error itself first."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    return chain


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the closest valid name, or lists them all when none is close."""
    names = sorted(known)
    close = nearest_of(name, names)
    if close:
        return f"did you mean '{close}'?"
    return f"known: {', '.join(names)}"


def nearest_of(name: str, known: Iterable[str], cutoff: float = CLOSE) -> str:
    """Return the valid name that is closest; empty where none is close. Case does not count."""
    by_folded = {valid.casefold(): valid for valid in known}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=cutoff)
    if not close:
        return ""
    return by_folded[close[0]]


def nearest_of_many(name: str, known: Iterable[str], command: str) -> str:
    """Return a hint that names the closest valid name and the command that lists them all.

    For names of which there are too many for a message.
    """
    close = nearest_of(name, known)
    if not close:
        return f"`{command}` lists the known ones"
    return f"did you mean '{close}'? `{command}` lists all"
