"The same on a GPU as on the processor: beliefs, likelihoods, languages, stop policies, external models."
import os
import numpy as np, pytest, torch

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason='torch sees no CUDA device')]
THERE = 'cuda'
SHAPE = dict(type='object', properties=dict(name=dict(type='string', maxLength=8), age=dict(type='integer')),
             required=['name', 'age'], additionalProperties=False)

@pytest.fixture(scope='module')
def there():
    from decodelab.backends import load
    model = load('reference:student', device=THERE, dtype='float32')
    assert model.model.device.type==THERE
    yield model
    model.close()

def states(model, n=12):
    "Questions, each with a first step of reasoning."
    from decodelab.backends import Sampling
    from decodelab.eig.frames import frame_for, prompt_ids
    from decodelab.tasks.data import load_questions
    prompts = [prompt_ids(model, frame_for(model), q.text) for q in load_questions('reference', n)]
    steps = model.sample(prompts, Sampling(max_tokens=14, temperature=0))
    return [(*p, *s.ids) for p,(s,) in zip(prompts, steps)]

def test_likelihoods_and_hidden_states_are_the_cpus(student, there):
    prefixes = states(student)
    pairs = [(p, tuple(student.encode(t))) for p in prefixes for t in (' 7', '\n', ' so it is 12')]
    for remembering in (False, True):
        with there.remembering() if remembering else torch.no_grad(): found = there.score(pairs)
        for a,b in zip(student.score(pairs), found):
            assert np.abs(np.array(a.token_logprobs)-b.token_logprobs).max() < 1e-4 and a.greedy==b.greedy
    assert np.abs(student.next_logprobs(prefixes)-there.next_logprobs(prefixes)).max() < 1e-4
    for layer in (-1, -2): assert np.allclose(student.hidden(prefixes, layer), there.hidden(prefixes, layer), atol=1e-3)

def test_beliefs_are_the_cpus(student, there):
    "Candidates, masses, entropies, and the interval that they lie in."
    from decodelab.eig import AnswerPosteriorEstimator
    from decodelab.eig.frames import frame_for
    prefixes, found = states(student), []
    for model in (student, there):
        posteriors = AnswerPosteriorEstimator(model, frame_for(model))
        found.append([posteriors.posterior(c) for c in posteriors.candidates(prefixes)[0]])
    for a,b in zip(*found):
        assert a.answers==b.answers and abs(a.entropy-b.entropy) < 1e-4
        assert abs(a.low-b.low) < 1e-4 and abs(a.high-b.high) < 1e-4
        assert all(abs(a.of(x)-b.of(x)) < 1e-4 for x in a.answers)

def alike(a, b):
    "Share of texts that are the same."
    return sum(x.ids==y.ids for x,y in zip(a, b))/len(a)

def test_the_same_texts_are_drawn(student, there):
    from decodelab.backends import Sampling
    prefixes = states(student, 32)
    for plan in (dict(temperature=0), dict(seed=3), dict(seed=3, top_p=.9, n=3), dict(seed=3, top_k=5)):
        a, b = ([s for group in m.sample(prefixes, Sampling(max_tokens=24, **plan)) for s in group]
                for m in (student, there))
        assert alike(a, b) > .95, plan # near ties
    with there.remembering(): again = there.sample(prefixes, Sampling(max_tokens=24, seed=3))
    assert alike([s for s, in there.sample(prefixes, Sampling(max_tokens=24, seed=3))], [s for s, in again]) > .95

def test_documents_are_valid_there(student, there):
    from decodelab.backends import Sampling
    from decodelab.schema import compile, validate
    from decodelab.schema.constraints import constrain
    prompts, texts = states(student, 16), []
    for model in (student, there):
        held = constrain(model, SHAPE)
        drawn = model.sample(prompts, [Sampling(constraint=held, max_tokens=60, seed=i) for i in range(16)])
        texts.append([s for s, in drawn])
    assert alike(*texts) > .9
    language = compile(SHAPE)
    assert all(validate(s.text, language) for s in texts[1] if s.finish!='length')

def test_reasoning_stops_where_it_does_on_the_cpu(student, there):
    from decodelab.eig import expected_information_gain_reasoning
    from decodelab.tasks.data import load_questions
    asked = [q.text for q in load_questions('reference', 8)]
    eig = dict(lambda_cost=.02, mc_samples=4, sample_length=24)
    mine, theirs = (expected_information_gain_reasoning(m, asked, eig, max_tokens=96)[0] for m in (student, there))
    assert sum((a.answer, a.ids)==(b.answer, b.ids) for a,b in zip(mine, theirs)) >= 7

