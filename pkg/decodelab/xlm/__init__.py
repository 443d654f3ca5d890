"External models: train, decode and share language models that are not left-to-right."
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={
    "blocks": ["block_of", "twice_visible", "clean_visible", "per_block", "hidden_in_blocks", "block_lengths"],
    "categorical": ["uniform", "gumbel", "only_top_k", "only_top_p", "Pick", "inverted", "sample_from_logits",
        "sample_from_top_k", "sample_from_top_p", "sample_categorical"],
    "contracts": ["ModelOutput", "Batch", "T_in", "T_out", "T_out_pred", "UpdateFn", "BaseBatch", "BaseCollatorInput",
        "Seq2SeqCollatorInput", "InfillingCollatorInput", "DataLoaderKwargs", "Tokenizer", "NoiseSchedule",
        "LossFunction", "Predictor", "Collator", "Seq2SeqCollator", "Seq2SeqCollatorPrediction", "Model", "Metrics",
        "own_method", "loss_call"],
    "flexible": ["Flex", "Schedules", "Partial", "partly", "rate_divergence", "flex_nelbo", "FlexPlan", "spread",
        "within", "Flexed", "lifts", "poisson", "flex", "last_lift"],
    "insertion": ["Inserter", "Dropped", "drop", "open_gaps", "joint", "insertion_costs", "insertion_targets", "Growth",
        "put", "pick_insertion", "Grown", "grow"],
    "masking": ["hidden_each", "hidden_some", "how_many", "without", "subs", "costs", "nelbo", "set_weight"],
    "predicting": ["marks_of", "never_written", "RowsLoss", "per_token", "Written", "ended", "RowsPredictor",
        "histories", "answers_of", "exact_match_update_fn", "token_accuracy_update_fn", "mean_loss_update_fn",
        "part_update_fn"],
    "rows": ["RowsBatch", "PackedBatch", "PromptBatch", "fit", "block", "prompt_of_row", "answer_of_row",
        "RowsCollator", "Seq2SeqRows", "TextRows", "PromptRows", "places", "same_text", "seen_in", "pieces", "pack",
        "PackedRows"],
    "schedules": ["HALF_PI", "SCHEDULES", "LogLinear", "spread_times", "Rising", "power", "rising"],
    "transformer": ["ACTIVATIONS", "ADDED", "rotary", "turn", "visible", "Cache", "Attention", "Modulation", "Layer",
        "TimeEmbedding", "check_sizes", "begin", "Transformer"],
    "unmasking": ["Denoiser", "ORDERS", "Score", "Filled", "begun", "ancestral", "Table", "by_top", "by_margin",
        "by_entropy", "by_drawn", "by_chance", "by_place", "left_after", "Plan", "best_first", "chosen",
        "by_confidence"],
})
