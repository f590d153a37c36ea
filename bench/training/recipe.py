"""A training recipe: a validated YAML file that says what is trained, on what, and how.

name: support-questions
base: cross-encoder/ms-marco-MiniLM-L6-v2
data: files:./tickets
dev: 0.15
test: 0.15
negatives: {from: bm25, ranks: [3, 50], easy: 0.2}
loss: listnet
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr, ValidationError, field_validator, model_validator

from bench.contract.part import Part
from bench.core.errors import SuiteError
from bench.core.options import FOLDER_NAME, Keys, Kind, Options, written_number
from bench.core.plugins import look_in
from bench.core.redaction import keep_out
from bench.core.yaml_source import Source, plain_yaml, text_of
from bench.suite.checks import Checks
from bench.suite.nested import Placed
from bench.suite.pipeline_entry import without_keep
from bench.training.options import Lora, Negatives, Portion, one_or_many

ModelKind = Literal["cross-encoder", "bi-encoder", "late-interaction", "ltr"]
Loss = Literal[
    "binary-cross-entropy", "listnet", "lambdaloss", "ranknet", "margin-mse", "contrastive"
]
LOSSES: Mapping[ModelKind, tuple[Loss, ...]] = {
    "cross-encoder": ("binary-cross-entropy", "listnet", "lambdaloss", "ranknet", "margin-mse"),
    "bi-encoder": ("contrastive", "margin-mse"),
    "late-interaction": ("contrastive", "margin-mse"),
    "ltr": (),
}
"""The losses of each kind of model, the default first. An `ltr` has that of its model."""

OF_LTR = frozenset(
    ("name", "description", "kind", "data", "test", "split_by", "leaks", "depth", "negatives")
) | {"seed", "ltr"}
"""What a recipe of an `ltr` may say: the other keys are of the training of networks."""


class Recipe(Options):
    """The contents of a recipe. Paths in it are relative to the file's folder (`base_dir`)."""

    name: str = Field(pattern=FOLDER_NAME, description="names the folder of the model")
    description: str = Field("", description="one or two sentences for the model card")
    kind: ModelKind = Field("cross-encoder", description="what is trained")
    base: str | None = Field(
        None,
        min_length=1,
        description="the weights to begin with: a name of the catalogue, hub id, folder or "
        "packaged:NAME; an ltr has none",
    )
    head: Literal["classifier", "cosine"] | None = Field(
        None,
        description="of a cross-encoder: cosine begins as the bi-encoder whose weights the base "
        "has, and saves an adapter alone, which a suite gives to the base with head: cosine; "
        "the base's own when absent",
    )
    data: tuple[Part, ...] = Field(
        min_length=1, description="one dataset or several to train on, as a suite names them"
    )
    dev: Portion = Field(
        Portion(share=0.15),
        description="the queries that choose the best step: a share, or a dataset",
    )
    test: Portion | None = Field(
        None,
        description="the queries that the trained model is measured on, once, at the end: a "
        "share, or a dataset",
    )
    split_by: str | None = Field(
        None,
        min_length=1,
        description="field of the documents, such as article, whose values are in one portion "
        "alone, so that portions share no document; shares are of queries when absent",
    )
    leaks: Literal["refuse", "drop"] = Field(
        "refuse",
        description="training queries that a measured one asks, too, or that share its relevant "
        "documents: refuse them with their names, or drop and count them",
    )
    depth: int = Field(
        50, ge=1, description="candidates per query: for negatives, dev and the comparison"
    )
    negatives: Negatives = Negatives()
    teacher: Part | None = Field(
        None,
        description="a reranker whose scores are the labels of margin-mse, a part of those of "
        "listnet (anchor), or limit negatives",
    )
    anchor: float | None = Field(
        None,
        gt=0,
        description="weight of the teacher's scores in the labels of listnet, which are grades "
        "plus this times the score: what the teacher knows is not lost for a few judgments",
    )
    sharpness: float = Field(
        1.0,
        gt=0,
        description="of listnet: what labels are multiplied by before their softmax; the higher, "
        "the more of it the best document has",
    )
    loss: Loss | None = Field(
        None,
        description="binary-cross-entropy, listnet, lambdaloss, ranknet or margin-mse for a "
        "cross-encoder; contrastive or margin-mse for the encoders; the first when absent",
    )
    lora: Lora | None = Field(
        None, description="train low-rank adapters alone: a rank, or {rank, alpha}"
    )
    ltr: Mapping[str, Any] | None = Field(
        None, description="of kind ltr: its options, as a suite has them"
    )
    epochs: float = Field(2, gt=0, le=1000, description="passes over the training data")
    batch: int = Field(16, ge=1, description="pairs per step; lists count their documents")
    length: int = Field(256, ge=8, description="tokens per pair, or per text of an encoder")
    rate: float = Field(2e-5, gt=0, allow_inf_nan=False, description="the largest learning rate")
    warmup: float = Field(
        0.1, ge=0, lt=1, description="share of the steps in which the learning rate rises"
    )
    dropout: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="share of a network's values that a step drops, for networks of BERT's kind; "
        "the base's own when absent",
    )
    dtype: Literal["float32", "bfloat16"] | None = Field(
        None,
        description="number format of the arithmetic, weights staying float32; bfloat16 where the "
        "machine has instructions for it when absent",
    )
    checks: int = Field(4, ge=1, description="times per epoch that dev nDCG@10 is taken")
    patience: int | None = Field(
        3, ge=1, description="checks without a better dev nDCG@10 after which it stops; null: never"
    )
    seed: int = Field(42, ge=0, lt=2**32, description="seeds portions, negatives and training")
    fractions: tuple[float, ...] = Field(
        (),
        description="shares of the training queries for a learning curve, such as [.1, .25, .5, 1]",
    )

    _base_dir: Path = PrivateAttr(default=Path())
    _source: Source | None = PrivateAttr(default=None)

    _one_or_many = field_validator("data", mode="before")(one_or_many)

    @field_validator("rate", mode="before", json_schema_input_type=float)
    @classmethod
    def _with_exponent(cls, value: Any) -> Any:
        # YAML reads 2e-5 as a text, for want of a point
        return written_number(value) or value

    @field_validator("fractions")
    @classmethod
    def _are_shares(cls, fractions: tuple[float, ...]) -> tuple[float, ...]:
        for fraction in fractions:
            if not 0 < fraction <= 1:
                raise ValueError(f"{fraction:g} is no share: write such as [.1, .25, .5, 1]")
        return tuple(sorted(set(fractions)))

    @model_validator(mode="after")
    def _fits(self) -> Recipe:
        if self.kind == "ltr":
            self._fits_ltr()
        elif self.base is None:
            raise ValueError("base is missing: what is trained, such as base: minilm-l6")
        elif self.ltr is not None:
            raise ValueError(f"ltr: options of kind ltr, and this is a {self.kind}")
        if self.loss is not None and self.loss not in LOSSES[self.kind]:
            known = ", ".join(LOSSES[self.kind]) or "that of its model alone"
            raise ValueError(f"a {self.kind} has no loss {self.loss}: it has {known}")
        if self.lora is not None and not self.lora.merge and self.kind != "cross-encoder":
            raise ValueError("lora: an adapter alone serves a cross-encoder: leave out merge")
        self._fits_head()
        self._fits_teacher()
        last = self.negatives.ranks
        if last is not None and last[1] > self.depth:
            raise ValueError(f"negatives: rank {last[1]} is below the depth of {self.depth}")
        return self

    def _fits_head(self) -> None:
        if self.head is not None and self.kind != "cross-encoder":
            raise ValueError(f"head: of a cross-encoder, and this is a {self.kind}")
        if self.head == "cosine" and (self.lora is None or self.lora.merge):
            raise ValueError(
                "head: cosine is saved as an adapter alone: write lora: {rank: 8, merge: false}"
            )

    def _fits_ltr(self) -> None:
        idle = sorted(self.model_fields_set - OF_LTR)
        if idle:
            raise ValueError(f"{idle[0]}: an ltr has none; its own options are under ltr")
        idle = sorted(self.negatives.model_fields_set - {"pipeline"})
        if idle:
            raise ValueError(f"negatives.{idle[0]}: an ltr learns from all candidates of 'from'")
        for key in ("load", "train", "name", "optional"):
            if key in (self.ltr or {}):
                raise ValueError(f"ltr.{key}: the recipe says what is trained, and on what")
        if len(self.data) > 1:
            raise ValueError("data: an ltr is trained on one dataset")
        if len(self.negatives.pipeline) > 1:
            raise ValueError("negatives.from: an ltr comes right after a first stage")

    def _fits_teacher(self) -> None:
        settings = {"anchor": self.anchor is not None, "sharpness": self.sharpness != 1}
        for key, is_set in settings.items():
            if is_set and self.objective != "listnet":
                raise ValueError(f"{key}: labels of listnet have one, and not {self.objective}")
        if self.teacher is None:
            self._fits_none()
        elif not self.learns_scores and self.negatives.below is None:
            raise ValueError(
                "the teacher does nothing here: give negatives.below, anchor, or loss: margin-mse"
            )

    def _fits_none(self) -> None:
        """Raise ValueError for what needs a teacher."""
        if self.objective == "margin-mse":
            raise ValueError("margin-mse learns a teacher's scores: name a reranker as teacher")
        if self.anchor is not None:
            raise ValueError("anchor is the weight of a teacher's scores: name a teacher")
        if self.negatives.below is not None:
            raise ValueError("negatives.below is a share of a teacher's score: name a teacher")

    @property
    def learns_scores(self) -> bool:
        """Whether a teacher's scores are labels or part of them."""
        return self.objective == "margin-mse" or self.anchor is not None

    @property
    def objective(self) -> Loss | None:
        """The loss, the kind's own where the recipe says none; None for an ltr."""
        if self.loss is not None:
            return self.loss
        return next(iter(LOSSES[self.kind]), None)

    @property
    def first_stage(self) -> Part:
        """The first stage of the pipeline that mines, as a suite lists it."""
        return without_keep(self.negatives.pipeline[0])

    @property
    def base_dir(self) -> Path:
        """The folder that relative paths are relative to."""
        return self._base_dir

    @property
    def file(self) -> str:
        """The file that the recipe was read from, as it was named."""
        if self._source is None:
            return "<recipe>"
        return self._source.file

    def problem(self, keys: Keys, message: object) -> SuiteError:
        """Return an error that names the file, the line and the keys of a part."""
        if self._source is None:
            return SuiteError(str(message))
        return self._source.problem(keys, message)

    def resolved(self) -> dict[str, Any]:
        """Return everything, defaults included, as plain data that a recipe file may hold."""
        data = self.model_dump(mode="json", by_alias=True)
        data["data"] = [part.to_entry() for part in self.data]
        stages = [part.to_entry() for part in self.negatives.pipeline]
        data["negatives"]["from"] = stages
        if self.teacher is not None:
            data["teacher"] = self.teacher.to_entry()
        for name, portion in (("dev", self.dev), ("test", self.test)):
            if portion is not None and portion.dataset is not None:
                data[name] = {"dataset": portion.dataset.to_entry()}
            elif portion is not None:
                data[name] = {"share": portion.share}
        if self.kind == "ltr":
            data = {key: value for key, value in data.items() if key in OF_LTR}
            data["negatives"] = {"from": stages}
        return data

    def placed(self) -> Iterator[Placed]:
        """Yield the entries of the recipe, which a suite could have, too, and their keys."""
        for number, part in enumerate(self.data):
            yield Placed("datasets", part, ("data", number, part.name))
        for name, portion in (("dev", self.dev), ("test", self.test)):
            if portion is not None and portion.dataset is not None:
                part = portion.dataset
                yield Placed("datasets", part, (name, part.name))
        kind: Kind = "first_stages"
        for number, part in enumerate(self.negatives.pipeline):
            keys: Keys = ("negatives", "from", number, part.name)
            yield Placed(kind, part, keys)
            kind = "rerankers"
        if self.teacher is not None:
            yield Placed("rerankers", self.teacher, ("teacher", self.teacher.name))
        if self.kind == "ltr":
            yield Placed("rerankers", Part("ltr", dict(self.ltr or {})), ("ltr",))


