"The page of thoughts in a real browser: its numbers are the library's, its text is only text, it asks for nothing."

import json, re
from pathlib import Path
from urllib.parse import quote
import numpy as np, pytest
from browser import Browser
from decodelab.core import Run, RunError
from decodelab.tasks import load_questions
from decodelab.core.files import Journal
from decodelab.eig import EIGEvalParameters, SetUp
from decodelab.eig.stopping.learnt import rules
from decodelab.eig.stopping.replay import replay_one, replay_rule
from decodelab.eig.stopping.rules import Verdict
from decodelab.eig.study.report import calibration_figure, steps_figure
from decodelab.eig.study.traces import replay, with_threshold
from decodelab.lab import watch

READY = 'document.querySelector("#dots circle")!==null'

@pytest.fixture(scope='module')
def recorded(student, tmp_path_factory):
    "A small evaluation of the student, its page, and its traces."
    p = EIGEvalParameters(n=12, chunk=6, mc_samples=3, sample_length=24, max_tokens=64)
    run = Run.create('eig_eval', p.model_dump(), outputs=tmp_path_factory.mktemp('runs'))
    s = SetUp(student, load_questions('reference', p.n, p.seed), p)
    traces, _ = s.looks(run, s.full(run))
    watch.write(run, step=s.frame.step, cue_tokens=len(student.encode(s.frame.cue)), answer='one digit')
    return run, traces

@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    b = Browser(tmp_path_factory.mktemp('profile'))
    yield b
    b.close()

def stopped(t, rule, lam):
    "Where the library says that one of the page's two rules stops, and its tokens."
    name, given = with_threshold(rule, lam)
    return replay_one(t, rules[name].item, rules.settings(name, given))
def stop_eig(t, lam): return stopped(t, 'eig', lam)[0]
def stop_entropy(t, lam): return stopped(t, 'entropy', lam)[0]

def address(run, lam=None, id=None):
    return (
        (run.folder / 'watch.html').as_uri()
        + (f'?lambda={lam}' if lam else '')
        + (f'#{quote(id, safe="")}' if id else '')
    )


@pytest.fixture
def page(browser, recorded):
    browser.said.clear()
    browser.asked.clear()
    browser.look(1280, 900)
    browser.open(address(recorded[0]), READY)
    yield browser
    assert not browser.said

def text(b, css): return b.js(f'document.querySelector({json.dumps(css)}).textContent')
def table(b)->dict:
    "Rows of the rules' table: where it stops, answer, and tokens by kind."
    return {
        k: v
        for k, v in b.js(
            '[...document.querySelectorAll("#rules tbody tr")]'
            '.map(r => [r.dataset.rule, [...r.cells].slice(1, -1).map(c => c.textContent)])'
        )
    }


def shown(b)->str: return text(b, '#meta').split(' · ')[0]
def at(stop:int)->str: return f'step {stop}' if stop else 'start'
def set_lam(b, x):
    b.js(f'(e => {{ e.value = {x}; e.dispatchEvent(new Event("input")); }})(document.getElementById("number"))')
    b.settle()

def by_hand(id='a', n=3, **change):
    "A trace made by hand."
    belief = [[['8', .5], ['3', .4], ['(other)', .1]]]*n
    return dict(
        dict(
            stage='trace',
            id=id,
            group='all',
            question=f'3+5={id}?',
            truth='8',
            steps=['', *(f's{i}\n' for i in range(1, n))],
            tokens=[9 * i for i in range(n)],
            closed=True,
            answer=['3'] + ['8'] * (n - 1),
            correct=[0] + [1] * (n - 1),
            entropy=[0.9] * n,
            confidence=[0.5] * n,
            p_truth=[0.5] * n,
            belief=belief,
            probe=[5] * n,
            answer_tokens=[4] * n,
            gain=[
                dict(
                    eig=0.4,
                    low=0.3,
                    high=0.5,
                    mutual_information=0.0,
                    computation_gain=0.4,
                    martingale_gap=0.0,
                    after=[0.5, 0.5],
                    forecast=40,
                    probe=10,
                    kept=9,
                )
            ]
            * (n - 1)
            + [None],
        ),
        **change,
    )

def made(folder, *traces, live=()):
    run = Run.create('eig_eval', dict(lambda_cost=.05, mc_samples=2), outputs=folder)
    j = Journal(run.folder/'samples.jsonl')
    j.append('trace/00000', list(traces))
    if live: j.append('live/00000', list(live))
    watch.write(run)
    return run

