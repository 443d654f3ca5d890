"Optimal sampling's study: rivals are the formulas', learners learn what is claimed, a page's text is text."
import itertools, json
import numpy as np, pytest, torch
from browser import Browser
from decodelab.backends import Sampling, load
from decodelab.backends.toy import Toy
from decodelab.core.errors import BadValue, DecodelabError
from decodelab.core.runs import Run
from decodelab.optimal import OptimalSamplingModel
from decodelab.optimal.study import distilling, fronts, gains, tokens
from decodelab.optimal.study.arms import Arm, arms_of, fixed_at, linear, measured, pair_for, tempered
from decodelab.optimal.study.parameters import OptimalSamplingParameters as P, methods, numbers
from decodelab.optimal.study.questions import asked, is_right, prompt_for, sums, training_questions
from decodelab.optimal.study.trials import Trials, check_pair, expected_seconds, records, stage_of

@pytest.fixture(scope='module')
def pair(student): return OptimalSamplingModel(student, load('reference:teacher', device='cpu'))

# Rivals

RIVALS = [Arm('linear', 'linear', law=linear(.3)), Arm('cool', 'temperature', law=tempered(.6)), fixed_at(.4),
          fixed_at(0., 'student', 'alone'), fixed_at(1., 'teacher', 'alone')]

def exact_law(arm, theta, t):
    "Probabilities after one prefix, from those of both models, by hand."
    if arm.name=='linear': return .7*theta+.3*t
    power = theta**(1/.6) if arm.name=='cool' else theta**(1-arm.value)*t**arm.value
    return power/power.sum()

@pytest.mark.parametrize('arm', RIVALS, ids=lambda a: a.name)
def test_texts_and_their_kl_are_those_of_enumeration(arm):
    "All texts of two tokens: their frequencies (chi-square), and KL from both models as the mean of sums along texts."
    from scipy import stats
    a, b = Toy.random('abc.', 3), Toy.random('abc.', 4)
    model = pair_for(a, b, arm)
    rows = {p: [np.exp(m.next_logprobs([p])[0].astype(float)) for m in (a, b)]
            for p in [(0,), *((0, i) for i in range(4))]}
    end, probability, kl = a.eos_ids, {}, np.zeros(2)
    first = exact_law(arm, *rows[(0,)])
    for i in range(4):
        for j in ([None] if i in end else range(4)):
            q = first[i] if j is None else first[i]*exact_law(arm, *rows[(0, i)])[j]
            models = [rows[(0,)][k][i]*(1 if j is None else rows[(0, i)][k][j]) for k in (0, 1)]
            probability[(i,) if j is None else (i, j)] = q
            if q > 0: kl += [q*np.log(q/m) for m in models]
    n = 6000
    out = model.generate([[0]]*n, max_new_tokens=2, batch_size=n, seed=5)
    drawn = [tuple(x[m].tolist()) for x,m in zip(out.generated_ids, out.mask)]
    seen = {text: drawn.count(text) for text in probability if probability[text]*n > 5}
    assert stats.chisquare(list(seen.values()), np.array([probability[t] for t in seen])/sum(
        probability[t] for t in seen)*sum(seen.values())).pvalue > 1e-3
    for name,want in zip(('kl_theta', 'kl_t'), kl):
        sums_ = out.diagnostics[name].sum(1).numpy()
        assert abs(sums_.mean()-want) < 4*sums_.std()/n**.5+1e-9, (name, sums_.mean(), want)

def test_measures_where_a_model_has_no_mass():
    q, other = torch.tensor([[.5, .5, 0.]]).double().log(), torch.tensor([[1., 0., 0.]]).double().log()
    found = measured(q, other, q)
    assert found.kl_theta.isinf().all() and found.kl_t.item()==0 and found.ess_t.item()==1
    assert found.lost_theta.item()==0 and measured(other, q, q).lost_theta.item()==.5
    assert not any(x.isnan().any() for x in (found.kl_theta, found.ess_theta, found.ess_ratio))

def test_the_student_through_the_pair_is_the_student(pair, student):
    prompts = [prompt_for(student, q.text) for q in asked(P(n=6)).questions]
    bare = student.sample(prompts, Sampling(max_tokens=40, seed=2))
    through = pair_for(pair.theta, pair.t, RIVALS[3]).generate(prompts, max_new_tokens=40, seed=2, draft_tokens=3)
    assert [s.ids for (s,) in bare]==[tuple(x[m].tolist()) for x,m in zip(through.generated_ids, through.mask)]
    cool = pair_for(pair.theta, pair.t, RIVALS[1]).generate(prompts, max_new_tokens=40, seed=2)
    assert cool.generated_texts==[s.text for (s,) in student.sample(prompts, Sampling(max_tokens=40, seed=2,
                                                                                      temperature=.6))]

