"A quick benchmark: five kinds of questions, scored as the published benchmarks score them."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "benchmark": ["STRICT", "NUMBER", "INVALID", "IGNORED", "PILOT", "QuickParameters", "encoder", "pairs", "requests",
        "check_likelihoods", "check_room", "judge_choices", "choice_record", "margin", "extract", "plain",
        "judge_generated", "generated_record", "judge", "baselines", "Score", "score", "Change", "change", "Distance",
        "divergence", "distance", "nodes", "Quick", "pilot", "expected_seconds"],
    "computed": ["Draft", "SUBJECTS", "SYMBOLS", "ELEMENTS", "MASS", "MOLECULES", "PLANETS", "COMPARED", "FORMULAS",
        "WORLDS", "TRUTH", "CAPITALS", "BONES", "PLURAL", "NEAR", "STRAIGHT", "DIAGONAL", "STEPS", "KEPT", "subject",
        "around", "others", "collect", "ever_new", "prime", "which_is_prime", "throws", "tosses", "measured", "clock",
        "moves", "mmlu"],
    "fact": ["Fact"],
    "problems": ["OPERATORS", "PROBLEMS", "NAMES", "Draft", "KEPT", "arithmetic", "step", "problem", "solved", "gsm8k"],
    "questions": ["KINDS", "LETTERS", "UNTIL", "TRUTHFUL", "SOURCES", "Item", "Kind", "kinds_of", "lettered", "asked",
        "prompt", "choose", "deal", "facts", "built_in", "examples", "multiple_choice", "word_problem", "real", "draw",
        "subjects", "task_of", "Place", "from_task", "stratum", "render", "shuffled", "read_items", "item_of",
        "load_items", "loaded", "unreachable"],
    "report": ["Records", "NOTHING", "COLOURS", "BUILT_IN", "OTHER_MODEL", "system", "origin", "describe", "variants",
        "scores", "verdict_of", "table", "baseline_table", "show", "changes", "side_row", "side_table", "verdict",
        "p_said", "side_verdict", "draw_scores", "draw_baselines", "figure", "choice_lines", "generated_lines", "case",
        "certainty", "reproach", "worst", "flipped", "more_questions", "other_scores", "caveats", "fields",
        "comparison", "summary", "text", "side_text", "work"],
    "science": ["SCIENCE", "POINTS", "DENSITY", "WAVES", "ACIDITY", "listed", "classes", "state", "arc"],
    "written": ["hellaswag", "truthfulqa"],
})
