"Generations held to a schema under lm-eval: its own Transformers class, our adapter, tasks, caches, the command."
import json, logging, os, subprocess, sys
import numpy as np
import pytest
from conftest import BIN, ROOT

os.environ |= dict(HF_HUB_OFFLINE='1', TOKENIZERS_PARALLELISM='false')
pytestmark = pytest.mark.usefixtures('data_sets')
STUDENT = ROOT/'pkg'/'decodelab'/'models'/'student'
TASKS = ROOT/'tests'/'tasks'
ANSWER = dict(type='object', properties=dict(answer=dict(type='integer', minimum=0, maximum=999)), required=['answer'],
              additionalProperties=False)
TEXT = json.dumps(ANSWER)
WHERE = dict(pretrained=str(STUDENT), dtype='float32', device='cpu')
CHAT = '<|question|>a=3. b=a+4. b=?<think>'

def constrained(**kw):
    from decodelab.evaluation import SchemaConstrainedLM
    return SchemaConstrainedLM(**(WHERE | dict(batch_size=4) | kw))

def hflm(**kw):
    from lm_eval.models.huggingface import HFLM
    return HFLM(**(WHERE | dict(batch_size=4) | kw))

def adapter(student, **kw):
    from decodelab.evaluation.lmeval.adapter import Decodelab
    return Decodelab(backend=student, **kw)

def generate(lm, contexts, **kw):
    from lm_eval.api.instance import Instance
    kw = dict(max_gen_toks=40, until=['\n']) | kw
    requests = [Instance('generate_until', {}, (c, kw), i) for i,c in enumerate(contexts)]
    return lm.generate_until(requests, disable_tqdm=True)

def records(texts): return [t.trace for t in texts]

@pytest.fixture(scope='module')
def lm(): return constrained(response_schema=ANSWER)

@pytest.fixture(scope='module')
def plain(): return constrained()

# Names

def test_names_are_registered_and_nothing_is_imported_for_them():
    code = '''import sys, decodelab.evaluation
from decodelab.evaluation.lmeval.names import register
register()
from lm_eval.api.registry import model_registry
assert {'schema_constrained', 'schema-constrained-llm'} <= set(model_registry)
assert 'torch' not in sys.modules and 'decodelab.evaluation.constrained' not in sys.modules
from decodelab.evaluation import SchemaConstrainedLM
from lm_eval.models.huggingface import HFLM
assert issubclass(SchemaConstrainedLM, HFLM)
from lm_eval.api.registry import get_model
assert get_model('schema_constrained') is get_model('schema-constrained-llm') is SchemaConstrainedLM'''
    subprocess.run([sys.executable, '-c', code], check=True)

# Agreement: without a schema it is lm-eval's own class

@pytest.fixture(scope='module')
def three(plain, lm, data_sets):
    "Samples of local tasks: HFLM, ours without a schema, ours with one."
    from decodelab.evaluation.lmeval.agreement import answers, local_tasks
    out = []
    for m in (hflm(), plain, lm):
        found = {}
        for chat in (False, True):
            tasks = [t for t in local_tasks(TASKS, ROOT) if ('chat' in t['task'])==chat]
            found |= answers(m, tasks, chat)
        out.append(found)
    return out

def test_without_a_schema_every_request_is_answered_as_by_hflm(three):
    theirs, ours, _ = three
    assert set(theirs)==set(ours) and len(ours)==9
    for task,samples in theirs.items():
        assert [s['resps'] for s in samples]==[s['resps'] for s in ours[task]], task
        assert [s['arguments'] for s in samples]==[s['arguments'] for s in ours[task]]
        for metric in samples[0]['metrics']: assert [s[metric] for s in samples]==[s[metric] for s in ours[task]]

def test_likelihoods_do_not_depend_on_a_schema(three):
    theirs, _, ours = three
    for task,samples in theirs.items():
        if 'generate' in task: continue
        assert [s['resps'] for s in samples]==[s['resps'] for s in ours[task]], task

