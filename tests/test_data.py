"What is read from files: lines end at newlines only, a byte-order mark is no text, and a bad file is one sentence."
import json, math
import pytest
from hypothesis import given, settings, strategies as st
from decodelab.core.errors import BadValue, DataError, MissingExtra, ModelError, RunError, needs
from decodelab.core.files import Journal, bounded, json_lines, read_journal, read_text, to_json
from decodelab.core.parameters import Parameters, param, preset, read, read_yaml
from decodelab.core.runs import Run, chunks
from decodelab.core.settings import load_settings
from decodelab.tasks.data import load_questions, read_jsonl

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
    records = ''.join(json.dumps(dict(question=question, answer=i), ensure_ascii=False)+'\n' for i in range(3))
    (tmp_path/'a.jsonl').write_bytes(('\ufeff'+records).encode())
    assert [(q.text, q.answer) for q in read_jsonl(tmp_path/'a.jsonl')]==[(question, str(i)) for i in range(3)]
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
