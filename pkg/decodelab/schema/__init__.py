"Output held to a language: schemas, grammars, exact samples, and what they cost."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "constraints": ["Grammar", "GrammarMatcher", "constrain"],
    "extraction": ["FOREIGN_KEY", "FOREIGN_ITEM", "CURLY", "REMARK", "FOREIGN", "NATIVE", "THOUGHT", "OUTSIDE", "SLIP",
        "INSIDE", "QUOTED", "LINES", "INTERVAL", "AS_VALUE", "LED_TO", "SCALARS", "KINDS", "Broken", "Scan", "scan",
        "root_kinds", "scalars", "is_echo", "extract"],
    "field_logprobs": ["NUMERIC", "END", "Value", "values_of", "is_whole", "can_follow", "after_byte",
        "alternatives_at", "Alternative", "Field", "Path", "Spread", "follow", "gather", "bits_of", "rows_of", "fields",
        "grammar_of", "text_tokens", "Document", "token_logprobs"],
    "languages": ["Language", "compile"],
    "tokens": ["Pieces", "grammar_tokenizer"],
    "validation": ["SPACE", "STRING", "NUMBER", "SCALAR", "VALUE", "KEY", "DEPTH", "STATES", "PLAIN", "ITEMS", "PAIRS",
        "QUICKER", "FAST", "Visit", "SLIPS", "EXPECTED", "BODY", "OPEN_STRING", "OPEN_VALUE", "OPEN_NUMBER", "OPEN_KEY",
        "ENDS", "CUT", "LONE", "QUICK", "SURROGATE", "Verdict", "cut_short", "Frame", "Reading", "read", "pointer_of",
        "path_of", "place", "slip", "is_cut", "Fault", "fault_of", "strict", "depth", "schema_fault", "as_object",
        "Bytes", "byte_tokenizer", "byte_matcher", "walked", "by_regex", "in_words", "faulty", "as_language",
        "validate"],
})
