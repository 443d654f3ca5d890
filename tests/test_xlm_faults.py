"What goes wrong around a run of an external model: the disk, a kill from outside, words that are no override."
import os, re, resource, signal, subprocess, sys, time
from contextlib import contextmanager

import pytest

pytest.importorskip('lightning')
pytest.importorskip('hydra')
import torch
from decodelab.core.errors import DecodelabError, ModelError, RunError
from decodelab.xlm.commands import command, overrides_of
from decodelab.xlm.harness import bad_loss
from decodelab.xlm.weights import read_checkpoint

RUN = ['job_type=train', 'experiment=star_mini_mdlm', 'trainer_strategy=cpu', 'model.d_model=32', 'model.num_layers=1',
       'model.nhead=2', 'per_device_batch_size=8', 'global_batch_size=8', 'trainer.max_steps=20', 'loggers=debug',
       'trainer.val_check_interval=1000', 'trainer.limit_val_batches=1', 'model.dropout=0.1', 'test_after_train=false',
       'callbacks.checkpoint_every_n_steps.every_n_train_steps=4', 'lr_scheduler.num_warmup_steps=2',
       'lr_scheduler.num_training_steps=20']

def asked(name, folder, *more):
    return [*RUN, f'job_name={name}', '+callbacks.curve._target_=xlm_parts.Curve',
            f'+callbacks.curve.path={folder}/{name}.curve', *more]

def losses(folder, name):
    return {int(a): b for a,b in (line.split() for line in (folder/f'{name}.curve').read_text().splitlines())}

@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    there, before = tmp_path_factory.mktemp('faults'), os.getcwd()
    os.chdir(there)
    yield there
    os.chdir(before)

@pytest.fixture(scope='module')
def whole(folder):
    assert command(asked('whole', folder))==0
    return losses(folder, 'whole')

@contextmanager
def files_of_at_most(size):
    "As on a full disk, a write fails half-way."
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try: yield
    finally: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

