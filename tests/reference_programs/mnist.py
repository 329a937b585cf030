"""In the style of PyTorch's MNIST example: saves nothing, prints a test loss without its epoch."""

import argparse

parser = argparse.ArgumentParser(description="PyTorch MNIST Example")
parser.add_argument("--batch-size", type=int, default=64, metavar="N")
parser.add_argument("--epochs", type=int, default=14, metavar="N")
parser.add_argument("--lr", type=float, default=1.0, metavar="LR")
parser.add_argument("--save-model", action="store_true", default=False)
args = parser.parse_args()

weight = 1.0
for epoch in range(1, args.epochs + 1):
    for batch in range(0, 60_000, 30_000):
        print(f"Train Epoch: {epoch} [{batch}/60000 ({batch / 600:.0f}%)]\tLoss: {weight:.6f}")
        weight -= 0.1 * args.lr * weight * 64 / args.batch_size
    print(
        f"\nTest set: Average loss: {weight**2:.4f}, "
        f"Accuracy: {int(1e4 / (1 + weight**2))}/10000 (98%)\n"
    )
