(* The majorisation bounds on the optimum of the knapsack of deferral. *)
From mathcomp Require Import all_ssreflect all_algebra.
From Kad Require Import Knapsack Concave Masses.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Majorisation.
Variables (R : realFieldType) (V : finType) (p : V -> R) (c : R -> R) (top : R).
Hypothesis p0 : forall v, 0 <= p v.
Hypothesis p_top : forall v, p v <= top.
Hypothesis c_concave : concave c top.
Hypothesis c0 : c 0 = 0.
Hypothesis c_tokens : forall v, 0 <= c (p v).
Local Notation n := #|V|.
Local Notation q := (nth_mass p).
Add Ring the_ring : (ring_of R).

(* The sum of g over the masses of the k heaviest tokens, and over those of the k lightest. *)
Definition heaviest (g : R -> R) k := \sum_(i < k) g (q i).
Definition lightest (g : R -> R) k := \sum_(n - k <= i < n) g (q i).

(* Q_k and H_k: the mass of the k heaviest tokens, and what they cost. *)
Local Notation Q := (heaviest id).
Local Notation H := (heaviest c).

(* The corner S_j of k tokens, the j heaviest and the k - j lightest: what it weighs (g = id) and what it costs (g = c). *)
Definition corner g k j := heaviest g j + lightest g (k - j).

(* With T the mass of the j - 1 heaviest tokens and the k - j lightest and U what they cost, f(S) = U + c (S - T), where
   S_j is the first corner with S <= S_j (segment j is the stretch up to corner j + 1); up to the first corner, S_0, f is
   what that one costs. *)
Definition segment k j S := heaviest c j + lightest c (k - j.+1) + c (S - heaviest id j - lightest id (k - j.+1)).
Definition sized_cost k S :=
  if find (fun j => S <= corner id k j) (iota 0 k.+1) is j.+1 then segment k j S else corner c k 0.

(* min (f(D), f(S_j) for every corner S_j >= D). *)
Definition sized_bound k D :=
  \big[Num.min/sized_cost k D]_(j <- iota 0 k.+1 | D <= corner id k j) corner c k j.

(* -- what sums of masses and costs do ------------------------------------------------------------------------------ *)

Lemma q_in i : (i < n)%N -> 0 <= q i <= top.
Proof. by move=> /(nth_mass_token p)[v ->]; rewrite p0 p_top. Qed.

Lemma q_ge0 i : 0 <= q i.
Proof. exact: nth_mass_ge0. Qed.

