"Books of a rule: three regimes against a simulated cache, answers by what became of them, and what fitting costs."
import math
from dataclasses import replace
import numpy as np, pytest
from click.testing import CliRunner
from decodelab.core.errors import BadValue
from decodelab.eig.stopping.fitting import FitParameters, fit_kind, observe
from decodelab.eig.stopping.learnt import FittedValue, certified_cost, read_gain
from decodelab.eig.stopping.replay import replay_rule, replay_tape, tape_of
from decodelab.eig.stopping.rules import rules
from decodelab.eig.stopping.transfer import promised, tried
from decodelab.eig.stopping.valuing import fit_value, states_of
from decodelab.eig.study.accounts import (BLOCK, account_of, accounts_at, accounts_table, hindsight_curve, pays_after,
                                          prompts_of, spent_on)
from decodelab.eig.study.compare import LEARNT, SWEEPS, fitting_tokens, sweep
from decodelab.eig.study.plane import CORRECT, TOTAL, mixture, tossed
from decodelab.lab.cli import main
from decodelab.tasks.data import load_questions

def made_up(rng, i=0):
    "A trace with steps of random lengths, trial answers, and no forecasts."
    n = int(rng.integers(2, 12))
    tokens = np.append(0, np.cumsum(rng.integers(1, 23, n-1))).tolist()
    said = [str(rng.integers(0, 3)) for _ in range(n)]
    sure = np.sort(rng.random(n)).tolist()
    tries = [dict(said=a, ended=True, logprobs=[math.log(x/2+.5)]*int(rng.integers(1, 4))) for a,x in zip(said, sure)]
    return dict(id=str(i), tokens=tokens, steps=['']+['s\n']*(n-1), closed=bool(rng.random() < .8),
                asked=n-int(rng.random() < .5), answer=said, correct=[int(a=='1') for a in said], confidence=sure,
                entropy=[2*(1-x) for x in sure], prompt=int(rng.integers(1, 40)), gain=[None]*n, group='all',
                belief=[[['1', x], ['(other)', 1-x]] for x in sure], probe=rng.integers(5, 40, n).tolist(),
                answer_tokens=rng.integers(2, 6, n).tolist(), next_entropy=[1-x for x in sure], trial=tries)

class Cache:
    "A server's prefix cache: whole blocks of what it has seen, found by all the tokens before their end."
    def __init__(self): self.known, self.computed, self.charged = set(), 0, 0
    def ask(self, prompt, new):
        hit = max((k for k in range(0, len(prompt)+1, BLOCK) if k==0 or tuple(prompt[:k]) in self.known), default=0)
        whole = [*prompt, *new]
        self.computed += len(whole)-hit
        self.charged += len(whole)
        self.known |= {tuple(whole[:k]) for k in range(BLOCK, len(whole)+1, BLOCK)}

def served(trace, rule, looks, end, kept, prices):
    "The same thought, asked for request by request of such a server."
    cache, question, thought = Cache(), [f'q{k}' for k in range(trace['prompt'])], [f't{k}' for k in range(kept)]
    last, at = len(trace['tokens'])-1, 0
    looks = looks if rule.needs not in ('none', 'hidden') else []
    so_far = lambda n: [*question, *thought[:n]]
    for i in looks:
        here = trace['tokens'][i]
        if here > at: cache.ask(so_far(at), thought[at:here])
        cache.ask(so_far(here), [f'p{i}.{k}' for k in range(prices[i])])
        at = here
    answer = [f'a{k}' for k in range(trace['answer_tokens'][end])]
    if end==last and kept==trace['tokens'][last] and trace['closed'] and last not in looks:
        cache.ask(so_far(at), [*thought[at:], *answer])
    else:
        if kept > at: cache.ask(so_far(at), thought[at:])
        cache.ask(so_far(kept), answer)
    return cache

CASES = [('full', {}), ('none', {}), ('fixed_budget', dict(budget=30)),
         ('thinking_budget', dict(thinking_token_budget=25)),
         ('entropy_thresholding', dict(threshold=.8)), ('entropy_thresholding', dict(threshold=.2, every=2)),
         ('answer_convergence', {}), ('deer', dict(threshold=.9, skip=0))]

