"One contract for every runtime; `load` takes one string, such as reference:student."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "client": ["AGAIN", "LASTING", "Refused", "Client", "says"],
    "contract": ["Ids", "Scored", "Sample", "Sampling", "Usage", "Capabilities", "Session", "Backend", "template_of",
        "check_length", "samplings"],
    "convert": ["KINDS", "FORMS", "TYPES", "ELSE", "LLAMA3", "QWEN2", "NEVER", "TEXTS", "Weights", "rotary_order",
        "to_gguf", "end_tokens", "rope_fields", "to_mlx", "reference_gguf"],
    "decoding": ["stream_key", "uniforms", "filtered", "torch_of", "draw", "Stops", "generate", "stream", "pieces"],
    "folders": ["ANSWER_SECONDS", "local_folder", "check_model", "check_folder", "check_safetensors", "file_head",
        "folder_hash", "check_gguf", "check_memory", "cached_models", "in_cache", "ask_hub", "hub_refusal",
        "check_hub"],
    "gguf": ["SEQUENCES", "GROUP", "KV", "cores", "GGUF", "leaves_below", "GGUFSession"],
    "hf": ["Growing", "pick_device", "pick_dtype", "HF", "HFSession"],
    "loading": ["backends", "load", "split", "check"],
    "mlx": ["DTYPES", "DEVICES", "only_wanted", "logprobs_of", "MLX", "MLXSession", "PlainSession"],
    "mlx_rows": ["PASS", "Piece", "in_pieces", "above", "batches", "Rows", "Layer", "GrowingLayer"],
    "planned": ["Planned", "scored", "Tokenized", "Grown"],
    "planner": ["Trie", "build", "Stretch", "stretches", "visible"],
    "server": ["Server"],
    "shipped": ["NAMES", "MAX_LENGTH", "LAYERS", "HIDDEN", "TEMPLATE", "folder", "config", "byte_symbols", "tokenizer",
        "encode", "special"],
    "toy": ["Toy", "ToySession"],
    "vllm": ["MOST", "Job", "Hook", "VLLM", "VLLMSession", "Row"],
})
