(* The loop of the decoder as a random program, and the law of the text that it emits. *)
From mathcomp Require Import all_ssreflect all_algebra.
From Kad Require Import Knapsack Variation Mixture Speculation Law.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* What is owed: nothing; a token that the proxy is to draw, as the base's draw was rejected; a token that is to be drawn
   from pi, once q* is known. *)
Inductive debt := Nothing | Proxy | Mixture.

(* How a round ends whose drafts all stand: the token behind them is drawn lazily, or owed, or drawn from pi at once. *)
Inductive ending := Lazily | Later | AtOnce.

Section Loop.
Variables (R : realFieldType) (V : finType).

(* What the models say after a text: p and d of the base, q* of the proxy. Any target pi is a mixture: take p = pi and
   d = 0. Greedy decoding is the case of laws with all mass at one token. *)
Variables p d q : seq V -> V -> R.
Definition pi x := mixture (p x) (q x) (d x).

(* The text so far, and what is owed behind it. *)
Definition state := (seq V * debt)%type.

(* How a round is run: how many drafts it makes at most, after which texts it drafts on, and how it ends. *)
Record rule := Rule { most : nat; further : pred (seq V); ends : seq V -> ending }.

(* What is known of the rounds before: the drafts of each and the state in which it ended. *)
Definition history := seq (seq V * state).

(* 1. What is owed is settled by the first draw, and the proxy drafts. *)
Definition settle (s : state) : law R (seq V) :=
  match s.2 with
  | Nothing => ret R s.1
  | Proxy => let! v := draw (q s.1) in ret R (rcons s.1 v)
  | Mixture => let! v := draw (pi s.1) in ret R (rcons s.1 v)
  end.

Fixpoint draft n (on : pred (seq V)) x : law R (seq V) :=
  if n is n'.+1 then
    if on x then let! v := draw (q x) in let! drafts := draft n' on (rcons x v) in ret R (v :: drafts) else ret R [::]
  else ret R [::].

(* 3. The token after drafts that all stand. *)
Definition last (e : seq V -> ending) x : law R state :=
  match e x with
  | Lazily =>
      let! v := draw (p x) in
      let! kept := coin (1 - d x v) in
      ret R (if kept then (rcons x v, Nothing) else (x, Proxy))
  | Later => ret R (x, Mixture)
  | AtOnce => let! v := draw (pi x) in ret R (rcons x v, Nothing)
  end.

(* 2. The drafts are put to the test one after the other, and the first that falls is replaced. *)
Fixpoint verify e x (drafts : seq V) : law R state :=
  if drafts is v :: drafts' then
    let! stands := coin (acceptance (pi x) (q x) v) in
    if stands then verify e (rcons x v) drafts'
    else let! w := draw (residual (pi x) (q x)) in ret R (rcons x w, Nothing)
  else last e x.

