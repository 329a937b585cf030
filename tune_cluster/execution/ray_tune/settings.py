"""Settings of Ray Tune while a study runs."""

TUNE_FOLDER = ".tune"
"""Folder for the files that Tune writes for its own restore while a study runs, some of them
pickles."""

TUNE_SETTINGS = {
    # The journal and the curves are ours; Tune's CSV and JSON files would cost 13 ms a trial.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # Tune's own snapshots are never read: written once, at the end, and not every 10 s.
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
    # A missing metric ends its trial, in its runner, and not the study.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    # The searcher decides how many trials wait for a process: this number cannot change during a
    # study, and with 1 the processes of joining nodes would start one after the other.
    "TUNE_MAX_PENDING_TRIALS_PG": "1000000",
    # Ctrl-C is handled by us, so that the journal is complete.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # The terminal has one line for a failed trial, the journal its traceback.
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    # Tune's own tables are off too.
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
"""Environment variables of Tune, set before Tune is used."""
