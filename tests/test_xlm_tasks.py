"Every core model learns from puzzles and from files of text; a model of whole texts goes on with a prompt."
import json, os

import pytest

pytest.importorskip('lightning')
pytest.importorskip('hydra')
import torch
from decodelab.core.errors import BadValue
from decodelab.tasks.sudoku import judge_sudoku, mark_of
from decodelab.xlm.commands import command
from decodelab.xlm.composition import composed_or_why, ready
from decodelab.xlm.discovery import CORE, discover
from decodelab.xlm.jobs import data_of, harness_of
from decodelab.xlm.sources import SUDOKU_SIZES, rows_of, sudoku_split

SMALL = ['trainer_strategy=cpu', 'model.d_model=32', 'model.num_layers=1', 'model.nhead=2', 'per_device_batch_size=8',
         'global_batch_size=8', 'trainer.max_steps=2', 'lr_scheduler.num_warmup_steps=1', 'loggers=debug',
         'trainer.limit_val_batches=1', 'trainer.limit_test_batches=1', 'trainer.limit_predict_batches=1']

@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    there, before = tmp_path_factory.mktemp('tasks'), os.getcwd()
    os.chdir(there)
    (there/'lines.txt').write_text('\n'.join(f'{a} plus {b} is {a+b}' for a in range(9) for b in range(9)))
    yield there
    os.chdir(before)

def test_splits_of_puzzles_share_nothing():
    marks = {name: set(map(mark_of, sudoku_split(4, name, 7, 1))) for name in SUDOKU_SIZES}
    assert not marks['test'] & marks['train'] and not marks['validation'] & (marks['test'] | marks['train'])
    assert rows_of('decodelab/sudoku-4/val')==rows_of('decodelab/sudoku-4/validation')
    with pytest.raises(BadValue, match='split: got'): rows_of('decodelab/sudoku-4/tset')
    with pytest.raises(BadValue, match='givens: got 17'): rows_of('decodelab/sudoku-4/test', givens=17)

@pytest.mark.parametrize('wrong', [dict(seed='abc'), dict(seed=-1), dict(seed=1.5), dict(endless='no'),
                                   dict(endless=True, epoch_size='x'), dict(endless=True, epoch_size=0)])
def test_what_a_source_cannot_be_asked(wrong):
    with pytest.raises(BadValue, match=list(wrong)[-1]): rows_of('decodelab/star-mini/train', **wrong)

@pytest.mark.parametrize('name', CORE)
def test_puzzles_are_learnt_from_and_answered(name, folder):
    asked = [f'experiment=sudoku_4_{name}', f'job_name=s_{name}', *SMALL]
    assert command(['job_type=train', *asked])==0
    output = ['+generation.output_dir=out', f'+generation.output_file_name={name}',
              'log_predictions.fields_to_keep_in_output=[text,truth,prompt]']
    assert command(['job_type=generate', *asked, *output])==0
    lines = [json.loads(line) for line in (folder/'out'/name).read_text().splitlines()]
    assert len(lines)==8
    for line in lines:
        given = ' '.join(word for word in line['prompt'].split() if word.isdigit())
        assert judge_sudoku(given, line['truth']) and not judge_sudoku(given, line['text']+' 1')

@pytest.mark.parametrize('name', CORE)
def test_lines_of_a_file_are_learnt_from_and_prompts_gone_on_with(name, folder, capsys):
    asked = [f'experiment=text_{name}', 'text.train=lines.txt', f'job_name=t_{name}', 'block_size=32', *SMALL]
    assert command(['job_type=train', *asked])==0
    status = command(['job_type=generate', *asked, '+generation.prompts=["3 plus", ""]'])
    if name != 'ilm': assert status==0 and '2 lines' in capsys.readouterr().out
    else: assert status==2 and 'without a prompt only' in capsys.readouterr().err

def test_what_comes_after_a_prompt_is_worked_out_behind_it():
    "By hand: the mark, the prompt, then the likeliest token again and again; prompts of several lengths at once."
    ready(discover())
    cfg = composed_or_why(['experiment=text_arlm', 'text.train=none.txt', *SMALL, 'paths.run_dir=x', 'block_size=12',
                           'paths.work_dir=x'])
    harness = harness_of(cfg, data_of(cfg)).eval()
    tok, net = harness.tokenizer, harness.model
    never = [i for i in (tok.pad_token_id, tok.mask_token_id, tok.cls_token_id, tok.bos_token_id)]
    def by_hand(prompt):
        ids = [tok.bos_token_id, *tok(prompt, add_special_tokens=False)['input_ids']]
        start = len(ids)
        while len(ids) < 12+1 and ids[-1] != tok.eos_token_id:
            logits = net(torch.tensor([ids]))[0,-1].detach()
            logits[never] = -torch.inf
            ids.append(int(logits.argmax()))
        return tok.decode([i for i in ids[start:] if i != tok.eos_token_id])
    prompts = ['3 plus', '', '12']
    assert harness.predictor.generate(prompts)==[by_hand(p) for p in prompts]
    with pytest.raises(BadValue, match='prompt: got .12 tokens.; allowed: fewer than 12'):
        harness.predictor.generate(['a'*12])
