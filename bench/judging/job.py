"""One call of `judge`: what is asked of which pools, what that would take, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.contract.identity import Fields
from bench.core.counting import counted
from bench.core.errors import BenchError
from bench.core.progress import Observer
from bench.judging import answers as kept_answers
from bench.judging import written
from bench.judging.answers import Answers
from bench.judging.assignment import Asking, Assignment, assigned
from bench.judging.collection import collection_of
from bench.judging.family import refuse_relatives, relatives
from bench.judging.forecast import Forecast, forecast
from bench.judging.judges import Judge, Terms, bill, open_judge
from bench.judging.judging import Judged, ask
from bench.judging.pool import Pool, datasets_of, pool
from bench.judging.prompt import Prompt
from bench.records.run import Run


@dataclass(frozen=True)
class Settings:
    """What a call of `judge` was given; `options` are those of the judge."""

    judge: str
    prompt: Prompt
    options: Fields
    dataset: str | None = None
    depth: int = 10
    only_holes: bool = False
    max_tokens: int = 100
    words: int | None = None
    scale: written.Scale | None = None
    asks: int = 2
    asks_again: bool = False
    max_cost: float | None = None
    insists: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of one dataset. `path` is its file of judgments, None where no pair has a
    grade.
    """

    judged: Judged
    path: Path | None
    usd: float | None

    @property
    def dataset(self) -> str:
        return self.judged.assignment.pool.dataset


class Job:
    """A judge, and what it is to judge."""

    def __init__(
        self, run: Run, settings: Settings, folder: Path, answers: Answers, judge: Judge
    ) -> None:
        """Raises BenchError for what cannot be judged."""
        self._run = run
        self._settings = settings
        self._folder = folder
        self._answers = answers
        self._judge = judge
        pools = _pools(run, settings)
        for own in pools:
            written.refuse_others(written.qrels_path(folder, own.dataset))
        self._scales = [_scale(own, settings) for own in pools]
        self._insisted = relatives(run, pools, judge.names())
        if not settings.insists:
            refuse_relatives(self._insisted, settings.judge)
        judge.check()
        self._asking = Asking(
            judge.fields(), settings.prompt, settings.asks, settings.words, settings.asks_again
        )
        self._assignments = [self._assigned(own) for own in pools]

    def _assigned(self, own: Pool) -> Assignment:
        return assigned(own, collection_of(self._run, own.dataset), self._asking, self._answers)

    @property
    def forecast(self) -> Forecast:
        """What asking would take."""
        return forecast(
            self._settings.judge,
            self._judge,
            self._assignments,
            self._answers,
            self._settings.max_tokens,
            self._run.seed,
        )

    @property
    def notes(self) -> Sequence[str]:
        """What to know before anything is asked."""
        notes: list[str] = []
        if self._insisted:
            names = ", ".join(self._insisted)
            notes.append(f"insisted upon: the judge is of the family of {names}")
        if self._answers.damaged:
            lines = counted(self._answers.damaged, "line")
            notes.append(f"{self._answers.path}: {lines} cannot be read and are asked again")
        for assignment in self._assignments:
            if assignment.cut:
                documents = counted(assignment.cut, "document")
                notes.append(f"{assignment.pool.dataset}: {documents} of pairs are cut")
        return notes

    def run(self, observer: Observer) -> list[Outcome]:
        """Ask what is not answered, and write the judgments. Raises BenchError as `ask` does, and
        where the same family shows in what the server calls its model.
        """
        settings = self._settings
        every = ask(self._judge, self._assignments, self._asking, self._answers, observer)
        insisted = self._relatives_now()
        outcomes: list[Outcome] = []
        for judged, scale in zip(every, self._scales, strict=True):
            terms = written.Terms(
                self._run,
                settings.judge,
                self._judge,
                settings.prompt,
                settings.max_tokens,
                settings.depth,
                settings.only_holes,
                scale,
                insisted,
            )
            path = written.write(judged, terms, self._folder, self._answers.path)
            outcomes.append(Outcome(judged, path, bill(self._judge, judged.usage)))
        return outcomes

    def _relatives_now(self) -> Sequence[str]:
        """Return the rows of the judge's family, by the name that its answers gave its model as
        well.
        """
        pools = [assignment.pool for assignment in self._assignments]
        related = relatives(self._run, pools, self._judge.names())
        if not self._settings.insists:
            refuse_relatives(related, self._judge.served_model or self._settings.judge)
        return related


@contextmanager
def opened(run: Run, settings: Settings, folder: Path) -> Iterator[Job]:
    """Yield the work of a call, its folder for this process alone. Raises BenchError."""
    terms = Terms(
        settings.prompt, settings.options, settings.max_tokens, settings.asks, settings.max_cost
    )
    judge = open_judge(settings.judge, terms)
    try:
        with kept_answers.opened(folder) as answers:
            yield Job(run, settings, folder, answers, judge)
    finally:
        judge.close()


def _scale(own: Pool, settings: Settings) -> written.Scale:
    """Return what the grades are written as. Raises BenchError where that has to be said."""
    if settings.scale is None and settings.only_holes:
        written.check_scale(own)
    return settings.scale or written.AS_THEY_ARE


def _pools(run: Run, settings: Settings) -> list[Pool]:
    """Return the pools with pairs. Raises BenchError where none has any."""
    pools = [
        pool(run, name, settings.depth, only_holes=settings.only_holes)
        for name in datasets_of(run, settings.dataset)
    ]
    filled = [own for own in pools if own.pairs]
    if not filled:
        raise BenchError(
            f"{run.folder}: every document of its rows' top {settings.depth} has a judgment: "
            "there are no holes to fill"
        )
    return filled
