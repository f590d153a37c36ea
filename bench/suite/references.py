"""The rows that every table has, the first stage's own order and the oracle: no other row may have
their names, and neither competes.
"""

from __future__ import annotations

from bench import rerankers
from bench.contract.part import Part
from bench.contract.trial import REFERENCES
from bench.core.errors import SuiteError
from bench.suite.naming import display_name


def refuse_name(name: str) -> None:
    """Raise SuiteError for a row that would be called as a reference is."""
    if name.strip().casefold() in REFERENCES:
        raise SuiteError(
            f"'{name}' is the name of a row that every table has: give it another 'name'"
        )


def refuse_reranker(part: Part) -> None:
    """Raise SuiteError for a reranker with the name of a reference, and for a reference under the
    name of its class.
    """
    if part.name in REFERENCES:
        # it is a row in any case
        return
    if rerankers.is_reference(part.name):
        raise SuiteError(
            f"'{part.name}' is a reference and competes with no reranker; every table has a row "
            "of it: remove it"
        )
    refuse_name(display_name(part))


def refuse_stage(stage: Part, pipeline: str) -> None:
    """Raise SuiteError for a reference among the stages of a pipeline."""
    if rerankers.is_reference(stage.name):
        raise SuiteError(
            f"pipeline '{pipeline}': '{stage.name}' is a reference and no stage; every table has "
            "a row of it: remove it from the stages"
        )
