"""Schemas to grammars, checked against what does not know them: enumeration, two validators, exact fractions."""
import itertools, json, random
from fractions import Fraction
import jsonschema, jsonschema_rs, numpy as np, pytest
from clock import seconds
from schemas_of_every_kind import SCHEMAS
from decodelab.core.errors import BadValue, DecodelabError
from decodelab.schema import Language, compile
from decodelab.schema.compiling.numbers import number
from decodelab.schema.finite import matcher
from decodelab.schema.patterns import terminal

END = 256 # The end of text, for the tokenizer of bytes

def allowed(state):
    "Bytes, and the end, that may come next."
    bits = np.unpackbits(np.frombuffer(state.compute_bitmask(), np.uint8), bitorder='little')[:END+1]
    assert not state.is_error(), state.get_error()[:200]
    return [int(i) for i in np.flatnonzero(bits)]

def reads(state, text):
    "Is a text in the language?"
    state, data = state.deep_copy(), text.encode()
    return state.try_consume_tokens(list(data))==len(data) and state.is_accepting()

def documents(language, most=20_000):
    "Every text that the masks let out."
    out, todo = set(), [(matcher(language.lark), b'')]
    while todo:
        state, text = todo.pop()
        for byte in allowed(state):
            if byte==END: out.add(text.decode())
            else:
                after = state.deep_copy()
                after.consume_token(byte)
                todo.append((after, text+bytes([byte])))
        assert len(out)<most
    return out

def walk(state, draw, soft=60, most=600):
    "A random text of the language; `None` where it does not end."
    state, out = state.deep_copy(), []
    while len(out)<most:
        now = allowed(state)
        assert now, bytes(out)
        if END in now and (now==[END] or draw.random()<.5): return bytes(out).decode()
        now = [b for b in now if b!=END]
        ends = [b for b in now if b in b']}"']
        plain = [b for b in now if b<128 and b!=92]
        if len(out)>soft and ends and draw.random()<.9: now = ends
        elif plain and draw.random()<.6: now = plain
        out.append(draw.choice(now))
        state.consume_token(out[-1])

def written(value): return json.dumps(value, ensure_ascii=False)

def both_valid(schema, value):
    "Two validators agree."
    rs = jsonschema_rs.Draft202012Validator(schema, validate_formats=True).is_valid(value)
    py = jsonschema.Draft202012Validator(schema,
        format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER).is_valid(value)
    assert rs==py, (schema, value)
    return rs

# Language equality

VALUES = [0, 1, 2, True, None, 'a', 'ab']
OBJECTS = [dict(zip(keys, vs)) for n in range(4) for keys in itertools.combinations('abc', n)
    for vs in itertools.product(VALUES, repeat=n)]
ARRAYS = [list(vs) for n in range(4) for vs in itertools.product(VALUES, repeat=n)]
CLOSED = {'type': 'object', 'properties': {k: {'enum': VALUES} for k in 'abc'}, 'additionalProperties': False}
SHORT = {'type': 'array', 'items': {'enum': VALUES}, 'maxItems': 3}
INT, STR = {'type': 'integer'}, {'type': 'string'}
OF_OBJECTS = [
    {}, {'required': ['b']}, {'minProperties': 2}, {'maxProperties': 1}, {'minProperties': 1, 'maxProperties': 2,
        'required': ['c']},
    {'dependentRequired': {'a': ['b'], 'b': ['c']}}, {'dependentSchemas': {
        'a': {'properties': {'b': {'type': 'null'}}, 'required': ['b']}}},
    {'properties': {'a': INT, 'b': STR}}, {'properties': {'a': False}}, {
        'patternProperties': {'^[ab]$': INT, 'b': {'minimum': 1}}},
    {'propertyNames': {'enum': ['a', 'c']}}, {'propertyNames': {'pattern': '^[bc]'}}, {'not': {'required': ['a']}},
    {'not': {'properties': {'a': INT}}}, {'not': {'minProperties': 2}}, {'if': {'required': ['a']},
        'then': {'required': ['b']}, 'else': {'maxProperties': 1}},
    {'if': {'properties': {'a': {'const': 1}}, 'required': ['a']}, 'then': {'properties': {'b': {'type': 'null'}}}},
    {'oneOf': [{'required': ['a']}, {'required': ['b']}]}, {'anyOf': [{'required': ['a']},
        {'properties': {'b': STR}, 'required': ['b']}]},
    {'allOf': [{'properties': {'a': {'minimum': 1}}}, {'properties': {'a': {'type': ['integer', 'null']}},
        'required': ['a']}]},
    {'unevaluatedProperties': False}, {'minProperties': 1, 'not': {'required': ['a', 'b']}}]
OF_ARRAYS = [
    {}, {'minItems': 2}, {'maxItems': 1}, {'uniqueItems': True}, {'contains': {'const': 'a'}}, {'contains': INT,
        'minContains': 2},
    {'contains': INT, 'maxContains': 1}, {'contains': STR, 'minContains': 0}, {'contains': STR, 'minContains': 0,
        'maxContains': 1},
    {'prefixItems': [INT, STR]}, {'prefixItems': [{'type': 'null'}], 'minItems': 1,
        'uniqueItems': True}, {'items': {'enum': [0, 'a', 7]}},
    {'not': {'contains': STR}}, {'not': {'items': INT}}, {'not': {'maxItems': 2}}, {'not': {'prefixItems': [INT, STR]}},
    {'contains': {'const': 1}, 'uniqueItems': True}, {'oneOf': [{'minItems': 2}, {'contains': {'type': 'null'}}]},
    {'if': {'minItems': 2}, 'then': {'contains': {'type': 'boolean'}}}, {
        'items': {'type': ['integer', 'null'], 'not': {'const': 1}}}]

@pytest.mark.parametrize('base, extra, universe', [*((CLOSED, e, OBJECTS) for e in OF_OBJECTS),
    *((SHORT, e, ARRAYS) for e in OF_ARRAYS)],
                         ids=lambda x: written(x)[:60] if isinstance(x, dict) else '')
