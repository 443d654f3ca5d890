"""The predictor of Did: insert one token after another, at the very times at which the chain inserts.

Run backwards from t to s nothing is inserted with probability Z(s)/Z(t), Z(t) = sum_n p(n) t^n. So the time of the next
insertion is drawn exactly, without steps; and where Z(0)/Z(t) is above the number that was drawn, there is no next one.
"""
from typing import Any, Dict, List, Optional, Tuple

import torch
from torch import Tensor

from xlm.harness import Predictor

from .loss_did import joint, log_weights, special
from .types_did import DidPredictionBatch, DidPredictionDict


def next_time(number: Tensor, t: Tensor, u: Tensor) -> Tuple[Tensor, Tensor]:
    """Whether all is there, bool [batch], and else when the next insertion is, float64 [batch]."""
    now = log_weights(number, t).logsumexp(-1)
    goal = u.log() + now
    low, high = t.double().log() - 80.0, t.double().log()
    for _ in range(60):  # Z grows with t
        middle = (low + high) / 2
        below = log_weights(number, middle.exp()).logsumexp(-1) < goal
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return number[:, 0].double() >= goal, high.exp()


def inserted(ids: Tensor, gap: Tensor, token: Tensor) -> Tensor:
    """Put a token into a gap of each row: what stands right of it moves on, the last place falls off."""
    place = torch.arange(ids.shape[1], device=ids.device)
    moved = ids.gather(1, (place - (place > gap[:, None]).long()).expand_as(ids))
    return torch.where(place == gap[:, None], token[:, None], moved)


class DidPredictor(Predictor[DidPredictionBatch, DidPredictionDict]):
    """One insertion a step."""

    def __init__(
        self,
        tokenizer: Any = None,  # the harness sets what is None
        model: Any = None,
        noise_schedule: Any = None,
        block_size: int = 16,  # tokens of an answer at most
        temperature: float = 0.0,  # 0: the likeliest insertion, for as long as one is likelier than none
    ):
        self.tokenizer = tokenizer
        self.model = model
        self.noise_schedule = noise_schedule
        self.block_size = block_size
        self.temperature = temperature

    def chance(self, number: Tensor, t: Tensor) -> Tensor:
        """A number in (0, 1) for each row: drawn, or where half of what may still be inserted lies above it."""
        if self.temperature:
            return torch.rand(t.shape, dtype=torch.float64, device=t.device).clamp_min(1e-300)
        none = (number[:, 0].double() - log_weights(number, t).logsumexp(-1)).exp()
        return torch.where(none > 0.5, none / 2, (none + 1) / 2)

    def choose(self, logq: Tensor) -> Tuple[Tensor, Tensor]:
        """Gap and token of each row."""
        flat = logq.flatten(1)
        if self.temperature:
            noise = torch.rand(flat.shape, dtype=torch.float64, device=flat.device).clamp_min(1e-300)
            flat = flat / self.temperature - (-noise.log()).log()
        at = flat.argmax(-1)
        return at // logq.shape[2], at % logq.shape[2]

    @torch.inference_mode()
    def predict(
        self,
        batch: DidPredictionBatch,
        batch_idx: Optional[int] = None,
        dataloader_idx: Optional[int] = None,
        dataloader_name: Optional[str] = None,
    ) -> DidPredictionDict:
        prompt, seen = batch["input_ids"], batch["attention_mask"].bool()
        ids = prompt.new_full((len(prompt), self.block_size), self.tokenizer.pad_token_id)
        size, place = ids.new_zeros(len(ids)), torch.arange(self.block_size, device=ids.device)
        t, going = torch.ones(len(ids), dtype=torch.float64, device=ids.device), size == 0
        never, steps = special(self.tokenizer, ids.device), 0
        while bool((going := going & (size < self.block_size)).any()):
            there = place < size[:, None]
            logits, number = self.model(torch.cat([prompt, ids], 1), torch.cat([seen, there], 1), prompt.shape[1])
            whole, when = next_time(number, t, self.chance(number, t))
            going, t, steps = going & ~whole, torch.where(whole, t, when), steps + 1
            gap, token = self.choose(joint(logits, there, never))
            ids = torch.where(going[:, None], inserted(ids, gap, token), ids)
            size = size + going.long()
        return {
            "text": self.tokenizer.batch_decode(ids.tolist(), skip_special_tokens=True),
            "ids": torch.cat([prompt, ids], 1),
            "steps_taken": torch.tensor(float(steps), device=ids.device),
        }

    def to_dict(self, batch: DidPredictionBatch, preds: DidPredictionDict, *args: Any) -> List[Dict[str, Any]]:
        """One line of JSON for each row."""
        return [{"text": text, "ids": ids} for text, ids in zip(preds["text"], preds["ids"].tolist())]

    def generate(self, prompts: List[str]) -> List[str]:
        """Texts for texts."""
        marks = [self.tokenizer.cls_token_id, self.tokenizer.bos_token_id]
        rows = [self.tokenizer(p, add_special_tokens=False)["input_ids"] + marks for p in prompts]
        width, pad = max(map(len, rows)), self.tokenizer.pad_token_id
        ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows])
        device = next(self.model.parameters()).device
        batch = {"input_ids": ids.to(device), "attention_mask": (ids != pad).to(device)}
        return self.predict(batch)["text"]
