"""A run for other tools: a LaTeX table, CSV and Parquet, MTEB-style result files, a model-card
snippet, plain TREC runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.atomic import write_atomically
from bench.core.counting import counted
from bench.core.errors import RecordError
from bench.core.filenames import file_stem
from bench.quality.measures import JUDGED
from bench.ranking.trec import header_of, metadata_path, split_run
from bench.records.folder import ranking_path
from bench.records.rows import Row, candidates_of, measures_of
from bench.records.run import Run
from bench.records.schema import Record
from bench.reports import numbers, spreadsheet

if TYPE_CHECKING:
    import pandas as pd


UNKNOWN_LANGUAGE = "und-Zyyy"
"""ISO 639-3 and ISO 15924 for a language and a script that were not determined."""
DAGGER = "$^{\\dagger}$: $p < 0.05$ against the first stage, paired permutation test, uncorrected"
LANGUAGES = {"embedded:everyday": "eng-Latn", "embedded:everyday-train": "eng-Latn"}
"""Datasets whose language is known here, by the id in their record."""


def export(run: Run, form: str, out: Path | None = None, **options: Any) -> str | list[Path]:
    """The run in one of the formats of `TEXTS` (text, or one file at `out`) or of `FILES` (files
    under `out` or the run's folder), with that format's own options.

    Raises RecordError when no reranker of the run finished.
    """
    if not any(_reranked(run)):
        raise RecordError(
            f"{run.folder}: no reranker of this run finished with answers, so there is nothing "
            "to export"
        )
    if form in FILES:
        return FILES[form](run, out or run.folder / form, **options)
    text = TEXTS[form](run)
    if out is None:
        return text
    write_atomically(out, text.encode("utf-8"))
    return [out]


def to_latex(run: Run) -> str:
    """A booktabs table per group: the lead measure with its interval, the difference to the first
    stage, latency. The best is bold.

    Needs \\usepackage{booktabs}. A dagger marks p < 0.05 of the paired permutation test against the
    first stage, uncorrected; the caption says so where there is one.
    """
    return "\n".join(
        "\n".join(
            _latex_group(
                f"{dataset}, {first_stage}, {candidates_of(members)}",
                members,
                measures_of(members),
            )
        )
        for (dataset, first_stage, _), members in run.groups.items()
        if any(row.status == "done" for row in members)
    )


def _latex_group(caption: str, members: list[Row], measures: list[str]) -> Iterator[str]:
    done = [row for row in members if row.status == "done" and row.quality]
    timed = any(row.single for row in done)
    competing = [row for row in done if row.trial.kind == "reranker" and not row.meaningless]
    best = max((row.quality[measures[0]].mean for row in competing), default=None)
    head = [
        "Reranker",
        _tex(measures[0]),
        "95\\,\\% CI",
        "$\\Delta$",
        *map(_tex, measures[1:]),
        *(["p50 (ms)", "p95 (ms)"] if timed else []),
    ]
    lines = [" & ".join(_latex_cells(row, measures, best, timed)) for row in done]
    dagger = f". {DAGGER}" if any("\\dagger" in line for line in lines) else ""
    yield from ("\\begin{table}", "  \\centering", f"  \\caption{{{_tex(caption)}{dagger}}}")
    yield from (
        f"  \\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
        "    \\toprule",
        f"    {' & '.join(head)} \\\\",
        "    \\midrule",
    )
    yield from (f"    {line} \\\\" for line in lines)
    yield from ("    \\bottomrule", "  \\end{tabular}", "\\end{table}", "")


def _latex_cells(row: Row, measures: list[str], best: float | None, timed: bool) -> list[str]:
    lead, delta = row.quality[measures[0]], row.differences.get(measures[0])
    value = numbers.quality(lead.mean)
    mark = "^{\\dagger}" if delta and delta.p < 0.05 and row.trial.kind == "reranker" else ""
    label = row.name if row.trial.device in ("-", "cpu") else f"{row.name} ({row.trial.device})"
    name = _tex(f"{label}, {row.failed:.0%} failed" if row.failed else label)
    cells = [
        f"\\emph{{{name}}}" if row.trial.kind == "reference" else name,
        f"\\textbf{{{value}}}"
        if row.trial.kind == "reranker" and lead.mean == best and not row.meaningless
        else value,
        f"[{lead.low:.3f}, {lead.high:.3f}]",
        f"${numbers.change(delta)}{mark}$" if delta else "--",
        *(numbers.quality(row.quality[name].mean) for name in measures[1:]),
    ]
    if timed:
        times = (row.single.p50_ms, row.single.p95_ms) if row.single else (None, None)
        cells += [numbers.milliseconds(time) if time is not None else "--" for time in times]
    return cells


def _tex(text: str) -> str:
    """Text as LaTeX prints it."""
    special = {"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"}
    return re.sub(
        r"[\\~^&%$#_{}]",
        lambda found: special.get(found[0], f"\\{found[0]}"),
        " ".join(text.split()),
    )


def to_csv(run: Run) -> str:
    """The main table, numbers in full."""
    return str(run.to_frame().map(spreadsheet.guarded).to_csv(index=False))


def to_model_card(run: Run) -> str:
    """A model card's `model-index` block, one entry per reranker, with the first stage and
    candidates named.

    Shape: https://huggingface.co/docs/hub/model-cards#evaluation-results, with the task type that
    sentence-transformers writes.
    """
    import yaml

    entries: dict[str, list[dict[str, Any]]] = {}
    for record in _reranked(run):
        entries.setdefault(record.trial.reranker, []).append(_card_result(record))
    index = {
        "model-index": [{"name": name, "results": results} for name, results in entries.items()]
    }
    return f"---\n{yaml.safe_dump(index, sort_keys=False, allow_unicode=True)}---\n"


def _card_result(record: Record) -> dict[str, Any]:
    trial = record.trial
    name = f"{trial.dataset}, {trial.first_stage} top {trial.depth}"
    if record.counts.failed:
        called = counted(record.counts.called, "query")
        name += f" ({record.counts.failed} of {called} failed and score 0)"
    metrics = [
        {
            "type": _mteb_name(measure).replace("_at_", "@"),
            "name": measure,
            "value": round(found.mean, 6),
        }
        for measure, found in _measured(record)
    ]
    return {
        "task": {"type": "cross-encoder-reranking", "name": "Reranking"},
        "dataset": {"type": trial.dataset, "name": name, "revision": record.keys["quality"].hash},
        "metrics": metrics,
    }


def to_mteb(run: Run, out: Path, *, languages: Sequence[str] = ()) -> list[Path]:
    """`<reranker>/<revision>/<dataset>.json` in the shape of MTEB's result files, so that its
    loaders and tables read them.

    Shape: TaskResult of https://github.com/embeddings-benchmark/mteb (dataset_revision, task_name,
    mteb_version, scores per split, evaluation_time, kg_co2_emissions). These are results of this
    harness, and say so: mteb_version is null and the candidates are named. `languages` are those of
    the datasets, as in eng-Latn. Without them, and where a dataset's is not known here, it is
    "undetermined": MTEB's `get_score()` has no mean over an empty list.
    """
    written = []
    for record in _reranked(run):
        trial = record.trial
        known = record.system.fields.get("revision") or record.system.hash
        revision = str(known).replace("sha256:", "")
        path = (
            out
            / _file(trial.reranker)
            / _file(revision)
            / f"{_file(trial.dataset)}-{_file(trial.first_stage)}-{trial.depth}.json"
        )
        write_atomically(
            path,
            (
                json.dumps(_mteb_result(record, run, languages), indent=2, ensure_ascii=False)
                + "\n"
            ).encode(),
        )
        written.append(path)
    return written


def _mteb_result(record: Record, run: Run, languages: Sequence[str]) -> dict[str, Any]:
    known = LANGUAGES.get(str(record.dataset.get("id")), UNKNOWN_LANGUAGE)
    scores = {_mteb_name(measure): found.mean for measure, found in _measured(record)}
    lead = next(iter(scores.values()))
    return {
        "dataset_revision": record.keys["quality"].hash,
        "task_name": record.trial.dataset,
        "mteb_version": None,
        "scores": {
            "test": [
                {
                    **scores,
                    "main_score": lead,
                    "hf_subset": "default",
                    "languages": list(languages) or [known],
                }
            ]
        },
        "evaluation_time": None,
        "kg_co2_emissions": None,
        "rerank_bench": {
            "version": run.info.version,
            "run": run.info.id,
            "first_stage": record.trial.first_stage,
            "candidates": record.candidates.get("hash"),
            "depth": record.trial.depth,
            "queries": record.counts.queries,
            "failed_queries": record.counts.failed,
            "system": record.system.fields,
        },
    }


def _mteb_name(measure: str) -> str:
    """nDCG@10 -> ndcg_at_10, RR@10 -> mrr_at_10, AP -> map: MTEB's names of the means. The grade
    from which a document is relevant is the dataset's, and left out; any other variant keeps its
    full name: it is not what MTEB's name stands for.
    """
    plain = re.sub(r"\(rel=\d+\)", "", measure)
    if "(" in plain:
        return measure
    stem, _, cutoff = plain.partition("@")
    name = {"rr": "mrr", "ap": "map", "r": "recall", "p": "precision"}.get(
        stem.lower(), stem.lower()
    )
    return f"{name}_at_{cutoff}" if cutoff else name


def to_parquet(run: Run, out: Path) -> list[Path]:
    """The main table as `table.parquet`; per-query values and timings are Parquet files of the run
    already.
    """
    import io

    frame: pd.DataFrame = run.to_frame()
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    path = (
        out
        if out.suffix == ".parquet"
        else out.with_suffix(".parquet")
        if out.name == "parquet"
        else out / "table.parquet"
    )
    write_atomically(path, buffer.getvalue())
    return [path]


def to_trec(run: Run, out: Path, *, header: bool = False) -> list[Path]:
    """Every ranking as a plain, unzipped TREC run, and its ir_metadata in a file next to it or,
    where `header`, in comments that begin it.

    trec_eval 9, pytrec_eval, ir_measures, ranx, PyTerrier and trectools stop at a comment;
    trec_eval 10 reads on.
    """
    written = []
    for trial_id, record in run.records.items():
        if record.mostly_failed:
            continue
        path = out / f"{trial_id}.run"
        run.ranking(trial_id)  # which refuses one that is not complete
        metadata, rows = split_run(ranking_path(run.folder, trial_id))
        write_atomically(path, header_of(metadata) + rows if header and metadata else rows)
        written.append(path)
        if metadata and not header:
            write_atomically(metadata_path(path), metadata.encode())
            written.append(metadata_path(path))
    return written


def _reranked(run: Run) -> Iterator[Record]:
    """The records of rerankers whose means may be published: not those of which most queries
    failed.
    """
    return (
        record
        for record in run.records.values()
        if record.trial.kind == "reranker" and not record.mostly_failed
    )


def _measured(record: Record) -> list[tuple[str, Any]]:
    return [(measure, found) for measure, found in record.quality.items() if measure != JUDGED]


def _file(name: str) -> str:
    return file_stem(name, other="_").strip(".") or "x"


TEXTS: Mapping[str, Callable[[Run], str]] = {
    "latex": to_latex,
    "csv": to_csv,
    "model-card": to_model_card,
}
FILES: Mapping[str, Callable[..., list[Path]]] = {
    "mteb": to_mteb,
    "parquet": to_parquet,
    "trec": to_trec,
}
