# SPDX-License-Identifier: Apache-2.0
"""matmul: the product of two matrices, with numpy and its BLAS.

  {"order": rows and columns, "seed": number, "input": size}

Large: larger matrices, and besides a system of linear equations, by LAPACK.

The numbers are whole and small, so that no product rounds, and the result does not depend on the
order in which a BLAS adds.
"""

import hashlib

import numpy

from . import is_large, number

ORDER_DEFAULT = 96
ORDER_LARGE = 224
ORDER_MAX = 1024
EQUATIONS = 48


def make_matrix(order: int, source: numpy.random.RandomState) -> numpy.ndarray:
    return source.randint(-9, 10, size=(order, order)).astype(numpy.float64)


def solve(source: numpy.random.RandomState) -> numpy.ndarray:
    """The whole numbers that solve equations made from them."""
    # Heavy on the diagonal, so the solution is near enough to be rounded.
    matrix = make_matrix(EQUATIONS, source) + 1000 * numpy.eye(EQUATIONS)
    wanted = source.randint(-99, 100, size=EQUATIONS).astype(numpy.float64)
    return numpy.rint(numpy.linalg.solve(matrix, matrix @ wanted))


def answer(request: dict) -> dict:
    large = is_large(request)
    order = number(request, "order", ORDER_LARGE if large else ORDER_DEFAULT, ORDER_MAX)
    # numpy keeps the numbers of this generator the same from one version to the next.
    source = numpy.random.RandomState(int(request.get("seed", 1)))
    product = make_matrix(order, source) @ make_matrix(order, source)
    digest = hashlib.sha256(product.astype("<i8").tobytes())
    if large:
        digest.update(solve(source).astype("<i8").tobytes())
    return {"order": order, "trace": int(product.trace()), "sha256": digest.hexdigest()}