def test_the_page_asks_for_nothing(page, recorded):
    assert page.asked==[address(recorded[0])]
    source = (recorded[0].folder/'watch.html').read_text()
    assert (
        not re.search(r'(?:src|href)\s*=\s*"(?!data:)', source)
        and "default-src 'none'" in source
        and str(recorded[0].folder.parent) not in source
    )


@pytest.mark.parametrize('lam', [.05, .31, 1.])
def test_the_summary_is_the_librarys(browser, recorded, lam):
    run, traces = recorded
    browser.open(address(run, lam), READY)
    got = dict(
        browser.js(
            '[...document.querySelectorAll("#summary tbody tr")]'
            '.map(r => [r.dataset.rule, [...r.querySelectorAll("td")].map(c => +c.dataset.value)])'
        )
    )
    for rule, values in got.items():
        np.testing.assert_allclose(values, replay(traces, rule, lam).mean(0)[[0, 1, 5]], rtol=1e-12, err_msg=rule)
    assert set(got)=={'full','entropy','eig'}

def test_every_rule_stops_where_the_library_says(browser, recorded):
    run, traces = recorded
    lam = .2
    cue = run.info['frame']['cue_tokens']
    browser.open(address(run, lam), READY)
    whole = {
        e.name: replay_rule(traces, e.name, cue_tokens=cue)
        for e in rules
        if not (e.item.forces or e.item.check or e.name == 'bayes_risk_optimal_reasoning')
    }
    for k,t in enumerate(traces):
        browser.js(f'location.hash = {json.dumps(quote(t["id"], safe=""))}')
        browser.settle()
        rows = table(browser)
        assert shown(browser)==t['id']
        for rule in ('eig', 'entropy'):
            stop, c = stopped(t, rule, lam)
            assert rows[rule] == [
                at(stop),
                f'{t["answer"][stop] or "nothing"} {"✓" if t["correct"][stop] else "✗"}',
                *map(str, (c.reasoning, c.forecast, c.probe, c.answer, c.total)),
            ]
        for name, x in whole.items():
            assert list(map(int, rows[name][2:])) == x[k, 1:].astype(int).tolist() and rows[name][1].endswith(
                '✓'
            ) == bool(x[k, 0]), name
        chips = browser.js(
            '[...document.querySelectorAll(".step")]'
            '.map(s => [...s.querySelectorAll(".chip")].map(c => c.lastChild.textContent))'
        )
        assert (
            sum(map(len, chips)) == len([r for r in rows.values() if r[0] != 'its own thoughts'])
            and rows['eig'][-1] in chips[stop_eig(t, lam)]
        )
    missing = text(browser, '#missing')
    assert (
        all(
            e.name in missing
            for e in rules
            if e.item.forces or e.item.check or e.name == 'bayes_risk_optimal_reasoning'
        )
        and len(whole) >= 10
    )


def test_the_live_run_is_shown_as_it_was(page, recorded):
    live = {r['id']: r for r in watch.stages(recorded[0])['live']}[shown(page)]
    row = table(page)['live']
    assert row[2:] == [str(live['cost'][k]) for k in ('reasoning', 'forecast', 'probe', 'answer', 'total')] and row[
        1
    ].startswith(live['answer'] or 'nothing')


def test_dragging_the_line_moves_the_stops(page, recorded):
    t = max(recorded[1], key=lambda t: stop_eig(t, .05)-stop_eig(t, 1.))
    assert stop_eig(t, .05) > stop_eig(t, 1.)
    page.js(f'location.hash = {json.dumps(quote(t["id"], safe=""))}')
    page.settle()
    box = lambda e: page.js(
        f'(r => [r.x+r.width/2, r.y+r.height/2])(document.getElementById("{e}").getBoundingClientRect())'
    )
    seen = set()
    for up in (0, 30, 60, 90, 110):
        x, y = box('handle')
        top = page.js('document.getElementById("chart").getBoundingClientRect().y')
        page.drag((x, y), (x, max(top+16, y-up/3)))
        lam = page.js('S.lam')
        stop = stop_eig(t, lam)
        seen.add(stop)
        assert (
            table(page)['eig'][0] == at(stop)
            and table(page)['entropy'][0] == at(stop_entropy(t, lam))
            and float(page.js('document.getElementById("number").value')) == lam
        )
        assert page.js('[...document.querySelectorAll(".step")].map(e => e.classList.contains("after"))') == [
            i > stop for i in range(len(t['tokens']))
        ]
    assert len(seen) > 1
    before = page.js('S.lam')
    page.js('document.getElementById("handle").focus()')
    page.key('ArrowDown')
    page.key('ArrowDown')
    assert page.js('S.lam') < before and page.js('document.activeElement.id')=='handle' and shown(page)==t['id']

