"Rules of others that learn: their formulas from independent small computations, live as replayed, refused elsewhere."
import json
from dataclasses import replace
import numpy as np, pytest
from scipy import stats
from decodelab.backends.loading import load
from decodelab.core.errors import BadValue, DataError
from decodelab.eig import EIGParameters
from decodelab.eig.frames import frame_for
from decodelab.eig.stopping.fitting import FitParameters, fit_gain, fit_kind, observe
from decodelab.eig.stopping.learnt import read_gain
from decodelab.eig.stopping.live import Scaler
from decodelab.eig.stopping.peer_fits import arrived, fit_chances, fit_lines, line_losses, losses_by
from decodelab.eig.stopping.peers import (FittedChance, TRIAL_FEATURES, certified_bar, chosen_line, corrected,
                                          lower_line, signal_of, trial_numbers)
from decodelab.eig.stopping.reasoning import reason
from decodelab.eig.stopping.replay import replay_rule
from decodelab.eig.stopping.rules import Probe, State, rules
from decodelab.eig.stopping.transfer import losses_of_kept, promised, tried
from decodelab.maths.chances import MOST, fit_chance, judged_chance
from decodelab.tasks.data import load_questions

# Logistic regression, against scikit-learn

@pytest.mark.parametrize('penalty', [.1, 1., 50.])
def test_logistic_regression_is_that_of_scikit_learn(penalty):
    linear = pytest.importorskip('sklearn.linear_model')
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 5))*[1, 2, .5, 3, 1] + 4
    y = (x[:,0]-4 - (x[:,1]-4)/2 + rng.normal(size=300) > 0).astype(int)
    z = np.clip((x-x.mean(0))/x.std(0), -5, 5)
    theirs = linear.LogisticRegression(C=1/penalty, max_iter=5000, tol=1e-9).fit(z, y)
    ours = fit_chance(x, y, penalty)
    assert np.allclose(ours.weights, theirs.coef_[0], atol=2e-4) and abs(ours.bias-theirs.intercept_[0]) < 2e-4
    assert np.allclose(ours(x), theirs.predict_proba(z)[:,1], atol=1e-4)

def test_more_inputs_than_components_are_those_of_scikit_learns_pca():
    linear, pca = pytest.importorskip('sklearn.linear_model'), pytest.importorskip('sklearn.decomposition').PCA
    rng = np.random.default_rng(1)
    x = rng.normal(size=(500, 40))@rng.normal(size=(40, MOST+44))
    y = (x[:,:5].sum(1) > 0).astype(int)
    z = np.clip((x-x.mean(0))/x.std(0), -5, 5)
    parts = pca(n_components=MOST, svd_solver='full').fit(z)
    theirs = linear.LogisticRegression(max_iter=5000, tol=1e-9).fit(parts.transform(z), y)
    assert np.allclose(fit_chance(x, y)(x), theirs.predict_proba(parts.transform(z))[:,1], atol=2e-3)

def test_what_says_nothing_is_left_out_and_what_says_something_is_not():
    seen = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        group, tokens = np.repeat(np.arange(50), 8), np.tile(np.log1p(6.*np.arange(8)), 50)
        y = (tokens > np.repeat(rng.normal(2.5, .6, 50), 8)).astype(int)
        noise = rng.normal(size=(400, 12))
        told = np.c_[noise, y+rng.normal(0, .3, 400)]
        seen.append((judged_chance(noise, tokens, y, group).seen, judged_chance(told, tokens, y, group).seen))
    without, with_ = np.mean(seen, 0)
    assert without <= .1 and with_==1

# Formulas by hand

def test_arrival_is_the_first_boundary_that_has_the_final_answer_and_stays():
    assert arrived(dict(answer=['1', ' 2', '3', '2', '2.0'])).tolist()==[0, 1, 1, 1, 1]
    assert arrived(dict(answer=['5'])).tolist()==[1] and arrived(dict(answer=['1', ''])).tolist()==[0, 0]

