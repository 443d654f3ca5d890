"Callbacks that break a training run, for tests."
import os

import torch
from lightning.pytorch.callbacks import Callback

class Dies(Callback):
    "Ends the process, or raises, before a step."
    def __init__(self, step:int, hard:bool=False): self.step, self.hard = step, hard
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step != self.step: return
        if self.hard: os._exit(9)
        raise RuntimeError('killed by the test')

class Poison(Callback):
    "Weights of NaN before a step."
    def __init__(self, step:int): self.step = step
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step==self.step:
            with torch.no_grad(): next(pl_module.model.parameters()).fill_(float('nan'))

class Curve(Callback):
    "The loss of every step, as a file."
    def __init__(self, path:str): self.path = path
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        with open(self.path, 'a') as f: print(trainer.global_step, repr(float(outputs['loss'])), file=f)

class Period:
    "A part of somebody else's, annotated as such parts are."
    def __init__(self, period:int=1): self.period = period
