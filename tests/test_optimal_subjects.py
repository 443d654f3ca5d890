"What runs on any backend runs on a pair: stopping rules, exact samples, fields; heads of real sizes."
import json
import numpy as np, pytest, torch
from scipy.stats import chisquare
from decodelab.backends import Sampling
from decodelab.backends.toy import Toy
from decodelab.evaluation.conformance import questions
from decodelab.optimal import OptimalSamplingModel

@pytest.fixture(scope='module')
def twin(student): return OptimalSamplingModel(student, student)

@pytest.fixture(scope='module')
def pair(student): return OptimalSamplingModel(student, 'reference:teacher', device='cpu')

def decisions(model, states, seed=3):
    from decodelab.eig.frames import frame_for
    from decodelab.eig.gain import ExpectedInformationGainCalculator
    from decodelab.eig.parameters import EIGParameters
    p = EIGParameters(mc_samples=3, sample_length=16, lambda_cost=0, adaptive=False)
    return ExpectedInformationGainCalculator(model, frame_for(model), p, seed).evaluate(states)

def test_information_gain_runs_on_a_pair(student, twin, pair):
    "q* of a model and itself is the model: the same beliefs, forecasts and gains; of two models it is another."
    states = [tuple(p) for p in questions(student, 3)]
    alone, both, mixed = (decisions(model, states) for model in (student, twin, pair))
    for a,b in zip(alone, both):
        assert a.posterior.answers==b.posterior.answers and np.allclose(a.posterior.p, b.posterior.p, atol=1e-4)
        assert (a.go, a.cause, a.probe, a.forecast)==(b.go, b.cause, b.probe, b.forecast)
        if a.gain: assert a.gain.eig==pytest.approx(b.gain.eig, abs=1e-3)
    assert any(abs(a.posterior.entropy-m.posterior.entropy) > 1e-4 for a,m in zip(alone, mixed))
    assert pair.tally.tokens > 0 and .5 <= pair.tally.asdict()['alpha'] <= 1

@pytest.mark.parametrize('rule', ['expected_information_gain_reasoning', 'entropy_thresholding', 'fixed_budget'])
def test_stopping_rules_run_on_a_pair(student, twin, rule):
    from decodelab.eig.parameters import EIGParameters
    from decodelab.eig.stopping.forcing import scale
    texts = ['3+4*2=?', '1+2+3=?']
    alone, both = (scale(model, texts, rule, EIGParameters(mc_samples=2), max_tokens=48) for model in (student, twin))
    for a,b in zip(alone[0], both[0]): assert (a.ids, a.answer, a.cause)==(b.ids, b.answer, b.cause)

def test_exact_samples_follow_q_star_given_the_language():
    "Against q* on all texts of the language, renormalised; the mask alone is something else."
    from decodelab.backends.decoding import Choices
    from decodelab.schema.exact_sampling import exact
    model = OptimalSamplingModel(Toy.random('ab.?$', 0, .5), Toy.random('ab.?$', 1, .5), alpha_min=0.)
    words = ((0, 1), (0, 1, 1), (2,), (1, 2, 0), (3, 3))
    plan = Sampling(n=3000, max_tokens=5, seed=2, constraint=Choices(words, model.eos_ids))
    drawn = exact(model, (3,), plan)
    logs = np.array([s.logprob for s in model.score([((3,), (*w, 4)) for w in words])])
    shares = np.exp(logs)/np.exp(logs).sum()
    counts = [drawn.texts().get(model.decode(w), 0) for w in words]
    assert sum(counts)==3000 and chisquare(counts, shares*3000).pvalue > 1e-3
    assert drawn.mass[1] <= np.exp(logs).sum()+1e-6 and drawn.bound >= np.exp(logs).sum()-1e-6

SCHEMA = dict(type='object', properties=dict(sure=dict(type='boolean'), n=dict(enum=[1, 2, 30])),
              required=['sure', 'n'], additionalProperties=False)