def test_learn_stop_looks_at_what_its_abstract_names():
    trials = [Probe(i, a, .5, 1, h, said=a, logprobs=(np.log(c),), ended=a!='')
              for i,(a,c,h) in enumerate([('4', .5, 1.), ('4', .7, .8), ('', .3, 2.), ('4', .8, .2), ('4', .9, .1)])]
    s = State((0, 5, 9, 14, 20), ('', 'a', 'wait, no', 'double-check it', 'b'), tuple(trials))
    confidence, entropy, votes, stable, changes, marks, tokens = trial_numbers(s)
    assert (confidence, entropy)==(pytest.approx(.9), .1) and votes==pytest.approx(4/5)
    assert stable==pytest.approx(np.log(2)) and changes==pytest.approx(2/5) and marks==pytest.approx(3/4)
    assert tokens==pytest.approx(np.log(21))
    unended = State((0, 5, 9), ('', 'a', 'b'), tuple(trials[:3]))
    assert trial_numbers(unended)[2]==0 # nobody's vote

FIT = FittedChance('arrival', 'a model', 'its hash', 'its frame', 'last', 1, (0., 3.), (1., 1.), (2., 0.), 0., 60, 300,
                   True, .3, .5, TRIAL_FEATURES)

def hidden_states(levels):
    return [State(tuple(range(n+1)), ('',)*(n+1), tuple(Probe(i, hidden=np.array([h]))
            for i,h in enumerate(levels[:n+1]))) for n in range(len(levels))]

def first_stop(name, states, **given):
    p = rules.settings(name, given)
    return next((n for n,s in enumerate(states) if not rules[name].item.decide(s, p)), None)

@pytest.mark.parametrize('seed', range(5))
def test_terminator_votes_and_thought_calibration_averages(tmp_path, seed):
    FIT.save(tmp_path/'a.json')
    given = dict(gain_file=str(tmp_path/'a.json'), window=10)
    levels = np.random.default_rng(seed).normal(np.linspace(-2, 2, 25), 1)
    p = 1/(1+np.exp(-2*np.clip(levels, -5, 5)))
    states = hidden_states(levels)
    last = lambda n: p[max(0, n-9):n+1]
    votes = next((n for n in range(25) if sum(x > .5 for x in last(n)) > len(last(n))/2), None)
    mean = next((n for n in range(25) if sum(last(n))/len(last(n)) >= .8), None)
    assert first_stop('first_arrival', states, **given)==votes
    assert first_stop('thought_calibration', states, threshold=.8, **given)==mean

def test_calibrated_threshold_is_the_last_that_passes_not_the_first_that_fails():
    "The released loop, over the same thresholds, with a binomial p value; it returns the one after ours."
    rng = np.random.default_rng(0)
    kept = []
    for _ in range(150):
        p = np.sort(rng.random(12))
        first = np.searchsorted(p, rng.beta(6, 3))
        kept.append(tuple((float(x), float(i < first)) for i,x in enumerate(p)))
    def loss_at(own, bar):
        return next((lost for x,lost in own if x >= bar-1e-12), 0.)
    passed = None
    for k in range(1001):
        bar = 1-k/1000
        if stats.binom.cdf(sum(loss_at(own, bar) for own in kept), 150, .1) > .1: break
        passed = bar
    assert 0 < passed < 1 and certified_bar(replace(FIT, kept=tuple(kept)), '.1,.1')==pytest.approx(passed)
    assert losses_of_kept(kept, passed, 1).tolist()==[loss_at(own, passed) for own in kept]

def test_nothing_to_certify_goes_on_to_the_end(tmp_path):
    bad = replace(FIT, kept=(((1., 1.), (1., 1.)),)*60)
    assert certified_bar(bad, '.05,.1')==np.inf
    bad.save(tmp_path/'b.json')
    given = dict(gain_file=str(tmp_path/'b.json'), risk='.05,.1')
    assert first_stop('thought_calibration', hidden_states([9., 9, 9]), **given) is None
    assert 'nothing can be certified' in promised(bad, '.05,.1')

