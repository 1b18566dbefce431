#!/usr/bin/env bash
# The command as scripts see it: exit statuses, one line on stderr, JSON that can be read, and files
# that it takes back.   bash tests/command.sh [BUILD]
# shellcheck source=tests/script.bash
. "$(dirname "${BASH_SOURCE[0]}")/script.bash"

# refuses STATUS WORDS ARGUMENT...: nothing on stdout, one printable line on stderr that holds WORDS
refuses() {
    local want=$1 words=$2 got
    shift 2
    timeout 20 "$taper" "$@" >"$work/out" 2>"$work/err"
    got=$?
    [ $got = "$want" ] || fault "taper $*: exit status $got, not $want"
    [ ! -s "$work/out" ] || fault "taper $*: it printed $(head -c 60 "$work/out")"
    [ "$(wc -l <"$work/err")" = 1 ] || fault "taper $*: $(wc -l <"$work/err") lines on stderr"
    [ "$(wc -c <"$work/err")" -le 401 ] || fault "taper $*: a long line on stderr"
    LC_ALL=C grep -q '^taper: [ -~]*$' "$work/err" || fault "taper $*: $(cat "$work/err")"
    grep -qF -- "$words" "$work/err" || fault "taper $*: it says $(cat "$work/err"), not $words"
}

# prints WORDS ARGUMENT...: exit status 0, nothing on stderr, WORDS somewhere on stdout
prints() {
    local words=$1
    shift
    timeout 60 "$taper" "$@" >"$work/out" 2>"$work/err" || fault "taper $*: $(cat "$work/err")"
    [ ! -s "$work/err" ] || fault "taper $*: stderr has $(cat "$work/err")"
    grep -qF -- "$words" "$work/out" || fault "taper $*: it does not print $words"
}

# --- help ----------------------------------------------------------------------------------------
prints 'taper train' help
prints 'lenet' train
for command in train sample run show check explain tune verify bench ops cache; do
    prints "Example: taper $command" "$command" --help
done

# --- refusals -------------------------------------------------------------------------------------
refuses 2 'no command "fly"' fly
refuses 2 'no option --fly' train mlp --fly
refuses 2 '--epochs lacks its value' train mlp --epochs
refuses 2 '--epochs "many": expected a whole number' train mlp --epochs many
refuses 2 '--opt "fast": expected one of sgd' train moons --opt fast
refuses 2 'there is no such model or file' train nothing
refuses 2 'planar set "square"' train planar --set square
refuses 2 'there is no such file, folder or set' train mlp --data square
refuses 2 'no parameter of mlp fits' train mlp --freeze 'conv*'
printf '0.1,0.2,0.5\n0.3,0.4,0.7\n' >"$work/values.csv"
refuses 2 'expected classes, whole numbers from 0, or words' train mlp --data "$work/values.csv"
refuses 2 'it was read as a .tp file' train "$work/values.csv"
refuses 2 'one more' train mlp lenet
TAPER_LIBCUDA=/nowhere/libcuda.so.1 refuses 3 "looked for NVIDIA's driver, /nowhere/libcuda.so.1" train mlp --device cuda
refuses 2 '--device "gpu": expected cpu, cuda or cuda-emu' train mlp --device gpu
refuses 2 'there are 8; the first is 0' train mlp --device cuda-emu:9
refuses 2 "--tf32 is of a GPU's tensor cores; expected --device cuda" train mlp --tf32
refuses 2 "--tf32 is of a GPU's tensor cores; expected --stage cuda" show mlp --stage c --tf32
refuses 2 "--tf32 is of a GPU's tensor cores; expected --device cuda" build mlp --tf32 -o "$work/none"
[ "$("$taper" show mlp --stage cuda --tf32 | grep -c 'multiply_tf32_f32(rows')" -gt 0 ] || fault "show --tf32: no fragments"

# a device looks at the losses of several steps at once, and tells what the CPU tells
told() { "$taper" train moons --epochs 9 --points 150 --batch 11 --json --device "$1" 2>&1 | tail -n +2 | sed 's/,"seconds":[^,}]*//; s/,"step_ms":[^,}]*//'; }
for device in cuda-emu cuda-emu:7; do
    [ "$(told cpu)" = "$(told "$device")" ] || fault "--device $device: $(told "$device" | head -n 1), not $(told cpu | head -n 1)"
