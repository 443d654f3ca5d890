"What a person sees while a run goes on: a line that moves, stages in a pipe; and whose run it is."
import io, json, os, re, signal, subprocess, sys, time
from pathlib import Path
import nbformat, pytest, yaml
from decodelab.lab.waiting import Waiting

BIN = Path(sys.executable).parent
WORK = '''
import time
from decodelab.lab.display import Progress
for stage in ('thinking', 'looking'):
    progress = Progress(stage)
    for i in range(4):
        time.sleep(0 if (run.folder/'quick').exists() else pause)
        progress(i+1, 4)
if fails: raise ValueError('it fails here')
'''

def small(path, pause=.9, fails=False):
    "An experiment that only waits: it is an `eig_eval` to the laboratory."
    code = nbformat.v4.new_code_cell
    cells = [code('seed, data, n = 0, "reference", 4', metadata=dict(tags=['parameters'])),
             code('from decodelab.lab.experiments import begin, end\nrun, p = begin("eig_eval", globals())'),
             nbformat.v4.new_markdown_cell('## Waiting'),
             code(f'pause, fails = {pause}, {fails}'), code(WORK.strip()),
             code('run.write_metrics(dict(seed=p.seed))\nend(run)')]
    kernel = dict(name='python3', display_name='Python 3', language='python')
    metadata = dict(kernelspec=kernel, decodelab=dict(experiment='eig_eval'))
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
    return path

COMMANDS = {'papermill': ('papermill',), 'decodelab': ('decodelab', 'run')}

def last_lines(text):
    "What a terminal shows after each piece: the text since the last return."
    return [line for line in re.split(r'[\r\n]+', text) if line.strip()]

@pytest.mark.parametrize('name', COMMANDS)
def test_a_line_that_moves_on_a_terminal(on_terminal, outputs, tmp_path, name):
    seen = on_terminal(*COMMANDS[name], small(tmp_path/'small.ipynb'), '-p', 'n', '4')
    assert seen.code==0, seen.text
    moving = r'(thinking|looking).* of 4, \d+ s, about \d+ s left'
    drawn = [(at, text) for at,text in seen.pieces if re.search(moving, text)]
    assert len(drawn) >= 4, seen.text
    first, last = seen.text.index('thinking'), seen.text.rindex('looking')
    assert '\n' not in seen.text[first:last], 'more than one line'
    times = [at for at,_ in seen.pieces if drawn[0][0] <= at <= drawn[-1][0]]
    assert max(b-a for a,b in zip(times, times[1:])) < 2.5
    assert not re.search(r'caught in kernel|Executing:|cell/s|Traceback', seen.text), seen.text
    assert any('Waiting' in line or 'starting' in line for line in last_lines(seen.text))

def test_a_terminal_that_tells_no_size_still_shows_it(on_terminal, outputs, tmp_path):
    seen = on_terminal('decodelab', 'run', small(tmp_path/'small.ipynb', .6), '-p', 'n', '4', rows=0, columns=0)
    assert seen.code==0 and re.search(r'looking.* of 4, \d+ s, about', seen.text), seen.text

@pytest.mark.parametrize('name', COMMANDS)
def test_a_line_a_stage_in_a_pipe(command, outputs, tmp_path, name):
    p = command(*COMMANDS[name], small(tmp_path/'small.ipynb', .3), '-p', 'n', '4')
    stages = [line for line in p.stderr.splitlines() if re.fullmatch(r'(thinking|looking): 4 of 4, \d+ s', line)]
    assert [line.split(':')[0] for line in stages]==['thinking', 'looking'], p.stderr
    assert '\r' not in p.stderr and 'kernel.' not in p.stderr
    (report,) = outputs.glob('*/*/report.ipynb')
    shown = [o for c in nbformat.read(report, 4).cells for o in c.get('outputs', []) if o.output_type=='display_data']
    assert [o.data['text/plain'][:11] for o in shown]==['thinking: 4', 'looking: 4 ']
    assert 'Keyboard' not in (report.parent/'log.txt').read_text()

