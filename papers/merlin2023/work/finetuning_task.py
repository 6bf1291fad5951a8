"""Compute section 4.1 of paper A: fine-tune to two kinds of task, invert, compare."""

import xarray as xr

from invlib import train
from invlib.comparison.stacking import stack
from invlib.models.staged import StagedModel
from papers.merlin2023.finetuning_task import FinetuningTask
from papers.merlin2023.work.base import compare_finetuned, pretrained_model
from papers.work import written


@written("comparison")
def dataset(section: FinetuningTask) -> xr.Dataset:
    """Train, invert and compare. The first dims are dataset and task."""
    return compare_all(section, pretrained_model(section))


def compare_all(section: FinetuningTask, pretrained: StagedModel, **other: object) -> xr.Dataset:
    """Compare the pretrained model with each fine-tuned one; first dims dataset and task.

    `other` replaces arguments of `invlib.compare`.
    """
    by_dataset = {}
    for dataset in section.datasets:
        by_task = {}
        for task in section.tasks:
            trained = train(section.finetuning_run(dataset, task), root=section.training_root)
            by_task[task] = compare_finetuned(section, pretrained, trained, **other)
        by_dataset[dataset] = stack(by_task, "task", shared=True)
    return stack(by_dataset, "dataset")
