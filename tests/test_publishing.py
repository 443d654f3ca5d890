"What is published names no place, person or host; a report is verified by running it; by hand made is a report too."
import json, os, re, shutil, socket, subprocess, sys, time, urllib.error, urllib.request
from datetime import datetime
from pathlib import Path
import nbformat, numpy as np, pytest
from sweep_parts import notebook
from decodelab.core.errors import RunError
from decodelab.core.locks import Lock
from decodelab.core.runs import Run
from decodelab.lab.adopting import adopt, after_save, run_in
from decodelab.lab.publishing import (DEFAULT, Tolerance, Verified, allowed, check_metrics, known_places, publish,
                                      read_published, report_path, run_named_in, scrubbed, sources_of,
                                      tolerance_of, verifiable, verified_text, verify)
from decodelab.lab.verified import used

def code(source, text='', tags=()):
    cell = nbformat.v4.new_code_cell(source, metadata=dict(tags=list(tags)), execution_count=1)
    if text: cell.outputs = [nbformat.v4.new_output('stream', text=text)]
    return cell

def saved(path, *cells, name='eig_eval', **papermill):
    "A notebook's file."
    meta = dict(decodelab=dict(experiment=name), kernelspec=dict(name='python3', display_name='p', language='python'))
    nb = nbformat.v4.new_notebook(cells=list(cells), metadata=meta | (dict(papermill=papermill) if papermill else {}))
    nbformat.write(nb, path)
    return path

def finished(outputs, params, metrics=None, **extra):
    run = Run.create('eig_eval', params, outputs=outputs, when=datetime(2026, 1, 1, 12), given=params, **extra)
    run.write_metrics(metrics or dict(n=4, accuracy=.5, seconds=3.))
    run.finish()
    return run

PLACES = ['/home/ada/x/a.py', '/Users/Ada/b.txt', '/scratch/p12/q.jsonl', '/tmp/ipykernel_12/33.py', '/data/sets/mmlu',
          'C:\\Users\\Ada\\c.txt', 'D:\\\\work\\\\d.txt', '/usr/lib/python3/json/decoder.py', '/private/var/x/y']

@pytest.mark.parametrize('place', PLACES)
def test_no_place_stays(place):
    for text in (f'File "{place}", line 3', f'saved {place}', f'data={place}', f"('{place}',)", f'[{place}]'):
        out = scrubbed(text, {})
        parts = ('ada', 'Ada', '/home', 'scratch', 'Users', '/data/', '/private', '/usr')
        assert not any(part in out for part in parts), out

@pytest.mark.parametrize('text', ['https://arxiv.org/abs/2310.1', 'a/b/c', '#/properties/home/x', '3/4', '</b></i>',
    '1 / 2', 'and/or', '/answer', 'hf:org/model', '2.10.0.1', 'x = a//b', '~/lab', 'e.g. /think and </think>'])
def test_what_is_no_place_stays(text): assert scrubbed(text, {})==text

def test_nothing_of_this_machine_is_published(tmp_path):
    "Papermill's notes, a source with a path, outputs of every kind, a page beside the report, a metric that is a text."
    secret = f'{Path.home()}/secret and {tmp_path}/outputs on node17 and node17.lan'
    html = nbformat.v4.new_output('display_data', {'text/html': f'<p>{tmp_path}/x</p>', 'image/png': 'AA/home/x/yBB'})
    warned = f'{sys.prefix}/lib/site-packages/torch/a.py:3: Warning'
    error = nbformat.v4.new_output('stream', name='stderr', text=warned)
    cell = code(f'open("{tmp_path}/q.jsonl")', secret)
    cell.outputs += [html, error]
    run = finished(tmp_path/'outputs', dict(data=f'{tmp_path}/q.jsonl'), dict(n=4, data=f'{tmp_path}/q.jsonl'),
                   source=f'{tmp_path}/nbs/eig_eval.ipynb')
    run.update(machine=dict(host='node17.lan', processor='x', cpus=2))
    saved(run.folder/'report.ipynb', cell, input_path=f'{tmp_path}/nbs/eig_eval.ipynb', duration=3.,
          output_path=str(run.folder/'report.ipynb'), parameters=dict(data=f'{tmp_path}/q.jsonl'))
    (run.folder/'watch.html').write_text(f'<p>{tmp_path}</p>')
    report = publish(run, root=tmp_path)
    for file in report.parent.iterdir():
        text = file.read_text()
        names = [str(tmp_path), tmp_path.name, sys.prefix, 'node17']
        assert not [name for name in names if name in text], file
    assert 'AA/home/x/yBB' in report.read_text() and 'q.jsonl' in report.read_text() # a picture's bytes stay
    nb = nbformat.read(report, 4)
    assert run.folder.name in nb.cells[-1].source and 'provenance' in nb.cells[-1].metadata.tags
    assert 'a run' not in nb.cells[-1].source and nb.cells[-1].source.count(run.info['versions']['numpy'])