@pytest.mark.parametrize('name,given', CASES)
def test_three_regimes_against_a_server_that_is_simulated(name, given):
    rng, rule = np.random.default_rng(3), rules[name].item
    for i in range(60):
        trace = made_up(rng, i)
        tape, p = tape_of(trace, rule), rules.settings(name, given)
        looked = []
        end, cost = replay_tape(tape, p, looked)
        a = account_of(tape, p, name)
        cache = served(trace, rule, [k for k,_ in looked], end, cost.reasoning, tape.prices)
        assert a.spent.forked==trace['prompt']+cost.total
        assert (a.spent.cached, a.spent.black_box)==(cache.computed, cache.charged), trace

def test_answers_are_right_wrong_or_cut_and_lost_or_gained():
    rng = np.random.default_rng(5)
    traces = [made_up(rng, i) for i in range(80)]
    curves = {name: sweep(traces, SWEEPS[name], 8) for name in ('full', 'none', 'fixed budget', 'entropy', 'DEER')}
    goal = float(curves['fixed budget'].accuracy.mean())
    table = accounts_table(traces, curves, goal).set_index('rule')
    table.index = [name.split(',')[0] for name in table.index]
    assert (table.right+table.wrong+table.cut==80).all()
    full = np.array([t['correct'][-1] for t in traces])
    assert table.loc['full', ['lost', 'gained']].tolist()==[0, 0] and table.loc['full', 'right']==full.sum()
    assert table.loc['full', 'cut']==sum(not t['correct'][-1] and not t['closed'] for t in traces)
    for name in curves:
        picked, _ = tossed(curves[name], goal, TOTAL)
        right = curves[name].outcomes[picked, np.arange(80), CORRECT]
        assert table.loc[name, 'right']==right.sum(), name
        assert table.loc[name, 'lost']==((full==1) & (right==0)).sum()
        assert table.loc[name, 'gained']==((full==0) & (right==1)).sum()
        own = accounts_at(traces, curves[name], SWEEPS[name], goal)
        assert np.mean([a.spent.forked for a in own])==pytest.approx(table.loc[name, 'forked'])
    prompts = np.mean([t['prompt'] for t in traces])
    none = replay_rule(traces, 'none')[:,TOTAL].mean()
    assert table.loc['none', 'forked']==pytest.approx(none+prompts)

def test_hidden_states_are_not_to_be_had_by_requests(student):
    trace = made_up(np.random.default_rng(1)) | dict(hidden=[np.zeros(2)]*12)
    tape = tape_of(trace, rules['hidden_gain'].item)
    prompts = prompts_of(tape, 1, trace['tokens'][1], [(0, False), (1, False)])
    spent = spent_on(tape, 50, prompts)
    assert prompts==[trace['prompt']+trace['tokens'][1]] and spent.forked==trace['prompt']+50
    assert math.isnan(spent.black_box)

def test_forecasts_are_requests_too():
    trace = made_up(np.random.default_rng(2))
    gain = dict(eig=.5, low=.5, high=.5, mutual_information=0., computation_gain=.5, martingale_gap=0., after=[.1, .2],
                forecast=20, probe=12, kept=4, best=[.9, .9])
    trace['gain'] = [gain]*len(trace['tokens'])
    rule = rules['expected_information_gain_reasoning'].item
    tape = tape_of(trace, rule)
    here = trace['prompt']
    two = [here, here+12]*2 # after the look: forecasts and their beliefs; then the answer
    assert prompts_of(tape, 0, 0, [(0, True)])==[*two, here]

