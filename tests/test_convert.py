"Converted models say what the Transformers folder says: tokens, logits, refusals."
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import numpy as np
import pytest
import torch
from decodelab.backends import load
from decodelab.backends.convert import LLAMA3, QWEN2, convert, reference_gguf, to_gguf, to_mlx
from decodelab.backends.folders import file_mark, folder_hash
from decodelab.backends.shipped import folder, tokenizer
from decodelab.core.errors import BadValue, ModelError, RunError

def runtime(*packages):
    "Skip a test whose runtime is not installed; under CI it runs, and fails."
    missing = [p for p in packages if importlib.util.find_spec(p) is None]
    skip = bool(missing) and not os.environ.get('CI')
    return pytest.mark.skipif(skip, reason=f'NOT TESTED: {", ".join(missing)} not installed')
gguf, mlx = runtime('gguf', 'llama_cpp'), runtime('mlx', 'mlx_lm')

POOLS = ('abc XYZ ', '0123456789.,', '\n\t\r  ', "'s 'LL n't", 'éüñßœ', '東京日本語', 'привет', 'हिन्दी', '👩‍👧🎉',
         'e\u0301\u00a0\u200b\u2028', '!?#@/{}[]()', '\x00\x01\x7f')

def fuzz(rng, specials, n):
    "Texts of many scripts, white space and special tokens."
    def piece():
        if rng.random() < .25: return specials[rng.integers(len(specials))]
        return ''.join(rng.choice(list(POOLS[rng.integers(len(POOLS))]), rng.integers(1, 12)))
    return [''.join(piece() for _ in range(rng.integers(0, 8))) for _ in range(n)]

def model(path, tok, seed=0, **kw):
    "A random Llama with the given tokenizer in a folder."
    from transformers import LlamaConfig, LlamaForCausalLM
    torch.manual_seed(seed)
    size = dict(hidden_size=96, intermediate_size=160, num_hidden_layers=2, num_attention_heads=4,
                num_key_value_heads=2, head_dim=32, initializer_range=.1, max_position_embeddings=512)
    ids = dict(vocab_size=len(tok), bos_token_id=tok.bos_token_id, eos_token_id=tok.eos_token_id,
               pad_token_id=tok.pad_token_id)
    m = LlamaForCausalLM(LlamaConfig(**size | ids | kw))
    for p in m.parameters():
        if p.ndim==1: torch.nn.init.normal_(p, 1., .2) # norms and biases that matter
    m.save_pretrained(path)
    tok.save_pretrained(path)
    return path

def farthest(opened, ref, tok, texts):
    "Largest difference of two models' log-probabilities."
    worst = 0.
    for ids in [tok.encode(t, add_special_tokens=False)[:200] for t in texts]:
        opened.reset()
        opened.eval(ids)
        with torch.inference_mode(): want = ref(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        got = torch.tensor(opened.scores[:len(ids)]).double().log_softmax(-1)
        worst = max(worst, (got-want).abs().max().item())
    return worst

def same(file, path, tol, n=60):
    "Tokens and logits of a GGUF file against the folder it came from, in float32 Transformers."
    from llama_cpp import Llama
    from transformers import AutoModelForCausalLM, AutoTokenizer
    tok, ref = AutoTokenizer.from_pretrained(path), AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    texts = fuzz(np.random.default_rng(0), [*tok.get_added_vocab()], n)
    m = Llama(str(file), n_ctx=512, logits_all=True, verbose=False, type_k=0, type_v=0, flash_attn=False)
    try:
        for t in texts:
            assert m.tokenize(t.encode(), add_bos=False, special=True)==tok.encode(t, add_special_tokens=False), repr(t)
        assert (worst := farthest(m, ref, tok, [t for t in texts if t][:6])) < tol, worst
        return m.metadata, (m.token_bos(), m.token_eos())
    finally: m.close()

def bpe(split=None, merges=400, ignore=False, added=()):
    "A byte-level BPE tokenizer with real merges and added tokens of both types."
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers as pre, trainers
    from transformers import PreTrainedTokenizerFast
    t = Tokenizer(models.BPE(ignore_merges=ignore))
    level = pre.ByteLevel(add_prefix_space=False, use_regex=split in (None,'digits'))
    first = pre.Digits(individual_digits=True) if split=='digits' else split and pre.Split(Regex(split), 'isolated')
    t.pre_tokenizer = pre.Sequence([first, level]) if first else level
    t.decoder = decoders.ByteLevel()
    texts = fuzz(np.random.default_rng(1), ['the quick brown fox '], 300)
    texts += ["the cats' house isn't theirs, we'll see 1234 times "]*30
    size = dict(vocab_size=256+merges, initial_alphabet=pre.ByteLevel.alphabet())
    t.train_from_iterator(texts, trainers.BpeTrainer(show_progress=False, **size))
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in ('<s>','</s>','<|user|>')])
    t.add_tokens([AddedToken('<tool>', special=False, normalized=False), *added])
    ends = dict(bos_token='<s>', eos_token='</s>')
    return PreTrainedTokenizerFast(tokenizer_object=t, clean_up_tokenization_spaces=False, **ends)

