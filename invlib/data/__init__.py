"""Images with labels: data sets by name, draws from them, other labels, squares."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "images": ["ImageSet", "load_images"],
        "labels": ["partially_random", "shifted"],
        "sampling": ["stratified"],
        "squares": ["paste_squares"],
    },
)
