"The scripts in slurm/: plain bash, bad arguments, exit status, and jobs of a real Slurm that the tests start."
import csv, json, os, re, subprocess, sys, time
import pytest
from cluster import MISSING, cluster
from conftest import ROOT

SCRIPTS = ('eval_eig', 'eval_eig_fast', 'eval_eig_precision', 'eval_eig_comparative')
# Stands for Python in the scripts: says what an evaluation was called with, writes results; a run in FAILS fails.
STAND_IN = '''#!{python}
import json, os, pathlib, sys
a = sys.argv[1:]
if a[:2]!=['-m', 'decodelab.evaluation.lmeval.command']: os.execv({python!r}, [{python!r}, *a])
out = pathlib.Path(a[a.index('--output_path')+1])
(out/'m').mkdir(parents=True)
(out/'called.json').write_text(json.dumps(a))
if out.name in os.environ.get('FAILS', '').split(): sys.exit(3)
rule = a[a.index('--gen_kwargs')+1].split('scale_func_name=')[1].split(',')[0]
tokens = dict(reasoning=5., forecast=1., probe=2., answer=4., total=12.)
results = {{'results': {{'t': {{'exact_match,none': .5, 'exact_match_stderr,none': .1}}}},
           'n-samples': {{'t': {{'effective': 4}}}}, 'total_evaluation_time_seconds': '1',
           'config': dict(decodelab_eig=dict(scale_func_name=[rule], tokens=tokens, causes={{}}, empty=0, unended=0))}}
(out/'m'/'results_2026.json').write_text(json.dumps(results))
'''

def write_stand_in(folder):
    f = folder/'python'
    f.write_text(STAND_IN.format(python=sys.executable))
    f.chmod(0o755)
    return str(f)
@pytest.fixture
def stand_in(tmp_path): return write_stand_in(tmp_path)

def value_of(called, option): return called[called.index(option)+1]

OPTIONS = ('MODEL','TASKS','LIMIT','OUTPUT','GEN_KWARGS','SEED','CHAT','MODEL_ARGS','MAX_GEN_TOKS')
def environment(**env):
    "This one, less what steers the scripts or Slurm."
    keep = {k: v for k,v in os.environ.items() if k not in OPTIONS and not k.startswith(('SLURM_','SBATCH_'))}
    return keep | dict(PYTHON=sys.executable, TQDM_DISABLE='1') | {k: str(v) for k,v in env.items()}

