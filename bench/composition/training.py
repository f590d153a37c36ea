"""What the models of a composed pipeline were trained on."""

from __future__ import annotations

from bench.composition.chain import Chain
from bench.composition.stored import Stored
from bench.records.training import seen_families


def families_seen(dataset: Stored, chain: Chain) -> tuple[str, ...]:
    """Return the families of a collection that a model of a pipeline, its search included, was
    trained on.
    """
    searches = [group for group in dataset.groups if group.first == chain.first]
    if chain.first in dataset.hybrids:
        searches = list(dataset.hybrids[chain.first].members)
    trial_ids = [group.trial_id for group in searches]
    for row in chain.rows:
        trial_ids += [trial.trial_id for trial in dataset.trials[row]]
    families: dict[str, None] = {}
    for trial_id in trial_ids:
        families |= dict.fromkeys(seen_families(dataset.run.records[trial_id]))
    return tuple(families)