Definition round (r : rule) (s : state) : law R (seq V * state) :=
  let! x := settle s in
  let! drafts := draft (most r) (further r) x in
  let! s' := verify (ends r) x drafts in
  ret R (drafts, s').

(* n rounds. A policy chooses how each is run, from all that happened before. *)
Fixpoint loop (policy : history -> rule) n (h : history) (s : state) : law R state :=
  if n is n'.+1 then let! out := round (policy h) s in loop policy n' (rcons h out) out.2 else ret R s.

(* n tokens drawn from pi, one after the other. *)
Fixpoint chain n x : law R (seq V) :=
  if n is n'.+1 then let! v := draw (pi x) in let! s := chain n' (rcons x v) in ret R (v :: s) else ret R [::].

(* A function of the text is fair if its mean after a token from pi is what it was before. Its value in a state counts what
   is owed. *)
Definition fair (f : seq V -> R) := forall x, f x = \sum_v pi x v * f (rcons x v).
Definition value f (s : state) := if s.2 is Proxy then \sum_v q s.1 v * f (rcons s.1 v) else f s.1.

Hypothesis p_law : forall x, distribution (p x).
Hypothesis q_law : forall x, distribution (q x).
Hypothesis d_decision : forall x, decision (d x).

Lemma pi_law x : distribution (pi x).
Proof. exact: S6_mixture_is_a_distribution. Qed.

Lemma draft_sum n on x : mean (draft n on x) (fun=> 1) = 1.
Proof.
elim: n x => [|n ih] x /=; first by rewrite mean_ret.
case: (on x); last by rewrite mean_ret.
rewrite mean_bind mean_draw; have [_ q1] := q_law x; rewrite -[RHS]q1; apply: eq_bigr => v _.
by rewrite mean_map (@eq_mean _ _ _ _ (fun=> 1)) // ih mulr1.
Qed.

Lemma one_fair : fair (fun=> 1).
Proof. by move=> x; rewrite -mulr_suml mulr1; have [_ ->] := pi_law x. Qed.

Lemma value_one s : value (fun=> 1) s = 1.
Proof. by rewrite /value; case: s.2 => //; rewrite -mulr_suml mulr1; have [_ ->] := q_law s.1. Qed.

Section Fair.
Variable f : seq V -> R.
Hypothesis f_fair : fair f.

Lemma mean_settle s : mean (settle s) f = value f s.
Proof.
case: s => x [] /=; rewrite /settle /value /= ?mean_ret //.
  by rewrite mean_map mean_draw.
by rewrite mean_map mean_draw [RHS]f_fair.
Qed.

(* S11: a token that is drawn lazily leaves the value what it was. *)
Lemma mean_last e x : mean (last e x) (value f) = f x.
Proof.
rewrite /last; case: (e x); last first.
- by rewrite mean_map mean_draw /comp /value /= -f_fair.
- by rewrite mean_ret.
rewrite mean_bind mean_draw [RHS]f_fair.
under eq_bigr => v _ do rewrite mean_map mean_coin /comp /value /= subKr mulrDr mulrA mulrA.
rewrite big_split /= -mulr_suml mulr_sumr -big_split; apply: eq_bigr => v _.
by rewrite /pi /mixture mulrDl mulrA.
Qed.

(* S10: so do drafts that are put to the test, however many they are. *)
Lemma mean_verify e n on x : mean (draft n on x) (fun s => mean (verify e x s) (value f)) = f x.
Proof.
elim: n x => [|n ih] x /=; first by rewrite mean_ret mean_last.
case: (on x); last by rewrite mean_ret mean_last.
rewrite mean_bind mean_draw [RHS]f_fair -(emitted_mean (pi_law x) (q_law x)).
apply: eq_bigr => v _; congr (_ * _); rewrite mean_map /comp /=.
under eq_mean => s do rewrite mean_bind mean_coin mean_map mean_draw /comp /value /= -/(value f).
by rewrite mean_add !mean_scale ih mean_const // draft_sum.
Qed.

(* S10, S11: one round leaves the value of every fair function what it was: whatever is owed, however many drafts are made
   and whatever makes the proxy stop, and however the round ends. *)
Theorem S10_round_law r s : mean (round r s) (fun out => value f out.2) = value f s.
Proof.
rewrite /round mean_bind -mean_settle; apply: eq_mean => x.
rewrite mean_bind -[RHS](mean_verify (ends r) (most r) (further r)).
by apply: eq_mean => drafts; rewrite mean_map.
Qed.

(* S10, S11: so does any number of rounds, whatever policy runs them. *)
Theorem S10_loop_law policy n h s : mean (loop policy n h s) (value f) = value f s.
Proof.
elim: n h s => [|n ih] h s /=; first by rewrite mean_ret.
by rewrite mean_bind -(S10_round_law (policy h)); apply: eq_mean => out; rewrite ih.
Qed.
End Fair.

(* What pi predicts of the first n tokens of a text that begins with x. *)
Definition predicted n (F : seq V -> R) x := mean (chain (n - size x) x) (fun s => F (take n (x ++ s))).

Lemma predicted_known n F x : (n <= size x)%N -> predicted n F x = F (take n x).
Proof. by rewrite /predicted -subn_eq0 => /eqP ->; rewrite /= mean_ret cats0. Qed.

Lemma predicted_fair n F : fair (predicted n F).
Proof.
move=> x; have [le | lt] := leqP n (size x).
  rewrite predicted_known // -[LHS]mul1r; have [_ <-] := pi_law x; rewrite mulr_suml; apply: eq_bigr => v _.
  rewrite predicted_known ?size_rcons 1?leqW //; congr (_ * F _).
  by rewrite -cats1 takel_cat.
rewrite {1}/predicted; have -> : (n - size x = (n - (size x).+1).+1)%N by rewrite subnSK.
rewrite /= mean_bind mean_draw; apply: eq_bigr => v _; congr (_ * _).
by rewrite mean_map /predicted size_rcons; apply: eq_mean => s; rewrite /= cat_rcons.
Qed.

(* Every round brings a token, or a debt. *)
Definition written (s : state) := (size s.1 + (if s.2 is Nothing then 0 else 1))%N.

Lemma settle_progress s : surely (settle s) (fun x => (written s <= size x)%N).
Proof.
case: s => x []; rewrite /settle /written /=; first by apply: (surely_ret R); rewrite addn0.
  by apply: surely_then => v; apply: (surely_ret R); rewrite size_rcons addn1.
by apply: surely_then => v; apply: (surely_ret R); rewrite size_rcons addn1.
Qed.

Lemma last_progress e x : surely (last e x) (fun s => (size x < written s)%N).
Proof.
rewrite /last; case: (e x).
- apply: surely_then => v; apply: surely_then => kept; apply: surely_ret.
  by case: kept; rewrite /written /= ?size_rcons ?addn0 ?addn1.
- by apply: (surely_ret R); rewrite /written addn1.
by apply: surely_then => v; apply: (surely_ret R); rewrite /written /= size_rcons addn0.
Qed.

Lemma verify_progress e x drafts : surely (verify e x drafts) (fun s => (size x < written s)%N).
Proof.
elim: drafts x => [|v drafts ih] x /=; first exact: last_progress.
apply: surely_then => [[]].
  by apply: sub_all (ih (rcons x v)) => o; rewrite size_rcons; exact: ltnW.
by apply: surely_then => w; apply: (surely_ret R); rewrite /written /= size_rcons addn0.
Qed.

Lemma round_progress r s : surely (round r s) (fun out => (written s < written out.2)%N).
Proof.
apply: surely_bind (settle_progress s) _ => x le; apply: surely_then => drafts.
apply: surely_bind (verify_progress _ _ _) _ => s' lt; apply: (surely_ret R); exact: leq_ltn_trans le lt.
Qed.

Lemma loop_progress policy n h s : surely (loop policy n h s) (fun s' => (written s + n <= written s')%N).
Proof.
elim: n h s => [|n ih] h s /=; first by apply: (surely_ret R); rewrite addn0.
apply: surely_bind (round_progress _ _) _ => out lt; apply: sub_all (ih _ _) => o; apply: leq_trans.
by rewrite addnS -addSn leq_add2r.
Qed.

