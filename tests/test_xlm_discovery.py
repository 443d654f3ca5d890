"Models are found where users put them, and what is wrong with one is said with its place and its cure."
import json, subprocess, sys

import pytest

from decodelab.core.errors import DataError
from decodelab.xlm.commands import job
from decodelab.xlm.discovery import (LISTING, ExternalModelConflictError, commands_of, discover, listing,
                                     make_importable, read_listing)

def model(folder, name, nested=True, configs=True, body='', commands=None):
    "A model in a folder; gives its root."
    package = folder/name/name if nested else folder/name
    package.mkdir(parents=True)
    (package/'__init__.py').write_text(body)
    if configs:
        (folder/name/'configs'/'model').mkdir(parents=True)
        (folder/name/'configs'/'model'/f'{name}.yaml').write_text('x: 1\n')
    if commands: (folder/name/'configs'/'commands.yaml').write_text(commands)
    return folder/name

def listed(folder, **models):
    folder.mkdir(exist_ok=True, parents=True)
    (folder/LISTING).write_text(json.dumps(models, indent=1))

def external(here, **environment): return {f.name: f for f in discover(here, environment) if f.where != 'core'}

@pytest.mark.parametrize('nested', [True, False])
def test_each_place_and_each_layout(tmp_path, nested):
    here, path = tmp_path/'here', tmp_path/'path'
    for folder,name in ((here, 'one_m'), (here/'xlm-models', 'two_m'), (path, 'three_m')):
        model(folder, name, nested)
        listed(folder, **{name: name})
    found = external(here, XLM_MODELS_PATH=f'{path}:{path}')
    assert list(found)==['one_m', 'two_m', 'three_m'] and not any(f.problem for f in found.values())
    make_importable(list(found.values()))
    assert all(__import__(name).__file__ for name in found)

def test_the_core_models_are_always_there(tmp_path):
    assert [f.name for f in discover(tmp_path, {})]==['arlm', 'mlm', 'mdlm', 'ilm', 'flexmdm']
    assert all(f.configs and not f.problem for f in discover(tmp_path, {}))

def test_two_of_one_name_name_both_places(tmp_path):
    for folder in (tmp_path/'a', tmp_path/'b'):
        model(folder, 'twin')
        listed(folder, twin='twin')
    with pytest.raises(ExternalModelConflictError) as e: discover(tmp_path/'a', {'XLM_MODELS_PATH': str(tmp_path/'b')})
    assert str(e.value).startswith('Duplicate model name: twin')
    assert str(tmp_path/'a'/'twin') in str(e.value) and str(tmp_path/'b'/'twin') in str(e.value)

def test_one_model_that_is_named_twice_is_one(tmp_path):
    model(tmp_path, 'once')
    listed(tmp_path, once='once')
    assert list(external(tmp_path, XLM_MODELS_PATH=str(tmp_path)))==['once']

def test_a_core_name_is_taken(tmp_path):
    model(tmp_path, 'mdlm')
    listed(tmp_path, mdlm='mdlm')
    with pytest.raises(ExternalModelConflictError, match='Duplicate model name: mdlm') as e: discover(tmp_path, {})
    assert 'core' in str(e.value) and str(tmp_path/'mdlm') in str(e.value)

def test_a_name_of_an_installed_package_is_taken(tmp_path):
    model(tmp_path, 'numpy')
    listed(tmp_path, numpy='numpy')
    with pytest.raises(ExternalModelConflictError, match='the Python package at'):
        make_importable(discover(tmp_path, {}))

@pytest.mark.parametrize('text,line', [('{\n "a": "a",\n}', 3), ('{\n "a": 1\n}', 2), ('["a"]', 1), ('', 1)])
def test_a_malformed_listing_is_an_error_with_its_line(tmp_path, text, line):
    (tmp_path/LISTING).write_text(text)
    with pytest.raises(DataError, match=f'{LISTING}, line {line}'): discover(tmp_path, {})

def test_a_name_twice_in_one_listing(tmp_path):
    (tmp_path/LISTING).write_text('{"a": "x", "a": "y"}')
    with pytest.raises(ExternalModelConflictError, match='Duplicate model name: a, twice'):
        read_listing(tmp_path/LISTING)

