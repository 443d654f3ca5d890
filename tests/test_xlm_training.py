"External models are trained from the command line: to the end, by heart, again after being killed, and not past a NaN."
import json, os, subprocess, sys

import pytest

pytest.importorskip('lightning')
pytest.importorskip('hydra')
from decodelab.xlm.commands import command
from decodelab.xlm.datasets import firsts
from decodelab.xlm.scaffold import planned, written
from decodelab.xlm.discovery import LISTING
from decodelab.xlm.loaders import Endless

TINY = ['trainer_strategy=cpu', 'model.d_model=32', 'model.num_layers=1', 'model.nhead=2']
SHORT = ['experiment=star_mini_tiny_model', 'per_device_batch_size=8', 'global_batch_size=8', 'trainer.max_steps=24',
         'trainer.val_check_interval=10', 'trainer.limit_val_batches=1', 'model.dropout=0.1', 'optimizer.lr=0.003',
         'callbacks.checkpoint_every_n_steps.every_n_train_steps=5', 'test_after_train=false',
         'lr_scheduler.num_warmup_steps=2', *TINY]

@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    "A folder with a scaffolded model, and the current one for the tests of this file."
    there, before = tmp_path_factory.mktemp('xlm'), os.getcwd()
    os.chdir(there)
    written(planned('tiny_model'), there/LISTING)
    yield there
    os.chdir(before)

def curve(name, *more, folder):
    "Trains, and gives the loss by step."
    path = folder/f'{name}.curve'
    overrides = ['job_type=train', f'job_name={name}', *SHORT, '+callbacks.curve._target_=xlm_parts.Curve',
                 f'+callbacks.curve.path={path}', *more]
    return command(overrides), path

def losses(path): return {int(line.split()[0]): line.split()[1] for line in path.read_text().splitlines()}

@pytest.fixture(scope='module')
def whole(folder):
    status, path = curve('whole', folder=folder)
    assert status==0
    return losses(path)

def test_training_says_what_it_wrote(folder, whole):
    assert sorted(whole)==list(range(1, 25))
    run = next((folder/'logs'/'whole'/'runs').iterdir())
    assert json.loads((run/'train.json').read_text())['step']==24
    assert {'config.yaml', 'curves', 'predictions'} <= {p.name for p in run.iterdir()}
    lines = [json.loads(s) for p in run.rglob('*.jsonl') for s in p.read_text().splitlines()]
    assert lines and {'text', 'truth'} <= set(lines[0])

def test_a_run_that_broke_off_goes_on_with_the_same_losses(folder, whole):
    dies = ['+callbacks.dies._target_=xlm_parts.Dies', '+callbacks.dies.step=13']
    with pytest.raises(SystemExit): curve('broken', *dies, folder=folder)
    status, path = curve('broken', folder=folder)
    assert status==0 and losses(path)==whole

def test_a_killed_process_goes_on_with_the_same_losses(folder, whole):
    "No hook runs at its end: it goes on from the last checkpoint, and does steps 11 to 13 again."
    path = folder/'killed.curve'
    overrides = ['job_type=train', 'job_name=killed', *SHORT, '+callbacks.curve._target_=xlm_parts.Curve',
                 f'+callbacks.curve.path={path}', '+callbacks.dies._target_=xlm_parts.Dies', '+callbacks.dies.step=13',
                 '+callbacks.dies.hard=true']
    code = (f'import sys; sys.path.insert(0, {os.path.dirname(__file__)!r}); '
            f'from decodelab.xlm.commands import main; main({overrides!r})')
    assert subprocess.run([sys.executable, '-W', 'ignore', '-c', code], cwd=folder).returncode==9
    status, path = curve('killed', folder=folder)
    assert status==0 and len(path.read_text().splitlines())==24+3 and losses(path)==whole

