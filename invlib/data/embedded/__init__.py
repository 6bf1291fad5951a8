"""Data sets that are drawn or come with a package, so that nothing is downloaded."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "digits": ["draw_digits"],
        "shapes": ["draw_shapes"],
        "street_digits": ["draw_street_digits"],
    },
)