def test_masks_let_out_exactly_the_documents_that_a_validator_takes(base, extra, universe):
    schema = {'allOf': [base, extra]}
    language = compile(schema, strict=True)
    valid = jsonschema.Draft202012Validator(schema)
    assert documents(language)=={written(v) for v in universe if valid.is_valid(v)}

def random_schema(draw, depth=2):
    "A schema over small values, of any keywords."
    def sub(): return random_schema(draw, depth-1)
    kinds = [lambda: {'type': draw.choice(['integer', 'string', 'null', 'boolean', 'number', ['integer', 'null']])},
        lambda: {'const': draw.choice(VALUES)},
             lambda: {'enum': draw.sample(VALUES, draw.randint(1, 4))}, lambda: {
                 'minimum': draw.choice([0, .5, 1])}, lambda: {'exclusiveMaximum': draw.choice([1, 2])},
             lambda: {'maxLength': 1}, lambda: {'pattern': draw.choice(['b', '^a$', '^.b?$'])}, lambda: draw.choice(
                 [True, {}])]
    if depth>0:
        kinds = kinds[:3]+[lambda: {'anyOf': [sub(), sub()]}, lambda: {'oneOf': [sub(), sub()]},
            lambda: {'allOf': [sub(), sub()]}, lambda: {'not': sub()},
            lambda: {'if': sub(), 'then': sub(), 'else': sub()}, lambda: {'if': sub(),
                'else': sub()}, lambda: {'properties': {draw.choice('abcd'): sub(), 'b': sub()}},
            lambda: {'required': draw.sample('abc', draw.randint(1, 2))}, lambda: {
                'minProperties': draw.randint(0, 2)}, lambda: {'maxProperties': draw.randint(0, 3)},
            lambda: {'patternProperties': {draw.choice(['a', '[bc]', '^.$']): sub()}}, lambda: {
                'propertyNames': sub()}, lambda: {'items': sub()},
            lambda: {'prefixItems': [sub() for _ in range(draw.randint(1, 2))]}, lambda: {
                'contains': sub()}, lambda: {'contains': sub(), 'maxContains': draw.randint(1,
                    2), 'minContains': draw.randint(0, 1)},
            lambda: {'minItems': draw.randint(0, 2)}, lambda: {'maxItems': draw.randint(1, 3)}, lambda: {
                'uniqueItems': True},
            lambda: {'properties': {'a': sub()}, 'additionalProperties': sub()}, lambda: {
                'dependentRequired': {'a': ['b']}}, lambda: {'dependentSchemas': {'b': sub()}},
            lambda: {'allOf': [{'properties': {'a': sub()}}],
                'unevaluatedProperties': sub()}, lambda: {'prefixItems': [sub()], 'unevaluatedItems': sub()}]
    out = {}
    for _ in range(draw.randint(1, 2 if depth else 1)):
        more = draw.choice(kinds)()
        out = {**out, **more} if isinstance(more, dict) else out
    return out

def fuzz(seeds):
    "Schemas whose language is not what a validator says; sampled so that most have some documents."
    exact = weaker = 0
    for seed in seeds:
        draw = random.Random(seed)
        base, universe = draw.choice([(CLOSED, OBJECTS), (SHORT, ARRAYS)])
        schema = {'allOf': [base, random_schema(draw)]}
        valid = jsonschema.Draft202012Validator(schema)
        want = {written(v) for v in universe if valid.is_valid(v)}
        try: language = compile(schema)
        except BadValue as e:
            assert not want, (seed, schema, str(e))
            continue
        state = matcher(language.lark)
        got = {t for v in universe if reads(state, t := written(v))}
        # of two branches that both hold only one is counted as looked at
        if 'unevaluated' in json.dumps(schema): got |= want
        if language.unenforced: assert got>=want, (seed, schema, want-got)
        else: assert got==want, (seed, schema, got-want, want-got)
        exact, weaker = exact+(not language.unenforced), weaker+bool(language.unenforced)
    return exact, weaker

def test_random_schemas_are_held_exactly_or_say_what_they_do_not_hold():
    exact, weaker = fuzz(range(100))
    assert exact>55, (exact, weaker)

# Validity

FIRST = {'unique_numbers', 'one_of_steps'} # Each lists what its grammar does not hold

@pytest.mark.parametrize('name', SCHEMAS)
def test_random_texts_are_valid_or_fail_at_a_listed_keyword(name):
    "By two validators, and by the schema as it was written, in its own draft."
    language, draw = compile(SCHEMAS[name]), random.Random(name)
    state, own = matcher(language.lark), SCHEMAS[name]
    judges = [jsonschema_rs.Draft202012Validator(language.schema, validate_formats=True),
        jsonschema_rs.validator_for(own, validate_formats=True)] \
        if isinstance(own, dict) else []
    judges.append(jsonschema.Draft202012Validator(language.schema,
        format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER))
    listed = {entry.split(' ')[0] for entry in language.unenforced}
    ended = 0
    for _ in range(12):
        if (text := walk(state, draw)) is None: continue
        keys = json.loads(text, object_pairs_hook=lambda pairs: [k for k,_ in pairs]
            if len({k for k,_ in pairs})<len(pairs) else dict(pairs))
        if keys!=json.loads(text): continue # two free keys alike: listed, checked below
        ended += 1
        for judge in judges:
            wrong = {str(p) for e in judge.iter_errors(json.loads(text))
                for p in (e.schema_path if hasattr(e, 'schema_path') else e.absolute_schema_path)}
            assert not wrong or wrong & listed, (text, wrong, language.unenforced)
    assert ended or name=='pattern_properties'
    assert FIRST>={name} or not listed-{'additionalProperties'}, language.unenforced

def test_the_schemas_use_every_keyword():
    from decodelab.schema.documents import KNOWN, nodes
    used = {k for s in SCHEMAS.values() for node in nodes(s) for k in node}
    assert len(SCHEMAS)>=60 and KNOWN-used=={'$vocabulary'}, KNOWN-used

# Cases of the kinds of the official suite: schema, instances that must be written, instances that must not

