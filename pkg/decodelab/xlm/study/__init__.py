"The study of star graphs: training, order of generation, report, the page of a decoding."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "drawing": ["graph_of", "neighbours", "ray", "layout", "on_circle", "graph_figure"],
    "learners": ["weights_in", "models_in", "folders_of", "Learner", "trial_in", "graphs_to_answer", "device_for",
        "network_of", "learner_of", "curve_lines", "cost_elsewhere"],
    "mistakes": ["KINDS", "edges_of", "kind_of"],
    "order": ["shares", "written_when", "leftness", "together", "order_figure"],
    "page": ["ABOUT", "told", "graph_data", "parted", "page_data", "page_of", "written"],
    "parameters": ["PUBLISHED", "PUBLISHED_BY", "StarGraphsParameters", "names_in", "tasks_of", "keys_in", "Trial",
        "keys_of", "trials_of", "published", "compositions"],
    "report": ["COLOURS", "LOOK", "Row", "mean_of", "row_of", "rows", "percent", "number", "chance", "accuracy_table",
        "mistakes_table", "order_table", "cost_table", "data_table", "described", "networks_said", "budget_said",
        "by_task", "accuracy_panel", "accuracy_figure", "curves_panel", "curves_figure", "orders_figure",
        "against_chance", "difference", "verdict", "worst", "caveats", "metrics"],
    "training": ["COST", "MODEL", "prepared", "composed_for", "placed", "Meter", "weights_count", "cost_of", "learn",
        "read_cost"],
    "trials": ["VALIDATION", "Progress", "written_order", "record_of", "predictions", "answers", "timed", "update_of",
        "pilot", "Trials", "trials_for", "paces", "budget", "expected_seconds", "Outcome", "told_apart", "tasks_in",
        "ahead", "trained", "share", "answered", "outcomes"],
})
