"""What becomes of a trial whose code fails: it is noted, and the others go on."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping

from bench.core.atomic import write_atomically
from bench.core.errors import BenchError, ExecutorError, Unavailable
from bench.core.outsiders import OutsiderError, outsiders_code
from bench.core.printable import LONGEST_REASON, shortened
from bench.core.progress import Observer
from bench.core.redaction import redacted_text, traceback_for_others
from bench.records.folder import ranking_path
from bench.records.schema import FAILURES
from bench.records.tables import LOSSES, SCORES, path_of
from bench.records.writer import RunWriter
from bench.runner.trial_run import TrialRun
from bench.suite.planning import Planned


class Guard:
    """Runs the work of trials, one at a time."""

    def __init__(self, writer: RunWriter, observer: Observer) -> None:
        self.writer, self.observer = writer, observer

    def run(self, run: TrialRun, work: Callable[[], None]) -> None:
        """Do the work of a trial. Where it fails, its status says so, and its traceback is next to
        the records. Raises ExecutorError: no other trial has room, either.
        """
        planned = run.planned
        try:
            with outsiders_code():
                work()
        except ExecutorError:
            raise
        except Unavailable as error:
            planned.end("skipped" if planned.optional else "failed", error.reason)
        except BenchError as error:
            planned.end("failed", self.reason(error, planned.trial.id))
        if not run.is_done:
            run.measured = None
            folder, trial_id = self.writer.folder, planned.trial.id
            ranking_path(folder, trial_id).unlink(missing_ok=True)
            for table in (SCORES, LOSSES):
                path_of(folder, table, trial_id).unlink(missing_ok=True)
            self.observer.note(
                f"{planned.trial.reranker} {planned.status.status}: {planned.status.reason}"
            )

    def keep_traceback(self, planned: Planned) -> None:
        """Write what code raised when a trial was planned: there was no folder for it yet."""
        if planned.raised is not None:
            planned.end("failed", self.reason(planned.raised, planned.trial.id))

    def close(self, planned: Planned) -> None:
        """Close a reranker. What it computed stays where that fails: only memory may not be
        free.
        """
        try:
            with outsiders_code():
                planned.reranker.close()
        except BenchError as error:
            reason = redacted_text(str(error))
            self.observer.note(f"{planned.trial.reranker} could not be closed: {reason}")

    def reason(self, error: BenchError, name: str) -> str:
        """Return why something failed, in one line. The traceback of what was not foreseen goes to
        a file of this name.
        """
        reason = redacted_text(str(error))
        if isinstance(error, OutsiderError):
            text = traceback_for_others("".join(traceback.format_exception(error.cause)))
        elif len(reason) > LONGEST_REASON:
            text = reason
        else:
            return reason
        return f"{shortened(reason)} (errors/{self._write(name, text)})"

    def keep_long_reasons(self, failures: Mapping[str, str], name: str) -> None:
        """Write the reasons of failed queries that a record has to cut to a file of this name."""
        reasons = dict.fromkeys(list(failures.values())[:FAILURES])
        texts = [redacted_text(reason) for reason in reasons if len(reason) > LONGEST_REASON]
        if texts:
            self._write(name, "\n\n".join(texts))

    def _write(self, name: str, text: str) -> str:
        """Write a text to errors/, and return the name of its file."""
        path = self.writer.folder / "errors" / f"{name}.txt"
        write_atomically(path, text.encode("utf-8", "backslashreplace"))
        return path.name
