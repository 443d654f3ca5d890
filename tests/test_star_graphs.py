"The study of star graphs: the page of a decoding in a real browser, other people's folders, the jobs that train."
import json, os, shutil, subprocess, sys
from dataclasses import replace

import numpy as np, pytest

pytest.importorskip('lightning')
pytest.importorskip('hydra')
from browser import Browser
from conftest import ROOT
from decodelab.core.errors import DataError, DecodelabError
from decodelab.core.parameters import read
from decodelab.core.runs import Run
from decodelab.lab.experiments import EXPERIMENTS, resolve, start
from decodelab.tasks.stars import STARS, draw_graphs, examples, judge_text
from decodelab.xlm.study import order, page, report, trials
from decodelab.xlm.study.learners import folders_of, learner_of
from decodelab.xlm.study.mistakes import kind_of
from decodelab.xlm.study.parameters import StarGraphsParameters as P
from decodelab.xlm.study.parameters import Trial

TINY = dict(width=16, layers=1, batch=8, overrides='model.nhead=2 trainer.limit_val_batches=1')
SMALL = ('model.d_model=16 model.num_layers=1 model.nhead=2 global_batch_size=8 per_device_batch_size=8 '
         'trainer.limit_val_batches=1')

def test_ranks_are_those_of_every_way_to_break_ties():
    "By enumeration: a tie is broken in every way, each as likely."
    from itertools import permutations
    steps = [2, 0, 2, 1, 2]
    ways = [p for p in permutations(range(5)) if all(steps[a] <= steps[b] for a,b in zip(p, p[1:]))]
    want = np.zeros((5, 5))
    for way in ways:
        for rank,place in enumerate(way): want[place,rank] += 1/len(ways)
    assert len(ways)==6 and np.allclose(order.shares(steps), want)

def test_an_arm_followed_at_random_is_right_one_time_in_degree():
    "The line that reports call a random arm, against walks that only read the graph."
    rng = np.random.default_rng(0)
    for task in STARS.values():
        kinds = []
        for e in examples(draw_graphs(task, 1500, rng)):
            numbers = list(map(int, e['prompt'].split()))
            edges, node, said = list(zip(numbers[:-2:2], numbers[1:-2:2])), numbers[-2], []
            while (out := [b for a,b in edges if a==node]):
                following = int(rng.choice(out))
                said, node = [*said, node, following], following
            kinds.append(kind_of(e['prompt'], e['target'], ' '.join(map(str, said))))
        share = kinds.count('right')/len(kinds)
        assert set(kinds)=={'right', 'another arm'} and abs(share-report.chance(task.name)) < .05, task.name

# Trainings

@pytest.fixture(scope='module')
def made(tmp_path_factory):
    "A run of two models, and what came out."
    here, before = tmp_path_factory.mktemp('stars'), os.getcwd()
    os.chdir(here)
    p = P(models='arlm,flexmdm', steps=6, n=10, chunk=4, **TINY)
    run = Run.create('star_graphs', p.model_dump(mode='json'), outputs=here/'outputs')
    yield run, trials.trials_for(p, run), trials.outcomes(trials.trials_for(p, run), lambda what: lambda *a: None)
    os.chdir(before)

def test_every_record_says_when_its_tokens_were_written(made):
    for o in made[2]:
        assert [r['id'] for r in o.records]==list(range(10)) and o.cost['steps']==6 and o.cost['examples']==48
        assert o.cost['network']=='1 × 16'
        for r in o.records:
            assert r['order'] is not None and len(r['order'])==len(r['text'].split())
            assert min(r['order'], default=0) >= 0
            assert (r['exact'], r['valid'])==tuple(judge_text(r['prompt'], r['target'], r['text']).values())

def test_seconds_become_updates_once_for_a_run(made, tmp_path):
    run, asked, _ = made
    p = asked.p.model_copy(update=dict(seconds=1e-6))
    again = trials.trials_for(p, Run.create('star_graphs', {}, outputs=tmp_path))
    assert {pace['steps'] for pace in trials.paces(again).values()}=={1} # at least one update
    slower = replace(again, p=p.model_copy(update=dict(seconds=1e9)))
    assert trials.paces(slower)==trials.paces(again) # what was decided stays

