"""The corruptions of CIFAR-10-C, as they are published, and sets of corrupted images."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "corrupted_sets": ["CORRUPTIONS", "EXTRA", "SEVERITIES", "CorruptedSet", "corrupt"],
    },
)
