"The quick benchmark: real questions through lm-eval's own tasks, likelihoods against lm-eval's evaluator, errors before work."
import json, random
import os
from importlib.util import find_spec
from pathlib import Path
import numpy as np, pytest, yaml
from decodelab.core import BadValue, ModelError
from decodelab.evaluation.quick.questions import KINDS, built_in, facts, read_items, real
from decodelab.evaluation.quick.benchmark import Quick, QuickParameters, baselines, change, judge, requests, score

pytestmark = pytest.mark.skipif(find_spec('lm_eval') is None and not os.environ.get('CI'), reason='NOT TESTED: lm_eval is not installed: pip install "decodelab[eval]"')

def dataset(kind, n=16):
    "Rows in the columns of the real data set, made from the built-in facts; splits beside them."
    fs, kept = facts(kind); rng = random.Random(1); fs = rng.sample(fs, n); rows = []
    for i,f in enumerate(fs + kept[:8]):
        order = [f.right, *f.wrong]; rng.shuffle(order); g = order.index(f.right)
        rows.append(dict(mmlu=dict(question=f.question, subject=f'subject_{i%3}', choices=order, answer=g),
            hellaswag=dict(ind=i, activity_label=f.topic, ctx_a=f.question.rsplit('.', 1)[0]+'.', ctx_b=f.question.rsplit('.', 1)[-1].strip().lower(), ctx=f.question, endings=order, label=str(g), source_id=f'{"activitynet" if i%2 else "wikihow"}~{i}', split='val', split_type='x'),
            gsm8k=dict(question=f.question, answer=f.right), arc=dict(id=str(i), question=f.question, choices=dict(text=order, label=list('ABCD')), answerKey='ABCD'[g]),
            truthfulqa=dict(question=f.question, mc1_targets=dict(choices=[f.right, *f.wrong], labels=[1,0,0,0]), mc2_targets=dict(choices=[f.right, *f.wrong], labels=[1,0,0,0])))[kind])
    return rows[:n], rows[n:] or rows[:6]

def local_task(kind, folder):
    "lm-eval's own task on a local file: its YAML is included, only the data set's path is another."
    import lm_eval.tasks
    at = Path(lm_eval.tasks.__file__).parent/dict(mmlu='mmlu/default/mmlu_astronomy.yaml', hellaswag='hellaswag/hellaswag.yaml', gsm8k='gsm8k/gsm8k.yaml', arc='arc/arc_easy.yaml', truthfulqa='truthfulqa/truthfulqa_mc1.yaml')[kind]
    rows, few = dataset(kind); files = {}
    for split,part in dict(test=rows, validation=rows, train=few, dev=few).items():
        (folder/f'{kind}-{split}.jsonl').write_text(''.join(json.dumps(r)+'\n' for r in part)); files[split] = str(folder/f'{kind}-{split}.jsonl')
    (folder/f'local_{kind}.yaml').write_text(yaml.safe_dump(dict(include=str(at), task=f'local_{kind}', dataset_path='json', dataset_name=None, dataset_kwargs=dict(data_files=files))))
    return f'local_{kind}'