# Conformal Thinking: the released formulas, written down again

def sigmoid_of_tokens(tokens, shift, c, upper_bound, lower):
    return 1/(1+np.exp(-(tokens-shift)*c))*(upper_bound-lower)+lower

def test_the_lower_line_and_its_signals():
    tokens = np.arange(0., 200, 7)
    assert np.allclose(lower_line(tokens, 60, .05, -.5, .9995), sigmoid_of_tokens(tokens, 60, .05, .9995, -.5))
    x = np.random.default_rng(0).random(30)
    mean = [x[0]]
    for v in x[1:]: mean.append(.95*v+.05*mean[-1])
    assert np.allclose(signal_of(x, 'confidence', .95), mean)
    biased, var = .1*x[0], 1.
    want = [0.]
    for i,v in enumerate(x[1:], 1): # exponential moving variance, its start 1, debiased
        biased = .1*v+.9*biased
        var = .1*(v-biased)**2+.9*var
        want.append(max(0., 1-var/(1-.9**(i+1))))
    assert np.allclose(signal_of(x, 'steadiness', .1), want)

def test_a_line_risks_what_it_gives_up_in_vain():
    rng = np.random.default_rng(2)
    lines = np.c_[rng.uniform(0, 80, 40), rng.uniform(0, 1, 40), rng.uniform(-1, 0, 40)]
    for _ in range(20):
        t = rng.integers(2, 12)
        signal, tokens, correct = rng.random(t), np.sort(rng.uniform(0, 90, t)), rng.integers(0, 2, t)
        lost, spent = line_losses(signal, tokens, correct, lines, .9995)
        for k,(shift, slope, low) in enumerate(lines):
            under = (i for i in range(t-1) if signal[i] <= sigmoid_of_tokens(tokens[i], shift, slope, .9995, low))
            stop = next(under, t-1)
            assert lost[k]==(correct[-1] and stop < t-1) and spent[k]==pytest.approx((1-correct[:stop+1]).sum()/t)

def test_risk_control_takes_the_best_line_within_the_risk():
    r = np.array([0., .02, .2])
    assert corrected(r, 99, 'crc', .1).tolist()==pytest.approx([.01, .0298, .208])
    assert corrected(r, 99, 'ucb', .1)==pytest.approx(r+np.sqrt(np.log(10)/198))
    assert (corrected(r, 9, 'naive', .1)==r).all()

# With a model

P = FitParameters(n=40, top_p=1, seed=77) # And thirty that are kept apart

@pytest.fixture(scope='module')
def seen(student):
    return observe(student, load_questions('reference', P.n+30, P.seed), P, hidden=True, trials=True)

@pytest.fixture(scope='module')
def files(student, seen, tmp_path_factory):
    folder = tmp_path_factory.mktemp('peers')
    for kind in ('arrival', 'correctness', 'hopeless'):
        fit_kind(seen, kind, P.model_copy(update=dict(certify=30)), student).save(folder/f'{kind}.json')
    return {kind: str(folder/f'{kind}.json') for kind in ('arrival', 'correctness', 'hopeless')}

@pytest.mark.parametrize('name,kind,more', [
    ('learn_stop', 'correctness', dict(threshold=.7)), ('first_arrival', 'arrival', dict(window=3)),
    ('thought_calibration', 'arrival', dict(threshold=.8, window=2)),
    ('thought_calibration', 'arrival', dict(risk='.3,.2', window=2)),
    ('conformal_thinking', 'hopeless', dict(upper=.9, control='crc', giveup=.1))])
