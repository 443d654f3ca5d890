"Optimal sampling: between a student and its teacher."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "estimation": ["TARGETS", "FEW", "HEAVY", "log_weights", "effective", "tail_shape", "Estimate", "estimate",
        "doubts"],
    "loading": ["ON_TORCH", "QUANTISED", "spec_of", "same_weights", "torch_options", "quantised", "flash", "open_pair"],
    "model": ["TEXT", "AT_ONCE", "Prompt", "OptimalSamplingModel", "prompt_ids", "replace_limit", "check_drafts",
        "fitting"],
    "output": ["AVERAGED", "Positions", "positions", "SamplingOutput", "stacked", "work", "Tally"],
    "rounds": ["MEASURES", "NOTES", "Rule", "END", "NONE", "TOGETHER", "Found", "LONGEST", "Row", "Keep", "sample_of",
        "picked", "Languages", "languages", "Drawn", "draw_rows", "masked_rows", "Way", "Draft", "numbers", "placed",
        "drafts", "forced", "along", "forced_bits", "judge", "residual", "decided", "log_drawn", "noted", "one_round",
        "settle", "cut", "flat", "decide", "found_at", "take", "keep_rows", "Pace", "paced_round", "Opens",
        "texts_so_far", "run", "go_on"],
    "sessions": ["COSTLIEST", "Mix", "handed", "PairSession", "extended"],
    "vocabularies": ["Token", "tokens_of", "added_ids", "Vocabulary", "vocabulary", "end_mass", "teacher_rows",
        "student_rows", "teacher_prompt", "teacher_ids"],
})
