"The family between two models: α against bisection and fifty digits, on pairs from nearly equal to nearly disjoint."
import os, subprocess, sys
import math
import mpmath, numpy as np, pytest, torch
from decodelab.core.errors import BadValue, ModelError
from decodelab.maths.common import NoCommonToken, moments, pair
from decodelab.maths.tilt import Tilt, Wanted, alpha_methods, entropies, q_star

F64 = torch.float64

def randn(rows, vocab, seed, scale=1.):
    return scale*torch.randn(rows, vocab, generator=torch.Generator().manual_seed(seed), dtype=F64)

def uniform(rows, vocab, seed):
    return torch.rand(rows, vocab, generator=torch.Generator().manual_seed(seed), dtype=F64)

def equal(rows, vocab):
    return (a := randn(rows, vocab, 0, 3.)), a + randn(rows, vocab, 1)*10**(-8*uniform(rows, 1, 2))

def near(rows, vocab): return (a := randn(rows, vocab, 3, 3.)), a + randn(rows, vocab, 4, .01)

def language(rows, vocab):
    "Zipf's law in a random order, and a teacher a nat away."
    ranks = uniform(rows, vocab, 5).argsort(-1).double()
    a = -1.1*(ranks+1).log() + randn(rows, vocab, 6, 2.)
    return a, a + randn(rows, vocab, 7)

def independent(rows, vocab): return randn(rows, vocab, 8, 3.), randn(rows, vocab, 9, 5.)

def disjoint(rows, vocab):
    a = randn(rows, vocab, 10)
    left = torch.arange(vocab) < vocab//2
    return a - 46.*left, a - 46.*~left

def sure(rows, vocab):
    a = randn(rows, vocab, 11)
    a[:,0] = a.amax(1) + 10**(1.6*uniform(rows, 1, 12)[:,0])
    return a, a + randn(rows, vocab, 13, .5)

def half(rows, vocab):
    "float16 logits of which a third are cut."
    a, b = randn(rows, vocab, 14, 3.).half(), randn(rows, vocab, 15, 3.).half()
    for x,seed in ((a, 16), (b, 17)): x[uniform(rows, vocab, seed) < .3] = -math.inf
    a[:,1] = b[:,1] = a[:,2] = b[:,2] = 0
    return a, b

FAMILIES = (equal, near, language, independent, disjoint, sure, half)
SIZES = ((400, 32), (40, 1000), (2, 20_000), (1, 152_064))

def bisected(curve, rows):
    "Where an increasing curve crosses zero, by halving alone."
    low, high = np.zeros(rows), np.ones(rows)
    for _ in range(50):
        middle = (low+high)/2
        below = curve(middle) < 0
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low+high)/2

@pytest.mark.parametrize('family', FAMILIES)
@pytest.mark.parametrize('size', SIZES, ids=[f'{v} tokens' for _,v in SIZES])
def test_balances_are_the_roots_they_promise(family, size):
    p = pair(*family(*size))
    curves = dict(kl_symmetry=lambda a: moments(p, a).slope,
                  ess_balance=lambda a: moments(p, -a).log_z-moments(p, 2-a).log_z)
    for name,curve in curves.items():
        found = alpha_methods[name].item(p, Wanted())
        assert np.abs(found.raw-bisected(curve, size[0])).max() < 1e-7
        assert np.abs(curve(found.raw)).max() < 1e-5
        assert np.median(found.steps) <= 4 and found.steps.max() <= 8

def with_many_digits(theta, t):
    "α of equal divergence and of equal sample size."
    with mpmath.workdps(60):
        a, b = ([mpmath.exp(mpmath.mpf(float(x))) for x in row] for row in (theta, t))
        both = [(x/sum(a), y/sum(b)) for x,y in zip(a, b) if x and y]
        kept_a, kept_b = sum(x for x,_ in both), sum(y for _,y in both)
        both = [(x/kept_a, mpmath.log(y/kept_b)-mpmath.log(x/kept_a)) for x,y in both]
        def power(alpha, k=0): return sum(x*mpmath.exp(alpha*d)*d**k for x,d in both)
        def root(f): return float(mpmath.findroot(f, (0, 1), solver='anderson', tol=1e-35, maxsteps=300))
        return root(lambda x: power(x, 1)/power(x)), root(lambda x: mpmath.log(power(-x))-mpmath.log(power(2-x)))