def test_no_arm_is_compared_twice():
    p = P(fixed='.5,.5,0,1', linear='0,1,.5', temperatures='1,.5', methods='entropy,entropy')
    names = [a.name for a in arms_of(p)]
    assert names==['student', 'teacher', 'entropy', 'entropy, free', 'α = 0.5', 'linear 0.5', 'student at T = 0.5']
    assert 'entropy, free' not in [a.name for a in arms_of(P(alpha_min=0, methods='entropy'))]

# What is asked

def test_lists_say_what_they_take():
    for name,text in (('fixed', 'a'), ('fixed', '1.5'), ('linear', '-1'), ('temperatures', '0'),
                      ('temperatures', 'nan'), ('linear', '.2;.3')):
        with pytest.raises(BadValue, match=name): arms_of(P(**{name: text}))
    with pytest.raises(BadValue, match='entropy'): methods(P(methods='entropie'))
    with pytest.raises(BadValue, match='fixed'): methods(P(methods='fixed'))
    assert numbers(P(fixed=''), 'fixed', 0, 1)==[] and methods(P(methods=' ,'))==[]

WRONG = [(dict(model_t='reference:techer'), 'teacher'), (dict(model_theta='hf:no/such/folder'), 'no such folder'),
         (dict(data='reference:shrot'), 'short'), (dict(data='none.jsonl'), 'none.jsonl'),
         (dict(data='sums', n=100_000), 'at most'), (dict(examples=3), 'worked examples'),
         (dict(model_theta='gguf:reference:student'), 'distil_seeds=0'),
         (dict(alpha_min=.9, alpha_max=.2), 'alpha_max')]

@pytest.mark.parametrize('given,says', WRONG, ids=lambda x: str(x)[:40])
def test_what_cannot_be_run_is_one_error_before_a_model_is_loaded(given, says):
    pytest.importorskip('llama_cpp')
    with pytest.raises(DecodelabError, match=says) as e: check_pair(P(**given))
    assert '\n' not in str(e.value)

def test_files_and_worked_examples(tmp_path, student):
    path = tmp_path/'sums.jsonl'
    path.write_text(''.join(json.dumps(dict(question=f'Q{i}?', answer=f'because #### {i}'))+'\n' for i in range(6)))
    found = asked(P(data=str(path), n=4, examples=2))
    assert sorted(q.answer for q in found.questions)==['2', '3', '4', '5'] and found.examples[0].reasoning=='because'
    with pytest.raises(BadValue, match='at most 4'): asked(P(data=str(path), n=5, examples=2))
    bare = prompt_for(student, 'Q?')
    assert prompt_for(student, 'Q?', found.examples)!=bare

def test_learners_are_never_asked_what_they_were_taught():
    for data in ('reference:short:both', 'reference:choice', 'sums'):
        p = P(data=data, n=150)
        taught = {q.text for seed in range(3) for q in training_questions(p, seed, 0, 150)}
        assert not taught & {q.text for q in asked(p).questions}, data
    with pytest.raises(BadValue, match='learn from'): training_questions(P(data='x.jsonl'), 0, 0, 1)

def test_sums_are_right():
    for e in sums(100, 1): assert eval(e.question[8:-1])==int(e.answer) and e.reasoning.endswith(f'= {e.answer}.')

RIGHT = [('so</think><|answer|>7', '7', True), ('so</think><|answer|>17', '7', False), ('<|answer|>7,3', '7,3', True),
         ('2+2=4. It is 5', '5', True), ('It is 5 not 6', '5', False), ('is 1,200.50.', '1200.5', True),
         ('-3', '-3', True), ('', '5', False), ('It is PARIS.', 'Paris', True), ('Paris or Rome', 'Paris', False),
         ('It is B.', 'B', True), ('a grab', 'B', False), ('wait: no', 'no', True), ('a casino', 'no', False),
         ('The answer is 9.\nQuestion: 3+4', '9', True), ('9 apples cost 3 each, so 27', '27', True)]

@pytest.mark.parametrize('text,truth,right', RIGHT)
def test_what_is_right(text, truth, right):
    assert is_right(text, truth)==right and not is_right(text, truth, ended=False)

