"""Invert models: search for images that a layer of a model cannot tell from given ones."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "cache": ["cached_invert"],
        "chunks": ["default_chunk"],
        "invert": ["Inversion"],
        "rules": ["Rule", "adam", "fast", "ngd"],
    },
)