@pytest.mark.parametrize('family', FAMILIES)
def test_balances_agree_with_fifty_digits(family):
    theta, t = family(30, 32)
    p = pair(theta, t)
    wanted = np.array([with_many_digits(a, b) for a,b in zip(theta, t)])
    for i,name in enumerate(('kl_symmetry', 'ess_balance')):
        assert np.abs(alpha_methods[name].item(p, Wanted()).raw-wanted[:,i]).max() < 1e-7

@pytest.mark.parametrize('family', (language, independent, near))
def test_entropy_is_the_greatest_on_a_fine_grid(family):
    p = pair(*family(12, 300))
    grid = np.linspace(0, 1, 10_001)
    values = np.stack([entropies(p, np.full(12, a))[0] for a in grid])
    for low,high in ((0., 1.), (.5, 1.), (.2, .4)):
        found = alpha_methods['entropy'].item(p, Wanted(low, high)).alpha
        assert ((found >= low) & (found <= high)).all()
        inside = values[(grid >= low) & (grid <= high)].max(0)
        assert (inside-entropies(p, found)[0]).max() < 1e-6

def test_diagnostics_are_what_their_names_say():
    "Against plain sums over the vocabulary, and the balances where nothing is clipped."
    theta, t = (x.log_softmax(-1) for x in language(20, 500))
    for method in alpha_methods:
        out = q_star(theta, t, Tilt(method.name, alpha_min=0.))
        q = out.log_q.exp()
        assert torch.allclose(q.sum(-1), torch.ones(20, dtype=F64))
        mix = ((1-out.alpha[:,None])*theta + out.alpha[:,None]*t)
        assert torch.allclose(out.log_z, mix.logsumexp(-1)) and torch.allclose(out.log_q, mix.log_softmax(-1))
        assert torch.allclose(out.kl_theta, (q*(out.log_q-theta)).sum(-1))
        assert torch.allclose(out.kl_t, (q*(out.log_q-t)).sum(-1))
        assert torch.allclose(out.ess_theta, 1/(theta.exp()**2/q).sum(-1))
        assert torch.allclose(out.ess_t, 1/(t.exp()**2/q).sum(-1))
        assert torch.allclose(out.ess_ratio, out.ess_theta/out.ess_t)
        if method.name=='kl_symmetry': assert out.kl_diff.abs().max() < 1e-5 and not out.clipped.any()
        if method.name=='ess_balance': assert (out.ess_ratio-1).abs().max() < 1e-5
        if method.name=='reverse_kl_symmetry':
            assert torch.allclose((theta.exp()*(theta-out.log_q)).sum(-1), (t.exp()*(t-out.log_q)).sum(-1))

def test_bounds_hold_and_what_they_cut_is_told():
    theta, t = language(200, 100)
    free, held = q_star(theta, t, Tilt(alpha_min=0.)), q_star(theta, t)
    assert torch.equal(held.raw_alpha, free.alpha) and torch.equal(held.alpha, free.alpha.clamp(.5, 1))
    assert torch.equal(held.clipped, free.alpha < .5) and held.clipped.any()
    assert (q_star(theta, t, Tilt('fixed', fixed_alpha=.3)).alpha==.3).all()

def test_a_row_does_not_depend_on_its_neighbours():
    "A row's α is the same alone and among others."
    theta, t = language(9, 70_000)
    for method in ('kl_symmetry', 'ess_balance', 'entropy'):
        together = q_star(theta, t, Tilt(method))
        alone = q_star(theta[4:5], t[4:5], Tilt(method))
        assert torch.equal(together.log_q[4:5], alone.log_q) and torch.equal(together.alpha[4:5], alone.alpha)

INF = math.inf

