"""The images of an epoch, a batch at a time."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["has_batch_norm", "split_batches"]


def has_batch_norm(net: nn.Module) -> bool:
    """Whether a training step of `net` normalises by the batch, so that one image is too few."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in net.modules())


def split_batches(order: Tensor, size: int, *, least: int = 1) -> list[Tensor]:
    """Return `order` (N,) in batches of `size`, the last one smaller where N is no multiple.

    A last batch of fewer than `least` images joins the one before it: no image is left out.

    Raises
    ------
    ValueError
        If `size` or all of `order` is less than `least`.

    Examples
    --------
    >>> import torch
    >>> [len(batch) for batch in split_batches(torch.arange(9), 4)]
    [4, 4, 1]
    >>> [len(batch) for batch in split_batches(torch.arange(9), 4, least=2)]
    [4, 5]
    """
    if min(size, len(order)) < least:
        raise ValueError(
            f"batch_size={size} with n_train={len(order)} gives batches of one image; the network "
            f"has batch norm, whose statistics need at least {least}"
        )
    batches = list(order.split(size))
    if len(batches[-1]) < least:
        batches[-2:] = [order[-len(batches[-1]) - size :]]
    return batches
