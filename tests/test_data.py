"What is read from files: lines end at newlines only, a byte-order mark is no text, and a bad file is one sentence."
import gzip, importlib.util, json, math, os, random
import pytest
from clock import seconds
from hypothesis import given, settings, strategies as st
from decodelab.core.errors import BadValue, DataError, MissingExtra, ModelError, RunError, needs
from decodelab.core.files import Journal, bounded, json_lines, read_journal, read_text, to_json
from decodelab.core.parameters import Parameters, param, preset, read, read_yaml
from decodelab.core.runs import Run, chunks
from decodelab.core.settings import load_settings
from decodelab.tasks.generators import is_right
from decodelab.eig.languages import answer_language, sayable
from decodelab.eig.study.claim import StoppingClaimParameters, fit_questions
from decodelab.eig.study.compare import EIGCompareParameters, others
from decodelab.eig.study.pools import questions_for
from decodelab.optimal.problems import file_problems, load_problems
from decodelab.tasks.data import judge_answer, load_questions, read_examples, read_jsonl
from decodelab.tasks.hopeless import hide_quantity

BREAKS = '\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029' # Everything that `str.splitlines` cuts at
text = st.text(st.one_of(st.characters(codec='utf-8'), st.sampled_from(BREAKS)), min_size=1)

@settings(max_examples=100, deadline=None)
@given(st.lists(text, max_size=5), st.booleans(), st.sampled_from(['\n', '\r\n']))
def test_json_lines_are_the_values(values, bom, newline):
    written = ('\ufeff'*bom + ''.join(to_json(v)+newline for v in values)).encode()
    assert json_lines(written)==values==json_lines(written.decode())

@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.lists(text, max_size=3), max_size=3))
def test_a_journal_gives_back_any_text(tmp_path_factory, values):
    path = tmp_path_factory.mktemp('journal')/'samples.jsonl'
    journal = Journal(path)
    for i,chunk in enumerate(values): journal.append(str(i), [dict(text=t) for t in chunk])
    assert read_journal(path)==[dict(text=t) for chunk in values for t in chunk]
    assert [[r['text'] for r in Journal(path).read(str(i))] for i in range(len(values))]==values

@pytest.mark.parametrize('breaking', BREAKS)
def test_a_question_may_hold_any_break(tmp_path, breaking):
    question = f'How{breaking}many?'
    records = ''.join(json.dumps(dict(question=question, answer=i), ensure_ascii=False)+'\n' for i in (2, 2, 2))
    (tmp_path/'a.jsonl').write_bytes(('\ufeff'+records).encode())
    assert [(q.text, q.answer) for q in read_jsonl(tmp_path/'a.jsonl')]==[(question, '2')]*3
    assert len(load_questions(str(tmp_path/'a.jsonl'), 2))==2
    run = Run.create('demo', {}, outputs=tmp_path/'outputs')
    asked = [question]*3
    work = lambda qs: [dict(question=q) for q in qs]
    first, again = ([r['question'] for c in chunks(run, 'ask', asked, work, 2) for r in c] for _ in range(2))
    assert first==again==asked==[r['question'] for r in read_journal(run.folder/'samples.jsonl')]

class Demo(Parameters):
    size: int = param(8, 'How large.', ge=1)

def test_a_byte_order_mark_is_no_text(tmp_path):
    (tmp_path/'settings.ini').write_bytes('\ufeff[decodelab]\nmemory_gb = 2\n'.encode())
    (tmp_path/'fast.yaml').write_bytes('\ufeffsize: 4\n'.encode())
    (tmp_path/'a.txt').write_bytes('\ufeffa\ufeff'.encode())
    assert load_settings(tmp_path, env={}).memory_gb==2 and read_text(tmp_path/'a.txt')=='a\ufeff'
    assert preset(tmp_path, 'fast')==dict(size=4) and read(Demo, tmp_path/'fast.yaml').size==4

BAD = [(None, 'no such file'), (b'a: \xff', 'not UTF-8 at byte 3'), (b'a: [', 'not YAML')]

@pytest.mark.parametrize('content, says', BAD)
def test_a_bad_parameter_file_is_one_sentence(tmp_path, content, says):
    file = tmp_path/'bad.yaml'
    if content is not None: file.write_bytes(content)
    with pytest.raises(DataError, match=says) as e: read_yaml(file)
    assert '\n' not in str(e.value) and str(file) in str(e.value)

