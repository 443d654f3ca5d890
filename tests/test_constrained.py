"Output held to a language on every runtime: masks, forced tokens, going back, ends, kept mass."
import json
import numpy as np
import pytest
import torch
from decodelab.backends import Choices, DeadEnd, Sampling, load
from decodelab.backends.decoding import Masks, decode, job_for, speculate, width
from decodelab.backends.toy import Toy
from decodelab.core.errors import BadValue, ModelError
from decodelab.schema import compile, constrain
from decodelab.schema.tokens import KEPT, tokens_of

SHAPE = dict(type='object', additionalProperties=False, required=['answer', 'why'],
             properties=dict(answer=dict(enum=['yes', 'no', 'perhaps']), why=dict(type='string', maxLength=12)))
LIST = dict(type='array', items=dict(type='integer', minimum=0, maximum=99), minItems=1, maxItems=4)

def objects(n):
    "n different schemas, each with a name of its own."
    return [dict(type='object', additionalProperties=False, required=[f'k{i}', 'n'],
                 properties={f'k{i}': dict(enum=['a', f'b{i}']), 'n': dict(type='integer', minimum=0, maximum=i+1)})
            for i in range(n)]

@pytest.fixture(scope='module')
def smol(): return load('hf:smollm2')

def unforced(monkeypatch):
    "Every token drawn, none taken along."
    monkeypatch.setattr('decodelab.backends.decoding.width', lambda *a: 0)

