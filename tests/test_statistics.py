"A statistic says no more than its items can: against enumeration, and over random outcomes."
import itertools
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats
from decodelab.core.errors import BadValue
from decodelab.maths.statistics import (DRAWS, bootstrap_means, calibration, detectable, fewest, mcnemar,
                                        mean_interval, p_text, paired, sign_flip, smallest_p, wilson)

numbers = st.lists(st.integers(-50, 50).map(float), min_size=1, max_size=9)
bits = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)

def by_enumeration(d):
    "Two-sided sign-flip p from all 2ⁿ ways to flip: twice the smaller side, the way observed among them."
    means = [np.dot(signs, d) for signs in itertools.product((1, -1), repeat=len(d))]
    above, below = (np.mean([m >= sum(d) for m in means]), np.mean([m <= sum(d) for m in means]))
    return min(1, 2*min(above, below))

@pytest.mark.parametrize('n, p', [(1, 1), (2, .5), (3, .25), (6, 2/64), (13, 2/8192)])
def test_a_few_items_that_all_differ_one_way(n, p):
    for a, b in (([3.]*n, [0.]*n), ([0.]*n, [3.]*n), ([1]*n, [0]*n)):
        assert paired(a, b).p==pytest.approx(p)

@settings(max_examples=60, deadline=None)
@given(numbers)
def test_exact_test_is_the_enumeration(d):
    assert sign_flip(d)==pytest.approx(by_enumeration(d))

@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-9, 9).map(float), min_size=1, max_size=40), st.integers(0, 3))
def test_no_p_is_smaller_than_the_items_can_show(d, seed):
    p = paired(d, [0.]*len(d), seed=seed)
    assert smallest_p(p.flips)*(1-1e-9) <= p.p <= 1 and p.low <= p.difference <= p.high
    if p.p > .05: assert p.low <= 0 <= p.high
    if p.n < 6: assert (p.low, p.high)==(-np.inf, np.inf) or set(d) <= {0., 1.}

@settings(max_examples=60, deadline=None)
@given(bits)
def test_outcomes_of_0_and_1(pairs):
    a, b = np.array(pairs).T
    p = paired(a, b)
    assert p.p==mcnemar(a, b) >= smallest_p(p.flips) and -1-1e-12 <= p.low <= p.difference <= p.high <= 1+1e-12
    assert p.low < p.high # no number of items shows a difference exactly
    if p.p > .05: assert p.low <= 0 <= p.high

def test_a_drawn_p_is_counted_with_what_was_observed():
    d = np.r_[np.ones(30), -np.ones(10)]
    counted = sign_flip(d, seed=1)*(DRAWS+1)/2
    assert sign_flip(np.ones(400))==2/(DRAWS+1) and counted==pytest.approx(round(counted))
    assert sign_flip(d)==pytest.approx(mcnemar(d > 0, d < 0), rel=.5)

@pytest.mark.parametrize('bad', [[], [float('nan')], [1., float('inf')], [[1., 2.]]])
def test_what_is_no_outcome_is_an_error(bad):
    for ask in (mean_interval, sign_flip, lambda x: paired(x, x), lambda x: calibration(x, x)):
        with pytest.raises(BadValue): ask(bad)

@pytest.mark.parametrize('n, sure', [(5, False), (6, True), (7, True), (40, True)])
def test_differences_that_are_all_the_same_leave_an_interval(n, sure):
    p = paired([2]*n, [0]*n)
    assert p.p==pytest.approx(2*.5**n, abs=3e-4) and p.difference==2 and p.low < 2 <= p.high
    assert (p.low > 0)==sure==(p.p <= .05)
    assert not sure or p.low==pytest.approx(2*paired([1]*n, [0]*n).low) # as if outcomes were 0 and 2
    same = paired([2]*n, [2]*n)
    assert (same.difference, same.p, same.flips)==(0, 1, 0) and (same.low, same.high)==(-np.inf, np.inf)
    mixed = paired([0, 2]*n, [0, 2]*n) # all alike, but outcomes are seen to be apart
    assert -2 <= mixed.low < 0 < mixed.high <= 2 or 2*n < 6

LEVELS = [0, 1, 1.5, -.1, float('nan'), '0.95', None, True]

