"The price of a language against enumeration and exact sampling; weights; fields; reasoning before a document."
import json, re
import numpy as np, pytest
from decodelab.backends.contract import Sample, Sampling
from decodelab.backends.decoding import Choices
from decodelab.backends.drawing import allowed
from decodelab.backends.toy import Toy
from decodelab.core.errors import BadValue
from decodelab.schema import compile, constrain
from decodelab.schema.exact_sampling import exact
from decodelab.schema.pricing import (by_field, enumerated, exact_price, log_weights, places_of, price, spans,
                                      weighted_mean, weights)
from decodelab.schema.reasoning import Marker, Reasoned, reasoned, with_reasoning

DIGIT = {'type': 'object', 'properties': {'answer': {'enum': list(range(10))}}, 'required': ['answer'],
         'additionalProperties': False}

def asked(model, text='2a*7b+9c+2d*0=? as json', thought='</think><|answer|>'):
    return (*model.chat([dict(role='user', content=text)]), *model.encode(thought))

def language(toy, seed):
    rng = np.random.default_rng(seed)
    texts = {tuple(int(i) for i in rng.integers(0, toy.vocab_size-2, rng.integers(1, 5))) for _ in range(8)}
    return Choices(tuple(sorted(texts)), toy.eos_ids)

def masked_law(model, prompt, plan):
    "Every text that masked sampling can give, its probability and its weight: sums of its own, step by step."
    out, todo = [], [((), plan.constraint.start(), 0., 0.)]
    while todo:
        ids, matcher, logprob, weight = todo.pop()
        row = np.exp(np.array(model.next_logprobs([(*prompt, *ids)])[0], np.float64)/plan.temperature)
        bits = np.zeros((1, -(-model.vocab_size//32)), np.int32)
        plan.constraint.fill([matcher], [0], bits)
        may = np.unpackbits(bits.view(np.uint8), bitorder='little', count=model.vocab_size).astype(bool)
        kept = row[may].sum()
        for token in np.flatnonzero(may & (row > 0)):
            new = (*ids, int(token)), logprob+np.log(row[token]/kept), weight+np.log(kept/row.sum())
            if token in model.eos_ids: out.append(new)
            else:
                after = matcher.fork()
                after.accept([int(token)])
                todo.append((new[0], after, *new[1:]))
    return out

@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('temperature', [1., .6])
def test_price_equals_enumeration_on_toys(seed, temperature):
    toy = Toy.random('ab.?$', seed=seed)
    plan = Sampling(max_tokens=8, temperature=temperature, constraint=language(toy, seed))
    law = masked_law(toy, (3,), plan)
    m, w = np.exp([x for _,x,_ in law]), np.exp([x for _,_,x in law])
    found = exact_price(enumerated(toy, (3,), plan))
    assert m.sum()==pytest.approx(1, abs=1e-6)==found.complete
    assert found.mass==pytest.approx(m@w, abs=1e-6) and found.cost==pytest.approx(-np.log(m@w), abs=1e-6)
    assert found.bias==pytest.approx(np.log(m@w)-m@np.log(w), abs=1e-6)
    conditional = m*w/(m@w)
    assert found.bias==pytest.approx((m*np.log(m/conditional)).sum(), abs=1e-6)
    assert found.distance==pytest.approx(abs(m-conditional).sum()/2, abs=1e-6) # no text has two tokenisations here

def test_price_equals_enumeration_on_the_student(student):
    plan = Sampling(max_tokens=60, temperature=1.5, constraint=constrain(student, compile(DIGIT)))
    law = masked_law(student, asked(student), plan)
    m, w = np.exp([x for _,x,_ in law]), np.exp([x for _,_,x in law])
    found = exact_price(enumerated(student, asked(student), plan))
    assert len(law)==10 and found.mass==pytest.approx(m@w, abs=1e-6)
    assert found.cost==pytest.approx(-np.log(m@w), abs=1e-5)
    assert found.bias==pytest.approx(np.log(m@w)-m@np.log(w), abs=1e-5)

def test_sampled_price_covers_the_exact_one(student):
    plan = Sampling(n=400, max_tokens=60, temperature=1.5, constraint=constrain(student, compile(DIGIT)))
    prompt = asked(student)
    truth, found = exact_price(enumerated(student, prompt, plan)), price(student.sample([prompt], plan)[0], student)
    assert found.mass[1]*.97 <= truth.mass <= found.mass[2]*1.03 and not found.warning and found.truncated==0
    assert found.bias[0]==pytest.approx(truth.bias, abs=.05)
    shares = {t: p for t,(p,_) in truth.shares.items()}
    samples = student.sample([prompt], plan)[0]
    best = max(shares, key=shares.get)
    mean = weighted_mean(samples, lambda s: s.text==best)
    assert mean.low-.02 <= shares[best] <= mean.high+.02
    draws = exact(student, prompt, plan)
    assert draws.mass[1]*.99 <= truth.mass <= draws.mass[2]*1.01

@pytest.mark.parametrize('seed', range(3))
def test_weights_of_toys_undo_the_mask(seed):
    toy = Toy.random('ab.?$', seed=20+seed)
    plan = Sampling(n=1000, max_tokens=8, constraint=language(toy, seed))
    truth = exact_price(enumerated(toy, (3,), plan))
    samples = toy.sample([(3,)], plan)[0]
    for text,(share,_) in truth.shares.items():
        mean = weighted_mean(samples, [s.text==text for s in samples])
        assert mean.value==pytest.approx(share, abs=.1) and mean.low <= mean.value <= mean.high
    assert weights(samples).sum()==pytest.approx(1)

def test_truncated_texts_weigh_nothing():
    row = {'a': .5, '$': .5}
    toy = Toy.from_table(['a', '?', '$'], {'?'+'a'*k: row for k in range(1, 9)} | {'?': {'a': .8, '$': .2}})
    plan = Sampling(n=4000, max_tokens=3, constraint=Choices(((0,), (0, 0), (0, 0, 0)), toy.eos_ids))
    samples = toy.sample([(1,)], plan)[0]
    found = price(samples)
    assert found.truncated==sum(s.finish!='eos' for s in samples) > 100
    assert found.mass[0]==pytest.approx(.8*.5+.8*.5*.5, abs=.03) # a and aa with their ends, in three tokens

def test_all_truncated_is_said():
    toy = Toy.from_table(['a', '?', '$'], {'?': {'a': 1.}, '?a': {'a': 1.}})
    found = price(toy.sample([(1,)], Sampling(n=8, max_tokens=1, constraint=Choices(((0, 0),), toy.eos_ids)))[0])
    assert 'ran out of tokens' in found.warning and found.mass==(0, 0, 1)

def test_few_heavy_samples_are_warned_of():
    def one(w): return Sample((1,), 'x', np.zeros(1), 'eos', dict(kept=np.array([w]), log_weight=np.array([w])))
    assert 'worth 1.0' in price([one(0.), *[one(-20.)]*99]).warning
    assert not price([one(-1.)]*99).warning

@pytest.mark.parametrize('plan', [dict(top_p=.9), dict(constraint=None)])
def test_samples_without_weights_have_no_price(plan):
    toy = Toy.random('ab.?$', seed=1)
    samples = toy.sample([(3,)], Sampling(**dict(n=3, constraint=language(toy, 1)) | plan))[0]
    with pytest.raises(BadValue, match='log_weight.*top_p'): price(samples)

def test_no_samples_have_no_price():
    with pytest.raises(BadValue, match='at least one'): log_weights([])

TEXTS = ['{"a": [1, {"b": "x, y"}], "c/d": {"e~": null}}', '[]', '"x"', '{"a": "\\" }", "b": tr', '[[1],[2,[3]]]', '',
         '{"é": 1}']

@pytest.mark.parametrize('text', TEXTS)
def test_spans_cover_the_text_and_name_its_values(text):
    found = spans(text)
    assert ''.join(text[s.start:s.end] for s in found)==text
    try: value = json.loads(text)
    except ValueError: return
    for s in found:
        at = value
        for step in s.pointer.split('/')[1:]:
            step = step.replace('~1', '/').replace('~0', '~')
            at = at[int(step)] if isinstance(at, list) else at[step]
        if s.part=='value': assert json.loads(text[s.start:s.end])==at
        last = s.pointer.split('/')[-1].replace('~1', '/').replace('~0', '~')
        if s.part=='key': assert json.loads(text[s.start:s.end])==last

def test_forced_fields_are_named(student):
    "The student has never seen the field `sure`: that is where the mask takes."
    schema = {'type': 'object', 'properties': {'answer': {'enum': list(range(10))}, 'sure': {'type': 'boolean'}},
              'required': ['answer', 'sure'], 'additionalProperties': False}
    plan = Sampling(n=6, max_tokens=60, constraint=constrain(student, compile(schema)))
    samples = student.sample([asked(student)], plan)[0]
    found = by_field(samples, student)
    assert found[0].pointer in ('', '/sure') and found[0].nats > 5 > sum(f.nats for f in found if f.pointer=='/answer')
    named = {f.part: f.token for f in found}
    assert named['end']=='<|end|>' # which writes nothing
    total = np.mean([-s.notes['kept'].sum() for s in samples])
    assert sum(f.nats for f in found)==pytest.approx(total)

def test_places_of_multibyte_texts():
    toy = Toy(['{"', 'é', '":', ' "日', '本"', '}', '$'], lambda c: np.full(7, 1/7))
    s = Sample((0, 1, 2, 3, 4, 5, 6), '{"é": "日本"}', np.zeros(7), 'eos')
    assert places_of(s, toy.token_bytes())==[('', 'frame'), ('/é', 'key'), ('/é', 'key'), ('', 'frame'),
                                             ('/é', 'value'), ('', 'frame'), ('', 'end')]

# Reasoning

def walk(held, ids):
    "Every mask along a path, from one matcher."
    m, out = held.start(), []
    for token in ids:
        bits = np.zeros((1, -(-held.model.vocab_size//32)), np.int32)
        held.fill([m], [0], bits)
        out.append(allowed(bits, held.model.vocab_size)[0])
        m.accept([token])
    return out, m

def test_a_marker_is_found_however_it_is_cut():
    rng = np.random.default_rng(0)
    for _ in range(300):
        mark = bytes(rng.choice([97, 98], rng.integers(1, 5)))
        data = bytes(rng.choice([97, 98], 30))
        at, matched, over = 0, 0, None
        while at < len(data) and over is None:
            k = int(rng.integers(1, 5))
            matched, over = Marker(mark).feed(matched, data[at:at+k])
            at += k
        place = data.find(mark)
        assert (over is None)==(place < 0)
        if over is not None: assert data[:at][place+len(mark):]==over

def test_reasoning_is_free_and_the_document_valid(student):
    held = reasoned(student, DIGIT)
    prompts = [student.chat([dict(role='user', content=q)]) for q in ('2a*7b+9=? as json', '1a+1b*3=? as json')]
    plan = Sampling(n=6, max_tokens=220, constraint=held, stop=('\n', '{'))
    for prompt,samples in zip(prompts, student.sample(prompts, plan)):
        free = student.sample([prompt], Sampling(n=6, max_tokens=220))[0]
        for s,f in zip(samples, free):
            parts = held.split(s)
            assert s.finish=='eos' and json.loads(parts.document)['answer'] in range(10) and '\n' in parts.reasoning
            n = parts.tokens
            assert parts.forced or s.ids[:n]==f.ids[:n] or '</think>' not in f.text

def test_a_marker_that_never_comes_is_forced(student):
    held = reasoned(student, DIGIT, marker='So the answer is: ', max_reasoning_tokens=20)
    prompt = student.chat([dict(role='user', content='2a*7b+9=? as json')])
    s = student.sample([prompt], Sampling(max_tokens=90, constraint=held))[0][0]
    parts = held.split(s)
    assert parts.forced and parts.tokens==20+len('So the answer is: ') and json.loads(parts.document)
    assert re.search(r'So the answer is:\s+\{"answer"', s.text)

def test_matchers_go_back_and_fork(student):
    held = reasoned(student, DIGIT, max_reasoning_tokens=12)
    prompt = student.chat([dict(role='user', content='2a*7b+9=? as json')])
    for s in student.sample([prompt], Sampling(n=3, max_tokens=60, constraint=held))[0]:
        ids = s.ids[:-1]
        rows, m = walk(held, ids)
        assert m.done and m.complete
        for back in (1, 5, len(ids)-14, len(ids)-12, len(ids)-3, len(ids)):
            twin = m.fork()
            twin.rewind(back)
            bits = np.zeros((1, -(-student.vocab_size//32)), np.int32)
            held.fill([twin], [0], bits)
            assert (allowed(bits, student.vocab_size)[0]==rows[len(ids)-back]).all(), back
            forced = twin.forced()
            assert forced==ids[len(ids)-back:][:len(forced)]
            twin.accept(ids[len(ids)-back:])
            assert twin.done and m.done

def overhanging():
    vocab = ['a', 'A:', 'A: {', '{', '}', 'A:x', ' ', 'b', 'x', '$']
    return Toy(vocab, lambda c: np.full(len(vocab), 1/len(vocab)))

def test_a_token_that_runs_into_the_document():
    toy = overhanging()
    held = Reasoned(Choices(((3, 4), (3, 7)), toy.eos_ids), 'A:', toy, gap=1)
    rows, m = walk(held, (0, 2, 4))
    assert rows[0].tolist()==[True]*5+[False]+[True]*3+[False], 'no document begins with x; the end does not come yet'
    assert [i for i in range(10) if rows[2][i]]==[4, 7] and m.done
    rows, m = walk(held, (1, 6, 3))
    assert [i for i in range(10) if rows[1][i]]==[3, 6] and [i for i in range(10) if rows[2][i]]==[3] and not m.done
    tight = Reasoned(Choices(((3, 4),), toy.eos_ids), 'A:', toy)
    assert not walk(tight, (0,))[0][0][2]

def test_the_end_before_a_document_only_where_it_is_asked_for():
    toy = overhanging()
    document = Choices(((3, 4),), toy.eos_ids)
    assert not walk(Reasoned(document, 'A:', toy), (0, 0))[0][1][9]
    rows, m = walk(Reasoned(document, 'A:', toy, may_end=True), (0, 0))
    assert rows[1][9] and m.complete and not m.done

@pytest.mark.parametrize('change', [dict(marker=''), dict(max_reasoning_tokens=0), dict(gap=-1)])
def test_odd_rules_are_refused(change):
    toy = overhanging()
    given = dict(document=Choices(((3,),), toy.eos_ids), marker='A:', model=toy)
    with pytest.raises(BadValue): Reasoned(**given | change)

def test_exact_samples_of_reasoning_and_document(student):
    held = reasoned(student, DIGIT)
    prompt = student.chat([dict(role='user', content='2a*7b+9=? as json')])
    plan = Sampling(n=12, max_tokens=220, constraint=held)
    out = exact(student, prompt, plan)
    assert all(json.loads(held.split(s).document) for s in out.samples) and len(out.samples)==12

def test_different_rules_share_a_batch(student):
    helds = [reasoned(student, DIGIT, max_reasoning_tokens=k) for k in (5, 40)]
    prompt = student.chat([dict(role='user', content='2a*7b+9=? as json')])
    plans = [Sampling(n=2, max_tokens=150, constraint=c) for c in helds]
    both = student.sample([prompt]*2, plans)
    assert [[s.ids for s in one] for one in both]==[[s.ids for s in student.sample([prompt], p)[0]] for p in plans]

def test_a_field_for_reasoning_comes_first():
    schema = with_reasoning(DIGIT)
    assert list(schema['properties'])==['reasoning', 'answer'] and schema['required'][0]=='reasoning'
    from pydantic import BaseModel
    class Answer(BaseModel): value: int
    assert list(with_reasoning(Answer.model_json_schema())['properties'])==['reasoning', 'value']
    for bad in ({'type': 'string'}, schema):
        with pytest.raises(BadValue): with_reasoning(bad)

@pytest.mark.parametrize('runtime', ['gguf', 'mlx', 'vllm'])
def test_reasoning_on_other_runtimes(student, runtime):
    pytest.importorskip(dict(gguf='llama_cpp', mlx='mlx_lm', vllm='vllm')[runtime])
    from decodelab.backends import load
    model = load(f'{runtime}:reference:student')
    held = reasoned(model, DIGIT, max_reasoning_tokens=30)
    prompt = model.chat([dict(role='user', content='2a*7b+9=? as json')])
    ours = reasoned(student, DIGIT, max_reasoning_tokens=30)
    here = student.sample([prompt], Sampling(n=3, max_tokens=120, constraint=ours))
    there = model.sample([prompt], Sampling(n=3, max_tokens=120, constraint=held))
    assert all(json.loads(held.split(s).document) for s in there[0])
    assert sum(a.text==b.text for a,b in zip(here[0], there[0])) >= 2
    model.close()

# The experiment

def test_schema_eval_separators_cost_the_answer(tmp_path, monkeypatch):
    "The separator trap, as the experiment shows it: the default schema costs nothing, compact separators nearly all."
    from decodelab.backends import load
    from decodelab.evaluation.schema_report import row_of
    from decodelab.evaluation.schema_trials import SchemaEvalParameters, Trials, tasks_of
    p = SchemaEvalParameters(n=40, samples=2, modes='unconstrained,constrain,compact,exact')
    trials = Trials(load(p.backend), tasks_of(p), p)
    rows = {mode: row_of(mode, trials.run(mode, trials.tasks), 1.) for mode in p.modes.split(',')}
    assert rows['constrain'].accuracy >= rows['unconstrained'].accuracy-.02 >= .88 and rows['constrain'].valid==1
    assert rows['exact'].accuracy >= rows['unconstrained'].accuracy-.02 and rows['exact'].tries < 1.5
    assert rows['compact'].accuracy < .15 and rows['compact'].cost[0] > 10 > .2 > rows['constrain'].cost[0]
    assert rows['exact'].cost[0]==pytest.approx(rows['constrain'].cost[0], abs=.03)

def test_a_pilot_of_schema_trials_is_part_of_the_work(tmp_path):
    "In every mode the records are those without it, and no question is answered twice."
    from decodelab.backends import load
    from decodelab.core.runs import Run
    from decodelab.evaluation.schema_trials import SchemaEvalParameters, Trials, expected_seconds, records, tasks_of
    p = SchemaEvalParameters(n=4, samples=2, chunk=4, modes='unconstrained,constrain,exact,validate')
    model = load(p.backend)
    plain, piloted = (Trials(model, tasks_of(p), p) for _ in range(2))
    runs = [Run.create('schema_eval', p.model_dump(), outputs=tmp_path/name) for name in 'ab']
    want = records(plain, runs[0], lambda what: None)
    assert expected_seconds(piloted, runs[1]) > 0 and len(piloted.kept)==2*3
    assert [[r['text'] for r in own] for own in records(piloted, runs[1], lambda what: None).values()]==[
        [r['text'] for r in own] for own in want.values()]
    before = model.usage.decoded
    assert expected_seconds(Trials(model, tasks_of(p), p), runs[1]) > 0 and model.usage.decoded==before

BAD = [(dict(modes='constrain,exactly'), "Did you mean 'exact'"),
       (dict(data='extractions'), "Did you mean 'extraction'"),
       (dict(data='tests/work.py'), 'tests/work.py'), (dict(modes=','), 'modes'),
       (dict(backend='server:http://localhost:1'), 'a runtime that shows every distribution'),
       (dict(data='nothing.jsonl'), 'a JSONL file that exists'), (dict(schema_spec='{}'), 'none with data=reference'),
       (dict(data='tests/tasks/questions.jsonl', schema_spec='{"type": "string"}'), 'is not of schema')]

@pytest.mark.parametrize('given,says', BAD)
def test_schema_eval_checks_before_anything_heavy(given, says):
    from decodelab.core.errors import DecodelabError
    from decodelab.evaluation.schema_trials import SchemaEvalParameters, check_schema
    with pytest.raises(DecodelabError, match=says): check_schema(SchemaEvalParameters(**given))

def test_everyday_tasks_are_documents_of_their_schemas():
    import jsonschema_rs
    from decodelab.tasks.json_tasks import json_tasks, right_fields
    for task in json_tasks('everyday', 100)+json_tasks('reference', 30):
        assert jsonschema_rs.is_valid(task.schema, task.answer) and right_fields(task.answer, task.answer)==1
        if task.kind=='extraction': assert task.answer['name'] in task.question
        compile(with_reasoning(dict(task.schema)))

def test_own_data_and_schema(tmp_path):
    from decodelab.evaluation.schema_trials import SchemaEvalParameters, tasks_of
    (tmp_path/'q.jsonl').write_text(json.dumps(dict(question='How many?', answer='{"answer": 3}'))+'\n')
    task, = tasks_of(SchemaEvalParameters(data=str(tmp_path/'q.jsonl'), schema_spec=json.dumps(DIGIT)))
    assert task.answer==dict(answer=3) and task.schema['properties']

def test_a_report_shows_what_a_model_wrote_as_text():
    import pandas as pd
    from decodelab.evaluation.schema_report import case, show
    from decodelab.tasks.json_tasks import JsonTask
    evil = '<img src=x>'
    assert evil not in show(pd.DataFrame([dict(token=evil)])).to_html()
    record = dict(mode='constrain', id='a', status='invalid', right=0., reason=f'{evil} where a value should stand',
                  kept=[-.5], text='{"n": 1}```')
    page = case(record, JsonTask('a', 'file', 'How many?```', {}, {'n': 3}))
    assert evil not in page and 'right: {"n": 3}' in page and page.count('```')==2

def test_pictures_show_what_was_taken(student):
    from decodelab.schema.pictures import shaded, tokens_of
    held = constrain(student, compile(DIGIT, separators='compact'))
    s = student.sample([asked(student)], Sampling(max_tokens=60, constraint=held))[0][0]
    tokens = tokens_of(s, student, asked(student))
    assert ''.join(t.text for t in tokens[:-1])==s.text and any(t.against and t.kept < .5 for t in tokens)
    page = shaded(s, student, [asked(student)])._repr_html_()
    assert page.count('class="t') == len(s.ids) and 'http' not in page and '<script' not in page
    evil = Sample((0, 1), '<u>"', np.zeros(2), 'eos', dict(kept=np.zeros(2)))
    assert '<u>' not in shaded(evil, Toy(['<u>"', '$'], None)).html