@pytest.mark.parametrize('theta, t, alpha', [
    ([0., 0., 0.], [0., 0., 0.], .5), ([1., 2., 3.], [11., 12., 13.], .5), # the same
    ([0., 0., 0.], [0., -INF, -INF], 0.), ([0., -INF, -INF], [0., 0., 0.], 1.), # one is sure beyond doubt
    ([0., -INF, -INF], [5., -INF, -INF], .5), ([0., 0., -INF], [-INF, 0., 0.], .5)]) # both are; one token in common
@pytest.mark.parametrize('method', ['kl_symmetry', 'ess_balance', 'reverse_kl_symmetry', 'entropy'])
def test_degenerate_pairs_are_defined(method, theta, t, alpha):
    out = q_star(torch.tensor([theta]), torch.tensor([t]), Tilt(method, alpha_min=0.))
    assert out.raw_alpha.item()==alpha
    for name in ('log_z', 'kl_theta', 'kl_t', 'ess_theta', 'ess_t', 'ess_ratio'):
        assert torch.isfinite(getattr(out, name)).all()
    assert not out.log_q.isnan().any() and out.log_q.exp().sum().item()==pytest.approx(1)

def test_a_nearly_sure_teacher_has_a_small_alpha():
    out = q_star(torch.zeros(1, 50), torch.tensor([[0.]+[-200.]*49]))
    assert out.raw_alpha < .05 and out.alpha==.5 and out.clipped

def test_lost_mass_is_told_and_log_z_is_of_the_whole_models():
    theta, t = (x.double().log_softmax(-1) for x in half(10, 64))
    out = q_star(theta, t, Tilt('fixed', fixed_alpha=.3))
    common = torch.isfinite(theta) & torch.isfinite(t)
    assert torch.allclose(out.lost_theta, torch.where(common, 0., theta.exp()).sum(-1))
    assert torch.allclose(out.log_z, torch.where(common, .7*theta+.3*t, -INF).logsumexp(-1))

@pytest.mark.parametrize('limits', [dict(target_top_k=5), dict(target_top_p=.8),
                                    dict(target_top_k=20, target_top_p=.6)])
def test_support_holds_both_models(limits):
    "q* lies in the teacher's nucleus; α is that of the models renormalised there, or that of the whole ones."
    theta, t = (x.log_softmax(-1) for x in language(15, 200))
    out = q_star(theta, t, Tilt(alpha_min=0., constraint_to_target=True, **limits))
    for row in range(15):
        order, mass, kept = t[row].argsort(descending=True), 0., []
        top = order[:limits.get('target_top_k', 200)]
        whole = t[row,top].exp().sum()
        for i in top.tolist():
            if mass >= limits.get('target_top_p', 1.)-1e-12: break
            kept.append(i)
            mass += float(t[row,i].exp()/whole)
        assert set(torch.isfinite(out.log_q[row]).nonzero()[:,0].tolist())==set(kept)
        alone = q_star(theta[row:row+1,kept], t[row:row+1,kept], Tilt(alpha_min=0.))
        assert out.raw_alpha[row].item()==pytest.approx(alone.raw_alpha.item(), abs=1e-9)
    late = q_star(theta, t, Tilt(alpha_min=0., constraint_to_target=True, support_first=False, **limits))
    assert torch.allclose(late.raw_alpha, q_star(theta, t, Tilt(alpha_min=0.)).raw_alpha)
    assert torch.equal(torch.isfinite(late.log_q), torch.isfinite(out.log_q))

def test_temperature_comes_first_and_zero_means_one():
    theta, t = language(5, 100)
    assert torch.equal(q_star(theta, t, temperature=.7).alpha, q_star(theta/.7, t/.7).alpha)
    assert torch.equal(q_star(theta, t, temperature=0.).alpha, q_star(theta, t).alpha)

