"""A new solver: the primal greedy, or the most valuable single token that fits, where that saves more (theory S5).

For a loss that falls strictly with p_v it saves at least half of what the exact optimum saves.
"""

from dataclasses import dataclass

import torch

from kad import Logistic, Primal, Solver, solve
from kad.testing import check_solver


@dataclass(frozen=True)
class BestOfTwo(Solver):
    budget: float
    feasible = True

    def defer(self, loss, mass):
        greedy = Primal(self.budget).defer(loss, mass)
        saving = torch.where(mass > 0, mass * loss, 0.0)
        best = torch.where(mass <= self.budget, saving, -1.0).argmax(-1, keepdim=True)
        single = torch.zeros_like(mass).scatter(-1, best, 1.0) * (mass <= self.budget)
        better = (saving * single).sum(-1, keepdim=True) > (saving * greedy).sum(-1, keepdim=True)
        return torch.where(better, single, greedy)


if __name__ == "__main__":
    for budget in (0.0, 0.3, 0.6, 1.0):
        check_solver(BestOfTwo(budget))
    p = torch.tensor([0.48, 0.4, 0.12], dtype=torch.float64)
    for solver in (Primal(0.45), BestOfTwo(0.45)):
        s = solve(Logistic()(p), p, solver)
        print(f"{solver}: defers {s.d.tolist()}, risk {float(s.risk):.3f}, at least {float(s.lower_bound):.3f}")
