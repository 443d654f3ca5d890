"Every kind of bad input: one clear error, before heavy work, naming the thing and what is allowed."
import http.server, json, os, resource, shutil, socket, subprocess, sys, threading, time
from contextlib import contextmanager
from pathlib import Path
import pytest
from decodelab.backends.shipped import folder as reference
from decodelab.core import DecodelabError

BIN = Path(sys.executable).parent
GOOD = '{"question": "1+1=?", "answer": "2"}'
NO_ANSWER = '{"question": "a"}'

def written(path, *lines):
    path.write_text('\n'.join(lines)+'\n')
    return path

CASES = {
    'unknown parameter': (['-p', 'lamda_cost', '0.1'], ["lamda_cost: unknown parameter", "'lambda_cost'"]),
    'misspelt preset': (['-p', 'preset', 'fsat'], ["preset", "'fast'", "'precision'"]),
    'negative λ': (['-p', 'lambda_cost', '-1'], ['lambda_cost: got -1', 'at least 0', 'at most 10', 'nats']),
    'no beams': (['-p', 'beam_size', '0'], ['beam_size: got 0', 'at least 1', 'at most 20']),
    'frozen forecasts': (['-p', 'temperature', '0'], ['temperature: got 0', 'at least 0.1']),
    'text for a number': (['-p', 'seed', '1:30'], ["seed: got '1:30'", 'int']),
    'unknown runtime': (['-p', 'backend', 'hff:x'], ["backend: got 'hff'", "'hf'"]),
    'no runtime': (['-p', 'backend', 'student'], ['backend', 'reference:student']),
    'unknown reference model': (['-p', 'backend', 'reference:studnet'], ["'student'"]),
    'missing model folder': (['-p', 'backend', 'hf:./no/such/folder'], ['no/such/folder', 'no such folder']),
    'missing GGUF file': (['-p', 'backend', 'gguf:nowhere.gguf'], ['nowhere.gguf', 'no such file']),
    'missing file': (['-p', 'data', 'nowhere.jsonl'], ['nowhere.jsonl', 'no such file']),
    'unknown form': (['-p', 'data', 'reference:lng'], ["'long'"]),
    'missing parameter file': (['-f', 'nowhere.yaml'], ['nowhere.yaml', 'no such file']),
    'a folder of parameters': (['-f', 'params'], ['params']),
    'no YAML': (['-f', 'README.md'], ['README.md']),
    'misspelt step': (['-p', 'step', 'sentense'], ['step: got', "'sentence'"]),
    'steps of no tokens': (['-p', 'step', 'tokens:0'], ['step: got', 'tokens:40']),
    'missing examples': (['-p', 'examples', 'nowhere.jsonl'], ['examples nowhere.jsonl', 'no such file']),
    'a cue that ends the text': (['-p', 'cue', 'So: <|end|>'], ['cue: got', '<|end|>', 'ends the text']),
    'a cue that says nothing': (['-p', 'cue', ' '], ['cue: got', 'after which the answer stands']),
    'misspelt delimiters': (['-p', 'delimiters', 'thnk'], ['think delimiters', "'think'"]),
    'an instruction longer than the model': (['-p', 'instruction', 'think '*2000], ['instruction: got', 'fewer than']),
    'misspelt answer language': (['-p', 'answer', 'numbr'], ['answer: got', "'number'"]),
    'an answer that may be empty': (['-p', 'answer', 'regex:[0-9]*'], ["got 'regex:[0-9]*'", 'the empty text']),
    'no regular expression': (['-p', 'answer', 'regex:(['], ['got', 'regular expression']),
    'no choices': (['-p', 'answer', 'choice:'], ['choice', 'none empty']),
    'a missing schema': (['-p', 'answer', 'json:nowhere.json'], ['nowhere.json', 'a file that exists']),
    'a language that the data are not of': (['-p', 'answer', 'yes_no'], ['yes_no', 'question 0-0', "('8')"]),
    'unknown generator': (['-p', 'data', 'reasoning_gym:chain_sm'], ['generator', "'chain_sum'"]),
}

