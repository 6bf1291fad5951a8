"""The loss of each task, and the loss and accuracy of a model on a set of images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from invlib.data.images import resize
from invlib.models.staged import StagedModel

__all__ = ["evaluate", "loss_function"]


@torch.no_grad()
def evaluate(
    model: StagedModel, images: Tensor, labels: Tensor, *, batch_size: int = 250
) -> dict[str, float]:
    """Return the mean loss and, for a classifier, the accuracy. No augmentation.

    `images` are uint8 (N, H, W, 3) on the model's device, as `labels` (N,); they are resized to its
    size. For reconstruction, the loss is the L1 distance per pixel in [0, 1].

    Examples
    --------
    >>> from invlib import load_images, load_model
    >>> images = load_images("digits", "test", n=50)
    >>> model = load_model("vit_pico_patch8_32", num_classes=10)
    >>> result = evaluate(model, torch.tensor(images.images), torch.tensor(images.labels))
    >>> sorted(result), 0 <= result["accuracy"] <= 1
    (['accuracy', 'loss'], True)
    """
    model.eval()
    loss, right = 0.0, 0
    for part, truth in zip(images.split(batch_size), labels.split(batch_size), strict=True):
        x = resize(part, model.img_size)  # (n, 3, S, S)
        output = model(x)
        target = x if model.task == "reconstruction" else truth
        loss += loss_function(model.task)(output, target).item() * len(part)
        if model.task == "classification":
            right += (output.argmax(dim=1) == truth).sum().item()
    result = {"loss": loss / len(images)}
    return result | ({"accuracy": right / len(images)} if model.task == "classification" else {})


def loss_function(task: str, label_smoothing: float = 0.0) -> nn.Module:
    """Return the loss function of a task. It averages over images and pixels."""
    if task == "reconstruction":
        return nn.L1Loss()
    return nn.CrossEntropyLoss(label_smoothing=label_smoothing)