def test_a_full_disk_is_one_sentence_and_the_run_goes_on_from_what_is_whole(folder, whole, capsys):
    assert command(asked('full', folder, 'trainer.max_steps=8'))==0
    newest = folder/'logs'/'full'/'checkpoints'/'last.ckpt'
    before = newest.read_bytes()
    with files_of_at_most(len(before)//2): assert command(asked('full', folder))==2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith('xlm: File too large: ') and 'goes on from the last checkpoint in ./logs/full' in said
    assert newest.read_bytes()==before and read_checkpoint(newest)['global_step']==8
    assert command(asked('full', folder))==0 and losses(folder, 'full')==whole

def test_kill_9_from_outside_costs_the_steps_since_the_last_checkpoint(folder, whole):
    code = (f'import sys; sys.path.insert(0, {os.path.dirname(__file__)!r}); from decodelab.xlm.commands import main; '
            f'main({asked("killed", folder)!r})')
    process = subprocess.Popen([sys.executable, '-W', 'ignore', '-c', code], stdout=subprocess.DEVNULL)
    path = folder/'killed.curve'
    while not path.exists() or path.read_text().count('\n') < 6:
        assert process.poll() is None
        time.sleep(.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait()==-signal.SIGKILL
    assert command(asked('killed', folder))==0 and losses(folder, 'killed')==whole

def test_a_bad_batch_that_cannot_be_kept_is_still_told(tmp_path):
    nan = torch.tensor(float('nan'))
    with files_of_at_most(100): e = bad_loss(nan, dict(loss=nan), dict(ids=torch.zeros(9, 9)), 'train/lm', tmp_path)
    assert 'the loss of train/lm is nan' in str(e) and 'could not be kept' in str(e) and not list(tmp_path.iterdir())

def test_weights_are_written_whole_or_not_at_all(tmp_path):
    from decodelab.xlm.harness import Harness
    holder = type("Holder", (), dict(extract_model_weights=lambda self: dict(w=torch.zeros(999)),
                                     note=lambda self: {}))()
    for name in ('w.pt', 'w.safetensors'):
        with files_of_at_most(100), pytest.raises(RunError, match=f'{name}: cannot be written'):
            Harness.save_model_weights(holder, tmp_path/name)
        assert not list(tmp_path.iterdir())

MEANT = {'train': "'job_type=train'", 'evaluate': "'job_type=eval'", 'lst': "'list'", 'job_type': 'without spaces',
         '=3': 'without spaces', 'xyz': 'nor KEY=VALUE', '+x': 'nor KEY=VALUE'}

@pytest.mark.parametrize('word', MEANT)
def test_a_word_that_is_no_override_is_told_what_it_may_be(word, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=MEANT[word]) as e: command([word, 'seed=1'])
    assert '\n' not in str(e.value)

def test_options_of_hydra_keep_their_words():
    given = ['--cfg', 'job', '-cn', 'config', 'seed=1', '~callbacks', '+a=1', '++b=2', '-m', 'x=a=b']
    assert overrides_of(given)==['seed=1', '~callbacks', '+a=1', '++b=2', 'x=a=b']

def test_help_anywhere_is_ours(capsys):
    assert command(['job_type=train', '--help'])==0 and 'xlm-scaffold NAME' in capsys.readouterr().out
    assert command(['--version'])==0 and 'decodelab' in capsys.readouterr().out
    with pytest.raises(ModelError, match="list: got 'extra'"): command(['list', 'extra'])

NUMBERS = {'trainer.max_steps=abc': 'trainer.max_steps', 'seed=x': 'seed',
           'per_device_batch_size=0': 'per_device_batch_size', 'block_size=1.5': 'block_size',
           'trainer.precision=fp8': 'trainer: .*fp8'}

@pytest.mark.parametrize('override', NUMBERS)
def test_a_number_that_cannot_be_is_one_sentence(override, folder):
    from decodelab.xlm.composition import composed, ready
    from decodelab.xlm.discovery import discover
    from decodelab.xlm.jobs import checked, trainer_of
    ready(discover())
    cfg = composed([*RUN, 'paths.run_dir=x', 'paths.work_dir=x', override])
    with pytest.raises(DecodelabError, match=NUMBERS[override]):
        checked(cfg)
        trainer_of(cfg, callbacks=[])

def test_a_model_that_cannot_be_sent_is_still_there(tmp_path, monkeypatch):
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError
    from decodelab.xlm.weights import push_shared
    def refuse(*args, **kwargs): raise HfHubHTTPError.__bases__[0]('Name or service not known')
    monkeypatch.setattr(HfApi, 'create_repo', refuse)
    with pytest.raises(RunError, match='a/b: not sent: Name or service.* lies in '): push_shared(tmp_path, 'a/b')

# What is typed wrong: told before data are read, with the value, what is allowed and the nearest name

CFG = ['paths.run_dir=x', 'paths.work_dir=x', *(o for o in RUN if not o.startswith('callbacks.'))]

def check(*overrides):
    from decodelab.xlm.composition import composed_or_why, ready
    from decodelab.xlm.discovery import discover
    from decodelab.xlm.jobs import checked
    ready(found := discover())
    checked(composed_or_why([*CFG, *overrides], found), 'loss', 'optimizer')

VALUES = {
    'optimizer.lr=fast': "optimizer.lr: got 'fast'; allowed: a number", 'optimizer.lr=-1': 'optimizer.lr: got -1',
    'optimizer.lr=null': 'optimizer.lr: got None', 'optimizer.weight_decay=-.1': 'optimizer.weight_decay: got -0.1',
    'predictor.max_steps=abc': "predictor.max_steps: got 'abc'; allowed: a whole number",
    'model.d_model=abc': "model.d_model: got 'abc'; allowed: a whole number",
    'model.num_layers=1.5': 'num_layers: got 1.5',
    'model.dropout=big': "model.dropout: got 'big'; allowed: a number",
    'callbacks.ema.decay=x': "callbacks.ema.decay: got 'x'",
    'trainer.limit_val_batches=x': "trainer.limit_val_batches: got 'x'", 'compile=maybe': "compile: got 'maybe'",
    'per_device_batch_size=3': 'global_batch_size: got 8; allowed: a multiple of 3',
    'trainer.devices=abc': "trainer.devices: got 'abc'; allowed: auto, -1 .all., how many",
    'lr_scheduler.num_warmup_steps=x': "num_warmup_steps: got 'x'", 'model=null': 'To leave it out: ~model',
    'callbacks=null': "callbacks: got 'null'; allowed: .*default.* To leave it out: ~callbacks",
    'optimizer=null': 'no optimizer', '~model': "no key 'model.d_model'",
    'optimizer.lrr=1': 'optimizer.lr',
    'seed=99999999999999999999': 'seed: got .*at most',
    'text.train=x': "no key 'text.train'", 'model=ilm': 'model is of ilm and loss is of mdlm: they do not fit',
    'model.rotary_emb_dim=8': r"no key 'model.rotary_emb_dim' yet; decodelab.*MDLMModel takes it: \+model.rotary",
    'model_type=arlm_seq2seq': 'model is of mdlm and loss is of arlm',
    'datamodule=star_mini_ilm': r'model is of mdlm and datamodule\..*collator is of ilm',
    'predictor=null': 'predictor: got nothing, and it reads prediction', 'loss=null': 'no loss',
    'trainer=null': 'no trainer',
    'monitored_metric=val/los': "monitored_metric: got 'val/los'.*Did you mean 'val/lm/accumulated_loss'",
    'callbacks.checkpoint_monitor.monitor=val/x': 'callbacks.checkpoint_monitor.monitor: got',
    '+trainer.max_step=3': "Did you mean 'trainer.max_steps'",
    '+predictor.max_step=3': "Did you mean 'predictor.max_steps'",
    '++predictor.max_step=3': "key of predictor: got 'max_step'.*Did you mean 'max_steps'",
    '+loss.bloc=2': "'loss.block'",
    '+model.foo=1': "key of model: got 'foo'; allowed: .*d_model",
    '+global_batchsize=4': "Did you mean 'global_batch_size'",
    '+generaton.prompts=[a]': "Did you mean 'generation'", '+eval.splt=test': "Did you mean 'eval.split'",
    '+datamodule.dataset_managers.train.lm.dataloader_kwarg.x=1': 'lm.dataloader_kwargs'}

@pytest.mark.parametrize('override', VALUES)
def test_what_is_typed_wrong_is_one_sentence(override):
    with pytest.raises(DecodelabError, match=VALUES[override]) as e: check(override)
    assert '\n' not in str(e.value)

@pytest.mark.parametrize('override', ['+mine=1', '+callbacks.curve._target_=xlm_parts.Curve', '~callbacks', '~loggers',
                                      'trainer.devices=auto', '+trainer.benchmark=true', '++max_step=1',
                                      'trainer.max_steps=-1',
                                      'predictor.max_steps=4', 'model.max_positions=64', '+hub_checkpoint_path=x'])
def test_what_may_be_typed_passes(override): check(override)

WRONG = [['optimizer.lrr=1', 'trainer.max_step=3', 'foo=2'], ['foo=2', 'bar=1', 'optimizer.lrr=1'],
         ['model.d_modl=3', '~nothere', 'datamodule.x=1']]

@pytest.mark.parametrize('wrong', WRONG)
def test_of_several_wrong_keys_one_is_told(wrong):
    from decodelab.xlm.composition import composed_or_why
    with pytest.raises(DecodelabError) as e: composed_or_why(['experiment=star_mini_mdlm', *wrong])
    assert '\n' not in str(e.value) and any(w.split('=')[0] in str(e.value) for w in wrong)

def test_a_network_that_is_left_out_is_none():
    from decodelab.xlm.composition import check_chosen, composed_or_why
    with pytest.raises(ModelError, match='no model is chosen'):
        check_chosen(composed_or_why(['experiment=star_mini_mdlm', '~model', 'paths.run_dir=x', 'paths.work_dir=x']))

OTHERS = [(['--config-name=foo'], 'one configuration'), (['-cn', 'foo'], 'one configuration'),
          (['seed=1,2'], 'several values are for --multirun'), (['--resolve'], 'goes with --cfg job'),
          (['--hydra-hlp'], "option: got '--hydra-hlp'.*Did you mean '--hydra-help'"),
          (['--cfg', 'jb'], 'invalid choice'), (['--cfg'], 'expected one argument'),
          (['--config-dir', 'nowhere'], 'a folder that is there'), (['--experimental-rerun=x'], 'goes on from'),
          (['-m', 'optimizer.lr=.1,.2', 'optimizer.lrr=1,2'], "Did you mean 'optimizer.lr'"),
          (['-m', 'job_type=name,nme'], "Did you mean 'name'"),
          (['-m', 'experiment=star_mini_mdlm,star_mini_mlmm'], "Did you mean 'star_mini_mlm'"),
          (['-m', 'optimizer.betas=[1'], r"'\[1' cannot be read: what opens in it must close")]

SHELLS = [([], 'got .*allowed: install=bash'), (['install=bahs'], "Did you mean 'install=bash'"),
          (['query=bash'], 'asked by the shell itself'), (['seed=1'], 'install=bash')]

@pytest.mark.parametrize('words,told', SHELLS)
def test_what_shells_cannot_complete_is_one_sentence(words, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for option in ('--shell-completion', '-sc'):
        with pytest.raises(DecodelabError, match=told): command([option, *words])

@pytest.mark.parametrize('words,told', OTHERS)
def test_what_hydra_takes_for_programs_of_another_kind(words, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DecodelabError, match=told): command(['job_type=name', 'experiment=star_mini_mdlm', *words])

def test_hydras_own_answers_need_no_folder(tmp_path, monkeypatch, capsys):
    "Options among overrides, in any order; only a run makes its folder."
    monkeypatch.chdir(tmp_path)
    asked = ['experiment=star_mini_mdlm', '--cfg', 'job', '--package', 'trainer', 'trainer.max_steps=7']
    assert command(asked)==0 and 'max_steps: 7' in capsys.readouterr().out
    with pytest.raises(SystemExit, match='0'): command(['--hydra-help', 'experiment=star_mini_mdlm'])
    assert '== Flags ==' in capsys.readouterr().out and not list(tmp_path.iterdir())

def test_a_folder_of_ones_own_configurations(tmp_path, monkeypatch, capsys):
    (tmp_path/'own'/'experiment').mkdir(parents=True)
    (tmp_path/'own'/'experiment'/'mine.yaml').write_text('# @package _global_\ndefaults: [star_mini_mdlm]\nseed: 77\n')
    monkeypatch.chdir(tmp_path)
    assert command(['--config-dir', 'own', 'experiment=mine', '--cfg', 'job'])==0
    assert 'seed: 77' in capsys.readouterr().out

def test_each_value_of_a_sweep_is_tried_once():
    from decodelab.xlm.commands import jobs_of
    assert jobs_of(['a=1', 'b=1,2', 'c=x,y'])==[['a=1', 'b=1', 'c=x'], ['a=1', 'b=2', 'c=x'], ['a=1', 'b=1', 'c=y']]
    assert jobs_of(['a=range(1,3)'])==[['a=1'], ['a=2']] and jobs_of(['a=glob(*)'])==[]

def test_a_text_experiment_says_which_file_it_wants():
    from decodelab.xlm.composition import composed_or_why, ready
    from decodelab.xlm.discovery import discover
    from decodelab.xlm.jobs import checked
    ready(found := discover())
    with pytest.raises(ModelError, match='no value for text.train: .* give text.train=…'):
        checked(composed_or_why(['experiment=text_mdlm', *CFG[:2]], found))

@pytest.mark.parametrize('key,given,least', [('input_block_size', 3, 18+1), ('block_size', 3, 9)])
def test_a_width_that_is_too_small_names_the_one_that_is_not(key, given, least, folder, capsys):
    "The number that is told is the number to type: marks are in it."
    run = [*RUN, f'job_name={key}', 'trainer.max_steps=1']
    assert command([*run, f'{key}={given}'])==2
    assert f'{key}: got {given}; allowed: at least {least}, the longest row' in said(capsys)
    assert command([*run, f'{key}={least}'])==0

def test_what_a_model_refuses_itself_is_one_sentence(tmp_path, monkeypatch, capsys):
    from decodelab.xlm.scaffold import write_scaffold
    monkeypatch.chdir(tmp_path)
    write_scaffold(['refusing'])
    run = ['job_type=train', 'experiment=star_mini_refusing', 'trainer_strategy=cpu', 'loggers=debug']
    capsys.readouterr()
    assert command([*run, 'block_size=3'])==2
    assert 'refusing.datamodule_refusing: a answer of 9 tokens' in said(capsys).replace('an answer', 'a answer')

@pytest.mark.parametrize('size', ['d_model', 'nhead', 'num_layers', 'dim_feedforward', 'max_positions',
                                  'num_embeddings'])
def test_a_network_of_no_size_names_it(size):
    from decodelab.xlm.models.mdlm import MDLMModel
    for value in (0, -4):
        with pytest.raises(DecodelabError, match=f'{size}: got {value}; allowed: a whole number, at least 1'):
            MDLMModel(**{'num_embeddings': 9, size: value})

PLACES = {'job_name=': "job_name: got ''", 'job_name=../up': "job_name: got '../up'", 'job_name=/abs': 'job_name: got',
          'paths.log_dir=/proc/nowhere': '/proc/nowhere/place cannot be made: '}

@pytest.mark.parametrize('override', PLACES)
def test_a_place_that_cannot_be_is_said_before_hydra_makes_it(override, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DecodelabError, match=PLACES[override]): command([*RUN, 'job_name=place', override])
    assert not list(tmp_path.iterdir())

def test_an_optimizers_own_refusal_is_one_sentence(folder, capsys):
    assert command(asked('betas', folder, '+optimizer.betas=[2,3]'))==2
    assert 'optimizer: torch.optim.AdamW says: Invalid beta' in capsys.readouterr().err

def test_what_lightning_refuses_is_one_sentence_and_what_breaks_in_a_model_is_not(folder, capsys):
    from decodelab.xlm.jobs import of_the_trainer
    assert command(asked('interval', folder, 'trainer.val_check_interval=100000',
                         'trainer.check_val_every_n_epoch=1'))==2
    assert 'trainer: `val_check_interval`' in capsys.readouterr().err
    with pytest.raises(ValueError, match='own'), of_the_trainer(): raise ValueError('own')

# Jobs that would do nothing

NOTHING = {('train', 'trainer.limit_train_batches=0'): 'trainer.limit_train_batches: got 0',
           ('train', 'trainer.max_steps=0'): 'trainer.max_steps: got 0',
           ('train', 'trainer.max_epochs=0'): 'trainer.max_epochs: got 0',
           ('train', '~datamodule.dataset_managers.train.lm'): 'dataset_managers.train lists no data set',
           ('eval', 'trainer.limit_test_batches=0'): 'trainer.limit_test_batches: got 0',
           ('eval', '+eval.split=validation trainer.limit_val_batches=0.0'): 'trainer.limit_val_batches: got 0.0',
           ('eval', '~datamodule.dataset_managers.test'): 'dataset_managers.test lists no data set',
           ('generate', 'trainer.limit_predict_batches=0'): 'trainer.limit_predict_batches: got 0'}

@pytest.mark.parametrize('job,overrides', NOTHING)
def test_a_job_that_would_do_nothing_is_told_before_weights_are_read(job, overrides, folder, whole, capsys):
    assert command(asked('whole', folder, f'job_type={job}', *overrides.split()))==2
    told = capsys.readouterr()
    assert NOTHING[job, overrides] in told.err and 'weights: ' not in told.out

def test_a_run_that_is_at_its_end_says_so(folder, whole, capsys):
    assert command(asked('whole', folder))==0
    assert 'nothing left to train: the run stands at step 20' in capsys.readouterr().out

def test_prompts_need_no_rows(folder, whole, capsys):
    assert command(asked('whole', folder, 'job_type=generate', 'trainer.limit_predict_batches=0',
                         '+generation.prompts="0 1 0 2 1 2"'))==0

def test_a_batch_that_is_larger_than_the_data_is_told(caplog):
    from decodelab.xlm.datasets import DatasetManager
    made = DatasetManager(list, 'here/there', dict(batch_size=8))
    made.dataset = [dict(input_ids=[i]) for i in range(5)]
    assert [len(b) for b in made.get_dataloader('train')]==[5] and '5 rows for a batch of 8' in caplog.text
    caplog.clear()
    assert len(next(iter(made.get_dataloader('val'))))==5 and not caplog.text

# Whose weights

@pytest.fixture(scope='module')
def another(folder):
    "A run of a model with the same names and shapes, in the folder that the default name would have."
    status = command([o.replace('mdlm', 'mlm') for o in asked('another', folder, 'trainer.max_steps=4')])
    assert status==0
    return folder/'logs'/'another'/'checkpoints'/'last.ckpt'

BOTH = (r'of another model: it holds mlm_seq2seq \(decodelab.*MLMModel\), and this configuration builds mdlm_seq2seq '
        r'\(.*MDLMModel\)')

def said(capsys):
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith('xlm: ')]
    assert len(lines)==1
    return lines[0]

def test_another_models_checkpoint_is_no_silent_answer(folder, whole, another, capsys):
    for job,key in (('eval', 'eval'), ('generate', 'generation'), ('extract_checkpoint', 'post_training')):
        name = 'checkpoint_path' if job=='extract_checkpoint' else 'ckpt_path'
        more = [f'job_type={job}', f'+{key}.{name}={another}', *([f'+{key}.output_dir=out'] if job != 'eval' else [])]
        assert command(asked('whole', folder, *more))==2
        assert re.search(BOTH, said(capsys))
    assert command(asked('whole', folder, 'resume_from_checkpoint=false', f'model_only_checkpoint_path={another}'))==2
    assert re.search(BOTH, said(capsys))

def test_weights_of_other_sizes_are_told_with_the_settings_that_differ(folder, whole, capsys):
    ckpt = folder/'logs'/'whole'/'checkpoints'/'last.ckpt'
    assert command(asked('wide', folder, 'job_type=eval', f'+eval.ckpt_path={ckpt}', 'model.d_model=48'))==2
    assert re.search(r'last.ckpt, a mdlm_seq2seq, does not fit this mdlm_seq2seq \(model.d_model=32 there and 48 here.*'
                     r'is \[\d+, 32\] there and \[\d+, 48\] here', said(capsys))

def test_a_run_does_not_go_on_from_another_models_checkpoint(folder, whole, another, capsys):
    for more,why in ((['job_name=another'], BOTH), (['model.d_model=48', 'job_name=whole'], r'model\.d_model=32 there'),
                     (['optimizer._target_=torch.optim.SGD', 'job_name=whole'], 'was trained by torch.optim.AdamW')):
        assert command([*RUN, *more])==2
        text = said(capsys)
        assert re.search(why, text) and 'give another job_name=' in text and 'resume_from_checkpoint=false' in text

def test_a_run_that_begins_anew_is_the_newest(folder, another):
    "Its checkpoints stand where those of the run before stood: the next command goes on from them."
    run = [*RUN, 'job_name=anew', 'resume_from_checkpoint=false']
    assert command([*run, 'trainer.max_steps=8'])==0 and command([*run, 'trainer.max_steps=4'])==0
    there = folder/'logs'/'anew'/'checkpoints'
    assert read_checkpoint(there/'last.ckpt')['global_step']==4 and not list(there.glob('last-*'))

def test_files_of_weights_say_whose_they_are(folder, whole, another, caplog):
    from decodelab.xlm.composition import composed, ready
    from decodelab.xlm.discovery import discover
    from decodelab.xlm.jobs import data_of, harness_of, load_weights
    ready(discover())
    harness = {}
    for name in ('mdlm', 'mlm'):
        cfg = composed([o.replace('mdlm', name) for o in CFG])
        harness[name] = harness_of(cfg, data_of(cfg))
    for file in ('w.safetensors', 'w.pt'): harness['mlm'].save_model_weights(folder/file)
    harness['mlm'].save_shared(folder/'shared')
    for place in ('w.safetensors', 'w.pt', 'shared'):
        load_weights(harness['mlm'], folder/place)
        with pytest.raises(ModelError, match=BOTH): load_weights(harness['mdlm'], folder/place)
        harness['mdlm'].load_model_weights(folder/place, strict=False) # on purpose
    bare = {k: v for k,v in harness['mlm'].extract_model_weights().items() if 'embed' in k}
    with pytest.raises(ModelError, match='names are missing there'): harness['mdlm'].fill(bare)
    harness['mdlm'].fill(bare, strict=False)
    assert 'only what fits is taken' in caplog.text

JUNK = {'empty': b'', 'text': b'hello\n', 'binary': bytes(range(256)), 'cut': b'PK\x03\x04' + b'\0'*60,
        'pickle': b'\x80\x04N.',
        'code': b'cos\nsystem\n(S"true"\ntR.'}

@pytest.mark.parametrize('ending', ['ckpt', 'pt', 'safetensors'])
@pytest.mark.parametrize('kind', JUNK)
def test_junk_is_no_checkpoint(kind, ending, tmp_path):
    from decodelab.xlm.weights import read_weights
    path = tmp_path/f'{kind}.{ending}'
    path.write_bytes(JUNK[kind])
    with pytest.raises(DecodelabError, match=path.name): read_weights(path)

@pytest.mark.parametrize('held', [{}, {'state_dict': {}}, {'epoch': 3}, {'state_dict': 3}, {'a': 'b'}, [1], 3])
def test_a_file_without_weights_is_no_checkpoint(held, tmp_path):
    from decodelab.xlm.weights import read_weights
    torch.save(held, tmp_path/'odd.ckpt')
    with pytest.raises(DecodelabError, match='odd.ckpt holds'): read_weights(tmp_path/'odd.ckpt')

def test_a_shared_folder_that_is_spoiled_is_one_sentence(tmp_path):
    from decodelab.xlm.weights import read_shared
    (tmp_path/'model.safetensors').write_bytes(b'')
    for config,card,why in (('a: [', '{}', 'config.yaml is no configuration'), ('- 1', '{}', 'describes no model'),
                            ('model: {a: 1}', '{', 'code.json is no card'), ('model: {a: 1}', '[]',
                                                                             'code.json is no card')):
        (tmp_path/'config.yaml').write_text(config)
        (tmp_path/'code.json').write_text(card)
        with pytest.raises(DecodelabError, match=why): read_shared(tmp_path)

def test_the_hash_of_code_is_of_the_whole_package(tmp_path, monkeypatch):
    from omegaconf import OmegaConf
    from decodelab.xlm.weights import code_of
    inner = tmp_path/'hashed_m'/'inner'
    inner.mkdir(parents=True)
    for f in (inner.parent/'__init__.py', inner/'__init__.py'): f.write_text('class Net: pass\n')
    monkeypatch.syspath_prepend(tmp_path)
    now = lambda: code_of(OmegaConf.create(dict(model=dict(_target_='hashed_m.Net'))))['hashed_m']
    seen = [now()]
    for name,text in (('a.py', 'x = 1\n'), ('a.py', 'x = 2\n'), ('b.yaml', 'x: 1\n'), ('c.yml', 'x: 1\n')):
        (inner/name).write_text(text)
        seen.append(now())
    (inner/'c.yml').rename(inner/'d.yml')
    assert len({*seen, now()})==6
    last = now()
    for extra in ('__pycache__/a.cpython-311.py', 'notes.txt', '.hidden/x.py'):
        (inner/extra).parent.mkdir(exist_ok=True)
        (inner/extra).write_text('x')
        assert now()==last

# Generation, tasks, other commands

PROMPTS = {'+generation.prompts=[]': 'generation.prompts: got', '+generation.prompts={a: 1}': 'generation.prompts: got',
           '+generation.prompts=["1 x 2"]': "word: got 'x'"}

@pytest.mark.parametrize('override', PROMPTS)
def test_prompts_that_cannot_be(override, folder, whole, capsys):
    assert command(asked('whole', folder, 'job_type=generate', override))==2
    assert PROMPTS[override] in said(capsys)

def test_one_prompt_needs_no_list(folder, whole, capsys):
    assert command(asked('whole', folder, 'job_type=generate', '+generation.prompts="0 1 0 2 1 2"'))==0
    assert '1 lines' in capsys.readouterr().out

@pytest.mark.parametrize('prompt', ['', 'abc', '1 2 3', ' '.join('0'*17), ' '.join(['1']*16),
                                    ' '.join(['9']+['0']*15), '-1 '*16])
def test_no_puzzle_is_no_wrong_answer(prompt):
    from decodelab.tasks.sudoku import judge_sudoku
    with pytest.raises(DecodelabError, match='puzzle: got'): judge_sudoku(prompt, '1 2 3 4')

SCAFFOLDS = {('m', '--dry-rum'): "Did you mean '--dry-run'", ('m', 'n'): 'unrecognized arguments: n',
             ('m', '-x'): "got '-x'",
             ('--outputdir=x', 'm'): "Did you mean '--output-dir'", (): 'required: name',
             ('m', '--from'): 'expected one argument'}

@pytest.mark.parametrize('words', SCAFFOLDS)
def test_a_scaffolds_options_name_the_nearest(words, tmp_path, monkeypatch):
    from decodelab.xlm.scaffold import write_scaffold
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DecodelabError, match=re.escape(SCAFFOLDS[words])): write_scaffold(list(words))
    assert not list(tmp_path.iterdir())

def test_a_model_of_lm_evals_command_names_the_nearest(monkeypatch, capsys):
    pytest.importorskip('lm_eval')
    from decodelab.evaluation.lmeval.command import main
    monkeypatch.setattr(sys, 'argv', ['decodelab-eval', 'run', '--model', 'xlmm', '--tasks', 'none'])
    with pytest.raises(SystemExit): main()
    assert "--model: got 'xlmm'" in (told := capsys.readouterr().err) and "Did you mean 'xlm'" in told

def test_a_mistyped_checkpoint_is_told():
    pytest.importorskip('lm_eval')
    from decodelab.evaluation.lmeval.external import ExternalLM
    with pytest.raises(DecodelabError, match="got 'chekpoint'.*Did you mean 'checkpoint'"): ExternalLM(chekpoint='x')

COMMANDS = {'xlm': ('decodelab.xlm.commands', ['help']), 'xlm list': ('decodelab.xlm.commands', ['list']),
            'xlm-scaffold': ('decodelab.xlm.scaffold', ['m', '--dry-run']), 'decodelab': ('decodelab.lab.cli',
                                                                                          ['params', 'eig_eval']),
            'decodelab-eval': ('decodelab.evaluation.lmeval.command', ['--help'])}

@pytest.mark.parametrize('name', COMMANDS)
def test_a_reader_that_stops_reading_ends_a_command_quietly(name, tmp_path):
    module, words = COMMANDS[name]
    if 'lmeval' in module: pytest.importorskip('lm_eval')
    code = f'import sys; sys.argv = [{name!r}, *{words!r}]; from {module} import main; main()'
    p = subprocess.Popen([sys.executable, '-W', 'ignore', '-c', code], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, cwd=tmp_path)
    p.stdout.close()
    told = p.stderr.read().decode()
    assert p.wait() in (1, 141) and told=='', told

# A newcomer's half hour

def test_a_folder_is_no_checkpoint_and_somebody_elses_file_is_not_to_be_deleted(folder, whole, tmp_path):
    checkpoints = folder/'logs'/'whole'/'checkpoints'
    with pytest.raises(DecodelabError, match='is a folder, not a checkpoint, or go on from another .*last.ckpt'):
        read_checkpoint(checkpoints)
    (other := tmp_path/'notes.txt').write_text('mine')
    with pytest.raises(DecodelabError, match='no readable checkpoint .*: give another file$'): read_checkpoint(other)

def test_a_setting_that_a_part_takes_is_no_slip_of_another():
    check('+predictor.top_p=.9')
    with pytest.raises(DecodelabError, match="Did you mean 'predictor.max_steps'"): check('+predictor.max_step=3')

PLACES_TO_WRITE = ['/etc/hostname/x', '/etc/hostname', '/proc/x']

@pytest.mark.parametrize('place', PLACES_TO_WRITE)
def test_a_place_where_nothing_can_be_written_is_told_before_weights_are_read(place, folder, whole, capsys):
    assert command(asked('whole', folder, 'job_type=generate', f'+generation.output_dir={place}'))==2
    told = capsys.readouterr()
    assert 'generation.output_dir: got' in told.err and 'weights: ' not in told.out

@pytest.mark.parametrize('key', ['output_dir', 'model_state_dict_path'])
@pytest.mark.parametrize('place', PLACES_TO_WRITE)
def test_weights_that_cannot_be_written_are_not_taken_out(key, place, folder, whole, capsys):
    given = folder/'logs'/'whole'/'checkpoints'/'last.ckpt'
    assert command(asked('whole', folder, 'job_type=extract_checkpoint', f'+post_training.{key}={place}/y',
                         f'+post_training.checkpoint_path={given}'))==2
    told = capsys.readouterr()
    assert f'post_training.{key}: got' in told.err and 'weights: ' not in told.out

def test_processes_of_further_devices_are_begun_with_the_same_program(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', ['/somewhere/bin/xlm'])
    assert command(['experiment=star_mini_mdlm', '--cfg', 'job', '--package', 'trainer'])==0
    assert sys.argv[0]=='/somewhere/bin/xlm' and 'max_steps' in capsys.readouterr().out

OPENS, FORM = 'what opens in it must close', 'an override is key=value'

@pytest.mark.parametrize('override, said', [
    ('job_name=größe', """'job_name="größe"'"""), ('job_name=a=b', """'job_name="a=b"'"""), ('model={a', OPENS),
    ("job_name='a", OPENS), ('a b=c', FORM), ('größe=1', FORM)])
def test_an_override_that_cannot_be_read_says_how_it_is_written(override, said):
    from decodelab.xlm.commands import jobs_of
    with pytest.raises(ModelError, match=re.escape(said)) as e: jobs_of(['experiment=star_easy_mdlm', override])
    assert override.partition('=')[0] in str(e.value) and '\n' not in str(e.value)
    assert jobs_of(['job_name="größe"'])==[['job_name="größe"']]
