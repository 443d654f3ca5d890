"Runs of the same data are compared item by item; runs of other data are refused, with the reason."
from datetime import datetime
import numpy as np, pytest
from clock import seconds
from scipy import stats
from statsmodels.stats.multitest import multipletests
from decodelab.core.errors import DecodelabError, RunError
from decodelab.core.files import Journal
from decodelab.core.runs import Run
from decodelab.lab.compare import bounds_of_many, compare_runs, flips_of_many, holm, paired_many
from decodelab.lab.compare_page import comparison_page, comparison_text, write_comparison
from decodelab.lab.runs import read_run, read_runs, runs_df, samples_df

EVIL = '</script><script>document.title="broken"</script><img src=x onerror=alert(1)>\u2028 ünï 你好 "\''

def made(outputs, when, params, records, metrics=None, name='sums', done=True, **extra):
    "A run with these records."
    run = Run.create(name, params, outputs=outputs, when=datetime(2026, 1, 1, 12, when), given=params, **extra)
    for k in range(0, len(records), 500): Journal(run.folder/'samples.jsonl').append(f'live/{k}', records[k:k+500])
    run.write_metrics(metrics or {})
    if done: run.finish()
    return run

def rows(right, tokens=None, stage='live', asks='What is {}+1?'):
    return [dict(stage=stage, id=f'q{i}', question=asks.format(i), truth=str(i+1), text=f'{i+bool(x)}', correct=bool(x),
                 cost=dict(total=20 if tokens is None else int(tokens[i]))) for i,x in enumerate(right)]

def test_each_run_shows_its_own_parameters(tmp_path):
    "Two runs that differ in one parameter do not both show the last one's."
    base = np.arange(40) % 2 == 0
    runs = [made(tmp_path, k, dict(rate=rate, n=40), rows(base)) for k,rate in enumerate((.1, .5, .9))]
    found = compare_runs(runs)
    assert found.parameters=={'rate': [.1, .5, .9]}
    line = next(line for line in comparison_text(found).splitlines() if line.startswith('  rate'))
    assert line.split()==['rate', '0.1', '0.5', '0.9']
    assert sorted(runs_df(tmp_path)['params.rate'])==[.1, .5, .9]
    assert [r.params['rate'] for r in read_runs(tmp_path)]==[.9, .5, .1]

def test_paired_tests_are_those_of_independent_libraries(tmp_path):
    rng = np.random.default_rng(0)
    a, b = rng.random(300) < .5, rng.random(300) < .65
    ta, tb = rng.poisson(40, 300), rng.poisson(42, 300)
    found = compare_runs([made(tmp_path, 0, {}, rows(a, ta)), made(tmp_path, 1, {}, rows(b, tb))])
    m = {m.name: m for m in found.pairs[0].metrics}
    up, down = int((b & ~a).sum()), int((a & ~b).sum())
    assert np.isclose(m['correct'].test.p, stats.binomtest(up, up+down).pvalue)
    assert len(m['correct'].flips)==up+down and m['correct'].test.difference==(up-down)/300
    assert abs(m['cost.total'].test.p-stats.ttest_rel(tb, ta).pvalue) < .02
    raw = [m.test.p for m in found.pairs[0].metrics]
    np.testing.assert_allclose([m.p for m in found.pairs[0].metrics], multipletests(raw, method='holm')[1])
    half = stats.t.ppf(1-.025/2, 299)*(tb-ta).std(ddof=1)/np.sqrt(300) # two tests: each at 97.5 %
    assert abs((m['cost.total'].test.high-m['cost.total'].test.low)/2-half) < .08*half
    w = stats.binomtest(int(a.sum()), 300).proportion_ci(.95, method='wilson')
    assert (m['correct'].a.low, m['correct'].a.high)==(w.low, w.high)

