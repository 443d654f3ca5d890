"Sampling on Transformers: every option of the contract, against the exact distribution and Transformers' own generate."
from dataclasses import replace

import numpy as np, pytest, torch
from scipy import stats
from decodelab.backends import Choices, DeadEnd, Sampling, draw, filtered, invert, load, mask
from decodelab.core import BadValue
from decodelab.tasks import load_questions
from decodelab.eig import frame_for, prompt_ids

@pytest.fixture(scope='module')
def prompts(student):
    return [prompt_ids(student, frame_for(student), q.text) for q in load_questions('reference', 24, 9)]

def theirs(model, prompts, n):
    "Greedy continuations by Transformers' generate."
    out = []
    for p in prompts:
        ids = model.generate(torch.tensor([p]), max_new_tokens=n, do_sample=False, pad_token_id=0)
        out.append(tuple(ids[0,len(p):].tolist()))
    return out

def test_greedy_is_transformers_greedy(student, prompts):
    ours = [s[0].ids for s in student.sample(prompts, Sampling(max_tokens=40, temperature=0))]
    assert sum(a!=b for a,b in zip(ours, theirs(student.model, prompts, 40)))==0

HOT = [Sampling(temperature=1.7), Sampling(temperature=2., top_k=3), Sampling(temperature=3., top_p=.8),
       Sampling(temperature=3., min_p=.05), Sampling(temperature=4., top_k=20, top_p=.95, min_p=.01)]

@pytest.mark.parametrize('plan', HOT)
def test_draws_follow_the_filtered_distribution(student, prompts, plan):
    p = filtered(torch.from_numpy(student.next_logprobs([prompts[0]])), plan)[0].numpy()
    samples = student.sample([prompts[0]], replace(plan, n=4000, max_tokens=1, seed=11))[0]
    seen = np.bincount([s.ids[0] for s in samples], minlength=len(p))
    assert seen[p==0].sum()==0
    big = p*4000 > 5
    observed, expected = np.append(seen[big], seen[~big].sum()), np.append(p[big], p[~big].sum())*4000
    keep = expected > 1e-9
    if keep.sum() < 2: return
    assert stats.chisquare(observed[keep], expected[keep]*observed.sum()/expected[keep].sum()).pvalue > 1e-3

COLD = [Sampling(), Sampling(top_p=.9), Sampling(top_k=40), Sampling(top_k=300, top_p=.8, temperature=.7),
        Sampling(min_p=.02), Sampling(top_p=.95, min_p=.001, temperature=1.3), Sampling(top_p=.5, temperature=.3)]

@pytest.mark.parametrize('plan', COLD, ids=lambda p: f'{p.temperature}-{p.top_p}-{p.top_k}-{p.min_p}')
@pytest.mark.parametrize('vocabulary,rows', [(3, 300), (1000, 300), (20_000, 20)])
def test_draws_are_those_of_the_definition(plan, vocabulary, rows):
    "The draw that sorts only a border equals inversion of the fully sorted distribution."
    rng = np.random.default_rng(vocabulary)
    for scale in (.3, 1., 3., 10.):
        logp = torch.log_softmax(torch.tensor(rng.normal(size=(rows, vocabulary))*scale, dtype=torch.float32), -1)
        u = rng.random(rows)
        assert torch.equal(draw(logp, u, plan), invert(filtered(logp, plan), u)), scale

def test_ties_at_the_border_of_the_nucleus_go_by_their_order():
    logp = torch.log(torch.full((1, 20_000), 1/20_000))
    plan, u = Sampling(top_p=.50002), np.array([.9999])
    assert int(draw(logp, u, plan))==int(invert(filtered(logp, plan), u))==9_999

def test_stop_strings_are_found_in_decoded_text(student, prompts):
    stop = ('=7\n', '2 ')
    for s, in student.sample(prompts, Sampling(max_tokens=60, stop=stop, seed=1)):
        assert not any(x in s.text for x in stop)
        assert s.finish!='stop' or student.decode(s.ids).endswith(stop)
    kept = student.sample(prompts, Sampling(max_tokens=60, stop=('\n',), include_stop=True))
    assert all(x.text.endswith('\n') and x.text.count('\n')==1 for x, in kept if x.finish=='stop')

