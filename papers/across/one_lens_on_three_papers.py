"""Across the papers: A's measures on B's unlearning and C's erosion, C's on A's fine-tuning."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated, NamedTuple

from pydantic import Field

from invlib.paths import runs_root
from papers.merlin2023.base import RECIPES
from papers.pages import BesideReference
from papers.parameters import Positive, load_scale, one_of
from papers.section import Section, best_device, section_class

if TYPE_CHECKING:
    import xarray as xr

    from invlib.data.images import ImageSet
    from invlib.models.staged import StagedModel
    from invlib.training.run import TrainingRun

__all__ = ["OneLensOnThreePapers"]

WHEN = ("before", "after")


class Case(NamedTuple):
    """A network before and after a training, and images that neither was trained on."""

    before: StagedModel
    after: StagedModel
    train: ImageSet  # probes are fitted to these
    test: ImageSet


class OneLensOnThreePapers(BesideReference):
    """Learning, forgetting, flow, probes and ranks of four trainings: one of each paper, one new.

    The networks are those of the other pages; nothing is trained here. Of each page the first
    training seed is looked at.

    Parameters
    ----------
    lens_n : int
        Images that are inverted, for each seed.
    lens_iterations, lens_recipe
        How they are inverted.
    lens_probe_n, lens_probe_test_n : int
        Training images that probes are fitted to, test images they and the ranks are computed on.
    """

    name = "one_lens_on_three_papers"
    uses = ("dynamics", "unlearning", "feature_erosion", "collapse_and_plasticity")

    lens_n: Annotated[int, Field(ge=5)] = 16
    lens_iterations: Positive = 20
    lens_recipe: one_of(*RECIPES) = "fast"
    lens_probe_n: Positive = 400
    lens_probe_test_n: Positive = 200

    def dataset(self) -> xr.Dataset:
        """Look at every case with every measure; dim case stands in front, dim place is a layer.

        Networks differ in depth, so a layer is called by its place, and `layer_depth` says where in
        its network that is; shorter networks end in NaN.
        """
        import xarray as xr

        started = time.perf_counter()
        device = best_device()
        parts = {name: self._look(case, device) for name, case in self._cases().items()}
        ds = xr.concat(parts.values(), xr.Variable("case", list(parts)), join="outer")
        return self.finish(ds, kind="lens", device=device, started=started)

    def _cases(self) -> dict[str, Case]:
        from invlib import load_images
        from invlib.training.seen import trained_on

        def case(before: StagedModel, run: TrainingRun, original: TrainingRun) -> Case:
            """`original` is the run whose images and labels the probes are about."""
            test = load_images(original.dataset, "test")
            return Case(before, train(run), trained_on(original), test)

        def train(run: TrainingRun, epoch: int = -1) -> StagedModel:
            from invlib import train

            return train(run, root=self.training_root).model(epoch)

        fine = next(iter(self._section("dynamics").runs().values()))
        labels = self._section("unlearning")
        seed = labels.labels_seeds[0]
        random = labels.task_run(seed, "same domain", labels.labels_randomness[-1])
        erosion = next(
            tasks
            for (_, model, _), tasks in self._section("feature_erosion").sequences().items()
            if model == fine.model
        )
        collapse = self._section("collapse_and_plasticity")
        squares = collapse.sequence(collapse.collapse_model, collapse.train_seeds[0])
        pretrained = labels.pretraining_run(seed)
        return {
            "A: a ViT fine-tuned": case(train(fine, 0), fine, fine),
            "B: random labels": case(train(random.parent), random, pretrained),
            "C: squares": case(train(squares["original"]), squares["squares"], squares["original"]),
            "new: a ViT and squares": case(
                train(erosion["original"]), erosion["squares"], erosion["original"]
            ),
        }

    def _section(self, name: str) -> Section:
        """Section `name` as it was run at this scale; as the scale says where it was not."""
        from invlib.results.netcdf import open_results

        path = runs_root(self.scale) / f"{name}.nc"
        if path.is_file():
            return section_class(name).from_parameters(
                json.loads(open_results(path).attrs["parameters"])
            )
        return section_class(name).from_parameters(load_scale(self.scale))

    def _look(self, case: Case, device: str) -> xr.Dataset:
        """Every measure of one case."""
        import xarray as xr

        from invlib import cka_divergence, compare, forgetting, invariance_flow, learning
        from invlib.comparison.probes import probe_layers
        from invlib.metrics.invariance import diagonal

        compared = compare(
            case.before.to(device),
            case.after.to(device),
            case.test,
            n=self.lens_n,
            seeds=self.seeds,
            iterations=self.lens_iterations,
            optimizer=self.lens_recipe,
            subspace_k=1,
            examples=0,
            cache=self.cache and self.output.parent / "inversions",
        )
        ds = xr.Dataset(
            {
                "learning": learning(compared),
                "forgetting": forgetting(compared),
                "cka_divergence": cka_divergence(compared),
                "self_term": diagonal(compared, "stir_pt_pt"),
                "control": compared["stir_control_pt"],
                "flow": invariance_flow(compared),
                "flow_before": invariance_flow(compared, target="pt"),
            }
        ).drop_attrs(deep=False)
        train = case.train.sample(min(self.lens_probe_n, len(case.train)))
        test = case.test.sample(min(self.lens_probe_test_n, len(case.test)))
        probed = [probe_layers(model, train, test) for model in (case.before, case.after)]
        probed = xr.concat(probed, xr.Variable("when", list(WHEN)))
        ds["probe_accuracy"] = probed["probe_accuracy"]
        ds["numerical_rank"] = probed["numerical_rank"].sel(rtol=1e-3, drop=True).astype(float)
        ds["layer_depth"] = ("layer", case.before.depth)
        kept = ("estimator", "seed", "when", "layer", "ref_layer")
        ds = ds.drop_vars([name for name in ds.coords if name not in kept])
        return ds.rename(layer="place", ref_layer="ref_place")
