#!/usr/bin/env bash
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --job-name=eval_eig_comparative
# Evaluates a model under full reasoning, a fixed budget (BUDGET, half of max-gen-toks), an entropy threshold
# (THRESHOLD) and EIG (PRESET, EIG_KWARGS), and sets them side by side.
SCRIPT=eval_eig_comparative
ABOUT="Evaluates a model under full reasoning, a fixed budget (BUDGET, half of max-gen-toks), an entropy threshold
(THRESHOLD) and EIG (PRESET, EIG_KWARGS), and sets them side by side."
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
if [ ! -f "$here/common.sh" ]; then # sbatch runs a copy of this file: Slurm knows of which, unless it came by a pipe
    file=$(scontrol show job "${SLURM_JOB_ID:-}" 2>/dev/null |
           sed -n "s|^ *Command=\(.*/$SCRIPT\.sh\).*|\1|p" | head -n 1)
    here=$([ -z "$file" ] && echo "${SLURM_SUBMIT_DIR:-.}/slurm" || dirname "$(readlink -f "$file")")
fi
source "$here/common.sh" || exit 2
read_options "$@"
budget=${BUDGET:-$((MAX_GEN_TOKS/2))} PRESET=${PRESET:-balanced}
gen=$(preset "$PRESET")
evaluate full scale_func_name=full
evaluate fixed_budget "scale_func_name=fixed_budget,budget=$budget"
evaluate entropy_thresholding "scale_func_name=entropy_thresholding${THRESHOLD:+,threshold=$THRESHOLD}"
evaluate eig "$gen${EIG_KWARGS:+,$EIG_KWARGS}"
finish