def check(p, words, outputs=None):
    assert p.returncode!=0 and 'Traceback' not in p.stderr, p.stderr
    for word in words: assert word in p.stderr, (word, p.stderr)
    assert len(p.stderr.strip().splitlines()) <= 3, p.stderr
    if outputs: assert not list(outputs.glob('*/*')), 'a run folder was made before the parameters were checked'

@pytest.mark.parametrize('name', CASES)
def test_one_clear_error(typed, outputs, name):
    args, words = CASES[name]
    check(typed('run', 'eig_eval', *args), words, outputs)

@pytest.mark.parametrize('name', ['unknown parameter', 'a cue that says nothing'])
def test_one_clear_error_of_a_process(command, outputs, name):
    args, words = CASES[name]
    check(command('decodelab', 'run', 'eig_eval', *args, check=False, timeout=60), words, outputs)

BAD_DATA = [
    ((GOOD, '{"question": '), ['line 2', 'not JSON']),
    ((GOOD, GOOD, NO_ANSWER), ['line 3', 'no answer']),
    (('',), ['no questions']),
    ((GOOD,), ['n: got 192', 'at most 1']),
    (('{"question": "a", "answer": "thus ####"}',), ['line 1', '####']),
    ((f'{{"question": "{"long "*2000}", "answer": "1"}}', *(GOOD for _ in range(191))), ['question 1', 'fewer than']),
]

@pytest.mark.parametrize('lines, words', BAD_DATA)
def test_bad_data(typed, outputs, tmp_path, lines, words):
    data = written(tmp_path/'d.jsonl', *lines)
    check(typed('run', 'eig_eval', '-p', 'data', data), words, outputs)

def test_answers_outside_the_language_are_named_by_their_lines(typed, outputs, tmp_path):
    data = written(tmp_path/'d.jsonl', GOOD, '', '{"question": "2+1=?", "answer": "many"}', GOOD)
    given = ('-p', 'data', data, '-p', 'n', '3', '-p', 'answer', 'number')
    p = typed('run', 'eig_eval', *given)
    check(p, ["1 of 3 answers", 'number', "line 3 ('many')", 'text'], outputs)

def test_a_choice_that_the_tokenizer_cannot_write(typed, outputs, tmp_path):
    folder = shutil.copytree(reference('student'), tmp_path/'model')
    told = json.loads((folder/'tokenizer.json').read_text())
    told['model']['vocab']['Ā'*9] = told['model']['vocab'].pop('Z') # no token writes a Z any more
    (folder/'tokenizer.json').write_text(json.dumps(told))
    data = written(tmp_path/'d.jsonl', *('{"question": "%d: A or Z?", "answer": "Z"}' % i for i in range(3)))
    p = typed('run', 'eig_eval', '-p', 'data', data, '-p', 'n', '3', '-p', 'answer', 'choice:A,Z', '-p', 'backend',
              f'hf:{folder}')
    check(p, ['0x5a', 'choice:A,Z'], outputs)

DAMAGE = {
    'truncated weights': lambda d, w: w.write_bytes(w.read_bytes()[:5000]),
    'text for weights': lambda d, w: w.write_text('these are no weights'),
    'no weights': lambda d, w: w.unlink(),
    'no tokenizer': lambda d, w: [f.unlink() for f in d.glob('tokenizer*')],
}

@pytest.mark.parametrize('what', DAMAGE)
def test_bad_model_folders(typed, outputs, tmp_path, what):
    folder = shutil.copytree(reference('student'), tmp_path/'model')
    DAMAGE[what](folder, folder/'model.safetensors')
    p = typed('run', 'eig_eval', '-p', 'backend', f'hf:{folder}')
    check(p, [str(folder), what if what.startswith('no ') else 'corrupt safetensors'], outputs)
    from decodelab.backends import load
    with pytest.raises(DecodelabError): load(f'hf:{folder}')

