"""All sections (notebooks) of the book by name, and their training runs. Imports no torch."""

from collections.abc import Iterable, Mapping

from invlib.training.run import TrainingRun
from papers.across.adversarial_robustness import AdversarialRobustness
from papers.across.architectures import Architectures
from papers.across.claims_ledger import ClaimsLedger
from papers.across.data_set_size import DataSetSize
from papers.across.learning_rate_schedules import LearningRateSchedules
from papers.across.one_lens_on_three_papers import OneLensOnThreePapers
from papers.across.other_images import OtherImages
from papers.across.where_did_scratch_start import WhereDidScratchStart
from papers.across.your_models import YourModels
from papers.engine.convergence import Convergence
from papers.engine.how_inverted import HowInverted
from papers.engine.known_invariances import KnownInvariances
from papers.engine.what_it_costs import WhatItCosts
from papers.goerttler2022.learning_from_random_labels import LearningFromRandomLabels
from papers.goerttler2022.unlearning import Unlearning
from papers.masarczyk2023.collapse_and_plasticity import CollapseAndPlasticity
from papers.masarczyk2023.feature_erosion import FeatureErosion
from papers.merlin2023.accuracy import Accuracy
from papers.merlin2023.compression_expansion import CompressionExpansion
from papers.merlin2023.dynamics import Dynamics
from papers.merlin2023.finetuning_task import FinetuningTask
from papers.merlin2023.placebo import Placebo
from papers.merlin2023.pretraining_dataset import PretrainingDataset
from papers.merlin2023.robustness import Robustness
from papers.merlin2023.robustness_across_settings import RobustnessAcrossSettings
from papers.merlin2023.what_is_an_inversion import WhatIsAnInversion
from papers.section import Section

__all__ = ["SECTIONS", "runs_of"]

# In the order of the book. The class has the parameters of notebooks/<name>.ipynb.
SECTIONS: Mapping[str, type[Section]] = {
    section.name: section
    for section in (
        WhatIsAnInversion,
        FinetuningTask,
        Placebo,
        PretrainingDataset,
        CompressionExpansion,
        Dynamics,
        Robustness,
        RobustnessAcrossSettings,
        Accuracy,
        LearningFromRandomLabels,
        Unlearning,
        FeatureErosion,
        CollapseAndPlasticity,
        OneLensOnThreePapers,
        YourModels,
        Architectures,
        DataSetSize,
        LearningRateSchedules,
        AdversarialRobustness,
        OtherImages,
        WhereDidScratchStart,
        ClaimsLedger,
        HowInverted,
        Convergence,
        KnownInvariances,
        WhatItCosts,
    )
}


def runs_of(sections: Iterable[Section]) -> dict[str, TrainingRun]:
    """Return all training runs of `sections` by id. A run comes after the run it starts from."""
    runs: dict[str, TrainingRun] = {}

    def add(run: TrainingRun) -> None:
        if run.parent is not None:
            add(run.parent)
        runs.setdefault(run.id, run)

    for section in sections:
        for run in section.runs().values():
            add(run)
    return runs
