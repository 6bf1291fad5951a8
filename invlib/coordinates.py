"""The coordinates of a result, and the dims an experiment may put in front: tables of names."""

from __future__ import annotations

from invlib.schema import Field

__all__ = ["COORDS", "STACKING"]

# Dims that experiments stack in front of a variable's own, in the order they are stored.
STACKING = tuple(
    "recipe task dataset model pretraining optimizer train_seed reference randomness n_train ratio "
    "carrying epoch corruption severity".split()
)

# fmt: off
_LAYER = "layer: 0 = what enters the first block, k = output of block k"
COORDS = {
    "estimator": Field("estimator", "str", "CKA estimator", values=("biased", "debiased")),
    "self_term": Field(
        "self_term", "str", "what the first term is for i = j", values=("measured", "one")
    ),
    "seed": Field("seed", "int", "seed that drew the images and the starting noise"),
    "layer": Field("layer", "int", _LAYER, 0, increasing=True),
    "layer_name": Field("layer", "str", "name of the layer"),
    "depth": Field("layer", "float", "depth of the layer", 0, 1, increasing=True),
    "ref_layer": Field("ref_layer", "int", f"reference {_LAYER}", 0, increasing=True),
    "ref_layer_name": Field("ref_layer", "str", "name of the reference layer"),
    "ref_depth": Field("ref_layer", "float", "depth of the reference layer", 0, 1, increasing=True),
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
    "reference": Field(
        "reference", "str", "weights compared with", values=("initial", "pretrained")
    ),
    "randomness": Field("randomness", "number", "randomness of the labels", 0, increasing=True),
    "n_train": Field("n_train", "int", "number of training images", 1, increasing=True),
    "ratio": Field("ratio", "number", "share of images with the pattern", 0, 1, increasing=True),
    "carrying": Field("carrying", "str", "what the images carry: squares or not"),
    "epoch": Field("epoch", "int", "epochs trained; 0 = before any step", 0, increasing=True),
    "rtol": Field(
        "rtol", "float", "threshold on eigenvalues, relative to the largest", 0, 1, increasing=True
    ),
    "step": Field("step", "int", "step within the epoch", 0, increasing=True),
    "corruption": Field("corruption", "str", "corruption"),
    "severity": Field("severity", "int", "severity; 0 = clean", 0, 5, increasing=True),
    "hypothesis": Field("hypothesis", "str", "hypothesis of the correlation scan"),
    "quantity": Field("hypothesis", "str", "quantity correlated with corrupted accuracy"),
    "layers": Field("hypothesis", "str", "layers the hypothesis is about"),
    "aggregate": Field("hypothesis", "str", "aggregate over those layers"),
    "n_hypotheses": Field("hypothesis", "int", "number of hypotheses in the family", 1),
    "case": Field("case", "str", "network and training"),
    "when": Field("when", "str", "network before or after it", values=("before", "after")),
    "place": Field("place", "int", "number of the layer in its network", 0, increasing=True),
    "ref_place": Field("ref_place", "int", "number of the reference layer", 0, increasing=True),
    "claim": Field("claim", "str", "identifier of the claim"),
}
# fmt: on
