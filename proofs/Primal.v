(* S4 and S5: the gap of the greedy; that it is a threshold, keeps a nucleus, and saves half of what can be saved. *)
From mathcomp Require Import all_ssreflect all_algebra.
From Kad Require Import Knapsack Logarithm Fractional.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Gap.
Variables (R : realFieldType) (V : finType) (P l : V -> R) (b : R) (s : seq V).
Hypothesis P0 : forall v, 0 <= P v.
Hypothesis l0 : forall v, 0 <= l v.
Hypothesis b0 : 0 <= b.
Hypothesis order : falling l s.
Add Ring the_ring : (ring_of R).

(* S4: the greedy takes a prefix of the order, of mass at most b, and no longer prefix has as little. *)
Theorem S4_greedy_is_the_longest_prefix :
  [/\ greedy P b s = take (size (greedy P b s)) s, \sum_(v <- greedy P b s) P v <= b &
      forall n, (n <= size s)%N -> \sum_(v <- take n s) P v <= b -> (n <= size (greedy P b s))%N].
Proof.
split; [|exact: greedy_fits | exact: greedy_longest].
by rewrite {2}/greedy size_takel // fitting_size.
Qed.

(* S4: if everything fits, everything is deferred: there is no critical token, l_c is 0, and so is the risk. *)
Theorem S4_everything_may_fit : \sum_v P v <= b ->
  [/\ critical P b s = None, critical_loss P l b s = 0 & risk P l (primal P b s) = 0].
Proof.
move=> fits; have none : critical P b s = None.
  case e : (critical P b s) => [c|] //; have := unfilled_lt order e; rewrite ltNge => /negP[].
  rewrite ler_subr_addl; apply: le_trans fits; rewrite [X in _ <= X](bigD1 c) //= addrC ler_add2l.
  rewrite /deferred_mass (bigD1 c) //= (primal_of_critical order) // mulr0 add0r.
  by apply: ler_sum => v _; rewrite ler_pimulr // /primal lern1; case: (v \in _).
split=> //; first by rewrite /critical_loss none.
by apply: big1 => v _; rewrite /primal (greedy_whole order) // subrr mulr0.
Qed.

(* S4: the greedy is above the optimum of the linear relaxation by exactly l_c u. *)
Theorem S4_primal_gap r : relaxed_optimum P l b r ->
  risk P l (primal P b s) - r = critical_loss P l b s * unfilled P b s.
Proof.
move=> /(relaxed_optimumE P0 l0 b0 order) ->; rewrite (primal_risk P b l0 order).
by have [_ -> _] := S6_strong_duality P0 l0 b0 order; arith.
Qed.

(* S4: so it is above the exact optimum by at most l_c u. *)
Theorem S4_primal_regret :
  0 <= risk P l (primal P b s) - optimal_risk P l b <= critical_loss P l b s * unfilled P b s.
Proof.
apply/andP; split.
  by rewrite subr_ge0 optimal_risk_le //; [exact: primal_integral | exact: (primal_feasible P b0 order)].
rewrite -(S4_primal_gap (S6_fractional_solves_the_relaxation P0 l0 b0 order)) ler_add2l ler_opp2.
exact: S6_fractional_beats_the_optimum.
Qed.

(* S4: the unfilled budget is not negative, and less than the mass of the critical token. *)
Theorem S4_unfilled_budget : 0 <= unfilled P b s /\
  forall c, critical P b s = Some c -> unfilled P b s < P c.
Proof. by split; [exact: (unfilled_ge0 _ b0 order) | move=> c; exact: (unfilled_lt order)]. Qed.

(* S4: l_c u is at most l_c P_c, and less if l_c is positive. *)
Theorem S4_critical_bound :
  critical_loss P l b s * unfilled P b s <= critical_loss P l b s * critical_mass P b s /\
  (0 < critical_loss P l b s ->
   critical_loss P l b s * unfilled P b s < critical_loss P l b s * critical_mass P b s).
