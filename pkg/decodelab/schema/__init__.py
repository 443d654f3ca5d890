"Output held to a language: schemas, grammars, exact samples, and what they cost."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "constraints": ["Grammar", "GrammarMatcher", "constrain"],
    "documents": ["DEPTH", "SIZE", "Schema", "strict_json", "Document", "read", "bundled"],
    "languages": ["Language", "compile"],
    "tokens": ["Pieces", "grammar_tokenizer"],
})
