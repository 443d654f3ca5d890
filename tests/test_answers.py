"Spellings of one answer are one answer, and an answer is read off free text without the words around it."
import random
import re
import subprocess
import sys
import threading
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decodelab.eig import extract, normalise, same

EQUAL = [
    ('9{,}500', '9500'), (r'\$18', '18'), ('-$5', '-5'), (r'\frac12', '1/2'), (r'\(42\)', '42'),
    (r'\frac{1,000}{2}', '500'),
    ('70,000 dollars', '70000'), (r'35\ \text{cm}', '35 cm'), ('(B)', 'B'),
    (r'1\,000\,000', '1000000'), (r'1,\!000', '1000'), ('1 234 567', '1234567'), (r'\$70{,}000', '70000'), # thousands
    # Fractions
    (r'\dfrac{2}{4}', '0.5'), (r'\tfrac{1}{2}', '1/2'), (r'\frac1{2}', '1/2'), (r'-\frac{1}{2}', '-.5'), ('½', '1/2'),
    (r'1\frac{1}{2}', '1.5'), (r'1\frac12', '3/2'), ('1 1/2', '3/2'), ('1½', '1.5'), ('-1 1/2', '-3/2'), # mixed numbers
    ('\u22125', '-5'), ('-\u00bd', '-0.5'), ('+5', '5'), ('$-5$', '-5'), ('negative 5', '-5'), # signs
    (r'50\%', '1/2'), ('5 percent', '5%'), ('0.05', '5%'), # percent
    ('18 USD', '$18'), ('€5', '5 euros'), ('US$5', '5 dollars'), ('$18.00', '18'), # currency
    ('35cm', '35 cm'), (r'6\,\text{m}^2', '6 m²'), ('60 miles per hour', '60 mph'), (r'45^\circ', '45 degrees'), # units
    ('72 clips in total', '72'), ('2.5 million', '2,500,000'), ('3 dozen eggs', '36'), # words
    (r'\boxed{\frac{\sqrt{3}}{2}}', r'\sqrt3/2'), (r'$\boxed{42}$', '42'), (r'so \boxed{42}.', '42'), # boxes
    (r'\[42\]', '42'), ('**42**', '42'), ('`42`', '42'), ('42.', '42'), (r'\mathbf{42}', '42'), ('４２', '42'), # dress
    (r'\text{(B)}', 'b'), ('B.', '(b)'), ('option B', 'B'), ('[B]', 'B'), # option letters
    (r'3\times 10^5', '300,000'), ('10^{6}', '1000000'), ('1e3', '1000'), ('5 + 3 = 8', '8'), ('x = 5', '5'), # formulas
    (r'\frac{x+1}{2}', '(1+x)/2'), ('(x+1)^2', 'x^2 + 2x + 1'), (r'\frac{1}{\sqrt2}', r'\frac{\sqrt{2}}{2}'),
    ('3π', r'3\pi'),
    ('≈42', '42'), ('2pi', r'2\pi'), (r'\sqrt[3]{8}', '2'), ('|-3|', '3'), ('1x10^3', '1000'), ('3 x 10^{5}', '300000'),
    ('2**10', '1024'), ('3 x 4 = 12', '12'), ('twelve', '12'), ('Twenty-five', '25'), ('answer = 5', '5'),
    ('The correct answer is B.', 'B'), ('> 42', '42'),
    # Lists
    ('5 and 6', '5, 6'), ('A and B', 'A,B'), ('A, B, and C', 'a,b,c'),
    ('7, 3', '7,3'), (r'\left(1, \frac{1}{2}\right)', '(1,0.5)'), ('[0, 1)', '[0,1)'), (r'\{2,1\}', r'\{1, 2\}'),
    (r'\text{Paris}', 'paris.'), ('"Paris"', 'Paris'), ('The answer is Paris.', 'paris'),
]
DIFFERENT = [
    ('7,3', '73'), ('7,3', '7.3'), ('7,3', '3,7'), ('12', '1'), ('5%', '5'), ('3 pm', '3'), ('3-4', '-1'),
    ('1/3', '0.33'),
    ('2 thirds', '2'), ('3 million', '3'), ('1,2', '(1,2)'), ('(0,1)', '[0,1]'), ('x+1', 'x-1'),
    (r'\frac{x+1}{2}', 'x+1/2'),
    ('>5', '5'), ('<5', '5'), ('≈3.14159265359', '3.14159265359'), ('one', '2'), ('5 and 6', '56'),
    ('A', 'B'), ('5x', '5'), ('10:30', '1030'), ('-5', '5'), ('3 or more', '3'), ('', '0'), ('1/0', '0'),
]
FOUND = {
    'The answer is 72, which is the total.': '72', 'The answer is 72 in total.': '72',
    'The answer is 72 (8 × 9).': '72',
    'The answer is $70,000 in total.': '$70,000', 'The answer is -5 degrees.': '-5',
    'The answer is 3 million dollars.': '3 million',
    'The answer is 50% of it.': '50%', 'The answer is 1/2 of a cup.': '1/2', 'the answer is 2 1/2 cups': '2 1/2',
    'The final answer is 7. I hope it is correct.': '7', 'Answer: (B)': '(B)', '**Answer:** 72': '72',
    'The answer is B. It is so.': 'B',
    'The answer is 3 pm.': '3 pm', 'The answer is 5 hours 30 minutes.': '5 hours 30 minutes',
    'The answer is: 7,3.': '7,3',
    'The answer is Paris, which is nice.': 'Paris', r'The answer is \(42\), since it is.': r'\(42\)',
    r'\boxed{\frac{\sqrt{3}}{2}}': r'\frac{\sqrt{3}}{2}', r'\boxed{1} or \boxed{2}': '2', 'work\n#### 1,234': '1,234',
    'it makes 72, and that is it': '72', r'so x = \frac{3}{4}.': r'\frac{3}{4}', 'from 10-5 we get -5': '-5',
    '7,3 it is': '7,3', 'no': None,
    '<answer>B</answer>': 'B', 'so <answer>\n5 apples </answer> it is': '5 apples', '{"answer": "B", "why": "3"}': 'B',
    'The correct option is (D).': '(D)', 'Therefore, the correct choice is B.': 'B', r'\boxed{} 7': '7',
    'The answer is 5. No, the answer is 6.': '6', 'Answer: the answer is 8': '8',
}

