"q* on toys that can be enumerated: frequencies, drafts, weights, vocabularies."
import math
from collections import Counter
import numpy as np, pytest, torch
from scipy.stats import chisquare
from decodelab.backends import Sampling
from decodelab.backends.toy import Toy
from decodelab.core.errors import BadValue, ModelError
from decodelab.maths.tilt import alpha_methods, q_star
from decodelab.optimal import OptimalSamplingModel, estimate

def toys(vocab='ab.$', concentration=1., **options):
    return (Toy.random(vocab, 0, concentration, name='student', **options),
            Toy.random(vocab, 1, concentration, name='teacher', **options))

def pair(**options): return OptimalSamplingModel(*toys(), **options)

def exact(model, prompt, prompt_t, length, temperature=1.):
    "Every text of at most `length` tokens under q*, by the pure function alone, with its probability and Σ log Z."
    out, ends = {}, set(model.eos_ids)
    def grow(ids, logprob, log_z):
        if len(ids)==length or ids and ids[-1] in ends:
            out[ids] = math.exp(logprob), log_z
            return
        rows = [torch.from_numpy(m.logprobs((*p, *ids)))[None] for m,p in ((model.theta, prompt), (model.t, prompt_t))]
        found = q_star(*rows, model.how, temperature)
        for x,lp in enumerate(found.log_q[0].tolist()):
            if lp > -math.inf: grow((*ids, x), logprob+lp, log_z+float(found.log_z))
    grow((), 0., 0.)
    return out

def frequent(rows, expected):
    "p-value of texts against their probabilities, rare ones pooled."
    counts, n = Counter(rows), len(rows)
    assert set(counts) <= set(expected)
    common = [ids for ids,p in expected.items() if p*n >= 8]
    seen = [counts[ids] for ids in common]
    wanted = [expected[ids]*n for ids in common]
    if sum(wanted) < n-1e-6: seen, wanted = [*seen, n-sum(seen)], [*wanted, n-sum(wanted)]
    return chisquare(seen, wanted).pvalue

def texts(out): return [tuple(ids[m].tolist()) for ids,m in zip(out.generated_ids, out.mask)]

DRAFTS = [dict(), dict(draft_tokens=3), dict(draft_tokens=3, draft_rule='residual')]

@pytest.mark.parametrize('how', DRAFTS, ids=['plain', 'shared', 'residual'])
@pytest.mark.parametrize('temperature, top_k', [(1., -1), (.7, -1), (1., 2)])
def test_frequencies_are_those_of_q_star(how, temperature, top_k):
    "Two prompts a row; top_k cuts q*, not the models."
    model = pair(alpha_min=0.)
    how = dict(temperature=temperature, top_k=top_k, seed=1) | how
    out = model.generate([(0,)]*4000, [(1, 0)]*4000, max_new_tokens=3, **how)
    if top_k < 0: expected = {ids: p for ids,(p,_) in exact(model, (0,), (1, 0), 3, temperature).items()}
    else:
        found = exact(model, (0,), (1, 0), 1)
        best = sorted(((p, ids) for ids,(p,_) in found.items()), reverse=True)[:2]
        assert set(ids[:1] for ids in texts(out))=={ids for _,ids in best}
        assert frequent([ids[:1] for ids in texts(out)], {ids: p/sum(p for p,_ in best) for p,ids in best}) > 1e-3
        return
    assert frequent(texts(out), expected) > 1e-3

@pytest.mark.parametrize('method, temperature', [*((entry.name, 1.) for entry in alpha_methods), ('kl_symmetry', 0.),
                                                 ('ess_balance', .6)])
def test_drafts_and_batches_change_no_text(method, temperature):
    model = pair(alpha_method=method, alpha_min=.2)
    rng = np.random.default_rng(0)
    prompts = [tuple(rng.integers(0, 3, rng.integers(1, 6)).tolist()) for _ in range(24)]
    prompts_t = [tuple(rng.integers(0, 3, rng.integers(1, 9)).tolist()) for _ in range(24)]
    plain = model.generate(prompts, prompts_t, max_new_tokens=20, temperature=temperature, seed=3)
    for k,size in ((0, 1), (0, 7), (1, 8), (2, 64), (8, 5), ('auto', 16)):
        out = model.generate(prompts, prompts_t, max_new_tokens=20, temperature=temperature, seed=3, draft_tokens=k,
                             batch_size=size)
        assert texts(out)==texts(plain) and out.generated_texts==plain.generated_texts
        assert torch.allclose(out.alpha_values, plain.alpha_values, equal_nan=True, atol=1e-5)
        assert torch.equal(out.alpha_values.isnan(), ~out.mask)