def test_fields_and_documents_of_a_pair(student, twin, pair):
    from decodelab.schema import compile, constrain, exact, fields
    prompt = tuple(questions(student, 1)[0])
    language = compile(SCHEMA)
    sampling = Sampling(max_tokens=40, seed=1, constraint=constrain(pair, language))
    a, b = (model.sample([prompt], sampling)[0][0] for model in (student, twin))
    assert a.ids==b.ids and np.allclose(a.notes['kept'], b.notes['kept'], atol=1e-4)
    mine, theirs = fields(twin, prompt, b, language), fields(student, prompt, a, language)
    assert [f.pointer for f in mine]==[f.pointer for f in theirs]
    for x,y in zip(mine, theirs): assert x.held==pytest.approx(y.held, abs=1e-3)
    drafted = OptimalSamplingModel(student, pair.t, draft_tokens=3)
    for seed in range(4):
        plan = Sampling(max_tokens=40, seed=seed, constraint=sampling.constraint)
        one, two = (m.sample([prompt], plan)[0][0] for m in (pair, drafted))
        assert one.ids==two.ids and one.finish=='eos' and json.loads(one.text)['n'] in (1, 2, 30)
        assert {'alpha', 'raw_alpha', 'log_z', 'kept', 'log_weight', 'log_weight_t'} <= two.notes.keys()
        assert np.allclose(one.notes['alpha'], two.notes['alpha'], atol=1e-4)
    drawn = exact(pair, prompt, Sampling(n=8, max_tokens=40, constraint=sampling.constraint), tries=4000)
    assert all(json.loads(s.text)['n'] in (1, 2, 30) for s in drawn.samples)

# Heads of Qwen 2.5's sizes: 1.5 B has 151,936 rows, 7 B 152,064, for 151,665 tokens

@pytest.fixture(scope='module')
def wide(tmp_path_factory):
    "Two tiny random models with such heads over one tokenizer, and one whose ids are permuted."
    from transformers import LlamaConfig, LlamaForCausalLM
    from decodelab.backends import load
    from decodelab.backends.shipped import tokenizer
    words, folder, out = tokenizer(), tmp_path_factory.mktemp('wide'), {}
    words.add_tokens([f' w{i}' for i in range(151_665-len(words))])
    for name,head,seed in (('small', 151_936, 0), ('large', 152_064, 1), ('narrow', 151_665, 1)):
        torch.manual_seed(seed)
        config = LlamaConfig(hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
                             vocab_size=head, max_position_embeddings=256, initializer_range=.5,
                             bos_token_id=None, eos_token_id=261)
        made = LlamaForCausalLM(config)
        if name=='narrow': # the same weights as `large`, without the padding
            state = torch.load(folder/'large.pt')
            cut = ('model.embed_tokens.weight', 'lm_head.weight')
            made.load_state_dict({k: v[:head] if k in cut else v for k,v in state.items()})
        else: torch.save(made.state_dict(), folder/f'{name}.pt')
        made.save_pretrained(folder/name)
        words.save_pretrained(folder/name)
        out[name] = load(f'hf:{folder/name}', device='cpu')
    return out

def texts(out): return [tuple(ids[m].tolist()) for ids,m in zip(out.generated_ids, out.mask)]

def test_padded_heads_of_real_sizes(wide):
    "Padding is no token, on either side: never drawn, no mass of α; the text is that of heads without padding."
    small, large, narrow = (wide[name] for name in ('small', 'large', 'narrow'))
    assert (small.vocab_size, large.vocab_size)==(151_936, 152_064)
    how = dict(max_new_tokens=5, seed=1)
    prompts = [[10], list(small.encode('a w7 w8'))]
    first = OptimalSamplingModel(small, large).generate(prompts, **how, return_q_star_probs=True)
    assert first.q_star_probs.shape[2]==151_936 and (first.q_star_probs[0,0,151_665:]==0).all()
    for model in (OptimalSamplingModel(small, large, draft_tokens=2), OptimalSamplingModel(small, narrow)):
        out = model.generate(prompts, **how)
        assert texts(out)==texts(first) and max(map(max, texts(out))) < 151_665
        assert torch.allclose(out.alpha_values, first.alpha_values, atol=1e-4, equal_nan=True)
    back = OptimalSamplingModel(large, small, alpha_method='fixed', fixed_alpha=.5)
    there = OptimalSamplingModel(small, large, alpha_method='fixed', fixed_alpha=.5)
    rows = [m.next_logprobs([(10,)])[0,:151_665] for m in (back, there)]
    assert np.allclose(*rows, atol=1e-4)

def test_added_tokens_of_one_side_are_not_foreign(wide, student):
    "A teacher with more added tokens: those are never drawn."
    model = OptimalSamplingModel(student, wide['small'])
    out = model.generate([[10]], max_new_tokens=4, seed=1)
    assert out.generated_ids.max() < 262
