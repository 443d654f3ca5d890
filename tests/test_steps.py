"Steps are cut where the text says, whatever tokens its characters are spread over."
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decodelab.eig import Frame
from decodelab.eig.forecast import cut_steps, tokens_of, whole_characters

FRAME = Frame(cue='</think>', close='</think>')

@pytest.mark.parametrize('text', ['ok 🙂', '答案是42。', 'ok é', '', 'plain', '🙂🙂', '日本\n語'])
def test_the_whole_text_before_the_mark_is_kept(student, text):
    c = cut_steps(student, FRAME, student.encode(text+'</think>'), 'stop')
    assert (c.text, c.closed)==(text, True) and c.ids==student.encode(text)

@pytest.mark.parametrize(('text', 'steps', 'kept'), [
    ('é\n🙂\n語', None, 'é\n🙂\n'), ('é\n🙂\n語', 1, 'é\n'), ('🙂\né</think>', 1, '🙂\n'), ('🙂é', None, '🙂é')])
def test_whole_steps(student, text, steps, kept):
    c = cut_steps(student, FRAME, student.encode(text), 'length', steps)
    assert c.text==kept and c.ids==student.encode(kept)

@pytest.mark.parametrize('missing', [1, 2, 3])
def test_no_answer_is_asked_after_half_a_character(student, missing):
    "A step that ends for want of room inside a character gives its beginning back; one that the model ended is kept."
    ids = student.encode('ok 🙂')
    assert cut_steps(student, FRAME, ids[:-missing], 'length').text=='ok '
    assert len(cut_steps(student, FRAME, (*ids[:-missing], student.eos_ids[0]), 'eos').ids)==len(ids)-missing

def test_what_is_no_character_is_kept(student):
    ids = (*student.encode('a'), *student.encode('é')[:1]*5)
    assert whole_characters(student, ids)==ids and whole_characters(student, ids[1:2])==ids[1:2]

@given(st.text(max_size=12), st.text(max_size=12))
@settings(max_examples=150, deadline=None)
def test_tokens_of_a_beginning(student, head, tail):
    ids = student.encode(head+tail)
    kept = tokens_of(student, ids, head)
    assert student.decode(kept).startswith(head) and kept==ids[:len(student.encode(head))]