@pytest.mark.parametrize('how', [dict(), dict(temperature=0.), dict(temperature=.6), dict(top_p=.8), dict(top_k=2)])
@pytest.mark.parametrize('options', [dict(), dict(alpha_min=0.), dict(alpha_method='fixed', fixed_alpha=.3),
    dict(constraint_to_target=True, target_top_p=.9), dict(force_target_first_token=True)], ids=str)
def test_what_waits_is_what_would_have_been_noted(monkeypatch, how, options):
    "Tokens drawn before α is known, and numbers noted later, are those of the loop that looks at once."
    theta = Toy.random('abcdef$', 0, .3, name='student')
    t = Toy('abcdef$', lambda context: .97*theta.probs(context)+.03/len(theta.vocab), name='teacher')
    found = []
    for narrow in (0, 1<<12):
        monkeypatch.setattr('decodelab.optimal.rounds.NARROW', narrow)
        for k in (0, 3):
            out = OptimalSamplingModel(theta, t, **options).generate([(0,), (1, 2)]*8, max_new_tokens=12, seed=3,
                                                                     draft_tokens=k, **how)
            found.append((texts(out), out.diagnostics))
    for ids,notes in found[1:]:
        assert ids==found[0][0]
        for name in notes: assert torch.allclose(notes[name], found[0][1][name], atol=1e-5, equal_nan=True), name

def test_drafts_are_counted():
    model = OptimalSamplingModel(one := toys()[0], one)
    out = model.generate([(0,), (1,)], max_new_tokens=30, draft_tokens=4, seed=2)
    tokens = int(out.num_tokens.sum())
    assert out.rounds['acceptance']==1 and out.rounds['tokens']==tokens
    assert out.rounds['teacher_passes']==sum(math.ceil(n/5) for n in out.num_tokens.tolist())
    assert out.rounds['saved_teacher_passes']==tokens-out.rounds['teacher_passes']
    assert pair().generate([(0,)], max_new_tokens=9).rounds['saved_teacher_passes']==0

def test_an_equal_pair_is_the_model_itself():
    "Greedy and drawn, plain and with drafts: prompt [[10]] and others alike on every path."
    one = Toy.random('abcdefghijkl$', 5, name='one')
    model = OptimalSamplingModel(one, one)
    for temperature in (0., 1.):
        alone = one.sample([(10,)], Sampling(max_tokens=30, temperature=temperature))[0][0].ids
        for k in (0, 4):
            out = model.generate([[10]], max_new_tokens=30, temperature=temperature, draft_tokens=k)
            assert texts(out)[0]==alone
        assert model.sample([(10,)], Sampling(max_tokens=30, temperature=temperature))[0][0].ids==alone
    assert (model.generate([[10]], max_new_tokens=5).alpha_values.drawn()==.5).all()

def test_generate_and_sample_draw_the_same_texts():
    model = pair()
    plan = Sampling(max_tokens=15, temperature=.8, seed=4)
    out = model.generate([(0,), (1, 2)], max_new_tokens=15, temperature=.8, seed=4)
    assert texts(out)==[s[0].ids for s in model.sample([(0,), (1, 2)], plan)]