def test_under_a_schema_every_generation_is_a_document(three):
    import jsonschema_rs
    from jsonschema import Draft202012Validator
    texts = [r for task in ('local_generate', 'local_chat_generate') for s in three[2][task] for r in s['resps'][0]]
    assert len(texts) >= 24
    for text in texts:
        assert jsonschema_rs.is_valid(ANSWER, json.loads(text))
        assert Draft202012Validator(ANSWER).is_valid(json.loads(text))
        assert text==json.dumps(json.loads(text)) and text.trace['status']=='valid' and text.trace['kept'] <= 0

def test_a_likelihood_task_with_a_schema_is_told_once(lm, caplog):
    from lm_eval.api.instance import Instance
    lm._said = False
    with caplog.at_level(logging.WARNING):
        for _ in range(2): lm.loglikelihood([Instance('loglikelihood', {}, ('a', 'b'), 0)], disable_tqdm=True)
    assert sum('only generated texts are held' in r.message for r in caplog.records)==1

# Modes

def test_the_adapter_and_hflm_write_the_same(lm, student):
    contexts = [CHAT, '1+1=', 'x', '']
    ours = adapter(student, response_schema=ANSWER)
    a, b = generate(lm, contexts), generate(ours, contexts)
    assert a==b and all(r['status']=='valid' for r in records(a))
    np.testing.assert_allclose([r['kept'] for r in records(a)], [r['kept'] for r in records(b)], atol=1e-3)
    assert generate(adapter(student), contexts, response_schema=TEXT)==a # the same among a generation's arguments
    assert generate(ours, contexts, regex='[a-z]{3}')[0] not in a # and above the model's

def test_what_is_free_is_what_hflm_writes_and_is_checked(plain):
    from decodelab.evaluation import SchemaConstrainedLM
    free = generate(plain, [CHAT, 'x'], response_schema=TEXT, mode='validate')
    assert free==generate(plain, [CHAT, 'x']) and all(r['status']!='valid' and r['reason'] for r in records(free))
    class Speaks(SchemaConstrainedLM):
        "Says what it is told to."
        def _model_generate(self, context, max_length, stop, **kw):
            import torch
            told = self.tokenizer(['Sure:\n```json\n{"answer":   7}\n```', 'no {"answer": "x"}'], padding=True,
                                  return_tensors='pt').input_ids
            return torch.cat([context, told], 1)
    said = generate(Speaks(**WHERE, batch_size=2, response_schema=ANSWER, mode='validate'), ['a', 'b'], until=[])
    assert said[0]=='{"answer":   7}' and records(said)[0]['status']=='valid' # raw, as it was written
    assert said[1]=='no {"answer": "x"}' and records(said)[1]['status'] in ('invalid', 'none') # as generated, no ERROR
    assert not any(t.startswith('ERROR') for t in said)

def test_stops_do_not_cut_a_document(lm):
    for until in (['}'], ['{'], ['"', '\n'], ['answer']): assert generate(lm, [CHAT], until=until)==generate(lm, [CHAT])

def test_a_document_that_is_cut_off_says_so(lm):
    text, = generate(lm, [CHAT], max_gen_toks=6)
    assert text=='{"answ' and text.trace['status']=='truncated' and lm.validity.asdict()['truncated']==1

def test_thinking_comes_first_and_stops_do_not_hold_there(lm, student):
    from decodelab.tasks.data import load_questions
    questions = load_questions('reference:json', 8, 5, 0.)
    chats = [lm.apply_chat_template([dict(role='user', content=q.text)]) for q in questions]
    assert '\n' in generate(hflm(), chats[:1], max_gen_toks=200, until=['</think>'])[0]
    for m in (lm, adapter(student, response_schema=ANSWER)):
        for mark in ('<|answer|>', True):
            texts = generate(m, chats, max_gen_toks=200, reason_first=mark)
            assert sum(t==q.answer for t,q in zip(texts, questions)) >= 7
            assert all(r['thinking'] > 8 and r['status']=='valid' for r in records(texts))
        hurried = generate(m, chats, max_gen_toks=60, reason_first=True, max_reasoning_tokens=4)
        assert all(r['status']=='valid' and r['forced_mark'] and r['thinking'] < 30 for r in records(hurried))
        never, = generate(m, chats[:1], max_gen_toks=3, reason_first=True)
        assert never.trace['status']=='truncated' and never.trace['keyword']=='thinking'
    own = constrained(response_schema=ANSWER, think_end_token='<|answer|>')
    assert generate(own, chats, max_gen_toks=200)==texts
    assert generate(own, chats, max_gen_toks=200, reason_first=False)==generate(lm, chats, max_gen_toks=200)

