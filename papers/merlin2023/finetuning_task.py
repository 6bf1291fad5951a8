"""The sections of paper A (Merlin et al. 2023): which runs and comparisons each of them needs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from invlib.training.run import TrainingRun
from papers.merlin2023.base import MerlinSection

if TYPE_CHECKING:
    import xarray as xr


__all__ = ["FinetuningTask"]


class FinetuningTask(MerlinSection):
    """Section 4.1: what is learnt and forgotten, layer by layer, for two kinds of task.

    Examples
    --------
    >>> section = FinetuningTask.from_parameters({"datasets": ["digits"], "n": 8})
    >>> for name in section.runs():
    ...     print(name)
    pretraining on shapes
    digits: classification
    digits: reconstruction
    """

    name = "finetuning_task"

    def runs(self) -> dict[str, TrainingRun]:
        """Return the pretraining, where there is one, and a fine-tuning for each pair."""
        pretraining = self.pretraining_run()
        runs = {f"pretraining on {pretraining.dataset}": pretraining} if pretraining else {}
        for dataset in self.datasets:
            for task in self.tasks:
                runs[f"{dataset}: {task}"] = self.finetuning_run(dataset, task)
        return runs

    def dataset(self) -> xr.Dataset:
        """Train, invert and compare; dims dataset and task stand in front."""
        from invlib import train
        from invlib.comparison.compare import stack

        started = time.perf_counter()
        pretrained = self.pretrained_model()
        by_dataset = {}
        for dataset in self.datasets:
            by_task = {}
            for task in self.tasks:
                trained = train(self.finetuning_run(dataset, task), root=self.training_root)
                by_task[task] = self.compare(pretrained, trained)
            by_dataset[dataset] = stack(by_task, "task", shared=True)
        ds = stack(by_dataset, "dataset")
        return self.finish(ds, kind="comparison", device=pretrained.device, started=started)
