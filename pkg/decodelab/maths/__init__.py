"Information and statistics: pure functions of arrays."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "information": ["entropy", "kl", "pool", "jensen_shannon", "mutual_information", "softmax"],
    "statistics": ["DRAWS", "outcomes_of", "check_within", "check_count", "wilson", "smallest_p", "fewest", "mcnemar",
        "sign_flip", "bootstrap_means", "mean_bounds", "mean_interval", "difference_bounds", "Paired", "paired",
        "p_text", "detectable", "calibration"],
})
