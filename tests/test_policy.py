"A stop policy while decoding: where replays stop, on every kind of session; whose it is; what it costs."
import json
from dataclasses import replace
import numpy as np, pytest
from decodelab.backends.contract import Sampling
from decodelab.backends.decoding import Choices
from decodelab.backends.loading import load
from decodelab.backends.toy import Toy
from decodelab.core.errors import BadValue, DataError, ModelError
from decodelab.core.parameters import BadParameters
from decodelab.eig import EIGParameters, expected_information_gain_reasoning
from decodelab.eig.frames import frame_for, prompt_ids
from decodelab.eig.stopping.fitting import FitParameters, fit_kind, observe
from decodelab.eig.stopping.learnt import rules
from decodelab.eig.stopping.live import Scaler
from decodelab.eig.stopping.policy import Decider, StepEnds, Watch, stop_policy, thinking_plan
from decodelab.eig.stopping.reasoning import reason
from decodelab.eig.stopping.replay import replay_one, replay_rule
from decodelab.maths.folded import Folded
from decodelab.maths.foresight import Glance, fit_foresight
from decodelab.maths.stopping import Inputs, Worth
from decodelab.tasks.data import load_questions

LAST, MEAN, BOTH = (FitParameters(n=24, seed=77, layer=layer, pool=pool)
                    for layer,pool in (('-1', 'last'), ('-2', 'mean'), ('-1,-2', 'last')))

@pytest.fixture(scope='module')
def fits(student, tmp_path_factory):
    "Traces and files of fits, by what they read."
    folder, out = tmp_path_factory.mktemp('policies'), {}
    for name,p in dict(last=LAST, mean=MEAN, both=BOTH).items():
        traces = observe(student, load_questions('reference', p.n, p.seed), p, hidden=True)
        file = folder/f'{name}.json'
        fit_kind(traces, 'hidden_value', p, student).save(file)
        out[name] = traces, str(file)
    return out

def forced(student, traces, policy):
    "The recorded thoughts, drawn again token by token under a policy."
    frame, plans = frame_for(student), []
    prompts = [prompt_ids(student, frame, t['question']) for t in traces]
    for t in traces:
        ids = tuple(student.encode(''.join(t['steps'])))
        assert len(ids)==t['tokens'][-1]
        plans.append(Sampling(max_tokens=len(ids), constraint=Choices((ids,), student.eos_ids), policy=policy))
    return [s for s, in student.sample(prompts, plans)]

def replayed(traces, **given):
    "The boundary at which the rule leaves each trace, and its tokens."
    rule, p = rules['hidden_value'].item, rules.settings('hidden_value', given)
    return [(end, t['tokens'][end]) for t,(end,_) in ((t, replay_one(t, rule, p)) for t in traces)]

@pytest.mark.parametrize('read', ['last', 'mean', 'both'])
@pytest.mark.parametrize('cost', [.0005, .006])
def test_it_stops_where_replays_do(student, fits, read, cost):
    traces, file = fits[read]
    policy = stop_policy(student, file, cost)
    for t,s,(end,tokens) in zip(traces, forced(student, traces, policy), replayed(traces, gain_file=file, cost=cost)):
        assert len(s.ids)==tokens, (t['id'], s.finish)
        if end < len(t['tokens'])-1: assert s.finish=='policy' and s.text==''.join(t['steps'][:end+1])

def test_alone_remembering_or_run_anew_it_stops_the_same(student, fits, monkeypatch):
    traces, file = fits['last']
    policy = stop_policy(student, file, .003)
    together = [s.ids for s in forced(student, traces[:6], policy)]
    assert [forced(student, [t], policy)[0].ids for t in traces[:6]]==together
    with student.remembering():
        assert [s.ids for s in forced(student, traces[:6], policy)]==together
        assert [s.ids for s in forced(student, traces[:6], policy)]==together # looked up, but for the states
    monkeypatch.setattr(student, 'capabilities', replace(student.capabilities, prefix_sharing=False))
    assert [s.ids for s in forced(student, traces[:6], policy)]==together

