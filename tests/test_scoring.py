"hf.score against one forward pass a request, over fuzzed requests."
import random
import numpy as np, pytest, torch

def requests(n, seed, longest):
    "Fuzzed pairs: empty context, one token, shared and nested prefixes, unicode, whitespace at the border."
    rng = random.Random(seed); enc = lambda s: tuple(s.encode())
    base = [enc('3+4*2-1=?'), enc('Grüße 数学 🙂 '), tuple(rng.randrange(256) for _ in range(90)), enc('a b ')]
    out = []
    for i in range(n):
        b = rng.choice(base); p = b[:rng.randint(0, len(b))] + tuple(rng.randrange(262) for _ in range(rng.choice((0,0,1,5))))
        if i%17==0: p = ()
        c = tuple(rng.randrange(262) for _ in range(rng.choice((1,1,2,7)))) if i%3 else enc(rng.choice((' 7',' ','\n1','é','10')))
        out.append((p, c))
    return out

def alone(hf, p, c):
    p = p or (hf.prefix_id,)
    with torch.inference_mode(): lp = torch.log_softmax(hf.model(torch.tensor([p+c])).logits[0].double(), -1)
    rows = lp[len(p)-1:len(p)-1+len(c)]
    return rows[range(len(c)), list(c)].numpy(), rows.argmax(-1).tolist()==list(c)

def test_score_equals_one_by_one_forwards(student):
    pairs = requests(500, 0, student.max_length); student.usage.reset()
    got = student.score(pairs)
    for (p,c),g in zip(pairs, got):
        want, greedy = alone(student, p, c)
        assert np.abs(g.token_logprobs-want).max() < 1e-4 and abs(g.logprob-want.sum()) < 1e-4
        assert g.greedy==greedy
    assert student.usage.run/student.usage.unique <= 1.02 and student.usage.unique < student.usage.prompt

def test_shared_prefix_memory_is_bounded_by_one_path(student):
    "Forty long continuations of one prompt: states held at once are a path and a stretch, not the trie."
    held = []
    run = type(student)._past
    def spy(self, cache, columns, room): held.append(len(columns)+room); return run(self, cache, columns, room)
    try:
        type(student)._past = spy
        student.score([(tuple(range(100)), tuple((i*7+j)%250 for j in range(60))) for i in range(40)])
    finally: type(student)._past = run
    assert max(held) <= 160+student.stretch and student.usage.run/student.usage.unique <= 1.02

def test_empty_calls_and_empty_continuation(student):
    assert student.score([])==[] and student.sample([], __import__('decodelab.backends', fromlist=['Sampling']).Sampling())==[]
    s = student.score([((1,2), ())])[0]
    assert s.logprob==0 and s.greedy and len(s.token_logprobs)==0

def test_over_long_input_is_one_clear_error(student):
    from decodelab.core import ModelError
    with pytest.raises(ModelError, match='5000 tokens; the model takes'): student.sample([(1,)*4999], __import__('decodelab.backends', fromlist=['Sampling']).Sampling())
    with pytest.raises(ModelError, match='the model takes'): student.score([((1,)*5000, (2,))])

def test_row_path_for_models_without_shared_states_agrees(student):
    "The path that models with windows or recurrent states take gives the same numbers."
    pairs = requests(60, 1, 0)
    a = student.score(pairs)
    b = student._score_rows([(p or (student.prefix_id,), c) for p,c in pairs], [(p or (student.prefix_id,))+c[:-1] for p,c in pairs])
    assert max(abs(x.logprob-y.logprob) for x,y in zip(a, b)) < 1e-4
