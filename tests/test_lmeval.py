"lm-eval cannot tell the adapter from its own Transformers class: tasks, edge cases, caches, the command."
import json, os, random, subprocess, sys
import numpy as np
import pytest
from conftest import BIN, ROOT

os.environ |= dict(HF_HUB_OFFLINE='1', TOKENIZERS_PARALLELISM='false')
pytestmark = pytest.mark.usefixtures('data_sets')
STUDENT = ROOT/'pkg'/'decodelab'/'models'/'student'
TASKS = ROOT/'tests'/'tasks'
TURNS = [dict(role='system', content='Sums.'), dict(role='user', content='1+1=?'),
         dict(role='assistant', content='2'), dict(role='user', content='2+2=?')]
NAMES = ('letters', 'choices', 'truths', 'cloze', 'rolling', 'generate', 'fewshot', 'chat', 'chat_generate')

def hflm(folder=STUDENT, **kw):
    from lm_eval.models.huggingface import HFLM
    return HFLM(pretrained=str(folder), dtype='float32', device='cpu', **kw)

def ours(backend, **kw):
    from decodelab.evaluation.lmeval.adapter import Decodelab
    return Decodelab(backend=backend, **kw)

def ask(kind, *arguments):
    from lm_eval.api.instance import Instance
    return Instance(kind, {}, arguments, 0)

def likelihoods(lm, pairs): return lm.loglikelihood([ask('loglikelihood', *p) for p in pairs], disable_tqdm=True)
def rolling(lm, texts):
    return lm.loglikelihood_rolling([ask('loglikelihood_rolling', t) for t in texts], disable_tqdm=True)
def generate(lm, contexts, **kw):
    return lm.generate_until([ask('generate_until', c, kw) for c in contexts], disable_tqdm=True)
def json_lines(path): return [json.loads(l) for l in path.read_text(encoding='utf-8').split('\n') if l]

def same(a, b):
    "Likelihoods of two models: close numbers, equal flags."
    assert [x[1] for x in a]==[x[1] for x in b]
    np.testing.assert_allclose([x[0] for x in a], [x[0] for x in b], atol=1e-4, rtol=3e-7)

@pytest.fixture(scope='module')
def theirs(): return hflm(batch_size=4)

@pytest.fixture(scope='module')
def short(student): return hflm(batch_size=1, max_length=48), ours(student, max_length=48)

# Agreement on tasks

@pytest.fixture(scope='module')
def table(student, data_sets):
    from decodelab.evaluation.lmeval.agreement import answers, compare, local_tasks
    a, b, out = hflm(batch_size=8, max_length=1024), ours(student, max_length=1024), {}
    for chat in (False, True):
        tasks = [t for t in local_tasks(TASKS, ROOT) if ('chat' in t['task'])==chat]
        x, y = answers(a, tasks, chat), answers(b, tasks, chat)
        out |= {d.task: (d, x[d.task], y[d.task]) for d in compare(x, y)}
    return out

@pytest.mark.parametrize('name', NAMES)
def test_agreement_with_lm_evals_own_model(table, name):
    d, a, b = table[f'local_{name}']
    assert d.agrees() and d.requests >= 12, d
    for key in ('arguments', 'target'): assert [s[key] for s in a]==[s[key] for s in b]

def test_every_task_is_compared(table): assert set(table)=={f'local_{n}' for n in NAMES}

