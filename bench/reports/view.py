"""What the sections of a report look at: a run, and what is computed of it once for all of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from bench.comparison.agreement import Agreement, agreements
from bench.comparison.learning_curves import LearningCurve, learning_curves
from bench.comparison.orders import OrderAgreement, order_agreements
from bench.comparison.worth import Worth, Worths, worths
from bench.core.errors import RecordError
from bench.core.note import Code, Note, note
from bench.core.printable import one_line
from bench.meaning.answerability import Answerability, top_score
from bench.records.points import Point
from bench.records.rows import GroupKey, Row, headline_of, longest_of
from bench.records.run import Run
from bench.records.sampling import sampled
from bench.reports import drill
from bench.reports.charts.scores import CandidateScores, Separation
from bench.reports.charts.svg import Mark
from bench.reports.document import Absent, Block, Fold, Paragraph, Section
from bench.reports.drill import Documents, GroupDrill
from bench.reports.findings import Finding, findings
from bench.reports.marks import marks_of
from bench.reports.names import device_of, title_of


@dataclass(frozen=True)
class Rankings:
    """What pages show of a run's rankings, by group."""

    documents: Documents
    drills: dict[GroupKey, GroupDrill] = field(default_factory=dict)
    separations: dict[GroupKey, list[Separation]] = field(default_factory=dict)