def test_many_constraints_are_one_batch(student, prompts, monkeypatch):
    "64 rows with 64 languages: one session, every text in its language, the kept mass the model's own."
    opened, session = [], type(student).session
    def spy(self, prefixes, room=64):
        opened.append(len(prefixes))
        return session(self, prefixes, room)
    monkeypatch.setattr(type(student), 'session', spy)
    languages = [(f'{i:02d}', f'{i:02d}{i%7}', 'no') for i in range(64)]
    def held(words): return Choices(tuple(student.encode(x) for x in words), student.eos_ids)
    plans = [Sampling(constraint=held(words), max_tokens=9, seed=i) for i,words in enumerate(languages)]
    asked = [prompts[i%24] for i in range(64)]
    out = [s for s, in student.sample(asked, plans)]
    assert len(opened)==1 and all(s.text in words and s.finish=='eos' for s,words in zip(out, languages))
    for s,prompt,plan in list(zip(out, asked, plans))[:8]:
        matcher = plan.constraint.start()
        for i,x in enumerate(s.ids):
            row = student.next_logprobs([(*prompt, *s.ids[:i])])[0].astype(np.float64)
            assert abs(np.logaddexp.reduce(row[sorted(matcher.follows())])-s.notes['kept'][i]) < 1e-4
            assert abs(row[x]-s.logprobs[i]) < 1e-4 # the model's own
            if x not in student.eos_ids: matcher.accept([x])