done
refuses 2 '--probe: expected --log DIR, --json or both' train moons --probe
refuses 2 'cannot be written' train moons --log /dev/null/runs
refuses 2 'stage' show moons --stage everything
refuses 2 'no operation "fly"' ops fly
refuses 2 'cannot be read: No such file' verify "$work/nothing"
refuses 2 'cache "burn"' cache burn
refuses 2 'expected one, as taper sample gpt' sample
refuses 2 'no model "fly"' sample fly
refuses 2 'says no text' sample lenet
refuses 2 'expected --weights F' sample gpt
refuses 2 'cannot be read' sample gpt --weights "$work/nothing"
refuses 2 '--top-k "-1"' sample gpt --weights "$work/nothing" --top-k -1
refuses 2 '--memory "much": expected bytes' train mlp --memory much
refuses 2 '; a batch of ' train mlp --memory 100K
refuses 2 '.pt is not written; expected .safetensors' train moons --save "$work/x.pt"
[ -e "$work/x.pt" ] && fault "a refused --save leaves a file"
refuses 2 'model mlp: tp_linear: "fc1":' train mlp --hidden 0
refuses 2 'a memory of 1000 bytes is too small: ' show lenet --stage plan --memory 1K
prints '# again div_all' show lenet --stage plan --memory 91%
printf 'step(x: f32[2]) {\n  %%2 = exp y : f32[2]\n' >"$work/bad.tp"
refuses 2 "$work/bad.tp:" train "$work/bad.tp"
refuses 2 "$work/bad.tp:" verify "$work/bad.tp"
printf 'symbol b in 1..9\nstep(z: f32[b 2]) {\n  %%2 = sum z axes=[0 1] : f32\n  return loss=%%2\n}\n' >"$work/z.tp"
refuses 2 'the input "z" has no column' train "$work/z.tp" --data xor
head -c 3000 /dev/urandom >"$work/noise.tp"
timeout 20 "$taper" verify "$work/noise.tp" >"$work/out" 2>"$work/err"
[ $? = 2 ] && [ ! -s "$work/out" ] || fault "noise is not refused"
refuses 2 "$work/none/x.safetensors" train moons --save "$work/none/x.safetensors"

# --- one run, on numbers --------------------------------------------------------------------------
cat >"$work/dot.tp" <<'END'
symbol n in 1..9
step(a: f32[n 2], b: f32[2 n]) {
  %3 = dot a, b mk,kp->mp
  %4 = state w : f32[2] init constant(1)
  %5 = const 2 : f32
  %6 = mul %4, %5
  %7 = assign %4, %6
  return y=%3
}
other(a: bool[2]) {
  %2 = not a
  return %2
}
END
printf 'step() {\n  %%1 = iota axis=0 : i64[1000000000]\n  return %%1\n}\n' >"$work/large.tp"
printf 'step(a: f32[7]) {\n  %%2 = exp a\n  return %%2\n}\n' >"$work/exp.tp"
prints 'y = f32[n n] [[7 10]
 [15 22]]
w = f32[2] [2 2]' run "$work/dot.tp" a=1,2,3,4 b=1,2,3,4
prints 'w = f32[2] [6 -2]' run "$work/dot.tp" n=1 a=1,2 b=3,4 w=3,-1
prints 'bool[2] [0 1]' run "$work/dot.tp" --program other a=1,0
sed '/^step/,/^}/d' "$work/dot.tp" >"$work/other.tp"
prints 'kernel not_all' show "$work/other.tp" --stage fuse
refuses 2 'its program has no output "loss"' train "$work/other.tp"
refuses 2 'run takes one file' run
refuses 2 'no numbers for b; expected b=1,2,..' run "$work/dot.tp" a=1,2
refuses 2 'a: 3 numbers are given; expected those of f32[n 2]' run "$work/dot.tp" a=1,2,3 b=1,2
refuses 2 'a: "one"; expected numbers' run "$work/dot.tp" a=one b=1,2
refuses 2 'c=1: the program has no such' run "$work/dot.tp" a=1,2 b=1,2 c=1
refuses 2 'n=12: expected 1 to 9' run "$work/dot.tp" a=1,2 b=1,2 n=12
refuses 2 'f32[2 2] is bound; expected f32[2 n]' run "$work/dot.tp" a=1,2 b=1,2,3,4
refuses 2 'there is no program "third"' run "$work/dot.tp" --program third
refuses 2 'expected a small program' run "$work/large.tp"
prints 'exp_f32(' show "$work/exp.tp" --stage cuda --kernel exp_all
"$taper" ops --json >"$work/json" || fault "ops --json fails"
if command -v python3 >/dev/null; then
    python3 - "$work/json" <<'END' || fault "the JSON of ops is not as it should be"
