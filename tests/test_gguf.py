"GGUF files: what is broken is said before work, and a session of any size is right."
import importlib.util, os
import numpy as np, pytest
from decodelab.backends import Sampling, load
from decodelab.core import BadValue, ModelError

pytestmark = pytest.mark.skipif(importlib.util.find_spec('llama_cpp') is None and not os.environ.get('CI'), reason='NOT TESTED: llama_cpp is not installed: pip install "decodelab[gguf]"')

@pytest.fixture(scope='module')
def gguf():
    b = load('gguf:reference:student'); yield b; b.close()

def test_broken_files(gguf, tmp_path):
    whole = gguf.path.read_bytes()
    for name, data, says in (('text.gguf', b'hello', 'not a GGUF file'), ('cut.gguf', whole[:-4000], 'corrupt'), ('head.gguf', whole[:40], 'cannot be loaded'), ('old.gguf', b'GGUF\1\0\0\0', 'version 1')):
        (tmp_path/name).write_bytes(data)
        with pytest.raises(ModelError, match=says): load(f'gguf:{tmp_path/name}')
    with pytest.raises(ModelError, match='no such file'): load(f'gguf:{tmp_path}/none.gguf')
    with pytest.raises(BadValue, match='kv'): load(f'gguf:{gguf.path}', kv='f8')

def test_memory_is_asked_before_loading(gguf, monkeypatch):
    import psutil
    monkeypatch.setattr(psutil, 'virtual_memory', lambda: type('M', (), dict(available=1000)))
    with pytest.raises(ModelError, match='GiB of memory'): load(f'gguf:{gguf.path}')

def test_too_long_a_prompt(gguf):
    small = load(f'gguf:{gguf.path}', n_ctx=512)
    with pytest.raises(ModelError, match='600 tokens; the model takes 512'): small.next_logprobs([(1,)*600])
    small.close()

def test_more_rows_than_sequences(gguf):
    "A session larger than llama.cpp's limit of sequences gives the same distributions."
    prefixes = [(i % 250, j) for i in range(100) for j in range(4)]
    s = gguf.session(prefixes); s.step([7]*len(prefixes)); f = s.fork([3, 3, 399])
    assert np.abs(np.exp(np.asarray(f.logprobs)) - np.exp(gguf.next_logprobs([(*prefixes[r], 7) for r in (3, 3, 399)]))).max() < 1e-5

def test_sequences_are_given_back(gguf):
    import gc
    free = len(gguf._free)
    gguf.sample([(1, 2, 3)]*5, Sampling(n=4, max_tokens=5)); s = gguf.session([(1,)]); s.fork([0]*3); next(iter(gguf.stream((1, 2), Sampling(max_tokens=5)))); del s; gc.collect()
    assert len(gguf._free)==free

def test_quantised_form_is_close(gguf, student):
    q = load('gguf:reference:student', form='q8_0')
    rng = np.random.default_rng(0); prefixes = [tuple(rng.integers(0, 256, 20).tolist()) for _ in range(20)]
    a, b = np.exp(student.next_logprobs(prefixes)), np.exp(q.next_logprobs(prefixes))
    assert np.abs(a-b).sum(1).mean()/2 < .1 # total variation
    q.close()
