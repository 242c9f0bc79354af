(* Total variation: definitions and the two facts about it that S7 to S9 use. *)
From mathcomp Require Import all_ssreflect all_algebra.
From Kad Require Import Knapsack.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Variation.
Variables (R : realFieldType) (V : finType).
Implicit Types (p q f : V -> R) (M : R).
Add Ring the_ring : (ring_of R).

Definition distribution p := (forall v, 0 <= p v) /\ \sum_v p v = 1.

Lemma probability_le1 p v : distribution p -> p v <= 1.
Proof. by move=> [p0 <-]; rewrite (bigD1 v) //= ler_addl; apply: sumr_ge0. Qed.

Definition total_variation p q := (\sum_v `|p v - q v|) / 2%:R.

Lemma total_variation_ge0 p q : 0 <= total_variation p q.
Proof. by rewrite divr_ge0 ?ler0n //; apply: sumr_ge0 => v _; exact: normr_ge0. Qed.

Lemma total_variation_self p q : p =1 q -> total_variation p q = 0.
Proof. by move=> e; rewrite /total_variation big1 ?mul0r // => v _; rewrite e subrr normr0. Qed.

Lemma halves x : x / 2%:R + x / 2%:R = x :> R.
Proof. by rewrite -mulrDr -mulr2n -(mulr_natl 2%:R^-1) divff ?mulr1 // pnatr_eq0. Qed.

(* For 0 <= f <= M the expectations of f differ by at most M D. *)
Lemma expectations_differ p q f M : distribution p -> distribution q -> (forall v, 0 <= f v <= M) ->
  `|\sum_v p v * f v - \sum_v q v * f v| <= M * total_variation p q.
Proof.
move=> [_ p1] [_ q1] hf.
have -> : \sum_v p v * f v - \sum_v q v * f v = \sum_v (p v - q v) * (f v - M / 2%:R).
  have -> : \sum_v (p v - q v) * (f v - M / 2%:R) =
      \sum_v (p v * f v - q v * f v - (p v - q v) * (M / 2%:R)) by apply: eq_bigr => v _; arith.
  by rewrite sumrB -mulr_suml !sumrB p1 q1 subrr mul0r subr0.
apply: le_trans (ler_norm_sum _ _ _) _; rewrite /total_variation mulrCA mulr_suml.
apply: ler_sum => v _; rewrite normrM; apply: ler_wpmul2l => //.
have /andP[f0 fM] := hf v; rewrite ler_norml ler_subr_addl subrr f0 /= ler_subl_addl.
by rewrite halves.
Qed.

(* Total variation is the mass of the positive part. *)
Lemma total_variation_positive p q : distribution p -> distribution q ->
  total_variation p q = \sum_v Num.max 0 (p v - q v).
Proof.
move=> [_ p1] [_ q1]; rewrite /total_variation.
have -> : \sum_v `|p v - q v| = \sum_v (Num.max 0 (p v - q v) + Num.max 0 (p v - q v) - (p v - q v)).
  apply: eq_bigr => v _; case: (leP 0 (p v - q v)) => h; last by rewrite addr0 sub0r ltr0_norm.
  by rewrite addrK ger0_norm.
by rewrite sumrB sumrB p1 q1 subrr subr0 big_split /= mulrDl halves.
Qed.
End Variation.