def test_diagnostics_are_those_of_the_pure_function():
    "Position by position, at a temperature, where the drawn distribution was cut; nothing after a row's end."
    model = pair(alpha_min=.1)
    out = model.generate([(0,), (1, 1), (2,)], [(1,), (0,), (2, 2)], max_new_tokens=12, temperature=.7, top_k=2, seed=5)
    for i,(p,p_t) in enumerate((((0,), (1,)), ((1, 1), (0,)), ((2,), (2, 2)))):
        ids = texts(out)[i]
        for j,x in enumerate(ids):
            both = (model.theta, p), (model.t, p_t)
            theta, t = (torch.from_numpy(m.logprobs((*c, *ids[:j])))[None]/.7 for m,c in both)
            found = q_star(theta, t, model.how)
            for name in ('alpha', 'raw_alpha', 'kl_theta', 'kl_t', 'ess_theta', 'ess_t', 'log_z', 'kl_diff'):
                assert float(out.diagnostics[name][i,j])==pytest.approx(float(getattr(found, name)), abs=1e-9)
            kept = found.log_q[0].topk(2).values.logsumexp(0)
            drawn = float(found.log_q[0,x]-kept)
            assert float(out.diagnostics['log_drawn'][i,j])==pytest.approx(drawn)
            for rows,name in ((theta, 'theta'), (t, 't')):
                weight = float(rows.log_softmax(-1)[0,x])-drawn
                assert float(out.diagnostics[f'log_weight_{name}'][i,j])==pytest.approx(weight)
        assert out.alpha_values[i,len(ids):].isnan().all() and (out.generated_ids[i,len(ids):]==3).all()
    assert out.alpha_values.mean()==pytest.approx(float(np.nanmean(np.asarray(out.alpha_values.drawn()))))

def test_kept_rows_are_the_models_rows(capsys):
    model = pair()
    out = model.generate([(0,), (1,)], max_new_tokens=6, return_logits=True, return_q_star_probs=True, seed=1)
    assert '3 × 2 rows × 6 tokens × 4 numbers are kept: up to 576 bytes' in capsys.readouterr().err
    ids = texts(out)[0]
    assert np.allclose(out.logits['t'][0,0], model.t.logprobs((0,)), atol=1e-6)
    assert np.allclose(out.q_star_probs[0,0], np.exp(model.next_logprobs([(0,)])[0]), atol=1e-6)
    assert out.logits['theta'].shape==(2, len(out.mask[0]), 4) and out.logits['theta'][0,len(ids):].isnan().all()
    bare = model.generate([(0,)], max_new_tokens=3, return_diagnostics=False, skip_decode=True)
    assert bare.diagnostics is None and bare.logits is None and bare.q_star_probs is None and bare.generated_texts==[]
    with pytest.raises(BadValue, match='return_diagnostics'): print(bare.log_weights_t)

def test_weights_lead_to_the_teacher_the_student_and_the_mixture():
    "Means of exp(weight) are 1, weighted frequencies are the exact sums; Σ log Z leads to the sequence mixture."
    model = pair(alpha_method='fixed', fixed_alpha=.3)
    n = 8000
    out = model.generate([(0,)]*n, [(1,)]*n, max_new_tokens=3, seed=6)
    for weights in (out.log_weights_t, out.log_weights_theta):
        values = weights.exp()
        assert abs(values.mean()-1) < 4*values.std()/n**.5
    short = torch.tensor([len(ids)==1 for ids in texts(out)]).double()
    wanted = float(np.exp(model.t.logprobs((1,)))[3])
    values = out.log_weights_t.exp()*short
    assert abs(values.mean()-wanted) < 4*values.std()/n**.5
    rows = exact(model, (0,), (1,), 3)
    z = sum(p*math.exp(log_z) for p,log_z in rows.values())
    wanted = sum(p*math.exp(log_z) for ids,(p,log_z) in rows.items() if len(ids)==1)/z
    weights = out.diagnostics['log_z'].sum(1).exp()
    assert abs((weights*short).sum()/weights.sum()-wanted) < .03

@pytest.mark.parametrize('target', ['teacher', 'student', 'mixture'])
def test_intervals_hold_the_exact_mean(target):
    "Of 40 runs at 90 %, about 36 intervals hold the sum over all texts."
    model = pair(alpha_method='fixed', fixed_alpha=.4)
    if target=='mixture':
        rows = exact(model, (0,), (1,), 3)
        z = sum(p*math.exp(log_z) for p,log_z in rows.values())
        truth = sum(p*math.exp(log_z) for ids,(p,log_z) in rows.items() if ids[0]==1)/z
    else: truth = float(np.exp((model.t.logprobs((1,)) if target=='teacher' else model.theta.logprobs((0,)))[1]))
    hits, doubted = 0, 0
    for seed in range(40):
        out = model.generate([(0,)]*150, [(1,)]*150, max_new_tokens=3, seed=seed)
        found = estimate(out, [ids[0]==1 for ids in texts(out)], target, confidence=.9)
        hits += found.low <= truth <= found.high
        doubted += bool(found.warning)
        assert 0 < found.effective <= 150 and (target=='mixture' or .5 < found.reached < 2)
    assert hits >= 30 and doubted <= 5

