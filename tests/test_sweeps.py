"Sweeps on one machine: points, equal bytes of forked and fresh kernels, kills, two at once, full disks, odd notebooks."
import json, os, re, shutil, signal, subprocess, sys, time
import pytest
from clock import seconds
from decodelab.core import BadValue, read
from decodelab.core.parameters import BadParameters
from decodelab.lab.points import SweepSpec, expand, read_sweep
from decodelab.lab.catalogue import catalogue, table_of
from conftest import ROOT
from sweep_parts import WORK, environment, ran, runs, started, sweep_of

def until(ready, seconds=100):
    end = time.monotonic()+seconds
    while not (found := ready()):
        assert time.monotonic() < end, 'waited too long'
        time.sleep(.05)
    return found

# --- what a file may say ---
def points(over=None, **spec): return expand(read(SweepSpec, dict(notebook='eig_eval') | spec), over)

def test_points():
    assert points()==[{}] and points(params=dict(n=3))==[dict(n=3)]
    assert points(grid=dict(a=[1, 2], b=[3, 4]))==[dict(a=a, b=b) for a in (1, 2) for b in (3, 4)]
    assert points(zip=dict(a=[1, 2], b=[3, 4]))==[dict(a=1, b=3), dict(a=2, b=4)]
    assert points(list=[dict(a=1), dict(b=2)], seeds=[5, 3])==[dict(a=1, seed=5), dict(a=1, seed=3), dict(b=2, seed=5),
                                                              dict(b=2, seed=3)]
    assert points(presets='fast', seeds=2)==[dict(preset='fast', seed=0), dict(preset='fast', seed=1)]
    assert [p['preset'] for p in points(presets=['fast', 'balanced'])]==['fast', 'balanced']
    assert points(grid=dict(step=[None, 'line'], rules=[['eig'], ['full', 'eig']]))[1]==dict(step=None,
        rules=['full', 'eig'])

def test_what_is_typed_wins():
    assert points(dict(a=9), grid=dict(a=[1, 2], b=[3, 4]))==[dict(a=9, b=3), dict(a=9, b=4)]
    assert points(dict(seed=9), seeds=3, params=dict(n=1))==[dict(n=1, seed=9)]
    assert points(dict(n=9), params=dict(n=1))==[dict(n=9)]
    assert points(dict(a=9), zip=dict(a=[1, 2], b=[3, 4]))==[dict(a=9, b=3), dict(a=9, b=4)]

@pytest.mark.parametrize('spec,words', [
    (dict(grid=dict(a=[])), 'at least one value'), (dict(grid=dict(a=[1, 1])), 'each value once'),
    (dict(zip=dict(a=[1], b=[1, 2])), 'as many values'), (dict(grid=dict(a=[1]), params=dict(a=2)),
        'not in params too'),
    (dict(grid=dict(seed=[1]), seeds=2), 'too'), (dict(seeds=0), '1 or more'), (dict(list=[dict(a=1)],
        grid=dict(a=[2])), 'too'),
    (dict(grd=dict(a=[1])), "Did you mean 'grid'"), (dict(grid=dict(a=1)), 'grid.a'), (dict(time_limit=-1),
        'more than 0'),
    (dict(seeds='many'), 'seeds'), (dict(seeds=True), 'seeds: got True')])
def test_wrong_files(spec, words, tmp_path):
    (tmp_path/'s.yaml').write_text(json.dumps(dict(notebook='eig_eval') | spec))
    with pytest.raises((BadValue, BadParameters), match=re.escape(words)): expand(read_sweep(tmp_path/'s.yaml'))

def test_wrong_points_are_told_before_anything_is_made(tmp_path):
    file = sweep_of(tmp_path, grid=dict(lambda_cost=[.1, 20_000]))
    said = ran(tmp_path/'runs', 'sweep', file, code=2)
    assert 'point lambda_cost=20000: lambda_cost: got 20000' in said and 'at most 10' in said
    assert not (tmp_path/'runs').exists()
    assert "Did you mean 'lambda'" in ran(tmp_path/'runs', 'sweep', 'lamda', code=2)
    assert 'no such file' in ran(tmp_path/'runs', 'sweep', tmp_path/'none.yaml', code=2)

