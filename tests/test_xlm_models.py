"""The core models are what their papers derive.

Every check has another source than the code: enumeration of all masks, orders, drops and states of texts of at most six
tokens, a network replaced by the exact answer, the entropy of the data, a chi-square against known probabilities.
"""
import copy, functools, math
from itertools import combinations, permutations, product
import numpy as np, pytest, torch
from clock import seconds
from scipy.stats import chisquare
from decodelab.xlm.blocks import block_of, clean_visible
from decodelab.xlm.masking import subs
from decodelab.xlm.models.arlm import ARLMLoss, ARLMModel, ARLMPredictor, ARLMSeq2SeqCollator, ARLMSeq2SeqPredCollator
from decodelab.xlm.models.flexmdm import (FlexMDMLoss, FlexMDMModel, FlexMDMPredictor, FlexMDMSeq2SeqCollator,
                                          FlexMDMSeq2SeqPredCollator)
from decodelab.xlm.models.ilm import ILMLoss, ILMModel, ILMPredictor, ILMSeq2SeqCollator, ILMSeq2SeqPredCollator
from decodelab.xlm.models.mdlm import MDLMLoss, MDLMModel, MDLMPredictor, MDLMSeq2SeqCollator, MDLMSeq2SeqPredCollator
from decodelab.xlm.models.mlm import MLMLoss, MLMModel, MLMPredictor, MLMSeq2SeqCollator, MLMSeq2SeqPredCollator
from decodelab.xlm.unmasking import Table

class Words:
    "Seven marks and a few words."
    pad_token_id, cls_token_id, mask_token_id, eos_token_id, bos_token_id = range(5)
    full_vocab_size = 10
    def decode(self, ids, skip_special_tokens=True): return ' '.join(map(str, ids))

TOK, A, SIZES = Words(), 7, dict(d_model=16, num_layers=1, nhead=2)
CORE = dict(arlm=(ARLMModel, ARLMLoss, ARLMSeq2SeqCollator), mlm=(MLMModel, MLMLoss, MLMSeq2SeqCollator),
            mdlm=(MDLMModel, MDLMLoss, MDLMSeq2SeqCollator), ilm=(ILMModel, ILMLoss, ILMSeq2SeqCollator),
            flexmdm=(FlexMDMModel, FlexMDMLoss, FlexMDMSeq2SeqCollator))

def net_of(cls, seed=0):
    "A network with large random weights: its answers differ from each other."
    torch.manual_seed(seed)
    net = cls(TOK.full_vocab_size, **SIZES).eval()
    with torch.no_grad():
        for p in net.parameters(): p.normal_(std=.5)
    return net

def rows_of(texts, marks=1):
    "Rows of texts of one length behind `BOS`, or `CLS` and `BOS`, all of them asked for."
    texts = torch.as_tensor(texts)
    before = torch.tensor([[TOK.cls_token_id, TOK.bos_token_id][-marks:]]).expand(len(texts), -1)
    kinds = torch.cat([torch.zeros_like(before), torch.ones_like(texts)], 1)
    return dict(input_ids=torch.cat([before, texts], 1), attention_mask=torch.ones_like(kinds), token_type_ids=kinds,
                output_start=marks)

def within(sample, value, errors=4.):
    "Whether a mean is within so many standard errors of a value."
    sample = sample.double()
    return abs(float(sample.mean())-value) < errors*float(sample.std())/len(sample)**.5+1e-5

# ------------------------------------------------------------ a distribution that is known

def known(length=3, seed=0, words=2):
    "All texts of a length over a few words, and probabilities that factorise in no order."
    texts = torch.tensor(list(product(range(A, A+words), repeat=length)))
    p = torch.from_numpy(np.random.default_rng(seed).dirichlet(np.ones(len(texts))))
    return Table(texts, p, TOK.full_vocab_size, TOK.mask_token_id)

def drawn(table, n, seed=0):
    return table.texts[torch.multinomial(table.p, n, replacement=True, generator=torch.Generator().manual_seed(seed))]

class Exact:
    "A network that knows a distribution: what it says of an answer behind one mark, or of blocks side by side."
    training = False
    def __init__(self, table, marks=1): self.table, self.marks, self.calls = table, marks, 0
    def logits(self, states): return states
    def padded(self, logp, ids):
        self.calls += 1
        out = torch.zeros(*ids.shape, TOK.full_vocab_size, dtype=torch.float64)
        out[:,self.marks:] = logp
        return out
    def hidden(self, ids, mask=None, positions=None, cache=None, start=0):
        if mask is not None and mask.dim()==3 and ids.shape[1]==2*(self.marks+self.table.texts.shape[1]):
            return self.blocks(ids, mask)
        return self.padded(self.table(ids[:,self.marks:]), ids)[:,start:]
    def blocks(self, ids, seen):
        "Each noisy token given the noisy and clean ones that it may see: by the mask that it is given."
        N, L, m = ids.shape[1]//2, self.table.texts.shape[1], self.marks
        out = torch.zeros(len(ids), 2*N, TOK.full_vocab_size, dtype=torch.float64)
        for q in range(m, N):
            evidence = torch.full((len(ids), L), TOK.mask_token_id)
            for half in range(2):
                part = ids[:,half*N+m:half*N+N]
                use = seen[:,q,half*N+m:half*N+N] & (part!=TOK.mask_token_id)
                evidence = torch.where(use, part, evidence)
            out[:,q] = self.table(evidence)[:,q-m]
        return out
    def __call__(self, ids, *args, **kw): return self.hidden(ids, *args, **kw)
    def parameters(self): return iter([torch.zeros(1)])