def script(name, *args, cwd=ROOT, **env):
    command = ['bash', str(ROOT/'slurm'/f'{name}.sh'), *map(str, args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=environment(**env))

class Slurm:
    "A cluster that runs now."
    def __init__(self, env): self.env = env
    def sbatch(self, *args, cwd=ROOT, stdin=subprocess.DEVNULL, **env):
        "A started sbatch; it says the job's id."
        return subprocess.Popen(['sbatch', '--parsable', *map(str, args)], cwd=cwd, stdin=stdin, stdout=subprocess.PIPE,
                                text=True, env=environment(**env) | self.env)
    def show(self, job):
        "What Slurm says of a job."
        p = subprocess.run(['scontrol', '-o', 'show', 'job', str(job)], capture_output=True, text=True, timeout=60,
                           env=environment() | self.env)
        return dict(re.findall(r'(\S+?)=(\S*)', p.stdout))
    def ended(self, job, seconds=550):
        "The same, once the job has ended."
        until = time.monotonic() + seconds
        while (job_is := self.show(job))['JobState'] in ('PENDING','RUNNING','CONFIGURING','COMPLETING'):
            assert time.monotonic() < until, job_is
            time.sleep(.1)
        return job_is

def no_slurm()->str:
    "Why this machine has none for tests."
    if os.geteuid(): return "NOT TESTED: Slurm's daemons, which only root starts"
    if not MISSING or os.environ.get('CI'): return ''
    return f'NOT TESTED: {", ".join(MISSING)} not installed: apt-get install slurm-wlm munge'

@pytest.fixture(scope='module')
def slurm():
    if no_slurm(): pytest.skip(no_slurm())
    assert not MISSING, MISSING
    with cluster() as env: yield Slurm(env)

@pytest.fixture(scope='module')
def evaluation(request, tmp_path_factory):
    "The one real evaluation, a job where Slurm is: its id and folder. It goes on beside other tests."
    folder = tmp_path_factory.mktemp('evaluation')
    args, env = ('--limit', 4, '--max-gen-toks', 60, '--output', folder/'out'), dict(HF_DATASETS_CACHE=folder/'data')
    if no_slurm():
        p = script('eval_eig_fast', *args, **env)
        (folder/'log').write_text(p.stdout + p.stderr)
        assert p.returncode==0, p.stderr[-3000:]
        return None, folder
    submit = request.getfixturevalue('slurm').sbatch(f'--output={folder}/log', 'slurm/eval_eig_fast.sh', *args, **env)
    return submit.communicate()[0].strip(), folder

@pytest.fixture(scope='module')
def failure(slurm, tmp_path_factory):
    "A job that fails, and the sbatch that waits for it: it looks after 2 seconds, then 8, then every 32."
    folder = tmp_path_factory.mktemp('failure')
    export = f'--export=ALL,FAILS=eig,PYTHON={write_stand_in(folder)}'
    p = slurm.sbatch('--wait', f'--output={folder}/log', export, 'slurm/eval_eig.sh', '--output', folder/'out')
    yield p, folder
    p.kill()
    p.wait()

def test_slurm_takes_jobs(slurm, failure, evaluation):
    j = slurm.show(evaluation[0])
    assert (j['JobName'], j['NumTasks'], j['Command'])==('eval_eig_fast', '1', f'{ROOT}/slurm/eval_eig_fast.sh')
    assert j['JobState'] in ('PENDING','RUNNING')

COSTS = dict(eval_eig=.05, eval_eig_fast=.1, eval_eig_precision=.02, eval_eig_comparative=.05)
GIVEN = ('--model', 'vllm:some/model', '--model-args', 'dtype=float16,max_model_len=32768', '--tasks', 'gsm8k',
         '--limit', 5, '--seed', 7, '--no-chat')

@pytest.mark.parametrize('name', SCRIPTS)
def test_arguments(name, tmp_path, stand_in):
    p = script(name, *GIVEN, '--output', tmp_path/'out', '--', '--num_fewshot', 2, cwd='/', PYTHON=stand_in,
               GEN_KWARGS='debug=true')
    assert p.returncode==0, p.stderr
    runs = ['full', 'fixed_budget', 'entropy_thresholding', 'eig'] if 'comparative' in name else ['eig']
    calls = {r: json.loads((tmp_path/'out'/r/'called.json').read_text()) for r in runs}
    for called in calls.values():
        assert value_of(called, '--model_args')=='backend=vllm:some/model,dtype=float16,max_model_len=32768'
        said = [value_of(called, k) for k in ('--tasks','--limit','--seed','--num_fewshot')]
        assert said==['gsm8k', '5', '7', '2'] and '--apply_chat_template' not in called
        assert value_of(called, '--gen_kwargs').endswith(',debug=true')
    assert f'lambda_cost={COSTS[name]}' in value_of(calls['eig'], '--gen_kwargs')
    from decodelab.evaluation.lmeval.stopping import arguments
    from lm_eval.utils import simple_parse_args_string
    for called in calls.values(): # what the scripts say is valid
        arguments(simple_parse_args_string(value_of(called, '--gen_kwargs')))
    table = list(csv.DictReader((tmp_path/'out'/'metrics.csv').open()))
    assert [r['run'] for r in table]==runs and p.stdout.count('| t | 4 | exact_match')==len(runs)
    assert ('nothing to compare question by question' in p.stdout)==(len(runs) > 1) # the stand-in logs no samples

def test_a_failure_is_an_exit_status(tmp_path, stand_in):
    p = script('eval_eig', '--output', tmp_path/'a', PYTHON=stand_in, FAILS='eig')
    assert p.returncode==1 and 'evaluation eig failed with exit status 3' in p.stderr
    assert not (tmp_path/'a'/'metrics.json').exists()
    p = script('eval_eig_comparative', '--output', tmp_path/'b', PYTHON=stand_in, FAILS='fixed_budget')
    rows = json.loads((tmp_path/'b'/'metrics.json').read_text())['rows']
    assert p.returncode==1 and [r['run'] for r in rows]==['full', 'entropy_thresholding', 'eig'] # the others are told

@pytest.mark.parametrize('args,words', [
    (['--lmit', 3], 'unknown option --lmit'), (['--limit', 0], "limit: got '0'"),
    (['--limit'], '--limit needs a value'), (['--model', 'student'], 'runtime:model'),
    (['--max-gen-toks', 'many'], 'whole number'), (['--seed', -1], 'seed')])
def test_bad_arguments(args, words, tmp_path, stand_in):
    p = script('eval_eig', '--output', tmp_path/'out', *args, PYTHON=stand_in)
    assert p.returncode==2 and words in p.stderr and not (tmp_path/'out').exists()

def test_a_bad_preset(tmp_path, stand_in):
    p = script('eval_eig_comparative', '--output', tmp_path/'out', PYTHON=stand_in, PRESET='fats')
    assert p.returncode==2 and "Did you mean 'fast'" in p.stderr

@pytest.mark.parametrize('name', SCRIPTS)
def test_help(name):
    p = script(name, '--help')
    assert p.returncode==0
    for said in (f'sbatch [options of sbatch] slurm/{name}.sh', '--max-gen-toks'): assert said in p.stdout

def logged(folder, run, right, question='?', encoding='utf-8'):
    "An evaluation's results and samples, as lm-eval writes them."
    out = folder/run/'m'
    out.mkdir(parents=True)
    value = sum(right)/len(right)
    (out/'results_2026.json').write_text(json.dumps({'results': {'t': {'exact_match,none': value}}, 'config': {}}))
    samples = [dict(doc_id=i, doc=dict(question=question), filter='none', metrics=['exact_match'], exact_match=float(v),
                    trace=[dict(tokens=dict(total=10*v+5))]) for i,v in enumerate(right)]
    lines = ''.join(json.dumps(s, ensure_ascii=False)+'\n' for s in samples)
    (out/'samples_t_2026.jsonl').write_text(lines, encoding=encoding)

@pytest.mark.parametrize('odd', ['\u2028', '\u2029', '\x85', '\x0b', '\x0c', '\x1c'])
def test_lines_of_samples_end_at_line_feeds_only(odd, tmp_path):
    from decodelab.evaluation.lmeval.jobs import outcomes
    logged(tmp_path, 'a', [1, 0], f'first{odd}second', encoding='utf-8-sig') # with a byte-order mark, too
    assert outcomes(tmp_path/'a')['t', 'exact_match', 'none']=={0: 1., 1: 0.}

@pytest.mark.parametrize('n,p', [(1, 1.), (2, .5), (3, .25)])
def test_a_table_says_no_more_than_its_questions_can(n, p, tmp_path, capsys):
    "All questions differ: an exact test cannot give less than 2 · ½ⁿ, for accuracy and for tokens."
    from decodelab.evaluation.lmeval.jobs import compared, shell
    logged(tmp_path, 'full', [1]*n)
    logged(tmp_path, 'eig', [0]*n)
    rows = compared(tmp_path, ['full', 'eig'])
    assert {r['metric'] for r in rows}=={'exact_match', 'total tokens'}
    assert all(r['n']==n and r['p']==pytest.approx(p) for r in rows)
    shell(['collect', str(tmp_path), 'full', 'eig'])
    said = capsys.readouterr().out
    assert '<0.001' not in said and f'| {n} | -1.000 |' in said and f'| {p:.3f} |' in said

def test_slurm_jobs_find_the_repository(slurm, tmp_path, stand_in):
    "sbatch runs a copy of a script somewhere else, wherever it was submitted; what --export says reaches it."
    ways = dict(elsewhere=('/', 'eval_eig', ROOT/'slurm'/'eval_eig.sh'),
                beside=(ROOT/'slurm', 'eval_eig_comparative', 'eval_eig_comparative.sh'),
                piped=(ROOT, 'eval_eig_precision', None))
    def submit(way, cwd, name, file):
        export = f'PYTHON={stand_in},MODEL=vllm:some/model,LIMIT=7,THRESHOLD=0.25,OUTPUT={tmp_path}/{way}'
        args = [f'--output={tmp_path}/{way}.log', f'--export=ALL,{export}', *([file] if file else [])]
        with open(ROOT/'slurm'/f'{name}.sh') as f: return slurm.sbatch(*args, cwd=cwd, stdin=f) # read if piped
    jobs = {way: submit(way, *how).communicate()[0].strip() for way,how in ways.items()}
    for way,job in jobs.items():
        j, log = slurm.ended(job), (tmp_path/f'{way}.log').read_text()
        assert (j['JobState'], j['ExitCode'], j['JobName'])==('COMPLETED', '0:0', ways[way][1]), (way, log)
        for f in (tmp_path/way).rglob('called.json'):
            called = json.loads(f.read_text())
            said = value_of(called, '--model_args'), value_of(called, '--limit')
            assert said==('backend=vllm:some/model', '7')
    runs = [r['run'] for r in json.loads((tmp_path/'beside'/'metrics.json').read_text())['rows']]
    assert runs==['full', 'fixed_budget', 'entropy_thresholding', 'eig']
    assert 'threshold=0.25' in (tmp_path/'beside'/'entropy_thresholding'/'called.json').read_text()

def test_slurm_is_told_of_a_failure(slurm, failure):
    p, folder = failure
    j = slurm.show(p.communicate(timeout=300)[0].strip())
    assert (p.returncode, j['JobState'], j['ExitCode'])==(1, 'FAILED', '1:0')
    assert 'evaluation eig failed with exit status 3' in (folder/'log').read_text()

def test_slurm_completes_the_evaluation(slurm, evaluation):
    job, folder = evaluation
    j = slurm.ended(job)
    assert (j['JobState'], j['ExitCode'])==('COMPLETED', '0:0'), (folder/'log').read_text()[-3000:]
    assert json.loads((folder/'out'/'metrics.json').read_text())['machine']['slurm_job']==job

def test_a_real_evaluation(evaluation):
    out, log = evaluation[1]/'out', (evaluation[1]/'log').read_text()
    assert (out/'metrics.json').exists(), log[-3000:]
    m = json.loads((out/'metrics.json').read_text())
    (row,), (line,) = m['rows'], csv.DictReader((out/'metrics.csv').open())
    assert (row['task'], row['n'], row['rule'])==('reference_chains', 4, 'expected_information_gain_reasoning')
    assert row['reasoning'] <= 60 < row['total'] and m['eig']['eig']['metrics']['total_calls'] > 0
    assert (line['task'], float(line['value']))==(row['task'], row['value'])
    assert '| eig | reference_chains | 4 | exact_match |' in log and list(out.rglob('samples_*.jsonl'))