CASES = [
    ({'additionalProperties': False, 'patternProperties': {'^á': {}}, 'type': 'object'}, ['{"ármányos": 2}', '{}'],
        ['{"élmény": 2}']),
    ({'allOf': [{'properties': {'bar': INT}, 'required': ['bar']}, {'properties': {'foo': STR}, 'required': ['foo']}]},
     ['{"bar": 2, "foo": "baz"}'], ['{"foo": "baz"}', '{"bar": 2}', '{"bar": "quux", "foo": "baz"}']),
    ({'anyOf': [INT, {'minimum': 2}]}, ['1', '2.5', '3', '"x"'], ['1.5']),
    ({'const': {'foo': 'bar', 'baz': 'bax'}}, ['{"foo": "bar", "baz": "bax"}'], ['{"foo": "bar"}', '[1, 2]']),
    ({'const': False}, ['false'], ['0', '[]']), ({'enum': [0]}, ['0'],
        ['false', '-0']), ({'enum': ['foo\nbar', 'foo\rbar']}, ['"foo\\nbar"'], ['"abc"']),
    ({'type': 'array', 'contains': {'minimum': 5}}, ['[3, 4, 5]', '[3, 4, 5, 6]', '["x"]'], ['[2, 3, 4]', '[]']),
    ({'type': 'array', 'items': {'type': 'integer', 'maximum': 9}, 'contains': {'minimum': 5}, 'minContains': 2},
        ['[5, 6]', '[1, 5, 2, 6]'], ['[5, 1]', '[]']),
    ({'dependentRequired': {'bar': ['foo']}, 'type': 'object'}, ['{}', '{"foo": 1}', '{"bar": 2, "foo": 1}'],
        ['{"bar": 2}']),
    ({'if': {'exclusiveMaximum': 0}, 'then': {'minimum': -10}, 'else': {'multipleOf': 2}, 'type': 'number'},
        ['-1', '4', '-1.5'], ['-100', '3']),
    ({'type': 'integer'}, ['1', '-7', '0'], ['1.1', '"1"', '-0', '01', '+1', '1e2']), ({'maximum': 3.0},
        ['2.6', '3.0', '"x"'], ['3.5', '3.00000001']),
    ({'exclusiveMaximum': 3.0, 'type': 'number'}, ['2.2', '-9'],
        ['3.0', '3', '3.5']), ({'multipleOf': 1.5, 'type': 'number'}, ['0', '4.5', '-1.5'], ['35', '2']),
    ({'multipleOf': .01, 'type': 'number'}, ['0.29', '4.35', '-0.07', '12'],
        ['0.295', '0.001']), ({'type': 'integer', 'multipleOf': 7}, ['0', '-21', '700'], ['8', '-22']),
    ({'maxLength': 2, 'type': 'string'}, ['"💩💩"', '"\\n\\n"', '"f"'], ['"foo"']), ({'minLength': 2, 'type': 'string'},
        ['"fo"', '"💩a"'], ['"💩"', '""']),
    ({'not': {'type': ['integer', 'boolean']}}, ['"foo"', '1.5', 'null'],
        ['1', 'true']), ({'not': {'not': {'const': 3}}}, ['3'], ['4']),
    ({'not': {'type': 'object', 'properties': {'foo': STR}}}, ['1', '{"foo": 1}'], ['{"foo": "bar"}', '{}']),
    ({'oneOf': [INT, {'minimum': 2}]}, ['1', '2.5', '"x"'], ['3', '1.5']),
    ({'pattern': '^a*$', 'type': 'string'}, ['"aaa"', '""'], ['"abc"']), ({'pattern': 'a+'}, ['"xxaayy"', '{}'],
        ['"xxyy"']),
    ({'patternProperties': {'f.*o': INT}, 'type': 'object', 'maxProperties': 1}, ['{"foo": 1}', '{"x": "y"}'],
        ['{"foo": "bar"}', '{"fooooo": []}']),
    ({'prefixItems': [INT, STR], 'type': 'array'}, ['[1, "foo"]', '[1]', '[]', '[1, "foo", true]'], ['["foo", 1]']),
    ({'prefixItems': [{}, {}, {}], 'items': False, 'type': 'array'}, ['[1, 2, 3]', '[]', '[1]'], ['[1, 2, 3, 4]']),
    ({'properties': {'foo': {'type': 'array', 'maxItems': 3}, 'bar': {'type': 'array'}},
        'patternProperties': {'f.o': {'minItems': 2}}, 'additionalProperties': INT, 'type': 'object'},
     ['{"foo": [1, 2]}', '{"fxo": [1, 2]}', '{"bar": []}', '{"quux": 3}'], ['{"foo": []}', '{"foo": [1, 2, 3, 4]}',
         '{"fxo": []}', '{"quux": "foo"}']),
    ({'propertyNames': {'maxLength': 3}, 'type': 'object'}, ['{"f": {}, "foo": {}}', '{}'],
        ['{"foo": {}, "foobar": {}}']),
    ({'$ref': '#/$defs/a~1b%25c', '$defs': {'a/b%c': INT}}, ['5'],
        ['"x"']), ({'$defs': {'foo"bar': {'type': 'number'}},
            'properties': {'a': {'$ref': '#/$defs/foo%22bar'}}}, ['{"a": 1}'], ['{"a": "1"}']),
    ({'$defs': {'r': {'maxItems': 2, 'type': 'array'}}, 'properties': {'foo': {'$ref': '#/$defs/r', 'minItems': 1}},
        'required': ['foo'], 'type': 'object'}, ['{"foo": [1]}'], ['{"foo": []}', '{"foo": [1, 2, 3]}']),
    ({'$schema': 'http://json-schema.org/draft-07/schema#', 'definitions': {'r': {'type': 'array'}},
        'properties': {'foo': {'$ref': '#/definitions/r', 'maxItems': 0}}, 'required': ['foo']},
     ['{"foo": [1, 2]}'], ['{"foo": 1}']), # beside a reference nothing holds before 2019-09
    ({'properties': {'$ref': {'type': 'string'}}, 'type': 'object'}, ['{"$ref": "a"}'],
        ['{"$ref": 2}']), ({'properties': {'foo\nbar': {'type': 'number'}},
            'required': ['foo\nbar']}, ['{"foo\\nbar": 1}'], ['{"foo\\nbar": "1"}', '{}']),
    ({'type': 'object', 'allOf': [{'properties': {'foo': STR}}], 'properties': {'bar': STR},
        'unevaluatedProperties': False}, ['{"foo": "b", "bar": "a"}', '{}'], ['{"baz": 1}', '{"foo": 1}']),
    ({'type': 'array', 'allOf': [{'prefixItems': [STR]}], 'unevaluatedItems': INT}, ['["a", 1, 2]', '[]'],
        ['["a", "b"]', '[1]']),
    ({'type': 'string', 'format': 'date'}, ['"2020-02-29"', '"1963-06-19"', '"2000-02-29"'],
        ['"2021-02-29"', '"1900-02-29"', '"2020-13-01"', '"2020-04-31"', '"0000-01-01"', '"2020-1-1"']),
    ({'type': 'string', 'format': 'time'}, ['"08:30:06Z"', '"23:59:59.5+01:00"'],
        ['"08:30:60Z"', '"24:00:00Z"', '"08:30:06"', '"08:30:06z"']),
    ({'type': 'string', 'format': 'email'}, ['"joe.bloggs@example.com"', '"te~st@example.com"'],
        [f'"{"a"*65}@example.com"', '".test@example.com"', '"te..st@example.com"', '"joe@x..com"']),
    ({'type': 'string', 'format': 'ipv6'}, ['"::1"', '"1:2:3:4:5:6:7:8"', '"::ffff:192.168.0.1"', '"::"'],
        ['"1::2::3"', '"12345::"', '"1:2:3:4:5:6:7:8:9"', '":1"']),
    ({'type': 'string', 'format': 'hostname'}, ['"www.example.com"', '"a--b.org"'],
        ['"-bad.com"', '"bad-.com"', f'"{"a"*64}.com"', '"xn--x.com"', '""']),
    ({'type': 'string', 'format': 'uuid'}, ['"2eb8aa08-aa98-11ea-b4aa-73b441d16380"'],
        ['"2eb8aa08-aa98-11ea-b4aa73b441d16380"']),
    ({'type': 'string', 'format': 'duration'}, ['"P4DT12H30M5S"', '"PT36H"', '"P2W"'],
        ['"P"', '"PT"', '"P1D2H"', '"P2S"', '"P1YT"'])]

