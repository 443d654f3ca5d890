"What tests share: the reference student, the laboratory's root, a folder for runs."
import os, subprocess, sys
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

@pytest.fixture
def outputs(tmp_path, monkeypatch):
    "A place for the runs of one test."
    monkeypatch.setenv('DECODELAB_OUTPUTS', str(tmp_path/'runs'))
    return tmp_path/'runs'

@pytest.fixture
def command(outputs):
    "Run one of the installed commands in the repository; gives the finished process."
    def go(*args, check=True, cwd=ROOT, **kw):
        p = subprocess.run([str(BIN/args[0]), *map(str, args[1:])], cwd=cwd, capture_output=True, text=True, env=os.environ | {'DECODELAB_OUTPUTS': str(outputs)}, **kw)
        assert not check or p.returncode==0, p.stdout + p.stderr
        return p
    return go

@pytest.fixture(scope='module')
def data_sets(tmp_path_factory):
    "Prepared data sets of lm-eval's tasks, away from the user's."
    import datasets
    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp('datasets')
    datasets.disable_progress_bars()
