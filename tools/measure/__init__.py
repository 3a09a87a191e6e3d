"""What tools/bench.py compares with: a net's layers in bare PyTorch, the cost of its weights."""
