"The experiment on the claim: curves against the engine of replays, bounds, the shelf, what is missed is said."
import numpy as np, pytest
from decodelab.core.errors import BadValue, DataError, DecodelabError
from decodelab.eig.stopping.valuing import fit_value
from decodelab.eig.study import claim, claim_report
from decodelab.eig.study.claim import (BUDGET, CEILING, HIDDEN, HINDSIGHT, PROBES, StoppingClaimParameters, board_of,
                                       cell_rows, curves_on, policies_of, settings_of)
from decodelab.eig.study.plane import mixture
from decodelab.eig.study.pools import Pool, Shelf
from decodelab.eig.stopping.replay import replay_at
from decodelab.lab.experiments import EXPERIMENTS, resolve, start

@pytest.fixture(scope='module')
def folder(tmp_path_factory): return tmp_path_factory.mktemp('shelf')

@pytest.fixture(scope='module')
def p(folder):
    few = dict(n=24, fit_n=24, unanswerable='0,.5', targets='.5', peers=False)
    return StoppingClaimParameters(**few, recordings=str(folder))

@pytest.fixture(scope='module')
def setting(p): return settings_of(p)[0]

@pytest.fixture(scope='module')
def policies(setting): return policies_of(setting.fitted.population(.5, 24), setting.backend)

@pytest.mark.parametrize('kind,rule', [('hidden_value', HIDDEN), ('probe_value', PROBES)])
def test_curves_are_what_the_engine_replays(setting, policies, kind, rule, tmp_path):
    "Thresholds all at once against one state after the other, through a fit's own file."
    traces = setting.tried[0].traces
    fit_value(setting.fitted.population(.5, 24), kind, setting.backend).value.save(tmp_path/'v.json')
    curve = policies[rule].curve(traces, board_of(traces))
    places = np.linspace(2, len(curve.thresholds)-2, 4).astype(int)
    costs = [max(0., float(curve.thresholds[k]))*(1+1e-6) for k in places] # a file keeps eight digits
    engine = replay_at(traces, kind, [dict(gain_file=str(tmp_path/'v.json'), cost=cost) for cost in costs],
                       cue_tokens=len(setting.backend.encode(setting.recorder.frame.cue)))
    for k,cost,found in zip(places, costs, engine):
        if curve.thresholds[k] <= 0: continue # the rule's ν is never below zero
        assert np.mean((curve.outcomes[k]==found).all(1)) >= .95, (k, cost)

def test_hindsight_bounds_every_policy(setting, policies):
    curves = curves_on(setting.tried[0], policies)
    bound = curves[HINDSIGHT]
    for name,c in curves.items():
        for accuracy,tokens in zip(c.accuracy, c.tokens()):
            first, weight, met = mixture(bound.accuracy, bound.tokens(), accuracy)
            least = (1-weight)*bound.tokens()[first] + weight*bound.tokens()[min(first+1, len(bound.tokens())-1)]
            assert met and least <= tokens+1e-9, (name, accuracy)

def test_rows_say_what_each_rule_spends(setting, policies, p):
    rows = cell_rows(setting, {0.: policies, .5: policies}, p)
    assert {r['unanswerable'] for r in rows}=={0., .5} and {r['rule'] for r in rows}=={BUDGET, HINDSIGHT, *policies}
    for r in rows:
        assert r['difference']==pytest.approx(r['tokens']-r['budget'], abs=1e-9) and r['low'] <= r['high']
    summary = claim_report.summed(rows)
    assert claim_report.claim_table(summary).shape[0]==2 and 'Missed' in claim_report.verdict(
        [r | dict(below=0) if r['rule']==HIDDEN else r for r in summary])
    assert all(r['over_ceiling']==0 for r in summary if r['rule']==CEILING)

def test_populations_take_the_first_of_both_kinds():
    pool = Pool([dict(i=i) for i in range(10)], 6)
    assert [t['i'] for t in pool.population(.5, 8)]==[0, 1, 2, 3, 6, 7, 8, 9]
    assert [t['i'] for t in pool.population(0, 6)]==list(range(6))
    for share,n in ((.5, 10), (0, 7)):
        with pytest.raises(BadValue, match='pool of 6 questions'): pool.places(share, n)

