"lm-eval's `--model optimal_sampling`: answers of q*, held to Transformers' own logits."
import json, os
import numpy as np, pytest, torch
from conftest import ROOT
from decodelab.core.errors import BadValue, ModelError

os.environ |= dict(HF_HUB_OFFLINE='1', TOKENIZERS_PARALLELISM='false')
MODELS = ROOT/'pkg'/'decodelab'/'models'
TASKS = ROOT/'tests'/'tasks'

@pytest.fixture(scope='module')
def lm():
    from decodelab.evaluation.lmeval.optimal_sampling import OptimalSamplingLM
    return OptimalSamplingLM(model_theta='reference:student', model_t='reference:teacher', alpha_min=0., device='cpu')

@pytest.fixture(scope='module')
def logits():
    "Next-token log-probabilities of both, by Transformers alone."
    from transformers import AutoModelForCausalLM
    read = AutoModelForCausalLM.from_pretrained
    models = [read(MODELS/name, dtype=torch.float32).eval() for name in ('student', 'teacher')]
    def of(ids):
        with torch.no_grad(): return [m(torch.tensor([ids])).logits[0].double().log_softmax(-1) for m in models]
    return of

def balanced(theta, t):
    "q at the α of equal divergence, by halving: log-probabilities [V], and α."
    low, high = 0., 1.
    for _ in range(60):
        alpha = (low+high)/2
        log_q = ((1-alpha)*theta+alpha*t).log_softmax(-1)
        low, high = (alpha, high) if float((log_q.exp()*(t-theta)).sum()) < 0 else (low, alpha)
    return log_q, alpha

def ask(kind, *arguments):
    from lm_eval.api.instance import Instance
    return Instance(kind, {}, arguments, 0)

PAIRS = [('<|question|>3+4=', '7'), ('<|question|>1+2*3=?<think>', 'a1+2=3'), ('2+2=', '4 is'), ('', 'abc'),
         ('é', '日本')]

def by_hand(lm, logits, context, ids):
    "Sum of log q over ids, and whether each is the most probable."
    theta, t = logits([*context, *ids])
    places = [(balanced(theta[i], t[i])[0], x) for i,x in enumerate(ids, len(context)-1)]
    return sum(float(log_q[x]) for log_q,x in places), all(int(log_q.argmax())==x for log_q,x in places)

def test_likelihoods_are_those_of_q_star(lm, logits):
    got = lm.loglikelihood([ask('loglikelihood', *p) for p in PAIRS], disable_tqdm=True)
    for (context,continuation),(value,greedy) in zip(PAIRS, got):
        before, ids = lm._encode_pair(context, continuation)
        wanted, best = by_hand(lm, logits, before, ids)
        assert value==pytest.approx(wanted, abs=1e-4) and greedy==best

def test_rolling_likelihoods_too(lm, logits):
    text = 'a3+4=7\n'*5
    got, = lm.loglikelihood_rolling([ask('loglikelihood_rolling', text)], disable_tqdm=True)
    assert got==pytest.approx(by_hand(lm, logits, [lm.prefix_token_id], lm.model.encode(text))[0], abs=1e-3)

def test_greedy_texts_are_the_most_probable_tokens(lm, logits):
    contexts = [c for c,_ in PAIRS[:2]]
    asked = [ask('generate_until', c, dict(until=['\n'], max_gen_toks=8)) for c in contexts]
    for context,text in zip(contexts, lm.generate_until(asked, disable_tqdm=True)):
        ids, alphas = list(lm.tok_encode(context)), []
        start = len(ids)
        while len(ids)-start < 8 and '\n' not in lm.model.decode(ids[start:]):
            if set(ids[start:]) & set(lm.model.eos_ids): break
            log_q, alpha = balanced(*(x[-1] for x in logits(ids)))
            ids.append(int(log_q.argmax()))
            alphas.append(alpha)
        assert text==lm.tok_decode(ids[start:]).split('\n')[0]
        assert text.trace['tokens']['total']==len(alphas) and np.allclose(text.trace['alpha'], alphas, atol=1e-3)
    info = lm.get_model_info()['decodelab_optimal']
    assert info['alpha_method']=='kl_symmetry' and info['tokens'] >= 2 and 0 < info['raw_alpha'] < 1
    json.dumps(info)

def test_a_task_through_lm_evals_command(command, tmp_path):
    "As typed: two models, a method, drafts; results say what was mixed, samples what α was."
    models = 'model_theta=reference:student,model_t=reference:teacher'
    args = f'{models},alpha_method=ess_balance,alpha_min=0.2,draft_tokens=auto'
    command('decodelab-eval', 'run', '--model', 'optimal_sampling', '--model_args', args, '--device', 'cpu', '--tasks',
            'local_generate,local_choices', '--include_path', TASKS, '--limit', 4, '--output_path', tmp_path,
            '--log_samples', timeout=300)
    results, = tmp_path.rglob('results_*.json')
    found = json.loads(results.read_text())
    mixed = found['config']['decodelab_optimal']
    assert mixed['alpha_method']=='ess_balance' and mixed['alpha_min']==.2 and mixed['drafted'] > 0
    assert {'local_generate', 'local_choices'} <= found['results'].keys()
    samples, = tmp_path.rglob('samples_local_generate_*.jsonl')
    first = json.loads(samples.read_text().split('\n')[0])
    assert len(first['trace'][0]['alpha'])==first['trace'][0]['tokens']['total']

def test_a_schema_and_a_stopping_rule_run_on_a_pair(lm):
    schema = json.dumps(dict(type='object', properties=dict(n=dict(type='integer')), required=['n'],
                             additionalProperties=False))
    gen = dict(max_gen_toks=24, response_schema=schema)
    text, = lm.generate_until([ask('generate_until', '<|question|>1+2=', gen)], disable_tqdm=True)
    if text.trace['status']=='valid': assert isinstance(json.loads(text)['n'], int)
    before = lm.model.tally.texts
    ruled = dict(scale_func_name='expected_information_gain_reasoning', max_gen_toks=64, mc_samples=2)
    out = lm.generate_until([ask('generate_until', '<|question|>1+2*3=?', ruled)], disable_tqdm=True)
    assert out[0].trace['tokens']['total'] > 0 and lm.model.tally.texts > before

@pytest.mark.parametrize('given, words', [
    (dict(model_t='reference:teacher'), 'model_theta'), (dict(model_theta=''), 'model_theta'),
    (dict(model_theta='reference:student', pretrained='x'), 'pretrained'),
    (dict(model_theta='reference:student', alpha_metod='fixed'), "Did you mean 'alpha_method'"),
    (dict(model_theta='reference:student', alpha_method='kl_symetry'), "Did you mean 'kl_symmetry'"),
    (dict(model_theta='reference:student', alpha_min=.9, alpha_max=.2), 'alpha_min'),
    (dict(model_theta='reference:student', nonsense=1), 'nonsense'),
    (dict(model_theta='reference:student', max_length=1<<30), 'max_length'),
    (dict(model_theta='no/such/folder'), 'no such folder'),
    (dict(model_theta='reference:studnet'), "Did you mean 'student'"),
    (dict(model_theta='reference:student', draft_tokens='many'), 'draft_tokens')])
def test_bad_arguments_are_one_error(given, words):
    from decodelab.evaluation.lmeval.optimal_sampling import OptimalSamplingLM
    with pytest.raises((BadValue, ModelError), match=words): OptimalSamplingLM(device='cpu', **given)