@pytest.mark.parametrize('runtime', ['gguf', 'mlx', 'vllm'])
def test_other_runtimes_give_the_same_answers(student, runtime):
    from decodelab.backends import backends, load
    from decodelab.core.errors import ModelError
    if runtime not in backends:
        assert not os.environ.get('CI'), f'runtime {runtime} is not registered'
        pytest.skip(f'RUNTIME {runtime} IS NOT REGISTERED')
    try: other = load(f'{runtime}:reference:student')
    except ModelError as e:
        assert not os.environ.get('CI') and 'not installed' in str(e), e
        pytest.skip(f'RUNTIME {runtime} IS NOT INSTALLED')
    pairs = [(f'{q["question"]}=', c) for q in json_lines(TASKS/'questions.jsonl') for c in q['choices']]
    pairs += [('', 'abc'), ('<|question|>1+1=?<think>', 'a ')]
    a, b = ours(student), ours(other)
    x, y = likelihoods(a, pairs), likelihoods(b, pairs)
    np.testing.assert_allclose([p for p,_ in x], [p for p,_ in y], atol=1e-3)
    texts = [generate(lm, [p for p,_ in pairs[::4]], until=['\n'], max_gen_toks=16) for lm in (a, b)]
    assert texts[0]==texts[1]
    np.testing.assert_allclose(rolling(a, ['some text\n'*9]), rolling(b, ['some text\n'*9]), atol=1e-3)
    ids = [65, *range(256, student.vocab_size), 66]
    assert a.tok_decode(ids)==b.tok_decode(ids)=='AB' # special tokens are no text
    assert a.apply_chat_template(TURNS)==b.apply_chat_template(TURNS) and a.chat_template(True)==b.chat_template(True)
    other.close()

# lm-eval's own patterns

def test_order_and_batches_do_not_matter(theirs, student):
    rng = random.Random(0)
    shots = ''.join(f'{i}+{i}={2*i}\n' for i in range(9))
    begun = lambda: shots[:rng.choice((0, 5, 30, len(shots)))]
    pairs = [(begun()+f'{rng.randint(0,20)}+', str(rng.randint(0, 999))) for _ in range(40)]*2
    lm = ours(student, chunk=150)
    got = likelihoods(lm, pairs)
    same(got, likelihoods(theirs, pairs))
    order = rng.sample(range(len(pairs)), len(pairs))
    again = likelihoods(lm, [pairs[i] for i in order])
    same([got[i] for i in order], again)
    same(got[:40], got[40:])
    assert likelihoods(lm, [])==[] and rolling(lm, [])==[] and generate(lm, [])==[]

@pytest.mark.parametrize('pairs', [
    [('2+2=', c) for c in 'ABCD47'], # one token, one context
    [('2+2=', c) for c in ('4', '42', '4 is', '4 is 4', '5')], # a continuation that begins another
    [('', 'A'), ('', 'abc'), ('', '<|end|>abc'), ('<|end|>', 'abc'), ('<|end|><|question|>', 'abc')], # no context
    [('word ', 'next'), ('word', ' next'), ('word \n ', 'next'), ('word', '\n next ')], # blanks at the border
    [('é', '日本'), ('日本', 'é🙂'), ('a\x00', 'b')], # many bytes a character
    [('<|question|>3a=?<think>', '</think><|answer|>7<|end|>'), ('a<|answer|>', '7')], # special tokens
], ids=['one-token', 'nested', 'empty-context', 'blanks', 'unicode', 'special'])
def test_pairs(theirs, student, pairs): same(likelihoods(theirs, pairs), likelihoods(ours(student), pairs))

def test_one_text_cut_anywhere(student):
    "lm-eval's cache of logits (0.4.13) mixes such requests up: its own class, without it, is the reference."
    pairs = [('ab', 'cde'), ('abc', 'de'), ('abcd', 'e'), ('a', 'bcde')]
    same(likelihoods(hflm(logits_cache=False, batch_size=4), pairs), likelihoods(ours(student), pairs))

def test_what_lm_evals_own_model_cannot_answer(student):
    lm = ours(student)
    empty, both, blank, joined = likelihoods(lm, [('2+2=', ''), ('', ''), ('  ', 'x'), ('', '  x')])
    assert empty==both==(0., True) # nothing is certain
    assert blank==joined # a context of blanks is an empty one

