"Information and statistics: pure functions of arrays."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "common": ["Rows", "NEAR", "NoCommonToken", "Room", "Pair", "host", "dot", "exponential", "normalised", "pair",
        "on_common_ground", "log_mass", "compared", "in_the_middle", "check_rows", "excess", "refined", "Sums",
        "weights_at", "sums_at", "Moments", "moments", "log_z_of"],
    "folded": ["BLOCK", "MOST", "crossing", "Folded"],
    "information": ["entropy", "kl", "pool", "jensen_shannon", "mutual_information", "softmax", "horvitz_thompson",
        "margins", "Partly", "partly_known", "lumped"],
    "paths": ["BUDGETS", "Paths", "paths_of", "carried_back", "stops", "left_with", "hindsight", "Budgets",
        "budgets_of", "gain_of_budgets", "best_budget"],
    "risk": ["p_values", "Certified", "certify", "questions_needed"],
    "statistics": ["DRAWS", "outcomes_of", "check_within", "check_count", "wilson", "smallest_p", "fewest", "mcnemar",
        "sign_flip", "bootstrap_means", "mean_bounds", "mean_interval", "difference_bounds", "Paired", "paired",
        "p_text", "detectable", "calibration"],
    "stopping": ["COSTS", "KNOTS", "FOLDS", "ROUNDS", "PENALTIES", "SHARES", "HORIZONS", "LEAST_TOKENS", "Form",
        "FEWEST", "costs_for", "falling", "goes", "worth_of", "Inputs", "inputs_of", "Folded", "solution",
        "products_of", "floor_gains", "Mix", "mix_of", "gains_by", "whole", "realised", "fitted_weights", "cross_worth",
        "smooth", "chosen_mix", "tried_mixes", "Chosen", "ahead", "best_rate", "cross_worth_open", "Worth", "fit_worth",
        "chosen_for", "honest"],
    "sure": ["ROUNDING", "Span", "span_of", "weights_between", "running", "sides", "bounded_tokens", "clear_tokens",
        "sure_tokens"],
    "tilt": ["alpha_methods", "STEP", "LEFT", "SAME", "MOST", "Curve", "PLACES", "NUMBERS", "AT_ONCE", "FEW", "Wanted",
        "Solved", "clipped", "unequal", "root", "pulls", "kl_symmetry", "sample_size_ratio", "ess_balance", "entropies",
        "share", "entropy_ratio", "reverse_kl_symmetry", "fixed", "promising", "highest", "summit", "greatest_entropy",
        "Tilt", "teacher_support", "Tilted", "told", "sizes", "tilted", "q_star", "joined", "tilt_rows"],
    "units": ["RandomUnits", "random_units"],
})
