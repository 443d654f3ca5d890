"What newcomers type wrong, rename, copy or break: told in one sentence, before anything starts."
import json
import pytest
from click.testing import CliRunner
from clock import seconds
from decodelab.core import BadValue, RunError, read
from decodelab.core.errors import DecodelabError, data_size, many, nearest
from decodelab.core.parameters import DataError, Parameters, allowed, param, read_yaml, table
from decodelab.core.runs import Provenance, Run, find_run, list_runs
from decodelab.core.settings import in_laboratory, load_settings
from decodelab.lab.catalogue import catalogue
from decodelab.lab.cli import main
from decodelab.lab.experiments import experiment, from_pairs
from decodelab.lab.laboratory import new_experiment
from decodelab.lab.points import SweepSpec, expand
from decodelab.lab.sweeps import find_sweep

MADE = Provenance(dict(versions={}, git={}, machine={}), 'a==1\n')
def said(*args): return CliRunner().invoke(main, list(map(str, args)))

@pytest.fixture
def lab(tmp_path, monkeypatch):
    "A laboratory with one experiment of its own; nothing is told where runs go but by its settings."
    (tmp_path/'nbs').mkdir()
    (tmp_path/'settings.ini').write_text('[decodelab]\n')
    new_experiment('my_study', tmp_path)
    monkeypatch.delenv('DECODELAB_OUTPUTS', raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path

def a_run(outputs, began, i=0):
    run = Run.create('demo', dict(i=i), outputs=outputs, made=MADE, status='done')
    run.update(started=began)
    return run

# --- which run is the last, and which one is meant ---
def test_the_last_run_is_the_newest_whatever_folders_are_called(tmp_path):
    old, new = (a_run(tmp_path, f'2026-01-0{d}T00:00:00+00:00', d) for d in (1, 2))
    old.folder.rename(old.folder.with_name('zz-renamed'))
    assert find_run('last', tmp_path).folder==new.folder
    assert [r.params['i'] for r in list_runs(tmp_path)]==[2, 1]
    assert [row.started[:10] for row in catalogue(tmp_path)]==['2026-01-02', '2026-01-01']

def test_of_two_runs_in_one_second_the_later_is_last_for_all(tmp_path):
    "Whoever lists runs lists them in one order, also where their folders' names say another."
    from decodelab.lab.runs import read_runs
    made = [a_run(tmp_path, '2026-01-01T00:00:00+00:00', i) for i in range(12)]
    made[3].folder.rename(made[3].folder.with_name('20990101-000000-renamed'))
    (made[5].folder/'run.json').write_text('{') # broken: its folder says when
    newest = [*range(12)][::-1]
    assert find_run('last', tmp_path).folder==made[-1].folder
    assert [r.params['i'] for r in list_runs(tmp_path)]==[i for i in newest if i!=5]
    for _ in range(2): # anew, and from the index
        rows = [row for row in catalogue(tmp_path) if row.status!='broken']
        assert [Run(tmp_path/row.place).params['i'] for row in rows]==[i for i in newest if i!=5]
    assert [r.params['i'] for r in read_runs(tmp_path) if not r.problem]==[i for i in newest if i!=5]
    assert [row.place for row in catalogue(tmp_path)]==[r.name for r in read_runs(tmp_path)]

@pytest.mark.parametrize('change,why', [(dict(status=3), "status is '3'"), (dict(started=5), "started is '5'"),
    (dict(given='all'), "given is 'all'"), (dict(seconds=dict(work='x')), "seconds: work is 'x'"),
    (dict(error=['a']), 'error is'), (dict(attempts='2'), "attempts is '2'")])
def test_a_record_of_the_wrong_kinds_is_broken_for_all_and_hides_nothing(lab, change, why):
    import json
    good, bad = (a_run(lab/'outputs', f'2026-01-0{d}T00:00:00+00:00', d) for d in (1, 2))
    (bad.folder/'run.json').write_text(json.dumps(bad.info | change))
    listed = said('ls')
    assert listed.exit_code==0 and why in listed.output and good.folder.name in listed.output
    for args in (('show', bad.folder.name), ('compare', 'last', bad.folder.name), ('resume', bad.folder.name)):
        found = said(*args)
        assert found.exit_code==2 and why in found.output, (args, found.output)
    found = said('view')
    assert found.exit_code==0 and why in (lab/'outputs'/'view'/'runs.js').read_text()

def test_metrics_that_are_none_or_of_another_shape(lab):
    run = a_run(lab/'outputs', '2026-01-01T00:00:00+00:00')
    for text in ('{', '[1]', '3'):
        (run.folder/'metrics.json').write_text(text)
        found = said('show', 'last')
        assert found.exit_code==2 and 'its metrics.json is broken' in found.output, found.output
        assert 'its metrics.json is broken' in said('ls').output
    for text in ('{"live": 3}', '{"live": {"accuracy": null}}', '{"live": {"accuracy": 0.5}}', '{}'):
        (run.folder/'metrics.json').write_text(text)
        assert said('show', 'last').exit_code==0 and 'demo  done' in said('ls').output

def test_a_run_is_found_by_every_name_that_commands_give_it(lab):
    made = [a_run(lab/'outputs', f'2026-01-{d:02}T00:00:00+00:00', d) for d in range(1, 13)]
    for name in (made[0].folder.name, f'demo/{made[0].folder.name}', made[0].info['key'][:12]):
        assert find_run(name).folder==made[0].folder
    assert said('show', made[0].folder.name[:4]).output.strip().endswith('and 4 others')

@pytest.mark.parametrize('text', ['{"status": "do', '[]', None])
def test_a_broken_record_is_told_alike_by_all(lab, text):
    good, bad = (a_run(lab/'outputs', f'2026-01-0{d}T00:00:00+00:00', d) for d in (1, 2))
    if text is None: (bad.folder/'run.json').unlink()
    else: (bad.folder/'run.json').write_text(text)
    why = 'it has no run.json' if text is None else 'its run.json is broken'
    for args in (('show', bad.folder.name), ('compare', good.folder.name, bad.folder.name), ('show', bad.folder),
                 ('resume', bad.folder.name), ('publish', bad.folder.name)):
        found = said(*args)
        assert found.exit_code==2 and why in found.output and 'Did you mean' not in found.output, (args, found.output)
    assert good.folder.name in said('show', 'last').output

# --- notebooks ---
def copied(lab, name, change=lambda text: text):
    (lab/'nbs'/f'{name}.ipynb').write_text(change((lab/'nbs'/'my_study.ipynb').read_text()))

def test_a_copied_notebook_is_not_lost(lab):
    copied(lab, 'other')
    assert experiment('my_study').notebook.name=='my_study.ipynb'
    with pytest.raises(RunError, match='says that it is the experiment .my_study.*as a copy does'): experiment('other')
    copied(lab, 'third')
    (lab/'nbs'/'my_study.ipynb').unlink()
    with pytest.raises(RunError, match='several notebooks say that they are it: .*other.ipynb.*third.ipynb'):
        experiment('my_study')

def test_a_broken_notebook_is_named(lab):
    (lab/'nbs'/'torn.ipynb').write_text('{"cells": [')
    with pytest.raises(RunError, match='torn.ipynb: not a notebook'): experiment('torn')
    copied(lab, 'wrong', lambda text: text.replace('my_study', 'wrong').replace('seed = 0', 'seed = = 0'))
    for args in (('params', 'wrong'), ('run', 'wrong')):
        found = said(*args)
        assert found.exit_code==2 and 'wrong.ipynb: parameters cell: ' in found.output, found.output
    copied(lab, 'model', lambda text: text.replace('my_study', 'model').replace('param(32,', 'param(32;'))
    assert 'model.ipynb: ' in said('params', 'model').output and said('params', 'model').exit_code==2

def test_data_that_are_not_there_are_told_before_a_run_is_made(lab):
    for data in ('missing.jsonl', 'data/none.jsonl', '~/none.csv'):
        found = said('run', 'my_study', '-p', 'data', data)
        assert found.exit_code==2 and data.split('/')[-1] in found.output and not (lab/'outputs').exists(), found.output

def test_a_name_in_the_parameters_cell_that_is_no_parameter(lab):
    copied(lab, 'slip', lambda text: text.replace('my_study', 'slip').replace('budgets = ', 'budgest = '))
    for words in (('run', 'slip'), ('run', 'nbs/slip.ipynb')):
        found = said(*words)
        assert found.exit_code==2 and "name in the parameters cell: got 'budgest'" in found.output
        assert "Did you mean 'budgets'?" in found.output and not (lab/'outputs').exists()
    copied(lab, 'own', lambda text: text.replace('my_study', 'own').replace('seed = 0', 'seed = 0; _mine = 3'))
    from decodelab.lab.experiments import resolve
    assert resolve(experiment('own'), {}).n==32

def test_a_parameter_model_that_is_changed_and_not_saved_counts(lab, capsys):
    "In JupyterLab a cell may have been run that no file holds yet."
    from decodelab.lab.experiments import begin
    class MyStudyParameters(Parameters):
        backend: str = param('reference:student', 'Runtime and model.')
        n: int = param(32, 'Questions.', ge=2)
        added: int = param(1, 'New.', ge=0)
    run, p = begin('my_study', dict(MyStudyParameters=MyStudyParameters, n=5, added=7, sed=3, adde=8))
    assert capsys.readouterr().out.split('\n')[0].endswith('changes nothing. Did you mean added?')
    assert (p.n, p.added, run.params['added'], run.info['given'])==(5, 7, 7, dict(n=5, added=7))
    run.finish()
    run.unlock()

@pytest.mark.parametrize('line', ['n += 1', 'if True: n = 4', 'for n in range(3): pass', '(n := 7)', 'del n',
                                  '*n, m = 1, 2', 'n = 2*3', 'with open("x") as f: n = 5'])
def test_a_parameters_cell_that_computes_is_told(lab, line):
    "Its values are read, not run: what `n += 1` makes of n would be shown, and not be what runs."
    def computing(text): return text.replace('my_study', 'computes').replace('seed = 0', json.dumps(line)[1:-1])
    copied(lab, 'computes', computing)
    found = said('run', 'computes')
    assert found.exit_code==2 and 'papermill needs a plain value there' in found.output and not (lab/'outputs').exists()

@pytest.mark.parametrize('line', ['import os', 'print(1)', 'def f(): n = 5', 'n: int', 'seen = {}'])
def test_a_parameters_cell_may_hold_what_changes_no_parameter(lab, line):
    from decodelab.lab.experiments import written
    cell = dict(cell_type='code', source=f'n = 3\n{line}', metadata=dict(tags=['parameters']))
    assert written(dict(cells=[cell]))['n']==3

@pytest.mark.parametrize('body,says', [('raise ValueError("odd")', 'ValueError: odd'),
                                       ('return 5', 'got 5; allowed: nothing'),
                                       ('return dict(a=5)', 'a dict of fingerprints as texts')])
def test_a_check_of_ones_own_that_goes_wrong_is_told_before_a_run_is_made(lab, body, says):
    from decodelab.lab.experiments import check_own
    class Mine(Parameters): n: int = param(1, 'N.')
    exec(f'def check(self): {body}', globals(), found := {})
    Mine.check = found['check']
    with pytest.raises(DecodelabError, match=says): check_own(Mine())

def test_a_parameter_may_be_called_check():
    from decodelab.lab.experiments import check_own
    class Mine(Parameters): check: int = param(1, 'N.')
    assert check_own(Mine())=={}

@pytest.mark.parametrize('words', ['show', 'run', 'resume', 'publish', 'params', 'new experiment', 'new',
                                   'run my_study -p data', 'run my_study -p backend'])
def test_a_name_that_no_file_can_have_is_one_sentence(lab, words):
    long = ('hf:' if 'backend' in words else '') + 'x'*300 + ('.jsonl' if 'data' in words else '')
    found = said(*words.split(), long)
    assert found.exit_code==2 and 'File name too long' in found.output and found.output.count('\n')==1, found.output

@pytest.mark.parametrize('name', ['sweeps', 'view', 'models', 'sweep', 'recordings'])
def test_names_that_mean_something_else_are_no_experiment_of_ones_own(lab, name):
    with pytest.raises(BadValue, match='besides models, questions, recordings, sweep, sweeps, view'):
        new_experiment(name, lab)
    copied(lab, 'taken', lambda text: text.replace('my_study', name))
    found = said('run', 'nbs/taken.ipynb')
    assert found.exit_code==2 and f'metadata.decodelab.experiment is {name!r}' in found.output

@pytest.mark.parametrize('said_in_it', ['my_study', 3, None, dict(experiment='../outside', parameters='P'),
    dict(experiment=['x'], parameters='P'), dict(experiment='', parameters='P'),
    dict(experiment='a/b', parameters='P')])
def test_metadata_of_other_kinds_are_told_and_hide_nothing(lab, said_in_it):
    nb = json.loads((lab/'nbs'/'my_study.ipynb').read_text())
    nb['metadata']['decodelab'] = said_in_it
    (lab/'nbs'/'odd.ipynb').write_text(json.dumps(nb))
    found = said('run', 'nbs/odd.ipynb')
    assert found.exit_code==2 and 'odd.ipynb' in found.output and not (lab/'outputs').exists(), found.output
    assert said('params', 'my_study').exit_code==0

def test_the_folder_one_stands_in_may_become_a_laboratory(tmp_path, monkeypatch):
    (tmp_path/'my-lab').mkdir()
    monkeypatch.chdir(tmp_path/'my-lab')
    found = said('new', '.')
    assert found.exit_code==0 and 'next: make report' in found.output and in_laboratory()
    assert (tmp_path/'my-lab'/'README.md').read_text().startswith('# my-lab')
    assert said('new', '.').exit_code==2 # it is not empty any more

def test_what_a_sweeps_file_lacks_or_has_of_the_wrong_kind(lab):
    for text,words in (('grid: {n: [4]}', 'notebook: must be given; allowed: text'), ('', 'notebook: must be given'),
                       ('notebook: my_study\ngrid: {n: 4}', 'grid.n: got 4; allowed: a list of values'),
                       ('notebook: my_study\nlist: [3]', 'list.0: got 3; allowed: names with values')):
        (lab/'sw.yaml').write_text(text)
        found = said('sweep', 'sw.yaml')
        assert found.exit_code==2 and words in found.output, found.output

def test_what_is_wrong_for_a_cluster_is_told_before_folders_are_made(lab, monkeypatch):
    (lab/'sw.yaml').write_text('notebook: my_study\nseeds: 2')
    monkeypatch.setenv('PATH', str(lab)) # no sbatch
    for options,words in ((('--time', '5x'), "time: got '5x'"), (('--sbatch', 'x'), 'sbatch option'),
                          ((), 'sbatch: not found')):
        found = said('sweep', 'sw.yaml', '--on', 'slurm', *options)
        assert found.exit_code==2 and words in found.output and not (lab/'outputs').exists(), found.output

def test_a_cluster_that_does_not_answer_is_told_before_folders_are_made(lab, monkeypatch):
    "The client programs are there, and slurmctld is not; or it is, and has no such partition."
    (lab/'sw.yaml').write_text('notebook: my_study\nseeds: 2')
    answer = '[ -e up ] && echo short && exit; echo "fatal: no host" >&2; exit 1'
    for name,line in (('sbatch', 'exit 1'), ('sinfo', answer)):
        (lab/name).write_text(f'#!/bin/sh\n{line}\n')
        (lab/name).chmod(0o755)
    monkeypatch.setenv('PATH', f'{lab}:/bin:/usr/bin')
    found = said('sweep', 'sw.yaml', '--on', 'slurm')
    assert found.exit_code==2 and 'Slurm does not answer: fatal: no host' in found.output
    assert not (lab/'outputs').exists()
    (lab/'up').touch()
    found = said('sweep', 'sw.yaml', '--on', 'slurm', '--partition', 'shrt')
    assert found.exit_code==2 and "Did you mean 'short'?" in found.output and not (lab/'outputs').exists()
    for options,words in ((('--gpus', '-1'), "gpus: got '-1'"), (('--memory', 'much'), "memory: got 'much'")):
        found = said('sweep', 'sw.yaml', '--on', 'slurm', '--dry-run', *options)
        assert found.exit_code==2 and words in found.output, found.output

@pytest.mark.parametrize('words', ['my_study n=3', 'my_study --n 3', 'my_study --budgets=4'])
def test_parameters_typed_as_other_programs_take_them(lab, words):
    found = said('run', *words.split())
    assert found.exit_code==2 and 'A parameter is given as -p NAME VALUE.' in found.output
    assert not (lab/'outputs').exists()
    assert '-p NAME' not in said('ls', '--m').output

def test_a_file_that_holds_no_parameters_is_told_in_a_line(lab):
    (lab/'sw.yaml').write_text('notebook: my_study\ngrid: {n: [4, 8]}')
    (lab/'odd.yaml').write_text(f'one: {"x"*5000}\ntwo: 2\nbudgest: "4"')
    for file,words in (('sw.yaml', 'decodelab sweep FILE'), ('nbs/my_study.ipynb', 'not a notebook')):
        found = said('run', 'my_study', '-f', file)
        assert found.exit_code==2 and words in found.output and found.output.count('\n')==1, found.output
    found = said('run', 'my_study', '-f', 'odd.yaml')
    assert found.output.count('Known: backend')==1 and len(found.output) < 700
    assert "Did you mean 'budgets'?" in found.output

def test_names_of_runs_that_say_nothing(lab):
    for what in ('show', 'resume', 'publish', 'watch'):
        assert 'there are no runs yet: decodelab run eig_eval' in said(what, 'last').output
    run = a_run(lab/'outputs', '2026-01-01T00:00:00+00:00')
    for what in ('show', 'resume', 'publish', 'watch'):
        found = said(what, '')
        assert found.exit_code==2 and 'a run has a name' in found.output
    assert 'none of that name among 1 run' in said('show', 'zz').output
    assert run.folder.name in said('show', 'last').output
    with pytest.raises(RunError, match='there are no sweeps yet'): find_sweep('last', lab/'outputs')

def test_one_and_many_and_sizes():
    assert [many(n, 'record') for n in (0, 1, 2000)]==['0 records', '1 record', '2,000 records']
    assert [data_size(n) for n in (0, 1, 1023, 1024, 1536, 10_240, 2**20-1, 2**50)]==[
        '0 bytes', '1 byte', '1,023 bytes', '1.0 KiB', '1.5 KiB', '10 KiB', '1.0 MiB', '1024 TiB']
    assert 'Did you mean' not in str(BadValue('prompt', 'nofile', ['hint', 'a file']))
    assert "Did you mean 'budget 0.tokens'?" in str(BadValue('metric', 'budget0.tokens', ['budget 0.tokens', 'n']))
    with pytest.raises(BadValue, match=r'and 1 other\.'): raise BadValue('x', 3, [f'n{i}' for i in range(41)])

def test_a_site_where_none_can_be_written(lab):
    (lab/'file').write_text('')
    for out,why in (('file', 'is a file'), ('nbs', 'is not empty'), ('file/x', 'cannot be made')):
        found = said('docs', '--out', out)
        assert found.exit_code==2 and why in found.output, (out, found.output)

def test_reports_that_are_not_there_are_told_before_any_is_run(lab):
    found = said('verify', 'nosuch', 'other')
    assert found.exit_code==2 and "report 'nosuch': not among the published ones" in found.output
    assert 'agree' not in found.output and 'no report is published here yet' in said('verify', '--all').output

def test_a_laboratory_where_none_can_be_made(lab):
    (lab/'file').write_text('')
    for place in ('/proc/my-lab', lab/'file'/'my-lab'):
        found = said('new', place)
        assert found.exit_code==2 and 'cannot be made' in found.output, found.output

def test_pages_where_none_can_be_written(lab, monkeypatch):
    from decodelab.lab import viewer
    for d in (1, 2): a_run(lab/'outputs', f'2026-01-0{d}T00:00:00+00:00', d)
    def full(here): raise OSError(28, 'No space left on device')
    monkeypatch.setattr(viewer, '_copy_page', full)
    found = said('view')
    assert found.exit_code==2 and 'the page cannot be written: No space left on device' in found.output
    from decodelab.lab.compare_page import write_comparison
    with pytest.raises(RunError, match='is a folder'): write_comparison(None, lab)

@pytest.mark.parametrize('index', ['{', '[]', '{"a": 3}', '{"a": [5, 2]}', '{"a": ["x", 2]}'])
def test_a_broken_index_of_samples_is_told(lab, index):
    from decodelab.core.runs import chunks
    run = a_run(lab/'outputs', '2026-01-01T00:00:00+00:00')
    list(chunks(run, 'work', [1], lambda part: [dict(id=1)]))
    (run.folder/'samples.index.json').write_text(index)
    with pytest.raises(RunError, match='samples.index.json: is broken'): list(chunks(run, 'work', [1], lambda part: []))
    assert said('view').exit_code==0 and 'is broken' in (lab/'outputs'/'view'/'runs.js').read_text()

def test_a_sample_that_is_nested_too_deeply_hides_no_other(lab):
    from decodelab.core.files import Journal
    good, bad = (a_run(lab/'outputs', f'2026-01-0{d}T00:00:00+00:00', d) for d in (1, 2))
    for run,deep in ((good, 3), (bad, 600)):
        value = 1
        for _ in range(deep): value = [value]
        Journal(run.folder/'samples.jsonl').append('live/0', [dict(stage='live', id='q', text='x', odd=value)])
    assert said('view').exit_code==0 and 'nested too deeply' in (lab/'outputs'/'view'/'runs.js').read_text()

# --- what is typed twice, or wrong ---
def test_a_parameter_given_twice_is_an_error():
    class Some(Parameters): n: int = param(1, 'N.')
    assert from_pairs(Some, [('n', '2'), ('n', '2')])==dict(n=2)
    with pytest.raises(BadValue, match='n: got .2 and 3.*given twice'): from_pairs(Some, [('n', '2'), ('n', '3')])

def test_a_number_that_is_given_is_kept_as_its_parameter_took_it(lab):
    "1e3 is 1000.0 to whoever reads a value before its type is known; the run asks 1000 questions."
    from decodelab.lab.experiments import start
    from decodelab.lab.points import checked_points
    given = from_pairs(experiment('my_study', lab).parameters, [('n', '1e3'), ('budgets', '0,4')])
    run = start(experiment('my_study', lab), given, '')
    run.unlock()
    assert run.info['given']==dict(n=1000, budgets='0,4') and ' n=1000' in said('ls').output
    assert str(checked_points(experiment('my_study', lab), [dict(n=1e3)], '')[0].given)=="{'n': 1000}"

def test_points_that_repeat_and_sweeps_that_never_end():
    def spec(**said): return read(SweepSpec, dict(notebook='eig_eval') | said)
    for part in (dict(list=[dict(a=1), dict(a=1)]), dict(zip=dict(a=[1, 1], b=[2, 2]))):
        with pytest.raises(BadValue, match='each point once'): expand(spec(**part))
    with pytest.raises(BadValue, match='each value once'): expand(spec(grid=dict(a=[[1], [1]])))
    assert len(expand(spec(list=[dict(a=1), dict(a=1.), dict(a=True)])))==3
    def refused(**said):
        with pytest.raises(BadValue, match='at most 10,000'): expand(spec(**said))
    assert seconds(lambda: refused(seeds=1_000_000_000), enough=.5) < .5
    assert seconds(lambda: refused(grid={c: list(range(100)) for c in 'abcd'}), enough=.5) < .5
    assert seconds(lambda: expand(spec(grid=dict(a=list(range(10_000))))), enough=2) < 2

@pytest.mark.parametrize('typed,meant', [('GRID', 'grid'), ('time-limit', 'time_limit'), ('Preset', 'presets'),
                                         ('qq', None)])
def test_the_nearest_name_is_found_whatever_its_case(typed, meant):
    assert nearest(typed, list(SweepSpec.model_fields))==meant

def test_a_name_given_twice_in_yaml_is_told_with_its_line(tmp_path):
    (tmp_path/'a.yaml').write_text('n: 1\nseed: 2\n\ngrid:\n  a: [1]\n  b: [2]\n  a: [3]\n')
    with pytest.raises(DataError, match='a is given twice, line 7'): read_yaml(tmp_path/'a.yaml')

def test_what_is_allowed_is_said_without_names_of_types():
    fields = SweepSpec.model_fields
    assert [allowed(fields[name]) for name in ('presets', 'seeds', 'grid', 'list')]==[
        'text or list of text', 'int or list of int', 'names with values', 'list of names with values']
    assert 'Undefined' not in table(SweepSpec) and 'must be given' in table(SweepSpec)

@pytest.mark.parametrize('device,right', [('cuad', False), ('cuda:x', False), ('auto:1', False), ('CPU', False),
                                          ('cpu', True), ('cuda:1', True), ('mps', True)])
def test_a_device_that_is_none(device, right):
    if right: assert load_settings(env=dict(DECODELAB_DEVICE=device)).device==device
    else:
        with pytest.raises(BadValue, match='setting device'): load_settings(env=dict(DECODELAB_DEVICE=device))

@pytest.mark.parametrize('setting,says', [
    ('memory_gb = -3', 'a number, at least'), ('memory_gb = nan', 'a number, at least'),
    ('memory_gb = 0', 'at least 0.0'), ('memory_gb = inf', 'a number'), ('threads = -1', 'a whole number, at least 0'),
    ('slurm_cpus = 2.5', 'a whole number'),
    ('outputs =', 'a folder'), ('outputs = ~nobody_here/runs', 'a folder'), ('default_backend =', "got ''"),
    ('memry_gb = 3', "Did you mean 'memory_gb'?"), ('device', 'line'), ('[decodelab]', 'already exists')])
def test_settings_that_cannot_be_are_one_sentence(lab, setting, says):
    (lab/'settings.ini').write_text(f'[decodelab]\n{setting}\n')
    found = said('ls')
    assert found.exit_code==2 and says in found.output and found.output.count('\n')==1, found.output

# --- where one stands ---
@pytest.mark.parametrize('words', ['ls', 'show last', 'run eig_eval', 'sweep lambda', 'resume last', 'compare a b',
                                   'view', 'publish last', 'verify --all', 'docs'])
def test_outside_a_laboratory(tmp_path, monkeypatch, words):
    monkeypatch.delenv('DECODELAB_OUTPUTS', raising=False)
    monkeypatch.chdir(tmp_path)
    assert not in_laboratory()
    found = said(*words.split())
    assert found.exit_code==2 and 'no laboratory here' in found.output and 'decodelab new' in found.output
    assert not list(tmp_path.iterdir()) and said(words.split()[0], '--help').exit_code==0

def test_where_no_folder_can_be_made(tmp_path, monkeypatch, root):
    (tmp_path/'file').write_text('')
    monkeypatch.setenv('DECODELAB_OUTPUTS', str(tmp_path/'file'/'runs'))
    monkeypatch.chdir(root)
    found = said('sweep', 'lambda')
    assert found.exit_code==2 and 'cannot be made there' in found.output and 'DECODELAB_OUTPUTS' in found.output

# --- what commands say ---
def test_one_run_against_itself(lab):
    run = a_run(lab/'outputs', '2026-01-01T00:00:00+00:00')
    found = said('compare', 'last', 'last')
    assert found.exit_code==2 and f'{run.folder.name} twice' in found.output
    assert 'does not differ from itself' in found.output

def test_verify_refuses_what_would_change_nothing(root, monkeypatch):
    monkeypatch.chdir(root)
    found = said('verify', 'eig_eval', '--within', 5)
    assert found.exit_code==2 and 'only with --all' in found.output

def test_keys_of_sweeps_stand_in_help_and_table():
    for name in SweepSpec.model_fields:
        assert name in said('sweep', '--help').output and f'`{name}`' in said('params', 'sweep').output

def test_stages_are_in_order_of_their_numbers():
    from decodelab.lab.compare import in_order
    names = ['budget-8', 'budget-16', 'budget-0', 'a2b10', 'a2b9']
    assert sorted(names, key=in_order)==['a2b9', 'a2b10', 'budget-0', 'budget-8', 'budget-16']

def test_the_page_of_runs_says_why_one_failed(tmp_path):
    from decodelab.lab.runs import read_run
    from decodelab.lab.viewer import about
    run = Run.create('demo', {}, outputs=tmp_path, made=MADE, status='failed', error='ValueError: odd\nmore')
    assert about(read_run(run.folder), 0, '')['result']=='ValueError: odd'

# --- completion ---
def completed(monkeypatch, capsys, line):
    words = line.split(' ')
    env = dict(COMP_WORDS=line, COMP_CWORD=str(len(words)-1), _DECODELAB_COMPLETE='bash_complete')
    for name,value in env.items(): monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit): main(prog_name='decodelab')
    return [row.partition(',')[2] for row in capsys.readouterr().out.split()]

def test_a_shell_completes_what_the_laboratory_knows(lab, monkeypatch, capsys):
    run = a_run(lab/'outputs', '2026-01-01T00:00:00+00:00')
    for folder,name in (('params/sweeps', 'lambda.yaml'), ('nbs/reports', 'mine.ipynb'),
                        ('params/my_study', 'quick.yaml')):
        (lab/folder).mkdir(parents=True)
        (lab/folder/name).write_text('notebook: my_study')
    def offered(line): return completed(monkeypatch, capsys, line)
    assert offered('decodelab run my')==['my_study'] and 'eig_eval' in offered('decodelab params ')
    assert offered('decodelab show ')==['last', run.folder.name]==offered('decodelab compare ')
    assert offered('decodelab verify ')==['mine'] and offered('decodelab sweep la')==['lambda']
    assert offered('decodelab run my_study -p bu')==['budgets']
    assert offered('decodelab sweep lambda -p n 3 -p bu')==['budgets']
    assert offered('decodelab run my_study -p preset ')==['quick']
    assert offered('decodelab run no_such -p ')==[]
