"""Metamorphic tests of rerankers: what should not change the order, or a score in one direction
only, is changed. A new one is a file in this folder, a line in the table, and its name among those
that gates may ask for.
"""

from __future__ import annotations

from collections.abc import Mapping

from bench.probes import (
    alone,
    batch_size,
    blank,
    duplicate,
    injection,
    json_text,
    length,
    markdown,
    negation,
    neighbour,
    paraphrase,
    position,
    repetition,
    reversed_input,
    second_call,
    shuffled_input,
    split_list,
    title,
    typos,
    upper_case,
)
from bench.probes.base import Probe

SECOND_CALL = "second-call"
PROBES: Mapping[str, Probe] = {
    SECOND_CALL: second_call.PROBE,
    "reversed": reversed_input.PROBE,
    "shuffled": shuffled_input.PROBE,
    "alone": alone.PROBE,
    "batch-size": batch_size.PROBE,
    "neighbour": neighbour.PROBE,
    "split": split_list.PROBE,
    "blank": blank.PROBE,
    "duplicate": duplicate.PROBE,
    "title": title.PROBE,
    "json": json_text.PROBE,
    "markdown": markdown.PROBE,
    "paraphrase": paraphrase.PROBE,
    "negation": negation.PROBE,
    "repetition": repetition.PROBE,
    "length": length.PROBE,
    "injection": injection.PROBE,
    "position": position.PROBE,
    "upper-case": upper_case.PROBE,
    "typos": typos.PROBE,
}
"""In the order of the report, which is that of the names that gates may ask for."""
