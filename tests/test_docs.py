"What the repository says of itself is true: parameter cells, presets, README, public names, notebooks."
import ast, importlib, json, re

import nbformat, numpy as np, pytest, yaml
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
        names = ('lambda_cost', 'beam_size', 'mc_samples', 'sample_length', 'max_computation_time')
        assert tuple(p[k] for k in names)==values
        read(EXPERIMENTS['eig_eval'].parameters, p)

FLOORS = ('core', 'maths', 'tasks', 'backends', 'schema', 'schema.compiling', 'eig', 'eig.stopping', 'eig.study',
          'optimal', 'optimal.study', 'xlm', 'xlm.study', 'reference', 'evaluation', 'evaluation.lmeval',
          'evaluation.quick', 'lab')
NEEDS_RUNTIME = ('cli', 'plugin', 'mlx_rows', 'mlx', 'vllm_hook', 'vllm_engine', 'vllm', # commands, and what needs
                 'gguf_context', 'gguf') # a runtime to be imported

def exported(module):
    "The names in a module's `__all__`."
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0])=='__all__': return ast.literal_eval(node.value)
    return []

def test_every_public_name_is_importable_from_its_floor(root):
    for floor in FLOORS:
        package, folder = importlib.import_module(f'decodelab.{floor}'), root/'pkg'/'decodelab'/floor.replace('.', '/')
        skipped = {name for m in NEEDS_RUNTIME if (f := folder/f'{m}.py').exists() for name in exported(f)}
        for name in set(package.__all__)-skipped: assert getattr(package, name) is not None, (floor, name)
        if floor=='eig': continue # curated
        for f in folder.glob('[a-z]*.py'):
            hidden = {n for n in exported(f) if '.' in n or (folder/f'{n}.py').exists()}
            missing = set(exported(f))-hidden-set(package.__all__)
            assert not missing, (f.name, missing)

LONGEST = 480 # Lines of a module

def lesson_cells(root):
    "Every exported cell of every lesson, with its place."
    for f in sorted((root/'nbs').glob('*/**/[0-9]*.ipynb')):
        for cell in nbformat.read(f, 4).cells:
            if cell.cell_type=='code' and re.search(r'^#\| exporti?$', cell.source, re.M):
                yield f, cell.source.splitlines()

def test_modules_and_lessons_stay_readable(root):
    "Short modules, cells of one idea, lines that fit; `__all__` is wrapped by nbdev."
    for f in (root/'pkg').rglob('[a-z]*.py'):
        lines = f.read_text().splitlines()
        assert len(lines) <= LONGEST, (f, len(lines))
        wide = [line for line in lines if len(line) > 120 and not line.startswith(('# %%', '__all__'))]
        assert not wide, (f, wide)
    for f in (root/'nbs').glob('*/**/[0-9]*.ipynb'):
        assert f.stat().st_size < 400_000 and len(nbformat.read(f, 4).cells) <= 150, f
    sizes = [(len(lines), f) for f,lines in lesson_cells(root)]
    assert max(sizes)[0] <= 40 and np.median([n for n,_ in sizes]) <= 12, max(sizes)

def test_lessons_are_numbered_once_in_the_order_in_which_they_import(root):
    for folder in {f.parent for f in (root/'nbs').glob('*/**/[0-9]*.ipynb')}:
        found = sorted(folder.glob('[0-9]*.ipynb'))
        assert [f.name[:3] for f in found]==[f'{i:02d}_' for i in range(len(found))], folder
        place = {f.stem[3:]: i for i,f in enumerate(found)}
        package = 'decodelab.' + str(folder.relative_to(root/'nbs')).replace('/', '.')
        for f in found:
            source = '\n'.join(c.source for c in nbformat.read(f, 4).cells if '#| export' in c.source)
            asked = re.findall(rf'^from {re.escape(package)}\.(\w+) import', source, re.M)
            late = [m for m in asked if place.get(m, -1) > place[f.stem[3:]]]
            assert not late, (f.name, late)

def metrics_of(root, report): return json.loads((root/'nbs'/'reports'/f'{report}.metrics.json').read_text())

def claims(root, report, rule, against):
    "What a published comparison claims of one rule against another, seed by seed."
    return [c for c in metrics_of(root, report)['claims'] if (c['rule'], c['against'])==(rule, against)]

def means(root, report, rule, against, keys):
    found = claims(root, report, rule, against)
    return [np.mean([c[k] for c in found]) for k in keys]

