"Expected-information-gain reasoning."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "adapters": ["RISK", "Foreseer", "add_best", "Scaler", "replay_rule", "replay_one", "recorded", "first_entropy"],
    "amortised": ["FEATURES", "opening", "progress", "numbers", "products", "FittedGain", "read_gain", "AmortisedParameters", "of_this_model", "amortised_gain", "hidden_gain", "OwnPathParameters", "own_path_gain"],
    "answers": ["Frame", "frame_for", "prompt_ids", "end_ids", "normalise", "number", "same", "extract", "Candidate", "classes"],
    "compare": ["SWEEPS", "VARIANTS", "LEARNT", "LEAST", "EIGCompareParameters", "Sweep", "falling", "rising", "whole", "fitted_file", "sweep", "sweeps", "with_forecasts", "front", "area", "at_equal_tokens", "seeds_of", "questions_of", "others", "Comparison"],
    "compare_report": ["TONES", "BASES", "CLAIMS", "tidy", "tone", "interval", "chosen", "table", "claims", "more_or_less", "claims_table", "along", "keeping_accuracy", "parts", "free_bound", "beams", "plane_figure", "cost_figure", "sensitivity_figure", "verdict", "metrics", "pooled"],
    "evaluation": ["SetUp"],
    "fitting": ["STRIDES", "PENALTIES", "FitParameters", "drops", "probe_rows", "hidden_rows", "add_hidden", "ridge", "cross_validated", "fit_gain", "observe", "fit"],
    "forcing": ["DELIMITERS", "Marks", "ThinkFrame", "mark", "frame_with", "Watched", "able", "scale", "outcomes"],
    "forecast": ["Continuation", "cut_steps", "MonteCarloForecaster"],
    "gain": ["Gain", "interval", "Metrics", "remember", "get_eig_metrics_summary", "print_eig_metrics", "Decision", "rounds", "ExpectedInformationGainCalculator"],
    "parameters": ["EIGParameters", "EIGEvalParameters"],
    "plane": ["CORRECT", "REASONING", "FORECAST", "PROBE", "ANSWER", "TOTAL", "NAMES", "grid", "Curve", "curve", "cheapest", "judged", "targets", "Saving", "saving", "trace_calibration", "accuracy_by_share"],
    "posterior": ["OTHER", "beams", "Posterior", "belief", "AnswerPosteriorEstimator"],
    "reasoning": ["Cost", "Boundary", "Thought", "Rule", "Full", "Budget", "EntropyThreshold", "EIGRule", "reason", "record", "expected_information_gain_reasoning"],
    "report": ["COLOURS", "SHARES", "live_outcomes", "all_curves", "outcome_row", "main_table", "show", "savings", "finite", "population", "summary", "plane_figure", "steps_figure", "calibration_figure", "case", "worst", "best", "verdict", "population_table", "pick", "caveats"],
    "rules": ["NEEDS", "rule", "TIERS", "Probe", "Foreseen", "unseen", "State", "Verdict", "as_verdict", "NoParameters", "Probing", "Forecasting", "periodic", "at_close", "StoppingRule", "Rules", "full", "none", "BudgetParameters", "fixed_budget", "ThinkingBudgetParameters", "thinking_budget", "DefaultParameters", "default", "StepWiseParameters", "step_wise_uncertainty_driven", "ReevaluationParameters", "uncertainty_driven_reevaluation", "EntropyParameters", "entropy_thresholding", "tier", "worth_forecasting", "BayesParameters", "bayes_risk_optimal_reasoning", "best_probability"],
    "scalers": ["DEERParameters", "at_transition", "deer", "CertaindexParameters", "certaindex", "ConvergenceParameters", "answer_convergence", "ESCoTParameters", "runs", "es_cot", "EATParameters", "moving_variance", "eat", "CoDEParameters", "code_stop", "CusumParameters", "cusum"],
    "traces": ["FLOOR", "SURE", "RULES", "trace", "first", "stop_full", "stop_none", "stop_budget", "stop_entropy", "stop_eig", "cost", "replay"],
})
