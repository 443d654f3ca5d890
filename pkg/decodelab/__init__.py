"A reproducible, notebook-first laboratory for decisions made while a language model decodes."
__version__ = "0.1.0"

import os as _os

import lazy_loader as _lazy

# Threads that wait for each other sleep in place of spinning, or a busy neighbour makes them stand still. OpenMP reads
# these when torch and llama.cpp are loaded; what the user has set stays.
_os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
_os.environ.setdefault('KMP_BLOCKTIME', '0')

__getattr__, __dir__, _ = _lazy.attach(
    __name__, submodules=["core", "maths", "tasks", "backends", "schema", "eig", "optimal", "xlm", "reference", "evaluation",
                          "lab"])