EVAL = (sys.executable, '-m', 'decodelab.evaluation.lmeval.command', 'run', '--tasks', 'gsm8k', '--model')
NOWHERE = {
    'run': ('decodelab', 'run', 'eig_eval', '-p', 'backend', 'hf:no/such-model'),
    'run on vllm': ('decodelab', 'run', 'eig_eval', '-p', 'backend', 'vllm:no/such-model'),
    'run on mlx': ('decodelab', 'run', 'backend_benchmark', '-p', 'backend', 'mlx:no/such-model'),
    'papermill': ('papermill', 'nbs/eig_eval.ipynb', '-p', 'backend', 'hf:no/such-model'),
    'bench eig': ('decodelab', 'bench', 'eig', '--backend', 'hf:no/such-model'),
    'bench quick': ('decodelab', 'bench', 'quick', '--against', 'hf:no/such-model'),
    'fit-gain': ('decodelab', 'fit-gain', 'nowhere.json', '--backend', 'hf:no/such-model'),
    'lm-eval': (*EVAL, 'decodelab', '--model_args', 'backend=hf:no/such-model'),
    'lm-eval, vllm': (*EVAL, 'decodelab-vllm', '--model_args', 'pretrained=no/such-model,dtype=float32'),
}

def hastily(args, **env):
    "A finished process, its seconds and those of the processor, the shorter of two."
    line = [str(BIN/args[0]) if '/' not in args[0] else args[0], *args[1:]]
    known = {k: v for k,v in os.environ.items() if k!='HF_HUB_OFFLINE'}
    tries = []
    for _ in range(2):
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        p = subprocess.run(line, capture_output=True, text=True, env=known | env, timeout=60)
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        tries.append((time.perf_counter()-start, spent.ru_utime+spent.ru_stime-before.ru_utime-before.ru_stime))
        if tries[-1][0] < 3: break
    return p, *min(tries)

@pytest.mark.parametrize('name', NOWHERE)
def test_a_model_that_is_nowhere(outputs, root, name, monkeypatch):
    monkeypatch.chdir(root)
    p, _, spent = hastily(NOWHERE[name], HF_HUB_OFFLINE='1')
    check(p, ['no/such-model', 'no folder of that name', 'cache', 'HF_HUB_OFFLINE', 'reference:student'], outputs)
    start = hastily(('papermill', '--version'))[2] if name=='papermill' else 0 # papermill itself takes two seconds
    assert spent < 3+start # no model, and nothing that runs one, was loaded

class Hub(http.server.BaseHTTPRequestHandler):
    "A Hub that knows one model."
    def do_HEAD(self):
        known = self.path.startswith('/some/model/')
        self.send_response(200 if known else 404)
        if not known: self.send_header('X-Error-Code', 'RepoNotFound')
        self.end_headers()
    def log_message(self, *_): pass

@contextmanager
def hub(kind):
    "Address of a Hub that answers, is silent, or is not there."
    with socket.socket() as silent, http.server.ThreadingHTTPServer(('127.0.0.1', 0), Hub) as server:
        silent.bind(('127.0.0.1', 0))
        if kind=='silent': silent.listen()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_port if kind=="answers" else silent.getsockname()[1]}'
        server.shutdown()

@pytest.mark.parametrize('kind, words', [('answers', 'knows no such model'), ('silent', 'cannot be reached'),
                                         ('absent', 'cannot be reached')])
def test_the_hub_is_asked_once(outputs, root, monkeypatch, kind, words):
    monkeypatch.chdir(root)
    with hub(kind) as address: p, seconds, spent = hastily(NOWHERE['run'], HF_ENDPOINT=address)
    check(p, ['no/such-model', words], outputs)
    assert seconds < 3+5*spent # who shares the processor with others waits for it

