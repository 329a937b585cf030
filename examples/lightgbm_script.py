"""A script of LightGBM, with the five lines that let it be tuned:

    tune-cluster run examples/lightgbm_script.py --search learning-rate=log:0.01:1 \\
        --search num-leaves=int:2:31 --metric valid_0-multi_logloss --max-epochs 27 -- --rounds 27

`python examples/lightgbm_script.py --learning-rate 0.1` trains it alone, as before. A round is an
epoch.
"""

import argparse

import lightgbm as lgb
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import tune_cluster as tc
from tune_cluster.integrations.lightgbm import TuneCallback

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=27)
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--num-leaves", type=int, default=8)
    args = tc.arguments(parser)

    split = train_test_split(*load_digits(return_X_y=True), test_size=0.2, random_state=1)
    train = lgb.Dataset(split[0], split[2])
    val = train.create_valid(split[1], split[3])
    params = {"objective": "multiclass", "num_class": 10, "num_threads": 1}
    params |= {"learning_rate": args.learning_rate, "num_leaves": args.num_leaves}
    callback = TuneCallback()
    lgb.train(
        params,
        train,
        num_boost_round=callback.rounds(args.rounds),
        valid_sets=[val],
        callbacks=[callback],
        init_model=callback.model,
    )
