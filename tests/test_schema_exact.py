"Exact samples follow p(· | L), whatever the batch; the bound holds; hopeless languages say so. Referee: enumeration."
import numpy as np, pytest
from scipy import stats
from decodelab.backends.contract import Sampling
from decodelab.backends.decoding import Choices
from decodelab.backends.toy import Toy
from decodelab.core.errors import BadValue, DecodelabError
from decodelab.schema import compile, constrain
from decodelab.schema.exact_sampling import Hopeless, Tree, Work, exact, exact_batch
from decodelab.schema.pricing import enumerated, exact_price

SCHEMA = {'type': 'object', 'properties': {'answer': {'enum': [0, 3, 5, 8]}, 'sure': {'type': 'boolean'}},
          'required': ['answer', 'sure'], 'additionalProperties': False}

DIGIT = {'type': 'object', 'properties': {'answer': {'enum': list(range(10))}}, 'required': ['answer'],
         'additionalProperties': False}

def asked(model, text='2a*7b+9c+2d*0=? as json'):
    return (*model.chat([dict(role='user', content=text)]), *model.encode('</think><|answer|>'))

def language(toy, seed):
    "A few texts of a toy, some of them beginnings of others."
    rng = np.random.default_rng(seed)
    texts = {tuple(int(i) for i in rng.integers(0, toy.vocab_size-2, rng.integers(1, 5))) for _ in range(8)}
    return Choices(tuple(sorted(texts)), toy.eos_ids)

def fits(found, shares, n):
    "p value of counts of documents against their probabilities; rare ones are pooled."
    order = sorted(shares, key=lambda t: -shares[t])
    observed, expected = [found.get(t, 0) for t in order], [n*shares[t] for t in order]
    while len(expected) > 1 and expected[-1] < 5:
        for x in (observed, expected): x[-2:] = [x[-2]+x[-1]]
    assert sum(observed)==n, 'a text that is not in the language'
    return 1. if len(expected)==1 else stats.chisquare(observed, np.array(expected)*n/sum(expected)).pvalue

def distance(found, shares, n): return sum(abs(found.get(t, 0)/n-p) for t,p in shares.items())/2

def brute(toy, prompt, plan):
    "P(· | L) of a toy over texts, by its own enumeration of everything, and P(L)."
    temperature, shares = plan.temperature, {}
    tempered = Toy(toy.vocab, lambda c: (lambda q: q/q.sum())(np.exp(toy.logprobs(c)/temperature)), name='tempered')
    for ids,logprob in tempered.continuations(prompt, plan.max_tokens):
        if ids[:-1] in plan.constraint.sequences and ids[-1] in toy.eos_ids:
            shares[toy.decode(ids[:-1])] = shares.get(toy.decode(ids[:-1]), 0)+np.exp(logprob)
    total = sum(shares.values())
    return {t: p/total for t,p in shares.items()}, total

@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('temperature', [1., .7])
def test_samples_follow_the_conditional_of_a_toy(seed, temperature):
    toy = Toy.random('ab.?$', seed=seed)
    plan = Sampling(n=3000, max_tokens=5, temperature=temperature, seed=seed, constraint=language(toy, seed))
    shares, mass = brute(toy, (3,), plan)
    out = exact(toy, (3,), plan)
    assert fits(out.texts(), shares, plan.n) > 1e-4
    assert out.found <= mass+1e-9 and out.bound >= mass-1e-12 and out.mass[1] <= mass+1e-9
    referee = exact_price(enumerated(toy, (3,), plan))
    assert referee.mass==pytest.approx(mass, abs=1e-9)
    assert all(referee.shares[t][0]==pytest.approx(p, abs=1e-9) for t,p in shares.items())
    masked = [s.text for s in toy.sample([(3,)], plan)[0] if s.finish=='eos']
    assert distance({t: masked.count(t) for t in shares}, shares, len(masked))==pytest.approx(referee.distance, abs=.04)
    assert distance(out.texts(), shares, plan.n) < .04

def test_tries_arrive_by_the_law_that_the_bound_tells():
    "First tries with an empty trie are accepted with probability P(L), whatever goes on beside them."
    toy = Toy.random('ab.?$', seed=1)
    plan = Sampling(n=1, max_tokens=5, constraint=language(toy, 1))
    _, mass = brute(toy, (3,), plan)
    first = []
    for seed in range(1500):
        out = exact(toy, (3,), Sampling(n=3, max_tokens=5, seed=seed, constraint=plan.constraint), rows=3)
        first += [t==1 for t,b in zip(out.tries, out.bounds)]
        assert out.accepted.sum()==3 and len(out.bounds)==sum(out.tries)
    low, high = stats.binomtest(sum(first), len(first)).proportion_ci(.999)
    assert low <= mass <= high, (low, mass, high)

