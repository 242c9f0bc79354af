(* The knapsack of deferral: what is deferred, what it risks, its dual function and its greedy, and the facts about them
   that every statement rests on. R is any ordered field and V any finite vocabulary. *)
From mathcomp Require Import all_ssreflect all_algebra.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* Identities of a field by Coq's ring. The structures through which mathcomp reads an operation differ from place to
   place; arith first writes them all in one way. *)
Lemma ring_of (R : realFieldType) :
  @ring_theory (GRing.Zmodule.sort (Num.RealField.zmodType R))
    0 (1 : R) +%R ( *%R : R -> R -> R) (fun x y => x - y) -%R eq.
Proof.
by split; [exact: add0r | exact: addrC | exact: addrA | exact: mul1r | exact: mulrC | exact: mulrA | exact: mulrDl
  | | exact: subrr].
Qed.

Ltac write_as old new := tryif constr_eq old new then fail else change old with new.
Ltac arith :=
  match goal with
  | R : realFieldType |- _ =>
      apply: subr0_eq;
      match goal with |- @eq _ ?x ?y => change (@eq (GRing.Zmodule.sort (Num.RealField.zmodType R)) x y) end;
      repeat match goal with
        | |- context [@GRing.add ?Z] => write_as (@GRing.add Z) (@GRing.add (Num.RealField.zmodType R))
        | |- context [@GRing.opp ?Z] => write_as (@GRing.opp Z) (@GRing.opp (Num.RealField.zmodType R))
        | |- context [GRing.zero ?Z] => write_as (GRing.zero Z) (GRing.zero (Num.RealField.zmodType R))
        | |- context [@GRing.mul ?Z] => write_as (@GRing.mul Z) (@GRing.mul (Num.RealField.ringType R))
        | |- context [GRing.one ?Z] => write_as (GRing.one Z) (GRing.one (Num.RealField.ringType R))
        end;
      ring
  end.

Section Definitions.
Variables (R : realFieldType) (V : finType).
Implicit Types (P l d : V -> R) (b mu : R) (s : seq V) (v : V) (A : {set V}).

(* A decision says of every token how much of it is deferred: a share from 0 to 1, the probability of its rejection. *)
Definition decision d := forall v, 0 <= d v <= 1.

(* A 0-1 decision defers all of a token or nothing of it. *)
Definition integral d := forall v, d v = 0 \/ d v = 1.

(* The decision that defers the tokens of A. *)
Definition defer A v : R := (v \in A)%:R.

(* The deferred mass g(d), the sum of P d. *)
Definition deferred_mass P d := \sum_v P v * d v.

(* The risk r(d) of what is kept, the sum of P l (1 - d). *)
Definition risk P l d := \sum_v P v * l v * (1 - d v).

(* What d saves of the risk of deferring nothing. *)
Definition saving P l d := risk P l (fun=> 0) - risk P l d.

(* The optimum r*(b): the least risk of a 0-1 decision that defers a mass of at most b (see optimal_risk_attained and
   optimal_risk_le below). *)
Definition optimal_set P l b :=
  [arg min_(A < set0 | deferred_mass P (defer A) <= b) risk P l (defer A)]%O.
Definition optimal_risk P l b := risk P l (defer (optimal_set P l b)).

(* The optimum r_LP of the linear relaxation: the least risk of any decision, fractional or not, within the budget. *)
Definition relaxed_optimum P l b r :=
  (exists2 d, decision d & deferred_mass P d <= b /\ risk P l d = r) /\
  (forall d, decision d -> deferred_mass P d <= b -> r <= risk P l d).

(* The Lagrangian L(d, mu), its minimum theta(mu), and the decision 1[l > mu]. *)
Definition lagrangian P l b d mu := risk P l d + mu * (deferred_mass P d - b).
Definition theta P l b mu := \sum_v P v * Num.min (l v) mu - mu * b.
Definition dual l mu v : R := (mu < l v)%R%:R.

(* An order of the vocabulary by falling loss; equal losses stand in any order. *)
Definition falling l s := perm_eq s (enum V) && sorted (fun v w => l w <= l v) s.

(* How many tokens of s the greedy takes: it stops at the first that would carry the mass above b. *)
Definition fitting P b s := find (fun n => b < \sum_(v <- take n.+1 s) P v) (iota 0 (size s)).

