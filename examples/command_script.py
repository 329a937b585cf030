"""A training script that knows nothing of tuning: a command line, printed metrics, checkpoints.

    tune-cluster run --search lr=log:0.001:1 --search batch-size=16,32,64 \\
        --metric val_loss --max-epochs 9 \\
        --checkpoint '{trial_dir}/*.pt' --resume-args '--resume {checkpoint}' \\
        -- python examples/command_script.py --lr {lr} --batch-size {batch-size} --out {trial_dir}
"""

import argparse
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser(description="Digits, 8x8 pixels")
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--epochs", type=int, default=9)
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--out", type=Path, default=Path("out"))
parser.add_argument("--resume", type=Path)
args = parser.parse_args()
torch.manual_seed(1)

images, labels = load_digits(return_X_y=True)
data = TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels))
train, val = torch.utils.data.random_split(data, [1400, len(data) - 1400])

model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=0.9)
start = 0
if args.resume:
    saved = torch.load(args.resume)
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    start = saved["epoch"]

for epoch in range(start + 1, args.epochs + 1):
    torch.manual_seed(epoch)
    for inputs, targets in DataLoader(train, batch_size=args.batch_size, shuffle=True):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
    with torch.no_grad():
        inputs, targets = val[:]
        outputs = model(inputs)
        loss = nn.functional.cross_entropy(outputs, targets).item()
        accuracy = (outputs.argmax(1) == targets).float().mean().item()
    args.out.mkdir(parents=True, exist_ok=True)
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}
    torch.save(state, args.out / f"{epoch}.pt")
    print(f"Epoch {epoch}: val_loss={loss:.6f} val_accuracy={accuracy:.4f}")