@pytest.mark.parametrize('schema, good, bad', CASES, ids=lambda x: written(x)[:50] if isinstance(x, dict) else '')
def test_cases_of_every_keyword(schema, good, bad):
    language = compile(schema)
    state, valid = matcher(language.lark), jsonschema_rs.Draft202012Validator(language.schema, validate_formats=True)
    assert [t for t in good if not reads(state, t) or not valid.is_valid(json.loads(t))]==[]
    assert [t for t in bad if reads(state, t)]==[]
    assert {e.split(' ')[0] for e in language.unenforced}<={'additionalProperties'}

# Patterns and numbers

PATTERNS = [
    r'^\d+$', '^[a-z]+$', '^a|b$', 'a"', r'^(?!x)(?=.*\d).{2,}$', '[^a]', r'\\n|\n', r'^[\w-]+@\w+$', r'^\s*$',
    '(^a|b$)', '^(ab|c){2,3}$', r'\p{Lu}', r'^\P{L}+$', '^[é-ü"]+$', r'^\u0041\x42?$', 'x{0}', '^$', '', '^(a+)+$',
    r'[\d\-x]$', '^.$', r'^\W$', r'\/', '^(?:a|(?:b|^c))$', '^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$', '^(?=a)',
    '^((?=a).*|b)$', r'[^\s\S]|b', r'^[\[a\]^]+$', '^[~/]+$', '}', r'^\cA?\t\n$', r'^(?<year>\d)a*?$']

@pytest.mark.parametrize('pattern', PATTERNS)
def test_patterns_match_what_a_validator_says(pattern):
    state, valid = matcher(f'start: T\nT: {terminal(pattern)}'), jsonschema_rs.Draft202012Validator(
        {'pattern': pattern})
    draw = random.Random(pattern)
    for _ in range(150):
        text = ''.join(draw.choice('aabbcxAB01"\\\n\t\x01é-_@ .+/ü{}[]~') for _ in range(draw.randint(0, 4)))
        assert reads(state, written(text))==valid.is_valid(text), text

@pytest.mark.parametrize('pattern', ['(?<=a)b', r'(a)\1', r'\bword', 'a(?=b)', r'(?<!a)b', 'a^b'])
def test_patterns_that_no_mask_can_follow_are_listed_or_refused(pattern):
    schema = {'type': 'object', 'properties': {'a': {'type': 'string', 'pattern': pattern, 'maxLength': 3}},
        'additionalProperties': False}
    language = compile(schema)
    assert [e.split(':')[0] for e in language.unenforced]==['pattern at /properties/a']
    assert reads(matcher(language.lark), '{"a": "xyz"}') and not reads(matcher(language.lark), '{"a": "wxyz"}')
    with pytest.raises(BadValue, match='pattern at /properties/a'): compile(schema, strict=True)

NUMERALS = ('0 -0 -0.0 1 -1 1.0 1.5 -1.5 0.5 .5 1. 01 10 12 99 100 101 -7 -10 -100 0.1 0.10 0.3 2.5 7.5 -2.50 3 6 9 '
            '14 -14 0.01 0.29 0.295 0.05 25 50 -5 20 -0.5 999999999999999 0.29999999999999').split()

