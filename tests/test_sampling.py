"Sampling on Transformers: every option of the contract, against the exact distribution and Transformers' own generate."
import numpy as np, pytest, torch
from scipy import stats
from decodelab.backends import Sampling, filtered, load
from decodelab.core import BadValue
from decodelab.tasks import load_questions
from decodelab.eig import frame_for, prompt_ids

@pytest.fixture(scope='module')
def prompts(student): return [prompt_ids(student, frame_for(student), q.text) for q in load_questions('reference', 24, 9)]

def theirs(model, prompts, n):
    out = []
    for p in prompts: out.append(tuple(model.generate(torch.tensor([p]), max_new_tokens=n, do_sample=False, pad_token_id=0)[0, len(p):].tolist()))
    return out

def test_greedy_is_transformers_greedy(student, prompts):
    ours = [s[0].ids for s in student.sample(prompts, Sampling(max_tokens=40, temperature=0))]
    assert sum(a!=b for a,b in zip(ours, theirs(student.model, prompts, 40)))==0

@pytest.mark.parametrize('plan', [Sampling(temperature=1.7), Sampling(temperature=2., top_k=3), Sampling(temperature=3., top_p=.8), Sampling(temperature=3., min_p=.05), Sampling(temperature=4., top_k=20, top_p=.95, min_p=.01)])
def test_draws_follow_the_filtered_distribution(student, prompts, plan):
    from dataclasses import replace
    p = filtered(torch.from_numpy(student.next_logprobs([prompts[0]])), plan)[0].numpy()
    seen = np.bincount([s.ids[0] for s in student.sample([prompts[0]], replace(plan, n=4000, max_tokens=1, seed=11))[0]], minlength=len(p))
    assert seen[p==0].sum()==0
    big = p*4000 > 5; observed = np.append(seen[big], seen[~big].sum()); expected = np.append(p[big], p[~big].sum())*4000
    keep = expected > 1e-9
    if keep.sum() > 1: assert stats.chisquare(observed[keep], expected[keep]*observed.sum()/expected[keep].sum()).pvalue > 1e-3

def test_stop_strings_are_found_in_decoded_text(student, prompts):
    for s in student.sample(prompts, Sampling(max_tokens=60, stop=('=7\n', '2 '), seed=1)):
        assert ('=7\n' not in s[0].text and '2 ' not in s[0].text) and (s[0].finish!='stop' or student.decode(s[0].ids).endswith(('=7\n', '2 ')))
    kept = student.sample(prompts, Sampling(max_tokens=60, stop=('\n',), include_stop=True))
    assert all(x[0].text.endswith('\n') and x[0].text.count('\n')==1 for x in kept if x[0].finish=='stop')

def test_constraint_hook_allows_only_what_it_allows(student, prompts):
    allowed = np.zeros(student.vocab_size, bool); allowed[[ord(c) for c in '0123456789']] = True
    out = student.sample(prompts, Sampling(max_tokens=5, temperature=1., constraint=lambda ids: allowed if len(ids) < 3 else None))
    assert all(s[0].text[:3].isdigit() for s in out)

def test_usage_counts_kinds_of_tokens(student, prompts):
    student.usage.reset(); a = student.sample(prompts, Sampling(max_tokens=7)); b = student.sample(prompts, Sampling(max_tokens=5, kind='forecast'))
    assert student.usage.decoded==sum(len(s[0].ids) for s in a) and student.usage.forecast==sum(len(s[0].ids) for s in b)

def test_bad_sampling_is_named():
    for kw in (dict(n=0), dict(top_p=0), dict(top_k=-1), dict(stop=('',)), dict(max_tokens=0)):
        with pytest.raises(BadValue, match=next(iter(kw))): Sampling(**kw)

def test_chat_template(student):
    ids = student.chat([dict(role='user', content='a1+2=?'), dict(role='assistant', content='3'), dict(role='user', content='a3+4=?')])
    assert student.decode(ids)=='<|question|>a1+2=?<think></think><|answer|>3<|end|><|question|>a3+4=?<think>'

