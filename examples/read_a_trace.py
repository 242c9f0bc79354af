"""Where did every token come from, and what did it cost?"""

from kad import demo, dual, generate

pair = demo.load()
prompt = "q : nora has 9 books . she buys 7 more . then the pile grows to 2 times its size . how many books are there in the end ? a :"
for window in (0, 4):
    out = generate(
        pair.base, pair.proxy, prompt, target=dual(0.4), window=window, tokenizer=pair.tokenizer, do_sample=True,
        temperature=0.7, seed=2, max_new_tokens=40,
    )  # fmt: skip
    print(f"window {window}")
    print("  token    origin  deferred mass  draft")
    for token in out.trace.tokens():
        draft = {True: "accepted", False: "replaced", None: ""}[token.accepted]
        print(f"  {pair.tokenizer.decode([token.id]):8} {token.origin:7} {token.alpha:13.3f}  {draft}")
    totals = out.trace.summary()
    print(f"  {totals['tokens']} tokens: {totals['base_passes']} base and {totals['proxy_passes']} proxy passes, "
          f"{totals['base_fed']} and {totals['proxy_fed']} tokens fed")  # fmt: skip
