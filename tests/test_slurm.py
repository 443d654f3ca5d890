"The scripts in slurm/: plain bash, bad arguments, exit status, real Slurm where it is installed."
import csv, json, os, shutil, subprocess, sys
import pytest
from conftest import ROOT

SCRIPTS = ('eval_eig', 'eval_eig_fast', 'eval_eig_precision', 'eval_eig_comparative')
# Stands for Python in the scripts: says what an evaluation was called with and writes its results; a run named in FAILS fails.
STAND_IN = '''#!{python}
import json, os, pathlib, sys
a = sys.argv[1:]
if a[:2]!=['-m', 'decodelab.evaluation.command']: os.execv({python!r}, [{python!r}, *a])
out = pathlib.Path(a[a.index('--output_path')+1]); gen = a[a.index('--gen_kwargs')+1]
(out/'m').mkdir(parents=True)
(out/'called.json').write_text(json.dumps(a))
if out.name in os.environ.get('FAILS', '').split(): sys.exit(3)
eig = dict(scale_func_name=[gen.split('scale_func_name=')[1].split(',')[0]], tokens=dict(reasoning=5., forecast=1., probe=2., answer=4., total=12.), causes={{}}, empty=0, unended=0)
(out/'m'/'results_2026.json').write_text(json.dumps({{'results': {{'t': {{'exact_match,none': .5, 'exact_match_stderr,none': .1}}}}, 'n-samples': {{'t': {{'effective': 4}}}}, 'config': {{'decodelab_eig': eig}}, 'total_evaluation_time_seconds': '1'}}))
'''

@pytest.fixture
def stand_in(tmp_path):
    f = tmp_path/'python'; f.write_text(STAND_IN.format(python=sys.executable)); f.chmod(0o755)
    return str(f)

def script(name, *args, cwd=ROOT, **env):
    keep = {k: v for k,v in os.environ.items() if k not in ('MODEL','TASKS','LIMIT','OUTPUT','GEN_KWARGS','SEED','CHAT','MODEL_ARGS','MAX_GEN_TOKS')}
    return subprocess.run(['bash', str(ROOT/'slurm'/f'{name}.sh'), *map(str, args)], cwd=cwd, capture_output=True, text=True, env=keep | dict(PYTHON=sys.executable, TQDM_DISABLE='1') | {k: str(v) for k,v in env.items()})

def test_a_real_evaluation(tmp_path):
    p = script('eval_eig_fast', '--limit', 3, '--max-gen-toks', 80, '--output', tmp_path/'out', HF_DATASETS_CACHE=tmp_path/'data')
    assert p.returncode==0, p.stderr[-3000:]
    m = json.loads((tmp_path/'out'/'metrics.json').read_text()); (row,) = m['rows']
    assert row['task']=='reference_chains' and row['n']==3 and row['rule']=='expected_information_gain_reasoning' and row['total'] > row['reasoning'] and m['eig']['eig']['metrics']['total_calls'] > 0
    assert '| eig | reference_chains | 3 | exact_match |' in p.stdout and list((tmp_path/'out').rglob('samples_*.jsonl'))

@pytest.mark.parametrize('name', SCRIPTS)
def test_arguments(name, tmp_path, stand_in):
    p = script(name, '--model', 'vllm:some/model', '--model-args', 'dtype=float16,max_model_len=32768', '--tasks', 'gsm8k', '--limit', 5, '--seed', 7, '--no-chat', '--output', tmp_path/'out', '--', '--num_fewshot', 2, cwd='/', PYTHON=stand_in, GEN_KWARGS='debug=true')
    assert p.returncode==0, p.stderr
    runs = ['full', 'fixed_budget', 'entropy_thresholding', 'eig'] if 'comparative' in name else ['eig']
    calls = {r: json.loads((tmp_path/'out'/r/'called.json').read_text()) for r in runs}
    for a in calls.values():
        at = lambda k: a[a.index(k)+1]
        assert (at('--model_args'), at('--tasks'), at('--limit'), at('--seed'), at('--num_fewshot'))==('backend=vllm:some/model,dtype=float16,max_model_len=32768', 'gsm8k', '5', '7', '2') and '--apply_chat_template' not in a and at('--gen_kwargs').endswith(',debug=true')
    gen = calls['eig'][calls['eig'].index('--gen_kwargs')+1]
    assert dict(eval_eig='lambda_cost=0.05', eval_eig_fast='lambda_cost=0.1', eval_eig_precision='lambda_cost=0.02', eval_eig_comparative='lambda_cost=0.05')[name] in gen
    from decodelab.evaluation.scaling import arguments
    from lm_eval.utils import simple_parse_args_string
    for a in calls.values(): arguments(simple_parse_args_string(a[a.index('--gen_kwargs')+1])) # what the scripts say is valid
    table = list(csv.DictReader((tmp_path/'out'/'metrics.csv').open()))
    assert [r['run'] for r in table]==runs and p.stdout.count('| t | 4 | exact_match')==len(runs)

def test_a_failure_is_an_exit_status(tmp_path, stand_in):
    p = script('eval_eig', '--output', tmp_path/'a', PYTHON=stand_in, FAILS='eig')
    assert p.returncode==1 and 'evaluation eig failed with exit status 3' in p.stderr and not (tmp_path/'a'/'metrics.json').exists()
    p = script('eval_eig_comparative', '--output', tmp_path/'b', PYTHON=stand_in, FAILS='fixed_budget')
    assert p.returncode==1 and [r['run'] for r in json.loads((tmp_path/'b'/'metrics.json').read_text())['rows']]==['full', 'entropy_thresholding', 'eig'] # the others are still told

@pytest.mark.parametrize('args,words', [(['--lmit', 3], 'unknown option --lmit'), (['--limit', 0], "limit: got '0'"), (['--limit'], '--limit needs a value'), (['--model', 'student'], 'runtime:model'), (['--max-gen-toks', 'many'], 'whole number'), (['--seed', -1], 'seed')])
def test_bad_arguments(args, words, tmp_path, stand_in):
    p = script('eval_eig', '--output', tmp_path/'out', *args, PYTHON=stand_in)
    assert p.returncode==2 and words in p.stderr and not (tmp_path/'out').exists()

def test_a_bad_preset(tmp_path, stand_in):
    p = script('eval_eig_comparative', '--output', tmp_path/'out', PYTHON=stand_in, PRESET='fats')
    assert p.returncode==2 and "Did you mean 'fast'" in p.stderr

@pytest.mark.parametrize('name', SCRIPTS)
def test_help(name):
    p = script(name, '--help')
    assert p.returncode==0 and f'sbatch [options of sbatch] slurm/{name}.sh' in p.stdout and '--max-gen-toks' in p.stdout

@pytest.mark.skipif(shutil.which('sbatch') is None or shutil.which('slurmctld') is None, reason='SLURM IS NOT INSTALLED')
def test_real_slurm(tmp_path, stand_in):
    "sbatch runs a copy of the script somewhere else; it finds its way back, and its exit status is the job's."
    if subprocess.run(['sinfo', '-h'], capture_output=True).returncode: pytest.skip('NO SLURM CONTROLLER ANSWERS')
    for fails,code in (('', 0), ('eig', 1)):
        p = subprocess.run(['sbatch', '--wait', f'--output={tmp_path}/log', str(ROOT/'slurm'/'eval_eig.sh'), '--output', str(tmp_path/f'out{code}')], cwd=ROOT, capture_output=True, text=True, env=os.environ | dict(PYTHON=stand_in, FAILS=fails), timeout=120)
        assert p.returncode==code, (p.stderr, (tmp_path/'log').read_text())