@gguf
@pytest.mark.parametrize('name', ['student', 'teacher'])
def test_reference(name):
    file = reference_gguf(name)
    meta, (bos, eos) = same(file, folder(name), 2e-4)
    assert file==reference_gguf(name) and (bos, eos)==(261, 261)
    assert meta['general.file_type']=='0' and meta['tokenizer.ggml.add_bos_token']=='false'
    assert meta['tokenizer.chat_template']==(folder(name)/'chat_template.jinja').read_text()

LINEAR = dict(rope_type='linear', factor=2., rope_theta=5000.)
SCALED = dict(rope_type='llama3', rope_theta=5e5, factor=8., low_freq_factor=1., high_freq_factor=4.,
              original_max_position_embeddings=64)

@gguf
@pytest.mark.parametrize('kw', [dict(tie_word_embeddings=False), dict(vocab_size=300),
    dict(tie_word_embeddings=True, num_key_value_heads=1, num_attention_heads=6),
    dict(attention_bias=True, mlp_bias=True, head_dim=24), dict(rope_parameters=LINEAR), dict(rope_parameters=SCALED)])
def test_architectures(tmp_path, kw):
    same(to_gguf(model(tmp_path/'m', tokenizer(), **kw), tmp_path/'m.gguf'), tmp_path/'m', 2e-4, n=20)

SPLITS = dict(gpt2={}, smollm=dict(split='digits'), smaug=dict(split=LLAMA3), llama3=dict(split=LLAMA3, ignore=True),
              qwen2=dict(split=QWEN2))

@gguf
@pytest.mark.parametrize('name', SPLITS)
def test_merges(tmp_path, name):
    same(to_gguf(model(tmp_path/'m', bpe(**SPLITS[name])), tmp_path/'m.gguf'), tmp_path/'m', 2e-4, n=300)

@gguf
def test_kinds(tmp_path):
    # o_proj has rows of 48: float32 in q8_0
    path = model(tmp_path/'m', tokenizer(), head_dim=16, num_attention_heads=3, num_key_value_heads=1)
    sizes = {k: to_gguf(path, tmp_path/f'{k}.gguf', k).stat().st_size for k in ('f32','f16','q8_0')}
    assert sizes['q8_0'] < sizes['f16'] < sizes['f32']
    same(tmp_path/'f16.gguf', path, .2, n=10)
    same(tmp_path/'q8_0.gguf', path, 1., n=10)

@mlx
@pytest.mark.parametrize('rope', [dict(rope_type='default', rope_theta=123456.), LINEAR, SCALED],
                         ids=['theta','linear','llama3'])
def test_mlx(tmp_path, rope):
    import mlx.core as mx
    from mlx_lm import load as load_mlx
    from transformers import AutoModelForCausalLM
    path = model(tmp_path/'m', bpe(), tie_word_embeddings=False, rope_parameters=rope)
    m, t = load_mlx(str(to_mlx(path, tmp_path/'out')))
    ids = t.encode('the quick 東<|user|>'*20, add_special_tokens=False)
    ref = AutoModelForCausalLM.from_pretrained(path)
    with torch.inference_mode(): want = ref(torch.tensor([ids])).logits[0].log_softmax(-1).numpy()
    got = np.array(m(mx.array([ids]))[0])
    got = got-np.log(np.exp(got).sum(-1, keepdims=True))
    assert np.abs(got-want).max() < 2e-4

# Tokenizers that cannot be told apart by a sample.

def hundred(at, **odd):
    "A hundred added tokens, one of them of an odd kind."
    from tokenizers import AddedToken
    return [AddedToken(f'<y{i}>', special=False, normalized=False, **(odd if i==at else {})) for i in range(100)]

