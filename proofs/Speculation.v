(* Speculation at one position: a token is drafted from q, put to the test against pi, and replaced if it falls. R is any
   ordered field and V any finite vocabulary. Division by zero gives zero here (x / 0 = 0), so a token with q_v = 0 has the
   acceptance 0; it is never drafted, and no statement depends on it. *)
From mathcomp Require Import all_ssreflect all_algebra.
From Kad Require Import Knapsack Variation Mixture.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Definitions.
Variables (R : realFieldType) (V : finType).
Implicit Types (q pi f : V -> R) (v : V).

(* The draft v stands with this probability. *)
Definition acceptance pi q v := Num.min 1 (pi v / q v).

(* The probability that a draft stands. *)
Definition accepted pi q := \sum_v q v * acceptance pi q v.

(* The positive part of pi - q, and a function divided by its sum. *)
Definition excess pi q v := Num.max 0 (pi v - q v).
Definition normalised f v := f v / \sum_w f w.

(* What a draft that falls is replaced from. If the excess is zero everywhere no draft falls. *)
Definition residual pi q := normalised (excess pi q).

(* The probability that the token v comes out: some x is drafted, and it stands and is v, or it falls and v replaces it. *)
Definition emitted pi q v :=
  \sum_x q x * (acceptance pi q x * (x == v)%:R + (1 - acceptance pi q x) * residual pi q v).

(* The mean of F over g independent tosses, each of which shows true with probability a. *)
Fixpoint tosses (a : R) g (F : seq bool -> R) : R :=
  if g is g'.+1 then a * tosses a g' (F \o cons true) + (1 - a) * tosses a g' (F \o cons false) else F [::].

(* What a round yields if its drafts stand or fall like these tosses: those before the first that falls, and one more. *)
Definition yield (s : seq bool) := (find negb s).+1.
End Definitions.

Section Acceptance.
Variables (R : realFieldType) (V : finType) (pi q : V -> R).
Hypothesis pi_law : distribution pi.
Hypothesis q_law : distribution q.

Lemma sum_at (f : V -> R) v : \sum_x f x * (x == v)%:R = f v.
Proof. by rewrite (bigD1 v) //= eqxx mulr1 big1 ?addr0 // => x /negPf ->; rewrite mulr0. Qed.

Lemma stands v : q v * acceptance pi q v = Num.min (pi v) (q v).
Proof.
rewrite /acceptance; have [-> | q0] := eqVneq (q v) 0; first by rewrite mul0r; apply/esym/min_idPr; case: pi_law.
have [q_ge0 _] := q_law; rewrite minr_pmulr // mulr1 (mulrC (q v)) divfK // minC //.
Qed.

Lemma excessE v : excess pi q v = pi v - Num.min (pi v) (q v).
Proof.
rewrite /excess; case: (leP (pi v) (q v)) => h.
  by rewrite subrr; apply/max_idPl; rewrite subr_le0.
by apply/max_idPr; rewrite subr_ge0 ltW.
Qed.

Lemma excess_ge0 v : 0 <= excess pi q v.
Proof. by rewrite /excess le_maxr lexx. Qed.

(* A draft falls with the probability by which the residual is normalised. *)
Lemma falls : \sum_x q x * (1 - acceptance pi q x) = \sum_x excess pi q x.
Proof.
have [_ p1] := pi_law; have [_ q1] := q_law; transitivity (1 - \sum_x Num.min (pi x) (q x)).
  by rewrite -[in RHS]q1 -sumrB; apply: eq_bigr => x _; rewrite mulrBr mulr1 stands.
by rewrite -[in LHS]p1 -sumrB; apply: eq_bigr => x _; rewrite excessE.
Qed.

Lemma residual_mass v : (\sum_x excess pi q x) * residual pi q v = excess pi q v.
Proof.
rewrite /residual /normalised; have [z | nz] := eqVneq (\sum_x excess pi q x) 0; last by rewrite mulrC divfK.
by rewrite z mul0r (psumr_eq0P _ z) // => x _; exact: excess_ge0.
Qed.

Lemma acceptance_ge0 v : 0 <= acceptance pi q v.
Proof. by have [p0 _] := pi_law; have [q0 _] := q_law; rewrite /acceptance le_minr ler01 divr_ge0. Qed.