def test_fields_are_passed_on(lm):
    text, = generate(lm, [CHAT])
    field, = generate(lm, [CHAT], answer_field='answer')
    pointed, = generate(lm, [CHAT], answer_field='/answer')
    assert field==pointed==str(json.loads(text)['answer']) and field.trace['document']==text

def test_samples_are_drawn_by_seed_and_repeats_differ(lm, student):
    import torch
    hot = dict(do_sample=True, temperature=2., max_gen_toks=60)
    torch.manual_seed(1234)
    a, again = generate(lm, [CHAT]*6, **hot), generate(lm, [CHAT]*6, **hot)
    assert a==again and len(set(a)) >= 5
    assert generate(lm, ['x', CHAT, CHAT], **hot)[1:]==a[:2] # company does not matter
    assert generate(adapter(student, response_schema=ANSWER), [CHAT]*6, **hot)==a
    torch.manual_seed(5)
    assert generate(lm, [CHAT]*6, **hot)!=a and generate(lm, [CHAT]*6, seed=1234, **hot)==a

def test_exact_samples_follow_the_model(plain, student):
    "Against the model's own probabilities of the three texts that are allowed."
    from scipy.stats import chisquare
    n, context = 300, '1+1='
    texts = generate(plain, [context]*n, choices='1|2|3', mode='exact', do_sample=True, temperature=1., seed=2)
    ids = tuple(plain.tok_encode(context))
    logps = [s.logprob for s in student.score([(ids, (*student.encode(c), student.eos_ids[0])) for c in '123'])]
    p = np.exp(logps)/np.exp(logps).sum()
    assert chisquare([texts.count(c) for c in '123'], p*n).pvalue > .001
    assert all(r['tries'] >= 1 for r in records(texts))

def test_exact_is_not_greedy(plain, student):
    from decodelab.core.errors import BadValue
    for m in (plain, adapter(student)):
        with pytest.raises(BadValue, match='do_sample=true,temperature=1'):
            generate(m, ['1+1='], choices='1|2', mode='exact')

def test_a_schema_for_each_question(plain):
    from lm_eval.api.instance import Instance
    docs = [dict(s=dict(enum=[i])) for i in range(4)] + [dict(s=json.dumps(dict(type='boolean'))), dict(s=None)]
    args = ('1+1=', dict(max_gen_toks=9, schema_column='s'))
    requests = [Instance('generate_until', d, args, i) for i,d in enumerate(docs)]
    out = plain.generate_until(requests, disable_tqdm=True)
    assert out[:4]==['0', '1', '2', '3'] and out[4] in ('true', 'false')
    assert out[5]==generate(plain, ['1+1='], max_gen_toks=9, until=[])[0] # no schema, as always

# Other ways to say what is allowed

def test_grammar_files_by_the_names_of_lm_evals_pull_request(plain, tmp_path):
    import re
    texts = {'json': r'\{"answer": \d+\}', 'regex': '[a-c]{2,4}', 'gbnf': 'yes|no', 'lark': 'maybe'}
    files = {'json': TEXT, 'regex': '[a-c]{2,4}\n', 'gbnf': 'root ::= "yes" | "no"\n', 'lark': 'start: "maybe"'}
    for kind,text in files.items():
        (tmp_path/kind).write_text(text)
        found, = generate(plain, ['x'], grammar_file_path=str(tmp_path/kind), grammar_type=kind)
        assert found.trace['status']=='valid', (kind, found.trace)
        assert re.fullmatch(texts[kind], found)
    assert generate(plain, ['x'], choices=['only'])==['only']