def saved(root, report, rule, against):
    "Share of tokens saved at equal accuracy: over all seeds, least, most."
    cs = claims(root, report, rule, against)
    # '': of runs before every claim was at equal accuracy
    at = 'equal_accuracy_' if 'equal_accuracy_tokens' in cs[0] else ''
    mine, other = ([c[at+k] for c in cs] for k in ('tokens', 'other'))
    less, whole = [1-a/b for a,b in zip(mine, other)], sum(mine)/sum(other)
    return 1-whole, min(less), max(less)

def told(root):
    "What the front page and the page of results say."
    return (root/'README.md').read_text() + (root/'nbs'/'measured.md').read_text()

def test_readme_numbers_are_those_of_the_published_reports(root):
    "Every number in the README's table stands in the metrics of the published run that it cites."
    text, m = told(root), metrics_of(root, 'eig_eval')
    everybody = m['population']['all']
    for key in ('reasoning_against_budget', 'reasoning_against_entropy', 'total_against_entropy'):
        for v in (everybody[key]['eig'], everybody[key]['other']): assert f'{v:.1f}' in text, (key, v)
    assert f'{m["calibration_error"]:.3f}' in text and f'n = {m["n"]:,}' in text
    for r in (m for name,m in metrics_of(root, 'reference_models').items() if name!='published'):
        passes = ', '.join(f'{r["passes"][str(k)]["accuracy"]:.2f}' for k in range(4))
        assert passes in text and f'{r["choice_accuracy"]:.2f}' in text

PUBLISHED = [('eig_compare', 'amortised, hidden state'), ('eig_compare_long', 'amortised, probes')]

@pytest.mark.parametrize('report,rule', PUBLISHED)
def test_readme_comparisons_are_those_of_the_published_reports(root, report, rule):
    text = told(root)
    mine, budget = means(root, report, rule, 'fixed budget', ('tokens', 'other'))
    _, entropy = means(root, report, rule, 'entropy', ('tokens', 'other'))
    for v in (mine, budget, entropy): assert f'{v:.1f}' in text, v
    here, there = means(root, report, rule, 'fixed budget', ('accuracy', 'other_accuracy'))
    for v in (here, there, *means(root, report, rule, 'entropy', ('other_accuracy',))): assert f'{v:.3f}' in text, v

def in_words(share): return f'{share*100:.0f} % less' if share >= 0 else f'{-share*100:.0f} % more'

def test_readme_equal_accuracy_is_that_of_the_published_reports(root):
    text = told(root)
    _, low, high = saved(root, 'eig_compare', 'amortised, hidden state', 'fixed budget')
    assert f'{low*100:.0f}–{high*100:.0f} % less than the budget at equal accuracy' in text
    of = {(r, a): in_words(saved(root, 'eig_compare_long', f'amortised, {r}', a)[0])
          for r in ('probes', 'hidden state') for a in ('entropy', 'fixed budget')}
    assert (f'at equal accuracy it spends {of["probes","entropy"]} and {of["probes","fixed budget"]}, '
            f'the gain on the hidden state {of["hidden state","entropy"]} and '
            f'{of["hidden state","fixed budget"]}') in text

def test_rules_of_the_front_page_are_at_equal_accuracy(root):
    "Within what a choice on one half of the questions misses on the other."
    for name in ('eig_compare', 'eig_compare_long'):
        cs = [c for c in metrics_of(root, name)['claims'] if c['equal']]
        assert abs(np.mean([c['accuracy']-c['other_accuracy'] for c in cs])) < .02, name

def test_readme_says_what_eig_saves_and_what_it_pays(root):
    text, p = told(root), metrics_of(root, 'eig_eval')['population']
    budget, entropy = (p['all'][f'reasoning_against_{other}']['saved']*100 for other in ('budget', 'entropy'))
    assert f'EIG thinks {budget:.0f} % less than a budget and {entropy:.0f} % less than an entropy threshold' in text
    alone, paid = p['answerable']['reasoning_against_entropy']['saved']*100, p['all']['total_against_entropy']
    assert f'on answerable questions alone the latter is {alone:.0f} % less' in text
    assert f'{paid["eig"]:.0f} tokens in all against the threshold\'s {paid["other"]:.0f}' in text

