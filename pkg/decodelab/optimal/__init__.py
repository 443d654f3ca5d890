"Optimal sampling: between a student and its teacher."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "estimation": ["TARGETS", "FEW", "HEAVY", "log_weights", "effective", "tail_shape", "Estimate", "estimate",
        "doubts"],
    "generation": ["PLAIN", "NEXT", "MEANS", "SUMS", "Judge", "CHUNK", "DRAFTS", "Progress", "JudgeFor", "Asking",
        "put", "asking_for", "identity_of", "check_models", "check_judged", "Prepared", "prepare", "row_for", "plan_of",
        "statistics", "record_of", "Writing", "open_models", "check_weights", "Generated", "generate_prepared",
        "generate_data"],
    "loading": ["ON_TORCH", "QUANTISED", "spec_of", "same_weights", "torch_options", "quantised", "flash", "open_pair"],
    "model": ["TEXT", "AT_ONCE", "Prompt", "OptimalSamplingModel", "prompt_ids", "replace_limit", "fitting"],
    "output": ["AVERAGED", "Positions", "positions", "SamplingOutput", "stacked", "work", "Tally"],
    "problems": ["ASKED", "SOLVED", "ENDLESS", "CHAINS", "KINDS", "TEMPLATES", "NAMED", "Problem", "first_of",
        "problem_of", "file_problems", "missing_file", "solved", "chains_of", "offline", "read_dataset", "rows_of",
        "dataset_problems", "is_path", "load_problems", "counted", "mark_of", "known", "names_in", "filled_in",
        "template_text", "check_told", "worked", "examples_for", "check_examples"],
    "rounds": ["MEASURES", "NOTES", "Rule", "END", "NONE", "TOGETHER", "Found", "LONGEST", "Row", "Keep", "sample_of",
        "picked", "Languages", "languages", "Drawn", "draw_rows", "masked_rows", "Way", "Draft", "numbers", "placed",
        "drafts", "forced", "along", "forced_bits", "judge", "residual", "decided", "log_drawn", "noted", "one_round",
        "settle", "cut", "flat", "decide", "found_at", "take", "keep_rows", "Pace", "check_drafts", "paced_round",
        "Opens", "texts_so_far", "run", "go_on"],
    "sessions": ["COSTLIEST", "Mix", "handed", "PairSession", "extended"],
    "slices": ["HOW", "KIND", "SAME", "GenerationParameters", "Slice", "slice_of", "Files", "files_for", "known_in",
        "differences", "check_resumes", "record_at", "records_in", "recover", "Part", "make_folder", "check_free",
        "hold", "describe", "Joined", "spans", "settle_whole", "generation_at", "join_data"],
    "vocabularies": ["Token", "tokens_of", "added_ids", "Vocabulary", "vocabulary", "end_mass", "teacher_rows",
        "student_rows", "teacher_prompt", "teacher_ids"],
})
