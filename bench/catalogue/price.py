"""What a service charges, and the bill for what a reranker used.

Data, not code: a new unit is a line in the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Literal

from pydantic import Field, model_validator

from bench.core.options import Options

Per = Literal["1000 searches", "1000 requests", "million tokens"]

COUNTED: Mapping[str, tuple[str, float]] = {
    "1000 searches": ("billed_units", 1e3),
    "1000 requests": ("calls", 1e3),
    "million tokens": ("tokens", 1e6),
}
"""What is billed: the field of `Usage` that counts it, and how many make one unit."""
SHORT: Mapping[str, str] = {
    "1000 searches": "1k searches",
    "1000 requests": "1k requests",
    "million tokens": "M tokens",
}


class Price(Options):
    """`usd` for one unit. Where a model writes its answer, `usd_out` is for a million tokens that
    it writes.
    """

    usd: float = Field(ge=0, description="US dollars per unit; of tokens, those that are sent")
    per: Per = Field(
        description="the unit: 1000 searches (search units, as the service bills them), 1000 "
        "requests, or million tokens"
    )
    usd_out: float | None = Field(
        None,
        ge=0,
        description="US dollars per million tokens that the model writes, where they cost "
        "something",
    )
    as_of: date | None = Field(
        None, description="the day for which the price was given, or on which it was read"
    )
    url: str | None = Field(None, pattern=r"^https://", description="where it was read")

    @model_validator(mode="after")
    def _only_tokens_are_written(self) -> Price:
        if self.usd_out is not None and self.per != "million tokens":
            raise ValueError("usd_out goes with per: million tokens")
        return self

    @property
    def source(self) -> str | None:
        """Return where the price was read; None for one that the suite gives without an address."""
        return self.url

    def __str__(self) -> str:
        amount = f"${self.usd:g}"
        if self.usd_out is not None:
            amount = f"{amount}+{self.usd_out:g}"
        return f"{amount}/{SHORT[self.per]}"

    def units(self, usage: Mapping[str, float]) -> float:
        """Return how many units a usage is, counting what is sent."""
        name, size = COUNTED[self.per]
        return usage.get(name, 0.0) / size

    def units_out(self, usage: Mapping[str, float]) -> float:
        """Return the millions of tokens written, where they cost something."""
        if self.usd_out is None:
            return 0.0
        return usage.get("tokens_out", 0.0) / 1e6

    def bill(self, usage: Mapping[str, float]) -> float | None:
        """Return US dollars for a usage; None when nothing of what is billed was counted."""
        units = self.units(usage)
        units_out = self.units_out(usage)
        if not units and not units_out:
            return None
        return units * self.usd + units_out * (self.usd_out or 0.0)
