"What each token adds to a text, on every kind of tokenizer."
import random
import pytest
from decodelab.backends import load
from decodelab.backends.planned import Tokenized
from decodelab.core.errors import ModelError

SPECIAL = ('<s>', '</s>', '<unk>')

def fuzzed(n=200, seed=0):
    "Texts of every kind of character, control characters and unassigned planes left out."
    rng = random.Random(seed)
    pools = ('abcdefghij XYZ', '0123456789.,:;', '{}[]"\\/ \n\t', 'éüñßÆøç', '東京漢字かな', '👩‍👧🎉🇩🇪',
             'Привет мир', ' \u0301\u00a0\u200b\u2581▁Ġ')
    return [''.join(rng.choice(rng.choice(pools)) for _ in range(rng.randint(1, 30))) for _ in range(n)]

def check(model, texts, dummy=b''):
    pieces = model.token_bytes()
    assert len(pieces)==model.vocab_size
    for text in texts:
        ids = model.encode(text)
        joined = b''.join(pieces[i] for i in ids)
        assert joined in (text.encode(), dummy+text.encode()), text
    for i in model.special_ids: assert pieces[i]==b''

class Made(Tokenized):
    "A model that is a tokenizer alone."
    def __init__(self, name, tokenizer, more=0):
        self.name, self.tokenizer, self.vocab_size = name, tokenizer, len(tokenizer)+more
        self._read_tokenizer((tokenizer.eos_token_id,))

def fast(tokenizer, **tokens):
    from transformers import PreTrainedTokenizerFast
    marks = dict(bos_token='<s>', eos_token='</s>', unk_token='<unk>')
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **marks, **tokens)

def sentencepiece_like():
    "Llama 2's kind: a dummy prefix, marks for spaces, bytes to fall back on."
    from tokenizers import Tokenizer, decoders, models, normalizers
    letters = [*map(chr, range(33, 127)), '▁', 'é', '東']
    merges = [('▁', 't'), ('t', 'h'), ('▁t', 'h'), ('"', ':'), ('▁', '▁')]
    words = [*SPECIAL, *(f'<0x{b:02X}>' for b in range(256)), *letters, *(a+b for a,b in merges)]
    model = models.BPE({w: i for i,w in enumerate(words)}, merges, unk_token='<unk>', byte_fallback=True, fuse_unk=True)
    out = Tokenizer(model)
    out.normalizer = normalizers.Sequence([normalizers.Prepend('▁'), normalizers.Replace(' ', '▁')])
    out.decoder = decoders.Sequence([decoders.Replace('▁', ' '), decoders.ByteFallback(), decoders.Fuse(),
                                     decoders.Strip(' ', 1, 0)])
    return fast(out)

def metaspace():
    "Unigram with Metaspace, as T5 and XLM-R have it."
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    letters = [*map(chr, range(33, 127)), '▁', '▁th', 'é']
    out = Tokenizer(models.Unigram([(w, -1.-i/100) for i,w in enumerate([*SPECIAL, *letters])], 2, False))
    out.pre_tokenizer, out.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    return fast(out)

def word_pieces():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    out = Tokenizer(models.WordPiece({w: i for i,w in enumerate([*SPECIAL, 'un', '##able', '##s'])}, unk_token='<unk>'))
    out.pre_tokenizer, out.decoder = pre_tokenizers.Whitespace(), decoders.WordPiece()
    return fast(out)

def words():
    "No decoder at all: Transformers puts a space between tokens."
    from tokenizers import Tokenizer, models, pre_tokenizers
    out = Tokenizer(models.WordLevel({w: i for i,w in enumerate([*SPECIAL, 'yes', 'no'])}, unk_token='<unk>'))
    out.pre_tokenizer = pre_tokenizers.Whitespace()
    return fast(out)

def test_bytes_of_the_reference_model(student): check(student, fuzzed())

def test_bytes_of_a_real_vocabulary_are_the_same_in_both_runtimes():
    hf, gguf = load('hf:smollm2'), load('gguf:smollm2')
    plain = [t for t in fuzzed() if not set(t) & set('▁Ġ')]
    check(hf, fuzzed())
    check(gguf, plain)
    assert list(hf.token_bytes())==list(gguf.token_bytes())
    for token in ('<|im_start|>', '<repo_name>'): assert hf.token_bytes()[hf.encode(token)[0]]==b''
    gguf.close()

