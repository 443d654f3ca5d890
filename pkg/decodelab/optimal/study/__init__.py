"The study of optimal sampling: fronts, distillation, tokens."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "arms": ["Law", "linear", "tempered", "divergence", "lost", "sample_share", "measured", "Blend", "Arm", "fixed_at",
        "method_arms", "arms_of", "pair_for"],
    "distilling": ["SOURCES", "LESSONS", "MOVED", "rounded", "Text", "Lesson", "source_arm", "Pool", "batches",
        "loss_of", "pace", "learn", "moved", "Distillation", "lessons"],
    "fronts": ["Interval", "LOOKS", "Row", "row_of", "speed_of", "rows", "interval", "against", "table",
        "weights_table", "on_front", "short", "reach", "named", "figure", "by_place", "alpha_figure", "sure", "verdict",
        "summary"],
    "gains": ["Lessons", "COLOURS", "ASKED", "over_seeds", "by_lesson", "by_question", "Difference", "difference",
        "Learner", "learner", "learners", "untaught", "table", "figure", "differences", "said", "verdict", "summary"],
    "parameters": ["OptimalSamplingParameters", "numbers", "methods"],
    "questions": ["NUMBER", "worked_sum", "sums", "Asked", "kind_of", "asked", "as_question", "from_file",
        "training_questions", "turns", "prompt_for", "as_number", "answer_in", "said_of", "is_right"],
    "report": ["described", "parting", "worst", "caveats", "metrics"],
    "tokens": ["ABOUT", "shown", "finite", "candidates", "told", "page_data", "page_of", "farthest", "written"],
    "trials": ["TRAINABLE", "Records", "check_pair", "Trials", "trials_for", "record_of", "drafted", "stage_of",
        "records", "expected_seconds"],
})
