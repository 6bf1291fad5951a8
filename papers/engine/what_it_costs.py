"""The section that measures what a comparison costs."""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from papers.parameters import Name, Natural, Positive, PositiveFloat, Several
from papers.section import Section

Counts = Annotated[tuple[Positive, ...], Field(min_length=1)]


class WhatItCosts(Section):
    """Times, rates and memory of comparing two networks with random weights.

    The defaults take seconds, to see how it is measured; ``make bench`` has the sizes that the
    project holds itself to. Comparisons of `bench_images` are timed against the baselines; the
    first also against the reference style, and for its rate. Medians over the rounds are shown.
    The sweeps go from 4 images, 1 iteration, few layers, 1 seed up by `bench_doublings` doublings.

    Examples
    --------
    >>> WhatItCosts().bench_images
    (4, 8)
    """

    name = "what_it_costs"
    long = True
    notes = {
        "seeds": "the first draws images and noise; how long it takes does not depend on it",
        "cache": "nothing is: what is timed is computed",
    }

    model: Name = Field("vit_nano_patch8_32", description="random weights")
    img_size: Positive | None = Field(None, description="None: the model's own")
    bench_images: Annotated[tuple[Annotated[int, Field(ge=4)], ...], *Several] = Field(
        (4, 8), description="against the baselines"
    )
    bench_iterations: Counts = Field((2, 1), description="for each of these")
    bench_rounds: Counts = Field((2, 1), description="for each of these, in turns")
    bench_pairs: Positive = Field(
        2, description="layer pairs that the reference style is extrapolated from"
    )
    bench_doublings: Positive = Field(1, description="how far the sweeps go")
    bench_memory_images: Annotated[tuple[Positive, ...], *Several] = Field(
        (16, 32), description="each in a process of its own"
    )
    bench_cka_images: Annotated[int, Field(ge=4)] = Field(
        16, description="images for the time of CKA"
    )
    bench_gpu_images: Natural = Field(0, description="the paper's comparison on a GPU: 500")

    bench_weights: Name | None = Field(
        None, description="for the time to a distance; None: random, and noise for images"
    )
    bench_dataset: Name = Field("digits", description="with bench_weights")
    bench_distance: PositiveFloat = Field(0.3, description="relative distance to come to")
    bench_distance_images: Annotated[int, Field(ge=4)] = Field(
        4, description="images for the time to a distance"
    )
    bench_distance_steps: Positive = Field(4, description="after so many it is given up")

    @property
    def command(self) -> str:
        """The command that repeats this run."""
        return "python -m papers bench" if self.scale == "bench" else super().command

    @field_validator("bench_iterations", "bench_rounds")
    @classmethod
    def _as_many(cls, value: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        images = info.data.get("bench_images", value)
        if len(value) != len(images):
            raise ValueError(f"must be {len(images)} numbers, one for each of bench_images")
        return value