def test_bytes_of_sentencepiece_with_its_leading_space():
    model = Made('sp', sentencepiece_like(), more=5)
    check(model, [t for t in fuzzed() if '▁' not in t], b' ')
    assert model.token_bytes()[3+10]==b'\n' and model.token_bytes()[-5:]==[b'']*5
    model = Made('meta', metaspace())
    check(model, ['the end', ' two  spaces', 'th', 'a"b:c'], b' ')

def test_added_tokens_are_text_unless_they_are_special():
    from tokenizers import AddedToken
    tokenizer = sentencepiece_like()
    tokenizer.add_tokens([AddedToken('<think>', normalized=False), AddedToken('naïve', normalized=False)])
    tokenizer.add_special_tokens(dict(additional_special_tokens=['<|im_end|>']))
    model = Made('added', tokenizer)
    pieces = model.token_bytes()
    at = tokenizer.convert_tokens_to_ids(['<think>', 'naïve', '<|im_end|>'])
    assert [pieces[i] for i in at]==[b'<think>', 'naïve'.encode(), b'']

@pytest.mark.parametrize('make', [word_pieces, words])
def test_a_kind_that_cannot_be_expressed_is_one_clear_error(make):
    with pytest.raises(ModelError, match='words: its tokenizer does not say which bytes'):
        Made('words', make()).token_bytes()

def test_a_grammar_is_held_over_sentencepiece():
    "Masks over such a vocabulary allow what its bytes spell; the same letter by two tokens is never forced."
    import numpy as np
    from decodelab.schema import compile
    from decodelab.schema.constraints import Grammar
    from decodelab.schema.tokens import made, vocabulary_of
    model = Made('sp', sentencepiece_like(), more=3)
    grammar = Grammar(compile(dict(enum=['a b', 'the'])), *made(vocabulary_of(model)))
    matcher, bits = grammar.start(), np.zeros((1, -(-model.vocab_size//32)), np.int32)
    assert matcher.forced()==()
    grammar.fill([matcher], [0], bits)
    allow = np.flatnonzero(np.unpackbits(bits.view(np.uint8), bitorder='little')).tolist()
    assert allow==sorted(i for i,p in enumerate(model.token_bytes()) if p==b'"')
    matcher.accept(allow[:1])
    matcher.accept(model.encode('a b')[1:])
    matcher.accept(allow[:1])
    assert matcher.done and matcher.complete

def test_an_end_of_text_is_no_text_whatever_its_tokenizer_says():
    from tokenizers import AddedToken
    from decodelab.schema.tokens import vocabulary_of
    tokenizer = sentencepiece_like()
    tokenizer.add_tokens([AddedToken('{end}', normalized=False)])
    model = Made('plain end', tokenizer)
    end = tokenizer.convert_tokens_to_ids('{end}')
    model.eos_ids = (2, end, 10**6)
    words = vocabulary_of(model)
    assert words.end_ids==(2, end) and words.tokens[end]==b'' and end in words.special_ids
    assert model.token_bytes()[end]==b'{end}'

def test_every_end_of_text_is_set_where_a_document_is_complete():
    import numpy as np
    from decodelab.schema import compile
    from decodelab.schema.constraints import Grammar
    from decodelab.schema.tokens import made, vocabulary_of
    model = Made('sp', sentencepiece_like(), more=2)
    model.eos_ids = (2, 1, len(model.tokenizer)+1)
    grammar = Grammar(compile('choice:ab,a'), *made(vocabulary_of(model)))
    matcher, bits = grammar.start(), np.zeros((1, -(-model.vocab_size//32)), np.int32)
    def allow():
        grammar.fill([matcher], [0], bits)
        return set(np.flatnonzero(np.unpackbits(bits.view(np.uint8), bitorder='little')).tolist())
    assert not allow() & set(model.eos_ids) and not matcher.complete
    matcher.accept(model.encode('a')[1:])
    assert allow() >= set(model.eos_ids) and matcher.complete and not matcher.done and not matcher.forced()
    matcher.accept(model.encode('ab')[2:])
    assert allow()==set(model.eos_ids) and matcher.done
    matcher.rewind(1)
    assert matcher.complete and not matcher.done and len(allow()) > 3
