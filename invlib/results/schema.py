"""The published schema of results, version 1: the variables and coordinates of each kind.

`KINDS` lists the kinds of results with their variables, and the dims, type, range and meaning of
each variable. `COORDS` lists the coordinates in the same way. A variable only has dims that it
depends on. In `Field.dims`, a dim with a question mark is optional. Comparisons of two different
networks are NaN at the layers that one of them does not have.

The library defines comparisons, trainings, probes and benchmarks. Another package can `register`
its own kinds and coordinates when it is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf

from invlib.names import SIMILARITIES

__all__ = [
    "ACCURACY", "COORDS", "Field", "KINDS", "Kind", "PAIR", "PROBES", "SCHEMA_VERSION", "STACKING",
    "register",
]  # fmt: skip

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Field:
    """The rules for one variable or coordinate."""

    dims: str
    dtype: str  # "float", "int", "number", "uint8" or "str"
    long_name: str
    low: float = -inf
    high: float = inf
    units: str = "1"
    low_biased: float | None = None  # a tighter lower bound where estimator="biased"
    # NaN allowed: in whole stacked slices, also at "epoch 0", in a whole "draw" of images, or "any"
    nan: str = "stack"
    values: tuple[str, ...] = ()  # for text: the only words allowed
    increasing: bool = False


@dataclass(frozen=True)
class Kind:
    """One kind of result: its variables (None: any with units), and which of them it must have."""

    variables: dict[str, Field] | None
    needs: tuple[tuple[str, ...], ...] = ()  # of each group at least one


# fmt: off
PAIR = {"pt": "pretrained", "ft": "fine-tuned"}


def _similarity(measure: str, target: str, reference: str) -> str:
    left, right = PAIR[target], PAIR[reference]
    if measure == "STIR":
        return f"STIR({left}[layer] | {right}[ref_layer])"
    return f"{measure} of {left}[layer] and {right}[ref_layer]"


# STIR is a linear CKA. The biased estimator is never negative. The debiased one is the cosine of
# two U-centred Gram matrices and can be as low as -1.
_MATRICES = {
    f"{measure.lower()}_{target}_{reference}": Field(
        "estimator seed ref_layer layer", "float", _similarity(measure, target, reference),
        -1, 1, low_biased=0,
    )
    for measure, target, reference in [
        ("STIR", "ft", "pt"), ("STIR", "pt", "ft"), ("STIR", "pt", "pt"), ("STIR", "ft", "ft"),
        ("CKA", "ft", "pt"), ("CKA", "pt", "pt"),
    ]
} | {
    "subspace_ft_pt": Field(
        "seed ref_layer layer", "float", _similarity("subspace similarity", "ft", "pt"), 0, 1
    )
}

# At most epochs, trajectories keep only the entries with layer = ref_layer. Of many trainings the
# fine-tuned models may be inverted on fewer draws than the start.
_DIAGONALS = {
    f"{name}_diagonal": replace(
        field, dims=field.dims.replace(" ref_layer", ""),
        long_name=f"{field.long_name}, ref_layer = layer",
        nan="draw" if name.endswith("_ft") else field.nan,
    )
    for name, field in _MATRICES.items()
}


def _without_an_image(field: Field) -> Field:
    name = f"{field.long_name}, one image left out"
    return replace(field, dims=f"{field.dims} left_out", long_name=name, nan="any")


# For the spread over images, see `metrics.jackknife`: diagonals, and on request whole matrices. NaN
# if CKA is undefined without an image.
_LEFT_OUT = {
    name.replace("_diagonal", "_jackknife"): _without_an_image(field)
    for name, field in _DIAGONALS.items() if "estimator" in field.dims
} | {
    f"{name}_left_out": _without_an_image(field)
    for name, field in _MATRICES.items() if name.startswith("stir")
}

_INVERSION: dict[str, Field] = {"example_images": Field("seed? example y x channel", "uint8",
    "example images that were inverted", 0, 255)}
for _short, _long in PAIR.items():
    _INVERSION |= {
        f"stir_control_{_short}": Field(
            "estimator seed layer", "float",
            f"CKA of {_long}[layer] on the images and on the starting images", -1, 1, low_biased=0,
            nan="any",  # where all start at one image
        ),
        f"inversion_loss_{_short}": Field("seed ref_layer", "float",
            f"relative distance left after inverting the {_long} model", 0,
            nan="draw" if _short == "ft" else "stack"),
        f"inversion_loss_centred_{_short}": Field("seed ref_layer", "float",
            f"distance left after inverting the {_long} model, over that of two images", 0),
        f"inversion_history_{_short}": Field("seed ref_layer iteration", "float",
            f"relative distance while inverting the {_long} model", 0),
        f"arrived_{_short}": Field("seed ref_layer", "number",
            f"images within the tolerance after inverting the {_long} model", 0),
        f"example_inverted_{_short}": Field("seed? ref_layer example y x channel", "uint8",
            f"example images, inverted at {_long}[ref_layer]", 0, 255),
    }
_INVERSION |= {  # an untrained network on the X′ of the pretrained one: the zero of STIR
    "stir_untrained_pt": replace(_DIAGONALS["stir_ft_pt_diagonal"],
        long_name="STIR(untrained[layer] | pretrained[layer])"),
    "stir_control_untrained": replace(_INVERSION["stir_control_pt"],
        long_name="CKA of untrained[layer] on the images and on the starting images"),
}

ACCURACY = {
    "train_accuracy": Field("", "float", "accuracy on the training images", 0, 1),
    "test_accuracy": Field("", "float", "accuracy on the test images", 0, 1),
    "test_loss": Field("", "float", "loss on the test images", 0),
    "corrupted_accuracy": Field("corruption? severity", "float",
        "accuracy on corrupted test images", 0, 1),
    "pretraining_accuracy": Field("", "float",
        "accuracy of the start on the data set it was trained on", 0, 1, nan="any"),
}

# Nothing is trained at epoch 0, so a training loss or a learning rate may be NaN there.
_TRAINING = {
    "train_loss": Field("epoch", "float", "mean training loss of the epoch", 0, nan="epoch 0"),
    "train_accuracy": Field("epoch", "float", "accuracy on the training images", 0, 1,
        nan="epoch 0"),
    "test_loss": Field("epoch", "float", "loss on the test images", 0),
    "test_accuracy": Field("epoch", "float", "accuracy on the test images", 0, 1),
    "test_accuracy_squares": Field("epoch", "float",
        "accuracy on the test images, all with class-coloured squares", 0, 1),
    "learning_rate": Field("epoch", "float", "learning rate", 0, nan="epoch 0"),
    "epoch_time": Field("epoch", "float", "time the epoch took", 0, units="s", nan="epoch 0"),
}

PROBES = {
    "probe_accuracy": Field("seed? layer", "float", "test accuracy of a linear probe on the layer",
        0, 1),
    "probe_regularisation": Field("seed? layer", "float",
        "regularisation of the probe, chosen on held-out images", 0),
    "numerical_rank": Field("seed? layer rtol?", "number", "numerical rank of the layer's features",
        0),
    "num_features": Field("layer", "int", "numbers in the representation of one image", 1),
}

KINDS = {
    "comparison": Kind(
        _MATRICES | _DIAGONALS | _LEFT_OUT | _INVERSION | ACCURACY,
        (("stir_ft_pt", "stir_ft_pt_diagonal", "cka_ft_pt", "cka_ft_pt_diagonal"),),
    ),
    "training": Kind(_TRAINING, (("train_loss",), ("test_loss",))),
    "probes": Kind(PROBES | ACCURACY, (("probe_accuracy", "numerical_rank"),)),
    "benchmark": Kind(None),
}

# Dims that experiments stack in front of a variable's own dims, in the order they are stored. The
# list has the dims of all packages, because it fixes the order of any two of them.
STACKING = tuple(
    "recipe task dataset model pretraining optimizer schedule setting train_seed reference reading "
    "randomness n_train budget ratio carrying epoch attack snapshot corruption severity".split()
)

_LAYER = "layer: 0 = what enters the first block, k = output of block k"

COORDS = {
    "estimator": Field("estimator", "str", "CKA estimator, or another similarity",
        values=SIMILARITIES),
    "seed": Field("seed", "int", "seed that drew the images and the starting noise"),
    "layer": Field("layer", "int", _LAYER, 0, increasing=True),
    "layer_name": Field("layer", "str", "name of the layer"),
    "depth": Field("layer", "float", "depth of the layer", 0, 1, increasing=True),
    "ref_layer": Field("ref_layer", "int", f"reference {_LAYER}", 0, increasing=True),
    # Of two different networks, in place of layer_name and depth. NaN: there is no such layer.
    **{f"layer_name_{short}": Field("layer", "str", f"name of the layer of the {long} model")
       for short, long in PAIR.items()},
    **{f"depth_{short}": Field("layer", "float", f"depth of the layer of the {long} model", 0, 1,
       increasing=True, nan="any") for short, long in PAIR.items()},
    "snapshot": Field("snapshot", "int", "gradient steps of the inversion", 1, increasing=True),
    "iteration": Field("iteration", "int", "iteration of the inversion", 0, increasing=True),
    "left_out": Field("left_out", "int", "number of the image left out", 0, increasing=True),
    "example": Field("example", "int", "number of the example image", 0),
    "y": Field("y", "int", "row", 0, units="pixel", increasing=True),
    "x": Field("x", "int", "column", 0, units="pixel", increasing=True),
    "channel": Field("channel", "str", "colour channel", values=("red", "green", "blue")),
    "recipe": Field("recipe", "str", "recipe of the inversion and its iterations"),
    "task": Field("task", "str", "task"),
    "dataset": Field("dataset", "str", "data set"),
    "model": Field("model", "str", "architecture"),
    "pretraining": Field("pretraining", "str", "data the model was pretrained on"),
    "optimizer": Field("optimizer", "str", "optimiser"),
    "train_seed": Field("train_seed", "int", "seed of the training"),
    "n_train": Field("n_train", "int", "number of training images", 1, increasing=True),
    "epoch": Field("epoch", "int", "epochs trained; 0 = before any step", 0, increasing=True),
    "rtol": Field("rtol", "float", "threshold on eigenvalues, relative to the largest", 0, 1,
        increasing=True),
    "corruption": Field("corruption", "str", "corruption"),
    "severity": Field("severity", "int", "severity; 0 = clean", 0, 5, increasing=True),
}
# fmt: on


def register(kinds: Mapping[str, Kind], coordinates: Mapping[str, Field]) -> None:
    """Add kinds of results, and coordinates that any kind may have, to the schema.

    ValueError if a name is already used for something else.
    """
    for known, entries in ((KINDS, kinds), (COORDS, coordinates)):
        for name, entry in entries.items():
            if known.setdefault(name, entry) != entry:
                raise ValueError(f"{name!r} is registered already, as something else")
