(* What is used of the natural logarithm, as hypotheses: no real analysis is needed for more than these. *)
From mathcomp Require Import all_ssreflect all_algebra.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Logarithm.
Variable R : realFieldType.

(* log turns products into sums, lies below its tangent x - 1 at 1, and is 1 at e. Over the real numbers these make it
   the natural logarithm, and e its base. *)
Record logarithm (log : R -> R) (e : R) : Prop := Logarithm {
  base_positive : 0 < e;
  log_base : log e = 1;
  log_product : forall x y, 0 < x -> 0 < y -> log (x * y) = log x + log y;
  log_tangent : forall x, 0 < x -> log x <= x - 1 }.

Variables (log : R -> R) (e : R).
Hypothesis h : logarithm log e.

Lemma log_one : log 1 = 0.
Proof. by apply: (@addrI _ (log 1)); rewrite -(log_product h) ?ltr01 // mulr1 addr0. Qed.

Lemma log_inverse x : 0 < x -> log x^-1 = - log x.
Proof.
move=> x0; apply/eqP; rewrite -addr_eq0 -(log_product h) ?invr_gt0 // mulVf ?log_one //.
by rewrite gt_eqF.
Qed.

Lemma log_rises x y : 0 < x -> x < y -> log x < log y.
Proof.
move=> x0 xy; have y0 := lt_trans x0 xy; have r0 : 0 < x / y by rewrite divr_gt0.
have -> : x = y * (x / y) by rewrite mulrC divfK // gt_eqF.
rewrite (log_product h) // gtr_addl; apply: le_lt_trans (log_tangent h r0) _.
by rewrite subr_lt0 ltr_pdivr_mulr // mul1r.
Qed.

Lemma log_lt x y : 0 < x -> 0 < y -> (log x < log y) = (x < y).
Proof.
move=> x0 y0; apply/idP/idP; last exact: log_rises.
by case: (ltgtP x y) => // [/(log_rises y0) /ltW|->]; [rewrite leNgt => /negPf -> | rewrite ltxx].
Qed.

Lemma log_le0 x : 0 < x -> x <= 1 -> log x <= 0.
Proof. by move=> x0 x1; apply: le_trans (log_tangent h x0) _; rewrite subr_le0. Qed.

(* - x log x is at most 1 / e. *)
Lemma entropy_le x : 0 < x -> - (x * log x) <= e^-1.
Proof.
move=> x0; have e0 := base_positive h; have ex0 : 0 < e * x by rewrite mulr_gt0.
have := log_tangent h (x := (e * x)^-1); rewrite invr_gt0 => /(_ ex0).
rewrite log_inverse // (log_product h) // (log_base h) opprD addrC ler_add2r => le.
rewrite -mulrN; apply: le_trans (ler_wpmul2l (ltW x0) le) _.
by rewrite invfM mulrCA divff ?mulr1 // gt_eqF.
Qed.

(* The logistic loss, - log P. A token of mass 0 may have any loss: it stands for infinity where that matters. *)
Definition logistic (V : finType) (P l : V -> R) := forall v, 0 < P v -> l v = - log (P v).
End Logarithm.
