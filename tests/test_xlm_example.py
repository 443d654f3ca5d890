"The example in examples/: its own tests pass, it trains in the mini setting and writes."
import os, subprocess, sys

import pytest

pytest.importorskip('lightning')
pytest.importorskip('hydra')

def run(arguments, cwd, **env):
    p = subprocess.run([sys.executable, *arguments], cwd=cwd, env=os.environ | env, capture_output=True, text=True)
    assert p.returncode==0, p.stdout[-2000:]+p.stderr[-2000:]
    return p.stdout

def test_formulas_by_enumeration(root):
    "The example's own tests: counts, rates, the bound, the sampler, one batch by heart."
    where = f'{root}/examples/did:{os.environ.get("PYTHONPATH", "")}'
    said = run(['-m', 'pytest', '-q', '-p', 'no:cacheprovider', 'did/tests'], root/'examples', PYTHONPATH=where,
               PYTHONDONTWRITEBYTECODE='1')
    assert '13 passed' in said

def test_it_trains_in_the_mini_setting_and_writes(root, tmp_path):
    small = ['model.d_model=32', 'model.num_layers=1', 'model.nhead=2', 'trainer.max_steps=40', 'trainer_strategy=cpu',
             'trainer.val_check_interval=40', 'trainer.limit_val_batches=1', 'trainer.limit_test_batches=1',
             'trainer.limit_predict_batches=1', 'per_device_batch_size=32', 'global_batch_size=32']
    env = dict(XLM_MODELS_PATH=str(root/'examples'), PYTHONDONTWRITEBYTECODE='1')
    main = 'from decodelab.xlm.commands import main; main()'
    command = ['-c', main, 'job_name=mini', 'experiment=star_mini_did', *small]
    said = run([*command, 'job_type=train'], tmp_path, **env)
    loss = {line.split(':')[0]: float(line.split(':')[1]) for line in said.splitlines() if line.startswith('test/')}
    assert 0 < loss['test/lm/accumulated_loss'] < 4 and 'test/prediction/exact_match' in loss
    said = run([*command, 'job_type=generate', '+generation.prompts=["0 1 0 2 1 2"]'], tmp_path, **env)
    assert '1 lines' in said

def test_it_learns_a_batch_by_heart(root, tmp_path):
    "`debug=overfit`, as its README offers; on the smaller graphs and with a smaller network, which takes a third."
    env = dict(XLM_MODELS_PATH=str(root/'examples'), PYTHONDONTWRITEBYTECODE='1', OMP_NUM_THREADS='1')
    main = 'from decodelab.xlm.commands import main; main()'
    small = ['trainer_strategy=cpu', 'model.d_model=64', 'model.num_layers=2']
    said = run(['-c', main, 'job_type=train', 'job_name=heart', 'experiment=star_mini_did', 'debug=overfit',
                *small, 'lr_scheduler.name=inverse_sqrt', '+lr_scheduler.timescale=60'], tmp_path, **env)
    assert 'PASS: the batch is learnt by heart' in said

def test_it_uses_the_names_of_xlm_and_nothing_else(root):
    used = {line.split()[1].split('.')[0] for f in (root/'examples'/'did'/'did').glob('*.py')
            for line in f.read_text().splitlines() if line.startswith('from ') and not line.startswith('from .')}
    assert used <= {'typing', 'torch', 'xlm'} # its own files, torch, and the names of xLM
