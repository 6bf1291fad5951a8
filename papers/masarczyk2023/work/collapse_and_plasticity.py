"""Compute Figures 3 to 6 of paper C: train three tasks, measure after the first and the second."""

import torch
import xarray as xr

from invlib import compare, train
from invlib.comparison.probes import probe_layers
from invlib.data.images import ImageSet
from invlib.data.sampling import stratified
from invlib.models.staged import StagedModel
from invlib.training.run import TrainingRun
from invlib.training.seen import evaluated_on, trained_on
from papers.masarczyk2023.base import ORIGINAL, SQUARES, TASKS
from papers.masarczyk2023.collapse_and_plasticity import CollapseAndPlasticity
from papers.masarczyk2023.gradcam import grad_cam, share_in_corner
from papers.masarczyk2023.task_logs import task_logs
from papers.work import best_device, written


@written("tasks")
def dataset(section: CollapseAndPlasticity) -> xr.Dataset:
    """Train, then measure the networks after the first and after the second task.

    The first dims are dataset (one) and train_seed. CKA compares the two networks on images without
    squares. Probes and ranks are of both networks on both kinds of images.
    """
    seeds = section.train_seeds
    keys = {(section.erosion_dataset, seed): seed for seed in seeds}
    sequences = {key: section.sequence(section.collapse_model, seed) for key, seed in keys.items()}
    logs = task_logs(sequences, ("dataset", "train_seed"), root=section.training_root)
    parts = [_after_training(section, seed, first=not i) for i, seed in enumerate(seeds)]
    # pictures are only of the first seed, and do not get the dim
    pictures = ["example_images", "grad_cam"]
    measured = xr.concat(
        [part.drop_vars(pictures, errors="ignore") for part in parts],
        xr.Variable("train_seed", list(seeds)),
    )
    measured = measured.expand_dims(dataset=[section.erosion_dataset])
    ds = _merged(logs, measured, parts[0][pictures])  # NaN after task 3
    return ds.sel(task=list(TASKS))  # the merge has sorted the labels


def _after_training(section: CollapseAndPlasticity, seed: int, *, first: bool) -> xr.Dataset:
    """Return all measures of the networks of one seed, with pictures for the first seed."""
    runs = section.sequence(section.collapse_model, seed)
    tasks = {task: runs[task] for task in (ORIGINAL, SQUARES)}
    models = {
        task: train(run, root=section.training_root).model().to(best_device())
        for task, run in tasks.items()
    }
    images = {
        task: (trained_on(run), evaluated_on(run, squares=task == SQUARES))
        for task, run in tasks.items()
    }
    compared = compare(
        *models.values(), images[ORIGINAL][1], n=section.cka_n, seeds=section.seeds, stir=False,
        subspace_k=1, examples=0,
    )  # fmt: skip
    ds = compared[["cka_ft_pt", "cka_pt_pt"]].drop_attrs(deep=False)
    marked = _some(images[SQUARES][1], section.cam_n)
    return _merged(
        ds,
        _probes(models, images, section.probe_n, section.probe_test_n),
        _untrained(section, tasks[ORIGINAL], images),
        _ratios(section, seed),
        _attention(models, marked, shown=section.cam_shown if first else 0),
    )


def _probes(
    models: dict[str, StagedModel],
    images: dict[str, tuple[ImageSet, ImageSet]],
    n: int | None,
    n_test: int | None,
) -> xr.Dataset:
    """Return probes and ranks of networks on both kinds of images: dims task, carrying."""
    rows = []
    for model in models.values():
        row = [
            probe_layers(model, _some(fitted, n), _some(tested, n_test))
            for fitted, tested in images.values()
        ]
        rows.append(xr.concat(row, xr.Variable("carrying", list(images))))
    ds = xr.concat(rows, xr.Variable("task", list(models)))
    ds["num_features"] = ds["num_features"].isel(task=0, carrying=0, drop=True)
    return ds.drop_vars("probe_regularisation").drop_attrs(deep=False)


def _untrained(
    section: CollapseAndPlasticity,
    run: TrainingRun,
    images: dict[str, tuple[ImageSet, ImageSet]],
) -> xr.Dataset:
    """Return probes and ranks of the network before its first step: what no training explains."""
    model = train(run, root=section.training_root).model(0).to(best_device())
    ds = _probes({"untrained": model}, images, section.probe_n, section.probe_test_n)
    return ds.isel(task=0, drop=True)[["probe_accuracy", "numerical_rank"]].rename(
        probe_accuracy="probe_accuracy_untrained", numerical_rank="numerical_rank_untrained"
    )


def _ratios(section: CollapseAndPlasticity, seed: int) -> xr.Dataset:
    """Return the final test accuracy of the second task at every ratio."""
    accuracies = {
        ratio: float(train(run, root=section.training_root).log["test_accuracy"][-1])
        for ratio, run in section.ratio_runs(seed).items()
    }
    values = list(accuracies.values())
    return xr.Dataset({"ratio_accuracy": ("ratio", values)}, {"ratio": [*accuracies]})


def _attention(models: dict[str, StagedModel], marked: ImageSet, *, shown: int) -> xr.Dataset:
    """Return Grad-CAM of the true class on images with squares, after each task."""
    x, y = marked.tensor(models[SQUARES].img_size), torch.tensor(marked.labels)
    heat = {task: grad_cam(model, x, y) for task, model in models.items()}
    # maps that are 0 everywhere are left out
    shares = [float(share_in_corner(maps).nanmean()) for maps in heat.values()]
    ds = xr.Dataset({"grad_cam_corner": ("task", shares)}, {"task": list(heat)})
    if shown:
        pixels = (x[:shown].permute(0, 2, 3, 1) * 255).round().byte().numpy()
        maps = torch.stack([maps[:shown] for maps in heat.values()]).numpy()
        ds["example_images"] = ("example", "y", "x", "channel"), pixels
        ds["grad_cam"] = ("task", "example", "y", "x"), maps
    return ds


def _merged(*parts: xr.Dataset) -> xr.Dataset:
    # written out, because xarray's defaults are about to change
    return xr.merge(parts, compat="no_conflicts", join="outer", combine_attrs="override")


def _some(images: ImageSet, n: int | None) -> ImageSet:
    """Return at most `n` of the images, as evenly over the classes as possible."""
    if n is None or n >= len(images):
        return images
    return images.subset(stratified(images.labels, n, 0))
