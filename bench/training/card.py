"""The card of a trained model: what it was trained on and how, what it gains, and what is not known
of it.

Shape: https://huggingface.co/docs/hub/model-cards, front matter and Markdown in README.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bench.catalogue import entries
from bench.core.atomic import write_atomically
from bench.core.counting import counted, percent
from bench.core.redaction import redacted, without_places
from bench.core.version import version
from bench.models import hub
from bench.training.comparison import TRAINED
from bench.training.fit import MEASURE, Fitted
from bench.training.kinds import KINDS
from bench.training.network import Base, published_name

if TYPE_CHECKING:
    from bench.quality.statistics import Difference, Estimate
    from bench.training.checkpoints import CurvePoint
    from bench.training.lists import DataFacts
    from bench.training.recipe import Recipe

CARD = "README.md"
BARS = "▁▂▃▄▅▆▇█"
CURVE_ROWS = 12
"""Checks that the table of a curve shows, the best and the last among them."""
PIPELINES = {
    "cross-encoder": "text-ranking",
    "bi-encoder": "sentence-similarity",
    "late-interaction": "sentence-similarity",
}
"""What the hub calls what a kind of model is for."""
APART = """import bench

model = bench.reranker(
    "cross-encoder", model="{base}", adapter="{folder}", head="cosine"
)
order = model.rerank("a query", ["a document", "another one"])"""
"""Of a head that other libraries do not have."""
USES = {
    "cross-encoder": """from sentence_transformers import CrossEncoder

model = CrossEncoder("{folder}")
scores = model.predict([("a query", "a document"), ("a query", "another")])  # raw logits""",
    "bi-encoder": """from sentence_transformers import SentenceTransformer

model = SentenceTransformer("{folder}")
scores = model.similarity(
    model.encode_query(["a query"]), model.encode_document(["a document", "another"])
)""",
    "late-interaction": """from sentence_transformers import MultiVectorEncoder

model = MultiVectorEncoder("{folder}")
scores = model.similarity(
    model.encode_query(["a query"]), model.encode_document(["a document", "another"])
)""",
}
Row = tuple[str, str]


class Measured(Protocol):
    """What a model gains on test queries: `rows` are the means of all rows compared, `difference`
    is that to the row named `base`.
    """

    @property
    def measure(self) -> str: ...

    @property
    def base(self) -> str: ...

    @property
    def rows(self) -> Mapping[str, Estimate]: ...

    @property
    def difference(self) -> Difference: ...


def write_card(
    recipe: Recipe, facts: DataFacts, fitted: Fitted, gain: Measured | None = None
) -> Path:
    """Write the card into the model folder, and return its path. Without a gain it says that
    nobody has measured one.
    """
    path = fitted.folder / CARD
    write_atomically(path, card(recipe, facts, fitted, gain).encode())
    return path


def card(recipe: Recipe, facts: DataFacts, fitted: Fitted, gain: Measured | None = None) -> str:
    """Return the card as Markdown with front matter."""
    import yaml

    base = Base(recipe, "cpu")
    front = yaml.safe_dump(_front_matter(recipe, base, gain), sort_keys=False, allow_unicode=True)
    parts = [
        f"---\n{front}---",
        f"# {recipe.name}",
        _summary(recipe, base),
        _use(recipe, base),
        _gain(gain),
        _training(recipe, base, facts, fitted),
        _curve(fitted),
        _recipe(recipe, base),
        _limits(recipe, facts, gain),
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(recipe: Recipe, base: Base, gain: Measured | None) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "library_name": "sentence-transformers",
        "pipeline_tag": PIPELINES[recipe.kind],
        "tags": ["sentence-transformers", recipe.kind, "rerank-bench"],
    }
    name = published_name(base.weights)
    if hub.is_id(name):
        fields["base_model"] = name
    entry = entries.load().get(str(recipe.base))
    if entry is not None and entry.facts.licence:
        fields["license"] = entry.facts.licence.lower()
    if entry is not None and entry.facts.languages:
        fields["language"] = list(entry.facts.languages)
    if gain is not None:
        fields["model-index"] = [{"name": recipe.name, "results": [_result(recipe, gain)]}]
    return fields


