#!/bin/bash

# Parameters
#SBATCH --account=humor
#SBATCH --array=0-7%4
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=1
#SBATCH --job-name=set
#SBATCH --kill-on-invalid-dep=yes
#SBATCH --mem=60GB
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --open-mode=append
#SBATCH --output=FOLDER/set/output/%A_%a_0_log.out
#SBATCH --partition=gpu
#SBATCH --requeue
#SBATCH --signal=USR2@120
#SBATCH --time=360

# setup
module load cuda

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output FOLDER/set/output/%A_%a_%t_log.out --cpus-per-task=8 PYTHON -u -m submitit.core._submit FOLDER/set/output
