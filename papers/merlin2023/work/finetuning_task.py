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
    """Train, invert and compare. The first dims are dataset, task and, if several, train_seed."""
    return compare_all(section, pretrained_model(section))


def compare_all(section: FinetuningTask, pretrained: StagedModel, **other: object) -> xr.Dataset:
    """Compare the pretrained model with each fine-tuned one, as `dataset` does.

    `other` replaces arguments of `invlib.compare`.
    """
    by_dataset = {}
    several = len(section.finetuning_seeds) > 1
    for dataset in section.datasets:
        by_task = {}
        for task in section.tasks:
            by_seed = {}
            for seed in section.seeds_of(dataset):
                run = section.finetuning_run(dataset, task, seed=seed)
                trained = train(run, root=section.training_root)
                by_seed[seed] = compare_finetuned(section, pretrained, trained, **other)
            by_task[task] = stack(by_seed, "train_seed", shared=True) if several else by_seed[seed]
        by_dataset[dataset] = stack(by_task, "task", shared=True)
    if several:  # what was not run is NaN
        seeds = sorted({seed for name in section.datasets for seed in section.seeds_of(name)})
        by_dataset = {name: ds.reindex(train_seed=seeds) for name, ds in by_dataset.items()}
    return stack(by_dataset, "dataset")