def test_a_host_and_a_user_that_are_words_stay_words(tmp_path):
    run = finished(tmp_path, {})
    run.update(machine=dict(host='data', processor='x', cpus=2))
    assert 'data' not in known_places(run, tmp_path) and 'root' not in known_places(run, tmp_path)

def test_tolerances_say_why_and_timings_are_left_out():
    per_stage = check_metrics(dict(live=dict(seconds=dict(full=3., probe=1.))), {})
    assert [c.verdict for c in per_stage]==['not compared']*2
    was = dict(seconds=1., arms=dict(x=dict(accuracy=.5, low=.4, high=.6, p=.04, n=100)), n=10, name='a', cost=[1., 2.])
    def verdicts(now): return {c.name: c.verdict for c in check_metrics(was, now)}
    now = dict(was, seconds=9., arms=dict(x=dict(accuracy=.59, low=.4, high=.6, p=.13, n=101)), cost=[1., 2.01])
    assert verdicts(now)=={'seconds': 'not compared', 'arms.x.accuracy': 'within', 'arms.x.low': 'same', 'n': 'same',
                           'arms.x.high': 'same', 'arms.x.p': 'within', 'arms.x.n': 'within', 'name': 'same',
                           'cost.0': 'same', 'cost.1': 'within'}
    off = dict(seconds=9., arms=dict(x=dict(accuracy=.61, low=.1, high=.6, p=.9, n=90)), n=11, name='b', cost=[1.])
    found = verdicts(off)
    wrong = ['arms.x.accuracy', 'arms.x.low', 'arms.x.p', 'arms.x.n', 'n', 'name']
    assert [k for k,v in found.items() if v=='differs']==wrong
    assert found['cost.1']=='missing' and all(rule.reason for rule in DEFAULT)
    own = was | dict(published=dict(tolerance=[dict(match='n', reason='by hand', absolute=5.)]))
    assert {c.name: c.verdict for c in check_metrics(own, off)}['n']=='within'
    apart = check_metrics(dict(a=.5, b=.5, c=.5, d=.5), dict(a=.5, b=.5+1e-15, c=.52, d=.51))
    said = verified_text(Verified('x', 'r', 1., apart, False), 2) # what counts comes first, also where not all is shown
    assert re.findall(r'(?m)^  ([a-d]) ', said)==['c', 'd'] and '… 1 more' in said and used(apart)==.8
    assert tolerance_of('live.map', DEFAULT).match=='*' and allowed('x', dict(x=None), Tolerance('x', '', None)) is None

def test_published_reports_are_of_one_run_with_their_metrics(root):
    for metrics in (root/'nbs'/'reports').glob('*.metrics.json'):
        nb, m = read_published(report_path(metrics.name.removesuffix('.metrics.json'), root))
        assert run_named_in(nb)==m['published']['run'] and m['published']['tolerance']

def test_a_report_and_metrics_of_two_runs_verify_nothing(tmp_path):
    run = finished(tmp_path/'outputs', dict(n=4))
    saved(run.folder/'report.ipynb', code('1'), duration=3., parameters={})
    report = publish(run, root=tmp_path)
    beside = report.with_suffix('.metrics.json')
    m = json.loads(beside.read_text())
    beside.write_text(json.dumps(m | dict(published=m['published'] | dict(run='20250101-000000-00000000'))))
    with pytest.raises(RunError, match='is of run 20260101.*but'): read_published(report)
    beside.write_text(json.dumps({k: v for k,v in m.items() if k!='published'}))
    with pytest.raises(RunError, match='does not say which run'): read_published(report)
    beside.unlink()
    with pytest.raises(RunError, match='nothing to verify'): read_published(report)
    assert verifiable(600, tmp_path)==([], [(report, 'it has no metrics')])