def test_live_stops_as_replayed(student, seen, files, name, kind, more):
    more, traces = more | dict(gain_file=files[kind]), seen[:16]
    live = Scaler(student, name, EIGParameters(top_p=1), seed=P.seed, **more)
    thoughts = reason(student, [t['question'] for t in traces], live, live.forecaster, P.max_tokens)
    r = replay_rule(traces, name, cue_tokens=len(live.calculator.posteriors.cue), **more)
    same = [(t.cost.reasoning, t.cost.forecast, t.cost.probe)==tuple(x[1:4]) for t,x in zip(thoughts, r)]
    assert np.mean(same) >= .9, np.flatnonzero(~np.array(same))
    assert 0 < r[:,1].mean() < np.mean([t['tokens'][-1] for t in traces])

def test_fits_tell_on_questions_left_out_what_tokens_do_not(seen, files):
    for kind in ('arrival', 'correctness'):
        f = read_gain(files[kind], kind)
        assert f.seen and f.loss < f.floor and len(f.kept)==30, kind
        ours = [own for t in seen[-30:] for own in losses_by(f, t)]
        assert np.allclose(ours, [x for own in f.kept for x in own])

def test_a_promise_made_for_a_rule_is_what_the_rule_keeps(seen, files):
    "The share of questions that thought calibration leaves before their answer has arrived, by replaying it."
    f, own = read_gain(files['arrival'], 'arrival'), seen[-30:]
    t, given = tried(f, own, '.3,.2'), dict(gain_file=files['arrival'], risk='.3,.2')
    reasoned = replay_rule(own, 'thought_calibration', **given)[:,1]
    early = [not arrived(o)[o['tokens'].index(n)] for o,n in zip(own, reasoned)]
    assert t.here==t.there==pytest.approx(np.mean(early))

def test_true_answers_teach_correctness_alone(student, seen):
    "Labels of arrival are the model's own answers."
    flipped = [t | dict(correct=[1-c for c in t['correct']]) for t in seen]
    a, b = (fit_chances(t, 'arrival', student) for t in (seen, flipped))
    assert a.weights==b.weights
    assert fit_chances(flipped, 'correctness', student).weights!=fit_chances(seen, 'correctness', student).weights

def test_bad_inputs_are_one_clear_error(student, seen, files, tmp_path):
    file = files['arrival']
    for name in ('first_arrival', 'thought_calibration'):
        with pytest.raises(BadValue, match='fitted on reference:student'):
            Scaler(load('reference:teacher', device='cpu'), name, gain_file=file)
        with pytest.raises(BadValue, match='delimiters, steps'):
            Scaler(student, name, frame=replace(frame_for(student), step='+'), gain_file=file)
        with pytest.raises(BadValue, match='every: got 2'): Scaler(student, name, gain_file=file, every=2)
    cue = replace(frame_for(student), cue='</think>B:')
    for name,kind in (('learn_stop', 'correctness'), ('conformal_thinking', 'hopeless')): # probes append the cue
        with pytest.raises(BadValue, match='delimiters, steps'):
            Scaler(student, name, frame=cue, gain_file=files[kind], **(dict(control='crc') if kind=='hopeless' else {}))
    with pytest.raises(BadValue, match='fitted on arrival'): Scaler(student, 'learn_stop', gain_file=file)
    with pytest.raises(BadValue, match='fitted on arrival'): Scaler(student, 'hidden_value', gain_file=file)
    with pytest.raises(DataError, match='fit-gain'): Scaler(student, 'learn_stop')
    with pytest.raises(BadValue, match='230 at least'):
        Scaler(student, 'thought_calibration', gain_file=file, risk='.01,.1')
    with pytest.raises(BadValue, match='giveup: got 0.01; allowed: at least 0.1'):
        Scaler(student, 'conformal_thinking', gain_file=files['hopeless'], giveup=.01)
    other = json.loads(open(file).read()) | dict(layer='2')
    (tmp_path/'o.json').write_text(json.dumps(other))
    with pytest.raises(BadValue, match='layer 2'): Scaler(student, 'first_arrival', gain_file=str(tmp_path/'o.json'))
    stale = json.loads(open(files['correctness']).read()) | dict(features=['a'])
    (tmp_path/'s.json').write_text(json.dumps(stale))
    with pytest.raises(DataError, match='other features'):
        Scaler(student, 'learn_stop', gain_file=str(tmp_path/'s.json'))
    (tmp_path/'j.json').write_text('{"kind": "arrival"}')
    with pytest.raises(DataError, match='j.json'): Scaler(student, 'first_arrival', gain_file=str(tmp_path/'j.json'))
    without = [{k: v for k,v in t.items() if k!='trial'} for t in seen]
    with pytest.raises(BadValue, match='no trial of question'): fit_lines(without, student)

