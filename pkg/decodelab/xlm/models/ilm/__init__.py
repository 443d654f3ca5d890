""
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "datamodule_ilm": ["print_batch_ilm", "ILMMarks", "DefaultILMCollator", "ILMSeq2SeqCollator",
        "ILMSeq2SeqPredCollator"],
    "loss_ilm": ["ILMLoss"],
    "metrics_ilm": ["length_loss_metric_update_fn", "token_ce_metric_update_fn", "mean_metric_update_fn",
        "seq2seq_exact_match_update_fn", "seq2seq_token_accuracy_update_fn"],
    "model_ilm": ["ILMModel"],
    "predictor_ilm": ["inserter", "ILMPredictor"],
    "types_ilm": ["ILMBatch", "ILMPackedBatch", "ILMPredictionBatch", "ILMLossDict"],
})
