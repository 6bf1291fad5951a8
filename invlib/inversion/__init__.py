"""Search for images that a model cannot tell from given ones. `invlib.invert` does it."""

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