def test_hindsight_is_the_least_that_any_stop_could_spend():
    "At every price of a token its best point is each question's best boundary, answers paid; between points by LP."
    from scipy.optimize import linprog
    rng = np.random.default_rng(7)
    traces = [made_up(rng, i) for i in range(60)]
    bound = hindsight_curve(traces)
    for c in np.append(0., np.geomspace(1e-3, 1, 9)):
        best = [max(r-c*(n+a) for r,n,a in zip(t['correct'], t['tokens'], t['answer_tokens'])) for t in traces]
        assert np.mean(best)==pytest.approx(max((x[:,0]-c*x[:,TOTAL]).mean() for x in bound.outcomes))
    flat = [(i, r, n+a) for i,t in enumerate(traces) for r,n,a in zip(t['correct'], t['tokens'], t['answer_tokens'])]
    owner, right, spent = map(np.array, zip(*flat))
    each = (owner==np.arange(60)[:,None]).astype(float) # a question stops somewhere
    for share in (.1, .43, .81):
        goal = bound.accuracy[-1] + share*np.ptp(bound.accuracy)
        least = linprog(spent, A_ub=-right[None], b_ub=[-goal*60], A_eq=each, b_eq=np.ones(60)).fun/60
        first, weight, met = mixture(bound.accuracy, bound.tokens(), goal)
        assert met and (1-weight)*bound.tokens()[first]+weight*bound.tokens()[first+1]==pytest.approx(least)

def test_no_rule_beats_hindsight():
    rng = np.random.default_rng(8)
    traces = [made_up(rng, i) for i in range(60)]
    bound = hindsight_curve(traces)
    worth = lambda x, c: (x[:,0]-c*x[:,TOTAL]).mean()
    for name in ('fixed budget', 'entropy', 'DEER', 'answer convergence'):
        for outcomes in sweep(traces, SWEEPS[name], 6).outcomes:
            for c in (0, .001, .01, .1): assert worth(outcomes, c) <= max(worth(x, c) for x in bound.outcomes)+1e-9

def test_fitting_is_paid_for():
    traces = [made_up(np.random.default_rng(i)) for i in range(30)]
    want = sum(t['prompt']+t['tokens'][-1]+sum(t['probe']) for t in traces)
    trials = sum(2+len(x['logprobs'])-1 for t in traces for x in t['trial'])
    assert fitting_tokens(traces)==want and fitting_tokens(traces, True)==want+trials
    assert pays_after(want, 50., 40.)==math.inf and pays_after(100, 10., 12.5)==40

# What a risk may be told in, and where it is tried

P = FitParameters(n=24, top_p=1, seed=177)

@pytest.fixture(scope='module')
def seen(student):
    return observe(student, load_questions('reference', P.n+40, P.seed), P, hidden=True)

def test_a_loss_in_probability_wants_calibrated_beliefs(student, seen):
    v = fit_value(seen, 'hidden_value', student, apart=40).value
    assert v.calibration is not None and 0 <= v.calibration < .2
    held, right = (np.concatenate([t[of] for t in seen[-40:]]) for of in ('confidence', 'correct'))
    parts = np.array_split(np.argsort(held, kind='stable'), 10)
    assert v.calibration==pytest.approx(sum(len(i)*abs(held[i].mean()-right[i].mean()) for i in parts)/len(held))
    trusted, off, unknown = (replace(v, calibration=c) for c in (.03, .157, None))
    assert certified_cost(trusted, '.2,.2', 'probability') >= certified_cost(trusted, '.2,.2')
    with pytest.raises(BadValue, match=r'at most 0.05\. That of this fit is 0.157'):
        certified_cost(off, '.2,.2', 'probability')
    with pytest.raises(BadValue, match='unknown: no questions'): certified_cost(unknown, '.2,.2', 'probability')
    assert certified_cost(off, '.2,.2')==certified_cost(trusted, '.2,.2') # answers that differ need no beliefs

def test_fitted_where_all_can_be_answered_and_tried_where_many_cannot(student, seen):
    v = fit_value([t for t in seen if t['group']=='answerable'], 'hidden_value', student, apart=25).value
    hopeless = [t for t in seen if t['group']=='unanswerable']
    for loss in ('differs',):
        t = tried(v, hopeless, '.2,.2', loss)
        assert t.unanswerable==1 and t.questions==len(hopeless) and ('broken' in t.said)==t.broken
        assert promised(v, '.2,.2').startswith('ε = 0.2, δ = 0.2 (differs): cost')
        by_replay = [o['answer'][i]!=o['answer'][-1] for o,i in zip(hopeless, ends_at(v, hopeless, t.threshold))]
        assert t.there==pytest.approx(np.mean(by_replay))