Lemma acceptance_le1 v : acceptance pi q v <= 1.
Proof. by rewrite /acceptance le_minl lexx. Qed.

Lemma residual_ge0 v : 0 <= residual pi q v.
Proof. by apply: divr_ge0; [exact: excess_ge0 | apply: sumr_ge0 => x _; exact: excess_ge0]. Qed.

(* The mean of any function of the token that comes out. *)
Lemma emitted_mean (F : V -> R) :
  \sum_x q x * (acceptance pi q x * F x + (1 - acceptance pi q x) * \sum_w residual pi q w * F w) =
  \sum_v pi v * F v.
Proof.
under eq_bigr => x _ do rewrite mulrDr mulrA stands mulrA.
rewrite big_split /= -mulr_suml falls mulr_sumr -big_split /=; apply: eq_bigr => v _.
by rewrite mulrA residual_mass excessE -mulrDl addrC subrK.
Qed.

(* S10: a draft from q, whatever q is, stands with probability 1 - D_TV(pi, q). *)
Theorem S10_acceptance_probability : accepted pi q = 1 - total_variation pi q.
Proof.
have [_ p1] := pi_law; rewrite /accepted (eq_bigr _ (fun v _ => stands v)).
rewrite (total_variation_positive pi_law q_law) -[in RHS]p1 -sumrB; apply: eq_bigr => v _.
by rewrite -/(excess pi q v) excessE subKr.
Qed.

(* S10: the token that comes out has the law pi, whatever q it was drafted from. *)
Theorem S10_emitted_law v : emitted pi q v = pi v.
Proof.
rewrite -[RHS](sum_at pi v) -(emitted_mean (fun x => (x == v)%:R)) /emitted.
by apply: eq_bigr => x _; rewrite (sum_at (residual pi q)).
Qed.
End Acceptance.

Section Greedy.
Variables (R : realFieldType) (V : finType).

(* All mass at one token: what greedy decoding makes of pi and of q. *)
Definition point (m v : V) : R := (v == m)%:R.

(* S10: in greedy decoding a draft stands if it is the mode m of pi, and falls otherwise. *)
Theorem S10_greedy_acceptance (m x : V) : acceptance (point m) (point x) x = (x == m)%:R.
Proof.
rewrite /acceptance /point eqxx divr1.
by case: (x == m); [exact: minxx | apply/min_idPr; exact: ler01].
Qed.

(* S10: a draft that falls is replaced by that mode. *)
Theorem S10_greedy_residual (m x : V) v : x != m -> residual (point m) (point x) v = point m v.
Proof.
move=> xm; have e w : excess (point m) (point x) w = point m w.
  rewrite /excess /point; have [-> | wm] := eqVneq w m.
    by rewrite eq_sym (negPf xm) subr0; apply/max_idPr; exact: ler01.
  by rewrite sub0r; apply/max_idPl; rewrite oppr_le0 ler0n.
rewrite /residual /normalised e (eq_bigr _ (fun w _ => e w)).
have -> : \sum_w point m w = 1; last by rewrite divr1.
by rewrite (bigD1 m) //= /point eqxx big1 ?addr0 // => w /negPf ->.
Qed.
End Greedy.

Section Mixture.
Variables (R : realFieldType) (V : finType) (p d q : V -> R).
Hypothesis p_law : distribution p.
Hypothesis q_law : distribution q.
Hypothesis d_decision : decision d.
Local Notation alpha := (deferred_mass p d).
Local Notation pi := (mixture p q d).
Add Ring the_ring : (ring_of R).

Let pi_law : distribution pi := S6_mixture_is_a_distribution p_law q_law d_decision.
Let alpha1 : alpha <= 1 := alpha_le1 p_law d_decision.

Lemma kept_ge0 v : 0 <= p v * (1 - d v).
Proof. by have [p0 _] := p_law; rewrite mulr_ge0 // subr_ge0; case/andP: (d_decision v). Qed.

