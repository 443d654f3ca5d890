"""q* on a GPU: half precision, speed, memory. Needs torch with CUDA, transformers, and this package's light needs.

`python tests/test_gpu_optimal.py` prints the figures as JSON; `pytest tests/test_gpu_optimal.py` holds them.
"""
import gc, json, math, sys, time
from pathlib import Path
import numpy as np, pytest, torch

sys.path.insert(0, str(Path(__file__).parent.parent/'pkg')) # runs from a checkout that is not installed
THERE = torch.cuda.is_available()
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not THERE, reason='torch sees no CUDA device')]
TOKENS = 64
SIZES = dict(small=(384, 6), large=(768, 12))

def words(count):
    "A byte tokenizer with made-up tokens besides: every row of a head is a token."
    from transformers import AutoTokenizer
    folder = Path(__file__).parent.parent/'pkg'/'decodelab'/'models'/'student'
    out = AutoTokenizer.from_pretrained(folder)
    out.add_tokens([f' w{i}' for i in range(count-len(out))])
    return out

def save(folder, tokens, heads, hidden, layers, seed):
    from transformers import LlamaConfig, LlamaForCausalLM
    torch.manual_seed(seed)
    config = LlamaConfig(hidden_size=hidden, intermediate_size=hidden*8//3, num_hidden_layers=layers,
                         num_attention_heads=hidden//64, vocab_size=heads, max_position_embeddings=2048,
                         tie_word_embeddings=True, initializer_range=.02, bos_token_id=None, eos_token_id=261)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokens.save_pretrained(folder)
    return f'hf:{folder}'

@pytest.fixture(scope='module')
def folders(tmp_path_factory): return made(tmp_path_factory.mktemp('models'))

def made(folder):
    "Two random models of about 30 and 120 million weights, 49,152 tokens."
    tokens = words(49_152)
    return [save(folder/name, tokens, 49_152, *size, seed) for seed,(name,size) in enumerate(SIZES.items())]

def pair_of(folders, dtype, **options):
    from decodelab.optimal import OptimalSamplingModel
    return OptimalSamplingModel(*folders, device='cuda', dtype=dtype, **options)

def prompts_for(pair, rows): return [list(pair.encode(f'question {i} w{i}')) for i in range(rows)]

def texts(out): return [tuple(ids[m].tolist()) for ids,m in zip(out.generated_ids, out.mask)]

def sane(out):
    "No NaN and nothing infinite where a token was drawn."
    return not any((x.isnan() & out.mask).any() or x.drawn().isinf().any() for x in out.diagnostics.values())

def alike(pair, rows=24, **how):
    "Share of texts that drafts and batches leave as they are."
    prompts, how = prompts_for(pair, rows), dict(max_new_tokens=16, seed=1) | how
    plain = texts(pair.generate(prompts, batch_size=rows, **how))
    same = [sum(a==b for a,b in zip(plain, texts(pair.generate(prompts, draft_tokens=k, batch_size=size, **how))))/rows
            for k,size in ((0, 8), (4, rows), (8, 8), ('auto', rows))]
    return dict(zip(('plain, 8 rows', '4 drafted', '8 drafted, 8 rows', 'auto'), same))

@pytest.mark.parametrize('dtype', ['bfloat16', 'float16', 'float32'])
def test_half_precision_gives_numbers_and_the_same_texts(folders, dtype):
    pair = pair_of(folders, dtype)
    how = dict(max_new_tokens=16, temperature=.8, draft_tokens=3, return_q_star_probs=True)
    out = pair.generate(prompts_for(pair, 16), **how)
    assert sane(out) and str(pair.theta.model.dtype)==f'torch.{dtype}'
    assert torch.allclose(out.q_star_probs[out.mask].sum(-1), torch.ones(1), atol=1e-4)
    if dtype=='float32': assert min(alike(pair).values()) > .95 # float near-ties
    pair.close()

def rows_of(rows, width, device, dtype=torch.float16, seed=0):
    made = torch.Generator().manual_seed(seed)
    theta = 3*torch.randn(rows, width, generator=made)
    t = theta+torch.randn(rows, width, generator=made)
    return theta.to(device, dtype), t.to(device, dtype)

METHODS = ('kl_symmetry', 'ess_balance', 'entropy', 'entropy_ratio', 'reverse_kl_symmetry', 'fixed')

@pytest.mark.parametrize('method', METHODS)
def test_alpha_is_the_cpus(method):
    "float16 logits, some of them cut."
    from decodelab.maths.tilt import Tilt, q_star
    theta, t = rows_of(8, 20_000, 'cuda')
    for cut in (False, True):
        if cut: theta[:,100:400] = t[:,300:500] = -math.inf
        there, here = (q_star(a, b, Tilt(method, alpha_min=.1)) for a,b in ((theta, t), (theta.cpu(), t.cpu())))
        assert torch.allclose(there.numbers, here.numbers, atol=1e-6, rtol=1e-6) and not there.numbers.isnan().any()
        assert torch.allclose(there.log_q.cpu().exp(), here.log_q.exp(), atol=1e-9)