DRAWN = """from decodelab.backends import Sampling, load
from decodelab.core import chunks
model = load(p.backend)
def draw(part): return [dict(id=i, x=model.sample([model.encode(f'{i}+1=')], Sampling(max_tokens=8, temperature=2.,
                        seed=i))[0][0].logprobs.tolist()) for i in part]
with run.timed('draw'): drawn = [row['x'] for c in chunks(run, 'full', list(range(p.n)), draw, size=2) for row in c]
run.write_metrics(dict(n=p.n, live=dict(accuracy=.5, seconds=run.info['seconds']), drawn=drawn))"""

@pytest.fixture(scope='module')
def lab(root, tmp_path_factory):
    "A laboratory with one small report, published."
    place, old = tmp_path_factory.mktemp('lab'), os.environ.get('DECODELAB_OUTPUTS')
    (place/'nbs').mkdir()
    notebook(place/'nbs'/'eig_eval.ipynb', DRAWN)
    (place/'settings.ini').write_text((root/'settings.ini').read_text())
    os.environ['DECODELAB_OUTPUTS'] = str(place/'outputs')
    from decodelab.lab.runner import execute
    run = execute(place/'nbs'/'eig_eval.ipynb', dict(n=6), False)
    report = publish(run, 'small', place)
    yield place, run, report
    os.environ.pop('DECODELAB_OUTPUTS')
    if old: os.environ['DECODELAB_OUTPUTS'] = old

def test_a_published_report_is_run_again_and_agrees(lab, capsys):
    place, run, report = lab
    found = verify(report, place, progress=False)
    assert found.agrees and found.run==run.folder.name and not found.changed
    assert {c.verdict for c in found.checks} <= {'same', 'within', 'not compared'} and len(found.checks) > 30
    assert [f.name for f in (place/'outputs').glob('*/*')]==[run.folder.name] # nothing was left behind

def test_the_site_shows_verifications_of_what_is_published_now(lab):
    from decodelab.lab.publishing import Verified
    from decodelab.lab.verified import RECORD, record, standing
    from decodelab.lab.registry_pages import verified_page
    place, run, report = lab
    found = Verified('small', run.folder.name, 3., [], False)
    took = f'{json.loads(report.read_text())["metadata"]["papermill"]["duration"]:,.0f} s'
    try:
        assert standing(place)==({}, {'small': f'not run again yet; it took {took}'}) and verified_page(place)==''
        record(found, place)
        assert list(standing(place)[0])==['small'] and '| [small]' in verified_page(place)
        record(Verified('small', '20200101-000000-00000000', 3., [], False), place)
        assert standing(place)==({}, {'small': 'published anew since'})
    finally: (report.parent/RECORD).unlink(missing_ok=True)

def test_what_a_report_took_from_the_laboratory_and_what_differs_is_shown(lab):
    from decodelab.lab.publishing import Checked, Verified
    from decodelab.lab.verified import RECORD, record, standing
    from decodelab.lab.registry_pages import verified_page
    place, run, report = lab
    checks = [Checked('a', .5, .8, 'differs', .1), Checked('b', 'x', None, 'missing'), Checked('c', 1., 1., 'same')]
    found = Verified('small', run.folder.name, 3., checks, False, ('outputs/nets',))
    nb = json.loads(report.read_text())
    try:
        record(found, place)
        page = verified_page(place)
        assert '| no | 1 | 0 | 1 | 1 |' in page and '| outputs/nets | not said |' in page
        assert 'Not in this table' not in page
        assert '| `a` | 0.5 | 0.8 | ± 0.1 |' in page and '| `b` | x | none | the same |' in page
        assert '  with outputs/nets as it lies here' in verified_text(found)
        report.write_text(json.dumps(nb | dict(metadata=nb['metadata'] | dict(papermill=dict(
            duration=3., parameters=dict(runs='outputs/nets/a,outputs/nets/b', data='my_outputs/q.jsonl'))))))
        record(Verified('small', '20200101-000000-00000000', 3., [], False), place)
        (report.parent/RECORD).unlink()
        record(Verified('other', run.folder.name, 3., [], False), place)
        assert standing(place)[1]=={'small': 'it reads outputs/nets, which is not published with it'}
    finally:
        report.write_text(json.dumps(nb))
        (report.parent/RECORD).unlink(missing_ok=True)