# --- a whole one ---
@pytest.fixture(scope='module')
def both(tmp_path_factory):
    "The same sweep, its kernels forked and fresh."
    folder = tmp_path_factory.mktemp('both')
    work = '''import numpy, random
from decodelab.backends import Sampling, load
model = load(p.backend)
drawn = model.sample([model.encode('1+1=')], Sampling(max_tokens=16, temperature=2., seed=p.seed))[0][0]
from decodelab.core import chunks
for c in chunks(run, 'work', list(range(4)), lambda part: [dict(id=i, x=i*p.lambda_cost) for i in part], size=2): pass
run.write_metrics(dict(accuracy=float(p.seed), ids=[int(i) for i in drawn.ids], logprobs=drawn.logprobs.tolist()))
(run.folder/'chance').write_text(f'{numpy.random.random()} {random.random()}')
import matplotlib.pyplot as plt
figure = plt.figure()
plt.plot([1, 2])
figure'''
    file, said = sweep_of(folder, work, seeds=2), {}
    said['forked'] = ran(folder/'forked', 'sweep', file)
    said['fresh'] = ran(folder/'fresh', 'sweep', file, '--isolate')
    return folder, file, said

def test_forked_and_fresh_kernels_write_the_same_bytes(both):
    folder, _, said = both
    forked, fresh = runs(folder/'forked'), runs(folder/'fresh')
    assert [r[0]['kernel'] for r in (*forked.values(), *fresh.values())]==['forked']*2 + ['fresh']*2
    for seed in (0, 1):
        a, b = forked[seed][0], fresh[seed][0]
        assert a['key']==b['key'] and a['status']=='done'
        for name in ('metrics.json', 'samples.jsonl', 'params.yaml'):
            assert (a['folder']/name).read_bytes()==(b['folder']/name).read_bytes(), name
        made = [json.loads((r['folder']/'report.ipynb').read_text()) for r in (a, b)]
        shown = [[o.get('data', {}).get('image/png') for c in nb['cells'] for o in c['outputs']] for nb in made]
        assert shown[0]==shown[1] and any(shown[0]) # figures are shown alike
        assert (a['folder']/'log.txt').read_text().count('\n')==(b['folder']/'log.txt').read_text().count('\n')
    chance = {r[0]['folder']/'chance' for r in (*forked.values(), *fresh.values())}
    assert len({f.read_text() for f in chance})==4 and len({f.read_text().split()[0] for f in chance})==4
    assert 'Warning' not in said['forked']

def test_what_is_done_is_skipped_wherever_it_comes_from(both):
    folder, file, said = both
    assert '2 points, 2 done' in said['forked']
    before = runs(folder/'forked')
    assert '2 points, 2 done' in ran(folder/'forked', 'sweep', file)
    wider = folder/'wider.yaml'
    wider.write_text(json.dumps(json.loads(file.read_text()) | dict(seeds=3)))
    said = ran(folder/'forked', 'sweep', wider, '--dry-run')
    assert '3 points, 2 done already, 1 to run' in said and 'judged by 2 finished runs' in said
    assert runs(folder/'forked')==before

def test_a_changed_notebook_is_another_sweep(both):
    folder, file, _ = both
    nb = folder/'tiny.ipynb'
    text = nb.read_text()
    try:
        nb.write_text(text.replace('plt.plot([1, 2])', 'plt.plot([1, 3])'))
        assert '2 points, 0 done already' in ran(folder/'forked', 'sweep', file, '--dry-run')
    finally: nb.write_text(text)

