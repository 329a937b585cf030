"""`python -m tune_cluster` is `tune-cluster`."""

from tune_cluster.cli import main

if __name__ == "__main__":
    main()
