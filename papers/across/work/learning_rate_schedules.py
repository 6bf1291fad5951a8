"""Compute the page on learning-rate schedules: forgetting by epoch, learning at the end."""

import pandas as pd
import torch
import xarray as xr

from invlib import cka_divergence, forgetting, learning, train
from invlib.training.run import TrainingRun
from invlib.training.seen import trained_on
from invlib.training.train import build_optimizer, build_scheduler
from papers.across.learning_rate_schedules import LearningRateSchedules
from papers.across.work.base import (
    by_epoch,
    last_epoch,
    level_in_words,
    over_trainings,
    stacked,
)
from papers.claims.shapes import early_peak_of
from papers.merlin2023.work.base import pretrained_model
from papers.work import kept, written

LATE = 3  # the last layers, whose early peak is looked for


@written("comparison")
def dataset(section: LearningRateSchedules) -> xr.Dataset:
    """Compare every training with its start; first dims schedule, train_seed, and epoch.

    Learning has no epoch: it is that of the last one. Draws after `learning_draws` have none.
    """
    parts = {key: piece(section, section.called(key)) for key in section.trainings()}
    ds = stacked(parts, section.dims, shared=section.dims)
    return ds.assign_coords(dataset=section.schedules_dataset)


@kept
def piece(section: LearningRateSchedules, name: str) -> xr.Dataset:
    """Return forgetting by epoch, and learning of the last, of one of the section's `pieces`."""
    run, pretrained = section.pieces()[name].run, pretrained_model(section)
    trained = train(run, root=section.training_root)
    ds = by_epoch(section, pretrained, trained, section.epochs(run.epochs))
    few = section.model_copy(update=dict(seeds=section.seeds[: section.learning_draws]))
    last = last_epoch(few, pretrained, trained)
    new = last[[name for name in last if name not in ds]].reindex(seed=ds["seed"])
    return ds.merge(new, compat="no_conflicts", join="exact")


def rates(run: TrainingRun, images: int) -> list[float]:
    """Return the learning rate of every step of a run on so many images."""
    steps = run.epochs * -(-images // run.batch_size)
    optimizer = build_optimizer(run, torch.nn.Linear(1, 1))
    scheduler, found = build_scheduler(run, optimizer, steps), []
    for step in range(steps):
        scheduler.step_update(step)
        found.append(optimizer.param_groups[0]["lr"])
    return found


def rates_by_step(section: LearningRateSchedules) -> xr.DataArray:
    """Return the learning rates of this run's schedules, dims schedule and step."""
    runs = {key[0]: run for key, run in section.trainings().items()}
    images = len(trained_on(next(iter(runs.values()))))
    values = [rates(run, images) for run in runs.values()]
    grid = {"schedule": list(runs), "step": range(len(values[0]))}
    return xr.DataArray(values, grid, list(grid))


def table(by_step: xr.DataArray) -> pd.DataFrame:
    """Return the highest rate and the sum of all rates, a row for each schedule."""
    highest, sums = by_step.max("step"), by_step.sum("step")
    columns = {"highest rate": highest, "sum of rates": sums}
    return pd.DataFrame(columns, index=by_step["schedule"].values).round(5)


def trajectories(ds: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return by epoch: forgetting of late and of other layers, and accuracy (schedule, seed)."""
    lost = over_trainings(forgetting(ds))
    late, rest = slice(-LATE, None), slice(None, -LATE)
    parts = {f"forgetting, last {LATE} layers": lost.isel(layer=late).mean("layer")}
    parts["forgetting, the other layers"] = lost.isel(layer=rest).mean("layer")
    return parts | {"test accuracy": over_trainings(ds["test_accuracy"])}


def at_the_end(ds: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return all three quantities after the last epoch, (schedule, seed, layer)."""
    last = ds.isel(epoch=-1, drop=True)
    curves = {"forgetting": forgetting(last), "learning": learning(ds)}
    curves["CKA divergence"] = cka_divergence(last)
    return {name: over_trainings(curve) for name, curve in curves.items()}


def findings(ds: xr.Dataset) -> list[str]:
    """Return a sentence for each schedule: its early peak, and where it ends."""
    ds = ds.sel(estimator="debiased")
    lost = forgetting(ds).isel(layer=slice(-LATE, None)).mean("layer")
    epochs, sentences = ds["epoch"].values, []
    for schedule in ds["schedule"].values.tolist():
        one = lost.sel(schedule=schedule)
        trained = one.sel(epoch=slice(1, None)).mean([d for d in one.dims if d != "epoch"])
        peak = "has too few epochs for an early peak"
        if epochs[epochs > 0][0] <= epochs[-1] / 2:
            peak = f"had an early peak of {level_in_words(early_peak_of(one))}"
        accuracy = ds["test_accuracy"].sel(schedule=schedule).isel(epoch=-1)
        sentences.append(
            f"*{schedule}*: forgetting of the last {LATE} layers is highest after epoch "
            f"{int(trained.idxmax('epoch'))}, ends at {level_in_words(one.isel(epoch=-1))}, and "
            f"{peak}; test accuracy {level_in_words(accuracy)}."
        )
    return sentences
