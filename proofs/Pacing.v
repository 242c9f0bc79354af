(* S15: a multiplier that is paced holds the mean deferral near the budget, on every sequence. *)
From mathcomp Require Import all_ssreflect all_algebra.
From Kad Require Import Knapsack Logarithm Variation Mixture.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Steps.
Variables (R : realFieldType) (b eta : R) (mu g : nat -> R).

Lemma mean_excess T : (0 < T)%N -> (\sum_(t < T) g t) / T%:R - b = (\sum_(t < T) (g t - b)) / T%:R.
Proof.
by move=> T0; rewrite sumrB sumr_const card_ord -[b *+ _]mulr_natr mulrBl mulfK // gt_eqF // ltr0n.
Qed.

(* From M on no more than the budget is deferred, so the multiplier does not rise there. *)
Lemma stays_below M : 0 < eta -> (forall t, mu t.+1 <= Num.max (mu 0%N) (mu t + eta * (g t - b))) ->
  (forall t, g t <= 1) -> (forall t, M <= mu t -> g t <= b) -> forall t, mu t <= Num.max (mu 0%N) (M + eta * (1 - b)).
Proof.
move=> eta0 moves g1 within; elim=> [|t ih]; first by rewrite le_maxr lexx.
apply: le_trans (moves t) _; rewrite le_maxl le_maxr lexx /=.
case: (leP M (mu t)) => [above | below].
  apply: le_trans ih; rewrite ger_addl mulr_ge0_le0 ?(ltW eta0) // subr_le0; exact: within.
rewrite le_maxr; apply/orP; right; apply: ler_add; first exact: ltW.
by apply: ler_wpmul2l; [exact: ltW | rewrite ler_add2r].
Qed.
End Steps.

Section Pacing.
(* After each step the multiplier moves by eta (g - b), and never below 0. Steps count from 0, so that mu 0 is the first
   multiplier; g is any sequence, whatever it depends on. *)
Variables (R : realFieldType) (b eta : R) (mu g : nat -> R).
Hypothesis eta0 : 0 < eta.
Hypothesis paced : forall t, mu t.+1 = Num.max 0 (mu t + eta * (g t - b)).
Add Ring the_ring : (ring_of R).

(* S15: after T steps the excess over the budget sums to at most (the last multiplier - the first) / eta. *)
Theorem S15_excess_is_bounded T : \sum_(t < T) (g t - b) <= (mu T - mu 0%N) / eta.
Proof.
rewrite ler_pdivl_mulr //; elim: T => [|T ih]; first by rewrite big_ord0 mul0r subrr.
rewrite big_ord_recr /= mulrDl.
have -> : mu T.+1 - mu 0%N = (mu T - mu 0%N) + (mu T.+1 - mu T) by arith.
apply: ler_add => //; rewrite paced ler_subr_addl mulrC le_maxr lexx orbT //.
Qed.

(* S15: so the mean deferral exceeds b by at most (the largest multiplier - the first) / (eta T). *)
Theorem S15_mean_deferral T : (0 < T)%N ->
  (\sum_(t < T) g t) / T%:R - b <= (\big[Num.max/mu 0%N]_(t < T.+1) mu t - mu 0%N) / (eta * T%:R).