def test_estimates_that_cannot_be_trusted_say_so():
    model = pair(alpha_method='fixed', fixed_alpha=0.)
    few = estimate(model.generate([(0,)]*40, max_new_tokens=40), [1.]*40)
    assert 'effective samples' in few.warning and few.mean==1
    assert 'restricted' in estimate(model.generate([(0,)]*40, max_new_tokens=1, top_k=2), [1.]*40).warning
    with pytest.raises(BadValue, match='temperature'):
        estimate(model.generate([(0,)], max_new_tokens=2, temperature=0), [1.])
    with pytest.raises(BadValue, match='values'): estimate(model.generate([(0,)], max_new_tokens=2), [1., 2.])
    with pytest.raises(BadValue, match='target'): estimate(model.generate([(0,)], max_new_tokens=2), [1.], 'techer')

def test_the_backend_contract_holds():
    model = pair(alpha_min=0.)
    prompts = [(0,), (1, 2)]
    rows = model.next_logprobs(prompts)
    assert np.allclose(np.exp(rows).sum(1), 1, atol=1e-6)
    found = model.score([((0,), (1, 2, 0)), ((), (1,)), ((1,), ())])
    for i,x in enumerate((1, 2, 0)):
        alone = model.next_logprobs([(0, *(1, 2, 0)[:i])])[0,x]
        assert found[0].token_logprobs[i]==pytest.approx(float(alone), abs=1e-5)
    assert found[2].logprob==0 and found[2].greedy and len(found[1].token_logprobs)==1
    plan = Sampling(max_tokens=12, seed=2)
    assert ''.join(model.stream((0,), plan))==model.sample([(0,)], plan)[0][0].text
    mixed = model.sample(prompts, [Sampling(max_tokens=9, temperature=.5), Sampling(max_tokens=9, temperature=1.)])
    assert mixed[0][0].ids==model.sample([(0,)], Sampling(max_tokens=9, temperature=.5))[0][0].ids
    assert model.fingerprint()!=pair(alpha_min=.1).fingerprint()
    assert model.fingerprint()==pair(alpha_min=0.).fingerprint()
    with pytest.raises(ModelError, match='hidden'): model.hidden(prompts)

def held(model, prompt, length, sequences):
    "Every text of a list of sequences under masked q*, with its probability and the log-mass that masks left, summed."
    out, end = {}, model.eos_ids[0]
    def grow(ids, logprob, kept):
        follows = {s[len(ids)] for s in sequences if s[:len(ids)]==ids and len(s) > len(ids)}
        if ids in sequences: follows.add(end)
        if len(ids)==length or ids and ids[-1]==end:
            out[ids] = math.exp(logprob), kept
            return
        row = np.exp(model.next_logprobs([(*prompt, *ids)])[0].astype(float))
        left = sum(row[x] for x in follows)
        for x in follows: grow((*ids, x), logprob+math.log(row[x]/left), kept+math.log(left))
    grow((), 0., 0.)
    return out

WORDS = ((0, 1), (0, 1, 1), (2,), (1, 2, 0))

@pytest.mark.parametrize('how', DRAFTS, ids=['plain', 'shared', 'residual'])
def test_languages_hold_q_star(how):
    "The draft is the student under the same mask: frequencies are those of q* under it, whoever drafts."
    from decodelab.backends.decoding import Choices
    model = pair(alpha_min=0., **how)
    plan = Sampling(n=4000, max_tokens=4, seed=1, constraint=Choices(WORDS, model.eos_ids))
    drawn = model.sample([(0,)], plan)[0]
    expected = held(model, (0,), 4, WORDS)
    assert frequent([s.ids for s in drawn], {ids: p for ids,(p,_) in expected.items()}) > 1e-3
    for s in drawn[:50]:
        assert s.notes['kept'].sum()==pytest.approx(expected[s.ids][1], abs=1e-5)
        assert s.notes['log_drawn'].sum()==pytest.approx(math.log(expected[s.ids][0]), abs=1e-5)
        t = sum(float(model.t.logprobs((0, *s.ids[:i]))[x]) for i,x in enumerate(s.ids))
        assert s.notes['log_weight_t'].sum()==pytest.approx(t-math.log(expected[s.ids][0]), abs=1e-5)