def test_readme_states_what_the_small_real_model_showed(root):
    text, m = told(root), metrics_of(root, 'eig_eval_smollm2')
    b, d = m['beliefs'], m['decisions']
    assert f'on {m["n"]} word problems answers {m["live"]["accuracy"]:.2f} right' in text
    for x in (f'{b["coverage"]*100:.0f} %', f'{b["explored"]*100:.0f} %', f'{b["entropy"]:.1f} nats on average, lies '
              f'between {b["low"]:.1f} and {b["high"]:.1f}', f'{d["probe"]+d["forecast"]:.0f} tokens'):
        assert x in text, x

def test_readme_states_what_sums_showed(root):
    text, m = told(root), metrics_of(root, 'eig_eval_smollm2_sums')
    a, b = m['population']['all']['accuracy'], m['beliefs']
    live = m['live']['accuracy']
    assert (f'answers {a["none"]:.2f} right without thinking, {a["full"]:.2f} with all of it and {live:.2f} where '
            f'EIG stops, at entropies between {b["low"]:.1f} and {b["high"]:.1f}') in text

def test_readme_states_what_a_reasoning_model_costs(root):
    from decodelab.eig.parameters import EIGEvalParameters
    from decodelab.eig.study.outlook import expected_tokens
    text, tokens = told(root), expected_tokens(EIGEvalParameters(), 2000, 50)
    for x in (sum(tokens.values()), tokens['live'], tokens['trace']): assert f'{x:,.0f}' in text, x
    assert f'{200*sum(tokens.values())/1e6:.1f} million' in text

def test_readme_states_what_the_learnt_stop_saves(root):
    text, all_of = (root/'README.md').read_text(), {k: 0 for k in ('below', 'asked', 'near', 'cases')}
    for name in ('stopping_claim', 'stopping_claim_teacher'):
        m = metrics_of(root, name)
        own = [(float(k.split()[3]), r) for k,r in m['rules'].items() if k.endswith('hidden value')]
        saved, goals = [r['saved'] for share,r in own if .3 <= share <= .7], m['goals']
        all_of = {k: n+goals[k] for k,n in all_of.items()}
        for said in (f'{min(saved)*100:.0f}–{max(saved)*100:.0f} %', '{below} of {asked}'.format(**goals),
                     '{near} of {cases}'.format(**goals), f'({m["seeds"]} seeds of {m["n"]} questions'):
            assert said in text, (name, said)
    for said in ('met, {below} of {asked}', 'missed, {near} of {cases}'): assert said.format(**all_of) in told(root)
    m = metrics_of(root, 'stopping_claim')
    long = m['full']['student, reference:long, 20% unanswerable']
    for x in (m['calibration']['student, reference:long, 0% unanswerable'], long['full'], long['best']):
        assert f'{x:.3f}' in told(root), x

CLAIMS = [(name, f'{who} {form} 0.2', f'{who}, {called}')
          for name,who in (('stopping_claim', 'student'), ('stopping_claim_teacher', 'teacher'))
          for form,called in (('reference', 'short'), ('reference:long', 'long'))]

def test_how_near_the_learnt_stop_is_to_its_bound_is_that_of_the_published_reports(root):
    for name,at,called in CLAIMS:
        for reading,said in (('the last layer', 'the last layer'), ('both layers', 'two layers'),
                             ('hidden value', 'two layers and landmarks')):
            over = [metrics_of(root, name)['readings'][f'{at} {share} {reading}']['over_ceiling']
                    for share in ('0.3', '0.5', '0.7', '0.85')]
            row = ' | '.join([called, said, *(f'{x*100:+.0f} %' for x in over)])
            assert f'| {row} |' in told(root), row

def test_what_learnt_rules_of_others_spend_is_that_of_the_published_reports(root):
    assert ' | '.join(['tokens against the best budget', *(called for *_,called in CLAIMS)]) in told(root)
    for rule,said in (('hidden value', 'the value of going on'), ('thought calibration', 'thought calibration'),
                      ('TERMINATOR', 'TERMINATOR'), ('Conformal Thinking (labels)', 'Conformal Thinking (labels)'),
                      ('LearnStop (labels)', 'LearnStop (labels)')):
        saved = [metrics_of(root, name)['rules'][f'{at} 0.5 {rule}']['saved'] for name,at,_ in CLAIMS]
        row = ' | '.join([said, *(f'{-x*100:+.0f} %' for x in saved)])
        assert f'| {row} |' in told(root), row