@pytest.mark.parametrize(('a', 'b'), EQUAL)
def test_one_answer(a, b): assert same(a, b), (normalise(a), normalise(b))

@pytest.mark.parametrize(('a', 'b'), DIFFERENT)
def test_two_answers(a, b): assert not same(a, b), normalise(a)

@pytest.mark.parametrize('text', FOUND)
def test_read_off_free_text(text): assert extract(text)==FOUND[text]

@given(st.integers(-10**9, 10**9), st.integers(1, 999))
@settings(max_examples=60, deadline=None)
def test_numbers_by_their_value(a, b):
    "However it is dressed, a number is what sympy says it is."
    import sympy
    value = str(sympy.Rational(a, b))
    dresses = [f'{a}/{b}', f'\\frac{{{a}}}{{{b}}}', f'${a}/{b}$', f'{a}/{b} dollars']
    dresses.append(f'\\boxed{{\\dfrac{{{a}}}{{{b}}}}}')
    assert {normalise(x) for x in dresses}=={value} and normalise(f'{a:,}')==str(a)

PIECES = ['\\frac{1}{2}', '\\sqrt{2}', 'x', 'y', '3', '12', '+', '-', '*', '/', '^', '(', ')',
          ' cm', '%', ',', '=', '\\pi', '.', '!']

@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=7))
@settings(max_examples=300, deadline=None)
def test_a_canonical_form_is_its_own(pieces):
    once = normalise(''.join(pieces))
    assert normalise(once)==once

def test_small_numbers_have_one_canonical_form():
    once = normalise(r'\pi/36290000')
    assert normalise(once)==once

