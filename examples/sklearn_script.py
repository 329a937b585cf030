"""A script of scikit-learn, with the five lines that let it be tuned:

    tune-cluster run examples/sklearn_script.py --search learning-rate=log:0.0001:0.1 \\
        --search width=16,32,64 --metric val_accuracy --mode max -- --epochs 9

`python examples/sklearn_script.py --learning-rate 0.01` trains it alone, as before.
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import tune_cluster as tc
from tune_cluster.integrations.sklearn import Estimator

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--learning-rate", type=float, default=0.001)
    parser.add_argument("--width", type=int, default=32)
    args = tc.arguments(parser)

    images, labels = load_digits(return_X_y=True)
    train, val, train_labels, val_labels = train_test_split(images / 16, labels, random_state=1)
    model = MLPClassifier((args.width,), learning_rate_init=args.learning_rate, random_state=1)
    for epoch in tc.epochs(args.epochs, model=Estimator(model)):
        model.partial_fit(train, train_labels, classes=np.arange(10))
        loss = log_loss(val_labels, model.predict_proba(val))
        accuracy = model.score(val, val_labels)
        print(f"epoch {epoch}: loss {loss:.4f}, accuracy {accuracy:.4f}")
        tc.report(val_loss=loss, val_accuracy=accuracy)
