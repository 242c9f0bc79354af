(* S1 to S3 and S14: the dual bounds the optimum, the gap of a dual decision, and what it is optimal for. *)
From mathcomp Require Import all_ssreflect all_algebra.
From Kad Require Import Knapsack.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Dual.
Variables (R : realFieldType) (V : finType) (P l : V -> R).
Hypothesis P0 : forall v, 0 <= P v.
Add Ring the_ring : (ring_of R).

(* S1: the decision 1[l > mu] minimises the Lagrangian, among fractional decisions too, and the minimum is theta(mu). *)
Theorem S1_dual_minimises b mu :
  lagrangian P l b (dual l mu) mu = theta P l b mu /\
  forall d, decision d -> lagrangian P l b (dual l mu) mu <= lagrangian P l b d mu.
Proof.
have eq : lagrangian P l b (dual l mu) mu = theta P l b mu.
  by apply: threshold_attains => v; [exact: dual_above | move=> /ltW; exact: dual_below].
by split=> // d hd; rewrite eq; exact: theta_le_lagrangian.
Qed.

(* S1: of all minimisers of the Lagrangian, 1[l > mu] defers least. *)
Theorem S1_dual_defers_least b mu d : decision d -> lagrangian P l b d mu = theta P l b mu ->
  deferred_mass P (dual l mu) <= deferred_mass P d.
Proof.
move=> hd eq; apply: ler_sum => v _.
have /andP[d0 d1] := hd v; case: (ltP mu (l v)) => [above | below]; last first.
  by rewrite dual_below // mulr0 mulr_ge0.
rewrite dual_above // mulr1.
move: eq; rewrite lagrangianE /theta => /addIr /eqP; rewrite -subr_eq0 -sumrB psumr_eq0; last first.
  move=> w _; rewrite -mulrBr mulr_ge0 // subr_ge0; have /andP[w0 w1] := hd w; set m := Num.min _ _.
  have -> : m = (1 - d w) * m + d w * m by arith.
  by apply: ler_add; apply: ler_wpmul2l; rewrite ?subr_ge0 // /m le_minl lexx ?orbT.
move=> /allP /(_ v (mem_index_enum v)) /=; rewrite min_r ?(ltW above) // -mulrBr.
have -> : (1 - d v) * l v + d v * mu - mu = (1 - d v) * (l v - mu) by arith.
rewrite !mulf_eq0 (subr_eq0 (l v)) [l v == mu]gt_eqF // orbF subr_eq0.
by case/orP => /eqP => [-> | <-]; rewrite ?mul0r ?mulr1.
Qed.

(* S1: theta is concave. *)
Theorem S1_dual_function_is_concave b t mu nu : 0 <= t <= 1 ->
  t * theta P l b mu + (1 - t) * theta P l b nu <= theta P l b (t * mu + (1 - t) * nu).
Proof.
move=> /andP[t0 t1]; set x := _ + _ * nu.
have [eq _] := S1_dual_minimises b x; rewrite -eq.
have -> : lagrangian P l b (dual l x) x =
  t * lagrangian P l b (dual l x) mu + (1 - t) * lagrangian P l b (dual l x) nu by rewrite /lagrangian /x; arith.
have hd := integral_decision (dual_integral l x).
by apply: ler_add; apply: ler_wpmul2l; rewrite ?subr_ge0 //; exact: theta_le_lagrangian.
Qed.

(* S1: theta(mu) bounds the optimum r*(b) from below, for every price mu that is not negative. *)
Theorem S1_weak_duality b mu : 0 <= b -> 0 <= mu -> theta P l b mu <= optimal_risk P l b.
Proof. by move=> b0 mu0; exact: theta_le_optimal_risk. Qed.

(* S1: it bounds the risk of every feasible decision, a fractional one too. *)
Theorem S1_weak_duality_of_the_relaxation b mu d :
  0 <= mu -> decision d -> deferred_mass P d <= b -> theta P l b mu <= risk P l d.
Proof. exact: theta_le_risk. Qed.

(* S2: r(d) = theta(mu) + mu (b - g(d)) for the dual decision d at mu. *)
Theorem S2_gap_identity b mu :
  risk P l (dual l mu) = theta P l b mu + mu * (b - deferred_mass P (dual l mu)).
Proof. by apply: threshold_risk => v; [exact: dual_above | move=> /ltW; exact: dual_below]. Qed.

(* S2: a dual decision within the budget is above the optimum by at most mu u, u the unfilled budget. *)
Theorem S2_dual_regret b mu : 0 <= mu -> deferred_mass P (dual l mu) <= b ->
  0 <= risk P l (dual l mu) - optimal_risk P l b <= mu * (b - deferred_mass P (dual l mu)).
Proof.
move=> mu0 gd; have hd := dual_integral l mu.
have b0 : 0 <= b by apply: le_trans gd; apply: deferred_mass_ge0 => //; exact: integral_decision.
rewrite subr_ge0 optimal_risk_le //= ler_subl_addl (S2_gap_identity b) ler_add2r.
exact: S1_weak_duality.
Qed.

(* S2: a dual decision that overshoots the budget is not above the optimum. *)
Theorem S2_overshooting_is_no_worse b mu : 0 <= b -> 0 <= mu -> b < deferred_mass P (dual l mu) ->
  risk P l (dual l mu) <= optimal_risk P l b.
