"""What a search times, from a suite and the run that scored it: entries of first stages and rows,
hybrids that the suite does not name, and rows that learned in the run with what they learned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.composition.hybrids import Hybrid
from bench.composition.stored import Stored
from bench.contract.candidates import Candidates
from bench.contract.part import Part
from bench.core.progress import Observer
from bench.quality.questions import Questions
from bench.records.schema import Record
from bench.retrieval.requests import Requests
from bench.runner.retrieve import Retrieved, retrieve
from bench.serving.learned import model_file
from bench.suite.naming import display_name
from bench.suite.planning import Group, plan
from bench.suite.settled import is_settled, settled
from bench.suite.suite import Suite

NAMED = "a pipeline that the suite names: what is composed is made of its first stages and rows"


@dataclass(frozen=True)
class SuiteParts:
    """`entries` are those of first stages and rows, by their names in chains, and `retrieved` the
    candidates with texts. `settled` are rows that learned over a first stage, with what they
    learned: (first stage, row) -> entry; `models` their files. `left_out` are rows that are not
    composed, with the reason.
    """

    entries: Mapping[str, Part]
    retrieved: Mapping[str, Retrieved]
    settled: Mapping[tuple[str, str], Part] = field(default_factory=dict)
    models: Mapping[tuple[str, str], Path] = field(default_factory=dict)
    left_out: Sequence[tuple[str, str]] = ()

    def after(self, first: str, rows: Sequence[str], *, learned: bool) -> dict[str, Part]:
        """Return the entries of a first stage and of rows after it; with what they learned over
        it, where `learned` says so.
        """
        entries = {first: self.entries[first]}
        for row in rows:
            entries[row] = self.entries[row]
            if learned:
                entries[row] = self.settled.get((first, row), self.entries[row])
        return entries


def suite_parts(
    suite: Suite, device: str | None, observer: Observer, dataset: Stored
) -> SuiteParts:
    """Return the parts of a suite that a run has scored."""
    entries = {display_name(part): part for part in suite.rerankers}
    retrieved: dict[str, Retrieved] = {}
    names = {group.first for group in dataset.groups}
    pipelines: dict[str, str] = {}
    for group in plan(suite, device):
        name = display_name(group.first_stage)
        pipelines |= _pipelines(group)
        if name in names:
            entries[name] = group.first_stage
            retrieved[name] = retrieve(suite, group, observer)
    for name, hybrid in dataset.hybrids.items():
        entries[name] = hybrid_part(hybrid, entries)
        retrieved[name] = _of_hybrid(hybrid, retrieved, suite)
    settled_rows: dict[tuple[str, str], Part] = {}
    models: dict[tuple[str, str], Path] = {}
    for (first, row), record in _records(dataset):
        if row not in entries:
            continue
        model = model_file(dataset.run, record)
        facts = record.description.get("facts", {})
        if is_settled(entries[row], facts, model):
            settled_rows[first, row] = settled(entries[row], facts, model)
            if model is not None:
                models[first, row] = model
    left_out = tuple(pipelines.items())
    return SuiteParts(entries, retrieved, settled_rows, models, left_out)


def hybrid_part(hybrid: Hybrid, entries: Mapping[str, Part]) -> Part:
    """Return a hybrid of first stages as an entry of a suite."""
    options: dict[str, object] = {
        "of": [entries[group.first].to_entry() for group in hybrid.members],
        "retrieve": hybrid.width,
    }
    return Part(name="hybrid", options=options | hybrid.fusion.options())


def _pipelines(group: Group) -> dict[str, str]:
    """Return the pipelines of a group, which are no rows to compose, with the reason."""
    return {
        planned.trial.reranker: NAMED for planned in group.planned if planned.pipeline is not None
    }


def _records(dataset: Stored) -> Sequence[tuple[tuple[str, str], Record]]:
    """Return the record of each row over each first stage."""
    records: list[tuple[tuple[str, str], Record]] = []
    for group in dataset.groups:
        for trial in group.trials:
            record = dataset.run.records[trial.trial_id]
            records.append(((group.first, trial.name), record))
    return records


def _of_hybrid(hybrid: Hybrid, retrieved: Mapping[str, Retrieved], suite: Suite) -> Retrieved:
    """Return the candidates of a hybrid, with texts."""
    member = retrieved[hybrid.members[0].first]
    candidates = Candidates(dict(hybrid.lists()), hybrid.width, {})
    judged = member.questions.query_ids
    requests = Requests(member.dataset, candidates, judged)
    return Retrieved(
        member.dataset, candidates, Questions(member.dataset, judged, requests, suite.measures)
    )