import json, sys
rows = {row["op"]: row for row in map(json.loads, open(sys.argv[1]))}
assert rows["exp"] == dict(op="exp", group="unary", arity=1, takes="float", c="EXP(a)", da="g * y")
assert rows["sum"]["attributes"] == "axes" and rows["sum"]["grad"] == "sum" and rows["dot"]["arity"] == 2
assert rows["softplus"]["numbers"] == [["beta", 1], ["threshold", 20]]
assert len(rows) > 150 and all({"op", "group", "arity"} <= set(row) for row in rows.values())
END
fi

# --- a run that is looked at ------------------------------------------------------------------------
"$taper" train moons --lr 1e30 --check >"$work/out" 2>"$work/err"
[ $? = 1 ] && grep -qE '^taper: [a-z_]+\.c:[0-9]+: [a-z0-9_]+: .*element \[[0-9 ]*\] of f32\[.*, in step [0-9]+$' \
    "$work/err" || fault "train --check says $(cat "$work/err")"
"$taper" train moons --epochs 3 --json | grep epoch | sed 's/,"seconds.*//' >"$work/plain"
"$taper" train moons --epochs 3 --json --check | grep epoch | sed 's/,"seconds.*//' >"$work/checked"
cmp -s "$work/plain" "$work/checked" || fault "train --check changes the numbers"

# --- derivatives ---------------------------------------------------------------------------------
prints 'moons: right' check moons
prints 'fused, unfused, interpreter: they agree on loss and 4 gradients' check mlp
"$taper" show moons --stage grad --program step --batch 4 >"$work/grad.tp" || fault "show --stage grad"
prints 'grad.tp: right' check "$work/grad.tp"
# a relu whose gradient passes where it should not, as somebody might write it
sed -E '0,/(= select %[0-9]+), (%[0-9]+), (%[0-9]+) : f32\[batch 16\]/s//\1, \3, \2 : f32[batch 16]/' \
    "$work/grad.tp" >"$work/wrong.tp"
cmp -s "$work/grad.tp" "$work/wrong.tp" && fault "the gradient of relu is not where it was"
"$taper" check "$work/wrong.tp" --out "$work/small.tp" >"$work/out" 2>"$work/err"
[ $? = 1 ] && grep -q 'the derivative of relu at models.c:72 is another one' "$work/out" &&
    grep -q ' wrong$' "$work/out" || fault "check of a wrong gradient: $(cat "$work/out" "$work/err")"
[ "$(grep -c ' = ' "$work/small.tp")" -le 5 ] && grep -q '= relu a' "$work/small.tp" ||
    fault "the smallest graph is $(cat "$work/small.tp")"
prints 'sound' verify "$work/small.tp"
refuses 2 'check takes one model' check

# --- what is said of kernels ----------------------------------------------------------------------
prints 'apart from conv1_conv_add: its windows overlap' explain lenet --seconds 0.1
prints 'this machine now: ' explain moons --seconds 0.1 --brief
refuses 2 'no kernel fits' explain moons --seconds 0.1 --kernel nothing
"$taper" explain mlp --seconds 0.1 --json >"$work/json" || fault "explain --json fails"
if command -v python3 >/dev/null; then
    python3 - "$work/json" <<'END' || fault "the JSON of explain is not as it should be"
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
assert abs(sum(r["share"] for r in rows) - 1) < 0.01, rows
assert any(r["kernel"] == "fc1_dot_add_relu" and r["bound"] == "flops" for r in rows)
assert all(a["from"] and a["why"] for r in rows for a in r["apart"])
assert sum(len(r["apart"]) for r in rows) > 5
END
fi

# --- schedules that are searched ------------------------------------------------------------------
prints 'the whole step' tune moons --seconds 0.2 --save "$work/moons.tuned"
echo 'taper tuned 1' >"$work/none.tuned"
prints '100 steps' train moons --schedules "$work/none.tuned"
prints '100 steps' train moons --schedules none
refuses 2 'there is no such file; taper tune MODEL --save makes one' train moons --schedules "$work/nowhere.tuned"
echo hello >"$work/no.tuned"
refuses 2 'tuned: "hello"; expected "taper tuned 1"' train moons --schedules "$work/no.tuned"
refuses 2 'tune takes one model' tune
refuses 2 '--seconds: expected more than 0' tune moons --seconds 0
TAPER_ENGINE=interpreter refuses 3 'the engine interpreter; expected machine code' tune moons

