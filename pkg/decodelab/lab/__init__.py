"Runner, plug-in, command line, training, pages."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "bench": ["BENCHES", "in_turn", "ratio", "side_by_side", "bench_eig", "bench_sample", "report"],
    "display": ["span", "Progress", "facts", "markdown"],
    "experiments": ["EXPERIMENTS", "Experiment", "check_questions", "check_comparison", "check_quick", "check_backend", "experiment", "resolve", "start", "begin", "end", "notebook_hash", "cells_hash", "quiet_errors"],
    "page": ["STYLE", "to_html", "cell_html", "output_html", "markdown", "plain"],
    "peers": ["SIZES", "VOCABULARY", "NOTES", "PEERS", "make_model", "shaped", "Side", "ours", "instances", "quiet", "peers_hf", "peers_vllm", "peers_mlx", "peers_gguf", "timed", "duel", "report_score", "against_tool"],
    "readme": ["main"],
    "runner": ["notebook_of", "execute", "resume", "headline", "listing", "details", "publish"],
    "training": ["FULL", "SHARES", "LATE", "NOISE", "UNANSWERABLE", "SLOPPY", "BLOCKS", "WEIGHTS", "PEAK", "TrainingParameters", "slip", "Row", "kinds_of", "answer_block", "make_row", "make_facts", "make_lookups", "attends", "pool", "batches", "collate", "losses", "late_updates", "rate", "start", "grow", "optimisers", "train", "mean", "save_checkpoint", "read_log", "trained", "fit", "fit_all", "curve_figure", "LiveCurve", "after_passes", "answers_of", "is_answer_json", "exam", "exam_table", "card", "parameters_of", "save"],
    "watch": ["SHORT", "SHOWN", "MARK", "stages", "unable", "row", "given", "replayed", "at_target", "shown", "thought", "alive", "payload", "embed", "policy", "to_html", "write"],
})
