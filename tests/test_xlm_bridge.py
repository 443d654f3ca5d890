"""A trained external model under the contract: shared, opened elsewhere, scored, filled, asked by lm-eval.

Likelihoods are checked by sums over all continuations and by the enumerated bound, not against the loss's own output.
"""
import math, os, shutil, subprocess, sys

import numpy as np, pytest

pytest.importorskip('lightning')
pytest.importorskip('hydra')
import torch

from decodelab.backends.contract import Causal, Infiller, Sampler, Sampling, Scorer
from decodelab.backends.loading import load
from decodelab.core.errors import BadValue, DataError, DecodelabError, ModelError
from decodelab.xlm.composition import composed
from decodelab.xlm.jobs import data_of, harness_of, push_to_hub
from decodelab.xlm.reopening import within_reach

SMALL = ['model.d_model=16', 'model.num_layers=1', 'model.nhead=2', 'paths.run_dir=.', 'paths.work_dir=.',
         'block_size=4', '++input_block_size=6', '++global_components.tokenizer.vocab_size=3']

def made(name, *more):
    "A small model with large random weights: its answers differ from each other."
    within_reach()
    cfg = composed([f'experiment=star_mini_{name}', *SMALL, *more])
    torch.manual_seed(0)
    harness = harness_of(cfg, data_of(cfg))
    with torch.no_grad():
        for p in harness.model.parameters(): p.normal_(std=.4)
    return harness.eval()

@pytest.fixture(scope='module')
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp('shared')
    return {name: str(made(name).save_shared(folder/name)) for name in ('arlm', 'mlm', 'mdlm', 'ilm', 'flexmdm')}

@pytest.fixture(scope='module')
def models(shared): return {name: load(f'xlm:{place}', device='cpu') for name,place in shared.items()}

PROMPTS = [(7, 8), (9,), (), (7, 7, 8)]

def test_what_each_can_be_asked(models):
    kinds = {name: [k.__name__ for k in (Sampler, Scorer, Infiller, Causal) if isinstance(m, k)]
             for name,m in models.items()}
    assert kinds==dict(arlm=['Sampler', 'Scorer'], mlm=['Sampler', 'Infiller'], ilm=['Sampler'], flexmdm=['Sampler'],
                       mdlm=['Sampler', 'Scorer', 'Infiller'])
    assert {n: m.capabilities.likelihoods for n,m in models.items()}=={n: n in ('arlm', 'mdlm') for n in models}
    for name in ('mlm', 'ilm', 'flexmdm'):
        with pytest.raises(ModelError, match='tells no likelihoods'): models[name].score([((7,), (8,))])
    with pytest.raises(ModelError, match='fills no gaps'): models['arlm'].fill([(7, None)], Sampling())
    with pytest.raises(ModelError, match='no distribution of the next token'): models['mdlm'].next_logprobs([(7,)])

@pytest.mark.parametrize('name', ['arlm', 'mlm', 'mdlm', 'ilm', 'flexmdm'])
def test_a_sample_depends_on_nothing_but_itself(models, name):
    m, how = models[name], dict(temperature=1.3, seed=5, max_tokens=9)
    many = m.sample(PROMPTS, Sampling(n=3, **how))
    for p,row in zip(PROMPTS, many):
        (alone,), = m.sample([p], Sampling(first=1, **how))
        assert alone.ids==row[1].ids and alone.text==row[1].text
    drawn = m.sample([(7,)], Sampling(n=40, temperature=1., seed=1, max_tokens=9))[0]
    assert len({s.ids for s in drawn}) > 3 and all(len(s.ids) <= 4 for s in drawn)
    assert not any({0, 1, 2, 4} & set(s.ids) for s in drawn) and {s.finish for s in drawn} <= {'eos', 'length'}