# ------------------------------------------------------------ masked models: the bound

def costs_by_net(net, text):
    "−log p of each token of a text given what is not hidden, for every set of hidden ones."
    L, out = len(text), {}
    for k in range(1, L+1):
        for M in combinations(range(L), k):
            noisy = torch.tensor([[TOK.bos_token_id, *(TOK.mask_token_id if i in M else v for i,v in enumerate(text))]])
            logits = net(noisy).double()
            logits[...,[1, 2, 4]] = -torch.inf # marks that are no answer
            logp = logits.log_softmax(-1)[0,1:]
            out[M] = {i: -logp[i,text[i]].item() for i in M}
    return out

def bound_by_sets(table, L):
    return sum(np.mean([sum(table[M].values()) for M in combinations(range(L), k)])/k for k in range(1, L+1))

def bound_by_orders(table, L):
    return np.mean([sum(table[tuple(sorted(o[j:]))][o[j]] for j in range(L)) for o in permutations(range(L))])

@pytest.mark.parametrize('cls', [MDLMModel, MLMModel])
@pytest.mark.parametrize('text', [(7, 8), (7, 9, 8, 7), (9, 8, 9, 7, 7)])
def test_bound_by_sets_by_orders_and_by_chance(cls, text):
    net = net_of(cls)
    with torch.no_grad():
        table, L = costs_by_net(net, text), len(text)
        bound = bound_by_sets(table, L)
        assert math.isclose(bound, bound_by_orders(table, L), rel_tol=1e-9)
        torch.manual_seed(1)
        batch = rows_of([text]*6000)
        for estimator in ('time', 'count'):
            out = MDLMLoss(net, TOK, estimator=estimator)(batch)
            assert within(out['nats'], bound), (estimator, out['nats'].mean(), bound)
            assert out['loss'].item()==pytest.approx(out['nats'].mean().item()/L, rel=1e-4) # nats a token, all counted

def test_mlm_loss_is_the_mean_over_hidden_tokens():
    net, text = net_of(MLMModel), (7, 9, 8)
    with torch.no_grad():
        table, L = costs_by_net(net, text), 3
        weight = {M: 1/((L+1)*math.comb(L, len(M))) for M in table} # ∫ t^k (1−t)^(L−k) dt
        cost = sum(weight[M]*sum(c.values()) for M,c in table.items())
        torch.manual_seed(0)
        out = MLMLoss(net, TOK)(rows_of([text]*20_000))
    assert within(out['nats'], cost) and within(out['tokens'].float(), L/2)

@pytest.mark.parametrize('estimator', ['time', 'count'])
@pytest.mark.parametrize('block', [None, 1, 2, 4])
def test_bound_of_an_exact_denoiser_is_the_entropy(estimator, block):
    table = known(4)
    torch.manual_seed(0)
    texts = drawn(table, 20_000)
    out = MDLMLoss(Exact(table), TOK, estimator=estimator, block=block)(rows_of(texts))
    assert within(out['nats'], table.entropy)

def test_blocks_of_one_are_the_left_to_right_likelihood():
    table = known(4)
    for estimator in ('count', 'time'):
        torch.manual_seed(0)
        rows = rows_of(table.texts.repeat_interleave(1 if estimator=='count' else 4000, 0))
        nats = MDLMLoss(Exact(table), TOK, estimator=estimator, block=1)(rows)['nats'].view(16, -1)
        if estimator=='count': assert torch.allclose(nats[:,0].double(), -table.p.log(), atol=1e-5) # no chance in it
        else: assert all(within(row, -p.log().item()) for row,p in zip(nats, table.p))

def test_blocks_of_one_of_a_network_are_its_own_conditionals():
    net, prompt, text = net_of(MDLMModel), [8, 9], [7, 9, 8, 3]
    context, total = [*prompt, TOK.bos_token_id], 0.
    with torch.no_grad():
        for token in text:
            row = torch.tensor([[*context, TOK.mask_token_id]])
            seen = clean_visible(block_of(row.shape[1], 3, 1), torch.ones_like(row).bool())
            logits = net(row, seen)[0,-1].double()
            logits[[1, 2, 4]] = -torch.inf
            total -= logits.log_softmax(0)[token].item()
            context.append(token)
        batch = MDLMSeq2SeqCollator(TOK, 4, input_block_size=6)([dict(prompt_ids=prompt, target_ids=text[:-1])])
        torch.manual_seed(0)
        nats = MDLMLoss(net, TOK, estimator='count', block=1)(batch)['nats'].item()
    assert nats==pytest.approx(total, abs=1e-4)

def test_weight_is_exactly_one_over_t_and_uniform_guesses_cost_log_v():
    "A loss divided by the hidden tokens would give about twice as much."
    class Flat(Exact):
        def hidden(self, ids, *a, start=0, **k): return torch.zeros(*ids[:,start:].shape, TOK.full_vocab_size)
    torch.manual_seed(0)
    for estimator in ('time', 'count'):
        out = MDLMLoss(Flat(known()), TOK, estimator=estimator)(rows_of([[7, 8, 9, 7]]*20_000))
        assert out['loss'].item()==pytest.approx(math.log(7), rel=.02) # mask, cls and bos are never the answer
    from decodelab.xlm.schedules import LogLinear, spread_times
    for eps in (0., 1e-3, .1):
        t, noise = spread_times(1000, generator=torch.Generator().manual_seed(0)).double()[1:], LogLinear(eps)
        assert torch.allclose(noise.noise_rate(t)/torch.expm1(noise.total_noise(t)), noise.weight(t), rtol=1e-6)
        assert torch.allclose(noise.weight(t)*t, torch.ones_like(t)) and noise.alpha(t).min() >= eps-1e-9

