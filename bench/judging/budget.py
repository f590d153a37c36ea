"""What a judge may spend: no request starts that could take the sum beyond it."""

from __future__ import annotations

from threading import Lock

from bench.catalogue.price import Price
from bench.contract.request import Usage
from bench.core.errors import BenchError, RerankerError


class Budget:
    """Dollars that are spent and dollars of the requests in flight. Several threads may use it.

    `usd` is the most that may be spent, None where there is no limit; `price` is None where it is
    not known, or nothing is paid.
    """

    def __init__(self, usd: float | None = None, price: Price | None = None) -> None:
        """Raises BenchError for a limit on what has no price."""
        if usd is not None and price is None:
            raise BenchError("--max-cost needs a price: give it with --price, or leave it out")
        self._limit = usd
        self._price = price
        self._spent = 0.0
        self._reserved = 0.0
        self._counting = Lock()

    def reserve(self, usage: Usage) -> float:
        """Set aside what a request will cost, by a forecast of its usage, and return it. Raises
        RerankerError where that could take the sum beyond the limit.
        """
        if self._limit is None:
            return 0.0
        usd = self._bill(usage)
        with self._counting:
            if self._spent + self._reserved + usd > self._limit:
                raise RerankerError(
                    f"--max-cost {self._limit:g} is reached: ${self._spent:.4f} are spent; what "
                    "was answered is kept, run again with more to go on"
                )
            self._reserved += usd
        return usd

    def settle(self, reserved: float, usage: Usage) -> None:
        """Count what a request has cost in place of what was set aside for it."""
        if self._limit is None:
            return
        with self._counting:
            self._reserved -= reserved
            self._spent += self._bill(usage)

    def _bill(self, usage: Usage) -> float:
        if self._price is None:
            return 0.0
        return self._price.bill(vars(usage)) or 0.0
