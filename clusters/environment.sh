# Environment of every login on a node: the setup commands of a cluster file add it to ~/.bashrc.
source ~/venv/bin/activate
# The project, as copied by file_mounts, for the driver on the head; workers get its code from there.
export PYTHONPATH=~/tune-cluster
# Ray starts only with the token in ~/.ray/auth_token, and refuses connections without it.
export RAY_AUTH_MODE=token
# A study ends in order after `ray job stop`: that takes up to 25 s, and Ray would wait for only 3.
export RAY_JOB_STOP_WAIT_TIME_S=30
