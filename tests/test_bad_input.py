"Every kind of bad input: one clear error, before heavy work, naming the thing and what is allowed."
import json, os, shutil, subprocess, sys
from pathlib import Path
import pytest
from decodelab.core import DecodelabError
from decodelab.backends.shipped import folder as reference

def gsm(path, *lines): path.write_text('\n'.join(lines)+'\n'); return path
BIN = Path(sys.executable).parent
GOOD = '{"question": "1+1=?", "answer": "2"}'

CASES = {
    'unknown parameter': (['-p', 'lamda_cost', '0.1'], ["lamda_cost: unknown parameter", "'lambda_cost'"]),
    'misspelt preset': (['-p', 'preset', 'fsat'], ["preset", "'fast'", "'precision'"]),
    'negative λ': (['-p', 'lambda_cost', '-1'], ['lambda_cost: got -1', 'at least 0', 'at most 10', 'nats']),
    'no beams': (['-p', 'beam_size', '0'], ['beam_size: got 0', 'at least 1', 'at most 20']),
    'frozen forecasts': (['-p', 'temperature', '0'], ['temperature: got 0', 'at least 0.1']),
    'unknown runtime': (['-p', 'backend', 'hff:x'], ["backend: got 'hff'", "'hf'"]),
    'no runtime': (['-p', 'backend', 'student'], ['backend', 'reference:student']),
    'unknown reference model': (['-p', 'backend', 'reference:studnet'], ["'student'"]),
    'missing model folder': (['-p', 'backend', 'hf:./no/such/folder'], ['no/such/folder', 'no such folder']),
    'missing file': (['-p', 'data', 'nowhere.jsonl'], ['nowhere.jsonl', 'no such file']),
    'unknown form': (['-p', 'data', 'reference:lng'], ["'long'"]),
    'missing parameter file': (['-f', 'nowhere.yaml'], ['nowhere.yaml', 'no such file']),
}

@pytest.mark.parametrize('name', CASES)
def test_one_clear_error(command, outputs, name):
    args, words = CASES[name]
    p = command('decodelab', 'run', 'eig_eval', *args, check=False, timeout=60)
    check(p, words, outputs)

def check(p, words, outputs=None):
    assert p.returncode!=0 and 'Traceback' not in p.stderr, p.stderr
    for w in words: assert w in p.stderr, (w, p.stderr)
    assert len(p.stderr.strip().splitlines()) <= 3, p.stderr
    if outputs: assert not list(outputs.glob('*/*')), 'a run folder was made before the parameters were checked'

@pytest.mark.parametrize('lines, words', [((GOOD, '{"question": '), ['line 2', 'not JSON']), ((GOOD, GOOD, '{"question": "a"}'), ['line 3', 'no answer']), (('',), ['no questions']),
                                          ((GOOD,), ['n: got 192', 'at most 1']), (('{"question": "a", "answer": "thus ####"}',), ['line 1', '####'])])
def test_bad_data(command, outputs, tmp_path, lines, words):
    check(command('decodelab', 'run', 'eig_eval', '-p', 'data', gsm(tmp_path/'d.jsonl', *lines), check=False), words, outputs)

@pytest.mark.parametrize('what', ['truncated weights', 'text for weights', 'no tokenizer', 'no weights'])
def test_bad_model_folders(command, outputs, tmp_path, what):
    d = shutil.copytree(reference('student'), tmp_path/'model'); w = d/'model.safetensors'
    if what=='truncated weights': w.write_bytes(w.read_bytes()[:5000])
    if what=='text for weights': w.write_text('these are no weights')
    if what=='no weights': w.unlink()
    if what=='no tokenizer': [f.unlink() for f in d.glob('tokenizer*')]
    check(command('decodelab', 'run', 'eig_eval', '-p', 'backend', f'hf:{d}', check=False), [str(d), what if what.startswith('no ') else 'corrupt safetensors'], outputs)
    from decodelab.backends import load
    with pytest.raises(DecodelabError): load(f'hf:{d}')

def test_the_same_errors_through_papermill(command, outputs):
    p = command('papermill', 'nbs/eig_eval.ipynb', '-p', 'lambda_cost', '-1', check=False)
    assert p.returncode==1 and 'lambda_cost: got -1; allowed: float, at least 0, at most 10 nats.' in p.stderr and 'Traceback' not in p.stderr
    assert not list(outputs.glob('*/*'))

def test_outputs_that_cannot_be_written(root):
    p = subprocess.run([str(BIN/'decodelab'), 'run', 'eig_eval'], capture_output=True, text=True, cwd=root, env=os.environ | {'DECODELAB_OUTPUTS': '/proc/nowhere'})
    check(p, ['/proc/nowhere', 'cannot be made', 'DECODELAB_OUTPUTS'])

def test_full_disk(tmp_path):
    "A real small file system, where the machine lets us mount one: refused at the start, and a write that fails half-way loses nothing."
    from decodelab.core import Journal, RunError
    d = tmp_path/'small'; d.mkdir()
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', str(d)], capture_output=True).returncode: pytest.skip('this machine does not let a test mount a file system')
    try:
        from decodelab.core import Run
        with pytest.raises(RunError, match='MB free'): Run.create('x', {}, outputs=d)
        j = Journal(d/'s.jsonl'); j.append('0', [dict(i=0)])
        with pytest.raises(RunError, match='No space left'): j.append('1', [dict(x='y'*2_000_000)])
        again = Journal(d/'s.jsonl')
        assert list(again.chunks)==['0'] and again.read('0')==[dict(i=0)] and (d/'s.jsonl').read_text()=='{"i": 0}\n'
    finally: subprocess.run(['umount', str(d)])

def test_prompt_longer_than_the_model(student, tmp_path, command):
    gsm(tmp_path/'long.jsonl', json.dumps(dict(question='1+'*3000, answer='1')), GOOD)
    p = command('decodelab', 'run', 'eig_eval', '-p', 'data', tmp_path/'long.jsonl', '-p', 'n', '2', '--no-progress', check=False)
    assert p.returncode==2 and 'the model takes 4096' in p.stderr and 'Traceback' not in p.stderr

def test_model_without_chat_template_says_so(student, tmp_path):
    from decodelab.backends import load
    d = shutil.copytree(reference('student'), tmp_path/'m')
    (d/'chat_template.jinja').unlink(missing_ok=True); c = json.loads((d/'tokenizer_config.json').read_text()); c.pop('chat_template', None); (d/'tokenizer_config.json').write_text(json.dumps(c))
    with pytest.raises(DecodelabError, match='no chat template'): load(f'hf:{d}', device='cpu').chat([dict(role='user', content='x')])
