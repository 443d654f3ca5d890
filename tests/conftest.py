"What tests share: the reference student, the root, a folder for runs, commands in a pipe and on a terminal."
import fcntl, logging, os, pty, struct, subprocess, sys, termios, time
from dataclasses import dataclass
from pathlib import Path
import pytest

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent

@pytest.fixture(scope='session')
def root(): return ROOT

@pytest.fixture(scope='session')
def student():
    from decodelab.backends import load
    return load('reference:student', device='cpu')

@pytest.fixture(autouse=True)
def logs():
    "Hydra sets up the logging of the process it runs in, on the stream of the moment: that closes with the test."
    yield
    logging.root.setLevel(logging.WARNING)
    for h in logging.root.handlers[:]:
        if not type(h).__module__.startswith('_pytest'): logging.root.removeHandler(h)

@pytest.fixture
def outputs(tmp_path, monkeypatch):
    "A place for the runs of one test."
    monkeypatch.setenv('DECODELAB_OUTPUTS', str(tmp_path/'runs'))
    return tmp_path/'runs'

@pytest.fixture
def command(outputs):
    "Run one of the installed commands in the repository; gives the finished process."
    def go(*args, check=True, cwd=ROOT, env=None, **kw):
        env = os.environ | {'DECODELAB_OUTPUTS': str(outputs)} | (env or {})
        line = [str(BIN/args[0]), *map(str, args[1:])]
        p = subprocess.run(line, cwd=cwd, capture_output=True, text=True, env=env, **kw)
        assert not check or p.returncode==0, p.stdout + p.stderr
        return p
    return go

@pytest.fixture
def typed(outputs, monkeypatch):
    "What `decodelab` says in this process, as one that was started would: what it imports is imported once."
    from click.testing import CliRunner
    from decodelab.lab.cli import main
    monkeypatch.chdir(ROOT)
    def go(*words):
        found = CliRunner().invoke(main, list(map(str, words)), prog_name='decodelab', catch_exceptions=False)
        return subprocess.CompletedProcess(words, found.exit_code, found.stdout, found.stderr)
    return go

@dataclass
class Seen:
    "What a command wrote on a terminal: its exit status, and the pieces with their times."
    code: int
    pieces: list

    @property
    def text(self): return ''.join(text for _,text in self.pieces)

def read_until_end(fd):
    "Pieces of text from a terminal, each with its time."
    pieces = []
    while True:
        try: data = os.read(fd, 65536)
        except OSError: break # the other side is closed
        if not data: break
        pieces.append((time.monotonic(), data.decode(errors='replace')))
    return pieces

@pytest.fixture
def on_terminal(outputs):
    "Run one of the installed commands with a terminal for its input and output."
    def go(*args, cwd=ROOT, rows=24, columns=100):
        pid, fd = pty.fork()
        if pid==0:
            os.chdir(cwd)
            os.execve(BIN/args[0], [str(BIN/args[0]), *map(str, args[1:])], dict(os.environ))
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
        pieces = read_until_end(fd)
        return Seen(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), pieces)
    return go

@pytest.fixture(scope='module')
def data_sets(tmp_path_factory):
    "Prepared data sets of lm-eval's tasks, away from the user's."
    import datasets
    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp('datasets')
    datasets.disable_progress_bars()