(* S10, S11: the first n tokens of the text after enough rounds are n tokens drawn from pi one after the other: any function
   of them has the same mean. What a stop token or a limit cuts off is such a function. *)
Theorem S10_text policy n k h x (F : seq V -> R) : (n <= size x + k.-1)%N -> (0 < k)%N ->
  mean (loop policy k h (x, Nothing)) (fun s => F (take n s.1)) = predicted n F x.
Proof.
move=> enough k0; rewrite -[RHS](S10_loop_law (predicted_fair n F) policy k h (x, Nothing)).
apply: mean_surely (loop_progress _ _ _ _) _ => s; rewrite {1}/written addn0 => le.
have long : (n <= size s.1)%N.
  apply: leq_trans enough _; rewrite -ltnS -addnS prednK //; apply: leq_trans le _.
  by rewrite /written; case: s.2; rewrite ?addn0 ?addn1 // leqW.
rewrite /value; case: s.2; rewrite ?predicted_known //.
rewrite -[LHS]mul1r; have [_ <-] := q_law s.1; rewrite mulr_suml; apply: eq_bigr => v _.
rewrite predicted_known ?size_rcons 1?leqW //; congr (_ * F _).
by rewrite -cats1 takel_cat.
Qed.

Lemma chain_size n x : surely (chain n x) (fun s => size s == n).
Proof.
elim: n x => [|n ih] x //=; apply: surely_then => v; apply: surely_bind (ih _) _ => s /eqP <-.
by apply: (surely_ret R) => /=.
Qed.

(* The chance that pi draws t one token after the other. *)
Lemma chain_chance n x (t : n.-tuple V) :
  mean (chain n x) (fun s => (s == t :> seq V)%:R) = \prod_(i < n) pi (x ++ take i t) (tnth t i).
