"""What fine-tuning a small model brings on questions about unseen articles (XQuAD-R, English).

    python benchmarks/training.py --data FOLDER [--queries 1190] [--out FOLDER] [--rows 0 1]

FOLDER holds `xquad-r/en` with docs.jsonl, queries.tsv and qrels.txt, paragraphs numbered as in
`p17-s2`: five paragraphs in a row are an article, which no two portions share. Trains the packaged
models by several recipes over the queries or a sample of them, measures each on the same test
queries, and prints a table as it goes: nDCG@10 with its 95 % interval, the difference to the
untuned base, and minutes of training. --rows are the places of some variants. The same command goes
on where it was.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bench.contract.part import Part
from bench.core.progress import Observer
from bench.reports import numbers
from bench.training import entries
from bench.training import recipe as recipes
from bench.training.comparison import Comparing, Gain
from bench.training.fit import fit
from bench.training.fractions import subset
from bench.training.train import prepared

PARAGRAPHS = 5
"""Paragraphs per article of SQuAD's, from which XQuAD was taken."""
BASE: Mapping[str, Any] = {
    "base": "minilm-cross-encoder",
    "dev": 0.05,
    "test": 0.25,
    "split_by": "article",
    "depth": 10,
    "negatives": {"from": "bm25", "per_query": 4},
    "loss": "listnet",
    "epochs": 1,
    "batch": 20,
    "checks": 2,
    "length": 64,
    "rate": 1e-4,
    "patience": None,
    "seed": 7,
}


ENCODER: Mapping[str, Any] = {
    "kind": "bi-encoder",
    "base": "packaged:all-MiniLM-L6-v2",
    "loss": "contrastive",
    "batch": 80,
    "rate": 5e-5,
}
"""What the rows of encoders change: a batch is 16 questions, whose documents are negatives of each
other.
"""


class Variant(NamedTuple):
    """A row of the table: what it changes in the recipe, and the share of the training queries."""

    name: str
    changes: Mapping[str, Any]
    share: float = 1.0


VARIANTS = (
    Variant("ListNet, all weights, hard negatives", {}),
    Variant("binary cross-entropy, all weights, hard negatives", {"loss": "binary-cross-entropy"}),
    Variant(
        "ListNet, all weights, random negatives",
        {"negatives": {"from": "bm25", "per_query": 4, "easy": 1}},
    ),
    Variant("ListNet, LoRA of rank 16, hard negatives", {"lora": 16, "rate": 1e-3}),
    Variant("ListNet, all weights, hard negatives, half of the queries", {}, 0.5),
    Variant("the same, a quarter", {}, 0.25),
    Variant("the same, a tenth", {}, 0.1),
    # as many steps as over all queries
    Variant("the same, half of the queries twice", {"epochs": 2}, 0.5),
    Variant("bi-encoder, contrastive, hard negatives", ENCODER),
    Variant(
        "late interaction, contrastive, hard negatives", {**ENCODER, "kind": "late-interaction"}
    ),
)


def write_collection(source: Path, folder: Path) -> None:
    """Write the collection with the article of each sentence as a field."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[str] = []
    for line in (source / "docs.jsonl").read_text(encoding="utf-8").splitlines():
        document = json.loads(line)
        (paragraph,) = re.findall(r"^p(\d+)-", document["doc_id"])
        document["article"] = f"article {int(paragraph) // PARAGRAPHS}"
        rows.append(json.dumps(document, ensure_ascii=False))
    (folder / "docs.jsonl").write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    for name in ("queries.tsv", "qrels.txt"):
        (folder / name).write_bytes((source / name).read_bytes())


def measured(
    variant: Variant, number: int, collection: Path, queries: int, out: Path, observer: Observer
) -> tuple[Gain, int, float]:
    """Return what a variant gains, the pairs that it was trained on, and seconds of training."""
    data = {f"files:{collection}": {"document": "{text}", "queries": queries}}
    loaded = recipes.load({"name": f"variant-{number}", "data": data, **BASE, **variant.changes})
    split, training = prepared(loaded, "cpu", observer)
    share = subset(training, variant.share, loaded.seed)
    folder = out / str(number)
    fitted = fit(loaded, share, folder / "model", observer, "cpu")
    rows = [
        entries.untuned(loaded, folder),
        Part("minilm-bi-encoder"),
        entries.trained(loaded, fitted.folder, folder),
    ]
    gain = Comparing(folder, "cpu", observer).gain(loaded, split, rows)
    return gain, fitted.pairs, fitted.seconds


def lines(gain: Gain, name: str, pairs: int, seconds: float, *, first: bool) -> Iterator[str]:
    """Yield the rows of the table: before the first variant those of what is not trained here."""
    if first:
        titles = {
            "first-stage": "BM25",
            "minilm-bi-encoder": "bi-encoder",
            "untuned": "cross-encoder, untuned",
            "oracle": "the best order of BM25's first 10",
        }
        for row, title in titles.items():
            value = gain.rows[row]
            yield f"| {title} | | {numbers.quality(value.mean)} {numbers.interval(value)} | | |"
    value = gain.trained
    yield (
        f"| {name} | {pairs:,} | {numbers.quality(value.mean)} {numbers.interval(value)} | "
        f"{numbers.tested(gain.difference)} | {seconds / 60:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--queries", type=int, default=1190)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=list(range(len(VARIANTS))))
    arguments = parser.parse_args()
    if arguments.data is None:
        print("left out: give the folder of the collection with --data")
        return
    with tempfile.TemporaryDirectory() as temporary:
        out = arguments.out or Path(temporary)
        collection = out / "collection"
        write_collection(arguments.data / "xquad-r" / "en", collection)
        print("| row | pairs | nDCG@10 | against untuned | minutes |\n|---|---|---|---|---|")
        for number in arguments.rows:
            variant = VARIANTS[number]
            started = time.process_time()
            gain, pairs, seconds = measured(
                variant, number, collection.resolve(), arguments.queries, out, Observer()
            )
            for line in lines(gain, variant.name, pairs, seconds, first=number == 0):
                print(line, flush=True)
            print(f"<!-- {time.process_time() - started:.0f} s of processor time -->", flush=True)


if __name__ == "__main__":
    main()
