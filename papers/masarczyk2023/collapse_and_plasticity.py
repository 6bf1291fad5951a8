"""Paper C, Figures 3 to 6 and its Grad-CAM analysis: what the second task leaves of the first."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from invlib.training.run import TrainingRun
from papers.masarczyk2023.base import ORIGINAL, SQUARES, TASKS, Ratio, SquaresSection
from papers.parameters import Name, Positive, Several
from papers.section import best_device

if TYPE_CHECKING:
    import xarray as xr

    from invlib.data.images import ImageSet
    from invlib.models.staged import StagedModel

__all__ = ["CollapseAndPlasticity"]


class CollapseAndPlasticity(SquaresSection):
    """One network through three tasks: CKA, probes, ranks, relearning, and ratios of squares.

    Parameters
    ----------
    collapse_model : str
        The network; the paper's is VGG-19.
    square_ratios : tuple of float
        Shares of the images of task 2 that carry a square (Figure 6). 0 is the control, in which
        the second task is the first one again. 1, the other tasks' ratio, is always there.
    cka_n : int
        Test images, without squares, that CKA compares; `seeds` draw them.
    probe_n, probe_test_n : int or None
        Training images that probes are fitted to, test images they and the ranks are computed on.
    cam_n, cam_shown : int
        Test images whose Grad-CAM is averaged, and how many of them are kept as pictures.

    Examples
    --------
    >>> section = CollapseAndPlasticity.from_parameters({"square_ratios": [0.1]})
    >>> for name in section.runs():
    ...     print(name)
    seed 0: original
    seed 0: squares
    seed 0: original again
    seed 0: squares on 0.1
    """

    name = "collapse_and_plasticity"

    collapse_model: Name = "vgg11_bn_cifar_w8"
    square_ratios: Annotated[
        tuple[Ratio, ...], *Several, AfterValidator(lambda values: tuple(sorted(values)))
    ] = (0.0, 0.05, 0.25)
    cka_n: Positive = 100
    probe_n: Positive | None = 400
    probe_test_n: Positive | None = 200
    cam_n: Positive = 64
    cam_shown: Positive = 4

    def ratio_runs(self, seed: int) -> dict[float, TrainingRun]:
        """Return the second task by the share of images with a square, 1 included."""
        ratios = dict.fromkeys((*self.square_ratios, 1.0))
        return {r: self.sequence(self.collapse_model, seed, ratio=r)[SQUARES] for r in ratios}

    def runs(self) -> dict[str, TrainingRun]:
        """Return, for each seed, the three tasks and the second at every other ratio."""
        found = {}
        for seed in self.train_seeds:
            for task, run in self.sequence(self.collapse_model, seed).items():
                found[f"seed {seed}: {task}"] = run
            for ratio, run in self.ratio_runs(seed).items():
                if ratio < 1:
                    found[f"seed {seed}: squares on {ratio:g}"] = run
        return found

    def dataset(self) -> xr.Dataset:
        """Train, then look at the network after the first task and after the second.

        Dims dataset (one) and train_seed stand in front. CKA is of the two networks on the same
        images, all without squares; probes and ranks are of either network on either images.
        """
        import xarray as xr

        from papers.masarczyk2023.task_logs import task_logs

        started = time.perf_counter()
        keys = {(self.erosion_dataset, seed): seed for seed in self.train_seeds}
        sequences = {key: self.sequence(self.collapse_model, seed) for key, seed in keys.items()}
        logs = task_logs(sequences, ("dataset", "train_seed"), root=self.training_root)
        parts = [self._after_training(seed, first=not i) for i, seed in enumerate(self.train_seeds)]
        # pictures are of the first seed alone, and stay without the dim
        pictures = ["example_images", "grad_cam"]
        looked = xr.concat(
            [part.drop_vars(pictures, errors="ignore") for part in parts],
            xr.Variable("train_seed", list(self.train_seeds)),
        )
        looked = looked.expand_dims(dataset=[self.erosion_dataset])
        ds = _merged(logs, looked, parts[0][pictures])  # nothing looks at it after task 3: NaN
        ds = ds.sel(task=list(TASKS))  # joining sorts the labels
        return self.finish(ds, kind="tasks", device=logs.attrs["device"], started=started)

    def _after_training(self, seed: int, *, first: bool) -> xr.Dataset:
        """Everything that is measured on the networks of one repeat; pictures of the first only."""
        from invlib import compare, train
        from invlib.training.seen import evaluated_on, trained_on

        runs = self.sequence(self.collapse_model, seed)
        tasks = {task: runs[task] for task in (ORIGINAL, SQUARES)}
        models = {
            task: train(run, root=self.training_root).model().to(best_device())
            for task, run in tasks.items()
        }
        images = {
            task: (trained_on(run), evaluated_on(run, squares=task == SQUARES))
            for task, run in tasks.items()
        }
        compared = compare(
            *models.values(), images[ORIGINAL][1], n=self.cka_n, seeds=self.seeds, stir=False,
            subspace_k=1, examples=0,
        )  # fmt: skip
        ds = compared[["cka_ft_pt", "cka_pt_pt"]].drop_attrs(deep=False)
        shown = self.cam_shown if first else 0
        attention = self._attention(models, images[SQUARES][1], shown=shown)
        return _merged(ds, self._probes(models, images), self._ratios(seed), attention)

    def _probes(
        self, models: dict[str, StagedModel], images: dict[str, tuple[ImageSet, ImageSet]]
    ) -> xr.Dataset:
        """Probes and ranks of either network on either kind of images: dims task, images."""
        import xarray as xr

        from invlib.comparison.probes import probe_layers

        rows = []
        for model in models.values():
            row = [
                probe_layers(model, _some(train, self.probe_n), _some(test, self.probe_test_n))
                for train, test in images.values()
            ]
            rows.append(xr.concat(row, xr.Variable("carrying", list(images))))
        ds = xr.concat(rows, xr.Variable("task", list(models)))
        ds["num_features"] = ds["num_features"].isel(task=0, carrying=0, drop=True)
        return ds.drop_vars("probe_regularisation").drop_attrs(deep=False)

    def _ratios(self, seed: int) -> xr.Dataset:
        """Final test accuracies of the second task at every ratio."""
        import xarray as xr

        from invlib import train

        found = {}
        for ratio, run in self.ratio_runs(seed).items():
            log = train(run, root=self.training_root).log
            found[ratio] = float(log["test_accuracy"][-1])
        return xr.Dataset({"ratio_accuracy": ("ratio", list(found.values()))}, {"ratio": [*found]})

    def _attention(
        self, models: dict[str, StagedModel], marked: ImageSet, *, shown: int
    ) -> xr.Dataset:
        """Grad-CAM for the true class on images with squares, after either task."""
        import torch
        import xarray as xr

        from papers.masarczyk2023.gradcam import grad_cam, share_in_corner

        marked = _some(marked, self.cam_n)
        x, y = marked.tensor(models[SQUARES].img_size), torch.tensor(marked.labels)
        heat = {task: grad_cam(model, x, y) for task, model in models.items()}
        # a map that is 0 throughout says nothing, and does not count
        shares = [float(share_in_corner(maps).nanmean()) for maps in heat.values()]
        ds = xr.Dataset({"grad_cam_corner": ("task", shares)}, {"task": list(heat)})
        if shown:
            pixels = (x[:shown].permute(0, 2, 3, 1) * 255).round().byte().numpy()
            maps = torch.stack([maps[:shown] for maps in heat.values()]).numpy()
            ds["example_images"] = ("example", "y", "x", "channel"), pixels
            ds["grad_cam"] = ("task", "example", "y", "x"), maps
        return ds


def _merged(*parts: xr.Dataset) -> xr.Dataset:
    import xarray as xr

    # said here, because xarray's defaults are about to change
    return xr.merge(parts, compat="no_conflicts", join="outer", combine_attrs="override")


def _some(images: ImageSet, n: int | None) -> ImageSet:
    """At most `n` of the images, the classes as evenly represented as they can be."""
    from invlib.data.sampling import stratified

    if n is None or n >= len(images):
        return images
    return images.subset(stratified(images.labels, n, 0))
