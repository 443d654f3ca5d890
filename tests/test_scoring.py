"hf.score against one forward pass a request, over fuzzed requests."
import random
import numpy as np, pytest, torch
from decodelab.backends import Sampling
from decodelab.core import ModelError

def requests(n, seed):
    "Fuzzed pairs: empty context, one token, shared and nested prefixes, unicode, whitespace at the border."
    rng = random.Random(seed)
    base = [tuple(s.encode()) for s in ('3+4*2-1=?', 'Grüße 数学 🙂 ', 'a b ')]
    base.append(tuple(rng.randrange(256) for _ in range(90)))
    def some(lengths): return tuple(rng.randrange(262) for _ in range(rng.choice(lengths)))
    out = []
    for i in range(n):
        text = rng.choice(base)
        prefix = text[:rng.randint(0, len(text))] + some((0,0,1,5))
        continuation = some((1,1,2,7)) if i%3 else tuple(rng.choice((' 7',' ','\n1','é','10')).encode())
        out.append(((), continuation) if i%17==0 else (prefix, continuation))
    return out

def alone(hf, p, c):
    "Log-probabilities of a continuation by one plain pass, and whether it is greedy."
    p = p or (hf.prefix_id,)
    with torch.inference_mode(): logp = torch.log_softmax(hf.model(torch.tensor([p+c])).logits[0].double(), -1)
    rows = logp[len(p)-1:len(p)-1+len(c)]
    return rows[range(len(c)), list(c)].numpy(), rows.argmax(-1).tolist()==list(c)

@pytest.mark.parametrize('remembering', [False, True])
def test_score_equals_one_by_one_forwards(student, remembering):
    from contextlib import nullcontext
    pairs = requests(500, 0)
    student.usage.reset()
    with student.remembering() if remembering else nullcontext():
        got = student.score(pairs) if not remembering else student.score(pairs[:250]) + student.score(pairs[250:])
    for (p,c),g in zip(pairs, got):
        want, greedy = alone(student, p, c)
        assert np.abs(g.token_logprobs-want).max() < 1e-4 and abs(g.logprob-want.sum()) < 1e-4
        assert g.greedy==greedy and g.bound=='exact'
    assert student.usage.run/student.usage.unique <= 1.1 and student.usage.unique < student.usage.prompt

def test_shared_prefix_memory_is_bounded_by_one_path(student, monkeypatch):
    "Forty long continuations of one prompt: states held at once are a path and a stretch, not the trie."
    held, past = [], type(student)._past
    def spy(self, cache, columns):
        held.append(len(columns))
        return past(self, cache, columns)
    monkeypatch.setattr(type(student), '_past', spy)
    student.usage.reset()
    student.score([(tuple(range(100)), tuple((i*7+j)%250 for j in range(60))) for i in range(40)])
    assert max(held) <= 160 and student.usage.run/student.usage.unique <= 1.02

def test_empty_calls_and_empty_continuation(student):
    assert student.score([])==[] and student.sample([], Sampling())==[]
    s = student.score([((1,2), ())])[0]
    assert s.logprob==0 and s.greedy and len(s.token_logprobs)==0

def test_over_long_input_is_one_clear_error(student):
    with pytest.raises(ModelError, match='5000 tokens; the model takes'): student.sample([(1,)*4999], Sampling())
    with pytest.raises(ModelError, match='the model takes'): student.score([((1,)*5000, (2,))])

def test_row_path_for_models_without_shared_states_agrees(student):
    "The path that models with windows or recurrent states take gives the same numbers."
    pairs = [(p or (student.prefix_id,), c) for p,c in requests(60, 1)]
    rows = student._rows_through([p+c for p,c in pairs], lambda logp: logp)
    for (p,c),s in zip(pairs, student.score(pairs)):
        logp = rows[p+c][len(p)-1:len(p)-1+len(c)]
        assert np.abs(logp[range(len(c)), list(c)].numpy()-s.token_logprobs).max() < 1e-4