def test_packages_are_held_to_those_of_the_report(lab):
    from decodelab.lab.publishing import packages_of
    nb = json.loads(lab[2].read_text())
    assert packages_of(nb)=='the same'
    cell = nb['cells'][-1]
    cell['source'] = [re.sub(r'numpy [\d.]+', 'numpy 0.9, vllm 7', line) for line in cell['source']]
    assert packages_of(nb)==f'numpy 0.9, now {np.__version__}' or 'vllm 7, now' in packages_of(nb)
    assert packages_of(dict(nb, cells=nb['cells'][:-1]))=='not said'

def test_kept_recordings_are_taken_only_when_asked(lab):
    from decodelab.lab.publishing import apart
    place, _, _ = lab
    kept = place/'outputs'/'recordings'
    kept.mkdir()
    try:
        with apart('small', place) as folder: assert not list(folder.iterdir())
        with apart('small', place, ('models', 'recordings')) as folder: assert (folder/'recordings').resolve()==kept
        assert not folder.exists()
        held = Lock(place/'outputs'/'.verify-small.lock')
        held.take()
        with pytest.raises(RunError, match='small: another process verifies it'):
            with apart('small', place): pass
        held.release()
    finally: kept.rmdir()

def test_kept_is_refused_where_it_would_change_nothing(lab, monkeypatch):
    from click.testing import CliRunner
    from decodelab.lab.cli import main
    place, _, _ = lab
    monkeypatch.chdir(place)
    found = CliRunner().invoke(main, ['verify', 'small', '--kept'])
    assert found.exit_code==2 and 'no recordings are kept here' in found.output
    (place/'outputs'/'recordings').mkdir()
    try: found = CliRunner().invoke(main, ['verify', 'small', '--kept'])
    finally: (place/'outputs'/'recordings').rmdir()
    assert found.exit_code==2 and "--kept: got 'small'; allowed: reports of experiments that keep" in found.output

def test_a_verification_that_is_broken_off_goes_on(lab, monkeypatch):
    "Ctrl-C after the first chunk: the next takes up the same run, and what it did not have to do again counts."
    from decodelab.lab import publishing
    place, run, report = lab
    def broken(run, notebook, progress, quiet):
        from decodelab.core.runs import chunks
        next(chunks(run, 'full', [1, 2], lambda part: [dict(id=1)], size=1)) # whatever its work is
        run.unlock()
        raise KeyboardInterrupt
    seen = []
    monkeypatch.setattr(publishing, 'conduct', broken)
    with pytest.raises(KeyboardInterrupt): verify(report, place, progress=False)
    left = place/'outputs'/'.verify-small'
    assert len(list(left.glob('*/*/samples.jsonl')))==1 and not (place/'outputs'/'.verify-small.lock').exists()
    def again(run, notebook, progress, quiet):
        seen.append((run.info['attempts'], run.info['go_on'], (run.folder/'samples.jsonl').read_text().count('id')))
        run.write_metrics(dict(n=6))
        run.finish()
        run.unlock()
        return Run.open(run.folder)
    monkeypatch.setattr(publishing, 'conduct', again)
    assert not verify(report, place, progress=False).agrees
    assert seen==[(2, 'decodelab verify small', 1)] and not left.exists()

def test_what_verify_names_is_there_when_it_is_read(lab, monkeypatch, capsys):
    "The folder of a run that ended well goes, and is not named; of one that failed it stays until the next."
    place, run, report = lab
    verify(report, place, progress=False)
    assert '.verify' not in ''.join(capsys.readouterr())
    bad = saved(report.with_name('bad.ipynb'), *nbformat.read(report, 4).cells, code('1/0'), code(run.folder.name),
                parameters=dict(n=6))
    bad.with_suffix('.metrics.json').write_text(report.with_suffix('.metrics.json').read_text())
    try:
        with pytest.raises(RunError, match='ZeroDivisionError') as e: verify(bad, place, progress=False)
        named = Path(re.search(r'failing cell: (\S+)', str(e.value))[1])
        assert named.is_file() and '.verify-bad' in str(named)
        assert 'are of an older notebook' in str(e.value) # it has a cell more than the laboratory's
    finally:
        shutil.rmtree(place/'outputs'/'.verify-bad', ignore_errors=True)
        bad.unlink()
        bad.with_suffix('.metrics.json').unlink()

