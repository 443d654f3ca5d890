"""The network of Did: what is missing in which gap, and how much.

The state of BOS speaks for the gap before the first token, that of each token for the gap behind it; the state of CLS
says how many tokens may be missing. Neither is told the time:
with p(n) known at t = 1, it is p(n) t^n, normalised, at t
(the answer's posterior given what was left depends on t in no other way).
"""
from typing import Optional, Tuple

from torch import Tensor, nn

from xlm.modules.rotary_transformer import (
    RotaryEmbedding,
    RotaryTransformerFinalLayer,
    RotaryTransformerLayer,
    RotaryTransformerLayerList,
)


class DidModel(nn.Module):
    """Tokens that were left to the logits of tokens that are missing."""

    def __init__(
        self,
        num_embeddings: int,  # special tokens included
        max_missing: int,  # tokens of the longest answer
        d_model: int = 128,
        num_layers: int = 3,
        nhead: int = 4,
        dim_feedforward: Optional[int] = None,  # 4 * d_model
        dropout: float = 0.0,
        max_length: int = 256,  # prompt and answer together
    ):
        super().__init__()
        self.embed_tokens = nn.Embedding(num_embeddings, d_model)
        nn.init.normal_(self.embed_tokens.weight, std=0.02)
        layer = RotaryTransformerLayer(d_model, nhead, dim_feedforward, dropout, activation="gelu")
        rotary = RotaryEmbedding(d_model // nhead, cache_size=max_length)
        self.layers = RotaryTransformerLayerList.from_layer(layer, num_layers, rotary)
        self.output = RotaryTransformerFinalLayer(d_model, num_embeddings)
        self.number = nn.Linear(d_model, max_missing + 1)

    def forward(
        self,
        input_ids: Tensor,  # [batch, length]
        attention_mask: Tensor,  # [batch, length] True where a token is
        output_start: int,  # where what is left of the answer begins
    ) -> Tuple[Tensor, Tensor]:  # [batch, gaps, num_embeddings], [batch, max_missing + 1]
        positions = (attention_mask.long().cumsum(-1) - 1).clamp_min(0)  # padding before a prompt changes nothing
        x = self.embed_tokens(input_ids)
        for layer in self.layers:
            x = layer(x, attention_mask, positions)
        return self.output(x[:, output_start - 1 :]), self.number(x[:, output_start - 2])
