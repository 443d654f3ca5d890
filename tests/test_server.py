"Servers: vLLM's, llama-cpp-python's, llama.cpp's own and mlx-lm's on the shipped student, and one that misbehaves."
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import httpx
import numpy as np
import pytest
from decodelab.backends import Sampling, load
from decodelab.backends.contract import Causal, Sampler, Scorer
from decodelab.backends.shipped import folder
from decodelab.core import BadValue, ModelError

def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]

def serve(args, port, log, **more):
    "A real server as a process of its own, once it answers."
    quiet = dict(VLLM_CPU_OMP_THREADS_BIND='nobind', VLLM_NO_USAGE_STATS='1', OMP_NUM_THREADS='1')
    where = () if args[0]=='-c' else ('--host', '127.0.0.1', '--port', str(port))
    command = [sys.executable, *(args if args[0]=='-c' else ('-m', *args)), *where]
    p = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                         env=os.environ | quiet | more, cwd=os.path.dirname(log.name))
    for _ in range(600):
        if p.poll() is not None: break
        with socket.socket() as s:
            if not s.connect_ex(('127.0.0.1', port)): return p
        time.sleep(.5)
    stop(p)
    pytest.fail(open(log.name).read()[-2000:])

def stop(p):
    if p.poll() is None: p.send_signal(signal.SIGINT)
    try: p.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        p.wait()

def absent(*modules):
    "A runtime that is missing is skipped by who lacks it, never in CI."
    return any(importlib.util.find_spec(m) is None for m in modules) and not os.environ.get('CI')

def quiet_within(seconds, busy):
    "Wait until a server has nothing to do."
    for _ in range(int(seconds*20)):
        if not busy(): return
        time.sleep(.05)
    pytest.fail('still running')

class Language:
    "Stands for a constraint: its text, and what finds fault with a finished text."
    fill = None
    def __init__(self, fault=lambda text: '', **told): self.grammar, self.check = json.dumps(told), fault

PERSON = dict(type='object', required=['name', 'n', 'tags'], additionalProperties=False, properties=dict(
    name=dict(type='string', pattern='^[a-z_]{1,4}$'), n=dict(type='integer', minimum=0, maximum=12),
    tags=dict(type='array', items=dict(enum=['é"\\', ']', '😀_\n']), maxItems=2)))
SPELT = dict(json=(', ', ': '), compact=(',', ':'))
CHOICES = ['ja "x"', 'nein\\', '\n\té', '😀']

def document_fault(text, separators):
    import jsonschema_rs
    try: value = json.loads(text)
    except ValueError as e: return str(e)
    if not jsonschema_rs.is_valid(PERSON, value): return f'not by its schema: {text}'
    if separators not in SPELT: return ''
    spelt = json.dumps(value, separators=SPELT[separators], ensure_ascii=False)
    return '' if spelt==text else f'not as it should be spelt: {text}'

LANGUAGES = {how: Language(lambda text, how=how: document_fault(text, how), kind='json', schema=PERSON, separators=how)
             for how in ('json', 'compact', 'flexible')}
LANGUAGES |= dict(
    regex=Language(lambda text: '' if re.fullmatch(r'[a-c]+_\d{2,3}(é|😀)?', text) else text,
                   kind='regex', regex=r'[a-c]+_\d{2,3}(é|😀)?'),
    choices=Language(lambda text: '' if text in CHOICES else text, kind='choices', choices=CHOICES),
    lark=Language(lambda text: '' if re.fullmatch('q[0-9]{2}z', text) else text,
                  kind='lark', lark='start: "q" /[0-9]{2}/ "z"'))

def holds(model, prompts, name):
    "Everything that a server must do in a language; its samples, those cut short left out."
    language, short = LANGUAGES[name], Sampling(max_tokens=2, constraint=LANGUAGES[name])
    plan = Sampling(n=4, max_tokens=160, temperature=1.3, seed=3, stop=('"', 'q', 'a', '_', '='), constraint=language)
    whole = [s for x in model.sample(prompts[:3], plan) for s in x]
    assert {s.finish for s in whole} <= {'eos', 'length'} and any(s.finish=='eos' for s in whole)
    assert all(not s.notes and not language.check(s.text) for s in whole if s.finish=='eos')
    assert model.sample(prompts[:1], short)[0][0].finish in ('length', 'eos')
    again = replace(plan, n=1, first=2)
    assert model.sample(prompts[1:2], again)[0][0].text==whole[6].text
    streamed = ''.join(model.stream(prompts[0], replace(plan, n=1, max_tokens=400)))
    assert not language.check(streamed) or name=='flexible' # whose white space has no end
    assert model.capabilities.constraints
    return [s for s in whole if s.finish=='eos']

@pytest.fixture(scope='module')
def url(tmp_path_factory):
    if absent('vllm'): pytest.skip('vllm is not installed: pip install "decodelab[vllm]"')
    port = free_port()
    with open(tmp_path_factory.mktemp('server')/'log', 'w') as log:
        args = ['vllm.entrypoints.openai.api_server', '--model', str(folder('student')), '--served-model-name']
        small = ['student', '--dtype', 'float32', '--enforce-eager', '--kv-cache-memory-bytes', '200000000',
                 '--max-num-seqs', '32']
        p = serve(args+small, port, log)
        yield f'http://127.0.0.1:{port}/v1'
        stop(p)

@pytest.fixture(scope='module')
def plain(url): return load(f'server:{url}')

@pytest.fixture(scope='module')
def questions():
    from decodelab.tasks import load_questions
    return [q.text for q in load_questions('reference', 6, 4)]

@pytest.fixture(scope='module')
def prompts(student, questions): return [student.chat([dict(role='user', content=q)]) for q in questions]

def pairs(n):
    rng = np.random.default_rng(0)
    trunk = tuple(map(int, rng.integers(0, 256, 90)))
    def continuation(): return tuple(map(int, rng.integers(0, 256, int(rng.choice((1, 1, 3, 20))))))
    return [(trunk[:int(rng.integers(1, 90))], continuation()) for _ in range(n)]

def first(samples): return [(s[0].ids, s[0].text, s[0].finish) for s in samples]

def apart(ours, theirs): return max(np.abs(a[0].logprobs-b[0].logprobs).max() for a, b in zip(ours, theirs))

def test_what_vllms_server_can_do_is_found_out(plain):
    c = plain.capabilities
    assert (plain.kind, plain.model, plain.max_length)==('vllm', 'student', 4096)
    assert c.likelihoods and not c.full_distribution and c.constraints
    assert isinstance(plain, Sampler) and isinstance(plain, Scorer) and not isinstance(plain, Causal)
    with plain.remembering(): assert plain.adds_bos is False and plain.special_ids==frozenset()