def test_exact_likelihoods_sum_to_one(models):
    m = models['arlm']
    words = [3, 5, 6, *range(7, 10)] # the end, and what may be written
    one = np.array([s.logprob for s in m.score([((7, 8), (v,)) for v in words])])
    assert np.exp(one).sum()==pytest.approx(1, abs=1e-5)
    two = np.array([s.logprob for s in m.score([((7, 8), (8, v)) for v in words])])
    assert np.logaddexp.reduce(two)==pytest.approx(one[words.index(8)], abs=1e-5)
    best = m.score([((7, 8), (words[int(one.argmax())],))])[0]
    assert best.greedy and best.bound=='exact'
    (text,), = m.sample([(7, 8)], Sampling(temperature=0.))
    assert m.score([((7, 8), text.ids)])[0].greedy
    np.testing.assert_allclose(text.logprobs, m.score([((7, 8), text.ids)])[0].token_logprobs, atol=1e-6)
    assert m.score([((7,), ())])[0].logprob==0

def test_the_bound_is_the_enumerated_one_and_marked(models):
    from itertools import combinations
    m, text = models['mdlm'], [8, 7, 3, 0] # the answer, its end, the pad of its canvas
    net, L, total = m.trained.harness.model, 4, 0.
    with torch.no_grad():
        for k in range(1, L+1):
            costs = []
            for M in combinations(range(L), k):
                row = torch.tensor([[9, 4, *(2 if i in M else v for i,v in enumerate(text))]])
                logits = net(row).double()
                logits[...,[1, 2, 4]] = -torch.inf
                logp = logits.log_softmax(-1)[0,2:]
                costs.append(sum(-logp[i,text[i]].item() for i in M))
            total += np.mean(costs)/k
    found = m.estimates(((9,), (8, 7)))
    told, = m.score([((9,), (8, 7))])
    assert abs(found.mean()+total) < 5*found.std()/len(found)**.5
    assert told.bound=='lower' and told.logprob==found.mean() and np.isnan(told.token_logprobs).all()
    assert m.score([((9,), (8, 7)), ((7,), (9,))])[0].logprob==told.logprob # whatever else is asked

def test_gaps_keep_what_is_given(models):
    for name in ('mlm', 'mdlm'):
        m = models[name]
        (a, b), = m.fill([(7, 8, m.bos_id, 9, None, None)], Sampling(n=2, temperature=1., seed=3))
        assert a.ids[0]==b.ids[0]==9 and len(a.ids)==3 and not m.special_ids & {*a.ids, *b.ids}
        (again,), = m.fill([(7, 8, m.bos_id, 9, None, None)], Sampling(first=1, temperature=1., seed=3))
        assert again.ids==b.ids
        with pytest.raises(BadValue, match='gap in its prompt'): m.fill([(None, m.bos_id, None)], Sampling())
        with pytest.raises(ModelError, match='template'): m.fill([(None,)*5], Sampling())

def test_wrong_requests(models, shared, tmp_path):
    m = models['mdlm']
    for bad in (dict(min_p=.1), dict(top_p=0)):
        with pytest.raises(BadValue): m.sample([(7,)], Sampling(**bad))
    with pytest.raises(ModelError, match='6 tokens; the model takes 5'): m.sample([(7,)*6], Sampling())
    with pytest.raises(BadValue, match="Did you mean 'max_steps'"): load(f'xlm:{shared["mdlm"]}', max_stpes=3)
    with pytest.raises(DataError, match='no such checkpoint or folder'): load('xlm:no/such')
    with pytest.raises(DataError, match='holds no trained model'): load(f'xlm:{tmp_path}')