def test_what_is_too_large_to_work_out_is_text():
    assert normalise('9^{9^{9^9}}')=='9^{9^{9^9}}'
    assert not same('2^{99999}', '2^{99998}') and normalise('('*40+'1'+')'*40)

def test_works_in_a_thread():
    "The library's own clock needs signals, which only a main thread may set."
    found = []
    worker = threading.Thread(target=lambda: found.append(normalise('\\frac{\\sqrt{7}}{7}')))
    worker.start()
    worker.join()
    assert found==[normalise('1/\\sqrt{7}')]

def test_the_parser_is_read_only_where_a_formula_is():
    code = '''
import sys
from decodelab.eig import normalise
for plain in ("7,3", "$1,234", "Paris"): normalise(plain)
print("math_verify" in sys.modules)'''
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout.strip()=='False'

UNLIKE = [('(3,125)', '3125'), ('(0,100)', '100'), ('[1,234)', '1234'), ('[42)', '42'), ('5!', '5'), ('n!', 'n'),
          ('0,100', '100')]
ALIKE = [('(3, 125)', '(3,125)'), ('[0,1)', '[0, 1)'), ('5!', '120'), ('42\u200b', '42'), ('42。', '42'),
         ('yes!', 'yes')]

@pytest.mark.parametrize('one,other', UNLIKE)
def test_pairs_intervals_and_factorials_are_no_numbers(one, other): assert not same(one, other)

@pytest.mark.parametrize('one,other', ALIKE)
def test_they_are_what_they_are(one, other): assert same(one, other)

SAID = [('72 percent.', '72 percent'), ('72 per cent of it.', '72 per cent'), ('72 %.', '72 %'),
        ('B because 3 > 2.', 'B'), ('7 because 3+4=7.', '7'), ('12 since 3*4=12.', '12'), ('72; done', '72'),
        ('72! Great.', '72'), ('72. 5 more', '72'), ('42。', '42'), ('3.5.', '3.5')]

@pytest.mark.parametrize('said,answer', SAID)
def test_an_answer_ends_where_its_reason_begins(said, answer): assert extract(f'The answer is {said}')==answer

# Signs, options, times, marks, matrices.

ONE = [('10⁻³', '0.001'), ('10⁻³', '10^{-3}'), ('1e-3', '10⁻³'), ('2¹⁰', '1024'), ('2×3', '6'), ('2·3', '6'),
       ('2⋅3', '6'),
       ('6÷2', '3'), ('5 × 10³', '5000'), ('√4', '2'), ('2√3', r'2\sqrt{3}'), ('√(x+1)', r'\sqrt{x+1}'), ('x₁', 'x_1'),
       ('(A) Paris', 'A'), ('A. Paris', 'A'), ('A) Paris', '(a)'), ('B: 42', 'B'), ('(J) None of these', 'j'),
       ('3:00 PM', '3:00 p.m.'), ('3:00PM', '3 pm'), ('3 P.M.', '3:00 pm'), ('3:05:09 am', '3:05:09 A.M.'),
       ('₩500', '500'), ('₽500', '500'), ('CHF 500', '500'), ('A$500', '500'), ('R$ 500', '500'), ('US$ 5', '5'),
       ('Rs. 500', '500'), ('₹1,00,000', '100000'), ('¥1,000', '1000 yen'), ('50¢', '50'), ('50¢', '50 cents'),
       ('3/4 of a cup', '3/4'), ('3/4 of the pizza', '0.75'), ('50% of it', '1/2'), ('2.5 of the cups', '5/2'),
       ('_42_', '42'), ('__42__', '42'), ('*42*', '42'), ('`42`', '42'), ('### 73', '73'), ('> 73', '73'), ('→ 73',
       '73'),
       ('✅ Final Answer: **73**', '73'), ('**Final Answer:** 73 ✅', '73'), ('👉 73', '73'),
       ('(-∞, 1)', r'(-\infty,1)'), ('(−∞,1)', r'\left(-\infty, 1\right)'), ('x=5', '5'), ('x = 5', '$x=5$'),
       ('5 × 3 = 15', '15'), ('6 ÷ 2 = 3', '3'),
       (r'\begin{pmatrix}1\\2\end{pmatrix}', r'\begin{pmatrix} 1 \\ 2 \end{pmatrix}'),
       (r'\begin{pmatrix}1 & 2\\3 & 4\end{pmatrix}', r'\begin{bmatrix}1&2\\ 3&\frac{8}{2}\\\end{bmatrix}')]
