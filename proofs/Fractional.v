(* S6: splitting one token fills the budget and solves the linear relaxation. *)
From mathcomp Require Import all_ssreflect all_algebra.
From Kad Require Import Knapsack.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Fractional.
Variables (R : realFieldType) (V : finType) (P l : V -> R) (b : R) (s : seq V).
Hypothesis P0 : forall v, 0 <= P v.
Hypothesis l0 : forall v, 0 <= l v.
Hypothesis b0 : 0 <= b.
Hypothesis order : falling l s.
Add Ring the_ring : (ring_of R).

Lemma primal_of_critical c : critical P b s = Some c -> primal P b s c = 0.
Proof. by move=> /(critical_notin order) /negPf h; rewrite /primal h. Qed.

(* S6: it splits at most one token, the critical one; every other is deferred whole or not at all, as by the greedy. *)
Theorem S6_fractional_splits_one_token v : critical P b s != Some v -> fractional P b s v = primal P b s v.
Proof. by rewrite /fractional => /negPf ->. Qed.

(* S6: the split is a share, so it can be read as a probability of rejection. *)
Theorem S6_fractional_is_a_probability : decision (fractional P b s).
Proof.
move=> v; rewrite /fractional; case: eqP => [e | _]; last exact/integral_decision/primal_integral.
have Pc := critical_positive b0 order e.
rewrite divr_ge0 ?(unfilled_ge0 _ b0 order) //= ler_pdivr_mulr // mul1r ltW //.
exact: (unfilled_lt order).
Qed.

Lemma mass_with_a_critical_token c : critical P b s = Some c -> deferred_mass P (fractional P b s) = b.
Proof.
move=> e; have Pc := critical_positive b0 order e.
transitivity (deferred_mass P (primal P b s) + unfilled P b s); last by rewrite /unfilled; arith.
rewrite /deferred_mass (bigD1 c) //= [in RHS](bigD1 c) //= primal_of_critical // mulr0 add0r addrC; congr (_ + _).
  by apply: eq_bigr => v ne; rewrite S6_fractional_splits_one_token // e; apply: contra ne => /eqP[->].
by rewrite /fractional e eqxx mulrC divfK // gt_eqF.
Qed.

Lemma mass_with_none : critical P b s = None -> deferred_mass P (fractional P b s) = \sum_v P v.
Proof.
move=> e; apply: eq_bigr => v _; rewrite S6_fractional_splits_one_token ?e // /primal.
by rewrite (greedy_whole order) // mulr1.
Qed.

Lemma total_with_none : critical P b s = None -> \sum_v P v <= b.
Proof.
move=> e; apply: le_trans (primal_feasible P b0 order); rewrite le_eqVlt; apply/orP; left; apply/eqP.
by apply: eq_bigr => v _; rewrite /primal (greedy_whole order) // mulr1.
Qed.

(* S6: the budget is spent to the last bit, if there is as much mass. *)
Theorem S6_fractional_fills : b <= \sum_v P v -> deferred_mass P (fractional P b s) = b.
Proof.
case e: (critical P b s) => [c|] total; first exact: mass_with_a_critical_token e.
by rewrite mass_with_none //; apply/eqP; rewrite eq_le total total_with_none.
Qed.

(* S6: and if there is not, everything is deferred: the deferred mass is min(b, sum P). *)
Theorem S6_fractional_mass : deferred_mass P (fractional P b s) = Num.min b (\sum_v P v).
Proof.
case: (leP b (\sum_v P v)) => [|lt]; first exact: S6_fractional_fills.
case e: (critical P b s) => [c|]; last exact: mass_with_none.
have : deferred_mass P (fractional P b s) <= \sum_v P v.
  apply: ler_sum => v _; rewrite ler_pimulr //; by case/andP: (S6_fractional_is_a_probability v).
by rewrite (mass_with_a_critical_token e) leNgt lt.
Qed.

Lemma fractional_feasible : deferred_mass P (fractional P b s) <= b.
Proof. by rewrite S6_fractional_mass le_minl lexx. Qed.

(* S6: its risk is the largest value of the dual function, taken at the loss of the critical token. *)
Theorem S6_strong_duality :
  [/\ 0 <= critical_loss P l b s,
      risk P l (fractional P b s) = theta P l b (critical_loss P l b s) &
      forall mu, 0 <= mu -> theta P l b mu <= risk P l (fractional P b s)].
Proof.
split; first exact: critical_loss_ge0; last first.
  by move=> mu mu0; apply: theta_le_risk => //; [exact: S6_fractional_is_a_probability | exact: fractional_feasible].
have other v : l v != critical_loss P l b s -> fractional P b s v = primal P b s v.
  by move=> ne; apply: S6_fractional_splits_one_token; apply: contra_neq ne; rewrite /critical_loss => ->.
rewrite (threshold_risk (l := l) P b (mu := critical_loss P l b s)) => [|v above|v below]; first last.
- by rewrite other ?lt_eqF // (primal_below l0 order).
- by rewrite other ?gt_eqF // (primal_above order).
case e: (critical P b s) => [c|]; first by rewrite (mass_with_a_critical_token e) subrr mulr0 addr0.
by rewrite /critical_loss e /= mul0r addr0.
Qed.

(* S6: it solves the linear relaxation: no decision within the budget, fractional or not, risks less. *)
Theorem S6_fractional_solves_the_relaxation : relaxed_optimum P l b (risk P l (fractional P b s)).
Proof.
split.
  by exists (fractional P b s); [exact: S6_fractional_is_a_probability | split=> //; exact: fractional_feasible].
move=> d hd gd; have [c0 -> _] := S6_strong_duality; exact: theta_le_risk.
Qed.

(* S6: so it risks no more than the exact optimum over 0-1 decisions. *)
Theorem S6_fractional_beats_the_optimum : risk P l (fractional P b s) <= optimal_risk P l b.
Proof. by have [c0 -> _] := S6_strong_duality; exact: theta_le_optimal_risk. Qed.

(* The relaxation has one optimum. *)
Lemma relaxed_optimumE r : relaxed_optimum P l b r -> r = risk P l (fractional P b s).
Proof.
case=> [[d hd [gd <-]] least]; have [_ h] := S6_fractional_solves_the_relaxation.
apply/eqP; rewrite eq_le h // andbT; apply: least; [exact: S6_fractional_is_a_probability | exact: fractional_feasible].
Qed.
End Fractional.
