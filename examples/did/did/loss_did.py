"""The loss of Did: delete each token of the answer with probability t and ask what is missing where.

Deletion at the rate 1/(1-t), run backwards, inserts v into the gap i at the rate g(i, v)/t, where g(i, v) is how often
v is missing there. A model of g gives a bound on -log p(answer) (a continuous-time Markov chain; arXiv 2603.23507):

    E_t E_x 1/t * sum_{i,v} [ g(i,v) - r(i,v) + r(i,v) log(r(i,v)/g(i,v)) ],    r of counts.py

Here g(i, v) = E[n] q(i, v): how many are missing, and where and what the next is. It is tight for a right g.

Times near 0 weigh 1/t there. Drawing the number n of deleted tokens first, uniformly from 0 to L, then t from its law
given n, Beta(n, L-n+1), leaves the weight (L+1)/n; where nothing is deleted, t is from Beta(1, L+1), E[n]/t bounded.
"""
from typing import Any, Optional, Tuple

import torch
from torch import Tensor
from torch.distributions import Beta

from xlm.harness import Harness, LossFunction

from .counts import missing
from .types_did import DidBatch, DidLossDict


def log_weights(number: Tensor, t: Tensor) -> Tensor:
    """Of each number of missing tokens at time t, up to a constant: float64 [batch, max_missing + 1]."""
    n = torch.arange(number.shape[-1], device=number.device, dtype=torch.float64)
    return number.double() + n * t.double().log()[:, None]


def expected(number: Tensor, t: Tensor) -> Tensor:
    """E[n] at time t: [batch]."""
    n = torch.arange(number.shape[-1], device=number.device, dtype=torch.float64)
    return (log_weights(number, t).softmax(-1) * n).sum(-1)


def joint(logits: Tensor, there: Tensor, never: Tensor) -> Tensor:
    """log q of gap and token together, -inf behind padding and for special tokens: [batch, gaps, vocabulary]."""
    gaps = torch.cat([torch.ones_like(there[:, :1]), there], 1)
    logits = logits.double().index_fill(-1, never, float("-inf")).masked_fill(~gaps[..., None], float("-inf"))
    return logits.flatten(1).log_softmax(-1).view(logits.shape)


def special(tokenizer: Any, device: Any = None) -> Tensor:
    """Ids that no answer holds."""
    names = ("pad", "cls", "mask", "eos", "bos")
    return torch.tensor(sorted({getattr(tokenizer, f"{n}_token_id") for n in names}), device=device)


def deleted(ids: Tensor, real: Tensor, gone: Tensor, pad: int) -> Tuple[Tensor, Tensor]:
    """What is left, moved together, and where it stands."""
    stays = real & ~gone
    order = (~stays).long().argsort(dim=1, stable=True)
    there = torch.arange(ids.shape[1], device=ids.device) < stays.sum(1, keepdim=True)
    return ids.gather(1, order).masked_fill(~there, pad), there


class DidLoss(LossFunction[DidBatch, DidLossDict]):
    """A bound on -log p, estimated at one time for each row."""

    likelihood = "lower"

    def __init__(self, model: Any = None, tokenizer: Any = None):
        self.model = model  # the harness sets what is None
        self.tokenizer = tokenizer

    def configure(self, pl_module: Harness) -> None:
        """Nothing: every tensor is made where the batch is."""

    def cost(self, text: Tensor, real: Tensor, left: Tensor, there: Tensor, g: Tensor, logq: Tensor) -> Tensor:
        """The sum in brackets for one state of each row: [batch]. text: [batch, length], left: [batch, less]."""
        share = missing(text, real, left, there)  # [batch, gaps, length]
        tokens = text[:, None].expand_as(share)
        r = torch.zeros_like(logq).scatter_add(2, tokens, share)
        n = share.sum((1, 2))
        known = r > 0
        cross = torch.where(known, r * (logq.masked_fill(~known, 0.0) - (r / n.clamp_min(1)[:, None, None]).log()), 0.0)
        amount = g - n + torch.xlogy(n, n) - torch.where(n > 0, n * g.clamp_min(1e-300).log(), 0.0)
        return amount - cross.sum((1, 2))

    def loss_fn(
        self,
        batch: DidBatch,
        batch_idx: Optional[int] = None,
        dataloader_idx: Optional[int] = None,
        dataloader_name: Optional[str] = None,
    ) -> DidLossDict:
        start = batch["output_start"]
        text, real = batch["input_ids"][:, start:], batch["answer_mask"][:, start:]
        rows, device, size = len(text), text.device, real.sum(1)
        spread = (torch.randperm(rows, device=device) + torch.rand(rows, device=device).double()) / rows
        n = (spread * (size + 1)).long().clamp(max=size)
        t = Beta(n.clamp_min(1).double(), torch.where(n > 0, size - n + 1, size + 1).double()).sample()
        place = torch.rand(text.shape, device=device).masked_fill(~real, 2.0).argsort(1).argsort(1)
        left, there = deleted(text, real, place < n[:, None], self.tokenizer.pad_token_id)
        ids = torch.cat([batch["input_ids"][:, :start], left], 1)
        seen = torch.cat([batch["attention_mask"][:, :start].bool(), there], 1)
        logits, number = self.model(ids, seen, start)
        logq = joint(logits, there, special(self.tokenizer, device))
        weight = torch.where(n > 0, (size + 1) / n.clamp_min(1), 1 / t)
        nats = weight * self.cost(text, real, left, there, expected(number, t), logq)
        tokens = size.clamp_min(1)
        loss = (nats.sum() / tokens.sum()).float()
        return {"loss": loss, "batch_loss": (nats / tokens).detach(), "nats": nats.detach()}

    def __call__(
        self,
        batch: DidBatch,
        batch_idx: Optional[int] = None,
        dataloader_idx: Optional[int] = None,
        dataloader_name: Optional[str] = None,
    ) -> DidLossDict:
        return self.loss_fn(batch, batch_idx, dataloader_idx, dataloader_name)
