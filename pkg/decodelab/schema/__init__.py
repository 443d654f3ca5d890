"Output held to a language: schemas, grammars, exact samples, and what they cost."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "constraints": ["SPELLED", "COMPILED", "unforced", "executor", "Grammar", "GrammarMatcher", "only_token", "spelled",
        "texts_of", "check_spelling", "check_beginning", "constrain"],
    "languages": ["Language", "compile"],
    "tokens": ["KEPT", "Vocabulary", "vocabulary_of", "beginnings", "goes_beyond", "sure_tokens", "Pieces", "made",
        "tokens_of", "grammar_tokenizer", "missing"],
})
