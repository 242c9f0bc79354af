(* The costs x l(x) of keeping a token of mass x, loss by loss: which of them are concave, and the majorisation bounds for
   the logistic loss. *)
From mathcomp Require Import all_ssreflect all_algebra.
From Kad Require Import Knapsack Logarithm Variation Concave Masses Majorisation.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Costs.
Variables (R : realFieldType) (top : R).
Add Ring the_ring : (ring_of R).

Lemma gaps_ge0 (x y z : R) : x <= y -> y <= z -> 0 <= (y - x) * (z - y) * (z - x).
Proof. by move=> xy yz; rewrite !mulr_ge0 // subr_ge0 // (le_trans xy). Qed.

(* S13: x (a - k x) is concave. The perceptron on probabilities has a = p_max and k = 1, the Brier loss a = 1 + |p|^2 and
   k = 2. *)
Theorem S13_quadratic_cost a k : 0 <= k -> concave (fun x => x * (a - k * x)) top.
Proof.
move=> k0 x y z _ xy yz _; rewrite -subr_ge0; set e := _ - _.
have -> : e = k * ((y - x) * (z - y) * (z - x)) by rewrite /e; arith.
by rewrite mulr_ge0 // gaps_ge0.
Qed.

(* S13: x (1 - x)^2, of the squared loss, is concave as far as 2/3. *)
Theorem S13_squared_cost : 3%:R * top <= 2%:R -> concave (fun x => x * (1 - x) ^+ 2) top.
Proof.
move=> le x y z _ xy yz zt; rewrite -subr_ge0; set e := _ - _.
have -> : e = (1 + 1 - (x + y + z)) * ((y - x) * (z - y) * (z - x)) by rewrite /e expr2 expr2 expr2; arith.
have le' : top + top + top <= 1 + 1 by move: le; rewrite mulr_natl !mulrS mulr0n !addr0 addrA.
by rewrite mulr_ge0 ?gaps_ge0 // subr_ge0 (le_trans _ le') // !ler_add // (le_trans _ zt) // (le_trans xy).
Qed.

Variables (log : R -> R) (base : R).
Hypothesis h : logarithm log base.

Lemma log_gap x y : 0 <= x -> 0 < y -> x * (log y - log x) <= y - x.
Proof.
rewrite le_eqVlt => /orP[/eqP <- | x0] y0; first by rewrite mul0r subr0 ltW.
have := ler_wpmul2l (ltW x0) (log_tangent h (divr_gt0 y0 x0)).
rewrite (log_product h) ?invr_gt0 // (log_inverse h) // [X in _ <= X]mulrBr mulr1 [x * (y / x)]mulrC divfK //.
by rewrite gt_eqF.
Qed.

(* S13: x (a - log x) is concave. The logistic loss has a = 0, the perceptron on log-probabilities a = log p_max. *)
Theorem S13_logarithmic_cost a : concave (fun x => x * (a - log x)) top.
Proof.
move=> x y z x0 xy yz _; have [y0 | yn] := eqVneq y 0.
  have -> : x = 0 by apply: le_anti; rewrite x0 -y0 xy.
  by rewrite y0 subrr !mul0r mulr0 addr0.
have y0 : 0 < y by rewrite lt_neqAle eq_sym yn (le_trans x0).
have left := ler_wpmul2l (_ : 0 <= z - y) (log_gap x0 y0); rewrite subr_ge0 in left.
have right := ler_wpmul2l (_ : 0 <= y - x) (log_gap (ltW (lt_le_trans y0 yz)) y0); rewrite subr_ge0 in right.
have := ler_add (left yz) (right xy).
have -> : (z - y) * (y - x) + (y - x) * (y - z) = 0 by arith.
rewrite -subr_ge0 sub0r => le; rewrite -subr_ge0; set e := _ - _.
suff -> : e = - ((z - y) * (x * (log y - log x)) + (y - x) * (z * (log y - log z))) by [].
by rewrite /e; arith.
Qed.
End Costs.

Section Logistic.
Variables (R : realFieldType) (V : finType) (log : R -> R) (base : R) (p l : V -> R).
Hypothesis h : logarithm log base.
Hypothesis p_law : distribution p.
Hypothesis l_logistic : logistic log p l.
Local Notation c := (fun x => x * (0 - log x)).

(* S13: both bounds hold for the logistic loss. *)
Theorem S13_logistic b m : 0 <= b -> let D := 1 - b in heaviest p id m < D <= heaviest p id m.+1 ->
  heaviest p c m + Num.min (c (D - heaviest p id m)) (c (nth_mass p m)) <= optimal_risk p l b /\
  sized_bound p c m.+1 D <= optimal_risk p l b.
Proof.
move=> b0 D; have [p0 p1] := p_law; rewrite /D -p1 => hD.
have p_le1 v : p v <= 1 by rewrite -p1 (bigD1 v) //= ler_addl; apply: sumr_ge0.
have c_concave := @S13_logarithmic_cost R 1 log base h 0.
have c0 : c 0 = 0 by rewrite mul0r.
have cl v : c (p v) = p v * l v.
  have [-> | ne] := eqVneq (p v) 0; first by rewrite !mul0r.
  by rewrite sub0r l_logistic // lt_neqAle eq_sym ne p0.
have c_tokens v : 0 <= c (p v).
  have [-> | ne] := eqVneq (p v) 0; first by rewrite mul0r.
  by rewrite mulr_ge0 // sub0r oppr_ge0 (log_le0 h) // lt_neqAle eq_sym ne p0.
split; first exact: (S13_majorisation p0 p_le1 c_concave c0 c_tokens cl b0 hD).
exact: (S13_sized_majorisation p0 p_le1 c_concave c0 c_tokens cl b0 hD).
Qed.
End Logistic.
