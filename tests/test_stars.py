"Star graphs are what their definition says, splits share none, and an answer is judged by the graph."
import json
import networkx as nx, numpy as np, pytest
from clock import seconds
from scipy.stats import chisquare
from decodelab.core.errors import BadValue, DataError
from decodelab.tasks import stars
from decodelab.tasks.stars import STARS, StarTask, answer_of, examples, is_path, judge_text, prompt_of, star_data

@pytest.fixture(scope='module')
def data(): return {name: star_data(name) for name in STARS}

def graph_of(prompt):
    edges = list(zip(prompt[:-2:2], prompt[1:-2:2]))
    g = nx.DiGraph(edges)
    assert g.number_of_edges()==len(edges) # none twice
    return g, prompt[-2], prompt[-1]

def shape(g, source, goal):
    "Length of the answer's arm in nodes, place of the centre in it, and the same of every other arm."
    path = nx.shortest_path(g, source, goal)
    centre = [v for v in g if g.degree(v) > 2]
    assert len(centre)==1 and centre[0] in path
    arms, c = [(len(path), path.index(centre[0]))], centre[0]
    ends = [v for v in g if g.out_degree(v)==0 and v!=goal]
    return arms, c, ends

@pytest.mark.parametrize('name', STARS)
def test_graphs_are_stars_with_one_path(data, name):
    task, graphs = STARS[name], data[name].test
    for i in range(60):
        prompt, answer = prompt_of(graphs, i), answer_of(graphs, i)
        g, source, goal = graph_of(prompt)
        paths = list(nx.all_simple_paths(g, source, goal))
        assert len(paths)==1 and [v for e in zip(paths[0], paths[0][1:]) for v in e]==answer
        assert nx.is_tree(g.to_undirected()) and set(g) <= set(range(task.vertices))
        arms, centre, ends = shape(g, source, goal)
        length, join = arms[0]
        assert task.shortest <= length <= task.longest and len(ends)==task.degree-1
        assert g.out_degree(centre)==task.degree
        if task.min_plan is None: assert join==0 and source==centre and len(g)==1+task.degree*(task.longest-1)
        else: assert 0 <= join <= length-task.min_plan-1
        assert len(prompt) <= task.prompt_length and len(answer) <= task.answer_length

def joins_of(graphs, vertices):
    "Place of the centre, the vertex of more than two edges, in each answer."
    n = len(graphs)
    degree = np.zeros((n, vertices), int)
    edges = graphs.edges.reshape(n, -1)
    rows, there = np.repeat(np.arange(n), edges.shape[1]), edges.ravel() >= 0
    np.add.at(degree, (rows[there], edges.ravel()[there]), 1)
    assert ((degree > 2).sum(1)==1).all()
    return (graphs.paths==degree.argmax(1)[:,None]).argmax(1)

@pytest.mark.parametrize('name', ['medium', 'hard'])
def test_joins_are_uniform_on_their_range(data, name):
    task, graphs = STARS[name], data[name].train
    joins, lengths = joins_of(graphs, task.vertices), (graphs.paths >= 0).sum(1)
    for length in range(task.shortest, task.longest+1):
        counts = np.bincount(joins[lengths==length])
        assert len(counts)==length-task.min_plan
        if len(counts) > 1: assert chisquare(counts).pvalue > 1e-4, (length, counts)
    if name=='hard': assert chisquare(np.bincount(lengths)[task.shortest:]).pvalue > 1e-4 # lengths of arms too

@pytest.mark.parametrize('name', STARS)
def test_no_test_graph_in_train(data, name):
    "Counted here from the texts alone, by another way than the splits were made."
    d = data[name]
    assert [len(x) for x in (d.train, d.validation, d.test)]==[50_000, 100, 5_000] and d.seed==42
    def keys(graphs):
        same, alike = set(), set()
        for i in range(len(graphs)):
            p = prompt_of(graphs, i)
            same.add((frozenset(zip(p[:-2:2], p[1:-2:2])), *p[-2:]))
            names = {}
            alike.add(tuple(names.setdefault(v, len(names)) for v in p))
        return same, alike
    train, test = keys(d.train[slice(0, 8000)]), keys(d.test[slice(0, 2500)])
    held = keys(d.validation)
    assert not train[0] & (test[0] | held[0]) and not train[1] & (test[1] | held[1])
    assert d.overlap()==dict(same=0, up_to_relabelling=0)

