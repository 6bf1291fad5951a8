"""Create a network by its name: timm's networks, and small ones for images of 32 pixels.

Our own names are the `SMALL_VITS`, ``conv4`` and the `CIFAR_NETS`: ``<net>_cifar`` is a network in
its form for 32 pixels. The last two can be made narrower: ``_w<n>`` at the end gives the first
block n channels instead of 64, and scales all other blocks alike. So ``resnet18_cifar_w8`` is
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
from invlib.names import listed, nearest, unknown

__all__ = ["CIFAR_NETS", "SMALL_VITS", "create"]

# ViTs for a laptop. A patch has at least twice as many numbers as its token (192 to 96), so already
# layer 0 loses information, as in ViT-B/32 (3072 to 768).
SMALL_VITS: dict[str, dict[str, int]] = {
    "vit_nano_patch8_32": dict(img_size=32, patch_size=8, embed_dim=96, depth=12, num_heads=3),
    "vit_micro_patch8_32": dict(img_size=32, patch_size=8, embed_dim=64, depth=6, num_heads=2),
    "vit_pico_patch8_32": dict(img_size=32, patch_size=8, embed_dim=32, depth=3, num_heads=2),
}

_RESNETS = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
}
_VGGS = [f"{name}{norm}" for name in cfgs for norm in ("", "_bn")]
CIFAR_NETS = tuple(f"{name}_cifar" for name in (*_RESNETS, *_VGGS))
_FULL_WIDTH = 64  # channels of the first block in all of these networks
_OURS = re.compile(rf"(conv4|{'|'.join(CIFAR_NETS)})(?:_w(\d+))?")


def create(
    name: str,
    *,
    pretrained: bool = False,
    num_classes: int | None = None,
    img_size: int | None = None,
) -> nn.Module:
    """Return the network called `name`, drawn from torch's global generator unless `pretrained`.

    The defaults are the network's own number of classes and image size. Only ``conv4`` uses
    `img_size`, because its classifier depends on it; all other networks are resized later.
    ValueError for an unknown name, an invalid width, or `pretrained` for a network without weights;
    ConnectionError if the hub cannot be reached.

    Examples
    --------
    >>> sum(p.numel() for p in create("resnet18_cifar_w8").parameters())
    176402
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
        known = [*SMALL_VITS, "conv4", *CIFAR_NETS, *timm.list_models()]
        plain = re.sub(r".*/|\..*", "", name)  # the hub's name has an owner and a tag
        raise ValueError(
            f"unknown model {name!r}{nearest(plain, known)}; known are {listed(known[:4], 4)}, "
            f"{CIFAR_NETS[0]}, … (invlib.models.zoo), and timm.list_models()"
        )
    try:
        return timm.create_model(name, pretrained=pretrained, **classes)
    except Exception as error:  # huggingface_hub has no base class for a failed download
        if "pretrained tag" in str(error):
            there = timm.list_pretrained(f"{name.partition('.')[0]}.*")
            raise ValueError(unknown("model", name, there)) from error
        if not pretrained:
            raise
        raise ConnectionError(
            f"weights='timm': the pretrained weights of {name!r} could not be fetched "
            f"({type(error).__name__}); with a copy on disk, pass its path as `weights`"
        ) from error


def _resnet(name: str, width: int, num_classes: int = 10) -> ResNet:
    """Return timm's ResNet with a 3×3 stem of stride 1 and no max pooling, so 32 pixels stay."""
    block, layers = _RESNETS[name]
    channels = tuple(width * 2**k for k in range(len(layers)))
    # timm's class can set the width of the first block's input only with a "deep" stem: twice
    # stem_width.
    deep = dict(stem_type="deep", stem_width=width // 2)
    # timm's default starts the residual branches at zero, and then the first layers of an untrained
    # network were all the same. torchvision draws them.
    last = dict(zero_init_last=False)
    net = ResNet(block, layers, num_classes=num_classes, channels=channels, **deep, **last)
    net.conv1 = nn.Conv2d(3, width, kernel_size=3, padding=1, bias=False)
    net.maxpool = nn.Identity()
    net.init_weights(**last)
    return net


def _vgg(name: str, width: int, num_classes: int = 10) -> VGG:
    """Return timm's VGG with a linear head in place of the original's 120 million weights."""
    name, norm = name.removesuffix("_bn"), nn.BatchNorm2d if name.endswith("_bn") else None
    cfg = [v if v == "M" else v * width // _FULL_WIDTH for v in cfgs[name]]
    net = VGG(cfg, num_classes=num_classes, norm_layer=norm, mlp_ratio=1 / 4096)  # a tiny head,
    net.pre_logits = nn.Identity()  # replaced here
    net.head = ClassifierHead(net.num_features, num_classes)
    net.head_hidden_size = net.num_features
    return net