def test_a_generators_own_score_decides():
    "Countdown: any expression that makes the number of the numbers, at the end of a text."
    from decodelab.tasks.data import load_questions
    pytest.importorskip('reasoning_gym')
    q = load_questions('reasoning_gym:countdown', 1, 3)[0]
    other = ' + '.join(sorted(q.answer.replace('- ', '+ -').split(' + '), reverse=True)).replace('+ -', '- ')
    assert other!=q.answer
    for said in (q.answer, other, f'So\nthe answer is {other}.', f'Answer: {other}'):
        assert is_right(said, q.answer, scorer=q.scorer) and not is_right(said, q.answer, False, q.scorer), said
    for said in ('', '7', f'{q.answer} + 1'): assert not is_right(said, q.answer, scorer=q.scorer), said

# Learning

def test_loss_is_the_likelihood_of_what_was_written(student):
    "Ragged texts in one padded batch, against the backend's own scores."
    Text = distilling.Text
    texts = [Text((256, 51, 43), (52, 61, 63), True), Text((40,), (41, 42, 43, 44, 45, 46), False)]
    found = float(distilling.loss_of(student.model, texts).detach())
    scores = student.score([(t.prompt, t.ids) for t in texts])
    assert found==pytest.approx(-sum(s.logprob for s in scores)/9, abs=1e-5)

def test_batches_hold_what_they_say_and_every_text_once_a_round():
    texts = [distilling.Text((1,), tuple(range(10*i, 10*i+4)), True) for i in range(5)]
    given = list(itertools.islice(distilling.batches(texts, 4, 1), 10))
    assert all(sum(len(t.ids) for t in batch)==4 for batch in given)
    firsts = [batch[0].ids[0] for batch in given]
    assert sorted(firsts[:5])==sorted(firsts[5:])==[0, 10, 20, 30, 40] and firsts[:5]!=firsts[5:]
    assert sum(len(t.ids) for t in next(distilling.batches(texts, 7, 1)))==7

def test_pools_are_cut_where_there_are_enough_and_give_up():
    right = distilling.Pool(lambda number: [distilling.Text((1,), (number,)*4, number%2==1)]*2)
    assert [t.ids for t in right.take(10, True)]==[(1,)*4, (1,)*4, (3,)*2] and len(right.batches)==4
    assert sum(len(t.ids) for t in right.take(10, False))==10 and right.share_right()==.5
    assert distilling.Pool(lambda number: [distilling.Text((1,), (2,), False)], most=3).take(5, True)==[]

def test_rounding_leaves_few_numbers():
    torch.manual_seed(0)
    weights = torch.randn(6, 500)
    found = distilling.rounded(weights, 4)
    assert all(len(row.unique()) <= 9 for row in found) and (found.amax(1)-weights.amax(1)).abs().max() < 1
    assert torch.allclose(distilling.rounded(weights, 2**15), weights, atol=1e-3)

@pytest.fixture(scope='module')
def school(pair):
    p = P(n=2, distil_seeds=1, distil_tokens=800, distil_updates=6, distil_batch=400, distil_n=6, max_tokens=120)
    return distilling.Distillation(Trials(pair.theta, pair.t, asked(p), p))

def test_movement_is_kl_by_hand(school, student):
    before, after = student, school.student
    texts = [distilling.Text((256, 51, 43), (52, 61, 63, 40), True)]
    rows = [m.next_logprobs([(*texts[0].prompt, *texts[0].ids[:i]) for i in range(4)]).astype(float)
            for m in (before, after)]
    want = (np.exp(rows[0])*(rows[0]-rows[1])).sum()
    assert distilling.moved(before.model, after.model, texts)==pytest.approx(want, abs=1e-4) and want > 0

def test_lessons_are_equal_in_tokens_and_begin_anew(school):
    found = school.teach_all('q*', 3)
    assert {r['tokens'] for r in found}=={800} and all(r['last_loss'] < r['first_loss'] for r in found)
    again = school.teach(distilling.LESSONS[4], school.pool('q*', 3), 3)
    assert distilling.LESSONS[4].name=='q*' and again['right']==found[0]['right']
    assert again['moved']==pytest.approx(found[0]['moved'], rel=1e-3) and again['moved'] > 0

