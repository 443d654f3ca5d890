"Networks whose tokens see those beside them: padding, shared rows, growing texts and errors."
import pytest, torch
from decodelab.core.errors import BadValue
from decodelab.xlm.composition import composed_or_why
from decodelab.xlm.rows import places, same_text
from decodelab.xlm.study.learners import network_of
from decodelab.xlm.study.training import prepared
from decodelab.xlm.transformer import Transformer, sides

def net(**sizes)->Transformer:
    torch.manual_seed(0)
    return Transformer(20, 16, 2, 2, neighbours=True, **sizes).eval()

def test_a_token_sees_the_ones_beside_it_before_any_layer():
    x = torch.randn(2, 5, 3)
    said = sides(x)
    assert torch.equal(said[:,1:,:3], x[:,:-1]) and torch.equal(said[:,:-1,3:], x[:,1:])
    assert not said[:,0,:3].any() and not said[:,-1,3:].any()

@torch.no_grad()
def test_padding_on_either_side_changes_nothing():
    ids, model = torch.randint(20, (2, 6)), net()
    for before,after in ((3, 0), (0, 2), (2, 4)):
        pad = lambda x, fill: torch.nn.functional.pad(x, (before, after), value=fill)
        mask = pad(torch.ones_like(ids), 0)
        said = model(pad(ids, 7), mask, places(mask))[:,before:before+6]
        assert torch.allclose(said, model(ids), atol=1e-5)

@torch.no_grad()
def test_texts_in_one_row_do_not_see_each_other():
    ids, model = torch.randint(20, (1, 9)), net()
    mask, positions = same_text(torch.tensor([[1, 1, 1, 1, 2, 2, 3, 3, 0]]))
    said = model(ids, mask, positions)
    for text in (slice(0, 4), slice(4, 6), slice(6, 8)):
        assert torch.allclose(said[:,text], model(ids[:,text]), atol=1e-5)

@torch.no_grad()
def test_a_causal_network_sees_the_left_alone_and_reads_on_behind_a_cache():
    ids, model = torch.randint(20, (2, 9)), net(causal=True)
    other = ids.clone()
    other[:,5] = (ids[:,5]+1) % 20
    whole = model(ids)
    assert torch.equal(model(other)[:,:5], whole[:,:5]) and not torch.allclose(model(other)[:,6], whole[:,6])
    pad = torch.nn.functional.pad
    for before in (0, 3):
        padded, mask = pad(ids, (before, 0)), pad(torch.ones_like(ids), (before, 0))
        cache, parts, at, positions = model.new_cache(12), [], 0, places(mask)
        for block in padded.split([4+before, 1, 1, 3], 1):
            seen, at = slice(at, at+block.shape[1]), at+block.shape[1]
            parts.append(model(block, mask[:,:at], positions[:,seen], cache))
            cache.keep(block.shape[1])
        assert torch.allclose(torch.cat(parts, 1)[:,before:], whole, atol=1e-5)

def test_a_net_that_reads_both_ways_has_no_cache_for_it():
    model, ids = net(), torch.zeros(1, 2, dtype=torch.long)
    with pytest.raises(BadValue, match='neighbours'): model(ids, cache=model.new_cache(4))

@pytest.mark.parametrize('model', ['arlm', 'mlm', 'mdlm', 'ilm', 'flexmdm'])
def test_every_core_model_has_a_tiny_network(model):
    cfg = composed_or_why([f'experiment=star_medium_{model}', f'model=tiny_{model}'], prepared())
    assert (cfg.model.d_model, cfg.model.num_layers, cfg.model.max_positions) == (64, 3, 48)
    assert cfg.model.neighbours

@pytest.mark.parametrize('keys,said', [
    (['model=tiny_ilm'], '3 × 64, neighbours'), (['model.d_model=32'], '4 × 32'),
    (['model.neighbours=true'], '4 × 128, neighbours')])
def test_a_report_says_what_a_network_is_made_of(keys, said):
    assert network_of(composed_or_why(['experiment=star_easy_ilm', *keys], prepared()))==said
