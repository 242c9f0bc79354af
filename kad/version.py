"""The versions, readable without importing anything heavy."""

VERSION = "0.1.0"
LAW_VERSION = 1  # one more whenever the same models, prompt and settings are sampled from another law than before
