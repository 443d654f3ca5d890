"lm-eval over any runtime, and stopping rules under it."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "adapter": ["TAKES_DEVICE", "IDENTITY", "SEED", "Loaded", "check_batch_size", "Tokens", "Chats", "Likelihoods",
        "Rolling", "Generates", "Recorded", "Decodelab", "DecodelabHF", "DecodelabVLLM", "DecodelabGGUF",
        "DecodelabMLX"],
    "agreement": ["local_tasks", "Difference", "answers", "parts", "apart", "compare"],
    "command": ["main"],
    "generation": ["Generation", "slices"],
    "jobs": ["EIG", "SPENT", "COLUMNS", "PAIRED", "preset_arguments", "newest", "rows", "as_table", "outcomes",
        "compared", "gather", "shell"],
    "names": ["MODELS", "MODEL_ARGUMENTS", "address", "register"],
    "stopping": ["OURS", "Forcing", "Scaling", "arguments", "asked", "fitted", "asking", "response", "Reasoned",
        "trace_of", "Tally", "mean_of", "line", "Rounds", "reasoned", "batches", "mark_id", "after_thinking",
        "sample_after_thinking"],
    "takeover": ["STANDS_IN", "LEFT_OUT", "NOT_OFFERED", "taken_over", "served", "simple_evaluate", "stopping_rules"],
})
