(* The lazy proxy and the rejection view: a token is drawn from p, rejected with probability d, and replaced by a draw from
   q* only then. *)
From mathcomp Require Import all_ssreflect all_algebra.
From Kad Require Import Knapsack Variation Mixture Speculation.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Rejection.
Variables (R : realFieldType) (V : finType) (p d q : V -> R).

(* The joint law of the base's draw x, whether it is rejected, and the token v that comes out. *)
Definition rejection x rejected v := p x * (if rejected then d x * q v else (1 - d x) * (x == v)%:R).

(* S12: the token is x and was kept with probability p (1 - d), and came from the proxy with probability alpha q*; so pi is
   the last of three variables, of which two are not seen. *)
Theorem S12_rejection v :
  [/\ \sum_x rejection x false v = p v * (1 - d v),
      \sum_x rejection x true v = deferred_mass p d * q v &
      \sum_x \sum_rejected rejection x rejected v = mixture p q d v].
Proof.
have kept : \sum_x rejection x false v = p v * (1 - d v).
  by rewrite -[RHS](sum_at (fun x => p x * (1 - d x))); apply: eq_bigr => x _; rewrite /rejection mulrA.
have replaced : \sum_x rejection x true v = deferred_mass p d * q v.
  by rewrite /deferred_mass mulr_suml; apply: eq_bigr => x _; rewrite /rejection mulrA.
split=> //; rewrite exchange_big big_bool /= addrC kept replaced //.
Qed.

(* S11: to sample pi, draw from p, keep x with probability 1 - d_x, and draw from q* only otherwise. *)
Theorem S11_lazy_law v : \sum_x p x * ((1 - d x) * (x == v)%:R + d x * q v) = mixture p q d v.
Proof.
have [_ _ <-] := S12_rejection v; apply: eq_bigr => x _.
by rewrite big_bool /= /rejection addrC mulrDr.
Qed.

(* S11: so the proxy is asked with probability alpha. *)
Theorem S11_proxy_asked : distribution q -> \sum_x \sum_v rejection x true v = deferred_mass p d.
Proof.
move=> [_ q1]; apply: eq_bigr => x _.
by rewrite /rejection -mulr_sumr -mulr_sumr q1 mulr1.
Qed.
End Rejection.

Section Mode.
Variables (R : realFieldType) (V : finType) (p d q : V -> R).
Hypothesis p_law : distribution p.
Hypothesis q_law : distribution q.
Hypothesis d_decision : decision d.
Local Notation alpha := (deferred_mass p d).
Local Notation kept v := (p v * (1 - d v)).

Lemma mixture_least v : kept v <= mixture p q d v.
Proof. by have [q0 _] := q_law; rewrite /mixture ler_addl mulr_ge0 // (alpha_ge0 p_law d_decision). Qed.

Lemma mixture_most v : mixture p q d v <= kept v + alpha.
Proof. by rewrite /mixture ler_add2l ler_pimulr ?(alpha_ge0 p_law d_decision) //; exact: probability_le1. Qed.

(* S11: b leads every other token in pi by at least what it leads it by in the kept weights, less alpha; and so it leads
   the best of them, which is 0 if there is no other. *)
Theorem S11_lead b : (forall v, v != b -> kept b - kept v - alpha <= mixture p q d b - mixture p q d v) /\
  kept b - \big[Num.max/0]_(v | v != b) kept v - alpha <= mixture p q d b - \big[Num.max/0]_(v | v != b) mixture p q d v.
Proof.
split=> [v vb|]; rewrite -addrA -opprD; apply: ler_add (mixture_least b) _; rewrite ler_opp2; first exact: mixture_most.
have [p0 _] := p_law; elim/big_ind: _ => [|x y hx hy|v vb].
- by rewrite addr_ge0 ?bigmax_ge // (alpha_ge0 p_law d_decision).
- by rewrite le_maxl hx hy.
apply: le_trans (mixture_most v) _; rewrite ler_add2r.
by apply: (le_bigmax 0 (Q := fun v => v != b) (fun v => kept v)); rewrite ?mem_index_enum.
Qed.

(* S11: if the kept weight of b exceeds that of every other token by more than alpha, b alone is the mode of pi, whatever q*
   is. A deferred token has the kept weight 0, so this asks for p_1 > alpha too. *)
Theorem S11_certified_mode b :
  (forall v, v != b -> kept v + alpha < kept b) -> forall v, v != b -> mixture p q d v < mixture p q d b.
Proof. by move=> h v vb; apply: le_lt_trans (mixture_most v) (lt_le_trans (h v vb) (mixture_least b)). Qed.

(* S11: if it does not exceed them but comes up to them, b is a mode of pi, and q* may make another its equal. *)
Theorem S11_certified_mode_tied b :
  (forall v, v != b -> kept v + alpha <= kept b) -> forall v, mixture p q d v <= mixture p q d b.
Proof.
move=> h v; have [-> // | vb] := eqVneq v b.
by apply: le_trans (mixture_most v) (le_trans (h v vb) (mixture_least b)).
Qed.

(* S11: a proxy that is sure of another token makes that its equal. *)
Theorem S11_another_may_tie b w : w != b -> kept w + alpha = kept b ->
  mixture p (fun v => (v == w)%:R) d w = mixture p (fun v => (v == w)%:R) d b.
Proof. by move=> wb e; rewrite /mixture eqxx mulr1 e eq_sym (negPf wb) mulr0 addr0. Qed.

(* S11: where nothing is deferred, pi is p (1 - d) itself. *)
Theorem S11_certified_undeferred v : alpha = 0 -> mixture p q d v = kept v.
Proof. by rewrite /mixture => ->; rewrite mul0r addr0. Qed.
End Mode.

Section Greedy.
Variables (R : realFieldType) (n : nat).
Implicit Types f : 'I_n -> R.

(* The greedy token: the mode, and of equals the one with the lowest id. *)
Definition greedy_token f b := forall v, f v <= f b /\ (f v = f b -> (b <= v)%N).

(* There is one at most. *)
Lemma greedy_token_unique f b c : greedy_token f b -> greedy_token f c -> b = c.
Proof.
move=> hb hc; have [bc lb] := hc b; have [cb lc] := hb c; have e : f b = f c by apply: le_anti; rewrite bc cb.
by apply: val_inj; apply/eqP; rewrite eqn_leq lc ?lb.
Qed.

(* S11: under the condition of S11_certified_mode, or if nothing is deferred, the greedy token of the kept weights is that
   of pi, whatever q* is. *)
Theorem S11_certified_greedy (p d q : 'I_n -> R) b :
  distribution p -> distribution q -> decision d ->
  let kept v := p v * (1 - d v) in let alpha := deferred_mass p d in
  greedy_token kept b -> (alpha == 0) || [forall v, (v != b) ==> (kept v + alpha < kept b)] ->
  forall c, greedy_token (mixture p q d) c <-> c = b.
Proof.
move=> p_law q_law hd kept alpha hb sure; have hpi : greedy_token (mixture p q d) b.
  case/orP: sure => [/eqP a0 | /forallP h] v; first by rewrite !(S11_certified_undeferred q _ a0); exact: hb.
  have strict := S11_certified_mode p_law q_law hd (fun w wb => implyP (h w) wb).
  have [-> // | vb] := eqVneq v b; split; first exact: ltW (strict v vb).
  by move=> e; have := strict v vb; rewrite e ltxx.
by move=> c; split=> [hc | -> //]; exact: greedy_token_unique hc hpi.
Qed.
End Greedy.