# --- what goes wrong ---
ODD = '''import os, time
if p.seed==1: raise ValueError('odd\\nsecond line')
go_on = run.folder.parent.parent/'go_on' # until it is there, this takes for ever
while p.seed==2 and not go_on.exists(): time.sleep(.1)
''' + WORK

def test_a_notebook_that_raises_and_one_that_never_ends(tmp_path):
    outputs, file = tmp_path/'runs', sweep_of(tmp_path, ODD, seeds=4, time_limit=12)
    said = ran(outputs, 'sweep', file, code=1)
    for words in ('2 done', 'failed: seed=1  ValueError: odd\n', 'time-out: seed=2  TimeOut: not done after 12 s'):
        assert words in said
    noise = ('Traceback', 'Task ', 'coroutine', 'KeyboardInterrupt') # of what is broken off
    assert not [word for word in noise if word in said]
    found = {seed: r[0] for seed,r in runs(outputs).items()}
    assert [found[i]['status'] for i in range(4)]==['done', 'failed', 'time-out', 'done']
    assert 'second line' in (found[1]['folder']/'log.txt').read_text() and (found[1]['folder']/'report.html').exists()
    log = (found[2]['folder']/'log.txt').read_text()
    assert 'after 12 s, in the cell that begins: import os, time' in said
    assert (found[2]['folder']/'report.html').exists()
    assert 'TimeOut: not done after 12 s' in log and 'while' in log and 'time.sleep' in log # where it was
    assert log.count('Traceback')==1 and 'zmq' not in log and 'Task ' not in log # and nothing else
    listed = ran(outputs, 'ls')
    assert ' time-out ' in listed and 'ValueError: odd' in listed and '1 time-out, 1 failed' in listed
    assert '2 done, 1 time-out, 1 failed' in ran(outputs, 'sweep', file, code=1) # they are not tried again
    name = re.search(r'decodelab resume (\S+)', said)[1]
    assert 'seed=1' in ran(outputs, 'show', name)
    (outputs/'go_on').touch()
    assert '2/2' in ran(outputs, 'resume', name, code=1) # these are
    assert [runs(outputs)[i][0]['status'] for i in range(4)]==['done', 'failed', 'done', 'done']
    assert [runs(outputs)[i][0]['attempts'] for i in range(4)]==[1, 2, 2, 1]

WAITS = '''import time
from decodelab.core import chunks
go_on = run.folder.parent.parent/'go_on'
def work(part):
    while part[0]==1 and not go_on.exists(): time.sleep(.02)
    return [dict(id=i) for i in part]
for c in chunks(run, 'work', list(range(4)), work, size=1): pass
run.write_metrics(dict(accuracy=1.))'''

def begun(outputs, n=1): return until(lambda: len(list(outputs.glob('eig_eval/*/samples.jsonl')))>=n)

def whole(outputs, seeds, attempts):
    found = runs(outputs)
    assert {s: [r['status'] for r in found[s]] for s in found}=={s: ['done'] for s in range(seeds)}
    assert [found[s][0]['attempts'] for s in range(seeds)]==attempts
    for r in found.values():
        lines = (r[0]['folder']/'samples.jsonl').read_text().splitlines()
        assert [json.loads(x)['id'] for x in lines]==[0, 1, 2, 3]

def kernels(folder):
    "Processes that name a folder in their environment."
    out = []
    for p in os.scandir('/proc'):
        if not p.name.isdigit(): continue
        try: text = open(f'/proc/{p.name}/environ', 'rb').read()
        except OSError: continue
        if os.fsencode(folder) in text: out.append(int(p.name))
    return out

def killed(tmp, seeds):
    "Outputs of a sweep that is killed once its first point works."
    outputs = tmp/'runs'
    p = started(outputs, 'sweep', sweep_of(tmp, WAITS, seeds=seeds))
    begun(outputs)
    p.kill()
    p.communicate()
    until(lambda: not kernels(outputs))
    return outputs

