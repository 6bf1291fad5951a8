"""Figures drawn from Datasets: curves over layers and epochs, matrices, pictures."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "curves": ["error_curves", "layer_curves", "standard_error"],
        "matrices": ["flow_matrix"],
        "pictures": ["image_rows", "inversion_grid"],
    },
)
