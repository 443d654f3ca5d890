"Output held to a language: schemas, grammars, exact samples, and what they cost."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "answering": ["Distribution", "alternatives", "Answer", "Unanswered", "answer"],
    "constraints": ["SPELLED", "COMPILED", "unforced", "executor", "Grammar", "GrammarMatcher", "only_token", "spelled",
        "texts_of", "check_spelling", "check_beginning", "cut_shortest", "least_tokens", "fault", "Described",
        "constrain"],
    "documents": ["strict_json", "Document", "read", "bundled"],
    "exact_sampling": ["REMOVED", "Row", "row_of", "Node", "lower", "Tree", "rest_of", "Place", "run_nodes", "node_key",
        "arrivals", "Fan", "fan_of", "Draw", "mass_interval", "Hopeless", "Exact", "exact_batch", "exact", "Work",
        "every_node", "sample_of"],
    "extraction": ["extract"],
    "field_logprobs": ["fields"],
    "languages": ["Language", "compile"],
    "patterns": ["shortest", "may_hold"],
    "pictures": ["STYLE", "HARD", "Token", "shown", "tokens_of", "shade", "tip", "token_html", "key_html", "Page",
        "document", "shaded", "positions_figure", "field_rows"],
    "pricing": ["complete", "log_weights", "weights", "effective", "Mean", "weighted_mean", "Span", "spans", "key_of",
        "pointer_of", "shift", "token_starts", "Forced", "places_of", "written", "by_field", "by_position", "Price",
        "price", "Document", "enumerated", "grown", "ExactPrice", "exact_price"],
    "reasoning": ["Marker", "Reasoned", "Standing", "ReasonedMatcher", "marker_of", "reasoned", "Parts",
        "with_reasoning", "begun"],
    "tokens": ["KEPT", "Vocabulary", "vocabulary_of", "beginnings", "goes_beyond", "sure_tokens", "Pieces", "held",
        "new_tokenizer", "made", "tokens_of", "grammar_tokenizer", "missing"],
    "validation": ["Verdict", "Fault", "strict", "depth", "validate"],
})
