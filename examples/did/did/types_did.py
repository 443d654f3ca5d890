"""What goes in and what comes out of each part of Did."""
from typing import List, TypedDict

from torch import Tensor


class DidBatch(TypedDict):
    """Training rows: [padding, prompt, CLS, BOS | answer, padding], the answer still whole (the loss deletes of it)."""

    input_ids: Tensor  # [batch, length]
    attention_mask: Tensor  # [batch, length] True where a token is
    answer_mask: Tensor  # [batch, length] True at the answer's tokens
    output_start: int  # where answers begin


class DidPredictionBatch(TypedDict):
    """Prompts to be answered."""

    input_ids: Tensor  # [batch, prompt length] padded on the left
    attention_mask: Tensor  # [batch, prompt length]
    target_ids: Tensor  # [batch, answer length] what should be written, for metrics only


class DidLossDict(TypedDict):
    """What the loss returns. `loss` is learnt from; the rest is for metrics and is detached."""

    loss: Tensor  # scalar, nats a token
    batch_loss: Tensor  # [batch] nats a token
    nats: Tensor  # [batch] an estimate of a bound on -log p(answer)


class DidPredictionDict(TypedDict):
    """What the predictor returns."""

    text: List[str]  # answers without special tokens
    ids: Tensor  # [batch, prompt length + answer length]
    steps_taken: Tensor  # scalar: how often the network was run