def test_contexts_too_long_lose_their_beginning(short):
    text = ''.join(random.Random(1).choices('0123456789+= ', k=200))
    pairs = [(text[:n], c) for n in (40, 46, 47, 48, 49, 100, 200) for c in ('A', '12', 'xyz'*4)]
    same(*(likelihoods(lm, pairs) for lm in short))
    from decodelab.core.errors import ModelError
    with pytest.raises(ModelError, match='49 tokens; the model takes 48'): likelihoods(short[1], [('a', 'b'*49)])

@pytest.mark.parametrize('n', [0, 1, 2, 46, 47, 48, 49, 50, 95, 96, 97, 200])
def test_rolling_windows(short, n):
    text = ''.join(random.Random(n).choices('abc d', k=n))
    a, b = (rolling(lm, [text, 'between', text[::-1]]) for lm in short)
    assert all(type(x) is float for x in b)
    np.testing.assert_allclose(a, b, atol=1e-4, rtol=3e-7)

def test_rolling_scores_each_token_once(student):
    "Against sums over windows taken by hand."
    lm, text = ours(student, max_length=10, chunk=7), 'a+b=c, so b=c-a'
    ids = student.encode(text)
    by_hand = student.score([((student.prefix_id,), ids[:10]), (ids[4:10], ids[10:])])
    assert rolling(lm, [text])[0]==pytest.approx(sum(s.logprob for s in by_hand), abs=1e-4)

def test_a_prefix_token_of_ones_own(student):
    a, b = hflm(prefix_token_id=258), ours(student, prefix_token_id=258)
    pairs = [('', 'abc'), ('<think>', 'abc'), ('', '<think>abc')]
    same(likelihoods(a, pairs), likelihoods(b, pairs))
    np.testing.assert_allclose(rolling(a, ['hello']), rolling(b, ['hello']), atol=1e-4)
    assert likelihoods(b, pairs)[0]!=likelihoods(ours(student), pairs)[0]

@pytest.mark.parametrize('add', [None, True, False])
def test_bos(tmp_path, add):
    "A tokenizer that begins every text with a token of its own; rolling we differ on purpose (see test_pairs)."
    import shutil
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoTokenizer
    shutil.copytree(STUDENT, tmp_path/'m')
    t = AutoTokenizer.from_pretrained(STUDENT)
    special = [('<|question|>', t.convert_tokens_to_ids('<|question|>'))]
    t.backend_tokenizer.post_processor = TemplateProcessing(single='<|question|> $A', special_tokens=special)
    t.bos_token = '<|question|>'
    t.save_pretrained(tmp_path/'m')
    a, b = hflm(tmp_path/'m', add_bos_token=add), ours(f'hf:{tmp_path/"m"}', device='cpu', add_bos_token=add)
    pairs = [('2+2=', '4'), ('', '4'), ('<|question|>2+2=', '4'), ('', '<|question|>4')]
    assert [a.tok_encode(x) for x,_ in pairs]==[b.tok_encode(x) for x,_ in pairs]
    same(likelihoods(a, pairs), likelihoods(b, pairs))
    without = hflm(tmp_path/'m', add_bos_token=False)
    np.testing.assert_allclose(rolling(without, ['hello', 'x']), rolling(b, ['hello', '<|question|>x']), atol=1e-4)
    contexts = ['2+2=', '<|question|>2+2=']
    assert generate(a, contexts, max_gen_toks=8)==generate(b, contexts, max_gen_toks=8)
    assert (b.tok_encode('x')[0]==b.prefix_token_id)==(add is not False)

# Generation

CONTEXTS = ['2+3=', '<|question|>a=3. b=a+4. b=?<think>', 'The ',
            '<|question|>a=1. a=?<think>a=1</think><|answer|>', '']

