"""Apply every measure to a network before and after each of four trainings."""

import json
from collections.abc import Mapping
from typing import NamedTuple

import xarray as xr

from invlib import compare, load_images, load_model, train
from invlib.comparison.probes import probe_layers
from invlib.data.images import ImageSet
from invlib.models.staged import StagedModel
from invlib.paths import runs_root
from invlib.results.netcdf import open_results
from invlib.training.run import TrainingRun
from invlib.training.seen import trained_on
from papers.across.one_lens_on_three_papers import OneLensOnThreePapers
from papers.across.work.base import by_place
from papers.parameters import usual_parameters
from papers.section import Section, section_class
from papers.work import best_device, written


class Case(NamedTuple):
    """A network before and after a training, and images to measure it on."""

    before: StagedModel
    after: StagedModel
    train: ImageSet  # probes are fitted to these
    test: ImageSet
    seed: int  # of random weights, which no training of the case has


@written("lens")
def dataset(section: OneLensOnThreePapers) -> xr.Dataset:
    """Return every measure of every case, along the first dim case.

    Networks differ in depth, so the dim of layers is `place`, and `layer_depth` is the depth of a
    place in its network. Shorter networks end in NaN.
    """
    parts = {name: _measure(section, case) for name, case in _cases(section).items()}
    return xr.concat(parts.values(), xr.Variable("case", list(parts)), join="outer")


def _cases(section: OneLensOnThreePapers) -> dict[str, Case]:
    def model(run: TrainingRun, epoch: int = -1) -> StagedModel:
        return train(run, root=section.training_root).model(epoch)

    def case(before: StagedModel, run: TrainingRun, original: TrainingRun) -> Case:
        """`original` is the run whose images and labels the probes use."""
        test, seed = load_images(original.dataset, "test"), 1 + max(run.seed, original.seed)
        return Case(before, model(run), trained_on(original), test, seed)

    fine = next(iter(_as_run(section, "dynamics").runs().values()))
    labels = _as_run(section, "unlearning")
    seed = labels.labels_seeds[0]
    random = labels.task_run(seed, "same domain", labels.labels_randomness[-1])
    erosion = next(
        tasks
        for (_, name, _), tasks in _as_run(section, "feature_erosion").sequences().items()
        if name == fine.model
    )
    collapse = _as_run(section, "collapse_and_plasticity")
    squares = collapse.sequence(collapse.collapse_model, collapse.train_seeds[0])
    pretrained = labels.pretraining_run(seed)
    return {
        "A: a ViT fine-tuned": case(model(fine, 0), fine, fine),
        "B: random labels": case(model(random.parent), random, pretrained),
        "C: squares": case(model(squares["original"]), squares["squares"], squares["original"]),
        "new: a ViT and squares": case(
            model(erosion["original"]), erosion["squares"], erosion["original"]
        ),
    }


def _as_run(section: OneLensOnThreePapers, name: str) -> Section:
    """Return section `name` with the parameters of its run, or else those of the scale."""
    path = runs_root(section.scale) / f"{name}.nc"
    if path.is_file():
        parameters = json.loads(open_results(path).attrs["parameters"])
    else:
        parameters = usual_parameters(section.scale)
    return section_class(name).from_parameters(parameters)


def _measure(section: OneLensOnThreePapers, case: Case) -> xr.Dataset:
    """Return every measure of one case."""
    device = best_device()
    compared = compare(
        case.before.to(device),
        case.after.to(device),
        case.test,
        n=section.lens_n,
        seeds=section.seeds,
        iterations=section.lens_iterations,
        optimizer=section.lens_recipe,
        subspace_k=1,
        examples=0,
        cache=section.inversions,
    )
    ds = by_place(compared, case.before.depth)
    random = untrained(case.before, case.seed)
    networks = {"before": case.before, "after": case.after, "untrained": random}
    return ds.assign(read(section, networks, case.train, case.test).data_vars)


def untrained(model: StagedModel, seed: int) -> StagedModel:
    """Return a network like `model` with random weights: the zero of its probes and ranks.

    Its batch norm, where it has some, knows no images, as before the first step of a training.
    """
    return load_model(model.name, img_size=model.img_size, seed=seed).to(model.device)


def read(
    section: OneLensOnThreePapers,
    networks: Mapping[str, StagedModel],
    fitted: ImageSet,
    tested: ImageSet,
) -> xr.Dataset:
    """Return probes and ranks of `networks`, by their labels along the dim when."""
    fitted = fitted.sample(min(section.lens_probe_n, len(fitted)))
    tested = tested.sample(min(section.lens_probe_test_n, len(tested)))
    parts = [probe_layers(model, fitted, tested) for model in networks.values()]
    ds = xr.concat(parts, xr.Variable("when", list(networks))).rename(layer="place")
    rank = ds["numerical_rank"].sel(rtol=1e-3, drop=True).astype(float)
    found = xr.Dataset({"probe_accuracy": ds["probe_accuracy"], "numerical_rank": rank})
    return found.drop_vars(["layer_name", "depth"], errors="ignore")