Proof.
elim: n x t => [|n ih] x t; first by rewrite big_ord0 /= mean_ret tuple0.
case/tupleP: t => v t; rewrite big_ord_recl tnth0 /= cats0 mean_bind mean_draw.
under eq_bigr => w _.
  rewrite mean_map; under eq_mean => s do rewrite /comp /= eqseq_cons -mulnb natrM.
  rewrite mean_scale mulrCA mulrC; over.
rewrite (sum_at (fun w => pi x w * mean (chain n (rcons x w)) (fun s => (s == t :> seq V)%:R))) ih.
by congr (_ * _); apply: eq_bigr => i _; rewrite tnthS cat_rcons.
Qed.

(* S10, S11: the law of the loop. After a prompt x, whatever policy runs the rounds and however many more than n they are,
   the probability that the first n emitted tokens are t is the product of pi along t. *)
Theorem S10_emitted_text policy n (t : n.-tuple V) k x : (n < k)%N ->
  mean (loop policy k [::] (x, Nothing)) (fun s => (take n (drop (size x) s.1) == t)%:R) =
  \prod_(i < n) pi (x ++ take i t) (tnth t i).
Proof.
move=> nk; rewrite -chain_chance.
under eq_mean => s do rewrite take_drop.
rewrite (@S10_text policy (n + size x) k _ x (fun y => (drop (size x) y == t)%:R)); last exact: leq_ltn_trans nk.
  rewrite /predicted addnK; apply: (@mean_surely _ _ _ (fun s => size s == n)).
    exact: chain_size.
  by move=> s /eqP sn; rewrite take_oversize ?size_cat ?sn 1?addnC // drop_size_cat.
by rewrite addnC leq_add2l -ltnS prednK // (leq_ltn_trans _ nk).
Qed.

(* The loop is a law: its weights are not negative and add up to one. *)
Theorem S10_loop_is_a_law policy n h s :
  nonnegative (loop policy n h s) /\ mean (loop policy n h s) (fun=> 1) = 1.
Proof.
split; last first.
  by rewrite -[RHS](value_one s) -(S10_loop_law one_fair policy n h s); apply: eq_mean => o; rewrite value_one.
have pd x : nonnegative (draw (p x)) by apply: nonnegative_draw; have [] := p_law x.
have qd x : nonnegative (draw (q x)) by apply: nonnegative_draw; have [] := q_law x.
have pid x : nonnegative (draw (pi x)) by apply: nonnegative_draw; have [] := pi_law x.
have nn_settle s' : nonnegative (settle s').
  by case: s' => x []; rewrite /settle /=; try (apply: nonnegative_bind => // v); exact: (nonnegative_ret R).
have nn_draft m on x : nonnegative (draft m on x).
  elim: m x => [|m ih] x /=; first exact: (nonnegative_ret R).
  case: (on x); last exact: (nonnegative_ret R).
  by apply: nonnegative_bind => // v; apply: nonnegative_bind => // drafts; exact: (nonnegative_ret R).
have nn_last e x : nonnegative (last e x).
  rewrite /last; case: (e x); try exact: (nonnegative_ret R);
    apply: nonnegative_bind => // v; last exact: (nonnegative_ret R).
  apply: nonnegative_bind => [|kept]; last exact: (nonnegative_ret R).
  have /andP[d0 d1] := d_decision x v; apply: nonnegative_coin; rewrite ?subr_ge0 //.
  by rewrite ler_subl_addr ler_addl.
have nn_verify e x drafts : nonnegative (verify e x drafts).
  elim: drafts x => [|v drafts ih] x //=; apply: nonnegative_bind.
    by apply: nonnegative_coin; [exact: acceptance_ge0 (pi_law x) (q_law x) _ | exact: acceptance_le1].
  case=> //; apply: nonnegative_bind => [|w]; last exact: (nonnegative_ret R).
  by apply: nonnegative_draw => w; exact: residual_ge0.
elim: n h s => [|n ih] h s /=; first exact: (nonnegative_ret R).
apply: nonnegative_bind => // {ih}; rewrite /round; apply: nonnegative_bind => // x.
apply: nonnegative_bind => // drafts; apply: nonnegative_bind => // s'; exact: (nonnegative_ret R).
Qed.
End Loop.