# --- training --------------------------------------------------------------------------------------
prints '100 steps' train moons
touch "$work/moons"
(cd "$work" && "$taper" train moons --epochs 1 >out 2>err) || fault "beside a file moons: $(cat "$work/err")"
for i in $(seq 20); do echo "$((i % 7)),$((i % 5)),$((i % 2))"; done >"$work/rows.csv"
"$taper" train planar --set circle --epochs 30 --json --log-every 10 --svg "$work/picture.svg" \
    --save "$work/planar.safetensors" >"$work/json" || fault "planar does not train"
if command -v python3 >/dev/null; then
    python3 - "$work/json" <<'END' || fault "the JSON lines are not as they should be"
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
events = [line["event"] for line in lines]
assert events[0] == "start" and events[-1] == "done" and set(events[1:-1]) == {"step", "epoch"}
start = lines[0]
assert start["model"] == "planar" and start["parameters"] == 151 and start["arena_bytes"] > 0
assert start["compile_seconds"] >= 0 and start["memory_seconds"] >= 0 and start["cached"] in (True, False)
steps = [line for line in lines if line["event"] == "step"]
assert [s["step"] for s in steps] == [10, 20, 30] and all(s["loss"] > 0 for s in steps)
epochs = [line for line in lines if line["event"] == "epoch"]
assert [e["epoch"] for e in epochs] == list(range(1, 31))
for key in ("loss", "val_loss", "val_accuracy", "seconds", "step_ms"):
    assert all(key in e for e in epochs), key
assert epochs[9]["loss"] == steps[0]["loss"], "a full-batch epoch's loss is its step's"
END
fi
grep -q '</svg>' "$work/picture.svg" || fault "there is no picture"
"$taper" train mlp --data "$work/rows.csv" --epochs 4 --batch 8 --svg "$work/curves.svg" >/dev/null ||
    fault "mlp does not train with a picture"
grep -q '>test loss</text>' "$work/curves.svg" || fault "the picture has no curve of losses"
for schedule in constant cosine linear polynomial exponential step multistep restarts one-cycle inverse-sqrt wsd; do
    prints '12 steps' train mlp --data "$work/rows.csv" --epochs 4 --batch 8 --opt lion --schedule $schedule
done
prints '12 steps' train mlp --data "$work/rows.csv" --epochs 4 --batch 8 --accumulate 2
refuses 2 'expected one of constant, cosine,' train moons --schedule slow
refuses 2 '--accumulate 0: expected 1 to' train moons --accumulate 0
prints 'safetensors, 6 tensors' verify "$work/planar.safetensors"
prints '1 steps' train planar --load "$work/planar.safetensors" --epochs 1
refuses 2 'there is no mlp.0.weight' train moons --load "$work/planar.safetensors"

# The same seed gives the same bits, on any number of threads; another seed does not.
losses() { "$taper" train "$2" --epochs 2 --json --seed "$1" --threads "$3" | grep -o '"loss":[^,]*'; }
for model in moons mlp lenet; do
    losses 1 $model 1 >"$work/one"
    [ -s "$work/one" ] || fault "$model does not train"
    losses 1 $model 1 | cmp -s - "$work/one" || fault "$model: two runs of one seed differ"
    losses 1 $model 2 | cmp -s - "$work/one" || fault "$model: two threads are not one"
    losses 2 $model 1 | cmp -s - "$work/one" && fault "$model: two seeds are one"
done

# Who says nothing gets machine code; the interpreter is there for who wants it; nothing else is.
prints '(compiled)' train moons
TAPER_ENGINE=interpreter prints '(interpreter)' train moons --epochs 2
TAPER_ENGINE=steam refuses 2 'TAPER_ENGINE=steam; expected compiled or interpreter' train moons
prints '"cached":true' train moons --json

# Each way of computing a step, and each kernel of the fused one.
for way in fused one_thread unfused eager; do
    prints "\"way\":\"$way\"" bench moons --seconds 0.1 --json
done
prints 'GFLOP/s' bench moons --kernels --seconds 0.1

# --- text ---------------------------------------------------------------------------------------
# What a model says is a function of its weights and the seed, on any number of threads.
"$taper" train names --epochs 1 --hidden 16 --batch 512 --threads 1 --save "$work/names.safetensors" >/dev/null ||
    fault "names does not train"
