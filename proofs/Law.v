(* Random programs: finite laws, drawing from them one after the other, and means. *)
From mathcomp Require Import all_ssreflect all_algebra.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* A finite law is a list of outcomes with their weights; an outcome may stand there more than once. *)
Section Laws.
Variable R : realFieldType.
Implicit Types (A B : Type).

Definition law A := seq (A * R).
Definition ret A (a : A) : law A := [:: (a, 1)].
Definition bind A B (m : law A) (f : A -> law B) : law B :=
  flatten [seq [seq (o.1, a.2 * o.2) | o <- f a.1] | a <- m].
Definition draw (V : finType) (w : V -> R) : law V := [seq (v, w v) | v <- enum V].
Definition coin (a : R) : law bool := [:: (true, a); (false, 1 - a)].

(* The mean of F; the probability of an event is the mean of its indicator. *)
Definition mean A (m : law A) (F : A -> R) := \sum_(a <- m) a.2 * F a.1.

(* Every outcome has the property P; no weight is negative. *)
Definition surely A (m : law A) (P : pred A) := all (fun a => P a.1) m.
Definition nonnegative A (m : law A) := all (fun a => 0 <= a.2) m.

Lemma mean_ret A (a : A) F : mean (ret a) F = F a.
Proof. by rewrite /mean big_seq1 mul1r. Qed.

Lemma mean_bind A B (m : law A) (f : A -> law B) F : mean (bind m f) F = mean m (fun a => mean (f a) F).
Proof.
rewrite /mean big_flatten big_map; apply: eq_bigr => a _.
by rewrite big_map mulr_sumr; apply: eq_bigr => o _; rewrite mulrA.
Qed.

Lemma mean_draw (V : finType) (w F : V -> R) : mean (draw w) F = \sum_v w v * F v.
Proof. by rewrite /mean big_map big_enum. Qed.

Lemma mean_coin a F : mean (coin a) F = a * F true + (1 - a) * F false.
Proof. by rewrite /mean big_cons big_seq1. Qed.

Lemma eq_mean A (m : law A) F G : F =1 G -> mean m F = mean m G.
Proof. by move=> h; apply: eq_bigr => a _; rewrite h. Qed.

Lemma mean_scale A (m : law A) x F : mean m (fun a => x * F a) = x * mean m F.
Proof. by rewrite mulr_sumr; apply: eq_bigr => a _; rewrite mulrCA. Qed.

Lemma mean_add A (m : law A) F G : mean m (fun a => F a + G a) = mean m F + mean m G.
Proof. by rewrite -big_split; apply: eq_bigr => a _; rewrite mulrDr. Qed.

Lemma mean_const A (m : law A) x : mean m (fun=> 1) = 1 -> mean m (fun=> x) = x.
Proof. by move=> one; rewrite -[RHS]mulr1 -one -mean_scale; apply: eq_mean => a; rewrite mulr1. Qed.

Lemma mean_map A B (m : law A) (f : A -> B) F : mean (bind m (fun a => ret (f a))) F = mean m (F \o f).
Proof. by rewrite mean_bind; apply: eq_mean => a; rewrite mean_ret. Qed.

Lemma mean_surely A (m : law A) (P : pred A) F G :
  surely m P -> (forall a, P a -> F a = G a) -> mean m F = mean m G.
Proof.
move=> hm hP; elim: m hm => [|a m ih] /=; first by rewrite /mean !big_nil.
by move=> /andP[Pa /ih]; rewrite /mean !big_cons => ->; rewrite hP.
Qed.

Lemma all_flatten (T : Type) (P : pred T) (ss : seq (seq T)) : all P (flatten ss) = all (all P) ss.
Proof. by elim: ss => //= s ss <-; exact: all_cat. Qed.

Lemma surely_ret A (a : A) (P : pred A) : P a -> surely (ret a) P.
Proof. by rewrite /surely /= => ->. Qed.

Lemma surely_bind A B (m : law A) (f : A -> law B) (P : pred A) (Q : pred B) :
  surely m P -> (forall a, P a -> surely (f a) Q) -> surely (bind m f) Q.
Proof.
move=> hm hf; rewrite /surely all_flatten all_map; apply: sub_all hm => a /hf /=; by rewrite all_map.
Qed.

Lemma surely_any A (m : law A) : surely m xpredT.
Proof. exact: all_predT. Qed.

Lemma surely_then A B (m : law A) (f : A -> law B) (Q : pred B) :
  (forall a, surely (f a) Q) -> surely (bind m f) Q.
Proof. by move=> hf; apply: surely_bind (surely_any m) _ => a _. Qed.

Lemma nonnegative_bind A B (m : law A) (f : A -> law B) :
  nonnegative m -> (forall a, nonnegative (f a)) -> nonnegative (bind m f).
Proof.
move=> hm hf; rewrite /nonnegative all_flatten all_map; apply: sub_all hm => a a0 /=.
by rewrite all_map; apply: sub_all (hf a.1) => o o0 /=; exact: mulr_ge0.
Qed.

Lemma nonnegative_ret A (a : A) : nonnegative (ret a).
Proof. by rewrite /nonnegative /= ler01. Qed.

Lemma nonnegative_draw (V : finType) (w : V -> R) : (forall v, 0 <= w v) -> nonnegative (draw w).
Proof. by move=> h; rewrite /nonnegative all_map; apply/allP => v _ /=. Qed.

Lemma nonnegative_coin a : 0 <= a -> a <= 1 -> nonnegative (coin a).
Proof. by move=> a0 a1; rewrite /nonnegative /= a0 subr_ge0 a1. Qed.
End Laws.

(* Draw x from m, and go on with f. *)
Notation "'let!' x := m 'in' f" := (bind m (fun x => f)) (at level 200, x name, m at level 100, f at level 200).
