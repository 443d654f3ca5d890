"Reading documents: strict JSON against Python's reader and another validator, extraction against known documents."
import json, random
import jsonschema, pytest
from clock import seconds
from decodelab.schema.extraction import extract, scan
from decodelab.schema.languages import compile
from decodelab.schema.validation import fault_of, strict, validate

WORDS = ['a', 'b', 'note', 'x y', 'é', 'quo"te', 'br{ace}', '[list]', 'back\\slash', 'line\nbreak', 'tab\t', '😀',
         '// no', "it's", '```',
         '</think>', '{"answer": 1}', '}', ']', '[1,', 'null', '\u2028', '']

def value(rng, depth=0):
    "A made-up JSON value."
    kind = rng.randrange(4 if depth > 2 else 6)
    if kind==0: return rng.choice(WORDS)
    if kind==1: return rng.choice([0, -1, 42, 3.5, -2e10, 1e-7, 10**15])
    if kind==2: return rng.choice([True, False, None])
    if kind==3: return rng.choice(WORDS)+rng.choice(WORDS)
    if kind==4: return [value(rng, depth+1) for _ in range(rng.randrange(4))]
    return {rng.choice(WORDS): value(rng, depth+1) for _ in range(rng.randrange(4))}

def document(rng):
    "A made-up answer of the language below, and how it is written."
    doc = {'answer': rng.randrange(-5, 100), 'why': rng.choice(WORDS), 'data': value(rng)}
    style = rng.choice([{}, {'indent': 2}, {'separators': (',', ':')}, {'ensure_ascii': False},
                        {'indent': 1, 'ensure_ascii': False}])
    return doc, json.dumps(doc, **style)

SHAPE = {'type': 'object', 'properties': {'answer': {'type': 'integer'}, 'why': {'type': 'string'}, 'data': {}},
         'required': ['answer', 'why', 'data'], 'additionalProperties': False}

@pytest.fixture(scope='module')
def shape(): return compile(SHAPE)

BEFORE = ['', 'Sure! Here it is: ', '<think>if {x} = {1, 2} then \\frac{1}{2} or [0, 1)</think>\n',
          'The schema is ' + json.dumps(SHAPE) + '\n',
          '```json\n', "```python\nd = {'answer': 3, 'why': {\"answer\": 4}}\n```\nso ",
          'First {"answer": 1, "why": "", "data": 0}, but better: ',
          'A draft: {"answer": 2, wait, no. Final: ', 'See [1] and [link](http://x.y/{z}). ',
          '{"note": "no answer"} ', 'He said "{" and "}": ',
          'f(x) { return [x, {x: 1}] }\n', '{"answer": 3,}\n', "It's 5\" long, isn't it? ",
          '- [ ] todo\n- [x] done {done}\n', '{{"a": 1}}: ']
AFTER = ['', '\n```', ' That is all.', ' {"confidence": 0.9}', '\nNote: {x} is [unknown].', " It's {'answer': 5}.",
         ' (see [2])', '\n\n```python\nprint({1: 2})\n```', ' } ] ) "']

def test_the_right_document_is_found_among_prose(shape):
    rng = random.Random(7)
    for _ in range(1500):
        doc, text = document(rng)
        before, after = rng.choice(BEFORE), rng.choice(AFTER)
        v = extract(before+text+after, shape)
        assert v.status=='valid' and v.text==text and v.value==doc, (before, text, after, v)
        assert v.start==len(before)

def test_the_last_of_two_documents_is_found(shape):
    rng = random.Random(8)
    for _ in range(300):
        a, b = document(rng)[1], document(rng)[1]
        for between in ('\n', ' or rather ', '\n```\nand\n```json\n'):
            assert extract(a+between+b, shape).text==b
            assert extract(f'{a}{between}{b}\n{{"other": 1}}', shape).text==b

def test_a_root_that_is_cut_off_is_never_replaced_by_a_part(shape):
    rng, lax = random.Random(9), compile({'type': ['object', 'array']})
    for _ in range(400):
        _, text = document(rng)
        cut = rng.randrange(1, len(text))
        for before in ('', 'Here: ', '```json\n', '<think>{x}</think>'):
            for language in (shape, lax, None):
                v = extract(before+text[:cut], language)
                assert v.status=='truncated' and v.start==len(before), (before+text[:cut], v)
        assert validate(text[:cut], shape).status=='truncated'
        assert validate(text[:cut], shape, 'eos').status=='invalid'

