#!/usr/bin/env bash
# Who may include whom, and what may stand nowhere.   bash tests/layers.sh [BUILD]
#
# ir knows nothing else of ours; passes, codegen and runtime know ir; frontend knows all. With a
# build folder the compiled objects are looked at as well: the prefix of a function's name tells its
# folder, no object has global state that changes, and the library exports tp_ and nothing else.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
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

# The folder that an include in a file of folder $1 leads to; nothing where it is not ours.
leads_to() { # FOLDER FILE INCLUDED
    local place
    for place in "$(dirname "$2")/$3" "$3" "frontend/$3"; do
        if [ -e "$place" ]; then
            place=$(realpath --relative-to=. "$place")
            printf '%s' "${place%%/*}"
            return
        fi
    done
    case $3 in # not there (generated, or a mistake): the path says it
    ir/* | passes/* | codegen/* | runtime/* | frontend/* | tests/* | bench/*) printf '%s' "${3%%/*}" ;;
    esac
}

seen=0
for folder in $folders; do
    while IFS=: read -r file line text; do
        included=$(sed -E 's/^[^"<]*["<]([^">]+)[">].*/\1/' <<<"$text")
        to=$(leads_to "$folder" "$file" "$included")
        seen=$((seen + 1))
        [ -z "$to" ] || allowed "$folder" "$to" ||
            fault "$file:$line: $folder must not include $to ($included)"
    done < <(grep -rnE --include='*.[ch]' --include='*.cc' --include='*.def' \
        '^[[:space:]]*#[[:space:]]*include[[:space:]]*["<]' "$folder" 2>/dev/null)
done

# --- words that have no place ----------------------------------------------------------------------

# nowhere PATTERN WHY PATH...: greps code outside of comments that open or go on with a star
nowhere() {
    local pattern=$1 why=$2 hit
    shift 2
    while IFS= read -r hit; do
        fault "$hit   <- $why"
    done < <(grep -rnE --include='*.[ch]' --include='*.cc' --include='*.def' "$pattern" "$@" \
        2>/dev/null | grep -vE '^[^:]+:[0-9]+:[[:space:]]*(/?\*|//)')
}

library='ir passes codegen runtime frontend'
# shellcheck disable=SC2086
{
    nowhere '"[^"]*-ffast-math|-funsafe-math' 'the bits are part of an op: no fast maths' $library
    nowhere '<immintrin.h>|<arm_neon.h>' 'vectors are GNU vector types; headers cost 170 ms' $library
    nowhere '\b(gets|strcpy|strcat|sprintf|vsprintf|strtok|system|popen|tmpnam|mktemp)[[:space:]]*\(' \
        'has no bounds, or a safe form' $library
    nowhere '\b(s?rand|[dlm]rand48|srandom|random)[[:space:]]*\(' 'numbers come from counters' $library
}
# Exits and aborts belong to ir_bug and to the command; asm to the prelude and the plug-in.
for folder in ir passes codegen runtime frontend/*.[ch]; do
    nowhere '(^|[^_[:alnum:].">])(exit|abort|_exit|quick_exit)[[:space:]]*\(' \
        'the user'\''s mistakes return; ours call ir_bug()' "$folder"
done | grep -vE '^ir/error\.c:|^runtime/compile_(clang|cc)\.cc?:' >"${TMPDIR:-/tmp}/layers.$$"
while IFS= read -r hit; do fault "$hit"; done <"${TMPDIR:-/tmp}/layers.$$"
rm -f "${TMPDIR:-/tmp}/layers.$$"

# --- objects ---------------------------------------------------------------------------------------

objects=$build/CMakeFiles/taper-objects.dir
if [ -n "$build" ] && [ -d "$objects" ]; then
    for folder in $folders; do
        case $folder in
        ir) prefix='ir_' ;;
        passes) prefix='pass_' ;;
        codegen) prefix='gen_' ;;
        runtime) prefix='run_' ;;
        frontend) prefix='tp_' ;;
        esac
        while read -r object name; do
            fault "$object: $name: a function of $folder begins with $prefix"
        done < <(find "$objects/$folder" -name '*.o' -print0 2>/dev/null |
            xargs -0r nm -A -g --defined-only | awk -v prefix="^$prefix" \
            '$NF !~ prefix && $(NF - 1) ~ /[TDBRV]/ { sub(/:.*/, "", $1); sub(/.*taper-objects.dir\//, "", $1); print $1, $NF }')
    done
    # .data and .bss change while a program runs; .data.rel.ro does not.
    while read -r object name; do
        fault "$object: $name: global state that changes"
    done < <(find "$objects" -name '*.o' -print0 | xargs -0r nm -A -f sysv --defined-only |
        awk -F'|' '$NF ~ /^\.(data|bss|tdata|tbss)/ && $NF !~ /^\.data\.rel\.ro/ && $4 ~ /OBJECT|TLS/ \
            { gsub(/ /, "", $1); sub(/.*taper-objects.dir\//, "", $1); split($1, part, ":"); print part[1], part[2] }')
fi
if [ -n "$build" ] && [ -e "$build/libtaper.so" ]; then
    while read -r name; do
        fault "libtaper.so exports $name; the interface is tp_"
    done < <(nm -D --defined-only "$build/libtaper.so" | awk '$NF !~ /^tp_/ { print $NF }')
fi

[ "$faults" = 0 ] || printf '%d faults\n' "$faults"
[ "$seen" != 0 ] || printf 'no include was found: is this the tree?\n'
[ "$faults" = 0 ] && [ "$seen" != 0 ]
