"Expected-information-gain reasoning: the names that a user starts from; everything else is in its module."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submodules=["stopping", "study"], submod_attrs={
    "parameters": ["EIGParameters", "EIGEvalParameters"],
    "answers": ["normalise", "same", "extract"],
    "languages": ["answer_language"],
    "frames": ["Frame", "frame_for", "prompt_ids"],
    "posterior": ["AnswerPosteriorEstimator", "Posterior"],
    "forecast": ["MonteCarloForecaster", "Continuation"],
    "gain": ["ExpectedInformationGainCalculator", "Gain", "Decision", "get_eig_metrics_summary", "print_eig_metrics"],
    "stopping.reasoning": ["reason", "Thought", "Cost"],
    "stopping.live": ["expected_information_gain_reasoning"],
    "study.stages": ["SetUp"],
})
