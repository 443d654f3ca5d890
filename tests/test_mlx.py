"The MLX runtime against Transformers float32: likelihoods, texts, sessions, other architectures, bad folders."
import importlib.util, json, os, shutil
import numpy as np
import pytest
from decodelab.backends import load
from decodelab.backends.contract import Sampling
from decodelab.backends.decoding import Choices
from decodelab.backends.planner import build
from decodelab.backends.shipped import folder
from decodelab.core.errors import BadValue, MissingExtra, ModelError
from by_hand import KINDS, RIGHT, apart, choices, fuzzed, made, worst_kept

missing = [p for p in ('mlx', 'mlx_lm') if importlib.util.find_spec(p) is None]
skipped = bool(missing) and not os.environ.get('CI')
pytestmark = pytest.mark.skipif(skipped, reason=f'NOT TESTED: {", ".join(missing)} not installed')

@pytest.fixture(scope='module')
def both(): return load('reference:student', device='cpu'), load('mlx:reference:student', device='cpu')

def pairs(n, seed=0, length=40, vocabulary=256):
    "Empty, shared and nested prefixes, one-token and longer continuations, repeats."
    rng = np.random.default_rng(seed)
    def some(k): return tuple(rng.integers(0, vocabulary, k).tolist())
    trunk = some(length)
    def start(): return trunk[:rng.choice([0, length//3, length//2, length])] + some(rng.choice([0, 0, 1, 4, 10]))
    out = [(start(), some(rng.choice([0, 1, 1, 2, 6]))) for _ in range(n)]
    return out + out[:n//10]

def largest(a, b): return max(np.abs(x.token_logprobs-y.token_logprobs).max(initial=0) for x,y in zip(a, b))

def same(hf, m, asked, tol=1e-3):
    a, b = hf.score(asked), m.score(asked)
    assert largest(a, b) < tol and all(abs(x.logprob-y.logprob) < tol*8 for x,y in zip(a, b))
    assert [x.greedy for x in a]==[y.greedy for y in b]

def test_likelihoods(both):
    hf, m = both
    texts = ['Zoë: 東京 🍎\n', '<|question|>3+4=?<think>', '', ' ', '\x00\u200b']
    m.usage.reset()
    asked = pairs(250) + [(m.encode(a), m.encode(b)) for a in texts for b in texts]
    same(hf, m, asked)
    rows = [(p or (m.prefix_id,))+c[:-1] for p,c in asked]
    assert m.usage.unique==len(build(rows)) and m.usage.prompt==sum(map(len, rows))
    assert m.usage.unique <= m.usage.run < 1.3*m.usage.unique
    prefixes = [p for p,_ in asked[:30]]
    assert np.abs(np.exp(hf.next_logprobs(prefixes))-np.exp(m.next_logprobs(prefixes))).max() < 1e-4
    assert m.score([])==[] and m.next_logprobs([]).shape==(0, m.vocab_size) and m.sample([], Sampling())==[]

def test_same_bits_and_bounded_memory(both):
    _, m = both
    asked = pairs(60, seed=2)
    a, b = m.score(asked), m.score(asked)
    assert all((x.token_logprobs==y.token_logprobs).all() for x,y in zip(a, b))
    small = load('mlx:reference:student', device='cpu', memory_gb=1e-6, batch=8)
    c = small.score(asked)
    assert small.net.states < small.usage.unique/4 # many stretches
    assert largest(a, c) < 1e-4

PLANS = (Sampling(max_tokens=20, temperature=0), Sampling(max_tokens=20, temperature=0, stop=('7','e ')),
         Sampling(max_tokens=20, n=2, temperature=.9, top_p=.9, top_k=12, min_p=.01, seed=5, stop=('\n',),
                  include_stop=True))

def test_texts(both):
    hf, m = both
    ask = [m.chat([dict(role='user', content=t)]) for t in ('3+4=?', 'Zoë 🍎?')] + [()]
    assert ask[0]==hf.chat([dict(role='user', content='3+4=?')]) and m.decode(ask[1])==hf.decode(ask[1])
    for p in PLANS:
        a, b = hf.sample(ask, p), m.sample(ask, p)
        assert [[(s.ids, s.text, s.finish) for s in q] for q in a]==[[(s.ids, s.text, s.finish) for s in q] for q in b]
        assert [s.ids for s in m.sample(ask[1:2], p)[0]]==[s.ids for s in b[1]] # no influence of the batch
    assert ''.join(m.stream(ask[0], PLANS[1]))==m.sample(ask[:1], PLANS[1])[0][0].text
    it = m.stream(ask[0], PLANS[0])
    next(it)
    it.close()
    held = Sampling(max_tokens=5, constraint=Choices((tuple(range(65, 70)), (66, 67)), m.eos_ids))
    assert m.sample(ask[:1], held)[0][0].ids in ((65, 66, 67, 68, 69), (66, 67, *m.eos_ids))

def sessions(m, rows, tol):
    "Steps, forks and drops give what full readings give."
    rng, s, rows = np.random.default_rng(1), m.session(rows, room=1), [tuple(r) for r in rows]
    def check(s, rows):
        np.testing.assert_allclose(np.exp(np.asarray(s.logprobs)), np.exp(m.next_logprobs(rows)), atol=tol)
    def step(s, rows):
        ids = rng.integers(0, 200, len(rows)).tolist()
        s.step(ids)
        rows = [(*r, i) for r,i in zip(rows, ids)]
        check(s, rows)
        return rows
    check(s, rows)
    rows = step(s, rows)
    f, forked = s.fork([2,0,0]), [rows[2], rows[0], rows[0]]
    for _ in range(3): forked = step(f, forked)
    rows = step(s, rows)
    s.drop([1])
    rows = step(s, [rows[0], *rows[2:]])
    forked = step(f, forked)
    f.close()
    s.close()

ROWS = [(1,2,3), (1,2), (1,2,3,4,5,6,7)]

def test_sessions(both): sessions(both[1], ROWS, 1e-5)

ROPE = dict(rope_type='default', rope_theta=777.)
ARCHITECTURES = [('llama', dict(tie_word_embeddings=False, rope_parameters=ROPE), True),
                 ('qwen2', {}, True), ('qwen3', dict(tie_word_embeddings=True), True),
                 ('gemma3_text', dict(sliding_window=8, num_hidden_layers=6, query_pre_attn_scalar=16), True),
                 ('mamba', dict(state_size=8), False)]

@pytest.mark.parametrize('kind, kw, sharing', ARCHITECTURES)
def test_other_architectures(tmp_path, kind, kw, sharing):
    made(d := tmp_path/'m', kind, **kw)
    hf, m = load(f'hf:{d}', device='cpu'), load(f'mlx:{d}', device='cpu')
    def facts(x): return x.max_length, x.eos_ids, x.prefix_id, x.vocab_size
    c = m.capabilities
    assert facts(m)==facts(hf) and c.prefix_sharing==c.rewind==c.remembers==sharing
    same(hf, m, pairs(25, length=20))
    plan, ask = Sampling(max_tokens=10, temperature=0), [(1,2,3), (4,)]
    if kind!='mamba': assert [s.ids for s, in hf.sample(ask, plan)]==[s.ids for s, in m.sample(ask, plan)]
    sessions(m, ROWS, 1e-4)
    assert fuzzed(m, 10) < 1e-3

def test_quantised_folder(tmp_path):
    from mlx_lm import convert
    made(d := tmp_path/'m', 'llama')
    convert(str(d), mlx_path=str(tmp_path/'q'), quantize=True, q_bits=8, q_group_size=32)
    hf, q = load(f'hf:{d}', device='cpu'), load(f'mlx:{tmp_path/"q"}', device='cpu')
    rows = [(1,2,3), (1,2,4), (5,)]
    p, r = np.exp(hf.next_logprobs(rows)), np.exp(q.next_logprobs(rows))
    assert q.capabilities.prefix_sharing and 1e-6 < np.abs(p-r).max() < .05
    assert q.fingerprint()!=load(f'mlx:{d}', device='cpu').fingerprint()

def broken(tmp_path):
    "Folders that cannot be loaded, and what the error says."
    ref = folder('student')
    short, mute, other = (shutil.copytree(ref, tmp_path/n) for n in 'abc')
    (short/'model.safetensors').write_bytes((ref/'model.safetensors').read_bytes()[:-9])
    for f in mute.glob('tokenizer*'): f.unlink()
    config = json.loads((ref/'config.json').read_text())
    (other/'config.json').write_text(json.dumps(config | dict(model_type='nonesuch')))
    none = tmp_path/'none'
    return [(short, 'corrupt safetensors'), (mute, 'no tokenizer'), (other, 'nonesuch'), (none, 'no such folder')]

def test_bad_folders(tmp_path, both):
    for path, words in broken(tmp_path):
        with pytest.raises(ModelError, match=words): load(f'mlx:{path}', device='cpu')
    with pytest.raises(BadValue, match='dtype'): load('mlx:reference:student', dtype='int3')
    with pytest.raises(BadValue, match='gpu'): load('mlx:reference:student', device='cuda')
    m = both[1]
    for ask in (lambda: m.score([((1,)*m.max_length, (2,2))]), lambda: m.session([(1,)*(m.max_length+1)])):
        with pytest.raises(ModelError, match='a prompt of .* tokens; the model takes'): ask()

def test_missing_runtime(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda n, *a: None if n.startswith('mlx') else find(n, *a))
    with pytest.raises(MissingExtra, match=r'mlx is not installed: pip install "decodelab\[mlx\]"'):
        load('mlx:reference:student')

@pytest.mark.parametrize('kind', KINDS)
def test_a_field_of_the_configuration_is_read_or_the_model_is_refused(tmp_path, kind):
    model = made(tmp_path/'m', KINDS[kind][0], **KINDS[kind][1])
    try: m = load(f'mlx:{tmp_path/"m"}', device='cpu')
    except ModelError as e:
        assert kind not in RIGHT and 'computes another model than Transformers' in str(e) and '\n' not in str(e)
        return
    assert apart(m, model) < 1e-3
    if kind in ('mistral', 'gemma3'): assert m.capabilities.prefix_sharing and fuzzed(m, 10) < 1e-3

def test_silent_fields_have_the_defaults_of_transformers(tmp_path):
    "mlx-lm ties the output to the embedding where config.json is silent; Transformers does not, for this model."
    model = made(tmp_path/'m', 'mistral')
    file = tmp_path/'m'/'config.json'
    config = json.loads(file.read_text())
    for name in ('tie_word_embeddings', 'sliding_window', 'rope_parameters'): config.pop(name, None)
    file.write_text(json.dumps(config))
    assert apart(load(f'mlx:{tmp_path/"m"}', device='cpu'), model) < 1e-3

def test_sessions_grow_and_go_back_as_fresh_ones(both): assert fuzzed(both[1], 200) < 1e-4

def test_sessions_inside_remembering(both):
    with both[1].remembering(): assert fuzzed(both[1], 40, seed=1) < 1e-4

def test_rewind_is_checked(both):
    with both[1].session([(1,2,3)]) as session:
        for n in (0, 4):
            with pytest.raises(BadValue, match='1 to 3 tokens'): session.rewind([n])

def test_different_constraints_are_one_batch(both):
    hf, m = both
    constraints = choices(m, 64)
    plans = [Sampling(max_tokens=12, constraint=c, seed=i) for i,c in enumerate(constraints)]
    prompt, opened, whole = m.encode('Say: '), [], m.session
    m.session = lambda rows, room=64: opened.append(len(rows)) or whole(rows, room)
    try: ours = m.sample([prompt]*64, plans)
    finally: del m.session
    assert opened==[1] # one session, of one kept row at first
    assert [s.ids for s, in ours]==[s.ids for s, in hf.sample([prompt]*64, plans)]
    assert max(worst_kept(m, prompt, s, c) for (s,),c in zip(ours, constraints)) < 1e-6
    assert all(s.text in (f'{i}.', f'{i+1}, {i}') for i,(s,) in enumerate(ours))

def test_remembering_runs_each_token_once(both):
    "What one decision of expected information gain asks: forecasts, beliefs now and after each forecast, twice."
    m = both[1]
    state = m.chat([dict(role='user', content='a7+8-2=?')]) + m.encode('7+8=15')
    cue, answers = m.encode('\nanswer: '), [m.encode(str(i)) for i in (13, 15, 2, 17)]
    plan = Sampling(n=8, max_tokens=24, seed=3, kind='forecast', stop=('\n',))
    plain = m.score([(state+cue, a) for a in answers])
    with m.remembering():
        m.usage.reset()
        for _ in range(2):
            forecasts, = m.sample([state], plan)
            now = m.score([(state+cue, a) for a in answers])
            m.score([(state+f.ids+cue, a) for f in forecasts for a in answers])
        ratio = m.usage.run/m.usage.unique
    same = [abs(a.logprob-b.logprob) for a,b in zip(plain, now)]
    assert max(same) < 1e-4 and 1 <= ratio <= 1.1, ratio
    assert m.net.memory is None and [s.ids for s in forecasts]==[s.ids for s in m.sample([state], plan)[0]]

def test_remembering_within_little_memory(both):
    small = load('mlx:reference:student', device='cpu', memory_gb=2e-4)
    with small.remembering():
        for seed in range(4): same(both[0], small, pairs(40, seed=seed), 1e-3)
        assert len(small.net.memory.nodes) <= small.net.memory.nodes.capacity