def test_fresh_graphs_keep_away_from_test_and_do_not_repeat(data):
    d = data['medium']
    first, second = (next(stars.fresh(d.task, 42, d.avoid, chunk)) for chunk in (0, 1))
    assert not any(x.any() for part in (first, second) for x in d.avoid.clash(part))
    assert len(set(stars.graph_keys(first).tolist()) & set(stars.graph_keys(second).tolist())) <= 1
    again = next(stars.fresh(d.task, 42, d.avoid, 1))
    assert (again.edges==second.edges).all() # the same from any chunk on

def test_seed_decides(data):
    one, two = (star_data('easy', seed, dict(train=50, validation=5, test=5)) for seed in (42, 43))
    assert (star_data('easy', 42, dict(train=50, validation=5, test=5)).train.edges==one.train.edges).all()
    assert not (one.train.edges==two.train.edges).all()
    alone = star_data('easy', sizes=dict(train=0, validation=0, test=5000))
    assert (data['easy'].test.edges==alone.test.edges).all()

GOOD = [1, 2, 2, 3]
PROMPT = [2, 3, 1, 2, 1, 5, 5, 6, 1, 3]

@pytest.mark.parametrize('answer,right', [
    (GOOD, True), ([], False), (GOOD[:2], False), (GOOD[:3], False), ([*GOOD, 3, 3], False), ([1, 3], False),
    ([2, 3, 1, 2], False), ([1, 5, 5, 6], False), ([1, 2, 1, 2, 2, 3], False), ([1, 2, 3, 2], False)])
def test_path_verifier(answer, right):
    assert is_path(PROMPT, answer)==right

@pytest.mark.parametrize('text,exact,valid', [
    ('1 2 2 3', True, True), ('1 2 2', False, False), ('1 2 2 3 3', False, False), ('1 2 2 3 [EOS]', False, False),
    (' 1  2 2 3 ', True, True), ('', False, False), ('one', False, False), ('1 2 2 -3', False, False),
    ('1 2 2 ³', False, False)])
def test_a_beginning_is_no_answer(text, exact, valid):
    found = judge_text(' '.join(map(str, PROMPT)), '1 2 2 3', text)
    assert found==dict(exact=exact, valid=valid)

def test_another_path_is_valid_though_not_the_answer():
    prompt = '1 2 2 4 1 3 3 4 1 4'
    assert judge_text(prompt, '1 2 2 4', '1 3 3 4')==dict(exact=False, valid=True)

@pytest.mark.parametrize('change,says', [
    (dict(degree=0), 'degree'), (dict(vertices=12), 'vertices'), (dict(shortest=1), 'shortest'),
    (dict(longest=4), 'longest'), (dict(min_plan=5), 'min_plan'), (dict(min_plan=0), 'min_plan')])
def test_tasks_that_cannot_be_drawn_are_errors(change, says):
    good = dict(name='x', degree=3, shortest=5, longest=5, vertices=20)
    with pytest.raises(BadValue, match=says): StarTask(**(good | change))

def test_names_and_splits_are_checked():
    with pytest.raises(BadValue, match="Did you mean 'medium'"): star_data('star_mediun')
    wrong = dict(train=1, valdation=1, test=1)
    with pytest.raises(BadValue, match="Did you mean 'validation'"): star_data('easy', sizes=wrong)
    assert stars.star_task('star_hard') is STARS['hard']

def test_files_hold_seed_and_hash_and_are_checked(tmp_path):
    d = star_data('medium', 7, dict(train=30, validation=4, test=6))
    card = json.loads(stars.save_stars(d, tmp_path/'a').read_text())
    assert (card['seed'], card['task']['name'], card['files']['train']['graphs'])==(7, 'medium', 30)
    assert stars.save_stars(d, tmp_path/'b').read_bytes()==(tmp_path/'a'/'stars.json').read_bytes()
    assert stars.read_stars(tmp_path/'a', 'train')==list(examples(d.train))
    (tmp_path/'a'/'train.jsonl').write_text('')
    with pytest.raises(DataError, match='changed since it was saved'): stars.read_stars(tmp_path/'a', 'train')
    with pytest.raises(BadValue, match='split'): stars.read_stars(tmp_path/'a', 'dev')
    with pytest.raises(DataError, match='no such file'): stars.read_stars(tmp_path/'c', 'train')
    (tmp_path/'b'/'stars.json').write_text('[]')
    with pytest.raises(DataError, match='not the card'): stars.read_stars(tmp_path/'b', 'train')

def test_all_three_tasks_take_seconds():
    assert seconds(lambda: [star_data(name) for name in STARS], enough=10) < 10
