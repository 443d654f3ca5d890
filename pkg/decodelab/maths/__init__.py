"Information and statistics: pure functions of arrays."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "information": ["entropy", "kl", "jensen_shannon", "pool", "mutual_information", "softmax"],
    "statistics": ["wilson", "Paired", "mcnemar", "bootstrap_means", "paired", "detectable", "mean_interval",
        "calibration"],
})
