"What tests of sweeps share: small notebooks that are experiments, sweeps of them, runs by what they were given."
import json, os, signal, subprocess
from pathlib import Path
from conftest import BIN, ROOT

BEGIN = "from decodelab.lab.experiments import begin, end\nrun, p = begin('eig_eval', globals())"
WORK = '''from decodelab.core import chunks
for c in chunks(run, 'work', list(range(4)), lambda part: [dict(id=i, x=i*p.lambda_cost) for i in part], size=2): pass
run.write_metrics(dict(accuracy=p.lambda_cost*p.seed))'''

def notebook(path, *work, parameters='lambda_cost = 0.05\nn = 4\nseed = 0'):
    "An experiment whose cells are these."
    sources = [parameters, BEGIN, *(work or (WORK,)), 'end(run)']
    cells = [dict(cell_type='code', id=f'c{i}', metadata=dict(tags=['parameters']) if i==0 else {}, source=source,
                  outputs=[], execution_count=None) for i,source in enumerate(sources)]
    about = dict(kernelspec=dict(display_name='python3', language='python', name='python3'),
                 decodelab=dict(experiment='eig_eval'))
    path.write_text(json.dumps(dict(cells=cells, metadata=about, nbformat=4, nbformat_minor=5)))
    return path

def sweep_of(folder, *work, name='s', **spec):
    "A sweep's file, and its notebook."
    nb = notebook(folder/'tiny.ipynb', *work)
    (folder/f'{name}.yaml').write_text(json.dumps(dict(notebook=str(nb)) | (spec or dict(seeds=3)))) # JSON is YAML
    return folder/f'{name}.yaml'

def environment(outputs, **more):
    "Of commands that are started."
    return os.environ | dict(DECODELAB_OUTPUTS=str(outputs), OMP_NUM_THREADS='1') | more

def started(outputs, *args, **more):
    "A command that goes on."
    def heard(): signal.signal(signal.SIGINT, signal.default_int_handler) # whoever started us may ignore it
    return subprocess.Popen([str(BIN/'decodelab'), *map(str, args)], cwd=ROOT, env=environment(outputs, **more),
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heard)

def ran(outputs, *args, code=0, **more):
    "A command that has ended."
    p = started(outputs, *args, **more)
    out, err = p.communicate(timeout=300)
    assert p.returncode==code, (p.returncode, out, err)
    return out+err

def runs(outputs):
    "Records by the seed that was given."
    found = {}
    for f in sorted(Path(outputs).glob('eig_eval/*/run.json')):
        info = json.loads(f.read_text()) | dict(folder=f.parent)
        found.setdefault(info['given'].get('seed', 0), []).append(info)
    return found
