"""Labelled images: data sets by name, random draws, changed labels, pasted squares."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "images": ["ImageSet", "load_images"],
        "pools": ["as_pool"],
        "labels": ["partially_random", "shifted"],
        "sampling": ["stratified"],
        "squares": ["paste_squares"],
    },
)
