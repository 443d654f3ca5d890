"Fields, alternatives and answers against enumeration, on Toy and on the reference student."
import json
from contextlib import nullcontext
import numpy as np, pytest
from decodelab.backends.contract import Capabilities, Sample, Sampling
from decodelab.backends.drawing import allowed
from decodelab.backends.toy import Toy
from decodelab.core.errors import BadValue, ModelError
from decodelab.schema.answering import Unanswered, alternatives, answer
from decodelab.schema.constraints import constrain
from decodelab.schema.extraction import extract
from decodelab.schema.field_logprobs import fields
from decodelab.schema.languages import compile

def every_path(model, grammar, prompt, ids=(), limit=60_000):
    "Every way to go on under the mask, to the end: tokens, log-probability under the mask and of the model."
    out = []
    def go(matcher, ids, held, own):
        row = np.asarray(model.next_logprobs([(*prompt, *ids)])[0], np.float64)
        bits = np.full((1, -(-model.vocab_size//32)), -1, np.int32)
        grammar.fill([matcher], [0], bits)
        ok = np.flatnonzero(allowed(bits, model.vocab_size)[0] & (row > -np.inf)).tolist()
        kept = np.logaddexp.reduce(row[ok]) if ok else 0.
        for t in ok:
            now = (*ids, t), held+row[t]-kept, own+row[t]
            if t in model.eos_ids: out.append(now)
            else:
                after = matcher.fork()
                after.accept([t])
                go(after, *now)
        assert len(out) < limit
    start = grammar.start()
    start.accept(ids)
    go(start, tuple(ids), 0., 0.)
    return out

def value_at(document, pointer):
    for part in pointer.split('/')[1:]: document = document[int(part) if isinstance(document, list) else part]
    return document

def expected(model, grammar, prompt, ids, field, border):
    "The distribution of a value given the tokens up to a border and the bytes up to the value, by enumeration."
    pieces, mass = model.token_bytes(), {}
    before = b''.join(pieces[i] for i in ids)[:field.start]
    for path,held,_ in every_path(model, grammar, prompt, ids[:border]):
        text = b''.join(pieces[i] for i in path)
        if not text.startswith(before): continue
        value = json.dumps(value_at(json.loads(text), field.pointer))
        mass[value] = np.logaddexp(mass.get(value, -np.inf), held)
    total = np.logaddexp.reduce(list(mass.values()))
    return {v: m-total for v,m in mass.items()}

VOCABS = {'crossing': ['{"a": ', '{"a": 1', '1', '2', '12', ', "b"', ': "y', ': "n', ': "', 'yes"', 'es"', 'o"',
                       'no"', '}', '"}',
                       'o', '1, "b": "n', 'y', 'n', 'es', '1, "b"', '$'],
          'list': ['{"a": ', '{"a": 1', '1', '2', ', "b": [', ', "b": ["y', 'es"', 'yes"', 'o"', '"no"', '"yes"',
                   '"n', ', "yes"',
                   ', "no"', ', "n', ', 1', ']', '}', ']}', '1]}', '1, "b": [1', '"yes", "n', '1, "yes"', '$']}
FEW = {'type': 'array', 'items': {'enum': ['yes', 'no', 1]}, 'minItems': 1, 'maxItems': 2}

def both(**properties): return dict(type='object', properties=properties, required=[*properties],
                                    additionalProperties=False)

SHAPES = {'crossing': both(a={'enum': [1, 2, 12, 121]}, b={'enum': ['yes', 'no']}), 'list': both(a={'enum': [1, 12]},
                                                                                                 b=FEW)}

@pytest.mark.parametrize('name', SHAPES)
@pytest.mark.parametrize('seed', range(4))
def test_alternatives_are_those_of_enumeration_whatever_the_tokens(name, seed):
    toy, language = Toy.random(VOCABS[name], seed=seed), compile(SHAPES[name])
    grammar, prompt = constrain(toy, language), (0,)
    for sample in toy.sample([prompt], Sampling(n=3, constraint=grammar, seed=seed))[0]:
        borders = np.cumsum([0] + [len(toy.token_bytes()[i]) for i in sample.ids])
        found = fields(toy, prompt, sample, grammar)
        doc = json.loads(sample.text)
        assert [json.dumps(f.value) for f in found]==[f.text for f in found]
        assert all(value_at(doc, f.pointer)==f.value for f in found)
        for f in found:
            border = int(np.searchsorted(borders, f.start, 'right'))-1
            want = expected(toy, grammar, prompt, sample.ids, f, border)
            got = {a.text: a.logprob for a in f.alternatives}
            assert f.exact and got.keys()==want.keys()
            assert max(abs(got[k]-want[k]) for k in want) < 1e-9
            assert f.text in got

def test_tokens_alone_give_what_a_sample_gives():
    toy, language = Toy.random(VOCABS['list'], seed=9), compile(SHAPES['list'])
    grammar = constrain(toy, language)
    for sample in toy.sample([(1,)], Sampling(n=5, constraint=grammar))[0]:
        a, b = fields(toy, (1,), sample, language), fields(toy, (1,), sample.ids, SHAPES['list'])
        for x,y in zip(a, b, strict=True):
            assert (x.pointer, x.value, x.exact)==(y.pointer, y.value, y.exact)
            np.testing.assert_allclose([x.logprob, x.held], [y.logprob, y.held], atol=1e-6)
        assert sum(f.logprob for f in a) >= sample.logprobs.sum()-1e-9

SMALL = both(answer={'type': 'integer', 'minimum': 7, 'maximum': 12}, ok={'type': ['boolean', 'null']})

def test_alternatives_of_the_student_are_those_of_enumeration(student):
    language = compile(SMALL)
    grammar, prompt = constrain(student, language), student.chat([dict(role='user', content='3+4*2')])
    sample = student.sample([prompt], Sampling(constraint=grammar, max_tokens=60, seed=3))[0][0]
    found, paths = fields(student, prompt, sample, grammar), every_path(student, grammar, prompt)
    assert len(paths)==18 and abs(np.logaddexp.reduce([held for _,held,_ in paths])) < 1e-5
    for f in found: assert abs(sum(np.exp(a.logprob) for a in f.alternatives)-1) < 1e-6
    for f,border in zip(found, (sample.text.index(':')+2, sample.text.rindex(':')+2), strict=True):
        want = expected(student, grammar, prompt, sample.ids, f, border)
        got = {a.text: a.logprob for a in f.alternatives}
        assert got.keys()==want.keys() and max(abs(np.exp(got[k])-np.exp(want[k])) for k in want) < 1e-6
    assert {'10', '11', '12'} <= {a.text for a in found[0].alternatives}

def test_beliefs_of_a_finite_language_are_those_of_enumeration(student):
    "By adding up all that Toy says; by single scores on the student, where one byte is one token."
    toy = Toy.random(['a', 'b', 'aa', 'ab', 'ba', '.', '$'], seed=5)
    for prefix in ((), (1, 2)):
        d, = alternatives(toy, [prefix], 'choice:a,ab,aba,b,bb')
        said = {t: 0. for t in d.texts}
        for ids,logprob in toy.continuations(prefix or (toy.prefix_id,), 5):
            if ids[-1] in toy.eos_ids and (text := toy.decode(ids[:-1])) in said: said[text] += np.exp(logprob)
        np.testing.assert_allclose(np.exp(d.logprobs), list(said.values()), rtol=1e-10)
        assert abs(np.exp(d.coverage)-sum(said.values())) < 1e-12 and abs(np.exp(d.conditional).sum()-1) < 1e-12
    prefixes = [student.encode(t) for t in ('<|question|>1+1<think></think><|answer|>', 'x')]
    before = student.usage.run
    found = alternatives(student, prefixes, SMALL)
    run = student.usage.run-before
    for prefix,d in zip(prefixes, found):
        scores = student.score([(prefix, (*student.encode(t), *student.eos_ids)) for t in d.texts])
        np.testing.assert_allclose(d.logprobs, [s.logprob for s in scores], atol=1e-5)
        assert len(d.texts)==18
    trie = {(i, *student.encode(t)[:k]) for i in range(2) for t in found[0].texts for k in range(1, len(t)+1)}
    assert run <= len(trie)+sum(map(len, prefixes)) # what texts share is run once

def test_a_terminator_closes_texts_in_place_of_the_end():
    toy = Toy.random(['a', 'b', '.', '$'], seed=2)
    d, = alternatives(toy, [(0,)], 'choice:a,ab', ends=[toy.encode('.'), toy.eos_ids])
    for text in d.texts:
        ids = toy.encode(text)
        want = np.logaddexp(*(s.logprob for s in toy.score([((0,), (*ids, 2)), ((0,), (*ids, 3))])))
        assert abs(d[text]-want) < 1e-12
    with pytest.raises(BadValue, match='text'): d['c']

def test_an_infinite_language_has_no_list_of_beliefs():
    toy = Toy.random(['a', 'b', '0', '1', '"', '$'], seed=2)
    with pytest.raises(BadValue, match='at most 4096 texts'): alternatives(toy, [(0,)], 'regex:[ab]+')
    with pytest.raises(BadValue, match='at most 10'): alternatives(toy, [(0,)], 'regex:[ab]{5}', most=10)

def test_open_values_show_their_first_tokens(student):
    language = compile(both(name={'type': 'string', 'maxLength': 4}, x={'type': 'number'}))
    prompt, plan = student.encode('<|question|>'), Sampling(n=8, constraint=constrain(student, language), max_tokens=90)
    sample = next(s for s in student.sample([prompt], plan)[0] if s.finish=='eos')
    name, x = fields(student, prompt, sample, language, top=3)
    assert not name.exact and not x.exact and len(name.alternatives)==3
    assert name.alternatives[0].logprob <= 0 and sum(np.exp(a.logprob) for a in x.alternatives) <= 1+1e-9

def test_fields_of_documents_that_are_cut_off_or_foreign(student):
    language, prompt = compile(SMALL), student.encode('x')
    assert [f.pointer for f in fields(student, prompt, student.encode('{"answer": 12, "ok": nu'),
                                      language)]==['/answer']
    assert fields(student, prompt, student.encode('{"answer": 1'), language)==[]
    assert fields(student, prompt, (), language)==[]
    with pytest.raises(BadValue, match='document'):
        fields(student, prompt, student.encode('{"answer": 13, "ok": null}'), language)
    choice, = fields(student, prompt, student.encode('ab'), 'choice:a,ab,c')
    assert choice.exact and choice.value=='ab' and {a.text for a in choice.alternatives}=={'a', 'ab', 'c'}
    assert abs(sum(np.exp(a.logprob) for a in choice.alternatives)-1) < 1e-6

def test_an_object_of_the_class_comes_back_with_its_fields(student):
    from pydantic import BaseModel, Field
    class Result(BaseModel):
        digit: int = Field(ge=0, le=9)
        sure: bool
    plain = answer(student, '3+4*2', Result, temperature=1., seed=4)
    thought = answer(student, '3+4*2', Result, reason_first=40)
    for a in (plain, thought):
        assert isinstance(a.value, Result) and a.verdict and json.loads(a.text)==a.value.model_dump()
        assert [f.pointer for f in a.fields]==['/digit', '/sure'] and a['sure'].value is a.value.sure
        assert len(a['/digit'].alternatives)==10 and '<table' in a._repr_html_()
    assert thought.reasoning and not plain.reasoning
    class Digit(BaseModel): answer: int = Field(ge=0, le=9)
    one = answer(student, '3a+4b*2c-1=? as json', Digit, reason_first=True) # its marker is tokens that write nothing
    assert one.value.answer==3 and one['answer'].alternatives[0].text=='3' and '1 a3+4=7' in one.reasoning
    assert answer(student, '3+4*2', Result, temperature=1., seed=4).text==plain.text
    assert answer(student, [dict(role='user', content='3+4*2')], Result, temperature=1., seed=4).text==plain.text
    assert answer(student, '1+1', 'choice:yes,no', describe=True).value in ('yes', 'no')
    with pytest.raises(BadValue, match='field'): plain['nothing']

def test_errors_of_answers_say_what_to_do(student):
    with pytest.raises(Unanswered, match='max_tokens=4.*allow more') as e: answer(student, '1+1', SMALL, max_tokens=4)
    assert e.value.verdict.status=='truncated' and len(e.value.sample.ids)==4
    for wrong in (42, 'nothing.json', {'type': 'wrong'}, str):
        with pytest.raises((BadValue, ModelError)): answer(student, '1+1', wrong)
    with pytest.raises(BadValue, match='reason_first'): answer(student, '1+1', SMALL, reason_first=-1)
    with pytest.raises(BadValue, match='a loaded one'): answer('reference:student', '1+1', SMALL)
    for wrong in (5, None, [dict(role='user')]):
        with pytest.raises(BadValue, match='question'): answer(student, wrong, SMALL)

def test_markup_of_a_model_is_shown_not_obeyed(student):
    language = compile(both(**{'<b>': {'enum': ['<script>alert(1)</script>']}}))
    html = answer(student, '1+1', language)._repr_html_()
    assert '<script>' not in html and '<b>' not in html

def test_samples_are_extracted_as_they_were_validated(student):
    language = compile(SMALL)
    plan = Sampling(n=10, constraint=constrain(student, language), max_tokens=60)
    for s in student.sample([student.encode('x')], plan)[0]: assert extract('So: '+s.text, language).text==s.text

class Served:
    "What a server is to its caller: texts and likelihoods, no distributions."
    capabilities, name, max_length = Capabilities(full_distribution=False), 'served', 99
    template, adds_bos, bos_id = '', False, None
    def __init__(self, text, finish='eos', toy=None): self.text, self.finish, self.toy = text, finish, toy
    def __getattr__(self, name): return getattr(self.toy, name)
    def remembering(self): return nullcontext()
    def encode(self, text): return tuple(text.encode())
    def sample(self, prompts, plan): return [[Sample((1, 2), self.text, np.zeros(2), self.finish)]]

def test_a_server_gives_an_object_without_fields():
    found = answer(Served('{"answer": 8, "ok": null}'), 'x', SMALL)
    assert found.value=={'answer': 8, 'ok': None} and found.fields==()
    with pytest.raises(Unanswered, match='minimum at /answer'): answer(Served('{"answer": 1, "ok": null}', 'stop'),
                                                                       'x', SMALL)
    with pytest.raises(BadValue, match='served is a server'): answer(Served(''), 'x', SMALL, reason_first=8)

def test_canonical_beliefs_need_likelihoods_only():
    toy = Toy.random(['a', 'b', 'aa', 'ab', '.', '$'], seed=5)
    class Scoring(Served):
        def encode(self, text): return toy.encode(text)
    every, = alternatives(toy, [(0,)], 'choice:a,aa,ab')
    one, = alternatives(Scoring('', toy=toy), [(0,)], 'choice:a,aa,ab', canonical=True)
    for text in one.texts:
        assert abs(one[text]-toy.score([((0,), (*toy.encode(text),
                                                5))])[0].logprob) < 1e-12 and one[text] <= every[text]

def test_nested_lists_and_what_may_be_missing(student):
    from typing import Literal
    from pydantic import BaseModel
    class Item(BaseModel):
        kind: Literal['a', 'b']
        n: bool|None = None
    class Many(BaseModel):
        items: list[Item]
    found = answer(student, '1+1', Many, max_tokens=400, temperature=1., seed=1)
    assert isinstance(found.value.items[0], Item) and found.fields[0].pointer=='/items/0/kind'
    for f in found.fields: assert f.exact and f.text in {a.text for a in f.alternatives}
