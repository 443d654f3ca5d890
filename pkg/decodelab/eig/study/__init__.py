"Recorded thoughts, the accuracy-token plane, reports and comparisons."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "accounts": ["BLOCK", "BUDGETS", "Spent", "prompts_of", "spent_on", "Account", "account_of", "accounts_at",
        "pays_after", "accounts_table", "hindsight_curve"],
    "beliefs": ["KNOWN", "MEANS", "known", "belief_summary", "belief_table", "causes", "causes_table", "decision_cost",
        "price"],
    "compare": ["SWEEPS", "VARIANTS", "LEARNT", "LEAST", "EIGCompareParameters", "falling", "rising", "whole", "counts",
        "nothing", "Sweep", "fitted_file", "sweep", "budgets", "sweeps", "with_forecasts", "front", "area",
        "at_equal_tokens", "seeds_of", "questions_of", "fit_seed", "others", "Comparison", "kinds_of", "skipped",
        "fit_gains", "fitting_tokens", "traces_of", "look", "run_live", "live_at", "caveats"],
    "compare_report": ["TONES", "BASES", "Curves", "CLAIMS", "AMORTISED", "BOUND", "tidy", "tone", "interval", "chosen",
        "means", "in_front", "reach", "table", "claims", "more_or_less", "claims_table", "along", "spending",
        "keeping_accuracy", "parts", "free_bound", "beams", "plane_figure", "cost_figure", "sensitivity_figure",
        "verdict", "metrics", "pooled"],
    "outlook": ["STAGES", "LOOKED", "DRAWN", "AGAIN", "ANSWER", "LEAST", "FIRST", "LATE", "expected_tokens",
        "Progressed", "seconds_left", "Outlook"],
    "plane": ["CORRECT", "REASONING", "FORECAST", "PROBE", "ANSWER", "TOTAL", "NAMES", "DRAWS", "grid", "Curve", "edge",
        "curve", "mixture", "halves", "Judged", "judge", "Mixture", "choose", "tossed", "difference", "targets",
        "Saving", "saving", "trace_calibration", "accuracy_by_share"],
    "report": ["COLOURS", "KINDS", "SHARES", "live_outcomes", "all_curves", "outcome_row", "main_table", "show",
        "savings", "apart", "finite", "share_right", "population", "summary", "done", "plane_figure", "mark_compared",
        "steps_figure", "calibration_figure", "case", "worst", "best", "verdict", "population_table", "pick",
        "caveats"],
    "stages": ["SetUp", "shares", "stage", "counted", "steps_of", "describe"],
    "traces": ["RULES", "with_threshold", "replay", "replays"],
})