def test_numbers_that_are_none_are_errors_for_every_fit(student, seen, files):
    broken = [t | dict(hidden=[h*np.nan for h in t['hidden']]) for t in seen]
    for kind in ('arrival', 'hidden', 'hidden_value'):
        with pytest.raises(BadValue, match='question .*not finite'): fit_kind(broken, kind, P, student)
    with pytest.raises(BadValue, match='not finite'): replay_rule(broken, 'first_arrival', gain_file=files['arrival'])

def test_a_gain_that_explains_nothing_goes_by_the_tokens_and_says_so(student, seen, tmp_path):
    rng = np.random.default_rng(0)
    noise = [t | dict(hidden=[rng.normal(size=60) for _ in t['hidden']], prompt=9, steps=['']*len(t['steps']),
                      entropy=[2.-min(n, 60)/40 for n in t['tokens']]) for t in seen]
    told = fit_gain(noise, 'hidden', 6, student)
    shuffled = [t | dict(entropy=rng.permutation(t['entropy']).tolist()) for t in noise[:24]]
    drawn = [t | dict(hidden=[rng.normal(size=60) for _ in t['hidden']]) for t in shuffled]
    nothing = fit_gain(drawn, 'hidden', 6, student)
    assert told.r2 > .3 and nothing.r2 < .1
    if nothing.r2 <= 0: assert 'explains nothing' in nothing.said and np.count_nonzero(nothing.weights) <= 1

def test_a_model_that_is_always_wrong_is_never_believed(student, seen, tmp_path):
    f = fit_chances([t | dict(correct=[0]*len(t['correct'])) for t in seen], 'correctness', student)
    assert not f.seen and 'every one says the same' in f.said
    f.save(tmp_path/'w.json')
    r = replay_rule(seen[:8], 'learn_stop', gain_file=str(tmp_path/'w.json'), threshold=.01)
    assert r[:,1].tolist()==[t['tokens'][-1] for t in seen[:8]]

# Promises, there

def test_a_promise_is_tried_on_questions_of_another_kind(student, seen, files):
    f = read_gain(files['arrival'], 'arrival')
    others = [t for t in seen if t['group']=='unanswerable']
    t = tried(f, others, '.3,.2')
    assert t.questions==len(others) and t.unanswerable==1 and t.low <= t.there <= t.high and 'other questions' in t.said
    kept = [losses_by(f, o) for o in others]
    smooth = [[np.mean([p for p,_ in own[max(0, i-9):i+1]]) for i in range(len(own))] for own in kept] # of ten
    first = [next((i for i,x in enumerate(own) if x >= t.threshold-1e-12), None) for own in smooth]
    assert t.there==pytest.approx(np.mean([0. if i is None else own[i][1] for own,i in zip(kept, first)]))
    with pytest.raises(BadValue, match='tells no other'): tried(f, others, '.3,.2', 'probability')

def test_lines_of_the_student_give_up_questions_that_nobody_can_answer(student, seen, files):
    f = read_gain(files['hopeless'], 'hopeless')
    line = chosen_line(f, .15, control='crc')
    assert line is not None and f.lines[0][3]==0
