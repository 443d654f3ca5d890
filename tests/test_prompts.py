"Instructions, examples, cues and steps as parameters: what the model is asked, where steps end, and what cannot be."
import html, json
from types import SimpleNamespace
import numpy as np, pytest
from decodelab.backends import Toy
from decodelab.core.errors import BadValue, DataError
from decodelab.eig import EIGEvalParameters
from decodelab.eig.forecast import MonteCarloForecaster, step_ends
from decodelab.eig.frames import Frame, frame_for, frame_of, prompt_ids, step_fields
from decodelab.eig.languages import language_named
from decodelab.eig.parameters import EIGParameters
from decodelab.eig.stopping.live import Scaler
from decodelab.eig.stopping.reasoning import reason, record
from decodelab.eig.stopping.recording import recorder, trace
from decodelab.eig.stopping.replay import replay_rule
from decodelab.tasks.data import Question

WORDS = ('so ', '3 ', 'is. ', 'end.', '\n', '\n\n', 'Wait', ' but ', '</think>', '1', '$')
KINDS = ('line', 'paragraph', 'sentence', 'transition', 'transition:but,Wait', 'tokens:5')
COMMON = EIGParameters(sample_length=16, mc_samples=3, beam_size=8, top_p=1, adaptive=False)

def thinker(kind, seed=2):
    random, rare = Toy.random(WORDS, seed=seed), np.where(np.isin(WORDS, ['</think>', '$']), .1, 1.)
    def probs(context):
        p = random.probs(context)*(1 if WORDS.index('</think>') in context else rare) # it thinks for a while
        return p/p.sum()
    return Toy(WORDS, probs), Frame(cue='</think>', close='</think>', answer_tokens=3, **step_fields(kind))

@pytest.mark.parametrize('kind', KINDS)
def test_steps_end_where_their_kind_says_and_not_before(kind):
    toy, frame = thinker(kind)
    forecaster = MonteCarloForecaster(toy, frame, COMMON.model_copy(update=dict(sample_length=400)), 1)
    toy.max_length = 4000
    for thought in reason(toy, ['so ', '3 ', 'is. '], None, forecaster, 120):
        *whole, last = thought.boundaries
        whole = whole[1:]
        ids, at = thought.ids[thought.prompt:], 0
        for b in whole:
            own, at = ids[at:b.tokens], b.tokens
            if frame.step_tokens: assert len(own)==frame.step_tokens
            else: assert step_ends(frame, toy.decode(own)) and not step_ends(frame, toy.decode(own[:-1])), b.step
        assert ''.join(b.step for b in thought.boundaries)==toy.decode(ids)

@pytest.mark.parametrize('kind', KINDS)
def test_the_next_step_is_what_the_first_forecast_begins_with(kind):
    "And a walk takes the steps that come one by one."
    toy, frame = thinker(kind, 5)
    forecaster = MonteCarloForecaster(toy, frame, COMMON, 4)
    states = [toy.encode(text) for text in ('so ', '3 ', 'is. so ', ' but 1', '1', '3 3 ')]
    steps = forecaster.step(states)
    drawn = [forecaster.first_step(own[0]) for own in forecaster.forecast(states, 1)]
    assert [(s.ids, s.closed) for s in steps]==[(d.ids, d.closed) for d in drawn]
    for state,walked in zip(states, forecaster.walk(states, [40]*len(states))):
        for step in walked:
            one, = forecaster.step([state])
            assert (one.ids, one.closed)==(step.ids, step.closed)
            state = (*state, *step.ids)

@pytest.mark.parametrize('kind', KINDS)
def test_replay_equals_live_whatever_a_step_is(kind):
    toy, frame = thinker(kind, 7)
    qs = [Question(str(i), text, '1') for i,text in enumerate(('so ', '3 ', '1', 'is. ', '3 so ', ' but 1'))]
    calc = recorder(toy, frame, COMMON, 3, everywhere=True)
    full = [record(q, t) for q,t in zip(qs, reason(toy, [q.text for q in qs], None, calc.forecaster, 40))]
    traces = trace(calc, full)
    for name,given in (('full', {}), ('entropy_thresholding', dict(threshold=.8)), ('deer', dict(threshold=.3)),
                       ('expected_information_gain_reasoning', dict(lambda_cost=.1)), ('code_stop', dict(start=.3))):
        live = Scaler(toy, name, COMMON, frame, seed=3, **given)
        thoughts = reason(toy, [q.text for q in qs], live, live.forecaster, 40)
        replayed = replay_rule(traces, name, cue_tokens=1, **given)[:,1:4].astype(int).tolist()
        assert [[t.cost.reasoning, t.cost.forecast, t.cost.probe] for t in thoughts]==replayed, name

