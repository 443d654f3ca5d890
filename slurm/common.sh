# What the evaluation scripts share: options, one evaluation, the table at the end. Sourced by them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

DEFAULT_TASKS=slurm/tasks/chains.yaml
MODEL=${MODEL:-reference:student}
MODEL_ARGS=${MODEL_ARGS:-}
TASKS=${TASKS:-$DEFAULT_TASKS}
LIMIT=${LIMIT:-}
MAX_GEN_TOKS=${MAX_GEN_TOKS:-256}
GEN_KWARGS=${GEN_KWARGS:-}
CHAT=${CHAT:-1}
SEED=${SEED:-}
SCRIPT=${SCRIPT:?the scripts set it}
OUTPUT=${OUTPUT:-}
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || command -v python3)}

usage() {
    cat <<EOF
usage: bash slurm/$SCRIPT.sh [options] [-- options of decodelab-eval]
       sbatch [options of sbatch] slurm/$SCRIPT.sh [options] [-- options of decodelab-eval]

$ABOUT
Without options: the shipped reference model on its own task, with no network.

option             variable      value
--model X          MODEL         runtime:model, e.g. vllm:simplescaling/s1.1-1.5B (now $MODEL)
--model-args X     MODEL_ARGS    options of the runtime, e.g. dtype=float16,max_model_len=32768
                                 (now ${MODEL_ARGS:-none})
--tasks X          TASKS         lm-eval's tasks or YAML files, with commas (now $TASKS)
--limit N          LIMIT         questions of each task (now ${LIMIT:-all; 40 of the default task})
--max-gen-toks N   MAX_GEN_TOKS  reasoning tokens at most (now $MAX_GEN_TOKS)
--gen-kwargs X     GEN_KWARGS    more generation arguments; they win over the preset (now ${GEN_KWARGS:-none})
--no-chat          CHAT=0        without the model's chat template
--seed N           SEED          of all draws (now lm-eval's)
--output X         OUTPUT        folder for results, samples, metrics.json and metrics.csv
                                 (now ${OUTPUT:-outputs/eval/$SCRIPT-TIME})
EOF
}

fail() { echo "$SCRIPT: $*" >&2; exit 2; }

wrong() { fail "$1: got '$2'; allowed: $3"; }

check_options() {
    local name='runtime:model, e.g. reference:student or vllm:simplescaling/s1.1-1.5B'
    case $MODEL in *:*) ;; *) wrong model "$MODEL" "$name";; esac
    [[ $MAX_GEN_TOKS =~ ^[1-9][0-9]*$ ]] || wrong max-gen-toks "$MAX_GEN_TOKS" 'a whole number, at least 1'
    [[ -z $LIMIT || $LIMIT =~ ^([1-9][0-9]*|0?\.[0-9]+)$ ]] ||
        wrong limit "$LIMIT" 'a whole number, at least 1, or a share'
    [[ -z $SEED || $SEED =~ ^[0-9]+$ ]] || wrong seed "$SEED" 'a whole number'
    [[ $CHAT =~ ^[01]$ ]] || wrong CHAT "$CHAT" '0 or 1'
}

read_options() {
    while [ $# -gt 0 ]; do
        case $1 in
            -h|--help) usage; exit 0;;
            --no-chat) CHAT=0; shift; continue;;
            --) shift; MORE=("$@"); break;;
            --model|--model-args|--tasks|--limit|--max-gen-toks|--gen-kwargs|--seed|--output)
                [ $# -gt 1 ] || fail "$1 needs a value";;
            *) fail "unknown option $1; see --help";;
        esac
        case $1 in
            --model) MODEL=$2;;
            --model-args) MODEL_ARGS=$2;;
            --tasks) TASKS=$2;;
            --limit) LIMIT=$2;;
            --max-gen-toks) MAX_GEN_TOKS=$2;;
            --gen-kwargs) GEN_KWARGS=$2;;
            --seed) SEED=$2;;
            --output) OUTPUT=$2;;
        esac
        shift 2
    done
    check_options
    [ "$TASKS" != $DEFAULT_TASKS ] || LIMIT=${LIMIT:-40}
    case $MODEL in reference:*) [ "$TASKS" != $DEFAULT_TASKS ] || export HF_HUB_OFFLINE=1;; esac
    OUTPUT=${OUTPUT:-outputs/eval/$SCRIPT-${SLURM_JOB_ID:-$(date +%Y%m%d-%H%M%S)-$$}}
    mkdir -p "$OUTPUT" || fail "output: cannot make $OUTPUT"
}

preset() { "$PYTHON" -m decodelab.evaluation.lmeval.jobs preset "$1"; }

RUNS=() STATUS=0 MORE=()
evaluate() { # NAME GENERATION_ARGUMENTS: one evaluation; a failure is remembered
    local name=$1 given=$2${GEN_KWARGS:+,$GEN_KWARGS}
    local args=(run --model decodelab --model_args "backend=$MODEL${MODEL_ARGS:+,$MODEL_ARGS}" --tasks "$TASKS"
                --gen_kwargs "max_gen_toks=$MAX_GEN_TOKS,$given" --log_samples --output_path "$OUTPUT/$name")
    [ -z "$LIMIT" ] || args+=(--limit "$LIMIT")
    [ -z "$SEED" ] || args+=(--seed "$SEED")
    [ "$CHAT" = 0 ] || args+=(--apply_chat_template)
    echo "== $name: $given"
    if "$PYTHON" -m decodelab.evaluation.lmeval.command "${args[@]}" ${MORE[@]+"${MORE[@]}"}; then RUNS+=("$name")
    else echo "$SCRIPT: evaluation $name failed with exit status $?" >&2; STATUS=1; fi
}

finish() { # the table of what ran, and the exit status of it all
    if [ ${#RUNS[@]} -gt 0 ]; then
        "$PYTHON" -m decodelab.evaluation.lmeval.jobs collect "$OUTPUT" "${RUNS[@]}"
        echo "$OUTPUT/metrics.json"; echo "$OUTPUT/metrics.csv"
    fi
    exit $STATUS
}