def test_what_cannot_be_used_is_listed_with_its_reason(tmp_path):
    model(tmp_path, 'bare', configs=False)
    (tmp_path/'hollow'/'configs').mkdir(parents=True)
    listed(tmp_path, gone='gone', bare='bare', hollow='hollow')
    found = external(tmp_path, XLM_MODELS_PACKAGES='no_such_package_x', XLM_MODELS_PATH=f'{tmp_path}/nowhere')
    reasons = {n: f.problem for n,f in found.items()}
    assert 'is no folder' in reasons['gone'] and 'line' in reasons['gone']
    assert 'no configs/ folder' in reasons['bare'] and '__init__.py is there' in reasons['hollow']
    assert 'pip install' in reasons['no_such_package_x'] and 'is no folder' in reasons['']
    assert listing(list(found.values())).count('NOT USABLE')==5

def test_a_package_without_configurations(tmp_path, monkeypatch):
    model(tmp_path, 'packed_m', nested=False, configs=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = external(tmp_path/'elsewhere', XLM_MODELS_PACKAGES='packed_m')['packed_m']
    assert 'its setup must package them' in found.problem

def test_a_package_with_configurations(tmp_path, monkeypatch):
    model(tmp_path, 'whole_m', nested=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = external(tmp_path/'elsewhere', XLM_MODELS_PACKAGES='whole_m')['whole_m']
    assert not found.problem and found.configs==(tmp_path/'whole_m'/'configs',)

def test_other_files_beside_a_model_do_not_hide_packages(tmp_path):
    "A folder on Python's search path would: here only the model's own name can be imported."
    model(tmp_path, 'alone_m', nested=False)
    (tmp_path/'colorsys.py').write_text('raise RuntimeError')
    listed(tmp_path, alone_m='alone_m')
    make_importable(discover(tmp_path, {}))
    import alone_m, colorsys
    assert str(tmp_path) not in sys.path and colorsys.rgb_to_hsv and alone_m.__file__

def test_commands_are_declared_and_looked_up_late(tmp_path):
    model(tmp_path, 'busy_m', commands='look: busy_m.no_such_module.f\n')
    listed(tmp_path, busy_m='busy_m')
    known = commands_of(discover(tmp_path, {}), ['train'])
    assert known['look'].function=='busy_m.no_such_module.f'

def test_colliding_commands_name_both(tmp_path):
    model(tmp_path, 'c_one', commands='look: c_one.f\n')
    model(tmp_path, 'c_two', commands='look: c_two.f\n')
    listed(tmp_path, c_one='c_one', c_two='c_two')
    problem = commands_of(discover(tmp_path, {}))['look'].problem
    assert problem.startswith('Duplicate command name: look') and 'c_one' in problem and 'c_two' in problem
    (tmp_path/'c_two'/'configs'/'commands.yaml').write_text('train: c_two.f\n')
    known = commands_of(discover(tmp_path, {}), ['train'])
    assert 'the built-in one' in known['train'].problem and not known['look'].problem
    with pytest.raises(ExternalModelConflictError, match='train of .* and the built-in'):
        job('train', discover(tmp_path, {}))
    (tmp_path/'c_two'/'configs'/'commands.yaml').write_text('a: b.c\nbad: [\n')
    with pytest.raises(DataError, match='commands.yaml, line'): commands_of(discover(tmp_path, {}))

def test_help_and_list_import_neither_torch_nor_hydra(tmp_path):
    code = ('import sys; from decodelab.xlm.commands import command; s = command(sys.argv[1:]); heavy = '
            '[m for m in ("torch", "hydra", "lightning", "transformers", "numpy") if m in sys.modules]; '
            'sys.exit(s or len(heavy))')
    for word in ('--help', 'list'):
        p = subprocess.run([sys.executable, '-c', code, word], cwd=tmp_path, capture_output=True, text=True)
        assert p.returncode==0, (word, p.stderr)
        assert 'mdlm' in p.stdout
