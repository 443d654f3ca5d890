"Converted models say what the Transformers folder says: tokens, logits, refusals."
import importlib.util, json, os, shutil
import numpy as np
import pytest
import torch
from decodelab.backends.convert import LLAMA3, QWEN2, convert, reference_gguf, to_gguf, to_mlx
from decodelab.backends.shipped import folder, tokenizer
from decodelab.core.errors import BadValue, ModelError, RunError

def runtime(*packages):
    "Skip a test whose runtime is not installed; under CI it runs, and fails."
    missing = [p for p in packages if importlib.util.find_spec(p) is None]
    return pytest.mark.skipif(bool(missing) and not os.environ.get('CI'), reason=f'NOT TESTED: {", ".join(missing)} not installed')
gguf, mlx = runtime('gguf', 'llama_cpp'), runtime('mlx', 'mlx_lm')

def fuzz(rng, specials, n):
    "Texts of many scripts, white space and special tokens."
    pools = ['abc XYZ ', '0123456789.,', '\n\t\r  ', "'s 'LL n't", 'éüñßœ', '東京日本語', 'привет', 'हिन्दी', '👩‍👧🎉', 'e\u0301\u00a0\u200b\u2028', '!?#@/{}[]()', '\x00\x01\x7f']
    piece = lambda: specials[rng.integers(len(specials))] if rng.random()<.25 else ''.join(rng.choice(list(pools[rng.integers(len(pools))]), rng.integers(1, 12)))
    return [''.join(piece() for _ in range(rng.integers(0, 8))) for _ in range(n)]

def model(path, tok, seed=0, **kw):
    "A random Llama with the given tokenizer in a folder."
    from transformers import LlamaConfig, LlamaForCausalLM
    torch.manual_seed(seed)
    size = dict(hidden_size=96, intermediate_size=160, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=32, initializer_range=.1, max_position_embeddings=512)
    m = LlamaForCausalLM(LlamaConfig(**(size | dict(vocab_size=len(tok), bos_token_id=tok.bos_token_id, eos_token_id=tok.eos_token_id, pad_token_id=tok.pad_token_id) | kw)))
    for p in m.parameters():
        if p.ndim==1: torch.nn.init.normal_(p, 1., .2) # norms and biases that matter
    m.save_pretrained(path); tok.save_pretrained(path)
    return path

def same(file, path, tol, n=60):
    "Tokens and logits of a GGUF file against the folder it came from, in float32 Transformers."
    from llama_cpp import Llama
    from transformers import AutoModelForCausalLM, AutoTokenizer
    tok, ref = AutoTokenizer.from_pretrained(path), AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    texts = [t for t in fuzz(np.random.default_rng(0), [*tok.get_added_vocab()], n)]
    m = Llama(str(file), n_ctx=512, logits_all=True, verbose=False, type_k=0, type_v=0, flash_attn=False)
    try:
        for t in texts: assert m.tokenize(t.encode(), add_bos=False, special=True)==tok.encode(t, add_special_tokens=False), repr(t)
        worst = 0.
        for t in [t for t in texts if t][:6]:
            ids = tok.encode(t, add_special_tokens=False)[:200]
            m.reset(); m.eval(ids)
            with torch.inference_mode(): want = ref(torch.tensor([ids])).logits[0].double().log_softmax(-1)
            worst = max(worst, (torch.tensor(m.scores[:len(ids)]).double().log_softmax(-1)-want).abs().max().item())
        assert worst < tol, worst
        return m.metadata, (m.token_bos(), m.token_eos())
    finally: m.close()

def bpe(split=None, merges=400, ignore=False):
    "A byte-level BPE tokenizer with real merges and added tokens of both types."
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers as pre, trainers
    from transformers import PreTrainedTokenizerFast
    t = Tokenizer(models.BPE(ignore_merges=ignore))
    level = pre.ByteLevel(add_prefix_space=False, use_regex=split in (None,'digits'))
    t.pre_tokenizer = level if split is None else pre.Sequence([pre.Digits(individual_digits=True) if split=='digits' else pre.Split(Regex(split), 'isolated'), level])
    t.decoder = decoders.ByteLevel()
    texts = fuzz(np.random.default_rng(1), ['the quick brown fox '], 300) + ["the cats' house isn't theirs, we'll see 1234 times "]*30
    t.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=256+merges, initial_alphabet=pre.ByteLevel.alphabet(), show_progress=False))
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in ('<s>','</s>','<|user|>')]); t.add_tokens([AddedToken('<tool>', special=False, normalized=False)])
    return PreTrainedTokenizerFast(tokenizer_object=t, bos_token='<s>', eos_token='</s>', clean_up_tokenization_spaces=False)

@gguf
@pytest.mark.parametrize('name', ['student', 'teacher'])
def test_reference(name):
    file = reference_gguf(name)
    meta, (bos, eos) = same(file, folder(name), 2e-4)
    assert file==reference_gguf(name) and (bos, eos)==(261, 261) and meta['general.file_type']=='0' and meta['tokenizer.ggml.add_bos_token']=='false'
    assert meta['tokenizer.chat_template']==(folder(name)/'chat_template.jinja').read_text()

