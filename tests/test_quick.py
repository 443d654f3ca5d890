"The quick benchmark: real questions through lm-eval's tasks, likelihoods against its evaluator, errors before work."
import json, os, random
from importlib.util import find_spec
from pathlib import Path
import numpy as np
import pytest
import yaml
from decodelab.core import BadValue, ModelError
from decodelab.evaluation.quick.benchmark import Quick, QuickParameters, baselines, change, judge, requests, score
from decodelab.evaluation.quick.questions import KINDS, built_in, facts, read_items, real

MISSING = find_spec('lm_eval') is None and not os.environ.get('CI')
pytestmark = pytest.mark.skipif(MISSING, reason='NOT TESTED: lm_eval is not installed: pip install "decodelab[eval]"')

# Rows in the columns of the real data sets, made from the built-in facts

def mmlu_row(i, f, order, gold):
    return dict(question=f.question, subject=f'subject_{i%3}', choices=order, answer=gold)

def hellaswag_row(i, f, order, gold):
    first, _, second = f.question.rpartition('.')
    return dict(ind=i, activity_label=f.topic, ctx_a=f'{first}.', ctx_b=second.strip().lower(), ctx=f.question,
                endings=order, label=str(gold), source_id=f'{"activitynet" if i%2 else "wikihow"}~{i}', split='val',
                split_type='x')

def gsm8k_row(i, f, order, gold): return dict(question=f.question, answer=f.right)

def arc_row(i, f, order, gold):
    return dict(id=str(i), question=f.question, choices=dict(text=order, label=list('ABCD')), answerKey='ABCD'[gold])

def truthfulqa_row(i, f, order, gold):
    targets = dict(choices=[f.right, *f.wrong], labels=[1,0,0,0])
    return dict(question=f.question, mc1_targets=targets, mc2_targets=targets)

ROWS = dict(mmlu=mmlu_row, hellaswag=hellaswag_row, gsm8k=gsm8k_row, arc=arc_row, truthfulqa=truthfulqa_row)
TASKS = dict(mmlu='mmlu/default/mmlu_astronomy.yaml', hellaswag='hellaswag/hellaswag.yaml', gsm8k='gsm8k/gsm8k.yaml',
             arc='arc/arc_easy.yaml', truthfulqa='truthfulqa/truthfulqa_mc1.yaml')

def dataset(kind, n=16):
    "Rows of the real data set's columns; splits beside them."
    every, kept = facts(kind)
    rng = random.Random(1)
    rows = []
    for i,f in enumerate(rng.sample(every, n) + kept[:8]):
        order = [f.right, *f.wrong]
        rng.shuffle(order)
        rows.append(ROWS[kind](i, f, order, order.index(f.right)))
    return rows[:n], rows[n:] or rows[:6]

def local_task(kind, folder):
    "lm-eval's own task on a local file: its YAML is included, only the data set's path is another."
    import lm_eval.tasks
    rows, few = dataset(kind)
    files = {split: folder/f'{kind}-{split}.jsonl' for split in ('test','validation','train','dev')}
    for split,f in files.items():
        part = rows if split in ('test','validation') else few
        f.write_text(''.join(json.dumps(r)+'\n' for r in part))
    task = dict(include=str(Path(lm_eval.tasks.__file__).parent/TASKS[kind]), task=f'local_{kind}', dataset_path='json',
                dataset_name=None, dataset_kwargs=dict(data_files={split: str(f) for split,f in files.items()}))
    (folder/f'local_{kind}.yaml').write_text(yaml.safe_dump(task))
    return f'local_{kind}'

def evaluated(student, name, shots, folder):
    "What lm-eval's evaluator says of its own Transformers model, and the prompts that it used."
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager
    model = HFLM(pretrained=student.model, tokenizer=student.tokenizer, max_length=student.max_length, batch_size=8)
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    out = lm_eval.simple_evaluate(model, tasks=[name], num_fewshot=shots, task_manager=manager, log_samples=True,
                                  bootstrap_iters=0)
    arguments = [s['arguments'] for s in out['samples'][name]]
    return out['results'][name], {a['gen_args_0']['arg_0'] if isinstance(a, dict) else a[0][0] for a in arguments}

