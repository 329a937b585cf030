"""In the style of timm's train.py: metrics in `summary.csv`, `last.pth.tar`, --resume."""

import argparse
import csv
import json
import os

parser = argparse.ArgumentParser(description="PyTorch ImageNet Training")
parser.add_argument("--opt", default="sgd", type=str)
parser.add_argument("--lr", type=float, default=None)
parser.add_argument("--momentum", type=float, default=0.9)
parser.add_argument("--epochs", type=int, default=300)
parser.add_argument("--resume", default="", type=str)
parser.add_argument("--output", default="", type=str)
parser.add_argument("--experiment", default="", type=str)
args = parser.parse_args()
output_dir = os.path.join(args.output, args.experiment)
os.makedirs(output_dir, exist_ok=True)

weight, start_epoch, best_metric = 1.0, 0, None
if args.resume:
    with open(args.resume) as file:
        checkpoint = json.load(file)
    weight, start_epoch = checkpoint["state_dict"], checkpoint["epoch"] + 1
for epoch in range(start_epoch, args.epochs):
    weight -= args.lr * weight * (1 + args.momentum if args.opt == "sgd" else 1)
    metrics = {"epoch": epoch, "train_loss": 2 * weight**2, "eval_loss": weight**2}
    with open(os.path.join(output_dir, "summary.csv"), "a") as file:
        writer = csv.DictWriter(file, fieldnames=metrics)
        if best_metric is None:
            writer.writeheader()
        writer.writerow(metrics)
    best_metric = weight**2
    with open(os.path.join(output_dir, "last.pth.tar"), "w") as file:
        json.dump({"epoch": epoch, "state_dict": weight}, file)
