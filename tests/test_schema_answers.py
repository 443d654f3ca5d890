"Fields, alternatives and answers against enumeration, on Toy and on the reference student."
import json
import numpy as np, pytest
from decodelab.backends.contract import Sampling
from decodelab.backends.drawing import allowed
from decodelab.backends.toy import Toy
from decodelab.core.errors import BadValue, ModelError
from decodelab.schema.constraints import constrain
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

VOCABS = {'crossing': ['{"a": ', '{"a": 1', '1', '2', '12', ', "b"', ': "y', ': "n', ': "', 'yes"', 'es"', 'o"', 'no"', '}', '"}', 'o', '1, "b": "n', 'y', 'n',
                       'es', '1, "b"', '$'],
          'list': ['{"a": ', '{"a": 1', '1', '2', ', "b": [', ', "b": ["y', 'es"', 'yes"', 'o"', '"no"', '"yes"', '"n', ', "yes"', ', "no"', ', "n', ', 1', ']', '}', ']}',
                   '1]}', '1, "b": [1', '"yes", "n', '1, "yes"', '$']}
SHAPES = {'crossing': {'type': 'object', 'properties': {'a': {'enum': [1, 2, 12, 121]}, 'b': {'enum': ['yes', 'no']}}, 'required': ['a', 'b'], 'additionalProperties': False},
          'list': {'type': 'object', 'properties': {'a': {'enum': [1, 12]}, 'b': {'type': 'array', 'items': {'enum': ['yes', 'no', 1]}, 'minItems': 1, 'maxItems': 2}},
                   'required': ['a', 'b'], 'additionalProperties': False}}

@pytest.mark.parametrize('name', SHAPES)
@pytest.mark.parametrize('seed', range(4))
def test_alternatives_are_those_of_enumeration_whatever_the_tokens(name, seed):
    toy, language = Toy.random(VOCABS[name], seed=seed), compile(SHAPES[name])
    grammar, prompt = constrain(toy, language), (0,)
    for sample in toy.sample([prompt], Sampling(n=3, constraint=grammar, seed=seed))[0]:
        borders = np.cumsum([0] + [len(toy.token_bytes()[i]) for i in sample.ids])
        found = fields(toy, prompt, sample, grammar)
        doc = json.loads(sample.text)
        assert [json.dumps(f.value) for f in found]==[f.text for f in found] and all(value_at(doc, f.pointer)==f.value for f in found)
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