def test_a_mask_keeps_what_it_says():
    "Rows of 49,152 tokens: the kept mass and the renormalised rows, by hand."
    rng = np.random.default_rng(0)
    logp = torch.log_softmax(torch.tensor(rng.normal(size=(8, 49_152))*3, dtype=torch.float32), -1)
    bits = rng.integers(-2**31, 2**31, (8, 49_152//32), dtype=np.int64).astype(np.int32)
    rows, kept = mask(logp, bits)
    for i in range(8):
        allow = [t for t in range(49_152) if int(bits[i,t>>5])>>(t&31) & 1]
        want = logp[i,allow].double()
        assert abs(torch.logsumexp(want, -1)-kept[i]) < 1e-6 and torch.isneginf(rows[i]).sum()==49_152-len(allow)
        assert (rows[i,allow].double()-(want-kept[i])).abs().max() < 1e-5

def test_a_language_without_words_is_an_error(student, prompts):
    with pytest.raises(DeadEnd): student.sample(prompts[:1], Sampling(constraint=Choices(((270,),), ())))

def test_usage_counts_kinds_of_tokens(student, prompts):
    student.usage.reset()
    a = student.sample(prompts, Sampling(max_tokens=7))
    b = student.sample(prompts, Sampling(max_tokens=5, kind='forecast'))
    assert student.usage.decoded==sum(len(s[0].ids) for s in a)
    assert student.usage.forecast==sum(len(s[0].ids) for s in b)

def test_bad_sampling_is_named():
    for kw in (dict(n=0), dict(top_p=0), dict(top_k=-1), dict(stop=('',)), dict(max_tokens=0), dict(constraint=len)):
        with pytest.raises(BadValue, match=next(iter(kw))): Sampling(**kw)

def test_chat_template(student):
    said = (('user', 'a1+2=?'), ('assistant', '3'), ('user', 'a3+4=?'))
    turns = [dict(role=who, content=what) for who,what in said]
    text = '<|question|>a1+2=?<think></think><|answer|>3<|end|><|question|>a3+4=?<think>'
    assert student.decode(student.chat(turns))==student.chat_text(turns)==text

SMALL = dict(hidden_size=64, num_hidden_layers=2, vocab_size=262, bos_token_id=None, eos_token_id=261)

def saved(model, folder):
    "A folder with a small model and the students' tokenizer, loaded."
    from decodelab.backends.shipped import tokenizer
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return load(f'hf:{folder}', device='cpu')

@pytest.fixture(scope='module')
def windowed(tmp_path_factory):
    "A small model with sliding windows, whose states cannot be shared over a trie."
    from transformers import MistralConfig, MistralForCausalLM
    torch.manual_seed(0)
    shape = dict(intermediate_size=96, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256)
    config = MistralConfig(**SMALL, **shape, sliding_window=6, initializer_range=.3)
    return saved(MistralForCausalLM(config), tmp_path_factory.mktemp('mistral'))

def test_models_with_windows_take_the_plain_path_and_agree(windowed):
    rng = np.random.default_rng(0)
    prompts = [tuple(map(int, rng.integers(0, 256, n))) for n in (3, 12, 30, 7)]
    assert not windowed.capabilities.prefix_sharing and not windowed._replays # its rows are kept
    for p,s in zip(prompts, windowed.score([(p, (5, 9, 11)) for p in prompts])):
        with torch.inference_mode():
            logp = torch.log_softmax(windowed.model(torch.tensor([[*p, 5, 9, 11]])).logits[0].double(), -1)
        assert np.abs(s.token_logprobs-logp[len(p)-1:len(p)+2][range(3), [5,9,11]].numpy()).max() < 1e-4
    ours = [s[0].ids for s in windowed.sample(prompts, Sampling(max_tokens=20, temperature=0))]
    assert ours==theirs(windowed.model, prompts, 20)

@pytest.fixture(scope='module')
def recurrent(tmp_path_factory):
    "A small Mamba: one recurrent state, no keys and values."
    from transformers import MambaConfig, MambaForCausalLM
    torch.manual_seed(0)
    config = MambaConfig(**SMALL | dict(hidden_size=32), state_size=8, initializer_range=.5)
    return saved(MambaForCausalLM(config), tmp_path_factory.mktemp('mamba'))

def plain(model, ids):
    "Log-probabilities [T, V] of one plain forward pass."
    with torch.inference_mode(): logits = model(torch.tensor([list(ids)])).logits[0]
    return torch.log_softmax(logits.double(), -1).numpy()

def test_recurrent_models_are_run_anew_and_agree(recurrent):
    "Scores, distributions, sessions, draws and streams of a model that keeps no keys and values."
    rng, model = np.random.default_rng(0), recurrent.model
    prompts = [tuple(map(int, rng.integers(0, 256, n))) for n in (3, 12, 1, 7)]
    last = np.stack([plain(model, p)[-1] for p in prompts])
    assert not recurrent.capabilities.prefix_sharing and np.abs(recurrent.next_logprobs(prompts)-last).max() < 1e-4
    for p,s in zip(prompts, recurrent.score([(p, (5, 9, 11)) for p in prompts])):
        want = plain(model, [*p, 5, 9, 11])[len(p)-1:len(p)+2][range(3), [5,9,11]]
        assert np.abs(s.token_logprobs-want).max() < 1e-4
    greedy = Sampling(max_tokens=12, temperature=0)
    out = [x[0] for x in recurrent.sample(prompts, greedy)]
    for p,x in zip(prompts, out):
        assert list(x.ids)==[int(plain(model, [*p, *x.ids[:i]])[-1].argmax()) for i in range(len(x.ids))]
    assert ''.join(recurrent.stream(prompts[1], greedy))==out[1].text
    hot = Sampling(n=2, max_tokens=6, seed=4)
    together, alone = recurrent.sample(prompts, hot)[1], recurrent.sample(prompts[1:2], hot)[0]
    assert [x.ids for x in together]==[x.ids for x in alone]

@pytest.mark.parametrize('kind', ['student', 'remembering', 'windowed', 'recurrent'])
def test_sessions_stand_where_fresh_ones_would(request, kind):
    "200 random histories of steps, blocks, ways back, forks, selections and drops."
    model, rng = request.getfixturevalue('student' if kind=='remembering' else kind), np.random.default_rng(0)
    few = 200 if kind in ('student', 'remembering') else 20
    from contextlib import nullcontext
    with model.remembering() if kind=='remembering' else nullcontext():
        for _ in range(few): one_history(model, rng)

def tokens(rng, low, high): return tuple(map(int, rng.integers(0, 12, rng.integers(low, high+1))))

def one_history(model, rng):
    rows = [tokens(rng, 1, 5) for _ in range(rng.integers(1, 5))]
    with model.session(rows) as session:
        for _ in range(rng.integers(1, 6)):
            session, rows = one_move(session, rows, rng)
            if not rows: return
            assert session.lengths.tolist()==[len(r) for r in rows]
        want = np.stack([plain(model.model, r)[-1] for r in rows])
        assert np.abs(np.asarray(session.logprobs)-want).max() < 1e-4

def one_move(session, rows, rng):
    "A random move of a session, and the rows that it should hold afterwards."
    move = rng.choice(['step', 'extend', 'rewind', 'fork', 'select', 'drop'])
    if move=='step':
        new = [int(x) for x in rng.integers(0, 3, len(rows))]
        session.step(new)
        return session, [(*r, x) for r,x in zip(rows, new)]
    if move=='extend':
        blocks = [tokens(rng, 0, 3) for _ in rows]
        out, grown = np.asarray(session.extend(blocks)), [(*r, *b) for r,b in zip(rows, blocks)]
        assert out.shape[:2]==(len(rows), max(map(len, blocks)))
        assert all(np.isneginf(out[i,len(b):]).all() for i,b in enumerate(blocks))
        return session, grown
    if move=='rewind':
        to = [int(rng.integers(1, len(r)+1)) for r in rows]
        session.rewind(to)
        return session, [r[:n] for r,n in zip(rows, to)]
    if move=='drop':
        gone = [i for i in range(len(rows)) if rng.random() < .3]
        session.drop(gone)
        return session, [r for i,r in enumerate(rows) if i not in gone]
    pick = [int(x) for x in rng.integers(0, len(rows), rng.integers(1, 6))]
    if move=='fork': return session.fork(pick), [rows[i] for i in pick]
    session.select(pick)
    return session, [rows[i] for i in pick]

def test_extend_tells_what_steps_tell(student):
    rows, blocks = [(1,2,3), (9,), (5,5)], [(4,5,6), (7,), (8,8)]
    with student.session(rows) as a:
        out = a.extend(blocks)
        for i,(row,block) in enumerate(zip(rows, blocks)):
            with student.session([row]) as b:
                for j,x in enumerate(block): assert torch.abs(b.step([x])[0]-out[i,j]).max() < 1e-4

def test_remembering_changes_no_draw_and_runs_no_token_twice(student, prompts):
    plan = Sampling(n=3, max_tokens=30, seed=2)
    def work():
        student.usage.reset()
        out = student.sample(prompts[:6], plan)
        return out, student.score([((*p, *s.ids), (65,)) for p,row in zip(prompts, out) for s in row])
    texts, scores = work()
    with student.remembering(): again, told = work()
    assert [s.ids for row in texts for s in row]==[s.ids for row in again for s in row]
    assert max(abs(a.logprob-b.logprob) for a,b in zip(scores, told)) < 1e-4
    assert student.usage.run <= 1.02*student.usage.unique

def test_a_small_memory_forgets_and_is_right(prompts):
    from decodelab.backends.shipped import folder
    small = load(f'hf:{folder("student")}', device='cpu', memory_gb=.002) # some 350 nodes
    plain_scores = small.score([(p, (65, 66)) for p in prompts])
    with small.remembering():
        for _ in range(2): found = small.score([(p, (65, 66)) for p in prompts])
        texts = small.sample(prompts, Sampling(max_tokens=20, seed=5))
        assert len(small._memory.nodes) <= small._memory.nodes.capacity
    assert max(abs(a.logprob-b.logprob) for a,b in zip(plain_scores, found)) < 1e-4
    assert [s[0].ids for s in texts]==[s[0].ids for s in small.sample(prompts, Sampling(max_tokens=20, seed=5))]

def test_options_reach_the_runtime():
    from decodelab.backends.shipped import folder
    b = load(f'hf:{folder("student")}', device='cpu', dtype='bfloat16', attn_implementation='eager')
    assert b.model.dtype==torch.bfloat16 and b.model.config._attn_implementation=='eager'
    assert b.next_logprobs([(1,2,3)]).shape==(1, 262)
    with pytest.raises(BadValue, match='dtype'): load(f'hf:{folder("student")}', dtype='float12')
    if not torch.cuda.is_available():
        with pytest.raises(BadValue, match='cpu'): load(f'hf:{folder("student")}', device='cuda')

def test_eager_attention_draws_the_same(student):
    "It makes a mask of its own where none is given, as wide as what the session shows."
    from decodelab.backends.shipped import folder
    eager = load(f'hf:{folder("student")}', device='cpu', attn_implementation='eager')
    prompts = [tuple(student.encode(t)) for t in ('3a+4b*2c-1=?', '2a=?', '1a+2b=?')]
    drawn = [[s.ids for group in m.sample(prompts, Sampling(max_tokens=20, seed=1, n=2)) for s in group]
             for m in (student, eager)]
    assert drawn[0]==drawn[1] and eager.model.config._attn_implementation=='eager'
    found = []
    for m in (student, eager):
        with m.session([prompts[0]]*2, room=9) as session:
            for _ in range(3): session.step([5, 5])
            session.rewind([len(prompts[0])+1]*2)
            found.append(session.step([7, 8]).numpy().copy())
    assert np.abs(found[0]-found[1]).max() < 1e-4

@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('width', [8, 600, 20_000])
def test_a_temperature_of_nearly_nothing_is_greedy(width):
    logp = torch.randn(2, width, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    for heat in (1e-9, 1e-40, 1e-300):
        for more in ({}, dict(top_p=.9), dict(top_k=3), dict(min_p=.1)):
            plan = Sampling(temperature=heat, **more)
            assert (draw(logp, np.array([.1, .9]), plan)==logp.argmax(-1)).all()
            assert (filtered(logp, plan).argmax(-1)==logp.argmax(-1)).all()
