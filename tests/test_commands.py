"The commands as a user types them, on a terminal and in a pipe."
import json, os, re, signal, subprocess, sys, time
from pathlib import Path
import nbformat, yaml
from sweep_parts import notebook

BIN = Path(sys.executable).parent
SMALL = '-p n 6 -p chunk 3 -p mc_samples 2 -p sample_length 16 -p max_tokens 32'.split()
FILES = {'report.ipynb', 'report.html', 'params.yaml', 'run.json', 'metrics.json', 'samples.jsonl', 'figures',
         'env.txt', 'log.txt'}

def only_run(outputs):
    runs = list(outputs.glob('eig_eval/*'))
    assert len(runs)==1, runs
    return runs[0]

def check_run(folder, **params):
    assert FILES <= {p.name for p in folder.iterdir()} and re.fullmatch(r'\d{8}-\d{6}-[0-9a-f]{8}', folder.name)
    info = json.loads((folder/'run.json').read_text())
    assert info['status']=='done' and info['key'].startswith(folder.name[-8:])
    assert info['versions']['torch'] and info['models'] and info['notebook_hash']
    p = yaml.safe_load((folder/'params.yaml').read_text())
    assert {k: p[k] for k in params}==params
    nb = nbformat.read(folder/'report.ipynb', 4)
    assert all(c.execution_count for c in nb.cells if c.cell_type=='code' and c.source)
    assert any('image/png' in o.get('data', {}) for c in nb.cells for o in c.get('outputs', []))
    assert 'seconds' not in json.dumps(json.loads((folder/'metrics.json').read_text()))
    return info

def test_papermill_as_typed_on_a_terminal(on_terminal, outputs):
    more = ['-p', 'n', '12', '-p', 'max_tokens', '64']
    seen = on_terminal('papermill', 'nbs/eig_eval.ipynb', '-p', 'lambda_cost', '0.03', *SMALL, *more)
    assert seen.code==0, seen.text
    check_run(only_run(outputs), lambda_cost=.03, n=12)
    for stage in ('Set-up', 'full reasoning', 'beliefs and gains', 'EIG live'): assert stage in seen.text, stage
    assert re.search(r' \d+ of 12, \d+ s', seen.text) and 'caught in kernel' not in seen.text

def test_papermill_in_a_pipe(command, outputs):
    p = command('papermill', 'nbs/eig_eval.ipynb', '-p', 'lambda_cost', '0.03', *SMALL, stdin=subprocess.PIPE)
    assert check_run(only_run(outputs), lambda_cost=.03)['by']=='papermill' and '"cells"' not in p.stdout
    done = re.findall(r'^(.*): 6 of 6, \d+ s$', p.stderr, re.M)
    assert done==['full reasoning', 'EIG live', 'beliefs and gains'] and 'caught in kernel' not in p.stderr

def test_papermill_with_an_output_path(command, outputs, tmp_path):
    command('papermill', notebook(tmp_path/'tiny.ipynb'), tmp_path/'my.ipynb', '-p', 'lambda_cost', '0.1')
    run = only_run(outputs)
    assert yaml.safe_load((run/'params.yaml').read_text())['lambda_cost']==.1
    assert json.loads((run/'run.json').read_text())['status']=='done'
    theirs, ours = (nbformat.read(f, 4).cells for f in (tmp_path/'my.ipynb', run/'report.ipynb'))
    assert [c.source for c in theirs]==[c.source for c in ours] and all(c.execution_count for c in theirs)

def test_papermill_leaves_other_notebooks_alone(command, tmp_path, outputs):
    code, kernel = nbformat.v4.new_code_cell, dict(name='python3', display_name='p', language='python')
    cells = [code('x = 1', metadata=dict(tags=['parameters'])), code('print(x)')]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=dict(kernelspec=kernel)), tmp_path/'a.ipynb')
    p = command('papermill', tmp_path/'a.ipynb', '-p', 'x', '7')
    assert '"cells"' in p.stdout and '7\\n' in p.stdout and not outputs.exists()

def test_decodelab_run_ls_show_publish(command, outputs, tmp_path):
    p = command('decodelab', 'run', 'eig_eval', '-f', 'params/eig/fast.yaml', '-p', 'lambda_cost', '0.03', *SMALL,
                '--no-progress')
    run = only_run(outputs)
    check_run(run, lambda_cost=.03, beam_size=4, max_computation_time=15)
    assert str(run/'report.html') in p.stdout and len(p.stderr.splitlines()) <= 3
    assert run.name in command('decodelab', 'ls').stdout
    assert 'lambda_cost' in command('decodelab', 'show', run.name[-8:]).stdout
    assert 'done' in command('decodelab', 'show', 'last').stdout
    p = command('decodelab', 'resume', 'last', check=False)
    assert p.returncode==2 and 'nothing to resume' in p.stderr
    p = command('decodelab', 'show', 'zzz', check=False)
    assert p.returncode==2 and 'none of that name' in p.stderr

