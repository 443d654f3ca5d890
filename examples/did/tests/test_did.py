"""Did against enumeration: every formula on all states of short texts, then a batch by heart."""
import math
from collections import Counter
from itertools import combinations, product

import pytest
import torch

from did.counts import missing
from did.datamodule_did import Seq2SeqDidCollator, Seq2SeqDidPredCollator
from did.loss_did import DidLoss, expected
from did.metrics_did import seq2seq_exact_match_update_fn
from did.model_did import DidModel
from did.predictor_did import DidPredictor, next_time
from xlm.datamodule import SimpleSpaceTokenizer
from xlm.metrics import ExactMatch

TOKENIZER = SimpleSpaceTokenizer.for_numbers(3)
A, V = 7, 10  # first word; vocabulary


def row(text, width=None):
    """A text as a batch of one, and where it is."""
    ids = list(text) + [0] * ((width or max(len(text), 1)) - len(text))
    return torch.tensor([ids]), torch.tensor([[True] * len(text) + [False] * (len(ids) - len(text))])


def ways(x, y):
    """N(x in y), by trying all places."""
    return sum(tuple(y[i] for i in places) == tuple(x) for places in combinations(range(len(y)), len(x)))


def states(y):
    """Every text that may be left of y."""
    return {tuple(y[i] for i in places) for n in range(len(y) + 1) for places in combinations(range(len(y)), n)}


def r_of(x, y):
    """r(i, v) by counting: how often v is missing in the gap i, {(i, v): r}."""
    out = {(i, v): ways((*x[:i], v, *x[i:]), y) / ways(x, y) for i in range(len(x) + 1) for v in set(y)}
    return {k: v for k, v in out.items() if v}


@pytest.mark.parametrize("y", [(7,), (7, 7, 7), (7, 8, 7, 8), (7, 8, 9, 7, 7), (8, 7, 8, 8, 7, 8)])
def test_counts_by_dynamic_programming_are_those_by_hand(y):
    text, real = row(y, 7)
    for x in states(y):
        share = missing(text, real, *row(x, 6))[0]
        found = {(i, v): sum(share[i, j].item() for j in range(len(y)) if y[j] == v)
                 for i in range(share.shape[0]) for v in set(y)}
        assert {k: v for k, v in found.items() if v} == pytest.approx(r_of(x, y))
        assert share.sum().item() == pytest.approx(len(y) - len(x))


def test_the_backward_rate_is_the_ratio_of_probabilities():
    """g/t = rate of deletion times p_t(Ins(x, i, v))/p_t(x), with p_t by enumeration of what is deleted."""
    y, t = (7, 8, 7, 7, 9), 0.3
    p = Counter()
    for gone in product((0, 1), repeat=len(y)):
        p[tuple(v for v, g in zip(y, gone) if not g)] += t ** sum(gone) * (1 - t) ** (len(y) - sum(gone))
    for x in states(y):
        assert p[x] == pytest.approx(ways(x, y) * (1 - t) ** len(x) * t ** (len(y) - len(x)))
        for (i, v), r in r_of(x, y).items():
            assert 1 / (1 - t) * p[(*x[:i], v, *x[i:])] / p[x] == pytest.approx(r / t)


class Known:
    """The right answer for a distribution {text: probability}: r and the numbers of what is missing, averaged."""

    def __init__(self, texts):
        self.texts, self.most = texts, max(map(len, texts))

    def posterior(self, x):
        return {y: p * ways(x, y) for y, p in self.texts.items() if ways(x, y)}

    def __call__(self, ids, seen, start):
        gaps = ids.shape[1] - start + 1
        logits = torch.full((len(ids), gaps, V), -math.inf, dtype=torch.float64)
        number = torch.full((len(ids), self.most + 1), -math.inf, dtype=torch.float64)
        for b, (full, there) in enumerate(zip(ids[:, start:].tolist(), seen[:, start:].tolist())):
            x = tuple(v for v, here in zip(full, there) if here)
            for y, p in self.posterior(x).items():
                number[b, len(y) - len(x)] = (number[b, len(y) - len(x)].exp() + p).log()
                for (i, v), r in r_of(x, y).items():
                    logits[b, i, v] = (logits[b, i, v].exp() + p * r).log()
            if not logits[b].isfinite().any():
                logits[b, 0, A] = 0.0  # nothing is missing: any q, with g = 0
        return logits, number


# The right q is the same at all times where all texts are equally long, or have one word only.
EQUAL = {(7, 8, 7): 0.4, (8, 8, 7): 0.3, (7, 7, 7): 0.2, (9, 7, 8): 0.1}
LENGTHS = {(): 0.1, (7,): 0.4, (7, 7): 0.2, (7, 7, 7, 7): 0.3}


