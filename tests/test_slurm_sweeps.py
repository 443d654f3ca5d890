"Sweeps as job arrays of a real Slurm: pieces, states, kills, requeues, a drained node, time limits, what jobs inherit."
import json, os, re, signal, subprocess, time
import pytest
from cluster import MISSING, cluster
from decodelab.lab.slurm import SCRIPT
from sweep_parts import ran, runs, sweep_of
from test_slurm import no_slurm

SLOW = '''import time
from decodelab.core import chunks
go_on = run.folder.parent.parent/'go_on' # until it is there, the second item takes for ever
def work(part):
    try:
        while part[0]==1 and not go_on.exists(): time.sleep(.05)
    except KeyboardInterrupt:
        (run.folder/'caught').touch()
        raise
    return [dict(id=i) for i in part]
for c in chunks(run, 'work', list(range(4)), work, size=1): pass
run.write_metrics(dict(accuracy=1.))'''

@pytest.fixture(scope='module')
def slurm():
    if no_slurm(): pytest.skip(no_slurm())
    assert not MISSING, MISSING
    with cluster('MaxArraySize=5') as env: yield env

def ask(env, *command):
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | env, timeout=60).stdout

def until(ready, seconds=200):
    end = time.monotonic()+seconds
    while not (found := ready()):
        assert time.monotonic() < end, 'waited too long'
        time.sleep(.2)
    return found

def ended(env): until(lambda: not ask(env, 'squeue', '-h').strip())

def states(outputs): return [r['status'] for rs in runs(outputs).values() for r in rs]

def logs(outputs): return ''.join(f.read_text() for f in outputs.glob('sweeps/*/logs/*'))

def test_a_warning_that_comes_before_the_run_listens_ends_nothing(tmp_path):
    "A job of two minutes may be told in its first second."
    (tmp_path/'runs').write_text('one\n')
    python = "bash -c 'kill -TERM $$; echo is alive' --"
    names = dict.fromkeys(re.findall(r'{(\w+)}', SCRIPT), '') | dict(root=tmp_path, runs=tmp_path/'runs', python=python)
    done = subprocess.run(['bash', '-c', SCRIPT.format(**names)], capture_output=True, text=True,
                          env=os.environ | dict(SLURM_ARRAY_TASK_ID='0'))
    assert (done.returncode, done.stdout)==(0, 'is alive\n'), done.stderr

def test_an_array_in_pieces_runs_what_is_missing(slurm, tmp_path):
    "Seven points where an array may have five; a cancelled piece is submitted again, alone."
    outputs, file = tmp_path/'runs', sweep_of(tmp_path, seeds=7)
    inherited = dict(SLURM_JOB_ID='99', SLURM_ARRAY_TASK_ID='3', SBATCH_PARTITION='nowhere', SLURM_MEM_PER_NODE='1')
    ask(slurm, 'scontrol', 'update', f'NodeName={os.uname().nodename.split(".")[0]}', 'State=DRAIN', 'Reason=test')
    said = ran(outputs, 'sweep', file, '--on', 'slurm', '--time', 5, **slurm, **inherited)
    jobs = re.findall(r'job (\d+): (\d) points', said)
    assert [n for _,n in jobs]==['5', '2']
    sweep, = (f.parent for f in outputs.glob('sweeps/*/sweep.json'))
    assert ran(outputs, 'ls', **slurm).count(' queued ')==7
    subprocess.run(['scancel', jobs[1][0]], env=os.environ | slurm)
    until(lambda: ran(outputs, 'ls', **slurm).count(' interrupted ')==2)
    again = ran(outputs, 'sweep', file, '--on', 'slurm', '--time', 5, **slurm)
    assert '2 points to submit' in again and len(re.findall(r'job \d+:', again))==1
    assert '0 points to submit' in ran(outputs, 'sweep', file, '--on', 'slurm', '--time', 5, **slurm)
    ask(slurm, 'scontrol', 'update', f'NodeName={os.uname().nodename.split(".")[0]}', 'State=RESUME')
    ended(slurm)
    assert states(outputs)==['done']*7, logs(outputs)
    assert all(r[0]['machine']['slurm_job'] and r[0]['attempts']==1 for r in runs(outputs).values())
    script = (sweep/'job-1.sbatch').read_text()
    for line in ('--array=0-4', '--requeue', '--signal=B:TERM@90', '--time=5',
        '--open-mode=append'): assert line in script