def nearly_best(student, context, ids):
    "Whether each token is the most probable one but for rounding, which processors do differently."
    rows = student.next_logprobs([(*context, *ids[:k]) for k in range(len(ids))])
    return all(row.max()-row[i] < 2e-3 for row,i in zip(rows, ids))

@pytest.mark.parametrize('how', ['prompt_logprobs', 'echo'])
def test_scores_are_those_of_transformers(plain, student, monkeypatch, how):
    monkeypatch.setattr(plain.dialect, 'likelihoods', how)
    plain.usage.reset()
    student.usage.reset()
    asked = pairs(60) + pairs(5)
    got, want = plain.score(asked), student.score(asked)
    assert max(np.abs(a.token_logprobs-b.token_logprobs).max() for a, b in zip(got, want)) < 1e-3
    assert all(a.greedy==b.greedy or nearly_best(student, *pair) for a, b, pair in zip(got, want, asked))
    assert plain.usage.run > 0 and plain.score([])==[] and plain.score([((1,), ())])[0].logprob==0

def test_an_empty_context_needs_the_first_token(plain, url, student):
    with pytest.raises(ModelError, match='tokenizer='): plain.score([((), (1, 2))])
    full, pair = load(f'server:{url}', tokenizer=str(folder('student'))), ((), (1, 2))
    assert abs(full.score([pair])[0].logprob-student.score([pair])[0].logprob) < 1e-3 and full.eos_ids==student.eos_ids

def test_text_by_the_servers_own_tokenizer(plain, url, student):
    for t in ('Grüße 数学 🙂', '<|question|>3+4<think>', ' a\n'):
        assert plain.encode(t)==student.encode(t) and plain.decode(student.encode(t))==t
    m = [dict(role='user', content='a3+4=?')]
    assert plain.chat(m)==student.chat(m)
    full = load(f'server:{url}', tokenizer=str(folder('student')))
    opened = [*m, dict(role='assistant', content='It is ')]
    assert plain.chat_text(m)==full.chat_text(m)==student.decode(student.chat(m))
    assert plain.chat_text(opened, add_generation_prompt=False)==full.chat_text(opened, add_generation_prompt=False)

PLANS = dict(greedy=Sampling(max_tokens=60, temperature=0),
             stops=Sampling(max_tokens=60, temperature=0, stop=('=7\n', '2 ')),
             kept=Sampling(max_tokens=60, temperature=0, stop=('\n',), include_stop=True),
             ids=Sampling(max_tokens=40, temperature=0, stop_ids=(ord('='),)))
WHOLE = Sampling(max_tokens=200, temperature=0)
SPECIAL = Sampling(max_tokens=200, temperature=0, stop=('2</think>', '</think>'), include_stop=True)

@pytest.mark.parametrize('name', PLANS)
def test_greedy_texts_and_stops_are_those_of_transformers(plain, student, prompts, name):
    ours, theirs = plain.sample(prompts, PLANS[name]), student.sample(prompts, PLANS[name])
    assert first(ours)==first(theirs) and apart(ours, theirs) < 1e-3
    assert ''.join(plain.stream(prompts[0], PLANS[name]))==theirs[0][0].text

def test_samples_have_seeds_of_their_own(plain, prompts):
    plan = dict(max_tokens=40, temperature=2., seed=3)
    whole = plain.sample(prompts, Sampling(n=3, **plan))
    assert len({s.ids for x in whole for s in x}) > len(prompts)
    assert plain.sample(prompts[1:2], Sampling(n=1, first=2, **plan))[0][0].ids==whole[1][2].ids

def test_stopping_rules_run_as_far_as_capabilities_allow(url, student, prompts, questions):
    from decodelab.eig import EIGParameters
    from decodelab.eig.stopping.forcing import scale
    b = load(f'server:{url}', tokenizer=str(folder('student')))
    asked, p = questions[:4], EIGParameters(sample_length=24)
    ours, theirs = [scale(x, asked, 'none', p)[0] for x in (b, student)]
    assert [(t.ids, t.answer, t.cost) for t in ours]==[(t.ids, t.answer, t.cost) for t in theirs]
    assert [t.ids for t in ours]==prompts[:4] # the chat template is in the prompt
    for name in ('full', 'fixed_budget', 'default'):
        thoughts, _ = scale(b, asked, name, p, max_tokens=60)
        assert all(t.answer and (t.reasoning.endswith('\n') or t.cost.reasoning==60) for t in thoughts)
        assert all(60 >= t.boundaries[-1].tokens==t.cost.reasoning > 0 for t in thoughts)
    for name in ('expected_information_gain_reasoning', 'entropy_thresholding', 'deer', 'eat'):
        b.usage.reset()
        lacks = f'rule {name} needs the capability full_distribution, which this runtime lacks; '
        with pytest.raises(ModelError, match=lacks+'load the model in process .* or take one of full, none'):
            scale(b, asked, name, p)
        assert b.usage.run==0

def running(url):
    text = httpx.get(url.removesuffix('/v1')+'/metrics').text
    lines = [line for line in text.splitlines() if line.startswith('vllm:num_requests_running{')]
    return sum(float(line.rsplit(' ', 1)[1]) for line in lines)

@pytest.mark.parametrize('name', LANGUAGES)
def test_languages_on_vllms_server(plain, prompts, name):
    found = holds(plain, prompts, name)
    assert all(np.isnan(s.logprobs).all() and len(s.logprobs)==len(s.ids) for s in found) # it tells masked ones
    assert all(plain.decode(s.ids[:-1])==s.text for s in found)

def test_a_keyword_that_a_server_forgets_is_seen_in_the_text(plain, prompts):
    schema = dict(type='string', pattern='^[a-z]+$', maxLength=3)
    def fault(text): return '' if re.fullmatch('"[a-z]{1,3}"', text) else text
    held = Language(fault, kind='json', schema=schema, separators='json')
    drawn = plain.sample(prompts[:2], Sampling(n=20, max_tokens=60, temperature=1.3, constraint=held))
    done = [s for x in drawn for s in x if s.finish!='length']
    assert {s.finish for s in done}=={'eos', 'stop'} and all((s.finish=='eos')==(not fault(s.text)) for s in done)

def test_a_language_that_vllms_server_does_not_know_is_refused_once(plain, prompts):
    schema = dict(type='string', format='no-such-format', minLength=2)
    odd = Language(kind='json', separators='flexible', schema=schema)
    lost = Language(kind='regex', regex='(?=a)b')
    for plan in (Sampling(constraint=odd), Sampling(constraint=lost)):
        with pytest.raises(ModelError, match='refused: HTTP 400'): plain.sample(prompts[:1], plan)

