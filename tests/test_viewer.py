"The page of runs in a real browser, from disk: nothing is asked of a network, hostile text is only text, keys work."
import json, shutil, time
from datetime import datetime, timedelta
from urllib.parse import quote
import pytest
from browser import Browser
from decodelab.core.errors import RunError
from decodelab.core.files import Journal
from decodelab.core.runs import Run
from decodelab.lab.viewer import MARKED, write_view

EVIL = '</script><script>document.title="broken"</script><img src=x onerror="document.title=1"> <b>&amp; \u2028\u2029'
BLOCKED = ['http://*', 'https://*', 'ws://*', 'ftp://*']
ROWS = 'document.querySelector("table.rows tbody tr td:nth-child(2)")!==null'

def made(outputs, k, params, records, metrics, name='sums', done=True):
    run = Run.create(name, dict(n=3) | params, outputs=outputs, when=datetime(2026, 1, 1, 12)+timedelta(minutes=k),
                     given=params)
    if records: Journal(run.folder/'samples.jsonl').append('live/0', records)
    run.write_metrics(metrics)
    if done: run.finish()
    return run

def rows(right, n=60):
    return [dict(stage='live', id=f'q{i}', question=f'What is {i}+1?', prompt=f'<user>\tWhat is {i}+1?\u00a0\n<model>',
                 text=f' It is {i+right(i)}.\n', correct=bool(right(i)), cost=dict(total=20+i)) for i in range(n)]

@pytest.fixture(scope='module')
def lab(tmp_path_factory):
    "Three runs that differ in one parameter, a hostile one, one that failed, one that is broken; and their page."
    outputs = tmp_path_factory.mktemp('runs')
    runs = [made(outputs, k, dict(rate=rate), rows(lambda i, k=k: i % (k+2) > 0),
                 dict(accuracy=.5+k/10, cost=[2, 1, 3])) for k,rate in enumerate((.1, .5, .9))]
    evil = [dict(stage=EVIL, id=EVIL, question=EVIL, prompt=EVIL, text=EVIL, correct=True,
                 note={EVIL: EVIL, '__proto__': 1})]
    runs.append(made(outputs, 3, {'x': EVIL}, evil, {EVIL: .5, 'answer': EVIL}, name='evil'))
    with open(runs[3].folder/'samples.jsonl', 'r+b') as f: # NaN and half a pair, as other tools write them
        text = f.read().replace(b'"correct": true', b'"correct": true, "odd": NaN, "half": "\\ud800"')
        f.seek(0)
        f.write(text)
    (runs[3].folder/'samples.index.json').write_text(json.dumps({'live/0': [0, len(text)]}))
    runs.append(made(outputs, 4, {}, [], {}, done=False))
    runs[4].finish('failed', f'ValueError: {EVIL}')
    runs.append(made(outputs, 5, {}, rows(lambda i: 1), {}))
    (runs[5].folder/'run.json').write_text('{"experiment": "su')
    import matplotlib
    matplotlib.use('agg')
    import matplotlib.pyplot as plt
    runs[0].figure(plt.figure(figsize=(2, 1)), 'plane')
    return runs, write_view(outputs)

@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    b = Browser(tmp_path_factory.mktemp('profile'))
    b.call('Network.setBlockedURLs', urls=BLOCKED)
    yield b
    b.close()

@pytest.fixture
def page(browser, lab):
    browser.said.clear()
    browser.asked.clear()
    browser.look(1280, 900)
    browser.open(lab[1].as_uri(), ROWS)
    yield browser
    assert not browser.said
    assert all(url.startswith(lab[1].parent.parent.as_uri()) for url in browser.asked), browser.asked

def at(run, n=None):
    name = quote('/'.join(run.folder.parts[-2:]), safe='')
    return f'#/run/{name}' + ('' if n is None else f'/sample/{n}')

def go(b, hash, ready):
    b.js(f'location.hash = {json.dumps(hash)}')
    for _ in range(200):
        if b.js(ready): return b.settle()
        time.sleep(.03)
    raise AssertionError(f'never: {ready}')

def press(b, key, code):
    "As `Browser.key`, with the number by which the table library knows a key."
    for kind in ('keyDown', 'keyUp'):
        b.call('Input.dispatchKeyEvent', type=kind, key=key, code=key, windowsVirtualKeyCode=code)
    b.settle()

def text(b, css='main'): return b.js(f'document.querySelector({json.dumps(css)}).textContent')
def table(b, css='table.rows tbody tr'):
    return b.js(f'[...document.querySelectorAll({json.dumps(css)})].map(r => [...r.cells].map(c => c.textContent))')

