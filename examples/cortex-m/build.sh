#!/usr/bin/env bash
# Trains on a Cortex-M7 in qemu, and on this machine, and says whether the bits are the same.
#   bash build.sh [TAPER] [FOLDER]     what is made goes to FOLDER, or a temporary one
set -euo pipefail
taper=$(command -v "${1:-taper}")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${2:-$(mktemp -d)}
machine='-mcpu=cortex-m7 -mthumb -mfpu=fpv5-sp-d16 -mfloat-abi=hard'
warn='-std=gnu17 -Wall -Wextra -Werror'

"$taper" build planar --hidden 16 --batch 16 --opt adam --lr 0.01 --schedule constant \
    --library net --freestanding --target cortex-m -o "$out"
# shellcheck disable=SC2086
arm-none-eabi-gcc $machine $warn -Os -ffreestanding -nostdlib -ffunction-sections -fdata-sections \
    -Wl,--gc-sections -T "$here/cortex-m.ld" -I "$out" "$here/main.c" "$here/start.c" "$out/net.c" \
    -lgcc -o "$out/device.elf"
# shellcheck disable=SC2086
cc $warn -O2 -I "$out" "$here/main.c" "$here/host.c" "$out/net.c" -o "$out/host"
qemu-system-arm -M mps2-an500 -nographic -monitor none -serial none \
    -semihosting-config enable=on,target=native -kernel "$out/device.elf" >"$out/device.txt" 2>&1
"$out/host" >"$out/host.txt"
cat "$out/device.txt"
grep -v '^flash \|^ram ' "$out/device.txt" | cmp - "$out/host.txt"
echo "the host has the same bits"
