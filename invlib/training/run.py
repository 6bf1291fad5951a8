"""`TrainingRun`: all settings of one training, with an id that is their hash. Imports no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from invlib.fields import Name, Natural, Positive, PositiveFloat, bounded, explain, one_of
from invlib.files import content
from invlib.names import AUGMENTATIONS, OPTIMIZERS, SCHEDULES, TASKS, unknown
from invlib.paths import resolve_weights

__all__ = ["TrainingRun"]

# Part of every id. Raise it when `train` would give other weights for the same fields. Then
# checkpoints of the old recipe are not mistaken for new ones.
RECIPE = 1

# Fields that were added after runs had been stored. Their defaults describe those runs. At the
# default they are not part of the id, so the ids of stored runs stay.
_LATER = ("randomness", "shift", "squares", "square_size", "head", "skip", "adversary")

Count = Annotated[Positive | None, bounded("an integer >= 1, or None")]
Fraction = Annotated[float, bounded("a number in [0, 1)", ge=0, lt=1)]


class TrainingRun(BaseModel):
    """All settings of one training run. The same run gives the same weights and the same `id`.

    The defaults are the recipe of Merlin et al. 2023: appendix B, or their scripts if the text says
    nothing. Two runs are equal when all their fields are.

    Parameters
    ----------
    model : str
        Name for `load_model`, such as ``"vit_tiny_patch16_224"``.
    dataset : str
        Name or path for `load_images`.
    img_size : int, optional
        Side of the images in pixels; None: the size that the weights were trained at.
    weights : str or TrainingRun, optional
        The start: None (random, from `seed`), ``"timm"`` (from the hub), a path to safetensors, or
        another run (its last epoch).
    task : {"classification", "reconstruction"}
        Cross-entropy on the labels, or L1 on the pixels in [0, 1].
    n_train, n_test : int, optional
        Number of images drawn from each split; None: all.
    epochs : int
        Passes over the training images. 0 stores the initial weights and their test result.
    batch_size : int
        Images per step. The last batch of an epoch may be smaller, see `split_batches`.
    optimizer : {"adam", "adamw", "sgd"}
        torch's optimisers; only ``"sgd"`` uses `momentum`.
    lr, momentum, weight_decay : float
        Biases and norms have no weight decay, as in the Hugging Face trainer of the paper.
    schedule : {"constant", "cosine", "linear", "one-cycle", "step"}
        It follows a linear warm-up of `warmup_steps`, at most a tenth of all steps. ``"step"``: a
        tenth after half of all steps, and again after three quarters. ``"one-cycle"``: a warm-up
        over the first 30 % of steps, then a cosine to 0 (after Smith & Topin 2018).
    warmup_steps : int
        In steps, not epochs.
    clip : float, optional
        Largest global gradient norm; None: no clipping.
    augmentation : {"crop", "merlin", "none"}
        As in `invlib.training.augment`.
    label_smoothing : float
        In [0, 1), only for classification.
    seed : int
        Seed of the initial weights, the draw of images, their order and the augmentation.
    keep : {"all", "ends"}
        Keep the weights of all epochs, or only of epoch 0 and the last one.
    randomness, shift : int
        Labels are (y + Y + shift) mod D. Y is uniform on {0, …, randomness} and drawn once for each
        image (Goerttler & Obermayer 2022), see `seen`. With 0 and 0 labels stay.
    squares : float
        Share of the training images that carry a square in the colour of their class (Masarczyk et
        al. 2023). Above 0 augmentation must be ``"none"``, because it may crop squares away.
    square_size : int
        Side of the squares, in pixels of the data set.
    head : {"kept", "new"}
        ``"new"``: a head drawn from `seed`; the other weights are kept. ``"kept"``: the head of the
        weights, for a second task with the same classes.
    skip : int
        Leave out the first `skip` training images of the seed's draw. A run with
        ``n_train=5000, skip=10000`` has no image of a run with ``n_train=10000`` and the same seed.
    adversary : float
        Every image is changed by up to so much a value, in [0, 1], to raise the loss: the
        adversarial training of Madry et al. 2018, with two gradient steps from a random start.

    Examples
    --------
    >>> run = TrainingRun(model="vit_pico_patch8_32", dataset="digits", epochs=2)
    >>> run.describe()
    'vit_pico_patch8_32 on digits: classification, 2 epochs of sgd (lr 0.001), random start, seed 0'
    >>> TrainingRun.from_json(run.to_json()) == run
    True
    >>> TrainingRun(model="vit_pico_patch8_32", dataset="digits", optimizer="sdg")
    Traceback (most recent call last):
        ...
    ValueError: optimizer='sdg' is not one of 'adam', 'adamw', 'sgd'; did you mean 'sgd'?
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    model: Name
    dataset: Name
    img_size: Count = None
    weights: Annotated[
        Name | TrainingRun | None, bounded("None, 'timm', a path to safetensors or a TrainingRun")
    ] = None
    task: one_of(*TASKS) = "classification"
    n_train: Count = None
    n_test: Count = None
    epochs: Natural = 100
    batch_size: Positive = 256
    optimizer: one_of(*OPTIMIZERS) = "sgd"
    lr: PositiveFloat = 1e-3
    momentum: Fraction = 0.9
    weight_decay: Annotated[float, bounded("a number >= 0", ge=0)] = 1e-4
    schedule: one_of(*SCHEDULES) = "cosine"
    warmup_steps: Natural = 100
    clip: Annotated[PositiveFloat | None, bounded("a number > 0, or None")] = 1.0
    augmentation: one_of(*AUGMENTATIONS) = "merlin"
    label_smoothing: Fraction = 0.0
    seed: Natural = 0
    keep: one_of("all", "ends") = "all"
    randomness: Natural = 0
    shift: Natural = 0
    squares: Annotated[float, bounded("a number in [0, 1]", ge=0, le=1)] = 0.0
    square_size: Positive = 4
    head: one_of("kept", "new") = "new"
    skip: Natural = 0
    adversary: Annotated[float, bounded("a number in [0, 1]", ge=0, le=1)] = 0.0

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise _refusal(error) from None

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a run with the fields in `update`, which are checked as in a new run."""
        return type(self)(**dict(self) | dict(update or {}))

    @field_validator("momentum", "weight_decay", "label_smoothing", "squares", "adversary")
    @classmethod
    def _without_sign(cls, value: float) -> float:
        return value + 0.0  # -0.0 becomes 0.0: their JSON differs, and so would ids

    @model_validator(mode="after")
    def _check_together(self) -> TrainingRun:
        """Raise ValueError for fields that contradict each other."""
        parent = self.parent
        if parent is not None and parent.model != self.model:
            raise ValueError(
                f"weights={parent.id!r} is a run of model={parent.model!r}; allowed is a run of "
                f"{self.model!r}"
            )
        for name in ("label_smoothing", "randomness", "shift", "squares", "adversary"):
            if getattr(self, name) and self.task != "classification":
                raise ValueError(
                    f"{name}={getattr(self, name)!r} means nothing for task={self.task!r}; "
                    "allowed there is 0"
                )
        if self.squares and self.augmentation != "none":
            raise ValueError(
                f"augmentation={self.augmentation!r} may crop the squares away; allowed with "
                f"squares={self.squares!r} is 'none'"
            )
        usual = _default("square_size")
        if not self.squares and self.square_size != usual:
            raise ValueError(
                f"square_size={self.square_size!r} means nothing with squares=0; allowed there is "
                f"{usual}"
            )
        if self.head == "kept" and self.weights is None:
            raise ValueError("head='kept' with weights=None: there is no head; allowed is 'new'")
        if self.head == "kept" and parent is not None and parent.task != self.task:
            raise ValueError(
                f"head='kept' of a run with task={parent.task!r}; allowed for task={self.task!r} "
                "is 'new'"
            )
        # With another seed, the first `skip` images are not those that the parent saw.
        again = parent is not None and parent.dataset == self.dataset
        if self.skip and again and parent.seed != self.seed:
            raise ValueError(
                f"skip={self.skip!r} with seed={self.seed!r} leaves out other images than "
                f"weights={parent.id!r} saw, whose seed is {parent.seed!r}; allowed is the same"
            )
        return self

    @property
    def parent(self) -> TrainingRun | None:
        """The run whose last epoch this one starts from, if it starts from a run."""
        return self.weights if isinstance(self.weights, TrainingRun) else None

    @property
    def id(self) -> str:
        """12 hexadecimal digits: a hash of all settings, the same on every machine.

        If `weights` or `dataset` is a file, the hash has its content; for a folder, the names and
        sizes of its files; if neither exists, only the name. The place does not matter. A field
        that was added later is part of the hash only if it is not at its default.
        """
        settings = self.model_dump() | {"recipe": RECIPE, "weights": self._weights_key()}
        for name in _LATER:
            if settings[name] == _default(name):
                del settings[name]
        # `load_images` takes such a name for a path.
        if set(self.dataset) & {"/", "\\"} or self.dataset.startswith((".", "~")):
            settings["dataset"] = content(Path(self.dataset).expanduser())
        text = json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def _weights_key(self) -> str | None:
        if self.weights is None or self.weights == "timm":
            return self.weights
        if self.parent is not None:
            return f"run:{self.parent.id}"
        try:
            return content(resolve_weights(self.weights))
        except FileNotFoundError:
            return f"name:{Path(self.weights).name}"

    def describe(self) -> str:
        """Return one line for readers: the model, its data, task, optimiser and start."""
        if self.parent is not None:
            start = f"from {self.parent.model} trained on {self.parent.dataset} ({self.parent.id})"
        elif self.weights in (None, "timm"):
            start = "ImageNet weights of timm" if self.weights else "random start"
        else:
            start = f"weights {Path(self.weights).name}"
        if self.head == "kept":
            start += " with its head"
        images = [] if self.n_train is None else [f"{self.n_train} images"]
        images += [f"after the first {self.skip}"] if self.skip else []
        images = f" ({' '.join(images)})" if images else ""
        size = "" if self.img_size is None else f" at {self.img_size} px"
        task = self.task
        task += f" of labels shifted by {self.shift}" if self.shift else ""
        if self.randomness:
            task += f" {'and' if self.shift else 'of labels'} spread over {self.randomness + 1}"
        if self.squares:
            task += f" with {self.square_size} px squares on {self.squares:.4g} of the images"
        task += f" against changes up to {self.adversary:g}" if self.adversary else ""
        return (
            f"{self.model}{size} on {self.dataset}{images}: {task}, {self.epochs} epochs of "
            f"{self.optimizer} (lr {self.lr:g}), {start}, seed {self.seed}"
        )

    def to_json(self) -> str:
        """Return the run as JSON text; `from_json` reads it back."""
        return json.dumps(self.model_dump(), indent=2, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> TrainingRun:
        """Return the run that the JSON `text` describes; TypeError or ValueError if it does not."""
        fields = json.loads(text)
        if not isinstance(fields, dict):
            raise TypeError(f"a training run is a JSON object, not {text!r:.80}")
        if isinstance(fields.get("weights"), dict):
            fields["weights"] = cls.from_json(json.dumps(fields["weights"]))
        return cls(**fields)


def _default(name: str) -> Any:
    return TrainingRun.model_fields[name].default


def _refusal(error: ValidationError) -> TypeError | ValueError:
    """Return the error for fields that pydantic refuses, with a line for each field."""
    fields, lines, types = TrainingRun.model_fields, {}, set()
    for problem in error.errors():
        name, kind = (problem["loc"] or ("",))[0], problem["type"]
        if name in lines:  # pydantic reports each type that is allowed and does not fit
            continue
        if kind == "extra_forbidden":
            lines[name] = unknown("field of TrainingRun", name, fields)
        elif kind == "missing":
            lines[name] = f"the training run does not say {name}"
        else:
            lines[name] = explain(
                problem, fields[name].json_schema_extra["allowed"] if name else None
            )
        types.add(TypeError if kind.endswith("_type") else ValueError)
    return (TypeError if TypeError in types else ValueError)("\n".join(lines.values()))
