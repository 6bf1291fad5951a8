"""What computing all sections of paper A needs: the pretrained model, comparisons with it."""

from collections.abc import Iterable

import xarray as xr

from invlib import compare, load_images, load_model, train
from invlib.metrics.invariance import diagonal
from invlib.models.staged import StagedModel
from invlib.training.checkpoints import Trained
from papers.merlin2023.base import MerlinSection
from papers.section import Inverted
from papers.work import best_device

__all__ = [
    "as_untrained", "compare_finetuned", "compare_untrained", "fill_cache", "of_untrained",
    "pretrained_model", "untrained_model",
]  # fmt: skip


def pretrained_model(section: MerlinSection) -> StagedModel:
    """Return the model that fine-tuning starts from."""
    if run := section.pretraining_run():
        return train(run, root=section.training_root).model()
    return load_model(section.model, weights=section.weights, img_size=section.img_size)


def untrained_model(section: MerlinSection) -> StagedModel:
    """Return a model with random weights that no training of the section starts from."""
    seed = 1 + max(run.seed for run in section.runs().values())
    return load_model(section.model, img_size=section.img_size, seed=seed)


def compare_finetuned(
    section: MerlinSection,
    pretrained: StagedModel,
    trained: Trained,
    epoch: int = -1,
    **other: object,
) -> xr.Dataset:
    """Compare the pretrained model with a fine-tuned one on test images of the fine-tuning.

    `other` replaces arguments of `invlib.compare`.
    """
    ds = _compared(section, pretrained, trained.model(epoch), trained.run.dataset, **other)
    log = trained.log.isel(epoch=epoch, drop=True)
    names = [name for name in ("test_loss", "test_accuracy") if name in log]
    return ds.assign({name: log[name] for name in names})


def compare_untrained(section: MerlinSection, pretrained: StagedModel, dataset: str) -> xr.Dataset:
    """Return STIR(untrained | pretrained) by layer: the zero of STIR(fine-tuned | pretrained).

    It is what a network of random weights makes of the same X′, those of `compare_finetuned`, so
    nothing is inverted that is in the cache. ``stir_control_untrained`` is the same measure on the
    starting images. No training of the section has the seed of these weights.
    """
    untrained = untrained_model(section)
    ds = _compared(section, pretrained, untrained, dataset, inverted=["pt"], examples=0)
    return as_untrained(ds)


def as_untrained(ds: xr.Dataset) -> xr.Dataset:
    """Return what a comparison with an untrained network, as the fine-tuned one, says of it."""
    found = {
        "stir_untrained_pt": diagonal(ds, "stir_ft_pt"),
        "stir_control_untrained": ds["stir_control_ft"],
    }
    return xr.Dataset(found).drop_attrs()


def of_untrained(ds: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return STIR(untrained | pretrained) as a panel of a figure; none of results without it."""
    name = "stir_untrained_pt"
    return {"STIR(untrained | pretrained)": ds[name]} if name in ds else {}


def _compared(
    section: MerlinSection,
    pretrained: StagedModel,
    other_model: StagedModel,
    dataset: str,
    **other: object,
) -> xr.Dataset:
    device = best_device()
    usual = dict(
        n=section.n,
        seeds=section.seeds,
        iterations=section.iterations,
        optimizer=section.recipe,
        step=section.step,
        subspace_k=section.subspace_k,
        examples=4,  # few, because these pictures are most of the file: noise does not compress
        cache=section.inversions,
    )
    pool = load_images(dataset, "test")
    return compare(pretrained.to(device), other_model.to(device), pool, **usual | other)


def fill_cache(section: MerlinSection, wanted: Iterable[Inverted]) -> None:
    """Invert what is `wanted` just as the section's comparisons will, so that they find it."""
    for run, epoch, seed in wanted:
        trained = train(run, root=section.training_root)
        model = trained.model(epoch)
        compare_finetuned(section, model, trained, epoch, seeds=[seed], inverted=["pt"], examples=0)