def test_a_folder_without_a_model_or_with_another_task_is_one_sentence(made, tmp_path):
    run = made[0]
    with pytest.raises(DataError, match='no such folder'): folders_of(f'{tmp_path}/none')
    with pytest.raises(DataError, match='no model in it'): folders_of(str(tmp_path))
    cut = tmp_path/'cut'
    shutil.copytree(run.folder/'trained'/'star_mini_arlm', cut)
    (cut/'model'/'model.safetensors').write_bytes(b'x'*40)
    with pytest.raises(DataError, match='no readable safetensors'): learner_of(cut)
    other = tmp_path/'other'
    shutil.copytree(run.folder/'trained'/'star_mini_arlm', other)
    text = (other/'model'/'config.yaml').read_text()
    (other/'model'/'config.yaml').write_text(text.replace('decodelab/star-mini/test', 'somebody/sudoku/test'))
    with pytest.raises(DecodelabError, match='not star graphs'): learner_of(other)

@pytest.mark.parametrize('given,said', [
    (dict(models='ilmm'), "Did you mean 'star_mini_ilm'"), (dict(tasks='esay'), "Did you mean 'easy'"),
    (dict(overrides='model.dmodel=3'), "Did you mean 'model.d_model'"), (dict(steps=0), 'at least 1'),
    (dict(runs='/nowhere/*'), 'no such folder'), (dict(models=' , '), 'names of external models'),
    (dict(overrides='model.d_model'), 'model.d_model'), (dict(preset='our'), "Did you mean 'hour'")])
def test_what_cannot_be_run_is_said_before_a_run_is_made(given, said, tmp_path, monkeypatch):
    monkeypatch.setenv('DECODELAB_OUTPUTS', str(tmp_path/'outputs'))
    with pytest.raises(DecodelabError) as e: start(EXPERIMENTS['star_graphs'], given, '')
    assert said in str(e.value) and '\n' not in str(e.value) and not (tmp_path/'outputs').exists()

@pytest.mark.parametrize('name', ['hour', 'medium', 'published'])
def test_presets_compose(name):
    from decodelab.xlm.study.parameters import compositions
    from decodelab.xlm.study.training import prepared
    few = dict(models='mdlm', tasks='hard') if name=='published' else dict(models='ilm') # fifteen take seconds
    p = resolve(EXPERIMENTS['star_graphs'], dict(preset=name, **few), ROOT)
    made = compositions(p, prepared())
    assert len(made)==1 and read(P, p.model_dump())==p
    if name!='published': return
    for trial,cfg in made.items():
        assert (cfg.model.d_model, cfg.model.num_layers, cfg.global_batch_size)==(768, 12, 64), trial
        assert 'endless' not in cfg.datamodule.dataset_managers.train.lm.get('source_kwargs', {}), trial

# Slurm

def jobs(*args, **env):
    keep = {k: v for k,v in os.environ.items() if not k.startswith(('SLURM_', 'SBATCH_'))}
    return subprocess.run(['bash', str(ROOT/'slurm'/'train_stars.sbatch'), *args], capture_output=True, text=True,
                          env=keep | dict(PYTHON=sys.executable) | {k: str(v) for k,v in env.items()})

@pytest.fixture
def stand_in(tmp_path):
    "Stands for Python: says what it was called with; the model of FAILS fails."
    f = tmp_path/'python'
    f.write_text('#!/bin/bash\nshift 2\necho "CALLED $@"\n[[ "$*" != *"_$FAILS "* ]]\n')
    f.chmod(0o755)
    return f

