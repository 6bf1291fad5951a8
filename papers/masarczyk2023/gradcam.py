"""Grad-CAM, computed by captum: the parts of an image that speak for a class."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from captum.attr import LayerGradCam
from torch import Tensor

from invlib.models.staged import StagedModel

__all__ = ["grad_cam", "map_layer", "share_in_corner"]

SMALLEST_MAP = 4  # positions on each side; a smaller heat map shows hardly any place


def map_layer(model: StagedModel) -> int:
    """Return the deepest layer whose maps have at least `SMALLEST_MAP` positions on each side.

    Raises
    ------
    ValueError
        If no layer has such maps: `model` is a ViT, or its images are too small.

    Examples
    --------
    >>> from invlib import load_model
    >>> map_layer(load_model("vgg11_bn_cifar_w8"))
    5
    """
    x = torch.zeros(1, 3, model.img_size, model.img_size, device=model.device)
    deepest = None
    with torch.no_grad():
        for k, h in zip(model.layers, model.features(x), strict=True):
            # Layer 0 may be the image, which is no module whose output has a gradient.
            if k and h.ndim == 4 and min(h.shape[2:]) >= SMALLEST_MAP:
                deepest = k
    if deepest is None:
        size = f"{SMALLEST_MAP} x {SMALLEST_MAP}"
        raise ValueError(f"{model!r} has no layer with maps of {size} positions or more")
    return deepest


def grad_cam(model: StagedModel, images: Tensor, labels: Tensor) -> Tensor:
    r"""Return heat maps (N, H, W) in [0, 1] of the parts that speak for each image's label.

    .. math:: \mathrm{ReLU} \sum_c \alpha_c A^c, \qquad
        \alpha_c = \mathrm{mean}_{xy}\, \partial y_\mathrm{label} / \partial A^c_{xy}

    of Selvaraju et al. (2017), where A are the maps of `map_layer`. A heat map is enlarged to the
    image and divided by its maximum if that is not 0.

    Parameters
    ----------
    images : float tensor (N, 3, H, W) in [0, 1]
    labels : int64 tensor (N,)

    Raises
    ------
    ValueError
        As `map_layer`.

    Examples
    --------
    >>> from invlib import load_model
    >>> model = load_model("resnet18_cifar_w8")
    >>> heat = grad_cam(model, torch.rand(2, 3, 32, 32), torch.tensor([3, 7]))
    >>> heat.shape, bool((heat >= 0).all() and (heat <= 1).all())
    (torch.Size([2, 32, 32]), True)
    """
    stage = model.stages[map_layer(model)]
    model.eval()
    heat = LayerGradCam(model, stage).attribute(
        images.to(model.device), target=labels.to(model.device), relu_attributions=True
    )
    heat = F.interpolate(heat, images.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    peak = heat.amax((1, 2), keepdim=True)
    return (heat / peak.where(peak > 0, 1)).detach().cpu()


def share_in_corner(heat: Tensor) -> Tensor:
    """Return the share of each heat map in the top left quarter, (N, H, W) -> (N,).

    It is 1/4 for an even map and NaN for a map that is 0 everywhere.

    Examples
    --------
    >>> even, corner = torch.ones(8, 8), torch.zeros(8, 8)
    >>> corner[:2, :2] = 1
    >>> share_in_corner(torch.stack([even, corner])).tolist()
    [0.25, 1.0]
    """
    height, width = heat.shape[1:]
    return heat[:, : height // 2, : width // 2].sum((1, 2)) / heat.sum((1, 2))
