"""A small EIG evaluation, to be killed. Each line of input names a folder of runs; answers are a process, and its end.

The model is loaded once and every attempt is a fork of that: a kill hits the work, not the imports. What lies in the
folder is taken up."""
import os, sys, traceback
from pathlib import Path
import torch
from decodelab.backends import load
from decodelab.core import Run
from decodelab.eig import EIGEvalParameters, SetUp
from decodelab.eig.study.report import summary
from decodelab.tasks import load_questions

P = EIGEvalParameters(n=6, chunk=1, mc_samples=2, sample_length=12, max_tokens=32, beam_size=2) # 18 chunks in a second

def work(outputs:Path, model)->None:
    "An attempt."
    found = [f.parent for f in outputs.glob('kill/*/run.json')]
    run = (Run.open(found[0]) if found else Run.create('kill', P.model_dump(), outputs=outputs)).lock()
    setup = SetUp(model, load_questions('reference', P.n, P.seed), P)
    full = setup.full(run)
    traces, live = setup.looks(run, full)
    run.write_metrics(summary(traces, live, P.target))
    run.finish()
    run.unlock()

def attempt(outputs:Path, model)->None:
    "The body of a fork; it ends here."
    try: work(outputs, model)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)

if __name__=='__main__':
    torch.set_num_threads(1) # a fork has no other threads
    model = load('reference:student', device='cpu')
    for line in sys.stdin:
        pid = os.fork()
        if not pid: attempt(Path(line.strip()), model)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
    sys.stdout.flush()
    os._exit(0) # nothing is left to take down
