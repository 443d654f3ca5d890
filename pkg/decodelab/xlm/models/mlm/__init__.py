""
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "datamodule_mlm": ["print_batch_mlm", "MLMMarks", "DefaultMLMCollator", "MLMSeq2SeqCollator",
        "MLMSeq2SeqPredCollator", "MLMPackedCollator"],
    "loss_mlm": ["MLMLoss"],
    "metrics_mlm": ["mean_metric_update_fn", "seq2seq_exact_match_update_fn", "seq2seq_token_accuracy_update_fn"],
    "model_mlm": ["MLMModel"],
    "predictor_mlm": ["with_masks", "denoiser", "MLMPredictor"],
    "types_mlm": ["MLMBatch", "MLMPackedBatch", "MLMPredictionBatch", "MLMLossDict"],
})