@pytest.mark.parametrize('temperature, top_p', [(1., 1.), (.6, 1.), (1., .8), (0., 1.)])
def test_drafts_and_batches_change_no_text_under_languages(temperature, top_p):
    "Rows of several languages and of none; forced tokens ride along."
    from decodelab.backends.decoding import Choices
    model = pair(alpha_min=.2)
    long = Choices(((0, 1, 1, 0, 2, 2, 1, 0), (0, 1, 1, 0, 2, 2, 2), (2, 2, 2)), model.eos_ids)
    rng, prompts, plans = np.random.default_rng(1), [], []
    for i in range(40):
        prompts.append(tuple(rng.integers(0, 3, rng.integers(1, 5)).tolist()))
        language = (None, long, Choices(WORDS, model.eos_ids))[i%3]
        plans.append(Sampling(max_tokens=5+i%7, temperature=temperature, top_p=top_p, seed=i, constraint=language))
    found = []
    for k in (0, 1, 3, 8, 'auto'):
        model = pair(alpha_min=.2, draft_tokens=k)
        found.append([s[0] for s in model.sample(prompts, plans)])
        alone = [model.sample([p], plan)[0][0] for p,plan in zip(prompts[:6], plans)]
        assert [s.ids for s in alone]==[s.ids for s in found[-1][:6]]
    for other in found[1:]:
        for a,b in zip(other, found[0]):
            assert (a.ids, a.text, a.finish)==(b.ids, b.text, b.finish) and a.notes.keys()==b.notes.keys()
            for name in a.notes: assert np.allclose(a.notes[name], b.notes[name], atol=1e-5), name
    assert all(('kept' in s.notes)==(i%3 > 0) for i,s in enumerate(found[0]))

def test_a_language_that_nothing_satisfies_is_one_error():
    "Only where the text comes by: a student that cannot say it drafts nothing."
    from decodelab.backends.decoding import Choices
    from decodelab.backends.drawing import DeadEnd
    def sure(*row): return lambda context: np.array(row)
    some, other = (Toy('ab.$', sure(*row), name=name) for row,name in (((.5, .5, 0, 0), 'x'), ((0, .5, .5, 0), 'y')))
    model = OptimalSamplingModel(some, other, draft_tokens=2)
    for words in (((0,),), ((2,),), ((1, 2),)):
        with pytest.raises(DeadEnd, match='allows no token'):
            model.sample([(0,)], Sampling(max_tokens=3, constraint=Choices(words, model.eos_ids)))
    assert model.sample([(0,)], Sampling(max_tokens=2, constraint=Choices(((1, 1),), (3,))))[0][0].ids==(1, 1)

def test_generate_takes_a_language_and_stops():
    from decodelab.backends.decoding import Choices
    model = pair()
    out = model.generate([(0,)]*30, max_new_tokens=5, constraint=Choices(WORDS, model.eos_ids), draft_tokens=2)
    assert {ids[:-1] for ids in texts(out)} <= set(WORDS) and (out.log_weights_t < 5).all()
    assert 'restricted' in estimate(out, [1.]*30).warning
    for text in model.generate([(0,)]*30, max_new_tokens=30, stop=['.'], draft_tokens=3).generated_texts:
        assert '.' not in text

