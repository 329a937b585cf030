"""A training script that does nothing, tuned by three lines, for `trial_overhead.py`."""

import argparse

import tune_cluster as tc

parser = argparse.ArgumentParser()
parser.add_argument("--learning_rate", type=float)
parser.add_argument("--batch_size", type=int)
parser.add_argument("--epochs", type=int, default=4)
args = tc.arguments(parser)
for _epoch in tc.epochs(args.epochs):
    tc.report(val_accuracy=0.5)
