"""Every statement as a function that returns both of its sides, so that it can be checked on your own p, q* and P.

| | statement | functions |
|---|---|---|
| S1 | the dual bounds the optimum | `dual_function` `lagrangian` `dual_minimises` `weak_duality` |
| S2 | the gap of a dual decision | `gap_identity` `dual_regret` |
| S3 | a dual decision is optimal for the mass that it defers | `everett` |
| S4 | the gap of the greedy prefix | `primal_gap` `primal_regret` `logistic_regret` |
| S5 | a threshold, a nucleus, and half with the best single token | `primal_is_a_threshold` `primal_keeps_a_nucleus` `half_of_the_saving` |
| S6 | splitting one token solves the relaxation | `strong_duality` `fractional_fills` `fractional_beats_the_optimum` |
| S7 | plug-in error (paper, Lemma 5) | `plug_in_mass` `plug_in_risk` `plug_in_risk_of_the_dual` `plug_in_regret` `plug_in_regret_of_the_primal` |
| S8 | distances of the mixture | `distance_to_proxy` `distance_to_base` |
| S9 | comparison with nudging (paper, Lemma 6) | `closer_than_base` `nudging_comparison` |
| S10 | speculation | `acceptance_probability` `acceptance_floor` `emitted_law` `tokens_per_round` |
| S11 | the lazy proxy | `lazy_law` `certified_mode` |
| S12 | the mixture as rejection | `lazy_law` |
| S13 | bounds that know tokens are indivisible | `majorisation` `sized_majorisation` `majorisation_against_relaxation` |
| S14 | one price for all positions of a text | `everett_over_a_text` `one_price_dominates` |
| S15 | a price that keeps the mean deferred mass | `pacing` `pacing_bound` `kept_mean` |

The frontier: `optimal_risk` r*(b), `primal_risk`, `fractional_risk`, `dual_function` θ(μ), `unfilled_budget` u(b);
its bounds at any size: `majorisation_bound`, `sized_majorisation_bound`. The price of S15: `paced_multipliers`,
`highest_price`. `family`: named distributions to try them on.
"""

from .families import family as family
from .knapsack import Claim as Claim
from .knapsack import critical_loss as critical_loss
from .knapsack import deferred_mass as deferred_mass
from .knapsack import dual_function as dual_function
from .knapsack import dual_minimises as dual_minimises
from .knapsack import dual_regret as dual_regret
from .knapsack import everett as everett
from .knapsack import fractional_beats_the_optimum as fractional_beats_the_optimum
from .knapsack import fractional_fills as fractional_fills
from .knapsack import fractional_risk as fractional_risk
from .knapsack import gap_identity as gap_identity
from .knapsack import half_of_the_saving as half_of_the_saving
from .knapsack import lagrangian as lagrangian
from .knapsack import logistic_regret as logistic_regret
from .knapsack import optimal_risk as optimal_risk
from .knapsack import primal_gap as primal_gap
from .knapsack import primal_is_a_threshold as primal_is_a_threshold
from .knapsack import primal_keeps_a_nucleus as primal_keeps_a_nucleus
from .knapsack import primal_regret as primal_regret
from .knapsack import primal_risk as primal_risk
from .knapsack import risk as risk
from .knapsack import strong_duality as strong_duality
from .knapsack import unfilled_budget as unfilled_budget
from .knapsack import weak_duality as weak_duality
from .majorisation import cost_of as cost_of
from .majorisation import majorisation as majorisation
from .majorisation import majorisation_against_relaxation as majorisation_against_relaxation
from .majorisation import majorisation_bound as majorisation_bound
from .majorisation import sized_majorisation as sized_majorisation
from .majorisation import sized_majorisation_bound as sized_majorisation_bound
from .mixtures import acceptance_floor as acceptance_floor
from .mixtures import acceptance_probability as acceptance_probability
from .mixtures import certified_mode as certified_mode
from .mixtures import closer_than_base as closer_than_base
from .mixtures import distance_to_base as distance_to_base
from .mixtures import distance_to_proxy as distance_to_proxy
from .mixtures import emitted_law as emitted_law
from .mixtures import lazy_law as lazy_law
from .mixtures import nudging_comparison as nudging_comparison
from .mixtures import plug_in_mass as plug_in_mass
from .mixtures import plug_in_regret as plug_in_regret
from .mixtures import plug_in_regret_of_the_primal as plug_in_regret_of_the_primal
from .mixtures import plug_in_risk as plug_in_risk
from .mixtures import plug_in_risk_of_the_dual as plug_in_risk_of_the_dual
from .mixtures import tokens_per_round as tokens_per_round
from .texts import everett_over_a_text as everett_over_a_text
from .texts import highest_price as highest_price
from .texts import kept_mean as kept_mean
from .texts import one_price_dominates as one_price_dominates
from .texts import paced_multipliers as paced_multipliers
from .texts import pacing as pacing
from .texts import pacing_bound as pacing_bound