def test_where_nothing_can_be_written_nothing_is_verified(lab, monkeypatch):
    from decodelab.lab.publishing import NotHere
    place, _, report = lab
    def refused(self): raise PermissionError(13, 'Permission denied')
    monkeypatch.setattr(Lock, 'take', refused)
    with pytest.raises(NotHere, match='outputs: nothing can be run there: Permission denied'): verify(report, place)

def test_a_report_that_cannot_be_run_here_is_not_one_that_disagrees(lab, monkeypatch):
    from click.testing import CliRunner
    from decodelab.lab.cli import main
    place, run, report = lab
    nb = json.loads(report.read_text())
    nb['metadata']['papermill']['parameters'] |= dict(data='nowhere/else.jsonl')
    away = report.with_name('away.ipynb')
    try:
        away.write_text(json.dumps(nb))
        shutil.copy(report.with_suffix('.metrics.json'), away.with_suffix('.metrics.json'))
        monkeypatch.chdir(place)
        said = CliRunner().invoke(main, ['verify', 'away'])
        assert said.exit_code==1 and 'away: cannot be run here: ' in said.output and 'nowhere' in said.output
        assert '1 report: 1 cannot be run here' in said.output and 'do not agree' not in said.output
    finally:
        away.unlink()
        away.with_suffix('.metrics.json').unlink()

def test_a_wrong_number_does_not_agree(lab):
    place, run, report = lab
    beside = report.with_suffix('.metrics.json')
    m = json.loads(beside.read_text())
    wrong = dict(m, n=7, live=dict(m['live'], accuracy=m['live']['accuracy']+.5))
    bad = [c.name for c in check_metrics(wrong, run.metrics) if c.verdict=='differs']
    assert bad==['live.accuracy', 'n']

def test_a_report_is_the_notebook_that_was_run(lab):
    place, run, report = lab
    nb = json.loads(report.read_text())
    source, own = sources_of(nb), json.loads((place/'nbs'/'eig_eval.ipynb').read_text())
    assert [''.join(c['source']) for c in source['cells']]==[''.join(c['source']) for c in own['cells']]
    assert not any(c.get('outputs') for c in source['cells'])

def test_a_run_made_by_hand_gets_its_report(tmp_path):
    run = finished(tmp_path, dict(n=4), by='jupyter')
    end = code('end(run)', f'outputs/eig_eval/{run.folder.name}\n')
    path = saved(tmp_path/'a.ipynb', code('n = 4', tags=['parameters']), end)
    assert run_in(json.loads(path.read_text()))==f'eig_eval/{run.folder.name}'
    assert adopt(path, tmp_path).folder==run.folder and (run.folder/'report.html').stat().st_size > 500
    publish(run, root=tmp_path)
    with pytest.raises(RunError, match='n is 5 in the notebook, but 4 in the run'):
        adopt(saved(tmp_path/'b.ipynb', code('n = 5', tags=['parameters']), end), tmp_path)
    with pytest.raises(RunError, match='the notebook is of schema_eval'):
        adopt(saved(tmp_path/'c.ipynb', end, name='schema_eval'), tmp_path)
    with pytest.raises(RunError, match='names no run'): adopt(saved(tmp_path/'d.ipynb', code('1')), tmp_path)
    with pytest.raises(RunError, match='not among the runs'):
        adopt(saved(tmp_path/'e.ipynb', code('end(run)', 'x/eig_eval/20200101-000000-01234567')), tmp_path)
    with pytest.raises(RunError, match='no such file'): adopt(tmp_path/'none.ipynb', tmp_path)