def test_two_sources_of_chance():
    "Many questions and few seeds that disagree: sure over questions is not enough."
    def lesson(name, shares):
        return [dict(lesson=name, seed=i, right=[j < 400*s for j in range(400)]) for i,s in enumerate(shares)]
    found = gains.by_lesson([*lesson('a', [.9, .5, .5]), *lesson('b', [.5, .49, .5]), *lesson('c', [.7, .71, .72])])
    d, e = gains.difference(found, 'a', 'b'), gains.difference(found, 'c', 'b')
    assert d.questions.low > 0 and not d.sure and e.sure
    assert e.seeds[0]==pytest.approx(np.mean([.2, .22, .22]))
    assert not gains.difference({k: v[:2] for k,v in found.items()}, 'c', 'b').sure # two seeds are no interval

def test_the_front_is_what_nothing_betters():
    rng = np.random.default_rng(0)
    for _ in range(20):
        n = 12
        made = [fronts.row_of(Arm(str(i), 'linear'), rs, rs) for i in range(n) if (rs := [dict(
            right=bool(x), tokens=1, log_weight_t=0., kl_theta=float(k), kl_t=0., ess_theta=1., ess_t=1., raw=[])
            for x,k in zip(rng.random(8) < rng.random(), [rng.random()]*8)])]
        worse = {a.arm for a in made for b in made if b.kl_theta[0] < a.kl_theta[0] and b.accuracy >= a.accuracy}
        assert set(fronts.on_front(made))=={r.arm for r in made}-worse

def test_a_pilot_is_part_of_the_work(pair, tmp_path, monkeypatch):
    "What it draws is kept: the same records as without it, no question drawn twice, its seconds with its stage."
    p = P(n=5, chunk=5, methods='entropy', free=False, fixed='', linear='', temperatures='', max_tokens=12)
    plain, piloted = (Trials(pair.theta, pair.t, asked(p), p) for _ in range(2))
    runs = [Run.create('optimal_sampling', p.model_dump(), outputs=tmp_path/name) for name in 'ab']
    drawn, draw = [], Trials.draw
    def watched(self, arm, questions):
        drawn.extend((arm.name, q.id) for q in questions)
        return draw(self, arm, questions)
    want = records(plain, runs[0], lambda what: None)
    monkeypatch.setattr(Trials, 'draw', watched)
    assert expected_seconds(piloted, runs[1]) > 0 and len(drawn)==4
    assert runs[1].info['seconds'][stage_of(piloted.arms[0])] > 0
    found, shown = records(piloted, runs[1], lambda what: None), lambda own: [(r['id'], r['text']) for r in own]
    assert len(drawn)==len(set(drawn))==5*len(piloted.arms)
    for arm in piloted.arms: assert shown(found[arm.name])==shown(want[arm.name])
    assert found['entropy'][4]['raw_sum']==pytest.approx(want['entropy'][4]['raw_sum'], abs=1e-3)
    assert expected_seconds(Trials(pair.theta, pair.t, asked(p), p), runs[1]) > 0
    assert len(drawn)==5*len(piloted.arms) # A run that goes on has its seconds from before

def test_a_killed_run_draws_nothing_twice(pair, tmp_path, monkeypatch):
    p = P(n=4, chunk=2, methods='entropy', free=False, fixed='', linear='', temperatures='', max_tokens=30)
    trials = Trials(pair.theta, pair.t, asked(p), p)
    run = Run.create('optimal_sampling', p.model_dump(), outputs=tmp_path)
    found = records(trials, run, lambda what: None)
    def never(*_): raise AssertionError('drawn again')
    monkeypatch.setattr(Trials, 'run', never)
    assert records(trials, run, lambda what: None)==found and len(found['entropy'])==4
    assert all(len(r['raw'])==r['tokens'] for r in found['entropy'])

# The page of one text

HOSTILE = '</script><img src=x onerror="document.title=1"><b>bold</b> &amp; ${1} %DATA% \u2028 𝕏 é'

@pytest.fixture(scope='module')
def page(pair, tmp_path_factory):
    prompt = prompt_for(pair.theta, '7a+7b-9=?')
    data = tokens.page_data(pair, prompt, question=HOSTILE, title=HOSTILE, max_new_tokens=30)
    for i,text in enumerate(('<b>x</b>', '</span>', HOSTILE)): data['tokens'][i] |= dict(text=text, shown=text)
    data['tokens'][3]['candidates'][0]['text'] = HOSTILE
    path = tmp_path_factory.mktemp('page')/'tokens.html'
    path.write_text(tokens.page_of(data))
    return path, data

@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    b = Browser(tmp_path_factory.mktemp('profile'))
    yield b
    b.close()