def test_a_pydantic_class(plain, tmp_path, monkeypatch):
    code = 'from pydantic import BaseModel\nclass Sum(BaseModel):\n    total: bool\n'
    (tmp_path/'shapes_of_test.py').write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    text, = generate(plain, ['x'], schema_model='shapes_of_test:Sum')
    assert json.loads(text).keys()=={'total'} and text.trace['status']=='valid'
    field, = generate(plain, ['x'], schema_model='shapes_of_test:Sum', answer_field='total')
    assert field in ('true', 'false')

# Mistakes, before a model is loaded

NOWHERE = dict(pretrained='/no/such/folder')
@pytest.mark.parametrize('args,words', [
    (dict(response_schema='/no/such/file.json'), 'file'),
    (dict(response_schema='{"type": '), 'JSON'),
    (dict(response_schema=dict(type='objekt')), 'objekt'),
    (dict(response_schema=ANSWER, schema_model='a.b:C'), 'response_schema and schema_model'),
    (dict(response_schema=ANSWER, regex='a'), 'response_schema and regex'),
    (dict(response_schema=ANSWER, mode='constrain!'), "Did you mean 'constrain'"),
    (dict(response_schema=ANSWER, separators='none'), 'separators'),
    (dict(response_schema=ANSWER, strict='perhaps'), 'strict'),
    (dict(response_schema=ANSWER, tries=0), 'tries'),
    (dict(response_schema=ANSWER, answer_field='anser'), "Did you mean 'answer'"),
    (dict(schema_model='no_such_package.shapes:Sum'), 'no_such_package'),
    (dict(response_schema={'$ref': 'https://example.com/s.json'}), 'ref'),
    (dict(response_scheme=ANSWER), "Did you mean 'response_schema'"),
    (dict(shema_model='a:B'), "Did you mean 'schema_model'"),
    (dict(response_schema=3), 'response_schema'),
    (dict(grammar_file_path='x'), 'grammar_type'),
    (dict(grammar_type='json'), 'grammar_file_path'),
    (dict(response_schema=ANSWER, reason_first=''), 'reason_first'),
    (dict(choices='A||B'), 'choices'),
    (dict(schema_model='answers'), 'package.module:Class'),
], ids=str)
def test_mistakes(args, words):
    from decodelab.core.errors import DecodelabError
    from decodelab.evaluation import SchemaConstrainedLM
    from decodelab.evaluation.lmeval.adapter import DecodelabHF
    for cls in (SchemaConstrainedLM, DecodelabHF):
        with pytest.raises(DecodelabError, match=words) as e: cls(**NOWHERE, **args)
        assert 'no/such/folder' not in str(e.value)

@pytest.mark.parametrize('given', [dict(answer_field='answer'), dict(mode='validate'), dict(reason_first=True)])
def test_arguments_about_no_schema(plain, student, given):
    from decodelab.core.errors import BadValue
    for m in (plain, adapter(student)):
        with pytest.raises(BadValue, match='argument without a schema'): generate(m, ['x'], **given)
    with pytest.raises(BadValue, match='argument without a schema'):
        evaluated('schema_constrained', dict(pretrained='/no/such'), ['local_free'], gen_kwargs=given)
    with pytest.raises(BadValue, match='argument without a schema'):
        evaluated('schema_constrained', dict(pretrained='/no/such')|given, ['local_free'])
    off = generate(constrained(regex='[0-9]+', mode='validate'), ['1+1='], response_schema=None)
    assert off==generate(plain, ['1+1=']) # a task may do without the model's

def test_a_name_that_nobody_knows(plain):
    from decodelab.core.errors import BadValue
    with pytest.raises(BadValue, match="Did you mean 'batch_size'"): constrained(batch_sze=3)

