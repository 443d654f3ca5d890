"One contract for every runtime; `load` takes one string, such as reference:student."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "client": ["AGAIN", "LASTING", "Refused", "Client", "says"],
    "conformance": ["RUNTIMES", "of", "texts", "requests", "questions", "reading", "compare", "isolated", "table", "main"],
    "contract": ["Ids", "backends", "Scored", "Sample", "Sampling", "Usage", "Capabilities", "Session", "Backend", "needs", "load", "template_of", "check_length", "samplings"],
    "convert": ["KINDS", "FORMS", "TYPES", "ELSE", "LLAMA3", "QWEN2", "NEVER", "TEXTS", "Weights", "rotary_order", "to_gguf", "end_tokens", "rope_fields", "to_mlx", "reference_gguf"],
    "decoding": ["stream_key", "uniforms", "filtered", "torch_of", "draw", "Stops", "generate", "stream", "pieces"],
    "folders": ["local_folder", "check_model", "check_folder", "check_safetensors", "file_head", "folder_hash", "check_gguf", "check_memory"],
    "hf": ["Growing", "pick_device", "pick_dtype", "HF", "HFSession"],
    "planned": ["Planned", "scored", "Tokenized", "Grown"],
    "planner": ["Trie", "build", "Stretch", "stretches", "visible"],
    "reference": ["NAMES", "MAX_LENGTH", "LAYERS", "HIDDEN", "TEMPLATE", "folder", "config", "byte_symbols", "tokenizer", "encode", "special"],
    "server": ["Server"],
    "toy": ["Toy", "ToySession"],
})