def test_a_report_holds_what_was_run_and_nothing_else(tmp_path, monkeypatch):
    "In a real kernel, from a copy in nbs/: what is changed, cleared or run after the last cell is not the run's."
    from nbclient import NotebookClient
    from decodelab.lab.laboratory import new_laboratory
    lab = new_laboratory(str(tmp_path/'lab'))
    copy, meta = lab/'nbs'/'a copy.ipynb', dict(decodelab=dict(experiment='mine', parameters='P'))
    (lab/'q.jsonl').write_text('{}')
    cells = ['data = "q.jsonl"', 'from decodelab.core.parameters import Parameters, param\n'
             'class P(Parameters): data: str = param("q.jsonl", "Questions.")',
             'from decodelab.lab.experiments import begin, end\nrun, p = begin("mine", globals())', 'print(1)',
             'end(run)']
    cells = [nbformat.v4.new_code_cell(c) for c in cells]
    cells[0].metadata.tags = ['parameters']
    nb = nbformat.v4.new_notebook(cells=cells, metadata=meta)
    nbformat.write(nb, copy)
    monkeypatch.setenv('JPY_SESSION_NAME', str(copy))
    monkeypatch.delenv('DECODELAB_OUTPUTS', raising=False)
    client = NotebookClient(nb, resources=dict(metadata=dict(path=str(lab/'nbs'))))
    with client.setup_kernel():
        for i,cell in enumerate(nb.cells): client.execute_cell(cell, i)
        assert "adopt 'nbs/a copy.ipynb'" in nb.cells[-1].outputs[0].text
        def adopted():
            nbformat.write(nb, copy)
            return adopt(copy, lab/'outputs')
        nb.cells[3].source = 'print(2)'
        with pytest.raises(RunError, match=r"'print\(2\)' has been changed since"): adopted()
        client.execute_cell(nb.cells[3], 3)
        with pytest.raises(RunError, match=r"'print\(2\)' was run after end"): adopted()
        client.execute_cell(nb.cells[4], 4)
        run = adopted()
        assert run.info['source']==str(copy) and run.info['data'] # found from the laboratory's folder
        nb.cells.insert(0, nbformat.v4.new_markdown_cell('Mine.'))
        assert 'Mine.' in (adopted().folder/'report.ipynb').read_text()
        nb.cells[4].outputs = []
        with pytest.raises(RunError, match='whose code or outputs are others'): adopted()
        client.execute_cell(nb.cells[3], 3) # begins another
        client.execute_cell(nb.cells[3], 3)
    states = sorted(Run.open(f.parent).status for f in (lab/'outputs').glob('*/*/run.json'))
    assert states==['done', 'interrupted', 'interrupted']

@pytest.mark.parametrize('cell', ['n: int = 4', 'n, seed = 4, 0', 'n = m = 4', 'n = 9\nn = 4'])
def test_a_parameters_cell_is_read_as_python_reads_it(tmp_path, cell):
    run = finished(tmp_path, dict(n=4))
    end = code('end(run)', f'outputs/eig_eval/{run.folder.name}\n')
    adopt(saved(tmp_path/'a.ipynb', code(cell, tags=['parameters']), end), tmp_path)
    assert (run.folder/'report.html').exists()

def test_a_report_that_was_made_with_a_run_stays(tmp_path):
    run = finished(tmp_path, dict(n=4))
    saved(run.folder/'report.ipynb', code('1'))
    end = code('end(run)', f'x/eig_eval/{run.folder.name}')
    with pytest.raises(RunError, match='has the report'):
        adopt(saved(tmp_path/'a.ipynb', code('n = 4', tags=['parameters']), end), tmp_path)

def test_saving_never_fails_for_a_report(tmp_path, outputs):
    class Server:
        class log: debug = info = staticmethod(lambda *a: None)
    run = finished(outputs, dict(n=4))
    end = code('end(run)', f'outputs/eig_eval/{run.folder.name}\n')
    odd = [saved(tmp_path/f'{i}.ipynb', code(cell, tags=['parameters']), end)
           for i,cell in enumerate(('%matplotlib inline', 'n = = 4', 'n = 2*2', 'n = 5'))]
    Server.log.warning = staticmethod(lambda *a: None)
    for path in (saved(tmp_path/'a.ipynb', code('1')), tmp_path/'none.ipynb', *odd):
        after_save(dict(type='notebook'), str(path), Server)
    assert not (run.folder/'report.html').exists()
    after_save(dict(type='file'), str(tmp_path/'x.txt'), Server)

def test_jupyterlab_takes_the_hook(root):
    "`decodelab lab` names it as the server's option does."
    from jupyter_server.services.contents.filemanager import FileContentsManager
    from decodelab.lab.house import SAVED
    option, _, name = SAVED.partition('=')
    assert option=='--FileContentsManager.post_save_hook'
    assert FileContentsManager(post_save_hook=name, root_dir='/').post_save_hook is after_save