def is_recipe(path: str | Path) -> bool:
    """Return whether a file is a recipe rather than a suite: it has the key `data`, and no
    `datasets`.
    """
    if not Path(path).is_file():
        return False
    try:
        data = Source(text_of(path), str(path)).data
    except SuiteError:
        return False
    return isinstance(data, dict) and "data" in data and "datasets" not in data


def load(source: str | Path | Mapping[str, Any]) -> Recipe:
    """Return a recipe from a file or a mapping. Raises SuiteError naming file, line, key and
    fix.
    """
    if isinstance(source, Mapping):
        return parse(plain_yaml(dict(source)), "<recipe>", Path.cwd())
    path = Path(source)
    return parse(text_of(path), str(path), path.resolve().parent)


def parse(text: str, file: str, base_dir: Path) -> Recipe:
    """Return the recipe of a text, options of every part validated. Relative paths in it are
    relative to `base_dir`.
    """
    source = Source(text, file)
    if not isinstance(source.data, dict):
        raise source.problem((), "a recipe is a mapping with at least 'name', 'base' and 'data'")
    if "datasets" in source.data and "data" not in source.data:
        raise source.problem(
            ("datasets",), f"of a suite, and no training recipe: `rerank-bench run {file}` runs it"
        )
    look_in(base_dir)
    try:
        recipe = Recipe.model_validate(source.data)
    except ValidationError as error:
        raise source.explain(error, Recipe) from error
    recipe._base_dir = base_dir
    recipe._source = source
    keep_out(source.data)
    _check(recipe, source)
    return recipe


def _check(recipe: Recipe, source: Source) -> None:
    """Check the options of every part by the model of the class that will take them."""
    first = recipe.negatives.pipeline[0]
    checks = Checks(source, recipe.base_dir, (), recipe.depth, (first,))
    placed = list(recipe.placed())
    stages = [part for part in placed if part.keys[:2] == ("negatives", "from")]
    for part in placed:
        if part not in stages:
            checks.check_part(part.kind, part.part, part.keys)
    checks.check_stages(stages, recipe.name, None)
    plain = [part._replace(part=without_keep(part.part)) for part in placed]
    try:
        checks.check_files(plain)
    except OSError as error:
        raise SuiteError(f"{source.file}: {error.filename}: {error.strerror}") from error
