"""Work of section 4.1: fine-tune to two kinds of task, invert, compare."""

import xarray as xr

from invlib import train
from invlib.comparison.stacking import stack
from invlib.models.staged import StagedModel
from papers.merlin2023.finetuning_task import FinetuningTask
from papers.merlin2023.work.base import compare_finetuned, pretrained_model
from papers.work import written


@written("comparison")
def dataset(section: FinetuningTask) -> xr.Dataset:
    """Train, invert and compare; dims dataset and task stand in front."""
    return compare_all(section, pretrained_model(section))


def compare_all(section: FinetuningTask, pretrained: StagedModel, **other: object) -> xr.Dataset:
    """Compare with each fine-tuned model, dims dataset and task in front.

    `other` are arguments of `invlib.compare` that differ from what the section says.
    """
    by_dataset = {}
    for dataset in section.datasets:
        by_task = {}
        for task in section.tasks:
            trained = train(section.finetuning_run(dataset, task), root=section.training_root)
            by_task[task] = compare_finetuned(section, pretrained, trained, **other)
        by_dataset[dataset] = stack(by_task, "task", shared=True)
    return stack(by_dataset, "dataset")
