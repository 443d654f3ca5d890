"lm-eval over any runtime, and stopping rules under it."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "adapter": ["TAKES_DEVICE", "IDENTITY", "SEED", "RULES", "named", "place", "opened", "check_batch_size",
        "check_counts", "fitting", "Loaded", "Described", "Tokens", "Paired", "Chats", "fitted", "Scores",
        "Likelihoods", "Rolling", "Answers", "repeats", "together", "Continues", "Generates", "Recorded", "Decodelab",
        "DecodelabHF", "DecodelabVLLM", "DecodelabGGUF", "DecodelabMLX"],
    "agreement": ["ON_PURPOSE", "local_tasks", "answers", "parts", "apart", "Difference", "responses", "metrics",
        "compare", "difference", "by_hand"],
    "command": ["model_named", "evaluate", "main"],
    "generation": ["Arguments", "Generation", "slices"],
    "jobs": ["EIG", "SPENT", "COLUMNS", "PAIRED", "preset_arguments", "newest", "results_of", "spent", "scores", "rows",
        "cell", "as_table", "values", "outcomes", "compared", "against", "as_csv", "finite", "gather", "collect",
        "shell"],
    "names": ["MODELS", "MODEL_ARGUMENTS", "address", "register"],
    "stopping": ["OURS", "Forcing", "Scaling", "arguments", "Asked", "asked", "ended", "Reasoned", "trace_of", "Tally",
        "reasoned", "fitted", "conclude", "Rounds", "line", "batches"],
    "takeover": ["STANDS_IN", "LEFT_OUT", "NOT_OFFERED", "taken_over", "has_gpu", "as_dict", "checked", "served",
        "simple_evaluate", "stopping_rules"],
})
