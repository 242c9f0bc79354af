"""How one token is decided and a draft judged, one class a way.

| law | of | π over the vocabulary | the token after the drafts that stand |
|---|---|---|---|
| `Lazy` | a mixture that p alone decides | never formed | the base's draw, kept with probability 1 − d (theory S11) |
| `Deferral` | a mixture whose rule reads q* | where a token is owed | owed |
| `Whole` | any other π, and where its scores are wanted | at every draft | owed |
| `Mode` | greedy decoding of any of them | at every draft | the argmax where it is certain without q*, or owed (theory S11) |
"""
