"""Compare two models layer by layer; the measures become one xarray Dataset."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "probes": ["linear_probe", "probe_layers"],
        "representations": ["layer_grams"],
        "stacking": ["stack"],
    },
)