def test_every_run_shows_its_own_parameter(page, lab):
    found = {row[1]: row for row in table(page)}
    for run,rate in zip(lab[0], (.1, .5, .9)): assert found[run.folder.name][4]==f'rate={rate}'
    assert found[lab[0][5].folder.name][3]=='broken' and found[lab[0][4].folder.name][3]=='failed'
    for run,rate in zip(lab[0], (.1, .5, .9)):
        go(page, at(run), 'document.querySelector("tr.given")!==null')
        assert table(page, 'tr.given')==[['rate', str(rate)]] and run.folder.name in text(page, 'h1')

def test_a_sample_is_shown_exactly(page, lab):
    go(page, at(lab[0][1], 7), 'document.querySelectorAll("#detail .said").length==2')
    prompt, output = page.js('[...document.querySelectorAll("#detail pre")].map(e => e.textContent)')
    assert prompt=='<user>\tWhat is 7+1?\u00a0\n<model>' and output==' It is 8.\n'
    page.key('w')
    shown = page.js('document.querySelector("#detail pre").textContent')
    assert '→\t' in shown and '⍽' in shown and '¶' in shown
    page.key('w')
    page.key('j')
    assert page.js('location.hash').endswith('/sample/8')
    page.settle()
    page.key('k')
    page.key('Escape')
    assert page.js('location.hash')==at(lab[0][1])

def test_nothing_in_the_data_becomes_markup(page, lab):
    clean = 'document.querySelectorAll("main script, main b b, img:not([loading])").length'
    assert page.js(clean)==0
    find = 'e = document.getElementById("search"); e.value = "onerror"; e.dispatchEvent(new Event("input"))'
    page.js(f'(() => {{ let {find} }})()')
    page.js('new Promise(f => setTimeout(f, 300))')
    assert text(page, '.count')=='2 of 6 runs' and page.js(clean)==0 # what one failed of is found too
    go(page, at(lab[0][3], 0), 'document.querySelectorAll("#detail .said").length==2')
    assert page.js('[...document.querySelectorAll("#detail pre")].map(e => e.textContent)')==[EVIL, EVIL]
    assert page.js(clean)==0 and page.js('document.title').endswith('decodelab') and 'nan' in text(page, '#detail')
    go(page, at(lab[0][4]), 'document.querySelector(".note.bad")!==null')
    assert EVIL in text(page, '.note.bad') and page.js(clean)==0

def test_keys_choose_mark_and_compare(page, lab):
    names = [row[1] for row in table(page)]
    for _ in range(3): press(page, 'ArrowDown', 40)
    press(page, 'ArrowUp', 38)
    press(page, 'Enter', 13)
    assert page.js('location.hash').endswith(quote(names[2], safe=''))
    page.js('history.back()')
    page.js('new Promise(f => setTimeout(f, 200))')
    for run in lab[0][:2]: page.js(f'mark({json.dumps("sums/"+run.folder.name)})')
    assert page.js('document.querySelectorAll("tr.marked").length')==2
    assert not page.js('document.getElementById("diff").disabled')
    page.key('d')
    page.js('new Promise(f => setTimeout(f, 400))')
    assert page.js('location.hash').startswith('#/diff/')
    assert ['rate', '0.1', '0.5'] in table(page, 'tbody tr') and 'decodelab compare' in text(page)
    moved = {row[1]: row for row in table(page, 'tr.go')}
    flips = [i for i in range(60) if (i%2 > 0)!=(i%3 > 0)]
    assert moved['correct'][6]==str(len(flips)) and moved['correct'][2]=='60'
    page.js('document.querySelector("tr.go").click()')
    page.js('new Promise(f => setTimeout(f, 300))')
    assert text(page, '#items b')==f'q{flips[0]}'
    assert page.js('document.querySelectorAll("#items .two > div").length')==2
    page.key('/')
    page.key('Escape')
    page.key('Escape')
    assert page.js('location.hash')=='#/'

def test_filters_and_columns(page, lab):
    change = 'e.dispatchEvent(new Event("change"))'
    page.js(f'(e => {{ e.value = "evil"; {change} }})(document.querySelector("select"))')
    assert text(page, '.count')=='1 of 6 runs'
    page.js(f'(e => {{ e.value = ""; {change} }})(document.querySelector("select"))')
    page.js(f'(e => {{ e.value = "metrics.accuracy"; {change} }})(document.querySelector("input[list]"))')
    page.settle()
    assert {row[-1] for row in table(page)} >= {'0.5', '0.6', '0.7'}
    go(page, at(lab[0][0]), 'document.querySelectorAll("table.rows tbody tr").length > 5')
    yes = '(e => { e.value = "1 correct"; %s })(document.querySelectorAll("main select")[1])' % change
    page.js(yes)
    assert text(page, '.count')=='30 of 60 samples'
    assert page.js('document.querySelector(".figures img").naturalWidth') > 0

