""
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "datamodule_mdlm": ["print_batch_mdlm", "MDLMMarks", "DefaultMDLMCollator", "MDLMSeq2SeqCollator",
        "MDLMSeq2SeqPredCollator", "MDLMPackedCollator"],
    "loss_mdlm": ["Estimator", "ESTIMATORS", "noised", "noised_blocks", "MDLMLoss"],
    "metrics_mdlm": ["mean_metric_update_fn", "seq2seq_exact_match_update_fn", "seq2seq_token_accuracy_update_fn"],
    "model_mdlm": ["MDLMModel"],
    "predictor_mdlm": ["with_masks", "denoiser", "MDLMPredictor"],
    "types_mdlm": ["MDLMBatch", "MDLMPackedBatch", "MDLMPredictionBatch", "MDLMLossDict"],
})
