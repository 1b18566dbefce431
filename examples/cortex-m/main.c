/*
 * A network that learns on the device: 2-16-16-1, whether a point of the unit square lies in a
 * circle. The same file runs on a Cortex-M and on a host: it calls say() and nothing else.
 */
#include "net.h"
#include "say.h"

enum { STEPS = 2000, TRIED = 512 };

static _Alignas(NET_ALIGNMENT) unsigned char memory[NET_ARENA_BYTES];

/* Points as they might come from a sensor: xorshift32. */
static float next(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return (float)(*state >> 8) * 0x1p-24f;
}

static void batch(uint32_t *state, float x[][2], int32_t y[])
{
    for (int row = 0; row < NET_ROWS; row++) {
        const float a = x[row][0] = next(state), b = x[row][1] = next(state);
        const float square = (a - 0.5f) * (a - 0.5f) + (b - 0.5f) * (b - 0.5f);
        y[row] = square < 0.1f;
    }
}

static void say_number(long number)
{
    char digits[12];
    int at = sizeof digits - 1;

    digits[at] = 0;
    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    say(digits + at);
}

/* Four decimals, and the bits, which are to be the same on every machine. */
static void say_loss(long step, float loss)
{
    const union {
        float number;
        uint32_t bits;
    } of = { loss };
    const long tenth = (long)(loss * 10000.0f + 0.5f);
    char text[] = "0.0000 (0x00000000)\n";

    text[0] = (char)('0' + tenth / 10000 % 10);
    for (long i = 5, rest = tenth; i > 1; i--, rest /= 10)
        text[i] = (char)('0' + rest % 10);
    for (int i = 0; i < 8; i++)
        text[10 + i] = "0123456789abcdef"[of.bits >> (28 - 4 * i) & 15];
    say("step ");
    say_number(step);
    say("  loss ");
    say(text);
}

int main(void)
{
    static float x[NET_ROWS][2], score[NET_ROWS];
    static int32_t y[NET_ROWS];
    uint32_t state = 2463534242u;
    long right = 0;

    if (net_init(memory, 1) != 0)
        return 1;
    for (long step = 1; step <= STEPS; step++) {
        batch(&state, x, y);
        const float loss = net_step(memory, x[0], y, NET_ROWS);
        if (step == 1 || step % 250 == 0)
            say_loss(step, loss);
    }
    for (int seen = 0; seen < TRIED; seen += NET_ROWS) {
        batch(&state, x, y);
        if (net_predict(memory, x[0], NET_ROWS, score) != 0)
            return 1;
        for (int row = 0; row < NET_ROWS; row++)
            right += (score[row] > 0.5f) == y[row];
    }
    say_number(right);
    say(" of ");
    say_number(TRIED);
    say(" new points right; arena ");
    say_number(NET_ARENA_BYTES);
    say(" bytes\n");
    return 0;
}