TWO = [('x=5', 'y=5'), ('x=5', '6'), ('x_1=5', 'x_2=5'), ('3:00 PM', '3'), ('3:00 PM', '3:00 AM'), ('3:30 PM',
       '3:00 PM'),
       ('(A) Paris', 'B'), ('(A) Paris', 'Paris'), ('A cat', 'A'), ('A. B. Smith', 'A'), ('I am', 'I'),
       ('3/4 of a cup', '3'),
       ('1/2 of 6', '1/2'), ('50¢', '0.5'), ('10⁻³', '10³'), ('2¹⁰', '210'), ('x₁', 'x1'), ('12:30', '12'), ('_42',
       'x'),
       ('(-∞, 1)', '(∞, 1)'), ('(-∞, 1)', '(-∞, 1]'), ('1,00,000', '100000'), ('45°', '45 ✅ 6'), ('√2', '2'),
       (r'\begin{pmatrix}1\\2\end{pmatrix}', r'\begin{pmatrix}12\end{pmatrix}'),
       (r'\begin{pmatrix}1\\2\end{pmatrix}', r'\begin{pmatrix}1&2\end{pmatrix}'),
       (r'\begin{vmatrix}1\\2\end{vmatrix}', r'\begin{pmatrix}1\\2\end{pmatrix}')]

@pytest.mark.parametrize('one,other', ONE)
def test_two_spellings_of_one_answer(one, other): assert same(one, other), (normalise(one), normalise(other))

@pytest.mark.parametrize('one,other', TWO)
def test_two_answers_that_look_alike(one, other): assert not same(one, other), normalise(one)

@pytest.mark.parametrize('text', sorted({text for pair in ONE+TWO+EQUAL+DIFFERENT for text in pair}))
def test_every_canonical_form_is_its_own(text): assert normalise(normalise(text))==normalise(text)

# Numbers in short, grouped, spelt, said twice. What may be read in two ways stays what programs read, or a text.

SHORT = {'1.5M': 1500000, '1.5 M': 1500000, '10k': 10000, '10K': 10000, '$10k': 10000, '\\$10k': 10000,
    '$10 k': 10000, '5k$': 5000,
         '€3m': 3000000, '$3M': 3000000, '$5T': 5*10**12, '5B': 5*10**9, '$1.2bn': 12*10**8, '1.2 bn': 12*10**8,
         '-$2k': -2000,
         '5k dollars': 5000, '2 mln': 2*10**6, '3 lakh': 300000, '2 crores': 2*10**7, '2.5 million': 2500000,
         '10million': 10**7,
         '3 thousand': 3000, '2,5 million': 2500000, '2,5 %': Fraction(1, 40), '€2,50': 2.5, '2,50 €': 2.5,
         '5‰': Fraction(1, 200),
         "1'000": 1000, '1’000.50': 1000.5, '1_000_000': 10**6, '1.000,50': 1000.5, '1.000,50 €': 1000.5,
         '1.000.000': 10**6,
         '-1.234.567,8': -1234567.8, '1.000': 1, '1.234': 1.234, '($5)': 5, '($1,234.50)': 1234.5, '5/-': 5,
         '5 (five)': 5,
         'five (5)': 5, '5 five': 5, '5 (five) apples': 5, '5 apples (five)': 5, '5 (approx.)': 5, '-5 (loss)': -5,
         '12 (a dozen)': 12,
         'one hundred and twenty-three': 123, 'two thousand': 2000, 'a million': 10**6, 'two dozen': 24,
         'minus five': -5,
         'nine hundred ninety-nine thousand': 999000, '½': .5, '1½': 1.5, '1⁄2': .5, '5e3': 5000, '5E3': 5000,
         '٣': 3, '٣٫٥': 3.5,
         '५': 5, '50 cents': 50, '5apples': 5, 'sqrt(4)': 2, '12½%': Fraction(1, 8), '3 m': 3, '10 kg': 10,
         '12 Kg': 12, 'Answer: $10k': 10000,
         'about 10k': 10000, '**1.5M**': 1500000, '\\boxed{10k}': 10000, '10k people': 10000}
