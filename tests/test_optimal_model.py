"Optimal sampling on the reference pair: drafts and batches, other runtimes, schemas, errors."
import importlib.util, json, shutil
import numpy as np, pytest, torch
from decodelab.backends import Sampling, load
from decodelab.core.errors import BadValue, ModelError
from decodelab.evaluation.conformance import questions
from decodelab.optimal import OptimalSamplingModel

@pytest.fixture(scope='module')
def pair(student): return OptimalSamplingModel(student, 'reference:teacher', device='cpu')

@pytest.fixture(scope='module')
def prompts(student): return [list(p) for p in questions(student, 48)]

def texts(out): return [tuple(ids[m].tolist()) for ids,m in zip(out.generated_ids, out.mask)]

def test_drafts_and_batches_change_no_text(pair, prompts):
    "But for a float's near-tie, of which there may be one in two hundred."
    plain = texts(pair.generate(prompts, max_new_tokens=48, seed=1, batch_size=64))
    changed, count = 0, 0
    for k,size in ((0, 8), (1, 64), (8, 8), ('auto', 64)):
        out = pair.generate(prompts, max_new_tokens=48, seed=1, batch_size=size, draft_tokens=k)
        changed += sum(a!=b for a,b in zip(texts(out), plain))
        count += len(prompts)
        if k: assert out.rounds['acceptance'] > .95 and out.rounds['saved_teacher_passes'] > 0
    assert changed <= count/200

def test_a_finished_rows_place_is_taken(pair, prompts, student):
    "Of 48 prompts eight at a time: less work than six batches that wait for their longest, nothing run twice."
    student.usage.reset()
    out = pair.generate(prompts, max_new_tokens=48, seed=1, batch_size=8)
    asked = sum(map(len, prompts)) + int(out.num_tokens.sum())
    assert student.usage.run <= 1.1*asked

def test_equal_models_are_the_model_itself(student):
    both = OptimalSamplingModel(student, student)
    assert both.t is both.theta
    greedy = student.sample([(10,)], Sampling(max_tokens=24, temperature=0))[0][0].ids
    for k in (0, 4): assert texts(both.generate([[10]], max_new_tokens=24, temperature=0, draft_tokens=k))==[greedy]
    assert both.sample([(10,)], Sampling(max_tokens=24, temperature=0))[0][0].ids==greedy

def test_one_copy_of_the_weights_and_another_prompt():
    how = dict(device='cpu', alpha_method='fixed', fixed_alpha=1.)
    both = OptimalSamplingModel('reference:student', 'hf:reference:student', **how)
    assert both.t is both.theta
    ours, theirs = questions(both, 2)
    out = both.generate([list(ours)], [list(theirs)], max_new_tokens=20, temperature=0)
    assert texts(out)==[both.theta.sample([theirs], Sampling(max_tokens=20, temperature=0))[0][0].ids]

def test_the_types_and_shapes_of_the_guide(pair):
    "What the usage guide shows, as typed there."
    outputs = pair.generate(prompts=['<|question|>3+4=', '<|question|>1'], max_new_tokens=10, temperature=.8)
    shape = tuple(outputs.generated_ids.shape)
    assert shape==tuple(outputs.alpha_values.shape)==tuple(outputs.ess_ratios.shape)==tuple(outputs.mask.shape)
    assert len(outputs.generated_texts)==2 and .5 <= outputs.alpha_values.mean() <= 1
    said = f'{outputs.alpha_values.mean():.3f} [{outputs.alpha_values.min():.3f}, {outputs.alpha_values.max():.3f}]'
    assert 'nan' not in said and 'nan' not in f'{outputs.ess_ratios.mean():.3f}'
    json.dumps(float(outputs.alpha_values[1].mean()))
    assert float(outputs.diagnostics['kl_theta'].mean()) >= 0 and float(outputs.diagnostics['kl_t'].mean()) >= 0
    assert torch.allclose(outputs.importance_weights.mean(), torch.tensor(1., dtype=torch.float64))

@pytest.mark.parametrize('dtype', [torch.bfloat16, 'bfloat16', 'torch.float16'])
def test_half_precision_gives_numbers(dtype):
    model = OptimalSamplingModel('reference:student', 'reference:teacher', device='cpu', dtype=dtype)
    out = model.generate([list(p) for p in questions(model, 3)], max_new_tokens=12, draft_tokens=2)
    assert model.theta.model.dtype==(torch.float16 if '16' in str(dtype) and 'b' not in str(dtype) else torch.bfloat16)
    assert not any(x.drawn().isinf().any() or (x.isnan() & out.mask).any() for x in out.diagnostics.values())

def test_likelihoods_are_those_of_the_steps(pair, prompts):
    prompt, plan = tuple(prompts[0]), Sampling(max_tokens=16, seed=3)
    drawn = pair.sample([prompt], plan)[0][0]
    found = pair.score([(prompt, drawn.ids), (prompt[:3], prompt[3:])])
    assert np.allclose(found[0].token_logprobs, drawn.logprobs, atol=1e-4)
    assert len(found[1].token_logprobs)==len(prompt)-3 and np.isfinite(found[1].logprob)
    assert ''.join(pair.stream(prompt, plan))==drawn.text