def test_preset_is_overridden_by_name_even_with_the_default_value(outputs, root, monkeypatch):
    from click.testing import CliRunner
    from decodelab.lab import cli, runner
    monkeypatch.chdir(root)
    monkeypatch.setattr(runner, 'conduct', lambda run, *a, **k: (run.finish(), run.unlock(), run)[-1]) # nothing is run
    found = CliRunner().invoke(cli.main, ['run', 'eig_eval', '-p', 'preset', 'fast', '-p', 'lambda_cost', '0.05'])
    assert found.exit_code==0, found.output
    p = yaml.safe_load((only_run(outputs)/'params.yaml').read_text())
    assert (p['lambda_cost'], p['beam_size'], p['sample_length'])==(.05, 4, 32)

def begun(outputs, whole):
    "The folder of a run beside the finished one, as soon as it has samples."
    for _ in range(1200):
        for samples in outputs.glob('eig_eval/*/samples.jsonl'):
            if samples.parent!=whole and samples.stat().st_size > 2000: return samples.parent
        time.sleep(.05)
    raise AssertionError('no samples came')

def test_killed_papermill_run_resumes_to_the_same_bytes(command, outputs, root):
    args = ['run', 'eig_eval', '-p', 'n', '10', '-p', 'chunk', '1', '-p', 'max_tokens', '32', '-p', 'mc_samples', '2',
            '-p', 'sample_length', '16']
    command('decodelab', *args, '--no-progress')
    whole = only_run(outputs)
    env = os.environ | {'DECODELAB_OUTPUTS': str(outputs)}
    p = subprocess.Popen([BIN/'decodelab', *args, '--no-progress'], cwd=root, start_new_session=True, env=env,
                         stderr=subprocess.DEVNULL)
    killed = begun(outputs, whole)
    os.killpg(p.pid, signal.SIGKILL)
    p.wait()
    subprocess.run(['pkill', '-9', '-f', str(killed)])
    time.sleep(.5)
    assert 'interrupted' in command('decodelab', 'ls').stdout
    command('decodelab', 'resume', killed.name, '--no-progress')
    assert check_run(killed)['attempts']==2
    for f in ('samples.jsonl', 'metrics.json'): assert (killed/f).read_bytes()==(whole/f).read_bytes()

def test_failed_run_keeps_its_report_and_traceback(command, outputs, tmp_path):
    "A notebook that raises in the middle."
    broken = "from decodelab.core.errors import ModelError\nraise ModelError('a model that broke')"
    p = command('papermill', notebook(tmp_path/'eig_eval.ipynb', broken), check=False)
    run = only_run(outputs)
    info = json.loads((run/'run.json').read_text())
    assert p.returncode and info['status']=='failed' and 'a model that broke' in info['error']
    assert 'ModelError' in (run/'log.txt').read_text() and (run/'report.ipynb').exists()

def test_run_all_as_jupyter_does(command, outputs, root, tmp_path):
    "Run All: the kernel executes the notebook with no papermill about it."
    nb = nbformat.read(root/'nbs/eig_eval.ipynb', 4)
    cell = next(c for c in nb.cells if 'parameters' in c.metadata.get('tags', []))
    cell.source += '\nn, chunk, mc_samples, max_tokens = 6, 3, 2, 32'
    nbformat.write(nb, tmp_path/'eig_eval.ipynb')
    command('jupyter', 'execute', tmp_path/'eig_eval.ipynb')
    run = only_run(outputs)
    info = json.loads((run/'run.json').read_text())
    assert info['status']=='done' and info['by']=='jupyter'
    assert yaml.safe_load((run/'params.yaml').read_text())['n']==6

def best_of(n, *args):
    "Processor seconds of a command, the quickest of a few: other work on the machine does not count."
    def once():
        before = os.times()
        subprocess.run(args, check=True, capture_output=True)
        spent = os.times()
        return spent.children_user+spent.children_system-before.children_user-before.children_system
    return min(once() for _ in range(n))

LIGHT = '''
import sys, decodelab, decodelab.lab.cli
from decodelab.eig import AnswerPosteriorEstimator, ExpectedInformationGainCalculator, MonteCarloForecaster
from decodelab.backends import load, Toy
print([m for m in ("torch", "transformers", "vllm", "matplotlib", "pandas") if m in sys.modules])
'''

def test_help_and_import_load_nothing_heavy(root):
    out = subprocess.run([sys.executable, '-c', LIGHT], capture_output=True, text=True, check=True)
    assert out.stdout.strip()=='[]'
    base = best_of(3, sys.executable, '-c', 'pass')
    assert best_of(5, sys.executable, '-c', 'import decodelab')-base < .1
    assert best_of(5, BIN/'decodelab', '--help') < .4

def test_a_run_starts_without_what_it_does_not_need():
    "Papermill comes without a grammar of IRIs, packages without their descriptions; the grammar is there for others."
    code = """import importlib.metadata as m, sys
from decodelab.core.runs import Provenance
from decodelab.lab.runner import import_papermill
import_papermill()
assert 'papermill' in sys.modules and 'jsonschema' in sys.modules and 'rfc3987_syntax' not in sys.modules
want = sorted(f'{d.metadata["Name"]}=={d.version}' for d in m.distributions())
assert Provenance.here().packages.split() == want"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert not done.returncode, done.stderr