def test_a_loss_of_nan_stops_and_names_the_batch(folder, capsys):
    poison = ['+callbacks.poison._target_=xlm_parts.Poison', '+callbacks.poison.step=4']
    status, path = curve('poison', *poison, folder=folder)
    said = capsys.readouterr().err
    assert status==2 and len(losses(path))==4
    assert 'the loss of train/lm, step 4, epoch 0, batch 4 is nan' in said and 'bad_batch.pt' in said
    assert next((folder/'logs'/'poison').rglob('bad_batch.pt')).stat().st_size
    assert not (folder/'logs'/'poison'/'checkpoints'/'on_exception.ckpt').exists()

def test_a_corrupt_checkpoint_is_named_with_what_else_there_is(folder, whole, capsys):
    there = folder/'logs'/'whole'/'checkpoints'
    data = (there/'best.ckpt').read_bytes()
    cut = folder/'cut.ckpt'
    cut.write_bytes(data[:len(data)//2])
    status, _ = curve('again', f'resume_checkpoint_path={cut}', folder=folder)
    assert status==2 and 'cut.ckpt is no readable checkpoint' in capsys.readouterr().err
    status, _ = curve('again', f'resume_checkpoint_path={there}/lost.ckpt', folder=folder)
    said = capsys.readouterr().err
    assert status==2 and 'no such checkpoint' in said and 'best.ckpt' in said

def test_evaluate_generate_extract_and_load_what_was_shared(folder, whole, capsys):
    base = ['job_name=whole', *SHORT, 'trainer.limit_test_batches=2', 'trainer.limit_predict_batches=2']
    assert command(['job_type=eval', *base])==0 and 'test/prediction/exact_match' in capsys.readouterr().out
    into = lambda name: ['job_type=generate', *base, '+generation.output_dir=out',
                         f'+generation.output_file_name={name}']
    assert command(into('a.jsonl'))==0
    first = (folder/'out'/'a.jsonl').read_text()
    assert len(first.splitlines())==16 and 'written to out/a.jsonl: 16 lines' in capsys.readouterr().out
    assert command(into('a.jsonl'))==2
    assert command(['job_type=extract_checkpoint', *base, '+post_training.output_dir=shared',
                    f'+post_training.checkpoint_path={folder}/logs/whole/checkpoints/best.ckpt'])==0
    assert sorted(p.name for p in (folder/'shared').iterdir())==['code.json', 'config.yaml', 'model.safetensors']
    assert command([*into('b.jsonl'), '+generation.ckpt_path=shared'])==0
    assert (folder/'out'/'b.jsonl').read_text()==first

@pytest.mark.parametrize('key,meant', [('eval.ckpt_pth=a.ckpt', 'eval.ckpt_path'),
                                       ('generation.prompt=[a]', 'generation.prompts'),
                                       ('hub.repo=a/b', 'hub.repo_id')])
def test_a_key_that_no_job_knows_is_an_error(folder, capsys, key, meant):
    "It would be asked for with a default, and other weights be evaluated without a word."
    job = dict(eval='eval', generation='generate', hub='push_to_hub')[key.split('.')[0]]
    assert command([f'job_type={job}', 'job_name=typo', 'experiment=star_mini_tiny_model', f'+{key}', *TINY])==2
    assert f"Did you mean '{meant}'" in capsys.readouterr().err

def test_rows_without_end_are_learnt_by_heart_too():
    "Under `debug=overfit` every step is an epoch, in which endless rows are others."
    fixed = firsts(Endless(lambda i: dict(row=i), 50), dict(batch_size=4))
    assert [row['row'] for row in fixed]==[0, 1, 2, 3] and firsts([1, 2], {})==[1, 2]

def test_learnt_by_heart_is_the_exit_status(folder, capsys):
    base = ['job_type=train', 'job_name=heart', 'experiment=star_mini_tiny_model', 'debug=overfit', *TINY,
            'optimizer.lr=0.003']
    assert command(base)==0 and 'PASS' in capsys.readouterr().out
    assert command([*base, 'trainer.max_steps=3', 'trainer.val_check_interval=1'])==1
    assert 'FAIL' in capsys.readouterr().out
