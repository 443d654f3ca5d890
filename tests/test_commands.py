"The commands as a user types them, on a terminal and in a pipe."
import json, os, pty, re, signal, subprocess, sys, time
from pathlib import Path
import nbformat, yaml

SMALL = ['-p', 'n', '6', '-p', 'chunk', '3', '-p', 'mc_samples', '2', '-p', 'sample_length', '16', '-p', 'max_tokens', '32']
FILES = {'report.ipynb','report.html','params.yaml','run.json','metrics.json','samples.jsonl','figures','env.txt','log.txt'}

def only_run(outputs):
    runs = list(outputs.glob('eig_eval/*')); assert len(runs)==1, runs
    return runs[0]

def check_run(folder, **params):
    assert FILES <= {p.name for p in folder.iterdir()} and re.fullmatch(r'\d{8}-\d{6}-[0-9a-f]{8}', folder.name)
    info = json.loads((folder/'run.json').read_text())
    assert info['status']=='done' and info['key'].startswith(folder.name[-8:]) and info['versions']['torch'] and info['models'] and info['notebook_hash']
    p = yaml.safe_load((folder/'params.yaml').read_text())
    for k,v in params.items(): assert p[k]==v
    nb = nbformat.read(folder/'report.ipynb', 4)
    assert all(c.execution_count for c in nb.cells if c.cell_type=='code' and c.source) and any('image/png' in o.get('data', {}) for c in nb.cells for o in c.get('outputs', []))
    assert 'seconds' not in json.dumps(json.loads((folder/'metrics.json').read_text()))
    return info

def on_terminal(args, cwd, env)->tuple[int,str]:
    "Run a command with a terminal for its input and output."
    out = b''; pid, fd = pty.fork()
    if pid==0: os.chdir(cwd); os.execvpe(args[0], args, env)
    while True:
        try: data = os.read(fd, 65536)
        except OSError: break
        if not data: break
        out += data
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), out.decode(errors='replace')

def test_papermill_as_typed_on_a_terminal(root, outputs):
    code, out = on_terminal([str(Path(sys.executable).parent/'papermill'), 'nbs/eig_eval.ipynb', '-p', 'lambda_cost', '0.03', *SMALL], root, os.environ | {'DECODELAB_OUTPUTS': str(outputs)})
    assert code==0, out
    check_run(only_run(outputs), lambda_cost=.03, n=6)

def test_papermill_in_a_pipe(command, outputs):
    p = command('papermill', 'nbs/eig_eval.ipynb', '-p', 'lambda_cost', '0.03', *SMALL, stdin=subprocess.PIPE)
    assert check_run(only_run(outputs), lambda_cost=.03)['by']=='papermill' and '"cells"' not in p.stdout

def test_papermill_with_an_output_path(command, outputs, tmp_path):
    command('papermill', 'nbs/eig_eval.ipynb', tmp_path/'my.ipynb', '-p', 'lambda_cost', '0.1', *SMALL)
    check_run(only_run(outputs), lambda_cost=.1)
    assert [c.source for c in nbformat.read(tmp_path/'my.ipynb', 4).cells]==[c.source for c in nbformat.read(only_run(outputs)/'report.ipynb', 4).cells]

def test_papermill_leaves_other_notebooks_alone(command, tmp_path, outputs):
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell('x = 1', metadata=dict(tags=['parameters'])), nbformat.v4.new_code_cell('print(x)')], metadata=dict(kernelspec=dict(name='python3', display_name='p', language='python')))
    nbformat.write(nb, tmp_path/'a.ipynb')
    p = command('papermill', tmp_path/'a.ipynb', '-p', 'x', '7')
    assert '"cells"' in p.stdout and '7\\n' in p.stdout and not outputs.exists()

def test_decodelab_run_ls_show_publish(command, outputs, tmp_path):
    p = command('decodelab', 'run', 'eig_eval', '-f', 'params/eig/fast.yaml', '-p', 'lambda_cost', '0.03', *SMALL, '--no-progress')
    run = only_run(outputs); check_run(run, lambda_cost=.03, beam_size=4, max_computation_time=15)
    assert str(run/'report.html') in p.stdout and len(p.stderr.splitlines()) <= 3
    assert run.name in command('decodelab', 'ls').stdout and 'lambda_cost' in command('decodelab', 'show', run.name[-8:]).stdout
    assert 'done' in command('decodelab', 'show', 'last').stdout
    p = command('decodelab', 'resume', 'last', check=False); assert p.returncode==2 and 'nothing to resume' in p.stderr
    p = command('decodelab', 'show', 'zzz', check=False); assert p.returncode==2 and 'none of that name' in p.stderr

