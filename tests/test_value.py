"The value of going on: against exact optimal stopping, in traps for thresholds, with noise; its risk."
import json
from dataclasses import replace
import numpy as np, pytest
from scipy import stats
from decodelab.backends.contract import Sampling
from decodelab.backends.decoding import Choices
from decodelab.backends.loading import load
from decodelab.core.errors import BadValue, DataError
from decodelab.eig import EIGParameters
from decodelab.eig.frames import frame_for, prompt_ids
from decodelab.eig.stopping import valuing
from decodelab.eig.stopping.fitting import FitParameters, drops, fit_kind, observe
from decodelab.eig.stopping.learnt import certified_cost, losses_at, prices_of, read_gain
from decodelab.eig.stopping.live import Scaler
from decodelab.eig.stopping.policy import stop_policy
from decodelab.eig.stopping.reasoning import reason
from decodelab.eig.stopping.replay import replay_rule
from decodelab.eig.stopping.valuing import bent_worth, fit_value, losses_of, states_of, value_features, value_paths
from decodelab.maths.paths import best_budget, budgets_of, left_with, paths_of
from decodelab.maths.risk import certify, questions_needed
from decodelab.maths.stopping import fit_worth
from decodelab.tasks.data import load_questions

# A chain whose best policy is known: stages, and how sure one is; steps of two lengths

STAGES, LEVELS = 9, 12 # 108 states

def chain(seed):
    "Values, tokens of the next step, and transition probabilities of every state but those of the last stage."
    rng = np.random.default_rng(seed)
    sure = 1/(1+np.exp(-np.linspace(-2, 3, LEVELS)))
    tokens = rng.choice([3., 12.], size=LEVELS)
    up, down = rng.uniform(.1, .6, LEVELS), rng.uniform(.05, .3, LEVELS)
    move = np.zeros((LEVELS, LEVELS))
    for k in range(LEVELS):
        move[k, min(k+2, LEVELS-1)] += up[k]
        move[k, max(k-1, 0)] += down[k]
        move[k, k] += 1-up[k]-down[k]
    return sure, tokens, move

def worth_by_stage(chained, cost, goes=None):
    "Worth of every state at the first stage: under the best policy, or one that is given."
    sure, tokens, move = chained
    worth = sure
    for t in reversed(range(STAGES-1)):
        ahead = move@worth - cost*tokens
        worth = np.maximum(sure, ahead) if goes is None else np.where(goes[t], ahead, sure)
    return worth

