"""Schemas to grammars, checked against what does not know them: enumeration, two validators, exact fractions."""
import itertools, json, random, time
from fractions import Fraction
import jsonschema, jsonschema_rs, numpy as np, pytest
from schemas_of_every_kind import SCHEMAS
from decodelab.core.errors import BadValue, DecodelabError, ModelError
from decodelab.schema import Language, compile
from decodelab.schema.compiling.numbers import number
from decodelab.schema.finite import matcher
from decodelab.schema.patterns import Unsupported, terminal

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
    py = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER).is_valid(value)
    assert rs==py, (schema, value)
    return rs

# Language equality

VALUES = [0, 1, 2, True, None, 'a', 'ab']
OBJECTS = [dict(zip(keys, vs)) for n in range(4) for keys in itertools.combinations('abc', n) for vs in itertools.product(VALUES, repeat=n)]
ARRAYS = [list(vs) for n in range(4) for vs in itertools.product(VALUES, repeat=n)]
CLOSED = {'type': 'object', 'properties': {k: {'enum': VALUES} for k in 'abc'}, 'additionalProperties': False}
SHORT = {'type': 'array', 'items': {'enum': VALUES}, 'maxItems': 3}
INT, STR = {'type': 'integer'}, {'type': 'string'}
OF_OBJECTS = [
    {}, {'required': ['b']}, {'minProperties': 2}, {'maxProperties': 1}, {'minProperties': 1, 'maxProperties': 2, 'required': ['c']},
    {'dependentRequired': {'a': ['b'], 'b': ['c']}}, {'dependentSchemas': {'a': {'properties': {'b': {'type': 'null'}}, 'required': ['b']}}},
    {'properties': {'a': INT, 'b': STR}}, {'properties': {'a': False}}, {'patternProperties': {'^[ab]$': INT, 'b': {'minimum': 1}}},
    {'propertyNames': {'enum': ['a', 'c']}}, {'propertyNames': {'pattern': '^[bc]'}}, {'not': {'required': ['a']}},
    {'not': {'properties': {'a': INT}}}, {'not': {'minProperties': 2}}, {'if': {'required': ['a']}, 'then': {'required': ['b']}, 'else': {'maxProperties': 1}},
    {'if': {'properties': {'a': {'const': 1}}, 'required': ['a']}, 'then': {'properties': {'b': {'type': 'null'}}}},
    {'oneOf': [{'required': ['a']}, {'required': ['b']}]}, {'anyOf': [{'required': ['a']}, {'properties': {'b': STR}, 'required': ['b']}]},
    {'allOf': [{'properties': {'a': {'minimum': 1}}}, {'properties': {'a': {'type': ['integer', 'null']}}, 'required': ['a']}]},
    {'unevaluatedProperties': False}, {'minProperties': 1, 'not': {'required': ['a', 'b']}}]
OF_ARRAYS = [
    {}, {'minItems': 2}, {'maxItems': 1}, {'uniqueItems': True}, {'contains': {'const': 'a'}}, {'contains': INT, 'minContains': 2},
    {'contains': INT, 'maxContains': 1}, {'contains': STR, 'minContains': 0}, {'contains': STR, 'minContains': 0, 'maxContains': 1},
    {'prefixItems': [INT, STR]}, {'prefixItems': [{'type': 'null'}], 'minItems': 1, 'uniqueItems': True}, {'items': {'enum': [0, 'a', 7]}},
    {'not': {'contains': STR}}, {'not': {'items': INT}}, {'not': {'maxItems': 2}}, {'not': {'prefixItems': [INT, STR]}},
    {'contains': {'const': 1}, 'uniqueItems': True}, {'oneOf': [{'minItems': 2}, {'contains': {'type': 'null'}}]},
    {'if': {'minItems': 2}, 'then': {'contains': {'type': 'boolean'}}}, {'items': {'type': ['integer', 'null'], 'not': {'const': 1}}}]

@pytest.mark.parametrize('base, extra, universe', [*((CLOSED, e, OBJECTS) for e in OF_OBJECTS), *((SHORT, e, ARRAYS) for e in OF_ARRAYS)],
                         ids=lambda x: written(x)[:60] if isinstance(x, dict) else '')
def test_masks_let_out_exactly_the_documents_that_a_validator_takes(base, extra, universe):
    schema = {'allOf': [base, extra]}
    language = compile(schema, strict=True)
    valid = jsonschema.Draft202012Validator(schema)
    assert documents(language)=={written(v) for v in universe if valid.is_valid(v)}

def random_schema(draw, depth=2):
    "A schema over small values, of any keywords."
    def sub(): return random_schema(draw, depth-1)
    kinds = [lambda: {'type': draw.choice(['integer', 'string', 'null', 'boolean', 'number', ['integer', 'null']])}, lambda: {'const': draw.choice(VALUES)},
             lambda: {'enum': draw.sample(VALUES, draw.randint(1, 4))}, lambda: {'minimum': draw.choice([0, .5, 1])}, lambda: {'exclusiveMaximum': draw.choice([1, 2])},
             lambda: {'maxLength': 1}, lambda: {'pattern': draw.choice(['b', '^a$', '^.b?$'])}, lambda: draw.choice([True, {}])]
    if depth>0:
        kinds = kinds[:3]+[lambda: {'anyOf': [sub(), sub()]}, lambda: {'oneOf': [sub(), sub()]}, lambda: {'allOf': [sub(), sub()]}, lambda: {'not': sub()},
            lambda: {'if': sub(), 'then': sub(), 'else': sub()}, lambda: {'if': sub(), 'else': sub()}, lambda: {'properties': {draw.choice('abcd'): sub(), 'b': sub()}},
            lambda: {'required': draw.sample('abc', draw.randint(1, 2))}, lambda: {'minProperties': draw.randint(0, 2)}, lambda: {'maxProperties': draw.randint(0, 3)},
            lambda: {'patternProperties': {draw.choice(['a', '[bc]', '^.$']): sub()}}, lambda: {'propertyNames': sub()}, lambda: {'items': sub()},
            lambda: {'prefixItems': [sub() for _ in range(draw.randint(1, 2))]}, lambda: {'contains': sub()}, lambda: {'contains': sub(), 'maxContains': draw.randint(1, 2), 'minContains': draw.randint(0, 1)},
            lambda: {'minItems': draw.randint(0, 2)}, lambda: {'maxItems': draw.randint(1, 3)}, lambda: {'uniqueItems': True},
            lambda: {'properties': {'a': sub()}, 'additionalProperties': sub()}, lambda: {'dependentRequired': {'a': ['b']}}, lambda: {'dependentSchemas': {'b': sub()}},
            lambda: {'allOf': [{'properties': {'a': sub()}}], 'unevaluatedProperties': sub()}, lambda: {'prefixItems': [sub()], 'unevaluatedItems': sub()}]
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
        if 'unevaluated' in json.dumps(schema): got |= want # of two branches that both hold only one is counted as looked at
        if language.unenforced: assert got>=want, (seed, schema, want-got)
        else: assert got==want, (seed, schema, got-want, want-got)
        exact, weaker = exact+(not language.unenforced), weaker+bool(language.unenforced)
    return exact, weaker

def test_random_schemas_are_held_exactly_or_say_what_they_do_not_hold():
    exact, weaker = fuzz(range(150))
    assert exact>80, (exact, weaker)
