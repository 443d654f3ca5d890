"vLLM in this process against Transformers float32, and its manners: clean ends, cancelled streams, early errors."
import importlib.util, json, os, random, shutil, subprocess, sys
import numpy as np
import pytest
from decodelab.backends import Sampling, load
from decodelab.backends.shipped import folder
from decodelab.backends.decoding import Choices
from decodelab.core.errors import BadValue, DecodelabError, MissingExtra, ModelError
from by_hand import KINDS, RIGHT, apart, choices, fuzzed, made, worst_kept

if importlib.util.find_spec('vllm') is None and not os.environ.get('CI'):
    pytest.skip('vllm is not installed: pip install "decodelab[vllm]"', allow_module_level=True)

def requests(n, seed, most=24):
    "Empty contexts, shared and nested prefixes around the cache's block size, short and long continuations, repeats."
    rng = random.Random(seed)
    def some(*lengths): return tuple(rng.choices(range(256), k=rng.choice(lengths)))
    trunk, out = some(160), []
    for i in range(n):
        prefix = trunk[:rng.choice((0, 1, 31, 32, 33, 64, 96, 160, rng.randint(0, 160)))] + some(0, 0, 1, 5, 30)
        tail = some(1, 1, 2, 6, most)
        follows = trunk[len(prefix):len(prefix)+rng.choice((1, 2, 40))] if i%7==0 else ()
        out.append((() if i%29==0 else prefix, follows+tail))
    return out + out[:n//10]

@pytest.fixture(scope='module')
def vllm():
    b = load('vllm:reference:student')
    yield b
    b.close()

@pytest.fixture(scope='module')
def prompts(vllm):
    from decodelab.tasks import load_questions
    return [vllm.chat([dict(role='user', content=q.text)]) for q in load_questions('reference', 12, 4)]

def same(a, b):
    assert max(np.abs(x.token_logprobs-y.token_logprobs).max(initial=0) for x,y in zip(a, b)) < 1e-3
    assert [x.greedy for x in a]==[y.greedy for y in b]

def test_scores_are_those_of_transformers(vllm, student):
    pairs, u = requests(300, 0), vllm.usage
    vllm.engine.reset_prefix_cache()
    for model in (vllm, student): model.usage.reset()
    got, want = vllm.score(pairs), student.score(pairs)
    same(got, want)
    assert u.unique==student.usage.unique <= u.run < u.prompt and u.cached > u.prompt/2 and u.run < 3*u.unique
    same(vllm.score(pairs), want) # now that the cache has them all
    same([vllm.score([p])[0] for p in pairs[:40]], want[:40])
    assert vllm.score([])==[] and vllm.score([((1,2), ())])[0].logprob==0

def test_the_cache_that_has_a_continuation_loses_nothing(vllm, student):
    "Rolling windows, twice: the second time all is cached, and is computed again rather than read from nowhere."
    text = tuple(random.Random(3).choices(range(256), k=400))
    pairs = [((), text), (text[:64], text[64:]), (text[:200], text[200:328])]
    want = student.score(pairs)
    for _ in range(2):
        vllm.usage.reset()
        same(vllm.score(pairs), want)
    assert vllm.usage.run < 2*vllm.usage.unique

def test_every_token_can_be_asked_after_one_prefix(vllm, student):
    pairs = [((5,6,7), (i,)) for i in range(vllm.vocab_size)]
    got = vllm.score(pairs)
    same(got, student.score(pairs))
    assert sum(s.greedy for s in got)==1 and abs(np.exp([s.logprob for s in got]).sum()-1) < 1e-4

def test_ends_of_the_model(vllm, student):
    long = tuple(random.Random(0).choices(range(256), k=4096))
    pairs, plan = [(long, (7,)), (long[:4000], long[4000:])], Sampling(max_tokens=50, temperature=0)
    same(vllm.score(pairs), student.score(pairs))
    assert vllm.sample([long[:4090]], plan)[0][0].ids==student.sample([long[:4090]], plan)[0][0].ids
    with pytest.raises(ModelError, match='a prompt of 4098 tokens; the model takes 4097'): vllm.score([(long, (7, 8))])
    with pytest.raises(ModelError, match='the model takes 4096'): vllm.sample([long], Sampling())
    with pytest.raises(ModelError, match='the model takes 4096'): vllm.next_logprobs([long+(1,)])

def close(found, want): return np.abs(np.exp(np.asarray(found))-np.exp(np.asarray(want))).max() < 1e-4

def test_distributions_and_sessions(vllm, student):
    prefixes = [p for p,_ in requests(40, 1)]
    p = vllm.next_logprobs(prefixes)
    assert p.shape==(44, vllm.vocab_size) and close(p, student.next_logprobs(prefixes))
    assert vllm.next_logprobs([]).shape==(0, vllm.vocab_size)
    a, b = vllm.session(prefixes[:6]), student.session(prefixes[:6])
    for ids in ([1,2,3,4,5,6], [9,8,7,6,5,4]): assert close(a.step(ids), b.step(ids))
    f, g = a.fork([3,0,3]), b.fork([3,0,3])
    for session in (a, b): session.drop([0,5])
    for x,y,ids in ((f, g, [1,2,3]), (a, b, [1,2,3,4])): assert close(x.step(ids), y.step(ids))
    a.close()
    f.close()

PLANS = dict(
    greedy=Sampling(max_tokens=60, temperature=0),
    stops=Sampling(max_tokens=60, temperature=0, stop=('=7\n', '2 ')),
    kept=Sampling(max_tokens=60, stop=('\n',), include_stop=True, seed=2),
    ids=Sampling(max_tokens=40, stop_ids=(ord('='),), seed=3),
    hot=Sampling(n=3, max_tokens=30, temperature=2.5, top_p=.9, top_k=40, min_p=.01, seed=4))

def facts(samples): return [[(s.ids, s.text, s.finish) for s in row] for row in samples]

@pytest.mark.parametrize('name', PLANS)
def test_samples_are_those_of_transformers(vllm, student, prompts, name):
    ours, theirs = vllm.sample(prompts, PLANS[name]), student.sample(prompts, PLANS[name])
    assert facts(ours)==facts(theirs)
    assert max(np.abs(a.logprobs-b.logprobs).max() for x,y in zip(ours, theirs) for a,b in zip(x, y)) < 1e-3

def test_draws_depend_on_seed_prompt_and_number_only(vllm, prompts):
    def drawn(asked, **plan):
        plan = Sampling(max_tokens=20, temperature=1.5, **plan)
        return [[s.ids for s in row] for row in vllm.sample(asked, plan)]
    whole, alone = drawn(prompts, n=4, seed=7), prompts[5:6]
    assert drawn(alone, n=4, seed=7)[0]==whole[5] and drawn(alone, n=2, first=2, seed=7)[0]==whole[5][2:]
    assert len(set(whole[5])) > 1 and drawn(alone, n=4, seed=8)[0][0]!=whole[5][0]

def test_constraints_are_those_of_transformers(vllm, student, prompts):
    words = tuple(vllm.encode(str(i)) for i in (7, 12, 125, 88))
    plan = Sampling(max_tokens=6, temperature=1., constraint=Choices(words, vllm.eos_ids))
    ours = vllm.sample(prompts, plan)
    assert all(s[0].text in ('7', '12', '125', '88') for s in ours)
    assert [s[0].ids for s in ours]==[s[0].ids for s in student.sample(prompts, plan)]

def test_different_constraints_are_one_call_of_the_hook(vllm, student, monkeypatch):
    from decodelab.backends.vllm_hook import Hook
    rows, draw = [], Hook._draw
    def counted(self, logits, logp, at):
        rows.append(len(at))
        draw(self, logits, logp, at)
    monkeypatch.setattr(Hook, '_draw', counted)
    constraints = choices(vllm, 64)
    plans = [Sampling(max_tokens=12, constraint=c, seed=i) for i,c in enumerate(constraints)]
    prompt = vllm.encode('Say: ')
    ours = vllm.sample([prompt]*64, plans)
    assert rows[0]==64 and len(rows)==max(len(s.ids) for s, in ours)
    assert [s.ids for s, in ours]==[s.ids for s, in student.sample([prompt]*64, plans)]
    assert max(worst_kept(vllm, prompt, s, c) for (s,),c in zip(ours, constraints)) < 1e-6

class Nothing:
    "A constraint that allows no token."
    grammar = name = 'nothing'
    def start(self): return Choices(((1,),), (0,)).start()
    def fill(self, matchers, rows, bits): bits[rows] = 0

def test_a_dead_end_is_an_error_and_the_engine_lives_on(vllm, prompts):
    with pytest.raises(ModelError, match='allows no token'): vllm.sample(prompts, Sampling(constraint=Nothing()))
    assert not vllm.engine.has_unfinished_requests() and vllm.sample(prompts[:1], Sampling(max_tokens=3))[0][0].ids

def test_sessions_grow_and_go_back_as_fresh_ones(vllm): assert fuzzed(vllm, 200) < 1e-4

def test_rewind_is_checked(vllm):
    with vllm.session([(1,2,3)]) as session:
        for n in (0, 4):
            with pytest.raises(BadValue, match='1 to 3 tokens'): session.rewind([n])

@pytest.mark.parametrize('kind', KINDS)
def test_a_field_of_the_configuration_is_read_or_the_model_is_refused(tmp_path, kind):
    model = made(tmp_path/'m', KINDS[kind][0], **KINDS[kind][1])
    try: b = load(f'vllm:{tmp_path/"m"}')
    except ModelError as e:
        assert kind not in RIGHT and '\n' not in str(e)
        return
    try: assert apart(b, model) < 1e-3
    finally: b.close()

def test_the_way_out_of_a_refusal(tmp_path):
    model = made(tmp_path/'m', 'phi3', **KINDS['phi3_long'][1])
    b = load(f'vllm:{tmp_path/"m"}', max_model_len=15)
    try: assert apart(b, model, (6, 14)) < 1e-3
    finally: b.close()

def test_what_has_no_kernel_is_found_when_it_is_loaded(tmp_path):
    made(tmp_path/'m', 'llama', head_dim=16, num_attention_heads=4)
    with pytest.raises(ModelError, match='cannot run it here: Unsupported CPU attention configuration'):
        load(f'vllm:{tmp_path/"m"}')

def test_a_model_that_is_dropped_leaves_the_next_one_whole(student):
    b = load('vllm:reference:student', max_model_len=256)
    b = load('vllm:reference:student', max_model_len=256)
    same(b.score([((1,2), (3,))]), student.score([((1,2), (3,))]))
    b.close()

def test_streams_are_samples_in_pieces_and_can_be_left(vllm, prompts):
    plan, greedy = Sampling(max_tokens=60, temperature=0, stop=('=7\n',)), Sampling(max_tokens=40, temperature=0)
    assert ''.join(vllm.stream(prompts[0], plan))==vllm.sample(prompts[:1], plan)[0][0].text
    a, b = vllm.stream(prompts[0], Sampling(max_tokens=2000, temperature=3.)), vllm.stream(prompts[1], greedy)
    first = next(a)
    whole = next(b)+''.join(b) # two at once, and a score between
    vllm.score(requests(5, 2))
    a.close()
    assert first and whole==vllm.sample(prompts[1:2], greedy)[0][0].text
    assert not vllm.engine.has_unfinished_requests() and not vllm._boxes

def test_counts(vllm, prompts):
    u, asked = vllm.usage, sum(map(len, prompts))
    u.reset()
    out = vllm.sample(prompts, Sampling(n=2, max_tokens=9))
    vllm.sample(prompts[:1], Sampling(max_tokens=5, kind='forecast'))
    assert u.decoded==sum(len(s.ids) for row in out for s in row) and 0 < u.forecast <= 5
    assert u.prompt==asked+len(prompts[0]) and u.run+u.cached==2*asked+len(prompts[0])
    assert u.seconds > 0 and u.peak_memory > 0

def test_text_and_names(vllm, student):
    for t in ('Grüße 数学 🙂', '<|question|>3+4<think>', ' a\n', ''):
        assert vllm.encode(t)==student.encode(t) and vllm.decode(vllm.encode(t))==t
    def named(m): return m.eos_ids, m.prefix_id, m.vocab_size, m.max_length, m.special_ids, m.adds_bos, m.template
    assert named(vllm)==named(student) and vllm.name=='vllm:reference:student'
    assert vllm.fingerprint()==vllm.fingerprint()!=load('vllm:reference:teacher', max_model_len=128).fingerprint()

LOADED = """import sys
from decodelab.backends import load
try: load("vllm:{}")
except Exception as e: print(type(e).__name__, e)
assert "vllm" not in sys.modules and "torch" not in sys.modules"""

@pytest.mark.parametrize('what', ['truncated weights', 'no tokenizer', 'missing'])
def test_a_bad_folder_is_named_before_vllm_is_imported(tmp_path, what):
    d = tmp_path/'model'
    if what!='missing': shutil.copytree(folder('student'), d)
    if what=='truncated weights': (d/'model.safetensors').write_bytes((d/'model.safetensors').read_bytes()[:5000])
    if what=='no tokenizer':
        for f in d.glob('tokenizer*'): f.unlink()
    p = subprocess.run([sys.executable, '-c', LOADED.format(d)], capture_output=True, text=True)
    words = {'truncated weights': 'corrupt', 'no tokenizer': 'no tokenizer', 'missing': 'no such folder'}[what]
    assert p.returncode==0 and p.stdout.startswith('ModelError'), p.stdout+p.stderr
    assert str(d) in p.stdout and words in p.stdout, p.stdout+p.stderr

def test_a_model_larger_than_memory_is_named_before_it_is_loaded(tmp_path):
    d = shutil.copytree(folder('student'), tmp_path/'model')
    head = json.dumps(dict(w=dict(dtype='F32', shape=[1<<37], data_offsets=[0, 1<<39]))).encode()
    with open(d/'model.safetensors', 'wb') as f:
        f.write(len(head).to_bytes(8, 'little') + head)
        f.truncate(8+len(head)+(1<<39)) # a hole: no disk is used
    with pytest.raises(ModelError, match='needs about 51[2-9].* GiB of memory'): load(f'vllm:{d}')

def test_wrong_options_are_named():
    with pytest.raises(BadValue, match="tensor_paralel_size.*Did you mean 'tensor_parallel_size'"):
        load('vllm:reference:student', tensor_paralel_size=2)
    with pytest.raises(DecodelabError, match='float12'): load('vllm:reference:student', dtype='float12')

def test_a_missing_runtime_is_one_sentence(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda n, *a: None if n=='vllm' else find(n, *a))
    with pytest.raises(MissingExtra, match=r'vllm is not installed: pip install "decodelab\[vllm\]"'):
        load('vllm:reference:student')

LEFT = """import os
from decodelab.backends import load, Sampling
b = load("vllm:reference:student", max_model_len=256)
s = b.stream((1,2), Sampling(max_tokens=200, temperature=3.))
next(s)
{}
print("children", open(f"/proc/{{os.getpid()}}/task/{{os.getpid()}}/children").read())"""
AGAIN = """b.close()
b.close()
c = load("vllm:reference:student", max_model_len=256)
print(c.score([((1,), (2,))])[0].logprob)
c.close()"""

@pytest.mark.parametrize('close', [True, False])
def test_the_process_ends_cleanly(close):
    "Exit status 0, nothing left running; also when nobody closes it, in the middle of a stream."
    code = LEFT.format(AGAIN if close else '')
    p = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=300)
    assert p.returncode==0 and 'children \n' in p.stdout and 'Traceback' not in p.stderr, p.stdout+p.stderr
