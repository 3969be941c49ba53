#!/bin/bash

# Parameters
#SBATCH --error=FOLDER/jobs/%j_0_log.err
#SBATCH --exclusive
#SBATCH --job-name=oomph
#SBATCH --nodes=1
#SBATCH --open-mode=append
#SBATCH --output=FOLDER/jobs/%j_0_log.out
#SBATCH --partition=gpu-short
#SBATCH --signal=USR2@90
#SBATCH --time=135
#SBATCH --wckey=submitit

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output FOLDER/jobs/%j_%t_log.out --error FOLDER/jobs/%j_%t_log.err PYTHON -u -m submitit.core._submit FOLDER/jobs