def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]

def asked(port, path, body=None):
    "What the server answers; it is asked again until it listens."
    request = urllib.request.Request(f'http://127.0.0.1:{port}/api/{path}', headers=dict(Authorization='token x'),
                                     data=body and json.dumps(body).encode(), method='PUT' if body else 'GET')
    for _ in range(300):
        try: return json.load(urllib.request.urlopen(request, timeout=20))
        except urllib.error.URLError as e:
            if isinstance(e, urllib.error.HTTPError): raise
            time.sleep(.1)
    raise AssertionError('the server never listened')

def test_jupyterlab_opens_with_the_experiments_and_a_saved_run_gets_its_report(tmp_path, monkeypatch):
    "The real server: it shows the laboratory, and saving an executed notebook makes it the report of its run."
    from decodelab.lab.laboratory import new_laboratory
    lab, port = new_laboratory(str(tmp_path/'my-lab')), free_port()
    monkeypatch.delenv('DECODELAB_OUTPUTS', raising=False)
    run = finished(lab/'outputs', dict(n=4), by='jupyter')
    end = code('end(run)', f'outputs/eig_eval/{run.folder.name}\n')
    nb = json.loads(saved(tmp_path/'a.ipynb', code('n = 4', tags=['parameters']), end).read_text())
    line = [str(Path(sys.executable).parent/'decodelab'), 'lab', '--no-browser', '--allow-root', f'--port={port}',
            '--IdentityProvider.token=x']
    homes = {f'JUPYTER_{name}_DIR': str(tmp_path/name) for name in ('CONFIG', 'DATA', 'RUNTIME')}
    server = subprocess.Popen(line, cwd=lab/'nbs', env=os.environ | homes, stderr=subprocess.PIPE, text=True)
    try:
        there = {entry['name'] for entry in asked(port, 'contents/nbs')['content']}
        assert {'eig_eval.ipynb', 'schema_eval.ipynb'} <= there
        asked(port, 'contents/nbs/eig_eval.ipynb', dict(type='notebook', format='json', content=nb))
        assert 'end(run)' in (run.folder/'report.ipynb').read_text() and (run.folder/'report.html').exists()
    finally:
        server.terminate()
        said = server.communicate(timeout=20)[1]
    assert f'nbs/eig_eval.ipynb is the report of {run.folder.name}' in said and '/lab/tree/nbs' in said

def test_git_hooks_never_break_git_without_the_environment(root, tmp_path):
    def git(*args): return subprocess.run(['git', '-c', 'user.name=a', '-c', 'user.email=a@b', *args], cwd=tmp_path,
                                          capture_output=True, text=True)
    git('init', '-q', '-b', 'main')
    (tmp_path/'.ci').mkdir()
    shutil.copy(root/'.ci'/'git-hooks', tmp_path/'.ci'/'git-hooks')
    for _ in range(2): assert subprocess.run(['bash', '.ci/git-hooks'], cwd=tmp_path).returncode==0
    path = saved(tmp_path/'a.ipynb', code('1'), code('2'), code('3'))
    git('add', '.')
    assert git('commit', '-qm', 'one').returncode==0
    git('checkout', '-qb', 'side')
    path.write_text(path.read_text().replace('"3"', '"4"'))
    git('commit', '-qam', 'two')
    git('checkout', '-q', 'main')
    path.write_text(path.read_text().replace('"1"', '"0"'))
    assert git('diff').returncode==0 and '"0"' in git('diff').stdout
    git('commit', '-qam', 'three')
    assert git('merge', 'side', '-m', 'm').returncode==0 and '"4"' in path.read_text()
    assert subprocess.run(['bash', '.ci/git-hooks', '--off'], cwd=tmp_path).returncode==0
    assert not (tmp_path/'.git'/'hooks'/'pre-commit').exists()
    assert 'nbdev' not in (tmp_path/'.git'/'config').read_text()+(tmp_path/'.git'/'info'/'attributes').read_text()
    git('checkout', '-q', 'side')
    path.write_text(path.read_text().replace('"2"', '"5"'))
    git('commit', '-qam', 'four')
    assert git('merge', 'main', '-m', 'm').returncode==0 # a driver without its command would be fatal
