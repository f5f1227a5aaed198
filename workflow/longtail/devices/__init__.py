"""What computes: GPUs and their leases, memory, number formats, and several processes for one training."""
