"Rules at equal accuracy: mixtures against closed forms, and intervals against the truth they are to cover."
import numpy as np, pytest
from decodelab.eig.study.compare import area, at_equal_tokens
from decodelab.eig.study.plane import (CORRECT, REASONING, TOTAL, Curve, choose, difference, halves, judge, mixture,
                                       saving, tossed)

def known(n, thresholds, tokens):
    "Question i is right from the threshold (i+½)/n on; every question costs `tokens(threshold)`."
    hard, thresholds = (np.arange(n)+.5)/n, np.asarray(thresholds, float)
    out = np.zeros((len(thresholds), n, 6))
    out[:,:,CORRECT] = hard <= thresholds[:,None]
    out[:,:,REASONING] = out[:,:,TOTAL] = np.array([tokens(t) for t in thresholds])[:,None]
    return Curve('known', thresholds, out)

def test_a_mixture_meets_the_target_for_the_tokens_of_the_chord():
    "Accuracy θ for θ² tokens at θ = .4 and .6: accuracy .5 costs (.16+.36)/2, not .25; expectations are linear."
    first, weight, met = mixture(np.array([.2, .4, .6, .8]), np.array([.2, .4, .6, .8])**2, .5)
    assert (int(first), float(weight), bool(met))==(1, pytest.approx(.5), True)
    x = judge(known(4000, [.2, .4, .6, .8], lambda t: t*t), .5, draws=200)
    assert x.met and x.mean(CORRECT)==pytest.approx(.5, abs=.02) and x.mean(TOTAL)==pytest.approx(.26, abs=.005)
    low, high = x.interval(TOTAL)
    assert low < .26 < high

def test_a_threshold_that_meets_the_target_is_itself_the_mixture():
    value, cost = np.array([.3, .5, .5, .9]), np.array([1., 4., 2., 9.])
    for target, spent in ((.3, 1), (.5, 2), (.9, 9)):
        first, weight, met = mixture(value, cost, target)
        assert met and (1-weight)*cost[first]+weight*cost[min(first+1, 3)]==pytest.approx(spent)

def test_the_cheapest_crossing_counts_and_one_that_is_not_there_is_said():
    wavy = np.array([.2, .6, .3, .8]), np.array([50., 40., 10., 90.])
    first, weight, met = mixture(*wavy, .45)
    assert met and first==1 and (1-weight)*40+weight*10==pytest.approx(25) # not 43.75 on the way up
    for target, nearest in ((.9, 3), (.1, 0)): assert [float(x) for x in mixture(*wavy, target)]==[nearest, 0, 0]
    assert [float(x) for x in mixture(np.array([.5]), np.array([1.]), .7)]==[0, 0, 0]
    assert not judge(known(400, [.2, .4], lambda t: t), .9, draws=50).met

def test_two_rules_are_at_the_same_accuracy_whatever_their_thresholds():
    "Today's tables put .578 beside .703: a rule of two far thresholds beside one of many."
    coarse, fine = known(800, [0, 1], lambda t: 10*t), known(800, np.linspace(0, 1, 41), lambda t: 30*t)
    s = saving(coarse, fine, .64, TOTAL)
    assert s.met and s.accuracy==pytest.approx((.64, .64), abs=.02)
    assert s.tokens==pytest.approx((6.4, 19.2), abs=.4) and s.saved==pytest.approx(2/3, abs=.01)
    assert s.difference.high < 0 and s.accuracy_difference.low <= 0 <= s.accuracy_difference.high

def test_equal_tokens_are_a_mixture_too():
    rule, budget = known(800, [0, 1], lambda t: 10*t), known(800, [0, .3, 1], lambda t: 20*t)
    more, spent, met = at_equal_tokens(rule, budget, .6) # 6 tokens buy the budget .3
    assert met and spent==pytest.approx(6, abs=.3) and more.difference==pytest.approx(.3, abs=.02) and more.low > 0

def test_few_questions_have_no_interval():
    x, y = (judge(known(8, [0, .5, 1], lambda t: t*k), .5, draws=20) for k in (1, 2))
    d = difference(x, y, TOTAL)
    assert (d.low, d.high, d.p)==(-np.inf, np.inf, 1) and x.interval(CORRECT)==(0, 1)

