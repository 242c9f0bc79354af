(* How many tokens a round of the loop yields. *)
From mathcomp Require Import all_ssreflect all_algebra.
From Kad Require Import Knapsack Variation Mixture Speculation Law Round.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Yield.
Variables (R : realFieldType) (V : finType) (p d q : seq V -> V -> R) (a : R).
Hypothesis p_law : forall x, distribution (p x).
Hypothesis q_law : forall x, distribution (q x).
Hypothesis d_decision : forall x, decision (d x).

(* After every text a draft stands with the same probability. *)
Hypothesis steady : forall x, accepted (pi p d q x) (q x) = a.

Let laws x : distribution (pi p d q x) := pi_law p_law q_law d_decision x.
Let one := one_fair p_law q_law d_decision.

Lemma last_sum e x : mean (last p d q e x) (fun=> 1) = 1.
Proof.
rewrite -[RHS](mean_last one e x).
by apply: eq_mean => s; rewrite value_one.
Qed.

Lemma last_written e x : mean (last p d q e x) (fun s => (written s)%:R) = (size x).+1%:R.
Proof.
rewrite -[RHS](mean_const _ (last_sum e x)); apply: (@mean_surely _ _ _ (fun s => written s == (size x).+1)).
  rewrite /last; case: (e x).
  - apply: surely_then => v; apply: surely_then => kept; apply: (surely_ret R).
    by case: kept; rewrite /written /= ?size_rcons ?addn0 ?addn1.
  - by apply: (surely_ret R); rewrite /written addn1.
  by apply: surely_then => v; apply: (surely_ret R); rewrite /written /= size_rcons addn0.
by move=> s /eqP ->.
Qed.

Lemma verify_written e n x :
  mean (draft q n xpredT x) (fun s => mean (verify p d q e x s) (fun s' => (written s')%:R)) =
  (size x)%:R + \sum_(i < n.+1) a ^+ i.
Proof.
elim: n x => [|n ih] x; first by rewrite /= mean_ret /= last_written big_ord1 expr0 mulrS addrC.
rewrite /= mean_bind mean_draw; set S := \sum_(i < n.+1) a ^+ i; set K : R := (size x).+1%:R.
transitivity (\sum_v pi p d q x v * K + a * S); last first.
  have [_ pi1] := laws x; rewrite -mulr_suml pi1 mul1r big_ord_recl expr0 /K mulrS -addrA addrCA; congr (_ + (_ + _)).
  by rewrite mulr_sumr; apply: eq_bigr => i _; rewrite exprS.
rewrite -(emitted_mean (laws x) (q_law x) (fun=> K)) -(steady x) /accepted mulr_suml -big_split /=.
apply: eq_bigr => v _; rewrite -mulrA -mulrDr; congr (_ * _); rewrite mean_map /comp /=.
have fallen : mean (draw (residual (pi p d q x) (q x))) (fun w => (written (rcons x w, Nothing))%:R) =
    \sum_w residual (pi p d q x) (q x) w * K :> R.
  by rewrite mean_draw; apply: eq_bigr => w _; rewrite /written /= size_rcons addn0.
under eq_mean => s do rewrite mean_bind mean_coin mean_map /comp fallen.
rewrite mean_add !mean_scale ih size_rcons -/K mean_const ?draft_sum //.
by rewrite mulrDr addrAC.
Qed.

(* S10: with the same chance a of acceptance after every text, a round of g drafts brings 1 + a + ... + a^g tokens in the
   mean, one that is owed included, whatever was owed before and however the round ends. *)
Theorem S10_round_yield g e s :
  mean (round p d q (Rule g xpredT e) s) (fun out => (written out.2)%:R) =
  (written s)%:R + (if a == 1 then g.+1%:R else (1 - a ^+ g.+1) / (1 - a)).
Proof.
have [sum <-] := S10_tokens_per_round a g; rewrite sum /round mean_bind.
transitivity (mean (settle p d q s) (fun x => (size x)%:R + \sum_(i < g.+1) a ^+ i)).
  apply: eq_mean => x; rewrite -(verify_written e) mean_bind; apply: eq_mean => drafts.
  by rewrite mean_map.
rewrite -[RHS](mean_const (m := settle p d q s)); last first.
  by rewrite (mean_settle one s) value_one.
apply: (@mean_surely _ _ _ (fun x => size x == written s)) => [|x /eqP -> //].
case: s => x []; rewrite /settle /written; first by apply: (surely_ret R); rewrite addn0.
  by apply: surely_then => v; apply: (surely_ret R); rewrite size_rcons addn1.
by apply: surely_then => v; apply: (surely_ret R); rewrite size_rcons addn1.
Qed.
End Yield.
