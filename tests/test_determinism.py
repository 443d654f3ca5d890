"Same parameters, same bytes: across batch sizes, repetitions, kills and resumptions."
import json, os, random, signal, subprocess, sys, time
from pathlib import Path

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

def work(folder:Path, outputs:Path, kill_after:float|None=None)->tuple[Path, bool]:
    env = os.environ | {'DECODELAB_OUTPUTS': str(outputs), 'OMP_NUM_THREADS': '1'}
    p = subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / 'work.py'), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )
    first = Path(p.stdout.readline().strip())
    try: _, err = p.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        p.send_signal(signal.SIGKILL)
        p.communicate()
        return first, False
    assert p.returncode==0, err
    return first, True

def test_twenty_kills_lose_and_double_nothing(tmp_path):
    "Runs are killed at random moments until they are done: every finished one has the bytes of an unbroken one."
    t0 = time.time()
    whole, done = work(tmp_path/'a'/'kill'/'new', tmp_path/'a')
    took = time.time()-t0
    assert done
    want = {f: (whole/f).read_bytes() for f in ('samples.jsonl', 'metrics.json')}
    rng, kills, round_ = random.Random(0), 0, 0
    while kills < 20:
        round_ += 1
        folder, done, tries = tmp_path/f'r{round_}'/'kill'/'new', False, 0
        while not done:
            limit = None if kills >= 20 or tries >= 12 else rng.uniform(.3, 1.)*took
            began = time.time()
            folder, done = work(folder, tmp_path/f'r{round_}', limit)
            if done and not tries: took = min(took, time.time()-began) # the first may have shared the machine
            kills += not done
            tries += 1
        for f,b in want.items(): assert (folder/f).read_bytes()==b, (f, kills)
        rows = [json.loads(l) for l in (folder/'samples.jsonl').read_text().splitlines()]
        keys = [(r['stage'], r['id']) for r in rows]
        assert len(keys)==len(set(keys))==3*24
    assert json.loads((folder/'run.json').read_text())['status']=='done'
