#!/usr/bin/env bash
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --job-name=eval_eig_fast
# Evaluates a model under expected-information-gain reasoning, preset fast: fewer and shorter forecasts.
SCRIPT=eval_eig_fast
ABOUT="Evaluates a model under expected-information-gain reasoning, preset fast: fewer and shorter forecasts."
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
if [ ! -f "$here/common.sh" ]; then # sbatch runs a copy of this file: Slurm knows of which, unless it came by a pipe
    file=$(scontrol show job "${SLURM_JOB_ID:-}" 2>/dev/null |
           sed -n "s|^ *Command=\(.*/$SCRIPT\.sh\).*|\1|p" | head -n 1)
    here=$([ -z "$file" ] && echo "${SLURM_SUBMIT_DIR:-.}/slurm" || dirname "$(readlink -f "$file")")
fi
source "$here/common.sh" || exit 2
read_options "$@"
gen=$(preset fast)
evaluate eig "$gen"
finish
