"""Evaluation: the score does not depend on how the images are cut into batches."""

import math

import torch

from invlib.data.images import load_images
from invlib.models.loading import load_model
from invlib.training.evaluation import evaluate


def test_evaluation_does_not_depend_on_the_batch():
    model = load_model("vit_pico_patch8_32", num_classes=10)
    test = load_images("digits", "test", n=40)
    pixels, labels = torch.tensor(test.images), torch.tensor(test.labels)
    whole, parts = (evaluate(model, pixels, labels, batch_size=b) for b in (40, 7))
    assert whole["accuracy"] == parts["accuracy"]
    assert math.isclose(whole["loss"], parts["loss"], rel_tol=1e-5)