def ask(backend, **given):
    names = ('instruction', 'examples', 'cue', 'step', 'delimiters', 'answer', 'data')
    return frame_of(backend, SimpleNamespace(**dict.fromkeys(names) | given))

def test_the_defaults_are_the_models_own(student):
    "But for the answer language, which is the data's."
    p = EIGEvalParameters()
    assert frame_of(student, p)==frame_for(student, language=language_named('regex:[0-9]'))

def test_instruction_and_examples_are_asked_in_order(student, tmp_path):
    file = tmp_path/'shots.jsonl'
    shots = [dict(question='1+1=?', answer='one and one\n#### 2'),
             dict(question='2+2=?', answer=4, reasoning='twice two')]
    file.write_text(''.join(json.dumps(s)+'\n' for s in shots))
    frame = ask(student, instruction=' Give one digit. ', examples=str(file))
    text = student.decode(prompt_ids(student, frame, '3a+4=?'))
    places = [text.index(part) for part in ('1+1=?', 'one and one', '2', '2+2=?', 'twice two', '3a+4=?')]
    assert places[0] < places[1] < places[3] < places[4] < places[5] and text.count('\n\nGive one digit.')==3
    assert [(e.question, e.answer, e.reasoning) for e in frame.examples]==[
        ('1+1=?', '2', 'one and one'), ('2+2=?', '4', 'twice two')]
    plain = SimpleNamespace(template='', adds_bos=False, encode=lambda text: text)
    told = prompt_ids(plain, Frame('\nSo: ', lead='\nThink.\n', instruction='!', examples=frame.examples), 'q')
    assert ''.join(told)=='1+1=?\nThink.\none and one\nSo: 2\n\n2+2=?\nThink.\ntwice two\nSo: 4\n\nq!\nThink.\n'

@pytest.mark.parametrize('content, says', [('', 'no examples'), ('{"question": "a"}', 'line 1: no answer'),
                                           ('{"question": "a", "answer": 1}\n[1]', 'line 2: expected an object'),
                                           ('{', 'line 1: not JSON')])
def test_bad_examples_are_one_sentence(student, tmp_path, content, says):
    (tmp_path/'shots.jsonl').write_text(content)
    with pytest.raises(DataError, match=says) as e: ask(student, examples=str(tmp_path/'shots.jsonl'))
    assert '\n' not in str(e.value)

@pytest.mark.parametrize('given, says', [
    (dict(cue='</think><|answer|><|end|>'), 'cue: .*ends the text'), (dict(cue=''), 'cue: got'),
    (dict(cue=' \n'), 'after which the answer stands'),
    (dict(instruction='think '*2000), 'instruction: got .*fewer than'),
    (dict(step='sentense'), "Did you mean 'sentence'"), (dict(step='tokens:0'), 'step: got'),
    (dict(step='tokens:x'), 'step: got'),
    (dict(step='paragraph:3'), 'step: got'), (dict(delimiters='thinks'), "Did you mean 'think'")])
def test_what_cannot_be_asked_is_one_sentence(student, given, says):
    with pytest.raises(BadValue, match=says) as e: ask(student, **given)
    assert len(str(e.value)) < 13_000

def test_a_report_says_how_it_asked(command, outputs):
    r = command('decodelab', 'run', 'eig_eval', '-p', 'n', '4', '-p', 'step', 'tokens:4', '-p',
                'instruction', 'One digit.',
                '-p', 'mc_samples', '2', '-p', 'sample_length', '16', check=False)
    assert r.returncode==0, r.stderr
    report = html.unescape(next(outputs.glob('eig_eval/*/report.ipynb')).read_text())
    assert 'One digit.' in report and '4 tokens' in report and '</think>' in report
    page = next(outputs.glob('eig_eval/*/report.html')).read_text()
    assert '<td>cue</td>' in page and "&lt;/think&gt;&lt;|answer|&gt;" in page # a table, and no tag in it

def test_a_model_without_a_template_is_asked_after_its_beginning_of_text():
    "Once, where the tokenizer says so; base models of Gemma say nothing of sense without."
    toy, frame = Toy.random('ab.^$'), Frame(cue='.')
    assert prompt_ids(toy, frame, 'ab')==(0, 1)
    toy.bos_id = 3
    assert prompt_ids(toy, frame, 'ab')==(0, 1)
    toy.adds_bos = True
    assert prompt_ids(toy, frame, 'ab')==prompt_ids(toy, frame, '^ab')==(3, 0, 1)