def test_a_stop_policy_stops_there_too(student, there, tmp_path):
    from decodelab.eig.frames import frame_for, prompt_ids
    from decodelab.eig.stopping.fitting import FitParameters, fit_kind, observe
    from decodelab.eig.stopping.policy import stop_policy, thinking_plan
    from decodelab.tasks.data import load_questions
    p = FitParameters(n=24, seed=77, layer='-1,-2')
    traces = observe(student, load_questions('reference', p.n, p.seed), p, hidden=True)
    fit_kind(traces, 'hidden_value', p, student).save(tmp_path/'fit.json')
    drawn = []
    for model in (student, there):
        frame, policy = frame_for(model), stop_policy(model, str(tmp_path/'fit.json'), .003)
        prompts = [prompt_ids(model, frame, t['question']) for t in traces[:8]]
        drawn.append([s for s, in model.sample(prompts, thinking_plan(frame, policy, 200, temperature=0))])
    assert alike(*drawn) > .85 and any(s.finish=='policy' for s in drawn[1])

# --- external models ---
CORE = ('arlm', 'mlm', 'mdlm', 'ilm', 'flexmdm')
SMALL = ['model.d_model=32', 'model.num_layers=2', 'model.nhead=2', 'per_device_batch_size=16', 'global_batch_size=16',
         'lr_scheduler.num_warmup_steps=2', 'test_after_train=false', 'trainer.val_check_interval=20',
         'trainer.limit_val_batches=1', 'callbacks.checkpoint_every_n_steps.every_n_train_steps=10']

@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    pytest.importorskip('lightning')
    pytest.importorskip('hydra')
    monkeypatch.chdir(tmp_path)
    return tmp_path

def trained(model, steps, *more):
    from decodelab.xlm.commands import command
    keys = [f'experiment=star_mini_{model}', f'job_name={model}', *SMALL, f'trainer.max_steps={steps}',
            'lr_scheduler.num_training_steps=40', '+callbacks.curve._target_=xlm_parts.Curve',
            f'+callbacks.curve.path={os.getcwd()}/{model}.curve', *more]
    assert command(['job_type=train', *keys])==0

@pytest.mark.parametrize('model', CORE)
def test_training_goes_on_on_the_processor(elsewhere, model, capsys):
    "From the very step, and with numbers."
    trained(model, 20)
    trained(model, 30, 'trainer_strategy=cpu')
    assert 'goes on from' in capsys.readouterr().out
    steps, losses = zip(*(map(float, line.split()) for line in (elsewhere/f'{model}.curve').read_text().splitlines()))
    assert list(steps)==list(range(1, 31)) and np.isfinite(losses).all()

@pytest.mark.parametrize('model', CORE)
@pytest.mark.parametrize('how', ['trainer.precision=bf16-mixed', 'compile=true'])
def test_training_in_half_precision_and_compiled(elsewhere, model, how):
    trained(model, 6, how)

@pytest.mark.parametrize('model', CORE)
def test_a_batch_is_learnt_by_heart(elsewhere, model):
    from decodelab.xlm.commands import command
    assert command(['job_type=train', f'job_name={model}', f'experiment=star_easy_{model}', 'debug=overfit'])==0

@pytest.mark.parametrize('model', CORE)
def test_answers_and_likelihoods_are_the_cpus(elsewhere, model):
    from test_xlm_bridge import made
    from decodelab.backends import Sampling, load
    place = str(made(model).save_shared(elsewhere/'shared'))
    here, far = load(f'xlm:{place}', device='cpu'), load(f'xlm:{place}', device=THERE)
    prompts = [tuple(here.encode(t)) for t in ('0 1 1 2', '2 1 1 0')]
    plan = Sampling(max_tokens=4, temperature=0, seed=1)
    a, b = ([s.ids for s, in m.sample(prompts, plan)] for m in (here, far))
    assert a==b
    if model not in ('arlm',): return
    pairs = [(p, p[:2]) for p in prompts]
    for x,y in zip(here.score(pairs), far.score(pairs)): assert abs(x.logprob-y.logprob) < 1e-4
