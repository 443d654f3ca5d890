"`import xlm` finds the names that models of xLM import, and steps aside where xlm-core is installed."
import os, subprocess, sys

import pytest

pytest.importorskip('lightning')
pytest.importorskip('hydra')

IMPORTED = {
    'xlm.harness': 'Harness LossFunction Predictor PredictorHistoryMixin LRSchedulerWithConfig',
    'xlm.datamodule': 'Tokenizer Collator BaseBatch BaseCollatorInput Seq2SeqCollatorInput InfillingCollatorInput '
                      'DefaultCollator DefaultCollatorWithPadding DefaultCollatorWithDynamicPadding DatasetManager '
                      'LocalDatasetManager EvalDatasetManager UnconditionalGenerationDatasetManager '
                      'BaseDataModule TextDataModule '
                      'SimpleSpaceTokenizer load_auto_tokenizer pack_sequences BertTokenizerFast GPT2TokenizerFast',
    'xlm.metrics': 'MetricWrapper ExactMatch TokenAccuracy', 'xlm.noise': 'NoiseSchedule DummyNoiseSchedule',
    'xlm.log_predictions': 'LogPredictions TokensHook', 'xlm.model': 'Model', 'xlm.utils.rank_zero': 'RankedLogger',
    'xlm.utils.nn': 'pad_truncate_list sample_from_top_k sample_from_top_p sample_from_logits sample_categorical '
                    'masked_mean masked_sum select_random_indices add_gumbel_noise add_exp_1_noise dtype no_grad '
                    'get_autocast_dtype',
    'xlm.utils.text': 'remove_trailing_pads', 'xlm.utils.imports': 'get_function',
    'xlm.utils.rich_utils': 'print_config_tree',
    'xlm.modules.rotary_transformer': 'RotaryEmbedding RotaryTransformerLayer RotaryTransformerLayerList '
                                      'RotaryTransformerFinalLayer RotaryTransformerFinalLayerForClassification',
    'xlm.modules.ddit_simple': 'DDiTLayer DDiTLayerList DDitFinalLayer RotaryEmbedding TimestepEmbedder',
    'xlm.modules.ddit_simple_v2': 'DDiTLayer DDiTLayerList DDitFinalLayer DDitFinalLayerWithoutNormalization '
                                  'DDitFinalLayerForClassification LayerNormAndScale AdaLNModulations LabelEmbedder',
    'xlm.modules.regression': 'RateHead', 'xlm.modules.position': 'RotaryEmbedding'}

def fresh(code, *paths, cwd=None):
    "Run in a process of its own."
    env = os.environ | {'PYTHONPATH': ':'.join([*map(str, paths), os.environ.get('PYTHONPATH', '')])}
    return subprocess.run([sys.executable, '-c', code], env=env, capture_output=True, text=True, cwd=cwd)

def test_every_name_is_there_and_ours():
    lines = [f'from {module} import {", ".join(names.split())}' for module,names in IMPORTED.items()]
    check = ('import xlm.flags, decodelab.xlm.flags, decodelab.xlm.harness; '
             'assert Harness is decodelab.xlm.harness.Harness; xlm.flags.DEBUG_OVERFIT = True; '
             'assert decodelab.xlm.flags.DEBUG_OVERFIT')
    p = fresh('\n'.join([*lines, check]))
    assert p.returncode==0, p.stderr

def test_a_name_that_is_not_there_says_so():
    p = fresh('import xlm.harness\nxlm.harness.Harnes')
    assert "has no 'Harnes'. Did you mean 'Harness'?" in p.stderr
    assert 'ModuleNotFoundError' in fresh('import xlm.no_such').stderr

ABSENT = {'from xlm.backbones.dream.modeling_dream import DreamModelCore': 'here use the networks of decodelab.xlm',
          'import xlm.modules.encoder': 'here use xlm.modules.rotary_transformer',
          'from xlm.commands.lightning_train import train': 'here use decodelab.xlm.jobs',
          'from xlm.tasks.tinygsm import x': 'decodelab.xlm.sources.add_source',
          'from xlm.utils.nn import add_gumble_noise': "Did you mean 'add_gumbel_noise'",
          'from xlm.utils.nn import nothing_like_it': 'pip install xlm-core',
          'from xlm import zzz': 'pip install xlm-core',
          'from xlm.modules.ddit_simpl import DDiTLayer': "Did you mean 'xlm.modules.ddit_simple'"}

def test_what_is_not_answered_for_says_what_to_use():
    code = 'for line in LINES:\n    try: exec(line)\n    except ImportError as e: print(e)\n    else: print("!", line)'
    p = fresh(f'LINES = {list(ABSENT)!r}\n{code}')
    told = p.stdout.splitlines()
    assert len(told)==len(ABSENT), p.stderr
    for line,(code,wanted) in zip(told, ABSENT.items()): assert wanted in line, (code, line)
    more = ('import xlm.utils.nn as m; assert not hasattr(m, "zzz") and getattr(m, "zzz", 3)==3; '
            'import xlm; from xlm import flags, utils, harness; assert flags is xlm.flags')
    assert (p := fresh(more)).returncode==0, p.stderr

def test_a_real_xlm_core_wins(tmp_path, root):
    "Beside `xlm.py` as pip would put it, and in another folder."
    for place in ('beside', 'other'):
        (tmp_path/place/'xlm').mkdir(parents=True)
        (tmp_path/place/'xlm'/'__init__.py').write_text('real = True\n')
        (tmp_path/place/'xlm'/'harness.py').write_text('who = "xlm-core"\n')
    (tmp_path/'beside'/'xlm.py').write_text((root/'pkg'/'xlm.py').read_text())
    code = 'import xlm; from xlm.harness import who; assert xlm.real and who=="xlm-core"'
    assert fresh(code, tmp_path/'beside').returncode==0
    p = subprocess.run([sys.executable, '-c', f'import sys; sys.path.append({str(tmp_path/"other")!r}); {code}'],
                       env=os.environ | {'PYTHONPATH': str(root/'pkg')}, capture_output=True, text=True)
    assert p.returncode==0, p.stderr

def test_a_network_on_the_base_class_keeps_what_it_wrote():
    "The base is a stub; what derives from it is none: its weights that are not decayed, and its own arguments."
    import torch
    from decodelab.xlm.composition import arguments_of
    from decodelab.xlm.harness import parameter_groups
    from decodelab.xlm.names import Model
    class Net(torch.nn.Module, Model):
        def __init__(self, width:int):
            super().__init__()
            self.map = torch.nn.Linear(width, width)
        def get_named_params_for_weight_decay(self): yield 'map.weight', self.map.weight
        def get_named_params_for_no_weight_decay(self): yield 'map.bias', self.map.bias
    class Bare(torch.nn.Module, Model): pass
    decayed, spared = parameter_groups(Net(2))
    assert [p.shape for p in decayed['params']]==[(2, 2)] and spared['weight_decay']==0 and len(spared['params'])==1
    assert list(arguments_of(Net))==['width'] and len(parameter_groups(Bare()))==1