says() { "$taper" sample names --weights "$work/names.safetensors" --length 5 --top-k 20 --top-p 0.95 "$@"; }
says --threads 1 >"$work/one"
[ "$(wc -l <"$work/one")" = 5 ] || fault "five names are $(wc -l <"$work/one")"
says --threads 2 | cmp -s - "$work/one" || fault "two threads say something else"
says --data syllables | cmp -s - "$work/one" || fault "the data know other letters than the weights"
says --seed 2 | cmp -s - "$work/one" && fault "two seeds say the same"
says --temperature 0 --seed 2 >"$work/two"
says --temperature 0 | cmp -s - "$work/two" || fault "the likeliest hangs on the seed"
says --prompt a | grep -v '^a' && fault "a prompt is not what it begins with"
refuses 2 'it is of the model names; expected gpt' sample gpt --weights "$work/names.safetensors"
refuses 2 'expected characters that' sample names --weights "$work/names.safetensors" --prompt '%'

# --- files -------------------------------------------------------------------------------------------
# A stage's text is a model: it is sound, trains, and has the same losses bit by bit.
"$taper" train moons --json | grep -o '"loss":[^,]*' >"$work/want"
for stage in trace grad simple layout fuse plan; do
    "$taper" show moons --stage $stage >"$work/$stage.tp" || fault "show --stage $stage"
    prints 'sound' verify "$work/$stage.tp" --compile
    "$taper" train "$work/$stage.tp" --json | grep -o '"loss":[^,]*' >"$work/got"
    cmp -s "$work/want" "$work/got" || fault "$stage.tp trains otherwise"
    "$taper" show "$work/$stage.tp" --stage $stage >"$work/again.tp"
    cmp -s "$work/$stage.tp" "$work/again.tp" || fault "$stage.tp is not printed as it was read"
done
# What it holds are the options of train: rates, epochs, what is frozen, the words of a row.
head -c 6000 README.md >"$work/some.txt"
sed 's/[^a-z]//g' "$work/some.txt" | cut -c1-12 | grep . | sort -u >"$work/words.txt"
same_training() { # MODEL WORD.. : those options in show are those options in train
    "$taper" train "$@" --json --log-every 1 | grep -o '"loss":[^,]*' >"$work/want"
    "$taper" show "$@" --stage trace >"$work/own.tp" || fault "show $*"
    "$taper" train "$work/own.tp" --json --log-every 1 | grep -o '"loss":[^,]*' >"$work/got"
    [ -s "$work/want" ] && cmp -s "$work/want" "$work/got" || fault "show $*: its text trains otherwise"
}
same_training moons --lr 0.3 --epochs 4 --momentum 0.5 --clip 0.5 --accumulate 2 --seed 7 --warmup 0.3 --schedule linear
same_training planar --opt adamw --weight-decay 0.1 --freeze '*bias' --set xor --points 300 --noise 0.2 --epochs 3
same_training names --data "$work/words.txt" --epochs 1 --batch 16 --context 5
same_training lstm --data "$work/some.txt" --hidden 8 --context 12 --batch 32 --epochs 1
for model in resnet20 gpt sentiment; do # regions with numbers of their own
    "$taper" show $model --stage trace >"$work/$model.tp" && prints 'sound' verify "$work/$model.tp"
done

# --- a model's text in its weights --------------------------------------------------------------------
# The file alone is run, trained and written as ONNX, and what it gives is what was learnt.
"$taper" train moons --epochs 20 --save "$work/w.safetensors" --save-model "$work/m.safetensors" >/dev/null ||
    fault "train --save-model"
prints 'scores = f32' run "$work/m.safetensors" x=0.5,0.2,1,-0.3
"$taper" run "$work/m.safetensors" x=0.5,0.2,1,-0.3 y=0,1 | grep -q '^loss = ' || fault "run: no loss for a given y"
"$taper" train moons --load "$work/w.safetensors" --epochs 5 --json | grep -o '"loss":[^,]*' >"$work/want"
"$taper" train "$work/m.safetensors" --epochs 5 --save-model "$work/n.safetensors" --json |
    grep -o '"loss":[^,]*' | cmp -s - "$work/want" || fault "a model with its weights trains otherwise"
