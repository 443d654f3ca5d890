"""In how many ways is a text left when tokens of a longer one are deleted?

N(x in y) counts the choices of places in y whose tokens, in order, are x. Deleting each token with probability t gives
q(x|y) = N(x in y) (1-t)^|x| t^(|y|-|x|), and how often the token v is missing in the gap i of x is, given y,
r(i, v) = N(Ins(x, i, v) in y) / N(x in y). Summed over gaps and tokens r is |y|-|x|: a missing token stands in one gap.
"""
from typing import Tuple

import torch
from torch import Tensor


def embeddings(text: Tensor, real: Tensor, kept: Tensor, there: Tensor) -> Tuple[Tensor, Tensor]:
    """Ways from the left and from the right: how the first i of `kept` lie in the first j of `text`, and the rest in
    the rest, both float64 [batch, text + 1, kept + 1]. text, real: [batch, text]; kept, there: [batch, kept]."""
    batch, width = text.shape
    same = ((text[:, :, None] == kept[:, None]) & real[:, :, None] & there[:, None]).double()
    size = there.sum(-1)
    left = [torch.zeros(batch, kept.shape[1] + 1, dtype=torch.float64, device=text.device)]
    right = [left[0].scatter(1, size[:, None], 1.0)]
    left[0] = left[0].index_fill(1, torch.tensor([0], device=text.device), 1.0)
    for j in range(width):
        before, after = left[-1], right[-1]
        left.append(before + torch.cat([before[:, :1] * 0, before[:, :-1] * same[:, j]], 1))
        right.append(after + torch.cat([after[:, 1:] * same[:, width - 1 - j], after[:, :1] * 0], 1))
    return torch.stack(left, 1), torch.stack(right[::-1], 1)


def missing(text: Tensor, real: Tensor, kept: Tensor, there: Tensor) -> Tensor:
    """The share of embeddings in which each token of the text is missing in each gap: float64 [batch, kept + 1, text].
    r(i, v) is its sum over the places of v."""
    left, right = embeddings(text, real, kept, there)
    ways = (left[:, :-1] * right[:, 1:]).transpose(1, 2) * real[:, None]
    total = right[:, 0, :1]  # all of `kept` in all of the text
    return ways / total[..., None]
