"Stopping rules under lm-eval: its command, its model names, checked arguments, honest metrics, caches apart."

import json, os, subprocess, sys
import pytest
from conftest import ROOT
from decodelab.core.errors import DecodelabError

os.environ |= dict(HF_HUB_OFFLINE='1', TOKENIZERS_PARALLELISM='false')
pytestmark = pytest.mark.usefixtures('data_sets')
STUDENT = ROOT/'pkg'/'decodelab'/'models'/'student'
TASK = ROOT/'slurm'/'tasks'/'chains.yaml'
EIG = dict(
    scale_func_name='expected_information_gain_reasoning', lambda_cost=0.03, beam_size=4, mc_samples=2, sample_length=32
)


@pytest.fixture(scope='module')
def lm(student):
    from decodelab.evaluation.lmeval.adapter import Decodelab
    return Decodelab(backend=student)

@pytest.fixture(scope='module')
def asks(lm):
    from decodelab.tasks.data import load_questions
    qs = load_questions('reference', 24, 3, 0.)
    return [lm.apply_chat_template([dict(role='user', content=q.text)]) for q in qs], [q.answer for q in qs]

def generate(lm, contexts, **kw):
    from lm_eval.api.instance import Instance

    return lm.generate_until(
        [
            Instance('generate_until', {}, (c, dict(until=['\n'], max_gen_toks=160) | kw), i)
            for i, c in enumerate(contexts)
        ],
        disable_tqdm=True,
    )


