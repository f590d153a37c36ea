"""The base of everything that a suite may configure: strict, frozen, and ignorant of YAML."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Options(BaseModel):
    """Options of one part. Unknown keys are errors; values are kept as given, so that a record can show them."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
