"""What a suite may say about a learned stage. Imports nothing heavier than pydantic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import field_validator, model_validator

from bench.contract.part import Part, refuse_same_labels
from bench.core.errors import nearest
from bench.core.options import Kind, option
from bench.learning.features import FAMILIES
from bench.rerankers.options import RerankerOptions


class LtrOptions(RerankerOptions):
    """A model over cheap features, trained on judged queries."""

    # a function is in a file, too
    paths: ClassVar[tuple[str, ...]] = ("load", "functions")
    holds: ClassVar[Mapping[str, Kind]] = {
        "first_stages": "first_stages",
        "encoder": "rerankers",
        "train": "datasets",
    }

    model: Literal["linear", "lightgbm"] = option(
        "linear",
        decides="scores",
        description="linear: pairwise logistic regression; lightgbm: LambdaMART (extra [ltr])",
    )
    features: tuple[str, ...] | None = option(
        None,
        decides="scores",
        min_length=1,
        description=f"families of features among {', '.join(FAMILIES)}; all that apply when absent",
    )
    functions: tuple[str, ...] = option(
        (),
        decides="scores",
        description='features of your own, each "module:function": (query, documents) -> numbers',
    )
    fields: tuple[str, ...] = option(
        (),
        decides="scores",
        description="numeric fields of the documents, such as price, clicks, age",
    )
    text_fields: tuple[str, ...] | None = option(
        None,
        decides="scores",
        min_length=1,
        description="fields with a BM25 of their own; those of the document template when absent",
    )
    bm25: Mapping[str, Any] | None = option(
        None,
        decides="scores",
        description="options of bm25 for the lexical features, such as {stemmer: german}",
    )
    first_stages: tuple[Part, ...] = option(
        (),
        decides="scores",
        place="elsewhere",
        description="further first stages whose scores and ranks are features: [bm25, dense]",
    )
    encoder: Part | None = option(
        None,
        decides="scores",
        place="elsewhere",
        description="a reranker whose score is a feature, such as minilm-bi-encoder",
    )
    train: Part | None = option(
        None,
        decides="scores",
        place="elsewhere",
        description="the dataset to train on; when absent, the judged queries themselves, "
        "cross-fitted",
    )
    load: str | None = option(
        None,
        decides="scores",
        place="elsewhere",
        min_length=1,
        description="a trained model in place of training: .json of a run, LightGBM text, or "
        "XGBoost JSON",
    )
    folds: int = option(
        5,
        ge=2,
        decides="scores",
        description="parts of the cross-fitting: a query is scored by a model that was fitted on "
        "the other parts",
    )
    seed: int = option(42, ge=0, decides="scores", description="of folds, samples and trees")
    l2: float = option(
        0.3,
        ge=0,
        decides="scores",
        description="linear: penalty on the weights; the more queries, the less it counts",
    )
    trees: int = option(150, ge=1, decides="scores", description="boosting rounds of lightgbm")
    leaves: int = option(7, ge=2, decides="scores", description="leaves of each tree of lightgbm")
    learning_rate: float = option(
        0.05, gt=0, le=1, decides="scores", description="learning rate of lightgbm"
    )

    @field_validator("features")
    @classmethod
    def _known(cls, features: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in features or ():
            if name not in FAMILIES:
                raise ValueError(f"there are no features '{name}': {nearest(name, FAMILIES)}")
        return features

    @field_validator("functions")
    @classmethod
    def _name_functions(cls, functions: tuple[str, ...]) -> tuple[str, ...]:
        for name in functions:
            if ":" not in name:
                raise ValueError(f"'{name}' names no function: write module:function")
        return functions

    @model_validator(mode="after")
    def _fits(self) -> LtrOptions:
        refuse_same_labels(self.first_stages)
        if self.load is not None and self.train is not None:
            raise ValueError("train and load exclude each other: a loaded model is not trained")
        return self