def command(*args, **env):
    return subprocess.run(
        [
            sys.executable,
            '-m',
            'decodelab.evaluation.lmeval.command',
            'run',
            '--tasks',
            str(TASK),
            '--apply_chat_template',
            *args,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | dict(TQDM_DISABLE='1', HF_HUB_OFFLINE='1') | env,
    )

# From the command line

@pytest.mark.parametrize('model', ['hf', 'vllm'])
def test_the_command_as_documented(model, tmp_path):
    if model=='vllm':
        pytest.importorskip('vllm', reason='RUNTIME vllm IS NOT INSTALLED') if not os.environ.get('CI') else __import__(
            'vllm'
        )
    p = command(
        '--model',
        model,
        '--model_args',
        f'pretrained={STUDENT},dtype=float32'
        + (',max_model_len=2048,gpu_memory_utilization=0.9' if model == 'vllm' else ''),
        '--limit',
        '4',
        '--log_samples',
        '--output_path',
        str(tmp_path),
        '--gen_kwargs',
        'max_gen_toks=2048,' + ','.join(f'{k}={v}' for k, v in EIG.items()) + ',debug=true',
        HF_DATASETS_CACHE=str(tmp_path / 'data'),
    )
    assert p.returncode==0, p.stderr[-3000:]
    assert p.stderr.count(f'served by decodelab-{model}')==1 and 'round 1: 4 live' in p.stderr
    assert 'gpu_memory_utilization' in p.stderr or model=='hf' # on a CPU it means nothing, and that is said
    assert 'total_calls' in p.stdout and 'information_gain_stats' in p.stdout
    result = json.loads(next(tmp_path.rglob('results_*.json')).read_text())
    eig = result['config']['decodelab_eig']
    samples = [json.loads(l) for l in next(tmp_path.rglob('samples_*.jsonl')).read_text().splitlines()]
    assert result['config']['model']==f'decodelab-{model}' and eig['responses']==len(samples)==4 and eig['empty']==0
    for s in samples:
        (t,) = s['trace']
        assert (
            len(t['boundaries']) == len(t['entropy']) == len(t['eig']) == len(t['decisions'])
            and t['cause']
            and t['tokens']['total'] == sum(t['tokens'][k] for k in ('reasoning', 'forecast', 'probe', 'answer'))
        )
        assert s['resps']==[[t['answer']]] and t['boundaries'][-1]==t['tokens']['reasoning']
    assert eig['metrics']['total_calls']==sum(d is not None for s in samples for d in s['trace'][0]['decisions'])
    assert eig['tokens']['total']==pytest.approx(sum(s['trace'][0]['tokens']['total'] for s in samples)/4)

def test_mistakes_are_told_before_a_model_is_loaded():
    from decodelab.evaluation.lmeval.takeover import simple_evaluate

    bad = [
        (dict(EIG, lamda_cost=1), "Did you mean 'lambda_cost'"),
        (dict(EIG, lambda_cost=11_000), 'lambda_cost: got 11000; allowed: float, at least 0, at most 10'),
        (dict(EIG, beam_size=0), 'beam_size: got 0'),
        (dict(EIG, temperature=3), 'temperature: got 3'),
        (dict(EIG, scale_func_name='expected_information_gain'), "Did you mean 'expected_information_gain_reasoning'"),
        (dict(lambda_cost=0.1), 'add scale_func_name'),
        (dict(scale_func_name='full', lambda_cost=0.1), 'rules that weigh a gain'),
        (dict(EIG, min_tokens=9, max_gen_toks=8), 'min_tokens: got 9'),
        (dict(EIG, top_k=5), 'top_k'),
        (dict(EIG, cue='#', own_words=True), 'own_words'),
        (dict(EIG, answer='numbr'), "answer: got 'numbr'.*Did you mean 'number'"),
        (dict(EIG, answer='regex:a*'), 'the empty text'),
        (dict(EIG, answer='number', own_words=True), 'answer: got'),
        (dict(EIG, step='sentense'), "Did you mean 'sentence'"),
        (dict(answer='number'), 'add scale_func_name'),
    ]
    for kw,words in bad:
        for model in ('hf', 'vllm', 'decodelab'):
            with pytest.raises(DecodelabError, match=words):
                simple_evaluate(model, 'pretrained=/nowhere', gen_kwargs=kw, tasks=['none'])
    with pytest.raises(DecodelabError, match='decodelab-vllm'):
        simple_evaluate('local-completions', 'model=m', gen_kwargs=EIG, tasks=['none'])


def test_without_a_rule_lm_evals_own_class_stays():
    from decodelab.evaluation.lmeval.takeover import served

    assert served('vllm', 'pretrained=m', 'temperature=0.5', 1) == (
        'vllm',
        'pretrained=m',
        'temperature=0.5',
    ) and served('hf', None, None, 1) == ('hf', None, None)


def test_answers_are_of_a_language(student, lm, asks):
    "Given for a generation, or for a model; and every boundary says how much of it the belief holds."
    from decodelab.evaluation.lmeval.adapter import Decodelab
    contexts, held = asks[0][:3], Decodelab(backend=student, answer='choice:A,B')
    told = generate(lm, contexts, **EIG, answer='choice:A,B')
    assert set(told) <= {'A', 'B'} and generate(held, contexts, **EIG)==told
    assert all(x.isdecimal() for x in generate(held, contexts, **EIG, answer='regex:[0-9]+'))
    trace = told[0].trace
    for name in ('coverage', 'explored', 'low', 'high'): assert len(trace[name])==len(trace['boundaries'])
    assert trace['explored'][0]==1 and 0 < trace['coverage'][0] <= 1
    with pytest.raises(DecodelabError, match="Did you mean 'number'"): Decodelab(backend=student, answer='numbr')

# What reaches the runtime, and what it answers

def test_custom_keys_never_reach_the_runtime(lm, asks, monkeypatch):
    from decodelab.backends.contract import Sampling
    seen, sample = [], lm.model.sample
    def spy(prompts, plans):
        seen.append(plans)
        return sample(prompts, plans)
    monkeypatch.setattr(lm.model, 'sample', spy)
    with pytest.raises(DecodelabError, match='nowhere'): generate(lm, asks[0][:2], **EIG, nowhere=1)
    with pytest.raises(DecodelabError, match="Did you mean 'harmony'"):
        generate(lm, asks[0][:2], **EIG, delimiters='harmoni')
    assert not seen # nothing was generated
    generate(lm, asks[0][:2], **EIG, debug=True, wait='2 ', min_tokens=9)
    assert seen and all(
        type(s) is Sampling for plans in seen for s in ([plans] if isinstance(plans, Sampling) else plans)
    )


def test_the_reasoning_is_in_context(lm, asks):
    contexts, truth = asks
    accuracy = lambda out: sum(a==b for a,b in zip(out, truth))/len(truth)
    full, none = generate(lm, contexts, scale_func_name='full'), generate(lm, contexts, scale_func_name='none')
    assert accuracy(full) > accuracy(none)+.2 and all(full) and all(none)
    kept = generate(
        lm, contexts[:3], scale_func_name='full', keep_reasoning=True
    )  # as lm-eval gives it without `think_end_token`
    assert all(k.endswith(a) and '=' in k for k,a in zip(kept, full))
    own = generate(lm, contexts, scale_func_name='full', own_words=True)
    assert accuracy(own) > accuracy(none)+.2
    # the cause of the published failure: the same model, its reasoning dropped
    assert lm.tally.n==len(contexts)

def test_prompts_are_taken_as_they_are(lm, asks):
    "A thinking that the template has opened is not opened again; one that it has not is."
    opened = asks[0][:3]
    bare = [c.removesuffix('<think>') for c in opened]
    a, b = generate(lm, opened, **EIG), generate(lm, bare, **EIG)
    assert a==b and [x.trace for x in a]==[x.trace for x in b]
    assert (
        generate(lm, opened, **EIG, until=['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) == [''] * 3
    )  # the task's stops hold for the answer
    assert [x.trace['steps'] for x in generate(lm, opened, **EIG, until=['='])] == [
        x.trace['steps'] for x in a
    ]  # and for nothing else


def test_a_cue_is_part_of_the_response(lm, asks):
    assert all(x.startswith('#### ') for x in generate(lm, asks[0][:2], scale_func_name='none', cue='#### '))

def test_long_prompts_and_limits(student, asks):
    from decodelab.evaluation.lmeval.adapter import Decodelab
    short = Decodelab(backend=student, max_length=128)
    out = generate(
        short, [asks[0][0] * 20, asks[0][1]], scale_func_name='full', max_gen_toks=128
    )  # as long as the model: what remains is thought in
    assert all(x.trace['tokens']['total'] < 128 for x in out)
    assert generate(short, [], **EIG)==[]

def test_repeats_think_again(lm, asks):
    a = generate(lm, asks[0][:1]*3, scale_func_name='full', temperature=1.5)
    b = generate(lm, asks[0][:1]*3, scale_func_name='full', temperature=1.5)
    steps = lambda out: [x.trace['steps'] for x in out]
    assert steps(a)==steps(b) and len({str(s) for s in steps(a)}) > 1
    assert any(
        steps(generate(lm, asks[0][:1], scale_func_name='full', temperature=1.5, seed=k)) != steps(a)[:1]
        for k in range(7, 13)
    )  # a sure model may think the same twice


def test_rules_and_plain_requests_together(lm, asks):
    from lm_eval.api.instance import Instance
    plain = dict(until=['\n'], max_gen_toks=8)
    rs = [
        Instance('generate_until', {}, (c, plain | kw), i)
        for i, (c, kw) in enumerate(
            [
                (asks[0][0], dict(scale_func_name='none')),
                (asks[0][1], {}),
                (asks[0][0], dict(scale_func_name='full', max_gen_toks=90)),
                (asks[0][0], {}),
            ]
        )
    ]
    mixed = lm.generate_until(rs, disable_tqdm=True)
    for r,x in zip(rs, mixed): assert lm.generate_until([r], disable_tqdm=True)==[x]

# Metrics and caches

def test_metrics_are_one_runs(lm, asks):
    from decodelab.eig import get_eig_metrics_summary, print_eig_metrics
    generate(lm, asks[0][:4], **EIG)
    first = get_eig_metrics_summary()
    timeless = lambda m: {k: v for k,v in m.items() if k!='timing_stats'}
    generate(lm, asks[0][:4], **EIG)
    second = get_eig_metrics_summary()
    assert timeless(first)==timeless(second) and first['total_calls'] > 0
    assert {
        'total_calls',
        'success_rate',
        'failure_breakdown',
        'information_gain_stats',
        'decision_stats',
        'timing_stats',
    } <= set(first) and set(first['failure_breakdown']) == {'entropy', 'beam', 'mc'}
    assert (
        set(first['timing_stats']) == {'current_entropy', 'total_eig'}
        and 0 < first['timing_stats']['current_entropy'] <= first['timing_stats']['total_eig']
    )
    lm.rows, rows = 2, lm.rows
    try: generate(lm, asks[0][:4], **EIG)
    finally: lm.rows = rows
    assert get_eig_metrics_summary()['total_calls']==first['total_calls'] # batches of one run are added up
    print_eig_metrics()

def test_a_cache_keeps_settings_apart(student, asks, tmp_path):
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import CachingLM
    from decodelab.evaluation.lmeval.adapter import Decodelab
    from decodelab.evaluation.lmeval.takeover import served
    lm = Decodelab(backend=student)
    cached = CachingLM(lm, str(tmp_path/'c.db'))
    def run(seed=1234, **kw):
        gen = served('decodelab', None, kw, seed)[2]
        return cached.generate_until(
            [
                Instance('generate_until', {}, (c, dict(until=['\n'], max_gen_toks=120) | gen), i)
                for i, c in enumerate(asks[0][:3])
            ]
        )

    hot = dict(scale_func_name='full', temperature=1.8) # else this model thinks the same under every seed
    full, none, other = run(**hot), run(scale_func_name='none'), run(**hot, seed=5)
    assert [x.trace['scale_func_name'] for x in none]==['none']*3 and [x.trace for x in other]!=[x.trace for x in full]
    again = run(**hot)
    assert again==full and [x.trace for x in again]==[x.trace for x in full] # traces are kept with their answers
    lm.tally = None
    run(**hot)
    assert lm.tally is None # nothing was asked again

def test_a_cache_is_one_seeds(student, asks, tmp_path):
    "Where nobody put the seed among the arguments, the file keeps it."
    import torch
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import CachingLM
    from decodelab.evaluation.lmeval.adapter import Decodelab
    def cached(seed):
        torch.manual_seed(seed)
        return CachingLM(Decodelab(backend=student), str(tmp_path/'c.db'))
    cached(1).generate_until([Instance('generate_until', {}, (asks[0][0], dict(max_gen_toks=9)), 0)])
    cached(2).generate_until(
        [Instance('generate_until', {}, (asks[0][0], dict(max_gen_toks=9, scale_func_name='none')), 0)]
    )
    cached(2)
    with pytest.raises(DecodelabError, match='a file of its own for each --seed'): cached(3)

# Where the task's stops hold

def thinker(text:str, **more):
    "A toy that writes `text` after its prompt `q`, character by character, with a token that ends the thinking."
    import numpy as np
    from decodelab.backends import Toy
    marks = ['</think>', '$']
    pieces = [c for i,part in enumerate(text.split('</think>')) for c in (['</think>'] if i else []) + list(part)]
    vocab = [*sorted({*pieces, 'q'} - set(marks)), *marks]
    def probs(ids):
        said = len(ids) - 1 - [vocab[i] for i in ids].index('q')
        following = pieces[said] if said < len(pieces) else '$'
        return np.array([float(v==following) for v in vocab])
    return Toy(vocab, probs, **more), vocab.index('</think>')

@pytest.mark.parametrize('kind', ['text', 'id'])
def test_a_tasks_stops_hold_after_the_thinking_only(kind):
    "Faults, 1: a blank line in the thinking is not the end of the answer."
    from lm_eval.api.instance import Instance
    from decodelab.evaluation.lmeval.adapter import Decodelab
    toy, end = thinker('add\n\nis 42</think>The answer is 42\n\nQ: 43')
    lm = Decodelab(backend=toy, think_end_token='</think>' if kind=='text' else end)
    ask = lambda **kw: lm.generate_until(
        [Instance('generate_until', {}, ('q', dict(until=['\n\n', 'Q:'], max_gen_toks=60) | kw), 0)], disable_tqdm=True
    )
    assert ask()==['The answer is 42'] and ask(max_gen_toks=20)==['The answe'] # the limit is on all of it
    bare = Decodelab(backend=toy)
    assert bare.generate_until(
        [Instance('generate_until', {}, ('q', dict(until=['\n\n'], max_gen_toks=60)), 0)], disable_tqdm=True
    ) == ['add']


def test_max_gen_toks_is_at_most(lm, asks):
    "Faults, 14: whole steps overran the limit."
    for most in (1, 4, 32):
        for name in ('full', 'entropy_thresholding', 'default'):
            out = generate(lm, asks[0][:2], scale_func_name=name, max_gen_toks=most)
            assert all(x.trace['tokens']['reasoning'] <= most for x in out)
            if name=='full': assert all(x.trace['tokens']['reasoning']==most for x in out)