def test_a_model_that_the_hub_knows_is_let_through(monkeypatch):
    code = 'from decodelab.backends.folders import check_model; check_model("some/model")'
    with hub('answers') as address: p, *_ = hastily((sys.executable, '-c', code), HF_ENDPOINT=address)
    assert p.returncode==0, p.stderr

def test_the_same_errors_through_papermill(command, outputs):
    p = command('papermill', 'nbs/eig_eval.ipynb', '-p', 'lambda_cost', '-1', check=False)
    assert p.returncode==1 and 'lambda_cost: got -1; allowed: float, at least 0, at most 10000 nats.' in p.stderr
    assert 'Traceback' not in p.stderr and not list(outputs.glob('*/*'))
    p = command('papermill', 'nbs/eig_eval.ipynb', '-f', 'nowhere.yaml', check=False)
    assert p.returncode==1 and 'nowhere.yaml: no such file' in p.stderr and 'Traceback' not in p.stderr

def test_notebooks_that_are_none(typed, outputs, tmp_path):
    for text, word in (('no JSON', 'not a notebook'), ('{"cells": [], "metadata": {}}', 'not an experiment')):
        path = written(tmp_path/'a.ipynb', text)
        check(typed('run', path), [str(path), word], outputs)

def test_outputs_that_cannot_be_written(root):
    env = os.environ | {'DECODELAB_OUTPUTS': '/proc/nowhere'}
    p = subprocess.run([str(BIN/'decodelab'), 'run', 'eig_eval'], capture_output=True, text=True, cwd=root, env=env)
    check(p, ['/proc/nowhere', 'cannot be made', 'DECODELAB_OUTPUTS'])

def test_full_disk(tmp_path):
    "A real small file system: refused at the start, and a write that fails half-way loses nothing."
    from decodelab.core import Journal, Run, RunError
    small = tmp_path/'small'
    small.mkdir()
    mount = ['mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', str(small)]
    if subprocess.run(mount, capture_output=True).returncode: pytest.skip('no test may mount a file system here')
    try:
        with pytest.raises(RunError, match='MB free'): Run.create('x', {}, outputs=small)
        journal = Journal(small/'s.jsonl')
        journal.append('0', [dict(i=0)])
        with pytest.raises(RunError, match='No space left'): journal.append('1', [dict(x='y'*2_000_000)])
        again = Journal(small/'s.jsonl')
        assert list(again.chunks)==['0'] and again.read('0')==[dict(i=0)]
        assert (small/'s.jsonl').read_text()=='{"i": 0}\n'
    finally: subprocess.run(['umount', str(small)])

def test_prompt_longer_than_the_model(student, tmp_path, typed):
    data = written(tmp_path/'long.jsonl', json.dumps(dict(question='1+'*3000, answer='1')), GOOD)
    p = typed('run', 'eig_eval', '-p', 'data', data, '-p', 'n', '2', '--no-progress')
    assert p.returncode==2 and 'question 1: got' in p.stderr and 'the model holds 4096' in p.stderr
    assert 'Traceback' not in p.stderr

def test_model_without_chat_template_says_so(student, tmp_path):
    from decodelab.backends import load
    folder = shutil.copytree(reference('student'), tmp_path/'m')
    (folder/'chat_template.jinja').unlink(missing_ok=True)
    config = json.loads((folder/'tokenizer_config.json').read_text())
    config.pop('chat_template', None)
    (folder/'tokenizer_config.json').write_text(json.dumps(config))
    model = load(f'hf:{folder}', device='cpu')
    with pytest.raises(DecodelabError, match='no chat template'): model.chat([dict(role='user', content='x')])

BROKEN = {"{{ raise_exception('no system') }}": 'no system', '{{ 1/0 }}': 'division by zero', '{{ [].pop() }}': 'pop',
          '{% for %}': '', '{{ messages[9].content.x }}': '', '{{ 2**"a" }}': '',
          '{{ none.x.y }}': '', '{{ {}["a"]["b"] }}': '', '{{ range(10**9)|list|length }}': ''}
