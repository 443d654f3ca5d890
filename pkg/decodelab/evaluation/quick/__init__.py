"A quick benchmark: five kinds of questions, scored as the published benchmarks score them."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "benchmark": ["STRICT", "NUMBER", "INVALID", "IGNORED", "QuickParameters", "encoder", "pairs", "requests",
        "check_room", "judge_choices", "choice_record", "margin", "extract", "plain", "judge_generated",
        "generated_record", "judge", "baselines", "Score", "score", "Change", "change", "Distance", "divergence",
        "distance", "nodes", "Quick", "seconds", "pilot", "expected_seconds"],
    "computed": ["Draft", "SUBJECTS", "SCIENCE", "ELEMENTS", "SYMBOLS", "MOLECULES", "MASS", "PLANETS", "FORMULAS",
        "TRUTH", "CAPITALS", "BONES", "STEPS", "POINTS", "DENSITY", "WAVES", "ACIDITY", "KEPT", "subject", "around",
        "others", "collect", "classes", "mmlu", "arc"],
    "fact": ["Fact"],
    "problems": ["PROBLEMS", "NAMES", "KEPT", "arithmetic", "step", "problem", "gsm8k"],
    "questions": ["LETTERS", "KINDS", "UNTIL", "TRUTHFUL", "Item", "Kind", "kinds_of", "lettered", "prompt", "choose",
        "deal", "facts", "built_in", "real", "subjects", "from_task", "stratum", "render", "read_items", "load_items",
        "unreachable"],
    "report": ["Records", "COLOURS", "describe", "scores", "verdict_of", "table", "baseline_table", "show", "changes",
        "side_table", "verdict", "side_verdict", "figure", "case", "worst", "flipped", "caveats", "summary", "text"],
    "written": ["ENDINGS", "ERRORS", "hellaswag", "truthfulqa"],
})
