"GGUF files: what is broken is said before work, sessions go forth and back, templates read as Transformers reads them."
import gc, importlib.util, os, random
import numpy as np
import pytest
from decodelab.backends import Sampling, load
from decodelab.core import BadValue, ModelError

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec('llama_cpp') is None and not os.environ.get('CI'),
    reason='NOT TESTED: llama_cpp is not installed: pip install "decodelab[gguf]"')

@pytest.fixture(scope='module')
def gguf():
    b = load('gguf:reference:student')
    yield b
    b.close()

def fresh(backend, rows): return backend.next_logprobs([tuple(row) for row in rows])

def apart(session, rows, backend):
    "Nats between where a session stands and fresh distributions, where there is probability."
    a, b = np.asarray(session.logprobs), fresh(backend, rows)
    return float(np.abs(a-b)[b > -20].max())

def test_broken_files(gguf, tmp_path):
    whole = gguf.path.read_bytes()
    broken = dict(text=(b'hello', 'not a GGUF file'), cut=(whole[:-4000], 'corrupt'),
                  head=(whole[:40], 'cannot be loaded'), old=(b'GGUF\1\0\0\0', 'version 1'))
    for name,(data,says) in broken.items():
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
    with small.session([(1,)*511]) as s:
        s.step([1])
        with pytest.raises(ModelError, match='513 tokens; the model takes 512'): s.step([1])
    small.close()

def test_more_rows_than_sequences(gguf):
    "A session larger than llama.cpp's limit of sequences gives the same distributions."
    prefixes = [(i % 250, j) for i in range(100) for j in range(4)]
    s = gguf.session(prefixes)
    s.step([7]*len(prefixes))
    f = s.fork([3, 3, 399])
    assert apart(f, [(*prefixes[r], 7) for r in (3, 3, 399)], gguf) < 1e-4

def test_sequences_are_given_back(gguf):
    free = len(gguf.context.free)
    gguf.sample([(1, 2, 3)]*5, Sampling(n=4, max_tokens=5))
    s = gguf.session([(1,)])
    s.fork([0]*3)
    s.select([0, 0])
    next(iter(gguf.stream((1, 2), Sampling(max_tokens=5))))
    del s
    gc.collect()
    assert len(gguf.context.free)==free

def moved(session, rows, rng):
    "One random move of a session, and the rows as they should be then."
    def some(n): return tuple(rng.choices(range(262), k=n))
    what = rng.choice(('step', 'extend', 'rewind', 'select', 'drop'))
    if what=='step':
        ids = [rng.choice((5, rng.randrange(262))) for _ in rows]
        session.step(ids)
        return [(*row, i) for row,i in zip(rows, ids)]
    if what=='extend':
        blocks = [rng.choice(((5, 6), some(rng.randint(0, 4)))) for _ in rows]
        out = np.asarray(session.extend(blocks))
        for row,block,found in zip(rows, blocks, out): assert (found[len(block):]==-np.inf).all()
        return [(*row, *block) for row,block in zip(rows, blocks)]
    if what=='rewind':
        lengths = [rng.randint(max(1, len(row)-4), len(row)) for row in rows]
        session.rewind(lengths)
        return [row[:n] for row,n in zip(rows, lengths)]
    keep = sorted(rng.sample(range(len(rows)), rng.randint(1, len(rows))))
    if what=='drop': session.drop(sorted(set(range(len(rows)))-set(keep)))
    else: session.select(keep := keep + rng.choices(keep, k=rng.randint(0, 2)))
    return [rows[i] for i in keep]

@pytest.mark.parametrize('remembered', [False, True])
def test_sessions_stand_where_a_fresh_one_would(gguf, remembered):
    "Two hundred fuzzed cases: steps, blocks, ways back, repeats; inside a block of remembering and outside."
    import contextlib
    rng, worst = random.Random(int(remembered)), 0.
    with gguf.remembering() if remembered else contextlib.nullcontext():
        for _ in range(200):
            trunk = tuple(rng.choices(range(262), k=12))
            rows = [trunk[:rng.randint(1, 12)] + tuple(rng.choices(range(262), k=rng.randint(0, 3)))
                    for _ in range(rng.randint(1, 5))]
            with gguf.session(rows) as session:
                for _ in range(rng.randint(1, 6)): rows = moved(session, rows, rng)
                assert session.lengths.tolist()==[len(row) for row in rows]
                worst = max(worst, apart(session, rows, gguf))
    assert worst < 1e-4

def test_extend_gives_what_steps_give(gguf):
    blocks = [(7, 8, 9), (4,), ()]
    with gguf.session([(1, 2), (1, 2), (3,)]) as one, one.fork([0, 1, 2]) as other:
        out = np.asarray(one.extend(blocks))
        other.step([7, 4, 0])
        stepped = np.asarray(other.logprobs)
        assert out.shape==(3, 3, gguf.vocab_size) and np.abs(out[:2,0]-stepped[:2]).max() < 1e-4
        assert np.abs(np.asarray(one.logprobs)[2]-fresh(gguf, [(3,)])[0]).max() < 1e-4
        with pytest.raises(BadValue, match='0.*1 to 5'): one.rewind([0, 1, 1])