TEXTS = ['10 k', '3m', '5 (six)', '5 six', '5x', '10k + 3', '3k+2', '5+', '1e400', '5 (thousand)', '3 (pm)',
    'one two', 'five and six',
         'thousand', '1.00.000', "1'00", '1_00', '12,34', '1,5', '0,5', '5 ft 3 in', '5 hours 30 minutes', '0x1F',
         'Seven Samurai',
         '1__000', '5.000.00', '(5 (6', 'half a million', '5 hundredths', '12:30', 'k', 'M', '$', '€', '1,2 m']

@pytest.mark.parametrize('text', SHORT)
def test_a_number_however_it_is_cut_short(text):
    assert normalise(text)==str(Fraction(str(SHORT[text]))) and normalise(normalise(text))==normalise(text)

@pytest.mark.parametrize('text', TEXTS)
def test_what_is_no_number_or_two(text):
    assert not re.fullmatch(r'-?\d+(/\d+)?', normalise(text))
    assert normalise(normalise(text))==normalise(text)

def test_between_marks_of_a_formula_k_is_a_letter():
    assert same('$10k$', '10*k') and same(r'\(10k\)', '$10k$') and not same('$10k$', '10k')
    assert not same('$5', '-5') and same('($5)', '$5') and not same('5M', '5 m')

@pytest.mark.parametrize('text,value', [("it costs 1'000 francs", 1000), ('we sold 1.5M', 1500000),
    ('we need 3 million', 3000000),
    ('so 1.000,50 euros', 1000.5), ('The answer is 10k.', 10000), ('it is 5 km', 5), ('it weighs 10 kg', 10),
    ('The answer is 5 (five).', 5),
    ('The answer is $1.2bn, which is a lot', 12*10**8), ('from 10k to 20k', 20000), ('we get 5*3', 3), ('#### 10k',
    10000),
    ('The answer is 1.000.000', 10**6), ('it takes 3 min', 3), ('a 2 MB file', 2)])
def test_short_numbers_in_free_text(text, value): assert normalise(extract(text))==str(Fraction(str(value)))

READ = {'✅ Final Answer: **73**': '73', 'The answer is (A) Paris': 'a', 'So it is 3:00 PM.': '3:00 pm',
        'Answer: A. Paris': 'a',
        'The final answer is 10⁻³': '1/1000', 'I used 3/4 of a cup.': '3/4', 'answer: x=5': '5',
        'The answer is 50¢': '50',
        'The answer is:\n\n**73**': '73', '## Answer\n73': '73', 'The answer is _42_.': '42', 'it comes to ₩500': '500',
        'the answer is (-∞, 1)': '(-oo,1)', 'The ratio is 3:2': '3:2', 'They meet at 10:30 a.m. sharp': '10:30 am'}

@pytest.mark.parametrize('text', READ)
def test_what_a_text_answers(text): assert normalise(extract(text))==READ[text]

def dresses(value):
    "Ways to write a fraction that those who grade mathematics read."
    above, below = value.numerator, value.denominator
    if below==1: return [str(above), f'{above:,}', f'{above}.0', f'{above:,} dollars', rf'\boxed{{{above}}}',
    f'${above}$']
    decimals = [repr(float(value)), f'${float(value)!r}$'] if 10000 % below==0 else []
    return [f'{above}/{below}', rf'$\dfrac{{{above}}}{{{below}}}$', rf'$\frac{{{above}}}{{{below}}}$', *decimals]