Proof.
rewrite /critical_loss /critical_mass; case e: (critical P b s) => [c|] /=; last by rewrite !mul0r ltxx.
have lt := unfilled_lt order e.
by split=> [|pos]; [apply: ler_wpmul2l => //; exact: ltW | rewrite ltr_pmul2l].
Qed.

(* S4: with the logistic loss and P = p the gap is below 1 / e nats, always. Of the logarithm only the properties in
   Logarithm.v are used. A token of mass 0 may have any loss, for it is never the critical one. *)
Theorem S4_logistic_gap (log : R -> R) (e : R) : logarithm log e -> logistic log P l ->
  critical_loss P l b s * unfilled P b s < e^-1.
Proof.
move=> hlog hl; have [_ strict] := S4_critical_bound; move: strict.
have [c0 | pos] := ltP 0 (critical_loss P l b s); last first.
  move=> _; apply: le_lt_trans (_ : _ <= 0) _; last by rewrite invr_gt0 (base_positive hlog).
  by rewrite mulr_le0_ge0 // (unfilled_ge0 _ b0 order).
move=> /(_ isT) strict; apply: lt_le_trans strict _.
move: c0; rewrite /critical_loss /critical_mass; case e0: (critical P b s) => [c|] /=; last by rewrite ltxx.
have Pc := critical_positive b0 order e0; rewrite (hl c) // => _.
by rewrite mulNr mulrC; exact: entropy_le.
Qed.

(* S4: so the greedy is less than 1 / e above the optimum of the linear relaxation, and above the exact optimum. *)
Theorem S4_logistic_regret (log : R -> R) (e r : R) : logarithm log e -> logistic log P l -> relaxed_optimum P l b r ->
  risk P l (primal P b s) - r < e^-1 /\ risk P l (primal P b s) - optimal_risk P l b < e^-1.
Proof.
move=> hlog hl hr; rewrite (S4_primal_gap hr); split; first exact: (S4_logistic_gap hlog hl).
by have /andP[_ regret] := S4_primal_regret; apply: le_lt_trans regret (S4_logistic_gap hlog hl).
Qed.

(* S5: up to ties the greedy is the dual decision at l_c: they agree on every token whose loss is not l_c. *)
Theorem S5_primal_is_a_threshold v : l v != critical_loss P l b s ->
  primal P b s v = dual l (critical_loss P l b s) v.
Proof.
rewrite neq_lt => /orP[below | above].
  by rewrite (primal_below l0 order below) dual_below // ltW.
by rewrite (primal_above order above) dual_above.
Qed.

(* S5: of the tokens whose loss is l_c, the dual decision keeps every one. *)
Theorem S5_primal_defers_what_the_dual_defers v : dual l (critical_loss P l b s) v <= primal P b s v.
Proof.
have [e | ne] := eqVneq (l v) (critical_loss P l b s); last by rewrite S5_primal_is_a_threshold.
by rewrite dual_below ?e // /primal ler0n.
Qed.

(* Deferring one token and nothing else. *)
Lemma mass_of_one v : deferred_mass P (defer R [set v]) = P v.
Proof.
rewrite /deferred_mass (bigD1 v) //= /defer inE eqxx mulr1 big1 ?addr0 // => w ne.
by rewrite inE (negPf ne) mulr0.
Qed.

Lemma saving_of_one v : saving P l (defer R [set v]) = P v * l v.
Proof.
rewrite savingE (bigD1 v) //= /defer inE eqxx mulr1 big1 ?addr0 // => w ne.
by rewrite inE (negPf ne) mulr0.
Qed.

(* What the best single token that fits the budget saves; 0 if none fits. *)
Definition best_single := \big[Num.max/0]_(v | P v <= b) saving P l (defer R [set v]).

Lemma saving_le_optimal_saving d : integral d -> deferred_mass P d <= b ->
  saving P l d <= risk P l (fun=> 0) - optimal_risk P l b.
Proof. by move=> id gd; rewrite ler_add2l ler_opp2; exact: optimal_risk_le. Qed.

(* S5: where the critical token alone fits the budget, the better of the greedy and the best single token that fits
   saves at least half of what the optimum saves. *)
Theorem S5_half_where_the_critical_token_fits : critical_mass P b s <= b ->
  (risk P l (fun=> 0) - optimal_risk P l b) / 2%:R <= Num.max (saving P l (primal P b s)) best_single.
Proof.
move=> fits; rewrite ler_pdivr_mulr ?ltr0n // mulr_natr mulr2n.
have /andP[_ regret] := S4_primal_regret; have [critical_le _] := S4_critical_bound.
have -> : risk P l (fun=> 0) - optimal_risk P l b =
  saving P l (primal P b s) + (risk P l (primal P b s) - optimal_risk P l b) by rewrite /saving; arith.
apply: ler_add; first by rewrite le_maxr lexx.
apply: le_trans regret (le_trans critical_le _); rewrite le_maxr; apply/orP; right.
move: fits; rewrite /critical_loss /critical_mass; case: (critical P b s) => [c|] /= fits; last first.
  by rewrite mul0r bigmax_ge.
rewrite mulrC -saving_of_one.
by apply: (le_bigmax 0 (Q := fun v => P v <= b) (fun v => saving P l (defer R [set v]))); rewrite ?mem_index_enum.
Qed.

(* S5: so for any loss, where no token is heavier than the budget. *)
Theorem S5_half_where_every_token_fits : (forall v, P v <= b) ->
  (risk P l (fun=> 0) - optimal_risk P l b) / 2%:R <= Num.max (saving P l (primal P b s)) best_single.
Proof.
by move=> fits; apply: S5_half_where_the_critical_token_fits; rewrite /critical_mass; case: (critical P b s) => /=.
Qed.
End Gap.

Section Nucleus.
Variables (R : realFieldType) (V : finType) (P : V -> R).
Implicit Types (A K : {set V}) (m : R).
Hypothesis P0 : forall v, 0 <= P v.

(* The nucleus of mass m (top-p): most probable tokens that reach the mass m, and would not without any one of them. *)
Definition nucleus m K :=
  [/\ forall v w, v \in K -> w \notin K -> P w <= P v,
      m <= \sum_(v in K) P v &
      forall v, v \in K -> \sum_(w in K :\ v) P w < m].

Lemma sum_of_lighter A K : (#|A| <= #|K|)%N -> (forall v w, v \in A -> w \in K -> P v <= P w) ->
  \sum_(v in A) P v <= \sum_(w in K) P w.
Proof.
move=> card lighter; case: (set_0Vmem K) => [K0 | [k kK]].
  by move: card; rewrite K0 cards0 leqn0 cards_eq0 => /eqP ->; rewrite !big_set0.
case: (@Order.TotalTheory.arg_minP _ _ _ k (mem K) P kK) => k0 kK0 least.
apply: (@le_trans _ _ (P k0 *+ #|A|)).
  by rewrite -sumr_const; apply: ler_sum => v vA; exact: lighter.
apply: (@le_trans _ _ (P k0 *+ #|K|)); last by rewrite -sumr_const; apply: ler_sum => w wK; exact: least.
exact: ler_wpmuln2l.
Qed.

(* No set of tokens that reaches the mass m has fewer tokens than the nucleus. *)
Lemma nucleus_is_smallest m K A : nucleus m K -> m <= \sum_(v in A) P v -> (#|K| <= #|A|)%N.
Proof.
case=> top _ minimal reaches; rewrite leqNgt; apply/negP => lt.
have lt' : (#|A :\: K| < #|K :\: A|)%N by rewrite -(ltn_add2l #|A :&: K|) cardsID setIC cardsID.
have /card_gt0P[v] : (0 < #|K :\: A|)%N by exact: leq_ltn_trans lt'.
rewrite inE => /andP[vA vK].
have := minimal v vK; apply/negP; rewrite -leNgt; apply: le_trans reaches _.
rewrite (big_setID K) /= [X in _ <= X](big_setID A) /=.
have -> : (K :\ v) :&: A = A :&: K.
  by apply/setP => w; rewrite !inE; case: eqP => [-> | _]; rewrite ?(negPf vA) //= andbC.
rewrite ler_add2l; apply: sum_of_lighter => [|w x].
  have -> : (K :\ v) :\: A = (K :\: A) :\ v by apply/setP => w; rewrite !inE andbCA.
  by move: lt'; rewrite (cardsD1 v (K :\: A)) !inE vA vK.
by rewrite !inE => /andP[wK _] /andP[_ /andP[_ xK]]; exact: top.
Qed.
End Nucleus.

Section StrictlyFalling.
(* A loss that falls strictly with the mass, and P = p. *)
Variables (R : realFieldType) (V : finType) (P l : V -> R) (b : R) (s : seq V).
Hypothesis P0 : forall v, 0 <= P v.
Hypothesis l0 : forall v, 0 <= l v.
Hypothesis b0 : 0 <= b.
Hypothesis order : falling l s.
Hypothesis falls : forall v w, P v < P w -> l w < l v.

Definition kept := [set v | v \notin greedy P b s].

Lemma kept_is_heavier v w : v \in kept -> w \notin kept -> P w <= P v.
Proof.
rewrite !inE negbK => vK wK; rewrite leNgt; apply/negP => /falls.
apply/negP; rewrite -leNgt.
exact: le_trans (greedy_below order vK) (greedy_above l0 order wK).
Qed.

Lemma critical_is_lightest c v : critical P b s = Some c -> v \in kept -> P c <= P v.
Proof.
move=> e; rewrite inE => vK; rewrite leNgt; apply/negP => /falls.
by apply/negP; rewrite -leNgt; have := greedy_below order vK; rewrite /critical_loss e.
Qed.

Lemma mass_of_kept : \sum_(v in kept) P v = \sum_v P v - deferred_mass P (primal P b s).
Proof.
rewrite big_mkcond /deferred_mass -sumrB; apply: eq_bigr => v _; rewrite inE /primal.
by case: (v \in greedy P b s); rewrite /= ?mulr1 ?subrr // mulr0 subr0.
Qed.

(* S5: for a loss that falls strictly with the probability, what the greedy keeps is the nucleus of mass 1 - b. *)
Theorem S5_primal_keeps_a_nucleus : \sum_v P v = 1 -> nucleus P (1 - b) kept.
Proof.
move=> P1; split; first exact: kept_is_heavier.
  by rewrite mass_of_kept P1 ler_add2l ler_opp2; exact: (primal_feasible P b0 order).
move=> v vK; have -> : \sum_(w in kept :\ v) P w = 1 - deferred_mass P (primal P b s) - P v.
  by rewrite -P1 -mass_of_kept (big_setD1 v vK) /= addrC addKr.
case e: (critical P b s) => [c|]; last by move: vK; rewrite inE (greedy_whole order).
rewrite -addrA ltr_add2l -opprD ltr_opp2.
have := unfilled_lt order e; rewrite /unfilled ltr_subl_addl => lt; apply: lt_le_trans lt _.
by rewrite ler_add2l; exact: critical_is_lightest e vK.
Qed.

(* S5: and no set of tokens of mass 1 - b has fewer tokens. *)
Theorem S5_primal_keeps_fewest (A : {set V}) : \sum_v P v = 1 -> 1 - b <= \sum_(v in A) P v -> (#|kept| <= #|A|)%N.
Proof. by move=> P1; apply: (nucleus_is_smallest P0 (S5_primal_keeps_a_nucleus P1)). Qed.

(* S5: if everything fits, the greedy is exactly optimal, and nothing is risked. *)
Theorem S5_exact_if_everything_fits : \sum_v P v <= b ->
  risk P l (primal P b s) = optimal_risk P l b /\ optimal_risk P l b = 0.
Proof.
move=> fits; have [_ _ ->] := S4_everything_may_fit P0 order fits.
by rewrite everything_fits // => v; rewrite mulr_ge0.
Qed.

(* S5: if the critical token is heavier than the whole budget, the greedy is exactly optimal. *)
Theorem S5_exact_if_the_critical_token_is_heavy c : critical P b s = Some c -> b < P c ->
  risk P l (primal P b s) = optimal_risk P l b.
Proof.
move=> e heavy; apply/eqP; rewrite eq_le andbC optimal_risk_le //; first last.
- exact: (primal_feasible P b0 order).
- exact: primal_integral.
apply: le_optimal_risk => // d id gd; apply: ler_sum => v _; apply: ler_wpmul2l; first exact: mulr_ge0.
rewrite ler_add2l ler_opp2; case: (boolP (v \in greedy P b s)) => vg.
  by rewrite /primal vg; case: (id v) => ->; rewrite ?ler01.
case: (id v) => dv; first by rewrite dv /primal ler0n.
have vK : v \in kept by rewrite inE.
suff : P v <= b by rewrite leNgt (lt_le_trans heavy (critical_is_lightest e vK)).
apply: le_trans gd; rewrite /deferred_mass (bigD1 v) //= dv mulr1 ler_addl.
by apply: sumr_ge0 => w _; apply: mulr_ge0 => //; case: (id w) => ->; rewrite ?ler01.
Qed.

(* S5: the better of the greedy and the best single token that fits the budget saves at least half of what the optimum
   saves. *)
Theorem S5_half_of_the_saving :
  (risk P l (fun=> 0) - optimal_risk P l b) / 2%:R <= Num.max (saving P l (primal P b s)) (best_single P l b).
Proof.
case e: (critical P b s) => [c|]; last first.
  by apply: S5_half_where_the_critical_token_fits; rewrite // /critical_mass e.
case: (leP (P c) b) => [fits | heavy].
  by apply: S5_half_where_the_critical_token_fits; rewrite // /critical_mass e.
rewrite -(S5_exact_if_the_critical_token_is_heavy e heavy) -/(saving P l (primal P b s)) le_maxr.
apply/orP; left; rewrite ler_pdivr_mulr ?ltr0n // ler_pemulr ?ler1n //.
by rewrite savingE; apply: sumr_ge0 => v _; apply: mulr_ge0; [exact: mulr_ge0 | rewrite /primal ler0n].
Qed.
End StrictlyFalling.