def test_a_folder_and_bad_settings_are_one_sentence(tmp_path):
    with pytest.raises(DataError, match='a folder, not a file'): read_yaml(tmp_path)
    with pytest.raises(DataError, match='a folder, not a file'): read_jsonl(tmp_path)
    for wrong in ('[decodelab]\nthreads', '[decodelab]\nthreads = 1\nthreads = 2'):
        (tmp_path/'settings.ini').write_text(wrong)
        with pytest.raises(DataError) as e: load_settings(tmp_path, env={})
        assert '\n' not in str(e.value)
    (tmp_path/'settings.ini').write_text('[decodelab]\nthreads = many')
    with pytest.raises(BadValue, match='threads'): load_settings(tmp_path, env={})

def test_metrics_without_a_bound_are_null(tmp_path):
    run = Run.create('demo', {}, outputs=tmp_path)
    run.write_metrics(dict(low=-math.inf, high=[math.inf, 1.]))
    assert run.metrics==dict(low=None, high=[None, 1.]) and bounded((1, 'inf'))==[1, 'inf']
    with pytest.raises(ValueError): run.write_metrics(dict(mean=math.nan))

def test_one_process_works_on_a_run(tmp_path):
    run = Run.create('demo', {}, outputs=tmp_path).lock()
    assert run.status=='running'==Run.open(run.folder).status
    with pytest.raises(RunError, match='another process'): Run.open(run.folder).lock()
    run.unlock()
    assert Run.open(run.folder).status=='interrupted' and Run.open(run.folder).lock().status=='running'

def test_a_missing_extra_is_a_model_error_and_an_import_error():
    for kind in (ModelError, ImportError, MissingExtra):
        with pytest.raises(kind, match=r'pip install "decodelab\[gguf\]"'): needs('no_such_runtime', 'gguf')
    needs('json', 'gguf')

ODD_RECORDS = ['{"question": "a", "answer": NaN}', '{"question": "a", "answer": false}',
               '{"question": "a", "answer": {"a": 1}}', '{"question": ["a"], "answer": "1"}',
               r'{"question": "\ud800", "answer": "1"}', '{"question": "a", "answer": ' + '9'*5000 + '}', '['*100_000]

@pytest.mark.parametrize('line', ODD_RECORDS, ids=range(len(ODD_RECORDS)))
def test_odd_records_are_one_sentence(tmp_path, line):
    f = tmp_path/'odd.jsonl'
    f.write_text(line+'\n')
    with pytest.raises(DataError, match='line 1'): read_jsonl(f)

HUGE = dict(twice='{%s, "k7": 1}', names='{%s}', name='{"%s": 1}' % ('k'*1_000_000),
            value='{"question": "%s' % ('q'*10**7))
KEYS = ', '.join(f'"k{i}": 1' for i in range(200_000))

@pytest.mark.parametrize('what', HUGE)
def test_a_line_of_megabytes_is_one_sentence_and_soon(tmp_path, what):
    line = HUGE[what]
    (tmp_path/'huge.jsonl').write_text(line % KEYS if '%s' in line else line)
    def refused():
        with pytest.raises(DataError) as e: read_jsonl(tmp_path/'huge.jsonl')
        assert len(str(e.value)) < 700
    assert seconds(refused, enough=3) < 3

def test_of_a_prompt_that_is_far_too_long_the_beginning_tells():
    from decodelab.backends.words import words_of
    from decodelab.eig.frames import frame_for
    from decodelab.eig.stopping.reasoning import check_prompts
    from decodelab.tasks.data import Question
    words = words_of('reference:student')
    def refused(n, says):
        with pytest.raises(BadValue, match=says): check_prompts(words, frame_for(words), [Question('1', '1'*n, '1')])
    refused(5_000, "'5002 tokens'")
    refused(100_000, 'more than .* tokens')
    assert seconds(lambda: refused(10_000_000, 'more than .* tokens'), enough=2) < 2

def test_an_example_without_an_answer_is_told(tmp_path):
    (tmp_path/'e.jsonl').write_text('{"question": "1+1=?", "answer": "first #### "}')
    with pytest.raises(DataError, match='line 1: nothing after ####'): read_examples(tmp_path/'e.jsonl')

ROWS = [json.dumps(dict(question=f'{i}+1=?', answer=i+1)) for i in range(3)]
SAVED = dict(plain=('\n'.join(ROWS), 'utf-8'), windows=('\r\n'.join(ROWS)+'\r\n', 'utf-8-sig'),
             old_mac=('\r'.join(ROWS)+'\r', 'utf-8'), blank_lines=('\n'.join(['', *ROWS, ' \t', '\u00a0']), 'utf-8'))