@pytest.mark.parametrize('args', [
    dict(until=['\n'], max_gen_toks=24), dict(until='\n', max_gen_toks=24), dict(max_new_tokens=7), dict(max_tokens=7),
    dict(max_completion_tokens=7, max_gen_toks=3), dict(until=['=', 'a'], max_gen_toks=40),
    dict(until=['</think>'], max_gen_toks=60), dict(until=['<|answer|>', '\n\n'], max_gen_toks=60),
    dict(until=['1\n', '. '], max_gen_toks=60), dict(do_sample=False, temperature=.8, top_p=.5, max_gen_toks=9),
    dict(temperature=0., max_gen_toks=9), dict(num_beams=1, max_gen_toks=9),
], ids=str)
def test_generation(student, args):
    a = hflm(batch_size=1)
    assert generate(a, CONTEXTS[:4], **args)==generate(ours(student), CONTEXTS[:4], **args)

def test_generation_keeps_room(short):
    text = ''.join(random.Random(3).choices('0123456789+=', k=120))
    contexts = [text[:n] for n in (3, 30, 38, 39, 100)]
    a, b = (generate(lm, contexts, max_gen_toks=9) for lm in short)
    assert a==b
    a, b = (generate(lm, contexts[:1], max_length=8, max_gen_toks=20) for lm in short)
    assert a==b
    from decodelab.core.errors import BadValue
    with pytest.raises(BadValue, match="max_gen_toks: got 48; allowed: less than the model's 48 tokens"):
        generate(short[1], ['x'], max_gen_toks=48)
    with pytest.raises(BadValue, match='max_length: got 3'):
        generate(short[1], ['xyz'], max_length=3, max_gen_toks=4)

def test_sampling(student):
    import torch
    hot = dict(temperature=2., top_p=.95, max_gen_toks=10)
    lm = ours(student, rows=3)
    torch.manual_seed(1234) # as lm-eval does
    a, again = generate(lm, ['x=']*5, **hot), generate(lm, ['x=']*5, **hot)
    assert a==again and len(set(a))==5 # repeats are samples of one stream
    assert generate(lm, ['y=', 'x=', 'x='], **hot)[1:]==a[:2] # company does not matter
    torch.manual_seed(77)
    assert generate(lm, ['x=']*5, **hot)!=a
    assert generate(lm, ['x='], seed=1234, **hot)==a[:1] # a seed of its own comes first
    one = dict(temperature=2., do_sample=True, top_k=1, max_gen_toks=10)
    assert generate(lm, ['x='], **one)==generate(lm, ['x='], temperature=0, max_gen_toks=10)
    prefix = student.decode([student.prefix_id])
    assert generate(lm, ['', '2+'], max_gen_toks=4)[0]==generate(lm, [prefix], max_gen_toks=4)[0]

@pytest.mark.parametrize('args,words', [
    (dict(max_gen_tokens=5), "Did you mean 'max_gen_toks'"), (dict(temprature=1.), "Did you mean 'temperature'"),
    (dict(top_p=0.), 'more than 0, at most 1'), (dict(num_beams=10), 'at most 1'), (dict(max_gen_toks=0), 'at least 1'),
    (dict(do_sample='perhaps'), 'do_sample'), (dict(until=3), 'until')])
def test_generation_arguments_are_checked(student, args, words):
    from decodelab.core.errors import DecodelabError
    with pytest.raises(DecodelabError, match=words): generate(ours(student), ['x'], **args)

def test_what_follows_the_thinking(theirs, student):
    context = ['<|question|>a=3. b=a+4. b=?']
    for end in ('=', student.encode('=')[0]):
        a, b = hflm(think_end_token=end, batch_size=1), ours(student, think_end_token=end)
        assert generate(a, context, max_gen_toks=40)==generate(b, context, max_gen_toks=40)