MESSAGES = [dict(role='user', content='hi')]

@pytest.fixture
def templated(student, monkeypatch):
    "Every way to a chat template that a tokenizer of Transformers has: `hf:`, `mlx:`, `vllm:`, and a server's folder."
    from decodelab.backends.server_texts import FolderTexts
    from decodelab.backends.planned import Tokenized
    served = FolderTexts('server:x', str(reference('student')))
    assert type(student).chat is Tokenized.chat and type(student).chat_text is Tokenized.chat_text
    def given(template):
        for model in (student, served):
            monkeypatch.setattr(model.tokenizer, 'chat_template', template)
            monkeypatch.setattr(model, 'template', template)
        return student, served
    return given

@pytest.mark.parametrize('template', BROKEN)
def test_what_goes_wrong_in_a_template_is_one_error(templated, template):
    for model in templated(template):
        for ask in (model.chat, model.chat_text):
            with pytest.raises(DecodelabError, match=f'its chat template refuses.*{BROKEN[template]}'): ask(MESSAGES)
        with pytest.raises(DecodelabError, match='its chat template refuses'): model.chat_text(MESSAGES, False)

@pytest.mark.parametrize('messages', ['hi', [1], [{}], [dict(content='x')], [dict(role=1, content='x')], [None], []])
def test_messages_that_are_none(templated, messages):
    for model in templated('{{ messages[0].content }}'):
        for ask in (model.chat, model.chat_text):
            with pytest.raises(DecodelabError, match='messages'): ask(messages)
        assert model.chat_text(MESSAGES)=='hi'

def test_the_runtimes_share_one_way_to_chat():
    import importlib
    from decodelab.backends.planned import Tokenized
    for module, name in (('hf', 'HF'), ('mlx', 'MLX'), ('vllm', 'VLLM')):
        model = getattr(importlib.import_module(f'decodelab.backends.{module}'), name)
        assert model.chat is Tokenized.chat and model.chat_text is Tokenized.chat_text

# Calls from a notebook.

@pytest.fixture(scope='module')
def eig(student):
    from decodelab.eig import AnswerPosteriorEstimator, MonteCarloForecaster
    from decodelab.eig.frames import frame_for
    frame = frame_for(student)
    return MonteCarloForecaster(student, frame), AnswerPosteriorEstimator(student, frame, None), frame

@pytest.mark.parametrize('questions, words', [
    ('a3+4=?', 'questions: got'), (None, 'questions: got'), (b'abc', 'questions: got'), (5, 'questions: got'),
    (dict(a=1), 'questions: got'), ([None], 'question 0'), ([''], 'question 0'), (['a3+4=?',
    [-1]], 'a token of question 1'),
    ([[10**6]], '0 to 261'), ([[]], 'question 0'), ([[1.5]], 'question 0'), ([['a']], 'question 0'),
    ([[[1], [2, 3]]], 'question 0'),
    ([[True]], 'question 0'), ([[262]], '0 to 261')])
def test_questions_that_are_none(student, questions, words):
    from decodelab.eig import expected_information_gain_reasoning as go
    with pytest.raises(DecodelabError, match=words): go(student, questions, None)

@pytest.mark.parametrize('parameters, words', [
    ('fast', 'parameters: got'), (5, 'parameters: got'), ([], 'parameters: got'), (dict(lamda_cost=1), "'lambda_cost'"),
    (dict(beam_size=0), 'beam_size'), (dict(temperature='hot'), 'temperature')])
def test_parameters_that_are_none(student, eig, parameters, words):
    from decodelab.eig import AnswerPosteriorEstimator, MonteCarloForecaster
    from decodelab.eig import expected_information_gain_reasoning as go
    for ask in (lambda: go(student, ['a3+4=?'], parameters), lambda: MonteCarloForecaster(student, eig[2], parameters),
                lambda: AnswerPosteriorEstimator(student, eig[2], parameters)):
        with pytest.raises(DecodelabError, match=words): ask()

