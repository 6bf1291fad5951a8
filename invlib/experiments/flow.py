"""Section 4.3 of paper A: which fine-tuned layers hold which pretrained invariances."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .merlin import FinetuningTask

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["CompressionExpansion"]


class CompressionExpansion(FinetuningTask):
    """Section 4.3: the Invariance Flow Matrix (Figures 4 and 10) and what it sums up to.

    Everything is in the comparisons of `FinetuningTask`: nothing is inverted again.

    Examples
    --------
    >>> CompressionExpansion.uses
    ('finetuning_task',)
    """

    name = "compression_expansion"
    uses = ("finetuning_task",)

    def dataset(self) -> xr.Dataset:
        """Return the matrices that eq. 5 is made of, dims dataset and task in front."""
        started = time.perf_counter()
        ds = self.results_of("finetuning_task")
        wanted = ("stir_ft_pt", "stir_pt_pt", "stir_control_pt", "stir_control_ft")
        wanted += ("inversion_loss_pt", "test_accuracy", "test_loss")
        ds = ds[[name for name in ds if name in wanted]]
        return self.finish(ds, kind="comparison", device=ds.attrs["device"], started=started)

    @staticmethod
    def table(
        shown: dict[str, xr.Dataset], blocks: dict[str, tuple[str, Iterable[int], Iterable[int]]]
    ) -> pd.DataFrame:
        """Return compression and expansion as numbers, a row for each run, task and estimator.

        `blocks` names triples (``"compression"`` or ``"expansion"``, pretrained layers, fine-tuned
        layers), each a column.
        """
        import pandas as pd

        from invlib import invariance

        rows = {}
        for title, ds in shown.items():
            flow = invariance.invariance_flow(ds).mean("seed")
            for dataset in ds["dataset"].values:
                for task in ds["task"].values:
                    for estimator in ds["estimator"].values:
                        one = flow.sel(dataset=dataset, task=task, estimator=estimator)
                        numbers = {"share compressed": float(invariance.compressed_share(one))}
                        for name, (kind, *layers) in blocks.items():
                            numbers[name] = float(getattr(invariance, kind)(one, *layers))
                        rows[title, dataset, task, estimator] = numbers
        names = ["run", "data set", "task", "estimator"]
        table = pd.DataFrame.from_dict(rows, orient="index")
        table.index = pd.MultiIndex.from_tuples(table.index, names=names)
        return table