(* What the greedy takes, and the critical token: the first that does not fit, none if everything fits. *)
Definition greedy P b s := take (fitting P b s) s.
Definition critical P b s := ohead (drop (fitting P b s) s).

(* The mass of the critical token and its loss l_c, which is 0 if there is none. *)
Definition critical_mass P b s := oapp P 0 (critical P b s).
Definition critical_loss P l b s := oapp l 0 (critical P b s).

(* The decision of the greedy, and the budget u that it leaves unfilled. *)
Definition primal P b s v : R := (v \in greedy P b s)%:R.
Definition unfilled P b s := b - deferred_mass P (primal P b s).

(* The greedy's decision and, on top, the share u / P_c of the critical token. *)
Definition fractional P b s v : R :=
  if critical P b s == Some v then unfilled P b s / P v else primal P b s v.
End Definitions.

Section Sums.
Variables (R : realFieldType) (V : finType).
Implicit Types (P l d f : V -> R) (b mu : R) (s : seq V) (v : V) (A : {set V}).

Lemma defer_integral A : integral (defer R A).
Proof. by move=> v; rewrite /defer; case: (v \in A); [right | left]. Qed.

Lemma integral_decision d : integral d -> decision d.
Proof. by move=> h v; case: (h v) => ->; rewrite ?lexx ?ler01. Qed.

Lemma integral_defer d : integral d -> d =1 defer R [set v | d v == 1].
Proof. by move=> h v; rewrite /defer inE; case: (h v) => ->; rewrite ?eqxx // eq_sym oner_eq0. Qed.

Lemma dual_integral l mu : integral (dual l mu).
Proof. by move=> v; rewrite /dual; case: ltP; [right | left]. Qed.

Lemma primal_integral P b s : integral (primal P b s).
Proof. by move=> v; rewrite /primal; case: (v \in _); [right | left]. Qed.

Lemma eq_deferred_mass P d e : d =1 e -> deferred_mass P d = deferred_mass P e.
Proof. by move=> h; apply: eq_bigr => v _; rewrite h. Qed.

Lemma eq_risk P l d e : d =1 e -> risk P l d = risk P l e.
Proof. by move=> h; apply: eq_bigr => v _; rewrite h. Qed.

Lemma savingE P l d : saving P l d = \sum_v P v * l v * d v.
Proof.
rewrite /saving /risk -sumrB; apply: eq_bigr => v _.
by rewrite subr0 mulr1 mulrBr mulr1 opprB addrCA subrr addr0.
Qed.

Lemma nothing_fits P b : 0 <= b -> deferred_mass P (defer R set0) <= b.
Proof. by move=> b0; rewrite /deferred_mass big1 // => v _; rewrite /defer inE mulr0. Qed.

(* Any 0-1 decision within the budget risks at least r*(b). *)
Lemma optimal_risk_le P l b d : 0 <= b ->
  integral d -> deferred_mass P d <= b -> optimal_risk P l b <= risk P l d.
Proof.
move=> b0 /integral_defer h; rewrite (eq_deferred_mass P h) (eq_risk P l h) => gA.
rewrite /optimal_risk /optimal_set; case: arg_minP => [|A _]; [exact: nothing_fits | exact].
Qed.

Lemma optimal_set_feasible P l b : 0 <= b -> deferred_mass P (defer R (optimal_set P l b)) <= b.
Proof.
by move=> b0; rewrite /optimal_set; case: arg_minP => //; exact: nothing_fits.
Qed.

(* If b is not negative, some 0-1 decision within the budget attains r*(b). *)
Lemma optimal_risk_attained P l b : 0 <= b ->
  exists2 d, integral d & deferred_mass P d <= b /\ risk P l d = optimal_risk P l b.
Proof.
move=> b0; exists (defer R (optimal_set P l b)); first exact: defer_integral.
by split=> //; exact: optimal_set_feasible.
Qed.

Lemma le_optimal_risk P l b x : 0 <= b ->
  (forall d, integral d -> deferred_mass P d <= b -> x <= risk P l d) -> x <= optimal_risk P l b.
Proof. by move=> b0 h; have [d id [gd <-]] := optimal_risk_attained P l b0; exact: h. Qed.

Lemma everything_fits P l b : 0 <= b -> (forall v, 0 <= P v * l v) -> \sum_v P v <= b -> optimal_risk P l b = 0.
Proof.
move=> b0 c0 fits; apply: le_anti; apply/andP; split; last first.
  apply: le_optimal_risk => // d hd _; apply: sumr_ge0 => v _; rewrite mulr_ge0 // subr_ge0.
  by case: (hd v) => ->; rewrite ?ler01.
apply: le_trans (_ : risk P l (fun=> 1) <= 0); last by rewrite /risk big1 // => v _; rewrite subrr mulr0.
by apply: optimal_risk_le => //; [right | rewrite /deferred_mass; under eq_bigr do rewrite mulr1].
Qed.

Lemma le_bigmax (I : eqType) (x : R) (r : seq I) (Q : pred I) (f : I -> R) i :
  i \in r -> Q i -> f i <= \big[Num.max/x]_(j <- r | Q j) f j.
Proof.
elim: r => // j r ih; rewrite inE big_cons => /orP[/eqP <- -> | ri Qi]; first by rewrite le_maxr lexx.
by have := ih ri Qi; case: (Q j) => // h; rewrite le_maxr h orbT.
Qed.

Lemma bigmax_ge (I : eqType) (x : R) (r : seq I) (Q : pred I) (f : I -> R) : x <= \big[Num.max/x]_(j <- r | Q j) f j.
Proof. by elim: r => [|j r ih]; rewrite ?big_nil // big_cons; case: (Q j) => //; rewrite le_maxr ih orbT. Qed.

Lemma deferred_mass_ge0 P d : (forall v, 0 <= P v) -> decision d -> 0 <= deferred_mass P d.
Proof. by move=> P0 hd; apply: sumr_ge0 => v _; apply: mulr_ge0 => //; case/andP: (hd v). Qed.
End Sums.

Section Lagrangian.
Variables (R : realFieldType) (V : finType) (P l : V -> R).
Hypothesis P0 : forall v, 0 <= P v.
Add Ring the_ring : (ring_of R).

(* The Lagrangian falls apart into tokens: each pays its loss if it is kept and mu if it is deferred. *)
Lemma lagrangianE b d mu : lagrangian P l b d mu = \sum_v P v * ((1 - d v) * l v + d v * mu) - mu * b.
Proof.
rewrite /lagrangian /risk /deferred_mass mulrBr addrA mulr_sumr -big_split /=; congr (_ - _).
by apply: eq_bigr => v _; arith.
Qed.

Lemma theta_le_lagrangian b d mu : decision d -> theta P l b mu <= lagrangian P l b d mu.
Proof.
move=> hd; rewrite lagrangianE /theta ler_add2r; apply: ler_sum => v _; apply: ler_wpmul2l => //.
have /andP[d0 d1] := hd v; set m := Num.min _ _.
have -> : m = (1 - d v) * m + d v * m by arith.
by apply: ler_add; apply: ler_wpmul2l; rewrite ?subr_ge0 // /m le_minl lexx ?orbT.
Qed.

(* Whatever defers every token above mu and none below minimises the Lagrangian; tokens at mu are free. *)
Lemma threshold_attains b d mu :
  (forall v, mu < l v -> d v = 1) -> (forall v, l v < mu -> d v = 0) -> lagrangian P l b d mu = theta P l b mu.
Proof.
move=> above below; rewrite lagrangianE /theta; congr (_ - _); apply: eq_bigr => v _; congr (_ * _).
case: (ltgtP (l v) mu) => [lt | gt | ->]; first by rewrite below //; arith.
  by rewrite above //; arith.
by arith.
Qed.

Lemma threshold_risk b d mu :
  (forall v, mu < l v -> d v = 1) -> (forall v, l v < mu -> d v = 0) ->
  risk P l d = theta P l b mu + mu * (b - deferred_mass P d).
Proof. by move=> above below; rewrite -(threshold_attains b above below) /lagrangian; arith. Qed.

Lemma dual_above mu v : mu < l v -> dual l mu v = 1.
Proof. by rewrite /dual => ->. Qed.

Lemma dual_below mu v : l v <= mu -> dual l mu v = 0.
Proof. by rewrite /dual ltNge => ->. Qed.

(* Weak duality, for decisions of any kind: theta(mu) is at most the risk of what is feasible. *)
Lemma theta_le_risk b d mu : 0 <= mu -> decision d -> deferred_mass P d <= b -> theta P l b mu <= risk P l d.
Proof.
move=> mu0 hd gd; apply: le_trans (theta_le_lagrangian b mu hd) _.
by rewrite /lagrangian ger_addl mulr_ge0_le0 // subr_le0.
Qed.

Lemma theta_le_optimal_risk b mu : 0 <= mu -> 0 <= b -> theta P l b mu <= optimal_risk P l b.
Proof.
move=> mu0 b0; apply: le_optimal_risk => // d /integral_decision hd gd; exact: theta_le_risk.
Qed.
End Lagrangian.

Section Greedy.
Variables (R : realFieldType) (V : finType) (P l : V -> R) (b : R) (s : seq V).
Hypothesis P0 : forall v, 0 <= P v.
Hypothesis l0 : forall v, 0 <= l v.
Hypothesis b0 : 0 <= b.
Hypothesis order : falling l s.
Add Ring the_ring : (ring_of R).

Lemma order_uniq : uniq s.
Proof. by have /andP[/perm_uniq -> _] := order; exact: enum_uniq. Qed.

Lemma order_mem v : v \in s.
Proof. by have /andP[/perm_mem -> _] := order; exact: mem_enum. Qed.

Lemma sum_order (f : V -> R) : \sum_(v <- s) f v = \sum_v f v.
Proof. by have /andP[h _] := order; rewrite (perm_big _ h) /= big_enum. Qed.

(* There is such an order: sort the vocabulary. *)
Lemma falling_sort : falling l (sort (fun v w => l w <= l v) (enum V)).
Proof. by rewrite /falling perm_sort perm_refl sort_sorted // => v w; exact: le_total. Qed.

Lemma fitting_size : (fitting P b s <= size s)%N.
Proof. by have := find_size (fun n => b < \sum_(v <- take n.+1 s) P v) (iota 0 (size s)); rewrite size_iota. Qed.

Lemma greedy_fits : \sum_(v <- greedy P b s) P v <= b.
Proof.
rewrite /greedy; case e: (fitting P b s) => [|n]; first by rewrite take0 big_nil.
have lt : (n < fitting P b s)%N by rewrite e.
have := before_find 0%N lt; rewrite nth_iota; last exact: leq_trans lt fitting_size.
by rewrite add0n => /negbT; rewrite -leNgt.
Qed.

Variant critical_spec : option V -> Type :=
| Critical c post of s = greedy P b s ++ c :: post & b < \sum_(v <- greedy P b s) P v + P c : critical_spec (Some c)
| NoneCritical of s = greedy P b s : critical_spec None.

Lemma criticalP : critical_spec (critical P b s).
Proof.
rewrite /critical; have cat := cat_take_drop (fitting P b s) s; case e: (drop _ s) cat => [|c post] cat /=.
  by constructor; rewrite /greedy -{1}cat cats0.
apply: (Critical (esym cat)).
have lt : (fitting P b s < size s)%N by rewrite ltnNge; apply/negP => /drop_oversize; rewrite e.
have := nth_find 0%N (a := fun n => b < \sum_(v <- take n.+1 s) P v) (s := iota 0 (size s)).
rewrite has_find size_iota -/(fitting P b s) => /(_ lt); rewrite nth_iota // add0n.
rewrite (take_nth c) // -cats1 big_cat /= big_seq1.
suff -> : nth c s (fitting P b s) = c by [].
by rewrite -[fitting P b s in LHS]addn0 -nth_drop e.
Qed.

Lemma mass_of_greedy : deferred_mass P (primal P b s) = \sum_(v <- greedy P b s) P v.
Proof.
rewrite big_uniq /=; last by rewrite /greedy take_uniq // order_uniq.
rewrite big_mkcond /=; apply: eq_bigr => v _; rewrite /primal.
by case: (v \in _); rewrite ?mulr1 ?mulr0.
Qed.

Lemma primal_feasible : deferred_mass P (primal P b s) <= b.
Proof. by rewrite mass_of_greedy greedy_fits. Qed.

Lemma unfilled_ge0 : 0 <= unfilled P b s.
Proof. by rewrite subr_ge0 primal_feasible. Qed.

(* The greedy takes the longest prefix of mass at most b. *)
Lemma greedy_longest n : (n <= size s)%N -> \sum_(v <- take n s) P v <= b -> (n <= size (greedy P b s))%N.
Proof.
move=> ns fits; have := fitting_size.
move=> le; rewrite /greedy size_takel // leqNgt; apply/negP => lt.
case: criticalP (size_takel le) => [c post e over sz | e sz]; last first.
  by move: lt; rewrite -sz -/(greedy P b s) -e ltnNge ns.
move: fits; apply/negP; rewrite -ltNge; apply: lt_le_trans over _.
have -> : take n s = greedy P b s ++ take (n - fitting P b s) (c :: post).
  by rewrite [in LHS]e take_cat sz ltnNge (ltnW lt).
rewrite big_cat /= ler_add2l.
case: (n - _)%N (subn_gt0 (fitting P b s) n) => [|m _]; first by rewrite lt.
by rewrite /= big_cons ler_addl; apply: sumr_ge0.
Qed.

Lemma critical_notin c : critical P b s = Some c -> c \notin greedy P b s.
Proof.
case: criticalP => // x post e _ [<-]; move: order_uniq; rewrite {1}e cat_uniq => /and3P[_ h _].
by apply: contra h => h; apply/hasP; exists x; first exact: mem_head.
Qed.

Lemma greedy_whole v : critical P b s = None -> v \in greedy P b s.
Proof. by case: criticalP => // <- _; exact: order_mem. Qed.

(* What the greedy takes has a loss of at least l_c, and what it leaves one of at most l_c. *)
Lemma greedy_above v : v \in greedy P b s -> critical_loss P l b s <= l v.
Proof.
rewrite /critical_loss; case: criticalP => [c post e _ /= vg | _ _ /=]; last exact: l0.
have /andP[_] := order; rewrite sorted_pairwise; last by move=> x y z h h'; exact: le_trans h' h.
by rewrite e pairwise_cat => /and3P[/allrelP /(_ v c vg) h _ _]; apply: h; exact: mem_head.
Qed.

Lemma greedy_below v : v \notin greedy P b s -> l v <= critical_loss P l b s.
Proof.
rewrite /critical_loss; case: criticalP => [c post e _ /= vg | e]; last by rewrite -e order_mem.
have /andP[_] := order; rewrite sorted_pairwise; last by move=> x y z h h'; exact: le_trans h' h.
have : v \in s by exact: order_mem.
rewrite {1}e mem_cat (negPf vg) /= inE => /orP[/eqP -> // | vp].
by rewrite e pairwise_cat /= => /and3P[_ _ /andP[/allP /(_ v vp)]].
Qed.

Lemma primal_above v : critical_loss P l b s < l v -> primal P b s v = 1.
Proof. by rewrite /primal; case: (boolP (v \in _)) => // /greedy_below; rewrite leNgt => /negPf ->. Qed.

Lemma primal_below v : l v < critical_loss P l b s -> primal P b s v = 0.
Proof. by rewrite /primal; case: (boolP (v \in _)) => // /greedy_above; rewrite leNgt => /negPf ->. Qed.

Lemma critical_loss_ge0 : 0 <= critical_loss P l b s.
Proof. by rewrite /critical_loss; case: (critical P b s) => //=. Qed.

(* The critical token does not fit: its mass is above what is left of the budget. *)
Lemma unfilled_lt c : critical P b s = Some c -> unfilled P b s < P c.
Proof. by rewrite /unfilled mass_of_greedy; case: criticalP => // x post _ over [<-]; rewrite ltr_subl_addl. Qed.

Lemma critical_positive c : critical P b s = Some c -> 0 < P c.
Proof. by move=> /unfilled_lt; apply: le_lt_trans unfilled_ge0. Qed.

Lemma primal_risk : risk P l (primal P b s) =
  theta P l b (critical_loss P l b s) + critical_loss P l b s * unfilled P b s.
Proof. by apply: threshold_risk; [exact: primal_above | exact: primal_below]. Qed.
End Greedy.
