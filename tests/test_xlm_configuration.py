"Configurations compose, and what does not fit is said with the nearest name that would."
import pytest

pytest.importorskip('lightning')
pytest.importorskip('hydra')
from omegaconf import OmegaConf
from decodelab.core.errors import BadValue, DecodelabError, ModelError
from decodelab.xlm.commands import command
from decodelab.xlm.composition import check_chosen, check_targets, composed, composed_or_why, ready
from decodelab.xlm.discovery import discover, groups_of
from decodelab.xlm.resolvers import safe_eval

@pytest.fixture(scope='module', autouse=True)
def found():
    models = discover()
    ready(models)
    return models

def test_every_experiment_of_every_core_model_composes(found):
    for m in found:
        for name in groups_of(m).get('experiment', []):
            file = ['text.train=x'] if name.startswith('text') else []
            cfg = composed_or_why([f'experiment={name}', 'paths.run_dir=x', 'paths.work_dir=x', *file], found)
            check_chosen(cfg)
            check_targets(cfg)

WRONG = {'optimizer.lrr=1': 'optimizer.lr', 'trainer.max_step=3': 'trainer.max_steps', 'debug=overfitt': 'overfit',
         'per_device_batchsize=4': 'per_device_batch_size', 'trainer_strategy=cpuu': 'cpu',
         'experiment=star_easy_mdml': 'star_easy_mdlm',
         'max_steps=3': 'trainer.max_steps', 'experimentt=star_easy_mdlm': 'experiment'}

@pytest.mark.parametrize('override', WRONG)
def test_a_wrong_override_names_the_nearest(override, found):
    with pytest.raises(DecodelabError, match=f'Did you mean {WRONG[override]!r}') as e:
        composed_or_why([override], found)
    assert '\n' not in str(e.value)

def test_a_model_that_is_listed_and_missing_is_part_of_the_error(tmp_path):
    (tmp_path/'xlm_models.json').write_text('{"lost_m": "lost_m"}')
    with pytest.raises(DecodelabError, match='lost_m: .* is no folder'):
        composed_or_why(['model=lost_m'], discover(tmp_path, {}))

def test_a_target_that_does_not_exist_names_the_nearest():
    cfg = composed(['experiment=star_easy_mdlm'])
    OmegaConf.update(cfg, 'loss._target_', 'decodelab.xlm.models.mdlm.loss_mdlm.MDLMLos')
    with pytest.raises(ModelError, match=r"^loss\._target_: .*Did you mean 'MDLMLoss'"): check_targets(cfg)
    OmegaConf.update(cfg, 'loss._target_', 'no_such_model.loss.Loss')
    with pytest.raises(ModelError, match='no module named .no_such_model.* `xlm list`'): check_targets(cfg)

def test_nothing_chosen_and_an_unknown_job(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command(['job_type=train'])==2 and 'no datamodule is chosen' in capsys.readouterr().err
    with pytest.raises(BadValue, match="job_type: got 'trian'.*prepare_data.*Did you mean 'train'"):
        command(['job_type=trian'])

def test_a_models_own_command_runs(tmp_path, monkeypatch, capsys):
    root = tmp_path/'own_m'
    (root/'own_m').mkdir(parents=True)
    (root/'configs').mkdir()
    (root/'own_m'/'__init__.py').write_text('def look(cfg): print("seen", cfg.seed)\n')
    (root/'configs'/'commands.yaml').write_text('look: own_m.look\n')
    (tmp_path/'xlm_models.json').write_text('{"own_m": "own_m"}')
    monkeypatch.chdir(tmp_path)
    assert command(['job_type=look', 'seed=7', 'job_name=x'])==0 and 'seen 7' in capsys.readouterr().out

def test_name_and_predictor_parameters(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    base = ['experiment=star_easy_mdlm', 'job_name=abc']
    assert command(['job_type=name', *base])==0 and 'job_name: abc' in capsys.readouterr().out
    assert command(['job_type=print_predictor_params', '+predictor_json_out=p.json', *base])==0
    assert '_target_' in (tmp_path/'p.json').read_text()

@pytest.mark.parametrize('text,value', [('768*4', 3072), ('14+28', 42), ('7//2', 3), ('-3**2', -9), ('max(1, 2)', 2),
                                        ('1 if 2 > 1 else 0', 1), ('not 1', False), ('int(2.7)', 2), ('2**-1', .5)])
def test_arithmetic_is_pythons(text, value): assert safe_eval(text)==value==eval(text)

@pytest.mark.parametrize('attack', ['__import__("os").getcwd()', '().__class__', '[i for i in (1,)]', 'lambda: 1',
                                    'open("x")', '9**9**9', '"a"*10**9', '[1]*10**9', 'globals()', '(1).real', 'f"{1}"',
                                    'x', '1;2', '1 if'])
def test_other_python_is_not_run(attack):
    with pytest.raises(BadValue): safe_eval(attack)