def test_a_mixture_that_is_run_is_the_one_that_was_judged():
    "Each question's toss comes from the other half's choice, as often as the weight has it; expectations agree."
    c = known(801, [0, .3, .9, 1], lambda t: 10*t)
    picked, chosen = tossed(c, .5)
    side = halves(801)
    for half,m in enumerate(chosen):
        own = picked[side==half]
        assert m==choose(c, .5, REASONING, side!=half) and set(own) <= {m.first, m.second}
        assert abs((own==m.second).sum()-m.weight*len(own)) <= .5
    outcome, expected = c.outcomes[picked, np.arange(801)], judge(c, .5)
    assert outcome[:,TOTAL].mean()==pytest.approx(expected.mean(TOTAL), abs=.02)
    assert outcome[:,CORRECT].mean()==pytest.approx(.5, abs=.05)

def test_one_threshold_is_a_mixture_of_itself():
    for target, met in ((.4, True), (.9, False)):
        m = choose(known(400, [.4], lambda t: 7), target)
        assert (m.parts(), m.met)==([(0, 1.)], met)
    picked, _ = tossed(known(5, [.4], lambda t: 7), .9)
    assert picked.tolist()==[0]*5

def test_the_area_is_that_of_the_chords():
    "Accuracy .2 for 10 tokens and .8 for 40: 20 tokens buy .4 by a mixture, 80 no more than .8, 5 nothing."
    c, spent = known(1000, [.2, .8], lambda t: 50*t), np.geomspace(5, 80, 200)
    want = np.where(spent < 10, 0, np.minimum(.8, .2+.6*(spent-10)/30)).mean()
    assert area(c, 5, 80)==pytest.approx(want, abs=.002)
    useless = known(1000, [.8, .2, .1], lambda t: 50*t if t > .15 else 90) # a threshold that only costs
    assert area(useless, 5, 80)==pytest.approx(want, abs=.002)

def drawn(rng, n, grid, cost):
    "Questions of random difficulty, right with a probability that rises with the threshold, each at its own price."
    hard, luck, price = rng.random(n), rng.random(n), rng.gamma(2, .5, n)
    out = np.zeros((len(grid), n, 6))
    for i,t in enumerate(grid):
        out[i,:,CORRECT] = luck < t*(1.5-hard)/1.
        out[i,:,TOTAL] = cost*t*price*(.5+hard)
    return Curve('drawn', grid, out)

def truth(grid, cost, target):
    "Tokens of the mixture in the population: accuracy mean min(1, t(1.5−h)), tokens cost·t."
    h = (np.arange(20_000)+.5)/20_000
    accuracy = np.array([np.minimum(1, t*(1.5-h)).mean() for t in grid])
    first, weight, met = mixture(accuracy, cost*grid, target)
    assert met
    return (1-weight)*cost*grid[first]+weight*cost*grid[first+1]

def test_intervals_cover_the_difference_at_equal_accuracy():
    "The choice of thresholds is in the interval: 95 % of them hold the population's difference."
    rng, held, runs = np.random.default_rng(3), 0, 200
    a, b = np.array([.1, .3, .55, .8]), np.array([.2, .45, .7])
    want = truth(a, 10., .5)-truth(b, 14., .5)
    for i in range(runs):
        seed, n = int(rng.integers(2**31)), 160
        mine, theirs = (drawn(np.random.default_rng(seed), n, grid, cost) for grid,cost in ((a, 10.), (b, 14.)))
        d = saving(mine, theirs, .5, TOTAL, seed=i).difference
        held += d.low <= want <= d.high
    assert .90 <= held/runs <= .99, held/runs

@pytest.mark.parametrize('rule, most', dict(eig=10, entropy=20).items())
def test_beliefs_of_any_entropy_are_replayed_at_thresholds_that_the_rule_takes(rule, most):
    "Entropies of numbers and free text reach tens of nats; λ is at most 10, and a report that asked for more failed."
    from decodelab.eig.study.plane import grid
    from decodelab.eig.study.traces import with_threshold
    from decodelab.eig.stopping.learnt import rules
    for top in (3., 10.75, 40.):
        found = grid([dict(tokens=[0, 9], entropy=[top, None])], rule)
        assert found[-1]==pytest.approx(min(top, most)) and len(found)==60
        for value in found: rules.settings(*with_threshold(rule, value))
