"""Data sets that need no download: they are drawn by code or come with scikit-learn."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "digits": ["draw_digits"],
        "shapes": ["draw_shapes"],
        "street_digits": ["draw_street_digits"],
    },
)