def test_bad_rows_are_one_clear_error():
    good, nan = torch.zeros(2, 3), torch.tensor([[0., 0., 0.], [0., math.nan, 0.]])
    with pytest.raises(ModelError, match='row 1 of the teacher'): q_star(good, nan)
    with pytest.raises(ModelError, match='row 1 of the student'): q_star(nan, good)
    with pytest.raises(NoCommonToken, match='row 0'):
        q_star(torch.tensor([[0., -INF]]), torch.tensor([[-INF, 0.]]))
    with pytest.raises(BadValue, match='rows'): q_star(good, torch.zeros(2, 4))
    for wrong,name in ((dict(alpha_method='kl'), 'alpha_method'), (dict(alpha_min=.8, alpha_max=.2), 'alpha_min'),
                       (dict(fixed_alpha=-.1), 'fixed_alpha'), (dict(target_top_p=0.), 'target_top_p'),
                       (dict(target_top_k=3), 'constraint_to_target'), (dict(alpha_max=1.1), 'alpha_max')):
        with pytest.raises(BadValue, match=name): Tilt(**wrong)

IDLE = '''
import time, torch
from decodelab.maths.tilt import q_star
torch.set_num_threads(2)
rows = torch.randn(2, 16, 49_152).log_softmax(-1)
q_star(*rows)
time.sleep(.2) # torch's own threads fall asleep
q_star(*rows)
began = time.process_time()
time.sleep(.1)
print(time.process_time()-began)
'''

def test_no_thread_goes_on_spinning():
    "NumPy's BLAS lets its threads spin after a long product: passes that follow would share the processor with them."
    env = os.environ | dict(OMP_NUM_THREADS='2', OPENBLAS_NUM_THREADS='2')
    out = subprocess.run([sys.executable, '-c', IDLE], capture_output=True, text=True, check=True, env=env)
    assert float(out.stdout) < .03

@pytest.mark.parametrize('rows', [torch.zeros(2, 0), torch.zeros(0, 3), torch.zeros(2, 3, dtype=torch.int64),
                                  np.zeros((2, 3)), [[1., 2.]], torch.zeros(3)])
def test_what_are_no_rows_of_logits_is_one_error(rows):
    with pytest.raises(BadValue): q_star(rows, rows)

# Numbers at the ends of what numbers are

@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('scale', [1e5, 1e30, 1e300])
@pytest.mark.parametrize('method', [m.name for m in alpha_methods])
def test_any_finite_logits_give_a_distribution(method, scale):
    g = torch.Generator().manual_seed(0)
    theta, t = torch.randn(2, 3, 8, dtype=torch.float64, generator=g)
    sure = t.clone()
    sure[:,2] = scale
    for a,b in ((theta*scale, t*scale), (theta, sure), (sure, theta), (theta+scale, t), (theta*scale, t)):
        out = q_star(a, b, Tilt(method))
        assert torch.allclose(out.log_q.exp().sum(-1), torch.ones(3, dtype=torch.float64), atol=1e-12)
        assert ((out.alpha >= .5) & (out.alpha <= 1)).all() and not out.numbers.isnan().any()

@pytest.mark.filterwarnings('error')
def test_the_most_probable_token_is_all_there_is_where_nothing_else_can_be():
    "Far apart, q* at ½ is the greater of the two sums of logits: by hand."
    theta, t = torch.tensor([[0., -3e30, -1e30]]).double(), torch.tensor([[-4e30, 0., -1e30]]).double()
    out = q_star(theta, t, Tilt('fixed', fixed_alpha=.5))
    assert out.log_q.exp().tolist()==[[0., 0., 1.]]

@pytest.mark.filterwarnings('error')
def test_sharp_temperatures_are_greedy_and_others_are_numbers():
    g = torch.Generator().manual_seed(1)
    theta, t = torch.randn(2, 5, 8, dtype=torch.float64, generator=g)
    for heat in (1e-9, 1e-40, 1e-300):
        q = q_star(theta, t, Tilt('fixed', fixed_alpha=.5), heat).log_q.exp()
        assert torch.allclose(q.amax(-1), torch.ones(5, dtype=torch.float64))
        assert (q.argmax(-1)==(theta+t).argmax(-1)).all()
    flat = q_star(theta, t, Tilt(), 1e300).log_q.exp()
    assert torch.allclose(flat, torch.full_like(flat, 1/8))
    for heat in (float('nan'), float('inf'), -1., 'hot', True):
        with pytest.raises(BadValue, match='temperature'): q_star(theta, t, Tilt(), heat)
