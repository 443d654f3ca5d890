"Every runtime says what Transformers says of the same weights; each is examined in a process of its own."
import importlib.util, os
import pytest
from decodelab.evaluation import conformance as c

PACKAGES = dict(vllm='vllm', gguf='llama_cpp', mlx='mlx_lm')

@pytest.fixture(scope='module')
def truth(): return c.isolated(c.of('hf'), 200, 0, dtype='float32')

@pytest.mark.parametrize('runtime', PACKAGES)
def test_runtime_agrees_with_transformers(truth, runtime):
    if importlib.util.find_spec(PACKAGES[runtime]) is None and not os.environ.get('CI'): pytest.skip(f'NOT TESTED: {PACKAGES[runtime]} is not installed: pip install "decodelab[{runtime}]"')
    r = c.compare(c.isolated(c.of(runtime), 200), truth)
    assert r['requests'] >= 200 and r['worst_nats'] < 1e-3 and r['worst_probability'] < 1e-3 and r['session'] < 1e-3
    assert r['tokens_equal'] and r['greedy_flags'] and r['greedy_texts']==1 and r['stops']==1 and r['streams'] and r['seeds_alone'] >= .9

def test_loading_one_runtime_imports_no_other():
    import subprocess, sys
    code = "import sys\nfrom decodelab.backends import load\nload('reference:student')\nassert not {'vllm','mlx','mlx_lm','llama_cpp'} & set(sys.modules), sorted(sys.modules)"
    assert subprocess.run([sys.executable, '-c', code], capture_output=True).returncode==0

def test_missing_runtime_is_one_clear_error(monkeypatch):
    from importlib import util
    from decodelab.backends import load
    from decodelab.core import ModelError
    real = util.find_spec
    monkeypatch.setattr(util, 'find_spec', lambda name, *a: None if name in ('llama_cpp','mlx_lm','mlx','vllm') else real(name, *a))
    for runtime in PACKAGES:
        with pytest.raises(ModelError, match=rf'pip install "decodelab\[{runtime}\]"'): load(c.of(runtime))
