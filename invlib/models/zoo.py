"""Create a network by its name: timm's networks, and small ones for images of 32 pixels.

Names of our own: the `SMALL_VITS`; ``conv4``; and ``<net>_cifar`` for `CIFAR_NETS`, the network as
it is used at 32 pixels. ``_w<n>`` at the end of the last two makes it narrower: n channels in the
first block where the network has 64, and all others in proportion. ``resnet18_cifar_w8`` is
ResNet-18 at an eighth of its width.
"""

from __future__ import annotations

import re

import timm
from timm.layers import ClassifierHead
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from timm.models.vgg import VGG, cfgs
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from invlib.models.convnets import Conv4
from invlib.names import nearest

__all__ = ["CIFAR_NETS", "SMALL_VITS", "create"]

# ViTs small enough for a laptop. A patch holds twice as many numbers as its token (192 to 96), so
# that already layer 0 throws something away, as it does in ViT-B/32 (3072 to 768).
SMALL_VITS: dict[str, dict[str, int]] = {
    "vit_nano_patch8_32": dict(img_size=32, patch_size=8, embed_dim=96, depth=12, num_heads=3),
    "vit_pico_patch8_32": dict(img_size=32, patch_size=8, embed_dim=32, depth=3, num_heads=2),
}

_RESNETS = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
}
_VGGS = [f"{name}{norm}" for name in cfgs for norm in ("", "_bn")]
CIFAR_NETS = tuple(f"{name}_cifar" for name in (*_RESNETS, *_VGGS))
_FULL_WIDTH = 64  # of the first block, in all of them
_OURS = re.compile(rf"(conv4|{'|'.join(CIFAR_NETS)})(?:_w(\d+))?")


def create(
    name: str,
    *,
    pretrained: bool = False,
    num_classes: int | None = None,
    img_size: int | None = None,
) -> nn.Module:
    """Return the network called `name`, drawn from torch's global generator unless `pretrained`.

    Defaults: the network's own number of classes, and its own image size. `img_size` is read by a
    net whose classifier depends on it, ``conv4``; all others are resized later.

    Raises
    ------
    ValueError
        No such name, a width that does not exist, or `pretrained` for a net without weights.
    ConnectionError
        The hub cannot be reached.

    Examples
    --------
    >>> def size(net):
    ...     return sum(p.numel() for p in net.parameters())
    >>> size(create("resnet18_cifar")), size(create("resnet18_cifar_w8"))
    (11173962, 176402)
    """
    classes = {} if num_classes is None or pretrained else {"num_classes": num_classes}
    ours = _OURS.fullmatch(name)
    if pretrained and (ours or name in SMALL_VITS):
        raise ValueError(f"weights='timm': timm has no weights for {name!r}; train them")
    if name in SMALL_VITS:
        return VisionTransformer(**SMALL_VITS[name], **classes)
    if ours:
        architecture, width = ours[1], int(ours[2] or _FULL_WIDTH)
        if width < 2 or width % 2:
            raise ValueError(f"model={name!r}: the width {width} must be even and at least 2")
        if architecture == "conv4":
            return Conv4(width=width, img_size=img_size or 32, **classes)
        net = (_resnet if architecture.startswith("resnet") else _vgg)(
            architecture.removesuffix("_cifar"), width, **classes
        )
        net.img_size = 32
        return net
    if not timm.is_model(name):
        known = [*SMALL_VITS, "conv4", *CIFAR_NETS]
        raise ValueError(
            f"unknown model {name!r}{nearest(name, [*known, *timm.list_models()])}; known are "
            f"{', '.join(known)} (the last {len(known) - len(SMALL_VITS)} also narrower, as in "
            "'conv4_w16') and the supported ones of timm.list_models()"
        )
    try:
        return timm.create_model(name, pretrained=pretrained, **classes)
    except Exception as error:  # huggingface_hub has no one base class for "could not fetch"
        if not pretrained:
            raise
        raise ConnectionError(
            f"weights='timm': the pretrained weights of {name!r} could not be fetched "
            f"({type(error).__name__}); with a copy on disk, pass its path as `weights`"
        ) from error


def _resnet(name: str, width: int, num_classes: int = 10) -> ResNet:
    """timm's ResNet with a 3×3 stem of stride 1 and no max pooling: 32 pixels stay 32."""
    block, layers = _RESNETS[name]
    channels = tuple(width * 2**k for k in range(len(layers)))
    # Only a "deep" stem lets timm's class choose what enters the first block: twice stem_width.
    deep = dict(stem_type="deep", stem_width=width // 2)
    # Residual branches as torchvision draws them. timm's default starts them at zero, and the first
    # layers of an untrained network would all be the same.
    last = dict(zero_init_last=False)
    net = ResNet(block, layers, num_classes=num_classes, channels=channels, **deep, **last)
    net.conv1 = nn.Conv2d(3, width, kernel_size=3, padding=1, bias=False)
    net.maxpool = nn.Identity()
    net.init_weights(**last)
    return net


def _vgg(name: str, width: int, num_classes: int = 10) -> VGG:
    """timm's VGG with one linear layer for a head, where the original has 120 million weights."""
    name, norm = name.removesuffix("_bn"), nn.BatchNorm2d if name.endswith("_bn") else None
    cfg = [v if v == "M" else v * width // _FULL_WIDTH for v in cfgs[name]]
    net = VGG(cfg, num_classes=num_classes, norm_layer=norm, mlp_ratio=1 / 4096)  # a tiny old head,
    net.pre_logits = nn.Identity()  # which goes away here
    net.head = ClassifierHead(net.num_features, num_classes)
    net.head_hidden_size = net.num_features
    return net
