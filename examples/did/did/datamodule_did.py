"""Collators of Did: rows of token ids of any length become rectangles.

`Seq2Seq…` collators are given rows with `prompt_ids` and `input_ids` (the answer). A row that does not fit is an
error: truncation in silence would train on answers that nobody can give.
"""
from typing import Any, Dict, List, Optional, Sequence

import torch

from xlm.datamodule import Collator, Tokenizer
from xlm.utils.nn import pad_truncate_list

from .types_did import DidBatch, DidPredictionBatch


def rectangle(
    rows: Sequence[List[int]], width: Optional[int], pad: int, left: bool = False, what: str = "row"
) -> torch.Tensor:
    """Rows of one width."""
    longest = max(len(row) for row in rows)
    width = width or longest
    if longest > width:
        raise ValueError(f"a {what} of {longest} tokens does not fit into {width}: raise (input_)block_size")
    return torch.tensor([pad_truncate_list(row, width, pad, pad_left=left) for row in rows], dtype=torch.long)


class Seq2SeqDidCollator(Collator):
    """Prompt and answer, to train on: [padding, prompt, CLS, BOS | answer, padding]."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        block_size: int,  # places of an answer
        input_block_size: Optional[int] = None,  # places of a prompt; none: as many as the longest needs
        noise_schedule: Any = None,
    ):
        self.tokenizer = tokenizer
        self.block_size = block_size
        self.input_block_size = input_block_size
        self.noise_schedule = noise_schedule

    def prompts(self, examples: Sequence[Dict[str, Any]]) -> torch.Tensor:
        marks = [self.tokenizer.cls_token_id, self.tokenizer.bos_token_id]
        rows = [list(e["prompt_ids"]) + marks for e in examples]
        width = self.input_block_size and self.input_block_size + len(marks)
        return rectangle(rows, width, self.tokenizer.pad_token_id, left=True, what="prompt")

    def answers(self, examples: Sequence[Dict[str, Any]]) -> torch.Tensor:
        rows = [list(e["input_ids"]) for e in examples]
        return rectangle(rows, self.block_size, self.tokenizer.pad_token_id, what="answer")

    def __call__(self, examples: Sequence[Dict[str, Any]]) -> DidBatch:
        prompt, answer = self.prompts(examples), self.answers(examples)
        real = answer != self.tokenizer.pad_token_id
        return {
            "input_ids": torch.cat([prompt, answer], -1),
            "attention_mask": torch.cat([prompt != self.tokenizer.pad_token_id, real], -1),
            "answer_mask": torch.cat([torch.zeros_like(prompt, dtype=torch.bool), real], -1),
            "output_start": prompt.shape[-1],
        }


class Seq2SeqDidPredCollator(Seq2SeqDidCollator):
    """Prompts alone; the answers are for metrics."""

    def __call__(self, examples: Sequence[Dict[str, Any]]) -> DidPredictionBatch:
        prompt = self.prompts(examples)
        return {
            "input_ids": prompt,
            "attention_mask": prompt != self.tokenizer.pad_token_id,
            "target_ids": self.answers(examples),
        }


class DefaultDidCollator(Seq2SeqDidCollator):
    """Texts without a prompt."""

    def __call__(self, examples: Sequence[Dict[str, Any]]) -> DidBatch:
        return super().__call__([{"prompt_ids": [], "input_ids": e["input_ids"]} for e in examples])


def print_batch_did(batch: Dict[str, Any], split: str, tokenizer: Tokenizer, dataloader_name: str = "") -> None:
    """Show the first row of a batch: what the model really reads."""
    print(f"{split}/{dataloader_name}:", tokenizer.decode(batch["input_ids"][0].tolist(), skip_special_tokens=False))
    if "target_ids" in batch:
        print("  to be written:", tokenizer.decode(batch["target_ids"][0].tolist(), skip_special_tokens=False))
