"""Across the papers: A's measures on B's unlearning and C's erosion, C's on A's fine-tuning."""

from typing import Annotated

from pydantic import Field

from invlib.names import RECIPES
from papers.parameters import Positive, one_of
from papers.section import Section


class OneLensOnThreePapers(Section):
    """Learning, forgetting, flow, probes and ranks of four trainings: one of each paper, one new.

    The networks are those of the other pages; nothing is trained here. Of each page the first
    training seed is looked at. Probes are fitted to `lens_probe_n` training images; they are
    scored, and ranks computed, on `lens_probe_test_n` test images.
    """

    name = "one_lens_on_three_papers"
    uses = ("dynamics", "unlearning", "feature_erosion", "collapse_and_plasticity")

    lens_n: Annotated[int, Field(ge=5)] = Field(16, description="images per seed")
    lens_iterations: Positive = 20
    lens_recipe: one_of(*RECIPES) = "fast"
    lens_probe_n: Positive = 400
    lens_probe_test_n: Positive = 200
