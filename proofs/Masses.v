(* The masses of a vocabulary in falling order, against those of a set of its tokens. *)
From mathcomp Require Import all_ssreflect all_algebra.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Sequences.
Variable R : realFieldType.
Implicit Types (s y : seq R) (i j : nat).
Local Notation falling := (sorted (fun a b : R => b <= a)).
Local Notation positive := (all (fun a : R => 0 <= a)).

Lemma nth_ge0 s i : positive s -> 0 <= nth 0 s i.
Proof.
move=> s0; have [lt | le] := ltnP i (size s); last by rewrite nth_default.
exact: (allP s0) (mem_nth 0 lt).
Qed.

Lemma nth_falling s i j : falling s -> positive s -> (i <= j)%N -> nth 0 s j <= nth 0 s i.
Proof.
move=> hs s0 ij; have [lt | le] := ltnP j (size s); last by rewrite (nth_default _ le) nth_ge0.
have tr : transitive (fun a b : R => b <= a) by move=> a b c h h'; exact: le_trans h' h.
by apply: (sorted_leq_nth tr (fun a => lexx a) 0 hs) => //; exact: leq_ltn_trans lt.
Qed.

(* The i-th of some of the masses is at most the i-th of all... *)
Lemma nth_sub_above y s i : subseq y s -> falling s -> positive s -> nth 0 y i <= nth 0 s i.
Proof.
elim: s y i => [|a s ih] [|b y] i //=; try by move=> _ _ h; rewrite nth_nil nth_ge0.
case: eqP => [-> | _] sub hs /[dup] h /andP[_ s0]; have hs' := path_sorted hs.
  by case: i => [|i] //=; exact: ih.