def test_checkpoints_and_runs_open_and_chance_is_untouched(tmp_path, models):
    harness = made('mdlm')
    (tmp_path/'run'/'checkpoints').mkdir(parents=True)
    torch.save(dict(state_dict=harness.state_dict(), hyper_parameters=dict(harness.hparams), global_step=1),
               tmp_path/'run'/'checkpoints'/'last.ckpt')
    torch.manual_seed(11)
    before = torch.get_rng_state()
    for place in (tmp_path/'run', tmp_path/'run'/'checkpoints'/'last.ckpt'):
        m = load(f'xlm:{place}')
        assert m.sample([(7,)], Sampling(seed=2))[0][0].ids==models['mdlm'].sample([(7,)], Sampling(seed=2))[0][0].ids
        assert m.fingerprint()==models['mdlm'].fingerprint()!=models['mlm'].fingerprint()
    assert torch.equal(torch.get_rng_state(), before)
    assert load(f'xlm:{tmp_path}/run', confidence='margin').fingerprint()!=m.fingerprint()

def test_whole_texts(tmp_path):
    "A model of whole texts continues a prompt as the beginning of a text."
    files = [f'datamodule.dataset_managers.{s}.lm.load_kwargs.data_files=none.txt' for s in ('train', 'val')]
    words = '++global_components.tokenizer._target_=decodelab.xlm.tokenizers.SimpleSpaceTokenizer.for_numbers'
    harness = made('arlm', 'datamodule=text_arlm', 'model_type=arlm', words, *files)
    m = load(f'xlm:{harness.save_shared(tmp_path/"text")}')
    assert m.layout.whole and m.layout.marks==(4,)
    words = [3, 5, 6, *range(7, 10)]
    both, = m.score([((), (7, 8))])
    first, = m.score([((), (7,))])
    second, = m.score([((7,), (8,))])
    assert both.logprob==pytest.approx(first.logprob+second.logprob, abs=1e-5) # a prompt is a beginning
    assert sum(math.exp(s.logprob) for s in m.score([((7,), (v,)) for v in words]))==pytest.approx(1, abs=1e-5)

# ------------------------------------------------------------ sharing

ASK = ('import logging; logging.basicConfig(); from decodelab.backends.loading import load; '
       'from decodelab.backends.contract import Sampling; m = load("xlm:{0}", device="cpu"); '
       'print("SAID", [s.ids for s in m.sample([(7, 8)], Sampling(n=3, temperature=1., seed=1))[0]], '
       'm.score([((7,), (8,))])[0].bound)')

def elsewhere(folder, cwd, *paths):
    "Ask in a process and a folder of its own."
    env = os.environ | {'XLM_MODELS_PATH': ':'.join(map(str, paths))}
    p = subprocess.run([sys.executable, '-c', ASK.format(folder)], env=env, cwd=cwd, capture_output=True, text=True)
    return next((line for line in p.stdout.splitlines() if line.startswith('SAID')), ''), p.stderr

def test_a_share_opens_elsewhere_and_changed_code_is_said(root, tmp_path, monkeypatch):
    "A model that is no core model, and whose predictor and collators are its own."
    monkeypatch.setenv('XLM_MODELS_PATH', str(root/'examples'))
    folder = made('did').save_shared(tmp_path/'share')
    here = load(f'xlm:{folder}', device='cpu')
    assert here.score([((7,), (8,))])[0].bound=='lower'
    ids = [s.ids for s in here.sample([(7, 8)], Sampling(n=3, temperature=1., seed=1))[0]]
    (tmp_path/'far').mkdir()
    said, err = elsewhere(folder, tmp_path/'far', root/'examples')
    assert said==f'SAID {ids} lower' and 'not the code' not in err
    shutil.copytree(root/'examples', tmp_path/'changed')
    with open(tmp_path/'changed'/'did'/'did'/'counts.py', 'a') as f: f.write('# another\n')
    said, err = elsewhere(folder, tmp_path/'far', tmp_path/'changed')
    assert said==f'SAID {ids} lower' and 'the code of did is not the code that it was trained with' in err
    monkeypatch.delenv('XLM_MODELS_PATH')
    with pytest.raises(ModelError, match="needs the package 'did': install it, or list it in xlm_models.json"):
        load(f'xlm:{folder}')

