"The learnt gains and one's own path: live as replayed, refused where they do not belong, and better than their mean."
import json
from dataclasses import replace
import numpy as np, pytest
from decodelab.backends import Toy
from decodelab.backends.loading import load
from decodelab.tasks.data import load_questions
from decodelab.core.errors import BadValue, DataError, ModelError
from decodelab.eig import EIGParameters, Frame
from decodelab.eig.stopping.live import Scaler
from decodelab.eig.stopping.replay import replay_rule
from decodelab.eig.stopping.learnt import FittedGain, read_gain
from decodelab.eig.study.compare import SWEEPS, VARIANTS, Comparison, EIGCompareParameters, area, with_forecasts
from decodelab.eig.stopping.fitting import FitParameters, cross_validated, drops, fit_gain, observe, ridge
from decodelab.eig.stopping.reasoning import reason
from decodelab.eig.stopping.rules import rules

P = FitParameters(n=48, top_p=1, seed=77)

@pytest.fixture(scope='module')
def seen(student): return observe(student, load_questions('reference', P.n, P.seed), P, hidden=True)

@pytest.fixture(scope='module')
def files(student, seen, tmp_path_factory):
    folder = tmp_path_factory.mktemp('gains')
    for k in ('probes','hidden'): fit_gain(seen, k, 6, student).save(folder/f'{k}.json')
    return {k: str(folder/f'{k}.json') for k in ('probes','hidden')}

def test_hidden_states_are_transformers_own(student):
    import torch

    ids = [
        student.encode(t)
        for t in ('<|question|>3a+4=?<think>1 a3+4=7\n', '<|question|>3a+4=?', '<|question|>3a+4=?<think>1 a3')
    ]
    with torch.inference_mode():
        theirs = [
            student.model(torch.tensor([i]), output_hidden_states=True).hidden_states[-1][0, -1].numpy() for i in ids
        ]
    ours = student.hidden(ids)
    assert ours.shape==(3, student.model.config.hidden_size) and np.abs(ours-np.stack(theirs)).max() < 1e-4
    head = student.model.get_output_embeddings().weight.detach().numpy()
    logits = ours @ head.T
    assert (
        np.abs(logits - np.log(np.exp(logits).sum(-1, keepdims=True)) - student.next_logprobs(ids)).max() < 1e-3
    )  # what the head makes its distribution from


@pytest.mark.parametrize(
    'name,kind,more',
    [
        ('amortised_gain', 'probes', dict(lambda_cost=0.3)),
        ('amortised_gain', 'probes', dict(lambda_cost=0.1, every=3)),
        ('hidden_gain', 'hidden', dict(lambda_cost=0.3)),
        ('own_path_gain', None, dict(lambda_cost=0.2, ahead=3)),
        ('own_path_gain', None, dict(lambda_cost=0.2, ahead=2, every=2)),
    ],
)
def test_live_stops_and_costs_as_replayed(student, seen, files, name, kind, more):
    if kind: more = more | dict(gain_file=files[kind])
    common = EIGParameters(top_p=1)
    live = Scaler(student, name, common, seed=P.seed, **more)
    thoughts = reason(student, [t['question'] for t in seen], live, live.forecaster, P.max_tokens)
    r = replay_rule(seen, name, cue_tokens=len(live.calculator.posteriors.cue), **more)
    same = [(t.cost.reasoning, t.cost.forecast, t.cost.probe)==tuple(x[1:4]) for t,x in zip(thoughts, r)]
    assert np.mean(same) >= .95, np.flatnonzero(~np.array(same)) # a float32 near-tie may draw another step
    assert all(t.cost.reasoning==len(t.ids)-t.prompt==t.boundaries[-1].tokens for t in thoughts)
    if name=='own_path_gain': assert sum(t.cost.forecast for t in thoughts) > 0
    if name=='hidden_gain': assert all(t.cost.probe==0 for t in thoughts)

def test_a_gain_belongs_to_one_model(student, seen, files, tmp_path):
    teacher = load('reference:teacher', device='cpu')
    with pytest.raises(BadValue, match='fitted on reference:student.*reference:teacher'):
        Scaler(teacher, 'amortised_gain', gain_file=files['probes'])
    with pytest.raises(BadValue, match='fitted on hidden'): Scaler(student, 'amortised_gain', gain_file=files['hidden'])
    with pytest.raises(DataError, match='fit-gain'): Scaler(student, 'amortised_gain')
    with pytest.raises(ModelError, match='hidden states'):
        Scaler(
            Toy.random(['1', '</think>', '$'], seed=1),
            'hidden_gain',
            frame=Frame(cue='</think>', close='</think>'),
            gain_file=files['hidden'],
        )
    for text in ('not json', '[1]', '{"kind": "probes"}'):
        bad = tmp_path/'bad.json'
        bad.write_text(text)
        read_gain.cache_clear()
        with pytest.raises(DataError, match='not a fitted gain'): Scaler(student, 'amortised_gain', gain_file=str(bad))
    for t in seen[:1]:
        with pytest.raises(BadValue, match='no hidden states'):
            replay_rule([{k: v for k, v in t.items() if k != 'hidden'}], 'hidden_gain', gain_file=files['hidden'])