Proof.
move=> T0; rewrite mean_excess // invfM mulrA; apply: ler_wpmul2r; first by rewrite invr_ge0 ler0n.
apply: le_trans (S15_excess_is_bounded T) _; apply: ler_wpmul2r; first by rewrite invr_ge0 ltW.
rewrite ler_add2r.
by have := le_bigmax (mu 0%N) (Q := xpredT) (fun t : 'I_T.+1 => mu t) (mem_index_enum (@ord_max T)); apply.
Qed.

(* S15: if from some multiplier M on no more than the budget is deferred, no multiplier is above M + eta (1 - b), unless
   the first is. *)
Theorem S15_multiplier_is_bounded M : 0 <= mu 0%N -> (forall t, g t <= 1) ->
  (forall t, M <= mu t -> g t <= b) -> forall t, mu t <= Num.max (mu 0%N) (M + eta * (1 - b)).
Proof.
by move=> mu0; apply: stays_below => // t; rewrite paced le_maxl !le_maxr mu0 lexx orbT.
Qed.
End Pacing.

Section Equality.
(* The same without the maximum: the multiplier of an equality may be negative. *)
Variables (R : realFieldType) (b eta : R) (mu g : nat -> R).
Hypothesis eta0 : 0 < eta.
Hypothesis paced : forall t, mu t.+1 = mu t + eta * (g t - b).
Add Ring the_ring : (ring_of R).

(* S15: after T steps the excess over the budget sums to (the last multiplier - the first) / eta. *)
Theorem S15_equality_excess T : \sum_(t < T) (g t - b) = (mu T - mu 0%N) / eta.
Proof.
apply: (canRL (mulfK _)); first by rewrite gt_eqF.
elim: T => [|T ih]; first by rewrite big_ord0 mul0r subrr.
by rewrite big_ord_recr /= mulrDl ih paced; arith.
Qed.

(* S15: if a negative multiplier defers the budget at least, none is below - eta b. *)
Theorem S15_equality_multiplier_is_above : 0 <= b -> 0 <= mu 0%N -> (forall t, 0 <= g t) ->
  (forall t, mu t < 0 -> b <= g t) -> forall t, - (eta * b) <= mu t.
Proof.
move=> b0 mu0 g0 all; have low : - (eta * b) <= 0 by rewrite oppr_le0 mulr_ge0 // ltW.
elim=> [|t ih]; first exact: le_trans low mu0.
rewrite paced; case: (ltP (mu t) 0) => [negative | positive].
  by apply: le_trans ih _; rewrite ler_addl mulr_ge0 ?(ltW eta0) // subr_ge0; exact: all.
rewrite -[- _]add0r; apply: ler_add => //.
by rewrite -mulrN; apply: ler_wpmul2l; [exact: ltW | rewrite ler_addr].
Qed.

(* S15: and if from some multiplier M on no more than the budget is deferred, none is above M + eta (1 - b), unless the
   first is. *)
Theorem S15_equality_multiplier_is_below M : (forall t, g t <= 1) ->
  (forall t, M <= mu t -> g t <= b) -> forall t, mu t <= Num.max (mu 0%N) (M + eta * (1 - b)).
Proof. by apply: stays_below => // t; rewrite paced le_maxr lexx orbT. Qed.

(* S15: so the mean deferral is at most max(the largest multiplier - the first, the first + eta b) / (eta T) away from b. *)
Theorem S15_equality_mean_deferral M T : 0 <= b -> 0 <= mu 0%N -> (forall t, 0 <= g t) -> (forall t, g t <= 1) ->
  (forall t, mu t < 0 -> b <= g t) -> (forall t, M <= mu t -> g t <= b) -> (0 < T)%N ->
  `|(\sum_(t < T) g t) / T%:R - b| <=
  Num.max (Num.max (mu 0%N) (M + eta * (1 - b)) - mu 0%N) (mu 0%N + eta * b) / (eta * T%:R).
Proof.
move=> b0 mu0 g0 g1 all within T0; rewrite mean_excess // S15_equality_excess invfM !mulrA !normrM.
rewrite (ger0_norm (_ : 0 <= eta^-1)) ?invr_ge0 ?(ltW eta0) // (ger0_norm (_ : 0 <= T%:R^-1)) ?invr_ge0 ?ler0n //.
apply: ler_wpmul2r; first by rewrite invr_ge0 ler0n.
apply: ler_wpmul2r; first by rewrite invr_ge0 ltW.
have high := S15_equality_multiplier_is_below g1 within T.
have low := S15_equality_multiplier_is_above b0 mu0 g0 all T.
rewrite ler_norml; apply/andP; split; last by rewrite le_maxr ler_add2r high.
rewrite ler_oppl le_maxr; apply/orP; right.
by rewrite opprB; apply: ler_add => //; rewrite ler_oppl.
Qed.
End Equality.

Section Losses.
Variables (R : realFieldType) (V : finType).

(* S15: with a loss that is nowhere negative, a negative multiplier defers everything. *)
Theorem S15_negative_multiplier (p l : V -> R) mu :
  distribution p -> (forall v, 0 < p v -> 0 <= l v) -> mu < 0 -> deferred_mass p (dual l mu) = 1.
Proof.
move=> [p0 <-] l0 negative; apply: eq_bigr => v _; rewrite /dual.
have [-> | nz] := eqVneq (p v) 0; first by rewrite mul0r.
by rewrite (lt_le_trans negative) ?mulr1 // l0 // lt_neqAle eq_sym nz p0.
Qed.

(* S15: with a loss that never exceeds a number, a multiplier from that number on defers nothing. *)
Theorem S15_bounded_loss (P l : V -> R) most mu b :
  (forall v, 0 <= P v) -> (forall v, 0 < P v -> l v <= most) -> most <= mu -> 0 <= b -> deferred_mass P (dual l mu) <= b.
Proof.
move=> P0 lm large b0; rewrite /deferred_mass big1 // => v _; rewrite /dual.
have [-> | nz] := eqVneq (P v) 0; first by rewrite mul0r.
by rewrite ltNge (le_trans _ large) ?mulr0 // lm // lt_neqAle eq_sym nz P0.
Qed.

(* S15: so, where no loss is negative and from some multiplier M on no position defers more than b, the mean deferral of an
   equality is at most max(max(the first multiplier, M + eta (1 - b)) - the first, the first + eta b) / (eta T) away from b. *)
Theorem S15_equality (p l : nat -> V -> R) (b eta M : R) (mu : nat -> R) T :
  (forall t, distribution (p t)) -> (forall t v, 0 < p t v -> 0 <= l t v) ->
  (forall t, M <= mu t -> deferred_mass (p t) (dual (l t) (mu t)) <= b) -> 0 <= b -> b <= 1 -> 0 < eta -> 0 <= mu 0%N ->
  (forall t, mu t.+1 = mu t + eta * (deferred_mass (p t) (dual (l t) (mu t)) - b)) -> (0 < T)%N ->
  `|(\sum_(t < T) deferred_mass (p t) (dual (l t) (mu t))) / T%:R - b| <=
  Num.max (Num.max (mu 0%N) (M + eta * (1 - b)) - mu 0%N) (mu 0%N + eta * b) / (eta * T%:R).
Proof.
move=> hp l0 within b0 b1 eta0 mu0 paced T0; have hd t := integral_decision (dual_integral (l t) (mu t)).
apply: (S15_equality_mean_deferral eta0 paced) => // t.
- exact: (alpha_ge0 (hp t) (hd t)).
- exact: (alpha_le1 (hp t) (hd t)).
by move=> negative; rewrite S15_negative_multiplier //; exact: l0.
Qed.
End Losses.

Section Logistic.
Variables (R : realFieldType) (V : finType) (log : R -> R) (e : R).
Hypothesis hlog : logarithm log e.

(* S15: tokens of probability below lambda have together at most the mass |V| lambda. *)
Theorem S15_mass_below_a_threshold (p : V -> R) lambda : 0 <= lambda ->
  \sum_(v | p v < lambda) p v <= #|V|%:R * lambda.
Proof.
move=> lambda0; rewrite mulr_natl -sumr_const big_mkcond /=; apply: ler_sum => v _.
by case: ltP => // /ltW.
Qed.

(* S15: with the logistic loss and P = p, a multiplier of log(|V| / b) or more defers at most b. *)
Theorem S15_logistic_threshold (p l : V -> R) b mu : distribution p -> logistic log p l -> 0 < b ->
  log (#|V|%:R / b) <= mu -> deferred_mass p (dual l mu) <= b.
Proof.
move=> [p0 p1] hl b0 large.
have n0 : 0 < #|V|%:R :> R.
  rewrite ltr0n lt0n; apply/eqP => /card0_eq h; move: p1; rewrite big_pred0 // => /eqP.
  by rewrite eq_sym oner_eq0.
have r0 : 0 < #|V|%:R / b by rewrite divr_gt0.
apply: (@le_trans _ _ (\sum_(v in V) b / #|V|%:R)); last first.
  by rewrite sumr_const -mulr_natr divfK // gt_eqF.
apply: ler_sum => v _; rewrite /dual; case: ltP => [above | _]; last by rewrite mulr0 divr_ge0 // ltW.
rewrite mulr1; have [z | nz] := eqVneq (p v) 0; first by rewrite z divr_ge0 // ltW.
have pos : 0 < p v by rewrite lt_neqAle eq_sym nz p0.
move: (le_lt_trans large above); rewrite (hl v pos) ltr_oppr -(log_inverse hlog) // invf_div.
by rewrite (log_lt hlog) ?divr_gt0 // => /ltW.
Qed.

(* S15: so, paced over any sequence of distributions with the logistic loss, no multiplier is above
   log(|V| / b) + eta (1 - b), unless the first is. *)
Theorem S15_logistic_multiplier_is_bounded (p l : nat -> V -> R) (b eta : R) (mu : nat -> R) :
  (forall t, distribution (p t)) -> (forall t, logistic log (p t) (l t)) -> 0 < b -> 0 < eta -> 0 <= mu 0%N ->
  (forall t, mu t.+1 = Num.max 0 (mu t + eta * (deferred_mass (p t) (dual (l t) (mu t)) - b))) ->
  forall t, mu t <= Num.max (mu 0%N) (log (#|V|%:R / b) + eta * (1 - b)).
Proof.
move=> hp hl b0 eta0 mu0 paced; apply: (S15_multiplier_is_bounded eta0 paced) => // t.
  exact: (alpha_le1 (hp t) (integral_decision (dual_integral (l t) (mu t)))).
by apply: S15_logistic_threshold => //; exact: hl.
Qed.

(* S15: and so the mean deferral exceeds b by at most (max(the first, log(|V| / b) + eta (1 - b)) - the
   first) / (eta T). *)
Theorem S15_logistic_mean_deferral (p l : nat -> V -> R) (b eta : R) (mu : nat -> R) T :
  (forall t, distribution (p t)) -> (forall t, logistic log (p t) (l t)) -> 0 < b -> 0 < eta -> 0 <= mu 0%N ->
  (forall t, mu t.+1 = Num.max 0 (mu t + eta * (deferred_mass (p t) (dual (l t) (mu t)) - b))) -> (0 < T)%N ->
  (\sum_(t < T) deferred_mass (p t) (dual (l t) (mu t))) / T%:R - b <=
  (Num.max (mu 0%N) (log (#|V|%:R / b) + eta * (1 - b)) - mu 0%N) / (eta * T%:R).
Proof.
move=> hp hl b0 eta0 mu0 paced T0; apply: le_trans (S15_mean_deferral eta0 paced T0) _.
apply: ler_wpmul2r; first by rewrite invr_ge0 mulr_ge0 ?ler0n // ltW.
rewrite ler_add2r; elim/big_ind: _ => [|x y hx hy|t _]; first by rewrite le_maxr lexx.
  by rewrite le_maxl hx hy.
exact: (S15_logistic_multiplier_is_bounded hp hl b0 eta0 mu0 paced).
Qed.

(* S15: so with the logistic loss the mean deferral of an equality is at most
   max(max(the first multiplier, log(|V| / b) + eta (1 - b)) - the first, the first + eta b) / (eta T) away from b. *)
Theorem S15_logistic_equality (p l : nat -> V -> R) (b eta : R) (mu : nat -> R) T :
  (forall t, distribution (p t)) -> (forall t, logistic log (p t) (l t)) -> 0 < b -> b <= 1 -> 0 < eta -> 0 <= mu 0%N ->
  (forall t, mu t.+1 = mu t + eta * (deferred_mass (p t) (dual (l t) (mu t)) - b)) -> (0 < T)%N ->
  `|(\sum_(t < T) deferred_mass (p t) (dual (l t) (mu t))) / T%:R - b| <=
  Num.max (Num.max (mu 0%N) (log (#|V|%:R / b) + eta * (1 - b)) - mu 0%N) (mu 0%N + eta * b) / (eta * T%:R).
Proof.
move=> hp hl b0 b1 eta0 mu0 paced T0; apply: S15_equality => // [t v pv|t large|]; last exact: ltW.
  by rewrite (hl t) // oppr_ge0 (log_le0 hlog) // probability_le1.
by apply: S15_logistic_threshold => //; exact: hl.
Qed.
End Logistic.
