"What is remembered of long thoughts: the same nodes, groups and views, without looking at every token at every call."
import numpy as np, pytest
from decodelab.backends import memory
from decodelab.backends.memory import Nodes, grouped, newest_run, packed
from decodelab.backends.planner import build
from decodelab.lab.decision_bench import decided, thought_of
from decodelab.eig.frames import frame_for

def random_trie(rng):
    "Sequences that share a trunk and part from it."
    trunk = tuple(map(int, rng.integers(0, 3, rng.integers(1, 40))))
    ends = [tuple(map(int, rng.integers(0, 3, rng.integers(1, 8)))) for _ in range(rng.integers(1, 7))]
    return build([(*trunk[:rng.integers(1, len(trunk)+1)*(rng.random() < .8)], *end) for end in ends])

def held_nodes(trie, rng):
    held = rng.random(len(trie)) < .8
    for i in range(len(trie)):
        if trie.parent[i] >= 0 and not held[trie.parent[i]]: held[i] = False
    return held

@pytest.mark.parametrize('again', [0., .15])
def test_every_node_sees_its_ancestors_and_itself(again):
    rng = np.random.default_rng(0)
    for _ in range(500):
        trie = random_trie(rng)
        held = held_nodes(trie, rng)
        run = ~held | (rng.random(len(trie)) < again)
        newest = newest_run(trie, run)
        for g in grouped(trie, run, int(rng.integers(1, 12))):
            p = packed([g])
            columns = [*p.past[0].tolist(), *p.nodes[0].tolist()]
            for node,sees in zip(p.nodes[0].tolist(), p.sees[0]):
                seen = {columns[j] for j in np.flatnonzero(sees)}
                assert seen==set(trie.path(node).tolist())
                above = [n for n in trie.path(node).tolist()[:-1] if run[n]]
                assert newest(node)==(above[-1] if above else -1)

def test_known_ways_lead_to_the_same_slots(monkeypatch):
    "Against looking every token up; slots are given up on the way."
    monkeypatch.setattr(memory, 'TRAIL', 3)
    rng, nodes = np.random.default_rng(1), Nodes(40)
    def looked_up(trie):
        out = []
        for token,above in zip(trie.tokens.tolist(), trie.parent.tolist()):
            up = out[above] if above >= 0 else -1
            out.append(nodes.child.get((up, token), -2) if up!=-2 else -2)
        return out
    for _ in range(2000):
        trie = build([tuple(map(int, rng.integers(0, 2, rng.integers(1, 14)))) for _ in range(rng.integers(1, 4))])
        seen, slots = set(nodes.seen), nodes.slots(trie)
        assert slots.tolist()==looked_up(trie)
        new = nodes.count_new(trie)
        assert new==len(nodes.seen-seen)
        if nodes.make_room(int((slots < 0).sum())) is None: continue
        slots = nodes.slots(trie)
        for i in np.flatnonzero(slots < 0).tolist():
            up = int(trie.parent[i])
            slots[i] = nodes.add(int(slots[up]) if up >= 0 else -1, int(trie.tokens[i]))

def test_a_decision_runs_what_is_new_however_long_the_thought(student):
    frame = frame_for(student)
    short, long = (decided(student, frame, n, 3) for n in (100, 2000))
    assert long.run < short.run+80 and long.passes < short.passes+12 # what a longer answer tree takes, no prefix again
    assert len(thought_of(student, frame, 500)[0].ids) < 700