def test_a_threshold_out_of_range_is_said(page):
    set_lam(page, .01)
    assert page.js('S.lam')==.05 and 'down to λ = 0.05' in text(page, '#hint')
    set_lam(page, 99)
    assert page.js('S.lam')==page.js('D.top') and 'No belief' in text(page, '#hint')
    page.js('(e => { e.value = ""; e.dispatchEvent(new Event("input")); })(document.getElementById("number"))')
    assert page.js('S.lam')==page.js('D.top')

def test_choosing_questions(page, recorded):
    ids = [t['id'] for t in recorded[1]]
    page.key('ArrowDown')
    page.key('ArrowDown')
    assert shown(page)==ids[2] and page.js('location.hash')=='#'+quote(ids[2], safe='')
    page.key('ArrowUp')
    assert (
        shown(page) == ids[1]
        and page.js('document.getElementById("list").getAttribute("aria-activedescendant")') == 'o1'
    )
    x, y = page.js('(r => [r.x+40, r.y+15])(document.getElementById("o4").getBoundingClientRect())')
    page.drag((x, y), (x, y))
    assert shown(page)==ids[4]
    find = lambda id, value: (
        page.js(
            f'(e => {{ e.value = {json.dumps(value)}; '
            f'e.dispatchEvent(new Event("input")); }})(document.getElementById("{id}"))'
        ),
        page.js('S.view.length'),
    )[1]
    assert find('search', recorded[1][7]['question'])==1 and page.js('S.view[0]')==7
    find('search', '')
    assert find('group', 'unanswerable')==sum(t['group']=='unanswerable' for t in recorded[1]) > 0
    find('group', '*')
    lam = page.js('S.lam')
    right = [t['correct'][stop_eig(t, lam)] for t in recorded[1]]
    assert (
        find('outcome', 'right') == sum(right)
        and find('outcome', 'wrong') == len(right) - sum(right)
        and find('outcome', 'disagree') > 0
    )
    assert find('search', 'no such question')==0
    page.key('ArrowDown')
    assert shown(page)==ids[4]

def test_deep_link(browser, recorded):
    t = recorded[1][5]
    browser.open(address(recorded[0], .4, t['id']), READY)
    assert (
        shown(browser) == t['id']
        and browser.js('S.lam') == 0.4
        and browser.js('document.getElementById("o5").getAttribute("aria-selected")') == 'true'
    )


def test_steps_come_one_by_one(page):
    hidden = lambda: page.js('document.querySelectorAll(".step.hide").length')
    n = page.js('T.tokens.length')
    assert hidden()==0
    page.key('ArrowLeft')
    assert hidden()==1 and text(page, '#where')==f'step {n-2} of {n-1}'
    page.js('document.getElementById("play").click()')
    page.js('new Promise(f => setTimeout(f, 2500))')
    assert hidden()==0 and 'Play' in text(page, '#play')
    page.js('document.getElementById("play").click()')
    assert hidden()==n-1 and page.js('document.querySelectorAll("#chart circle").length')==1
    page.js('document.getElementById("play").click()')
    page.key('ArrowRight')
    assert hidden()==n-2

EVIL = ('</script><script>document.title="broken"</script><img src=x onerror=alert(1)> '
        '"quotes" \'single\' & ünïcode 你好 \u2028 %DATA% %TITLE%')


