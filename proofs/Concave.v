(* Concave functions by their chords, and the inequality of Karamata for one pivot: drawing numbers towards a pivot, with
   their sum unchanged, raises the sum of a concave function of them. *)
From mathcomp Require Import all_ssreflect all_algebra.
From Kad Require Import Knapsack.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Concave.
Variables (R : realFieldType) (c : R -> R) (top : R).
Add Ring the_ring : (ring_of R).

(* On [0, top] every chord lies below the function. *)
Definition concave := forall x y z, 0 <= x -> x <= y -> y <= z -> z <= top ->
  (z - y) * c x + (y - x) * c z <= (z - x) * c y.

Hypothesis c_concave : concave.

(* A chord further right is no steeper. *)
Lemma chords a b a' b' : 0 <= a -> a <= a' -> b <= b' -> a < b -> a' < b' -> b' <= top ->
  (c b' - c a') * (b - a) <= (c b - c a) * (b' - a').
Proof.
move=> a0 aa bb ab ab' top'; have K : 0 < b' - a by rewrite subr_gt0 (lt_le_trans ab).
have h1 : (c b' - c a) * (b - a) <= (c b - c a) * (b' - a).
  rewrite -subr_ge0; set e := _ - _.
  have -> : e = (b' - a) * c b - ((b' - b) * c a + (b - a) * c b') by rewrite /e; arith.
  by rewrite subr_ge0; apply: c_concave => //; exact: ltW.
have h2 : (c b' - c a') * (b' - a) <= (c b' - c a) * (b' - a').
  rewrite -subr_ge0; set e := _ - _.
  have -> : e = (b' - a) * c a' - ((b' - a') * c a + (a' - a) * c b') by rewrite /e; arith.
  by rewrite subr_ge0; apply: c_concave => //; exact: ltW.
rewrite -(ler_pmul2r K) mulrAC; apply: le_trans (ler_wpmul2r _ h2) _; first by rewrite subr_ge0 ltW.
by rewrite mulrAC [leRHS]mulrAC; apply: ler_wpmul2r h1; rewrite subr_ge0 ltW.
Qed.

(* On an interval a concave function is least at an end. *)
Lemma concave_min x y z : 0 <= x -> x <= y -> y <= z -> z <= top -> Num.min (c x) (c z) <= c y.
Proof.
move=> x0 xy yz zt; have [e | xz] := eqVneq x z.
  have -> : y = z by apply: le_anti; rewrite yz -e xy.
  by rewrite le_minl lexx orbT.
have lt : 0 < z - x by rewrite subr_gt0 lt_neqAle xz (le_trans xy).
rewrite -(ler_pmul2l lt); apply: le_trans (c_concave x0 xy yz zt); set m := Num.min _ _.
have -> : (z - x) * m = (z - y) * m + (y - x) * m by arith.
by apply: ler_add; apply: ler_wpmul2l; rewrite ?subr_ge0 // /m le_minl lexx ?orbT.
Qed.

Lemma pivot (I : finType) (x y : I -> R) t : 0 <= t -> (forall i, 0 <= x i <= top) ->
  (forall i, (t <= y i <= x i) || (x i <= y i <= t)) -> \sum_i x i = \sum_i y i ->
  \sum_i c (x i) <= \sum_i c (y i).
Proof.
move=> t0 x_in between sums; have [/existsP[i0 hi0] | none] := boolP [exists i, t < x i]; last first.
  (* Nothing is above the pivot: nothing moves. *)
  have le i : x i <= y i.
    case/orP: (between i) => /andP[h h']; last by [].
    by apply: le_trans h; rewrite leNgt; apply: contra none => lt; apply/existsP; exists i.
  have same i : y i - x i = 0.
    by apply: (psumr_eq0P (P := xpredT) (F := fun i => y i - x i)) => // [j _|]; rewrite ?subr_ge0 // sumrB sums subrr.
  by rewrite le_eqVlt; apply/orP; left; apply/eqP; apply: eq_bigr => i _; rewrite (subr0_eq (same i)).
(* The least number above the pivot gives a slope that separates what moves left from what moves right. *)
case: (@Order.TotalTheory.arg_minP _ _ _ i0 (fun i => t < x i) x hi0) => k tk least.
set slope := (c (x k) - c t) / (x k - t); have gap : 0 < x k - t by rewrite subr_gt0.
have step i : slope * (y i - x i) <= c (y i) - c (x i).
  have /andP[xi0 xit] := x_in i; have /andP[_ xkt] := x_in k.
  have -> : slope * (y i - x i) = (c (x k) - c t) * (y i - x i) / (x k - t) by rewrite /slope mulrAC.
  rewrite ler_pdivr_mulr //; case/orP: (between i) => /andP[h h'].
    have [-> | ne] := eqVneq (y i) (x i); first by rewrite !subrr mulr0 mul0r.
    have lt : y i < x i by rewrite lt_neqAle ne.
    rewrite -subr_ge0; set e := _ - _.
    have -> : e = (c (x k) - c t) * (x i - y i) - (c (x i) - c (y i)) * (x k - t) by rewrite /e; arith.
    by rewrite subr_ge0; apply: chords => //; exact: (least i (le_lt_trans h lt)).
  have [-> | ne] := eqVneq (y i) (x i); first by rewrite !subrr mulr0 mul0r.
  have lt : x i < y i by rewrite lt_neqAle eq_sym ne.
  by apply: chords => //; [exact: le_trans h h' | exact: le_trans h' (ltW tk)].
rewrite -subr_ge0 -sumrB; apply: le_trans (ler_sum _ (fun i _ => step i)).
by rewrite -mulr_sumr sumrB sums subrr mulr0.
Qed.
End Concave.