def _result(recipe: Recipe, gain: Measured) -> dict[str, Any]:
    data = test_data(recipe)
    value = gain.rows[TRAINED].mean
    kind = gain.measure.lower().replace("@", "_at_")
    return {
        "task": {"type": "text-ranking", "name": "Reranking"},
        "dataset": {"type": data, "name": f"test queries of {data}"},
        "metrics": [{"type": kind, "name": gain.measure, "value": round(value, 6)}],
    }


def test_data(recipe: Recipe) -> str:
    """Return the names of the datasets that test queries are from."""
    if recipe.test is not None and recipe.test.dataset is not None:
        return str(_for_others(recipe.test.dataset.name))
    return training_data(recipe)


def training_data(recipe: Recipe) -> str:
    """Return the names of the datasets that it was trained on."""
    return ", ".join(str(_for_others(part.name)) for part in recipe.data)


def _for_others(data: Any) -> Any:
    """Return plain data of a recipe without its secrets and the folders of this machine."""
    return without_places(redacted(data))


def _summary(recipe: Recipe, base: Base) -> str:
    article = "A" if recipe.kind[0] not in "aeiou" else "An"
    how = "all weights" if recipe.lora is None else f"low-rank adapters of rank {recipe.lora.rank}"
    text = (
        f"{article} {recipe.kind} trained from {_base_name(base)} ({how}) on judged queries of "
        f"{training_data(recipe)} with rerank-bench {version()}."
    )
    if recipe.description:
        text = f"{recipe.description}\n\n{text}"
    return text


def _base_name(base: Base) -> str:
    name = published_name(base.weights)
    if hub.is_id(name):
        return f"[{name}](https://huggingface.co/{name})"
    return f"`{base.weights.label}`"


def _use(recipe: Recipe, base: Base) -> str:
    folder = f"path/to/{recipe.name}"
    code = USES[recipe.kind].format(folder=folder)
    label = base.weights.label
    is_apart = recipe.kind == "cross-encoder" and base.head == "cosine"
    if is_apart:
        code = APART.format(base=label, folder=folder)
    entry = f"- {KINDS[recipe.kind].backend}: {{model: {folder}}}"
    if recipe.lora is not None and not recipe.lora.merge:
        options = f"model: {label}, adapter: {folder}"
        if is_apart:
            options = f"{options}, head: cosine"
        entry = f"- cross-encoder: {{{options}}}"
    return (
        f"## Use\n\n```python\n{code}\n```\n\nIn a suite of rerank-bench:\n\n```yaml\n{entry}\n```"
    )


def _gain(gain: Measured | None) -> str:
    title = "## Gain on test queries"
    if gain is None:
        return f"{title}\n\nNot measured: what this training brought is not known."
    difference = gain.difference
    rows = [
        (name, f"{value.mean:.4f} [{value.low:.3f}, {value.high:.3f}]")
        for name, value in gain.rows.items()
    ]
    sentence = (
        f"Trained less {gain.base}: {difference.mean:+.4f} [{difference.low:+.3f}, "
        f"{difference.high:+.3f}] (p {_p_value(difference.p)}), paired over "
        f"{counted(difference.queries, 'query')}: {difference.wins} rise, "
        f"{difference.ties} stay, {difference.losses} fall."
    )
    if difference.low <= 0 <= difference.high:
        sentence += " The interval contains 0: no gain is shown."
    elif difference.high < 0:
        sentence += " It is worse than before its training."
    head = ("row", f"{gain.measure}, 95 % interval")
    return f"{title}\n\n{_table(head, rows)}\n\n{sentence}"


def _p_value(p: float) -> str:
    return "<.001" if p < 0.001 else f"{p:.3f}".lstrip("0")


