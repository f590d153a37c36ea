"""What code of an outsider raises becomes one kind of error; ours and a person's pass through."""

from __future__ import annotations

import pytest

from bench.core.errors import RerankerError
from bench.core.outsiders import OutsiderError, outsiders_code


class Odd(BaseException):
    """No Exception, as some libraries end a process."""


@pytest.mark.parametrize(
    "cause", [ValueError("a shape"), SystemExit(3), StopIteration(), GeneratorExit(), Odd("out")]
)
def test_whatever_an_outsider_raises_is_an_outsiders_error_with_its_cause(
    cause: BaseException,
) -> None:
    with pytest.raises(OutsiderError, match=f"^{type(cause).__name__}") as caught, outsiders_code():
        raise cause
    assert caught.value.cause is cause
    assert caught.value.__cause__ is cause


@pytest.mark.parametrize("error", [RerankerError("ours"), KeyboardInterrupt()])
def test_our_errors_and_an_interruption_pass_through(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, outsiders_code():
        raise error
    assert caught.value is error
