"""Exact algebra on expressions of the model: a helper that proves, never the judge of a bound.

`terms.py` writes an expression out (no indices, no arrays, equal means are one node). On such
terms `polynomials.py` has exact normal forms, `bernstein.py` bounds polynomials on simplices and
boxes, `evaluation.py` encloses values at rational points, `differentiation.py` differentiates on
the shared graph. `identities.py` puts them together: normal form, refutation at a point, and last
sympy. `derivatives.py` shows derivatives to people.

sympy runs only in a child process (`worker.py`), is reached only through `gateway.py`, and gets
expressions node by node from `expressions.py`. Whatever goes wrong there is "no information".
"""
