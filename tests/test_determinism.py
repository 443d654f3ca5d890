"Same parameters, same bytes: across batch sizes, repetitions, kills and resumptions."
import json, os, random, select, signal, subprocess, sys, time
from pathlib import Path
import pytest

from decodelab.backends import Sampling
from decodelab.tasks import load_questions
from decodelab.eig import frame_for, prompt_ids

def test_draws_do_not_depend_on_the_batch(student):
    prompts = [prompt_ids(student, frame_for(student), q.text) for q in load_questions('reference', 128, 3)]
    plan = Sampling(max_tokens=64, temperature=2, top_p=.98, seed=5)  # hot, so that there is chance to agree on
    drawn = {
        size: [s[0].ids for k in range(0, 128, size) for s in student.sample(prompts[k : k + size], plan)]
        for size in (1, 8, 64)
    }
    for size in (1, 8): assert sum(a!=b for a,b in zip(drawn[size], drawn[64])) <= .005*128 + 1e-9, size
    other = [s[0].ids for s in student.sample(prompts, Sampling(max_tokens=64, temperature=2, top_p=.98, seed=6))]
    assert sum(a==b for a,b in zip(other, drawn[64])) < 20 # another seed is another draw

def test_repeated_sampling_is_identical(student):
    prompts = [prompt_ids(student, frame_for(student), q.text) for q in load_questions('reference', 16, 4)]
    plan = Sampling(n=3, max_tokens=40, seed=1)
    a, b = student.sample(prompts, plan), student.sample(prompts, plan)
    assert [[s.ids for s in x] for x in a]==[[s.ids for s in x] for x in b]
    later = student.sample(prompts, Sampling(n=1, first=2, max_tokens=40, seed=1))
    assert [x[0].ids for x in later]==[x[2].ids for x in a]

class Attempts:
    "Attempts at a piece of work, each of which may be killed."
    def __init__(self):
        line = [sys.executable, str(Path(__file__).parent/'work.py')]
        self.process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
                                        env=os.environ | dict(OMP_NUM_THREADS='1'))

    def make(self, outputs:Path, kill_after:float|None=None)->tuple[bool, float]:
        "Whether one attempt got to its end, and its seconds."
        print(outputs, file=self.process.stdin, flush=True)
        pid, began = int(self.process.stdout.readline()), time.monotonic()
        ended, _, _ = select.select([self.process.stdout], [], [], kill_after)
        if not ended: os.kill(pid, signal.SIGKILL)
        code = int(self.process.stdout.readline())
        assert code in (0, -signal.SIGKILL), 'what went wrong stands on standard error'
        return code==0, time.monotonic()-began

@pytest.fixture
def attempts():
    "Attempts from one process that has loaded the model."
    made = Attempts()
    yield made
    made.process.stdin.close()
    made.process.wait(20)

def the_run(outputs): return next(outputs.glob('kill/*/run.json')).parent

def test_twenty_kills_lose_and_double_nothing(tmp_path, attempts):
    "Runs are killed at random moments until they are done: every finished one has the bytes of an unbroken one."
    done, took = attempts.make(tmp_path/'whole')
    assert done
    whole = the_run(tmp_path/'whole')
    want = {name: (whole/name).read_bytes() for name in ('samples.jsonl', 'metrics.json')}
    rng, kills, rounds = random.Random(0), 0, 0
    while kills < 20:
        rounds += 1
        outputs, done, tries = tmp_path/f'r{rounds}', False, 0
        while not done:
            limit = None if kills >= 20 or tries >= 12 else rng.uniform(.02, .6)*took
            done, spent = attempts.make(outputs, limit)
            if done and not tries: took = min(took, spent) # the first may have shared the machine
            kills += not done
            tries += 1
        folder = the_run(outputs)
        for name,content in want.items(): assert (folder/name).read_bytes()==content, (name, kills)
        rows = [json.loads(line) for line in (folder/'samples.jsonl').read_text().splitlines()]
        keys = [(row['stage'], row['id']) for row in rows]
        assert len(keys)==len(set(keys))==3*6
        assert json.loads((folder/'run.json').read_text())['status']=='done'
