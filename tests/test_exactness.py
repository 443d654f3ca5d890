"EIG on finite models: equal to enumeration when exhaustive, unbiased with honest intervals when sampled."
import numpy as np, pytest
from scipy import stats
from decodelab.backends import Toy
from decodelab.eig import (AnswerPosteriorEstimator, EIGParameters, ExpectedInformationGainCalculator, Frame,
                           MonteCarloForecaster)
from decodelab.eig.gain import gain
from decodelab.schema import compile

FRAME = Frame(cue='.', answer_tokens=3, language=compile('regex:[ab.]{1,2}'))

def entropy(p):
    p = np.asarray(p)
    p = p[p > 0]
    return float(-(p*np.log(p)).sum())

def enumerate_all(toy, state, length):
    "Forecasts with weights, and the exact belief over every answer of the language after a state, by direct products."
    end = toy.eos_ids[0]
    paths = [((*state, *(i[:-1] if i[-1]==end else i)), np.exp(lp)) for i,lp in toy.continuations(state, length)]
    def answers(s):
        masses = {i: np.exp(lp) for i,lp in toy.continuations((*s, *toy.encode('.')), 3) if i[-1]==end and len(i) > 1}
        return {i: x/sum(masses.values()) for i,x in masses.items()}
    return paths, answers

@pytest.mark.parametrize('seed', range(6))
def test_posterior_entropy_gain_and_parts_equal_enumeration(seed):
    toy, state = Toy.random('ab.$', seed=seed, concentration=.7), (0,)
    paths, answers = enumerate_all(toy, state, 2)
    support = list(answers(state))
    est = AnswerPosteriorEstimator(toy, FRAME, EIGParameters(beam_size=20), normaliser=str)
    supports, _ = est.candidates([state, *(s for s,_ in paths)])
    assert all({c.ids for c in s}==set(support) and s.how=='exact' for s in supports)
    beliefs = [est.posterior(s) for s in supports]
    names = beliefs[0].answers[:-1]
    ps = [np.array([*(b.of(name) for name in names), b.p[-1]]) for b in beliefs]
    w = np.array([w for _,w in paths])
    g = gain(ps[0], ps[1:], weights=w)
    def belief(s):
        a = answers(s)
        p = [a.get(c.ids, 0.) for c in supports[0]]
        return np.array([*p, max(0, 1-sum(p))])
    exact = [belief(s) for s in [state, *(s for s,_ in paths)]]
    np.testing.assert_allclose(ps, exact, atol=1e-9)
    pooled = (w[:,None]*np.array(exact[1:])).sum(0)
    after = sum(x*entropy(p) for x,p in zip(w, exact[1:]))
    assert abs(g.entropy-entropy(exact[0])) < 1e-9 and abs(g.eig-(entropy(exact[0])-after)) < 1e-9
    assert abs(g.mutual_information-(entropy(pooled)-after)) < 1e-9
    assert abs(g.computation_gain-(entropy(exact[0])-entropy(pooled))) < 1e-9

def test_monte_carlo_is_unbiased_and_its_interval_covers():
    "1,000 seeds: z test of the mean gain, and coverage of the 95 % interval."
    toy, state, k = Toy.random('ab.$', seed=2, concentration=1.), (0,), 12
    paths, answers = enumerate_all(toy, state, 2)
    support = list(answers(state))
    def belief(s):
        a = answers(s)
        p = [a.get(i, 0.) for i in support]
        return np.array([*p, max(0, 1-sum(p))])
    now, table = belief(state), {s: belief(s) for s,_ in paths}
    exact = entropy(now) - sum(w*entropy(table[s]) for s,w in paths)
    estimates, hits = [], 0
    for seed in range(1000):
        f = MonteCarloForecaster(toy, FRAME, EIGParameters(sample_length=2, top_p=1, mc_samples=k), seed)
        ends = [(*state, *c.ids) for c in f.forecast([state], k)[0]]
        g = gain(now, [table[e] for e in ends])
        estimates.append(g.eig)
        hits += g.low <= exact <= g.high
    z = (np.mean(estimates)-exact)/(np.std(estimates, ddof=1)/np.sqrt(1000))
    assert abs(z) < 3.3, z
    assert 900 <= hits <= 990, hits

def test_calculator_agrees_with_enumeration_within_its_interval():
    toy, state = Toy.random('ab.$', seed=11, concentration=.6), (0,)
    p = EIGParameters(beam_size=20, mc_samples=20, sample_length=2, top_p=1, lambda_cost=0, adaptive=False)
    calculators = [ExpectedInformationGainCalculator(toy, FRAME, p, seed, normaliser=str) for seed in range(40)]
    gains = [c.evaluate([state])[0].gain for c in calculators]
    paths, answers = enumerate_all(toy, state, 2)
    exact = entropy([*answers(state).values()])-sum(w*entropy([*answers(s).values()]) for s,w in paths)
    t = stats.ttest_1samp([g.eig for g in gains], exact)
    assert t.pvalue > 1e-3 and np.mean([g.low <= exact <= g.high for g in gains]) > .8

def test_free_bound_draws_no_forecast():
    toy = Toy.from_table('a.$', {'.': {'a': 1.}, '.a': {'$': 1.}})
    calc = ExpectedInformationGainCalculator(toy, FRAME, EIGParameters())
    d = calc.evaluate([()])[0]
    assert (d.cause, d.forecast, d.go)==('bound', 0, False) and calc.metrics.causes=={'bound': 1}

def test_unscorable_answers_are_a_counted_failure():
    nan = Toy('a.$', lambda c: np.full(3, np.nan))
    calc = ExpectedInformationGainCalculator(nan, Frame(cue='.', answer_tokens=2), EIGParameters())
    d = calc.evaluate([(0,)])[0]
    assert not d.go and d.cause.startswith('failed') and sum(calc.metrics.failures.values())==1
    endless = Toy.from_table('a.$', {c: {'a': 1.} for c in ('.', '.a', '.aa', '.aaa')})
    d = ExpectedInformationGainCalculator(endless, Frame(cue='.', answer_tokens=2), EIGParameters()).evaluate([()])[0]
    assert d.cause=='failed: beam'

def test_every_session_is_closed(monkeypatch):
    "Also one that is left by an error."
    toy = Toy.random('ab.\n$', seed=3)
    opened, closed = [], []
    def session(prefixes, room=64, open_one=toy.session):
        opened.append(open_one(prefixes, room))
        close = opened[-1].close
        opened[-1].close = lambda: (closed.append(1), close())
        return opened[-1]
    monkeypatch.setattr(toy, 'session', session)
    parameters = EIGParameters(sample_length=4, lambda_cost=0)
    text = Frame(cue='.', answer_tokens=3)
    calculator = ExpectedInformationGainCalculator(toy, text, parameters, normaliser=str)
    calculator.evaluate([(0,), (1, 0)])
    calculator.forecaster.walk([(0,), (1,)], [6, 6])
    assert len(opened)==len(closed) >= 2
    monkeypatch.setattr('decodelab.backends.decoding.take_all', lambda *args: 1/0)
    with pytest.raises(ZeroDivisionError): calculator.evaluate([(0,)])
    assert len(opened)==len(closed)
