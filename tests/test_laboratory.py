"A laboratory of one's own, from the built wheel in an environment that has nothing of this repository."
import json, os, re, shutil, subprocess, sys, sysconfig, venv
from pathlib import Path
import nbformat, pytest
from decodelab.core.errors import RunError
from decodelab.lab import health

def run(*line, cwd, env, check=True):
    p = subprocess.run([str(x) for x in line], cwd=cwd, env=env, capture_output=True, text=True)
    assert not check or p.returncode==0, p.stdout[-3000:] + p.stderr[-3000:]
    return p

@pytest.fixture(scope='module')
def wheel(root, tmp_path_factory):
    "The wheel of a copy of the tracked files."
    copy = tmp_path_factory.mktemp('copy')
    kept = ('pkg', 'nbs', 'params', 'slurm', 'schemas', 'pyproject.toml', 'setup.py', 'README.md', 'LICENSE')
    skip = shutil.ignore_patterns('__pycache__', '*.egg-info', '.ipynb_checkpoints')
    for name in kept:
        if (root/name).is_dir(): shutil.copytree(root/name, copy/name, ignore=skip)
        else: shutil.copy(root/name, copy/name)
    run(sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation', '-w', copy/'dist', copy,
        cwd=copy, env=os.environ)
    return next((copy/'dist').glob('*.whl'))

@pytest.fixture(scope='module')
def at_home(wheel, tmp_path_factory):
    "Run a command in a clean home: an environment of its own that shares other packages, but not ours."
    home = tmp_path_factory.mktemp('home')
    venv.create(home/'env', with_pip=False, symlinks=True)
    packages = Path(sysconfig.get_path('purelib', vars=dict(base=str(home/'env'), platbase=str(home/'env'))))
    (packages/'shared.pth').write_text(sysconfig.get_path('purelib')+'\n') # a plain path: its own .pth are not read
    env = dict(HOME=str(home), PATH=f'{home}/env/bin:/usr/local/bin:/usr/bin:/bin', LANG='C.UTF-8', HF_HUB_OFFLINE='1',
               OMP_NUM_THREADS='1')
    pip = (sys.executable, '-m', 'pip', '--python', home/'env', 'install', '-q', '--no-deps')
    run(*pip, wheel, cwd=home, env=os.environ)
    def go(*line, cwd=home, check=True): return run(*line, cwd=cwd, env=env, check=check)
    go.home = home
    return go

@pytest.fixture(scope='module')
def lab(at_home):
    "A new laboratory with an experiment of one's own."
    at_home('decodelab', 'new', 'my-lab')
    lab = at_home.home/'my-lab'
    at_home('decodelab', 'new', 'experiment', 'my_study', cwd=lab)
    return lab

def last(lab): return max((lab/'outputs').glob('*/*/run.json'), key=lambda f: f.stat().st_mtime).parent

def test_the_wheel_alone_makes_a_laboratory(at_home, lab):
    where = at_home('python', '-c', 'import decodelab; print(decodelab.__file__)').stdout
    assert where.startswith(str(at_home.home))
    there = {'nbs', 'params', 'slurm', 'schemas', 'settings.ini', 'Makefile', 'README.md', '.gitignore'}
    assert there <= set(os.listdir(lab))
    assert 'decodelab run eig_eval' in at_home('make', '-n', 'report', cwd=lab).stdout
    again = at_home('decodelab', 'new', 'my-lab', check=False)
    assert again.returncode==2 and 'exists already' in again.stderr
    lost = at_home('decodelab', 'new', 'experiment', 'other', check=False)
    assert lost.returncode==2 and 'not a laboratory' in lost.stderr

def test_an_experiment_of_ones_own_runs_at_once_and_is_treated_like_ours(at_home, lab):
    at_home('decodelab', 'run', 'my_study', '-p', 'n', '6', '-p', 'budgets', '0,8', '--no-progress', cwd=lab)
    folder = last(lab)
    info, metrics = (json.loads((folder/name).read_text()) for name in ('run.json', 'metrics.json'))
    assert info['status']=='done' and info['experiment']=='my_study' and metrics['n']==6
    assert (folder/'report.html').exists() and (folder/'figures'/'budgets.png').exists()
    assert 'my_study' in at_home('decodelab', 'ls', cwd=lab).stdout
    assert at_home('decodelab', 'publish', 'last', cwd=lab).stdout.strip().endswith('nbs/reports/my_study.ipynb')
    assert '`budgets`' in at_home('decodelab', 'params', 'my_study', cwd=lab).stdout
    for wrong,said in ((('n', '1'), 'n: got 1; allowed: int, at least 2'),
                       (('bugdets', '1'), "Did you mean 'budgets'?"),
                       (('budgets', 'x'), 'whole numbers with commas'), (('backend', 'hf:nowhere'), 'nowhere')):
        p = at_home('decodelab', 'run', 'my_study', '-p', *wrong, cwd=lab, check=False)
        assert p.returncode==2 and said in p.stderr, (wrong, p.stderr)
    assert len(list((lab/'outputs').glob('*/*')))==1 # what is refused leaves no folder

