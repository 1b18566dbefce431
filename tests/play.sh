#!/usr/bin/env bash
# The playground from outside: what it refuses, that it ends when it is told to, and the page in a
# browser, as far as there is one; in the long tier ($TAPER_LONG) every knob.
#   bash tests/play.sh [BUILD]
# shellcheck source=tests/script.bash
. "$(dirname "${BASH_SOURCE[0]}")/script.bash"
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$work"' EXIT

mnist=${TAPER_SHARED:-../shared}/data/mnist
sentences=${TAPER_SHARED:-../shared}/data/text/sst2
data_words=()
[ ! -d "$mnist" ] || data_words=(--mnist "$mnist")
[ ! -d "$sentences" ] || data_words+=(--sentences "$sentences")
begin() { # sets `server` and `url`
    "$taper" play --port 0 "${data_words[@]}" >"$work/out" 2>"$work/err" &
    server=$!
    for _ in $(seq 200); do
        url=$(sed -n 's/^taper play: \(http.*\)$/\1/p' "$work/out")
        [ -z "$url" ] || return 0
        kill -0 "$server" 2>/dev/null || return 1
        sleep 0.05
    done
    return 1
}

end() { # by SIGNAL: soon, and well
    kill "-$1" "$server"
    for _ in $(seq 200); do
        kill -0 "$server" 2>/dev/null || break
        sleep 0.05
    done
    kill -0 "$server" 2>/dev/null && { kill -9 "$server"; fault "it does not end by $1"; }
    wait "$server" || fault "after $1 its exit status is not 0"
    server=
    [ ! -s "$work/err" ] || fault "stderr has $(head -c 300 "$work/err")"
}

"$taper" play --port 0 --host nowhere >"$work/out" 2>"$work/err"
status=$?
if [ $status = 3 ]; then
    grep -q 'libmicrohttpd-dev' "$work/err" || fault "status 3, and it says $(cat "$work/err")"
    [ $faults != 0 ] || echo "skipped: taper was built without what serves the page"
    [ $faults = 0 ] && exit 77
    exit 1
fi
[ $status = 2 ] || fault "--host nowhere: status $status"
"$taper" play --port 70000 >"$work/out" 2>"$work/err"
[ $? = 2 ] || fault "--port 70000 is taken"

# --- built without what serves the page ---------------------------------------------------------------
if [ -n "${TAPER_LONG:-}" ]; then
    if cmake --build "$build" --target taper-without-play >"$work/log" 2>&1; then
        "$build/taper-without-play" play >"$work/out" 2>"$work/err"
        status=$?
        [ $status = 3 ] || fault "without libmicrohttpd its exit status is $status"
        if [ -s "$work/out" ] || [ "$(wc -l <"$work/err")" != 1 ] || ! grep -q 'libmicrohttpd-dev' "$work/err"; then
            fault "without libmicrohttpd it says $(cat "$work/out" "$work/err")"
        fi
        "$build/taper-without-play" show planar --stage trace >/dev/null || fault "without libmicrohttpd the rest fails"
    else
        fault "without libmicrohttpd it does not build: $(tail -3 "$work/log")"
    fi
fi

# --- the weight of a page ---------------------------------------------------------------------------
begin || { cat "$work/err"; fault "it does not begin"; exit 1; }
weight=$(python3 - "$url" <<'PYTHON'
import re, sys, urllib.request
get = lambda name: urllib.request.urlopen(sys.argv[1] + name).read()
page = get("")
names = [n for n in re.findall(rb'(?:src|href)="([^"#]+)"', page) if not n.startswith(b"data:")]
assert all(b"/" not in n for n in names), names  # nothing from outside
print(len(page) + sum(len(get(n.decode())) for n in names))
PYTHON
)
[ "${weight:-999999}" -lt 300000 ] || fault "a page load is $weight bytes"
python3 tests/play/safety.py "$url" || fault "it is not safe"
end TERM

# --- in a browser -----------------------------------------------------------------------------------
python=
for candidate in python3 /usr/bin/python3; do
    [ -n "$python" ] || ! "$candidate" -c 'import selenium' 2>/dev/null || python=$candidate
done
if [ -n "$python" ] && command -v chromedriver >/dev/null && command -v chromium >/dev/null; then
    begin || fault "it does not begin again"
    "$python" tests/play/browser.py "$url" ${TAPER_LONG:+--long} || fault "the page is not as it should be"
    end INT
else
    echo "no browser: chromium, chromium-driver and python3-selenium are needed for the page's own tests"
fi
finish