def first_items(outputs, n):
    found = list(outputs.glob('eig_eval/*/samples.jsonl'))
    return len(found)==n and all(f.read_text().count('id')==1 for f in found)

def test_killed_requeued_told_to_stop_out_of_time(slurm, tmp_path):
    "Of three tasks one is killed, one requeued, one told to stop, and a fourth has no time: each ends in its own."
    outputs, late, file = tmp_path/'runs', tmp_path/'late', sweep_of(tmp_path, SLOW, seeds=3)
    ran(late, 'sweep', file, '-p', 'seed', 0, '--on', 'slurm', '--time', 2, **slurm) # told 90 s before the end
    said = ran(outputs, 'sweep', file, '--on', 'slurm', '--time', 8, **slurm)
    job, = re.findall(r'job (\d+):', said)
    until(lambda: first_items(outputs, 3))
    assert ran(outputs, 'ls', **slurm).count(' running ')==3
    before = runs(outputs)
    owner = json.loads((before[0][0]['folder']/'.lock'/'owner.json').read_text())
    assert (owner['array'], owner['task'])==(job, '0')
    os.kill(owner['pid'], signal.SIGKILL)
    ask(slurm, 'scontrol', 'requeue', f'{job}_1')
    ask(slurm, 'scancel', '--batch', '--signal=TERM', f'{job}_2')
    until(lambda: (before[2][0]['folder']/'caught').exists()) # the signal reached the kernel
    until(lambda: ran(outputs, 'ls', **slurm).count(' interrupted ')>=2)
    until(lambda: runs(late)[0][0]['status']=='time-out')
    assert (runs(late)[0][0]['folder']/'caught').exists() and ' time-out ' in ran(late, 'ls', **slurm)
    (outputs/'go_on').touch()
    until(lambda: runs(outputs)[1][0]['status']=='done') # by itself
    ended(slurm)
    assert '2 points to submit' in ran(outputs, 'resume', 's-', '--on', 'slurm', **slurm)
    ended(slurm)
    after = runs(outputs)
    assert [[(r['status'], r['attempts'], r['folder']) for r in after[i]] for i in range(3)]==[
        [('done', 2, before[i][0]['folder'])] for i in range(3)], logs(outputs)
    for r in after.values(): assert (r[0]['folder']/'samples.jsonl').read_text().count('id')==4

def test_the_daemon_of_the_node_is_killed(slurm, tmp_path):
    "kill -9 of slurmd: the task under it goes on or comes back, and is done once a new one runs; nothing is doubled."
    outputs, file, daemons = tmp_path/'runs', sweep_of(tmp_path, SLOW, seeds=1), slurm.daemons
    ran(outputs, 'sweep', file, '--on', 'slurm', '--time', 8, **slurm)
    until(lambda: first_items(outputs, 1))
    daemons.started['slurmd'].kill()
    daemons.started['slurmd'].wait(20)
    assert ' running ' in ran(outputs, 'ls', **slurm) # its lock says so, whatever Slurm knows
    daemons.start('slurmd', '-D', '-f', slurm['SLURM_CONF'])
    (outputs/'go_on').touch()
    ended(slurm)
    (r,), = runs(outputs).values()
    assert r['status']=='done' and (r['folder']/'samples.jsonl').read_text().count('id')==4, logs(outputs)
    assert '1 point, 1 done' in ran(outputs, 'sweep', file)
