"What one look at a chunk has found is taken by the next: the same records as without it, and less work."
import pytest
from decodelab.eig.parameters import EIGEvalParameters
from decodelab.eig.posterior import Known
from decodelab.eig.study.stages import SetUp, steps_of
from decodelab.tasks.data import load_questions

@pytest.fixture(scope='module', params=['reference', 'number', 'text'])
def stages(student, request):
    "Full reasoning about a few questions, and what live runs and traces say of them, without and with what is known."
    answer = None if request.param=='reference' else request.param
    p = EIGEvalParameters(n=5, answer=answer, mc_samples=3, sample_length=24, max_tokens=40, beam_size=4)
    s = SetUp(student, load_questions('reference', 5), p)
    full = s.think_through(s.questions)
    plain = s.run_live(s.questions, lambda done: None), s.look(full)
    known = Known(steps=steps_of(student, full))
    live = s.run_live(s.questions, lambda done: None, known=known)
    asked = []
    sample = student.sample
    def watched(states, plans):
        asked.extend(p for p in (plans if isinstance(plans, list) else [plans]) if p.kind=='forecast')
        return sample(states, plans)
    student.sample = watched
    try: traces = s.look(full, known=known)
    finally: del student.sample
    return full, plain, (live, traces), known, asked

def rounded(x):
    "Records without what batches of other sizes do to a float."
    if isinstance(x, float): return round(x, 4)
    if isinstance(x, dict): return {k: rounded(v) for k,v in x.items()}
    return [rounded(v) for v in x] if isinstance(x, (list, tuple)) else x

def test_the_records_are_the_same(stages):
    _, (live, traces), (known_live, known_traces), *_ = stages
    assert rounded(known_live)==rounded(live) and rounded(known_traces)==rounded(traces)

def test_the_steps_of_full_reasoning_are_all_there(stages):
    "Each thought walks from its prompt through its steps to its end."
    full, *_, known, _ = stages
    for t in full:
        here, closed = tuple(t['prompt']), False
        while (step := known.steps.get(here)) and not closed: here, closed = (*here, *step.ids), step.closed
        assert here==(*t['prompt'], *t['ids']) and closed==t['closed']

def test_nothing_is_drawn_again(stages):
    "A trace draws forecasts only at states that no live run has drawn any at."
    _, (live, traces), *_, asked = stages
    gains = sum(g is not None for t in traces for g in t['gain'])
    decided = sum(bool(d['forecasts']) for r in live for d in r['decisions'])
    assert decided and len(asked) <= max(0, gains-decided)
