"One contract for every runtime; `load` takes one string, such as reference:student."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "contract": ["Ids", "backends", "Scored", "Sample", "Sampling", "Usage", "Capabilities", "Session", "Backend", "load", "check_length", "samplings"],
    "decoding": ["stream_key", "uniforms", "filtered", "torch_of", "draw", "Stops", "generate", "stream", "pieces"],
    "folders": ["local_folder", "check_model", "check_folder", "check_safetensors"],
    "hf": ["Growing", "pick_device", "pick_dtype", "HF", "HFSession"],
    "planned": ["Planned", "scored"],
    "planner": ["Trie", "build", "Stretch", "stretches", "visible"],
    "reference": ["NAMES", "MAX_LENGTH", "SIZES", "TEMPLATE", "folder", "config", "byte_symbols", "tokenizer", "encode", "special"],
    "toy": ["Toy", "ToySession"],
})