def test_the_sweep_is_killed(tmp_path):
    "kill -9 of the sweep: its workers and kernels end, its points wait, it is resumed; nothing is lost or doubled."
    outputs = killed(tmp_path, 3)
    listed = ran(outputs, 'ls')
    assert (listed.count(' interrupted '), listed.count(' queued '))==(1, 2)
    (outputs/'go_on').touch()
    assert '3 points, 3 done' in ran(outputs, 'resume', 's-')
    whole(outputs, 3, [2, 1, 1])

def test_a_job_that_nobody_warns_tells_itself(tmp_path):
    "Slurm may have spoken before the run listened."
    outputs = killed(tmp_path, 1)
    (r,), = runs(outputs).values()
    job = subprocess.run([sys.executable, '-m', 'decodelab.lab.attempts', r['folder'], '16', 'none'], cwd=ROOT,
                         env=environment(outputs), capture_output=True, text=True, timeout=200)
    assert job.returncode==124 and 'TimeOut: the job may take 16 s' in job.stdout, job
    (r,), = runs(outputs).values()
    assert (r['status'], r['attempts'])==('time-out', 2) and not kernels(outputs)
    (outputs/'go_on').touch()
    ran(outputs, 'resume', 's-')
    whole(outputs, 1, [3])

def test_one_run_is_killed(tmp_path):
    "kill -9 of a worker: the others go on, another takes its place, and the run is taken up again."
    outputs, file = tmp_path/'runs', sweep_of(tmp_path, WAITS, seeds=3)
    p = started(outputs, 'sweep', file, '--jobs', 2)
    begun(outputs, 2)
    owners = [json.loads(f.read_text())['pid'] for f in sorted(outputs.glob('eig_eval/*/.lock/owner.json'))]
    os.kill(owners[0], signal.SIGKILL)
    (outputs/'go_on').touch()
    out, err = p.communicate(timeout=200)
    assert p.returncode==1 and 'its worker ended with exit status -9' in out and '2 done, 1 interrupted' in out, out+err
    assert '3 points, 3 done' in ran(outputs, 'resume', 's-')
    found = runs(outputs)
    assert sorted(r[0]['attempts'] for r in found.values())==[1, 1, 2]
    for r in found.values(): assert (r[0]['folder']/'samples.jsonl').read_text().count('id')==4

def test_a_kernel_is_killed(tmp_path):
    "kill -9 of a kernel: its run failed, the next has a kernel of its own."
    outputs, file = tmp_path/'runs', sweep_of(tmp_path, "if p.seed==0: import os; os.kill(os.getpid(), 9)\n"+WORK,
        seeds=2)
    said = ran(outputs, 'sweep', file, code=1)
    assert '1 done, 1 failed' in said and 'its kernel died' in said
    assert [runs(outputs)[i][0]['status'] for i in (0, 1)]==['failed', 'done']

def test_two_at_once_and_ctrl_c(tmp_path):
    "The second is told who works on it; Ctrl-C leaves everything as it can be taken up."
    outputs, file = tmp_path/'runs', sweep_of(tmp_path, WAITS, seeds=2)
    p = started(outputs, 'sweep', file)
    begun(outputs)
    said = ran(outputs, 'sweep', file, code=2)
    assert f'another process is working on this sweep (process {p.pid} on ' in said
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=60)
    assert p.returncode==130 and 'To go on: decodelab resume s-' in err and not kernels(outputs)
    (outputs/'go_on').touch()
    assert '2 points, 2 done' in ran(outputs, 'resume', 's-')
    whole(outputs, 2, [2, 1])

def test_two_lines_of_a_worker_at_once_are_both_heard(tmp_path):
    "That it is there, and how its first run ended: the second must not wait in a buffer that no selector sees."
    import fcntl, select, struct, termios
    from decodelab.lab.crew import Hand
    hand = Hand({})
    try:
        hand.give(None, run=str(tmp_path/'none'), notebook='n.ipynb', fresh='', limit=None)
        waits = lambda: struct.unpack('i', fcntl.ioctl(hand.process.stdout, termios.FIONREAD, b'0000'))[0]
        assert until(lambda: waits() > 40) # the first line alone has about twenty bytes
        assert hand.answer()=={} and hand.ready
        assert select.select([hand.process.stdout], [], [], 0)[0] and hand.answer()['status']=='left'
    finally: hand.close()

