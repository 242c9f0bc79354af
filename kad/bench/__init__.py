"""``kad bench``: kad beside its peers, in one run, on the same models, prompts and token counts."""
