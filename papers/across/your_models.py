"""The report on any two models and any images: what a fine-tuning learnt and forgot."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from invlib.names import TOKENS
from invlib.training.run import TrainingRun
from papers.merlin2023.base import MerlinSection
from papers.parameters import Name, one_of


class YourModels(MerlinSection):
    """A report on two models and images of one's own; by default on those of the book.

    Without `pretrained`, `finetuned` and `images` the models are those of the page on the
    fine-tuning task, so that nothing is trained twice.

    Examples
    --------
    >>> list(YourModels().runs())
    ['pretraining on shapes', 'digits: classification']
    >>> own = dict(pretrained="resnet18=a.safetensors", finetuned="resnet18=b.safetensors")
    >>> YourModels.from_parameters(own | {"images": "photos"}).runs()
    {}
    """

    name = "your_models"
    uses = ("finetuning_task",)  # at the same scale its inversions are these, and are in the cache
    notes = {"model": "of the book's own, and of checkpoints that do not say it"}

    n: Annotated[int, Field(ge=5)] = Field(16, description="images per seed, or all if fewer")
    pretrained: Name | None = Field(
        None, description="None: the book's own; else as in `python -m invlib compare`"
    )
    finetuned: Name | None = Field(None, description="the same")
    images: Name | None = Field(None, description="a folder, an .npz file or the name of a set")
    split: one_of("test", "train", "all") | None = Field(
        None, description="None: test, or all of a folder without splits"
    )
    tokens: one_of(*TOKENS) = Field("all", description="what a representation is")

    @classmethod
    def reads(cls, parameters: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the sections whose results a run reads: none if it has models of its own.

        Examples
        --------
        >>> YourModels.reads({"images": "photos"}), YourModels.reads({"images": None})
        ((), ('finetuning_task',))
        """
        return () if parameters.get("images") else cls.uses

    def samples(self) -> list[tuple[str, str, int | None]]:
        """Return none: of fewer images than `n`, all are taken."""
        return []  # at most all

    def runs(self) -> dict[str, TrainingRun]:
        """Return the book's own trainings, where no models are given."""
        given = {k: getattr(self, k) for k in ("pretrained", "finetuned", "images")}
        if all(given.values()):
            return {}
        if any(given.values()):
            missing = [name for name, value in given.items() if value is None]
            raise ValueError(f"{missing[0]} is missing: {', '.join(given)} go together")
        dataset = self.datasets[0]
        tuned = {f"{dataset}: classification": self.finetuning_run(dataset)}
        return self.pretraining_by_name() | tuned

    def made_with(self, *shown):
        """Return where the numbers come from, with a command that has the paths as they were given.

        Results have no path of anybody's disk, but a command that lacks it repeats nothing.
        """
        named = {k: getattr(self, k) for k in ("pretrained", "finetuned", "images")}
        if not all(named.values()):
            return super().made_with(*shown)
        whole = [{k: ds.assign_attrs(command=self.command) for k, ds in s.items()} for s in shown]
        return super().made_with(*whole)