def test_schemas_hold_q_star_there(folders):
    from decodelab.backends import Sampling
    from decodelab.backends.decoding import Choices
    pair = pair_of(folders, 'float32', draft_tokens=3)
    choices = tuple(tuple(pair.encode(text)) for text in ('yes, it is', 'no', 'yes, it was'))
    plans = [Sampling(max_tokens=24, seed=i, constraint=Choices(choices, pair.eos_ids)) for i in range(20)]
    drawn = pair.sample([tuple(p) for p in prompts_for(pair, 20)], plans)
    assert {s[0].ids[:-1] for s in drawn} <= set(choices) and all(np.isfinite(s[0].notes['kept']).all() for s in drawn)
    pair.close()

def seconds(call, rounds=5):
    "Fewest seconds of a call, the device waited for: whatever else the machine does only adds."
    found = []
    for _ in range(rounds+1):
        torch.cuda.synchronize()
        since = time.perf_counter()
        call()
        torch.cuda.synchronize()
        found.append(time.perf_counter()-since)
    return min(found[1:])

def alpha_cost(rows=64, width=152_064):
    "Milliseconds of q* with its diagnostics."
    from decodelab.maths.tilt import Tilt, q_star
    theta, t = rows_of(rows, width, 'cuda', torch.bfloat16)
    return {method: 1e3*seconds(lambda: q_star(theta, t, Tilt(method))) for method in METHODS}

def passes(models, prompts, steps):
    "Both models' own loops with their own cache: the bare forwards, greedy, nothing else."
    for model in models:
        ids = torch.tensor(prompts, device='cuda')
        with torch.inference_mode():
            out = model(input_ids=ids, use_cache=True, logits_to_keep=1)
            for _ in range(steps-1):
                new = out.logits[:,-1].argmax(-1, keepdim=True)
                out = model(input_ids=new, past_key_values=out.past_key_values, use_cache=True)

def cost(pair, rows, rounds=3, tokens=TOKENS):
    "Wall of the plain loop and of drafts over the two bare passes, and memory."
    prompts = [[int(i) for i in range(10+r, 18+r)] for r in range(rows)]
    how = dict(max_new_tokens=tokens, seed=1, batch_size=rows, skip_decode=True)
    torch.cuda.reset_peak_memory_stats()
    steps = pair.generate(prompts, **how).generated_ids.shape[1]
    memory = torch.cuda.max_memory_allocated()
    plain = seconds(lambda: pair.generate(prompts, **how), rounds)
    auto = seconds(lambda: pair.generate(prompts, draft_tokens='auto', **how), rounds)
    bare = seconds(lambda: passes((pair.theta.model, pair.t.model), prompts, steps), rounds)
    session = seconds(lambda: in_sessions((pair.theta, pair.t), prompts, steps), rounds)
    return dict(rows=rows, tokens_per_second=rows*steps/plain, over_bare=plain/bare, over_sessions=plain/session,
                drafts_over_plain=plain/auto, MiB=memory/2**20)

def in_sessions(models, prompts, steps):
    "The same passes in decodelab's sessions."
    for model in models:
        with model.session([tuple(p) for p in prompts], room=steps) as session:
            for _ in range(steps-1): session.step([5]*len(prompts))

def test_wall_is_near_the_two_bare_passes(folders):
    pair = pair_of(folders, 'bfloat16')
    found = [cost(pair, rows, 2, 24) for rows in (1, 32)]
    print(json.dumps(found))
    assert all(f['over_bare'] < 1.5 for f in found)
    pair.close()

def test_no_block_of_the_vocabularys_size_stays(folders):
    "Of 256 rows of 64 tokens nothing like [rows, tokens, V] is held, unless asked for."
    pair = pair_of(folders, 'bfloat16')
    prompts = prompts_for(pair, 8)
    pair.generate(prompts, max_new_tokens=4)
    before = torch.cuda.memory_allocated()
    out = pair.generate(prompts, max_new_tokens=TOKENS)
    gc.collect()
    assert out.logits is None and torch.cuda.memory_allocated()-before < 8*4*pair.vocab_size*8
    pair.close()

def figures():
    "Everything that is worth knowing, as JSON."
    import tempfile
    out = dict(device=torch.cuda.get_device_name(), torch=torch.__version__, alpha_ms_64x152064=alpha_cost())
    with tempfile.TemporaryDirectory() as folder:
        models = made(Path(folder))
        for dtype in ('bfloat16', 'float16', 'float32'):
            pair = pair_of(models, dtype)
            answer = pair.generate(prompts_for(pair, 16), max_new_tokens=32, temperature=.8)
            found = dict(sane=sane(answer), alpha=float(answer.alpha_values.mean()), same_texts=alike(pair))
            step = seconds(lambda: in_sessions((pair.t,), [[5]]*64, 9))/8
            found |= dict(teacher_pass_ms_64_rows=1e3*step, cost=[cost(pair, rows) for rows in (1, 8, 32, 64)])
            out[dtype] = found
            print(dtype, json.dumps(found), flush=True)
            pair.close()
    return out

if __name__=='__main__':
    if not THERE: sys.exit('torch sees no CUDA device')
    print(json.dumps(figures(), indent=1))