def ends_at(v:FittedValue, traces, cost):
    "Where a rule with this value stops, by its own file."
    return [next((i for i,s in enumerate(states_of(t, v.kind)) if not v(s) > cost), len(t['tokens'])-1) for t in traces]

# The command

def fit_gain(*args): return CliRunner().invoke(main, ['fit-gain', *map(str, args)])

@pytest.mark.parametrize('kind,more,rule', [
    ('hidden_value', ('--form', 'open', '--every', '2', '--certify', '24', '--risk', '.3,.2',
                      '--try-unanswerable', '.4', '--try-n', '20'), 'hidden_value'),
    ('probe_value', ('--form', 'closed'), 'probe_value'),
    ('arrival', ('--certify', '12', '--risk', '.5,.2'), 'thought_calibration'), ('correctness', (), 'learn_stop'),
    ('hopeless', ('--max-tokens', '96'), 'conformal_thinking')])
def test_fit_gain_from_the_command_line(tmp_path, kind, more, rule):
    out = tmp_path/'fit.json'
    r = fit_gain(out, '--kind', kind, '--n', 24, '--seed', 3, '--unanswerable', '.2', *more)
    assert r.exit_code==0, r.output
    fit = read_gain(str(out), kind)
    assert LEARNT[rule]==kind and fit.questions <= 24 and f'{fit.questions} questions' in r.output
    assert fit.every==(2 if '--every' in more else 1)
    if '--form' in more: assert fit.form==more[1]
    if '--certify' in more:
        kept = fit.losses if kind=='hidden_value' else fit.kept
        assert len(kept)==int(more[more.index('--certify')+1]) and 'ε = ' in r.output
    if '--try-unanswerable' in more: assert 'other questions' in r.output

@pytest.mark.parametrize('args,said', [
    (('--kind', 'hidden_value', '--risk', '.05,.1'), 'certify: got 0; allowed: at least 45 questions'),
    (('--kind', 'hidden_value', '--risk', '.05,.1', '--certify', '44'), 'certify: got 44; allowed: at least 45'),
    (('--kind', 'hidden_value', '--risk', '.05'), 'two numbers'),
    (('--kind', 'probes', '--certify', '50'), 'kind: got'),
    (('--kind', 'probes', '--risk', '.05,.1'), 'Only these can certify'),
    (('--kind', 'arrival', '--loss', 'probability'), 'A fit of arrival tells no other'),
    (('--kind', 'hidden_value', '--try-unanswerable', '.4'), 'what is tried on other questions'),
    (('--kind', 'hidden_value', '--every', '0'), 'every: got 0'), (('--kind', 'nothing',), "'nothing' is not one of"),
    (('--kind', 'hidden_value', '--form', 'ajar'), "'ajar' is not one of"), (('--unanswerable', '2'), '0<=x<=1')])
def test_what_cannot_be_asked_is_told_before_anything_runs(tmp_path, args, said, monkeypatch):
    import decodelab.eig.stopping.fitting as fitting
    monkeypatch.setattr(fitting, 'load', lambda *a, **k: pytest.fail('a model was loaded'))
    r = fit_gain(tmp_path/'x.json', '--n', 24, *args)
    assert r.exit_code==2 and said in r.output and not (tmp_path/'x.json').exists(), r.output

def test_fits_of_every_kind_from_the_same_traces(student, seen):
    traces = observe(student, load_questions('reference', 20, 5), P, hidden=True, trials=True)
    for kind in ('probes', 'hidden', 'hidden_value', 'probe_value', 'arrival', 'correctness', 'hopeless'):
        fit = fit_kind(traces, kind, P, student)
        assert fit.kind==kind and fit.said and fit.figures['questions'] <= 20
    with pytest.raises(BadValue, match="Did you mean 'arrival'"): fit_kind(traces, 'arival', P, student)
