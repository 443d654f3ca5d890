"Sudoku: what is generated has one solution, what is judged right is right, and splits share nothing."
import random
import pytest
from decodelab.core.errors import BadValue
from clock import seconds
from decodelab.core.files import digest
from decodelab.tasks.sudoku import (count_solutions, draw_puzzle, is_solution, judge_sudoku, mark_of, needed, puzzles,
                                    side_of, solutions, sudoku_example, variant)

# Published puzzles (Project Euler 96, grid 01) and their solution
EULER = tuple(map(int, '003020600900305001001806400008102900700000008006708200002609500800203009005010300'))
SOLVED = tuple(map(int, '483921657967345821251876493548132976729564138136798245372689514814253769695417382'))

def by_hand(answer, side):
    "Rows, columns and boxes as sets: another way than the code's."
    box, whole = round(side**.5), set(range(1, side+1))
    rows = [set(answer[i*side:(i+1)*side]) for i in range(side)]
    columns = [set(answer[i::side]) for i in range(side)]
    corners = [(a, b) for a in range(0, side, box) for b in range(0, side, box)]
    boxes = [{answer[r*side+c] for r in range(a, a+box) for c in range(b, b+box)} for a,b in corners]
    return all(unit==whole for unit in (*rows, *columns, *boxes))

def test_a_published_puzzle_has_its_published_solution():
    assert list(solutions(EULER))==[SOLVED] and count_solutions(EULER)==1 and is_solution(EULER, SOLVED)

@pytest.mark.parametrize('side,givens', [(4, None), (4, 6), (9, 36)])
def test_puzzles_have_one_solution_and_keep_it_under_variants(side, givens):
    rng = random.Random(0)
    for _ in range(3):
        p = draw_puzzle(rng, side, givens)
        for q in (p, variant(p, rng), variant(variant(p, rng), rng)):
            assert by_hand(q.answer, side) and list(solutions(q.puzzle))==[q.answer] and q.givens==p.givens
            assert givens is None or q.givens==givens

@pytest.mark.parametrize('change', [lambda a: (*a[1:], a[0]), lambda a: a[:-1], lambda a: (0, *a[1:]),
                                    lambda a: (a[1], a[0], *a[2:]), lambda a: (10, *a[1:]),
                                    lambda a: (-1, *a[1:]), lambda a: ()])
def test_what_is_wrong_is_wrong(change):
    wrong = change(SOLVED)
    assert not is_solution(EULER, wrong)
    assert not judge_sudoku(' '.join(map(str, EULER)), ' '.join(map(str, wrong)))

def test_another_complete_grid_is_no_answer_and_clashes_have_none():
    other = tuple(v % 9+1 for v in SOLVED)
    assert by_hand(other, 9) and not is_solution(EULER, other)
    assert count_solutions((1, 1, *[0]*14))==0 and count_solutions((0,)*16)==2
    with pytest.raises(BadValue, match='cells of a grid'): side_of([0]*10)
    with pytest.raises(BadValue, match='side'): draw_puzzle(random.Random(0), 5)

@pytest.mark.parametrize('side,givens,n', [(4, 6, 300), (9, 40, 150)])
def test_splits_share_nothing_and_seeds_decide(side, givens, n):
    test = puzzles(50, side, givens, pool=8)
    marks = frozenset(map(mark_of, test))
    train = puzzles(n, side, givens, split='train', pool=8, avoid=marks)
    assert not marks & set(map(mark_of, train)) and len({p.puzzle for p in train})==n
    assert puzzles(50, side, givens, pool=8)==test!=puzzles(50, side, givens, seed=1, pool=8)
    assert all(judge_sudoku(e['prompt'], e['target']) for e in map(sudoku_example, train))

def test_more_than_there_are_is_an_error():
    with pytest.raises(BadValue, match='puzzles'): puzzles(10_000, 4, 10, pool=1)

def test_what_is_needed_is_what_leaves_more_than_one_way():
    rng = random.Random(3)
    for p in (draw_puzzle(rng, 4), draw_puzzle(rng, 4, 9), draw_puzzle(rng, 9, 40)):
        for cell in (c for c,v in enumerate(p.puzzle) if v):
            grid = list(p.puzzle)
            grid[cell] = 0
            assert needed(p.puzzle, cell)==(count_solutions(grid) > 1)

def test_what_was_drawn_is_still_drawn():
    "The digits drawn before, by their hash: whoever trained on them finds them again."
    found = digest(*(str((p.puzzle, p.answer)) for p in puzzles(20, 9, 36)))
    assert found.startswith('e0a2a07443010917')

def test_puzzles_are_drawn_in_no_time():
    assert seconds(lambda: puzzles(64, 9, 36, seed=7)) < .8 # 2.4 when each cell was looked at in a set