def test_nothing_in_the_data_becomes_markup(browser, tmp_path):
    t = by_hand(
        EVIL,
        question=EVIL,
        truth=EVIL,
        group=EVIL,
        steps=['', EVIL, EVIL + '\n'],
        answer=['3', EVIL, EVIL],
        belief=[[[EVIL, 0.9], ['<b>', 0.05], ['(other)', 0.05]]] * 3,
    )
    live = dict(
        stage='live',
        id=EVIL,
        steps=['', EVIL + 'other'],
        answer=EVIL,
        correct=1,
        cause=EVIL,
        cost=dict(reasoning=9, forecast=1, probe=2, answer=3, total=15),
    )
    run = made(tmp_path, t, by_hand('b'), live=[live])
    browser.said.clear()
    browser.asked.clear()
    browser.open(address(run, id=EVIL), READY)
    assert (
        browser.js('document.title').startswith('Watch it think')
        and browser.js('document.scripts.length') == 2
        and browser.js('document.querySelectorAll("img,b b,iframe").length') == 0
    )
    assert (
        text(browser, '#question') == EVIL.strip()
        and EVIL in text(browser, '.step:nth-of-type(2) .text')
        and table(browser)['live'][0] == 'its own thoughts'
        and EVIL + 'other' in text(browser, '#own')
    )
    assert not browser.said and len(browser.asked)==1 and shown(browser)==EVIL.split(' · ')[0]

def test_gaps_in_a_recording(browser, tmp_path):
    none = by_hand('no gains', gain=[None]*3, entropy=[.04]*3)
    lost = by_hand(
        'no belief',
        entropy=[0.9, None, 0.2],
        belief=[[['8', 0.5], ['(other)', 0.5]], [], [['8', 1.0], ['(other)', 0.0]]],
        answer=['8', '', '8'],
        gain=[by_hand()['gain'][0], None, None],
    )
    once = by_hand('one forecast', gain=[dict(by_hand()['gain'][0], low=None, high=None, after=[.5])]*3)
    only = by_hand('no steps', n=1, gain=[None])
    run = made(tmp_path, none, lost, once, only)
    browser.said.clear()
    browser.open(address(run), READY)
    assert 'no forecasts' in text(browser, '#chart') and table(browser)['eig'][0]=='start'
    browser.key('ArrowDown')
    assert 'no answer found' in text(browser, '#strip') and table(browser)['eig'][:2]==['step 1', 'nothing ✓']
    browser.key('ArrowDown')
    assert 'one forecast' in text(browser, '.numbers')
    browser.key('ArrowDown')
    assert table(browser)['full'][0]=='start' and browser.js('document.querySelectorAll(".step").length')==1
    assert not browser.said and 'NaN' not in browser.js('document.body.innerHTML')

def test_thousands_of_questions(browser, tmp_path, monkeypatch):
    monkeypatch.setattr(watch, 'at_target', lambda *a: []) # what rules would reach together, minutes of replays
    run = made(tmp_path, *(by_hand(f'q{i}', n=13) for i in range(2000)))
    browser.open(address(run, id='q1900'), READY)
    assert shown(browser)=='q1900'
    assert (
        browser.js('document.querySelectorAll(".option").length') < 60
        and (run.folder / 'watch.html').stat().st_size < 2000 * 4000
    )
    assert (
        browser.js(
            '(() => { const t = performance.now(); for (const x of [.1, .5, .3, .2]) { S.lam = x; moved(); } '
            'return (performance.now()-t)/4; })()'
        )
        < 300
    )  # ms, on a busy machine


CONTRAST = '''(() => { const lum = c => {
    const [r,g,b] = c.match(/[\\d.]+/g).map(x => (x/=255) <= .03928 ? x/12.92 : ((x+.055)/1.055)**2.4);
    return .2126*r+.7152*g+.0722*b; };
  const back = e => { for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor;
    if (!/, 0\\)|0\\.\\d+\\)/.test(c)) return c; }
    return getComputedStyle(document.body).backgroundColor; };
  const texts = document.querySelectorAll('.soft,.eig,.entropy,.right,.wrong,.chip,small,.side,td,th,.bars div');
  return Math.min(...[...texts].filter(e => e.textContent.trim()).map(e => {
    const [a,b] = [lum(getComputedStyle(e).color), lum(back(e))].sort((x, y) => y-x);
    return (a+.05)/(b+.05); })); })()'''


@pytest.mark.parametrize('dark', [False, True])
@pytest.mark.parametrize('width,height', [(1280, 900), (390, 844)])
def test_pictures(page, tmp_path, dark, width, height):
    page.look(width, height, dark, phone=width < 500)
    assert page.js('document.documentElement.scrollWidth') <= width and page.js(CONTRAST) >= 4.5
    import matplotlib.image
    image = matplotlib.image.imread(page.picture(tmp_path/'page.png'))[...,:3]
    assert image.shape[:2]==(height, width) and image.std() > .05 and (image.mean() < .3)==dark
    page.look(1280, 900)