def test_star_graphs_are_those_of_the_published_reports(root):
    shown = {k: r for name in ('star_graphs', 'star_graphs_medium') for k,r in metrics_of(root, name).items()
             if isinstance(r, dict) and 'accuracy' in r}
    assert len(shown) == 9
    for k,r in shown.items():
        task, model = k.split('/')
        line = next(x for x in told(root).splitlines() if x.startswith(f'| {model} |')).split('|')
        said = line[2 if task=='easy' else 3]
        assert f'{r["accuracy"]*100:.1f} [{r["low"]*100:.1f}, {r["high"]*100:.1f}]' in said, k
        if r['published']: assert f'published {r["published"]*100:.1f}' in said, k

def test_readme_pictures_are_there(root):
    text = (root/'README.md').read_text()
    for picture in re.findall(r'\]\((nbs/[^)]+)\)', text): assert (root/picture).exists(), picture

def test_readme_states_what_worked_examples_showed(root):
    text, m = told(root), metrics_of(root, 'optimal_sampling_worked_examples')
    assert f'{m["questions"]} sums' in text
    for arm in ('student', 'teacher', 'kl_symmetry'):
        a = m['arms'][arm]
        assert f'{a["accuracy"]:.3f} [{a["low"]:.3f}, {a["high"]:.3f}]'.replace('0.', '.') in text, arm
        if arm!='student': assert f' at {a["kl_theta"][0]:.1f} nats' in text, arm

def test_readme_states_what_schemas_cost_in_the_published_runs(root):
    text = told(root)
    student, smol = metrics_of(root, 'schema_eval'), metrics_of(root, 'schema_eval_smollm2')
    free, held, compact = student['unconstrained'], student['constrain'], student['compact']
    assert f'valid {free["valid"]:.3f} of the time'.replace(' 0.', ' .') in text and held['valid']==1
    for mode in (free, held):
        assert f'{mode["accuracy"]:.3f} [{mode["low"]:.3f}, {mode["high"]:.3f}]'.replace('0.', '.') in text
    assert f'costs {compact["cost"][0]:.0f} nats and leaves {compact["accuracy"]:.3f}'.replace(' 0.', ' .') in text
    for mode in ('constrain', 'exact'):
        m = smol[mode]
        assert f'{m["accuracy"]:.2f} [{m["low"]:.2f}, {m["high"]:.2f}]'.replace('0.', '.') in text
    assert f'in {smol["exact"]["tries"]:.1f} tries a document; {smol["constrain"]["cost"][0]:.1f} nats' in text

def test_readme_states_what_is_between_two_models_in_the_published_run(root):
    text, m = told(root), metrics_of(root, 'optimal_sampling')
    taught = m['distillation']
    rivals = [m['arms'][name] for name in ('linear 0.75', 'student at T = 0.8')] # which may not be left out
    mixed, cooled = (f'{r["kl_theta"][0]:.2f}'.removeprefix('0') for r in rivals)
    assert f'at {mixed} and {cooled} nats: these questions show no advantage of q* over either' in text
    for r in (*(m['arms'][name] for name in ('student', 'kl_symmetry', 'teacher')), *rivals):
        assert f'{r["accuracy"]:.3f} [{r["low"]:.3f}, {r["high"]:.3f}]'.replace('0.', '.') in text
    for x in (taught['untaught']['before'], *(taught['learners'][name]['accuracy']
                                              for name in ('own samples', 'teacher', 'q*', 'q*, free'))):
        assert '{:.3f} [{:.3f}, {:.3f}]'.format(*x).replace('0.', '.') in text
    moved = [f'{taught["learners"][name]["moved"][0]:.1f}' for name in ('own samples', 'q*, free', 'q*', 'teacher')]
    assert ', '.join(moved)+' nats a text' in text
    for other in ('teacher', 'own samples'):
        d = next(d for d in taught['differences'] if (d['lesson'], d['other'])==('q*', other))['questions']
        assert '{difference:+.3f} [{low:+.3f}, {high:+.3f}]'.format(**d).replace('0.', '.') in text
    assert f'{m["questions"]} questions' in text

def test_every_capability_of_the_reference_has_its_meaning():
    from decodelab.lab.registry_pages import backends_page
    table = backends_page().split('## Capabilities')[1].split('\n')
    rows = [line.strip('|').split('|') for line in table if line[:3]=='| `']
    assert len(rows) > 8 and all(cell.strip() for row in rows for cell in row), rows
