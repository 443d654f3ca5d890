"Where a context ends and its continuation begins: right values by one plain forward of Transformers in float32."
import os
import pytest
import torch
from conftest import ROOT

os.environ |= dict(HF_HUB_OFFLINE='1', TOKENIZERS_PARALLELISM='false')
STUDENT = ROOT/'pkg'/'decodelab'/'models'/'student'

def tiny(folder, tokenizer):
    "A random Llama with a tokenizer, saved."
    from transformers import LlamaConfig, LlamaForCausalLM
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
                         num_attention_heads=4, initializer_range=.15, max_position_embeddings=64,
                         bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id)
    LlamaForCausalLM(config).float().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder

def with_bos(tokenizer, bos):
    "The tokenizer, which now begins every text with a token of its own."
    from tokenizers.processors import TemplateProcessing
    tokenizer.add_special_tokens(dict(bos_token=bos))
    template = TemplateProcessing(single=f'{bos} $A', special_tokens=[(bos, tokenizer.bos_token_id)])
    tokenizer.backend_tokenizer.post_processor = template
    return tokenizer

def merging(*merged):
    "A byte-level BPE in which each of these words is one token."
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast
    vocab = {c: i for i,c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges = [(word[:i], word[i]) for word in merged for i in range(1, len(word))]
    for pair in merges: vocab.setdefault(''.join(pair), len(vocab))
    t = Tokenizer(models.BPE(vocab, list(dict.fromkeys(merges))))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    t.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=t, eos_token='<end>')

@pytest.fixture(scope='module')
def bpe(tmp_path_factory): return tiny(tmp_path_factory.mktemp('bpe'), merging('quick', 'dollars'))

@pytest.fixture(scope='module')
def bos(tmp_path_factory):
    from transformers import AutoTokenizer
    return tiny(tmp_path_factory.mktemp('bos'), with_bos(AutoTokenizer.from_pretrained(STUDENT), '<s>'))

def by_hand(folder, context, ids):
    "Log-probability of tokens after others: one plain forward."
    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad(): logits = model(torch.tensor([[*context, *ids]])).logits[0].float()
    lp = torch.log_softmax(logits, -1)
    return sum(float(lp[len(context)-1+i, t]) for i,t in enumerate(ids))

def tokens_of(folder):
    from transformers import AutoTokenizer
    return AutoTokenizer.from_pretrained(folder)

def ours(folder, **kw):
    from decodelab.evaluation.lmeval.adapter import Decodelab
    return Decodelab(backend=f'hf:{folder}', device='cpu', **kw)

def ask(lm, kind, *arguments):
    from lm_eval.api.instance import Instance
    return getattr(lm, kind)([Instance(kind, {}, arguments, 0)], disable_tqdm=True)[0]

# A continuation never loses characters

@pytest.mark.parametrize('context,continuation,before,scored', [
    ('the qu', 'ick brown', 'the ', 'quick brown'), ('dol', 'lars', '', 'dollars'),
    ('the', ' quick', 'the', ' quick'), ('10 dolla', 'rs', '10 ', 'dollars'), ('the ', 'quick', 'the', ' quick')])
def test_the_context_gives_way(bpe, context, continuation, before, scored):
    t, lm = tokens_of(bpe), ours(bpe)
    left = t.encode(before, add_special_tokens=False) or [t.eos_token_id]
    right = t.encode(before+scored, add_special_tokens=False)[len(t.encode(before, add_special_tokens=False)):]
    assert lm._encode_pair(context, continuation)==(left, right) and t.decode(right)==scored
    got, _ = ask(lm, 'loglikelihood', context, continuation)
    assert got==pytest.approx(by_hand(bpe, left, right), abs=1e-4)

def test_what_gave_way_is_counted(bpe):
    lm = ours(bpe, max_length=8)
    for pair in (('the qu', 'ick'), ('dol', 'lars'), ('the', ' end'), ('a long context', 'x')):
        ask(lm, 'loglikelihood', *pair)
    assert lm.get_model_info()['decodelab_pairs']==dict(asked=4, given=2, cut=1)

def test_lm_evals_own_class_loses_them(bpe):
    "We differ on purpose: it scores ` brown` where `ick brown` is asked for."
    from lm_eval.models.huggingface import HFLM
    theirs = HFLM(pretrained=str(bpe), dtype='float32', device='cpu')
    t = theirs.tokenizer
    assert t.decode(theirs._encode_pair('the qu', 'ick brown')[1])==' brown'
    assert theirs._encode_pair('dol', 'lars')[1]==[]

def test_the_quick_benchmark_scores_the_whole_answer(bpe):
    from decodelab.backends import load
    from decodelab.evaluation.quick.benchmark import pairs
    model = load(f'hf:{bpe}', device='cpu')
    p, = pairs(model, 'the qu', ['ick brown'])
    assert (model.decode(p.context), model.decode(p.continuation), p.given)==('the ', 'quick brown', 'qu')

