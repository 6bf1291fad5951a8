"""Cut timm's vision transformers into stages: the embedding, then every block.

Layer 0 is the input of the first block: patches plus position embedding.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from timm.layers import PatchEmbed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from invlib.models.base import Family, classifier, remember_normalisation
from invlib.names import whole_number

__all__ = ["VIT", "ReconstructionHead"]


def _embed(net: VisionTransformer, x: Tensor) -> Tensor:
    if x.shape[-2:] != (size := tuple(net.patch_embed.img_size)):
        raise ValueError(f"images are {tuple(x.shape[-2:])}, the model was built for {size}")
    # The patch convolution is computed as a matrix product. On a CPU its gradient with respect to
    # the pixels, which every inversion needs, is about ten times faster than that of the
    # convolution. The matrix and its bias contain the normalisation of the pixels.
    embed, n = net.patch_embed, len(x)
    (rows, cols), (p, q) = embed.grid_size, embed.patch_size
    patches = x.reshape(n, -1, rows, p, cols, q).permute(0, 2, 4, 1, 3, 5)
    weight = VIT.patch_weight(net)
    bias = -(weight * net.input_mean.expand(-1, p, q).flatten()).sum(1)
    if embed.proj.bias is not None:
        bias = bias + embed.proj.bias
    x = embed.norm(F.linear(patches.reshape(n, rows * cols, -1), weight, bias))  # (N, P, dim)
    x = net._pos_embed(x)  # adds class, distillation and register tokens
    return net.norm_pre(net.patch_drop(x))


class ReconstructionHead(nn.Module):
    """Predict the p×p pixels of every patch from its token: 1×1 conv, then PixelShuffle(p).

    Takes patch tokens (N, P, dim) and returns images (N, 3, H, W). Paper A's decoder is the same,
    as in the head for masked image modelling of Hugging Face `transformers`.
    """

    def __init__(self, dim: int, grid: tuple[int, int], patch_size: int):
        super().__init__()
        self.grid = grid
        self.proj = nn.Conv2d(dim, 3 * patch_size**2, kernel_size=1)
        self.shuffle = nn.PixelShuffle(patch_size)

    def forward(self, tokens: Tensor) -> Tensor:
        n, _, dim = tokens.shape
        maps = tokens.transpose(1, 2).reshape(n, dim, *self.grid)  # (N, dim, H/p, W/p)
        return self.shuffle(self.proj(maps))  # (N, 3, H, W)


def _classifier(net: VisionTransformer, num_classes: int | None) -> Callable[[Tensor], Tensor]:
    classifier(net, num_classes)
    return partial(_classify, net)


def _classify(net: VisionTransformer, x: Tensor) -> Tensor:
    return net.forward_head(net.norm(x))


def _decoder(net: VisionTransformer, num_classes: None = None) -> Callable[[Tensor], Tensor]:
    embed = net.patch_embed
    net.reset_classifier(0)
    net.head = ReconstructionHead(net.embed_dim, embed.grid_size, embed.patch_size[0])
    return partial(_reconstruct, net)


def _reconstruct(net: VisionTransformer, x: Tensor) -> Tensor:
    return net.head(net.norm(x)[:, net.num_prefix_tokens :])


class VisionTransformers(Family):
    """The family of timm's vision transformers, with or without class and distillation tokens."""

    heads = {"classification": _classifier, "reconstruction": _decoder}

    def fits(self, net: VisionTransformer) -> bool:
        """Return whether patches are embedded by a single convolution, at one image size."""
        embed = net.patch_embed
        return type(embed) is PatchEmbed and embed.flatten and embed.strict_img_size

    def stages(self, net: VisionTransformer) -> dict[str, Callable[[Tensor], Tensor]]:
        remember_normalisation(net)
        blocks = {f"block {k}": block for k, block in enumerate(net.blocks, start=1)}
        return {"embedding": partial(_embed, net)} | blocks

    def patch_weight(self, net: VisionTransformer) -> Tensor:
        return (net.patch_embed.proj.weight / net.input_std).flatten(1)

    def input_size(self, net: VisionTransformer) -> int:
        return net.patch_embed.img_size[0]

    def match_resolution(self, net: VisionTransformer, state: dict[str, Tensor]) -> None:
        pos = state.get("pos_embed")
        if pos is None or pos.ndim != 3 or pos.shape == net.pos_embed.shape:
            return
        prefix = 0 if net.no_embed_class else net.num_prefix_tokens
        side = round((pos.shape[1] - prefix) ** 0.5)
        if side**2 + prefix == pos.shape[1]:
            self.resize(net, side * net.patch_embed.patch_size[0])

    def resize(self, net: VisionTransformer, img_size: int) -> None:
        """Set the side of the input in pixels; timm resamples the position embeddings (bicubic).

        ValueError if the patch does not divide it.
        """
        patch = net.patch_embed.patch_size[0]
        whole_number("img_size", img_size, 1)
        if img_size % patch:
            raise ValueError(f"img_size={img_size!r} must be a multiple of {patch}, the patch size")
        net.set_input_size(img_size=(img_size, img_size))
        if isinstance(net.head, ReconstructionHead):
            net.head.grid = net.patch_embed.grid_size


VIT = VisionTransformers()