@pytest.mark.parametrize('seed', range(60))
def test_bounds_and_steps_are_those_of_exact_fractions(seed):
    from decimal import Decimal
    draw = random.Random(seed)
    def bound():
        return draw.choice([None, (Decimal(draw.choice(['0', '1', '-1', '1.5', '-1.5', '10', '99', '100', '-100',
            '0.3', '0.05', '7', '101.25'])), draw.random()<.5)])
    integer, low, high = draw.choice([None, True, False]), bound(), bound()
    step, excluded = draw.choice([None, None, *map(Fraction, ('2', '5', '0.01', '0.5', '2.5', '3', '10',
        '0.25'))]), draw.choice([(), (Decimal(1),), (Decimal('0.5'),)])
    if not (low or high or step or excluded) and not integer: return
    expression = number(integer, low, high, step, excluded)
    if expression is None: return
    state = matcher(f'start: T\nT: {expression}')
    for text in NUMERALS:
        try: value = Fraction(text) if json.loads(text) is not None else None
        except ValueError: value = None
        want = value is not None and not (text.startswith('-0') and value==0) and not (integer and '.' in text)
        if want:
            want = not (integer is False and value.denominator==1) and not (step
                and (value/step).denominator!=1) and value not in map(Fraction, excluded)
        if want and low: want = value>Fraction(low[0]) or value==Fraction(low[0]) and not low[1]
        if want and high: want = value<Fraction(high[0]) or value==Fraction(high[0]) and not high[1]
        try: got = reads(state, text)
        except Exception: got = False # nothing can begin
        assert got==want, (text, integer, low, high, step, excluded)

def test_numbers_stay_finite_and_keep_their_digits():
    free, draw = matcher(compile({'type': 'number'}).lark), random.Random(5)
    for good in ('1e5', '1.5e-07', '1e+16', '2.5e289', '123456789012345678', '-3.25'): assert reads(free, good)
    for bad in ('1e309', '1e400', '-0', '-0.0', '1E5', 'NaN', 'Infinity', '.5', '00'): assert not reads(free, bad)
    assert all(abs(json.loads(walk(free, draw)))<float('inf') for _ in range(50))

# Public reports

def test_a_mask_forgets_no_keyword_beside_a_pattern():
    state = matcher(compile({'type': 'string', 'pattern': '^[a-z]+$', 'maxLength': 3}).lark)
    assert documents(compile({'type': 'string', 'pattern': '^[a-b]+$', 'maxLength': 2}))=={f'"{a}{b}"' for a in 'ab'
        for b in ('', *'ab')}
    assert reads(state, '"abc"') and not reads(state, '"abcd"') and not reads(state, '"ab1"') and not reads(state, '""')

def test_flexible_white_space_cannot_flood():
    "A model that writes only white space comes to an end of it; pretty and compact forms are both in the language."
    schema = {'type': 'object', 'properties': {'a': {'enum': ['x']}, 'b': {'type': 'array', 'items': INT}},
        'required': ['a', 'b'], 'additionalProperties': False}
    state = matcher(compile(schema, 'flexible').lark)
    value = {'a': 'x', 'b': [1, 2]}
    for indent in (None, 1, 2, 4, '\t'): assert reads(state, json.dumps(value, indent=indent))
    assert reads(state, json.dumps(value, separators=(',', ':')))
    longest, blank = 0, 0
    for text in ('{', '"a"', ':', ' "x"', ',', '"b"', ':', '[', '1', ',', '2', ']'):
        assert state.try_consume_tokens(list(text.encode()))==len(text)
        inside, blank = state.deep_copy(), 0
        while (now := [b for b in allowed(inside) if b in b' \n\t']) and blank<100:
            inside.consume_token(min(now))
            blank += 1
        longest = max(longest, blank)
    assert longest<=25

def test_separators_are_those_of_json_dumps():
    schema = {'type': 'object', 'properties': {'a': {'type': 'array', 'items': INT}}, 'required': ['a'],
        'additionalProperties': False}
    for separators,kept in (('json', (', ', ': ')), ('compact', (',', ':'))):
        state = matcher(compile(schema, separators).lark)
        for how in ((', ', ': '), (',', ':')):
            assert reads(state, json.dumps({'a': [1, 2]}, separators=how))==(how==kept)

def test_an_array_without_items_is_any_array():
    state = matcher(compile({'type': 'array'}).lark)
    assert all(reads(state, t) for t in ('[]', '[1, "a", null, [{"b": []}]]')) and not reads(state, '{}')

def test_escapes_do_not_go_round_a_declared_key():
    schema = {'type': 'object', 'properties': {'a': INT}, 'additionalProperties': STR}
    state = matcher(compile(schema).lark)
    assert reads(state, '{"a": 1, "b": "x"}') and not reads(state, '{"\\u0061": "x"}') and not reads(state,
        '{"a": "x"}') and not reads(state, '{"a": 1, "a": "x"}')

# Plain languages

def texts(spec): return documents(compile(spec))

def test_plain_languages():
    assert texts('choice:A,B, C')=={'A', 'B', 'C'} and texts('yes_no')=={'yes', 'no'} and texts('choice:1,12')=={'1',
        '12'}
    assert texts('regex:(a|b)c?')=={'a', 'b', 'ac', 'bc'} and texts('regex:^x$')=={'x'} and texts(
        'lark:start: "a" | "bc"')=={'a', 'bc'}
    assert texts('words:red,blue')=={'red', 'blue'}
    words, integer, real = (matcher(compile(s).lark) for s in ('words:2', 'integer', 'number'))
    assert all(reads(words, t) for t in ("don't go", 'Zürich', 'x-ray 3')) and not any(reads(words, t)
        for t in ('', 'a b c', 'a  b', ' a', 'a.'))
    assert all(reads(integer, t) for t in ('0', '-12', '1004')) and not any(reads(integer, t)
        for t in ('', '-0', '1.5', '007'))
    assert all(reads(real, t) for t in ('-1.5', '0', '0.50', '-0.05', '12'))
    assert not any(reads(real, t) for t in ('1/2', '-0', '-0.0', '1.'))
    assert {compile(s).kind for s in ('choice:A', 'regex:a', 'lark:start: "a"', 'integer')}=={'choices', 'regex',
        'lark'}
    language = compile('choice:A,B')
    assert compile(language) is language and json.loads(language.grammar)=={'kind': 'choices', 'choices': ['A', 'B']}