def _training(recipe: Recipe, base: Base, facts: DataFacts, fitted: Fitted) -> str:
    checkpoint = base.checkpoint()
    versions = ", ".join(f"{name} {number}" for name, number in fitted.versions.items())
    negatives = [f"{facts.hard} hard", f"{facts.easy} random"]
    rows: list[Row] = [
        ("base", " ".join(filter(None, (base.weights.label, checkpoint.revision)))),
        ("data", training_data(recipe)),
        ("queries", f"{facts.queries} to train on, {facts.dev_queries} to choose the best step"),
        ("pairs", f"{facts.pairs}: {facts.positives} positive, {', '.join(negatives)} negatives"),
        ("negatives from", _negatives(recipe)),
        ("loss", str(recipe.objective)),
        ("trained", _trained(recipe)),
        ("steps", f"{fitted.steps} of {fitted.planned}, the weights of step {fitted.best_step}"),
        ("batch, epochs", f"{recipe.batch} pairs, {recipe.epochs:g}"),
        ("rate", f"{recipe.rate:g}, {percent(recipe.warmup)} warm-up, then falling to 0"),
        ("length", f"{recipe.length} tokens"),
        ("seed", str(recipe.seed)),
        ("machine", f"{fitted.device}, {fitted.dtype}, {_minutes(fitted.seconds)}"),
        ("versions", versions),
    ]
    if recipe.teacher is not None:
        rows.insert(6, ("teacher", recipe.teacher.label))
    return "## Training\n\n" + _table(("", ""), rows)


def _negatives(recipe: Recipe) -> str:
    stages = " > ".join(part.label for part in recipe.negatives.pipeline)
    if recipe.negatives.ranks is not None:
        first, last = recipe.negatives.ranks
        return f"{stages}, ranks {first} to {last}"
    return f"{stages}, ranks 1 to {recipe.depth}"


def _trained(recipe: Recipe) -> str:
    lora = recipe.lora
    if lora is None:
        return "all weights"
    state = "merged" if lora.merge else "saved alone, with the head"
    return f"LoRA, rank {lora.rank}, alpha {lora.alpha or 2 * lora.rank:g}, {state}"


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"


def _curve(fitted: Fitted) -> str:
    points = shown_points(fitted.curve, fitted.best)
    rows = []
    for point in points:
        mark = " (kept)" if point == fitted.best else ""
        rows.append((str(point.step), f"{point.loss:.4f}", f"{point.ndcg:.4f}{mark}"))
    losses = spark([point.loss for point in fitted.curve])
    values = spark([point.ndcg for point in fitted.curve])
    table = _table(("step", "training loss", f"dev {MEASURE}"), rows)
    return f"## Curve\n\nLoss `{losses}`, dev {MEASURE} `{values}`\n\n{table}"


def shown_points(curve: Sequence[CurvePoint], best: CurvePoint) -> list[CurvePoint]:
    """Return checks at even distances, with the best and the last one."""
    stride = max(1, -(-len(curve) // (CURVE_ROWS - 2)))
    points = {*curve[::stride], best, curve[-1]}
    return sorted(points)


def spark(values: Sequence[float]) -> str:
    """Return a bar per value, the lowest and the highest of them at the ends of the scale."""
    low, high = min(values), max(values)
    if high == low:
        return BARS[0] * len(values)
    scale = (len(BARS) - 1) / (high - low)
    return "".join(BARS[round((value - low) * scale)] for value in values)


def _recipe(recipe: Recipe, base: Base) -> str:
    import yaml

    fields = recipe.resolved()
    if Path(str(fields["base"])).is_absolute():
        fields["base"] = base.weights.label
    text = yaml.safe_dump(_for_others(fields), sort_keys=False, allow_unicode=True)
    return f"## Recipe\n\n```yaml\n{text}```"


def _limits(recipe: Recipe, facts: DataFacts, gain: Measured | None) -> str:
    data = training_data(recipe)
    lines = [
        f"Trained on {counted(facts.queries, 'query')} of {data} alone: nothing is known of other "
        "domains and languages, where it may have lost what its base knew.",
        f"Dev {MEASURE} chose the step: on these queries it is higher than on new ones.",
        f"Texts are cut to {recipe.length} tokens.",
        "One seed: another one gives other weights.",
    ]
    if facts.shared_documents:
        count = counted(facts.shared_documents, "document")
        lines.append(
            f"Training lists and judgments of test queries share {count}, and no query: the "
            "gain is one for new queries about known documents."
        )
    if gain is None:
        lines.append("Not measured on test queries.")
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
