"lm-eval over any runtime, the quick benchmark, and conformance of the runtimes."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "conformance": ["RUNTIMES", "BITS", "LONG", "BATCHES", "COLUMNS", "of", "texts", "requests", "questions", "words",
        "likelihoods", "distributions", "drawn", "reading", "spread", "compare", "isolated", "shown", "table", "main"],
    "constrained": ["Placed", "Around", "around", "named", "theirs_and_ours", "refused", "Loading", "Through",
        "Validating", "Drawing", "SchemaConstrainedLM", "mark_of"],
    "pairs": ["common", "border", "Pair", "pair", "start_of", "begun"],
    "schema_report": ["Records", "FREE", "by_question", "costs", "biases", "Row", "row_of", "mean_of", "mask_figures",
        "mask_seconds", "rows", "interval", "table", "price_table", "show", "figure", "as_sample", "held", "positions",
        "places", "dearest_of", "dearest", "describe", "right_by_question", "verdict", "case", "badness", "worst",
        "caveats", "summary"],
    "schema_trials": ["MODES", "SchemaEvalParameters", "modes_of", "tasks_of", "answer_of", "check_schema",
        "language_of", "Trials", "read_back", "record_of", "records", "reread", "expected_seconds"],
})
