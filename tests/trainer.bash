# trainer.bash: what tests/trainer*.sh share. Sourced with the build's folder.
# shellcheck source=tests/script.bash
. "$(dirname "${BASH_SOURCE[0]}")/script.bash"

# what a run says of numbers: losses and accuracies, not times
numbers() { grep -v '"start"' | sed -E 's/"(seconds|step_ms)":[^,}]*//g'; }

# compile COMPILER TEXT PROGRAM FLAGS..: without a warning
compile() {
    local compiler=$1 text=$2 program=$3
    shift 3
    $compiler -std=gnu17 -Wall -Wextra -Werror "$@" "$text" -o "$program" -lm 2>"$work/said" ||
        fault "$compiler $* $text: $(head -n 4 "$work/said")"
}