def test_started_at_the_same_moment(tmp_path):
    "Two sweeps that share points, at once: each point is run once."
    outputs, file = tmp_path/'runs', sweep_of(tmp_path, seeds=2)
    other = tmp_path/'other.yaml'
    other.write_text(json.dumps(json.loads(file.read_text()) | dict(seeds=3)))
    ps = [started(outputs, 'sweep', f) for f in (file, other)]
    said = [p.communicate(timeout=200) for p in ps]
    found = runs(outputs)
    ended = {s: [(r['status'], r['attempts']) for r in found[s]] for s in found}
    assert ended=={s: [('done', 1)] for s in range(3)}, said

def test_a_full_disk(tmp_path):
    "Where there is no room nothing more is begun, and the sweep says so; with room it goes on."
    small = tmp_path/'small'
    small.mkdir()
    mount = ['mount', '-t', 'tmpfs', '-o', 'size=100m', 'tmpfs', str(small)]
    if subprocess.run(mount, capture_output=True).returncode: pytest.skip('no test may mount a file system here')
    fill = f"(run.folder.parent.parent/'fill').write_bytes(bytes(60_000_000)) if p.seed==0 else None\n" + WORK
    try:
        said = ran(small, 'sweep', sweep_of(tmp_path, fill, seeds=3), code=2)
        assert '1/3 done' in said and 'less than 64 MB free; make room. To go on: decodelab resume s-' in said
        assert [r[0]['status'] for r in runs(small).values()].count('queued')==2
        (small/'fill').unlink()
        assert '3 points, 3 done' in ran(small, 'resume', 's-')
    finally: subprocess.run(['umount', str(small)])

# --- listing ---
def many(outputs, n, **changes):
    "Folders of finished runs, without running anything."
    from decodelab.core import Run
    from decodelab.core.runs import Provenance
    made = Provenance(dict(versions={}, git={}, machine={}), 'a==1\n')
    for i in range(n):
        run = Run.create('demo', dict(i=i), outputs=outputs, made=made, given=dict(i=i), status='done')
        (run.folder/'metrics.json').write_text('{"accuracy": 0.5}')
        (run.folder/'report.ipynb').touch()
    return outputs

def test_a_thousand_runs_are_listed_in_a_second_without_yaml(tmp_path):
    outputs = many(tmp_path/'runs', 1000)
    for f in outputs.glob('demo/*/params.yaml'): f.write_text('{') # nobody reads them
    def listed(): assert table_of(catalogue(outputs)[:1000]).count('accuracy 0.5')==1000
    def anew():
        (outputs/'.index.json').unlink(missing_ok=True)
        listed()
    assert seconds(anew, enough=1) < 1 and (outputs/'.index.json').exists()
    assert seconds(listed, enough=1) < 1
    began = os.times()
    out = ran(outputs, 'ls', '-n', 1000)
    spent = os.times()
    assert out.count(' done ')==1000
    assert spent.children_user+spent.children_system-began.children_user-began.children_system < 2.5 # with its start

def test_broken_runs_are_listed_and_hide_nothing(tmp_path):
    outputs = many(tmp_path/'runs', 5)
    folders = sorted((outputs/'demo').iterdir())
    (folders[0]/'run.json').write_text('{"status": "do')
    (folders[1]/'run.json').write_text('[]')
    (folders[2]/'run.json').unlink()
    (folders[3]/'metrics.json').write_text('{')
    out = ran(outputs, 'ls')
    assert out.count(' broken ')==4 and out.count(' done ')==1
    for why in ('its run.json is broken', 'it has no run.json', 'its metrics.json is broken'): assert why in out
    assert 'Traceback' not in ran(outputs, 'show', folders[0].name, code=2)
    (outputs/'.index.json').write_text('garbage')
    assert ran(outputs, 'ls')==out