def test_the_array_covers_every_pair_once(stand_in, tmp_path):
    called = lambda p: [line.split() for line in p.stdout.splitlines() if line.startswith('CALLED')]
    whole = jobs(PYTHON=stand_in, OUTPUT=tmp_path, FAILS='none')
    assert whole.returncode==0 and len({line[2] for line in called(whole)})==15
    some = [called(jobs('trainer.precision=bf16-mixed', 'a={model}.{task}', PYTHON=stand_in, OUTPUT=tmp_path,
                        FAILS='none', SLURM_ARRAY_TASK_ID=i))[0] for i in (0, 7, 14)]
    assert [line[2] for line in some]==['job_name=star_easy_arlm', 'job_name=star_medium_mdlm',
                                        'job_name=star_hard_flexmdm']
    assert some[0][-2:]==['trainer.precision=bf16-mixed', 'a=arlm.easy']
    p = jobs(PYTHON=stand_in, OUTPUT=tmp_path, SLURM_ARRAY_TASK_ID=15)
    assert p.returncode==2 and '--array=0-14' in p.stderr
    broken = jobs(PYTHON=stand_in, OUTPUT=tmp_path, FAILS='mlm')
    assert broken.returncode==1 and len(called(broken))==15 and 'easy mlm failed' in broken.stderr
    for args,env in ((['--nonsense'], {}), ([], dict(STEPS='many')), ([], dict(MODELS=' ,'))):
        assert jobs(*args, PYTHON=stand_in, **env).returncode==2
    assert '--array' in jobs('--help').stdout

def test_what_the_script_trains_is_what_the_study_loads(tmp_path):
    p = jobs('model={model}', *SMALL.split(), 'trainer.val_check_interval=2', 'trainer.check_val_every_n_epoch=null',
             'test_after_train=false', MODELS='ilm', TASKS='mini', STEPS=4, OUTPUT=tmp_path/'out')
    assert p.returncode==0, p.stderr[-3000:]
    (folder,) = folders_of(f'{tmp_path}/out/*')
    learner = learner_of(folder)
    assert learner.trial==Trial('ilm', 'mini') and learner.cost['steps'] in (2, 4) # the best of two looks
    assert {look['step'] for look in learner.cost['looks'] if report.LOOK in look}=={2, 4}
    assert all(r['kind'] for r in trials.answers(learner, range(3)))

# The page

HOSTILE = '</script><img/src=x/onerror="document.title=1"><b>bold</b>&amp;${1}%DATA%\u2028𝕏é'

@pytest.fixture(scope='module')
def shown(made, tmp_path_factory):
    outcomes = made[2]
    data = page.page_data(outcomes, 3, title=HOSTILE)
    data['graphs'][0]['answers'][0] |= dict(label=HOSTILE, tokens=['5', HOSTILE, '1', '2', '7'], order=[4, 0, 2, 2, 9],
                                            kind=HOSTILE)
    data['graphs'][0]['answers'].append(dict(label='no order', tokens=['1', '2'], order=None, kind='torn'))
    data['graphs'][0]['answers'].append(dict(label='empty', tokens=[], order=[], kind='no edges'))
    odd = dict(label='x', tokens=['a'], order=[0], kind='')
    data['graphs'].append(page.graph_data(HOSTILE, HOSTILE, HOSTILE, [odd]))
    path = tmp_path_factory.mktemp('page')/'decoding.html'
    path.write_text(page.page_of(data))
    return path, data

@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    b = Browser(tmp_path_factory.mktemp('profile'))
    yield b
    b.close()

@pytest.fixture
def tab(browser, shown):
    browser.said.clear()
    browser.asked.clear()
    browser.look(1200, 800)
    browser.open(shown[0].as_uri())
    yield browser
    assert not browser.said and browser.asked==[shown[0].as_uri()] # nothing is fetched, nothing complains

TOKENS = '[...document.querySelectorAll("#tokens .t")].map(t => t.childNodes[0].textContent)'
SAID = 'document.getElementById("said").textContent'

def test_hostile_text_is_text(tab, shown):
    assert tab.js('document.querySelectorAll("img, b").length')==0 and tab.js('document.title')==HOSTILE
    assert tab.js('document.querySelector("#models button").textContent')==HOSTILE
    tab.key('End')
    assert tab.js(TOKENS)[1]==HOSTILE and HOSTILE in tab.js(SAID)
    tab.key('PageUp') # the last graph: no graph can be read from it
    assert tab.js('document.querySelectorAll("#graph circle").length')==0 and 'step 0 of 1' in tab.js(SAID)