def test_samples_and_streams_say_what_alpha_was():
    model = pair(alpha_min=.3)
    plan = Sampling(max_tokens=12, temperature=.7, seed=2, n=3)
    out = model.generate([(0,)]*3, max_new_tokens=12, temperature=.7, seed=2)
    for i,s in enumerate(model.sample([(0,)], plan)[0]):
        assert s.ids==texts(out)[i]
        for name,values in out.diagnostics.items():
            assert np.allclose(s.notes[name], values[i,:len(s.ids)], atol=1e-9), name
        assert s.notes['clipped'].dtype==bool and len(s.notes['alpha'])==len(s.ids)
    stream = model.stream((0,), Sampling(max_tokens=12, temperature=.7, seed=2))
    pieces = []
    while True:
        try: pieces.append(next(stream))
        except StopIteration as end:
            assert ''.join(pieces)==end.value.text and end.value.ids==texts(out)[0]
            assert np.allclose(end.value.notes['raw_alpha'], out.diagnostics['raw_alpha'][0,:len(end.value.ids)])
            break

# Vocabularies

def padded(toy, extra):
    "The same model with a wider head, whose last ids are no tokens."
    def probs(context): return np.append(toy.probs(context), np.zeros(extra))
    wide = Toy(toy.vocab, probs, name=toy.name+' padded')
    wide.vocab_size = toy.vocab_size+extra
    wide.vocab = [*toy.vocab, *['']*extra]
    wide.token_bytes = lambda: [t.encode() for t in toy.vocab[:-1]]+[b'']*(1+extra)
    return wide

def test_ids_may_be_permuted_and_heads_padded():
    theta, t = toys()
    order = [2, 0, 1, 3] # of the teacher's tokens
    back = np.argsort(order)
    moved = Toy([t.vocab[i] for i in order], lambda c: t.probs(tuple(order[i] for i in c))[order], name='moved')
    plain = OptimalSamplingModel(theta, t).generate([(0,), (1, 2)], max_new_tokens=20, seed=1)
    for teacher in (moved, padded(t, 5), padded(moved, 2)):
        out = OptimalSamplingModel(theta, teacher).generate([(0,), (1, 2)], max_new_tokens=20, seed=1, draft_tokens=2)
        assert texts(out)==texts(plain)
        assert torch.allclose(out.alpha_values, plain.alpha_values, equal_nan=True, atol=1e-5)
    wide = OptimalSamplingModel(padded(theta, 3), padded(moved, 5))
    out = wide.generate([(0,), (1, 2)], max_new_tokens=20, seed=1, return_logits=True, return_q_star_probs=True)
    assert texts(out)==texts(plain) and list(back[order])==[0, 1, 2, 3]
    assert out.q_star_probs.shape[2]==7 and (out.q_star_probs[0,0,4:]==0).all()
    assert (out.logits['t'][0,0,4:]==-math.inf).all() and wide.next_logprobs([(0,)]).shape==(1, 7)
    wide.generate([(0,), (1, 2)], max_new_tokens=9, draft_tokens=2, draft_rule='residual')

def test_ends_of_text_go_by_their_role():
    "A teacher that ends with another token: its mass is that of the student's end."
    theta, t = toys('ab.$')
    other = Toy(['a', 'b', '.', '#'], t.probs, name='ends otherwise')
    plain = OptimalSamplingModel(theta, t).generate([(0,)]*20, max_new_tokens=20, seed=1)
    out = OptimalSamplingModel(theta, other).generate([(0,)]*20, max_new_tokens=20, seed=1, draft_tokens=3)
    assert texts(out)==texts(plain) and set(out.finish)=={'eos'}

def test_foreign_tokenizers_are_one_error():
    said = r"4 and 8 tokens, 1 in common; the teacher lacks 3 of them, e.g. 'a', 'b', '.'"
    with pytest.raises(ModelError, match=said):
        OptimalSamplingModel(toys()[0], Toy.random('uvwxyz!$', 0))

@pytest.mark.parametrize('options, message', [
    (dict(alpha_min=.9, alpha_max=.1), 'alpha_min'), (dict(fixed_alpha=2.), 'fixed_alpha'),
    (dict(alpha_method='kl_symetry'), "Did you mean 'kl_symmetry'"), (dict(target_top_k=3), 'constraint_to_target'),
    (dict(fixed_alpha='x'), 'fixed_alpha'), (dict(alpha_min=True), 'alpha_min'),
    (dict(target_top_k=None), 'target_top_k'),
    (dict(constraint_to_target='yes'), 'constraint_to_target'), (dict(support_first='no'), 'support_first'),
    (dict(alpha_methd='fixed'), "Did you mean 'alpha_method'"),
    (dict(device='cpu'), 'device'), (dict(load_in_4bit=True), 'load_in_4bit')])