def test_plain_numbers_are_those_of_math_verify():
    "The cheap path, over a thousand pairs, half of them of one value."
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify
    rng, plan, asked = random.Random(0), [LatexExtractionConfig(), ExprExtractionConfig()], 0
    for _ in range(1000):
        most = rng.choice([9, 99, 9999, 10**6])
        one = Fraction(rng.randint(-most, most), rng.choice([1, 1, 1, 2, 4, 3, 7, 100]))
        other = one if rng.random() < .5 else one+Fraction(rng.choice([-1, 1, 10]),
        rng.choice([1, 10, one.denominator]))
        a, b = rng.choice(dresses(one)), rng.choice(dresses(other))
        read = [parse(text, plan, parsing_timeout=None) for text in (a, b)]
        if not all(read): continue
        asked += 1
        assert bool(verify(*read, timeout_seconds=None))==same(a, b)==(one==other), (a, b)
    assert asked > 800

@pytest.mark.parametrize('model', ['reference:student', None])
def test_a_model_that_is_not_loaded_is_one_error(model):
    from decodelab.core.errors import BadValue
    from decodelab.eig import expected_information_gain_reasoning
    with pytest.raises(BadValue, match='a loaded model'): expected_information_gain_reasoning(model, ['1+1=?'])

@pytest.mark.parametrize('text, value', [
    (r'2^\frac{1}{2}', '≈1.41421356237'), (r'2**\frac{1}{2}', '≈1.41421356237'), ('2**0.5', '≈1.41421356237'),
    ('2^0.5', '≈1.41421356237'),
    ('2**(1/2)', '≈1.41421356237'), ('4^0.5', '2'), ('4^{0.5}', '2'), ('2^-1', '1/2'),
    ('10^-3', '1/1000'),
    (r'5 \times 10^-3', '1/200'), ('2**-2', '1/4'), (r'\frac{2}{3}^2', '4/9'), (r'\frac{2}{3}**2', '4/9'),
    (r'\frac{1}{2}^\frac{1}{2}', '≈0.707106781187'), ('(1/2)**(1/2)', '≈0.707106781187'), (r'6/\frac{1}{2}', '12'),
    (r'6 \div \frac{1}{2}', '12'), (r'\frac{1}{2}/\frac{1}{4}', '2'), (r'\frac{1}{2}x', 'x/2'),
    (r'x^\frac{1}{2}', 'sqrt(x)'),
    (r'2\frac{1}{2}', '5/2'), (r'\frac{1}{2}\%', '1/200'), (r'-\frac{1}{2}', '-1/2'),
    (r'The answer is \frac{1}{2}.', '1/2'),
    (r'\frac{1}{2} cm', '1/2'), (r'\frac{3}{4}-\frac{1}{4}', '1/2'), (r'(\frac{1}{2}, 3)', normalise('(1/2, 3)'))])
def test_a_fraction_in_a_product_or_a_power_keeps_its_value(text, value):
    assert normalise(text)==value and normalise(value)==value

OPERATORS = {' + ': Fraction.__add__, '-': Fraction.__sub__, r' \cdot ': Fraction.__mul__, '/': Fraction.__truediv__,
             r' \div ': Fraction.__truediv__}

@given(st.tuples(st.integers(1, 9), st.integers(1, 9)), st.tuples(st.integers(1, 9), st.integers(1, 9)),
       st.sampled_from(list(OPERATORS)), st.integers(1, 3))
@settings(max_examples=200, deadline=None)
def test_two_fractions_and_a_power_are_worked_out(a, b, operator, power):
    text = fr'\frac{{{a[0]}}}{{{a[1]}}}^{power}{operator}\frac{{{b[0]}}}{{{b[1]}}}'
    assert normalise(text)==str(OPERATORS[operator](Fraction(*a)**power, Fraction(*b))), text
