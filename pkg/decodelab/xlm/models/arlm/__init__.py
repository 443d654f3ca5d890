""
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "datamodule_arlm": ["print_batch_arlm", "ARLMMarks", "DefaultARLMCollator", "ARLMSeq2SeqCollator",
        "ARLMSeq2SeqPredCollator", "ARLMPackedCollator"],
    "loss_arlm": ["ARLMLoss"],
    "metrics_arlm": ["perplexity_metric_update_fn", "mean_metric_update_fn", "seq2seq_exact_match_update_fn",
        "seq2seq_token_accuracy_update_fn"],
    "model_arlm": ["ARLMModel"],
    "predictor_arlm": ["ARLMPredictor"],
    "types_arlm": ["ARLMBatch", "ARLMPackedBatch", "ARLMPredictionBatch", "ARLMLossDict"],
})
