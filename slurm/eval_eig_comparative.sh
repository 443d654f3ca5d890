#!/usr/bin/env bash
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --job-name=eval_eig_comparative
# Evaluates a model under full reasoning, a fixed budget (BUDGET, half of max-gen-toks), an entropy threshold (THRESHOLD) and EIG (PRESET, EIG_KWARGS), and sets them side by side.
SCRIPT=eval_eig_comparative
ABOUT="Evaluates a model under full reasoning, a fixed budget (BUDGET, half of max-gen-toks), an entropy threshold (THRESHOLD) and EIG (PRESET, EIG_KWARGS), and sets them side by side."
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
[ -f "$here/common.sh" ] || here=${SLURM_SUBMIT_DIR:-.}/slurm # sbatch runs a copy of this file, submitted in the repository
[ -f "$here/common.sh" ] || here=${SLURM_SUBMIT_DIR:-.}
source "$here/common.sh"
read_options "$@"
budget=${BUDGET:-$((MAX_GEN_TOKS/2))} PRESET=${PRESET:-balanced}
gen=$(preset "$PRESET")
evaluate full scale_func_name=full
evaluate fixed_budget "scale_func_name=fixed_budget,budget=$budget"
evaluate entropy_thresholding "scale_func_name=entropy_thresholding${THRESHOLD:+,threshold=$THRESHOLD}"
evaluate eig "$gen${EIG_KWARGS:+,$EIG_KWARGS}"
finish
