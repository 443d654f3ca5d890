"Questions and what scores them."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "chains": ["PASSES", "ERRORS", "QUESTION", "OPEN", "CLOSE", "ANSWER", "END", "PAD", "SPECIALS", "FORMS", "MARK",
        "LENGTHS", "FILLER", "apply", "step", "Chain", "as_text", "offer", "Chains", "held_out", "draw_chain", "hide",
        "draw_options", "draw", "evaluation_set", "line", "noisy", "conclusion", "one_pass", "reasoning"],
    "data": ["SHARE", "Question", "final_answer", "check_text", "any_object", "read_record", "read_objects",
        "read_jsonl", "lines_of", "Example", "read_examples", "reference_questions", "make_hopeless", "judge_answer",
        "generated_questions", "file_questions", "load_questions"],
    "generators": ["SOURCE", "APART", "UNREAD", "options_of", "generator", "Generated", "generate", "score",
        "is_right"],
    "hopeless": ["quantities", "hide_quantity"],
    "json_tasks": ["PURCHASE", "PURCHASES", "CALL", "CALLS", "LETTER", "CHOICES", "NUMBER", "PAIR", "SETS", "JsonTask",
        "record", "purchases", "tool", "calls", "lettered_tasks", "reference_tasks", "leaves", "plain", "right_fields"],
    "stars": ["STARS", "CHUNK", "SIZES", "SPLITS", "StarTask", "star_task", "Graphs", "joined", "arms", "shown",
        "draw_graphs", "prompt_of", "answer_of", "examples", "is_path", "numbers_in", "judge_text", "rows_as_bytes",
        "flat", "graph_keys", "shape_keys", "Avoid", "drawn_apart", "fresh", "StarData", "check_draw", "kept_apart",
        "star_data", "as_lines", "star_card", "save_stars", "read_stars"],
    "sudoku": ["Grid", "box_of", "peers", "units", "side_of", "Ways", "digits_in", "solutions", "count_solutions",
        "needed", "consistent", "is_solution", "Puzzle", "draw_puzzle", "shuffled_lines", "variant", "least_form",
        "mark_of", "puzzles", "sudoku_example", "judge_sudoku"],
})
