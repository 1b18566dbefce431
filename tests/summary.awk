# Reads `ctest -V`, prints each program's closing line as it ends (with its output where it failed),
# and at the end one plain line: N passed, N failed. Counts tests, not programs; exits 1 where one
# failed or none ran.

function ended(line,    name, seconds, state, k) {
    match(line, /#[0-9]+: +[^ ]+/)
    name = substr(line, RSTART, RLENGTH)
    k = name
    sub(/^#/, "", k); sub(/:.*/, "", k); sub(/^.*: +/, "", name)
    seconds = $(NF - 1)
    state = line ~ /\*\*\*/ ? "failed" : line ~ /Passed/ ? "passed" : "failed"
    if (line ~ /\*\*\*Skipped/)
        state = "skipped"

    if (state == "failed") {
        printf "\n%s\n", line
        printf "%s", text[k]
    } else {
        printf "%s (%s s)%s\n", name, seconds, tested[k] == "" ? ": " state : ""
        printf "%s", notes[k]
    }
    if (tested[k] != "") {
        passed += passing[k]; failed += tested[k] - passing[k]; skipped += skips[k]
        if (state == "failed" && tested[k] == passing[k])
            failed++                        # a leak, a crash of the runner, no test at all
        print closing[k]
    } else if (state == "passed")
        passed++
    else if (state == "skipped")
        skipped++
    else
        failed++
    text[k] = notes[k] = tested[k] = closing[k] = ""
    skips[k] = 0
    fflush()
}

/^[0-9]+: / {
    k = $1
    sub(/:/, "", k)
    line = $0
    sub(/^[0-9]+: /, "", line)
    if (line ~ /^\[====\] Synthesis/) {
        n = split(line, field, /[:|] */)
        tested[k] = field[3] + 0; passing[k] = field[5] + 0
        closing[k] = line
    } else if (line ~ /^\[SKIP\]/) {
        if (line !~ /Test is disabled/) {
            skips[k]++
            notes[k] = notes[k] line "\n"
        }
    } else if (line ~ /^(Test command|Working Directory|Environment variables|Test timeout)/ ||
               line ~ /^ [A-Z_]+=/ || line ~ /^\[(RUN |PASS|====)\]/ || line ~ /Criterion v/)
        next
    else {
        text[k] = text[k] line "\n"
        if (line ~ /^skipped: /)
            notes[k] = notes[k] line "\n"
    }
    next
}
/^ *[0-9]+\/[0-9]+ Test +#/ { ended($0); next }
/tests passed, / { print; fflush() }

END {
    printf "\n%d passed, %d failed", passed, failed
    if (skipped)
        printf ", %d skipped", skipped
    printf "\n"
    exit failed > 0 || passed == 0
}
