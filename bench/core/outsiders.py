"""What a failure of code that was not written for this project is."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout

from bench.core.errors import BenchError, first_line


class OutsiderError(BenchError):
    """Code of an outsider raised something, or exited: `cause` is what it raised, `method` what of
    it was called, where that is worth a word.
    """

    def __init__(self, cause: BaseException, method: str = "") -> None:
        line = first_line(cause)
        if method:
            line = f"{method} raised {line}"
        super().__init__(line)
        self.cause = cause


@contextmanager
def outsiders_code(method: str = "") -> Iterator[None]:
    """Raise OutsiderError for whatever the block raises.

    A reranker, dataset or first stage of an outsider may raise anything, or exit: it ends what it
    is a part of, and nothing else. Errors of ours say what is wrong already, and a person who
    interrupts means the run: both pass through as they are. What it prints goes to standard error:
    a command's output is its own.
    """
    try:
        with _printing_apart():
            yield
    except (BenchError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise OutsiderError(error, method) from error


def _printing_apart() -> AbstractContextManager[object]:
    """Return a block that prints to standard error. The main thread's alone: threads that left in
    another order than they came would leave the streams exchanged.
    """
    if threading.current_thread() is threading.main_thread():
        return redirect_stdout(sys.stderr)
    return nullcontext()


def kind_of(value: object) -> str:
    """Return what an outsider's code has returned, in a word or two."""
    if value is None:
        return "None"
    if isinstance(value, str):
        return "text"
    return f"a value of type {type(value).__name__}"