def test_preset_is_overridden_by_name_even_with_the_default_value(command, outputs):
    command('decodelab', 'run', 'eig_eval', '-p', 'preset', 'fast', '-p', 'lambda_cost', '0.05', *SMALL, '--no-progress')
    check_run(only_run(outputs), lambda_cost=.05, beam_size=4, sample_length=16)

def test_killed_papermill_run_resumes_to_the_same_bytes(command, outputs, root):
    args = ['-p', 'n', '24', '-p', 'chunk', '2', '-p', 'max_tokens', '48', '-p', 'mc_samples', '3']
    command('decodelab', 'run', 'eig_eval', *args, '--no-progress'); whole = only_run(outputs)
    p = subprocess.Popen([str(Path(sys.executable).parent/'decodelab'), 'run', 'eig_eval', *args, '--no-progress'], cwd=root, start_new_session=True, env=os.environ | {'DECODELAB_OUTPUTS': str(outputs)}, stderr=subprocess.DEVNULL)
    for _ in range(1200):
        new = [d for d in outputs.glob('eig_eval/*') if d!=whole and (d/'samples.jsonl').exists() and (d/'samples.jsonl').stat().st_size > 2000]
        if new: break
        time.sleep(.05)
    os.killpg(p.pid, signal.SIGKILL); p.wait()
    subprocess.run(['pkill', '-9', '-f', str(new[0])]); time.sleep(.5)
    assert 'interrupted' in command('decodelab', 'ls').stdout
    command('decodelab', 'resume', new[0].name, '--no-progress')
    info = check_run(new[0]); assert info['attempts']==2
    for f in ('samples.jsonl', 'metrics.json'): assert (new[0]/f).read_bytes()==(whole/f).read_bytes()

def test_failed_run_keeps_its_report_and_traceback(command, outputs, tmp_path):
    (tmp_path/'d.jsonl').write_text(json.dumps(dict(question='1+'*3000, answer='1'))+'\n'+json.dumps(dict(question='x', answer='1')))
    command('decodelab', 'run', 'eig_eval', '-p', 'data', tmp_path/'d.jsonl', '-p', 'n', '2', '--no-progress', check=False)
    run = only_run(outputs); info = json.loads((run/'run.json').read_text())
    assert info['status']=='failed' and 'the model takes' in info['error'] and (run/'report.ipynb').exists() and 'ModelError' in (run/'log.txt').read_text()

def test_run_all_as_jupyter_does(command, outputs, root, tmp_path):
    "Run All: the kernel executes the notebook with no papermill about it."
    nb = nbformat.read(root/'nbs/eig_eval.ipynb', 4)
    cell = next(c for c in nb.cells if 'parameters' in c.metadata.get('tags', [])); cell.source += '\nn, chunk, mc_samples, max_tokens = 6, 3, 2, 32'
    nbformat.write(nb, tmp_path/'eig_eval.ipynb')
    command('jupyter', 'execute', tmp_path/'eig_eval.ipynb')
    run = only_run(outputs); info = json.loads((run/'run.json').read_text())
    assert info['status']=='done' and info['by']=='jupyter' and yaml.safe_load((run/'params.yaml').read_text())['n']==6

def best_of(n, *args): 
    def once(): t = time.perf_counter(); subprocess.run(args, check=True, capture_output=True); return time.perf_counter()-t
    return min(once() for _ in range(n))

def test_help_and_import_load_nothing_heavy(root):
    py = sys.executable
    out = subprocess.run([py, '-c', 'import sys, decodelab, decodelab.lab.cli; from decodelab.eig import AnswerPosteriorEstimator, ExpectedInformationGainCalculator, MonteCarloForecaster; from decodelab.backends import load, Toy; print([m for m in ("torch","transformers","vllm","matplotlib","pandas") if m in sys.modules])'], capture_output=True, text=True, check=True)
    assert out.stdout.strip()=='[]'
    base = best_of(3, py, '-c', 'pass')
    assert best_of(5, py, '-c', 'import decodelab')-base < .1 and best_of(5, str(Path(py).parent/'decodelab'), '--help') < .4
