""
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "datamodule_flexmdm": ["print_batch_flexmdm", "FlexMDMMarks", "DefaultFlexMDMCollator", "FlexMDMSeq2SeqCollator",
        "FlexMDMSeq2SeqPredCollator"],
    "loss_flexmdm": ["FlexMDMLoss"],
    "metrics_flexmdm": ["unmasking_metric_update_fn", "insertion_metric_update_fn", "mean_metric_update_fn",
        "seq2seq_exact_match_update_fn", "seq2seq_token_accuracy_update_fn"],
    "model_flexmdm": ["FlexMDMModel"],
    "predictor_flexmdm": ["flexer", "FlexMDMPredictor"],
    "types_flexmdm": ["FlexMDMBatch", "FlexMDMPackedBatch", "FlexMDMPredictionBatch", "FlexMDMLossDict"],
})