# ------------------------------------------------------------ left to right

def test_arlm_loss_is_the_log_likelihood():
    net = net_of(ARLMModel)
    with torch.no_grad():
        rows = ARLMSeq2SeqCollator(TOK, 5, input_block_size=6)(
            [dict(prompt_ids=[7, 8, 9], target_ids=[8, 8]), dict(prompt_ids=[9], target_ids=[7, 9, 9, 8])])
        nats = ARLMLoss(net, TOK)(rows)['nats'].tolist()
        for row,want in ((([7, 8, 9], [8, 8]), nats[0]), (([9], [7, 9, 9, 8]), nats[1])):
            prompt, text = [*row[0], TOK.bos_token_id], [*row[1], TOK.eos_token_id]
            logits = net(torch.tensor([prompt+text])).double()
            logits[...,[0, 1, 2, 4]] = -torch.inf
            logp = logits.log_softmax(-1)[0]
            assert -sum(logp[len(prompt)-1+i,v].item() for i,v in enumerate(text))==pytest.approx(want, abs=1e-4)

def test_arlm_gives_all_texts_together_probability_one():
    "Texts of at most two tokens, and all beginnings of longer ones."
    net, words = net_of(ARLMModel), [5, 6, 7, 8, 9]
    def nats(texts):
        with torch.no_grad(): return ARLMLoss(net, TOK)(rows_of(texts))['nats'].double()
    whole = nats([[3]]).neg().exp().sum()+nats([[v, 3] for v in words]).neg().exp().sum()
    assert float(whole+nats([[v, w] for v in words for w in words]).neg().exp().sum())==pytest.approx(1, abs=1e-5)

class ExactLeft(Exact):
    "The next word given those before, of texts that differ in length; it ends where they end."
    def __init__(self, texts, p): self.texts, self.p = texts, p
    def new_cache(self, tokens): return None
    def hidden(self, ids, mask=None, positions=None, cache=None):
        out = torch.full((*ids.shape, TOK.full_vocab_size), -torch.inf)
        for i,row in enumerate(ids[:,1:].tolist()):
            row, tally = row[:row.index(3)] if 3 in row else row, np.zeros(TOK.full_vocab_size)
            for text,p in zip(self.texts, self.p):
                if list(text[:len(row)])==row: tally[text[len(row)] if len(text) > len(row) else 3] += p
            out[i,-1] = torch.from_numpy(np.log(np.maximum(tally, 1e-300)))
        return out

def pvalue(found, p): return chisquare(found, np.asarray(p)*found.sum()).pvalue

def counts(preds, texts):
    "How often each text was written; nothing else may be."
    place = {' '.join(map(str, t)): i for i,t in enumerate(texts)}
    return np.bincount([place[t] for t in preds['text']], minlength=len(texts))

def prompts(n, marks=1, width=3):
    return dict(rows_of(torch.zeros(n, 0, dtype=torch.long), marks), target_ids=torch.zeros(n, width, dtype=torch.long))

def test_arlm_samples_its_distribution():
    texts, p = [(7,), (8, 7), (8, 8, 9), (9, 7)], np.array([.4, .3, .2, .1])
    out = ARLMPredictor(TOK, ExactLeft(texts, p), seed=0, use_cache=False).predict(prompts(3000))
    assert pvalue(counts(out, texts), p) > 1e-3
    assert ARLMPredictor(TOK, ExactLeft(texts, p), temperature=0., use_cache=False).predict(prompts(1))['text']==['8 7']

def test_arlm_with_and_without_cache_is_one_text():
    net = net_of(ARLMModel)
    asked = ARLMSeq2SeqPredCollator(TOK)([dict(prompt_ids=p) for p in ([7, 8, 9, 9], [8], [])])
    a, b = (ARLMPredictor(TOK, net, max_length=24, seed=3, use_cache=c).predict(asked) for c in (True, False))
    assert a['text']==b['text'] and (a['ids']==b['ids']).all()
    for i,p in enumerate(([7, 8, 9, 9], [8], [])): # pads on the left change nothing
        greedy = ARLMPredictor(TOK, net, max_length=24, temperature=0.)
        alone = greedy.predict(ARLMSeq2SeqPredCollator(TOK)([dict(prompt_ids=p)]))
        assert alone['text'][0]==greedy.predict(asked)['text'][i]

def test_arlm_cache_is_five_times_as_fast_at_256_tokens():
    torch.manual_seed(0)
    net = ARLMModel(TOK.full_vocab_size, d_model=128, num_layers=4, nhead=4).eval()
    for p,value in ((net.norm.weight, 0.), (net.norm.bias, 1.), (net.head.weight[TOK.eos_token_id], -9.)):
        p.data[:] = value # all words are alike, and it never ends
    asked = ARLMSeq2SeqPredCollator(TOK)([dict(prompt_ids=[7])]*4)
    def passed(cache):
        out = ARLMPredictor(TOK, net, max_length=256, seed=0, use_cache=cache).predict(asked)
        assert out['ids'].shape[1]==258
    quick, slow = seconds(lambda: passed(True)), seconds(lambda: passed(False), tries=2)
    assert slow > 5*quick, (slow, quick)

# ------------------------------------------------------------ samplers of masked models

