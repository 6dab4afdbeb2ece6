"""MLC: the loss, the hidden states that it reads, the trainer that adds it to any objective, the probe."""
