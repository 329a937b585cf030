"""A script of XGBoost, with the five lines that let it be tuned:

    tune-cluster run examples/xgboost_script.py --search eta=log:0.01:1 \\
        --search max-depth=int:1:6 --metric val-mlogloss --max-epochs 27 -- --rounds 27

`python examples/xgboost_script.py --eta 0.1` trains it alone, as before. A round is an epoch.
"""

import argparse

import xgboost as xgb
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import tune_cluster as tc
from tune_cluster.integrations.xgboost import TuneCallback

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=27)
    parser.add_argument("--eta", type=float, default=0.3)
    parser.add_argument("--max-depth", type=int, default=3)
    args = tc.arguments(parser)

    split = train_test_split(*load_digits(return_X_y=True), test_size=0.2, random_state=1)
    train, val = xgb.DMatrix(split[0], split[2]), xgb.DMatrix(split[1], split[3])
    params = {"objective": "multi:softprob", "num_class": 10, "nthread": 1}
    params |= {"eta": args.eta, "max_depth": args.max_depth}
    callback = TuneCallback()
    xgb.train(
        params,
        train,
        num_boost_round=callback.rounds(args.rounds),
        evals=[(val, "val")],
        callbacks=[callback],
        xgb_model=callback.model,
    )
