"""From a batch of Did to the arguments of a metric.

Each function takes `(batch, loss_dict, tokenizer)` and returns the keyword arguments of `metric.update`; which metric
it feeds is said in configs/model_type/.
"""
from typing import Any, Dict

from torch.nn.functional import pad


def mean_metric_update_fn(batch: Dict[str, Any], loss_dict: Dict[str, Any], tokenizer: Any = None) -> Dict[str, Any]:
    """For a mean: the loss of each row."""
    return {"value": loss_dict["batch_loss"]}


def answers(batch: Dict[str, Any], loss_dict: Dict[str, Any], tokenizer: Any):
    """What was written and what should have been, padded to one width: an answer that stops early is wrong."""
    written, target = loss_dict["ids"][:, batch["input_ids"].shape[-1] :], batch["target_ids"]
    width = max(written.shape[-1], target.shape[-1])
    return tuple(pad(x, (0, width - x.shape[-1]), value=tokenizer.pad_token_id) for x in (written, target))


def seq2seq_exact_match_update_fn(
    batch: Dict[str, Any], loss_dict: Dict[str, Any], tokenizer: Any = None
) -> Dict[str, Any]:
    """For ExactMatch: whole answers."""
    written, target = answers(batch, loss_dict, tokenizer)
    return {"pred": written, "target": target}


def seq2seq_token_accuracy_update_fn(
    batch: Dict[str, Any], loss_dict: Dict[str, Any], tokenizer: Any = None
) -> Dict[str, Any]:
    """For TokenAccuracy: places where either has a token."""
    written, target = answers(batch, loss_dict, tokenizer)
    pad_id = tokenizer.pad_token_id
    return {"pred": written, "target": target, "pred_mask": (written != pad_id) | (target != pad_id)}
