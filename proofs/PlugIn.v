(* S7: what it costs to weigh with p instead of the true distribution P, for given losses. *)
From mathcomp Require Import all_ssreflect all_algebra.
From Kad Require Import Knapsack Variation.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section PlugIn.
(* P is the true distribution, p its estimate. The dual decision reads the losses and the multiplier alone, neither P
   nor p: what is judged below under P is the very decision that is made with p. *)
Variables (R : realFieldType) (V : finType) (P p l : V -> R).
Hypothesis hP : distribution P.
Hypothesis hp : distribution p.
Hypothesis l0 : forall v, 0 <= l v.
Let D := total_variation P p.
Add Ring the_ring : (ring_of R).

(* S7: the deferred masses under P and under p differ by at most their distance D, for every decision. *)
Theorem S7_plug_in_mass d : decision d -> `|deferred_mass P d - deferred_mass p d| <= D.
Proof. by move=> hd; rewrite -[D]mul1r; exact: expectations_differ. Qed.

Lemma risk_differs d M : (forall v, 0 <= l v * (1 - d v) <= M) -> `|risk P l d - risk p l d| <= D * M.
Proof.
move=> hM; rewrite mulrC; have E (m : V -> R) : risk m l d = \sum_v m v * (l v * (1 - d v)).
  by apply: eq_bigr => v _; rewrite mulrA.
by rewrite !E; exact: expectations_differ.
Qed.

(* S7: the risks under P and under p differ by at most D times the largest l (1 - d), for every decision. *)
Theorem S7_plug_in_risk d : decision d ->
  `|risk P l d - risk p l d| <= D * \big[Num.max/0]_v (l v * (1 - d v)).
Proof.
move=> hd; apply: risk_differs => v; have /andP[_ d1] := hd v.
rewrite mulr_ge0 ?subr_ge0 //=.
by apply: (le_bigmax 0 (Q := xpredT) (fun v => l v * (1 - d v))); rewrite ?mem_index_enum.
Qed.

(* S7: for the dual decision by at most mu D, however large a loss may be. *)
Theorem S7_plug_in_risk_of_the_dual mu : 0 <= mu ->
  `|risk P l (dual l mu) - risk p l (dual l mu)| <= mu * D.
Proof.
move=> mu0; rewrite mulrC; apply: risk_differs => v; rewrite /dual.
case: (ltP mu (l v)) => [_ | le] /=; first by rewrite subrr mulr0 lexx.
by rewrite subr0 mulr1 l0.
Qed.

Lemma regret_of_a_threshold b d mu : 0 <= b -> 0 <= mu -> decision d ->
  (forall v, mu < l v -> d v = 1) -> (forall v, l v < mu -> d v = 0) ->
  risk P l d - optimal_risk P l b <= mu * (b - deferred_mass p d + D).
Proof.
case: hP => P0 _ b0 mu0 hd above below; rewrite (threshold_risk P b above below).
have step : mu * (b - deferred_mass P d) <= mu * (b - deferred_mass p d + D).
  apply: ler_wpmul2l => //; rewrite -addrA ler_add2l -ler_subl_addl opprK addrC.
  by have := S7_plug_in_mass hd; rewrite distrC; apply: le_trans; exact: ler_norm.
rewrite ler_subl_addl; apply: ler_add => //; exact: theta_le_optimal_risk.
Qed.

(* S7: the regret of the dual decision under the true P is at most mu (b - g_p + D). *)
Theorem S7_plug_in_regret b mu : 0 <= b -> 0 <= mu ->
  risk P l (dual l mu) - optimal_risk P l b <= mu * (b - deferred_mass p (dual l mu) + D).
Proof.
move=> b0 mu0; apply: regret_of_a_threshold => // [|v|v /ltW]; last exact: dual_below; last exact: dual_above.
exact/integral_decision/dual_integral.
Qed.

(* S7: that of the greedy, run with p and judged under P, is at most l_c (u + D). *)
Theorem S7_plug_in_regret_of_the_primal b s : 0 <= b -> falling l s ->
  risk P l (primal p b s) - optimal_risk P l b <= critical_loss p l b s * (unfilled p b s + D).
Proof.
move=> b0 order; apply: regret_of_a_threshold => //.
- exact: critical_loss_ge0.
- exact/integral_decision/primal_integral.
- by move=> v; exact: (primal_above order).
by move=> v; exact: (primal_below l0 order).
Qed.
End PlugIn.