def law_of_the_clock(table, steps):
    "Probabilities of the texts that so many steps give: all states, step by step."
    L, M = table.texts.shape[1], TOK.mask_token_id
    now = {(M,)*L: 1.}
    for step in range(steps):
        stay, then = (steps-step-1)/(steps-step), {}
        for x,weight in now.items():
            logp = table(torch.tensor([x]))[0]
            choices = [[(v, 1.)] if v!=M else [(M, stay)]+[(w, (1-stay)*logp[i,w].exp().item()) for w in (A, A+1)]
                       for i,v in enumerate(x)]
            for combo in product(*choices):
                p, y = weight*math.prod(c[1] for c in combo), tuple(c[0] for c in combo)
                if p > 0: then[y] = then.get(y, 0)+p
        now = then
    return np.array([now.get(tuple(t), 0.) for t in table.texts.tolist()])

@pytest.mark.parametrize('steps', [1, 2, 5])
def test_the_clock_has_the_law_of_its_steps(steps):
    "Also with few steps, where it is not the model's own distribution."
    table = known(3)
    law = law_of_the_clock(table, steps)
    out = MDLMPredictor(TOK, Exact(table), max_steps=steps, max_length=3, seed=1).predict(prompts(8000))
    assert law.sum()==pytest.approx(1) and pvalue(counts(out, table.texts.tolist()), law) > 1e-3
    if steps==1: assert pvalue(counts(out, table.texts.tolist()), table.p) < 1e-6 # the test can fail

def test_the_clock_with_many_steps_has_the_models_distribution():
    table = known(3)
    out = MDLMPredictor(TOK, Exact(table), max_steps=400, max_length=3, seed=2).predict(prompts(6000))
    assert pvalue(counts(out, table.texts.tolist()), table.p) > 1e-3

@pytest.mark.parametrize('order', ['top_prob', 'margin', 'entropy', 'random', 'left', 'maskgit'])
def test_every_order_one_token_a_step_has_the_models_distribution(order):
    "MaskGIT's looks at what it drew: only noise that drowns that makes it exact."
    table = known(3)
    noise = dict(noise=1e9) if order=='maskgit' else {}
    out = MLMPredictor(TOK, Exact(table), confidence=order, temperature=1., max_length=3, seed=3,
                       max_steps=16 if order=='maskgit' else None, **noise).predict(prompts(8000))
    assert pvalue(counts(out, table.texts.tolist()), table.p) > 1e-3

def test_a_threshold_is_exact_where_positions_are_independent():
    "All at once, then, and one by one where nothing is sure."
    q = torch.tensor([.9, .6, .2], dtype=torch.float64)
    texts = torch.tensor(list(product((7, 8), repeat=3)))
    table = Table(texts, torch.where(texts==7, q, 1-q).prod(1), TOK.full_vocab_size, TOK.mask_token_id)
    for threshold,calls in ((.5, 1), (.7, 2), (1., 3)):
        way = MLMPredictor(TOK, Exact(table), threshold=threshold, temperature=1., max_length=3, seed=0)
        out = way.predict(prompts(4000))
        assert out['calls']==calls and pvalue(counts(out, texts.tolist()), table.p) > 1e-3

class Blockwise(Exact):
    "The exact network, with a cache that holds ids."
    class Seen:
        def __init__(self): self.length, self.ids, self.new = 0, torch.zeros(1, 0, dtype=torch.long), None
        def keep(self, n): self.ids, self.length = self.new, self.length+n
        def rows(self, rows):
            out = Blockwise.Seen()
            out.length, out.ids = self.length, self.ids[rows] if len(self.ids) > 1 else self.ids
            return out
    def new_cache(self, tokens): return self.Seen()
    def hidden(self, ids, mask=None, positions=None, cache=None):
        whole = torch.cat([cache.ids.expand(len(ids), -1), ids], 1) if cache.length else ids
        cache.new = whole
        rest = self.table.texts.shape[1]+1-whole.shape[1]
        full = torch.nn.functional.pad(whole[:,1:], (0, rest), value=TOK.mask_token_id)
        logp = torch.nn.functional.pad(self.table(full), (0, 0, 1, 0))
        return logp[:,whole.shape[1]-ids.shape[1]:whole.shape[1]]

@pytest.mark.parametrize('block', [1, 2, 3])
def test_blocks_are_sampled_from_the_models_distribution(block):
    table = known(3)
    out = MDLMPredictor(TOK, Blockwise(table), max_steps=300, block=block, max_length=3, seed=4).predict(prompts(6000))
    assert pvalue(counts(out, table.texts.tolist()), table.p) > 1e-3

def test_cached_is_uncached_with_half_the_calls_or_fewer():
    net = net_of(MDLMModel)
    asked = MDLMSeq2SeqPredCollator(TOK)([dict(prompt_ids=[7, 8, 9])])
    way = dict(max_steps=64, max_length=24, seed=5)
    a, b = (MDLMPredictor(TOK, net, cached=c, **way).predict(asked) for c in (True, False))
    assert (a['ids']==b['ids']).all() and (a['order']==b['order']).all()
    assert b['calls']==64 and a['calls'] <= 32, a['calls']

def test_masks_go_at_the_rate_of_the_clock():
    "1,000 steps: after 25 of them 2.5 % of 1,024 tokens are written, not all."
    from decodelab.xlm.unmasking import ancestral
    flat = torch.full((TOK.full_vocab_size,), 1/8).log()
    masks = torch.full((1, 1024), TOK.mask_token_id)
    out = ancestral(lambda x, rows: flat.expand(*x.shape, -1), masks, TOK.mask_token_id, 1000,
                    generator=torch.Generator().manual_seed(0))
    early = (out.order < 25).float().mean().item()
    assert abs(early-.025) < 4*(.025*.975/1024)**.5