@dataclass(frozen=True)
class View:
    """A run, from its records alone. `pictures` are the files drawn of it, `failures` a line for
    each that could not be drawn.
    """

    run: Run
    pictures: Sequence[Path] = ()
    failures: Sequence[str] = ()

    @property
    def rows(self) -> list[Row]:
        return self.run.rows

    @cached_property
    def shared_pairs(self) -> Note | None:
        """How many of the pairs that the rows asked for were shared; None where none were."""
        pairs = [record.pairs for record in self.run.records.values() if record.pairs is not None]
        shared = sum(own.shared for own in pairs)
        if not shared:
            return None
        return note(Code.SHARED_PAIRS, shared, sum(own.computed + own.cached for own in pairs))

    @property
    def groups(self) -> dict[GroupKey, list[Row]]:
        return self.run.groups

    @cached_property
    def findings(self) -> list[Finding]:
        return findings(self.run, self.rows)

    @cached_property
    def worths(self) -> list[Worths]:
        """What each dataset's rows are worth, over all of its first stages. A dataset whose groups
        have other headline measures has an entry per measure.
        """
        members: dict[tuple[str, str], list[Row]] = {}
        for finding in self.findings:
            if finding.measure:
                key = (finding.group[0], finding.measure)
                members.setdefault(key, []).extend(finding.members)
        entries = []
        for (_, measure), rows in members.items():
            entry = worths(self.run, rows, measure)
            if entry is not None:
                entries.append(entry)
        return entries

    @cached_property
    def worth_of(self) -> dict[str, Worth]:
        """What each row is worth, by the id of its trial."""
        by_trial: dict[str, Worth] = {}
        for entry in self.worths:
            by_trial |= {worth.row.trial.id: worth for worth in entry.rows}
        return by_trial

    @cached_property
    def top_score_of(self) -> dict[str, Answerability]:
        """What the top score of each group's best row tells of queries without an answer, by the id
        of its trial, where the run keeps scores.
        """
        by_trial: dict[str, Answerability] = {}
        for finding in self.findings:
            if finding.best is not None:
                with suppress(RecordError):
                    only = self.sample_of(finding)
                    by_trial[finding.best.trial.id] = top_score(self.run, finding.best, only)
        return by_trial

    def sample_of(self, finding: Finding) -> Collection[str] | None:
        """Return the queries that the distributions of a group's scores are drawn from; None where
        these are all.
        """
        row = self._measured(finding)
        if row is None:
            return None
        values = self.run.values(row.trial.id, finding.measure)
        return sampled(list(values), self.run.seed, self._documents(row))

    def _measured(self, finding: Finding) -> Row | None:
        """Return a row of a group that has its measure; its rows have the same queries."""
        return next((row for row in finding.members if finding.measure in row.quality), None)

    def _documents(self, row: Row | None) -> float:
        """Return how many documents a query of a row has, on average; 0 of none."""
        if row is None:
            return 0.0
        counts = self.run.records[row.trial.id].counts
        return counts.pairs / max(1, counts.queries)

    def drawn_from(self, group: GroupKey) -> str:
        """Return that distributions of scores are of some queries of a group; empty where they are
        of all.
        """
        for finding in self.findings:
            sample = self.sample_of(finding) if finding.group == group else None
            if sample is not None:
                return f"{len(sample):,} of {self._queries(finding):,} queries, drawn at random"
        return ""

    def _queries(self, finding: Finding) -> int:
        """Return how many queries a group has."""
        records = self.run.records
        return max(records[row.trial.id].counts.queries for row in finding.members if row.quality)

    @cached_property
    def agreements(self) -> dict[GroupKey, list[Agreement]]:
        return agreements(self.run)

    @cached_property
    def order_agreements(self) -> list[OrderAgreement]:
        return order_agreements(self.run)

    @cached_property
    def learning_curves(self) -> list[LearningCurve]:
        """Return the curves of recipes that were trained on shares of their queries."""
        return learning_curves(self.run)

    @cached_property
    def rankings(self) -> Rankings:
        """Return what pages show of the rankings, which are read once, one after the other: no two
        need to be in memory at once.
        """
        documents = Documents(self.run)
        rankings = Rankings(documents)
        for finding in self.findings:
            average = self._documents(self._measured(finding))
            limit = drill.limit_of(len(self.findings), average)
            group = GroupDrill(self.run, finding.members, finding.measure, documents, limit)
            rankings.drills[finding.group] = group
            rankings.separations[finding.group] = list(self._read(finding, group))
        return rankings

    def _read(self, finding: Finding, group: GroupDrill) -> Iterator[Separation]:
        sample = self.sample_of(finding)
        wanted: Collection[str] | None = None
        if sample is not None:
            wanted = {*sample, *group.queries}
        for row in finding.members:
            if not row.quality:
                continue
            scores = CandidateScores(self.run, row, sample)
            for piece in self.run.ranking_pieces(row.trial.id, wanted):
                group.add(row, piece)
                scores.add(piece)
            separation = scores.separation(self.marks)
            if separation and not row.trial.is_oracle:
                yield separation

    @property
    def points(self) -> Sequence[Point]:
        """Return the timed points of a sweep; none where nothing was swept."""
        return () if self.run.sweep.empty else self.run.points

    @cached_property
    def marks(self) -> dict[str, Mark]:
        """Return trial id -> its mark; references have none."""
        return marks_of(self.run)

    def measure(self, group: GroupKey) -> str:
        """Return the headline measure of a group; empty where nothing was measured."""
        return headline_of(self.groups[group])

    def title(self, group: GroupKey) -> str:
        """Return the title of a group, with the length of its longest list of candidates."""
        return title_of(group, longest_of(self.groups.get(group, ())))

    def parts(self, by_group: Mapping[GroupKey, Sequence[Block]]) -> list[Block]:
        """Return each group's blocks under its title, the first one open; without titles where the
        run has one group. Groups without blocks are left out.
        """
        filled = {group: blocks for group, blocks in by_group.items() if blocks}
        parts: list[Block] = []
        for group, blocks in filled.items():
            if len(self.groups) == 1:
                parts += blocks
            else:
                title = (self.title(group),)
                parts.append(Fold(title, blocks, is_open=not parts, style="part"))
        return parts

    def section(
        self,
        key: str,
        title: str,
        by_group: Mapping[GroupKey, Sequence[Block]],
        explanation: Paragraph | None = None,
        *,
        folded: bool = False,
        wide: bool = False,
    ) -> Section | None:
        """Return a section of each group's blocks, after an explanation; None without blocks."""
        blocks = self.parts(by_group)
        if not blocks:
            return None
        if explanation:
            blocks.insert(0, explanation)
        return Section(key, title, blocks, folded=folded, wide=wide)


def is_pending(members: Sequence[Row]) -> bool:
    """Return whether a run that is not finished has not reached a group."""
    return any(row.status == "pending" for row in members)


def absent_of(members: Sequence[Row]) -> list[Absent]:
    """Return the rows without results, with their reasons."""
    absent = []
    for row in members:
        if row.status != "done":
            reason = one_line(row.absence)
            absent.append(Absent(row.name, device_of(row.trial), row.status, reason))
    return absent