@gguf
@pytest.mark.parametrize('at', [0, 80, 99])
@pytest.mark.parametrize('odd', ['rstrip', 'lstrip', 'single_word'])
def test_every_added_token_is_asked(tmp_path, at, odd):
    "llama.cpp takes no neighbours into a token: the file would say (97, 342, 32, 32, 98) where hf says (97, 342, 98)."
    path = model(tmp_path/'m', bpe(added=hundred(at, **{odd: True})))
    with pytest.raises(ModelError, match=rf'the tokenizer cannot be converted: .*<y{at}>.* would be tokens'):
        to_gguf(path, tmp_path/'m.gguf')
    assert not list(tmp_path.glob('*.gguf*'))

@gguf
@pytest.mark.parametrize('words', [('<ab', 'b>cd'), ('b>cd', '<ab'), ('aab', 'abb'), ('<<', '<<|x'), ('éa', 'aé|')])
def test_added_tokens_that_overlap_are_the_same_or_refused(tmp_path, words):
    "llama.cpp takes the longest token first, Transformers the first one."
    from tokenizers import AddedToken
    from decodelab.backends.convert import overlaps, vocabulary_of
    first, second = words
    path = model(tmp_path/'m', bpe(added=[AddedToken(w, special=False, normalized=False) for w in words]))
    try: file = to_gguf(path, tmp_path/'m.gguf')
    except ModelError as e:
        assert 'would be tokens' in str(e)
        return
    from transformers import AutoTokenizer
    with vocabulary_of(file) as split:
        true = AutoTokenizer.from_pretrained(path)
        for text in (*overlaps(words), first+second, second+first, first[:-1]+second, second*2+first*2):
            assert split(text)==true(text, add_special_tokens=False).input_ids, text

@gguf
def test_the_overlap_that_went_unnoticed_is_refused(tmp_path):
    from tokenizers import AddedToken
    added = [AddedToken(w, special=False, normalized=False) for w in ('<ab', 'b>cd')]
    with pytest.raises(ModelError, match='<ab>cd.* would be tokens'):
        to_gguf(model(tmp_path/'m', bpe(added=added)), tmp_path/'m.gguf')

@gguf
def test_every_special_token_is_there_for_templates(tmp_path):
    from decodelab.backends import load
    names = ('bos', 'eos', 'pad', 'unk', 'sep', 'cls', 'mask')
    tok = bpe()
    tok.add_special_tokens({f'{name}_token': f'<|{name}|>' for name in names})
    tok.chat_template = '|'.join(f'{{{{ {name}_token }}}}' for name in names)+'{{ messages[0].content }}'
    path = model(tmp_path/'m', tok)
    m = load(f"gguf:{to_gguf(path, tmp_path/'m.gguf')}")
    chat = [dict(role='user', content='x')]
    assert m.chat_text(chat)==tok.apply_chat_template(chat, tokenize=False)=='|'.join(f'<|{n}|>' for n in names)+'x'
    m.close()

@gguf
def test_a_hundred_plain_added_tokens(tmp_path):
    same(to_gguf(model(tmp_path/'m', bpe(added=hundred(-1))), tmp_path/'m.gguf'), tmp_path/'m', 2e-4, n=100)

