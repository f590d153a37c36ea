"""What `verify` found, as a document: a line per check, what differs, what could not be checked."""

from __future__ import annotations

from dataclasses import asdict

from bench.core.counting import counted
from bench.records.run import Run
from bench.reports import cells, printed
from bench.reports.document import (
    Block,
    Bullets,
    Column,
    Document,
    Paragraph,
    Record,
    Row,
    Section,
    Strong,
    Table,
)
from bench.verification.checks import CHECKS
from bench.verification.finding import Finding, Gap, Ledger
from bench.verification.verify import Verification, verify
from bench.verification.wording import reason, sentence

SHOWN = 30
"""Findings that a terminal shows; programs get all of them."""
COLUMNS = (
    Column("compared", "compared", "files, values, orders", priority=0),
    Column("differ", "differ", better="lower", priority=1),
    Column("gaps", "not checked", "kinds of things that could not be", priority=2),
)


def verified(run: Run, rescore: int) -> Verification:
    """Recompute a run, and compare what its written reports print; `rescore` pairs of each row are
    scored again.
    """
    return verify(run, rescore, {**CHECKS, "reports": printed.check})


def document(verification: Verification) -> Document:
    """Return a table of the checks, then findings, then gaps, then the outcome."""
    rows = [_row(ledger) for ledger in verification.ledgers]
    findings = [sentence(finding) for finding in verification.findings]
    if len(findings) > SHOWN:
        more = len(findings) - SHOWN
        findings = [*findings[:SHOWN], f"and {more} more: --format json has all of them"]
    blocks: list[Block] = [
        Table("check", COLUMNS, rows, "checks"),
        Bullets([(text,) for text in findings]),
        Bullets([(text,) for text in gaps(verification)]),
        Paragraph((Strong(title(verification)),)),
    ]
    section = Section("verification", "Verification", blocks, titled=False)
    return Document("", [section], data=data(verification))


def title(verification: Verification) -> str:
    """Return the outcome in one line."""
    compared = f"{verification.compared:,} comparisons"
    name = verification.run.info.id
    count = len(verification.findings)
    if not verification.has_rows and not count:
        return f"{name}: no row was measured, so there is nothing to verify"
    if not count:
        return f"{name}: nothing differs in {compared}"
    verb = "differs" if count == 1 else "differ"
    text = f"{name}: {counted(count, 'thing')} {verb} in {compared}"
    of_checks = sum(len(ledger.findings) for ledger in verification.ledgers)
    if of_checks > count:
        text += f" (the checks count {of_checks:,}: several find the same)"
    return text


def gaps(verification: Verification) -> list[str]:
    """Return what could not be checked, a line per reason with the number of its places."""
    by_reason: dict[str, list[Gap]] = {}
    for gap in verification.gaps:
        by_reason.setdefault(reason(gap), []).append(gap)
    lines: list[str] = []
    for text, members in by_reason.items():
        others = len(members) - 1
        more = f" and {counted(others, 'other')}" if others else ""
        lines.append(f"not checked: {members[0].place.file}{more}: {text}")
    return lines


def data(verification: Verification) -> Record:
    """Return everything for programs."""
    return {
        "run": verification.run.info.id,
        "exit_code": verification.exit_code,
        "compared": verification.compared,
        "checks": [
            {
                "check": ledger.name,
                "compared": ledger.compared,
                "findings": len(ledger.findings),
                "gaps": len(ledger.gaps),
            }
            for ledger in verification.ledgers
        ],
        "findings": [_finding(finding) for finding in verification.findings],
        "not_checked": [
            {"reason": str(gap.reason), **asdict(gap.place), "text": reason(gap)}
            for gap in verification.gaps
        ],
    }


def _finding(finding: Finding) -> Record:
    return {
        "code": str(finding.code),
        **asdict(finding.place),
        "expected": finding.expected,
        "actual": finding.actual,
        "text": sentence(finding),
    }


def _row(ledger: Ledger) -> Row:
    counts = {
        "compared": cells.count(ledger.compared),
        "differ": cells.count(len(ledger.findings)),
        "gaps": cells.count(len(ledger.gaps)),
    }
    return Row(ledger.name, counts)