def test_a_recording_is_taken_from_the_shelf_and_a_broken_one_is_named(p, folder, setting):
    files = sorted(folder.glob('traces-*.npz'))
    again, = settings_of(p)
    assert again.backend.usage.run < setting.backend.usage.run/20 and sorted(folder.glob('traces-*.npz'))==files
    whole = files[0].read_bytes()
    files[0].write_bytes(whole[:len(whole)//2])
    with pytest.raises(DataError, match='remove it'): settings_of(p)
    files[0].write_bytes(whole)

def test_a_shelf_makes_once_and_anew_when_told(tmp_path):
    made, calls = dict(x=np.arange(3)), []
    make = lambda: calls.append(1) or made
    for fresh in (False, False, True): Shelf(tmp_path/'s', fresh).arrays('a', ('b',), make)
    assert len(calls)==2 and Shelf(tmp_path/'s').path('a', ('b',))!=Shelf(tmp_path/'s').path('a', ('c',))

def test_what_cannot_be_trusted_is_said():
    row = dict(model='m', data='d', unanswerable=.2, error=.051)
    assert 'cannot be trusted' in claim_report.calibration_said([row, row | dict(error=.01)])
    assert 'cannot' not in claim_report.calibration_said([row | dict(error=.05)])

@pytest.mark.parametrize('given,said', [
    (dict(unanswerable='2'), 'unanswerable'), (dict(unanswerable='a'), 'unanswerable'), (dict(targets=','), 'targets'),
    (dict(targets='-.1'), 'targets'), (dict(backends='reference:nobody'), 'nobody'),
    (dict(data='reference:wrong'), 'wrong'), (dict(data='nowhere.jsonl'), 'nowhere'), (dict(n=3), 'n'),
    (dict(nn=3), 'nn'), (dict(preset='studnt'), 'student')])
def test_bad_parameters_are_one_error_before_anything_runs(outputs, given, said):
    with pytest.raises(DecodelabError) as e: start(EXPERIMENTS['stopping_claim'], given, '')
    assert said in str(e.value) and not list(outputs.glob('*'))

@pytest.mark.parametrize('name', ['student', 'teacher', 'both'])
def test_presets_are_read(root, name):
    p = resolve(EXPERIMENTS['stopping_claim'], dict(preset=name), root)
    assert p.seeds==5 and claim.shares_of(p, 'unanswerable')==[0, .2, .4] and len(claim.names_of(p, 'data'))==2
    assert (len(claim.names_of(p, 'backends'))==2)==(name=='both')

def test_a_layer_that_is_not_there_is_told_before_anything_is_thought(p, monkeypatch):
    monkeypatch.setattr('decodelab.eig.study.pools.reason', None)
    wrong = p.model_copy(update=dict(layer=-9))
    with pytest.raises(BadValue, match='layer: got -9; allowed: -4 to 3'): settings_of(wrong)

def test_learnt_rules_of_others_are_curves_of_the_engine(setting, p, tmp_path):
    "Curves at once against one state after the other, through the fits' own files; those that need labels say so."
    from decodelab.eig.study import learnt_peers as peers
    from decodelab.eig.study.claim import LEARNT_PEERS
    from decodelab.eig.study.compare import LEARNT, SWEEPS
    traces, frame = setting.tried[0].traces, setting.recorder.frame
    cue = len(setting.backend.encode(frame.cue))
    made = peers.learnt_peers(setting.fitted.population(.5, 24), setting.backend, frame)
    curves = made.curves(peers.looked_at(traces, cue_tokens=cue))
    assert tuple(curves)==LEARNT_PEERS and [('labels' in name) for name in curves]==[False, False, True, True]
    sweeps = ('TERMINATOR', 'thought calibration', 'LearnStop', 'Conformal Thinking')
    for name,s in zip(LEARNT_PEERS, (SWEEPS[n] for n in sweeps)):
        kind, c = LEARNT[s.rule], curves[name]
        getattr(made, kind).save(tmp_path/f'{kind}.json')
        places = [k for k in range(1, len(c.thresholds)) if 0 < -c.thresholds[k] < 1][::7]
        given = [s.given(-c.thresholds[k]-1e-9) | dict(gain_file=str(tmp_path/f'{kind}.json')) for k in places]
        assert (replay_at(traces, s.rule, given, cue_tokens=cue)==c.outcomes[places]).all(), name

def test_learnt_rules_of_others_stand_beside_the_claim(setting, policies, p):
    from decodelab.eig.study.learnt_peers import learnt_table, peer_rows
    rows = cell_rows(setting, {0.: policies, .5: policies}, p)
    others = list(peer_rows(setting, p))
    assert {r['budget'] for r in others} <= {r['budget'] for r in rows} and list(peer_rows(setting, p))==others
    summary = claim_report.summed(rows+others)
    table = learnt_table(summary)
    assert len(table)==2*5 and set(table.rule)=={HIDDEN, *{r['rule'] for r in others}}
    assert claim_report.claim_table(summary)['best published rule'].notna().all()