def test_a_stream_that_is_left_stops_the_server(plain, url, prompts):
    s = plain.stream(prompts[0], Sampling(max_tokens=3900, temperature=0, stop_ids=()))
    assert next(s)
    s.close()
    quiet_within(10, lambda: running(url))

def test_a_refusal_is_not_repeated(plain, prompts):
    t0 = time.time()
    with pytest.raises(ModelError, match=r'HTTP 400 .*temperature must be in \[0, 2\], got 5'):
        plain.sample(prompts, Sampling(temperature=5.))
    assert time.time()-t0 < 5

def test_wrong_names(url):
    with pytest.raises(BadValue, match="'studnet'; allowed: student. Did you mean 'student'"):
        load(f'server:{url}', model='studnet')
    with pytest.raises(BadValue, match='http://host:port/v1'): load('server:localhost:80')
    with pytest.raises(BadValue, match='http://host:port/v1'): load('server:http://host:port/v1')
    with pytest.raises(BadValue, match='timeout'): load(f'server:{url}', timeout=0)
    with pytest.raises(BadValue, match='retries'): load(f'server:{url}', retries='4')
    with pytest.raises(ModelError, match='no such folder'): load(f'server:{url}', tokenizer='./nowhere')

NO_SCORES = 'no log-probabilities of prompts, so it cannot score'

# llama-cpp-python's server: text in, text out, no likelihoods.

def serve_gguf(tmp, port, *options):
    from decodelab.backends.convert import reference_gguf
    args = ['llama_cpp.server', '--model', str(reference_gguf('student', 'f32')), '--model_alias', 'student',
            '--n_ctx', '1024', '--n_threads', '1', '--type_k', '0', '--type_v', '0', *options]
    with open(tmp/'log', 'a') as log: return serve(args, port, log)

NO_LLAMA = "NOT TESTED: llama-cpp-python's server is not installed: pip install \"llama-cpp-python[server]\""
needs_llama = pytest.mark.skipif(absent('llama_cpp', 'starlette_context'), reason=NO_LLAMA)

@pytest.fixture(scope='module')
def llama_url(tmp_path_factory):
    port = free_port()
    p = serve_gguf(tmp_path_factory.mktemp('llama'), port)
    yield f'http://127.0.0.1:{port}/v1'
    stop(p)

@pytest.fixture(scope='module')
def llama(llama_url): return load(f'server:{llama_url}', model='student', tokenizer=str(folder('student')))

@needs_llama
def test_what_llamas_server_can_do_is_found_out(llama, llama_url, student):
    plain = load(f'server:{llama_url}')
    assert (plain.kind, plain.model)==(llama.kind, llama.model)==('llama-cpp-python', 'student')
    for b in (plain, llama):
        c = b.capabilities
        assert not c.likelihoods and not c.full_distribution and c.constraints and not isinstance(b, Scorer)
        with pytest.raises(ModelError, match=NO_SCORES): b.score([((1,2), (3,))])
        with pytest.raises(ModelError, match='no full distributions'): b.next_logprobs([(1,2)])
    for t in ('Grüße 数学 🙂', ' a\n'):
        assert plain.encode(t)==student.encode(t) and plain.decode(student.encode(t))==t
    assert plain.encode('<think>')==student.encode('<think>')
    asked = [dict(role='user', content='a3+4=?')]
    for ask in (lambda: plain.decode(student.encode('1<think>')), lambda: plain.chat(asked), lambda: plain.template):
        with pytest.raises(ModelError, match='tokenizer='): ask()

@needs_llama
def test_its_echo_is_off_by_one_which_is_why_it_is_not_believed(llama, student):
    "If this fails, the server's echo has been mended and may be used."
    text = '<|question|>3+4=?<think>\n1 a3'
    ids = student.encode(text)
    body = dict(model='student', prompt=text, max_tokens=1, temperature=0, echo=True, logprobs=1)
    told = llama.http.ask(f'{llama.url}/completions', body)['choices'][0]['logprobs']['token_logprobs']
    got, true = np.array(told[1:len(ids)], float), student.score([(ids[:1], ids[1:])])[0].token_logprobs
    # each token under the distribution that follows it
    late = [float(student.score([(ids[:i+1], (ids[i],))])[0].logprob) for i in range(1, len(ids))]
    assert np.abs(got-late).max() < 1e-3 and np.abs(got-true).max() > 1

@needs_llama
@pytest.mark.parametrize('name', ['greedy', 'stops', 'kept', 'whole'])
def test_greedy_texts_of_llamas_server_are_those_of_transformers(llama, student, prompts, name):
    plan, m = (PLANS | dict(whole=WHOLE))[name], [dict(role='user', content='a1+2=?')]
    assert llama.chat(m)==student.chat(m)
    ours, theirs = [s[0] for s in llama.sample(prompts, plan)], [s[0] for s in student.sample(prompts, plan)]
    def printed(t): return t.replace('</think>', '').replace('<|answer|>', '') # the server leaves special tokens out
    assert [(s.text, s.finish) for s in ours]==[(printed(s.text), s.finish) for s in theirs]
    if name!='whole':
        same = [(a, b) for a, b in zip(ours, theirs) if '<' not in b.text]
        assert len(same) >= 4
        assert all(a.ids==b.ids and np.abs(a.logprobs-b.logprobs).max() < 1e-3 for a, b in same)
    else: assert all(np.isnan(a.logprobs[-1]) and a.ids[-1]==student.eos_ids[0] for a in ours if a.finish=='eos')
    plan = replace(plan, include_stop=False)
    assert ''.join(llama.stream(prompts[0], plan))==llama.sample(prompts[:1], plan)[0][0].text

@needs_llama
def test_draws_of_llamas_server_have_seeds_of_their_own(llama, prompts):
    plan = dict(max_tokens=12, temperature=2., seed=3)
    whole = llama.sample(prompts[:3], Sampling(n=3, **plan))
    assert len({s.ids for x in whole for s in x}) > 3
    assert llama.sample(prompts[1:2], Sampling(n=1, first=2, **plan))[0][0].ids==whole[1][2].ids

UNENDING = Language(kind='json', schema=dict(type='string', maxLength=5000), separators='json')
HELD = [name for name in LANGUAGES if name!='lark']

@needs_llama
@pytest.mark.parametrize('name', HELD)
def test_languages_on_llamas_server(llama, prompts, name):
    known = [s for s in holds(llama, prompts, name) if not np.isnan(s.logprobs[:-1]).any()]
    assert known or name in ('choices', 'regex') # whose characters may come in pieces

