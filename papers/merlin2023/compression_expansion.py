"""Section 4.3 of paper A: which fine-tuned layers have invariances of which pretrained layers."""

from typing import Annotated

from pydantic import AfterValidator, Field

from invlib.names import RECIPES, choices
from papers.merlin2023.finetuning_task import FinetuningTask
from papers.parameters import Recipes, split
from papers.section import Inverted

# What stands beside the tasks: the pretrained model in the place of a fine-tuned one.
ITSELF = "nothing: pretrained → itself"


def _ours(recipes: tuple[str, ...]) -> tuple[str, ...]:
    for recipe in recipes:
        choices("flow_recipes", split(recipe)[0], RECIPES)
    return recipes


class CompressionExpansion(FinetuningTask):
    """Section 4.3: the Invariance Flow Matrix (Figures 4 and 10) and its means.

    Trainings, and inversions by the same recipe, are those of `FinetuningTask` and come from its
    cache. Only the pretrained model is inverted, because the matrix needs no other inversions.

    Examples
    --------
    >>> CompressionExpansion.from_parameters({"flow_recipes": ["ngd:50"]}).flow_recipes
    ('ngd:50',)
    """

    name = "compression_expansion"
    beside = ("convergence",)  # whether recipes agree about a verdict

    flow_recipes: Annotated[Recipes, AfterValidator(_ours)] = Field(
        ("ngd:20",), description="recipes that the matrix is drawn under besides"
    )

    def to_invert(self) -> list[Inverted]:
        """Return none: those of the usual recipe are among `FinetuningTask`'s, others are few."""
        return []