def test_the_interval_of_the_mass_covers_it():
    toy, hits = Toy.random('ab.?$', seed=5), 0
    plan = Sampling(n=1, max_tokens=5, constraint=language(toy, 5))
    _, mass = brute(toy, (3,), plan)
    for seed in range(200):
        some = Sampling(n=12, max_tokens=5, seed=seed, constraint=plan.constraint)
        _, low, high = exact(toy, (3,), some, rows=1).mass
        hits += low-1e-9 <= mass <= high+1e-9
    assert hits >= 180, hits

@pytest.mark.parametrize('seed', range(12))
def test_the_bound_holds_and_never_rises(seed):
    toy = Toy.random('ab.?$', seed=100+seed, concentration=.4)
    plan = Sampling(n=30, max_tokens=4, seed=seed, constraint=language(toy, seed))
    _, mass = brute(toy, (3,), plan)
    tree, seen = Tree(toy, (3,), plan), [1.]
    learn = tree.learn
    def watched(*args):
        learn(*args)
        seen.append(tree.bound)
    tree.learn = watched
    Work(toy, [tree], 10**6, 4, 1<<30).go()
    assert len(seen) > 2 and all(b <= a for a,b in zip(seen, seen[1:])) and min(seen) >= mass-1e-12
    assert all(a >= b for a,b in zip(tree.bounds[:1], tree.bounds[1:]))

def test_a_tiny_language_is_bounded_from_above():
    "Differences of masses near 1 must not round a bound of 1e-30 away."
    row = {'a': 1-1e-10, 'b': 1e-10}
    toy = Toy.from_table(['a', 'b', '?', '$'], {'?': row, '?b': row, '?bb': row, '?bbb': {'$': 1.}})
    plan = Sampling(constraint=Choices(((1, 1, 1), (0, 0, 0)), toy.eos_ids))
    out = exact(toy, (2,), plan)
    assert 1e-30*(1-1e-6) <= out.bound <= 1e-30*(1+1e-6) and out.cost==pytest.approx(30*np.log(10), rel=1e-5)

def test_acceptance_rises():
    toy = Toy.random('ab.?$', seed=3)
    out = exact(toy, (3,), Sampling(n=200, max_tokens=5, constraint=language(toy, 3)), rows=1)
    assert out.rising()[0] < out.rising()[-1]==1 and out.bound==pytest.approx(out.found, rel=.05)

def same(a, b):
    assert [s.ids for s in a]==[s.ids for s in b]
    for x,y in zip(a, b): assert np.allclose(x.logprobs, y.logprobs, atol=1e-4)

def test_same_samples_whatever_goes_beside_them(student):
    held = constrain(student, compile(SCHEMA))
    prompts = [asked(student), asked(student, '1a+1b*3=? as json')]
    plan = Sampling(n=12, temperature=1.5, constraint=held, max_tokens=60, seed=4)
    both = exact_batch(student, prompts, plan)
    for prompt,out in zip(prompts, both):
        same(out.samples, exact(student, prompt, plan, rows=1).samples)
        same(out.samples, exact(student, prompt, plan, memory=1).samples)
        same(out.samples[5:8], exact(student, prompt, Sampling(**vars(plan) | dict(n=3, first=5))).samples)

def test_samples_of_the_student_follow_the_enumerated_conditional(student):
    held, prompt = constrain(student, compile(SCHEMA)), asked(student)
    plan = Sampling(n=1000, temperature=2., constraint=held, max_tokens=60)
    referee = exact_price(enumerated(student, prompt, plan))
    out = exact(student, prompt, plan)
    shares = {t: p for t,(p,_) in referee.shares.items()}
    assert len(shares)==8 and fits(out.texts(), shares, plan.n) > 1e-4
    assert out.bound >= referee.mass*(1-1e-6) and out.found <= referee.mass*(1+1e-6)
    masked = [s.text for s in student.sample([prompt], plan)[0]]
    apart = distance({t: masked.count(t) for t in shares}, shares, plan.n)
    print(f'P(L) {referee.mass:.4g}; total variation: masked {referee.distance:.3f} (drawn {apart:.3f}), '
          f'exact, drawn {distance(out.texts(), shares, plan.n):.3f}; {len(out.accepted)} tries')
    assert apart==pytest.approx(referee.distance, abs=.04)

def test_each_node_is_run_once(student):
    held = constrain(student, compile(SCHEMA))
    student.usage.reset()
    out = exact(student, asked(student), Sampling(n=40, temperature=1.5, constraint=held, max_tokens=60))
    assert student.usage.run==student.usage.unique==len(asked(student))+out.runs-1

