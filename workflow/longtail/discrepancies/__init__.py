"""Where papers, official codes and this project part, and what printed numbers contradict. Never imports torch.

Three words: a *number* is printed in a table, a *contradiction* is between numbers, or between numbers and what a paper
says of them, and a *point* is where paper, official code and this project part.
"""