@pytest.mark.parametrize('name', SAVED)
def test_lines_end_as_on_any_system(tmp_path, name):
    text, encoding = SAVED[name]
    (tmp_path/'a.jsonl').write_bytes(text.encode(encoding))
    assert [(q.text, q.answer) for q in read_jsonl(tmp_path/'a.jsonl')]==[(f'{i}+1=?', str(i+1)) for i in range(3)]
    for read in (read_examples, file_problems):
        assert [x.question for x in read(tmp_path/'a.jsonl')]==[f'{i}+1=?' for i in range(3)]

GOOD, JSON = ROWS[0].encode(), 'such a file holds one object a line'
FILES = {
    'UTF-16': (GOOD.decode().encode('utf-16'), 'it is UTF-16, not UTF-8'),
    'UTF-32': (GOOD.decode().encode('utf-32'), 'it is UTF-32, not UTF-8'),
    'Latin-1': (GOOD+b'\n{"question": "caf\xe9?"', 'in line 2'),
    'gzip': (gzip.compress(GOOD), 'it is gzip'), 'zip': (b'PK\x03\x04 and so on', 'it is zip'),
    'Parquet': (b'PAR1\x15\x04', 'it is Parquet'), 'CSV': (b'question,answer\n1+1=?,2\n', JSON),
    'an array': (b'[' + GOOD + b']', f'got list; {JSON}'), 'an indented array': (b'[\n ' + GOOD + b'\n]', JSON),
    'Python': (str(json.loads(GOOD)).encode(), JSON), 'nothing': (b'', 'no questions'),
    'blanks': (b'\n \r\n\t', 'no questions'),
    'a name twice': (b'{"question": "a", "answer": "1", "answer": "2"}', "line 1: cannot be read: 'answer' stands"),
    'infinity': (b'{"question": "a", "answer": -1e999}', "line 1: answer is '-inf'"),
    'null': (GOOD+b'\n{"question": "a", "answer": null}', 'line 2: no answer'),
    'an empty answer': (b'{"question": "a", "answer": " "}', 'line 1: answer is empty'),
    'a question that nobody sees': (b'{"question": "\\u200b\\ufeff \\n", "answer": 1}', 'line 1: question is empty'),
    'other names': (b'{"prompt": "a", "target": "1"}', "rename 'prompt' to 'question'"),
    'other names of solutions': (b'{"question": "a", "solution": "1"}', "rename 'solution' to 'answer'"),
    'a slip': (b'{"Qestion": "a", "answer": "1"}', "rename 'Qestion' to 'question'"),
    'an id of one list': (b'{"question": "a", "answer": "1", "id": [1]}', "line 1: id is '[1]', not text"),
    'groups': (b'{"question": "a", "answer": "1", "group": {}}', "line 1: group is '{}', not one value"),
    'an id twice': (b'{"question": "a", "answer": "1", "id": 2}\n' + GOOD, "line 2: id '2' is that of line 1"),
    'two answers': (GOOD + b'\n\n' + ROWS[1].encode() + b'\n{"question": "0+1=?", "answer": "2"}',
                    "line 4: the question of line 1 with another answer, '2' instead of '1'")}
ALONE = ('an id of one list', 'groups', 'an id twice', 'two answers') # Nothing to an example

@pytest.mark.parametrize('name', FILES)
def test_what_a_file_seems_to_be_is_one_sentence(tmp_path, name):
    data, says = FILES[name]
    file = tmp_path/'a.jsonl'
    file.write_bytes(data)
    for read in (read_jsonl, *(() if name in ALONE else [read_examples])):
        with pytest.raises(DataError) as e: read(file)
        said = says.replace('questions', 'examples') if read==read_examples else says
        assert said in str(e.value) and str(file) in str(e.value) and '\n' not in str(e.value)

def test_what_can_be_read_once_alone_is_told(tmp_path):
    "A pipe would never end, and the notebook reads the file again."
    os.mkfifo(tmp_path/'pipe')
    for read in (read_jsonl, read_examples, lambda path: load_problems(str(path))):
        for path in (tmp_path/'pipe', '/dev/null'):
            with pytest.raises(DataError, match='no regular file'): read(path)

def test_ids_and_groups_that_are_null_are_none(tmp_path):
    (tmp_path/'a.jsonl').write_text('\n'.join(r[:-1]+', "id": null, "group": null}' for r in ROWS))
    assert [(q.id, q.group) for q in read_jsonl(tmp_path/'a.jsonl')]==[('1', 'all'), ('2', 'all'), ('3', 'all')]