@pytest.fixture
def tab(browser, page):
    browser.said.clear()
    browser.asked.clear()
    browser.look(1200, 800)
    browser.open(page[0].as_uri())
    yield browser
    assert not browser.said and browser.asked==[page[0].as_uri()] # nothing is fetched, nothing complains

def side(tab): return tab.js('document.getElementById("side").innerText')

def test_hostile_text_is_text(tab, page):
    shown = tab.js('[...document.querySelectorAll(".t")].map(s => s.textContent)')
    assert shown==[t['text'] for t in page[1]['tokens']] and tab.js('document.images.length')==0
    assert tab.js('document.title').startswith(HOSTILE[:40])
    assert tab.js('document.getElementById("question").textContent')==HOSTILE
    assert tab.js('document.querySelectorAll("#text b, #side b").length')==0

def test_pointing_and_keys_tell_both_models_candidates(tab, page):
    data = page[1]
    x, y = tab.js('(r => [r.x+r.width/2, r.y+r.height/2])(document.querySelectorAll(".t")[5].getBoundingClientRect())')
    tab.call('Input.dispatchMouseEvent', type='mouseMoved', x=x, y=y)
    tab.settle()
    assert side(tab).startswith('6. ') and 'student' in side(tab) and 'teacher' in side(tab)
    likeliest = data['tokens'][5]['candidates'][0]
    row = tab.js('[...document.querySelector("#side tbody tr").cells].map(c => c.innerText.trim())')
    assert row[0].removesuffix(' ✓')==likeliest['text'] and float(row[1])==pytest.approx(likeliest['theta'], abs=6e-4)
    assert float(row[2])==pytest.approx(likeliest['t'], abs=6e-4)
    tab.js('document.querySelectorAll(".t")[0].focus()')
    for key,at in (('ArrowRight', 2), ('ArrowRight', 3), ('ArrowLeft', 2), ('End', len(data['tokens'])), ('Home', 1)):
        tab.key(key)
        assert side(tab).startswith(f'{at}. '), key
    tab.key('Enter') # kept: pointing elsewhere changes nothing until Escape
    tab.call('Input.dispatchMouseEvent', type='mouseMoved', x=x+1, y=y)
    assert side(tab).startswith('1. ')

def colours(tab): return tab.js('[...document.querySelectorAll(".t")].map(s => s.style.backgroundColor)')

def test_colours_follow_numbers_in_light_and_dark(tab, page, tmp_path):
    ratios = [t['ratio'] for t in page[1]['tokens']]
    light, top = colours(tab), int(np.argmax(np.abs(ratios)))
    alphas = [float(c.rsplit(',', 1)[1].rstrip(')')) if 'rgba' in c else 1. for c in light]
    assert alphas[top]==max(alphas) and alphas[int(np.argmin(np.abs(ratios)))]==min(alphas)
    for name in ('raw', 'alpha', 'kl'):
        tab.js(f'document.querySelector("input[value={name}]").click()')
        assert colours(tab)!=light
    tab.js('document.querySelector("input[value=ratio]").click()')
    tab.look(1200, 800, dark=True)
    assert colours(tab)!=light and tab.js('getComputedStyle(document.body).backgroundColor')=='rgb(20, 24, 30)'
    assert tab.picture(tmp_path/'dark.png').stat().st_size > 10_000
    tab.look(390, 800, phone=True)
    assert tab.js('document.documentElement.scrollWidth') <= 390

def test_numbers_of_the_page_are_those_of_the_draw(pair, page):
    prompt = prompt_for(pair.theta, '7a+7b-9=?')
    out = pair.generate([prompt], max_new_tokens=30)
    told = page[1]['tokens'][4:]
    assert np.allclose([t['alpha'] for t in told], out.alpha_values[0,4:], atol=1e-5)
    text = tuple(out.generated_ids[0].tolist())
    for j in (4, 9):
        theta, t = (np.exp(m.next_logprobs([(*prompt, *text[:j])])[0]) for m in (pair.theta, pair.t))
        mine = page[1]['tokens'][j]
        assert mine['ratio']==pytest.approx(np.log(t[text[j]]/theta[text[j]]), abs=1e-3)
        shown = {c['text']: c for c in mine['candidates']}
        for row,name in ((theta, 'theta'), (t, 't')):
            best = tokens.shown(int(row.argmax()), pair.theta)
            assert shown[best][name]==pytest.approx(row.max(), abs=1e-4)

def test_bytes_of_longer_characters_and_blanks_are_seen(student):
    assert [tokens.shown(i, student) for i in (10, 32, 0xe2)]==['↵', '␣', 'e2']
