"""What each section of the papers needs, one class a notebook. Imports no torch: the workflow asks.

`SECTIONS` maps the name of a notebook to its class; a class is imported when it is looked up.
"""

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module

from invlib.runs import TrainingRun

from .scales import ParameterError, load_scale
from .section import Section

__all__ = ["SECTIONS", "ParameterError", "Section", "load_scale", "runs_of"]


class _Sections(Mapping):
    """Name of a section -> its class, from a table of ``module:class``."""

    def __init__(self, where: dict[str, str]):
        self._where = where

    def __getitem__(self, name: str) -> type[Section]:
        module, attribute = self._where[name].split(":")
        return getattr(import_module(f"invlib.experiments.{module}"), attribute)

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def __len__(self) -> int:
        return len(self._where)


# One line a section: notebooks/<name>.ipynb is run with the parameters this class accepts.
SECTIONS: Mapping[str, type[Section]] = _Sections(
    {
        "what_is_an_inversion": "merlin:WhatIsAnInversion",
        "finetuning_task": "merlin:FinetuningTask",
        "pretraining_dataset": "pretraining:PretrainingDataset",
        "compression_expansion": "flow:CompressionExpansion",
        "dynamics": "trajectories:Dynamics",
        "robustness": "trajectories:Robustness",
        "accuracy": "pretraining:Accuracy",
        "learning_from_random_labels": "goerttler:LearningFromRandomLabels",
        "unlearning": "unlearning:Unlearning",
        "feature_erosion": "masarczyk:FeatureErosion",
        "collapse_and_plasticity": "collapse:CollapseAndPlasticity",
        "one_lens_on_three_papers": "one_lens:OneLens",
        "claims_ledger": "ledger:ClaimsLedger",
        "how_inverted": "recipes:HowInverted",
        "what_it_costs": "what_it_costs:WhatItCosts",
    }
)


def runs_of(sections: Iterable[Section]) -> dict[str, TrainingRun]:
    """Return every training run that `sections` need by its id, each after what it starts from."""
    runs: dict[str, TrainingRun] = {}

    def add(run: TrainingRun) -> None:
        if run.parent is not None:
            add(run.parent)
        runs.setdefault(run.id, run)

    for section in sections:
        for run in section.runs().values():
            add(run)
    return runs
