"External models: train, decode and share language models that are not left-to-right."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "contracts": ["ModelOutput", "Batch", "T_in", "T_out", "T_out_pred", "UpdateFn", "BaseBatch", "BaseCollatorInput",
        "Seq2SeqCollatorInput", "InfillingCollatorInput", "DataLoaderKwargs", "Tokenizer", "NoiseSchedule",
        "LossFunction", "Predictor", "Collator", "Seq2SeqCollator", "Seq2SeqCollatorPrediction", "Model", "Metrics",
        "own_method", "loss_call"],
})