def bits_of(matcher, vocab_size):
    from decodelab.schema.constraints import executor
    from llguidance.numpy import fill_next_token_bitmask_par
    bits = np.zeros((1, -(-vocab_size//32)), np.int32)
    fill_next_token_bitmask_par(executor(), [(matcher.state, 0)], bits)
    return np.flatnonzero(np.unpackbits(bits.view(np.uint8), bitorder='little')).tolist()

def test_masks_allow_every_way_to_cut_a_text(smol):
    "Against llguidance's own check of each token by itself: forced text too may be cut as the model likes."
    matcher, pieces = constrain(smol, SHAPE).start(), smol.token_bytes()
    for token in (*smol.encode('{"answer": "yes", "why": "so'),):
        allow = bits_of(matcher, smol.vocab_size)
        one_by_one = [t for t in range(smol.vocab_size) if pieces[t] and matcher.state.validate_tokens([t])==1]
        assert allow==one_by_one
        matcher.accept([token])

@pytest.mark.parametrize('temperature', [1., .7])
@pytest.mark.parametrize('which', ['student', 'smol'])
def test_forced_tokens_change_nothing(which, temperature, request, monkeypatch):
    "The same tokens, log-probabilities and kept mass as drawing every token, in fewer passes."
    model = request.getfixturevalue(which)
    passes = []
    session = type(model.session([(1,)]))
    step, extend = session.step, session.extend
    def counted(self, x, how):
        passes.append(1)
        return how(self, x)
    monkeypatch.setattr(session, 'step', lambda self, x: counted(self, x, step))
    monkeypatch.setattr(session, 'extend', lambda self, x: counted(self, x, extend))
    prompts = [model.encode(f'Question {i}: is it so? Answer: ') for i in range(4)]
    plans = [Sampling(constraint=constrain(model, s), max_tokens=40, seed=i+20, temperature=temperature)
             for i,s in enumerate([SHAPE, LIST, SHAPE, objects(3)[2]])]
    ours, few = model.sample(prompts, plans), len(passes)
    passes.clear()
    unforced(monkeypatch)
    model.usage.reset()
    plain = model.sample(prompts, plans)
    assert model.usage.decoded==sum(len(s.ids) for s, in plain)
    assert few < len(passes) or which=='smol'
    for (a,),(b,) in zip(ours, plain):
        assert a.ids==b.ids and a.finish==b.finish and a.text==b.text
        assert np.abs(a.logprobs-b.logprobs).max() < 1e-4
        for name in ('kept', 'log_weight'): assert np.abs(a.notes[name]-b.notes[name]).max() < 1e-4

def test_kept_mass_and_weights_are_plain_sums(student):
    "Of every token, the forced ones and the end among them, from the distributions themselves."
    prompt, temperature = student.encode('Q: '), 1.5
    for i,schema in enumerate([SHAPE, LIST]):
        grammar = constrain(student, schema)
        plan = Sampling(constraint=grammar, max_tokens=80, seed=i, temperature=temperature)
        s, = student.sample([prompt], plan)[0]
        assert s.finish=='eos' and json.loads(s.text) is not None
        rows = student.next_logprobs([(*prompt, *s.ids[:t]) for t in range(len(s.ids))]).astype(np.float64)
        matcher = grammar.start()
        for t,(row,x) in enumerate(zip(rows, s.ids)):
            allow = bits_of(matcher, student.vocab_size)
            hot = row/temperature - np.logaddexp.reduce(row/temperature)
            assert abs(np.logaddexp.reduce(row[allow])-s.notes['kept'][t]) < 1e-5
            assert abs(np.logaddexp.reduce(hot[allow])-s.notes['log_weight'][t]) < 1e-5
            assert abs(row[x]-s.logprobs[t]) < 1e-5
            if x not in student.eos_ids: matcher.accept([x])
        assert matcher.complete

def test_weights_are_left_out_where_a_filter_cuts(student):
    held = dict(constraint=constrain(student, LIST), max_tokens=20)
    for cut in (dict(top_p=.9), dict(top_k=5), dict(min_p=.1), dict(temperature=0)):
        s, = student.sample([(65,)], Sampling(**held, **cut))[0]
        assert 'log_weight' not in s.notes and len(s.notes['kept'])==len(s.ids)
    s, = student.sample([(65,)], Sampling(**held))[0]
    assert np.array_equal(s.notes['kept'], s.notes['log_weight'])

def test_a_tiny_mass_is_exact():
    "Rows whose allowed tokens have 1e-30, whose forbidden ones have next to nothing, and all between."
    from decodelab.backends import mask
    from decodelab.backends.drawing import masked_there
    rng, size = np.random.default_rng(0), 49_152
    for shift in (-69., -40., -3., 0., 3., 40.):
        for share in (.0003, .4, .6, .9997):
            allow = rng.random(size) < share
            logits = torch.tensor(rng.normal(size=(1, size))*3) + torch.tensor(np.where(allow, shift, 0.))[None]
            logp = torch.log_softmax(logits, -1).float()
            bits = np.packbits(allow, bitorder='little').view(np.int32)[None]
            want = torch.logsumexp(logp[0,torch.tensor(allow)].double(), -1).clamp(max=0)
            for rows,kept in (mask(logp, bits), masked_there(logp, bits)):
                assert abs(kept[0]-want) < 1.5e-6, (shift, share)
                assert abs(torch.logsumexp(rows[0].double(), -1)) < 2e-6
                assert torch.equal(torch.isneginf(rows[0]), torch.tensor(~allow))

def test_64_schemas_are_one_batch_and_one_parallel_call(student, monkeypatch):
    from decodelab.schema.constraints import Grammar
    calls, fill = [], Grammar.fill
    def counted(self, matchers, rows, bits):
        calls.append(len(matchers))
        fill(self, matchers, rows, bits)
    monkeypatch.setattr(Grammar, 'fill', counted)
    plans = [Sampling(constraint=constrain(student, s), max_tokens=60, seed=i) for i,s in enumerate(objects(64))]
    out = student.sample([student.encode('Q: ')]*64, plans)
    assert calls[0]==64 and len(calls) <= max(len(s.ids) for s, in out)
    for i,(s,) in enumerate(out):
        found = json.loads(s.text)
        assert s.finish=='eos' and list(found)==[f'k{i}', 'n'] and found[f'k{i}'] in ('a', f'b{i}')
        assert 0 <= found['n'] <= i+1

def test_one_grammar_for_a_language_and_a_tokenizer(student, smol):
    again = load('reference:student', device='cpu')
    a, b = constrain(student, SHAPE), constrain(again, json.dumps(SHAPE))
    assert a==b and a is b and hash(a)==hash(b) and a.grammar==compile(SHAPE).grammar
    assert constrain(smol, SHAPE)!=a and constrain(student, LIST)!=a
    for n in range(KEPT+1): tokens_of(Toy.random('ab$'+'cdefghij'[:n], seed=n)) # more than are held for nobody
    assert tokens_of(load('reference:student', device='cpu'))[1] is tokens_of(student)[1]

def test_a_model_is_not_kept_alive_by_its_tokenizer():
    import gc, weakref
    model = load('reference:student', device='cpu')
    constrain(model, SHAPE)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None

def walk(grammar, model, rng, length):
    "A matcher that took random tokens, and which."
    matcher, ids = grammar.start(), []
    for _ in range(length):
        allow = [t for t in bits_of(matcher, model.vocab_size) if t not in model.eos_ids]
        if not allow: break
        ids.append(int(rng.choice(allow)))
        matcher.accept(ids[-1:])
    return matcher, ids

@pytest.mark.parametrize('which', ['student', 'smol'])
def test_matchers_go_back_and_part_as_fresh_ones(which, request):
    "200 random walks with steps back, forks, errors and ends, each against a matcher that took what is left."
    model, rng = request.getfixturevalue(which), np.random.default_rng(0)
    grammars = [constrain(model, s) for s in (SHAPE, LIST, *objects(2))]
    for case in range(200):
        grammar = grammars[case%len(grammars)]
        matcher, ids = walk(grammar, model, rng, int(rng.integers(0, 40)))
        other = matcher.fork()
        if rng.random() < .3:
            bad = next(t for t in range(65, model.vocab_size) if t not in bits_of(matcher, model.vocab_size))
            with pytest.raises(ModelError): matcher.accept([bad])
            bits = np.zeros((1, -(-model.vocab_size//32)), np.int32)
            with pytest.raises(ModelError, match='schema'): grammar.fill([matcher], [0], bits)
            assert not matcher.done and not matcher.complete
            matcher.rewind(1)
        back = int(rng.integers(0, len(ids)+1))
        matcher.rewind(back)
        fresh = grammar.start()
        fresh.accept(ids[:len(ids)-back])
        for a,b in ((matcher, fresh), (other, walk_of(grammar, ids))):
            assert bits_of(a, model.vocab_size)==bits_of(b, model.vocab_size)
            assert (a.done, a.complete, a.forced())==(b.done, b.complete, b.forced())
    with pytest.raises(BadValue): grammar.start().rewind(1)

def walk_of(grammar, ids):
    matcher = grammar.start()
    matcher.accept(ids)
    return matcher

@pytest.mark.parametrize('which', ['student', 'smol'])
def test_forced_tokens_are_those_whose_bit_is_the_only_one(which, request):
    model, rng, seen = request.getfixturevalue(which), np.random.default_rng(1), 0
    for case in range(60):
        schema = (SHAPE, LIST, *objects(4))[case%6]
        matcher, _ = walk(constrain(model, schema), model, rng, int(rng.integers(0, 30)))
        forced = matcher.forced()
        seen += len(forced)
        for token in forced:
            assert bits_of(matcher, model.vocab_size)==[token]
            matcher.accept([token])
        after = bits_of(matcher, model.vocab_size)
        assert len(after)!=1 or after[0] in model.eos_ids
    assert seen

def test_a_cut_object_is_truncated_and_nothing_is_pretended(student, smol):
    schema = dict(type='object', properties=dict(n=dict(type='integer'), text=dict(type='string')),
                  required=['n', 'text'], additionalProperties=False)
    for model in (student, smol):
        s, = model.sample([model.encode('Tell me: ')], Sampling(constraint=constrain(model, schema), max_tokens=12))[0]
        assert s.finish=='length' and len(s.ids)==12==len(s.logprobs)==len(s.notes['kept'])
        with pytest.raises(json.JSONDecodeError): json.loads(s.text)
        assert s.text==model.decode(s.ids)

def test_one_value_with_flexible_spaces_is_no_flood(student, smol):
    schema = dict(type='object', properties=dict(a=dict(enum=['only'])), required=['a'], additionalProperties=False)
    for model in (student, smol):
        plans = [Sampling(constraint=constrain(model, compile(schema, separators='flexible')), max_tokens=limit, seed=i)
                 for i in range(4) for limit in (12, 120)]
        for plan,(s,) in zip(plans, model.sample([model.encode('Q')]*8, plans)):
            assert s.text.count('\n') <= 4 and s.finish==('eos' if s.ids[-1] in model.eos_ids else 'length')
            if plan.max_tokens==120: assert json.loads(s.text)==dict(a='only')

def test_stop_strings_do_not_cut_and_stop_tokens_end_a_complete_text_only(student):
    grammar, newline = constrain(student, dict(const='a1b')), student.encode('1')[0]
    plan = Sampling(constraint=grammar, max_tokens=30, stop=('1', 'b'), stop_ids=(newline,))
    for seed in range(6):
        s, = student.sample([student.encode('Q')], Sampling(**vars(plan) | dict(seed=seed)))[0]
        assert s.text=='"a1b"' and s.finish=='eos' and s.ids[-1] in (newline, *student.eos_ids)
    after = student.next_logprobs([(*student.encode('Q'), *s.ids[:-1])])[0]
    ends = np.logaddexp.reduce(after[[newline, *student.eos_ids]])
    assert abs(s.notes['kept'][-1]-ends) < 1e-5

def test_streams_say_what_samples_say(student, smol):
    for model in (student, smol):
        plan = Sampling(constraint=constrain(model, SHAPE), max_tokens=60, seed=3)
        prompt = model.encode('Why? ')
        pieces = list(model.stream(prompt, plan))
        assert ''.join(pieces)==model.sample([prompt], plan)[0][0].text and len(pieces) > 5
        half = model.stream(prompt, plan)
        next(half)
        half.close()

def test_a_dead_end_names_language_place_and_text():
    toy = Toy.from_table(['a', 'b', '$'], {'': {'a': 1.}, 'a': {'a': .5, '$': .5}, 'aa': {'$': 1.}})
    words = Choices((toy.encode('ab'),), toy.eos_ids)
    with pytest.raises(DeadEnd, match=r"1 choices: allows no token .* 1 tokens on, after 'a'"):
        toy.sample([()], Sampling(constraint=words))

def test_bytes_that_no_token_has_are_named_before_decoding():
    toy = Toy.random('ab"$')
    with pytest.raises(ModelError, match=r"0x7b.*'\{'.*schema"): constrain(toy, SHAPE)
    with pytest.raises(ModelError, match='0xc3'): constrain(toy, dict(const='é'))
    grammar = constrain(toy, dict(enum=['ab', 'ba', 'b']))
    assert {s.text for s, in toy.sample([(0,)]*20, [Sampling(constraint=grammar, seed=i) for i in range(20)])} <= {
        '"ab"', '"ba"', '"b"'}

def test_columns_are_added_where_they_are_worth_it():
    assert width([(1,2,3)], 100, 'padded')==3 and width([(1,2,3), ()], 100, 'even')==0
    assert width([(1,2,3), (1,)], 100, 'even')==1 and width([(1,)]*9+[()]*91, 100, 'padded')==0
    assert width([(1,2,3)]*64, 49_152, 'padded') <= 2 and width([(1,)], 100, 'single')==0

def test_masks_filled_ahead_are_for_their_place_only(student):
    job = job_for(student, (65,), Sampling(constraint=constrain(student, LIST)))
    masks = Masks()
    job.note(student.encode('[')[0], 0., 0., 0.)
    job.matcher.accept(job.ids)
    masks.ahead([job], [()], student.vocab_size)
    right = masks.of([job], student.vocab_size)
    masks.wait()
    job.matcher.rewind(1)
    job.ids.clear()
    assert masks.of([job], student.vocab_size)!=right

@pytest.mark.parametrize('k', [0, 1, 4])
def test_speculation_under_a_mask_is_the_target_s_own_text(student, k):
    teacher, prompt = load('reference:teacher', device='cpu'), student.encode('Q: ')
    plans = [Sampling(constraint=constrain(student, SHAPE), max_tokens=50, seed=i) for i in range(1)]
    plain, = teacher.sample([prompt], plans[0])[0]
    job = job_for(teacher, prompt, plans[0])
    with student.session([prompt]) as draft, teacher.session([prompt]) as target:
        for _ in speculate(draft, target, [job], k): pass
    ours = job.sample()
    assert ours.ids==plain.ids and ours.finish==plain.finish
    assert np.abs(ours.notes['kept']-plain.notes['kept']).max() < 1e-4

def test_an_abandoned_loop_leaves_no_thread_with_its_matchers(student):
    job = job_for(student, (65,), Sampling(constraint=constrain(student, SHAPE), max_tokens=30))
    with student.session([(65,)]) as session:
        loop = decode(session, [job])
        for _ in range(3): next(loop)
        loop.close()
    job.matcher.rewind(len(job.matcher.ids))
    assert job.matcher.forced()

@pytest.fixture(scope='module', params=['gguf', 'mlx', 'vllm'])
def runtime(request):
    "The reference student on another runtime."
    pytest.importorskip(dict(gguf='llama_cpp', mlx='mlx_lm', vllm='vllm')[request.param])
    model = load(f'{request.param}:reference:student')
    yield model
    model.close()

def test_other_runtimes_draw_what_transformers_draws(runtime, student):
    "64 different schemas in one batch: the same documents, kept mass and weights, on the same weights."
    schemas = [*objects(60), SHAPE, LIST, dict(const='x'), dict(type='boolean')]
    prompt = student.encode('Q: ')
    assert runtime.encode('Q: ')==prompt
    plans = [[Sampling(constraint=constrain(m, s), max_tokens=40, seed=i, temperature=1.2)
              for i,s in enumerate(schemas)]
             for m in (runtime, student)]
    ours, theirs = (m.sample([prompt]*64, p) for m,p in zip((runtime, student), plans))
    alike = [a.ids==b.ids and a.finish==b.finish for (a,),(b,) in zip(ours, theirs)]
    assert sum(alike) >= 63 # a float's near tie
    for (a,),(b,),same in zip(ours, theirs, alike):
        assert len(a.ids)==len(a.logprobs)==len(a.notes['kept'])==len(a.notes['log_weight'])
        if same:
            assert np.abs(a.notes['kept']-b.notes['kept']).max() < 2e-3
            assert np.abs(a.notes['log_weight']-b.notes['log_weight']).max() < 2e-3
        if a.finish=='eos': json.loads(a.text)
    assert sum(s.finish=='eos' for s, in ours) > 50

def test_other_runtimes_stream_and_count(runtime):
    plan, prompt = Sampling(constraint=constrain(runtime, SHAPE), max_tokens=60, seed=3), runtime.encode('Why? ')
    runtime.usage.reset()
    text = ''.join(runtime.stream(prompt, plan))
    assert runtime.usage.decoded > len(text) and json.loads(text)['answer'] in ('yes', 'no', 'perhaps')
    assert text==runtime.sample([prompt], plan)[0][0].text

def test_forced_tokens_change_nothing_on_other_runtimes(runtime, monkeypatch):
    prompts = [runtime.encode(f'Q{i}: ') for i in range(6)]
    plans = [Sampling(constraint=constrain(runtime, s), max_tokens=40, seed=i)
             for i,s in enumerate([SHAPE, LIST, *objects(4)])]
    ours = runtime.sample(prompts, plans)
    unforced(monkeypatch)
    for (a,),(b,) in zip(ours, runtime.sample(prompts, plans)):
        assert a.ids==b.ids and a.finish==b.finish and np.abs(a.notes['kept']-b.notes['kept']).max() < 2e-3

def test_remembering_changes_nothing(student):
    prompts = [student.encode(f'Q{i}: ') for i in range(4)]
    plans = [Sampling(constraint=constrain(student, SHAPE), max_tokens=40, seed=i) for i in range(4)]
    plain = student.sample(prompts, plans)
    with student.remembering(): kept = [student.sample(prompts, plans) for _ in range(2)]
    for again in kept: assert [s.ids for s, in again]==[s.ids for s, in plain]

def test_vllm_takes_back_what_preemption_undoes(student):
    pytest.importorskip('vllm')
    from decodelab.backends.vllm_hook import take_back
    plan = Sampling(constraint=constrain(student, SHAPE), max_tokens=90, seed=1)
    s, = student.sample([(65,)], plan)[0]
    job, fresh = (job_for(student, (65,), plan) for _ in range(2))
    for i,x in enumerate(s.ids): job.take(x, s.logprobs[i], s.notes['kept'][i], 0.)
    for i,x in enumerate(s.ids[:9]): fresh.take(x, s.logprobs[i], s.notes['kept'][i], 0.)
    assert job.finish=='eos'
    take_back(job, 9)
    assert job.finish is None and job.ids==fresh.ids and len(job.kept)==len(job.weights)==9
    assert bits_of(job.matcher, student.vocab_size)==bits_of(fresh.matcher, student.vocab_size)

@pytest.fixture(scope='module')
def made_up(tmp_path_factory):
    "A small model with random weights, as a folder."
    from transformers import LlamaConfig, LlamaForCausalLM
    from decodelab.backends.shipped import tokenizer
    torch.manual_seed(0)
    config = LlamaConfig(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
                         vocab_size=300, num_key_value_heads=2, max_position_embeddings=1024, bos_token_id=None,
                         eos_token_id=261, pad_token_id=256)
    folder = tmp_path_factory.mktemp('made_up')
    LlamaForCausalLM(config).float().save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return load(f'hf:{folder}', device='cpu')

def check_documents(model, each):
    import pathlib
    from decodelab.lab.schema_bench import schemas_in, validity
    schemas = schemas_in(str(pathlib.Path(__file__).with_name('schemas_of_every_kind.py')))
    counts = validity(model, schemas, each*len(schemas), rows=256, tokens=60)
    print(counts.line(model.name))
    assert len(schemas) >= 60 and not counts.refused and not counts.wrong, counts.examples
    assert counts.valid > .3*counts.total

@pytest.mark.parametrize('which', ['made_up', 'student'])
def test_documents_are_valid_or_cut(which, request):
    "Sampled hot over schemas of every kind, each held against two validators; a padded head allows nothing."
    check_documents(request.getfixturevalue(which), 3)

def test_documents_of_other_runtimes_are_valid_or_cut(runtime):
    check_documents(runtime, 3 if 'vllm' in runtime.name else 1)

def test_the_bench_says_what_it_measured():
    from click.testing import CliRunner
    from decodelab.lab.cli import main
    def ran(*args): return CliRunner().invoke(main, ['bench', 'schema', *args])
    given = ('--rows', '1,4', '--rounds', '1', '--tokens', '8', '--shape', 'choice')
    out = ran('--backend', 'reference:student', *given).output
    assert out.count('constrained/free')==2 and 'mask p50' in out and 'xgrammar' in out and 'covered of' in out
    for args,names in ((('--rows', 'x'), 'rows'), (('--shape', 'strngs'), 'strings'), (('--backend', 'nope:x'), 'nope'),
                       (('--backend', 'reference:student', '--no-peers', '--validity', '4', '--schemas', 'no'), 'no')):
        bad = ran(*args)
        assert bad.exit_code==2 and names in bad.output+(bad.stderr or ''), bad.output
    out = ran('--backend', 'reference:student', '--validity', '40').output
    assert '40 documents' in out and '0 otherwise' in out

def test_a_constraint_is_held_by_the_model_that_it_was_made_for(student, smol):
    "Masks of another tokenizer are refused before decoding, also behind reasoning; what is none says how to make one."
    from decodelab.schema.reasoning import reasoned
    for held in (constrain(student, LIST), reasoned(student, LIST, marker='=')):
        with pytest.raises(BadValue, match='student.*smollm2'): smol.sample([(1,)], Sampling(constraint=held))
    for given in ('integer', LIST, compile(LIST)):
        with pytest.raises(BadValue, match=r'constrain\(model'): student.sample([(65,)], Sampling(constraint=given))
    with pytest.raises(BadValue, match='load'): constrain('reference:student', LIST)