def integral(model, y, points=160):
    """The bound for y: over all states exactly, over times by Gauss-Legendre."""
    import numpy as np

    loss, (text, real) = DidLoss(model, TOKENIZER), row(y)
    nodes, weights = np.polynomial.legendre.leggauss(points)
    t = torch.tensor((nodes + 1) / 2)
    total = 0.0
    for x in states(y):
        left, there = row(x, max(len(y), 1))
        from did.loss_did import joint, special

        marks = torch.tensor([[1, 4]])
        logits, number = model(torch.cat([marks, left], 1), torch.cat([torch.ones_like(marks).bool(), there], 1), 2)
        many = lambda z: z.expand(points, *z.shape[1:])
        logq = joint(many(logits), many(there), special(TOKENIZER))
        cost = loss.cost(many(text), many(real), many(left), many(there), expected(many(number), t), logq) / t
        chance = ways(x, y) * (1 - t) ** len(x) * t ** (len(y) - len(x))
        total += float((torch.tensor(weights / 2) * chance * cost).sum())
    return total


@pytest.mark.parametrize("texts", [EQUAL, LENGTHS])
def test_the_bound_of_the_right_answer_is_the_entropy(texts):
    model = Known(texts)
    for y, p in texts.items():
        assert integral(model, y) >= -math.log(p) - 1e-3
    bound = sum(p * integral(model, y) for y, p in texts.items())
    assert bound == pytest.approx(-sum(p * math.log(p) for p in texts.values()), abs=2e-4)


def test_a_wrong_answer_costs_more_and_the_estimate_is_the_integral():
    model, texts = Known(EQUAL), list(EQUAL)
    wrong = Known(EQUAL | {(7, 8, 7): 0.1, (9, 7, 8): 0.4})
    assert sum(p * integral(wrong, y) for y, p in EQUAL.items()) > sum(p * integral(model, y) for y, p in EQUAL.items())
    torch.manual_seed(0)
    y = texts[1]
    batch = Seq2SeqDidCollator(TOKENIZER, 3)([{"prompt_ids": [], "input_ids": list(y)}] * 4000)
    nats = DidLoss(wrong, TOKENIZER)(batch)["nats"]
    assert abs(nats.mean() - integral(wrong, y)) < 5 * nats.std() / len(nats) ** 0.5


@pytest.mark.parametrize("texts", [EQUAL, LENGTHS])
def test_the_sampler_draws_the_distribution(texts):
    from scipy.stats import chisquare

    torch.manual_seed(0)
    n = 2000
    marks = torch.tensor([[1, 4]]).expand(n, -1)
    predictor = DidPredictor(TOKENIZER, Known(texts), block_size=max(map(len, texts)), temperature=1.0)
    written = predictor.predict({"input_ids": marks, "attention_mask": torch.ones_like(marks)})
    assert written["steps_taken"] <= max(map(len, texts)) + 1
    drawn = Counter(tuple(v for v in ids if v) for ids in written["ids"][:, 2:].tolist())
    assert set(drawn) <= set(texts)
    assert chisquare([drawn[y] for y in texts], [n * p for p in texts.values()]).pvalue > 1e-3


def test_the_next_time_is_drawn_from_its_law():
    number = torch.tensor([0.2, 0.5, 0.3]).log()[None].expand(2000, -1)
    u = (torch.arange(2000).double() + 0.5) / 2000
    whole, when = next_time(number, torch.full((2000,), 0.8, dtype=torch.float64), u)
    z = lambda t: 0.2 + 0.5 * t + 0.3 * t**2
    assert whole.float().mean().item() == pytest.approx(z(0) / z(0.8), abs=1e-3)
    for s in (0.2, 0.5):
        assert (whole | (when < s)).float().mean().item() == pytest.approx(z(s) / z(0.8), abs=1e-3)


def test_one_batch_is_learnt_by_heart():
    rows = [{"prompt_ids": [7, 8, 9], "input_ids": [9, 8]}, {"prompt_ids": [8, 7], "input_ids": [7, 8, 7]}]
    torch.manual_seed(0)
    model = DidModel(TOKENIZER.full_vocab_size, max_missing=5, d_model=32, num_layers=2, nhead=2)
    loss, batch = DidLoss(model, TOKENIZER), Seq2SeqDidCollator(TOKENIZER, 5)(rows * 8)
    before = {k: v.clone() for k, v in batch.items() if torch.is_tensor(v)}
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    for _ in range(400):
        optimizer.zero_grad()
        loss(batch)["loss"].backward()
        optimizer.step()
    assert all(torch.equal(v, batch[k]) for k, v in before.items()), "a loss must not change its batch"
    predictor = DidPredictor(TOKENIZER, model, block_size=5)
    prompts = Seq2SeqDidPredCollator(TOKENIZER, 5)(rows)
    written = predictor.predict(prompts)
    metric = ExactMatch()
    metric.update(**seq2seq_exact_match_update_fn(prompts, written, TOKENIZER))
    assert float(metric.compute()) == 1, written["text"]
    assert predictor.generate(["0 1 2", "1 0"]) == ["2 1", "0 1 0"]
