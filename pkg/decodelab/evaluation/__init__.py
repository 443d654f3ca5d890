"Evaluation: lm-eval over any runtime."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "adapter": ["TAKES_DEVICE", "IDENTITY", "SEED", "Loaded", "check_batch_size", "Tokens", "Chats", "Likelihoods", "Rolling", "Generates", "Recorded", "Decodelab", "DecodelabHF", "DecodelabVLLM", "DecodelabGGUF", "DecodelabMLX"],
    "agreement": ["local_tasks", "Difference", "answers", "parts", "apart", "compare"],
    "command": ["main"],
    "computed": ["Draft", "SUBJECTS", "SCIENCE", "ELEMENTS", "SYMBOLS", "MOLECULES", "MASS", "PLANETS", "FORMULAS", "TRUTH", "CAPITALS", "BONES", "STEPS", "POINTS", "DENSITY", "WAVES", "ACIDITY", "KEPT", "subject", "around", "others", "collect", "classes", "mmlu", "arc"],
    "fact": ["Fact"],
    "jobs": ["EIG", "SPENT", "COLUMNS", "PAIRED", "preset_arguments", "newest", "rows", "as_table", "outcomes", "compared", "gather", "shell"],
    "names": ["MODELS", "MODEL_ARGUMENTS", "address", "register"],
    "problems": ["PROBLEMS", "NAMES", "KEPT", "arithmetic", "step", "problem", "gsm8k"],
    "questions": ["LETTERS", "KINDS", "UNTIL", "TRUTHFUL", "Item", "Kind", "kinds_of", "lettered", "prompt", "choose", "deal", "facts", "built_in", "real", "subjects", "from_task", "stratum", "render", "read_items", "load_items", "unreachable"],
    "quick": ["STRICT", "NUMBER", "INVALID", "QuickParameters", "bos", "pairs", "judge_choices", "extract", "plain", "judge_generated", "judge", "baselines", "Score", "score", "Change", "change", "Distance", "distance", "Quick"],
    "quick_report": ["Records", "COLOURS", "describe", "scores", "verdict_of", "table", "baseline_table", "show", "changes", "side_table", "verdict", "side_verdict", "figure", "case", "worst", "flipped", "caveats", "summary", "text"],
    "requests": ["Generation", "slices"],
    "scaling": ["OURS", "Forcing", "Scaling", "arguments", "Asked", "asked", "ended", "Reasoned", "trace_of", "Tally", "reasoned", "fitted", "conclude", "Rounds", "line", "batches"],
    "serving": ["STANDS_IN", "LEFT_OUT", "NOT_OFFERED", "taken_over", "served", "simple_evaluate", "stopping_rules"],
    "written": ["ENDINGS", "ERRORS", "hellaswag", "truthfulqa"],
})
