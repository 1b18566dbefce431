/*
 * Start of a Cortex-M without anything: vectors, memory, floating point, main(). Words and the end
 * go by semihosting: a debugger, or qemu, listens for the breakpoint 0xab.
 */
#include <stdint.h>

#include "say.h"

extern uint32_t ram_start[], ram_end[], data_start[], data_end[], data_load[], flash_end[],
    stack_top[];
int main(void);
void reset(void);

static long semihost(long call, const void *about)
{
    register long r0 __asm__("r0") = call;
    register const void *r1 __asm__("r1") = about;

    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void say(const char *text)
{
    semihost(4, text); /* SYS_WRITE0 */
}

static void say_bytes(const char *what, uintptr_t bytes)
{
    char digits[] = "0000000 bytes\n";

    for (int i = 6; i >= 0; i--, bytes /= 10)
        digits[i] = (char)('0' + bytes % 10);
    say(what);
    say(digits);
}

static void stop(int status)
{
    const long why[2] = { 0x20026, status }; /* the program has ended by itself */

    semihost(0x20, why); /* SYS_EXIT_EXTENDED */
    for (;;)
        ;
}

static void fault(void)
{
    say("fault\n");
    stop(2);
}

void reset(void)
{
    *(volatile uint32_t *)0xe000ed88 |= 0xf << 20; /* the floating-point unit is on */
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    for (uint32_t *to = data_start, *from = data_load; to < data_end;)
        *to++ = *from++;
    for (volatile uint32_t *to = data_end; to < ram_end; to++)
        *to = 0;
    const int status = main();
    say_bytes("flash ", (uintptr_t)flash_end);
    say_bytes("ram   ", (uintptr_t)ram_end - (uintptr_t)ram_start);
    stop(status);
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    stack_top,     (void *)reset, (void *)fault, (void *)fault,
    (void *)fault, (void *)fault, (void *)fault,
};
