"The training of the shipped models."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "exam": ["CUE", "LINE", "CARD", "GROWN", "Thought", "think", "Answer", "best", "likeliest", "Belief", "beliefs",
        "measured", "after_passes", "answers_of", "is_answer_json", "share", "examine", "report_of", "exam_table",
        "card", "save"],
    "rows": ["SHARES", "LATE", "NOISE", "UNANSWERABLE", "SLOPPY", "BLOCKS", "Row", "text_row", "with_block", "kinds_of",
        "slip", "answer_block", "make_row", "fact", "make_facts", "make_lookups", "row_of", "pool", "batches",
        "attends", "collate"],
    "training": ["FULL", "PARTS", "WEIGHTS", "PEAK", "TrainingParameters", "losses", "late_updates", "rate", "start",
        "grow", "parameters_of", "optimisers", "State", "update", "mean", "rows_from", "train", "read_log", "trained",
        "fit", "fit_all", "curve_figure", "LiveCurve"],
})