def test_texts_of_several_policies_and_of_none_share_a_batch(student, fits):
    frame, (traces, file), (_, other) = frame_for(student), fits['last'], fits['mean']
    prompts = [prompt_ids(student, frame, t['question']) for t in traces[:4] for _ in range(3)]
    policies = [stop_policy(student, file, .003), stop_policy(student, other, .003), None]
    plans = [thinking_plan(frame, policy, 200, temperature=0) for policy in policies]
    mixed = [s.ids for s, in student.sample(prompts, plans*4)]
    for k,plan in enumerate(plans): assert mixed[k::3]==[s.ids for s, in student.sample(prompts[::3], plan)]

def test_a_stream_says_what_a_sample_does(student, fits):
    traces, file = fits['last']
    frame = frame_for(student)
    plan = thinking_plan(frame, stop_policy(student, file, .003), 200, seed=3)
    for t in traces[:4]:
        prompt = prompt_ids(student, frame, t['question'])
        assert ''.join(student.stream(prompt, plan))==student.sample([prompt], plan)[0][0].text

@pytest.mark.parametrize('read', ['mean', 'both'])
def test_live_reads_what_the_fit_reads(student, fits, read):
    traces, file = fits[read]
    live = Scaler(student, 'hidden_value', EIGParameters(), seed=MEAN.seed, gain_file=file, cost=.003)
    thoughts = reason(student, [t['question'] for t in traces[:10]], live, live.forecaster, MEAN.max_tokens)
    r = replay_rule(traces[:10], 'hidden_value', gain_file=file, cost=.003)
    assert np.mean([t.cost.reasoning==x[1] for t,x in zip(thoughts, r)]) >= .9

def test_the_method_s_own_call_takes_the_file(student, fits):
    traces, file = fits['last']
    asked = [t['question'] for t in traces[:4]]
    thoughts, _ = expected_information_gain_reasoning(student, asked, seed=LAST.seed, gain_file=file, cost=.003)
    r = replay_rule(traces[:4], 'hidden_value', gain_file=file, cost=.003)
    assert sum(t.cost.reasoning==x[1] for t,x in zip(thoughts, r)) >= 3 and all(not t.cost.probe for t in thoughts)
    with pytest.raises(BadValue, match='gain_file=FILE'):
        expected_information_gain_reasoning(student, asked, cost=.1)
    with pytest.raises(DataError, match='decodelab fit-gain'):
        expected_information_gain_reasoning(student, asked, gain_file='nowhere.json')

def test_bad_inputs_are_one_clear_error(student, fits, tmp_path):
    traces, file = fits['last']
    policy, teacher = stop_policy(student, file, .003), load('reference:teacher', device='cpu')
    with pytest.raises(BadValue, match='fitted on reference:student'): stop_policy(teacher, file)
    with pytest.raises(BadValue, match='fitted on reference:student'):
        teacher.sample([(1, 2)], Sampling(policy=policy))
    with pytest.raises(ModelError, match='take hf'): Toy.random().sample([(1,)], Sampling(policy=policy))
    with pytest.raises(BadValue, match='policy'): Sampling(policy=3)
    with pytest.raises(BadValue, match='delimiters, steps'):
        stop_policy(student, file, frame=replace(frame_for(student), step='+'))
    with pytest.raises(BadParameters, match='at least 0'): stop_policy(student, file, -1.)
    for change,said in ((dict(layer='99'), 'layer'), (dict(layer='x'), 'layer: got'), (dict(pool='next'), 'pool next')):
        (tmp_path/'v.json').write_text(json.dumps(json.loads(open(file).read()) | change))
        from decodelab.eig.stopping.learnt import read_gain
        read_gain.cache_clear()
        with pytest.raises(BadValue, match=said): stop_policy(student, str(tmp_path/'v.json'))
    watch = policy.start(5)
    assert watch.asks([])
    with pytest.raises(BadValue, match='not finite'): policy.stops([watch], np.full((1, 1, 96), np.nan, np.float32))
    gain = tmp_path/'g.json'
    fit_kind(traces, 'probe_value', LAST, student).save(gain)
    with pytest.raises(BadValue, match='probes nothing'): stop_policy(student, str(gain))
    with pytest.raises(BadValue, match='Only hidden_value'):
        fit_kind(traces, 'probe_value', MEAN, student)

