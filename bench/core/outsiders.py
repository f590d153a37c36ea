"""What a failure of code that was not written for this project is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench.core.errors import BenchError, first_line


class OutsiderError(BenchError):
    """Code of an outsider raised something, or exited: `cause` is what it raised."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(first_line(cause))
        self.cause = cause


@contextmanager
def outsiders_code() -> Iterator[None]:
    """Raise OutsiderError for whatever the block raises.

    A reranker, dataset or first stage of an outsider may raise anything, or exit: it ends what it
    is a part of, and nothing else. Errors of ours say what is wrong already, and a person who
    interrupts means the run: both pass through as they are.
    """
    try:
        yield
    except (BenchError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise OutsiderError(error) from error
