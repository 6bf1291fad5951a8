"""Section 4.2 of paper A, Table 1 and appendix C.1: what the pretraining data set does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from invlib.errors import choices
from invlib.runs import TrainingRun

from .merlin import MerlinSection
from .section import Names, Natural, Positive

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from invlib.checkpoints import Trained

__all__ = ["Accuracy", "PretrainingDataset"]

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
        from invlib.comparison import stack
        from invlib.invariance import diagonals

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


class Accuracy(PretrainingDataset):
    """Table 1: how well every model does its task; and appendix C.1, from the comparisons.

    The data sets of paper A that are only fine-tuned to (EuroSAT, Pets) are those of `datasets`
    that are not among the `targets`.

    Examples
    --------
    >>> list(Accuracy.from_parameters({"datasets": ["digits", "shapes"]}).runs())
    ['digits from shapes', 'digits from none', 'shapes from shapes']
    """

    name = "accuracy"
    uses = ("pretraining_dataset",)

    def runs(self) -> dict[str, TrainingRun]:
        """Return the trainings of `PretrainingDataset`, and those of the other data sets."""
        start = self.pretraining_dataset if self.weights is None else IMAGENET
        others = [dataset for dataset in self.datasets if dataset not in self.targets]
        return super().runs() | {
            f"{dataset} from {start}": self.finetuning_run(dataset) for dataset in others
        }

    def dataset(self) -> xr.Dataset:
        """Collect test accuracies, and correlate learning with forgetting over the layers."""
        import numpy as np
        import xarray as xr

        from invlib import forgetting, learning, train

        from .curves import pearson

        started = time.perf_counter()
        compared = self.results_of("pretraining_dataset")
        names = [name.split(" from ") for name in self.runs()]
        grid = {
            "dataset": list(dict.fromkeys(target for target, _ in names)),
            "pretraining": list(dict.fromkeys(start for _, start in names)),
        }
        table = xr.Dataset(
            {
                name: xr.DataArray(np.nan, grid, list(grid))
                for name in ("test_accuracy", "test_loss", "pretraining_accuracy")
            }
        )
        for (target, start), run in zip(names, self.runs().values(), strict=True):
            trained = train(run, root=self.training_root)
            cell = dict(dataset=target, pretraining=start)
            for name in ("test_accuracy", "test_loss"):
                table[name].loc[cell] = float(trained.log[name][-1])
            table["pretraining_accuracy"].loc[cell] = self._accuracy_before(trained)
        rows = []
        for self_term in ("measured", "one"):
            curves = (measure(compared, self_term=self_term) for measure in (learning, forgetting))
            rows.append(pearson(*curves))
        table["layer_correlation"] = xr.concat(rows, xr.Variable("self_term", ["measured", "one"]))
        return self.finish(table, kind="accuracy", device="cpu", started=started)

    @staticmethod
    def table(ds: xr.Dataset, paper: dict[str, dict[str, float]]) -> pd.DataFrame:
        """Return Table 1: a row for each start and data set, the paper's value beside ours."""
        import pandas as pd

        rows = {}
        for start in ds["pretraining"].values:
            for dataset in ds["dataset"].values:
                one = ds.sel(pretraining=start, dataset=dataset)
                if one["test_accuracy"].isnull():
                    continue
                rows[f"{start} → {dataset}"] = {
                    "accuracy": float(one["test_accuracy"]),
                    "the paper's": paper.get(str(start), {}).get(str(dataset)),
                    "of the start": float(one["pretraining_accuracy"]),
                }
        return pd.DataFrame.from_dict(rows, orient="index").astype(float)