def walked(chained, n, seed):
    sure, tokens, move = chained
    rng, at = np.random.default_rng(seed), np.empty((n, STAGES), int)
    at[:,0] = rng.integers(0, LEVELS//2, n)
    for t in range(1, STAGES):
        at[:,t] = (move.cumsum(1)[at[:,t-1]] < rng.random(n)[:,None]).sum(1).clip(0, LEVELS-1)
    spent = np.c_[np.zeros(n), np.cumsum(tokens[at[:,:-1]], 1)]
    return at, paths_of(sure[at], spent)

def test_it_comes_within_a_hundredth_of_the_best_policy_and_never_above(seed=0):
    chained = chain(seed)
    at, paths = walked(chained, 2000, seed)
    state = np.arange(STAGES)*LEVELS + at
    one_hot = lambda states: np.eye(STAGES*LEVELS)[states]
    worth, chosen = fit_worth(paths, one_hot(state[paths.asked]))
    first = np.bincount(at[:,0], minlength=LEVELS)/len(at)
    mean_spent = [paths.spent[:,t].mean() for t in range(STAGES)]
    shares = []
    for cost in worth.costs[1:]:
        goes = [worth(one_hot(t*LEVELS+np.arange(LEVELS)), mean_spent[t]) > cost for t in range(STAGES-1)]
        ours, best = first@worth_by_stage(chained, cost, goes), first@worth_by_stage(chained, cost)
        assert ours <= best+1e-12
        shares.append(ours/best)
    assert min(shares) >= .99, np.round(shares, 4)
    assert chosen.gain > chosen.error

# Without features the policies are budgets

def test_tokens_alone_reproduce_the_best_budget_at_every_cost():
    rng = np.random.default_rng(3)
    lengths = rng.integers(2, 14, 120)
    paths = paths_of([np.clip(np.cumsum(rng.normal(.04, .15, n))+.3, 0, 1) for n in lengths],
                     [np.append(0, np.cumsum(rng.integers(1, 9, n-1))) for n in lengths])
    worth, chosen = fit_worth(paths, np.empty((paths.asked.sum(), 0)))
    nu = np.zeros(paths.asked.shape)
    nu[paths.asked] = worth(np.empty((paths.asked.sum(), 0)), paths.spent[paths.asked])
    b = budgets_of(paths)
    for cost in worth.costs:
        value, spent = left_with(paths, (nu > cost) & paths.asked)
        k = best_budget(b, cost)
        assert (value-cost*spent).mean() == pytest.approx((b.value-cost*b.spent).mean(0)[k], abs=1e-9)

def test_noise_costs_at_most_a_standard_error():
    "Features that say nothing: worth on fresh questions less that of budgets, over twenty seeds."
    lost = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        def drawn(n):
            p = paths_of(np.clip(.2+np.cumsum(rng.normal(.05, .12, (n, 10)), 1), 0, 1), [4*np.arange(10)]*n)
            return p, rng.normal(size=(p.asked.sum(), 6))
        (paths, x), (fresh, y) = drawn(60), drawn(500)
        ours, floor = fit_worth(paths, x)[0], fit_worth(paths, x[:,:0])[0]
        def worths(w, features):
            nu, out = np.full(fresh.asked.shape, -1.), []
            nu[fresh.asked] = w(features, fresh.spent[fresh.asked])
            for cost in w.costs:
                value, spent = left_with(fresh, nu > cost)
                out.append((value-cost*spent).mean())
            return np.mean(out)
        lost.append(worths(floor, y[:,:0])-worths(ours, y))
    assert np.mean(lost) <= np.std(lost, ddof=1)/np.sqrt(len(lost)) + 1e-9, np.round(lost, 5)

# Traps for a threshold on the drop over L steps

def made_up(values, tokens, hidden):
    "A trace with these probabilities of its best answer, in nats of entropy and as a belief."
    n = len(values)
    return dict(id='x', tokens=list(tokens), steps=['']*n, entropy=[float(stats.entropy([p, 1-p])) for p in values],
                belief=[[['1', p], ['', 1-p]] for p in values], hidden=[np.asarray(h, float) for h in hidden], prompt=5,
                probe=[4]*n, answer=['1']*n, answer_tokens=[2]*n, correct=[int(p > .9) for p in values], closed=True)

def left(traces, ends, cost):
    "What it is worth to answer each question at a boundary, by its belief there."
    return np.mean([t['belief'][i][0][1]-cost*t['tokens'][i] for t,i in zip(traces, ends)])

def best_drop(traces, cost, horizon=6):
    "What a threshold on the drop is worth at its best, even if it is told the true drop."
    fallen = [drops(t, horizon) for t in traces]
    stop = lambda d, least: next((i for i,x in enumerate(d) if not x > least), len(d)-1)
    return max(left(traces, [stop(d, least) for d in fallen], cost) for least in np.linspace(0, .7, 400))

def late_jumps():
    "Nothing for 12 steps, then everything; or never anything. Which of the two can be seen."
    for i in range(80):
        values = [.5]*13 + [.95]*3 if i % 2 else [.5]*16
        yield made_up(values, 2*np.arange(16), [(i % 2 and p < .9, i % 5) for p in values])

def two_lengths():
    "The same drops a step; steps of 2 tokens or of 30. Which of the two can be seen."
    for i in range(80):
        yield made_up(np.linspace(.5, .95, 10), (2, 30)[i % 2]*np.arange(10), [(i % 2, i % 5)]*10)

@pytest.mark.parametrize('kind,cost,best', [(late_jumps, .01, .5+.5*(.45-.26)), (two_lengths, .01, (.95-.18+.5)/2)])
def test_the_value_walks_past_traps_that_thresholds_fall_into(kind, cost, best, tmp_path, student):
    traces = list(kind())
    value = fit_value(traces, 'hidden_value', student).value
    value.save(tmp_path/'v.json')
    probable = [t | dict(correct=[b[0][1] for b in t['belief']]) for t in traces]
    r = replay_rule(probable, 'hidden_value', gain_file=str(tmp_path/'v.json'), cost=cost)
    ours = (r[:,0]-cost*r[:,1]).mean()
    assert ours == pytest.approx(best, abs=1e-9) and best_drop(traces, cost) < ours-.03

# What is foretold of beliefs, where a line through the hidden state sees nothing

def by_a_product():
    "An answer that comes after six steps, or never; two numbers say which, neither of them alone."
    for i in range(80):
        a, b = (i % 2)*2-1, (i//2 % 2)*2-1
        values = [.5]*6+[.95]*2 if a*b > 0 else [.5]*8
        yield made_up(values, 4*np.arange(8), [(a, b, i % 7) for _ in values])

def test_landmarks_see_what_no_line_does_and_survive_a_file(tmp_path, student):
    traces, worth = list(by_a_product()), []
    for landmarks in (0, 64):
        file = tmp_path/f'{landmarks}.json'
        value = fit_value(traces, 'hidden_value', student, landmarks=landmarks).value
        value.save(file)
        assert read_gain(str(file), 'hidden_value')==value and bool(value.foresight)==bool(landmarks)
        probable = [t | dict(correct=[b[0][1] for b in t['belief']]) for t in traces]
        r = replay_rule(probable, 'hidden_value', gain_file=str(file), cost=.01)
        worth.append((r[:,0]-.01*r[:,1]).mean())
    best = .5*.5+.5*(.95-.24)
    assert worth[0]==pytest.approx(.5) and best-.03 < worth[1] <= best+1e-9

def test_landmarks_of_noise_cost_at_most_a_standard_error():
    "As above, over five seeds: the foresight is let in only where it is worth more beyond chance."
    lost = []
    for seed in (2, 10, 14, 17, 18): # those of the first twenty on which either says anything
        rng = np.random.default_rng(seed)
        def drawn(n):
            made = [made_up(np.clip(.2+np.cumsum(rng.normal(.05, .12, 10)), .01, .99), 4*np.arange(10),
                            rng.normal(size=(10, 6))) for _ in range(n)]
            return made, value_paths(made, 'hidden_value'), value_features(made, 'hidden_value')
        (traces, paths, x), (_, fresh, y) = drawn(60), drawn(500)
        line, bent = (bent_worth(traces, paths, x, n)[0] for n in (0, 256))
        def worth(w):
            nu = np.full(fresh.asked.shape, -1.)
            nu[fresh.asked] = w(y, fresh.spent[fresh.asked])
            left = [left_with(fresh, nu > cost) for cost in w.costs]
            return np.mean([(value-cost*spent).mean() for cost,(value,spent) in zip(w.costs, left)])
        lost.append(worth(line)-worth(bent))
    assert np.mean(lost) <= np.std(lost, ddof=1)/np.sqrt(len(lost)) + 1e-6, np.round(lost, 5)

# Certified risks

def test_a_certified_risk_is_broken_no_more_often_than_promised():
    "A thousand resplits of 2,000 made-up questions, each lost from a threshold of its own on."
    rng = np.random.default_rng(0)
    grid = np.linspace(.01, 1, 30)
    own = rng.beta(4, 1.5, 2000)
    losses = (own[:,None] < grid*.9).astype(float)
    for risk,level in ((.05, .1), (.1, .05)):
        broken = 0
        for _ in range(1000):
            picked = rng.permutation(2000)
            place = certify(losses[picked[:200]], risk, level).place
            broken += place is not None and losses[picked[200:],place].mean() > risk
        assert broken/1000 <= level + 2*np.sqrt(level*(1-level)/1000)

def test_losses_between_zero_and_one_certify_more_where_they_are_small():
    rng = np.random.default_rng(1)
    apart = (rng.random((300, 20)) < np.linspace(0, .4, 20)).astype(float)
    sharp, soft = certify(apart, .1, .1), certify(.3*apart, .1, .1)
    assert soft.place > sharp.place

def test_last_that_passes_before_the_first_that_fails():
    losses = np.zeros((400, 3))
    losses[:80,1] = 1
    assert certify(losses, .05, .1).place==0 and questions_needed(.05, .1)==45

# With a model

P = FitParameters(n=24, top_p=1, seed=77)

@pytest.fixture(scope='module')
def seen(student): return observe(student, load_questions('reference', P.n+30, P.seed), P, hidden=True)

@pytest.fixture(scope='module')
def files(student, seen, tmp_path_factory):
    folder = tmp_path_factory.mktemp('values')
    for kind in ('hidden_value', 'probe_value'):
        fit_value(seen, kind, student, apart=30).value.save(folder/f'{kind}.json')
    with pytest.MonkeyPatch.context() as patch: # few questions say nothing for sure: let it in whatever it is worth
        patch.setattr(valuing, 'LET_IN', -np.inf)
        bent = fit_value(seen, 'hidden_value', student, landmarks=128).value
    assert bent.foresight
    bent.save(folder/'bent.json')
    return {kind: str(folder/f'{kind}.json') for kind in ('hidden_value', 'probe_value', 'bent')}

@pytest.mark.parametrize('name,more', [('hidden_value', dict(cost=.004)), ('probe_value', dict(cost=.001)),
                                       ('hidden_value', dict(risk='.5,.2'))])
def test_live_stops_as_replayed(student, seen, files, name, more):
    more, traces = more | dict(gain_file=files[name]), seen[:16]
    live = Scaler(student, name, EIGParameters(top_p=1), seed=P.seed, **more)
    thoughts = reason(student, [t['question'] for t in traces], live, live.forecaster, P.max_tokens)
    r = replay_rule(traces, name, cue_tokens=len(live.calculator.posteriors.cue), **more)
    same = [(t.cost.reasoning, t.cost.forecast, t.cost.probe)==tuple(x[1:4]) for t,x in zip(thoughts, r)]
    assert np.mean(same) >= .9, np.flatnonzero(~np.array(same))
    assert 0 < r[:,1].mean() < np.mean([t['tokens'][-1] for t in traces])

def test_landmarks_stop_live_and_while_decoding_as_replayed(student, seen, files):
    traces, more = seen[:8], dict(gain_file=files['bent'], cost=.003)
    ends = replay_rule(traces, 'hidden_value', **more)[:,1]
    live = Scaler(student, 'hidden_value', EIGParameters(top_p=1), seed=P.seed, **more)
    thoughts = reason(student, [t['question'] for t in traces], live, live.forecaster, P.max_tokens)
    policy, plans = stop_policy(student, **more), []
    for t in traces:
        ids = tuple(student.encode(''.join(t['steps'])))
        plans.append(Sampling(max_tokens=len(ids), constraint=Choices((ids,), student.eos_ids), policy=policy))
    drawn = student.sample([prompt_ids(student, frame_for(student), t['question']) for t in traces], plans)
    assert [len(s.ids) for s, in drawn]==list(ends) and ends.mean() < np.mean([t['tokens'][-1] for t in traces])
    assert np.mean([t.cost.reasoning==end for t,end in zip(thoughts, ends)]) >= .8

def test_a_value_read_again_says_the_same(student, seen, files):
    v = fit_value(seen, 'hidden_value', student, apart=30).value
    assert read_gain(files['hidden_value'], 'hidden_value')==v
    states = states_of(seen[0], 'hidden_value')
    assert [v(s) for s in states]==[read_gain(files['hidden_value'], 'hidden_value')(s) for s in states]

def test_what_is_certified_holds_on_the_questions_it_was_certified_on(seen, files):
    v = read_gain(files['hidden_value'], 'hidden_value')
    cost = certified_cost(v, '.2,.1')
    assert losses_at(v, np.array([cost])).mean() < .2 and cost in prices_of(v)
    lost = [losses_of(t, v) for t in seen[-30:]]
    assert all(np.diff([nu for nu,*_ in own]).max(initial=-1) < 0 for own in lost) and tuple(lost)==v.losses

def test_bad_inputs_are_one_clear_error(student, seen, files, tmp_path):
    file = files['hidden_value']
    with pytest.raises(BadValue, match='fitted on reference:student'):
        Scaler(load('reference:teacher', device='cpu'), 'hidden_value', gain_file=file)
    with pytest.raises(BadValue, match='delimiters, steps'):
        Scaler(student, 'hidden_value', frame=replace(frame_for(student), step='+'), gain_file=file)
    with pytest.raises(BadValue, match='fitted on hidden_value'): Scaler(student, 'probe_value', gain_file=file)
    with pytest.raises(BadValue, match='fitted on hidden_value'): Scaler(student, 'hidden_gain', gain_file=file)
    with pytest.raises(BadValue, match='every: got 2'): Scaler(student, 'hidden_value', gain_file=file, every=2)
    with pytest.raises(BadValue, match='230 at least'): Scaler(student, 'hidden_value', gain_file=file, risk='.01,.1')
    for risk in ('.05', 'a,b', '.05,.1,.2', '0,.1', '.1,1', 'nan,.1'):
        with pytest.raises(BadValue, match='risk'): Scaler(student, 'hidden_value', gain_file=file, risk=risk)
    other = json.loads(open(file).read()) | dict(layer='9')
    (tmp_path/'other.json').write_text(json.dumps(other))
    with pytest.raises(BadValue, match='layer: got 9'):
        Scaler(student, 'hidden_value', gain_file=str(tmp_path/'other.json'))
    broken = [t | dict(hidden=[h*np.nan for h in t['hidden']]) for t in seen]
    with pytest.raises(BadValue, match='hidden state of question .*not finite'):
        fit_value(broken, 'hidden_value', student)
    with pytest.raises(BadValue, match='at least 20'): fit_value(seen[:12], 'hidden_value', student)
    torn = json.loads(open(files['bent']).read())
    (tmp_path/'torn.json').write_text(json.dumps(torn | dict(foresight=torn['foresight'][:-40])))
    with pytest.raises(DataError, match='torn.json: foresight'):
        replay_rule(seen[:1], 'hidden_value', gain_file=str(tmp_path/'torn.json'))
    with pytest.raises(BadValue, match='landmarks: got 8'):
        fit_kind(seen, 'probe_value', FitParameters(landmarks=8), student)

def test_features_that_say_nothing_fall_back_to_the_budget(student, seen):
    rng = np.random.default_rng(0)
    noise = [t | dict(hidden=[rng.normal(size=4) for _ in t['hidden']]) for t in seen]
    v = fit_value(noise, 'hidden_value', student).value
    if not any(v.share): assert 'fixed budget' in v.said
    silent = [t | dict(hidden=[np.zeros(4) for _ in t['hidden']]) for t in seen]
    v = fit_value(silent, 'hidden_value', student).value
    assert not any(v.share) and 'fixed budget' in v.said
