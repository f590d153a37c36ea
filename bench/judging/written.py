"""Judgments as a TREC qrels file, with where they come from next to it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from os.path import relpath
from pathlib import Path

from bench.core.atomic import write_atomically
from bench.core.errors import BenchError, DataError
from bench.core.filenames import file_stem
from bench.core.redaction import redacted
from bench.datasets import provenance
from bench.datasets.provenance import MODEL, PEOPLE, PromptFacts, Provenance, Refused
from bench.judging.grades import GRADES, HIGHEST
from bench.judging.judges import Judge, bill
from bench.judging.judging import Judged
from bench.judging.pool import Pool
from bench.judging.prompt import Prompt
from bench.records.run import Run

NAME = "qrels.txt"
Scale = tuple[int, int, int, int]
"""What the grades 0, 1, 2 and 3 are written as."""
AS_THEY_ARE: Scale = (0, 1, 2, 3)


@dataclass(frozen=True)
class Terms:
    """What a provenance says of all datasets of a call."""

    run: Run
    judge_name: str
    judge: Judge
    prompt: Prompt
    max_tokens: int
    depth: int
    only_holes: bool
    scale: Scale
    insisted: Sequence[str]


def qrels_path(out: Path, dataset: str) -> Path:
    """Return the file of a dataset's judgments."""
    return out / file_stem(dataset) / NAME


def refuse_others(path: Path) -> None:
    """Raise BenchError for a file of judgments that no judge wrote: it would be written over."""
    if path.exists() and not provenance.path_of(path).exists():
        raise BenchError(
            f"{path}: is there, and no judge wrote it: choose another --out, or move it away"
        )


def check_scale(pool: Pool) -> None:
    """Raise BenchError where the judge's grades cannot be merged with a pool's judgments as they
    are: these are of another scale.
    """
    grades = [max(own.values()) for own in pool.judged.values()]
    highest = max(grades, default=HIGHEST)
    if highest != HIGHEST:
        raise BenchError(
            f"{pool.dataset}: its judgments go up to {highest}, the judge's to {HIGHEST}: say "
            "what 0, 1, 2 and 3 become with --grades, such as --grades 0,0,1,1"
        )


def write(judged: Judged, terms: Terms, out: Path, answers: Path) -> Path | None:
    """Write the judgments of a dataset and their provenance; return their file, None where no pair
    has a grade. Raises BenchError where they cannot be written.
    """
    if not judged.grades:
        return None
    pool = judged.assignment.pool
    path = qrels_path(out, pool.dataset)
    own: dict[str, dict[str, int]] = {}
    for pair, grade in judged.grades.items():
        own.setdefault(pair.query_id, {})[pair.doc_id] = terms.scale[grade]
    people: Mapping[str, Mapping[str, int]] = {}
    if terms.only_holes:
        people = pool.judged
    lines = [*_lines(people, PEOPLE), *_lines(own, MODEL)]
    data = "".join(f"{line}\n" for line in sorted(lines)).encode()
    origins = {MODEL: len(judged.grades)}
    if people:
        origins[PEOPLE] = sum(map(len, people.values()))
    facts = _provenance(judged, terms, origins, hashlib.sha256(data).hexdigest(), path, answers)
    facts = _with_review(facts, path)
    # the provenance first: judgments never lie there without it
    write_provenance(path, facts)
    write_atomically(path, data)
    return path


def _with_review(facts: Provenance, path: Path) -> Provenance:
    """Return a provenance with the person's check of the same judgments, where there was one."""
    try:
        before = provenance.read(path)
    except DataError:
        return facts
    if before is None or before.qrels_digest != facts.qrels_digest:
        return facts
    return facts.model_copy(update={"agreement": before.agreement})


def write_provenance(qrels: Path, facts: Provenance) -> None:
    """Write where the judgments of a file come from."""
    text = facts.model_dump_json(indent=1)
    write_atomically(provenance.path_of(qrels), f"{text}\n".encode())


def _lines(qrels: Mapping[str, Mapping[str, int]], origin: str) -> list[str]:
    """Return lines of TREC's four columns; the second, which nothing reads, is who judged."""
    lines: list[str] = []
    for query_id, grades in qrels.items():
        lines += [f"{query_id} {origin} {doc_id} {grade}" for doc_id, grade in grades.items()]
    return lines


def _provenance(
    judged: Judged,
    terms: Terms,
    origins: Mapping[str, int],
    digest: str,
    path: Path,
    answers: Path,
) -> Provenance:
    judge, prompt, assignment = terms.judge, terms.prompt, judged.assignment
    counts, usage = Counter(judged.grades.values()), judged.usage
    served = sorted({reply.model for reply in judged.replies if reply.model})
    failures = [
        Refused(query=pair.query_id, document=pair.doc_id, reason=reason)
        for pair, reason in sorted(judged.reasons.items())
    ]
    info = terms.run.info
    return Provenance(
        judge=terms.judge_name,
        model=judge.model,
        served_model=" and ".join(served) or None,
        base_url=judge.base_url,
        identity=redacted(dict(judge.fields())),
        prompt=PromptFacts(
            name=prompt.name,
            digest=prompt.digest,
            text=prompt.text,
            source=prompt.source,
            licence=prompt.licence,
        ),
        temperature=judge.temperature,
        max_tokens=terms.max_tokens,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        suite=info.suite,
        run=info.id,
        run_digest=assignment.pool.digest,
        dataset=assignment.pool.dataset,
        dataset_identity=dict(assignment.dataset.identity),
        depth=terms.depth,
        only_holes=terms.only_holes,
        pairs=len(assignment.pool.pairs),
        origins=dict(origins),
        grades={str(grade): counts[grade] for grade in GRADES},
        written_as=terms.scale,
        failures=tuple(failures),
        cut_documents=assignment.cut,
        calls=usage.calls,
        tokens=usage.tokens,
        tokens_out=usage.tokens_out,
        usd=bill(judge, usage),
        price=str(judge.price) if judge.price else None,
        answers=relpath(answers, path.parent),
        insisted=tuple(terms.insisted),
        qrels_digest=digest,
    )
