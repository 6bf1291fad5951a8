"""Compute the section on convergence: one run a recipe, measured after more and more steps."""

import numpy as np
import xarray as xr

from invlib import compare, invert, load_images, train
from invlib.comparison.stacking import stack
from invlib.data.images import ImageSet
from invlib.models.staged import StagedModel
from papers.engine.convergence import Convergence
from papers.merlin2023.work.base import pretrained_model
from papers.parameters import split
from papers.work import best_device, written

_KEPT = ("stir", "inversion_loss", "cka")


@written("convergence", seeds=lambda section: section.convergence_seeds)
def dataset(section: Convergence) -> xr.Dataset:
    """Compare the pretrained model with each fine-tuned one, by recipe and snapshot."""
    dataset, device = section.datasets[0], best_device()
    pretrained = pretrained_model(section).to(device)
    pool = load_images(dataset, "test")
    finetuned = {
        task: train(section.finetuning_run(dataset, task), root=section.training_root)
        .model()
        .to(device)
        for task in section.tasks
    }
    parts = {}
    for i, recipe in enumerate(section.convergence):
        by_task = {
            task: _compared(section, recipe, pretrained, model, pool, alone=i > 0)
            for task, model in finetuned.items()
        }
        parts[recipe] = stack(by_task, "task", shared=True)
    ds = xr.concat(parts.values(), xr.Variable("recipe", list(parts)), join="outer")
    return ds.merge(_along_the_way(section, pretrained, pool), join="exact")


def _compared(
    section: Convergence,
    recipe: str,
    pretrained: StagedModel,
    finetuned: StagedModel,
    pool: ImageSet,
    *,
    alone: bool,
) -> xr.Dataset:
    """Return a comparison with snapshots by one recipe; `alone` means the first seed only."""
    rule, steps, init = split(recipe)
    ds = compare(
        pretrained,
        finetuned,
        pool,
        n=section.convergence_n,
        seeds=section.convergence_seeds[: 1 if alone else None],
        layers=section.convergence_layers,
        optimizer=rule,
        iterations=steps,
        init=init,
        snapshots=[s for s in section.convergence_snapshots if s <= steps],
        subspace_k=min(section.subspace_k, section.convergence_n - 1),
        examples=0,
        cache=section.inversions,
    )
    kept = [name for name in ds if str(name).startswith(_KEPT)]
    if alone:  # their spread over images is not shown
        kept = [name for name in kept if not str(name).endswith("_jackknife")]
    return ds[kept].drop_attrs(deep=False)


def _along_the_way(section: Convergence, model: StagedModel, pool: ImageSet) -> xr.Dataset:
    """Return two images and their X′ of the pretrained model after more and more steps."""
    rule, steps, init = split(section.convergence[0])
    looks = list(section.convergence_snapshots)
    seed = section.convergence_seeds[0]
    x = pool.sample(section.convergence_n, seed).tensor(model.img_size)[:2].to(model.device)
    layers = [layer for layer in section.convergence_shown if layer in model.layers]
    found = invert(
        model, x, layers=layers, iterations=steps, optimizer=rule, init=init, snapshots=looks,
        seed=seed,
    )  # fmt: skip
    picture = ("example", "y", "x", "channel")

    def pixels(images) -> np.ndarray:
        return (images * 255).round().byte().movedim(-3, -1).cpu().numpy()

    return xr.Dataset(
        {
            "example_images": (picture, pixels(x)),
            "way_images": (("snapshot", "shown_layer", *picture), pixels(found.images)),
            "way_loss": (("snapshot", "shown_layer", "example"), found.best.cpu().numpy()),
        },
        dict(
            snapshot=looks, shown_layer=layers, example=[0, 1], y=range(x.shape[-1]),
            x=range(x.shape[-1]), channel=["red", "green", "blue"],
        ),
    )  # fmt: skip