@pytest.mark.parametrize('spec, says', [
    ('integr', "Did you mean 'integer'"), ('choise:A,B', "Did you mean 'choice'"), ('choice:',
        'none empty'), ('choice:A,,B', 'none empty'), ('regex:[a', 'at position 2'),
    ('regex:a*', 'does not match the empty text'), ('regex:[^\\s\\S]', 'matches some text'), (r'regex:(a)\1',
        'a back reference'), ('lark:rule: "a"', 'start: …'),
    ('lark:start: "a" |(', 'llguidance can compile'), ('lark:none.lark', 'a file that exists'), ('words:0',
        'words:3'), ('regex', 'regex:'), ('', 'JSON text')])
def test_plain_languages_that_are_none(spec, says):
    with pytest.raises(BadValue, match=r'.') as e: compile(spec)
    assert says in str(e.value)

# Where schemas come from

def test_a_schema_is_read_from_everywhere(tmp_path):
    schema = {'type': 'object', 'properties': {'n': INT}, 'required': ['n'], 'additionalProperties': False}
    (tmp_path/'s.json').write_text(json.dumps(schema))
    every = [compile(x) for x in (schema, json.dumps(schema), str(tmp_path/'s.json'), tmp_path/'s.json',
        f'json:{tmp_path}/s.json')]
    assert len({x.grammar for x in every})==1 and {x.name for x in every}=={'schema', 's'}
    assert json.loads(every[0].grammar)=={'kind': 'json', 'schema': schema, 'separators': 'json'}

def test_references_to_files_beside_and_never_elsewhere(tmp_path):
    (tmp_path/'in').mkdir()
    (tmp_path/'out.json').write_text('{"type": "integer"}')
    (tmp_path/'in'/'b.json').write_text(
        '{"$defs": {"n": {"enum": [1, 2]}}, "type": "array", "items": {"$ref": "#/$defs/n"}, "maxItems": 1}')
    def texts_of(schema):
        (tmp_path/'in'/'a.json').write_text(json.dumps(schema))
        return texts(tmp_path/'in'/'a.json')
    assert texts_of({'$ref': 'b.json'})=={'[]', '[1]', '[2]'} and texts_of({'$ref': 'b.json#/$defs/n'})=={'1', '2'}
    assert texts_of({'$id': 'https://example.com/s/a.json', '$ref': 'b.json#/$defs/n'})=={'1', '2'}
    for ref in ('../out.json', 'https://example.com/x.json', str(tmp_path/'out.json'), 'file:///etc/passwd',
        '..%2Fout.json', 'c.json'):
        with pytest.raises(BadValue, match=r'\$ref'): texts_of({'$ref': ref})
    (tmp_path/'in'/'link.json').symlink_to(tmp_path/'out.json')
    with pytest.raises(BadValue, match=r'\$ref'): texts_of({'$ref': 'link.json'})

def test_pydantic_classes_are_closed_and_remembered(tmp_path, monkeypatch):
    (tmp_path/'my_shapes.py').write_text(
        'import enum, pydantic\nclass Colour(enum.Enum):\n    red = "red"\n    blue = "blue"\n'
        'class Point(pydantic.BaseModel):\n    colour: Colour\n    n: int = pydantic.Field(ge=1, le=2)\n'
        '    note: None = None\n')
    monkeypatch.syspath_prepend(tmp_path)
    language = compile('my_shapes:Point')
    assert language.name=='Point' and language.model.__name__=='Point' and not language.unenforced
    assert documents(language)=={written({'colour': c, 'n': n} | more) for c in ('red', 'blue') for n in (1, 2)
        for more in ({}, {'note': None})}
    for spec,says in (('my_shapes:Pont', "Did you mean 'Point'"), ('my_shapez:Point', 'does not import'),
        ('my_shapes:Colour', 'a pydantic class')):
        with pytest.raises(DecodelabError, match=says): compile(spec)

def test_drafts_say_the_same_in_their_own_words():
    old = compile({'$schema': 'http://json-schema.org/draft-04/schema#', 'type': 'array',
        'items': [{'enum': [1]}, {'type': 'integer', 'minimum': 0, 'exclusiveMinimum': True,
            'maximum': 2}], 'additionalItems': False})
    new = compile({'type': 'array', 'prefixItems': [{'enum': [1]},
        {'type': 'integer', 'exclusiveMinimum': 0, 'maximum': 2}], 'items': False})
    unsaid = compile({'type': 'array', 'items': [{'enum': [1]}, {'type': 'integer', 'minimum': 1, 'maximum': 2}],
        'additionalItems': False})
    assert documents(old)==documents(new)==documents(unsaid)=={'[]', '[1]', '[1, 1]', '[1, 2]'}
    lists = {'type': 'object', 'properties': {'v': {'const': 1}, 'next': {'$recursiveRef': '#'}},
        'additionalProperties': False, 'required': ['v']}
    assert reads(matcher(compile({'$schema': 'https://json-schema.org/draft/2019-09/schema', '$recursiveAnchor': True,
        **lists}).lark), '{"v": 1, "next": {"v": 1}}')

# Bad and hostile input: one clear error, or a bounded language, before any model is loaded

def nested(n, wrap, inside=None):
    for _ in range(n): inside = wrap(inside if inside is not None else {'type': 'integer'})
    return inside

def around(): 
    out = {}
    out['properties'] = {'a': out}
    return out

