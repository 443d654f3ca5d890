"Small models of many kinds of attention, and what one plain Transformers forward in float32 says of them."
from collections.abc import Sequence
from dataclasses import dataclass
import numpy as np
import torch
from decodelab.backends.decoding import Choices
from decodelab.backends.shipped import tokenizer

SIZE = dict(vocab_size=262, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, head_dim=32, max_position_embeddings=256, initializer_range=.15,
            eos_token_id=261, pad_token_id=256, bos_token_id=None) # vLLM on CPU takes heads of 32

def longrope(switch:int=16)->dict:
    "Rotations that change where a text is longer than the switch."
    factors = dict(short_factor=[1+.1*i for i in range(16)], long_factor=[2.+i for i in range(16)])
    return factors | dict(rope_type='longrope', rope_theta=1e4, factor=256/switch,
                          original_max_position_embeddings=switch)

def rope(kind:str, **more)->dict: return dict(rope_parameters=dict(rope_type=kind, rope_theta=1e4, **more))

LLAMA3 = dict(factor=8., low_freq_factor=1., high_freq_factor=4., original_max_position_embeddings=16)
ODD = ['full_attention', 'sliding_attention']*2
KINDS = dict(
    mistral=('mistral', dict(sliding_window=8)),
    qwen2=('qwen2', dict(use_sliding_window=True, sliding_window=8, max_window_layers=1)),
    qwen2_all=('qwen2', dict(use_sliding_window=True, sliding_window=8, max_window_layers=0)),
    qwen3=('qwen3', dict(use_sliding_window=True, sliding_window=8, max_window_layers=1)),
    gemma2=('gemma2', dict(sliding_window=8, query_pre_attn_scalar=32)),
    gemma2_capped=('gemma2', dict(sliding_window=8, query_pre_attn_scalar=24, attn_logit_softcapping=5.)),
    gemma3=('gemma3_text', dict(sliding_window=8, num_hidden_layers=6, query_pre_attn_scalar=32)),
    gemma3_odd=('gemma3_text', dict(sliding_window=8, num_hidden_layers=4, layer_types=ODD)),
    phi3_window=('phi3', dict(sliding_window=8)),
    phi3_long=('phi3', dict(rope_parameters=longrope(), original_max_position_embeddings=16)),
    llama_long=('llama', dict(rope_parameters=longrope())),
    llama3=('llama', rope('llama3', **LLAMA3)),
    dynamic=('llama', rope('dynamic', factor=4.)),
    yarn=('llama', rope('yarn', factor=4., original_max_position_embeddings=64)))
RIGHT = ('mistral', 'qwen2_all', 'gemma3', 'phi3_window', 'llama3', 'yarn') # which no runtime may refuse

def made(path, kind:str, **more):
    "Write a small random model; the model as Transformers has it."
    from transformers import AutoConfig, AutoModelForCausalLM
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **(SIZE | more))
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    model.save_pretrained(path)
    tokenizer().save_pretrained(path)
    return model

def text(length:int)->tuple[int, ...]: return tuple(np.random.default_rng(length).integers(0, 256, length).tolist())

def by_hand(model, ids:Sequence[int])->np.ndarray: # [T-1]
    "Log-probabilities of all tokens but the first."
    with torch.inference_mode(): logits = model(torch.tensor([ids])).logits[0].float()
    return torch.log_softmax(logits, -1)[range(len(ids)-1), ids[1:]].numpy()

def apart(runtime, model, lengths=(6, 12, 30, 60))->float:
    "Largest difference to the plain forward, in texts within and beyond every window and switch."
    texts = [text(n) for n in lengths]
    found = runtime.score([(t[:1], t[1:]) for t in texts])
    return max(float(np.abs(f.token_logprobs-by_hand(model, t)).max()) for f,t in zip(found, texts))

@dataclass
class Fuzz:
    "Random sessions, each held to fresh ones."
    model: object
    rng: np.random.Generator
    worst: float = 0.

    def some(self, n:int)->tuple[int, ...]: return tuple(self.rng.integers(0, 250, n).tolist())

    def compare(self, found, rows)->None:
        "Distributions against those of the whole rows."
        if not len(rows): return
        self.worst = max(self.worst, float(np.abs(np.asarray(found)-self.model.next_logprobs(rows)).max()))

    def case(self)->None:
        "A few operations, and where the rows stand in the end."
        shared = self.some(4)
        def row(): return shared[:self.rng.integers(0, 5)] + self.some(self.rng.integers(1, 5))
        rows = [row() for _ in range(self.rng.integers(1, 4))]
        with self.model.session(rows, room=2) as session:
            for _ in range(3): rows = self.operation(session, rows)
            assert session.lengths.tolist()==[len(r) for r in rows]
            self.compare(session.logprobs, rows)

    def operation(self, session, rows):
        kind = self.rng.choice(['extend', 'rewind', 'step', 'select'])
        if kind=='extend': return self.extend(session, rows)
        if kind=='step':
            ids = self.some(len(rows))
            self.compare(session.step(ids), rows := [(*r, i) for r,i in zip(rows, ids)])
        elif kind=='rewind':
            rows = [r[:self.rng.integers(1, len(r)+1)] for r in rows]
            session.rewind([len(r) for r in rows])
        else:
            keep = self.rng.integers(0, len(rows), self.rng.integers(1, 4)).tolist()
            session.select(keep)
            rows = [rows[i] for i in keep]
        return rows

    def extend(self, session, rows):
        blocks = [self.some(self.rng.integers(0, 4)) for _ in rows]
        found = np.asarray(session.extend(blocks))
        assert found.shape[:2]==(len(rows), max(map(len, blocks)))
        assert all(np.isneginf(found[i,len(b):]).all() for i,b in enumerate(blocks))
        at = [(i, k) for i,b in enumerate(blocks) for k in range(len(b))]
        if at: self.compare(np.stack([found[i,k] for i,k in at]), [(*rows[i], *blocks[i][:k+1]) for i,k in at])
        return [(*r, *b) for r,b in zip(rows, blocks)]

def fuzzed(model, cases:int=200, seed:int=0)->float:
    "Largest difference in nats between sessions that grew, went back and parted, and fresh ones."
    fuzz = Fuzz(model, np.random.default_rng(seed))
    for _ in range(cases): fuzz.case()
    return fuzz.worst

def choices(model, n:int)->list[Choices]:
    "n different constraints, each of two words."
    return [Choices((model.encode(f'{i}.'), model.encode(f'{i+1}, {i}')), model.eos_ids) for i in range(n)]

def worst_kept(model, prompt, sample, constraint)->float:
    "Largest error of the mass that is noted as kept, against the sum of what the constraint allows."
    rows = [(*prompt, *sample.ids[:t]) for t in range(len(sample.ids))]
    probabilities, matcher, worst = np.exp(model.next_logprobs(rows).astype(np.float64)), constraint.start(), 0.
    for row, token, kept in zip(probabilities, sample.ids, sample.notes['kept']):
        worst = max(worst, abs(np.exp(kept)-row[sorted(matcher.follows())].sum()))
        matcher.accept([token])
    return worst
