"""Section 4.2 of paper A, Table 1 and appendix C.1: what the pretraining data set does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from invlib.names import choices
from invlib.training.run import TrainingRun
from papers.merlin2023.base import MerlinSection
from papers.parameters import Names, Natural, Positive

if TYPE_CHECKING:
    import xarray as xr

    from invlib.training.checkpoints import Trained

__all__ = ["PretrainingDataset"]

NONE = "none"  # of pretraining: training from a random start
IMAGENET = "imagenet"  # what `weights` were trained on


class PretrainingDataset(MerlinSection):
    """Section 4.2: learning and forgetting from several starting points (Figures 2 and 3).

    Parameters
    ----------
    targets : tuple of str
        Data sets to classify, from every start.
    pretrainings : tuple of str
        Starting points: ``"imagenet"`` is the model of `weights`, another name one trained here
        from a random start on that data set, ``"none"`` the random start itself. A data set is
        not its own pretraining: that pair is left out.
    scratch_n, scratch_epochs
        Images and epochs of training from a random start; its optimiser and learning rate are
        those of the pretraining.

    Examples
    --------
    >>> section = PretrainingDataset.from_parameters({"pretrainings": ["shapes", "none"]})
    >>> for name in section.runs():
    ...     print(name)
    digits from shapes
    digits from none
    """

    name = "pretraining_dataset"

    targets: Names = ("digits",)
    pretrainings: Names = ("shapes", "none")
    scratch_n: Positive | None = None
    scratch_epochs: Natural = 12

    def starts(self, target: str) -> list[str]:
        """Return the starting points of `target`."""
        return [start for start in self.pretrainings if start != target]

    def scratch_run(self, dataset: str) -> TrainingRun:
        """Return the training on `dataset` from a random start."""
        if self.weights is None and dataset == self.pretraining_dataset:
            return self.pretraining_run()
        return TrainingRun(
            model=self.model,
            img_size=self.img_size,
            dataset=dataset,
            n_train=self.scratch_n,
            epochs=self.scratch_epochs,
            optimizer=self.pretraining_optimizer,
            lr=self.pretraining_lr,
            batch_size=self.batch_size,
            augmentation=self.augmentation,
            seed=self.train_seed,
            keep="ends",
        )

    def run_from(self, start: str, target: str) -> TrainingRun:
        """Return the training on `target` from one starting point."""
        if start == NONE:
            return self.scratch_run(target)
        if start == IMAGENET:
            if self.weights is None:
                here = [name for name in self.pretrainings if name != IMAGENET]
                choices("pretrainings", start, [*here, self.pretraining_dataset, NONE])
            return self.finetuning_run(target, weights=self.weights)
        return self.finetuning_run(target, weights=self.scratch_run(start))

    def runs(self) -> dict[str, TrainingRun]:
        """Return a training for each target and each of its starting points."""
        return {
            f"{target} from {start}": self.run_from(start, target)
            for target in self.targets
            for start in self.starts(target)
        }

    def dataset(self) -> xr.Dataset:
        """Train, invert and compare each model with its own start; diagonals only.

        Dims dataset and pretraining stand in front. `pretraining_accuracy` is that of the start
        on what it was trained on, NaN where nothing here trained it.
        """
        import xarray as xr
        from tqdm.auto import tqdm

        from invlib import train
        from invlib.comparison.compare import stack
        from invlib.metrics.invariance import diagonals

        started = time.perf_counter()
        runs = self.runs()
        parts: dict[str, dict[str, xr.Dataset]] = {target: {} for target in self.targets}
        for name, run in tqdm(runs.items(), desc="comparisons", leave=False, disable=None):
            target, start = name.split(" from ")
            trained = train(run, root=self.training_root)
            before = trained.model(0)
            ds = diagonals(self.compare(before, trained, examples=0))
            parts[target][start] = ds.assign(pretraining_accuracy=self._accuracy_before(trained))
        ds = xr.concat(
            [stack(of_one, "pretraining") for of_one in parts.values()],
            xr.Variable("dataset", list(parts)),
            join="outer",
        ).sel(pretraining=[p for p in self.pretrainings if any(p in one for one in parts.values())])
        return self.finish(ds, kind="comparison", device=before.device, started=started)

    def _accuracy_before(self, trained: Trained) -> float:
        """Test accuracy of what a run started from, on its own data set; NaN where unknown."""
        from invlib import train

        if trained.run.parent is None:
            return float("nan")
        return float(train(trained.run.parent, root=self.training_root).log.test_accuracy[-1])