@pytest.mark.parametrize('n', [999, 1001, 4000])
@pytest.mark.parametrize('kind', ['binary', 'counts', 'reals'])
def test_many_items_are_tested_as_few_are(n, kind):
    "Across the border where items are counted instead of drawn: against the t interval and the t test."
    rng = np.random.default_rng(n)
    x, y = dict(binary=(rng.random((2, n)) < [[.6], [.57]])*1., counts=rng.poisson([[40], [39.6]], (2, n))*1.,
                reals=rng.normal([[0], [.06]], 1, (2, n)))[kind]
    got, d = paired_many(x, y), x-y
    half = stats.t.ppf(.975, n-1)*d.std(ddof=1)/np.sqrt(n)
    p = stats.ttest_rel(x, y).pvalue
    want = [d.mean()-half, d.mean()+half]
    if got.p > .05: want = [min(want[0], 0), max(want[1], 0)]
    np.testing.assert_allclose([got.low, got.high], want, atol=.08*half)
    assert abs(got.p-p) < .035 and got.n==n and got.flips==(d!=0).sum()

def test_a_false_difference_is_claimed_no_more_often_than_is_said():
    "Of comparisons of 12 metrics without any difference, at most one in twenty claims one."
    rng = np.random.default_rng(1)
    wrong = sum(min(holm([paired_many(*(rng.random((2, 60)) < .5)*1.).p for _ in range(12)])) < .05 for _ in range(150))
    assert stats.binomtest(wrong, 150, .05, 'greater').pvalue > .01

def test_constant_and_empty_differences_of_many():
    same = np.ones(5000)
    assert paired_many(same, same).p==1 and flips_of_many(np.zeros(5000))==1
    shift = paired_many(same+1, same)
    assert shift.difference==1 and shift.low <= 1 <= shift.high and shift.p < 1e-3
    one = np.zeros(5000)
    one[0] = 1
    got = paired_many(one, one*0)
    assert got.p==1 and got.low <= 0 <= got.high and bounds_of_many(one, .95)[0]==0

def refusal(*runs, **options):
    with pytest.raises(DecodelabError) as e: compare_runs(runs, **options)
    return str(e.value)

def test_different_data_are_refused_with_the_reason(tmp_path):
    base = np.arange(40) % 2 == 0
    run = made(tmp_path, 0, dict(seed=0), rows(base))
    other = made(tmp_path, 1, dict(seed=1), rows(base, asks='Say {} and 2'))
    assert "asks 'What is 0+1?' · '1' against 'Say 0 and 2'" in refusal(run, other)
    half = made(tmp_path, 2, {}, rows(base[:20]), done=False)
    said = refusal(run, half)
    assert '20 in common, 20 only in' in said and 'is interrupted: decodelab resume' in said
    assert 'no samples' in refusal(run, made(tmp_path, 3, {}, []))
    assert 'no stage in common' in refusal(run, made(tmp_path, 4, {}, rows(base, stage='else')))
    assert 'does not differ from itself' in refusal(run, run)
    truth = [dict(r, truth='7') for r in rows(base)]
    assert 'ask something else' in refusal(run, made(tmp_path, 5, {}, truth))
    broken = made(tmp_path, 6, {}, rows(base))
    (broken.folder/'run.json').write_text('{"status"')
    with pytest.raises(RunError, match='run.json'): compare_runs([read_run(run.folder), read_run(broken.folder)])
    found = compare_runs([run, half], common=True)
    assert found.items==20 and found.pairs[0].left_out==20

def test_of_items_in_common_the_headings_say_what_is_over_all_items(tmp_path):
    "With --common samples are those of both, the numbers of metrics.json are not; each heading says which."
    base = np.arange(40) % 2 == 0
    run = made(tmp_path, 0, dict(rate=0), rows(base), dict(accuracy=.5, n=40))
    half = made(tmp_path, 1, dict(rate=1), rows(~base[:20]), dict(accuracy=.4, n=20))
    found = compare_runs([run, half], common=True)
    text, page = comparison_text(found), comparison_page(found)
    assert 'numbers of metrics.json that differ, over all items of each run' in text
    assert 'Numbers of metrics.json that differ, over all items of each run' in page
    for shown in (text, page): assert '20 items in every run; 20 samples left out, which not both have' in shown
    whole = compare_runs([run, made(tmp_path, 2, dict(rate=2), rows(~base), dict(accuracy=.4, n=40))])
    for shown in (comparison_text(whole), comparison_page(whole)):
        assert 'umbers of metrics.json that differ' in shown
        assert 'over all items' not in shown and 'left out' not in shown