def test_nothing_is_fitted_on_a_files_questions_that_are_asked(tmp_path):
    file = tmp_path/'a.jsonl'
    file.write_text(''.join(json.dumps(dict(question=f'{i}+{i+1}=?', answer=2*i+1))+'\n' for i in range(60)))
    p = StoppingClaimParameters(data=str(file), n=10, seeds=2, fit_n=40)
    asked = {q.id for seed in (0, 1) for q in questions_for(p.data, 10, seed, (0,))[0]}
    fitted = {q.id.removesuffix('-hopeless') for q in sum(fit_questions(p, p.data), [])}
    assert len(asked) > 10 and len(fitted) >= 40-8 and not asked & fitted
    with pytest.raises(BadValue, match=r'fit_n: got 60; allowed: at most \d+, the questions in .*besides \d+ others'):
        fit_questions(p.model_copy(update=dict(fit_n=60, unanswerable='0')), p.data)
    with pytest.raises(BadValue, match='fit_n: got 96; allowed: at most 60'):
        others(EIGCompareParameters(data=str(file), n=4))

# --- generated questions, and questions that nobody can answer ---
generated = pytest.mark.skipif(not importlib.util.find_spec('reasoning_gym') and not os.environ.get('CI'),
                               reason='NOT TESTED: pip install "decodelab[tasks]"')

@generated
def test_generated_questions_are_the_generators_own_and_scored_by_it():
    import reasoning_gym
    own = reasoning_gym.create_dataset('chain_sum', seed=0, size=6, min_terms=3, max_terms=3)
    qs = load_questions('reasoning_gym:chain_sum:min_terms=3,max_terms=3', 6)
    assert [(q.text, q.answer) for q in qs]==[(e['question'], e['answer']) for e in own]
    assert qs==load_questions('reasoning_gym:chain_sum:min_terms=3,max_terms=3', 6) and len({q.id for q in qs})==6
    never = lambda a, b: pytest.fail('the generator decides')
    for q,e in zip(qs, own):
        for said in (e['answer'], str(int(e['answer'])+1), '', 'so it is '+e['answer']):
            assert judge_answer(said, q.answer, q.scorer, never)==(own.score_answer(said, e)==1), said
    assert not judge_answer(None, '1', qs[0].scorer, never)

@generated
def test_an_answer_that_is_not_the_one_named_can_be_right():
    "Countdown: any expression that makes the target from the numbers; a graph: any colouring that is proper."
    countdown = load_questions('reasoning_gym:countdown', 3)[0]
    swapped = ' + '.join(reversed(countdown.answer.split(' + '))) # the same sum, written the other way round
    never = lambda a, b: False
    assert judge_answer(countdown.answer, countdown.answer, countdown.scorer, never)
    assert judge_answer(f'({swapped})', countdown.answer, countdown.scorer, never)
    assert load_questions('reasoning_gym:graph_color', 1)[0].answer=='' # none is named

@generated
def test_neighbouring_seeds_of_a_generator_have_nothing_in_common():
    a, b = ({q.text for q in load_questions('reasoning_gym:chain_sum', 200, seed)} for seed in (4, 5))
    assert len(a & b) <= 2 # two of the shortest sums may come up again

@generated
@pytest.mark.parametrize('data, says', [
    ('reasoning_gym:chain_sums', "Did you mean 'chain_sum'"), ('reasoning_gym:', 'generator of reasoning_gym'),
    ('reasoning_gym:chain_sum:term=2', "Did you mean '"), ('reasoning_gym:chain_sum:min_terms=9', 'max_terms must be'),
    ('reasoning_gym:chain_sum:min_terms=many', 'a whole number'), ('reasoning_gym:chain_sum:3', 'name=value'),
    ('reasoning_gym:chain_sum:min_terms=2.5', 'a whole number'), ('reasoning_gym:chain_sum:min_terms=[1', 'a number'),
    ('reasoning_gym:chain_sum:min_terms=', 'a whole number'), ('reasoning_gym:chain_sum:min_terms=true', 'a whole'),
    ('reasoning_gym:chain_sum:allow_negation=maybe', 'true or false'),
    ('reasoning_gym:chain_sum:min_terms=2,min_terms=3', 'each name once'),
    ('reasoning-gym:chain_sum', "Did you mean 'reasoning_gym:chain_sum'"), ('referense', "Did you mean 'reference'"),
    ('reasoning_gym:game_of_life_halting', 'any text is right'), ('reasoning_gym:composite', 'at least one dataset'),
    ('reasoning_gym:chain_sum:seed=3', 'option of chain_sum')])
