"""Answers that one can watch while they are made: what `kad chat` and `kad play` show of them."""
