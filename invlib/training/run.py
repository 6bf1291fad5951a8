"""`TrainingRun`: all settings of one training, with an id that is their hash. Imports no torch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from invlib.fields import Name, Natural, Positive, PositiveFloat, bounded, explain, one_of
from invlib.files import content
from invlib.names import AUGMENTATIONS, OPTIMIZERS, SCHEDULES, TASKS, unknown
from invlib.paths import resolve_weights

__all__ = ["TrainingRun"]

# Part of every id. Raise it when `train` would give other weights for the same fields, so that
# checkpoints of the old recipe are left alone instead of being mistaken for the new ones.
RECIPE = 1

# Fields that came after runs had been stored. At their default they say what those runs did, and
# are left out of the id: it stays what it was.
_LATER = ("randomness", "shift", "squares", "square_size", "head", "skip")

Count = Annotated[Positive | None, bounded("an integer >= 1, or None")]
Fraction = Annotated[float, bounded("a number in [0, 1)", ge=0, lt=1)]


class TrainingRun(BaseModel):
    """One training run, complete: the same run gives the same weights, and the same `id`.

    The defaults are the recipe of Merlin et al. 2023 (appendix B, and their scripts where the
    text is silent). Two runs are equal when all their fields are.

    Parameters
    ----------
    model : str
        Name for `load_model`, e.g. ``"vit_tiny_patch16_224"``.
    dataset : str
        Name or path for `load_images`.
    img_size : int, optional
        Side of the images in pixels; None is what the weights were trained at.
    weights : str or TrainingRun, optional
        None (random, from `seed`), ``"timm"`` (the hub), a path to safetensors, or another run,
        whose last epoch is the start.
    task : {"classification", "reconstruction"}
        Cross-entropy on the labels, or L1 on the pixels in [0, 1].
    n_train, n_test : int, optional
        Images drawn from the two splits; None is all of them.
    epochs : int
        Passes over the training images. 0 stores the initial weights and their test result.
    batch_size : int
        Images per step. The last, smaller batch of an epoch is used too; a single image, of which
        batch norm has no statistics, joins the batch before it in a network that has batch norm.
    optimizer : {"adam", "adamw", "sgd"}
        torch's; `momentum` is read by ``"sgd"`` only.
    lr, momentum, weight_decay : float
        Weight decay spares biases and norms, as the Hugging Face trainer of the paper does.
    schedule : {"constant", "cosine"}
        After a linear warm-up over `warmup_steps` steps, at most a tenth of all steps.
    warmup_steps : int
        Steps, not epochs.
    clip : float, optional
        Largest global gradient norm; None does not clip.
    augmentation : {"crop", "merlin", "none"}
        ``"merlin"``: random resized crop, flip, rotation by at most 2 degrees, colour jitter
        0.25; ``"crop"``: crops of at least half the image, for digits and short runs;
        ``"none"``: the resized image itself.
    label_smoothing : float
        In [0, 1), classification only.
    seed : int
        Draws the initial weights, the subset of the images, the order and the augmentation.
    keep : {"all", "ends"}
        Keep the weights of all epochs, or of epoch 0 and the last.
    randomness, shift : int
        The task is (y + Y + shift) mod D, Y uniform on {0, …, randomness} and drawn once per
        image (Goerttler & Obermayer 2022), see `seen`. 0 is the data set's own label.
    squares : float
        Share of the training images that carry a square whose colour names the class
        (Masarczyk et al. 2023); above 0 only without augmentation, which may crop it away.
    square_size : int
        Side of the squares in pixels of the data set.
    head : {"kept", "new"}
        ``"new"``: a head drawn from `seed`, whatever the weights; what is kept is the
        representation. ``"kept"``: the head of the weights, for a second task on the same classes.
    skip : int
        Leave out the first `skip` training images of the seed's draw. A run of
        ``n_train=5000, skip=10000`` shares none with one of ``n_train=10000`` and its `seed`.

    Raises
    ------
    TypeError, ValueError
        Naming the field, its value and what is allowed.

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
        Name | TrainingRun | None,
        bounded("None, 'timm', a path to safetensors or a TrainingRun"),
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

    def __init__(self, **said: Any) -> None:
        try:
            super().__init__(**said)
        except ValidationError as error:
            raise _refusal(error) from None

    @model_validator(mode="after")
    def _check_together(self) -> TrainingRun:
        """Raise ValueError for fields that contradict each other."""
        if self.parent is not None and self.parent.model != self.model:
            raise ValueError(
                f"weights={self.parent.id!r} is a run of model={self.parent.model!r}; allowed is a "
                f"run of {self.model!r}"
            )
        for name in ("label_smoothing", "randomness", "shift", "squares"):
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
        if self.head == "kept" and self.parent is not None and self.parent.task != self.task:
            raise ValueError(
                f"head='kept' of a run with task={self.parent.task!r}; allowed for "
                f"task={self.task!r} is 'new'"
            )
        # With another seed the first `skip` images are others than those the parent saw.
        parent = self.parent
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
        """12 hexadecimal digits: a hash of what the run says, the same on every machine.

        A file named by `weights` or `dataset` counts by its content, a folder by the names and
        sizes of its files, and either by its own name while it is not there: where it lies
        never counts. Fields added to `TrainingRun` later count where they are not at their default.
        """
        says = self.model_dump() | {"recipe": RECIPE, "weights": self._weights_say()}
        for name in _LATER:
            if says[name] == _default(name):
                del says[name]
        # What `load_images` takes for a path and not for a name.
        if set(self.dataset) & {"/", "\\"} or self.dataset.startswith((".", "~")):
            says["dataset"] = content(Path(self.dataset).expanduser())
        text = json.dumps(says, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def _weights_say(self) -> str | None:
        if self.weights is None or self.weights == "timm":
            return self.weights
        if self.parent is not None:
            return f"run:{self.parent.id}"
        try:
            return content(resolve_weights(self.weights))
        except FileNotFoundError:
            return f"name:{Path(self.weights).name}"

    def describe(self) -> str:
        """One line for people: what is trained on what, how, from where."""
        start = {None: "random start", "timm": "ImageNet weights of timm"}.get(
            None if self.weights is None else str(self.weights)
        )
        if self.parent is not None:
            start = f"from {self.parent.model} trained on {self.parent.dataset} ({self.parent.id})"
        elif start is None:
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
        return (
            f"{self.model}{size} on {self.dataset}{images}: {task}, {self.epochs} epochs of "
            f"{self.optimizer} (lr {self.lr:g}), {start}, seed {self.seed}"
        )

    def to_json(self) -> str:
        """Return the run as JSON text; `from_json` reads it back."""
        return json.dumps(self.model_dump(), indent=2, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> TrainingRun:
        """Return the run that `text` says.

        Raises
        ------
        TypeError, ValueError
            For text that is no JSON object, an unknown or missing field, and what the
            constructor refuses.
        """
        said = json.loads(text)
        if not isinstance(said, dict):
            raise TypeError(f"a training run is a JSON object, not {text!r:.80}")
        if isinstance(said.get("weights"), dict):
            said = said | {"weights": cls.from_json(json.dumps(said["weights"]))}
        return cls(**said)


def _default(name: str) -> Any:
    return TrainingRun.model_fields[name].default


def _refusal(error: ValidationError) -> TypeError | ValueError:
    """Return what to raise for fields that pydantic refuses: a line for each."""
    fields, lines, types = TrainingRun.model_fields, {}, set()
    for problem in error.errors():
        name, kind = (problem["loc"] or ("",))[0], problem["type"]
        if name in lines:  # where several types are allowed, each has its complaint
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
