"Locks: one of many takes it, the dead let go, other machines are judged by their heartbeat, copies hold nothing."
import json, os, shutil, signal, subprocess, sys, time
import pytest
from decodelab.core import Run, RunError
from decodelab.core.locks import EXPIRES, Lock

HOLD = '''
import sys, time
from pathlib import Path
from decodelab.core.locks import Lock
lock = Lock(Path(sys.argv[1]))
print(lock.take(), flush=True)
sys.stdin.read()
'''
RACE = '''
import os, sys, time
from pathlib import Path
from decodelab.core.locks import Lock
path, out = Path(sys.argv[1]), Path(sys.argv[2])
for i in range(15):
    lock = Lock(path)
    if not lock.take(): continue
    inside = os.open(out, os.O_CREAT|os.O_EXCL) # fails where two hold it
    time.sleep(.001)
    os.close(inside)
    out.unlink()
    if i%3==2: os._exit(0) # dies with the lock
    lock.release()
'''

def holder(path):
    p = subprocess.Popen([sys.executable, '-c', HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True)
    return p, p.stdout.readline().strip()

def rewrite(lock, **changes):
    (lock.path/'owner.json').write_text(json.dumps(lock.read() | changes))

def test_it_ends_with_its_holder(tmp_path):
    lock = Lock(tmp_path/'.lock')
    p, taken = holder(lock.path)
    assert taken=='True' and lock.held() and not lock.take() and f'process {p.pid} on ' in lock.owner()
    p.send_signal(signal.SIGKILL)
    while 'Z' not in open(f'/proc/{p.pid}/stat').read(): time.sleep(.01) # dead, though its parent has not looked
    assert not lock.held() and lock.take() and lock.mine()
    p.communicate()

def test_an_orderly_end_leaves_nothing(tmp_path):
    p, _ = holder(tmp_path/'.lock')
    p.communicate()
    assert not list(tmp_path.iterdir())

def test_of_many_that_die_with_it_one_at_a_time_holds_it(tmp_path):
    args = [sys.executable, '-c', RACE, str(tmp_path/'.lock'), str(tmp_path/'inside')]
    racers = [subprocess.Popen(args, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    for p in racers: assert (p.communicate()[1], p.returncode)==('', 0)
    last = Lock(tmp_path/'.lock')
    assert last.take() # whatever was left
    last.release()
    assert not list(tmp_path.iterdir())

def test_another_machine_is_judged_by_its_heartbeat(tmp_path):
    there, here = Lock(tmp_path/'.lock'), Lock(tmp_path/'.lock')
    there.take()
    rewrite(there, machine='node7/other', pid=1)
    assert here.held() and not here.take()
    then = time.time()-EXPIRES-5
    os.utime(there.path/'owner.json', (then, then))
    there.touch() # it lives
    assert here.held()
    os.utime(there.path/'owner.json', (then, then))
    assert not here.held() and here.take() and not there.mine()
    there.release() # takes nothing away
    assert here.held()

def test_what_slurm_started_again_takes_over_at_once(tmp_path, monkeypatch):
    before, after = Lock(tmp_path/'.lock'), Lock(tmp_path/'.lock')
    monkeypatch.setenv('SLURM_JOB_ID', '5')
    before.take()
    rewrite(before, machine='node7/other')
    monkeypatch.setenv('SLURM_JOB_ID', '6')
    assert not after.take() # another job
    monkeypatch.setenv('SLURM_JOB_ID', '5')
    monkeypatch.setenv('SLURM_RESTART_COUNT', '1')
    assert after.take()

def test_a_copied_run_is_held_by_nobody(tmp_path):
    run = Run.create('x', {}, outputs=tmp_path/'runs').lock()
    copy = Run.open(shutil.copytree(run.folder, tmp_path/'copy'))
    assert (run.status, copy.status)==('running', 'interrupted') and copy.lock().status=='running'
    moved = run.folder.rename(tmp_path/'moved')
    assert Run.open(moved).status=='running'

def test_who_was_taken_over_closes_no_record(tmp_path):
    run = Run.create('x', {}, outputs=tmp_path).lock()
    rewrite(run._lock, machine='node7/other')
    then = time.time()-EXPIRES-5
    os.utime(run.folder/'.lock'/'owner.json', (then, then))
    again = Run.open(run.folder).lock()
    with pytest.raises(RunError, match='taken over'): run.finish()
    again.finish()
    assert again.status=='done'

def test_what_says_nothing_counts_as_held_for_a_while(tmp_path):
    lock = Lock(tmp_path/'.lock')
    lock.path.mkdir()
    assert not lock.held() # an empty folder is no lock
    (lock.path/'owner.json').write_text('{"host"')
    assert lock.held() and not lock.take() and lock.owner()=='it does not say which'
    then = time.time()-EXPIRES-5
    os.utime(lock.path, (then, then))
    assert lock.take()

def test_a_file_of_earlier_versions_is_no_hindrance(tmp_path):
    (tmp_path/'.lock').write_text('process 1 on somewhere')
    lock = Lock(tmp_path/'.lock')
    assert not lock.held() and lock.take()

@pytest.mark.skipif(os.geteuid()==0, reason='root may write everywhere')
def test_a_folder_that_may_not_be_written(tmp_path):
    run = Run.create('x', {}, outputs=tmp_path)
    run.folder.chmod(0o500)
    with pytest.raises(RunError, match='cannot be locked'): run.lock()
