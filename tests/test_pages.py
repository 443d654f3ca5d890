"The report page in a real browser."
import re, subprocess
import matplotlib.image, nbformat, pytest
from browser import CHROME, FLAGS
from decodelab.lab.page import to_html

@pytest.fixture(scope='module')
def page(tmp_path_factory, root):
    "The page of the published report."
    path = tmp_path_factory.mktemp('page')/'report.html'
    path.write_text(to_html(nbformat.read(root/'nbs'/'reports'/'eig_eval.ipynb', 4), 'eig_eval'))
    return path

def chrome(page, tmp_path, *more):
    assert CHROME, 'Chromium is missing: make setup installs it'
    line = [CHROME, *FLAGS, f'--user-data-dir={tmp_path}/profile', *more, page.as_uri()]
    return subprocess.run(line, capture_output=True, text=True, timeout=120)

def test_page_needs_no_network(page):
    text = re.sub(r'data:image/png;base64,[^"]+', '', page.read_text())
    assert not re.search(r'(?:src|href)\s*=\s*"(?:https?:)?//', text) and '<script src' not in text

def test_page_renders(page, tmp_path):
    dom = chrome(page, tmp_path, '--dump-dom').stdout
    assert dom.count('<img') >= 3 and dom.count('<table') >= 4 and 'Traceback' not in dom
    assert 'When should a model stop thinking?' in dom

def test_page_as_a_picture(page, tmp_path):
    chrome(page, tmp_path, f'--screenshot={tmp_path}/page.png', '--window-size=1100,3000')
    image = matplotlib.image.imread(tmp_path/'page.png')[..., :3]
    colours = set(map(tuple, (image[::40, ::40].reshape(-1, 3)*255).astype(int)))
    assert image.shape[:2]==(3000, 1100) and image.std() > .05 and len(colours) > 20 # not blank