@pytest.mark.parametrize('level', LEVELS)
def test_a_level_that_is_none_is_named(level):
    asks = [lambda: wilson(1, 2, level), lambda: wilson(0, 0, level), lambda: paired([1, 0], [0, 0], level),
            lambda: paired([3.]*9, [1.]*9, level), lambda: mean_interval([1., 2.], level), lambda: fewest(level),
            lambda: detectable(100, .2, level=level), lambda: detectable(100, .2, power=level)]
    for ask in asks:
        with pytest.raises(BadValue, match='level|power'): ask()

def test_settings_that_are_none_are_named():
    for ask, words in ((lambda: wilson(3, 2), 'successes: got 3'), (lambda: wilson(-1, 2), 'successes'),
                       (lambda: wilson(float('nan'), 2), 'successes'), (lambda: wilson(.5, 2), 'successes'),
                       (lambda: wilson(0, -1), 'trials'), (lambda: detectable(-1, .2), 'items'),
                       (lambda: detectable(100, 1.2), 'share'), (lambda: detectable(100, float('nan')), 'share'),
                       (lambda: smallest_p(-1), 'items'), (lambda: sign_flip([1., 2.], draws=0), 'draws'),
                       (lambda: sign_flip([1., 2.], seed=-1), 'seed'),
                       (lambda: bootstrap_means([1., 2.], draws=0), 'draws'),
                       (lambda: bootstrap_means([1., float('nan')]), 'finite'),
                       (lambda: bootstrap_means(3.), 'bootstrap'), (lambda: paired('ab', [1, 2]), 'outcomes of a'),
                       (lambda: paired([[1], [1, 2]], [1, 2]), 'outcomes of a'), (lambda: mean_interval(None),
                       'values'),
                       (lambda: calibration([.5, .6], [1, 0], bins=0), 'bins'),
                       (lambda: calibration([.5, 1.6], [1, 0]), 'confidence'),
                       (lambda: calibration([.5], [2]), 'correct'),
                       (lambda: mean_interval(range(9), seed=-1), 'seed')):
        with pytest.raises(BadValue, match=words): ask()
    assert wilson(2., 4)==wilson(2, 4)==wilson(np.int64(2), np.float64(4))

def test_nan_and_lengths_are_named():
    with pytest.raises(BadValue, match=r'outcomes of b\[1\]: got nan'): paired([1, 2, 3], [1, float('nan'), 3])
    with pytest.raises(BadValue, match='2 of them'): paired([1, 2, 3], [1, 2])
    with pytest.raises(BadValue, match='at least 2'): bootstrap_means([1.])

def test_too_few_items_have_no_interval():
    assert mean_interval([5.])==(5, -np.inf, np.inf) and mean_interval([5.]*5)[1]==-np.inf
    assert wilson(0, 0)==(0, 1) and wilson(1, 1)[0] < .21 and wilson(0, 1)[1] > .79
    assert paired([1], [0]).low==-1 and paired([1], [0]).high==1

def test_nothing_is_detectable_below_six_flips():
    assert detectable(0, .5)==detectable(5, 1)==1 and detectable(100, 0)==.06 and detectable(60, .001)==.1

def test_p_is_never_printed_as_zero():
    assert p_text(2/(DRAWS+1))=='<0.001' and p_text(1.)=='1.000' and p_text(.0005)=='0.001'

@pytest.mark.parametrize('a,b', [([float('nan')]*9, [0]*9), ([.5]*9, [0]*9), ([1, 0], [1])])
def test_mcnemar_takes_outcomes_only(a, b):
    with pytest.raises(BadValue): mcnemar(a, b)

def test_no_p_value_is_not_a_small_one(): assert p_text(float('nan'))=='nan'

def test_closed_forms_are_those_of_scipy():
    "Wilson's interval and the exact test, at every count of small n and at drawn ones of large n."
    rng = np.random.default_rng(0)
    counts = [(k, n) for n in range(1, 41) for k in range(n+1)]
    counts += [(int(rng.integers(n+1)), int(n)) for n in rng.integers(41, 100_000, 200)]
    for k,n in counts:
        for level in (.9, .95, .999):
            assert wilson(k, n, level)==pytest.approx(tuple(stats.binomtest(k, n).proportion_ci(level, 'wilson')),
                                                      rel=1e-12, abs=1e-15)
        if n > 2000: continue
        a = np.arange(n) < k
        assert mcnemar(a, ~a)==pytest.approx(stats.binomtest(k, n).pvalue, rel=1e-9)
