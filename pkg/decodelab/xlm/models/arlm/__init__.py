""
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "datamodule_arlm": ["ARLMMarks", "DefaultARLMCollator", "ARLMSeq2SeqCollator", "ARLMSeq2SeqPredCollator",
        "ARLMPackedCollator", "print_batch_arlm"],
    "loss_arlm": ["ARLMLoss"],
    "metrics_arlm": ["mean_metric_update_fn", "seq2seq_exact_match_update_fn", "seq2seq_token_accuracy_update_fn",
        "perplexity_metric_update_fn"],
    "model_arlm": ["ARLMModel"],
    "predictor_arlm": ["ARLMPredictor"],
    "types_arlm": ["ARLMBatch", "ARLMPackedBatch", "ARLMPredictionBatch", "ARLMLossDict"],
})
