"""Networks and their parts: backbones, heads, normalisation, pruning, momentum copies, queues."""