# ------------------------------------------------------------ insertion

def insertion_table(texts, p, by_length):
    "For every part of every text: joint probabilities of insertions, and of stopping, by Bayes over texts and drops."
    out = {}
    for text,weight in zip(texts, p):
        L = len(text)
        for k in range(L+1):
            for S in combinations(range(L), k):
                state = tuple(text[i] for i in S)
                mass, table = out.setdefault(state, [np.zeros(2), {}])
                w = weight*(1 if by_length else 1/(L+1))/math.comb(L, k)
                mass += (w, w*(k==L))
                for i in set(range(L))-set(S):
                    key = (sum(j < i for j in S), text[i])
                    table[key] = table.get(key, 0)+w/(L-k)
    return out

class ExactInsertion(Exact):
    def __init__(self, texts, p, by_length=False): self.known = insertion_table(texts, p, by_length)
    def __call__(self, ids, mask, positions, start):
        T = ids.shape[1]-start
        logits, stop = torch.full((len(ids), T+1, TOK.full_vocab_size), -torch.inf), torch.zeros(len(ids))
        for i,(row,keep) in enumerate(zip(ids[:,start:].tolist(), mask[:,start:].tolist())):
            state = tuple(v for v,k in zip(row, keep) if k)
            mass, table = self.known[state]
            share = mass[1]/mass[0]
            stop[i] = math.log(max(share, 1e-30)/max(1-share, 1e-30))
            for (gap,v),w in table.items(): logits[i,gap,v] = math.log(w)
            if not table: logits[i] = 0.
        return logits, stop

SAME, VARIED = [(7, 8, 9), (8, 8, 7), (7, 7, 7), (9, 8, 8)], [(7,), (7, 8), (9, 9, 8), (8, 7, 7)]
P = np.array([.4, .3, .2, .1])

@pytest.mark.parametrize('texts,by_length,law', [
    (SAME, False, P), (SAME, True, P), (VARIED, True, P),
    (VARIED, False, P/[2, 3, 4, 4]/(P/[2, 3, 4, 4]).sum())])
def test_ilm_samples_what_its_optimum_says(texts, by_length, law):
    "Texts of several lengths come with a weight 1/(L+1), unless rows were weighed."
    net = ExactInsertion(texts, P, by_length)
    out = ILMPredictor(TOK, net, stop=None, temperature=1., max_length=3, seed=0).predict(prompts(4000, marks=2))
    assert pvalue(counts(out, texts), law) > 1e-3
    if texts is VARIED and not by_length: assert pvalue(counts(out, texts), P) < 1e-6

@pytest.mark.parametrize('by_length', [False, True])
def test_ilm_loss_by_enumeration(by_length):
    "All drops of a text: the mean over single insertions, and the stop; against the loss by chance."
    net, text, L = net_of(ILMModel), [7, 9, 8], 3
    total = 0.
    with torch.no_grad():
        for k in range(L+1):
            for S in combinations(range(L), k):
                ids = torch.tensor([[1, 4, *(text[i] for i in S)]])
                logits, stop = net(ids, torch.ones_like(ids), None, 2)
                logits = logits.double()
                logits[...,[0, 1, 2, 3, 4]] = -torch.inf
                logp = logits.flatten().log_softmax(0).view(k+1, -1)
                gone = [i for i in range(L) if i not in S]
                singles = [-logp[sum(j < i for j in S),text[i]].item() for i in gone]
                chance = torch.sigmoid(stop).item()
                cost = (np.mean(singles) if gone else 0.)-math.log(chance if not gone else 1-chance)
                total += cost/((L+1)*math.comb(L, k))
        torch.manual_seed(0)
        out = ILMLoss(net, TOK, by_length=by_length)(rows_of([text]*8000, marks=2))
    assert within(out['batch_loss'], total)

def test_ilm_targets_sum_to_one_and_prompts_are_never_inserted_into():
    from decodelab.xlm.insertion import drop, insertion_targets
    torch.manual_seed(0)
    ids = torch.randint(7, 10, (200, 6))
    real = torch.arange(6) < torch.randint(1, 7, (200, 1))
    gone = real & (torch.rand(200, 6) < .5)
    d = drop(ids.masked_fill(~real, 0), real, gone, 0)
    target = insertion_targets(ids, d.gaps, gone, 10)
    assert torch.allclose(target.sum((1, 2)), gone.any(1).float())
    assert not target[:,1:][~d.kept].any() # nothing right of a pad
    net = net_of(ILMModel)
    asked = ILMSeq2SeqPredCollator(TOK)([dict(prompt_ids=[9, 8, 7]), dict(prompt_ids=[])])
    out = ILMPredictor(TOK, net, stop=1., max_length=9, seed=0, temperature=1.).predict(asked)
    assert (out['ids'][:,:asked['input_ids'].shape[1]]==asked['input_ids']).all()
    assert (out['ids'][:,5:] > 4).all() and sorted(out['order'][0].tolist())==list(range(9))

# ------------------------------------------------------------ masks that come in

def share(t): return 1-t, -(1-t)*math.log(1-t) if t < 1 else 0. # missing, masked; both schedules linear

