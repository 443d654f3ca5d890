"Stopping rules: one registry, live and replayed."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "fitting": ["STRIDES", "PENALTIES", "FitParameters", "drops", "probe_rows", "hidden_rows", "add_hidden", "ridge",
        "cross_validated", "fit_gain", "observe", "fit"],
    "forcing": ["DELIMITERS", "Marks", "ThinkFrame", "mark", "frame_with", "Watched", "able", "scale", "outcomes"],
    "learnt": ["FEATURES", "opening", "progress", "numbers", "products", "FittedGain", "read_gain",
        "AmortisedParameters", "of_this_model", "amortised_gain", "hidden_gain", "OwnPathParameters", "own_path_gain"],
    "live": ["RISK", "Foreseer", "add_best", "Scaler", "replay_rule", "replay_one", "recorded", "first_entropy"],
    "published": ["DEERParameters", "at_transition", "deer", "CertaindexParameters", "certaindex",
        "ConvergenceParameters", "answer_convergence", "ESCoTParameters", "runs", "es_cot", "EATParameters",
        "moving_variance", "eat", "CoDEParameters", "code_stop", "CusumParameters", "cusum"],
    "reasoning": ["Cost", "Boundary", "Thought", "Rule", "Full", "Budget", "EntropyThreshold", "EIGRule", "reason",
        "record", "expected_information_gain_reasoning"],
    "rules": ["NEEDS", "rule", "TIERS", "Probe", "Foreseen", "unseen", "State", "Verdict", "as_verdict", "NoParameters",
        "Probing", "Forecasting", "periodic", "at_close", "StoppingRule", "Rules", "full", "none", "BudgetParameters",
        "fixed_budget", "ThinkingBudgetParameters", "thinking_budget", "DefaultParameters", "default",
        "StepWiseParameters", "step_wise_uncertainty_driven", "ReevaluationParameters",
        "uncertainty_driven_reevaluation", "EntropyParameters", "entropy_thresholding", "tier", "worth_forecasting",
        "BayesParameters", "bayes_risk_optimal_reasoning", "best_probability"],
})
