"The report page in a real browser."
import re, shutil, subprocess
import pytest

CHROME = next(filter(None, map(shutil.which, ('chromium','chromium-browser','google-chrome'))), None)
FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--hide-scrollbars']

@pytest.fixture(scope='module')
def page(tmp_path_factory):
    "The page of the run that `make test` made with the defaults, or of a small one made here."
    from pathlib import Path
    import nbformat
    from decodelab.lab.page import to_html
    report = Path(__file__).parent.parent/'nbs'/'reports'/'eig_eval.ipynb'
    path = tmp_path_factory.mktemp('page')/'report.html'
    path.write_text(to_html(nbformat.read(report, 4), 'eig_eval'))
    return path

def chrome(page, tmp_path, *more):
    assert CHROME, 'Chromium is missing: make setup installs it'
    return subprocess.run([CHROME, *FLAGS, f'--user-data-dir={tmp_path}/profile', *more, page.as_uri()], capture_output=True, text=True, timeout=120)

def test_page_needs_no_network(page):
    text = re.sub(r'data:image/png;base64,[^"]+', '', page.read_text())
    assert not re.search(r'(?:src|href)\s*=\s*"(?:https?:)?//', text) and '<script src' not in text

def test_page_renders(page, tmp_path):
    dom = chrome(page, tmp_path, '--dump-dom').stdout
    assert dom.count('<img') >= 3 and dom.count('<table') >= 4 and 'Traceback' not in dom and 'When should a model stop thinking?' in dom

def test_page_as_a_picture(page, tmp_path):
    chrome(page, tmp_path, f'--screenshot={tmp_path}/page.png', '--window-size=1100,3000')
    import matplotlib.image
    image = matplotlib.image.imread(tmp_path/'page.png')
    assert image.shape[:2]==(3000, 1100) and image[...,:3].std() > .05 and len(set(map(tuple, (image[::40,::40,:3].reshape(-1, 3)*255).astype(int)))) > 20 # not blank