def test_a_generator_that_cannot_be_is_one_sentence(data, says):
    with pytest.raises(BadValue, match=says) as e: load_questions(data, 2)
    assert '\n' not in str(e.value) and len(str(e.value)) < 400 and str(e.value).count('; allowed:')==1

@generated
@pytest.mark.parametrize('name', ['boxnet', 'coin_flip', 'game_of_life', 'prime_factorization', 'power_function',
                                  'tsumego', 'countdown'])
def test_an_answer_that_a_generators_function_cannot_read_is_wrong(name):
    q = load_questions(f'reasoning_gym:{name}', 1, 1)[0]
    for said in ('', 'nonsense', '9'*400, '1/0', '[[', '{}', 'é'): assert not is_right(q.scorer, said), said
    assert not q.answer or is_right(q.scorer, q.answer)

@generated
@pytest.mark.parametrize('name, language', [
    ('countdown', None), ('puzzle24', None), ('prime_factorization', None), ('graph_color', None), # no numbers
    ('syllogism', 'choice:Yes,No'), ('course_schedule', 'choice:True,False'), ('chain_sum', 'number')])
def test_the_answer_language_of_a_generator_holds_what_its_own_score_takes(name, language):
    data = f'reasoning_gym:{name}'
    questions = load_questions(data, 6, 3)
    found = answer_language(None, data, questions)
    assert (found and found.name)==language
    if found: assert all(sayable(found, q) for q in questions)
    if name=='countdown':
        with pytest.raises(DataError, match='6 of 6 answers are not of the answer language number: question 3-0'):
            answer_language('number', data, questions)

def test_a_missing_generator_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name, *a: None)
    with pytest.raises(MissingExtra, match=r'decodelab\[tasks\]'): load_questions('reasoning_gym:chain_sum', 3, seed=9)

TOLD = ['Tom has 5 apples and buys 12 more. How many?', 'A pen costs $3 and a book $8. Both?', '2 + 3 * 4 =',
        'Ann reads 1,200 pages in 10 days. A day?', 'Which is the capital of France?', 'How many legs have 4 dogs?']

def test_a_share_of_a_files_questions_loses_a_quantity(tmp_path):
    file = tmp_path/'a.jsonl'
    file.write_text(''.join(json.dumps(dict(question=q, answer=i))+'\n' for i,q in enumerate(TOLD)))
    plain = load_questions(str(file), 6)
    assert {q.text for q in plain}==set(TOLD) and {q.group for q in plain}=={'all'} # nothing unless it is asked for
    qs = load_questions(str(file), 6, unanswerable=.5)
    changed = [q for q in qs if q.text not in TOLD]
    assert len(changed)==3 and {q.group for q in changed}=={'unanswerable'}
    assert qs==load_questions(str(file), 6, unanswerable=.5)
    assert {q.group for q in qs if q.text in TOLD}=={'answerable'}
    assert [(q.id, q.answer) for q in qs]==[(q.id, q.answer) for q in plain]
    with pytest.raises(BadValue, match=r'at most 0.67: 4 of 6 questions hold two quantities'):
        load_questions(str(file), 6, unanswerable=.9)

@pytest.mark.parametrize('text, may', [
    (TOLD[0], {'Tom has some apples and buys 12 more. How many?', 'Tom has 5 apples and buys some more. How many?'}),
    (TOLD[1], {'A pen costs some money and a book $8. Both?', 'A pen costs $3 and a book some money. Both?'}),
    (TOLD[2], {'_ + 3 * 4 =', '2 + _ * 4 =', '2 + 3 * _ ='}),
    ('20% of 50 is?', {'some percent of 50 is?', '20% of some is?'}),
    ('On 3/4 at 10:30, by B2, 2.5 m and 7 m?', {'On 3/4 at 10:30, by B2, some m and 7 m?',
                                                'On 3/4 at 10:30, by B2, 2.5 m and some m?'})])
def test_what_stands_for_a_quantity(text, may):
    assert {hide_quantity(text, random.Random(i)) for i in range(40)}==may

def test_the_reference_task_keeps_its_share():
    assert load_questions('reference', 40, 2)==load_questions('reference', 40, 2, .2)
    assert sum(q.group=='unanswerable' for q in load_questions('reference', 100, 2)) in range(8, 35)