@pytest.fixture(scope='module')
def windowed(tmp_path_factory):
    "A small model with sliding windows, whose states cannot be shared over a trie."
    from transformers import MistralConfig, MistralForCausalLM
    from decodelab.backends.shipped import tokenizer
    torch.manual_seed(0); d = tmp_path_factory.mktemp('mistral')
    MistralForCausalLM(MistralConfig(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=262, max_position_embeddings=256, sliding_window=6,
                                     bos_token_id=None, eos_token_id=261, initializer_range=.3)).save_pretrained(d); tokenizer().save_pretrained(d)
    return load(f'hf:{d}', device='cpu')

def test_models_with_windows_take_the_plain_path_and_agree(windowed):
    rng = np.random.default_rng(0); prompts = [tuple(map(int, rng.integers(0, 256, n))) for n in (3, 12, 30, 7)]
    assert not windowed.capabilities.prefix_sharing and not windowed._replays # its rows are kept
    for p,s in zip(prompts, windowed.score([(p, (5, 9, 11)) for p in prompts])):
        with torch.inference_mode(): lp = torch.log_softmax(windowed.model(torch.tensor([[*p, 5, 9, 11]])).logits[0].double(), -1)
        assert np.abs(s.token_logprobs-lp[len(p)-1:len(p)+2][range(3), [5,9,11]].numpy()).max() < 1e-4
    assert [s[0].ids for s in windowed.sample(prompts, Sampling(max_tokens=20, temperature=0))]==theirs(windowed.model, prompts, 20)

@pytest.fixture(scope='module')
def recurrent(tmp_path_factory):
    "A small Mamba: one recurrent state, no keys and values."
    from transformers import MambaConfig, MambaForCausalLM
    from decodelab.backends.shipped import tokenizer
    torch.manual_seed(0); d = tmp_path_factory.mktemp('mamba')
    MambaForCausalLM(MambaConfig(hidden_size=32, state_size=8, num_hidden_layers=2, vocab_size=262, bos_token_id=None, eos_token_id=261, initializer_range=.5)).save_pretrained(d); tokenizer().save_pretrained(d)
    return load(f'hf:{d}', device='cpu')

def test_recurrent_models_are_run_anew_and_agree(recurrent):
    "Scores, distributions, sessions, draws and streams of a model that keeps no keys and values."
    rng = np.random.default_rng(0); prompts = [tuple(map(int, rng.integers(0, 256, n))) for n in (3, 12, 1, 7)]
    with torch.inference_mode(): plain = lambda ids: torch.log_softmax(recurrent.model(torch.tensor([ids])).logits[0].double(), -1)
    assert not recurrent.capabilities.prefix_sharing and np.abs(recurrent.next_logprobs(prompts)-np.stack([plain(p)[-1].detach() for p in prompts])).max() < 1e-4
    for p,s in zip(prompts, recurrent.score([(p, (5, 9, 11)) for p in prompts])): assert np.abs(s.token_logprobs-plain([*p, 5, 9, 11]).detach()[len(p)-1:len(p)+2][range(3), [5,9,11]].numpy()).max() < 1e-4
    s = recurrent.session(prompts); s.step([1, 2, 3, 4]); f = s.fork([2, 0, 2]); f.drop([0]); f.step([8, 9])
    assert np.abs(np.asarray(f.logprobs)-np.stack([plain([*prompts[0], 1, 8])[-1].detach(), plain([*prompts[2], 3, 9])[-1].detach()])).max() < 1e-4
    greedy = Sampling(max_tokens=12, temperature=0); out = [x[0] for x in recurrent.sample(prompts, greedy)]
    for p,x in zip(prompts, out): assert list(x.ids)==[int(plain([*p, *x.ids[:i]])[-1].argmax()) for i in range(len(x.ids))]
    assert ''.join(recurrent.stream(prompts[1], greedy))==out[1].text
    hot = Sampling(n=2, max_tokens=6, seed=4); assert [x.ids for x in recurrent.sample(prompts, hot)[1]]==[x.ids for x in recurrent.sample(prompts[1:2], hot)[0]]

def test_options_reach_the_runtime(tmp_path):
    from decodelab.backends.shipped import folder
    b = load(f'hf:{folder("student")}', device='cpu', dtype='bfloat16', attn_implementation='eager')
    assert b.model.dtype==torch.bfloat16 and b.model.config._attn_implementation=='eager' and b.next_logprobs([(1,2,3)]).shape==(1, 262)
    with pytest.raises(BadValue, match='dtype'): load(f'hf:{folder("student")}', dtype='float12')