def test_steps_end_where_they_are_recorded_to_end(student, fits):
    frame = frame_for(student)
    for t in fits['last'][0]:
        ids, ends, since, found = student.encode(''.join(t['steps'])), StepEnds(student, frame), 0, [0]
        for n in range(1, len(ids)+1):
            if ends.ended(ids[:n], since): found.append(since := n)
        assert found==t['tokens'][:len(found)] and len(found) >= len(t['tokens'])-1
    words = StepEnds(student, replace(frame, step=('Wait', 'no')))
    text = student.encode('a Wa Wait no')
    assert [n for n in range(1, len(text)+1) if words.ended(text[:n], 0)]==[len('a Wa Wait'), len('a Wa Wait no')]
    counted = StepEnds(student, replace(frame, step=(), step_tokens=3))
    assert [n for n in range(1, 7) if counted.ended(text[:n], 3*((n-1)//3))]==[3, 6]

@pytest.mark.parametrize('read', ['last', 'mean', 'both'])
def test_a_decision_is_that_of_nu(student, fits, read):
    "On states that were recorded, and drawn far beside them, at many costs; also in half precision and of numpy."
    import torch
    from decodelab.eig.stopping.rules import Probe, State
    traces, file = fits[read]
    rng, asked, wrong = np.random.default_rng(0), 0, 0
    states = np.concatenate([t['hidden'] for t in traces])
    states = np.concatenate([states, states*rng.normal(1, 9, states.shape)]).astype(np.float32)[::5]
    for cost in (0., 1e-4, .002, .01, .05, 1.):
        policy = stop_policy(student, file, cost)
        for x in states:
            steps, tokens, prompt = int(rng.integers(1, 40)), int(rng.integers(1, 400)), int(rng.integers(5, 60))
            w = policy.start(prompt)
            w.steps, w.tokens, w.here, w.mean = steps, tokens, True, False
            s = State((*[0]*steps, tokens), ('',)*(steps+1), (Probe(steps, hidden=x),), prompt=prompt)
            nu = policy.value(s)
            got, = policy.stops([w], torch.tensor(x)[None,None])
            near = abs(nu-cost) < 1e-5*(1e-4+cost)
            asked, wrong = asked+1, wrong+(got!=(nu <= cost) and not near)
            assert policy.stops([w], x[None,None].astype(float))==[got]
    assert not wrong and asked > 300
    half = torch.tensor(states[:3]).bfloat16()
    watches = [policy.start(9) for _ in half]
    for w in watches: w.tokens, w.here, w.mean = 9, True, False
    assert policy.stops(watches, half[:,None])==policy.stops(watches, half.float()[:,None].numpy())

def test_infinite_states_never_stop_a_text(student, fits):
    policy = stop_policy(student, fits['last'][1], 1.)
    for bad in (np.inf, -np.inf, np.nan):
        x = np.zeros((1, 1, 96), np.float32)
        x[0,0,3] = bad
        watch = policy.start(5)
        watch.asks([])
        with pytest.raises(BadValue, match='not finite'): policy.stops([watch], x)
    huge = policy.start(5)
    huge.asks([])
    assert policy.stops([huge], np.full((1, 1, 96), 3e38, np.float32))==[True] # finite, though its square is not

BROKEN = {'[1,2]': 'no object', '': 'no whole JSON', '{"kind": "hidden_value"}': 'not a fitted gain: missing'}
CHANGED = [(dict(weights=[[float('nan')]*16]*120), 'weights holds what is no number'), (dict(costs='x'), 'costs holds'),
           (dict(share=[.5]*3), r'share is of shape \(3,\), not \(16,\)'), (dict(form='other'), 'form'),
           (dict(mean=[0.]*4), 'scale is of shape'), (dict(costs=[0.]*16), 'do not rise'), (dict(more=1), 'unexpected'),
           (dict(layer=-1), "layer is '-1'"), (dict(price='x'), "price is 'x'"), (dict(every='2'), "every is '2'"),
           (dict(price=float('nan')), 'price'), (dict(foresight=3), "foresight is '3'"),
           (dict(foresight='abc'), 'text that was packed'), (dict(losses=[[1]]), 'losses holds what is no number'),
           (dict(losses=[[[float('nan')]*3]]), 'losses holds'), (dict(share=[7.]*16), 'share holds what it may not'),
           (dict(scale=[-1.]*98), 'scale holds what it may not'), (dict(mean=['1']*98), 'mean holds what is no number'),
           (dict(tokens=[5., 1.], floor=[[0.]*16]*2), 'tokens do not rise'),
           (dict(costs=list(np.linspace(-1, 0, 16))), 'costs holds what it may not')]

def test_broken_files_are_told_before_anything_is_asked(student, fits, tmp_path):
    whole, file = json.loads(open(fits['last'][1]).read()), tmp_path/'v.json'
    texts = [*BROKEN.items(), *((json.dumps(whole | change), said) for change,said in CHANGED)]
    for k,(text,said) in enumerate([*texts, (json.dumps(whole)[:900], 'no whole JSON')]):
        file = tmp_path/f'{k}.json'
        file.write_text(text)
        with pytest.raises((DataError, BadValue), match=said) as e: stop_policy(student, str(file))
        assert '\n' not in str(e.value) and file.name in str(e.value), str(e.value)
    d = len(whole['mean'])
    narrow = {k: whole[k][:d-1] for k in ('mean', 'scale')} | dict(weights=whole['weights'][:-1])
    file.write_text(json.dumps(whole | narrow))
    (tmp_path/'narrow.json').write_text(json.dumps(whole | narrow))
    with pytest.raises(DataError, match='reads 95 numbers, where reference:student has 96'):
        stop_policy(student, str(tmp_path/'narrow.json'))

def test_what_cannot_be_is_told_before_a_model_is_loaded(tmp_path, monkeypatch):
    from click.testing import CliRunner
    from decodelab.eig.stopping import fitting
    from decodelab.lab.cli import main
    def loaded(*_): raise AssertionError('a model was loaded')
    monkeypatch.setattr(fitting, 'load', loaded)
    monkeypatch.setattr(fitting, 'load_questions', loaded)
    (tmp_path/'file').write_text('')
    (tmp_path/'folder').mkdir()
    def said(*args):
        r = CliRunner().invoke(main, ['fit-gain', *map(str, args)])
        return str(r.exception) + r.output
    value = ('--kind', 'hidden_value')
    denied = 'cannot be written'
    for out,what in (('folder', 'a folder'), ('no/where.json', denied), ('file/v.json', denied)):
        assert what in said(tmp_path/out, *value, '--overwrite'), out
    out = tmp_path/'v.json'
    for args,what in ((('--layer=1.5',), "layer: got '1.5'"), (('--layer=',), 'whole numbers'),
                      (('--risk', '0,.1', '--certify', '90'), 'ε of risk: got 0'),
                      (('--risk', '.05,1', '--certify', '90'), 'δ of risk: got 1'),
                      (('--risk', '.05,.1', '--certify', '10'), 'at least 45 questions'),
                      (('--risk', 'nan,.1', '--certify', '90'), 'ε of risk: got nan')):
        assert what in said(out, *value, *args), (args, said(out, *value, *args))
    assert 'Only hidden_value reads others' in said(out, '--kind', 'probes', '--layer=-2')
    assert not out.exists()

def bent_worth_of(share, seed=0, d=20):
    "A value made up: landmarks, random weights, and how much features have to say at each cost."
    rng, costs = np.random.default_rng(seed), np.append(0., np.geomspace(1e-4, .05, 15))
    x = rng.normal(size=(600, d))
    bends, terms = fit_foresight(x, np.tanh(x[:,:3]*x[:,3:4]), np.repeat(np.arange(60), 10), 2, 200)
    n = terms.shape[1]
    inputs = Inputs(np.arange(6.), np.zeros(n), np.ones(n))
    return bends, Worth('closed', costs, inputs, rng.normal(0, .02, (6+n, 16)), np.asarray(share), np.array([0., 50.]),
                        rng.normal(0, .01, (2, 16)), bends)

def test_a_glance_is_a_foresight_in_single_precision():
    bends, _ = bent_worth_of(np.ones(16))
    glance, rng = Glance(bends), np.random.default_rng(1)
    rows = rng.normal(size=(300, 20))*rng.choice([1, 9], (300, 1))
    some = np.stack([glance(r[:-2].astype(np.float32), r[-2:]) for r in rows])
    assert np.allclose(some, bends(rows), atol=1e-3) and some.dtype==np.float32

@pytest.mark.parametrize('share', [np.ones(16), np.full(16, .5), np.arange(16) > 4])
def test_bent_decisions_are_those_of_nu(share):
    "Whatever share the features have, as replays work it out and while decoding."
    _, worth = bent_worth_of(np.asarray(share, float))
    folded, rng = Folded(worth), np.random.default_rng(2)
    rows, spent = rng.normal(size=(200, 20)).astype(np.float32).astype(float), rng.integers(0, 200, 200)
    rows[:,-2], rows[:,-1] = np.log1p(3), 30.
    nu = worth(rows, spent.astype(float))
    assert np.allclose(folded(rows.copy(), spent), nu, atol=1e-12)
    for cost in (-1., 0., 1e-4, .002, .01, .05, 1.):
        decider, got = Decider(folded, cost), []
        for row,tokens in zip(rows, spent):
            w = decider.prepare(Watch(None, 30, 1, False, steps=3, tokens=int(tokens)))
            got.append(decider.stops(row[:-2].astype(np.float32), w))
        sure = np.abs(nu-cost) > 1e-3*(1e-4+max(cost, 0))
        assert np.array_equal(np.array(got)[sure], (nu <= cost)[sure]) and sure.mean() > .5

def test_a_fit_is_of_a_type_of_numbers_too(fits):
    half = load('reference:student', device='cpu', dtype='bfloat16')
    with pytest.raises(BadValue, match='or their dtype, were others'): stop_policy(half, fits['last'][1])

def test_thoughts_that_are_the_same_count_once(student, fits):
    traces, _ = fits['last']
    for kind in ('hidden_value', 'probe_value', 'hidden', 'probes'):
        with pytest.raises(BadValue, match='24, of which many are the same'):
            fit_kind(traces[:1]*24, kind, LAST, student)
    with pytest.raises(BadValue, match='got 1; allowed: at least 20'):
        fit_kind(traces[:1], 'hidden_value', LAST, student)

def test_where_nothing_is_thought_there_is_nothing_to_fit(student, fits):
    traces, _ = fits['last']
    at_once = [{k: v[:1] if isinstance(v, (list, np.ndarray)) else v for k,v in t.items()} for t in traces]
    with pytest.raises(BadValue, match='answered before a first step'):
        fit_kind(at_once, 'hidden_value', LAST, student)
    some = fit_kind([*at_once[:12], *traces[12:]], 'hidden_value', LAST, student)
    assert some.questions==24 and some.rows==sum(len(t['tokens'])-1 for t in traces[12:])

@pytest.mark.parametrize('how', [dict(max_tokens=1), dict(every=1000)])
def test_steps_of_a_token_and_looks_at_the_end_alone(student, how, tmp_path):
    p = LAST.model_copy(update=how)
    traces = observe(student, load_questions('reference', p.n, p.seed), p, hidden=True)
    fit_kind(traces, 'hidden_value', p, student).save(tmp_path/'v.json')
    policy, frame = stop_policy(student, str(tmp_path/'v.json'), 1.), frame_for(student)
    prompts = [prompt_ids(student, frame, t['question']) for t in traces[:2]]
    assert all(not s.ids for s, in student.sample(prompts, thinking_plan(frame, policy, 20)))

def test_rows_that_end_at_different_times_stop_as_alone(student, fits):
    traces, file = fits['last']
    frame, (some, now) = frame_for(student), (stop_policy(student, file, cost) for cost in (.003, 1.))
    prompts = [prompt_ids(student, frame, t['question']) for t in traces[:5]]
    plans = [thinking_plan(frame, policy, most, seed=i)
             for i,(most,policy) in enumerate([(1, some), (7, None), (200, some), (200, now), (33, some)])]
    together = [s.ids for s, in student.sample(prompts, plans)]
    assert together==[student.sample([p], plan)[0][0].ids for p,plan in zip(prompts, plans)]
    assert not together[3] and len(together[1])==7 and ''.join(student.stream(prompts[3], plans[3]))==''

def test_a_schema_and_a_policy_are_told_apart(student, fits):
    from decodelab.schema import constrain, reasoned
    policy, schema = stop_policy(student, fits['last'][1], .003), dict(type='array', items=dict(type='integer'))
    for constraint in (constrain(student, schema), reasoned(student, schema)):
        with pytest.raises(BadValue, match='policy: got .*holds the text'):
            student.sample([(1, 2)], Sampling(constraint=constraint, policy=policy))

def test_a_pair_has_no_policy(student, fits):
    from decodelab.optimal.model import OptimalSamplingModel
    policy = stop_policy(student, fits['last'][1], .003)
    with pytest.raises(ModelError, match='take hf'):
        OptimalSamplingModel('reference:student', 'reference:teacher').sample([(1, 2)], Sampling(policy=policy))
