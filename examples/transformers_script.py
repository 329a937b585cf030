"""A script of Hugging Face's Trainer, with the four lines that let it be tuned:

    tune-cluster run examples/transformers_script.py --search lr=log:0.0001:0.1 \\
        --search layers=1,2 --metric eval_loss -- --epochs 9

`python examples/transformers_script.py --lr 0.001` trains it alone, as before. Model and text are
made up: does a sentence have more words of the first half of the vocabulary than of the second?
"""

import argparse

import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments
from transformers.trainer_utils import EvalPrediction

import tune_cluster as tc
from tune_cluster.integrations.transformers import TuneCallback

WORDS, LENGTH = 40, 9


def sentences(count: int, seed: int) -> list[dict[str, torch.Tensor]]:
    """Return sentences of random words, with their answers."""
    draw = torch.Generator().manual_seed(seed)
    words = torch.randint(WORDS, (count, LENGTH), generator=draw)
    answers = ((words < WORDS // 2).sum(1) > LENGTH // 2).long()
    return [{"input_ids": w, "labels": a} for w, a in zip(words, answers, strict=True)]


def accuracy(predicted: EvalPrediction) -> dict[str, float]:
    """Return the share of right answers."""
    return {"accuracy": float((predicted.predictions.argmax(-1) == predicted.label_ids).mean())}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--layers", type=int, default=1)
    args = tc.arguments(parser)

    torch.manual_seed(1)
    sizes = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}
    config = BertConfig(vocab_size=WORDS, num_hidden_layers=args.layers, **sizes)
    settings = TrainingArguments(
        output_dir="out",
        eval_strategy="epoch",
        num_train_epochs=args.epochs,
        learning_rate=args.lr,
        per_device_train_batch_size=32,
        report_to="none",
    )
    data = {"train_dataset": sentences(512, seed=0), "eval_dataset": sentences(256, seed=1)}
    model, callback = BertForSequenceClassification(config), TuneCallback()
    trainer = Trainer(model, settings, compute_metrics=accuracy, callbacks=[callback], **data)
    trainer.train(resume_from_checkpoint=callback.checkpoint)