apply: le_trans (ih _ i sub hs' s0) _; exact: (@nth_falling (a :: s) i i.+1).
Qed.

(* ... and, counted from the end, at least the i-th of all. *)
Lemma nth_sub_below y s i : subseq y s -> falling s -> positive s -> (i < size y)%N ->
  nth 0 s (i + (size s - size y)) <= nth 0 y i.
Proof.
elim: s y i => [|a s ih] [|b y] i //=.
case: eqP => [-> | _] sub hs /[dup] h /andP[_ s0] lt; have hs' := path_sorted hs.
  rewrite subSS; case: i lt => [|i] lt; first exact: (@nth_falling (a :: s) 0).
  by rewrite addSn /=; exact: (ih _ _ sub hs' s0 lt).
by rewrite subSn ?(size_subseq sub) // addnS; exact: (ih (b :: y) i sub hs' s0 lt).
Qed.

Lemma sum_padded y (g : R -> R) n : g 0 = 0 -> (size y <= n)%N -> \sum_(i < n) g (nth 0 y i) = \sum_(a <- y) g a.
Proof.
move=> g0; elim: y n => [|a y ih] n; first by rewrite big_nil big1 // => i _; rewrite nth_nil.
by case: n => // n le; rewrite big_ord_recl big_cons /= ih.
Qed.
End Sequences.

Section Vocabulary.
Variables (R : realFieldType) (V : finType) (p : V -> R).
Hypothesis p0 : forall v, 0 <= p v.

(* Tokens by falling mass, those of a set likewise, and the masses q_1 >= q_2 >= ... (counted from 0; 0 behind the last). *)
Definition by_mass := sort (fun v w => p w <= p v).
Definition nth_mass i := nth 0 [seq p v | v <- by_mass (enum V)] i.
Definition nth_of (A : {set V}) i := nth 0 [seq p v | v <- by_mass (enum A)] i.

Let rel_trans : transitive (fun v w => p w <= p v).
Proof. by move=> a b c h h'; exact: le_trans h' h. Qed.

Let rel_total : total (fun v w => p w <= p v).
Proof. by move=> a b; exact: le_total. Qed.

Lemma size_by_mass (s : seq V) : size [seq p v | v <- by_mass s] = size s.
Proof. by rewrite size_map size_sort. Qed.

Lemma by_mass_falling s : sorted (fun a b : R => b <= a) [seq p v | v <- by_mass s].
Proof. by rewrite sorted_map; exact: sort_sorted. Qed.

Lemma by_mass_ge0 s : all (fun a : R => 0 <= a) [seq p v | v <- by_mass s].
Proof. by rewrite all_map; apply/allP => v _ /=. Qed.

Lemma by_mass_sub (A : {set V}) : subseq [seq p v | v <- by_mass (enum A)] [seq p v | v <- by_mass (enum V)].
Proof.
apply: map_subseq; apply: subseq_sort => //; rewrite [enum V]enumT; exact: filter_subseq.
Qed.

Lemma nth_mass_ge0 i : 0 <= nth_mass i.
Proof. exact: nth_ge0 (by_mass_ge0 _). Qed.

Lemma nth_mass_falling i j : (i <= j)%N -> nth_mass j <= nth_mass i.
Proof. exact: nth_falling (by_mass_falling _) (by_mass_ge0 _). Qed.

Lemma nth_of_ge0 A i : 0 <= nth_of A i.
Proof. exact: nth_ge0 (by_mass_ge0 _). Qed.

Lemma nth_of_falling A i j : (i <= j)%N -> nth_of A j <= nth_of A i.
Proof. exact: nth_falling (by_mass_falling _) (by_mass_ge0 _). Qed.

Lemma nth_of_above A i : nth_of A i <= nth_mass i.
Proof. exact: nth_sub_above (by_mass_sub A) (by_mass_falling _) (by_mass_ge0 _). Qed.

(* The i-th of at least k tokens weighs no less than the i-th of the k lightest. *)
Lemma nth_of_below (A : {set V}) k i : (k <= #|A|)%N -> (i < k)%N -> nth_mass (i + (#|V| - k)) <= nth_of A i.
Proof.
move=> kA ik; have := @nth_sub_below R _ _ i (by_mass_sub A) (by_mass_falling _) (by_mass_ge0 _).
rewrite !size_by_mass -!cardE => /(_ (leq_trans ik kA)); apply: le_trans.
by apply: nth_mass_falling; rewrite leq_add2l leq_sub2l.
Qed.

(* A sum over a set, in falling order; zeros may follow. *)
Lemma sum_of (A : {set V}) (g : R -> R) n : g 0 = 0 -> (#|A| <= n)%N ->
  \sum_(v in A) g (p v) = \sum_(i < n) g (nth_of A i).
Proof.
move=> g0 An; rewrite sum_padded //; last by rewrite size_by_mass -cardE.
by rewrite big_map (perm_big _ (permEl (perm_sort _ _))) /= big_enum.
Qed.

(* Each of the first #|V| masses is that of a token. *)
Lemma nth_mass_token i : (i < #|V|)%N -> exists v, nth_mass i = p v.
Proof.
move=> lt; have lt' : (i < size [seq p v | v <- by_mass (enum V)])%N by rewrite size_by_mass -cardE.
by have /mapP[v _ e] := mem_nth 0 lt'; exists v.
Qed.

Lemma nth_mass_beyond i : (#|V| <= i)%N -> nth_mass i = 0.
Proof. by move=> le; rewrite /nth_mass nth_default // size_by_mass -cardE. Qed.

(* The place of a token in that order; a sum over all tokens may read it. *)
Definition place v := index v (by_mass (enum V)).

Lemma sum_by_place (g : R -> nat -> R) : \sum_v g (p v) (place v) = \sum_(i < #|V|) g (nth_mass i) i.
Proof.
have size_V : size (by_mass (enum V)) = #|V| by rewrite size_sort -cardE.
rewrite -[LHS]big_enum -(perm_big _ (permEl (perm_sort (fun v w => p w <= p v) _))) /= -/(by_mass _).
case e : (by_mass (enum V)) => [|v0 s].
  by rewrite big_nil; move: size_V; rewrite e /= => <-; rewrite big_ord0.
rewrite -e (big_nth v0) big_mkord size_V; apply: eq_bigr => i _; rewrite /nth_mass (nth_map v0) ?size_V // /place.
by rewrite index_uniq ?size_V // sort_uniq enum_uniq.
Qed.
End Vocabulary.
