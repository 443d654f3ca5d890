"Stopping rules: one registry, live and replayed."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "fitting": ["STRIDES", "Row", "PENALTIES", "Kind", "FitParameters", "drops", "probe_rows", "hidden_rows",
        "check_hidden", "add_hidden", "ridge", "cross_validated", "fit_gain", "observe", "fit"],
    "forcing": ["lacking", "check_able", "scale", "is_number", "outcomes"],
    "learnt": ["FEATURES", "opening", "progress", "numbers", "products", "FittedGain", "terms", "predicted",
        "read_gain", "AmortisedParameters", "of_this_model", "amortised_gain", "hidden_gain", "OwnPathParameters",
        "own_path_gain"],
    "live": ["Prober", "PROBERS", "EIG", "Look", "next_tokens", "hidden_states", "trial_answers", "beliefs",
        "rule_parameters", "common_parameters", "Memory", "Scaler", "decide", "expected_information_gain_reasoning"],
    "published": ["DEERParameters", "at_transition", "deer", "CertaindexParameters", "certaindex",
        "ConvergenceParameters", "answer_convergence", "ESCoTParameters", "runs", "es_cot", "EATParameters",
        "moving_variance", "eat", "CoDEParameters", "code_stop", "CusumParameters", "cusum"],
    "reasoning": ["Cost", "Boundary", "Thought", "Rule", "take", "give_up_step", "insert_prompt", "go_back", "think",
        "settle", "advance", "walk", "Asking", "asking_of", "write_answers", "reason", "record"],
    "recording": ["FLOOR", "SURE", "RISK", "Found", "recorder", "trace"],
    "replay": ["recorded", "first_entropy", "probe_price", "recorded_gain", "asked_boundaries", "Tape", "tape_of",
        "replay_tape", "replay_one", "replay_at", "replay_rule"],
    "rules": ["Need", "NEEDS", "rule", "Strategy", "TIERS", "Probe", "unseen", "State", "Verdict", "as_verdict",
        "NoParameters", "Probing", "Forecasting", "periodic", "at_close", "never", "StoppingRule", "Rules", "full",
        "none", "BudgetParameters", "fixed_budget", "ThinkingBudgetParameters", "thinking_budget", "DefaultParameters",
        "default", "StepWiseParameters", "chosen_step", "step_wise_uncertainty_driven", "ReevaluationParameters",
        "uncertainty_driven_reevaluation", "EntropyParameters", "entropy_thresholding", "tier", "entropy_settles",
        "worth_forecasting", "BayesParameters", "best_probability", "risk", "risk_settles",
        "bayes_risk_optimal_reasoning"],
})