def test_papermill_runs_it_and_what_stands_in_the_cell_is_what_runs(at_home, lab):
    path = lab/'nbs'/'edited.ipynb'
    nb = nbformat.read(lab/'nbs'/'my_study.ipynb', 4)
    nb.cells[1].source = nb.cells[1].source.replace('n = 32 ', 'n = 4 ').replace('"0,8,16,32"', '"0,4"')
    nb.metadata.decodelab.experiment = 'edited'
    for c in nb.cells: c.source = c.source.replace("begin('my_study'", "begin('edited'")
    nbformat.write(nb, path)
    at_home('python', '-m', 'papermill', 'nbs/edited.ipynb', '-p', 'seed', '3', '--no-progress-bar', cwd=lab)
    folder = last(lab)
    assert folder.parent.name=='edited'
    import yaml
    p = yaml.safe_load((folder/'params.yaml').read_text())
    assert (p['n'], p['budgets'], p['seed'])==(4, '0,4', 3)

def blocks(root, kind):
    "Code of the how-tos that can be run anywhere: a block that needs more says so in its first line."
    for f in sorted((root/'nbs'/'howto').glob('*.md')):
        for code in re.findall(rf'^```{kind}\n(.*?)^```', f.read_text(), re.M|re.S):
            if not code.startswith('# needs'): yield f.name, code

def test_commands_of_the_how_tos_do_what_they_say(at_home, lab, root):
    found = list(blocks(root, 'sh'))
    assert len(found) >= 5
    for name,code in found:
        at_home('bash', '-euo', 'pipefail', '-c', code, cwd=lab)
    python = '\n'.join(code for _,code in blocks(root, 'python'))
    out = at_home('python', '-c', f'import sys; sys.path.insert(0, "")\n{python}', cwd=lab).stdout
    assert '3a+4b' in out and 'Question(' in out

def test_every_how_to_is_there_and_every_named_command_exists(root):
    from click.testing import CliRunner
    from decodelab.lab.cli import main
    files = sorted((root/'nbs'/'howto').glob('*.md'))
    assert len(files)==9
    text = '\n'.join(f.read_text() for f in files)
    for name in set(re.findall(r'^decodelab (\w[\w-]*)', text, re.M)):
        assert CliRunner().invoke(main, [name, '--help']).exit_code==0, name

def test_a_parameter_model_may_lie_in_a_module_of_the_laboratory(tmp_path):
    from decodelab.lab.experiments import experiment, resolve
    from decodelab.lab.laboratory import new_experiment, new_laboratory
    lab = new_laboratory(str(tmp_path/'lab'))
    path = new_experiment('elsewhere', lab)
    (lab/'their_models.py').write_text('from decodelab.core.parameters import Parameters, param\n'
                                       'class Theirs(Parameters): n: int = param(3, "Questions.", ge=1)\n')
    nb = json.loads(path.read_text())
    nb['metadata']['decodelab']['parameters'] = 'their_models:Theirs'
    path.write_text(json.dumps(nb))
    exp = experiment('elsewhere', lab)
    assert list(exp.parameters.model_fields)==['n'] and resolve(exp, {}, lab).n==32 # as its cell says

def test_a_notebook_in_a_broken_state_hides_no_other(root, tmp_path):
    from decodelab.lab.experiments import experiment, own_notebooks
    from decodelab.lab.laboratory import new_experiment, new_laboratory
    lab = new_laboratory(str(tmp_path/'lab'))
    new_experiment('good', lab)
    (lab/'nbs'/'bad.ipynb').write_text('{')
    nb = json.loads((lab/'nbs'/'good.ipynb').read_text())
    nb['metadata']['decodelab'] = dict(experiment='lost', parameters='nowhere:Model')
    (lab/'nbs'/'lost.ipynb').write_text(json.dumps(nb))
    assert set(own_notebooks(lab))=={'good', 'lost', 'sweep_report'} # which names its own model
    assert experiment('good', lab).parameters.__name__=='GoodParameters'
    with pytest.raises(RunError, match='nowhere'): print(experiment('lost', lab).parameters)

@pytest.mark.parametrize('shell', ['bash', 'zsh', 'fish'])
def test_completion(shell):
    from click.testing import CliRunner
    from decodelab.lab.cli import main
    done = CliRunner().invoke(main, ['completion', shell])
    assert done.exit_code==0 and '_DECODELAB_COMPLETE' in done.output

def test_doctor_tries_a_runtime_and_tells_what_is_broken(monkeypatch):
    found = {f.what: f for f in health.runtime_findings(('reference',))}
    assert found['reference'].state=='ok' and 'rewind' in found['reference'].found
    monkeypatch.setitem(health.RUNTIMES, 'gguf', 'gguf:/nowhere.gguf')
    truth = dict(text='', logprob=0., capabilities={})
    monkeypatch.setattr(health, 'tried', lambda spec: truth if 'student' in spec else dict(error='no such file'))
    broken = list(health.runtime_findings(('reference', 'gguf')))[1]
    assert broken.state in ('broken', 'lacks') and broken.mend

def test_doctor_without_trials_is_read_by_a_program(command):
    found = json.loads(command('decodelab', 'doctor', '--no-trials', '--json').stdout)
    assert {'machine', 'packages', 'tools'}=={f['group'] for f in found}
    assert all(f['mend'] for f in found if f['group']=='packages' and f['state']=='lacks')

def test_citation_and_package_say_the_same(root):
    import yaml
    cited = yaml.safe_load((root/'CITATION.cff').read_text())
    import decodelab
    assert cited['version']==decodelab.__version__ and cited['license']=='Apache-2.0'
