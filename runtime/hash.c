/*
 * hash: SHA-256 over fields, and the processor's name as a field.
 *
 * Each field is preceded by its length, so that no two lists of fields are one string of bytes.
 */
#define _GNU_SOURCE 1
#include "runtime/runtime.h"

#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>

#if defined __x86_64__ || defined __i386__
#include <cpuid.h>
#else
#include <fcntl.h>
#include <sys/auxv.h>
#include <unistd.h>
#endif

void run_hash(const struct run_field *fields, size_t count, unsigned char digest[32])
{
    struct sha256_ctx hash;
    sha256_init(&hash);
    for (size_t i = 0; i < count; i++) {
        unsigned char length[8];
        for (int b = 0; b < 8; b++)
            length[b] = (unsigned char)((uint64_t)fields[i].length >> 8 * b);
        sha256_update(&hash, sizeof length, length);
        sha256_update(&hash, fields[i].length, fields[i].data);
    }
    sha256_digest(&hash, SHA256_DIGEST_SIZE, digest);
}

void run_hash_text(const struct run_field *fields, size_t count, char text[65])
{
    unsigned char digest[32];
    run_hash(fields, count, digest);
    for (int i = 0; i < 32; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
}

#if defined __x86_64__ || defined __i386__
/*
 * Vendor, model, and the feature leaves that compilers read for -march=native. What differs from
 * core to core (the APIC number in leaf 1, EBX) stays out.
 */
void run_cpu_text(char *text, size_t size)
{
    static const struct {
        unsigned leaf, part;
        bool registers[4];
    } wanted[] = {
        { 0, 0, { false, true, true, true } },
        { 1, 0, { true, false, true, true } },
        { 7, 0, { false, true, true, true } },
        { 7, 1, { true, true, true, true } },
        { 0x14, 0, { false, true, false, false } },
        { 0x19, 0, { false, true, false, false } },
        { 0x24, 0, { false, true, false, false } },
        { 0x80000001, 0, { false, false, true, true } },
        { 0x80000008, 0, { false, true, false, false } },
    };
    int at = snprintf(text, size, "x86");
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        unsigned value[4] = { 0 };
        if (!__get_cpuid_count(wanted[i].leaf, wanted[i].part, &value[0], &value[1], &value[2],
                               &value[3]))
            continue;
        for (int r = 0; r < 4; r++)
            if (wanted[i].registers[r] && at > 0 && (size_t)at < size)
                at += snprintf(text + at, size - (size_t)at, " %x", value[r]);
    }
    /* which registers the kernel saves: AVX-512 may be there and not allowed */
    unsigned a, b, c, d;
    if (__get_cpuid(1, &a, &b, &c, &d) && (c & bit_OSXSAVE) && at > 0 && (size_t)at < size) {
        __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
        snprintf(text + at, size - (size_t)at, " xcr0 %x", a);
    }
}
#else
void run_cpu_text(char *text, size_t size)
{
    char model[64] = "";
    const int fd =
        open("/sys/devices/system/cpu/cpu0/regs/identification/midr_el1", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        const ssize_t got = read(fd, model, sizeof model - 1);
        model[got > 0 ? got : 0] = 0;
        close(fd);
    }
    snprintf(text, size, "hwcap %lx %lx %s", getauxval(AT_HWCAP), getauxval(AT_HWCAP2), model);
    run_printable(text);
}
#endif