@needs_llama
def test_what_llamas_server_does_not_take_is_refused_once(llama, prompts):
    t0, shown = time.time(), Sampling(stop=('\n',), include_stop=True)
    for ask, words in ((lambda: llama.sample(prompts, Sampling(stop_ids=(ord('='),))), 'end-of-text only'),
                       (lambda: next(llama.stream(prompts[0], shown)), 'include_stop of a stream'),
                       (lambda: llama.sample([prompts[0]*100], Sampling()), 'maximum context length is 1024 tokens'),
                       (lambda: llama.sample(prompts, Sampling(constraint=LANGUAGES['lark'])), 'no option for lark'),
                       (lambda: llama.sample(prompts, Sampling(constraint=UNENDING)), 'at most 2000'),
                       (lambda: llama.sample([(200, 201)], Sampling()), 'other tokens as text')):
        with pytest.raises((ModelError, BadValue), match=words): ask()
    short = Sampling(max_tokens=3, temperature=0, stop_ids=llama.eos_ids)
    assert time.time()-t0 < 5 and llama.sample(prompts[:1], short)[0][0].finish=='length'

@needs_llama
def test_rules_on_llamas_server(llama, student, questions):
    """A model whose end of thinking is a special token cannot be stepped there; one error says so, instead of an
    answer that is taken for reasoning."""
    from decodelab.eig.stopping.forcing import scale
    asked = questions[:4]
    ours, theirs = [[(t.ids, t.answer) for t in scale(x, asked, 'none')[0]] for x in (llama, student)]
    assert ours==theirs
    with pytest.raises(BadValue, match="stop string on this server: got '</think>'"): scale(llama, asked, 'full')
    with pytest.raises(ModelError, match='needs the capability full_distribution'):
        scale(llama, asked, 'expected_information_gain_reasoning')

@needs_llama
def test_llamas_server_killed_in_mid_run_and_started_again(tmp_path, prompts, monkeypatch):
    port, options = free_port(), ('--logits_all', 'False')
    p = serve_gguf(tmp_path, port, *options)
    where = dict(model='student', tokenizer=str(folder('student')), retries=2, backoff=.05)
    b, plan = load(f'server:http://127.0.0.1:{port}/v1', **where), Sampling(max_tokens=4, temperature=0)
    assert not b.dialect.logprobs # a server without log-probabilities
    assert all(np.isnan(s[0].logprobs).all() for s in b.sample(prompts[:2], plan))
    with pytest.raises(BadValue, match='include_stop'): b.sample(prompts, Sampling(stop=('\n',), include_stop=True))
    want, read, seen = [s[0].text for s in b.sample(prompts, plan)], b.dialect.sample, []
    def counted(answer, sampling):
        seen.append(answer)
        if len(seen)==3:
            p.kill()
            p.wait()
        return read(answer, sampling)
    monkeypatch.setattr(b.dialect, 'sample', counted)
    kept = '3 of 6 answers are kept: the same call again asks only for the rest'
    with pytest.raises(ModelError, match=rf'completions: no answer after 3 attempts in .* s: .*; {kept}'):
        b.sample(prompts, plan)
    again = serve_gguf(tmp_path, port, *options)
    try: assert [s[0].text for s in b.sample(prompts, plan)]==want and len(seen)==6
    finally: stop(again)

# llama.cpp's own server, as xllamacpp packages it.

LLAMA_CPP = '''
import signal, sys, xllamacpp
p = xllamacpp.CommonParams()
p.model.path, p.model_alias, p.port = sys.argv[1], {'student'}, int(sys.argv[2])
p.n_ctx, p.n_parallel, p.cpuparams.n_threads, p.ctx_shift = 4096, 4, 1, True
server = xllamacpp.Server(p)
signal.pause()
'''

@pytest.fixture(scope='module')
def own_url(tmp_path_factory):
    from decodelab.backends.convert import reference_gguf
    if absent('xllamacpp'): pytest.skip("NOT TESTED: llama.cpp's own server is not installed: pip install xllamacpp")
    port = free_port()
    with open(tmp_path_factory.mktemp('own')/'log', 'w') as log:
        p = serve(['-c', LLAMA_CPP, str(reference_gguf('student', 'f32')), str(port)], port, log)
    yield f'http://127.0.0.1:{port}/v1'
    stop(p)

@pytest.fixture(scope='module', params=['plain', 'tokenizer'])
def own(own_url, request):
    return load(f'server:{own_url}', **(dict(tokenizer=str(folder('student'))) if request.param=='tokenizer' else {}))

def test_what_llama_cpps_own_server_can_do_is_found_out(own, student):
    c = own.capabilities
    assert (own.kind, own.model)==('llama.cpp', 'student')
    assert not c.likelihoods and not c.full_distribution and c.constraints
    with pytest.raises(ModelError, match=NO_SCORES): own.score([((1,2), (3,))])
    for t in ('Grüße 数学 🙂', '<|question|>3+4<think>', ' a\n'):
        assert own.encode(t)==student.encode(t) and own.decode(student.encode(t))==t
    m = [dict(role='user', content='a3+4=?')]
    assert own.chat(m)==student.chat(m) and own.template and own.adds_bos is False

@pytest.mark.parametrize('name', ['greedy', 'stops', 'kept', 'whole', 'special'])
def test_greedy_texts_of_llama_cpps_own_server_are_those_of_transformers(own, student, prompts, name):
    "Tokens, texts and stops; a stop string may be a special token. Tokens of a stop string have no log-probabilities."
    plan = (PLANS | dict(whole=WHOLE, special=SPECIAL))[name]
    ours, theirs = own.sample(prompts, plan), student.sample(prompts, plan)
    assert first(ours)==first(theirs)
    for a, b in zip(ours, theirs):
        unknown = np.isnan(a[0].logprobs)
        assert np.abs(a[0].logprobs-b[0].logprobs)[~unknown].max() < 1e-3
        n = max(map(len, plan.stop))*(a[0].finish=='stop') if plan.stop else 0
        assert not unknown[:max(0, len(unknown)-n)].any()
    if not own.tokenizer and name=='whole': return # without one, a stream leaves special tokens out
    assert ''.join(own.stream(prompts[0], plan))==ours[0][0].text