def test_a_tokenizer_that_ends_every_text(tmp_path):
    "The end is no part of a context: lm-eval's class takes it for the continuation's first token."
    from tokenizers.processors import TemplateProcessing
    made = merging('quick')
    template = TemplateProcessing(single='$A <end>', special_tokens=[('<end>', made.eos_token_id)])
    made.backend_tokenizer.post_processor = template
    tiny(tmp_path/'m', made)
    t, lm = tokens_of(tmp_path/'m'), ours(tmp_path/'m')
    assert t.encode('a')[-1]==t.eos_token_id
    left, right = (t.encode(text, add_special_tokens=False) for text in ('the', ' quick'))
    assert lm._encode_pair('the', ' quick')==(left, right)
    got, _ = ask(lm, 'loglikelihood', 'the', ' quick')
    assert got==pytest.approx(by_hand(tmp_path/'m', left, right), abs=1e-4)

# BOS is no part of a text

def test_rolling_likelihood_scores_no_bos(bos):
    t, lm = tokens_of(bos), ours(bos)
    ids = t.encode('the fox', add_special_tokens=False)
    right = by_hand(bos, [t.bos_token_id], ids)
    assert ask(lm, 'loglikelihood_rolling', 'the fox')==pytest.approx(right, abs=1e-4)
    assert ask(lm, 'loglikelihood_rolling', '<s>the fox')==pytest.approx(right, abs=1e-4)
    assert ask(lm, 'loglikelihood_rolling', '')==0
    assert ask(ours(bos, add_bos_token=False), 'loglikelihood_rolling', 'the fox')==pytest.approx(right, abs=1e-4)
    twice = by_hand(bos, [t.bos_token_id], [t.bos_token_id, *ids]) # what lm-eval's own class gives
    assert abs(twice-right) > 1

def test_rolling_windows_after_a_bos(bos):
    "Windows as long as the model: the first after BOS, the next after what stands before them."
    t, text = tokens_of(bos), 'a+b=c, so b=c-a'
    ids = t.encode(text, add_special_tokens=False)
    right = by_hand(bos, [t.bos_token_id], ids[:10]) + by_hand(bos, ids[4:10], ids[10:])
    assert ask(ours(bos, max_length=10), 'loglikelihood_rolling', text)==pytest.approx(right, abs=1e-4)

def test_a_chosen_prefix_token_is_no_bos(bos):
    t = tokens_of(bos)
    lm, ids = ours(bos, prefix_token_id=t.eos_token_id), t.encode('the fox', add_special_tokens=False)
    written = f'{t.bos_token}<|question|>the' # as a chat template writes it
    assert lm.tok_encode(written)==t.encode(written, add_special_tokens=False)
    assert lm.tok_encode(written).count(t.bos_token_id)==1
    assert lm.tok_encode('the fox')==[t.bos_token_id, *ids]
    rolling = ask(lm, 'loglikelihood_rolling', 'the fox')
    assert rolling==pytest.approx(by_hand(bos, [t.eos_token_id], ids), abs=1e-4)
    got, _ = ask(lm, 'loglikelihood', written, ' fox')
    end = t.encode(' fox', add_special_tokens=False)
    assert got==pytest.approx(by_hand(bos, t.encode(written, add_special_tokens=False), end), abs=1e-4)
    empty, _ = ask(lm, 'loglikelihood', '', 'the fox')
    assert empty==pytest.approx(rolling, abs=1e-4)

def test_the_quick_benchmark_writes_bos_once(bos):
    from decodelab.backends import load
    from decodelab.evaluation.quick.benchmark import pairs
    model = load(f'hf:{bos}', device='cpu')
    bos_id = model.tokenizer.bos_token_id
    for context in ('the', '<s>the'):
        p, = pairs(model, context, [' fox'])
        assert p.context==(bos_id, *model.encode('the')) and p.continuation==model.encode(' fox')

@pytest.mark.parametrize('wrong,words', [(dict(rows=0), 'rows: got 0'), (dict(chunk=-1), 'chunk: got -1'),
    (dict(max_gen_toks='many'), "max_gen_toks: got 'many'"), (dict(batch_size='large'), 'batch_size')], ids=str)
def test_arguments_are_checked_before_a_model_is_loaded(wrong, words, monkeypatch):
    from decodelab.core.errors import BadValue
    from decodelab.evaluation.lmeval import adapter, model
    def forbidden(*a, **k): raise AssertionError('a model is loaded before the check')
    monkeypatch.setattr(model, 'load', forbidden)
    with pytest.raises(BadValue, match=words): adapter.Decodelab(backend='hf:some/model', **wrong)