def test_chats(theirs, student, monkeypatch):
    from decodelab.core.errors import ModelError
    lm, turns = ours(student), TURNS
    assert lm.apply_chat_template(turns)==theirs.apply_chat_template(turns)
    begun = [*turns, dict(role='assistant', content='It is')]
    a, b = (m.apply_chat_template(begun, add_generation_prompt=False) for m in (lm, theirs))
    assert a==b
    assert lm.chat_template(True)==theirs.chat_template(True) and lm.tokenizer_name
    with monkeypatch.context() as without:
        without.setattr(student, 'template', '')
        with pytest.raises(ModelError, match='no chat template'): lm.apply_chat_template(turns)
    refuses = "{% if messages[0].role=='system' %}{{ raise_exception('no system role') }}{% endif %}"
    monkeypatch.setattr(student.tokenizer, 'chat_template', refuses+student.template)
    assert lm.apply_chat_template(turns)==lm.apply_chat_template(turns[1:])

# Caches

def test_a_killed_run_keeps_its_answers(student, tmp_path, monkeypatch):
    from lm_eval.api.model import CachingLM
    lm = ours(student, chunk=60, rows=2)
    pairs = [(f'{i}+{i}=', str(2*i)) for i in range(30)]
    requests = [ask('loglikelihood', *p) for p in pairs]
    score, calls = student.score, []
    def mortal(pairs):
        calls.append(len(pairs))
        if len(calls)==3: raise KeyboardInterrupt
        return score(pairs)
    monkeypatch.setattr(student, 'score', mortal)
    cached = CachingLM(lm, str(tmp_path/'cache.db'))
    with pytest.raises(KeyboardInterrupt): cached.loglikelihood(requests)
    done = sum(calls[:2])
    assert 0 < done < 30
    calls.clear()
    monkeypatch.setattr(student, 'score', lambda pairs: calls.append(len(pairs)) or score(pairs))
    got = CachingLM(ours(student), str(tmp_path/'cache.db')).loglikelihood(requests)
    assert sum(calls)==30-done
    same(got, likelihoods(ours(student), pairs))
    texts = [ask('generate_until', p[0], dict(until='\n', max_gen_toks=5)) for p in pairs[:5]]
    texts += [ask('generate_until', '9+', dict(temperature=1., do_sample=True, max_gen_toks=5))]
    a = cached.generate_until(texts)
    def sampled_alone(prompts, plans):
        assert len(prompts)==1
        return type(student).sample(student, prompts, plans)
    monkeypatch.setattr(student, 'sample', sampled_alone)
    assert cached.generate_until(texts)[:5]==a[:5] # only the sampled one is asked again
    text = ask('loglikelihood_rolling', 'a long text '*9)
    assert cached.loglikelihood_rolling([text])==cached.loglikelihood_rolling([text])

def test_a_cache_is_one_models(student, tmp_path):
    from lm_eval.api.model import CachingLM
    from decodelab.core.errors import BadValue
    file = str(tmp_path/'cache.db')
    CachingLM(ours(student), file).loglikelihood([ask('loglikelihood', 'a', 'b')])
    CachingLM(ours(student), file) # itself
    others = [ours('reference:teacher', device='cpu')]
    others += [ours(student, **changed) for changed in (dict(max_length=100), dict(add_bos_token=False))]
    for other in others:
        with pytest.raises(BadValue, match='answers of reference:student'): CachingLM(other, file)
    unknown = str(tmp_path/'unknown.db')
    CachingLM(hflm(), unknown).loglikelihood([ask('loglikelihood', 'a', 'b')])
    with pytest.raises(BadValue, match='an unknown model'): CachingLM(ours(student), unknown)

# The command, processes, entry points

def samples(folder): return {f.name.split('_2')[0]: json_lines(f) for f in folder.rglob('samples_*.jsonl')}