def test_encoder_decoder_models_are_refused_before_their_weights(tmp_path):
    from transformers import AutoTokenizer, T5Config
    from decodelab.core.errors import BadValue
    config = T5Config(vocab_size=264, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    config.save_pretrained(tmp_path) # no weights
    AutoTokenizer.from_pretrained(STUDENT).save_pretrained(tmp_path)
    with pytest.raises(BadValue, match='encoder-decoder'): constrained(pretrained=str(tmp_path), response_schema=ANSWER)

def test_a_loaded_model_and_other_options(student):
    from transformers import AutoModelForCausalLM, AutoTokenizer
    m = AutoModelForCausalLM.from_pretrained(STUDENT, dtype='float32')
    t = AutoTokenizer.from_pretrained(STUDENT)
    given = constrained(pretrained=m, tokenizer=t, response_schema=ANSWER)
    short = constrained(response_schema=ANSWER, batch_size='auto', max_length=64)
    assert generate(given, [CHAT])==generate(short, [CHAT])
    half = constrained(response_schema=ANSWER, dtype='bfloat16', add_bos_token=True)
    assert half.model.dtype.itemsize==2 and records(generate(half, [CHAT]))[0]['status']=='valid'
    mixed = constrained(response_schema=ANSWER, mixed_precision_dtype='bfloat16')
    assert records(generate(mixed, [CHAT]))[0]['status']=='valid'

# Caches

def cached(lm, file, contexts=('1+1=', 'x'), **kw):
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import CachingLM
    kw = dict(max_gen_toks=40) | kw
    return CachingLM(lm, str(file)).generate_until([Instance('generate_until', {}, (c, kw), 0) for c in contexts])

def test_a_cache_is_one_models_under_one_schema(lm, plain, student, tmp_path):
    from decodelab.core.errors import BadValue
    file = tmp_path/'cache.db'
    a = cached(lm, file)
    same = constrained(response_schema=TEXT, batch_size=1)
    same._model_generate = same._drawn = None # nothing is asked of it
    again = cached(same, file)
    assert again==a and records(again)==records(a) # the record is kept too
    others = [dict(response_schema=dict(type='integer')), *(dict(response_schema=ANSWER) | more for more in (
              dict(mode='validate'), dict(reason_first=True), dict(dtype='float64')))]
    for other in (plain, *(constrained(**o) for o in others)):
        with pytest.raises(BadValue, match='a file of its own'): cached(other, file)
    cached(hflm(), tmp_path/'theirs.db')
    with pytest.raises(BadValue, match='an unknown model'): cached(plain, tmp_path/'theirs.db')
    one = adapter(student, response_schema=ANSWER)
    assert cached(one, tmp_path/'ours.db')==a==cached(one, tmp_path/'ours.db')
    with pytest.raises(BadValue, match='a file of its own'): cached(adapter(student), tmp_path/'ours.db')

def test_a_cache_knows_a_file_that_has_changed(plain, student, tmp_path):
    from decodelab.core.errors import BadValue
    file = tmp_path/'s.json'
    for k,m in enumerate((plain, adapter(student))):
        file.write_text(TEXT)
        a = cached(m, tmp_path/f'{k}.db', response_schema=str(file))
        assert cached(m, tmp_path/f'{k}.db', response_schema=str(file))==a
        file.write_text('{"type": "integer"}')
        with pytest.raises(BadValue, match='has changed'): cached(m, tmp_path/f'{k}.db', response_schema=str(file))

def test_free_answers_are_cached_as_they_were_checked(plain, tmp_path):
    a = cached(plain, tmp_path/'c.db', response_schema=TEXT, mode='validate')
    assert records(cached(plain, tmp_path/'c.db', response_schema=TEXT, mode='validate'))==records(a)
    assert cached(plain, tmp_path/'c.db')==a and not hasattr(cached(plain, tmp_path/'c.db')[0], 'trace')

def test_a_question_with_a_schema_of_its_own_has_no_cache(plain, tmp_path):
    from decodelab.core.errors import BadValue
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import CachingLM
    request = Instance('generate_until', dict(s=ANSWER), ('x', dict(schema_column='s', max_gen_toks=30)), 0)
    with pytest.raises(BadValue, match='schema_column'):
        CachingLM(plain, str(tmp_path/'c.db')).generate_until([request])

# Every runtime

@pytest.mark.parametrize('runtime', ['gguf', 'mlx', 'vllm'])
def test_other_runtimes_hold_documents_too(runtime, lm):
    from decodelab.backends import load
    from decodelab.core.errors import ModelError
    try: other = load(f'{runtime}:reference:student')
    except ModelError as e:
        assert not os.environ.get('CI') and 'not installed' in str(e), e
        pytest.skip(f'RUNTIME {runtime} IS NOT INSTALLED')
    m, contexts = adapter(other, response_schema=ANSWER), [CHAT, '1+1=', 'x']
    assert generate(m, contexts)==generate(lm, contexts)
    thought = generate(m, contexts[:1], reason_first=True, max_gen_toks=200)
    assert thought==generate(lm, contexts[:1], reason_first=True, max_gen_toks=200)
    drawn = generate(m, ['x']*3, do_sample=True, temperature=1.5, max_gen_toks=60)
    assert len(set(drawn)) > 1 and all(r['status']=='valid' for r in records(drawn))
    other.close()

class Served:
    "A model as a server shows it: no distributions, and languages by their description only."
    def __init__(self, model):
        from dataclasses import replace
        self.model, self.capabilities = model, replace(model.capabilities, full_distribution=False)
    def __getattr__(self, name): return getattr(self.model, name)
    def sample(self, prompts, plans):
        from dataclasses import replace
        from decodelab.schema.constraints import constrain
        told = [plan.constraint and json.loads(plan.constraint.grammar)['schema'] for plan in plans]
        held = [told and constrain(self.model, told) for told in told]
        return self.model.sample(prompts, [replace(p, constraint=c) for p,c in zip(plans, held)])

def test_a_server_is_told_the_language_and_thinks_in_a_request_of_its_own(student, lm):
    from decodelab.core.errors import BadValue
    served = adapter(Served(student), response_schema=ANSWER)
    chat = lm.apply_chat_template([dict(role='user', content='3a+4=? as json')])
    for kw in (dict(), dict(reason_first=True, max_gen_toks=200)):
        assert generate(served, [chat, CHAT], **kw)==generate(lm, [chat, CHAT], **kw)
    hurried, = generate(served, [chat], reason_first=True, max_reasoning_tokens=3)
    assert hurried.trace['status']=='valid' and hurried.trace['thinking']==4 # and the mark
    with pytest.raises(BadValue, match='is a server'): generate(served, [chat], mode='exact', do_sample=True)

# Scores

def test_fields_and_metrics():
    from decodelab.evaluation.lmeval.scoring import JsonField, json_validity, schema_validity
    said = ['{"answer": "B"}', 'I say ```json\n{"answer": [1, 2]}\n```', '', '{"other": 1}', '[1]']
    take = JsonField('answer').apply([said], [{}])
    assert take==[['B', '[1, 2]', '[invalid]', '[invalid]', '[invalid]']]
    assert JsonField('/a~1b/1').taken('{"a/b": [1, {"c": null}]}')=='{"c": null}'
    texts = {'{"answer": 1}': (1, 1), '{"answer": "1"}': (1, 0), ' {"answer": 1} ': (1, 1), 'answer: 1': (0, 0),
             '1': (1, 0), 'so {"answer": 1}': (0, 0), '': (0, 0), 'Infinity': (0, 0),
             '```json\n{"answer": 1}\n```': (1, 1)}
    for text,expected in texts.items():
        given = dict(references=['x'], predictions=[text])
        assert (json_validity(**given), schema_validity(**given, response_schema=ANSWER))==expected, text

# The command

def run(tmp_path, *args, ok=True):
    env = os.environ | dict(HF_DATASETS_CACHE=str(tmp_path/'data'), TQDM_DISABLE='1')
    line = [str(BIN/'decodelab-eval'), 'run', '--include_path', str(TASKS), *args]
    p = subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True)
    assert (p.returncode==0)==ok, p.stderr[-3000:]
    assert ok or 'Traceback' not in p.stderr, p.stderr[-3000:]
    return p.stdout+p.stderr