def flex_states(text, t):
    "Every way a text can look at t: probability, ids, missing in each gap, what stands there in the end."
    gone, masked = share(t)
    for how in product(range(3), repeat=len(text)):
        p, ids, gaps, clean = 1., [], [0], []
        for v,s in zip(text, how):
            p *= (gone, masked, 1-gone-masked)[s]
            if s==0: gaps[-1] += 1
            else: ids, clean, gaps = [*ids, 2 if s==1 else v], [*clean, v], [*gaps, 0]
        yield p, tuple(ids), gaps, clean

def flex_known(texts, p, t):
    "What is to be expected of each partial text at t."
    out = {}
    for text,weight in zip(texts, p):
        for q, ids, gaps, clean in flex_states(text, t):
            found = out.setdefault(ids, [0., np.zeros(len(gaps)), np.zeros((len(ids), TOK.full_vocab_size))])
            found[0] += weight*q
            found[1] += weight*q*np.array(gaps)
            for i,v in enumerate(clean): found[2][i,v] += weight*q
    return {k: (g/w, c/w) for k,(w, g, c) in out.items() if w > 0}

class ExactFlex(Exact):
    def __init__(self, texts, p): self.texts, self.p, self.memo = texts, p, {}
    def at(self, t):
        t = round(min(t, 1-1e-6), 4)
        if t not in self.memo: self.memo[t] = flex_known(self.texts, self.p, min(t, 1-1e-6))
        return self.memo[t]
    def __call__(self, ids, t, mask, positions, start):
        T = ids.shape[1]-start
        logp, gaps = torch.zeros(len(ids), T, TOK.full_vocab_size), torch.full((len(ids), T+1), 1e-9)
        for i,(row,keep,when) in enumerate(zip(ids[:,start:].tolist(), mask[:,start:].tolist(), t.tolist())):
            n = int(sum(keep))
            found = self.at(when).get(tuple(row[:n]))
            if found is None: continue
            gaps[i,:n+1] = torch.from_numpy(found[0]).clamp(min=1e-9)
            logp[i,:n] = torch.from_numpy(np.log(np.maximum(found[1], 1e-300)))
        return logp, gaps

def flex_bound(model, text, nodes=48):
    "The bound of a text by quadrature over time and enumeration of states."
    x, w = np.polynomial.legendre.leggauss(nodes)
    total = 0.
    for t,weight in zip((x+1)/2, w/2):
        for p, ids, gaps, clean in flex_states(text, t):
            row = torch.tensor([[TOK.bos_token_id, *ids]])
            logits, expected = model(row, torch.tensor([t], dtype=torch.float32), torch.ones_like(row), None, 1)
            logits = logits.double()
            logits[...,[0, 1, 2, 3, 4]] = -torch.inf
            logp, y = logits.log_softmax(-1)[0], expected[0].double()
            cost = -sum(logp[i,v].item() for i,(v,shown) in enumerate(zip(clean, ids)) if shown==2)
            rate = sum(float(b)-a+(a*math.log(a/float(b)) if a else 0.) for a,b in zip(gaps, y[:len(gaps)]))
            total += weight*p*(cost+rate)/(1-t)
    return total

class FlexNow(ExactFlex):
    "The same at exactly the time asked for."
    def at(self, t): return self.memo.setdefault(t, flex_known(self.texts, self.p, t))

@pytest.mark.parametrize('text,slack', [((7,), 0.), ((7, 8), math.log(2)), ((7, 8, 9), 2/3*math.log(2)+math.log(3)),
                                        ((8, 8, 8), 2/3*math.log(2)+math.log(3))])
def test_flexmdm_bound_pays_for_not_knowing_which_token_a_mask_is(text, slack):
    """By hand: one text of entropy 0, known to the model. Of three missing tokens the first mask is any; the second is
    certain of its gap where that mask is the first or the last of them (log 2 against a guess of 1/2), the third always
    (log 3 against 1/3)."""
    assert flex_bound(FlexNow([text], [1.]), text)==pytest.approx(slack, abs=2e-3)

def test_flexmdm_bound_of_an_exact_model_is_at_least_the_entropy_and_the_loss_estimates_it():
    bound = sum(p*flex_bound(FlexNow(VARIED, P), text, 24) for text,p in zip(VARIED, P))
    assert bound >= -(P*np.log(P)).sum()
    letters = [(7,), (8,), (9,)] # one token: nothing to pay
    q = np.array([.5, .3, .2])
    tight = sum(p*flex_bound(FlexNow(letters, q), text) for text,p in zip(letters, q))
    assert tight==pytest.approx(-(q*np.log(q)).sum(), abs=2e-3)
    torch.manual_seed(0)
    width, which = 3, torch.multinomial(torch.from_numpy(P), 4000, replacement=True)
    texts = torch.zeros(len(which), width, dtype=torch.long)
    for i,k in enumerate(which.tolist()): texts[i,:len(VARIED[k])] = torch.tensor(VARIED[k])
    rows = rows_of(texts)
    rows['token_type_ids'][:,1:] = rows['attention_mask'][:,1:] = (texts > 0).long()
    out = FlexMDMLoss(ExactFlex(VARIED, P), TOK)(rows)
    assert within(out['nats'], bound)

def test_flexmdm_bound_of_a_network_by_quadrature_and_by_chance():
    net, text = net_of(FlexMDMModel), (7, 9)
    with torch.no_grad():
        bound = flex_bound(net, text, 32)
        torch.manual_seed(0)
        out = FlexMDMLoss(net, TOK)(rows_of([text]*20_000))
    assert within(out['nats'], bound) and torch.allclose(out['unmasking']+out['insertion'], out['nats'])