def test_remembering_is_bounded_and_right():
    "What does not fit goes, least recently used first; what comes back is what it was."
    small = load('gguf:reference:student')
    small.memory = 1<<21 # a quarter of it for states: some 170 tokens
    rng = random.Random(0)
    prefixes = [tuple(rng.choices(range(262), k=40)) for _ in range(12)]
    with small.remembering():
        first = small.next_logprobs(prefixes)
        assert small._block.bytes <= small._block.room and len(small._block.pieces) < 12
        again = small.next_logprobs([(*p, 3) for p in prefixes])
    assert np.abs(first-small.next_logprobs(prefixes)).max() < 1e-4
    assert np.abs(again-small.next_logprobs([(*p, 3) for p in prefixes])).max() < 1e-4
    small.close()

def test_a_decision_runs_each_token_once():
    from decodelab.eig import EIGParameters, ExpectedInformationGainCalculator
    from decodelab.eig.frames import frame_for, prompt_ids
    from decodelab.tasks import load_questions
    b = load('gguf:reference:student')
    calc = ExpectedInformationGainCalculator(b, frame_for(b), EIGParameters(adaptive=False, lambda_cost=0))
    states = [prompt_ids(b, frame_for(b), q.text) for q in load_questions('reference', 8)]
    plain = calc.evaluate(states)
    b.usage.reset()
    with b.remembering(): held = calc.evaluate(states)
    assert b.usage.unique and b.usage.run/b.usage.unique <= 1.1
    assert np.abs([p.posterior.entropy-h.posterior.entropy for p,h in zip(plain, held)]).max() < 1e-3
    b.close()

def test_quantised_form_is_close(gguf, student):
    q = load('gguf:reference:student', form='q8_0')
    rng = np.random.default_rng(0)
    prefixes = [tuple(rng.integers(0, 256, 20).tolist()) for _ in range(20)]
    a, b = np.exp(student.next_logprobs(prefixes)), np.exp(q.next_logprobs(prefixes))
    assert np.abs(a-b).sum(1).mean()/2 < .1 # total variation
    assert q.capabilities.batch_spread > gguf.capabilities.batch_spread==0
    q.close()

TEMPLATES = dict(
    time="{{ strftime_now('%Y') }}{% for m in messages %}{{ m.content }}{% endfor %}",
    loops="{% for m in messages %}{% if m.role=='system' %}{% continue %}{% endif %}{{ m.content }}"
          "{% if loop.index==3 %}{% break %}{% endif %}{% endfor %}",
    generation="{% for m in messages %}{% if m.role=='assistant' %}{% generation %}{{ m.content }}{% endgeneration %}"
               "{% else %}{{ m.content }}{% endif %}{% endfor %}",
    json="{% for m in messages %}{{ m | tojson }}{% endfor %}{{ messages | tojson(indent=2) }}"
         "{{ messages[-1].content }}",
    documents="{% if documents is defined %}defined{% endif %}{{ documents }}{{ tools }}"
              "{% for m in messages %}{{ m.content }}{% endfor %}",
    specials="{{ bos_token }}|{{ eos_token }}|{{ pad_token }}|{{ unk_token is defined }}"
             "{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}",
    blocks="{% for m in messages %}\n  {% if true %}\n{{ m.role }}: {{ m.content }}\n  {% endif %}\n{% endfor %}",
    trims="{% for m in messages %}{{ m.content | trim }}{% endfor %}{% if add_generation_prompt %}>{% endif %}",
)
CHAT = [dict(role='system', content='a<b & "c"'), dict(role='user', content=' Say it 🙂 '),
        dict(role='assistant', content='It is ')]

@pytest.mark.parametrize('name', TEMPLATES)
def test_templates_read_as_transformers_reads_them(gguf, student, monkeypatch, name):
    monkeypatch.setattr(gguf, 'template', TEMPLATES[name])
    monkeypatch.setattr(student.tokenizer, 'chat_template', TEMPLATES[name])
    render = student.tokenizer.apply_chat_template
    for values in ({}, dict(documents=[dict(title='t', text='x')], tools=[dict(name='f<')], other=1)):
        assert gguf.chat_text(CHAT, **values)==render(CHAT, tokenize=False, add_generation_prompt=True, **values)
        assert (gguf.chat_text(CHAT, False, **values)
                ==render(CHAT, tokenize=False, continue_final_message=True, **values))
    assert list(gguf.chat(CHAT))==list(render(CHAT, add_generation_prompt=True, return_dict=False))

def test_what_a_template_refuses_is_one_clear_error(gguf, monkeypatch):
    for template,says in (("{{ raise_exception('no system') }}", 'refuses: no system'), ('{% if %}', 'refuses'),
                          ('{{ 1/0 }}', 'refuses: division by zero'),
                          ('{{ messages[9].content.x }}', 'refuses'), ('{{ [].pop() }}', 'refuses'),
                          ('', 'has no chat template')):
        monkeypatch.setattr(gguf, 'template', template)
        with pytest.raises(ModelError, match=says): gguf.chat(CHAT)
    monkeypatch.setattr(gguf, 'template', 'x')
    with pytest.raises(ModelError, match='no messages'): gguf.chat([])
