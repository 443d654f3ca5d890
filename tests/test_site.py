"The site: it builds without a warning, every link resolves, a browser opens it from disk with nothing to say."
import os, re, subprocess, sys
from pathlib import Path
import pytest
from browser import Browser
from decodelab.lab.site import dead_links

PAGES = dict(index='index.html', lesson='maths/00_information.html', report='reports/eig_eval.html',
             rules='registry/rules.html', howto='howto/3-stopping-rule.html', floor='eig/index.html')

@pytest.fixture(scope='module')
def site(root):
    "The built site; what an earlier build made is kept and brought up to date."
    line = [str(Path(sys.executable).parent/'decodelab'), 'docs', '--strict']
    done = subprocess.run(line, cwd=root, capture_output=True, text=True, env=os.environ | dict(OMP_NUM_THREADS='1'))
    assert done.returncode==0, done.stdout + done.stderr[-4000:]
    return root/'_docs'

@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    b = Browser(tmp_path_factory.mktemp('profile'))
    b.call('Network.enable')
    b.call('Network.setBlockedURLs', urls=['http://*', 'https://*'])
    yield b
    b.close()

def quiet(browser):
    "Nothing was said on the console, nothing asked of the network."
    said, asked = list(browser.said), [url for url in browser.asked if not url.startswith(('file:', 'data:', 'about:'))]
    browser.said.clear()
    browser.asked.clear()
    assert not said and not asked, (said, asked)

def test_every_link_and_every_symbol_resolves(site):
    assert dead_links(site)==[]
    text = (site/'backends'/'03_drawing.html').read_text()
    linked = re.findall(r'href="[^"]*contract\.html#decodelab\.backends\.contract\.', text)
    assert linked # a page leads to the types that its signatures name

def test_every_lesson_report_and_registry_is_there(site, root):
    for f in (root/'nbs').rglob('*.ipynb'):
        if '.ipynb_checkpoints' not in f.parts: assert (site/f.relative_to(root/'nbs')).with_suffix('.html').exists(), f
    from decodelab.eig.stopping.rules import rules
    from decodelab.evaluation.lmeval.names import MODELS
    from decodelab.lab.experiments import EXPERIMENTS
    from decodelab.maths.tilt import alpha_methods
    for page,names in (('rules', rules), ('alphas', alpha_methods)):
        text = (site/'registry'/f'{page}.html').read_text()
        assert all(f'>{e.name}<' in text for e in names), page
    assert all(f'>{name}<' in (site/'registry'/'lmeval.html').read_text() for name in MODELS)
    text = (site/'registry'/'parameters.html').read_text()
    assert all(f'>{name}<' in text for e in EXPERIMENTS.values() for name in e.parameters.model_fields)

@pytest.mark.parametrize('name', PAGES)
def test_a_browser_opens_pages_from_disk(site, browser, name):
    browser.look(1280, 900)
    browser.open((site/PAGES[name]).as_uri())
    quiet(browser)
    assert browser.js('document.querySelectorAll(".sidebar-tree a").length') > 30
    browser.look(400, 800, phone=True)
    assert browser.js('document.documentElement.scrollWidth') <= 400 # wide things scroll, the page does not
    quiet(browser)

def test_a_lesson_shows_values_formulas_and_its_source(site, browser):
    browser.look(1280, 900)
    browser.open((site/PAGES['lesson']).as_uri())
    assert browser.js('document.querySelectorAll("dl.py.function").length') > 3
    assert browser.js('document.querySelectorAll("details.hide").length') > 3
    assert browser.js('document.querySelectorAll(".cell_output").length') > 3
    quiet(browser)

def test_figures_stand_on_a_white_card_in_the_dark(site, browser):
    browser.look(1280, 900, dark=True)
    browser.open((site/PAGES['report']).as_uri())
    card, page = (browser.js(f'getComputedStyle(document.querySelector("{x}")).backgroundColor')
                  for x in ('.cell_output img', 'body'))
    assert card=='rgb(255, 255, 255)' and page!=card
    quiet(browser)

def test_search_works_from_disk(site, browser):
    browser.look(1280, 900)
    found = 'document.querySelectorAll("#search-results li").length > 0'
    browser.open((site/'search.html').as_uri()+'?q=run_key', found)
    quiet(browser)

def test_quarto_file_is_what_nbdev_makes(root, tmp_path, monkeypatch):
    import nbdev.quarto
    (tmp_path/'nbs').mkdir()
    (tmp_path/'pyproject.toml').write_text((root/'pyproject.toml').read_text())
    monkeypatch.chdir(tmp_path)
    nbdev.quarto.refresh_quarto_yml()
    assert (tmp_path/'nbs'/'_quarto.yml').read_text()==(root/'nbs'/'_quarto.yml').read_text()

def test_nbdev_makes_pages_for_quarto_of_lessons_whose_types_are_imported_for_checkers_alone(root, tmp_path):
    "show_doc would look `torch.Tensor` up in a notebook that imports torch where it is used; lessons stay as they are."
    import nbformat
    (tmp_path/'nbs').mkdir()
    for name in ('pyproject.toml', 'nbs/backends/03_drawing.ipynb'):
        (tmp_path/name).parent.mkdir(exist_ok=True)
        (tmp_path/name).write_text((root/name).read_text())
    code = 'from nbdev.serve import proc_nbs; proc_nbs("nbs", n_workers=0)'
    done = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode==0, done.stderr[-2000:]
    made = nbformat.read(tmp_path/'_proc'/'backends'/'03_drawing.ipynb', 4)
    assert any('def filtered' in c.source for c in made.cells if c.cell_type=='code')
