"Errors, settings, parameters, registries, files, run records: what every floor stands on."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "cells": ["cell_of", "written"],
    "errors": ["SHOWN", "LISTED", "UNREAD", "DecodelabError", "DataError", "ModelError", "RunError", "nearest",
        "in_short", "BadValue", "MissingExtra", "needs", "many", "some", "data_size", "refusal", "unread",
        "for_a_reader"],
    "files": ["SIGNS", "write_through", "write_atomic", "check_place", "to_json", "bounded", "digest", "read_text",
        "json_lines", "read_index", "end_of", "read_records", "Journal", "read_journal"],
    "locks": ["BEAT", "EXPIRES", "now", "machine_id", "began", "alive", "slurm_job", "identity", "in_words", "whoami",
        "file_clock", "silence", "restarted", "gone", "Owned", "Lock"],
    "pages": ["embed", "digest_of", "policy", "filled_page", "Framed"],
    "parameters": ["UNREADABLE", "MOST", "BadParameters", "Parameters", "param", "choices", "members", "kind_in_words",
        "allowed", "unit_of", "Plain", "check_size", "why_unreadable", "read_yaml", "several", "in_units", "explain",
        "read", "preset", "table"],
    "registry": ["Entry", "Registry"],
    "runs": ["RUN_DIR", "MIN_FREE", "PACKAGES", "versions", "git_state", "processor", "machine", "named", "Provenance",
        "run_key", "make_numbered", "new_folder", "wrong_in", "Record", "Work", "Results", "first_files", "Run",
        "chunks", "left_behind", "moment", "when_named", "made_at", "begun", "list_runs", "find_run", "notebook_here",
        "cells_run", "left_open"],
    "settings": ["DEVICES", "Settings", "find_root", "in_laboratory", "check_device", "load_settings"],
    "tables": ["cell", "markdown_table"],
})