def samples(folder):
    lines = {f.name.split('_2')[0]: f.read_text().splitlines() for f in folder.rglob('samples_*.jsonl')}
    return {name: [json.loads(x) for x in found] for name,found in lines.items()}
def results(folder): return json.loads(next(folder.rglob('results_*.json')).read_text())

def test_the_command_as_typed(tmp_path, monkeypatch):
    "Two tasks, one with a schema of its own beside its YAML; twice with one cache, then under another schema."
    typed = ['--model', 'schema_constrained', '--tasks', 'local_free,local_schema,local_letters', '--limit', '5',
            '--log_samples', '--use_cache', str(tmp_path/'cache')]
    model = f'pretrained={STUDENT},response_schema={TASKS/"schema"/"answer.json"},device=cpu,batch_size=4'
    said = run(tmp_path, *typed, '--model_args', model, '--output_path', str(tmp_path/'a'))
    assert 'schema (constrain): 10 of 10 responses are valid' in said and 'local_schema: 5 of 5 valid' in said
    told = results(tmp_path/'a')
    assert told['config']['decodelab_schema']['valid']==10 and told['config']['decodelab_schema']['removed_nats'] > 0
    free, own = (told['results'][name] for name in ('local_free', 'local_schema'))
    assert free['schema_validity,none']==free['json_validity,none']==1
    assert own['schema_validity,field']==own['json_validity,field']==1
    found = samples(tmp_path/'a')
    for s in found['samples_local_schema']:
        assert s['trace'][0]['status']=='valid' and s['filtered_resps'][0]==str(json.loads(s['resps'][0][0])['answer'])
    args = dict(pretrained=str(STUDENT), response_schema=str(TASKS/'schema'/'answer.json'), device='cpu', batch_size=4)
    from decodelab.evaluation import SchemaConstrainedLM
    monkeypatch.setattr(SchemaConstrainedLM, '_drawn', None) # nothing is drawn again
    monkeypatch.chdir(ROOT)
    again = evaluated('schema_constrained', args, ['local_free', 'local_schema'], limit=5,
                      use_cache=str(tmp_path/'cache'))
    for task in ('local_free', 'local_schema'):
        assert [s['trace'] for s in again['samples'][task]]==[s['trace'] for s in found[f'samples_{task}']]
    assert again['config']['decodelab_schema']['valid']==10 # answers from a cache are counted too
    other = f'pretrained={STUDENT}' + ',response_schema={"type": "integer", "maximum": 9},device=cpu'
    last = run(tmp_path, *typed, '--model_args', other, '--output_path', str(tmp_path/'c'), ok=False).splitlines()[-1]
    assert last.startswith('decodelab-eval: ') and 'a file of its own for each model and schema' in last

