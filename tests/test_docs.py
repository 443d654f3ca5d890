"What the repository says of itself is true: parameter cells, presets, README, public names, notebooks."
import ast, importlib, json, re

import nbformat, pytest, yaml
from decodelab.core.parameters import read
from decodelab.lab.experiments import EXPERIMENTS

def parameters_cell(root, name):
    nb = nbformat.read(root/'nbs'/f'{name}.ipynb', 4)
    cell = next(c for c in nb.cells if 'parameters' in c.metadata.get('tags', []))
    return {t.targets[0].id: ast.literal_eval(t.value) for t in ast.parse(cell.source).body}

@pytest.mark.parametrize('name', EXPERIMENTS)
def test_parameter_cell_is_the_model(root, name):
    assert parameters_cell(root, name)=={k: f.default for k,f in EXPERIMENTS[name].parameters.model_fields.items()}

def test_presets_are_those_of_the_method(root):
    want = dict(fast=(.1,4,3,32,15), balanced=(.05,8,5,64,30), precision=(.02,12,8,128,60))
    for name,values in want.items():
        p = yaml.safe_load((root/'params'/'eig'/f'{name}.yaml').read_text())
        assert tuple(p[k] for k in ('lambda_cost','beam_size','mc_samples','sample_length','max_computation_time'))==values
        read(EXPERIMENTS['eig_eval'].parameters, p)

FLOORS = ('core','maths','tasks','backends','eig','eig.stopping','eig.study','reference','evaluation','evaluation.lmeval','evaluation.quick','lab')
NEEDS_RUNTIME = ('cli','plugin','mlx_rows','mlx','vllm_hook','vllm_engine','vllm',
                 'gguf_context','gguf') # commands, and what needs a runtime to be imported

def exported(module):
    "The names in a module's `__all__`."
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '')=='__all__': return ast.literal_eval(node.value)
    return []

def test_every_public_name_is_importable_from_its_floor(root):
    for floor in FLOORS:
        package, folder = importlib.import_module(f'decodelab.{floor}'), root/'pkg'/'decodelab'/floor.replace('.', '/')
        skipped = {name for m in NEEDS_RUNTIME if (f := folder/f'{m}.py').exists() for name in exported(f)}
        for name in set(package.__all__)-skipped: assert getattr(package, name) is not None, (floor, name)
        if floor=='eig': continue # curated
        for f in folder.glob('[a-z]*.py'):
            missing = [n for n in exported(f) if '.' not in n and n not in package.__all__ and not (folder/f'{n}.py').exists()]
            assert not missing, (f.name, missing)

def test_modules_and_notebooks_stay_readable(root):
    for f in (root/'pkg').rglob('[a-z]*.py'): assert len(f.read_text().splitlines()) <= 360, f
    for f in (root/'nbs').glob('*/**/[0-9]*.ipynb'): assert f.stat().st_size < 200_000 and len(nbformat.read(f, 4).cells) <= 120, f

def test_readme_numbers_are_those_of_the_published_reports(root):
    "Every number in the README's table stands in the metrics of the published run that it cites."
    text = (root/'README.md').read_text(); m = json.loads((root/'nbs'/'reports'/'eig_eval.metrics.json').read_text())
    a = m['population']['all']
    for key in ('reasoning_against_budget','reasoning_against_entropy','total_against_entropy'):
        for v in (a[key]['eig'], a[key]['other']): assert f'{v:.1f}' in text, (key, v)
    assert f'{m["calibration_error"]:.3f}' in text and f'n = {m["n"]:,}' in text
    c = [x for x in json.loads((root/'nbs'/'reports'/'eig_compare.metrics.json').read_text())['claims'] if x['rule']=='amortised, hidden state']
    mean = lambda against, k: sum(x[k] for x in c if x['against']==against)/5
    for v in (mean('fixed budget', 'accuracy'), mean('fixed budget', 'other_accuracy'), mean('entropy', 'other_accuracy')): assert f'{v:.3f}' in text, v
    exam = json.loads((root/'nbs'/'reports'/'reference_models.metrics.json').read_text())
    for r in exam.values(): assert ', '.join(f'{r["passes"][str(k)]["accuracy"]:.2f}' for k in range(4)) in text and f'{r["choice_accuracy"]:.2f}' in text
    for v in (mean('fixed budget', 'tokens'), mean('fixed budget', 'other'), mean('entropy', 'other')): assert f'{v:.1f}' in text, v
    c = [x for x in json.loads((root/'nbs'/'reports'/'eig_compare_long.metrics.json').read_text())['claims'] if x['rule']=='amortised, probes']
    for v in (mean('fixed budget', 'tokens'), mean('fixed budget', 'other'), mean('entropy', 'other')): assert f'{v:.1f}' in text, v
    for v in (mean('fixed budget', 'accuracy'), mean('fixed budget', 'other_accuracy'), mean('entropy', 'other_accuracy')): assert f'{v:.3f}' in text, v
    def equal(report, rule, against):
        cs = [x for x in json.loads((root/'nbs'/'reports'/f'{report}.metrics.json').read_text())['claims'] if (x['rule'], x['against'])==(rule, against)]
        less = [1-x['equal_accuracy_tokens']/x['equal_accuracy_other'] for x in cs]
        return 1-sum(x['equal_accuracy_tokens'] for x in cs)/sum(x['equal_accuracy_other'] for x in cs), min(less), max(less)
    _, low, high = equal('eig_compare', 'amortised, hidden state', 'fixed budget'); assert f'{low*100:.0f}–{high*100:.0f} % less than the budget at equal accuracy' in text
    (pe, *_), (pb, *_), (he, *_), (hb, *_) = [equal('eig_compare_long', f'amortised, {r}', a) for r in ('probes','hidden state') for a in ('entropy','fixed budget')]
    assert f'at equal accuracy it spends {pe*100:.0f} % and {pb*100:.0f} % less, the gain on the hidden state {he*100:.0f} % and {hb*100:.0f} %' in text
    for picture in re.findall(r'\]\((nbs/[^)]+)\)', text): assert (root/picture).exists(), picture
