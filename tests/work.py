"A small EIG evaluation in a folder, to be killed: python tests/work.py FOLDER. Takes up what is there."

import sys
from pathlib import Path
from decodelab.backends import load
from decodelab.core import Run
from decodelab.tasks import load_questions
from decodelab.eig import EIGEvalParameters, SetUp
from decodelab.eig.study.report import summary

folder = Path(sys.argv[1])
p = EIGEvalParameters(n=24, chunk=3, mc_samples=3, sample_length=24, max_tokens=64, beam_size=4)
run = (
    Run.open(folder)
    if (folder / 'run.json').exists()
    else Run.create('kill', p.model_dump(), outputs=folder.parent.parent, when=None)
).lock()
print(run.folder, flush=True)
s = SetUp(load('reference:student', device='cpu'), load_questions('reference', p.n, p.seed), p)
full = s.full(run)
traces, live = s.looks(run, full)
run.write_metrics(summary(traces, live, p.target))
run.finish()
