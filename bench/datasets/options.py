"""What a suite may say about a dataset. Imports nothing heavier than pydantic."""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import field_validator

from bench.core.options import StageOptions, option
from bench.datasets.grades import BEYOND, Label, label


class DatasetOptions(StageOptions):
    """Options of any dataset, whatever its kind."""

    name: str | None = option(
        None,
        min_length=1,
        decides="nothing",
        description="what tables call this dataset; its own short name when absent",
    )
    document: str = option(
        "{title} {text}",
        decides="scores",
        place="elsewhere",
        description="template that renders a document's fields into the text rerankers see",
    )
    min_relevance: int | None = option(
        None,
        ge=1,
        decides="scores",
        place="elsewhere",
        description="smallest grade that counts as relevant in binary measures; the collection's "
        "own when absent, else 1",
    )
    queries: int | None = option(
        None,
        ge=1,
        decides="scores",
        place="elsewhere",
        description="a seeded sample of at most this many judged queries; all of them when absent",
    )
    qrels: str | None = option(
        None,
        min_length=1,
        decides="scores",
        place="elsewhere",
        description="file of judgments, in place of the collection's own; none where nobody has "
        "judged yet: rows are ranked, and nothing is measured",
    )
    only: str | None = option(
        None,
        min_length=1,
        decides="scores",
        place="elsewhere",
        description="text file of query ids, one a line: the queries that are used; all of them "
        "when absent",
    )
    grades: Mapping[str | float, int] | None = option(
        None,
        min_length=1,
        decides="scores",
        place="elsewhere",
        description="label in the judgments -> grade, a whole number: {E: 3, S: 2, C: 1, I: 0} "
        "or {1.0: 100, 0.1: 10, 0.01: 1, 0: 0}",
    )
    family: str | None = option(
        None,
        min_length=1,
        decides="nothing",
        description="family of collections that models may have been trained on, such as msmarco, "
        "where the name of the collection does not say",
    )
    own_document: Literal["auto", "drop", "keep"] = option(
        "auto",
        decides="scores",
        place="elsewhere",
        description="a document with the query's own id: drop it from the query's candidates, "
        "keep it, or auto: drop it where it is the "
        "query's text, as in ArguAna and Quora",
    )

    @field_validator("grades", mode="before")
    @classmethod
    def _labels(cls, grades: Any) -> Any:
        if not isinstance(grades, Mapping):
            return grades
        for name, value in grades.items():
            if isinstance(name, bool):
                raise ValueError(
                    f"YAML reads a label of grades as {str(name).lower()}: write it in quotes"
                )
            if isinstance(value, int) and abs(value) >= BEYOND:
                raise ValueError(f"grade {value} has more than nine digits")
        labels: dict[Label, int] = {}
        for name, value in grades.items():
            if (first := labels.setdefault(label(name), value)) != value:
                problem = f"label {name!r} is there twice, for grades {first} and {value}"
                raise ValueError(f'{problem}; 2, "2" and "2.0" are one label')
        return labels

    @field_validator("document")
    @classmethod
    def _is_a_template(cls, template: str) -> str:
        if not template_fields(template):
            raise ValueError(
                f"the document template '{template}' names no field; write for example "
                f"'{{title}} {{text}}'"
            )
        return template


def template_fields(template: str) -> tuple[str, ...]:
    """Return the document fields that a template names.

    Raises ValueError for braces that do not match or hold more than a field's name.
    """
    names = []
    for _, name, spec, conversion in string.Formatter().parse(template):
        if name is None:
            continue
        if not name or name.isdigit() or spec or conversion or set(name) & set(".["):
            raise ValueError(
                f"'{{{name}}}' in the document template is not the plain name of a field"
            )
        names.append(name)
    return tuple(names)