def test_a_schema_holds_q_star(pair, prompts):
    from decodelab.schema import compile, constrain
    schema = dict(type='object', properties=dict(n=dict(type='integer', minimum=0, maximum=99)), required=['n'],
                  additionalProperties=False)
    grammar = constrain(pair, compile(schema))
    for sample in pair.sample([tuple(p) for p in prompts[:4]], Sampling(max_tokens=24, seed=1, constraint=grammar)):
        if sample[0].finish=='eos': assert 0 <= json.loads(sample[0].text)['n'] <= 99

def test_another_runtime_may_teach(student, prompts):
    pytest.importorskip('llama_cpp')
    teacher = load('gguf:reference:teacher')
    try:
        mixed = OptimalSamplingModel(student, teacher)
        same = OptimalSamplingModel(student, 'reference:teacher', device='cpu')
        how = dict(max_new_tokens=16, temperature=0)
        a, b = (m.generate(prompts[:4], **how, draft_tokens=k) for m,k in ((mixed, 2), (same, 0)))
        assert texts(a)==texts(b)
        wide = min(a.alpha_values.shape[1], b.alpha_values.shape[1])
        assert np.allclose(a.alpha_values[:,:wide], b.alpha_values[:,:wide], atol=.02, equal_nan=True)
    finally: teacher.close()

def test_a_pair_of_two_runtimes_streams_holds_a_language_and_believes(pair, student, prompts):
    pytest.importorskip('llama_cpp')
    from decodelab.eig import AnswerPosteriorEstimator, frame_for
    from decodelab.schema import compile, constrain
    prompt, teacher = tuple(prompts[0]), load('gguf:reference:teacher')
    try:
        mixed, beliefs = OptimalSamplingModel(student, teacher), []
        held = Sampling(max_tokens=8, seed=1, constraint=constrain(mixed, compile('number')))
        for plan in (Sampling(max_tokens=16, seed=3), held):
            drawn = mixed.sample([prompt], plan)[0][0]
            assert ''.join(mixed.stream(prompt, plan))==drawn.text==pair.sample([prompt], plan)[0][0].text
        float(drawn.text) # which takes numbers alone
        for model in (mixed, pair):
            estimator = AnswerPosteriorEstimator(model, frame_for(model), dict(beam_size=8))
            beliefs.append(estimator.posterior(estimator.candidates([prompt])[0][0]))
        assert beliefs[0].answers==beliefs[1].answers and np.allclose(beliefs[0].p, beliefs[1].p, atol=1e-4)
    finally: teacher.close()

@pytest.fixture(scope='module')
def broken(tmp_path_factory, root):
    folder = tmp_path_factory.mktemp('broken')/'model'
    shutil.copytree(root/'pkg/decodelab/models/student', folder)
    (folder/'model.safetensors').write_bytes((folder/'model.safetensors').read_bytes()[:1000])
    return folder

def test_bad_models_are_one_error_before_any_is_read(broken):
    wrong = [(dict(model_t_path='no/such/folder'), 'no such folder'), (dict(model_t_path=''), 'model_t_path'),
             (dict(device='cuda'), 'cpu'), (dict(dtype='float12'), 'float32'),
             (dict(load_in_4bit=True), 'bitsandbytes'), (dict(model_t_path=broken), 'corrupt safetensors')]
    for options,message in wrong:
        if 'cuda' in options.values() and torch.cuda.is_available(): continue
        with pytest.raises((BadValue, ModelError), match=message): OptimalSamplingModel('reference:student', **options)
    with pytest.raises(ModelError, match='no such folder'): OptimalSamplingModel('no/such/folder')

def test_foreign_tokenizers_are_one_error(student):
    from decodelab.backends.toy import Toy
    with pytest.raises(ModelError, match='262 and 4 tokens, 3 in common; the teacher lacks 25'):
        OptimalSamplingModel(student, Toy.random('ab.$', 0))

@pytest.mark.parametrize('more, words', [
    (dict(device='gpu'), 'device: got .gpu.'), (dict(device='CPU'), "Did you mean 'cpu'"), (dict(device=0), 'device'),
    (dict(device='meta'), 'device'), (dict(dtype=torch.int8), 'dtype'), (dict(foo=3), "got 'foo'"),
    (dict(attn_implementation='flash_attention_2'), 'FlashAttention2|flash')])
def test_what_transformers_refuses_is_one_error(more, words):
    if 'attn_implementation' in more and importlib.util.find_spec('flash_attn'): pytest.skip('it is installed')
    with pytest.raises((BadValue, ModelError), match=words):
        OptimalSamplingModel('reference:student', **dict(device='cpu') | more)

def test_a_slip_in_a_runtimes_name_is_told():
    with pytest.raises(BadValue, match="Did you mean 'reference:student'"): OptimalSamplingModel('refrence:student')
