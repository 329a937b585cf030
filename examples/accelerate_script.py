"""A script of Hugging Face's Accelerate, with the four lines that let it be tuned:

    tune-cluster run examples/accelerate_script.py --search lr=log:0.001:1 \\
        --search batch-size=16,32,64 --metric val_loss -- --epochs 9

`accelerate launch examples/accelerate_script.py --lr 0.1` trains it alone, as before. What
`prepare` returns has a `state_dict`, so that it needs no callback.
"""

import argparse

import torch
from accelerate import Accelerator
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

import tune_cluster as tc

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--lr", type=float, default=0.1)
    args = tc.arguments(parser)
    torch.manual_seed(1)

    images, labels = load_digits(return_X_y=True)
    data = TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels))
    train, val = random_split(data, [1400, len(data) - 1400])
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9)

    accelerator = Accelerator()
    model, optimizer, scheduler, batches, val_batches = accelerator.prepare(
        *(model, optimizer, scheduler),
        *(DataLoader(train, args.batch_size, shuffle=True), DataLoader(val, len(val))),
    )
    for epoch in tc.epochs(args.epochs, model=model, optimizer=optimizer, scheduler=scheduler):
        model.train()
        for inputs, targets in batches:
            optimizer.zero_grad()
            accelerator.backward(nn.functional.cross_entropy(model(inputs), targets))
            optimizer.step()
        scheduler.step()

        model.eval()
        with torch.no_grad():
            losses = [nn.functional.cross_entropy(model(x), y).item() for x, y in val_batches]
        accelerator.print(f"epoch {epoch}: loss {sum(losses) / len(losses):.4f}")
        tc.report(val_loss=sum(losses) / len(losses))