Proof.
move=> b0 mu0 gd; apply: le_trans (S1_weak_duality b0 mu0).
by rewrite (S2_gap_identity b) ger_addl mulr_ge0_le0 // subr_le0 ltW.
Qed.

(* S3: a dual decision is an exact optimum for the mass that it defers. *)
Theorem S3_everett mu : 0 <= mu ->
  risk P l (dual l mu) = optimal_risk P l (deferred_mass P (dual l mu)).
Proof.
move=> mu0; apply/eqP; rewrite -subr_eq0 eq_le andbC.
by have := S2_dual_regret mu0 (lexx _); rewrite subrr mulr0.
Qed.

(* S3: no fractional decision that defers as little does better either. *)
Theorem S3_everett_of_the_relaxation mu d :
  0 <= mu -> decision d -> deferred_mass P d <= deferred_mass P (dual l mu) -> risk P l (dual l mu) <= risk P l d.
Proof.
move=> mu0 hd gd; apply: le_trans (theta_le_risk l P0 mu0 hd gd).
by rewrite (S2_gap_identity (deferred_mass P (dual l mu))) subrr mulr0 addr0.
Qed.
End Dual.

Section Text.
(* The positions of a text, any finite set; at each its own masses and losses over the common vocabulary. *)
Variables (R : realFieldType) (T V : finType) (P l : T -> V -> R).
Hypothesis P0 : forall t v, 0 <= P t v.

(* S14: with one multiplier for all positions the total risk is at most that of any rule, fractional or not, and the
   multiplier times what that rule defers more. *)
Theorem S14_one_price mu (d : T -> V -> R) : (forall t, decision (d t)) ->
  \sum_t risk (P t) (l t) (dual (l t) mu) <= \sum_t risk (P t) (l t) (d t) +
    mu * (\sum_t deferred_mass (P t) (d t) - \sum_t deferred_mass (P t) (dual (l t) mu)).
Proof.
move=> hd; rewrite -sumrB mulr_sumr -big_split /=; apply: ler_sum => t _.
have [_ /(_ _ (hd t))] := @S1_dual_minimises R V (P t) (l t) (P0 t) 0 mu.
by rewrite /lagrangian !subr0 -ler_subr_addr -addrA -mulrBr.
Qed.

(* S14: so of all rules that defer exactly as much in total none has less risk, whatever the sign of the multiplier. *)
Theorem S14_exactly_as_much mu (d : T -> V -> R) : (forall t, decision (d t)) ->
  \sum_t deferred_mass (P t) (d t) = \sum_t deferred_mass (P t) (dual (l t) mu) ->
  \sum_t risk (P t) (l t) (dual (l t) mu) <= \sum_t risk (P t) (l t) (d t).
Proof. by move=> hd e; apply: le_trans (S14_one_price mu hd) _; rewrite e subrr mulr0 addr0. Qed.

(* S14: one multiplier for all positions minimises the total risk among all rules, fractional ones too, that defer no
   more mass in total. *)
Theorem S14_everett_over_a_text mu (d : T -> V -> R) : 0 <= mu -> (forall t, decision (d t)) ->
  \sum_t deferred_mass (P t) (d t) <= \sum_t deferred_mass (P t) (dual (l t) mu) ->
  \sum_t risk (P t) (l t) (dual (l t) mu) <= \sum_t risk (P t) (l t) (d t).
Proof.
move=> mu0 hd; rewrite /deferred_mass /risk !pair_bigA /= => gd.
exact: (@S3_everett_of_the_relaxation R _ (fun x => P x.1 x.2) (fun x => l x.1 x.2) (fun x => P0 x.1 x.2) mu
  (fun x => d x.1 x.2) mu0 (fun x => hd x.1 x.2) gd).
Qed.

(* S14: so it dominates every budget per position, even one that differs from position to position, if these budgets
   sum to no more than the mass that it defers. *)
Theorem S14_one_price_beats_budgets mu (b : T -> R) (d : T -> V -> R) : 0 <= mu -> (forall t, decision (d t)) ->
  (forall t, deferred_mass (P t) (d t) <= b t) -> \sum_t b t <= \sum_t deferred_mass (P t) (dual (l t) mu) ->
  \sum_t risk (P t) (l t) (dual (l t) mu) <= \sum_t risk (P t) (l t) (d t).
Proof.
move=> mu0 hd gd sb; apply: S14_everett_over_a_text => //.
by apply: le_trans sb; apply: ler_sum => t _; exact: gd.
Qed.

(* S14: in particular the sum of the optima for such budgets. *)
Theorem S14_one_price_beats_optima mu (b : T -> R) : 0 <= mu -> (forall t, 0 <= b t) ->
  \sum_t b t <= \sum_t deferred_mass (P t) (dual (l t) mu) ->
  \sum_t risk (P t) (l t) (dual (l t) mu) <= \sum_t optimal_risk (P t) (l t) (b t).
Proof.
move=> mu0 b0 sb; pose d t := defer R (optimal_set (P t) (l t) (b t)).
apply: (S14_one_price_beats_budgets (b := b) (d := d)) => // t; first exact/integral_decision/defer_integral.
exact: optimal_set_feasible.
Qed.
End Text.
