"""In the style of torchvision's reference: epochs from 0, an accuracy, a checkpoint, --resume."""

import argparse
import json
import os

parser = argparse.ArgumentParser(description="PyTorch Classification Training")
parser.add_argument("--lr", default=0.1, type=float)
parser.add_argument("--weight-decay", default=1e-4, type=float)
parser.add_argument("--epochs", default=90, type=int)
parser.add_argument("--output-dir", default=".", type=str)
parser.add_argument("--resume", default="", type=str)
args = parser.parse_args()
os.makedirs(args.output_dir, exist_ok=True)
print(args)

weight, start_epoch = 1.0, 0
if args.resume:
    with open(args.resume) as file:
        checkpoint = json.load(file)
    weight, start_epoch = checkpoint["model"], checkpoint["epoch"] + 1

print("Start training")
for epoch in range(start_epoch, args.epochs):
    print(f"Epoch: [{epoch}]  [ 0/10]  eta: 0:00:01  lr: {args.lr}  loss: {weight:.4f} (9.0)")
    weight -= args.lr * weight + args.weight_decay
    print("Test:   [0/1]  eta: 0:00:00  loss: 9.0 (9.0)  acc1: 0.0 (0.0)")
    print(f"Test:  Acc@1 {100 / (1 + weight**2):.3f} Acc@5 99.000")
    checkpoint = {"model": weight, "epoch": epoch, "args": vars(args)}
    for name in (f"model_{epoch}.pth", "checkpoint.pth"):
        with open(os.path.join(args.output_dir, name), "w") as file:
            json.dump(checkpoint, file)
print("Training time 0:00:01")
