(* S5: why the greedy is compared together with the best single token. *)
From mathcomp Require Import all_ssreflect all_algebra.
From Kad Require Import Knapsack Variation Primal.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Lemma greedy_of_one (R : realFieldType) (V : finType) (P : V -> R) b v w s :
  P v <= b -> b < P v + P w -> greedy P b [:: v, w & s] = [:: v].
Proof.
move=> fits over; rewrite /greedy /fitting /= take0 !big_cons big_nil !addr0 over.
by rewrite ltNge fits.
Qed.

Section Counterexample.
(* The rational numbers, or any ordered field. Three tokens of mass .595, .395 and .01, their losses - log p to one
   digit (.5, .9 and 4.6), and the budget .4. *)
Variable R : realFieldType.
Definition masses (v : 'I_3) : R := (nth 0 [:: 119; 79; 2] v)%N%:R / 200%:R.
Definition losses (v : 'I_3) : R := (nth 0 [:: 5; 9; 46] v)%N%:R / 10%:R.
Definition budget : R := 80%:R / 200%:R.
Definition first : 'I_3 := Ordinal (isT : (0 < 3)%N).
Definition second : 'I_3 := Ordinal (isT : (1 < 3)%N).
Definition third : 'I_3 := Ordinal (isT : (2 < 3)%N).

Lemma all3 (Q : 'I_3 -> Prop) : Q first -> Q second -> Q third -> forall v, Q v.
Proof.
move=> q0 q1 q2; case=> [[|[|[|v]]] hv].
- by rewrite (_ : Ordinal hv = first) //; exact: val_inj.
- by rewrite (_ : Ordinal hv = second) //; exact: val_inj.
- by rewrite (_ : Ordinal hv = third) //; exact: val_inj.
by [].
Qed.

Lemma sum3 (f : 'I_3 -> R) : \sum_v f v = f first + (f second + f third).
Proof.
rewrite !big_ord_recl big_ord0 addr0.
by congr (f _ + (f _ + f _)); exact: val_inj.
Qed.

Lemma share_le (m n k : nat) : (m%:R / k.+1%:R <= n%:R / k.+1%:R :> R) = (m <= n)%N.
Proof. by rewrite ler_pmul2r ?invr_gt0 ?ltr0n // ler_nat. Qed.

Lemma share_lt (m n k : nat) : (m%:R / k.+1%:R < n%:R / k.+1%:R :> R) = (m < n)%N.
Proof. by rewrite ltr_pmul2r ?invr_gt0 ?ltr0n // ltr_nat. Qed.

Lemma greedy_of_the_example : greedy masses budget [:: third; second; first] = [:: third].
Proof. by apply: greedy_of_one; rewrite ?share_le // /masses -mulrDl -natrD share_lt. Qed.

(* S5: the greedy alone need not save half, even for a loss that falls strictly with the probability: here it saves less
   than 13 % of what the optimum saves. *)
Example S5_the_greedy_alone_may_save_little :
  [/\ distribution masses, forall v w, masses v < masses w -> losses w < losses v,
      falling losses [:: third; second; first] &
      saving masses losses (primal masses budget [:: third; second; first]) <
      13%:R / 100%:R * (risk masses losses (fun=> 0) - optimal_risk masses losses budget)].
Proof.
have b0 : 0 <= budget by rewrite divr_ge0 ?ler0n.
split.
- split; first by move=> v; rewrite divr_ge0 ?ler0n.
  rewrite sum3 /masses -!mulrDl -!natrD (_ : (_ + _ = 200)%N) //.
  by rewrite divff // pnatr_eq0.
- move=> v w; rewrite !share_lt; move: v w.
  by elim/all3; elim/all3.
- apply/andP; split; last by rewrite /= !share_le.
  apply: uniq_perm; [by [] | exact: enum_uniq | elim/all3; by rewrite mem_enum].
have saved : 13%:R / 100%:R * (masses second * losses second) <=
    13%:R / 100%:R * (risk masses losses (fun=> 0) - optimal_risk masses losses budget).
  rewrite -saving_of_one; apply: ler_wpmul2l; first by rewrite divr_ge0 ?ler0n.
  apply: (saving_le_optimal_saving losses b0); first exact: defer_integral.
  by rewrite mass_of_one share_le.
apply: lt_le_trans saved; rewrite savingE sum3 /primal greedy_of_the_example.
rewrite [first \in _](_ : _ = false) // [second \in _](_ : _ = false) // [third \in _](_ : _ = true) //.
rewrite !mulr0 !add0r mulr1; pose unit : R := 200%:R^-1 * 10%:R^-1.
have -> : masses third * losses third = 92%:R * unit by rewrite /masses /losses mulrACA -natrM.
have -> : masses second * losses second = 711%:R * unit by rewrite /masses /losses mulrACA -natrM.
have : 0 < unit by rewrite mulr_gt0 ?invr_gt0 ?ltr0n.
move: unit => unit unit0; rewrite mulrA ltr_pmul2r //.
by rewrite mulrAC ltr_pdivl_mulr ?ltr0n // -!natrM ltr_nat.
Qed.
End Counterexample.
