(* S8 and S9: how far the mixture is from either model, and the comparison with nudging; and of S6, that a fractional
   decision leaves the mixture a distribution. *)
From mathcomp Require Import all_ssreflect all_algebra.
From Kad Require Import Knapsack Logarithm Variation.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Mixture.
(* p is the base model's distribution, q the proxy's. *)
Variables (R : realFieldType) (V : finType) (p q : V -> R).
Hypothesis hp : distribution p.
Hypothesis hq : distribution q.
Implicit Type d : V -> R.
Add Ring the_ring : (ring_of R).

(* The mixture pi = p (1 - d) + alpha q, where alpha = g(d) is the deferred mass. *)
Definition mixture d v := p v * (1 - d v) + deferred_mass p d * q v.

(* The base's distribution given that its token is kept, and given that it is deferred. Where there is nothing to divide
   by, the quotient is 0, as is its factor below. *)
Definition keep d v := p v * (1 - d v) / (1 - deferred_mass p d).
Definition deferred d v := p v * d v / deferred_mass p d.

Lemma alpha_le1 d : decision d -> deferred_mass p d <= 1.
Proof.
case: hp => p0 <- hd; apply: ler_sum => v _.
by rewrite ler_pimulr //; case/andP: (hd v).
Qed.

Lemma alpha_ge0 d : decision d -> 0 <= deferred_mass p d.
Proof. by case: hp => p0 _; exact: deferred_mass_ge0. Qed.

Lemma kept_mass d : \sum_v p v * (1 - d v) = 1 - deferred_mass p d.
Proof. by have [_ p1] := hp; rewrite -[in RHS]p1 /deferred_mass -sumrB; apply: eq_bigr => v _; arith. Qed.

(* S6: the mixture is a distribution for every decision, a fractional one too. *)
Theorem S6_mixture_is_a_distribution d : decision d -> distribution (mixture d).
Proof.
move=> hd; have [p0 _] := hp; have [q0 q1] := hq; split=> [v|].
  by rewrite addr_ge0 // mulr_ge0 ?alpha_ge0 // subr_ge0; case/andP: (hd v).
by rewrite big_split /= kept_mass -mulr_sumr q1; arith.
Qed.

(* Any function of which 1 - alpha times is p (1 - d), and any of which alpha times is p d. Where the factor is 0 that is
   every function, so every distribution. *)
Definition is_keep d k := forall v, (1 - deferred_mass p d) * k v = p v * (1 - d v).
Definition is_deferred d k := forall v, deferred_mass p d * k v = p v * d v.

Lemma keepE d : decision d -> is_keep d (keep d).
Proof.
move=> hd v; have [p0 _] := hp; rewrite /keep mulrC.
have [e | ne] := eqVneq (1 - deferred_mass p d) 0; last by rewrite divfK.
rewrite e mulr0; apply/esym.
have ge0 w : true -> 0 <= p w * (1 - d w) by move=> _; rewrite mulr_ge0 // subr_ge0; case/andP: (hd w).
by move: (kept_mass d); rewrite e => /(psumr_eq0P ge0); apply.
Qed.

Lemma deferredE d : decision d -> is_deferred d (deferred d).
Proof.
move=> hd v; have [p0 _] := hp; rewrite /deferred mulrC.
have [e | ne] := eqVneq (deferred_mass p d) 0; last by rewrite divfK.
rewrite e mulr0; apply/esym.
have ge0 w : true -> 0 <= p w * d w by move=> _; rewrite mulr_ge0 //; case/andP: (hd w).
exact: (psumr_eq0P ge0 e).
Qed.

(* S8: the base's distributions given that its token is kept and given that it is deferred are distributions wherever they
   are defined, and parts of p as every other choice is there. *)
Theorem S8_parts_are_distributions d : decision d ->
  [/\ is_keep d (keep d), is_deferred d (deferred d), deferred_mass p d < 1 -> distribution (keep d) &
      0 < deferred_mass p d -> distribution (deferred d)].
Proof.
move=> hd; have [p0 _] := hp; split=> [||lt|lt]; [exact: keepE | exact: deferredE | split | split].
- by move=> v; rewrite divr_ge0 ?subr_ge0 ?alpha_le1 // mulr_ge0 // subr_ge0; case/andP: (hd v).
- by rewrite -mulr_suml kept_mass divff // subr_eq0 gt_eqF.
- by move=> v; rewrite divr_ge0 ?alpha_ge0 // mulr_ge0 //; case/andP: (hd v).
by rewrite -mulr_suml divff // gt_eqF.
Qed.

(* S8: p = (1 - alpha) p_keep + alpha p_defer. *)
Theorem S8_base_is_a_mixture d k h v : is_keep d k -> is_deferred d h ->
  p v = (1 - deferred_mass p d) * k v + deferred_mass p d * h v.
Proof. by move=> -> ->; arith. Qed.

(* S8: pi = (1 - alpha) p_keep + alpha q. *)
Theorem S8_mixture_of_keep_and_proxy d k v : is_keep d k ->
  mixture d v = (1 - deferred_mass p d) * k v + deferred_mass p d * q v.
Proof. by move=> ->. Qed.

(* S8: the distance of the mixture to the proxy is 1 - alpha times that of p_keep. *)
Theorem S8_distance_to_proxy d k : decision d -> is_keep d k ->
  total_variation (mixture d) q = (1 - deferred_mass p d) * total_variation k q.
