"""In the style of PyTorch's word language model: a table of bars, the best model kept in a file."""

import argparse
import json

parser = argparse.ArgumentParser(description="PyTorch Wikitext-2 Language Model")
parser.add_argument("--lr", type=float, default=20)
parser.add_argument("--dropout", type=float, default=0.2)
parser.add_argument("--epochs", type=int, default=40)
parser.add_argument("--save", type=str, default="model.pt")
args = parser.parse_args()

loss, best_val_loss = 8.0, None
for epoch in range(1, args.epochs + 1):
    for batch in (200, 400):
        print(f"| epoch {epoch:3d} | {batch:5d}/  600 batches | lr {args.lr:02.2f} | loss  9.99 |")
    loss -= 0.02 * args.lr * (loss - args.dropout)
    print("-" * 89)
    print(
        f"| end of epoch {epoch:3d} | time:  0.08s | valid loss {abs(loss):5.2f} | "
        f"valid ppl {2 ** abs(loss):8.2f}"
    )
    print("-" * 89)
    if not best_val_loss or abs(loss) < best_val_loss:
        with open(args.save, "w") as file:
            json.dump({"loss": loss, "epoch": epoch}, file)
        best_val_loss = abs(loss)
print("=" * 89)
print(f"| End of training | test loss {best_val_loss:5.2f}")
