"""Ensembles: the weighted mean of several networks' probabilities (Yu & Zhang, "Image based Static Facial
Expression Recognition with Multiple Deep Network Learning", ICMI 2015)."""

import clarabel
import numpy as np
from scipy.optimize import minimize
from scipy.sparse import block_array, block_diag, csc_array, identity

SMALLEST = 1e-7  # as in Keras: a confident mistake costs 16 nats, not infinitely many


def combine(probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The members' weighted mean: (k, n, classes) float32 and (k,) to (n, classes) float32."""
    return np.einsum("k,knc->nc", weights, probabilities).astype(np.float32)


def equal_weights(members: int) -> np.ndarray:
    """The plain mean: (k,) float64."""
    return np.full(members, 1 / members)


def log_likelihood_weights(probabilities: np.ndarray, y_true: np.ndarray, ridge: float) -> np.ndarray:
    """Weights w >= 0 of sum 1 that minimise −Σᵢ log Σₖ wₖ Pₖ(yᵢ|Xᵢ) + ridge Σₖ wₖ²: (k,) float64.

    `probabilities`: (k, n, classes), for pictures that no member was trained on. `y_true`: (n,) int, n > 0.
    The problem is smooth and convex with k variables; SciPy's SLSQP solves it. Probabilities below SMALLEST
    count as SMALLEST.

    Raises:
        ValueError: the shapes are others, or n is 0.
        ArithmeticError: the solver fails.
    """
    _check(probabilities, y_true)
    truth = np.maximum(_of_truth(probabilities, y_true), SMALLEST)
    n, members = truth.shape

    def objective(weights: np.ndarray) -> tuple[float, np.ndarray]:
        likely = truth @ weights
        gradient = 2 * ridge * weights - (truth / likely[:, None]).sum(axis=0)
        return (ridge * weights @ weights - np.log(likely).sum()) / n, gradient / n

    solution = minimize(
        objective,
        equal_weights(members),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * members,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-12, "maxiter": 1000},
    )
    if not solution.success:
        raise ArithmeticError(f"SLSQP found no weights: {solution.message}")
    return _on_simplex(solution.x)


def hinge_weights(probabilities: np.ndarray, y_true: np.ndarray, margin: float, ridge: float) -> np.ndarray:
    """Weights w >= 0 of sum 1 that minimise Σᵢ Σ_{y≠yᵢ} [1 − Σₖ wₖ (Pₖ(yᵢ) − Pₖ(y)) / margin]₊ + ridge
    Σₖ wₖ²: (k,) float64.

    Shapes and errors as in `log_likelihood_weights`. margin > 0; a lead is at most 1, so from 1 on the sum is
    linear, and without a ridge one member gets all the weight. With a variable ξ >= 1 − …, ξ >= 0 for each
    bracket this is a sparse quadratic programme, which Clarabel solves (Goulart & Chen 2024). Among several
    solutions its interior-point method ends in the middle, so equal members get equal weights.
    """
    _check(probabilities, y_true)
    leads = _leads(probabilities, y_true) / margin
    brackets, members = leads.shape
    each, none = identity(brackets), csc_array((brackets, brackets))
    quadratic = block_diag([2 * ridge * identity(members), none], format="csc")
    linear = np.concatenate([np.zeros(members), np.ones(brackets)])
    # Rows of A x + s = b, s in a cone: Σw = 1; w >= 0; ξ >= 0; leads w + ξ >= 1.
    a = block_array(
        [
            [np.ones((1, members)), None],
            [-identity(members), None],
            [None, -each],
            [-csc_array(leads), -each],
        ],
        format="csc",
    )
    b = np.concatenate([[1], np.zeros(members + brackets), -np.ones(brackets)])
    cones = [clarabel.ZeroConeT(1), clarabel.NonnegativeConeT(members + 2 * brackets)]
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    solution = clarabel.DefaultSolver(quadratic, linear, a, b, cones, settings).solve()
    if solution.status not in (clarabel.SolverStatus.Solved, clarabel.SolverStatus.AlmostSolved):
        raise ArithmeticError(f"Clarabel found no weights: {solution.status}")
    return _on_simplex(np.array(solution.x[:members]))


def _of_truth(probabilities: np.ndarray, y_true: np.ndarray) -> np.ndarray:
    """The probability of the true class by each member: (n, k) float64."""
    return probabilities[:, np.arange(len(y_true)), y_true].T.astype(np.float64)


def _leads(probabilities: np.ndarray, y_true: np.ndarray) -> np.ndarray:
    """How much more probable each member finds the true class than each other one: (n (classes − 1), k)."""
    others = np.arange(probabilities.shape[2]) != y_true[:, None]
    leads = _of_truth(probabilities, y_true)[:, None] - np.moveaxis(probabilities, 0, -1)
    return leads[others]


def _on_simplex(weights: np.ndarray) -> np.ndarray:
    """Remove rounding errors: weights >= 0 of sum 1."""
    weights = np.maximum(weights, 0)
    return weights / weights.sum()


def _check(probabilities: np.ndarray, y_true: np.ndarray) -> None:
    if probabilities.ndim != 3 or not len(y_true) or probabilities.shape[1] != len(y_true):
        shapes = f"{probabilities.shape}, {y_true.shape}"
        raise ValueError(f"probabilities (k, n, classes) and n > 0 classes, not {shapes}")
