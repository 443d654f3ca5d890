"Runner, plug-in, command line, benchmarks, pages."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "bench": ["STORIES", "TOKENS", "WHY_NOT", "BENCHES", "DEFAULTS", "in_turn", "ratio", "side_by_side", "said", "cold",
        "noted", "bench_eig", "problems", "bench_live", "live_lines", "bench_sample", "story_prompts", "llama_loop",
        "bench_rows", "rows_lines", "eig_lines", "sample_lines", "report"],
    "cli": ["Group", "main", "values", "run", "ls", "show", "resume", "publish", "params", "convert", "fit_gain",
        "bench_score", "bench_quick"],
    "display": ["span", "Progress", "facts", "markdown"],
    "experiments": ["EXPERIMENTS", "Experiment", "check_questions", "check_comparison", "check_quick", "check_backend",
        "experiment", "resolve", "start", "begin", "end", "notebook_hash", "cells_hash", "quiet_errors"],
    "page": ["STYLE", "to_html", "cell_html", "output_html", "markdown", "plain"],
    "peers": ["SIZES", "VOCABULARY", "Request", "SHAPES", "NOTES", "PEERS", "make_model", "shaped", "nothing", "Side",
        "ours", "quiet", "peers_hf", "peers_mlx", "peers_vllm", "peers_gguf", "timed", "best_of", "placed", "duel",
        "compared", "peak_mb", "report_score", "tool_seconds", "against_tool"],
    "plugin": ["TARGET", "RunHandler", "InputError", "experiment_of", "Engine", "open_run", "finish", "with_output",
        "unpipe"],
    "readme": ["main"],
    "runner": ["notebook_of", "execute", "resume", "headline", "listing", "details", "publish"],
    "watch": ["SHORT", "SHOWN", "MARK", "stages", "unable", "given", "replayed", "stop_row", "chip", "at_target",
        "shown", "drawn_gain", "drawn_belief", "thought", "alive", "payload", "facts", "embed", "digest_of", "policy",
        "to_html", "write"],
})
