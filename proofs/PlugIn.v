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

(* The tokens to which one of the two gives mass; the losses of others do not count. *)
Definition massive v := (0 < P v) || (0 < p v).

Lemma risk_differs d M : 0 <= M -> (forall v, massive v -> 0 <= l v * (1 - d v) <= M) ->
  `|risk P l d - risk p l d| <= D * M.
Proof.
move=> M0 hM; pose f v := if massive v then l v * (1 - d v) else 0; rewrite mulrC.
have E (m : V -> R) : distribution m -> (forall v, 0 < m v -> massive v) -> risk m l d = \sum_v m v * f v.
  move=> [m0 _] hm; apply: eq_bigr => v _; rewrite /f; case: ifPn => [_ | light]; first by rewrite mulrA.
  by rewrite (_ : m v = 0) ?mul0r //; apply: le_anti; rewrite m0 andbT leNgt; apply: contra light; exact: hm.
rewrite !E // => [|v pv|v Pv]; try by rewrite /massive ?pv ?Pv ?orbT.
by apply: expectations_differ => // v; rewrite /f; case: ifP => [/hM | _] //; rewrite lexx.
Qed.

(* S7: the risks under P and under p differ by at most D times the largest l (1 - d), for every decision. *)
Theorem S7_plug_in_risk d : decision d ->
  `|risk P l d - risk p l d| <= D * \big[Num.max/0]_(v | massive v) (l v * (1 - d v)).
Proof.
move=> hd; apply: risk_differs => [|v mv]; first exact: bigmax_ge.
have /andP[_ d1] := hd v; rewrite mulr_ge0 ?subr_ge0 //=.
by apply: (le_bigmax 0 (Q := massive) (fun v => l v * (1 - d v))); rewrite ?mem_index_enum.
Qed.

(* S7: for the dual decision that is at most mu D, however large a loss may be. *)
Theorem S7_plug_in_risk_of_the_dual mu : 0 <= mu ->
  D * \big[Num.max/0]_(v | massive v) (l v * (1 - dual l mu v)) <= mu * D /\
  `|risk P l (dual l mu) - risk p l (dual l mu)| <= mu * D.
Proof.
move=> mu0; have le : D * \big[Num.max/0]_(v | massive v) (l v * (1 - dual l mu v)) <= mu * D.
  rewrite mulrC; apply: ler_wpmul2r; first exact: total_variation_ge0.
  elim/big_ind: _ => [|x y hx hy|v _] //; first by rewrite le_maxl hx hy.
  by rewrite /dual; case: (ltP mu (l v)) => [_ | below] /=; rewrite ?subrr ?mulr0 // subr0 mulr1.
by split=> //; apply: le_trans le; apply: S7_plug_in_risk; exact/integral_decision/dual_integral.
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
