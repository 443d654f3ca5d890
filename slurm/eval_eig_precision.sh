#!/usr/bin/env bash
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --job-name=eval_eig_precision
# Evaluates a model under expected-information-gain reasoning, preset precision: more and longer forecasts.
SCRIPT=eval_eig_precision
ABOUT="Evaluates a model under expected-information-gain reasoning, preset precision: more and longer forecasts."
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
[ -f "$here/common.sh" ] || here=${SLURM_SUBMIT_DIR:-.}/slurm # sbatch runs a copy of this file, submitted in the repository
[ -f "$here/common.sh" ] || here=${SLURM_SUBMIT_DIR:-.}
source "$here/common.sh"
read_options "$@"
gen=$(preset precision)
evaluate eig "$gen"
finish
