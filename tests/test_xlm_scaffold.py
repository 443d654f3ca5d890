"A scaffold writes what it says, writes over nothing, and its model works when it is installed."
import json, os, subprocess, sys

import pytest

from decodelab.core.errors import BadValue, DecodelabError
from decodelab.xlm.scaffold import check_name, planned, write_scaffold

def files(folder): return sorted(str(p.relative_to(folder)) for p in folder.rglob('*') if p.is_file())

@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path

def test_a_dry_run_lists_exactly_what_is_written(here, capsys):
    assert write_scaffold(['my_model', '--dry-run'])==0
    would = [line.removeprefix('would write ') for line in capsys.readouterr().out.splitlines()]
    assert files(here)==[]
    write_scaffold(['my_model'])
    assert files(here)==sorted(would)

def test_the_listing_keeps_what_it_had(here):
    (here/'xlm_models.json').write_text('{"other": "some/where"}')
    write_scaffold(['my_model', '--output-dir', 'models'])
    assert json.loads((here/'xlm_models.json').read_text())=={'other': 'some/where', 'my_model': 'models/my_model'}

def test_nothing_is_written_over(here):
    (here/'my_model').mkdir()
    (here/'my_model'/'README.md').write_text('mine')
    with pytest.raises(DecodelabError, match='nothing was written: my_model/README.md'): write_scaffold(['my_model'])
    assert files(here)==['my_model/README.md'] and (here/'my_model'/'README.md').read_text()=='mine'

@pytest.mark.parametrize('words,said', [(['m', '--output-dir', 'file'], 'file is a file: file/m cannot be made'),
                                        (['m', '--output-dir', 'file/deep', '--dry-run'], 'file is a file')])
def test_a_place_that_cannot_be(words, said, here, capsys):
    (here/'file').write_text('')
    with pytest.raises(DecodelabError, match=said): write_scaffold(words)
    assert files(here)==['file']

def test_what_the_machine_refuses_is_one_sentence(here, capsys, monkeypatch):
    from decodelab.xlm.scaffold import main
    monkeypatch.setattr(sys, 'argv', ['xlm-scaffold', 'm', '--output-dir', '/proc/nowhere'])
    with pytest.raises(SystemExit, match='2'): main()
    assert capsys.readouterr().err.startswith('xlm-scaffold: /proc/nowhere') and files(here)==[]

def test_an_experiment_need_only_choose(here):
    "As the guide of xLM has it: data, kind and network; what belongs to the data comes with them."
    from decodelab.xlm.composition import check_chosen, composed_or_why, ready
    from decodelab.xlm.discovery import discover
    write_scaffold(['my_model'])
    write_scaffold(['my_copy', '--from', 'mdlm'])
    for name,kind in (('my_model', 'my_model'), ('my_copy', 'my_copy_seq2seq')):
        (here/name/'configs'/'experiment'/f'only_{name}.yaml').write_text(
            f'# @package _global_\ndefaults:\n  - override /model: {name}\n  - override /model_type: {kind}\n'
            f'  - override /datamodule: star_easy_{name}\n')
        ready(found := discover())
        typed = [f'model={name}', f'model_type={kind}', f'datamodule=star_easy_{name}']
        for chosen in ([f'experiment=only_{name}'], typed):
            cfg = composed_or_why([*chosen, 'paths.run_dir=x', 'paths.work_dir=x'], found)
            check_chosen(cfg)
            assert cfg.global_components.tokenizer.vocab_size==20 and cfg.block_size in (10, 14)

def test_no_listing_where_none_is_wanted(here):
    write_scaffold(['my_model', '--no-xlm-models'])
    assert not (here/'xlm_models.json').exists()

@pytest.mark.parametrize('name', ['My', '1a', 'a-b', '', 'é', '_a', 'mdlm', 'class', 'match', 'list', 'a b', '../a',
                                  'configs', 'setup', 'tests', 'a'*65])
def test_names_that_cannot_be(name):
    with pytest.raises(BadValue): check_name(name)

@pytest.mark.parametrize('name', ['numpy', 'json'])
def test_names_of_packages(name, here):
    with pytest.raises(BadValue, match='no installed package'): write_scaffold([name])

@pytest.mark.parametrize('begin', ['arlm', 'mlm', 'mdlm', 'ilm', 'flexmdm'])
def test_a_copy_of_a_core_model_is_python_and_names_nothing_old(begin, here):
    import ast, yaml
    plan = planned('my_copy', here, begin)
    for path,text in plan.files.items():
        if path.endswith('.py'): ast.parse(text)
        if path.endswith('.yaml'): yaml.safe_load(text)
        code = '\n'.join(line for line in text.splitlines() if 'began as a copy' not in line)
        own = path.startswith(('my_copy/', 'configs/'))
        old = (f'models.{begin}', f'_{begin}', begin.upper(), 'FlexMDM')
        assert not own or not any(name in code for name in old), path
    wanted = {'my_copy/loss_my_copy.py', 'configs/experiment/star_easy_my_copy.yaml', 'pyproject.toml'}
    assert wanted <= set(plan.files)

def test_an_unknown_core_model(here):
    with pytest.raises(BadValue, match="Did you mean 'mdlm'"): write_scaffold(['my_copy', '--from', 'mdml'])

def test_its_own_test_passes_and_it_is_found_when_installed(here):
    "In a fresh process: the model's own test; then pip, and found by name from another folder with its configurations."
    write_scaffold(['inst_model'])
    env = os.environ | {'PYTHONPATH': f'{os.environ.get("PYTHONPATH", "")}:{here}/inst_model'}
    test = [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', f'{here}/inst_model/tests']
    p = subprocess.run(test, cwd=here, env=env, capture_output=True, text=True)
    assert p.returncode==0, p.stdout+p.stderr
    install = [sys.executable, '-m', 'pip', 'install', '-q', '--no-deps', '--no-build-isolation', '--target']
    p = subprocess.run([*install, f'{here}/site', f'{here}/inst_model'], capture_output=True, text=True)
    assert p.returncode==0, p.stderr
    (here/'far').mkdir()
    env = os.environ | {'PYTHONPATH': f'{os.environ.get("PYTHONPATH", "")}:{here}/site',
                        'XLM_MODELS_PACKAGES': 'inst_model'}
    code = 'from decodelab.xlm.commands import main; main(["list"])'
    said = subprocess.run([sys.executable, '-c', code], cwd=here/'far', env=env, capture_output=True, text=True).stdout
    assert f'inst_model: {here}/site/inst_model (XLM_MODELS_PACKAGES)' in said and 'star_easy_inst_model' in said