def test_what_the_command_says_of_itself_and_of_an_unknown_task(tmp_path):
    said = run(tmp_path, '--model', 'schema_constrained', '--model_args', f'pretrained={STUDENT}',
               '--tasks', 'local_fre',
               ok=False)
    assert 'Traceback' not in said and 'local_fre' in said.splitlines()[-1] and '--include_path' in said
    assert 'decodelab params schema_constrained' in run(tmp_path, '--help')
    told = subprocess.run([BIN/'decodelab', 'params', 'schema_constrained'], capture_output=True, text=True, check=True)
    assert all(f'`{name}`' in told.stdout for name in ('response_schema', 'mode', 'reason_first', 'tries'))

def evaluated(model, model_args, tasks, **kw):
    "A run of local tasks in this process."
    from lm_eval.tasks import TaskManager
    from decodelab.evaluation.lmeval.takeover import simple_evaluate
    manager = TaskManager(include_path=str(TASKS/'schema'), include_defaults=False)
    return simple_evaluate(model, model_args, tasks=tasks, task_manager=manager, bootstrap_iters=0, **kw)

def test_a_run_of_hf_with_a_schema_in_its_yaml_is_served_by_ours(caplog, monkeypatch):
    import re
    monkeypatch.chdir(ROOT)
    with caplog.at_level(logging.WARNING):
        out = evaluated('hf', dict(pretrained=str(STUDENT)), ['local_twice'], limit=3, device='cpu',
                        apply_chat_template=True, system_instruction='Sums.', num_fewshot=0)
    assert any('model hf with a schema: served by schema_constrained' in r.message for r in caplog.records)
    assert out['config']['decodelab_schema']['valid']==out['config']['decodelab_schema']['responses']==9
    drawn = [s['resps'][0] for s in out['samples']['local_twice']]
    assert all(len(r)==3 for r in drawn) and any(len(set(r)) > 1 for r in drawn)
    assert all(re.fullmatch('[0-9]{1,3}', x) for r in drawn for x in r)