def test_nothing_is_sent_without_the_flag(shared, monkeypatch):
    import huggingface_hub
    monkeypatch.setattr(huggingface_hub, 'HfApi', lambda *a, **k: pytest.fail('something was sent'))
    cfg = composed(['experiment=star_mini_mdlm', *SMALL, f'+hub_checkpoint_path={shared["mdlm"]}'])
    with pytest.raises(ModelError, match=r'give \+hub.repo_id=owner/name'): push_to_hub(cfg)

# ------------------------------------------------------------ lm-eval, schemas, the quick benchmark

TASK = """task: stars_{kind}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
doc_to_text: "{{{{prompt}}}}"
doc_to_target: "{{{{answer}}}}"
"""
KINDS = dict(generate='output_type: generate_until\ngeneration_kwargs: {until: ["\\n"], max_gen_toks: 4}\n'
                      'metric_list: [{metric: exact_match}]\n',
             choose='output_type: multiple_choice\ndoc_to_choice: ["0 1", "1 0"]\ndoc_to_target: 1\n'
                    'metric_list: [{metric: acc}]\n',
             rolling='output_type: loglikelihood_rolling\ndoc_to_text: ""\nmetric_list: [{metric: bits_per_byte}]\n')

def test_lm_eval_asks_it(shared, tmp_path):
    pytest.importorskip('lm_eval')
    from lm_eval.tasks import TaskManager
    from decodelab.evaluation.lmeval.takeover import simple_evaluate
    (tmp_path/'rows.jsonl').write_text('{"prompt": "0 1", "answer": "1 0"}\n{"prompt": "2 1", "answer": "0 2"}\n')
    for kind,more in KINDS.items():
        text = TASK.format(kind=kind, rows=tmp_path/'rows.jsonl')
        (tmp_path/f'{kind}.yaml').write_text('\n'.join(
            line for line in text.splitlines() if line.split(':')[0] not in more) + '\n' + more)
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    def run(name, tasks, **args):
        args = ','.join(f'{k}={v}' for k,v in (dict(checkpoint=shared[name], device='cpu') | args).items())
        return simple_evaluate('xlm', args, tasks=tasks, task_manager=manager, bootstrap_iters=0)
    out = run('mdlm', ['stars_generate', 'stars_choose', 'stars_rolling'], confidence='margin', likelihood_samples=32)
    assert set(out['results'])=={'stars_generate', 'stars_choose', 'stars_rolling'}
    assert out['config']['decodelab_likelihood']==dict(kind='lower', estimates=32)
    assert out['results']['stars_rolling']['bits_per_byte,none'] > 0
    exact = run('arlm', ['stars_choose'])
    assert exact['config']['decodelab_likelihood']==dict(kind='exact')
    checked = run('ilm', ['stars_generate'], regex='[0-9]( [0-9])*', mode='validate')
    assert checked['config']['decodelab_schema']['responses']==2
    with pytest.raises(DecodelabError, match='tells no likelihoods'): run('ilm', ['stars_choose'])
    with pytest.raises(DecodelabError, match='mode=validate'): run('ilm', ['stars_generate'], regex='[0-9]')

def test_the_quick_benchmark_judges_it(models):
    from decodelab.evaluation.quick.benchmark import check_likelihoods, judge
    from decodelab.evaluation.quick.questions import Item
    chosen = [Item('arc', 'a', 'stars', '', '0 1', ('1 0', '0 0'), 0),
              Item('arc', 'b', 'stars', '', '2', ('2', '1'), 1)]
    for name in ('arlm', 'mdlm'):
        assert [set(r['correct']) for r in judge(models[name], chosen)]==[{'acc', 'acc_norm'}]*2
    written = judge(models['ilm'], [Item('gsm8k', 'c', 'stars', '', '0 1', answer='1', until=('\n',))], 4)
    assert set(written[0]['correct'])=={'strict', 'flexible'}
    with pytest.raises(ModelError, match='tells no likelihoods'): check_likelihoods(models['ilm'], ['arc'])