def test_keys_step_through_the_order(tab):
    want = ['·', '·', '·', '·', '·'], ['·', HOSTILE, '·', '·', '·'], ['·', HOSTILE, '1', '2', '·']
    for tokens in want:
        assert tab.js(TOKENS)==list(tokens)
        tab.key('ArrowRight')
    assert tab.js(TOKENS)==['5', HOSTILE, '1', '2', '·'] and 'step 3 of 4: 5 at place 1' in tab.js(SAID)
    tab.key('ArrowLeft')
    assert tab.js(TOKENS)==list(want[2])
    tab.js('document.getElementById("close").click()')
    assert tab.js(TOKENS)==[HOSTILE, '1', '2']
    tab.js('document.getElementById("close").click()')
    for key,step in (('End', 4), ('ArrowRight', 4), ('Home', 0), ('ArrowLeft', 0)):
        tab.key(key)
        assert f'step {step} of 4' in tab.js(SAID), key

def test_models_and_graphs_change_by_key_and_by_button(tab, shown):
    data = shown[1]
    tab.key('ArrowDown')
    assert tab.js(SAID).startswith('flexmdm, step 0')
    tab.key('End')
    answer = data['graphs'][0]['answers'][1]
    assert tab.js(TOKENS)==answer['tokens'] and answer['kind'] in tab.js(SAID)
    tab.key('ArrowDown')
    tab.key('End')
    assert tab.js(TOKENS)==['1', '2'] and 'records no order' in tab.js(SAID)
    tab.key('ArrowDown')
    assert 'step 0 of 0' in tab.js(SAID) and tab.js('document.getElementById("tokens").textContent')=='nothing'
    tab.js('document.querySelectorAll("#graphs button")[1].click()')
    assert tab.js('document.querySelectorAll("#graph circle").length')==len(data['graphs'][1]['nodes'])
    pressed = '[...document.querySelectorAll("#graphs button")].map(b => b.getAttribute("aria-pressed"))'
    assert tab.js(pressed)==['false', 'true', 'false', 'false']

def test_edges_are_drawn_as_they_are_written(tab, shown):
    "The right answer of a graph, put into the page by hand: each edge turns on when its second token comes."
    graph = shown[1]['graphs'][1]
    put = f'''D.graphs[1].answers[0] = {json.dumps(dict(label='arlm', tokens=graph['right'], kind='right',
                                                        order=list(range(len(graph['right'])))))}; choose('graph', 1)'''
    tab.js(put)
    drawn = 'document.querySelectorAll("#graph line.done, #graph line.new").length'
    for step in range(1, len(graph['right'])+1):
        tab.key('ArrowRight')
        assert tab.js(drawn)==step//2 and tab.js('document.querySelectorAll("#graph line.wrong").length')==0
    assert tab.js(SAID).endswith('The answer is right.')

def test_it_plays_and_pauses(tab):
    tab.js('document.getElementById("speed").value = "300"')
    tab.key(' ')
    assert tab.js('document.getElementById("play").getAttribute("aria-pressed")')=='true'
    tab._wait(SAID+'.includes("step 2 of 4")')
    tab.key(' ')
    assert tab.js('document.getElementById("play").getAttribute("aria-pressed")')=='false'
    tab.js('document.getElementById("play").click()')
    tab._wait(SAID+'.includes("step 4 of 4")')
    assert tab.js('document.getElementById("play").getAttribute("aria-pressed")')=='false' # it stops by itself

def test_light_dark_wide_and_narrow(tab, tmp_path):
    ground = 'getComputedStyle(document.body).backgroundColor'
    assert tab.js(ground)=='rgb(255, 255, 255)'
    tab.look(1200, 800, dark=True)
    assert tab.js(ground)=='rgb(20, 24, 30)' and tab.picture(tmp_path/'dark.png').stat().st_size > 10_000
    for width in (390, 320):
        tab.look(width, 800, phone=True)
        assert tab.js('document.documentElement.scrollWidth') <= width