def test_no_parameters_are_the_defaults(student, eig):
    from decodelab.eig import EIGParameters, expected_information_gain_reasoning as go
    assert eig[0].parameters==eig[1].parameters==EIGParameters()
    small = dict(beam_size=2, mc_samples=1, sample_length=8)
    one, = go(student, ['a3+4=?'], small, max_tokens=24)[0]
    assert one.ids==go(student, ['a3+4=?'], EIGParameters(**small), max_tokens=24)[0][0].ids

@pytest.mark.parametrize('states, words', [
    ('abc', 'states: got'), (None, 'states: got'), ([[-1]], 'a token of state 0'),
    ([[1], [10**9]], 'a token of state 1'),
    ([5], 'state 0'), ([[[]]], 'state 0'), ([[.5]], 'state 0')])
def test_states_that_are_none(student, eig, states, words):
    forecaster, estimator, _ = eig
    for ask in (lambda: forecaster.forecast(states, 1), lambda: forecaster.step(states),
    lambda: estimator.candidates(states)):
        with pytest.raises(DecodelabError, match=words): ask()
    assert forecaster.step([])==[] and estimator.candidates([])[0]==[]

def test_other_arguments_that_are_none(student, eig):
    from decodelab.eig import AnswerPosteriorEstimator, MonteCarloForecaster
    from decodelab.eig import expected_information_gain_reasoning as go
    for ask, words in ((lambda: MonteCarloForecaster(student, None), 'frame: got None'),
                       (lambda: AnswerPosteriorEstimator(student, 'think'), 'frame'),
                       (lambda: go(student, ['a'], None, max_tokens=-1), 'max_tokens'),
                       (lambda: go(student, ['a'], None, max_tokens='9'), 'max_tokens'),
                       (lambda: go(student, ['a'], None, seed=2**70), 'seed'),
                       (lambda: go(student, ['a'], None, seed='x'), 'seed'),
                       (lambda: eig[1].candidates([[1]], width=0), 'width')):
        with pytest.raises(DecodelabError, match=words): ask()

@pytest.mark.parametrize('given', [
    dict(n=0), dict(n=1.5), dict(n=True), dict(first=-1), dict(max_tokens='3'), dict(max_tokens=2**70),
    dict(temperature='1'),
    dict(temperature=None), dict(temperature=float('nan')), dict(temperature=-1), dict(top_p='0.9'), dict(top_k=1.5),
    dict(min_p=None), dict(seed=2**70), dict(seed=2**63), dict(seed=1.5), dict(seed='3'), dict(seed=None),
    dict(seed=True),
    dict(stop='a'), dict(stop_ids=3), dict(stop_ids=(1.5,)), dict(stop_ids=(-1,)), dict(stop_ids=[1]),
    dict(constraint='x')])
def test_a_sampling_that_is_none_is_named(given):
    from decodelab.backends import Sampling
    with pytest.raises(DecodelabError, match=f'{next(iter(given))}: got'): Sampling(**given)

def test_what_numpy_counts_is_counted(student):
    import numpy as np
    from decodelab.backends import Sampling
    plan = dict(max_tokens=np.int64(3), seed=np.uint32(7), temperature=np.float32(1), n=np.int32(2),
    stop_ids=(np.int64(3),))
    same = dict(max_tokens=3, seed=7, n=2, stop_ids=(3,))
    one, two = (student.sample([(1, 2)], Sampling(**how)) for how in (plan, same))
    assert [s.ids for s in one[0]]==[s.ids for s in two[0]]
    assert Sampling(seed=2**63-1) and Sampling(seed=-2**63)