(* S10: a draft from q* stands with probability alpha at least. *)
Theorem S10_acceptance_floor : alpha <= accepted pi q.
Proof.
have [q0 q1] := q_law; rewrite -[alpha]mulr1 -q1 mulr_sumr; apply: ler_sum => v _.
rewrite (stands pi_law q_law) le_minr ler_addr kept_ge0 /=.
by rewrite ler_pimull // alpha1.
Qed.

(* S10: for a fractional d, too, the excess is the positive part of p (1 - d) - (1 - alpha) q*. *)
Theorem S10_excess v : excess pi q v = Num.max 0 (p v * (1 - d v) - (1 - alpha) * q v).
Proof. by rewrite /excess /mixture; congr Num.max; arith. Qed.

(* S10: the residual is the positive part of p_keep - q*, normalised. *)
Theorem S10_residual v : residual pi q v = normalised (excess (keep p d) q) v.
Proof.
have scaled w : excess pi q w = (1 - alpha) * excess (keep p d) q w.
  by rewrite S10_excess /excess maxr_pmulr ?subr_ge0 // mulr0 -(keepE p_law d_decision w) mulrBr.
rewrite /residual /normalised (eq_bigr _ (fun w _ => scaled w)) -mulr_sumr scaled.
have [a1 | na1] := eqVneq (1 - alpha) 0; last by rewrite -mulf_div divff // mul1r.
have none w : keep p d w = 0 by rewrite /keep a1 invr0 mulr0.
have [q0 _] := q_law; have /max_idPl e : - q v <= 0 by rewrite oppr_le0.
by rewrite a1 !mul0r {1}/excess none sub0r e mul0r.
Qed.

(* S10: a token that is wholly deferred replaces none; with a 0-1 decision the residual lies on the kept tokens alone. *)
Theorem S10_residual_kept v : d v = 1 -> residual pi q v = 0.
Proof.
have [q0 _] := q_law; move=> d1; rewrite /residual /normalised S10_excess d1 subrr mulr0 sub0r.
have /max_idPl -> : - ((1 - alpha) * q v) <= 0; last by rewrite mul0r.
by rewrite oppr_le0 mulr_ge0 // subr_ge0 alpha1.
Qed.
End Mixture.

Section Round.
Variables (R : realFieldType) (a : R).

Lemma tosses_const g x : tosses a g (fun=> x) = x.
Proof. by elim: g => //= g ih; rewrite /comp !ih -mulrDl addrC subrK mul1r. Qed.

Lemma tosses_succ g (F : seq bool -> nat) :
  tosses a g (fun s => (F s).+1%:R) = 1 + tosses a g (fun s => (F s)%:R).
Proof.
elim: g F => [|g ih] F /=; first by rewrite mulrS.
by rewrite /comp !ih !mulrDr !mulr1 addrACA (addrC a) subrK.
Qed.

Lemma tosses_yield g : tosses a g (fun s => (yield s)%:R) = \sum_(i < g.+1) a ^+ i.
Proof.
elim: g => [|g ih]; first by rewrite /= big_ord1 expr0.
rewrite /= /comp /yield /= (tosses_succ g (fun s => (find negb s).+1)) tosses_const mulr1 ih.
rewrite [RHS]big_ord_recl expr0 mulrDr mulr1 addrAC addrC (addrC a) subrK addrC; congr (_ + _).
by rewrite mulr_sumr; apply: eq_bigr => i _; rewrite exprS.
Qed.

(* S10: if drafts stand independently of each other with probability a, a round of g drafts yields
   1 + a + ... + a^g = (1 - a^(g+1)) / (1 - a) tokens in the mean, the last one included; g + 1 if a = 1. *)
Theorem S10_tokens_per_round g :
  tosses a g (fun s => (yield s)%:R) = \sum_(i < g.+1) a ^+ i /\
  tosses a g (fun s => (yield s)%:R) = if a == 1 then g.+1%:R else (1 - a ^+ g.+1) / (1 - a).
Proof.
rewrite tosses_yield; split=> //; have [-> | a1] := eqVneq a 1.
  by under eq_bigr => i _ do rewrite expr1n; rewrite sumr_const card_ord.
by rewrite -[1 - a ^+ _]opprB subrX1 -mulNr opprB [(1 - a) * _]mulrC mulfK // subr_eq0 eq_sym.
Qed.
End Round.
