"EIG and other rules on every runtime, each in a process of its own: the same prompts, beliefs, thoughts."
import importlib.util, json, os, subprocess, sys
from pathlib import Path
import numpy as np, pytest
from decodelab.evaluation import conformance as c

PACKAGES = dict(vllm='vllm', gguf='llama_cpp', mlx='mlx_lm')
RULES = ('expected_information_gain_reasoning', 'entropy_thresholding', 'deer', 'none', 'full', 'default')
N = 3

def told(t)->list:
    "A thought as it is compared."
    cost = t.cost
    return [t.reasoning, t.answer, t.cause, t.rounds, cost.reasoning, cost.forecast, cost.answer]

def reading(spec:str, states:str='')->dict:
    "What a runtime thinks; `states` is a file with the states to look at, by default those of its own full reasoning."
    from decodelab.backends import load
    from decodelab.tasks import load_questions
    from decodelab.eig import EIGParameters, ExpectedInformationGainCalculator
    from decodelab.eig.frames import frame_for, prompt_ids
    from decodelab.eig.stopping.forcing import outcomes, scale
    b = load(spec)
    frame, p = frame_for(b), EIGParameters(mc_samples=2, sample_length=24, beam_size=4)
    questions = [q.text for q in load_questions('reference', N, 3)]
    prompts = [prompt_ids(b, frame, q) for q in questions]
    out = dict(template=b.template, frame=repr(frame), prompts=prompts, rules={})
    for name in RULES:
        thoughts, r = scale(b, questions, name, p, seed=5, max_tokens=32)
        failures = sum(r.metrics.failures.values())
        out['rules'][name] = dict(thoughts=[told(t) for t in thoughts], outcomes=outcomes(thoughts), failures=failures,
                                  calls=r.metrics.calls)
        if name=='full': own = [t.ids[:t.prompt+k] for t in thoughts for k in [b.tokens for b in t.boundaries][:3]]
    out['states'] = json.loads(Path(states).read_text()) if states else own
    calc = ExpectedInformationGainCalculator(b, frame, p.model_copy(update=dict(adaptive=False, lambda_cost=0)), 5)
    ds = calc.evaluate([tuple(s) for s in out['states']])
    out |= dict(entropy=[d.posterior.entropy for d in ds], said=[d.posterior.said for d in ds],
                eig=[d.gain.eig if d.gain else None for d in ds], after=[d.gain.after if d.gain else () for d in ds])
    b.close()
    return out

def isolated(*args)->dict:
    p = subprocess.run([sys.executable, __file__, *args], capture_output=True, text=True)
    assert p.returncode==0, p.stdout+p.stderr
    return json.loads(p.stdout.splitlines()[-1])

@pytest.fixture(scope='module')
def truth(): return isolated(c.of('hf'))

@pytest.fixture(scope='module')
def states(truth, tmp_path_factory):
    f = tmp_path_factory.mktemp('states')/'states.json'
    f.write_text(json.dumps(truth['states']))
    return str(f)

def test_what_is_compared_says_something(truth):
    assert len(truth['states'])==len({tuple(s) for s in truth['states']}) >= 2*N
    assert max(truth['entropy']) > .5 and sum(x is not None for x in truth['eig']) >= N
    r = truth['rules']
    assert all(t[0]=='' for t in r['none']['thoughts'])
    assert any(t[5] for t in r['expected_information_gain_reasoning']['thoughts'])
    assert '<|answer|>' in truth['template']
    assert all(x['failures']==0 and x['outcomes']['empty']==0 for x in r.values())

@pytest.mark.parametrize('runtime', PACKAGES)
def test_a_runtime_thinks_as_transformers_does(truth, states, runtime):
    package = PACKAGES[runtime]
    if importlib.util.find_spec(package) is None and not os.environ.get('CI'):
        pytest.skip(f'NOT TESTED: {package} is not installed: pip install "decodelab[{runtime}]"')
    got = isolated(c.of(runtime), states)
    for k in ('template', 'frame', 'prompts'): assert got[k]==truth[k], k # the template is in the prompt
    assert np.abs(np.array(got['entropy'])-truth['entropy']).max() < 1e-3 and got['said']==truth['said']
    for a,b in zip(got['after'], truth['after']): # the same draws, so the same forecasts
        assert np.abs(np.array(a)-b).max(initial=0) < 1e-3
    assert got['rules']==truth['rules']

if __name__=='__main__': print(json.dumps(reading(*sys.argv[1:])), flush=True)