def test_an_existing_task_is_scored_by_a_field(monkeypatch):
    "A task that knows nothing of schemas; an answer that is right for sure."
    monkeypatch.chdir(ROOT)
    schema = json.dumps(dict(type='object', properties=dict(answer=dict(const='144')), required=['answer']))
    for model,args in (('schema_constrained', WHERE), ('decodelab', dict(backend='reference:student', device='cpu'))):
        out = evaluated(model, dict(args), ['local_free'], limit=2,
                        gen_kwargs=dict(response_schema=schema, answer_field='answer'))
        assert [s['exact_match'] for s in out['samples']['local_free']]==[1, 0]
        assert [s['resps'][0][0] for s in out['samples']['local_free']]==['144', '144']
        assert [t['document'] for s in out['samples']['local_free'] for t in s['trace']]==['{"answer": "144"}']*2

@pytest.mark.parametrize('model', ['schema_constrained', 'hf', 'decodelab-hf'])
@pytest.mark.parametrize('gen,words', [
    ('response_schema=/no/such.json', 'no/such.json'),
    ('response_schema={"type": "integer"},mode=constrian', "Did you mean 'constrain'"),
    (dict(response_schema=ANSWER, regex='a'), 'response_schema and regex'),
    ('regex=[a-z]+,answer_field=answer', 'answer_field'),
    ('regex=[a-z]+,max_reasoning_tokens=9', 'nothing without reason_first'),
    ('regex=[a-z]+,tries=9', 'nothing without mode=exact'),
])
def test_what_a_run_is_given_is_checked_before_a_model_is_loaded(model, gen, words):
    from lm_eval.tasks import TaskManager
    from decodelab.core.errors import DecodelabError
    from decodelab.evaluation.lmeval.takeover import simple_evaluate
    manager = TaskManager(include_path=str(TASKS/'schema'), include_defaults=False)
    with pytest.raises(DecodelabError, match=words):
        simple_evaluate(model, 'pretrained=/no/such/folder', gen, tasks=['local_free'], task_manager=manager)

def test_a_schema_beside_a_task_that_is_given_as_a_file():
    from decodelab.evaluation.lmeval.command import yaml_folders
    from decodelab.evaluation.lmeval.holding import placed, tasks_from
    folders = yaml_folders(['run', '--tasks', f'x,{TASKS/"schema"/"answer.yaml"}', '--model', 'hf'])
    assert folders==dict(local_schema=TASKS/'schema')
    assert len(yaml_folders(['--tasks', str(TASKS/'schema')]))==3
    with tasks_from(folders):
        assert placed('answer.json', 'local_schema')==str(TASKS/'schema'/'answer.json')
        assert placed('answer.json', 'other')=='answer.json' and placed('gone.json', 'local_schema')=='gone.json'

@pytest.mark.parametrize('model,task,file,schema', [ # the schema of a task, and that of a metric
    ('schema_constrained', 'local_schema', 'answer.yaml', 'answer.json'),
    ('hf', 'local_free', 'free.yaml', 'schema/answer.json')])
def test_schemas_that_tasks_name_are_checked_before_a_model_is_loaded(tmp_path, model, task, file, schema):
    from lm_eval.tasks import TaskManager
    from decodelab.core.errors import DecodelabError
    from decodelab.evaluation.lmeval.takeover import simple_evaluate
    text = (TASKS/'schema'/file).read_text()
    assert schema in text
    (tmp_path/'t.yaml').write_text(text.replace(schema, schema.replace('answer', 'gone')))
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    with pytest.raises(DecodelabError, match='gone.json'):
        simple_evaluate(model, 'pretrained=/no/such', tasks=[task], task_manager=manager)

def test_both_adapters_take_batch_size_and_device_among_the_models_arguments(student):
    from decodelab.evaluation.lmeval.adapter import Decodelab
    given = dict(batch_size=1, max_batch_size=None, device='cuda:0') # what the command hands on
    lm = Decodelab.create_from_arg_obj(dict(backend=student, batch_size=4, device='cpu'), given)
    assert lm.batch_size==4 and Decodelab.create_from_arg_obj(dict(backend=student), given).batch_size==1
