"""Networks and their parts: backbones, classifiers, heads, normalisation, pruning, momentum copies, queues."""