Lemma c_q_ge0 i : 0 <= c (q i).
Proof.
have [/(nth_mass_token p)[v ->] // | le] := ltnP i n.
by rewrite nth_mass_beyond // c0.
Qed.

Lemma c_below_q i x : (i < n)%N -> 0 <= x -> x <= q i -> 0 <= c x.
Proof.
move=> /q_in /andP[_ qt] x0 xq; apply: le_trans (concave_min c_concave (lexx 0) x0 xq qt).
by rewrite le_minr c0 lexx c_q_ge0.
Qed.

Lemma heaviestS g k : heaviest g k.+1 = heaviest g k + g (q k).
Proof. exact: big_ord_recr. Qed.

Lemma heaviest_mono g : (forall i, 0 <= g (q i)) -> {homo heaviest g : i j / (i <= j)%N >-> i <= j}.
Proof.
move=> g0; apply: (homo_leq (r := fun x y : R => x <= y)) => [x | y x z | i]; first exact: lexx.
  exact: le_trans.
by rewrite heaviestS ler_addl.
Qed.

Lemma lightestS g k : (k < n)%N -> lightest g k.+1 = g (q (n - k.+1)) + lightest g k.
Proof.
move=> kn; rewrite /lightest big_ltn; last by rewrite ltn_subrL (leq_ltn_trans _ kn).
by rewrite subnSK.
Qed.

Lemma lightest0 g : lightest g 0 = 0.
Proof. by rewrite /lightest subn0 big_geq. Qed.

(* The lightest k - j - 1 tokens as the places j + 1, ..., k - 1 of a vector. *)
Lemma lightest_shifted g k j : (j < k)%N -> (k <= n)%N ->
  lightest g (k - j.+1) = \sum_(j.+1 <= i < k) g (q (i + (n - k))).
Proof.
move=> jk kn; have -> : \sum_(j.+1 <= i < k) g (q (i + (n - k))) = \sum_(j.+1 + (n - k) <= i < n) g (q i).
  by rewrite big_addn subKn.
rewrite /lightest; congr bigop; congr index_iota.
by rewrite subnBA // addnC -addnBA // addnC.
Qed.

Lemma sum_three (a l : nat -> R) b j m : (j < m)%N ->
  \sum_(i < m) (if (i < j)%N then a i else if i == j :> nat then b else l i) =
  \sum_(i < j) a i + b + \sum_(j.+1 <= i < m) l i.
Proof.
move=> jm; rewrite -(big_mkord xpredT (fun i => if (i < j)%N then a i else if i == j then b else l i)).
rewrite (big_cat_nat _ _ _ (leq0n j) (ltnW jm)) /= [X in _ + X]big_ltn // addrA; congr (_ + _ + _).
- by rewrite big_mkord; apply: eq_bigr => i _; rewrite ltn_ord.
- by rewrite ltnn eqxx.
by apply: eq_big_nat => i /andP[ji _]; rewrite ltnNge (ltnW ji) (gtn_eqF ji).
Qed.

(* -- one set of tokens --------------------------------------------------------------------------------------------- *)

Section Tokens.
Variable A : {set V}.
Local Notation mass := (\sum_(v in A) p v).
Local Notation cost := (\sum_(v in A) c (p v)).

Lemma mass_in_order m : (#|A| <= m)%N -> mass = \sum_(i < m) nth_of p A i.
Proof. exact: (sum_of p (g := id)). Qed.

(* The extremal vector: the j heaviest tokens, one entry r of free size, and entries that are lighter than the set's. *)
Lemma extremal j r (l : nat -> R) : (j < n)%N -> 0 <= r <= top ->
  (forall i, (j < i < n)%N -> 0 <= l i <= nth_of p A i) ->
  Q j + r + \sum_(j.+1 <= i < n) l i = mass -> H j + c r + \sum_(j.+1 <= i < n) c (l i) <= cost.
Proof.
move=> jn r_in l_in sums; pose x i := if (i < j)%N then q i else if i == j then r else l i.
have parts (g : R -> R) : \sum_(i < n) g (x i) = heaviest g j + g r + \sum_(j.+1 <= i < n) g (l i).
  rewrite -(sum_three (fun i => g (q i)) (fun i => g (l i)) _ jn); apply: eq_bigr => i _.
  by rewrite /x; case: ifP => // _; case: ifP.
have An : (#|A| <= n)%N by exact: max_card.
rewrite (sum_of p c0 An) -parts.
apply: (pivot c_concave (x := fun i : 'I_n => x i) (y := fun i : 'I_n => nth_of p A i) (nth_of_ge0 p0 A j)).
- move=> i; rewrite /x; case: ltngtP => // ij; first exact: q_in.
  have /andP[l0 lA] := l_in i (introT andP (conj ij (ltn_ord i))); rewrite l0 (le_trans lA) //.
  by apply: le_trans (nth_of_above p0 A i) _; have /andP[] := q_in (ltn_ord i).
- move=> i; rewrite /x; case: ltngtP => [ij | ij | ->].
  + by rewrite (nth_of_above p0) (nth_of_falling p0 A (ltnW ij)).
  + by have /andP[_ ->] := l_in i (introT andP (conj ij (ltn_ord i))); rewrite (nth_of_falling p0 A (ltnW ij)) orbT.
  by rewrite !lexx /= andbT; exact: le_total.
by rewrite (parts id) /= sums (mass_in_order An).
Qed.

Lemma mass_le_heaviest m : (#|A| <= m)%N -> mass <= Q m.
Proof. by move=> Am; rewrite (mass_in_order Am); apply: ler_sum => i _; exact: nth_of_above. Qed.

Lemma crossing (f : nat -> R) S m : f 0%N < S -> S <= f m -> exists2 k, (k < m)%N & f k < S <= f k.+1.
Proof.
move=> lt; elim: m => [|m ih] le; first by move: lt; rewrite ltNge le.
by have [/ih[k km] | gt] := leP S (f m); [exists k => //; exact: ltnW | exists m => //; rewrite gt].
Qed.

(* A set of mass S costs at least F(S) = H_k + c (S - Q_k), where Q_k < S <= Q_(k+1). *)
Lemma relaxed_cost : 0 < mass ->
  exists2 k, (k < n)%N & Q k < mass <= Q k.+1 /\ H k + c (mass - Q k) <= cost.
Proof.
move=> pos; have Q0 : Q 0 < mass by rewrite /heaviest big_ord0.
have [k kn /[dup] inside /andP[lo hi]] := crossing Q0 (mass_le_heaviest (max_card _)); exists k => //; split=> //.
have r_in : 0 <= mass - Q k <= top.
  rewrite subr_ge0 ltW //=; apply: (@le_trans _ _ (q k)); last by have /andP[] := q_in kn.
  by rewrite ler_subl_addl -heaviestS.
have := @extremal k (mass - Q k) (fun=> 0) kn r_in.
rewrite c0 !big1_eq !addr0; apply=> [i _|]; first by rewrite lexx nth_of_ge0.
by rewrite addrC subrK.
Qed.

(* So a set of mass D or more costs at least H_m + min (c (D - Q_m), c (q_(m+1))). *)
Lemma relaxed_floor m D : Q m < D <= Q m.+1 -> D <= mass -> H m + Num.min (c (D - Q m)) (c (q m)) <= cost.
Proof.
move=> /andP[lo hi] DA; have Q_mono := heaviest_mono (g := id) q_ge0; have H_mono := heaviest_mono (g := c) c_q_ge0.
have Qm0 : 0 <= Q m by apply: sumr_ge0 => i _; exact: q_ge0.
have [k kn [/andP[lo' hi'] le]] := relaxed_cost (lt_le_trans (le_lt_trans Qm0 lo) DA); apply: le_trans le.
have mk : (m <= k)%N.
  rewrite leqNgt; apply/negP => km; have := le_trans (le_trans DA hi') (Q_mono _ _ km).
  by rewrite leNgt lo.
have left : mass - Q k <= q k by rewrite ler_subl_addl -heaviestS.
move: mk; rewrite leq_eqVlt => /orP[/eqP e | mk].
  subst k; rewrite ler_add2l; apply: (concave_min c_concave) => //.
  - by rewrite subr_ge0 ltW.
  - by rewrite ler_add2r.
  by have /andP[] := q_in kn.
apply: (@le_trans _ _ (H m.+1)); first by rewrite heaviestS ler_add2l le_minl lexx orbT.
by rewrite -[H m.+1]addr0; apply: ler_add; [exact: H_mono | apply: c_below_q kn _ left; rewrite subr_ge0 ltW].
Qed.

(* A set of at least k tokens whose mass lies between two corners costs at least what f says. *)
Lemma segment_floor k j : (k <= #|A|)%N -> (j < k)%N -> corner id k j <= mass <= corner id k j.+1 ->
  segment k j mass <= cost.
Proof.
move=> kA jk /andP[lo hi]; have kn : (k <= n)%N by exact: leq_trans kA (max_card _).
have jn : (j < n)%N by exact: leq_trans jk kn.
set r := mass - heaviest id j - lightest id (k - j.+1).
have r_in : 0 <= r <= top.
  apply/andP; split.
    rewrite /r -addrA -opprD subr_ge0; apply: le_trans lo; rewrite ler_add2l.
    rewrite -(subnSK jk) lightestS ?ler_addr ?q_ge0 //.
    by rewrite subnSK //; exact: leq_trans (leq_subr _ _) kn.
  apply: (@le_trans _ _ (q j)); last by have /andP[] := q_in jn.
  by rewrite /r -addrA -opprD ler_subl_addr addrCA addrA -heaviestS.
pose l i := if (i < k)%N then q (i + (n - k)) else 0.
have tail (g : R -> R) : g 0 = 0 -> \sum_(j.+1 <= i < n) g (l i) = lightest g (k - j.+1).
  move=> g0; rewrite lightest_shifted // (big_cat_nat _ _ _ jk kn) /=.
  have -> : \sum_(k <= i < n) g (l i) = 0.
    by rewrite big_nat big1 // => i /andP[ki _]; rewrite /l ltnNge ki.
  by rewrite addr0; apply: eq_big_nat => i /andP[_ ik]; rewrite /l ik.
rewrite /segment -/r addrAC; have := @extremal j r l jn r_in; rewrite tail // (tail id) //; apply.
  move=> i /andP[ji iN]; rewrite /l; case: ifP => ik; last by rewrite lexx nth_of_ge0.
  by rewrite q_ge0 nth_of_below.
by rewrite /r; arith.
Qed.
End Tokens.

(* -- decisions ----------------------------------------------------------------------------------------------------- *)

(* A 0-1 decision keeps a set of tokens. *)
Lemma kept_set (l d : V -> R) : integral d -> (forall v, c (p v) = p v * l v) ->
  exists2 A : {set V}, \sum_(v in A) p v = \sum_v p v - deferred_mass p d & \sum_(v in A) c (p v) = risk p l d.
Proof.
move=> hd cl; exists [set v | d v == 0].
  rewrite /deferred_mass -sumrB big_mkcond; apply: eq_bigr => v _; rewrite inE.
  by case: (hd v) => ->; rewrite ?eqxx ?oner_eq0 ?mulr0 ?mulr1 ?subr0 ?subrr.
rewrite /risk big_mkcond; apply: eq_bigr => v _; rewrite inE.
by case: (hd v) => ->; rewrite ?eqxx ?oner_eq0 ?subr0 ?subrr ?mulr0 ?mulr1 -?cl.
Qed.

(* S13 (a): let c be concave on [0, max p] with c(0) = 0, not negative at the tokens, and c(p_v) = p_v l_v. With
   D = sum p - b and Q_m < D <= Q_(m+1) the optimum is at least H_m + min (c (D - Q_m), c (q_(m+1))). (Masses are counted
   from 0 here: q m is the one after the m heaviest.) *)
Theorem S13_majorisation l b m : (forall v, c (p v) = p v * l v) -> 0 <= b ->
  let D := \sum_v p v - b in Q m < D <= Q m.+1 ->
  H m + Num.min (c (D - Q m)) (c (q m)) <= optimal_risk p l b.
Proof.
move=> cl b0 D hD; apply: le_optimal_risk => // d hd gd; have [A mass <-] := kept_set hd cl.
by apply: relaxed_floor => //; rewrite mass ler_add2l ler_opp2.
Qed.

(* The prefix of the bounds is there whenever something must be kept. *)
Lemma prefix_exists D : 0 < D -> D <= \sum_v p v -> exists2 m, (m < n)%N & Q m < D <= Q m.+1.
Proof.
move=> D0 le; apply: crossing; first by rewrite /heaviest big_ord0.
apply: le_trans le _; apply: le_trans (mass_le_heaviest (max_card [set: V])).
by rewrite le_eqVlt; apply/orP; left; apply/eqP/eq_bigl => v; rewrite inE.
Qed.

Lemma fractional_within_the_bound l b m : (forall v, c (p v) = p v * l v) ->
  let D := \sum_v p v - b in Q m < D <= Q m.+1 ->
  exists d : V -> R, [/\ decision d, deferred_mass p d = b &
    risk p l d <= H m + Num.min (c (D - Q m)) (c (q m))].
Proof.
move=> cl D /andP[lo hi]; set rho := D - Q m.
have rho0 : 0 < rho by rewrite subr_gt0.
have rho_q : rho <= q m by rewrite ler_subl_addl -heaviestS.
have q_gt0 : 0 < q m by exact: lt_le_trans rho_q.
have mn : (m < n)%N by rewrite ltnNge; apply/negP => le; move: q_gt0; rewrite nth_mass_beyond // ltxx.
pose kept i := if (i < m)%N then 1 else if i == m then rho / q m else 0.
have kept_in i : 0 <= kept i <= 1.
  rewrite /kept; case: ltngtP => _; rewrite ?lexx ?ler01 //.
  by rewrite divr_ge0 ?(ltW rho0) ?(ltW q_gt0) //= ler_pdivr_mulr // mul1r.
have sum_kept (g : R -> R) : \sum_v g (p v) * kept (place p v) = heaviest g m + g (q m) * (rho / q m).
  rewrite (sum_by_place p (fun x i => g x * kept i)).
  transitivity (\sum_(i < n) (if (i < m)%N then g (q i) else if i == m :> nat then g (q m) * (rho / q m) else 0)).
    apply: eq_bigr => i _; rewrite /kept; case: ltngtP => [_ | _ | ->] //; by rewrite ?mulr1 ?mulr0.
  by rewrite (sum_three (fun i => g (q i)) (fun=> 0) _ mn) big1_eq addr0.
exists (fun v => 1 - kept (place p v)); split.
- move=> v; have /andP[k0 k1] := kept_in (place p v).
  by rewrite subr_ge0 k1 ler_subl_addr ler_addl.
- rewrite /deferred_mass; under eq_bigr => v _ do rewrite mulrBr mulr1.
  by rewrite sumrB (sum_kept id) /= mulrC divfK ?gt_eqF // /rho /D [Q m + _]addrC subrK subKr.
have -> : risk p l (fun v => 1 - kept (place p v)) = H m + c (q m) * (rho / q m).
  by rewrite -sum_kept; apply: eq_bigr => v _; rewrite subKr cl.
have /andP[_ qt] := q_in mn; rewrite ler_add2l le_minr; apply/andP; split.
  rewrite mulrA ler_pdivr_mulr // mulrC.
  have := c_concave (lexx 0) (ltW rho0) rho_q qt.
  by rewrite c0 mulr0 add0r !subr0 [q m * _]mulrC.
by rewrite ler_pimulr ?c_q_ge0 // ler_pdivr_mulr // mul1r.
Qed.

(* S13 (a): that bound is never below the optimum of the LP relaxation. *)
Theorem S13_majorisation_against_relaxation l b m r : (forall v, c (p v) = p v * l v) ->
  let D := \sum_v p v - b in Q m < D <= Q m.+1 -> relaxed_optimum p l b r ->
  r <= H m + Num.min (c (D - Q m)) (c (q m)).
Proof.
move=> cl D hD [_ least]; have [d [hd gd le]] := fractional_within_the_bound cl hD.
by apply: le_trans le; apply: least; rewrite ?gd.
Qed.

(* -- sets of at least m + 1 tokens --------------------------------------------------------------------------------- *)

Lemma corner_low g k j : (j < k)%N -> (k <= n)%N ->
  corner g k j = heaviest g j + lightest g (k - j.+1) + g (q (n - (k - j))).
Proof.
move=> jk kn; rewrite /corner -(subnSK jk) lightestS; first by rewrite [g _ + _]addrC addrA.
by rewrite subnSK //; exact: leq_trans (leq_subr _ _) kn.
Qed.

Lemma corner_high g k j : corner g k j.+1 = heaviest g j + lightest g (k - j.+1) + g (q j).
Proof. by rewrite /corner heaviestS addrAC. Qed.

Lemma corner_step k j : (j < k)%N -> (k <= n)%N -> corner id k j <= corner id k j.+1.
Proof.
move=> jk kn; rewrite corner_low // corner_high ler_add2l; apply: nth_mass_falling => //.
by rewrite subnBA ?(ltnW jk) // -addnBAC // leq_addl.
Qed.

Lemma corner_mono k i j : (k <= n)%N -> (i <= j)%N -> (j <= k)%N -> corner id k i <= corner id k j.
Proof.
move=> kn; elim: j => [|j ih]; first by rewrite leqn0 => /eqP ->.
rewrite leq_eqVlt => /orP[/eqP -> // | ij] jk; apply: le_trans (ih ij (ltnW jk)) (corner_step jk kn).
Qed.

Lemma segment_low k j : (j < k)%N -> (k <= n)%N -> segment k j (corner id k j) = corner c k j.
Proof.
move=> jk kn; rewrite /segment !corner_low //; congr (_ + c _).
by rewrite -addrA -opprD addrC addKr.
Qed.

Lemma segment_high k j : segment k j (corner id k j.+1) = corner c k j.+1.
Proof. by rewrite /segment !corner_high; congr (_ + c _); rewrite -addrA -opprD addrC addKr. Qed.

Lemma find_first (P : pred nat) m j : (j < m)%N -> P j -> (forall i, (i < j)%N -> ~~ P i) -> find P (iota 0 m) = j.
Proof.
move=> jm Pj none; have some : has P (iota 0 m) by apply/hasP; exists j; rewrite ?mem_iota.
have lt : (find P (iota 0 m) < m)%N by rewrite -{2}(size_iota 0 m) -has_find.
have Pf := nth_find 0%N some; rewrite nth_iota // add0n in Pf.
apply/eqP; rewrite eqn_leq; apply/andP; split; rewrite leqNgt; apply/negP.
  by move=> h; have := before_find 0%N h; rewrite nth_iota // add0n Pj.
by move=> /none; rewrite Pf.
Qed.

Lemma bigmin_le (s : seq nat) (P : pred nat) (g : nat -> R) x j : j \in s -> P j ->
  \big[Num.min/x]_(i <- s | P i) g i <= g j.
Proof.
elim: s => // i s ih; rewrite inE big_cons => /orP[/eqP <- -> | js Pj]; first by rewrite le_minl lexx.
by have := ih js Pj; case: (P i) => // h; rewrite le_minl h orbT.
Qed.

Lemma bigmin_le0 (s : seq nat) (P : pred nat) (g : nat -> R) x : \big[Num.min/x]_(i <- s | P i) g i <= x.
Proof. by elim: s => [|i s ih]; rewrite ?big_nil // big_cons; case: (P i) => //; rewrite le_minl ih orbT. Qed.

(* Between two corners f is what it was said to be. *)
Lemma sized_costE k j S : (j < k)%N -> (k <= n)%N -> corner id k j < S <= corner id k j.+1 ->
  sized_cost k S = segment k j S.
Proof.
move=> jk kn /andP[lo hi]; rewrite /sized_cost (@find_first _ _ j.+1) // => i; rewrite ltnS => ij.
by rewrite -ltNge; apply: le_lt_trans lo; apply: corner_mono => //; exact: ltnW.
Qed.

Lemma sized_bound_corner k j D : (j <= k)%N -> D <= corner id k j -> sized_bound k D <= corner c k j.
Proof. by move=> jk h; apply: (bigmin_le (P := fun j => D <= corner id k j)); rewrite ?mem_iota. Qed.

(* A set of mass D or more holds at least m + 1 tokens, and costs at least the second bound. *)
Lemma sized_floor (A : {set V}) m D : Q m < D <= Q m.+1 -> D <= \sum_(v in A) p v ->
  sized_bound m.+1 D <= \sum_(v in A) c (p v).
Proof.
move=> /andP[lo hi] DA; set k := m.+1; set S := \sum_(v in A) p v in DA *.
have kA : (k <= #|A|)%N.
  by rewrite ltnNge; apply/negP => /(mass_le_heaviest (A := A)) h; have := le_lt_trans (le_trans DA h) lo; rewrite ltxx.
have kn : (k <= n)%N by exact: leq_trans kA (max_card _).
have S0 : corner id k 0 <= S.
  rewrite /corner /heaviest big_ord0 add0r subn0 /S (mass_in_order (max_card _)) /lightest.
  rewrite -(big_mkord xpredT (nth_of p A)) (big_cat_nat _ _ _ (leq0n k) kn) /=.
  rewrite -[leLHS]addr0 -{1}[(n - k)%N]add0n big_addn subKn //; apply: ler_add.
    by apply: ler_sum_nat => i /andP[_ ik]; exact: nth_of_below.
  by apply: sumr_ge0 => i _; exact: nth_of_ge0.
have Sk : corner id k k = Q k by rewrite /corner subnn lightest0 addr0.
have [le | gt] := leP S (corner id k k); last first.
  (* Heavier than the k heaviest tokens: by the first bound it costs no less than they do. *)
  have Qk0 : 0 <= Q k by apply: sumr_ge0 => i _; exact: q_ge0.
  rewrite Sk in gt; have [k' kn' [/andP[lo' hi'] h]] := relaxed_cost (le_lt_trans Qk0 gt).
  have kk' : (k <= k')%N.
    rewrite leqNgt; apply/negP => lt; have := le_trans hi' (heaviest_mono (g := id) q_ge0 lt).
    by rewrite leNgt gt.
  apply: le_trans h; apply: (@le_trans _ _ (corner c k k)); first by apply: sized_bound_corner; rewrite ?Sk.
  rewrite /corner subnn lightest0; apply: ler_add; first exact: (heaviest_mono (g := c) c_q_ge0).
  by apply: c_below_q kn' _ _; rewrite ?subr_ge0 ?(ltW lo') // ler_subl_addl -heaviestS.
have [j jk between] : exists2 j, (j < k)%N & corner id k j <= S <= corner id k j.+1.
  move: S0; rewrite le_eqVlt => /orP[/eqP e | lt].
    by exists 0%N => //; rewrite e lexx -e corner_step.
  by have [j jk /andP[h h']] := crossing lt le; exists j => //; rewrite (ltW h).
apply: le_trans (segment_floor kA jk between); rewrite -/S; move: between => /andP[h h'].
pose T := heaviest id j + lightest id (k - j.+1).
have shape x : segment k j x = heaviest c j + lightest c (k - j.+1) + c (x - T) by rewrite /segment /T opprD addrA.
have top_ok : corner id k j.+1 - T <= top.
  by rewrite corner_high /T addrC addKr; have /andP[] := q_in (leq_trans jk kn).
have low_ok : 0 <= corner id k j - T by rewrite corner_low // /T addrC addKr q_ge0.
have ends x : 0 <= x - T -> x <= S -> Num.min (segment k j x) (segment k j (corner id k j.+1)) <= segment k j S.
  move=> x0 xS; rewrite !shape -addr_minr ler_add2l; apply: (concave_min c_concave) => //; by rewrite ler_add2r.
have [Dj | jD] := leP D (corner id k j).
  apply: le_trans (ends _ low_ok h); rewrite segment_low // segment_high le_minr.
  by rewrite !sized_bound_corner // ?(ltnW jk) // (le_trans Dj) // corner_step.
apply: le_trans (ends D _ DA); last by apply: le_trans low_ok _; rewrite ler_add2r ltW.
rewrite segment_high le_minr sized_bound_corner ?(le_trans DA) //= andbT.
by rewrite -(@sized_costE k j) ?bigmin_le0 // jD (le_trans DA).
Qed.

(* S13: if everything fits, the optimum is 0. *)
Theorem S13_everything_fits l b : (forall v, c (p v) = p v * l v) -> 0 <= b -> \sum_v p v <= b ->
  optimal_risk p l b = 0.
Proof. by move=> cl b0; apply: everything_fits => // v; rewrite -cl. Qed.

(* S13 (b): under the same assumptions, with k = m + 1, the optimum is at least min (f(D), f(S_j) for the corners
   S_j >= D). *)
Theorem S13_sized_majorisation l b m : (forall v, c (p v) = p v * l v) -> 0 <= b ->
  let D := \sum_v p v - b in Q m < D <= Q m.+1 -> sized_bound m.+1 D <= optimal_risk p l b.
Proof.
move=> cl b0 D hD; apply: le_optimal_risk => // d hd gd; have [A mass <-] := kept_set hd cl.
by apply: sized_floor => //; rewrite mass ler_add2l ler_opp2.
Qed.

Lemma equal_corners k i j : (k <= n)%N -> (i <= j)%N -> (j <= k)%N ->
  corner id k i = corner id k j -> corner c k i = corner c k j.
Proof.
move=> kn; elim: j => [|j ih]; first by rewrite leqn0 => /eqP ->.
rewrite leq_eqVlt => /orP[/eqP -> // | ij] jk e; have jk' := ltnW jk.
have same : corner id k j = corner id k j.+1.
  by apply: le_anti; rewrite corner_step // -e corner_mono.
rewrite ih ?e //; move: same; rewrite corner_low // corner_high => /addrI /= same.
by rewrite corner_low // corner_high same.
Qed.

(* S13 (b): at a corner f is what the corner costs. *)
Theorem S13_cost_at_corners k j : (k <= n)%N -> (j <= k)%N -> sized_cost k (corner id k j) = corner c k j.
Proof.
move=> kn jk; set S := corner id k j; pose P := fun i => S <= corner id k i.
have some : has P (iota 0 k.+1) by apply/hasP; exists j; rewrite ?mem_iota // /P /S lexx.
have lt : (find P (iota 0 k.+1) < k.+1)%N by rewrite -{2}(size_iota 0 k.+1) -has_find.
have Pf : P (find P (iota 0 k.+1)) by have := nth_find 0%N some; rewrite nth_iota.
have fj : (find P (iota 0 k.+1) <= j)%N.
  by rewrite leqNgt; apply/negP => h; have := before_find 0%N h; rewrite nth_iota ?ltnS // /P /S lexx.
have same : corner id k (find P (iota 0 k.+1)) = S by apply: le_anti; rewrite corner_mono //=.
rewrite /sized_cost -/P; case e : (find P (iota 0 k.+1)) same fj => [|i] same fj; first exact: equal_corners same.
by rewrite -same segment_high; exact: equal_corners same.
Qed.
End Majorisation.

Section Massive.
Variables (R : realFieldType) (V : finType) (P l : V -> R) (b : R).
Hypothesis P0 : forall v, 0 <= P v.

(* The tokens that have mass, as a vocabulary of their own. *)
Local Notation massive := {v | 0 < P v}.

Lemma sum_of_massive (f : V -> R) : \sum_v P v * f v = \sum_(w : massive) P (val w) * f (val w).
Proof.
rewrite (bigID (fun v => 0 < P v)) /= [X in _ + X]big1 ?addr0 => [|v light]; last first.
  by rewrite (_ : P v = 0) ?mul0r //; apply: le_anti; rewrite P0 andbT leNgt.
rewrite (reindex_omap (val : massive -> V) insub) => [|v heavy]; last by rewrite insubT.
by apply: eq_bigl => w; rewrite valK eqxx andbT; exact: (valP w).
Qed.

(* S13: tokens of mass zero may be left out: the optimum is that of the others. *)
Theorem S13_without_tokens_of_mass_zero : 0 <= b ->
  optimal_risk (fun w : massive => P (val w)) (fun w => l (val w)) b = optimal_risk P l b.
Proof.
move=> b0; have mass d : deferred_mass (fun w : massive => P (val w)) (d \o val) = deferred_mass P d.
  by rewrite /deferred_mass sum_of_massive.
have risks d : risk (fun w : massive => P (val w)) (fun w => l (val w)) (d \o val) = risk P l d.
  have -> : risk P l d = \sum_v P v * (l v * (1 - d v)) by apply: eq_bigr => v _; rewrite mulrA.
  by rewrite sum_of_massive; apply: eq_bigr => w _; rewrite mulrA.
apply: le_anti; apply/andP; split.
  by apply: le_optimal_risk => // d hd gd; rewrite -risks; apply: optimal_risk_le; rewrite ?mass // => w; exact: hd.
apply: le_optimal_risk => // d hd gd; pose e v := oapp d 0 (insub v : option massive).
have ed : e \o val =1 d by move=> w; rewrite /= /e valK.
rewrite -(eq_risk _ _ ed) risks; apply: optimal_risk_le => //; last by rewrite -mass (eq_deferred_mass _ ed).
by move=> v; rewrite /e; case: insubP => [w _ _|_] /=; [exact: hd | left].
Qed.
End Massive.