@gguf
@pytest.mark.parametrize('kw', [dict(tie_word_embeddings=False), dict(tie_word_embeddings=True, num_key_value_heads=1, num_attention_heads=6),
    dict(attention_bias=True, mlp_bias=True, head_dim=24), dict(rope_parameters=dict(rope_type='linear', factor=2., rope_theta=5000.)),
    dict(rope_parameters=dict(rope_type='llama3', rope_theta=5e5, factor=8., low_freq_factor=1., high_freq_factor=4., original_max_position_embeddings=64)), dict(vocab_size=300)])
def test_architectures(tmp_path, kw): same(to_gguf(model(tmp_path/'m', tokenizer(), **kw), tmp_path/'m.gguf'), tmp_path/'m', 2e-4, n=20)

@gguf
@pytest.mark.parametrize('kw', [{}, dict(split='digits'), dict(split=LLAMA3), dict(split=LLAMA3, ignore=True), dict(split=QWEN2)], ids=['gpt2','smollm','smaug','llama3','qwen2'])
def test_merges(tmp_path, kw): same(to_gguf(model(tmp_path/'m', bpe(**kw)), tmp_path/'m.gguf'), tmp_path/'m', 2e-4, n=300)

@gguf
def test_kinds(tmp_path):
    path = model(tmp_path/'m', tokenizer(), head_dim=16, num_attention_heads=3, num_key_value_heads=1) # o_proj has rows of 48: float32 in q8_0
    sizes = {k: to_gguf(path, tmp_path/f'{k}.gguf', k).stat().st_size for k in ('f32','f16','q8_0')}
    assert sizes['q8_0'] < sizes['f16'] < sizes['f32']
    same(tmp_path/'f16.gguf', path, .2, n=10); same(tmp_path/'q8_0.gguf', path, 1., n=10)

@mlx
@pytest.mark.parametrize('rope', [dict(rope_type='default', rope_theta=123456.), dict(rope_type='linear', factor=2., rope_theta=5000.),
    dict(rope_type='llama3', rope_theta=5e5, factor=8., low_freq_factor=1., high_freq_factor=4., original_max_position_embeddings=64)], ids=['theta','linear','llama3'])
def test_mlx(tmp_path, rope):
    from mlx_lm import load
    import mlx.core as mx
    from transformers import AutoModelForCausalLM
    path = model(tmp_path/'m', bpe(), tie_word_embeddings=False, rope_parameters=rope)
    m, t = load(str(to_mlx(path, tmp_path/'out')))
    ids = t.encode('the quick 東<|user|>'*20, add_special_tokens=False)
    with torch.inference_mode(): want = AutoModelForCausalLM.from_pretrained(path)(torch.tensor([ids])).logits[0].log_softmax(-1).numpy()
    got = np.array(m(mx.array([ids]))[0]); got = got-np.log(np.exp(got).sum(-1, keepdims=True))
    assert np.abs(got-want).max() < 2e-4

@gguf
def test_refusals(tmp_path):
    out, path = tmp_path/'x.gguf', model(tmp_path/'m', tokenizer())
    def changed(name, **kw):
        d = tmp_path/name; shutil.copytree(path, d)
        for f,fields in kw.items(): p = d/f'{f}.json'; p.write_text(json.dumps(json.loads(p.read_text()) | fields))
        return d
    for d, words in ((changed('a', config=dict(model_type='gpt2')), ('model_type gpt2', 'llama, mistral', 'convert_hf_to_gguf.py', 'mlx_lm.convert')),
                     (changed('b', config=dict(hidden_act='gelu')), ('hidden_act', 'gelu')), (changed('c', config=dict(model_type='mistral', sliding_window=64)), ('sliding_window 64',)),
                     (changed('d', tokenizer=dict(pre_tokenizer=dict(type='Metaspace', replacement='_', prepend_scheme='always', split=True))), ('byte-level', 'convert_hf_to_gguf.py')),
                     (tmp_path/'none', ('no such folder',))):
        with pytest.raises(ModelError) as e: to_gguf(d, out)
        assert all(w in str(e.value) for w in words), e.value
    with pytest.raises(BadValue, match='q8_0'): to_gguf(path, out, 'q8')
    with pytest.raises(BadValue, match='gguf-f32'): convert(str(path), out, 'gguf-f64')
    assert [p.name for p in tmp_path.iterdir() if 'gguf' in p.name]==[]

@gguf
def test_nothing_overwritten_nothing_half_written(tmp_path):
    path, out = model(tmp_path/'m', tokenizer()), tmp_path/'x.gguf'
    out.write_text('mine')
    with pytest.raises(RunError, match='exists'): to_gguf(path, out)
    assert out.read_text()=='mine'
    to_gguf(path, out, overwrite=True); assert out.read_bytes()[:4]==b'GGUF'
    (tmp_path/'file').write_text('')
    with pytest.raises(RunError, match='cannot be written'): to_gguf(path, tmp_path/'file'/'x.gguf')
    if os.name=='posix': # a write that fails half-way leaves the old file as it was
        import subprocess, sys
        code = f"import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\nfrom decodelab.backends.convert import to_gguf\nto_gguf({str(path)!r}, {str(out)!r}, overwrite=True)"
        before = out.read_bytes(); r = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
        assert r.returncode and 'cannot be written' in r.stderr and out.read_bytes()==before and not list(tmp_path.glob('.x*'))
