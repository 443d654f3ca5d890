"Evaluation: lm-eval over any runtime."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "adapter": ["Generation", "slices", "Decodelab", "check_batch_size", "DecodelabHF", "DecodelabVLLM", "DecodelabGGUF", "DecodelabMLX"],
    "command": ["main"],
    "names": ["MODELS", "MODEL_ARGUMENTS", "address", "register"],
})