@pytest.mark.parametrize('kind', list(KINDS))
def test_real_questions_are_lm_evals_and_score_the_same(kind, tmp_path, student, monkeypatch):
    "Same prompts, same predictions, same scores as lm-eval's evaluator with its own Transformers model."
    monkeypatch.setenv('HF_HOME', str(tmp_path/'hf'))
    monkeypatch.setenv('HF_DATASETS_CACHE', str(tmp_path/'hf'/'datasets'))
    name, shots = local_task(kind, tmp_path), 0 if kind in ('hellaswag','arc','truthfulqa') else 2
    drawn = lambda: real(kind, 16, 0, shots, [name], str(tmp_path), tmp_path/'cache')
    items = drawn()
    assert len(items)==16==len({i.id for i in items})
    assert all(i.context.endswith(('Answer:', 'A:')) or kind=='hellaswag' for i in items)
    cached, = (tmp_path/'cache').iterdir()
    assert read_items(cached)==items==drawn()
    if kind=='gsm8k':
        assert all(i.answer.lstrip('-').isdigit() and 'Question:' in i.until for i in items)
        return
    if kind=='truthfulqa': assert len({i.gold for i in items}) > 1 # lm-eval lists the right one first
    results, prompts = evaluated(student, name, shots, tmp_path)
    assert prompts=={i.context for i in items}
    records = judge(student, items)
    for metric in ('acc','acc_norm') if kind in ('hellaswag','arc') else ('acc',):
        ours = score(records, 'letter' if kind=='mmlu' else metric).accuracy
        assert abs(results[f'{metric},none']-ours) < 1e-9, metric

@pytest.mark.parametrize('kind', ['mmlu','hellaswag','arc','truthfulqa'])
def test_the_scorer_equals_one_score_call_a_choice(kind, student):
    items = built_in(kind, 8, 1, 1)
    for i,r in zip(items, judge(student, items)):
        for variant,texts in dict(acc=i.choices, letter=i.labels).items():
            pairs = [(student.encode(i.context), student.encode(f' {c}')) for c in texts]
            alone = [student.score([p])[0].logprob for p in pairs]
            if not texts: continue
            assert np.abs(np.array(alone)-r['scores'][variant]).max() < 1e-4
            assert r['picks'][variant]==int(np.argmax(alone))

def test_prefixes_are_run_once(student):
    items = built_in('mmlu', 40)
    student.usage.reset()
    judge(student, items)
    usage = student.usage
    assert usage.run/usage.unique <= 1.02 and usage.unique < usage.prompt/8

@pytest.mark.parametrize('kind', ['mmlu','hellaswag','arc','truthfulqa'])
def test_constant_answers_cannot_win(kind):
    "On every seed a constant rule is at its baseline by definition; none may be called better than the others."
    for seed in range(3):
        items = built_in(kind, 60, seed)
        records = [dict(kind=kind, choices=list(i.choices), gold=i.gold, answer=i.answer) for i in items]
        for name,outcome in baselines(records).items():
            s = score([r | dict(correct={'x': bool(c)}) for r,c in zip(records, outcome)], 'x')
            assert not s.better and abs(s.accuracy-outcome.mean()) < 1e-12, (kind, seed, name)

def test_errors_come_before_work(student, monkeypatch):
    def forbidden(*a, **k): raise AssertionError('work before the check')
    items, systems = built_in('gsm8k', 3), {'s': student}
    with pytest.raises(ModelError, match='takes .* tokens with its answer; the model takes 4096'):
        requests(student, items, 4000)
    monkeypatch.setattr(student, 'score', forbidden)
    monkeypatch.setattr(student, 'sample', forbidden)
    with pytest.raises(ModelError, match='shots'):
        Quick(QuickParameters(kinds='arc,gsm8k', n=3, max_tokens=4000), systems)
    with pytest.raises(BadValue, match="'truthfulqa'"): Quick(QuickParameters(kinds='truthfullqa'), systems)
    with pytest.raises(BadValue, match='1 to 80, the questions in the built-in set of arc'):
        Quick(QuickParameters(kinds='arc', n=81), systems)

def test_two_systems_and_the_printed_report(student):
    from decodelab.evaluation.quick.report import text
    out = text(QuickParameters(kinds='arc,mmlu', n=12, shots=1))
    said = ('detectable', 'reference:teacher against reference:student', 'KL mean',
            'scores say nothing about what it knows')
    assert all(words in out for words in said)
    quick = Quick(QuickParameters(kinds='arc', n=12), {'a': student, 'b': student})
    ra, rb = (quick.records(s)['arc'] for s in 'ab')
    d = quick.distances()['arc']
    assert change(ra, rb).paired.flips==0 and d.mean==0 and d.same_top==1

def test_a_pilot_of_the_quick_benchmark_is_part_of_the_work(student, monkeypatch):
    "The records are those without it, and no item is judged twice."
    from decodelab.evaluation.quick import benchmark
    p = QuickParameters(kinds='arc,gsm8k', n=6, max_tokens=12)
    plain, piloted = (Quick(p, {'s': student}) for _ in range(2))
    want, judged, judge = plain.records('s'), [], benchmark.judge
    def watched(backend, items, *more):
        judged.extend(i.id for i in items)
        return judge(backend, items, *more)
    monkeypatch.setattr(benchmark, 'judge', watched)
    assert benchmark.expected_seconds(piloted) > 0 and len(judged)==8
    found = piloted.records('s')
    assert len(judged)==12 and {k: [r['picks'] for r in own] for k,own in found.items()}=={
        k: [r['picks'] for r in own] for k,own in want.items()}