def test_bad_options_are_one_error(options, message):
    with pytest.raises(BadValue, match=message): OptimalSamplingModel(*toys(), **options)

@pytest.mark.parametrize('given, message', [
    (dict(prompts=[]), 'prompts'), (dict(prompts='ab'), 'a list of texts'), (dict(prompts=['a', '']), r'prompts\[1\]'),
    (dict(prompts=['a'], prompts_t=['a', 'b']), 'prompts_t'), (dict(prompts=['a'], prompts_t=['']), r'prompts_t\[0\]'),
    (dict(prompts=['a'], top_p=0), 'top_p'), (dict(prompts=['a'], temperature=-1), 'temperature'),
    (dict(prompts=['a'], max_new_tokens=0), 'max_new_tokens'), (dict(prompts=['a'], batch_size=0), 'batch_size'),
    (dict(prompts=None), 'a list of texts'), (dict(prompts=[None]), r'prompts\[0\]'),
    (dict(prompts=[5]), r'prompts\[0\]'), (dict(prompts=[[1.5]]), 'whole number'),
    (dict(prompts=[[True]]), 'whole number'), (dict(prompts=['a'], prompts_t=[None]), r'prompts_t\[0\]'),
    (dict(prompts=['a'], top_k=None), 'top_k'), (dict(prompts=['a'], batch_size='auto'), 'batch_size'),
    (dict(prompts=['a'], max_new_tokens='5'), 'max_new_tokens'),
    (dict(prompts=['a'], draft_tokens=-1), 'draft_tokens'), (dict(prompts=['a'], draft_rule='other'), 'draft_rule'),
    (dict(prompts=['a'], draft_tokens='auto', draft_rule='residual'), 'residual'), (dict(prompts=[[9]]), '0 to 3'),
    (dict(prompts=['a'], prompts_t=['a'*60], max_new_tokens=9), 'at most 4'),
    (dict(prompts=['a'*70]), 'a prompt of 71 tokens'), (dict(prompts=['a'], prompts_t=['b'*70]), 'prompts_t')])
def test_bad_calls_are_one_error(given, message):
    model = OptimalSamplingModel(*toys(max_length=64))
    with pytest.raises((BadValue, ModelError), match=message): model.generate(**given)

def test_the_students_room_ends_a_text_and_the_teachers_is_told():
    theta, t = toys(max_length=16)
    out = OptimalSamplingModel(theta, t).generate(['a'*12]*5, max_new_tokens=100, seed=0, draft_tokens=8)
    assert out.num_tokens.max() <= 4 and set(out.finish) <= {'eos', 'length'}

def test_memory_that_runs_out_is_one_error(monkeypatch):
    model = pair()
    def full(*args, **how): raise RuntimeError('CUDA out of memory. Tried to allocate 2.00 GiB')
    monkeypatch.setattr(model.t, 'session', full)
    with pytest.raises(ModelError, match='batch_size=4; try batch_size=2'): model.generate(['a']*9, batch_size=4)

def test_the_teacher_may_draw_first_tokens_and_special_ones():
    theta, t = toys()
    first = OptimalSamplingModel(theta, t, force_target_first_token=True)
    assert np.allclose(first.next_logprobs([(0,)])[0], t.logprobs((0,)), atol=1e-6)
    out = first.generate([(0,)]*2000, max_new_tokens=1, seed=1)
    assert (out.alpha_values.drawn()==1).all()
    assert frequent(texts(out), {(i,): p for i,p in enumerate(np.exp(t.logprobs((0,))))}) > 1e-3
    ends = OptimalSamplingModel(theta, t, force_target_special_tokens=True)
    row = np.exp(ends.next_logprobs([(0, 1)])[0])
    plain = np.exp(OptimalSamplingModel(theta, t).next_logprobs([(0, 1)])[0])
    assert row[3]==pytest.approx(np.exp(t.logprobs((0, 1))[3]))
    assert np.allclose(row[:3]/row[:3].sum(), plain[:3]/plain[:3].sum())
