"Runner, plug-in, command line, benchmarks, pages."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "bench": ["STORIES", "TOKENS", "SHAPES", "BENCHES", "DEFAULTS", "in_turn", "ratio", "side_by_side", "said", "cold",
        "noted", "bench_eig", "problems", "bench_live", "live_lines", "bench_sample", "story_prompts", "llama_loop",
        "bench_rows", "rows_lines", "bench_draw", "draw_lines", "eig_lines", "sample_lines", "report"],
    "cli": ["Group", "main", "values", "ended", "run", "resume", "ls", "show", "publish", "params", "checked",
        "convert", "fitted", "said", "fit_gain", "bench_draw", "bench_score", "bench_quick"],
    "display": ["MARK", "span", "time_left", "Progress", "facts", "markdown"],
    "experiments": ["EXPERIMENTS", "WORDS", "Experiment", "contents", "check_backend", "check_questions",
        "check_comparison", "check_quick", "check_schemas", "experiment", "value_of", "takes_text_only", "typed",
        "from_pairs", "resolve", "start", "read_notebook", "cells_hash", "experiment_of", "notebook_hash",
        "quiet_errors", "begin", "end"],
    "page": ["STYLE", "PAGE", "markdown", "plain", "preformatted", "output_html", "cell_html", "to_html"],
    "peers": ["SIZES", "VOCABULARY", "Request", "SHAPES", "NOTES", "PEERS", "make_model", "shaped", "nothing", "Side",
        "ours", "quiet", "peers_hf", "peers_mlx", "peers_vllm", "peers_gguf", "timed", "best_of", "placed", "duel",
        "compared", "peak_mb", "report_score", "tool_seconds", "against_tool"],
    "plugin": ["TARGET", "InputError", "Client", "conduct", "new_run", "recorded", "close", "Engine", "RunHandler",
        "experiment_at", "complete", "listen"],
    "readme": ["main"],
    "runner": ["notebook_of", "experiment_in", "conduct", "execute", "take_up", "resume", "headline", "listing",
        "code_of", "facts_of", "details", "without_places", "publish"],
    "waiting": ["Stage", "columns", "Line", "Waiting", "told", "heading"],
    "watch": ["SHORT", "SHOWN", "MARK", "stages", "unable", "given", "replayed", "stop_row", "chip", "at_target",
        "shown", "drawn_gain", "drawn_belief", "thought", "alive", "payload", "facts", "embed", "digest_of", "policy",
        "to_html", "write"],
})