def test_a_run_is_known_from_itself(command, outputs, tmp_path):
    "Beside a run whose clock is ahead, a failing run and a good one name their own folders."
    good, bad = small(tmp_path/'good.ipynb', .1), small(tmp_path/'bad.ipynb', .1, fails=True)
    first = command('decodelab', 'run', good, '-p', 'n', '4').stdout.splitlines()[-1]
    (outputs/'eig_eval'/'29990101-000000-00000000').mkdir()
    later = outputs/'eig_eval'/'29990101-000000-00000000'
    for f in ('run.json', 'params.yaml'): (later/f).write_bytes((Path(first).parent/f).read_bytes())
    info = json.loads((later/'run.json').read_text()) | dict(finished='2999-01-01T00:00:00+00:00')
    (later/'run.json').write_text(json.dumps(info))
    start = lambda path: subprocess.Popen([BIN/'decodelab', 'run', path, '-p', 'n', '4'], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    both = [start(bad), start(good)]
    (_, why), (page, _) = [p.communicate(timeout=120) for p in both]
    ours = Path(page.splitlines()[-1]).parent
    assert both[1].returncode==0 and ours.exists() and ours not in (later, Path(first).parent)
    named = Path(re.search(r'The report up to the failing cell: (.*)/report.ipynb', why)[1])
    assert both[0].returncode==2 and 'ValueError: it fails here' in why and named not in (ours, later)
    assert json.loads((named/'run.json').read_text())['status']=='failed'
    assert 'papermill-error-cell' in (named/'report.ipynb').read_text()

def test_resume_of_a_run_that_fails_again(command, outputs, tmp_path):
    bad = small(tmp_path/'bad.ipynb', .1, fails=True)
    command('decodelab', 'run', bad, '-p', 'n', '4', check=False)
    (folder,) = outputs.glob('*/*')
    p = command('decodelab', 'resume', folder.name, check=False)
    assert p.returncode==2 and f'The report up to the failing cell: {folder}/report.ipynb' in p.stderr
    assert (folder/'report.attempt1.ipynb').exists() and 'Traceback' not in p.stderr
    bad.unlink()
    p = command('decodelab', 'resume', folder.name, check=False)
    assert p.returncode==2 and 'no such file' in p.stderr and 'Traceback' not in p.stderr

@pytest.mark.parametrize('name', COMMANDS)
def test_ctrl_c_says_how_to_go_on(command, outputs, tmp_path, name):
    line = [str(BIN/COMMANDS[name][0]), *COMMANDS[name][1:], str(small(tmp_path/'small.ipynb', 1.5)), '-p', 'n', '4']
    def heard(): signal.signal(signal.SIGINT, signal.default_int_handler) # whoever started us may ignore it
    p = subprocess.Popen(line, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heard)
    until = time.monotonic()+60
    while not list(outputs.glob('*/*/report.ipynb')) and time.monotonic() < until: time.sleep(.1)
    time.sleep(3)
    p.send_signal(signal.SIGINT)
    _, said = p.communicate(timeout=60)
    (folder,) = outputs.glob('*/*')
    assert p.returncode!=0 and f'To go on: decodelab resume {folder.name}' in said and 'Traceback' not in said, said
    assert 'interrupted' in command('decodelab', 'ls').stdout
    (folder/'quick').touch()
    command('decodelab', 'resume', folder.name)
    assert json.loads((folder/'run.json').read_text())['status']=='done'

@pytest.mark.parametrize('name', COMMANDS)
def test_one_reader_of_parameters(command, outputs, tmp_path, name):
    "Numbers as papermill reads them, text for a parameter that takes only text."
    quiet, data = small(tmp_path/'small.ipynb', 0), tmp_path/'010'
    data.write_text('\n'.join(json.dumps(dict(question=f'{i}+1=?', answer=str(i+1))) for i in range(4)))
    given = ['-p', 'n', '4.0', '-p', 'seed', '010', '-p', 'data', '010', '-p', 'preset', 'None', '-p', 'chunk', '1_0']
    command(*COMMANDS[name], quiet, *given, cwd=tmp_path, env={'PYTHONPATH': os.environ.get('PYTHONPATH', '')})
    (folder,) = outputs.glob('*/*')
    p = yaml.safe_load((folder/'params.yaml').read_text())
    wanted = dict(n=4, seed=10, data='010', preset=None, chunk=10)
    assert {k: p[k] for k in wanted}==wanted

ODD = ['@x.jsonl', '{a}.jsonl', '1:30', 'x # y', '2024-01-01', '!x', '*x', '%x', '&a', "'"]

TYPED = [('decodelab', '@x.jsonl'), ('papermill', '{a}.jsonl'), ('papermill', '2024-01-01')] # as processes

@pytest.mark.parametrize('name, text', TYPED)
def test_odd_text_is_text(command, outputs, tmp_path, name, text):
    p = command(*COMMANDS[name], small(tmp_path/'small.ipynb', 0), '-p', 'data', text, check=False)
    assert p.returncode in (1, 2) and f'{text}: no such file' in p.stderr and 'Traceback' not in p.stderr, p.stderr
    assert not outputs.exists()

@pytest.mark.parametrize('text', ODD)
def test_odd_text_is_text_to_our_own_command(typed, outputs, tmp_path, text):
    p = typed('run', small(tmp_path/'small.ipynb', 0), '-p', 'data', text)
    assert p.returncode==2 and f'{text}: no such file' in p.stderr and not outputs.exists(), p.stderr

def test_stages_that_take_turns_say_their_own_seconds():
    now, out = [0.], io.StringIO()
    waiting = Waiting(out, clock=lambda: now[0])
    for chunk in (1, 2):
        for stage,takes in (('live', 10), ('trace', 3)):
            now[0] += takes
            waiting.tell(stage, done=chunk, total=2, spent=chunk*takes)
    assert out.getvalue()=='live: 2 of 2, 20 s\ntrace: 2 of 2, 6 s\n'
