"""A training script as PyTorch's examples are written, with the three lines that let it be tuned:

    tune-cluster run examples/plain_script.py --search lr=log:0.001:1 \\
        --search batch-size=16,32,64 --metric val_loss -- --epochs 9

`python examples/plain_script.py --lr 0.1` trains it alone, as before.
"""

import argparse

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import tune_cluster as tc


def main() -> None:
    """Train a small network on handwritten digits."""
    parser = argparse.ArgumentParser(description="Digits, 8x8 pixels")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--gamma", type=float, default=0.9)
    parser.add_argument("--seed", type=int, default=1)
    args = tc.arguments(parser)
    torch.manual_seed(args.seed)

    images, labels = load_digits(return_X_y=True)
    data = TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels))
    train, val = torch.utils.data.random_split(data, [1400, len(data) - 1400])
    batches = DataLoader(train, batch_size=args.batch_size, shuffle=True)

    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=args.gamma)

    for epoch in tc.epochs(args.epochs, model=model, optimizer=optimizer, scheduler=scheduler):
        model.train()
        for inputs, targets in batches:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs), targets).backward()
            optimizer.step()

        model.eval()
        with torch.no_grad():
            inputs, targets = val[:]
            outputs = model(inputs)
            loss = nn.functional.cross_entropy(outputs, targets).item()
            accuracy = (outputs.argmax(1) == targets).float().mean().item()
        print(f"epoch {epoch}: loss {loss:.4f}, accuracy {accuracy:.4f}")
        tc.report(val_loss=loss, val_accuracy=accuracy)
        scheduler.step()


if __name__ == "__main__":
    main()
