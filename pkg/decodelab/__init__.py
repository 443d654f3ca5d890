"A reproducible, notebook-first laboratory for decisions made while a language model decodes."
__version__ = "0.1.0"

import lazy_loader as _lazy
__getattr__, __dir__, _ = _lazy.attach(__name__, submodules=["core", "maths", "tasks", "backends", "eig", "reference", "evaluation", "lab"])