def put(before, text):
    "Spoils a document by writing something else for a part of it."
    return lambda t: t.replace(before, text)

SLIPS = [('trailingComma', lambda t: t[:-1].rstrip()+',}'), ('comment', lambda t: '{ // note\n'+t[1:]),
         ('comment', lambda t: '{ /* x */'+t[1:]), ('nonFinite', put('"answer": ', '"answer": NaN, "b": ')),
         ('literal', put('"why": ', '"why": None, "b": ')), ('quotes', put('"answer"', "'answer'")),
         ('key', put('"answer"', 'answer')), ('number', put('"answer": ', '"answer": 01, "b": ')),
         ('number', put('"answer": ', '"answer": .5, "b": ')), ('control', put('"why": "', '"why": "\n')),
         ('escape', put('"why": "', '"why": "\\x41')), ('quotes', put('"answer"', '“answer”'))]

@pytest.mark.parametrize('keyword,spoil', SLIPS)
def test_what_is_not_json_is_none_with_its_reason_and_no_part_of_it_is_taken(keyword, spoil, shape):
    rng, lax = random.Random(10), compile({'type': ['object', 'array']})
    for _ in range(60):
        doc = {'answer': 4, 'why': 'all', 'data': {'k': [value(rng, 2), {'answer': 1, 'why': '', 'data': 0}]}}
        text = spoil(json.dumps(doc))
        for before,after in (('', ''), ('Answer: ', ' Done.'), ('```json\n', '\n```')):
            for language in (shape, lax):
                v = extract(before+text+after, language)
                assert v.status=='none' and v.keyword==keyword and 'line' in v.reason, (text, v)

def all_values(text):
    "Every maximal balanced object or array, by another reader: from each bracket in turn."
    out, at, reader = [], 0, json.JSONDecoder()
    while at < len(text):
        if text[at] in '{[':
            try: _, end = reader.raw_decode(text, at)
            except ValueError: pass
            else:
                out.append((at, end))
                at = end
                continue
        at += 1
    return out

def test_well_formed_values_are_those_of_another_reader():
    "Where every bracket belongs to a JSON value, nothing broken can hold a part."
    rng = random.Random(11)
    for _ in range(2000):
        parts = []
        for _ in range(rng.randrange(4)):
            v = value(rng, 0)
            between = rng.choice(['', ' and ', 'x=', '\n', '"', ': ', ', '])
            parts += [between, json.dumps(v) if isinstance(v, (dict, list)) else 'text']
        text = ' '.join(parts)
        assert scan(text).found==all_values(text), text

def test_any_text_is_scanned_and_what_is_found_is_json():
    "Noise of JSON's own characters: all that is found parses, and is maximal for the other reader."
    rng = random.Random(12)
    for _ in range(20_000):
        text = ''.join(rng.choice(['{', '}', '[', ']', '"', ':', ',', '1', ' ', 'a', '\\', "'", '\n', '"a":',
                                   'true']) for _ in range(rng.randrange(25)))
        s, other = scan(text), set(all_values(text))
        for a,b in s.found:
            json.loads(text[a:b])
            assert (a, b) in other or any(x <= a and b <= y for x,y in other), text
        assert extract(text).status in ('valid', 'invalid', 'truncated', 'none')

@pytest.mark.parametrize('piece', ['{', '[', '{"', '"\\"', '{"\\"', '{"a":', '{"a" ', '[1,', "{'a':", '{a:', '[[1,x',
                                   '{"a":1,,', '{}', '{"a":x"\\"',
                                   '{ ', '{"a":"\n', '{}]', '[1}', '{"a":{x', '</think>', '[1 ,{"a":2} x', '-1 ',
                                   '"a" ', '\\'])
