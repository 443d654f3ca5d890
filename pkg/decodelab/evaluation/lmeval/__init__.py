"lm-eval over any runtime, and stopping rules under it."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "adapter": ["IDENTITY", "SEED", "RULES", "Answers", "repeats", "together", "Continues", "Generates", "Recorded",
        "Decodelab", "DecodelabHF", "DecodelabVLLM", "DecodelabGGUF", "DecodelabMLX"],
    "agreement": ["ON_PURPOSE", "local_tasks", "answers", "parts", "apart", "Difference", "responses", "metrics",
        "compare", "difference", "by_hand"],
    "command": ["model_named", "evaluate", "main"],
    "generation": ["Arguments", "Generation", "slices"],
    "jobs": ["EIG", "SPENT", "COLUMNS", "PAIRED", "preset_arguments", "newest", "results_of", "spent", "scores", "rows",
        "cell", "as_table", "values", "outcomes", "compared", "against", "as_csv", "finite", "gather", "collect",
        "shell"],
    "likelihoods": ["fitted", "Scores", "Likelihoods", "Rolling"],
    "model": ["TAKES_DEVICE", "named", "place", "opened", "check_batch_size", "check_counts", "fitting", "Processes",
        "end_mark", "Loaded", "Described", "Tokens", "Paired", "Chats"],
    "names": ["MODELS", "MODEL_ARGUMENTS", "address", "register"],
    "stopping": ["OURS", "Forcing", "Scaling", "arguments", "asked", "fitted", "asking", "response", "Reasoned",
        "trace_of", "Tally", "mean_of", "line", "Rounds", "reasoned", "batches", "mark_id", "after_thinking",
        "sample_after_thinking"],
    "takeover": ["STANDS_IN", "LEFT_OUT", "NOT_OFFERED", "taken_over", "has_gpu", "as_dict", "checked", "served",
        "simple_evaluate", "stopping_rules"],
})
