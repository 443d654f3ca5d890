"""Answers to `import xlm` with decodelab's names where xlm-core is not installed.

xlm-core is a package `xlm/`, which Python prefers to this module where both lie in one folder; where it lies in another
one, it is loaded from there.
"""
import importlib.util as _util
import sys as _sys
from pathlib import Path as _Path

from decodelab.xlm.stand_in import real_xlm as _real_xlm, stand_in_for_xlm as _stand_in

_spec = _real_xlm(_Path(__file__).parent)
if _spec is not None:
    _module = _util.module_from_spec(_spec)
    _sys.modules['xlm'] = _module
    _spec.loader.exec_module(_module)
else:
    _stand_in(anyway=True)
    import xlm as _module
    _sys.modules['xlm'] = _module
