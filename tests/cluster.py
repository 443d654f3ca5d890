"A Slurm cluster of one node: real munged, slurmctld and slurmd, all they read and write in one folder."
import contextlib, os, secrets, shutil, signal, socket, subprocess, sys, tempfile, time
from pathlib import Path

PATH = f'{os.environ["PATH"]}:/usr/sbin' # where Debian puts daemons
COMMANDS = ('munged','slurmctld','slurmd','sbatch','scontrol','sinfo','squeue','scancel')
MISSING = [p for p in COMMANDS if not shutil.which(p, path=PATH)]
CONF = '''
ClusterName=decodelab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=15
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
{more}
'''

def free_ports(n:int)->list[int]:
    "Ports that nothing listens on."
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for s in sockets: s.bind(('127.0.0.1', 0))
        return [s.getsockname()[1] for s in sockets]

def processes(folder:Path)->list[int]:
    "Whose command line or environment names the folder: the daemons, the steps of jobs, their scripts."
    out, name = [], os.fsencode(folder)
    for p in Path('/proc').glob('[0-9]*'):
        if int(p.name)==os.getpid(): continue
        with contextlib.suppress(OSError):
            if name in (p/'cmdline').read_bytes() + (p/'environ').read_bytes(): out.append(int(p.name))
    return out

def stop(folder:Path):
    "End every process of the cluster, politely first."
    for sig,seconds in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        until = time.monotonic() + seconds
        while (left := processes(folder)) and time.monotonic() < until:
            for pid in left:
                with contextlib.suppress(ProcessLookupError): os.kill(pid, sig)
            time.sleep(.1)

class Environment(dict):
    "What commands need in theirs; `daemons` are those of the cluster."

class Daemons:
    "The cluster's processes."
    def __init__(self, folder:Path):
        self.folder, self.started = folder, {}
        self.env = Environment(SLURM_CONF=str(folder/'slurm.conf'), PATH=PATH)
        self.env.daemons = self

    def ask(self, *command:str)->list[str]:
        "Words that a command says."
        said = subprocess.run(command, capture_output=True, text=True, env=os.environ | self.env, timeout=60)
        return said.stdout.split()

    def start(self, name:str, *args):
        "Start one; what it says goes to a file."
        with open(self.folder/f'{name}.out', 'w') as out:
            self.started[name] = subprocess.Popen([name, *map(str, args)], env=os.environ | self.env, stdout=out,
                                                  stderr=out, stdin=subprocess.DEVNULL, start_new_session=True)

    def wait(self, ready, seconds:float=60):
        "Until something is ready, while all run."
        until = time.monotonic() + seconds
        while not ready():
            ended = [name for name,d in self.started.items() if d.poll() is not None]
            assert not ended and time.monotonic() < until, self.trouble(ended)
            time.sleep(.05)

    def trouble(self, ended:list[str])->str:
        "What they said last."
        said = [f'== {f.name}\n{f.read_text()[-2000:]}' for f in self.folder.glob('*.out')]
        return '\n'.join([f'Slurm does not answer; ended: {ended}', *said])

def begin(daemons:Daemons, more:str=''):
    "Start all three; wait for an idle node."
    folder, host = daemons.folder, socket.gethostname().split('.')[0]
    for d in ('state','spool'): (folder/d).mkdir()
    (folder/'slurm.conf').write_text(CONF.format(folder=folder, host=host, ports=free_ports(2),
                                                       more=more))
    key, munge = folder/'munge.key', folder/'munge.socket'
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    daemons.start('munged', '--foreground', f'--key-file={key}', f'--socket={munge}', f'--pid-file={folder}/munged.pid',
                  f'--seed-file={folder}/munged.seed')
    daemons.wait(munge.exists)
    daemons.start('slurmctld', '-D', '-f', folder/'slurm.conf')
    daemons.start('slurmd', '-D', '-f', folder/'slurm.conf')
    daemons.wait(lambda: daemons.ask('sinfo', '-h', '-o', '%T')==['idle'])

@contextlib.contextmanager
def cluster(more:str=''): # What jobs and commands need in their environment
    "A running cluster; in the end, or when this process is killed, no process and no file of it is left."
    folder = Path(tempfile.mkdtemp(prefix='slurm-'))
    folder.chmod(0o755) # munged wants its socket within reach
    guard = subprocess.Popen([sys.executable, __file__, str(folder)], stdin=subprocess.PIPE,
                             start_new_session=True) # its stdin ends with us
    daemons = Daemons(folder)
    try:
        begin(daemons, more)
        yield daemons.env
        if jobs := daemons.ask('squeue', '-h', '-o', '%A'): daemons.ask('scancel', *jobs)
        daemons.wait(lambda: not daemons.ask('squeue', '-h'), 20)
    finally:
        guard.stdin.close()
        guard.wait(30)
        for d in daemons.started.values(): d.wait(10)
        assert not (left := processes(folder)), f'still running: {left}'

if __name__=='__main__': # the guard
    sys.stdin.read()
    stop(Path(sys.argv[1]))
    shutil.rmtree(sys.argv[1], ignore_errors=True)
