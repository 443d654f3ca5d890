"Parts of the compiler: formats, numbers, the branches of a schema, and classes."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "pointers": ["pointer_to", "steps_of"],
})
