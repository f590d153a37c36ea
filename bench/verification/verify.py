"""Every check of a run, from its folder alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.core.errors import BenchError
from bench.records.run import Run
from bench.verification.checks import CHECKS, CheckRun
from bench.verification.evidence import Evidence
from bench.verification.finding import Code, Finding, Gap, Ledger, Place
from bench.verification.rescoring import PAIRS, Rescoring

DIFFERS = 1
NOTHING_MEASURED = BenchError.exit_code


@dataclass(frozen=True)
class Verification:
    """What became of the checks of a run, in their order."""

    run: Run
    ledgers: Sequence[Ledger]

    @property
    def findings(self) -> list[Finding]:
        """What differs, each once."""
        findings: dict[Finding, None] = {}
        for ledger in self.ledgers:
            findings |= dict.fromkeys(ledger.findings)
        return list(findings)

    @property
    def gaps(self) -> list[Gap]:
        """What could not be checked, each once."""
        gaps: dict[Gap, None] = {}
        for ledger in self.ledgers:
            gaps |= dict.fromkeys(ledger.gaps)
        return list(gaps)

    @property
    def compared(self) -> int:
        """How many values, files and orders were compared."""
        return sum(ledger.compared for ledger in self.ledgers)

    @property
    def has_rows(self) -> bool:
        """Whether any row was measured: a run without one says nothing that could be checked."""
        return any(trial.status == "done" for trial in self.run.info.trials)

    @property
    def exit_code(self) -> int:
        if self.findings:
            return DIFFERS
        return 0 if self.has_rows else NOTHING_MEASURED


def verify(run: Run, rescore: int = PAIRS, checks: Mapping[str, CheckRun] = CHECKS) -> Verification:
    """Recompute a run from its folder, and score this many pairs of each row again where its model
    is at hand; 0 for none.
    """
    evidence = Evidence(run)
    ledgers = recomputed(evidence, checks)
    if rescore:
        ledgers.append(Rescoring(evidence, rescore).run())
    return Verification(run, ledgers)


def recomputed(evidence: Evidence, checks: Mapping[str, CheckRun]) -> list[Ledger]:
    """Return the ledger of each check of the folder. A cell that a report prints in two tables is
    one finding.
    """
    ledgers: list[Ledger] = []
    for name, check in checks.items():
        ledger = Ledger(name)
        try:
            check(evidence, ledger)
        except BenchError as error:
            finding = Finding(Code.UNREADABLE, Place(str(evidence.folder)), actual=str(error))
            ledger.findings.append(finding)
        ledger.findings = list(dict.fromkeys(ledger.findings))
        ledgers.append(ledger)
    return ledgers
