"A reproducible, notebook-first laboratory for decisions made while a language model decodes."
__version__ = "0.1.0"

import os as _os

import lazy_loader as _lazy

def _busy()->bool:
    "Whether more is running than there are cores."
    try:
        with open('/proc/loadavg') as f: running = int(f.read().split()[3].partition('/')[0])
    except OSError: return True # not Linux
    return running > (_os.cpu_count() or 1)

# Threads that wait for each other sleep in place of spinning, or a busy neighbour makes them stand still. Where there
# is none they spin for some 100 µs before: threads that sleep at once are packed onto one core by some kernels, and two
# are no quicker than one. OpenMP reads these when torch and llama.cpp are loaded; what the user has set stays.
if 'OMP_WAIT_POLICY' not in _os.environ and not _busy(): _os.environ.setdefault('GOMP_SPINCOUNT', '5000')
_os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
_os.environ.setdefault('KMP_BLOCKTIME', '0')

__getattr__, __dir__, _ = _lazy.attach(
    __name__, submodules=["core", "maths", "tasks", "backends", "schema", "eig", "optimal", "xlm", "reference", "evaluation",
                          "lab"])