HOSTILE = {
    'no JSON': ('{"type": ', 'line 1, column'), 'a list': ('[1]', 'a JSON object'), 'nothing': (None,
        'a JSON object'), 'a set': ({'enum': {1}}, 'what JSON can say'), 'NaN': ('{"const": NaN}', 'NaN is not JSON'),
    'twice': ('{"type": "string", "type": "integer"}', "'type' stands twice"), 'BOM': ('\ufeff{}',
        'BOM'), 'half a pair': ('{"const": "\\ud800"}', 'half of a pair'), 'around': (around(), 'Circular'),
    'type': ({'properties': {'a': {'type': 'strng'}}}, "/properties/a/type: got 'strng'.*'string'"), 'keyword': (
        {'properties': {'a': {'requird': []}}}, "/properties/a: got 'requird'.*'required'"),
    'snake': ({'min_length': 3}, "'minLength'"), 'negative': ({'minLength': -1},
        '/minLength: got -1'), 'draft': ({'$schema': 'http://x.org/y'}, r'\$schema'), 'pattern': (
            {'pattern': '['}, 'regular expression'),
    'contradiction': ({'allOf': [STR, INT]}, 'Nothing can satisfy'), 'empty enum': (
        {'properties': {'a': {'enum': []}}, 'required': ['a'], 'type': 'object'}, '/properties/a'), 'false': (
            False, 'Nothing can satisfy'),
    'bounds': ({'type': 'integer', 'minimum': 5, 'maximum': 4},
        'Nothing'), 'step': ({'type': 'integer', 'multipleOf': 10, 'minimum': 1, 'maximum': 9}, 'Nothing'), 'text': (
            {'type': 'string', 'pattern': '^a$', 'minLength': 2}, 'Nothing'),
    'missing': ({'type': 'object', 'required': ['z'], 'additionalProperties': False},
        'Nothing'), 'members': ({'type': 'array', 'items': False, 'minItems': 1}, '/items'), 'unique': (
            {'type': 'array', 'items': {'enum': [1, 2]}, 'uniqueItems': True, 'minItems': 3}, 'Nothing'),
    'remote': ({'$ref': 'https://example.com/a.json'}, r'\$ref.*Nothing is fetched'), 'nowhere': (
        {'$ref': '#/$defs/y', '$defs': {'x': {}}}, r"Did you mean '#/\$defs/x'"), 'circle': (
            {'$ref': '#/$defs/a', '$defs': {'a': {'allOf': [{'$ref': '#/$defs/a'}]}}}, 'without progress'),
    'circle of any': ({'anyOf': [{'$ref': '#'}, INT]}, 'without progress'), 'itself': (
        {'type': 'object', 'properties': {'a': {'$ref': '#'}}, 'required': ['a']}, 'no finite document.*itself'),
    'each other': ({'$ref': '#/$defs/a', '$defs': {'a': {'type': 'array', 'minItems': 1,
        'items': {'$ref': '#/$defs/b'}}, 'b': {'type': 'object', 'required': ['x'], 'properties': {
            'x': {'$ref': '#/$defs/a'}}}}}, 'no finite document'),
    '10 MB enum': ({'enum': [f'{i:020d}' for i in range(450_000)]},
        'at most'), 'long enum': ({'enum': list(range(100_000))}, 'at most 40,000'), '5,000 properties': (
            {'properties': {f'p{i}': INT for i in range(5000)}}, 'at most 400'),
    'deep dict': (nested(10_000, lambda x: {'items': x}), 'JSON|levels'), 'deep text': ('{"items":'*10_000+'{}'
        +'}'*10_000, 'levels'), 'deep': (nested(150, lambda x: {'anyOf': [x]}), 'levels'),
    'counts of counts': ({'type': 'string', 'pattern': '^((a{1,100}){1,100}){1,100}$'},
        'its validator takes'), 'deep groups': ({'pattern': '('*5000+'a'
            +')'*5000}, 'its validator takes'), 'property': ({'pattern': r'\p{Nonsense}'}, 'its validator takes'),
    'only itself': ({'$ref': '#'}, 'without progress'), 'no definitions': ({'$ref': '#/$defs/x'}, 'no definitions'),
    'typ': ({'typ': 'string'}, "'type'"), 'a list of a class': (list[int], 'RootModel'),
    'no keyword': ({'name': 'string', 'age': 'integer'}, 'name, age'), 'OpenAPI': ({'openapi': '3.0.0'}, 'keywords'),
    'a tool': ({'type': 'function', 'function': {'name': 'f', 'parameters': {'type': 'object'}}},
        'its `function.parameters` alone'),
    'a tool of another kind': ({'name': 'f', 'input_schema': {'type': 'object'}},
            'its `input_schema` alone'), 'a response format': ({'type': 'json_schema', 'json_schema': {'name': 'f',
                'schema': {'type': 'object'}}}, 'its `json_schema.schema` alone'),
    'references that multiply': ({'$ref': '#/$defs/a0', '$defs': {'a40': INT, **{f'a{i}': {
        'anyOf': [{'$ref': f'#/$defs/a{i+1}'}]*2} for i in range(40)}}}, 'multiply'),
    # llguidance would end the process
    'a long way down': ({'$ref': '#/$defs/a0', '$defs': {'a1200': INT, **{f'a{i}': {'type': 'object', 'required': ['n'],
        'properties': {'n': {'$ref': f'#/$defs/a{i+1}'}}} for i in range(1200)}}}, 'too deep'),
    'a long way down in Lark': ('lark:start: r0\n'+'\n'.join(f'r{i}: "a" r{i+1} "b"' for i in range(20_000))
        +'\nr20000: "c"', 'at most 1,000 levels'),
    'an empty branch': ('regex:a|', 'empty text'), 'nothing to say': ('integer:3', 'integer alone'),
    'product': ({'allOf': [{'anyOf': [{'required': [f'a{i}{j}']} for j in range(4)]} for i in range(12)]},
        'combinations'), 'minLength': ({'type': 'string', 'minLength': 10**12}, 'at most')}
