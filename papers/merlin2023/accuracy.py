"""Table 1 and appendix C.1 of paper A: accuracies, and learning against forgetting."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from invlib.training.run import TrainingRun
from papers.merlin2023.pretraining_dataset import IMAGENET, PretrainingDataset

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


__all__ = ["Accuracy"]


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
        from papers.claims.shapes import pearson

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