@gguf
def test_every_token_is_asked(tmp_path):
    "A merge that is missing is seen wherever it stands in the list."
    path = model(tmp_path/'m', bpe())
    file, spec = path/'tokenizer.json', json.loads((path/'tokenizer.json').read_text())
    whole = list(map(tuple, spec['model']['merges']))
    from decodelab.backends import convert as module
    read = module.read_tokens
    def without(lost):
        def go(folder):
            tok, told = read(folder)
            told['model']['merges'] = [m for m in told['model']['merges'] if tuple(m)!=lost]
            return tok, told
        return go
    for lost in (whole[1], whole[len(whole)//2], whole[-1]):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, 'read_tokens', without(lost))
            with pytest.raises(ModelError, match='the tokenizer cannot be converted'): to_gguf(path, tmp_path/'x.gguf')
    assert file.exists()

def changed(path, where, **files):
    "A copy of a folder with some fields of its JSON files changed; `None` deletes a file, text replaces it."
    shutil.copytree(path, where)
    for name, fields in files.items():
        file = where/f'{name}.json'
        if fields is None: file.unlink()
        elif isinstance(fields, str): file.write_text(fields)
        else: file.write_text(json.dumps((json.loads(file.read_text()) if file.exists() else {}) | fields))
    return where

@gguf
def test_several_ends_of_text(tmp_path):
    "Llama 3.1 has three; a fourth would be lost."
    path = model(tmp_path/'m', bpe())
    three = changed(path, tmp_path/'three', generation_config=dict(eos_token_id=[657, 658, 659]))
    meta, _ = same(to_gguf(three, tmp_path/'m.gguf'), path, 2e-4, n=10)
    assert [meta[f'tokenizer.ggml.{k}_token_id'] for k in ('eos', 'eot', 'eom')]==['657', '658', '659']
    opened = load(f'gguf:{tmp_path}/m.gguf')
    assert opened.eos_ids==(657, 658, 659)
    opened.close()
    for name, ends, words in (('four', [1, 2, 3, 4], '4 end-of-text tokens'), ('far', 9999, 'eos_token_id 9999'),
                              ('text', '</s>', "eos_token_id '</s>' is no token"),
                              ('none', -1, 'eos_token_id -1 is no token')):
        odd = changed(path, tmp_path/name, generation_config=dict(eos_token_id=ends))
        with pytest.raises(ModelError, match=words): to_gguf(odd, tmp_path/'x.gguf')

@gguf
def test_chat_templates_by_name(tmp_path):
    "A list without a default is converted as it is: there is none to use, in either form."
    path, tok = model(tmp_path/'m', bpe()), bpe()
    for name, templates, default in (('named', dict(tool_use='{{ tools }}'), None),
                                     ('both', dict(tool_use='{{ tools }}', default='{{ m }}'), '{{ m }}')):
        tok.chat_template = templates
        shutil.copytree(path, tmp_path/name)
        tok.save_pretrained(tmp_path/name)
        meta, _ = same(to_gguf(tmp_path/name, tmp_path/f'{name}.gguf'), path, 2e-4, n=5)
        assert meta.get('tokenizer.chat_template')==default and meta['tokenizer.chat_template.tool_use']=='{{ tools }}'

# What is not taken is one sentence that names it.

GARBLED = dict(config='{', tokenizer='{', tokenizer_config='[]', generation_config='{"eos', special_tokens_map='{')
WRONG = dict(config=dict(hidden_size='x'), tokenizer=dict(model=dict(type='BPE', vocab={}, merges=[['a', 'b']])))
MISFITS = [(dict(num_hidden_layers=3), 'no tensor model.layers.2'), (dict(num_hidden_layers=1), 'has no place'),
           (dict(intermediate_size=96), 'config.json asks for'), (dict(vocab_size=300), 'config.json asks for'),
           (dict(num_attention_heads=5), 'num_attention_heads|config.json'), (dict(head_dim=16), 'asks for'),
           (dict(rope_parameters=dict(rope_type='llama3')), 'config.json: cannot be read'),
           (dict(rope_parameters=3), 'config.json: cannot be read')]

@pytest.fixture(scope='module')
def plain(tmp_path_factory): return model(tmp_path_factory.mktemp('plain')/'m', tokenizer())

@gguf
@pytest.mark.parametrize('form', ['gguf-f32', 'mlx'])
@pytest.mark.parametrize('name', GARBLED)
def test_files_that_cannot_be_read(tmp_path, plain, name, form):
    broken = changed(plain, tmp_path/'m', **{name: GARBLED[name]})
    with pytest.raises(ModelError, match='cannot be read|JSON object'): convert(str(broken), tmp_path/'out', form)

@gguf
@pytest.mark.parametrize('form', ['gguf-f32', 'mlx'])
@pytest.mark.parametrize('name', WRONG)
def test_files_that_say_what_cannot_be(tmp_path, plain, name, form):
    broken = changed(plain, tmp_path/'m', **{name: WRONG[name]})
    with pytest.raises(ModelError, match='cannot be read|cannot be converted'):
        convert(str(broken), tmp_path/'out', form)

@gguf
@pytest.mark.parametrize('form', ['gguf-f32', 'mlx'])
@pytest.mark.parametrize('fields,words', MISFITS)
def test_weights_that_do_not_fit_the_configuration(tmp_path, plain, fields, words, form):
    with pytest.raises(ModelError, match=words):
        convert(str(changed(plain, tmp_path/'m', config=fields)), tmp_path/'out', form)

@gguf
@pytest.mark.parametrize('form', ['gguf-f32', 'mlx'])
def test_a_tokenizer_that_is_larger_than_the_model(tmp_path, form):
    tok = bpe()
    path = model(tmp_path/'m', tok, vocab_size=len(tok)-3)
    with pytest.raises(ModelError, match=rf'has token {len(tok)-1} .*, the model only {len(tok)-3} tokens'):
        convert(str(path), tmp_path/'out', form)

@gguf
def test_a_shard_that_is_missing(tmp_path, plain):
    shards = dict(weight_map={'model.norm.weight': 'model-00002-of-00002.safetensors'})
    broken = changed(plain, tmp_path/'m', **{'model.safetensors.index': shards})
    with pytest.raises(ModelError, match='model-00002-of-00002.safetensors is not in it'):
        to_gguf(broken, tmp_path/'x.gguf')

@gguf
def test_numbers_that_f16_does_not_hold(tmp_path):
    from transformers import LlamaForCausalLM
    path = model(tmp_path/'m', tokenizer())
    large = LlamaForCausalLM.from_pretrained(path)
    with torch.no_grad(): large.model.layers[0].mlp.up_proj.weight[0, 0] = 7e4
    large.save_pretrained(path)
    with pytest.raises(ModelError, match='70000 is more than f16 holds'): to_gguf(path, tmp_path/'x.gguf', 'f16')

@gguf
def test_refusals(tmp_path, plain):
    out, metaspace = tmp_path/'x.gguf', dict(type='Metaspace', replacement='_', prepend_scheme='always', split=True)
    windowed = dict(model_type='mistral', sliding_window=64)
    for d, words in ((changed(plain, tmp_path/'a', config=dict(model_type='gpt2')),
                      ('model_type gpt2', 'llama, mistral', 'convert_hf_to_gguf.py', 'mlx_lm.convert')),
                     (changed(plain, tmp_path/'b', config=dict(hidden_act='gelu')), ('hidden_act', 'gelu')),
                     (changed(plain, tmp_path/'c', config=windowed), ('sliding_window 64',)),
                     (changed(plain, tmp_path/'d', tokenizer=dict(pre_tokenizer=metaspace)),
                      ('byte-level', 'convert_hf_to_gguf.py')),
                     (tmp_path/'none', ('no such folder',))):
        with pytest.raises(ModelError) as e: to_gguf(d, out)
        assert all(w in str(e.value) for w in words), e.value
    with pytest.raises(BadValue, match='q8_0'): to_gguf(plain, out, 'q8')
    with pytest.raises(BadValue, match='gguf-f32'): convert(str(plain), out, 'gguf-f64')
    assert [p.name for p in tmp_path.iterdir() if 'gguf' in p.name]==[]

HALF_WAY = '''import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
from decodelab.backends.convert import to_gguf
to_gguf({path!r}, {out!r}, overwrite=True)'''

@gguf
def test_nothing_overwritten_nothing_half_written(tmp_path, plain):
    out = tmp_path/'x.gguf'
    out.write_text('mine')
    with pytest.raises(RunError, match='exists'): to_gguf(plain, out)
    assert out.read_text()=='mine'
    to_gguf(plain, out, overwrite=True)
    assert out.read_bytes()[:4]==b'GGUF'
    (tmp_path/'file').write_text('')
    with pytest.raises(RunError, match='cannot be written'): to_gguf(plain, tmp_path/'file'/'x.gguf')
    if os.name!='posix': return
    before = out.read_bytes() # a write that fails half-way leaves the old file as it was
    code = HALF_WAY.format(path=str(plain), out=str(out))
    r = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert r.returncode and 'cannot be written' in r.stderr
    assert out.read_bytes()==before and not list(tmp_path.glob('.x*'))

# Fingerprints are of whole files.

def test_a_fingerprint_sees_the_last_byte(tmp_path, plain):
    one, other = [changed(plain, tmp_path/name) for name in 'ab']
    assert folder_hash(one)==folder_hash(other)
    for d, last in ((one, b'a'), (other, b'b')): (d/'big.safetensors').write_bytes(bytes(1<<27)+last)
    assert file_mark(one/'big.safetensors')!=file_mark(other/'big.safetensors') and folder_hash(one)!=folder_hash(other)
    (other/'big.safetensors').write_bytes((one/'big.safetensors').read_bytes())
    assert folder_hash(one)==folder_hash(other)
    (other/'merges.txt').write_text('a b') # a tokenizer of another form
    assert folder_hash(one)!=folder_hash(other)

@gguf
def test_a_text_without_an_end_has_none(tmp_path):
    "llama.cpp would stand token 11, a comma here, in for it."
    path = model(tmp_path/'m', tokenizer())
    for name in ('config.json', 'generation_config.json', 'tokenizer_config.json'):
        found = json.loads((path/name).read_text())
        (path/name).write_text(json.dumps({k: v for k,v in found.items() if not k.startswith(('eos', 'bos'))}))
    opened = load(f'gguf:{to_gguf(path, tmp_path/"m.gguf")}')
    assert opened.eos_id is None and opened.bos_id is None and 11 not in opened.eos_ids # `<|end|>` is known by its name
    opened.close()