def test_draws_of_llama_cpps_own_server(own, student, prompts):
    """Seeds of their own; temperature comes before top_p, as everywhere here: a hot draw has the frequencies of
    Transformers' distribution."""
    import torch
    from decodelab.backends.drawing import filtered
    plan = dict(max_tokens=12, temperature=2., seed=3)
    whole = own.sample(prompts[:3], Sampling(n=3, **plan))
    assert len({s.ids for x in whole for s in x}) > 3
    assert own.sample(prompts[1:2], Sampling(n=1, first=2, **plan))[0][0].ids==whole[1][2].ids
    hot = Sampling(max_tokens=1, temperature=3., top_p=.8, seed=1, n=600)
    got = own.sample(prompts[:1], hot)[0]
    want = filtered(torch.tensor(student.next_logprobs(prompts[:1])), hot)[0].numpy()
    seen, p = np.bincount([s.ids[0] for s in got], minlength=len(want))/len(got), want[want>0]
    assert not seen[want==0].any() and np.abs(seen-want).max() < 4*np.sqrt((p*(1-p)).max()/len(got))

@pytest.mark.parametrize('name', HELD)
def test_languages_on_llama_cpps_own_server(own, student, prompts, name):
    found = holds(own, prompts, name)
    first = own.sample(prompts[:1], Sampling(max_tokens=8, temperature=0, constraint=LANGUAGES[name]))[0][0]
    true = student.score([(prompts[0], first.ids)])[0].token_logprobs # the model's own, not what the mask left
    assert found and np.nanmax(np.abs(true-first.logprobs)) < .01, np.abs(true-first.logprobs)
    lark = Sampling(constraint=LANGUAGES['lark'])
    with pytest.raises(ModelError, match='no option for lark'): own.sample(prompts, lark)

def test_llama_cpps_own_server_drops_a_schema_that_it_cannot_convert(own, prompts):
    "Which is why `json_schema` is not asked for; ours is held as far as it can be, and looked at."
    schema = dict(type='array', items=dict(type='integer'), uniqueItems=True, minItems=3, maxItems=4)
    body = own.dialect.request(prompts[0], Sampling(max_tokens=20, temperature=0), 20, 0)
    free = own.http.ask(own.dialect.where, body)['content']
    assert own.http.ask(own.dialect.where, body | dict(json_schema=schema))['content']==free
    def fault(text): return '' if len(set(json.loads(text)))==len(json.loads(text)) else 'twice'
    held = Language(fault, kind='json', schema=schema, separators='json')
    drawn = own.sample(prompts[:1], Sampling(n=30, max_tokens=60, temperature=.5, constraint=held))[0]
    done = [s for s in drawn if s.finish!='length']
    assert {bool(fault(s.text)) for s in done if s.finish=='eos'}=={False}
    assert all(fault(s.text) for s in done if s.finish=='stop') and any(s.finish=='stop' for s in done)

def test_rules_on_llama_cpps_own_server(own, student, questions):
    from decodelab.eig.stopping.forcing import scale
    asked = questions[:4]
    for rule in ('none', 'full', 'fixed_budget', 'default'):
        ours, theirs = [[(t.answer, bool(t.reasoning)) for t in scale(x, asked, rule, max_tokens=120)[0]]
                        for x in (own, student)]
        assert all(a for a, _ in ours) and [r for _, r in ours]==[r for _, r in theirs]
        assert rule!='none' or ours==theirs
    with pytest.raises(ModelError, match='needs the capability full_distribution'):
        scale(own, asked, 'expected_information_gain_reasoning')

def test_a_stream_that_is_left_stops_llama_cpps_own_server(own, own_url, prompts, monkeypatch):
    slots, poll, streamed = own_url.removesuffix('/v1')+'/slots', httpx.Client(), own.dialect.streamed
    def busy(): return any(s['is_processing'] for s in poll.get(slots).json())
    endless = dict(ignore_eos=True, n_predict=-1) # llama.cpp's: what is over its room moves out
    monkeypatch.setattr(own.dialect, 'streamed', lambda request: streamed(request) | endless)
    quiet_within(10, busy)
    s = own.stream(prompts[0], Sampling(max_tokens=900, temperature=2.))
    assert next(s) and busy()
    s.close()
    quiet_within(10, busy)

# mlx-lm's server: text in, token ids out.

@pytest.fixture(scope='module')
def mlx(tmp_path_factory):
    if absent('mlx', 'mlx_lm'): pytest.skip('NOT TESTED: mlx-lm is not installed: pip install "decodelab[mlx]"')
    from decodelab.backends.convert import to_mlx
    tmp, port = tmp_path_factory.mktemp('mlx'), free_port()
    (tmp/'hub').mkdir()
    with open(tmp/'log', 'w') as log:
        model = to_mlx(folder('student'), tmp/'student')
        p = serve(['mlx_lm.server', '--model', str(model)], port, log, HF_HUB_CACHE=str(tmp/'hub'))
    yield load(f'server:http://127.0.0.1:{port}/v1', tokenizer=str(folder('student')))
    stop(p)

def test_what_mlx_lms_server_can_do_is_found_out(mlx):
    assert mlx.kind=='mlx-lm' and not mlx.capabilities.likelihoods and not isinstance(mlx, Scorer)
    with pytest.raises(ModelError, match='tokenizer='): load(f'server:{mlx.url}')
    with pytest.raises(BadValue, match='end-of-text only'): mlx.sample([(1,)], Sampling(stop_ids=(3,)))

@pytest.mark.parametrize('name', ['greedy', 'stops', 'kept', 'whole', 'special'])
def test_greedy_texts_of_mlx_lms_server_are_those_of_transformers(mlx, student, prompts, name):
    plan = (PLANS | dict(whole=WHOLE, special=SPECIAL))[name]
    ours, theirs = mlx.sample(prompts, plan), student.sample(prompts, plan)
    assert first(ours)==first(theirs) and apart(ours, theirs) < 1e-3
    assert ''.join(mlx.stream(prompts[0], plan))==theirs[0][0].text

def test_draws_of_mlx_lms_server_have_seeds_of_their_own(mlx, prompts):
    plan = dict(max_tokens=12, temperature=2., seed=3)
    whole = mlx.sample(prompts[:3], Sampling(n=3, **plan))
    assert len({s.ids for x in whole for s in x}) > 3
    assert mlx.sample(prompts[1:2], Sampling(n=1, first=2, **plan))[0][0].ids==whole[1][2].ids

def test_mlx_lms_server_reads_past_a_response_format_and_is_not_asked(mlx, prompts):
    plan = Sampling(max_tokens=12, temperature=0)
    body = mlx.dialect.request(prompts[0], plan, 12, 0)
    held = dict(response_format=dict(type='json_schema', json_schema=dict(name='x', schema=PERSON, strict=True)))
    def text(answer): return answer['choices'][0]['text']
    assert mlx.http.ask(mlx.dialect.where, body | held, text)==mlx.http.ask(mlx.dialect.where, body, text)
    assert not mlx.capabilities.constraints
    for language in LANGUAGES.values():
        with pytest.raises(ModelError, match='reads past response_format.*in process'):
            mlx.sample(prompts, Sampling(constraint=language))

