"The training of the shipped models."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "training": ["FULL", "SHARES", "LATE", "NOISE", "UNANSWERABLE", "SLOPPY", "BLOCKS", "WEIGHTS", "PEAK",
        "TrainingParameters", "slip", "Row", "kinds_of", "answer_block", "make_row", "make_facts", "make_lookups",
        "attends", "pool", "batches", "collate", "losses", "late_updates", "rate", "start", "grow", "optimisers",
        "train", "mean", "save_checkpoint", "read_log", "trained", "fit", "fit_all", "curve_figure", "LiveCurve",
        "after_passes", "answers_of", "is_answer_json", "exam", "exam_table", "card", "parameters_of", "save"],
})