def test_the_command(tmp_path):
    env = os.environ | dict(HF_DATASETS_CACHE=str(tmp_path/'data'), TQDM_DISABLE='1')
    always = ['--include_path', str(TASKS), '--tasks', 'local_letters,local_generate', '--log_samples',
              '--model', 'decodelab', '--model_args', 'backend=reference:student', '--device', 'cpu',
              '--use_cache', str(tmp_path/'cache')]
    def go(*args):
        command = [str(BIN/'decodelab-eval'), *args, *always]
        p = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
        assert p.returncode==0, p.stderr[-2000:]
        return p.stderr
    go('--limit', '5', '--output_path', str(tmp_path/'a')) # without the word `run`
    said = go('run', '--limit', '7', '--output_path', str(tmp_path/'b'))
    assert 'Cached requests: 20, Requests remaining: 8' in said and 'Cached requests: 5, Requests remaining: 2' in said
    a, b = (samples(tmp_path/x) for x in 'ab')
    assert set(a)==set(b)=={'samples_local_letters', 'samples_local_generate'}
    from decodelab.evaluation.lmeval.agreement import answers, local_tasks
    c = answers(hflm(), local_tasks(TASKS, ROOT, 'local_letters') + local_tasks(TASKS, ROOT, 'local_generate'))
    for task in a:
        own = c[task.removeprefix('samples_')][:7]
        assert (len(a[task]), len(b[task]))==(5, 7) and set(b[task][0])==set(own[0])
        assert [s['resps'] for s in a[task]]==[s['resps'] for s in b[task]][:5]
        for key in ('doc_id', 'doc_hash', 'prompt_hash', 'target_hash', *own[0]['metrics']):
            assert [s[key] for s in b[task]]==[s[key] for s in own]
    assert [s['resps'] for s in b['samples_local_generate']]==[s['resps'] for s in c['local_generate'][:7]]
    results = json.loads(next((tmp_path/'b').rglob('results_*.json')).read_text())
    config = results['config']
    assert len(config['model_sha'])==64 and config['model_name']=='reference:student'
    assert config['decodelab_usage']['unique'] > 0
    assert next((tmp_path/'b').iterdir()).name=='reference__student'

TWO = '''
import json, sys
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager
from decodelab.evaluation.lmeval.agreement import local_tasks
from decodelab.evaluation.lmeval.names import register
register()
r = simple_evaluate('decodelab', model_args=dict(backend='reference:student', device='cpu'),
                    tasks=local_tasks({tasks!r}, {root!r}, 'local_choices'),
                    task_manager=TaskManager(include_defaults=False), bootstrap_iters=0, limit=7)
if r:
    said = [[s['doc_id'], s['resps'], s['acc_norm']] for s in r['samples']['local_choices']]
    open(sys.argv[1], 'w').write(json.dumps(said))
'''

def test_processes_share_the_requests(tmp_path, student):
    "Two processes under torchrun give what one gives."
    (tmp_path/'two.py').write_text(TWO.format(tasks=str(TASKS), root=str(ROOT)))
    env = os.environ | dict(HF_DATASETS_CACHE=str(tmp_path/'data'), OMP_NUM_THREADS='1', TQDM_DISABLE='1')
    launch = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2']
    launch += ['two.py', 'out.json']
    p = subprocess.run(launch, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
    assert p.returncode==0, p.stderr[-3000:]
    from decodelab.evaluation.lmeval.agreement import answers, local_tasks
    alone = answers(ours(student), local_tasks(TASKS, ROOT, 'local_choices'))['local_choices'][:7]
    two = sorted(json.loads((tmp_path/'out.json').read_text()))
    assert [d for d,_,_ in two]==list(range(7)) and [m for _,_,m in two]==[s['acc_norm'] for s in alone]
    for (_,resps,_),s in zip(two, alone): same([tuple(r[0]) for r in resps], [r[0] for r in s['resps']])

def test_entry_points():
    "What pyproject.toml declares is what we register."
    import tomllib
    from decodelab.evaluation.lmeval.names import MODELS, address
    project = tomllib.loads((ROOT/'pyproject.toml').read_text())['project']
    assert project['entry-points']['lm_eval.models']=={name: address(cls) for name,cls in MODELS.items()}
    assert project['scripts']['decodelab-eval']=='decodelab.evaluation.lmeval.command:main'
