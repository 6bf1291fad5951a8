"""All claims, by the section (notebook) whose results decide them."""

from __future__ import annotations

from collections.abc import Mapping

from invlib.claims import Claim

from .flow_claims import COMPRESSION_EXPANSION
from .pretraining_claims import ACCURACY, PRETRAINING_DATASET
from .task_claims import FINETUNING_TASK

__all__ = ["CLAIMS"]

CLAIMS: Mapping[str, tuple[Claim, ...]] = {
    "finetuning_task": FINETUNING_TASK,
    "pretraining_dataset": PRETRAINING_DATASET,
    "compression_expansion": COMPRESSION_EXPANSION,
    "accuracy": ACCURACY,
}
