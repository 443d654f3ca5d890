"A Slurm cluster of one node: real munged, slurmctld and slurmd, all they read and write in one folder."
import contextlib, os, secrets, shutil, signal, socket, subprocess, sys, tempfile, time
from pathlib import Path

PATH = f'{os.environ["PATH"]}:/usr/sbin' # where Debian puts daemons
MISSING = [p for p in ('munged','slurmctld','slurmd','sbatch','scontrol','sinfo','squeue','scancel') if not shutil.which(p, path=PATH)]
CONF = '''
ClusterName=decodelab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0
KillWait=1
CompleteWait=0
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=2000
PartitionName=all Nodes={host} Default=YES MaxTime=10
'''

def free_ports(n:int)->list[int]:
    "Ports that nothing listens on."
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for s in sockets: s.bind(('127.0.0.1', 0))
        return [s.getsockname()[1] for s in sockets]

def processes(folder:Path)->list[int]:
    "Whose command line or environment names the folder: the daemons, the steps of jobs, their scripts."
    out = []
    for p in Path('/proc').glob('[0-9]*'):
        with contextlib.suppress(OSError):
            if int(p.name)!=os.getpid() and os.fsencode(folder) in (p/'cmdline').read_bytes() + (p/'environ').read_bytes(): out.append(int(p.name))
    return out

def stop(folder:Path):
    "End every process of the cluster, politely first."
    for sig,seconds in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        until = time.monotonic() + seconds
        while (left := processes(folder)) and time.monotonic() < until:
            for pid in left:
                with contextlib.suppress(ProcessLookupError): os.kill(pid, sig)
            time.sleep(.1)

@contextlib.contextmanager
def cluster(): # What jobs and commands need in their environment
    "Start the daemons, wait for an idle node; in the end, or when this process is killed, no process and no file of theirs is left."
    folder, host, daemons = Path(tempfile.mkdtemp(prefix='slurm-')), socket.gethostname().split('.')[0], {}
    folder.chmod(0o755) # munged wants its socket within reach
    guard = subprocess.Popen([sys.executable, __file__, str(folder)], stdin=subprocess.PIPE, start_new_session=True) # its stdin ends with us
    for d in ('state','spool'): (folder/d).mkdir()
    conf, munge, key = folder/'slurm.conf', folder/'munge.socket', folder/'munge.key'
    conf.write_text(CONF.format(folder=folder, host=host, ports=free_ports(2)))
    key.write_bytes(secrets.token_bytes(128)); key.chmod(0o400)
    env = dict(SLURM_CONF=str(conf), PATH=PATH)
    def ask(*command): return subprocess.run(command, capture_output=True, text=True, env=os.environ | env, timeout=60).stdout.split()
    def start(name, *args):
        with open(folder/f'{name}.out', 'w') as out:
            daemons[name] = subprocess.Popen([name, *map(str, args)], env=os.environ | env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    def wait(ready, seconds=60):
        until = time.monotonic() + seconds
        while not ready():
            ended = [name for name,d in daemons.items() if d.poll() is not None]
            assert not ended and time.monotonic() < until, f'Slurm does not answer; ended: {ended}\n' + '\n'.join(f'== {f.name}\n{f.read_text()[-2000:]}' for f in folder.glob('*.out'))
            time.sleep(.05)
    try:
        start('munged', '--foreground', f'--key-file={key}', f'--socket={munge}', f'--pid-file={folder}/munged.pid', f'--seed-file={folder}/munged.seed')
        wait(munge.exists)
        start('slurmctld', '-D', '-f', conf); start('slurmd', '-D', '-f', conf)
        wait(lambda: ask('sinfo', '-h', '-o', '%T')==['idle'])
        yield env
        if jobs := ask('squeue', '-h', '-o', '%A'): ask('scancel', *jobs)
        wait(lambda: not ask('squeue', '-h'), 20)
    finally:
        guard.stdin.close(); guard.wait(30)
        for d in daemons.values(): d.wait(10)
        assert not (left := processes(folder)), f'still running: {left}'

if __name__=='__main__': # the guard
    sys.stdin.read(); stop(Path(sys.argv[1])); shutil.rmtree(sys.argv[1], ignore_errors=True)
