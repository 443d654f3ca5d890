"Expected-information-gain reasoning."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "answers": ["Frame", "frame_for", "prompt_ids", "end_ids", "normalise", "number", "same", "extract", "Candidate", "classes"],
    "evaluation": ["SetUp"],
    "forecast": ["Continuation", "cut_steps", "MonteCarloForecaster"],
    "gain": ["Gain", "interval", "Metrics", "get_eig_metrics_summary", "print_eig_metrics", "Decision", "rounds", "ExpectedInformationGainCalculator"],
    "parameters": ["EIGParameters", "EIGEvalParameters"],
    "plane": ["CORRECT", "REASONING", "FORECAST", "PROBE", "ANSWER", "TOTAL", "NAMES", "grid", "Curve", "curve", "cheapest", "judged", "targets", "Saving", "saving", "trace_calibration", "accuracy_by_share"],
    "posterior": ["OTHER", "beams", "Posterior", "belief", "AnswerPosteriorEstimator"],
    "reasoning": ["Cost", "Boundary", "Thought", "Rule", "Full", "Budget", "EntropyThreshold", "EIGRule", "reason", "record", "expected_information_gain_reasoning"],
    "report": ["COLOURS", "SHARES", "live_outcomes", "all_curves", "outcome_row", "main_table", "show", "savings", "finite", "population", "summary", "plane_figure", "steps_figure", "calibration_figure", "case", "worst", "best", "compare", "verdict", "population_table", "pick", "caveats"],
    "traces": ["FLOOR", "RULES", "trace", "first", "stop_full", "stop_none", "stop_budget", "stop_entropy", "stop_eig", "cost", "replay"],
})