class FlexSoon(ExactFlex):
    "The same at a time that is nearly the one asked for."
    def at(self, t): return super().at(round(t, 2))

def flexed(model, n, **settings):
    return FlexMDMPredictor(TOK, model, temperature=1., seed=1, **settings).predict(prompts(n))['text']

@pytest.mark.parametrize('order,leap,steps', [(None, True, 80), ('random', True, 80), (None, False, 16),
                                              ('random', False, 16), (None, False, 80)])
def test_flexmdm_samples_the_distribution(order, leap, steps):
    texts = [(7,), (7, 8), (9, 8)]
    law = np.array([.5, .3, .2])
    text = flexed(FlexSoon(texts, law), 800, max_steps=steps, confidence=order, leap=leap, max_length=4)
    place, found = {' '.join(map(str, t)): i for i,t in enumerate(texts)}, np.zeros(4)
    for t in text: found[place.get(t, 3)] += 1
    assert found[3] < (.04 if leap else .005)*found.sum() # leaps are short, not infinitely so
    assert pvalue(found[:3], law) > 1e-3

class Aligned:
    "A network that knows one text: which of its tokens what is there can be, each way equally likely at any time."
    def __init__(self, text): self.text, self.known = text, functools.lru_cache(self.counted)
    def counted(self, ids):
        gaps, clean, ways = np.zeros(len(ids)+1), np.zeros((len(ids), TOK.full_vocab_size)), 0
        for at in combinations(range(len(self.text)), len(ids)):
            if any(i not in (TOK.mask_token_id, self.text[a]) for a,i in zip(at, ids)): continue
            ways, gaps = ways+1, gaps+np.diff([-1, *at, len(self.text)])-1
            for i,a in enumerate(at): clean[i,self.text[a]] += 1
        return gaps/max(ways, 1), clean+1e-9
    def __call__(self, ids, t, mask, positions, start):
        T = ids.shape[1]-start
        logits, gaps = torch.zeros(len(ids), T, TOK.full_vocab_size), torch.zeros(len(ids), T+1)
        for i,(row,n) in enumerate(zip(ids[:,start:].tolist(), mask[:,start:].sum(1).tolist())):
            found, clean = self.known(tuple(row[:n]))
            gaps[i,:n+1], logits[i,:n] = torch.from_numpy(found), torch.from_numpy(clean).log()
        return logits, gaps

@pytest.mark.parametrize('schedules', [{}, dict(insertion='early', unmasking='cosine'), dict(insertion='sine')])
@pytest.mark.parametrize('order', [None, 'top_prob'])
@pytest.mark.parametrize('temperature', [0., 1.])
def test_flexmdm_writes_a_text_of_eight_that_is_known_without_a_miss(schedules, order, temperature):
    text = (7, 8, 8, 9, 9, 5, 5, 6)
    plan = dict(max_length=12, seed=0, confidence=order, temperature=temperature, **schedules)
    write = lambda **more: FlexMDMPredictor(TOK, Aligned(text), **plan, **more).predict(prompts(100))['text']
    right = lambda texts: texts.count(' '.join(map(str, text)))
    assert right(write(max_steps=8))==100
    assert right(write(max_steps=32, leap=True)) < 100 # two events of a leap do not know of each other

# ------------------------------------------------------------ what every loss and predictor keeps to

def some_rows(name, n=6):
    rng = np.random.default_rng(0)
    data = [dict(prompt_ids=rng.integers(7, 10, rng.integers(0, 4)).tolist(),
                 target_ids=rng.integers(7, 10, rng.integers(1, 5)).tolist()) for _ in range(n)]
    return CORE[name][2](TOK, 6, input_block_size=6)(data)

@pytest.mark.parametrize('name', CORE)
def test_losses_change_nothing_and_have_gradients_everywhere(name):
    model, loss, _ = CORE[name]
    net, batch = net_of(model), some_rows(name, 64)
    before = copy.deepcopy(batch)
    out = loss(net, TOK)(batch, 0, 0, 'lm')
    out['loss'].backward()
    assert all(torch.equal(v, before[k]) if torch.is_tensor(v) else v==before[k] for k,v in batch.items())
    assert out['loss'].shape==() and out['batch_loss'].shape==(64,) and not out['batch_loss'].requires_grad
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())

@pytest.mark.parametrize('name', CORE)
def test_losses_are_one_graph_for_the_compiler(name):
    model, loss, _ = CORE[name]
    net, batch = net_of(model), some_rows(name)
    f = torch.compile(loss(net, TOK).loss_fn, backend='eager', fullgraph=True)
    torch.manual_seed(0)
    got = f(batch)['loss']
    torch.manual_seed(0)
    assert torch.allclose(got, loss(net, TOK).loss_fn(batch)['loss'], rtol=1e-4)
    for rows in (32, 16): assert torch.isfinite(f(some_rows(name, rows))['loss']) # of any number of rows, too

@pytest.mark.parametrize('name', CORE)
def test_bfloat16_under_autocast_is_finite_and_near(name):
    model, loss, _ = CORE[name]
    torch.manual_seed(0)
    net, batch = model(TOK.full_vocab_size, **SIZES), some_rows(name, 32)
    found = []
    for on in (False, True):
        torch.manual_seed(1)
        with torch.autocast('cpu', torch.bfloat16, enabled=on): found.append(loss(net, TOK)(batch)['loss'])
    assert found[1].dtype==torch.float32 and torch.allclose(found[0], found[1], rtol=.02)

