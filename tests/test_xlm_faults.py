"What goes wrong around a run of an external model: the disk, a kill from outside, words that are no override."
import os, resource, signal, subprocess, sys, time
from contextlib import contextmanager

import pytest

pytest.importorskip('lightning')
pytest.importorskip('hydra')
import torch
from decodelab.core.errors import DecodelabError, ModelError, RunError
from decodelab.xlm.commands import command, overrides_of
from decodelab.xlm.harness import bad_loss
from decodelab.xlm.weights import read_checkpoint

RUN = ['job_type=train', 'experiment=star_mini_mdlm', 'trainer_strategy=cpu', 'model.d_model=32', 'model.num_layers=1',
       'model.nhead=2', 'per_device_batch_size=8', 'global_batch_size=8', 'trainer.max_steps=20', 'loggers=debug',
       'trainer.val_check_interval=1000', 'trainer.limit_val_batches=1', 'model.dropout=0.1', 'test_after_train=false',
       'callbacks.checkpoint_every_n_steps.every_n_train_steps=4', 'lr_scheduler.num_warmup_steps=2',
       'lr_scheduler.num_training_steps=20']

def asked(name, folder, *more):
    return [*RUN, f'job_name={name}', '+callbacks.curve._target_=xlm_parts.Curve',
            f'+callbacks.curve.path={folder}/{name}.curve', *more]

def losses(folder, name):
    return {int(a): b for a,b in (line.split() for line in (folder/f'{name}.curve').read_text().splitlines())}

@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    there, before = tmp_path_factory.mktemp('faults'), os.getcwd()
    os.chdir(there)
    yield there
    os.chdir(before)

@pytest.fixture(scope='module')
def whole(folder):
    assert command(asked('whole', folder))==0
    return losses(folder, 'whole')

@contextmanager
def files_of_at_most(size):
    "As on a full disk, a write fails half-way."
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try: yield
    finally: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

def test_a_full_disk_is_one_sentence_and_the_run_goes_on_from_what_is_whole(folder, whole, capsys):
    assert command(asked('full', folder, 'trainer.max_steps=8'))==0
    newest = folder/'logs'/'full'/'checkpoints'/'last.ckpt'
    before = newest.read_bytes()
    with files_of_at_most(len(before)//2): assert command(asked('full', folder))==2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith('xlm: File too large: ') and 'goes on from the last checkpoint in ./logs/full' in said
    assert newest.read_bytes()==before and read_checkpoint(newest)['global_step']==8
    assert command(asked('full', folder))==0 and losses(folder, 'full')==whole

def test_kill_9_from_outside_costs_the_steps_since_the_last_checkpoint(folder, whole):
    code = (f'import sys; sys.path.insert(0, {os.path.dirname(__file__)!r}); from decodelab.xlm.commands import main; '
            f'main({asked("killed", folder)!r})')
    process = subprocess.Popen([sys.executable, '-W', 'ignore', '-c', code], stdout=subprocess.DEVNULL)
    path = folder/'killed.curve'
    while not path.exists() or path.read_text().count('\n') < 6:
        assert process.poll() is None
        time.sleep(.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait()==-signal.SIGKILL
    assert command(asked('killed', folder))==0 and losses(folder, 'killed')==whole

def test_a_bad_batch_that_cannot_be_kept_is_still_told(tmp_path):
    nan = torch.tensor(float('nan'))
    with files_of_at_most(100): e = bad_loss(nan, dict(loss=nan), dict(ids=torch.zeros(9, 9)), 'train/lm', tmp_path)
    assert 'the loss of train/lm is nan' in str(e) and 'could not be kept' in str(e) and not list(tmp_path.iterdir())

def test_weights_are_written_whole_or_not_at_all(tmp_path):
    from decodelab.xlm.harness import Harness
    holder = type('Holder', (), dict(extract_model_weights=lambda self: dict(w=torch.zeros(999))))()
    for name in ('w.pt', 'w.safetensors'):
        with files_of_at_most(100), pytest.raises(RunError, match=f'{name}: cannot be written'):
            Harness.save_model_weights(holder, tmp_path/name)
        assert not list(tmp_path.iterdir())

MEANT = {'train': "'job_type=train'", 'evaluate': "'job_type=eval'", 'lst': "'list'", 'job_type': 'without spaces',
         '=3': 'without spaces', 'xyz': 'nor KEY=VALUE', '+x': 'nor KEY=VALUE'}

@pytest.mark.parametrize('word', MEANT)
def test_a_word_that_is_no_override_is_told_what_it_may_be(word, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=MEANT[word]) as e: command([word, 'seed=1'])
    assert '\n' not in str(e.value)

def test_options_of_hydra_keep_their_words():
    given = ['--cfg', 'job', '-cn', 'config', 'seed=1', '~callbacks', '+a=1', '++b=2', '-m', 'x=a=b']
    assert overrides_of(given)==['seed=1', '~callbacks', '+a=1', '++b=2', 'x=a=b']

def test_help_anywhere_is_ours(capsys):
    assert command(['job_type=train', '--help'])==0 and 'xlm-scaffold NAME' in capsys.readouterr().out

NUMBERS = {'trainer.max_steps=abc': 'trainer.max_steps', 'seed=x': 'seed',
           'per_device_batch_size=0': 'per_device_batch_size', 'block_size=1.5': 'block_size',
           'trainer.precision=fp8': 'trainer: .*fp8'}

@pytest.mark.parametrize('override', NUMBERS)
def test_a_number_that_cannot_be_is_one_sentence(override, folder):
    from decodelab.xlm.composition import composed, ready
    from decodelab.xlm.discovery import discover
    from decodelab.xlm.jobs import checked, trainer_of
    ready(discover())
    cfg = composed([*RUN, 'paths.run_dir=x', 'paths.work_dir=x', override])
    with pytest.raises(DecodelabError, match=NUMBERS[override]):
        checked(cfg)
        trainer_of(cfg, callbacks=[])

def test_a_model_that_cannot_be_sent_is_still_there(tmp_path, monkeypatch):
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError
    from decodelab.xlm.weights import push_shared
    def refuse(*args, **kwargs): raise HfHubHTTPError.__bases__[0]('Name or service not known')
    monkeypatch.setattr(HfApi, 'create_repo', refuse)
    with pytest.raises(RunError, match='a/b: not sent: Name or service.* lies in '): push_shared(tmp_path, 'a/b')