def test_samples_carry_what_the_contract_says(student):
    held, prompt = constrain(student, compile(SCHEMA)), asked(student)
    s = exact(student, prompt, Sampling(temperature=1.5, constraint=held, max_tokens=60)).samples[0]
    assert s.finish=='eos' and s.ids[-1] in student.eos_ids and s.text==student.decode(s.ids[:-1])
    assert np.allclose(student.score([(prompt, s.ids)])[0].token_logprobs, s.logprobs, atol=1e-4)
    walk = [student.next_logprobs([(*prompt, *s.ids[:i])])[0] for i in range(len(s.ids))]
    from decodelab.backends.drawing import allowed
    for i,row in enumerate(walk):
        matcher, bits = held.start(), np.zeros((1, -(-student.vocab_size//32)), np.int32)
        if i: matcher.accept(s.ids[:i])
        held.fill([matcher], [0], bits)
        kept = np.log(np.exp(row.astype(float))[allowed(bits, student.vocab_size)[0]].sum())
        assert s.notes['kept'][i]==pytest.approx(kept, abs=1e-4)

def test_filters_hold_the_distribution_that_is_meant(student):
    "With top_p the language is conditioned in the filtered distribution."
    held, prompt = constrain(student, compile(DIGIT)), asked(student)
    plan = Sampling(n=200, temperature=2., top_p=.97, constraint=held, max_tokens=60)
    out, documents = exact(student, prompt, plan), enumerated(student, prompt, plan)
    shares = {t: p for t,(p,_) in exact_price(documents).shares.items()}
    assert fits(out.texts(), shares, plan.n) > 1e-4 and 0 < len(shares) <= 10

def test_several_tokenisations_are_several_texts_of_the_language():
    toy = Toy.from_table(['a', 'b', 'ab', '?', '$'], {'?': {'a': .5, 'ab': .3, 'b': .2}, '?a': {'b': .4, '$': .6}})
    held = Choices(((0, 1), (2,)), toy.eos_ids)
    out = exact(toy, (3,), Sampling(n=2000, constraint=held))
    assert out.texts()=={'ab': 2000} and out.bound==pytest.approx(.5*.4+.3)
    split = sum(len(s.ids)==3 for s in out.samples)/2000
    assert split==pytest.approx(.2/.5, abs=.05)

def test_running_out_of_tokens_is_no_text_of_the_language():
    toy = Toy.from_table(['a', '?', '$'], {'?'+'a'*k: {'a': .5, '$': .5} for k in range(1, 9)} | {'?': {'a': 1.}})
    class All: # any number of a
        grammar = name = 'a*'
        def start(self): return []
        def fill(self, matchers, rows, bits): bits[list(rows)] = 0b101
    class Matcher(list):
        complete = True
        def accept(self, ids): self.extend(ids)
    every = All()
    every.start = Matcher
    out = exact(toy, (1,), Sampling(n=500, max_tokens=3, constraint=every))
    assert set(out.texts())=={'a', 'aa'} and out.bound==pytest.approx(.75) and out.cut > 0

def test_hopeless_languages_say_their_price(student):
    held = constrain(student, compile({'enum': ['zebra crossing at night']}))
    with pytest.raises(Hopeless, match=r'tries=3.*P\(L\) is at most .* nats or more.*price'):
        exact(student, asked(student), Sampling(n=2, constraint=held, max_tokens=60), tries=3)
    good = constrain(student, compile(DIGIT))
    plans = [Sampling(constraint=c, max_tokens=60) for c in (held, good)]
    bad, fine = exact_batch(student, [asked(student)]*2, plans, tries=3)
    assert bad.error and not bad.samples and bad.bound < 1e-3 and len(fine.samples)==1 and not fine.error

def test_no_mass_at_all_is_said():
    toy = Toy.from_table(['a', 'b', '?', '$'], {'?': {'a': 1.}})
    with pytest.raises(Hopeless, match='no text of at most 64 tokens'):
        exact(toy, (2,), Sampling(constraint=Choices(((1,),), toy.eos_ids)))

@pytest.mark.parametrize('change,says', [(dict(temperature=0.), 'temperature'), (dict(constraint=None), 'constraint')])
def test_what_cannot_be_drawn_exactly_is_refused(change, says):
    toy = Toy.random()
    plan = Sampling(**vars(Sampling(constraint=Choices(((0,),), toy.eos_ids))) | change)
    with pytest.raises(BadValue, match=says): exact(toy, (1,), plan)

@pytest.mark.parametrize('name', ['tries', 'rows', 'memory'])
def test_limits_are_checked(name):
    toy = Toy.random()
    with pytest.raises(DecodelabError, match=name):
        exact(toy, (1,), Sampling(constraint=Choices(((0,),), toy.eos_ids)), **{name: 0})

def test_the_same_samples_through_gguf(student):
    pytest.importorskip('llama_cpp')
    from decodelab.backends import load
    gguf, schema = load('gguf:reference:student'), compile(SCHEMA)
    plan = dict(n=20, temperature=2., max_tokens=60)
    there = exact(gguf, asked(gguf), Sampling(**plan, constraint=constrain(gguf, schema)))
    here = exact(student, asked(student), Sampling(**plan, constraint=constrain(student, schema)))
    assert [s.text for s in there.samples]==[s.text for s in here.samples]
    assert there.mass[0]==pytest.approx(here.mass[0], rel=1e-2)
    gguf.close()
