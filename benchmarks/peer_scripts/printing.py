"""A command that prints the metrics of four epochs and does nothing, for `trial_overhead.py`."""

for epoch in range(1, 5):
    print(f"epoch {epoch} val_accuracy=0.5")
