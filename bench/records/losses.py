"""What a record tells of the relevant documents that a trial lost, stage by stage."""

from __future__ import annotations

from pydantic import Field, model_validator

from bench.core.options import Options
from bench.quality.losses import Losses


class StageLosses(Options):
    """The relevant documents that one stage lost: see `bench.quality.losses`."""

    stage: str
    not_retrieved: int = Field(0, ge=0, description="the search did not bring them")
    cut: int = Field(0, ge=0, description="it was handed them and does not hand them on")
    ranked_below: int = Field(
        0,
        ge=0,
        description="it took them out of the top last, or left them below as the last stage",
    )
    failed: int = Field(0, ge=0, description="it was handed them for a query that failed in it")

    @property
    def total(self) -> int:
        return self.not_retrieved + self.cut + self.ranked_below + self.failed


class LossRecord(Options):
    """Every relevant document of the measured queries: in the top of the ranking, or lost by one of
    the stages.
    """

    cutoff: int = Field(ge=1, description="places of the top: the headline measure's, else 10")
    relevant: int = Field(ge=0, description="documents with a grade that counts as relevant")
    in_top: int = Field(ge=0, description="those of them in the top")
    stages: list[StageLosses] = Field(description="the search first")

    @model_validator(mode="after")
    def _sums_up(self) -> LossRecord:
        lost = sum(stage.total for stage in self.stages)
        if self.in_top + lost != self.relevant:
            raise ValueError(
                f"{self.in_top} relevant documents in the top and {lost} that are lost are not "
                f"{self.relevant}"
            )
        return self


def loss_record(losses: Losses, names: list[str]) -> LossRecord:
    """Return what a record tells of the losses of stages with these names."""
    stages: list[StageLosses] = []
    for name, counts in zip(names, losses.counts(), strict=True):
        fields = {loss.name.lower(): count for loss, count in counts.items()}
        stages.append(StageLosses(stage=name, **fields))
    return LossRecord(
        cutoff=losses.cutoff, relevant=losses.relevant, in_top=losses.in_top, stages=stages
    )


def loss_rows(trial: str, losses: Losses, names: list[str]) -> list[tuple[str, str, str, str, str]]:
    """Return the rows of the table `losses`: a line per relevant document that is missing."""
    return [
        (trial, lost.query_id, lost.doc_id, str(lost.loss), names[lost.stage])
        for lost in losses.lost
    ]
