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
from decodelab.eig.stopping.policy import StepEnds, stop_policy, thinking_plan
from decodelab.eig.stopping.reasoning import reason
from decodelab.eig.stopping.replay import replay_one, replay_rule
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