def test_ridge_is_least_squares_at_no_penalty_and_the_mean_at_a_great_one():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(200, 4))
    y = a@[1,2,0,-1]+3+.1*rng.normal(size=200)
    w, b = ridge(a, y, 1e-9)
    exact = np.linalg.lstsq(np.c_[a, np.ones(200)], y, rcond=None)[0]
    assert np.allclose([*w, b], exact, atol=1e-6) and np.allclose(ridge(a, y, 1e12)[0], 0, atol=1e-6)
    assert (
        cross_validated(a, y, np.arange(200), 1e-6) > 0.99
        and cross_validated(rng.normal(size=(200, 4)), y, np.arange(200), 1.0) < 0.1
    )


def test_drops_end_at_the_last_boundary():
    assert np.allclose(drops(dict(entropy=[2.,1.,.5]), 2), [1.5,.5,0.])

def test_what_is_predicted_is_what_happens(student, seen, files):
    fresh = observe(student, load_questions('reference', 24, 5), FitParameters(n=20, top_p=1, seed=5), hidden=True)
    from decodelab.eig.stopping.fitting import hidden_rows, probe_rows
    for kind,rows in (('probes', probe_rows), ('hidden', hidden_rows)):
        g = read_gain(files[kind], kind)
        x, said, y = zip(*(r for t in fresh for r in rows(t, 6)))
        guess = g.terms(np.stack(x), said) @ np.array(g.weights) + g.bias
        assert np.corrcoef(guess, y)[0,1] > .3, kind

def test_fewer_forecasts_cost_less_and_more_variance():
    g = dict(
        eig=0.5,
        low=0.4,
        high=0.6,
        after=[0.2, 0.4, 0.6, 0.8],
        forecast=40,
        kept=10,
        probe=20,
        mutual_information=0.0,
        computation_gain=0.0,
        martingale_gap=0.0,
    )
    t = dict(entropy=[1.], gain=[g])
    one = with_forecasts([t], 1)[0]['gain'][0]
    assert (
        one['eig'] == pytest.approx(0.8)
        and one['forecast'] + one['kept'] == 12
        and one['probe'] == 5
        and with_forecasts([t], 4)[0]['gain'][0] is g
    )


def test_comparison_on_a_runtime_without_hidden_states_leaves_that_rule_out(student, monkeypatch):
    monkeypatch.setattr(student, 'capabilities', replace(student.capabilities, hidden_states=False))
    c = Comparison(student, EIGCompareParameters(forecasts='none'))
    assert c.kinds == ('probes', 'probe_value', 'correctness', 'hopeless') and set(c.skip) == {
        'hidden_gain',
        'hidden_value',
        'first_arrival',
        'thought_calibration',
        'bayes_risk_optimal_reasoning',
        'expected_information_gain_reasoning',
    }


def test_every_registered_rule_is_compared_or_forces():
    compared = {s.rule for s in (*SWEEPS.values(), *VARIANTS.values())}
    assert {e.name for e in rules if not e.item.forces} - compared == {
        'thinking_budget'
    }  # a fixed budget, cut inside a step


def test_area_of_a_rule_that_is_always_right_is_one():
    from decodelab.eig.study.plane import Curve
    x = np.array([[[1, 5, 0, 0, 2, 7.]]*4])
    assert area(Curve('x', np.array([1.]), x), 7, 70)==1 and area(Curve('x', np.array([1.]), x), 1, 7) < .1

def test_fit_gain_from_the_command_line(command, tmp_path):
    run = lambda *a: command('decodelab', *a, check=False)
    out = tmp_path/'g.json'
    r = run('fit-gain', str(out), '--n', '20', '--seed', '3')
    assert r.returncode==0, r.stderr
    g = json.loads(out.read_text())
    assert (
        g['kind'] == 'probes'
        and g['questions'] == 20
        and len(g['weights']) > 60
        and isinstance(read_gain(str(out), 'probes'), FittedGain)
    )
    r = run('fit-gain', str(out))
    assert r.returncode==2 and '--overwrite' in r.stderr
    r = run('fit-gain', str(tmp_path/'h.json'), '--n', '3')
    assert r.returncode==2 and 'n: got 3' in r.stderr and not (tmp_path/'h.json').exists()
