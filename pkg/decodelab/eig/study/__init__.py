"Recorded thoughts, the accuracy-token plane, reports and comparisons."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "compare": ["SWEEPS", "VARIANTS", "LEARNT", "LEAST", "EIGCompareParameters", "Sweep", "falling", "rising", "whole",
        "fitted_file", "sweep", "sweeps", "with_forecasts", "front", "area", "at_equal_tokens", "seeds_of",
        "questions_of", "others", "Comparison"],
    "compare_report": ["TONES", "BASES", "CLAIMS", "tidy", "tone", "interval", "chosen", "table", "claims",
        "more_or_less", "claims_table", "along", "keeping_accuracy", "parts", "free_bound", "beams", "plane_figure",
        "cost_figure", "sensitivity_figure", "verdict", "metrics", "pooled"],
    "plane": ["CORRECT", "REASONING", "FORECAST", "PROBE", "ANSWER", "TOTAL", "NAMES", "grid", "Curve", "curve",
        "cheapest", "judged", "targets", "Saving", "saving", "trace_calibration", "accuracy_by_share"],
    "report": ["COLOURS", "SHARES", "live_outcomes", "all_curves", "outcome_row", "main_table", "show", "savings",
        "finite", "population", "summary", "plane_figure", "steps_figure", "calibration_figure", "case", "worst",
        "best", "verdict", "population_table", "pick", "caveats"],
    "stages": ["SetUp"],
    "traces": ["FLOOR", "SURE", "RULES", "trace", "first", "stop_full", "stop_none", "stop_budget", "stop_entropy",
        "stop_eig", "cost", "replay"],
})