def test_renamed_and_half_copied_folders(tmp_path):
    "A renamed run is found by its key; a half copied one is broken, and its point gets a new folder."
    outputs, file = tmp_path/'runs', sweep_of(tmp_path, seeds=3)
    ran(outputs, 'sweep', file)
    folders = [runs(outputs)[seed][0]['folder'] for seed in range(3)]
    folders[0].rename(folders[0].with_name('my-favourite'))
    (folders[1]/'samples.jsonl').write_bytes((folders[1]/'samples.jsonl').read_bytes()[:20])
    (folders[2]/'metrics.json').unlink()
    said = ran(outputs, 'show', 's-')
    assert '1 done, 2 broken' in said and 'samples.jsonl has 20 of' in said and 'metrics.json missing' in said
    assert '3 points, 3 done' in ran(outputs, 'resume', 's-')
    assert sorted(len(found) for found in runs(outputs).values())==[1, 2, 2]
    shutil.rmtree(folders[0].with_name('my-favourite'))
    assert '1 missing' in ran(outputs, 'show', 's-') and '3 points, 3 done' in ran(outputs, 'sweep', file)

def test_a_report_over_a_sweep(tmp_path):
    outputs, file = tmp_path/'runs', sweep_of(tmp_path, grid=dict(lambda_cost=[.1, .2]), seeds=2)
    out = ran(outputs, 'sweep', file, '--report')
    assert '/sweep_report/' in out
    made = json.loads(next(outputs.glob('sweep_report/*/metrics.json')).read_text())
    assert (made['metric'], made['parameter'])==('accuracy', 'lambda_cost')
    assert [(point['x'], point['n'], round(point['value'], 6)) for point in made['points']]==[(.1, 2, .05), (.2, 2, .1)]
    assert all(point['low'] < point['value'] < point['high'] for point in made['points'])
    for name,wrong in (('metric', 'acuracy'), ('parameter', 'lamda_cost'), ('by', 'sed')):
        said = ran(outputs, 'run', 'sweep_report', '-p', name, wrong, code=2)
        assert f"{name}: got '{wrong}'" in said and 'Did you mean' in said
    assert len(list(outputs.glob('sweep_report/*')))==1 # told before a run was made

@pytest.mark.parametrize('line,said', [
    (('resume', 'last', '--jobs', '3'), '--jobs: got 3; allowed: only for a sweep'),
    (('resume', 'last', '--on', 'slurm'), "--on: got 'slurm'; allowed: only for a sweep"),
    (('sweep', 'lambda', '--partition', 'gpu', '--dry-run'), "--partition: got 'gpu'; allowed: only with --on slurm"),
    (('sweep', 'lambda', '--on', 'slurm', '--jobs', '2', '--dry-run'),
     '--jobs: got 2; allowed: nothing with --on slurm')])
def test_an_option_that_changes_nothing_is_an_error(line, said):
    from click.testing import CliRunner
    from decodelab.lab.cli import main
    out = CliRunner().invoke(main, line)
    assert out.exit_code and said in out.output

def test_a_sweep_whose_record_is_broken_is_listed(tmp_path, monkeypatch):
    from click.testing import CliRunner
    from decodelab.lab.cli import main
    monkeypatch.setenv('DECODELAB_OUTPUTS', str(tmp_path))
    for name,text in (('a-1', '{'), ('b-2', '{}')):
        (tmp_path/'sweeps'/name).mkdir(parents=True)
        (tmp_path/'sweeps'/name/'sweep.json').write_text(text)
    out = CliRunner().invoke(main, ['ls'])
    assert out.exit_code==0 and all(f'{name}: its sweep.json is broken' in out.output for name in ('a-1', 'b-2'))
