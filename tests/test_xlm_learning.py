"""Every core model learns: some star graphs by heart, and edges of graphs that it has not seen.

Losses, networks and predictors alone, without Lightning; commands are tested in test_xlm_training.py.
"""
import importlib, itertools
from collections.abc import Iterator

import numpy as np, pytest, torch
from decodelab.tasks.stars import StarTask, answer_of, draw_graphs, prompt_of
from decodelab.xlm.sources import MINI
from decodelab.xlm.tokenizers import SimpleSpaceTokenizer

CAMEL = dict(arlm='ARLM', mlm='MLM', mdlm='MDLM', ilm='ILM', flexmdm='FlexMDM')
SCHEDULES = dict(insertion='early', unmasking='cosine')
LOSSES = dict(flexmdm=dict(SCHEDULES, insertion_weight=.1))
PREDICTORS = dict(flexmdm=dict(SCHEDULES, max_steps=16))

def rows(task:StarTask, seed:int, n:int=512)->Iterator[dict]:
    "Graphs without end."
    first, rng = 7, np.random.default_rng(seed)
    while True:
        graphs = draw_graphs(task, n, rng)
        for i in range(n):
            prompt, answer = prompt_of(graphs, i), answer_of(graphs, i)
            yield dict(prompt_ids=[v+first for v in prompt], input_ids=[v+first for v in answer])

class Learner:
    "A small network of one of the core models, with its loss and its predictor."
    def __init__(self, name:str, task:StarTask, **sizes):
        torch.manual_seed(0)
        part = lambda kind: getattr(importlib.import_module(f'decodelab.xlm.models.{name}'), CAMEL[name]+kind)
        tok, width = SimpleSpaceTokenizer.for_numbers(task.vertices), task.answer_length+1
        sizes = dict(d_model=48, num_layers=2, nhead=2, max_positions=task.prompt_length+2+width) | sizes
        self.net = part('Model')(tok.full_vocab_size, **sizes)
        self.loss = part('Loss')(self.net, tok, **LOSSES.get(name, {}))
        self.collate, self.ask = part('Seq2SeqCollator')(tok, width), part('Seq2SeqPredCollator')(tok, width)
        self.predictor = part('Predictor')(tok, self.net, max_length=width, temperature=0., seed=0,
                                           **PREDICTORS.get(name, {}))

    def learn(self, batches, steps:int, lr:float, until=None, every:int=25)->int: # Steps done
        "Trains; stops early where `until` says so."
        best = torch.optim.AdamW(self.net.parameters(), lr=lr, betas=(.9, .98), weight_decay=0.)
        for step,batch in zip(range(1, steps+1), batches):
            for group in best.param_groups: group['lr'] = lr*min(step/20, 1.)
            best.zero_grad()
            self.loss(self.collate(batch))['loss'].backward()
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.)
            best.step()
            if until and step % every==0 and until(): return step
        return steps

    def right(self, examples:list[dict])->float: # Share of answers that are right as wholes
        self.net.eval()
        texts = self.predictor.predict(self.ask(examples))['text']
        self.net.train()
        return float(np.mean([text.split()==[str(v-7) for v in e['input_ids']] for text,e in zip(texts, examples)]))

@pytest.mark.parametrize('name', CAMEL)
def test_four_graphs_are_learnt_by_heart(name):
    learner, four = Learner(name, MINI), list(itertools.islice(rows(MINI, 1), 4))
    assert learner.right(four)==0
    copies = itertools.repeat(four*4) # each graph in four states a step
    learner.learn(copies, 1000, 2e-3, until=lambda: learner.right(four)==1)
    assert learner.right(four)==1

EDGES = StarTask('edges', 3, 2, 2, 10) # Three arms of one edge: which of them, the goal says

@pytest.mark.parametrize('name', CAMEL)
def test_graphs_that_were_never_shown_are_answered(name):
    learner, source, unseen = Learner(name, EDGES), rows(EDGES, 1), list(itertools.islice(rows(EDGES, 2), 200))
    batches = iter(lambda: list(itertools.islice(source, 32)), None)
    learner.learn(batches, 600, 4e-3, until=lambda: learner.right(unseen[:64])==1, every=50)
    assert learner.right(unseen) >= .8 # an arm by chance is right a third of the time
