"""Timings of earlier versions, which wrote the rate of a load into the name of its scenario:
"server 2.5/s".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from bench.records.schema import Record

if TYPE_CHECKING:
    import pandas as pd

POOLED = "*"
"""Stood for the query of a call of several."""
PACKED = re.compile(r"^server ([0-9.e+-]+)/s$")


def unpacked(table: pd.DataFrame, records: Mapping[str, Record]) -> pd.DataFrame:
    """Return a table of timings in which the rate of a load is a column of its own, and calls of
    several queries have no query.

    The name holds three digits of a rate; the record of its trial holds all of them.
    """
    if (table["query"] == POOLED).any():
        table = table.assign(query=table["query"].mask(table["query"] == POOLED))
    packed = [name for name in table["scenario"].unique() if PACKED.match(name)]
    if not packed:
        return table
    rates = dict(_rates(records))
    table = table.copy()
    rate = table["rate"].astype(object)
    for name in packed:
        match = PACKED.match(name)
        written = float(match.group(1)) if match else None
        for trial in table.loc[table["scenario"] == name, "trial"].unique():
            rows = (table["scenario"] == name) & (table["trial"] == trial)
            rate[rows] = rates.get((trial, name), written)
    table["scenario"] = table["scenario"].mask(table["scenario"].isin(packed), "server")
    table["rate"] = rate.astype(float)
    return table


def _rates(records: Mapping[str, Record]) -> Iterator[tuple[tuple[str, str], float]]:
    """Yield (trial, name of its scenario) and the rate of each load in the records."""
    for trial, record in records.items():
        server = (record.latency or {}).get("server") or {}
        for load in server.get("loads", []):
            if "scenario" in load and "rate" in load:
                yield (trial, load["scenario"]), load["rate"]