# What can go wrong, by a small server that is told what to do.

class Bad(ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 64
    def handle_error(self, *a): pass # clients that hang up are the point
    def __init__(self, answer=None):
        super().__init__(('127.0.0.1', 0), answer or Answer)
        self.plan, self.asked, self.lock, self.text = {}, [], threading.Lock(), None
    @property
    def url(self): return f'http://127.0.0.1:{self.server_port}/v1'

class Answer(BaseHTTPRequestHandler):
    "Says 'x' and its prompt's first id; `plan` maps an id to the list of ways to fail before it answers."
    def log_message(self, *a): pass
    def send(self, raw, status=200):
        self.send_response(status)
        self.send_header('Content-Length', str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)
    def do_GET(self):
        if self.path=='/v1/models': return self.send(json.dumps(dict(data=[dict(id='m', max_model_len=64)])).encode())
        self.send(b'no such page', 404)
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        if self.path!='/v1/completions': return self.send(b'{}', 404)
        token, s = body['prompt'][0], self.server
        with s.lock:
            s.asked.append(token)
            how = s.plan[token].pop(0) if s.plan.get(token) else 'fine'
        if how==500: return self.send(b'{"error": {"message": "on fire"}}', 500)
        if how==400: return self.send(b'{"error": {"message": "not this one"}}', 400)
        if how=='malformed': return self.send(b'{"choices": [{"text": ')
        if how=='empty': return self.send(b'{}')
        if how=='slow': time.sleep(1.)
        if how=='late': time.sleep(.3)
        if how=='cut': return self.begin(b'{"choi', 1000)
        if how=='hang up': return self.connection.close()
        good = self.good(body, token)
        self.stream(good) if body.get('stream') else self.send(good)
    def begin(self, raw, length):
        self.send_response(200)
        self.send_header('Content-Length', str(length))
        self.end_headers()
        self.wfile.write(raw)
    def good(self, body, token):
        choice = dict(text=self.server.text or f'x{token}', token_ids=[token], finish_reason='length',
                      logprobs=dict(token_logprobs=[-1.]))
        if 'prompt_logprobs' in body and self.server.plan.get('lie'):
            choice['prompt_logprobs'] = [None, *({str(x): dict(logprob=-3., rank=1)} for x in body['prompt'][1:])]
        return json.dumps(dict(choices=[choice]), ensure_ascii=False).encode()
    def stream(self, good):
        plan = self.server.plan
        self.send_response(200)
        self.end_headers()
        for _ in range(3): self.wfile.write(b'data: ' + good + b'\n\n')
        if plan.get('sorry'): self.wfile.write(b'data: {"error": {"message": "out of memory"}}\n\n')
        if plan.get('short'): return
        self.wfile.write(b'data: {"choi\n\n' if plan.get('torn') else b'data: [DONE]\n\n')

class Few(Answer):
    "Two workers, each of which stays with a connection as long as it is open, as llama.cpp's do."
    protocol_version, workers = 'HTTP/1.1', threading.Semaphore(2)
    def handle(self):
        with self.workers: super().handle()

def started(s):
    threading.Thread(target=s.serve_forever, daemon=True).start()
    yield s
    s.shutdown()
    s.server_close()

@pytest.fixture
def bad(): yield from started(Bad())

@pytest.fixture
def few(): yield from started(Bad(Few))

WAYS = (500, 'malformed', 'empty', 'slow', 'cut', 'hang up')
ONE = Sampling(max_tokens=1)

def texts(samples): return [s[0].text for s in samples]

@pytest.mark.parametrize('how', WAYS)
def test_trouble_in_the_middle_of_a_run_passes(bad, how):
    b = load(f'server:{bad.url}', backoff=.01, timeout=.8)
    bad.plan = {7: [how], 9: [how, how]}
    bad.asked.clear()
    assert texts(b.sample([(i,) for i in range(12)], ONE))==[f'x{i}' for i in range(12)]
    assert sorted(bad.asked)==sorted([*range(12), 7, 9, 9]) # nothing finished was asked again

@pytest.mark.parametrize('how', WAYS)
def test_trouble_that_stays_is_one_error_and_the_rest_is_kept(bad, how):
    b = load(f'server:{bad.url}', backoff=.01, timeout=.3, retries=2, concurrency=1)
    bad.plan, prompts = {3: [how]*3}, [(i,) for i in range(6)]
    bad.asked.clear()
    with pytest.raises(ModelError) as e: b.sample(prompts, ONE)
    cause = {500: 'HTTP 500 on fire', 'malformed': 'cannot be read', 'empty': 'cannot be read', 'slow': 'timed out',
             'cut': 'peer closed connection', 'hang up': 'Re'}[how]
    for words in (f'{bad.url}/completions', '3 attempts', cause, '3 of 6 answers are kept'):
        assert words in str(e.value)
    bad.asked.clear()
    assert texts(b.sample(prompts, ONE))==[f'x{i}' for i in range(6)] and sorted(bad.asked)==[3, 4, 5]
    bad.asked.clear()
    b.sample(prompts, ONE)
    assert len(bad.asked)==6 # a call that is done leaves nothing behind

def test_answers_that_are_on_their_way_when_another_is_refused_are_kept(bad):
    b = load(f'server:{bad.url}', concurrency=4)
    bad.plan, prompts = {0: ['late'], 1: ['late'], 2: ['late'], 3: [400]}, [(i,) for i in range(20)]
    bad.asked.clear()
    with pytest.raises(ModelError, match='refused: HTTP 400 not this one; 3 of 20 answers are kept'):
        b.sample(prompts, ONE)
    assert sorted(bad.asked)==[0, 1, 2, 3] # nothing new was asked
    assert texts(b.sample(prompts, ONE))==[f'x{i}' for i in range(20)]
    assert sorted(bad.asked)==[0, 1, 2, 3, *range(3, 20)]

def test_connections_are_not_held(few):
    t0, b = time.time(), load(f'server:{few.url}', timeout=5.)
    for _ in range(3): assert texts(b.sample([(i,) for i in range(20)], ONE))==[f'x{i}' for i in range(20)]
    assert time.time()-t0 < 4

def test_a_closed_server_can_be_asked_again(bad):
    b = load(f'server:{bad.url}')
    b.close()
    assert texts(b.sample([(1,)], ONE))==list(b.stream((1,), ONE))[:1]==['x1']

def test_a_batch_is_asked_where_an_event_loop_is_running(bad):
    import asyncio
    b = load(f'server:{bad.url}')
    async def cell(): return texts(b.sample([(1,), (2,)], ONE))
    assert asyncio.run(cell())==['x1', 'x2']

def test_samplings_that_differ_in_what_is_cut_share_a_request_and_nothing_else(bad):
    b = load(f'server:{bad.url}', tokenizer=str(folder('student')))
    bad.asked.clear()
    plan = Sampling(max_tokens=1, stop=(chr(65),))
    cut, shown = b.sample([(65,), (65,)], [plan, replace(plan, include_stop=True)])
    assert (cut[0].text, shown[0].text)==('', 'A') and bad.asked==[65]

def test_every_end_of_text_is_left_out_of_a_text(bad, tmp_path):
    "A chat model ends its turns at a token that is not its tokenizer's end of text."
    shutil.copytree(folder('student'), tmp_path/'m')
    (tmp_path/'m/generation_config.json').write_text(json.dumps(dict(eos_token_id=[261, 259])))
    b = load(f'server:{bad.url}', tokenizer=str(tmp_path/'m'))
    assert b.eos_ids==(261, 259)
    from decodelab.backends.dialects import Choice, sample_of
    ended = sample_of(b.dialect, Choice('A', 'stop', (65, 259), (-1., -1.)), Sampling())
    assert (ended.text, ended.finish)==('A', 'eos')

def test_a_server_that_is_down():
    t0 = time.time()
    with pytest.raises(ModelError, match=r'http://127.0.0.1:9/v1/models: no answer after 3 attempts in .* refused'):
        load('server:http://127.0.0.1:9/v1', retries=2, backoff=.05)
    assert .15 <= time.time()-t0 < 5

def test_a_server_that_never_answered_is_not_waited_for():
    t0 = time.time()
    with pytest.raises(ModelError, match=r'no answer after 2 attempts in .* refused. Is the server running\?'):
        load('server:http://127.0.0.1:9/v1')
    assert time.time()-t0 < 4 # 8 s before

def test_likelihoods_that_are_absent_or_wrong_are_an_error(bad):
    for plan in ({}, dict(lie=True)): # the lie: log-probabilities of prompts that are not those of generation
        bad.plan = plan
        b = load(f'server:{bad.url}', retries=0)
        assert not b.capabilities.likelihoods and not isinstance(b, Scorer) and isinstance(b, Sampler)
        with pytest.raises(ModelError, match='no log-probabilities of prompts'): b.score([((1,), (2,))])

def test_what_no_server_does_is_said(bad):
    b = load(f'server:{bad.url}', retries=0)
    regex, spelt, free = (Sampling(constraint=LANGUAGES[name]) for name in ('regex', 'json', 'flexible'))
    odd = Sampling(constraint=Language(kind='prose'))
    for ask, words in ((lambda: b.next_logprobs([(1,)]), 'distributions'), (lambda: b.session([(1,)]), 'sessions'),
                       (lambda: b.sample([(1,)], odd), 'grammar of a constraint'),
                       (lambda: b.sample([(1,)], regex), 'no option for regex'),
                       (lambda: b.sample([(1,)], spelt), "separators='flexible'"),
                       (lambda: b.sample([(1,)], free), 'it ignores response_format'),
                       (lambda: b.stream((1,), regex), 'no option for regex'),
                       (lambda: b.encode('a'), 'tokenizer='),
                       (lambda: b.sample([(1,)*64], Sampling()), 'the model takes 64'),
                       (lambda: b.stream((1,), Sampling(stop_ids=(3,))), 'stop_ids'),
                       (lambda: b.stream((1,), Sampling(n=2)), 'n of a stream')):
        with pytest.raises((ModelError, BadValue), match=words): ask()
    with pytest.raises(AttributeError): getattr(b, "nonsense")
    assert b.sample([], Sampling())==[]

def test_streams_that_break(bad):
    b, plan = load(f'server:{bad.url}', retries=0, timeout=.5), Sampling(max_tokens=3)
    assert list(b.stream((5,), plan))==['x5']*3
    for how, words in (({5: [500]}, 'HTTP 500 on fire'), (dict(torn=True), 'cannot be read'),
                       ({5: ['slow']}, 'timed out'), (dict(short=True), 'before its end'),
                       (dict(sorry=True), 'out of memory')):
        bad.plan = how
        with pytest.raises(ModelError, match=rf'{bad.url}/completions: .*{words}'): list(b.stream((5,), plan))

@pytest.mark.parametrize('odd', ['\u2028', '\x85', '\x0b', '\u2029', '\r', '\x1c'])
def test_a_line_of_a_stream_ends_where_its_json_ends(bad, odd):
    bad.text = f'a{odd}b'
    assert list(load(f'server:{bad.url}').stream((5,), Sampling(max_tokens=3)))==[bad.text]*3

def test_the_key_is_sent_and_shown_nowhere(bad):
    b = load(f'server:{bad.url}', api_key='sesame')
    assert b.http.connection.headers['Authorization']=='Bearer sesame'
    assert 'sesame' not in repr(b)+b.name+b.fingerprint()+repr(b.http.at)
    with pytest.raises(BadValue) as e: load(f'server:{bad.url}', api_key='sesäme')
    assert 'api_key' in str(e.value) and 'sesäme' not in str(e.value)

def test_no_runtime_is_imported(bad):
    code = f'''import sys
from decodelab.backends import load
b = load("server:{bad.url}")
assert not {{"torch", "vllm", "transformers"}} & set(sys.modules), "heavy"'''
    p = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert p.returncode==0, p.stderr

# Languages, by servers in the network's place.

def pretended(answer, version=None):
    "A server that answers a completion with `answer(body)`, a text or a status; vLLM's where it has a version."
    asked = []
    def respond(request):
        if request.url.path=='/v1/models': return httpx.Response(200, json=dict(data=[dict(id='m')]))
        if request.url.path=='/version' and version: return httpx.Response(200, json=dict(version=version))
        if request.url.path!='/v1/completions': return httpx.Response(404, json={})
        asked.append(json.loads(request.content))
        said = answer(asked[-1])
        if isinstance(said, int): return httpx.Response(said, json=dict(error=dict(message='no')))
        return httpx.Response(200, json=dict(choices=[dict(text=said, finish_reason='stop', token_ids=[7, 8])]))
    server = load('server:http://host/v1', retries=0, transport=httpx.MockTransport(respond))
    asked.clear()
    return server, asked

FREE = Language(lambda text: '' if text=='[5]' else 'not five',
                kind='json', schema=dict(const=[5]), separators='flexible')

def test_an_option_is_tried_once_and_kept():
    server, asked = pretended(lambda body: 'Hi' if 'response_format' not in body else
                              '["q",\n "zx"]' if 'prefixItems' in json.dumps(body) else '[5]')
    for _ in range(2): assert server.sample([(1,)], Sampling(constraint=FREE))[0][0].finish=='eos'
    assert len(asked)==3 and asked[1]['response_format']['json_schema']['strict'] is True and 'stop' not in asked[1]

def test_a_text_that_is_not_of_the_language_is_not_called_complete():
    server, _ = pretended(lambda body: '["q","zx"]' if 'prefixItems' in json.dumps(body) else '[6]')
    assert server.sample([(1,)], Sampling(constraint=FREE))[0][0].finish=='stop'

def test_a_server_is_told_what_a_model_would_be_held_to(student):
    from decodelab.schema.constraints import constrain
    from decodelab.schema.languages import compile
    language = compile(dict(type='object', properties=dict(b=dict(type='integer'), a=dict(enum=['x'])),
    required=['b', 'a'],
                            additionalProperties=False), separators='flexible')
    said = iter(['["q","zx"]', '{"b": 12,\n"a":"x"}', '{"b": "12", "a": "x"}', '{"b": 12'])
    server, asked = pretended(lambda body: next(said) if 'response_format' in body else 'Hi')
    told, held = constrain(server, language), constrain(student, language)
    assert told.grammar==held.grammar and list(json.loads(told.grammar)['schema']['properties'])==['b', 'a']
    drawn = [server.sample([(1,)], Sampling(constraint=told))[0][0] for _ in range(3)]
    assert [s.finish for s in drawn]==['eos', 'stop', 'stop']
    assert [bool(held.check(s.text)) for s in drawn]==[False, True, True]
    with pytest.raises(ModelError, match='a server holds its own text'): told.start()

def test_a_failure_that_passes_is_not_held_against_a_server():
    ways = [503, '["q","zx"]', '[5]']
    server, _ = pretended(lambda body: ways.pop(0) if 'response_format' in body else 'Hi')
    plan = Sampling(constraint=FREE)
    with pytest.raises(ModelError, match='does not hold json:flexible'): server.sample([(1,)], plan)
    assert server.sample([(1,)], plan)[0][0].text=='[5]'

@pytest.mark.parametrize('name', LANGUAGES)
def test_vllm_before_structured_outputs_is_told_in_its_own_way(name):
    words = {'json': '["q", "zx"]', 'compact': '["q","zx"]', 'flexible': '["q", "zx"]'}
    def answer(body): return words.get(name, 'qzx') if any(k.startswith('guided_') for k in body) else 'Hello'
    server, asked = pretended(answer, version='0.10.2')
    server.sample([(1,)], Sampling(constraint=LANGUAGES[name]))
    field = dict(flexible='guided_json', regex='guided_regex', choices='guided_choice').get(name, 'guided_grammar')
    assert field in asked[-1] and 'structured_outputs' not in asked[-1] and 'structured_outputs' in asked[0]

@pytest.fixture(scope='module')
def reads():
    "Whether llama.cpp reads a grammar."
    if absent('llama_cpp', 'xgrammar'): pytest.skip('NOT TESTED: llama-cpp-python and xgrammar are not both installed')
    import llama_cpp as lc
    from decodelab.backends.convert import reference_gguf
    options = lc.llama_model_default_params()
    options.vocab_only = True
    model = lc.llama_model_load_from_file(str(reference_gguf('student', 'f32')).encode(), options)
    vocab = lc.llama_model_get_vocab(model)
    def read(text):
        sampler = lc.llama_sampler_init_grammar(vocab, text.encode(), b'root')
        if sampler: lc.llama_sampler_free(sampler)
        return bool(sampler)
    yield read
    lc.llama_model_free(model)

TREE = dict(type='object', properties=dict(v=dict(type='integer'), c=dict(type='array', items={'$ref': '#'})))
SCHEMAS = [True, {}, TREE, dict(type='string', pattern='^[a-z_\\]\\\\\\-"\'?]+$'), dict(type='string', pattern='a|"'),
           *(dict(type='string', format=f) for f in ('date-time', 'email', 'uuid', 'uri', 'ipv4', 'ipv6', 'hostname')),
           dict(enum=[1, 'a\nb\0\u2028\ud7ff', None, True, dict(a=[1])]), dict(type='number', exclusiveMaximum=1e3),
           dict(type='object', properties={'a_b "x" é\n': {}}, additionalProperties=dict(type='string')),
           dict(type='object', patternProperties={'^x_': dict(type='integer')}, additionalProperties=False),
           dict(type='object', propertyNames=dict(pattern='^[a-z]+$'), minProperties=2),
           dict(prefixItems=[dict(type='string'), dict(const=1)], items=dict(type='boolean'))]
REGEXES = [r'\d+(\.\d+)?', r'[^\n"]*', r'(?:a|b)*', r'\w+@\w+\.com', '[\u00e9-\u00ff]{2}', 'a{3,}', r'\x41\t\\',
           r'[\]\-\\^]+', 'é|"|\'', '.*', '^abc$', 'a??b', r'[\s\S]', '', r'_0\?', '😀_']

def test_llama_cpp_reads_what_is_written_for_it(reads):
    from decodelab.backends.grammars import Wanted, gbnf
    wanted = [Wanted('json', schema, how) for schema in SCHEMAS for how in ('json', 'compact', 'flexible')]
    wanted += [Wanted('regex', r) for r in REGEXES] + [Wanted('choices', ['a"b', '\\', '\n\0\x7f', 'é😀\u2028', ''])]
    assert [w for w in wanted if not reads(gbnf(w))]==[]

def test_what_llama_cpp_would_not_read_is_an_error(reads):
    from decodelab.backends.grammars import Wanted, gbnf
    itself = dict(anyOf=[{'$ref': '#'}, dict(type='integer')])
    for body, words in ((itself, 'begins with itself'), (dict(type='string', maxLength=5000), 'at most 2000'),
                        (False, 'xgrammar cannot write this json'), (dict(type='string', minLength=2001), 'at most')):
        with pytest.raises((ModelError, BadValue), match=words): gbnf(Wanted('json', body, 'json'))
    for regex in ('(', '(?=a)b', r'\bfoo'):
        with pytest.raises(ModelError, match='xgrammar cannot write this regex'): gbnf(Wanted('regex', regex))