@pytest.mark.parametrize('kind', list(KINDS))
def test_real_questions_are_lm_evals_and_score_the_same(kind, tmp_path, student, monkeypatch):
    "Same prompts, same predictions, same scores as lm-eval's evaluator with its own Transformers model."
    monkeypatch.setenv('HF_HOME', str(tmp_path/'hf')); monkeypatch.setenv('HF_DATASETS_CACHE', str(tmp_path/'hf'/'datasets'))
    name = local_task(kind, tmp_path); shots = 0 if kind in ('hellaswag','arc','truthfulqa') else 2
    items = real(kind, 16, 0, shots, [name], str(tmp_path), tmp_path/'cache')
    assert len(items)==16==len({i.id for i in items}) and all(i.context.endswith(('Answer:', 'A:')) or kind=='hellaswag' for i in items)
    cached = list((tmp_path/'cache').iterdir()); assert len(cached)==1 and read_items(cached[0])==items==real(kind, 16, 0, shots, [name], str(tmp_path), tmp_path/'cache')
    if kind=='gsm8k': assert all(i.answer.lstrip('-').isdigit() and 'Question:' in i.until for i in items); return
    if kind=='truthfulqa': assert len({i.gold for i in items}) > 1 # lm-eval lists the right one first
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager
    theirs = lm_eval.simple_evaluate(HFLM(pretrained=student.model, tokenizer=student.tokenizer, max_length=student.max_length, batch_size=8), tasks=[name], num_fewshot=shots, task_manager=TaskManager(include_path=str(tmp_path), include_defaults=False), log_samples=True, bootstrap_iters=0)
    prompts = {s['arguments']['gen_args_0']['arg_0'] if isinstance(s['arguments'], dict) else s['arguments'][0][0] for s in theirs['samples'][name]}
    assert prompts=={i.context for i in items}
    records = judge(student, items)
    for metric in ('acc','acc_norm') if kind in ('hellaswag','arc') else ('acc',):
        assert abs(theirs['results'][name][f'{metric},none']-score(records, 'letter' if kind=='mmlu' else metric).accuracy) < 1e-9, metric

@pytest.mark.parametrize('kind', ['mmlu','hellaswag','arc','truthfulqa'])
def test_the_scorer_equals_one_score_call_a_choice(kind, student):
    items = built_in(kind, 8, 1, 1)
    for i,r in zip(items, judge(student, items)):
        for variant,texts in dict(acc=i.choices, letter=i.labels).items():
            alone = [student.score([(student.encode(i.context), student.encode(f' {c}'))])[0].logprob for c in texts]
            if texts: assert np.abs(np.array(alone)-r['scores'][variant]).max() < 1e-4 and r['picks'][variant]==int(np.argmax(alone))

def test_prefixes_are_run_once(student):
    items = built_in('mmlu', 40); student.usage.reset(); judge(student, items)
    assert student.usage.run/student.usage.unique <= 1.02 and student.usage.unique < student.usage.prompt/8

def test_constant_answers_cannot_win():
    "On every seed a constant rule is at its baseline by definition; no constant rule may be called better than the others."
    for kind in ('mmlu','hellaswag','arc','truthfulqa'):
        for seed in range(3):
            items = built_in(kind, 60, seed)
            records = [dict(kind=kind, choices=list(i.choices), gold=i.gold, answer=i.answer) for i in items]
            for name,outcome in baselines(records).items():
                s = score([r | dict(correct={'x': bool(c)}) for r,c in zip(records, outcome)], 'x')
                assert not s.better and abs(s.accuracy-outcome.mean()) < 1e-12, (kind, seed, name)

def test_errors_come_before_work(student, monkeypatch):
    def forbidden(*a, **k): raise AssertionError('work before the check')
    items = built_in('gsm8k', 3)
    with pytest.raises(ModelError, match='takes .* tokens with its answer; the model takes 4096'): requests(student, items, 4000)
    monkeypatch.setattr(student, 'score', forbidden); monkeypatch.setattr(student, 'sample', forbidden)
    with pytest.raises(ModelError, match='shots'): Quick(QuickParameters(kinds='arc,gsm8k', n=3, max_tokens=4000), {'s': student})
    with pytest.raises(BadValue, match="'truthfulqa'"): Quick(QuickParameters(kinds='truthfullqa'), {'s': student})
    with pytest.raises(BadValue, match='1 to 80, the questions in the built-in set of arc'): Quick(QuickParameters(kinds='arc', n=81), {'s': student})

def test_two_systems_and_the_printed_report(student):
    from decodelab.evaluation.quick.report import text
    out = text(QuickParameters(kinds='arc,mmlu', n=12, shots=1))
    assert 'detectable' in out and 'reference:teacher against reference:student' in out and 'KL mean' in out and 'scores say nothing about what it knows' in out
    quick = Quick(QuickParameters(kinds='arc', n=12), {'a': student, 'b': student}); ra, rb = (quick.records(s)['arc'] for s in 'ab')
    assert change(ra, rb).paired.flips==0 and quick.distances()['arc'].mean==0 and quick.distances()['arc'].same_top==1