BOUNDED = {
    'maxItems': {'type': 'array', 'items': INT, 'maxItems': 100_000}, 'minItems': {'type': 'array', 'items': INT,
        'minItems': 100_000}, 'maxLength': {'type': 'string', 'maxLength': 10**12}, 'unique': {
            'type': 'array', 'items': {'enum': [1, 2]}, 'maxItems': 100_000, 'uniqueItems': True},
    '5,000 required': {'type': 'object', 'properties': {f'p{i}': INT for i in range(5000)},
        'required': [f'p{i}' for i in range(5000)], 'additionalProperties': False}, '300 optional': {
            'type': 'object', 'properties': {f'p{i}': INT for i in range(300)}},
    'catastrophe': {'type': 'string', 'pattern': '^(a+)+$'}, 'catastrophe 2': {'type': 'string',
        'pattern': '^(a|b)*a(a|b){200}$'}, 'catastrophe 3': {'type': 'string', 'pattern': '(x+x+)+y'},
    'long pattern': {'type': 'string', 'pattern': 'a'*200_000}, 'lookbehind': {'type': 'string',
        'pattern': '(?<=a)b'}, 'deep objects': nested(60, lambda x: {'type': 'object', 'properties': {'a': x},
            'required': ['a']}),
    'deep not': nested(90, lambda x: {'not': x}), 'wide anyOf': {
        'anyOf': [{'type': 'object', 'properties': {'k': {'const': i}}, 'required': ['k'],
            'additionalProperties': False} for i in range(200)]}, 'constants': {'oneOf': [{'const': f'v{i}'}
                for i in range(300)]}, 'choices of itself': {'oneOf': [STR, {'type': 'object', 'required': ['items'],
                    'properties': {'items': {'$ref': '#'}}}, {'type': 'object', 'required': ['items', 'k'],
                        'properties': {'items': {'$ref': '#'}, 'k': {'const': 1}}}]},
    'alike': {'anyOf': [{'type': 'object', 'properties': {f'p{k}': INT for k in range(300)}, 'required': [f'p{i}']}
        for i in range(8)]}, 'enum': {
                'enum': [f'value {i}' for i in range(10_000)]}}

@pytest.mark.parametrize('name', HOSTILE)
def test_hostile_input_is_one_clear_error(name):
    spec, says = HOSTILE[name]
    def refused():
        with pytest.raises(BadValue, match=f'(?s){says}') as e: compile(spec)
        assert len(str(e.value))<600
    assert seconds(refused, enough=2)<2

def test_published_schemas_may_say_more_than_the_standard():
    "Keys that OpenAPI, editors, Vega, setuptools and the debugger's protocol use are no misspelt keywords."
    for key in ('example', 'nullable', 'discriminator', 'xml', 'x-order', '_enum', '$$description', 'comment', 'note',
                'when', 'defs', 'unit', 'enumNames', 'markdownDescription', 'content', 'optional', 'propertyOrder'):
        assert documents(compile({'type': 'integer', 'enum': [1], key: {}}))=={'1'}
    assert compile({'$schema': 'http://json-schema.org/schema#', 'const': 1}).schema=={'const': 1}

def test_a_schema_of_an_editor_that_marks_its_files(tmp_path):
    (tmp_path/'a.json').write_bytes(b'\xef\xbb\xbf{"const": 1, "allOf": [{"$ref": "b"}]}')
    (tmp_path/'b.json').write_text('{"type": "integer"}')
    assert documents(compile(tmp_path/'a.json'))=={'1'}

def sampled(language, seed, longest=300):
    "A document of random bytes that the grammar allows; `None` where it is too long."
    draw, state, out = random.Random(seed), matcher(language.lark), b''
    while len(out)<longest:
        ways = allowed(state)
        ends = [w for w in ways if w in (256, *b'"}]')]
        byte = draw.choice(ends if ends and (len(out)>60 or draw.random()<.3) else sorted(ways))
        if byte==256: return out.decode()
        state.consume_tokens([byte])
        out += bytes([byte])
    return None

def test_what_pydantic_reads_and_does_not_write_holds():
    "Addresses, decimals, keys that are numbers, times without a zone: the class itself reads what comes out."
    import decimal, pydantic
    from typing import Annotated
    from pydantic import Field
    class Bill(pydantic.BaseModel):
        shop: pydantic.HttpUrl
        base: pydantic.PostgresDsn
        items: dict[int, str]
        flags: dict[bool, int]
        price: Annotated[decimal.Decimal, Field(max_digits=5, decimal_places=2)]
        share: Annotated[decimal.Decimal, Field(ge=0, le=1, decimal_places=3)]
        any: decimal.Decimal
        when: pydantic.NaiveDatetime
    language = compile(Bill)
    texts = [x for x in (sampled(language, seed, 2000) for seed in range(40)) if x]
    assert len(texts)>30
    for text in texts: assert Bill.model_validate_json(text, strict=True)
    with pytest.raises(BadValue, match='inherits'): compile(pydantic.BaseModel)
    class Odd(pydantic.BaseModel): what: type
    with pytest.raises(BadValue, match='Odd.*JSON can say'): compile(Odd)
    class Later(pydantic.BaseModel): what: 'NotYet' # noqa: F821
    with pytest.raises(BadValue, match='Later.*not fully defined'): compile(Later)

@pytest.mark.parametrize('name', BOUNDED)
def test_large_schemas_stay_bounded(name):
    from decodelab.schema.languages import _compiled
    def cold():
        _compiled.cache_clear()
        allowed(matcher(compile(BOUNDED[name]).lark))
    assert seconds(cold, enough=4)<4 # two seconds on a core of its own

def test_memory_stays_bounded():
    "All of the above in a process of its own."
    import subprocess, sys, textwrap
    code = textwrap.dedent('''
        import sys
        sys.path.insert(0, "tests")
        import resource, test_schema_grammar as t
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for spec in [*(s for s,_ in t.HOSTILE.values()), *t.BOUNDED.values()]:
            try: t.compile(spec)
            except t.BadValue: pass
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss-before)//1024)''')
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert int(out.stdout)<500, out.stdout

# Speed, and shipped shapes

SHIPPED = ('multiple_choice', 'medical', 'extraction', 'tool_call')

@pytest.mark.parametrize('name', SHIPPED)
def test_shipped_shapes_are_held_in_full_and_compile_fast(name, root):
    from decodelab.schema.languages import _compiled
    path = root/'schemas'/f'{name}.json'
    def cold():
        _compiled.cache_clear()
        return compile(path, strict=True)
    assert seconds(cold, enough=.05)<.05
    language = cold()
    assert compile(path).lark is language.lark # the second time from memory
    state, draw = matcher(language.lark), random.Random(3)
    assert sum((t := walk(state, draw)) is not None and both_valid(language.schema, json.loads(t)) for _ in range(8))>=4

def test_a_language_shows_what_it_does_not_hold():
    language = compile({'type': 'string', 'pattern': '(?<=a)b'})
    assert '`pattern at /: it looks back`' in language._repr_markdown_() and isinstance(language, Language)
    assert 'in full' in compile({'type': 'string'})._repr_markdown_()