def test_time_is_linear(piece):
    def took(n, **kwargs):
        text = piece*(n//len(piece))
        return seconds(lambda: extract(text, {'type': ['object', 'string', 'number']}), **kwargs)
    few = took(25_000)
    many = took(200_000, enough=16*few)
    assert many < 32*few+.1 and many < 10, (few, many) # 8 times the text; squares would be 64

# Strict JSON

GOOD = ['{}', ' [1.5e3, -0, true]\n', '"\\ud83d\\ude00"', '{"a":{"a":1}}', '[' * 500 + ']' * 500, '1e308', '"\u2028"',
        '0', 'null']
BAD = {'{"a":1,"\\u0061":2}': 'duplicateKey', '[{"b":{"a":1,"a":1}}]': 'duplicateKey', '[1e309]': 'range',
       '-1e999': 'range', '1'*400: 'range',
       '[NaN]': 'nonFinite', '-Infinity': 'nonFinite', '"\\udc00"': 'surrogate', '"\\ud83d\\u0041"': 'surrogate',
       '{"\\ud800":1}': 'surrogate',
       '"\ud800"': 'surrogate', '\ufeff{}': 'bom', '{}x': 'trailing', '{} {}': 'trailing', '1 2': 'trailing',
       '"a\x01"': 'control', '"a\nb"': 'control',
       '['*501+']'*501: 'depth', '[1,]': 'trailingComma', '{"a":1,}': 'trailingComma', '"\\a"': 'escape',
       '"\\u12g4"': 'escape', '{a:1}': 'key',
       "{'a':1}": 'quotes', '[True]': 'literal', '+1': 'number', '.5': 'number', '01': 'trailing', '': 'empty',
       '\xa01': 'space', '{"a" 1}': 'syntax',
       '[1 2]': 'number', '#': 'comment', '{]': 'syntax', '[,1]': 'syntax', '\x00': 'syntax'}

@pytest.mark.parametrize('text', GOOD)
def test_strict_json_passes(text):
    assert strict(text)[1] is None and fault_of(text) is None and validate(text, None).value==json.loads(text)

@pytest.mark.parametrize('text,keyword', BAD.items())
def test_what_json_forbids_has_its_keyword(text, keyword):
    v = validate(text, None, 'eos')
    assert v.status=='invalid' and v.keyword==keyword and not v and v.text==text, v

def test_the_small_machine_agrees_with_pythons_reader():
    "On noise: what `fault_of` passes is what `json.loads` reads, but for what only the strict forbid."
    rng, alphabet = random.Random(13), ['{', '}', '[', ']', '"', ':', ',', '1', '0', '.', 'e', '-', ' ', 'a', '\\',
                                        'true', '"a":', '\\u0041', 'null']
    passed = 0
    for _ in range(60_000):
        text = ''.join(rng.choice(alphabet) for _ in range(rng.randrange(9)))
        try: ok = json.loads(text) is not Ellipsis
        except ValueError: ok = False
        fault = fault_of(text)
        assert ok==(fault is None) or (ok and fault.keyword in ('duplicateKey', 'range', 'surrogate')), (text, fault)
        assert (strict(text)[1] is None)==(fault is None)
        passed += ok
    assert passed > 1000

def test_pointers_and_places():
    assert validate('{"a": [1, {"b/c": 1, "b/c": 2}]}', None).at=='/a/1/b~1c'
    v = validate('{\n  "a": [1,\n 2,, 3]}', None)
    assert v.at=='/a/2' and v.reason.startswith('line 3, column 4')
    assert validate('{"a": {"b": [0, "x"]}}',
                    {'properties': {'a': {'properties': {'b': {'items': {'type': 'integer'}}}}}}).at=='/a/b/1'

# The schema and the class

CHECKED = [{'type': 'string', 'format': 'date'}, {'type': 'integer', 'minimum': 3}, {'enum': ['a', 1]},
           {'type': 'array', 'uniqueItems': True},
           {'type': 'object', 'required': ['a']}, {'type': 'string', 'pattern': '^a+$'}, {'anyOf': [{'type': 'null'},
                                                                                                    {'type': 'string',
                                                                                                     'maxLength': 2}]},
           {'not': {'type': 'string'}}, {'const': {'a': [1]}}, {'type': 'number', 'multipleOf': .5},
           {'minProperties': 2, 'type': 'object'}, True]

@pytest.mark.parametrize('schema', CHECKED, ids=str)
def test_verdicts_are_those_of_another_validator(schema):
    rng, values = random.Random(14), ['2020-02-30', '2020-02-29', 'a', 'aa', 'b', 1, 3, 2.5, None, [], [1, 1], [1,
                                                                                                                1.0],
                                      {}, {'a': [1]}, {'a': 1, 'b': 2}]
    other = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
    language = compile(schema)
    for x in values + [value(rng) for _ in range(30)]:
        v = validate(json.dumps(x), language)
        assert bool(v)==other.is_valid(x), (schema, x, v)
        assert v or v.keyword and len(v.reason) < 500

def test_a_large_instance_is_not_printed_whole():
    v = validate(json.dumps('x'*10_000_000), {'type': 'object'})
    assert v.status=='invalid' and v.keyword=='type' and len(v.reason) < 300

def test_a_closed_object_is_complete_and_a_number_may_have_gone_on():
    number = compile({'type': 'integer', 'minimum': 0, 'maximum': 1000})
    assert [validate(t, number, 'length').status for t in ('12', '1000', '1001')]==['truncated', 'valid', 'invalid']
    assert validate('12', number).status==validate('12', number, 'eos').status=='valid'
    assert [validate(t, None, 'length').status for t in ('{"a": 1}', '"a"', 'true', '[1]', '1',
                                                         '1 ')]==['valid']*4+['truncated', 'valid']

def test_extraction_of_roots_that_are_no_container():
    for text,schema,want in [('The answer is 42.', {'type': 'integer'}, 42), ('"yes"', {'type': 'string'}, 'yes'),
                             ('It is "no", surely', {'enum': ['yes', 'no']}, 'no'),
                             ('so true', {'type': 'boolean'}, True), ('[1, 2] and 3', {'type': ['array', 'number']},
                                                                      [1, 2]), ('null', {'type': 'null'}, None),
                             ('<think>4? 5?</think>6', {'type': 'integer'}, 6), ('1,234', {'type': 'integer'}, ...),
                             ('v1.2.3', {'type': 'number'}, ...),
                             ('-3', {'type': 'integer'}, -3)]:
        v = extract(text, schema)
        assert (v.value==want and v.status=='valid') if want is not ... else v.status=='none', (text, v)

def test_json_inside_strings_and_lines_of_json(shape):
    inner = json.dumps({'answer': 1, 'why': '', 'data': 0})
    assert extract(json.dumps({'text': inner}), shape).status=='invalid'
    assert extract(json.dumps(json.dumps(json.loads(inner))), shape).status=='none'
    assert extract('\n'.join(f'{{"answer": {i}, "why": "", "data": 0}}' for i in range(5)), shape).value['answer']==4
    assert extract('{"answer": "x"}', shape).at in ('/answer',
                                                    '') and extract('{"answer": 1e999, "why": "", "data": 0}',
                                                                    shape).keyword=='range'

def test_the_schema_repeated_is_no_answer():
    lax = {'type': 'object', 'properties': {'name': {'type': 'string'}}}
    text = json.dumps(lax)
    assert extract(text, lax).keyword=='echo'
    assert extract(f'{text}\n{{"name": "Ann"}}', lax).value=={'name': 'Ann'}
    assert extract(f'{{"name": "Ann"}}\nas the schema {text} asks', lax).value=={'name': 'Ann'}

def test_pydantic_is_strict():
    from pydantic import BaseModel, field_validator
    class Person(BaseModel):
        name: str
        age: int
        @field_validator('age')
        def positive(cls, age):
            if age < 0: raise ValueError('must not be negative')
            return age
    from dataclasses import replace
    language = replace(compile(json.dumps(Person.model_json_schema())), model=Person)
    v = extract('Here: {"name": "Ann", "age": 3}', language)
    assert v.value==Person(name='Ann', age=3)
    v = validate('{"name": "Ann", "age": -3}', language)
    assert v.status=='invalid' and v.at=='/age' and 'must not be negative' in v.reason
    assert validate('{"name": "Ann", "age": "3"}', language).keyword=='type'
    assert validate('{"name": "Ann", "age": 3.0}', language).status=='invalid'

ANSWER = {'type': 'object', 'properties': {'answer': {'type': 'integer'}}, 'required': ['answer']}
FOUND = ['json{"answer": 4}', '<answer>{"answer": 4}</answer>', 'It\'s {"answer": 4}, isn\'t it?', '{{"answer": 4}}',
         '\ufeff{"answer": 4}',
         '\\boxed{{"answer": 4}}', '~~~json\n{"answer": 4}\n~~~', '<think>{"answer": 1</think>{"answer": 4}',
         '| {"answer": 4} |',
         '<|message|>{"answer": 4}<|end|>', 'if (x) { y = {"answer": 4}; }',
         'Format: {"answer": <int>}\n\n{"answer": 4}', '{"answer": 4}}',
         '{"answer": ...} -> {"answer": 4}', '{"answer": 4}\x00', 'In Python: {"answer": 4}["answer"] == 4',
         '{"answer": 4} {"answer":',
         'The {"answer": "four"} is {"answer": 4}', '{"answer": 4} not {"answer": "four"}',
         'a {"b": [1, 2} {"answer": 4}',
         '<thinking>{"answer": 5}</thinking>\n{"answer": 4}',
         '```json\n{"answer": 3,\n```\nagain:\n```json\n{"answer": 4}\n```']
NOT_FOUND = {'{"answer": 4,\n```': 'syntax', '<think>{"answer": 4}</think>': 'missing',
             '<think>{"answer": 4} so': 'thought',
             '{"answer" = 4}': 'syntax', '{"answer":\xa04}': 'space', 'dict(answer=4)': 'missing',
             '{"result": {"answer": 4}}': 'required',
             '{result: {"answer": 4}}': 'key', '{"answer": 4, ...}': 'number', '{"answer": 0x10}': 'syntax',
             '{"answer": "4"}': 'type',
             '{"answer": 4, "answer": 5}': 'duplicateKey', '"{\\"answer\\": 4}"': 'missing',
             '[{"answer": 4}': 'unfinished', '': 'missing',
             '{"why": "he said "hi" {"answer": 4}", "answer": 4}': 'syntax',
             '{"why": "two\nlines {x}", "answer": 4}': 'control',
             '{"a": {"answer": 4}': 'unfinished', '{"x": "unclosed} {"answer": 4}': 'syntax',
             '[[["{"answer": 4}"]]]': 'syntax'}

@pytest.mark.parametrize('text', FOUND)
def test_answers_as_people_and_models_write_them(text): assert extract(text, ANSWER).text=='{"answer": 4}'

@pytest.mark.parametrize('text,keyword', NOT_FOUND.items())
def test_what_is_no_answer_says_why(text, keyword):
    v = extract(text, ANSWER, 'eos')
    assert not v and v.keyword==keyword and v.value is None and v.reason, v

WORDED = [('choice:A,B,C', 'The answer is B.', 'B'), ('choice:A,B,C', 'A good answer: **C**', 'C'), ('choice:A,B,C',
                                                                                                     'ABC', None),
          ('choice:yes,no,yes sir', 'yes sir!', 'yes sir'), ('choice:yes,no', 'nope', None), ('integer',
                                                                                              'So 4 + 5 = 9.', '9'),
          ('integer', '3.5', None), ('number', 'about 2.50 kg', '2.50'), ('words:2', 'blue sky', 'blue sky'),
          ('regex:[a-z]+[0-9]', 'hm, x1.', 'x1'),
          ('choice:A,B,C', '<think>A or B?</think>C', 'C'), ('choice:A,B,C', '<think>A', None), ('choice:A,B,C', '',
                                                                                                 None),
          ('regex:(a+)+b', 'a'*5000, None)]

@pytest.mark.parametrize('spec,text,want', WORDED, ids=str)
def test_answers_of_plain_languages(spec, text, want):
    v = extract(text, spec)
    assert (v.text if v else None)==want and (not v or text[v.start:].startswith(v.text))

def test_texts_that_may_go_on_are_truncated():
    for spec,text,want in [('choice:a,ab', 'a', 'truncated'), ('choice:a,ab', 'ab', 'valid'), ('yes_no', 'ye',
                                                                                               'truncated'),
                           ('yes_no', 'yx', 'invalid')]:
        assert validate(text, spec, 'length').status==want, text

@pytest.mark.parametrize('given', [None, b'{}', {'a': 1}, 3])
def test_what_is_no_text_is_one_clear_error(given):
    from decodelab.core.errors import BadValue
    for read in (validate, extract):
        with pytest.raises(BadValue, match='a string, as generated'): read(given, {'type': 'object'})