Proof.
move=> hd hk; rewrite /total_variation mulrA mulr_sumr; congr (_ / _); apply: eq_bigr => v _.
have a0 : 0 <= 1 - deferred_mass p d by rewrite subr_ge0 alpha_le1.
rewrite -[X in _ = X * _](ger0_norm a0) -normrM; congr (`|_|).
by rewrite (S8_mixture_of_keep_and_proxy v hk); arith.
Qed.

(* S8: its distance to the base is alpha times that of p_defer to the proxy. *)
Theorem S8_distance_to_base d k : decision d -> is_deferred d k ->
  total_variation (mixture d) p = deferred_mass p d * total_variation k q.
Proof.
move=> hd hk; rewrite /total_variation mulrA mulr_sumr; congr (_ / _); apply: eq_bigr => v _.
rewrite -[X in _ = X * _](ger0_norm (alpha_ge0 hd)) -normrM distrC; congr (`|_|).
by rewrite mulrBr hk /mixture; arith.
Qed.

(* S9: for every decision, a fractional one too, the mixture is at most alpha (1 - beta) further from the proxy than the
   base is, where beta is the proxy's mass on deferred tokens. *)
Theorem S9_closer_than_base d : decision d ->
  total_variation (mixture d) q <= total_variation p q + deferred_mass p d * (1 - deferred_mass q d).
Proof.
move=> hd; have [q0 q1] := hq.
rewrite (total_variation_positive (S6_mixture_is_a_distribution hd) hq) (total_variation_positive hp hq).
have -> : 1 - deferred_mass q d = \sum_v q v * (1 - d v).
  by rewrite -[in LHS]q1 /deferred_mass -sumrB; apply: eq_bigr => v _; arith.
rewrite mulr_sumr -big_split /=; apply: ler_sum => v _.
have /andP[d0 d1] := hd v; have a0 := alpha_ge0 hd; have a1 := alpha_le1 hd.
have pos : 0 <= Num.max 0 (p v - q v) by rewrite le_maxr lexx.
rewrite le_maxl addr_ge0 //=; last by rewrite !mulr_ge0 // subr_ge0.
have -> : mixture d v - q v = (1 - d v) * (p v - q v) + (deferred_mass p d - d v) * q v by rewrite /mixture; arith.
apply: ler_add.
  apply: (@le_trans _ _ ((1 - d v) * Num.max 0 (p v - q v))).
    by apply: ler_wpmul2l; rewrite ?subr_ge0 // le_maxr lexx orbT.
  by rewrite ler_pimull // ler_subl_addr ler_addl.
rewrite (mulrC (q v)) mulrA; apply: ler_wpmul2r => //.
rewrite mulrBr mulr1 ler_add2l ler_opp2.
by rewrite ler_pimull.
Qed.

(* Nudging's distribution: the proxy's where the base's largest probability is below lambda, else the base's. *)
Definition nudged lambda v := if [forall w, p w < lambda] then q v else p v.

(* The decision that defers every token whose probability is below lambda. *)
Definition below lambda v : R := (p v < lambda)%R%:R.

(* S9: with that decision the mixture is at most alpha (1 - beta) further from the proxy than nudging's distribution. *)
Theorem S9_nudging_comparison lambda : total_variation (mixture (below lambda)) q <=
  total_variation (nudged lambda) q + deferred_mass p (below lambda) * (1 - deferred_mass q (below lambda)).
Proof.
have hd : decision (below lambda) by move=> v; rewrite /below; case: (_ < _); rewrite ?lexx ?ler01.
case: (boolP [forall w, p w < lambda]) => h; last first.
  suff -> : total_variation (nudged lambda) q = total_variation p q by exact: S9_closer_than_base.
  by rewrite /total_variation; congr (_ / _); apply: eq_bigr => v _; rewrite /nudged (negPf h).
have [[_ p1] [_ q1]] := (hp, hq).
have all1 (m : V -> R) : \sum_v m v = 1 -> deferred_mass m (below lambda) = 1.
  by move=> <-; apply: eq_bigr => v _; rewrite /below (forallP h) mulr1.
rewrite !all1 // subrr mulr0 addr0 !total_variation_self // => v; first by rewrite /nudged h.
by rewrite /mixture all1 // /below (forallP h) subrr mulr0 add0r mul1r.
Qed.

(* S9: it is the decision of the logistic dual at mu = - log lambda, and so the comparison with nudging at lambda holds
   for that dual. A token of probability 0 stands for an infinite loss: one above mu. *)
Theorem S9_nudging_comparison_of_the_logistic_dual (log : R -> R) (e lambda : R) (l : V -> R) :
  logarithm log e -> 0 < lambda -> logistic log p l -> (forall v, p v = 0 -> - log lambda < l v) ->
  total_variation (mixture (dual l (- log lambda))) q <= total_variation (nudged lambda) q +
    deferred_mass p (dual l (- log lambda)) * (1 - deferred_mass q (dual l (- log lambda))).
Proof.
move=> hlog lambda0 hl infinite; set d := dual l (- log lambda).
have e0 : d =1 below lambda.
  move=> v; rewrite /d /dual /below; congr (_%:R); congr nat_of_bool.
  have [z | nz] := eqVneq (p v) 0; first by rewrite infinite // z lambda0.
  have pos : 0 < p v by rewrite lt_neqAle eq_sym nz; case: hp => ->.
  by rewrite (hl v pos) ltr_opp2 (log_lt hlog).
have -> : total_variation (mixture d) q = total_variation (mixture (below lambda)) q.
  rewrite /total_variation; congr (_ / _); apply: eq_bigr => v _.
  by rewrite /mixture e0 (eq_deferred_mass p e0).
by rewrite !(eq_deferred_mass _ e0); exact: S9_nudging_comparison.
Qed.
End Mixture.
