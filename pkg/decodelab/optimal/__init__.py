"Optimal sampling: between a student and its teacher."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "sessions": ["Mix", "PairSession", "extended"],
    "vocabularies": ["Token", "tokens_of", "added_ids", "Vocabulary", "vocabulary", "end_mass", "teacher_rows",
        "student_rows", "teacher_prompt", "teacher_ids"],
})
