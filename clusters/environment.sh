# What every login on a node finds; a cluster file's setup commands add it to ~/.bashrc.
source ~/venv/bin/activate
# The project, as `file_mounts` has brought it: for the driver on the head, whose code the workers get.
export PYTHONPATH=~/tune-cluster
# Without the token in ~/.ray/auth_token nothing of Ray starts here, and nobody is let in.
export RAY_AUTH_MODE=token
