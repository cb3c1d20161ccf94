"""exp and the normal distribution from IEEE 754 additions, multiplications and divisions alone.

The C library's exp may differ in its last bit between machines; a decision must not. Python's floats are IEEE doubles, its
+ - * / and ldexp are exact to the standard, and nothing fuses or reorders them, so these give the same bits everywhere.
"""

import math
from typing import Final

# fdlibm's e_exp.c (Sun Microsystems, 1993, freely distributable): |error| < 1 ulp.
LN2_HIGH: Final = 6.93147180369123816490e-01
LN2_LOW: Final = 1.90821492927058770002e-10
INVERSE_LN2: Final = 1.44269504088896338700e00
P1: Final = 1.66666666666666019037e-01
P2: Final = -2.77777777770155933842e-03
P3: Final = 6.61375632143793436117e-05
P4: Final = -1.65339022054652515390e-06
P5: Final = 4.13813679705723846039e-08
EXP_MAX: Final = 709.0
EXP_MIN: Final = -745.0

# Chebyshev coefficients of erfc(z) * e^(z^2) / t (Numerical Recipes, 2nd edition, 6.2).
_ERFC: Final = (
    -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587, -0.82215223, 0.17087277,
)  # fmt: skip


def exp(x: float) -> float:
    """e^x within 1 ulp; 0 below EXP_MIN, e^EXP_MAX above EXP_MAX. x must be a number."""
    if x > EXP_MAX:
        x = EXP_MAX
    elif x < EXP_MIN:
        return 0.0
    k = int(INVERSE_LN2 * x + (0.5 if x >= 0 else -0.5))
    high = x - k * LN2_HIGH
    low = k * LN2_LOW
    r = high - low
    t = r * r
    c = r - t * (P1 + t * (P2 + t * (P3 + t * (P4 + t * P5))))
    return math.ldexp(1.0 - ((low - (r * c) / (2.0 - c)) - high), k)


def logistic(x: float) -> float:
    """1 / (1 + e^-x), without overflow on either side."""
    if x >= 0:
        return 1.0 / (1.0 + exp(-x))
    grown = exp(x)
    return grown / (1.0 + grown)


def normal_cdf(x: float) -> float:
    """P(Z <= x), |error| < 1.2e-7 (Numerical Recipes, 2nd edition, erfcc)."""
    z = abs(x) * 0.7071067811865476
    t = 1.0 / (1.0 + 0.5 * z)
    total = 0.0
    for coefficient in reversed(_ERFC):
        total = coefficient + t * total
    tail = 0.5 * t * exp(-z * z + total)
    return tail if x < 0 else 1.0 - tail
