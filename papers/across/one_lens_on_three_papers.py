"""The section that applies the measures of papers A and C to trainings of all three papers."""

from typing import Annotated

from pydantic import Field

from invlib.names import RECIPES
from papers.parameters import Positive, one_of
from papers.section import Section


class OneLensOnThreePapers(Section):
    """Learning, forgetting, flow, probes and ranks of four trainings: one from each paper, one new.

    The networks are those of the other pages, each with its first training seed. Probes are fitted
    to `lens_probe_n` training images. Their accuracies, and the ranks, are computed on
    `lens_probe_test_n` test images.
    """

    name = "one_lens_on_three_papers"
    long = True
    uses = ("dynamics", "unlearning", "feature_erosion", "collapse_and_plasticity")

    lens_n: Annotated[int, Field(ge=5)] = Field(16, description="images per seed")
    lens_iterations: Positive = Field(20, description="gradient steps of an inversion")
    lens_recipe: one_of(*RECIPES) = Field("fast", description="how images are inverted")
    lens_probe_n: Positive = Field(400, description="images that probes are fitted to")
    lens_probe_test_n: Positive = Field(200, description="test images of probes and ranks")