@pytest.mark.parametrize('name', ['arlm', 'mlm', 'mdlm'])
def test_packed_rows_cost_what_their_texts_cost_alone(name):
    import importlib
    module = importlib.import_module(f'decodelab.xlm.models.{name}')
    nice = dict(arlm='ARLM', mlm='MLM', mdlm='MDLM')[name]
    packs, alone = getattr(module, f'{nice}PackedCollator'), getattr(module, f'Default{nice}Collator')
    net, texts = net_of(CORE[name][0]), [[7, 8, 9], [9], [8, 8], [7, 9]]
    data = [dict(input_ids=t) for t in texts]
    packed = packs(TOK, 12)(data)
    assert packed['input_ids'].shape==(2, 12) and (packed['segment_ids'] > 0).sum()==sum(map(len, texts))+2*len(texts)
    if name=='arlm':
        with torch.no_grad(): a, b = (ARLMLoss(net, TOK)(x)['nats'].sum() for x in (packed, alone(TOK, 6)(data)))
        assert torch.allclose(a, b, rtol=1e-5)
    else:
        out = CORE[name][1](net, TOK)(packed)
        assert torch.isfinite(out['loss']) and (name=='mlm' or out['tokens'].sum()==sum(map(len, texts))+len(texts))

@pytest.mark.parametrize('name,extra', [('mlm', {}), ('mlm', dict(confidence='maskgit', max_steps=3, temperature=1.)),
    ('mlm', dict(threshold=.3)), ('mdlm', {}), ('mdlm', dict(confidence='margin')), ('mdlm', dict(block=2)),
    ('flexmdm', {})])
def test_no_mask_is_ever_written(name, extra):
    "By networks that would love to."
    kinds = dict(mlm=(MLMModel, MLMPredictor, MLMSeq2SeqPredCollator),
                 mdlm=(MDLMModel, MDLMPredictor, MDLMSeq2SeqPredCollator),
                 flexmdm=(FlexMDMModel, FlexMDMPredictor, FlexMDMSeq2SeqPredCollator))
    model, predictor, collator = kinds[name]
    net = net_of(model)
    net.norm.bias.data[:], net.head.weight.data[TOK.mask_token_id] = 1., 9.
    asked = collator(TOK)([dict(prompt_ids=[7, 8]), dict(prompt_ids=[9])])
    out = predictor(TOK, net, max_length=7, seed=0, **extra).predict(asked)
    assert not (out['ids'][:,asked['input_ids'].shape[1]:]==TOK.mask_token_id).any()

def test_masks_inside_a_prompt_are_filled_too():
    "Infilling: what is given stays, what is asked for is written."
    net = net_of(MDLMModel)
    asked = MDLMSeq2SeqPredCollator(TOK)([dict(prompt_ids=[7, 2, 9])])
    from decodelab.xlm.models.mdlm import denoiser
    from decodelab.xlm.unmasking import by_confidence
    out = by_confidence(denoiser(net, TOK, asked['attention_mask']), asked['input_ids'], 2)
    assert out.ids[0,[0, 2, 3]].tolist()==[7, 9, 4] and out.ids[0,1]!=2

def test_answers_end_at_the_first_end_and_are_compared_whole():
    from decodelab.xlm.models.mdlm import seq2seq_exact_match_update_fn, seq2seq_token_accuracy_update_fn
    preds = dict(ids=torch.tensor([[4, 7, 8, 0], [4, 7, 8, 9], [4, 7, 0, 0], [4, 0, 0, 0]]), output_start_idx=1)
    batch = dict(target_ids=torch.tensor([[7, 8]]*4))
    found = seq2seq_exact_match_update_fn(batch, preds, TOK)
    assert (found['pred']==found['target']).all(1).tolist()==[True, False, False, False]
    tokens = seq2seq_token_accuracy_update_fn(batch, preds, TOK)
    right = ((tokens['pred']==tokens['target']) & tokens['pred_mask']).sum(1)/tokens['pred_mask'].sum(1)
    assert right.tolist()==pytest.approx([1, 2/3, .5, 0])

@pytest.mark.parametrize('name', CORE)
def test_rows_that_do_not_fit_are_errors_unless_cutting_is_asked_for(name):
    from decodelab.core.errors import BadValue
    collator, data = CORE[name][2], [dict(prompt_ids=[7]*9, target_ids=[8]*9)]
    with pytest.raises(BadValue, match='input_block_size'): collator(TOK, 20, input_block_size=5)(data)
    with pytest.raises(BadValue, match='block_size'): collator(TOK, 5)(data)
    cut = collator(TOK, 5, input_block_size=5, truncate=True)(data)
    assert cut['input_ids'].shape==(1, 10)

def test_nothing_names_a_device(root):
    blocks = 'transformer masking unmasking insertion flexible blocks categorical schedules rows predicting'.split()
    for f in (root/'pkg'/'decodelab'/'xlm').rglob('*.py'):
        if 'models' in f.parts or f.stem in blocks: assert 'cuda' not in f.read_text().lower(), f

def test_subs_carries_over_what_is_there():
    logp = subs(torch.randn(2, 5, 10), torch.tensor([[2, 7, 2, 8, 9]]*2), 2)
    assert torch.isneginf(logp[:,[0, 2],2]).all() and torch.allclose(logp.exp().sum(-1), torch.ones(2, 5))
    assert (logp[:,[1, 3, 4]].argmax(-1)==torch.tensor([7, 8, 9])).all() and (logp[:,1,7]==0).all()