prints 'scores = ' run "$work/n.safetensors" x=0.5,0.2
refuses 2 'expected a name that ends in .safetensors' train moons --save-model "$work/m.npz"
gzip -k "$work/w.safetensors"
refuses 2 'packed by gzip; expected it unpacked' train moons --load "$work/w.safetensors.gz"
refuses 2 'packed by gzip; expected it unpacked' verify "$work/w.safetensors.gz"
refuses 2 '.gz is not written' train moons --save "$work/m.npz.gz"
printf 'to be or not\n' >"$work/some.txt"
prints 'text, 13 characters, 8 different ones, sound' verify "$work/some.txt"
printf '\377\376\000' >"$work/none.txt"
refuses 2 'no text in UTF-8' verify "$work/none.txt"
refuses 2 'it holds weights and no model' train "$work/w.safetensors"
refuses 2 'no output follows from what is given' run "$work/m.safetensors"
refuses 2 'x: 3 numbers are given' run "$work/m.safetensors" x=1,2,3
"$taper" show lenet --stage fuse >"$work/lenet.tp"
"$taper" train lenet --json | grep -o '"loss":[^,]*' >"$work/want"
"$taper" train "$work/lenet.tp" --json | grep -o '"loss":[^,]*' | cmp -s - "$work/want" ||
    fault "lenet, fused, trains otherwise"
kernel=$(sed -n 's/^  kernel \([^ ]*\) .*/\1/p' "$work/lenet.tp" | head -1)
for stage in layout fuse loops plan c; do
    prints "$kernel" show lenet --stage $stage --kernel "$kernel"
done
refuses 2 '--stage fuse lists them' show lenet --stage c --kernel nothing
refuses 2 'the stage grad has none' show lenet --stage grad --kernel "$kernel"
prints 'digraph' show moons --stage trace --format dot
refuses 2 'expected text, dot or json' show moons --format yaml
refuses 2 '--format json: expected a stage of whole graphs' show moons --stage c --format json
"$taper" show lstm --stage fuse --format json >"$work/json" || fault "show --format json fails"
if command -v python3 >/dev/null; then
    python3 - "$work/json" <<'END' || fault "the JSON of show is not as it should be"
import json, sys
step, evaluation = map(json.loads, open(sys.argv[1]))
assert [p["program"] for p in (step, evaluation)] == ["step", "eval"]
nodes = {n["id"]: n for n in step["nodes"]}
assert all(a in nodes for n in nodes.values() for a in n["args"])
assert all(v in nodes for k in step["kernels"] for v in k["nodes"])
assert step["symbols"][0]["name"] in next(n for n in step["nodes"] if n["op"] == "input")["shape"]
assert "loss" in [o["name"] for o in step["outputs"]]
assert all("letters" in n and "file" in n for n in step["nodes"] if n["op"] == "dot")
END
fi
prints 'd/da: g * y' ops exp

# --- ONNX: out with weights, in without them and then given them --------------------------------------
if "$taper" export moons -o "$work/plain.onnx" >/dev/null 2>"$work/err" && command -v python3 >/dev/null; then
    "$taper" train moons --epochs 5 --save "$work/moons.safetensors" >/dev/null
    "$taper" train planar --epochs 1 --save "$work/planar.safetensors" >/dev/null
    "$taper" export moons --weights "$work/moons.safetensors" -o "$work/with.onnx" >/dev/null
    python3 - "$work/x.npy" <<'END'
import struct, sys
head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }".ljust(117) + b"\n"
with open(sys.argv[1], "wb") as f:
    f.write(b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head + struct.pack("<6f", 1, -1, .5, 0, 2, 1))
END
    "$taper" run "$work/with.onnx" --input "$work/x.npy" --output-dir "$work/with" || fault "run with.onnx"
    "$taper" run "$work/plain.onnx" --input "$work/x.npy" --output-dir "$work/without" || fault "run plain.onnx"
    "$taper" run "$work/plain.onnx" --input "$work/x.npy" --output-dir "$work/given" \
        --weights "$work/moons.safetensors" || fault "run plain.onnx --weights"
    cmp -s "$work/with/output_0.npy" "$work/given/output_0.npy" || fault "run --weights gives other numbers"
    ! cmp -s "$work/with/output_0.npy" "$work/without/output_0.npy" || fault "the weights change nothing"
    refuses 2 'expected each parameter' run "$work/plain.onnx" --input "$work/x.npy" \
        --output-dir "$work/other" --weights "$work/planar.safetensors"
    [ ! -e "$work/other/output_0.npy" ] || fault "run with wrong weights leaves an output"
elif ! grep -q 'without ONNX\|reads no ONNX\|writes no ONNX' "$work/err" && [ -s "$work/err" ]; then
    fault "export moons: $(cat "$work/err")"
fi

finish