def test_it_prints(page): assert page.pdf().startswith(b'%PDF')

def test_everything_that_is_operated_has_a_name(page):
    tree = page.call('Accessibility.getFullAXTree')['nodes']
    roles = {'button','slider','searchbox','spinbutton','combobox','listbox','option','image','link','textbox'}
    unnamed = [
        n['role']['value']
        for n in tree
        if not n['ignored'] and n['role']['value'] in roles and not n.get('name', {}).get('value', '').strip()
    ]
    assert not unnamed and {'listbox','slider','option'} <= {n['role']['value'] for n in tree if 'role' in n}

def test_the_command(command, outputs, recorded, tmp_path):
    out = command('decodelab', 'watch', recorded[0].folder).stdout
    path = Path(out.rsplit(' (', 1)[0])
    assert path==recorded[0].folder/'watch.html' and re.search(r'\(\d+ KiB\)', out)
    empty = Run.create('eig_eval', {}, outputs=outputs)
    p = command('decodelab', 'watch', empty.folder, check=False)
    assert p.returncode==2 and len(p.stderr.splitlines())==1 and 'holds no traces' in p.stderr
    assert not (empty.folder/'watch.html').exists()

def test_a_file_of_that_name_that_is_not_ours_stays(tmp_path):
    run = made(tmp_path, by_hand())
    path = run.folder/'watch.html'
    before = path.stat().st_mtime_ns
    watch.write(run)
    assert path.stat().st_mtime_ns==before
    path.write_text('notes')
    pytest.raises(RunError, watch.write, run)
    assert path.read_text()=='notes'

def test_an_unfinished_run_is_read_and_left_alone(tmp_path):
    run = Run.create('eig_eval', dict(lambda_cost=.05), outputs=tmp_path)
    j = Journal(run.folder/'samples.jsonl')
    j.append('full/00000', [dict(stage='full', id=i) for i in 'abc'])
    j.append('trace/00000', [by_hand('a')])
    with open(j.path, 'ab') as f: f.write(b'{"id": "half')
    size = j.path.stat().st_size
    assert 'unfinished: 1 of 3' in watch.write(run).read_text() and j.path.stat().st_size==size

def test_a_rule_that_fails_is_listed_with_its_reason():
    @rules.rule('test_only_rule', needs='forecast', source='a test')
    def test_only_rule(s, p)->Verdict:
        "Always ask."
        return Verdict(s.forecast() is not None)
    try: done, missing = watch.replayed([by_hand(n=3, gain=[by_hand()['gain'][0], None, None])])
    finally: rules._entries.pop('test_only_rule')
    assert 'no gain at boundary 1' in {m['name']: m['why'] for m in missing}[
        'test_only_rule'
    ] and 'test_only_rule' not in {r['name'] for r in done}

def test_why_there_is_no_forecast_is_said(page):
    for explored, why in ((0, 'too little of the answers is explored'), (1, 'the belief was sure from the start')):
        page.js(f'T.gain = T.gain.map(g => null); T.explored = T.explored.map(x => {explored}); drawChart()')
        assert f'no forecasts here: {why}' in text(page, '#chart')

def test_figures_of_a_report_hold_what_they_show(recorded):
    "Titles beside each other, every gain and bound within the axis, words where there is nothing to draw."
    traces = [dict(t) for t in recorded[1][:3]]
    drawn = next(g for t in recorded[1] for g in t['gain'] if g)
    traces[0]['high'] = [9.]*len(traces[0]['tokens'])
    traces[1]['gain'] = [dict(drawn, eig=-3., low=-4., high=-2.)]*len(traces[1]['tokens'])
    traces[1]['question'] = traces[2]['question'] = 'How many apples are in the seven large baskets on the table?'
    fig = steps_figure(traces, .05)
    low, high = fig.axes[0].get_ylim()
    assert low < -3 and high > 9
    boxes = [ax.title.get_window_extent() for ax in fig.axes]
    assert all(a.x1 < b.x0 for a,b in zip(boxes, boxes[1:]))
    seldom = calibration_figure([t | dict(gain=[None]*len(t['gain'])) for t in recorded[1]]).axes[1]
    assert 'five questions' in seldom.texts[0].get_text() and seldom.get_legend() is None