@pytest.mark.parametrize('seed', ['1180591620717411303424', '-1', '1.5', 'x', 'true', '9223372036854775808'])
def test_seeds_of_generation_under_lm_eval(seed):
    pytest.importorskip('lm_eval')
    from decodelab.core.parameters import read
    from decodelab.evaluation.lmeval.generation import Generation
    given = int(seed) if seed.lstrip('-').isdigit() else seed
    with pytest.raises(DecodelabError, match='seed: got'): read(Generation, dict(seed=given))

@pytest.mark.parametrize('mark', ['-1', '+999', ' 999 ', '', ' ', -1, 262, 1.5, True, '99999999999999999999',
[5], b'x'])
def test_marks_of_the_end_of_thinking_that_are_none(student, mark):
    pytest.importorskip('lm_eval')
    from decodelab.evaluation.lmeval.model import end_mark
    with pytest.raises(DecodelabError, match='think_end_token: got'): end_mark(mark, student)

def test_marks_of_the_end_of_thinking(student):
    pytest.importorskip('lm_eval')
    from decodelab.evaluation.lmeval.model import end_mark
    assert [end_mark(m, student) for m in (None, '</think>', '12', 12, '-', '1.5x')]==[None, '</think>',
    12, 12, '-', '1.5x']

# Parameter files.

GROWN = [f'{b}: &{b} [{",".join(["*"+a]*10)}]\n' for a,b in zip('abcdefgh', 'bcdefghi')]
ALIASES = 'a: &a [x,x,x,x,x,x,x,x,x,x]\n'+''.join(GROWN)
ODD_YAML = {
    'n: !!python/object/apply:os.system ["true"]': 'tag', 'n: !!python/name:os.system': 'tag', 'n: !foo 3': 'tag',
    'n: !!binary "é"': 'not YAML', 'n: !!timestamp junk': 'not YAML', 'n: !!bool maybe': 'maybe',
    'n: !!int ""': 'not YAML',
    'n: !!int abc': 'abc', 'n: !!float abc': 'abc', 'n: !!omap 3': 'not YAML', 'n: !!pairs [a]': 'not YAML',
    'n: !!seq 3': 'not YAML',
    '\tn: 3': 'line 1', 'n:\n\tm: 1': 'line 2', 'n: 1\nseed: 2\nn: 3': 'n is given twice', '<<: 3\nn: 3': 'not YAML',
    'n: &a [*a]': 'holds itself', 'n: &a {b: *a}': 'holds itself', 'n: *nope': 'nope',
    ALIASES: 'values',
    'n: '+'['*3000+']'*3000: 'not YAML', 'n: '+'9'*5000: 'not YAML', '? [1]\n: 3': 'not YAML',
    'n: 1\n---\nn: 2': 'another document, line 2',
    '%YAML 9.9\n---\nn: 3': 'not YAML', 'n: "\x01"': 'not YAML', 'n: =': 'tag', '[1, 2]': 'names and values',
    '3': 'names and values',
    '3: 4': 'no name', 'n: [1, 2': 'not YAML'}

@pytest.mark.parametrize('text', ODD_YAML)
def test_parameter_files_that_are_none(tmp_path, text):
    from decodelab.core.parameters import read_yaml
    from decodelab.core import DataError
    (tmp_path/'p.yaml').write_text(text, encoding='utf-8')
    start = time.time()
    with pytest.raises(DataError, match=ODD_YAML[text]) as told: read_yaml(tmp_path/'p.yaml')
    assert 'p.yaml' in str(told.value) and len(str(told.value).splitlines())==1 and time.time()-start < 30

def test_parameter_files_that_are_odd_and_right(tmp_path):
    from decodelab.core.parameters import read_yaml
    text = '\ufeffbase: &b {n: 3}\nmore:\n  <<: *b\n  seed: 1\nwhen: 2001-01-01\nagain: [*b, *b]\n'
    (tmp_path/'p.yaml').write_text(text)
    assert read_yaml(tmp_path/'p.yaml')==dict(base=dict(n=3), more=dict(n=3, seed=1), when='2001-01-01',
    again=[dict(n=3)]*2)
