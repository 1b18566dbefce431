#!/usr/bin/env bash
# Who may include whom, and what may stand nowhere.   bash tests/layers.sh [BUILD]
#
# ir knows nothing else of ours; passes, codegen and runtime know ir; frontend knows all. With a
# build folder the compiled objects are looked at as well: the prefix of a function's name tells its
# folder, no object has global state that changes, and the library exports tp_ and nothing else.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
build=${1:-}
folders='ir passes codegen runtime frontend'
faults=0

fault() {
    printf '%s\n' "$*"
    faults=$((faults + 1))
}

# --- includes ------------------------------------------------------------------------------------

allowed() { # FROM TO
    case $1:$2 in
    ir:ir | passes:passes | passes:ir | codegen:codegen | codegen:ir | runtime:runtime | runtime:ir) ;;
    frontend:*) ;;
    *) return 1 ;;
    esac
}

# Sets `to` to the folder that an include leads to; to nothing where it is not ours.
leads_to() { # FILE INCLUDED
    local place
    to=
    for place in "${1%/*}/$2" "$2" "frontend/$2"; do
        if [ -e "$place" ]; then
            [[ $place != *..* ]] || place=$(realpath --relative-to=. "$place")
            to=${place%%/*}
            return
        fi
    done
    case $2 in # not there (generated, or a mistake): the path says it
    ir/* | passes/* | codegen/* | runtime/* | frontend/* | tests/* | bench/*) to=${2%%/*} ;;
    esac
}

seen=0
for folder in $folders; do
    while IFS=: read -r file line text; do
        [[ $text =~ [\<\"]([^\"\>]+) ]] || continue
        included=${BASH_REMATCH[1]}
        leads_to "$file" "$included"
        seen=$((seen + 1))
        [ -z "$to" ] || allowed "$folder" "$to" ||
            fault "$file:$line: $folder must not include $to ($included)"
    done < <(grep -rnE --include='*.[ch]' --include='*.cc' --include='*.def' \
        '^[[:space:]]*#[[:space:]]*include[[:space:]]*["<]' "$folder" 2>/dev/null)
done

# --- words that have no place ----------------------------------------------------------------------

# nowhere PATTERN EXCEPT WHY PATH...: greps code, not comment lines; EXCEPT is a pattern of files.
nowhere() {
    local pattern=$1 except=$2 why=$3 hit
    shift 3
    while IFS= read -r hit; do
        [[ ${hit%%:*} =~ $except ]] || fault "$hit   <- $why"
    done < <(grep -rnE --include='*.[ch]' --include='*.cc' --include='*.def' "$pattern" "$@" \
        2>/dev/null | grep -vE '^[^:]+:[0-9]+:[[:space:]]*(/?\*|//)')
}

none='^$'
# shellcheck disable=SC2086
{
    nowhere '"[^"]*-(ffast-math|funsafe-math)' $none 'the bits are part of an op' $folders
    nowhere '<(immintrin|x86intrin|arm_neon)\.h>' $none 'vectors are GNU vector types' $folders
    nowhere '\b(gets|strcpy|v?sprintf|strtok|system|popen|tmpnam|mktemp)[[:space:]]*\(' \
        $none 'has no bounds; there are safe forms' $folders
    nowhere '\b(s?rand|[dlm]rand48|s?random)[[:space:]]*\(' $none 'numbers come from counters' $folders
    nowhere '(^|[^_[:alnum:].">])(exit|abort|quick_exit)[[:space:]]*\(' \
        '^(ir/error\.c|frontend/command/|runtime/compile_)' \
        "the user's mistakes return; ours call ir_bug()" $folders
}

# --- objects ---------------------------------------------------------------------------------------

objects=$build/CMakeFiles/taper-objects.dir
symbols() { # FOLDER: lines "object|name|class|type|section" of what its objects define
    local source
    for source in "$1"/*.c; do
        [ -f "$objects/$source.o" ] || continue
        nm -f sysv --defined-only "$objects/$source.o" | awk -F'|' -v object="$source" \
            'NF == 7 { gsub(/ /, ""); print object "|" $1 "|" $3 "|" $4 "|" $7 }'
    done
}
if [ -n "$build" ] && [ -d "$objects" ]; then
    for folder in $folders; do
        case $folder in
        ir) prefix='ir_|loop_' ;; # a program's two heights
        passes) prefix='pass_' ;;
        codegen) prefix='gen_' ;;
        runtime) prefix='run_' ;;
        frontend) prefix='tp_' ;;
        esac
        while IFS='|' read -r object name class type section; do
            # capitals are symbols that other files see
            [[ $class != [A-TX-Z] || $name =~ ^($prefix) ]] ||
                fault "$object: $name: what $folder shows to other files begins with $prefix"
            # .data and .bss change while a program runs; .data.rel.ro does not
            [[ $object:$name == runtime/cuda_emulated.c:current ]] && continue # the driver has one a thread
            [[ $section =~ ^\.(data|bss|tdata|tbss) && ! $section =~ ^\.data\.rel\.ro &&
                $type =~ OBJECT|TLS ]] && fault "$object: $name: global state that changes"
        done < <(symbols "$folder")
    done
fi
if [ -n "$build" ] && [ -e "$build/libtaper.so" ]; then
    while read -r name; do
        fault "libtaper.so exports $name; the interface is tp_"
    done < <(nm -D --defined-only "$build/libtaper.so" | awk '$NF !~ /^tp_/ { print $NF }')
fi

[ "$faults" = 0 ] || printf '%d faults\n' "$faults"
[ "$seen" != 0 ] || printf 'no include was found: is this the tree?\n'
[ "$faults" = 0 ] && [ "$seen" != 0 ]
