"""Fine-tune the packaged MiniLM weights into the embedded cross-encoder, as a small LoRA adapter
with its head.

    python scripts/train_cross_encoder.py              # the shipped adapter: same data, same seed
    python scripts/train_cross_encoder.py --holdout 4  # without four topics, and measured on them

The second is for choosing settings.

Data: only the training split (`embedded:everyday-train`), which shares no passage, query or topic
with the test split. Two kinds of lists are trained on, each of one query with several passages and
a target per passage (ListNet, Cao et al., ICML 2007):

- the training queries with their graded judgments, passages of other topics among the zeros;
- every passage's title and its first sentence as a query of its own, with the bi-encoder's
  similarities as targets, so that the cross-encoder first learns what the bi-encoder already knows
  (distillation, Hofstätter et al., arXiv:2010.02666).

Needs `pip install 'rerank-bench[train]'`. About ten minutes on two CPU cores.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset as Table
from peft import LoraConfig, TaskType, get_peft_model
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
from sentence_transformers.cross_encoder.losses import ListNetLoss

from bench import datasets
from bench.datasets import DatasetOptions
from bench.datasets.base import Dataset
from bench.models.weights import Weights
from bench.quality import measures
from bench.ranking.order import rank

OUT = Path(__file__).parent.parent / "bench" / "models" / "adapters" / "everyday-cross-encoder"
BASE = "packaged:all-MiniLM-L6-v2"
LIST_SIZE = 8
GRADE_SCALE = 2.0
TEACHER_SCALE = 20.0


def main() -> None:
    arguments = parse_arguments()
    random.seed(arguments.seed)
    np.random.seed(arguments.seed)
    torch.manual_seed(arguments.seed)
    train = datasets.load("embedded:everyday-train", DatasetOptions(), Path.cwd(), arguments.seed)
    topics = sorted({topic(doc_id) for doc_id in train.documents.ids()})
    holdout = set(random.Random(arguments.seed).sample(topics, arguments.holdout))
    base = str(Weights(BASE).folder())
    teacher = SentenceTransformer(base, device="cpu")
    table = Table.from_list(build_lists(train, teacher, holdout, arguments))
    model = lora_model(base, arguments)
    fit(model, table, arguments)
    if holdout:
        print(
            json.dumps({"held out": sorted(holdout), **measure_on(model, train, holdout)}, indent=1)
        )
    else:
        save(model, table, arguments)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--holdout", type=int, default=0, help="topics kept out of training and measured on"
    )
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument(
        "--lists-per-query", type=int, default=6, help="lists drawn for each judged query"
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--max-length", type=int, default=160)
    parser.add_argument(
        "--bf16", action=argparse.BooleanOptionalAction, default=True, help="mixed precision"
    )
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args()


def topic(doc_id: str) -> str:
    """Document ids are `<topic>-<number>`."""
    return doc_id.rpartition("-")[0]


def build_lists(
    train: Dataset, teacher: SentenceTransformer, holdout: set[str], arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    """Lists of {query, docs, labels}: softmax(labels) is the target distribution over the list."""
    ids = [doc_id for doc_id in train.documents.ids() if topic(doc_id) not in holdout]
    text = dict(zip(ids, train.texts(ids), strict=True))
    vectors = teacher.encode(
        [text[doc_id] for doc_id in ids], normalize_embeddings=True, show_progress_bar=False
    )
    rng = random.Random(arguments.seed)
    lists = []
    for query_id, query in train.queries.items():
        grades = {
            doc_id: grade for doc_id, grade in train.qrels[query_id].items() if doc_id in text
        }
        if not any(grades.values()):
            continue
        similar = most_similar(teacher, query, ids, vectors)
        for _ in range(arguments.lists_per_query):
            drawn = draw(grades, similar, ids, rng)
            lists.append(
                {
                    "query": query,
                    "docs": [text[d] for d in drawn],
                    "labels": [GRADE_SCALE * grades.get(d, 0) for d in drawn],
                }
            )
    for doc_id in ids:
        title = str(train.documents.get([doc_id])[0].get("title", ""))
        sentence = text[doc_id].removeprefix(title).strip().split(". ")[0]
        for query in filter(None, (title, sentence)):
            lists.append(distilled(query, doc_id, teacher, ids, vectors, text, rng))
    rng.shuffle(lists)
    return lists


def draw(
    grades: dict[str, int], similar: list[str], ids: Sequence[str], rng: random.Random
) -> list[str]:
    """One list for a judged query: its relevant passages, judged zeros, and passages of other
    topics, near and far.
    """
    relevant = [doc_id for doc_id, grade in grades.items() if grade > 0]
    zeros = [doc_id for doc_id, grade in grades.items() if grade == 0]
    others = [doc_id for doc_id in similar[:60] if doc_id not in grades]
    chosen = rng.sample(relevant, min(len(relevant), 3)) + rng.sample(zeros, min(len(zeros), 3))
    chosen += rng.sample(others, 1)
    chosen += rng.sample(
        [doc_id for doc_id in ids if doc_id not in chosen and doc_id not in grades],
        LIST_SIZE - len(chosen),
    )
    rng.shuffle(chosen)
    return chosen


def distilled(
    query: str,
    doc_id: str,
    teacher: SentenceTransformer,
    ids: list[str],
    vectors: Any,
    text: dict[str, str],
    rng: random.Random,
) -> dict[str, Any]:
    """One list for a query made from a passage: that passage, near ones and far ones, with the
    bi-encoder's similarities as targets.
    """
    vector = teacher.encode(query, normalize_embeddings=True, show_progress_bar=False)
    scores = dict(zip(ids, (vectors @ vector).tolist(), strict=True))
    near = sorted(scores, key=scores.__getitem__, reverse=True)[:30]
    chosen = list(dict.fromkeys([doc_id, *rng.sample(near, 5), *rng.sample(ids, 6)]))[:LIST_SIZE]
    rng.shuffle(chosen)
    return {
        "query": query,
        "docs": [text[d] for d in chosen],
        "labels": [TEACHER_SCALE * scores[d] for d in chosen],
    }


def most_similar(
    teacher: SentenceTransformer, query: str, ids: list[str], vectors: Any
) -> list[str]:
    scores = vectors @ teacher.encode(query, normalize_embeddings=True, show_progress_bar=False)
    return [ids[i] for i in np.argsort(-scores)]


def lora_model(base: str, arguments: argparse.Namespace) -> CrossEncoder:
    """The packaged weights with a fresh one-label head and LoRA on every linear layer of the
    encoder.
    """
    # Drawing random numbers would take half the time on a CPU.
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = CrossEncoder(
        base, num_labels=1, max_length=arguments.max_length, device="cpu", config_kwargs=no_dropout
    )
    config = LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=arguments.rank,
        lora_alpha=2 * arguments.rank,
        target_modules=["query", "key", "value", "dense"],
        modules_to_save=["classifier"],
    )
    model[0].model = get_peft_model(model[0].model, config)
    return model


def fit(model: CrossEncoder, table: Table, arguments: argparse.Namespace) -> None:
    settings = CrossEncoderTrainingArguments(
        output_dir=str(Path(tempfile.gettempdir()) / "rerank-bench-training"),
        num_train_epochs=arguments.epochs,
        learning_rate=arguments.rate,
        per_device_train_batch_size=8,
        warmup_steps=0.1,
        lr_scheduler_type="cosine",
        seed=arguments.seed,
        logging_steps=50,
        save_strategy="no",
        report_to="none",
        dataloader_pin_memory=False,
        use_cpu=True,
        bf16=arguments.bf16,
    )
    CrossEncoderTrainer(
        model=model, args=settings, train_dataset=table, loss=ListNetLoss(model, mini_batch_size=64)
    ).train()


def measure_on(model: CrossEncoder, collection: Dataset, holdout: set[str]) -> dict[str, float]:
    """nDCG@10 over the whole collection's passages, for the queries of the held-out topics."""
    ids = list(collection.documents.ids())
    text = collection.texts(ids)
    rankings = {}
    for query_id, query in collection.queries.items():
        if all(
            topic(doc_id) in holdout
            for doc_id, grade in collection.qrels[query_id].items()
            if grade
        ):
            scores = model.predict(
                [(query, doc) for doc in text],
                activation_fn=torch.nn.Identity(),
                show_progress_bar=False,
            )
            rankings[query_id] = rank(ids, scores.tolist())
    qrels = {query_id: collection.qrels[query_id] for query_id in rankings}
    values = measures.evaluate(rankings, qrels, ["nDCG@10", "RR@10"])
    return {
        name: round(float(np.mean(list(per_query.values()))), 4)
        for name, per_query in values.items()
    }


def save(model: CrossEncoder, table: Table, arguments: argparse.Namespace) -> None:
    """The adapter and head in half precision, safetensors, with its training facts next to it."""
    arguments.out.mkdir(parents=True, exist_ok=True)
    model[0].model.half().save_pretrained(str(arguments.out), safe_serialization=True)
    # The library writes a template; card.md is ours.
    (arguments.out / "README.md").unlink(missing_ok=True)
    config = json.loads((arguments.out / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "sentence-transformers/all-MiniLM-L6-v2"
    (arguments.out / "adapter_config.json").write_text(
        json.dumps(config, indent=1, sort_keys=True) + "\n"
    )
    facts = {
        name: value for name, value in vars(arguments).items() if name not in ("out", "holdout")
    }
    (arguments.out / "training.json").write_text(
        json.dumps({**facts, "lists": len(table), "list_size": LIST_SIZE}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