CONTRAST = '''(() => {
  const part = x => (x/=255) <= .03928 ? x/12.92 : ((x+.055)/1.055)**2.4;
  const lum = c => { const [r,g,b] = c.match(/[\\d.]+/g).map(part); return .2126*r+.7152*g+.0722*b; };
  const back = e => {
    for (; e; e = e.parentElement) {
      const c = getComputedStyle(e).backgroundColor;
      if (!/, 0\\)/.test(c)) return c; }
    return getComputedStyle(document.body).backgroundColor; };
  const all = document.querySelectorAll('td,th,.soft,.pill,h1,h2,a,.count,button:not(:disabled)');
  return Math.min(...[...all].filter(e => e.textContent.trim() && e.offsetParent).map(e => {
    const [a,b] = [lum(getComputedStyle(e).color), lum(back(e))].sort((x, y) => y-x);
    return (a+.05)/(b+.05); })); })()'''

@pytest.mark.parametrize('dark', [False, True])
@pytest.mark.parametrize('width,height', [(1280, 900), (390, 844)])
def test_pictures(page, lab, tmp_path, width, height, dark):
    page.look(width, height, dark, phone=width < 500)
    for hash,ready in (('#/', ROWS), (at(lab[0][0], 3), 'document.querySelectorAll("#detail .said").length==2')):
        go(page, hash, ready)
        assert page.js('document.documentElement.scrollWidth') <= width, hash
        assert page.js(CONTRAST) >= 4.5, hash
    import matplotlib.image
    image = matplotlib.image.imread(page.picture(tmp_path/'page.png'))[..., :3]
    assert image.std() > .03 and (image.mean() < .4)==dark
    page.look(1280, 900)

def test_only_what_changed_is_written_again(lab):
    runs, index = lab
    data = index.parent/'data'
    before = {f: f.stat().st_mtime_ns for f in data.rglob('c*.js')}
    extra = made(runs[0].folder.parent.parent, 9, dict(rate=.2), rows(lambda i: 1, 5), {})
    write_view(runs[0].folder.parent.parent)
    assert {f: f.stat().st_mtime_ns for f in before}==before and len(list(data.iterdir()))==7
    shutil.rmtree(extra.folder)
    write_view(runs[0].folder.parent.parent)
    assert len(list(data.iterdir()))==6 and (index.parent/'vendor'/'License.txt').read_text().strip()

def test_a_folder_that_is_not_ours_stays(tmp_path):
    (tmp_path/'view').mkdir()
    (tmp_path/'view'/'notes.txt').write_text('mine')
    with pytest.raises(RunError, match='did not write it'): write_view(tmp_path, tmp_path/'view')
    (tmp_path/'file').write_text('')
    with pytest.raises(RunError, match='is a file'): write_view(tmp_path, tmp_path/'file')
    empty = write_view(tmp_path, tmp_path/'new'/'place')
    assert MARKED in empty.read_text()

def test_a_thousand_runs_and_a_hundred_thousand_samples(browser, tmp_path):
    "Lines of the table are those of one run under other names; its samples are read when it is opened."
    many = [dict(r, text='x'*99) for r in rows(lambda i: i%2, 100_000)]
    run = made(tmp_path, 0, dict(rate=.1), many, dict(accuracy=.5))
    index = write_view(tmp_path)
    line = json.loads(next((index.parent/'data').rglob('about.json')).read_text())
    line |= dict(params={f'p{i}': i for i in range(40)}, metrics={f'm{i}': i/7 for i in range(80)})
    from decodelab.lab.viewer import dumped, script
    lines = [line] + [line | dict(id=f'sums/r{k}', folder=f'r{k}', samples=0) for k in range(999)]
    (index.parent/'runs.js').write_bytes(script('runs', 'runs', dumped(lines)))
    browser.said.clear()
    browser.look(1280, 900)
    took = []
    for _ in range(3): # others may keep the cores busy
        browser.open(index.as_uri(), ROWS)
        took.append(browser.js('performance.timing.domComplete-performance.timing.navigationStart'))
    assert min(took) < 2000 and text(browser, '.count')=='1,000 of 1,000 runs', took
    assert browser.js('document.querySelectorAll("tbody tr").length') < 300
    go(browser, at(run, 54_321), 'document.querySelectorAll("#detail .said").length==2')
    assert '54321' in text(browser, '#detail') and text(browser, '.count')=='100,000 of 100,000 samples'
    assert browser.js('document.querySelectorAll("table.rows tbody tr").length') < 300 and not browser.said

def test_the_command(command, outputs):
    made(outputs, 0, dict(rate=.1), rows(lambda i: 1, 3), {})
    p = command('decodelab', 'view')
    assert p.stdout.strip()==str(outputs/'view'/'index.html') and (outputs/'view'/'index.html').exists()
    assert len(command('decodelab', 'ls').stdout.splitlines())==1 # the page's folder is no run