def test_the_same_data_in_another_order_and_stages_of_another_model(tmp_path):
    base = np.arange(40) % 2 == 0
    a = made(tmp_path, 0, dict(backend='hf:a'), rows(base, stage='hf:a/mmlu'))
    b = made(tmp_path, 1, dict(backend='hf:b'), rows(~base, stage='hf:b/mmlu')[::-1])
    found = compare_runs([a, b])
    (m,) = found.pairs[0].metrics
    assert m.stage=='{backend}/mmlu' and m.test.n==40 and len(m.flips)==40
    assert found.data==compare_runs([b, a]).data

def test_samples_of_one_item_and_missing_numbers(tmp_path):
    a = [dict(stage='s', id='q', question='?', right=k/3, kind='x') for k in range(4)]
    b = [dict(stage='s', id='q', question='?', right=None if k==0 else 1., kind='x') for k in range(4)]
    found = compare_runs([made(tmp_path, 0, {}, a), made(tmp_path, 1, {}, b)])
    assert found.pairs[0].metrics[0].test.n==3
    frame = samples_df(read_runs(tmp_path))
    assert len(frame)==8 and list(frame.index.names)==['run', 'stage', 'id', 'number']

def test_hostile_text_stays_text(tmp_path):
    base = np.arange(40) % 2 == 0
    evil = [dict(r, question=EVIL, text=EVIL) for r in rows(base)]
    right = [dict(r, correct=True) for r in evil]
    runs = [made(tmp_path, 0, {"<b>": EVIL}, evil), made(tmp_path, 1, {"<b>": 1}, right)]
    page = comparison_page(compare_runs(runs))
    assert '<script' not in page and '<img' not in page and '&lt;script' in page and "default-src 'none'" in page
    path = write_comparison(compare_runs(runs), tmp_path/'c.html')
    assert write_comparison(compare_runs(runs), path)==path # its own is renewed
    path.write_text('notes')
    with pytest.raises(RunError, match='did not write it'): write_comparison(compare_runs(runs), path)

def test_ten_thousand_samples_take_two_seconds(tmp_path):
    rng = np.random.default_rng(0)
    runs = [made(tmp_path, k, dict(rate=k), [dict(r, margin=float(x), text='x'*400) for r,x in
                 zip(rows(rng.random(10_000) < .5, rng.poisson(60, 10_000)), rng.random(10_000))]) for k in range(2)]
    assert seconds(lambda: comparison_text(compare_runs(runs)), enough=2) < 2
    assert '10,000' in comparison_text(compare_runs(runs))

def test_the_command(command, outputs, tmp_path):
    base = np.arange(60) % 3 == 0
    runs = [made(outputs, k, dict(rate=k), rows(base if k else ~base), dict(accuracy=.5+k/10)) for k in range(2)]
    p = command('decodelab', 'compare', *(r.folder.name for r in runs), '--html', tmp_path/'c.html')
    assert 'parameters that differ' in p.stdout and '60 items in every run' in p.stdout and (tmp_path/'c.html').exists()
    other = made(outputs, 5, {}, rows(base, asks='{}?'))
    p = command('decodelab', 'compare', runs[0].folder.name, other.folder.name, check=False)
    assert p.returncode==2 and len(p.stderr.splitlines())==1 and 'not of the same data' in p.stderr
    p = command('decodelab', 'compare', runs[0].folder.name, check=False)
    assert p.returncode==2 and 'at least two' in p.stderr
    p = command('decodelab', 'compare', 'zzz', 'last', check=False)
    assert p.returncode==2 and 'none of that name' in p.stderr

def test_rounding_is_no_difference(tmp_path):
    "Another processor's last digits are not a metric that differs; a digit that float32 holds is."
    rng = np.random.default_rng(0)
    x = rng.normal(size=200)
    x[:100] = 0.
    def of(values): return [dict(r, weight=float(v)) for r,v in zip(rows(np.ones(200)), values)]
    a = made(tmp_path, 0, {}, of(x))
    noise = made(tmp_path, 1, {}, of(x*(1+1e-8)+1e-9))
    assert compare_runs([a, noise]).tests==0
    assert compare_runs([a, made(tmp_path, 2, {}, of(x*1.001))]).tests==1
