# What every login on a node finds: the setup commands of a cluster file add it to ~/.bashrc.
source ~/venv/bin/activate
# The project, as file_mounts has brought it, for the driver on the head; workers get its code.
export PYTHONPATH=~/tune-cluster
# Ray starts with the token in ~/.ray/auth_token or not at all, and lets nobody in without it.
export RAY_AUTH_MODE=token
# A study that `ray job stop` ends keeps what it has: that takes up to 25 s, and Ray would wait for 3.
export RAY_JOB_STOP_WAIT_TIME_S=30
