"""The probes of rerankers as a document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.core.counting import counted, percent
from bench.core.progress import Observer
from bench.probes import PROBES
from bench.probes.judging import LARGEST_GAIN, LARGEST_LOSS
from bench.probes.suite import (
    Cost,
    Failed,
    Sizes,
    Skipped,
    check_names,
    probed_rows,
    refuse_nothing,
)
from bench.records.probe_file import MeanChange, ProbeFile, ProbeResult, write_in
from bench.reports import cells, numbers
from bench.reports.cells import Cell
from bench.reports.document import (
    Block,
    Bullets,
    Column,
    Document,
    Record,
    Row,
    Section,
    Table,
)
from bench.reports.judges import Marked, judged_by
from bench.suite.suite import Suite

EXPECTS = {
    "order": "same order",
    "quality": "same quality",
    "direction": "no gain",
    "information": "–",
}
COLUMNS = (
    Column("expects", "expected", align="left", priority=3),
    Column("first", "new first", "share of queries with another first document", priority=4),
    Column("tau", "tau", "mean Kendall tau of the two orders", priority=2),
    Column("swapped", "swapped", "share of pairs that changed their order", priority=5),
    Column("change", "Δ nDCG", "paired change of nDCG@10", priority=2, interval="own"),
    Column("gain", "gain", "of one document, in ranges of its list", priority=3, interval="own"),
    Column("outcome", "outcome", align="left", priority=0, needed=True),
)


class Probes(Marked[ProbeFile]):
    """The probes of rerankers, which a notebook shows as the command prints them. `skipped` rows
    were not probed, `failed` ones could not be; `paths` are the files written.
    """

    def __init__(self) -> None:
        super().__init__()
        self.skipped: list[Skipped] = []
        self.failed: list[Failed] = []
        self.paths: list[Path] = []

    def add(self, row: ProbeFile | Skipped) -> None:
        """Add what became of a reranker."""
        if isinstance(row, Failed):
            self.failed.append(row)
        elif isinstance(row, Skipped):
            self.skipped.append(row)
        else:
            self.append(row)

    def document(self) -> Document:
        return document(self, [*self.failed, *self.skipped])


def probed(
    suite: Suite,
    sizes: Sizes,
    names: Sequence[str],
    reranker: str | None,
    device: str | None,
    out: Path | str | None,
    observer: Observer | None,
) -> Probes:
    """Probe the rerankers of a suite, or the one of this name, and write a file of each into `out`.
    Raises BenchError for an unknown probe or reranker, and where nobody could be probed.
    """
    check_names(names)
    probes = Probes()
    for row in probed_rows(suite, sizes, names, only=reranker, device=device, observer=observer):
        probes.add(row)
        if out is not None and isinstance(row, ProbeFile):
            # at once: an interrupt loses the row at work
            probes.paths.append(write_in(Path(out), row))
    refuse_nothing(probes, probes.skipped, probes.failed)
    return probes


def flat(files: Sequence[ProbeFile]) -> list[Record]:
    """Return a flat row per reranker and probe, for programs."""
    records: list[Record] = []
    for probes in files:
        about = {"reranker": probes.reranker, "device": probes.device, "dataset": probes.dataset}
        for result in probes.results:
            record = {**about, **result.model_dump(mode="json", exclude={"change", "gain"})}
            for name, change in (("change", result.change), ("gain", result.gain)):
                record |= {name: None, f"{name} low": None, f"{name} high": None}
                if change is not None:
                    record[name] = change.mean
                    record[f"{name} low"], record[f"{name} high"] = change.low, change.high
            records.append(record)
    return records


def document(files: Sequence[ProbeFile], skipped: Sequence[Skipped]) -> Document:
    """Return a section per reranker: the table of its probes, and the answer in words."""
    sections: list[Section] = []
    for probes in files:
        lines = list(sentences(probes))
        blocks: list[Block] = [table(probes), Bullets([(line,) for line in lines])]
        sections.append(Section("probes", title(probes), blocks))
    if skipped:
        lines = [f"{row.reranker}: not probed: {row.reason}" for row in skipped]
        sections.append(Section("skipped", "Not probed", [Bullets([(line,) for line in lines])]))
    data = {
        "rerankers": [probes.model_dump(mode="json") for probes in files],
        "skipped": [{"reranker": row.reranker, "reason": row.reason} for row in skipped],
    }
    judges = dict.fromkeys(probes.judged_by for probes in files if probes.judged_by)
    return judged_by(Document("", sections, data=data, records=flat(files)), list(judges))


def title(probes: ProbeFile) -> str:
    name = probes.reranker
    if probes.device:
        name = f"{name} ({probes.device})"
    amount = f"{counted(len(probes.query_ids), 'query')} of {probes.depth} candidates"
    return f"{name}, {probes.dataset}, {probes.first_stage}: {amount}"


def table(probes: ProbeFile) -> Table:
    rows = [
        Row(result.name, _cells(result))
        for result in probes.results
        if result.outcome != "not applicable"
    ]
    return Table("probe", COLUMNS, rows, title(probes))


def _cells(result: ProbeResult) -> dict[str, Cell]:
    return {
        "expects": cells.text(EXPECTS[result.expects]),
        "first": cells.number("share", _percent, result.first_changed),
        "tau": cells.number("measure", _tau, result.tau),
        "swapped": cells.number("share", _percent, result.swapped),
        "change": _change(result.change),
        "gain": _change(result.gain),
        "outcome": cells.text(result.outcome),
    }


def _change(change: MeanChange | None) -> Cell:
    if change is None:
        return cells.missing()
    return cells.number("delta", numbers.change, change.mean, change.low, change.high)


def _percent(share: float) -> str:
    return percent(share, 1)


def _tau(value: float) -> str:
    return f"{value:.3f}"


def sentences(probes: ProbeFile) -> Iterator[str]:
    """Yield the answer, then why probes were not applied or failed, and what the limits are."""
    yield summary(probes)
    for result in probes.results:
        if result.outcome == "accused":
            yield f"{result.name}: {PROBES[result.name].title}: {_accusation(probes, result)}"
    for result in probes.results:
        if result.outcome == "failed" or (result.failed and result.reason):
            yield f"{result.name}: {result.outcome}: {result.reason}"
    reasons: dict[str, list[str]] = {}
    for result in probes.results:
        if result.outcome == "not applicable":
            reasons.setdefault(result.reason, []).append(result.name)
    for reason, names in reasons.items():
        yield f"not applicable: {', '.join(names)} ({reason})"
    noise = "two identical calls gave the same numbers"
    if not probes.repeats:
        noise = "the noise of two identical calls was allowed for"
    yield (
        f"A probe accuses where pairs further apart than {percent(probes.tolerance, 1)} of a "
        f"list's range of scores change their order ({noise}); where nDCG@10 surely falls by more "
        f"than {LARGEST_LOSS:g}; or where one document surely gains more than {LARGEST_GAIN:g} of "
        "that range."
    )


def summary(probes: ProbeFile) -> str:
    """Return the answer in one sentence."""
    accused = probes.named("accused")
    failed = probes.named("failed")
    holds = counted(len(probes.named("holds")), "probe")
    parts = [f"{probes.reranker} holds in {holds}"]
    if accused:
        parts.append(f"is accused by {', '.join(accused)}")
    if failed:
        parts.append(f"could not be asked {', '.join(failed)}")
    return "; ".join(parts)


def _accusation(probes: ProbeFile, result: ProbeResult) -> str:
    if result.expects == "order":
        queries = round((result.first_changed or 0.0) * result.queries)
        return (
            f"{percent(result.swapped or 0.0, 1)} of the pairs change their order, and another "
            f"document is first for {queries} of {counted(result.queries, 'query')}"
        )
    change = result.change if result.expects == "quality" else result.gain
    if change is None:
        return ""
    what = probes.measure if result.expects == "quality" else "gain"
    interval = f"[{change.low:+.3f}, {change.high:+.3f}]"
    return f"{what} {change.mean:+.3f} {interval}"


def costs(rows: Sequence[Cost], skipped: Sequence[Skipped]) -> Document:
    """Return what the probes of rerankers would take."""
    columns = [
        Column("probes", "probes", priority=2),
        Column("pairs", "pairs", priority=1),
        Column("calls", "calls", priority=1),
        Column("tokens", "tokens", priority=3),
        Column("usd", "$", priority=1),
    ]
    table_rows = [
        Row(
            row.reranker,
            {
                "probes": cells.count(row.probes),
                "pairs": cells.count(row.usage.pairs),
                "calls": cells.count(row.usage.calls),
                "tokens": cells.count(row.usage.tokens),
                "usd": cells.bill(row.usd),
            },
        )
        for row in rows
    ]
    lines = [f"{row.reranker}: not probed: {row.reason}" for row in skipped]
    lines += [f"{row.reranker} not here: {row.absent}" for row in rows if row.absent]
    lines += [f"{row.reranker}: {row.price}" for row in rows if row.price is not None]
    lines.append("nothing was loaded, sent or scored")
    blocks: list[Block] = [
        Table("reranker", columns, table_rows, "What the probes would take"),
        Bullets([(line,) for line in lines]),
    ]
    data = [
        {
            "reranker": row.reranker,
            "probes": row.probes,
            "pairs": row.usage.pairs,
            "calls": row.usage.calls,
            "tokens": row.usage.tokens,
            "tokens_out": row.usage.tokens_out,
            "usd": row.usd,
            "reason": row.absent or None,
        }
        for row in rows
    ]
    return Document("", [Section("costs", "What the probes would take", blocks)], data=data)
