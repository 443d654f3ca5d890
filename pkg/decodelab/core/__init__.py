"Errors, settings, parameters, registries, files, run records: what every floor stands on."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "errors": ["DecodelabError", "DataError", "ModelError", "RunError", "nearest", "BadValue", "MissingExtra", "needs"],
    "files": ["write_atomic", "to_json", "digest", "Journal", "read_journal"],
    "parameters": ["BadParameters", "Parameters", "param", "choices", "allowed", "read_yaml", "read", "explain",
        "preset", "table"],
    "registry": ["Entry", "Registry"],
    "runs": ["RUN_DIR", "RESUME", "MIN_FREE", "PACKAGES", "versions", "git_state", "machine", "processor", "run_key",
        "now", "Run", "new_folder", "chunks", "list_runs", "find_run"],
    "settings": ["Settings", "find_root", "load_settings"],
})
