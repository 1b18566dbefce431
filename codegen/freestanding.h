/*
 * What a compiler may call where there is no C library: text for libraries that are built
 * --freestanding, printed piece by piece. A line `/// WORDS` begins a piece, which is printed where
 * the program's text calls one of the words as __builtin_WORD; a machine that has instructions for
 * them never comes here. `always`: what compilers call on their own.
 *
 * All are weak, so that a C library's win where one is linked before, and hidden, so that a shared
 * object keeps its own. Results are those of C's Annex F, rounded once.
 */

/// always

#define OWN __attribute__((weak, visibility("hidden")))
#define STAYS \
    __asm__ volatile("" ::: "memory") /* a loop that is not turned into a call of itself */

OWN void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        ((unsigned char *)to)[i] = ((const unsigned char *)from)[i];
        STAYS;
    }
    return to;
}

OWN void *memmove(void *to, const void *from, size_t size)
{
    if ((uintptr_t)to <= (uintptr_t)from)
        return memcpy(to, from, size);
    while (size-- > 0) {
        ((unsigned char *)to)[size] = ((const unsigned char *)from)[size];
        STAYS;
    }
    return to;
}

OWN void *memset(void *to, int byte, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        ((unsigned char *)to)[i] = (unsigned char)byte;
        STAYS;
    }
    return to;
}

/// fmaf

/* The product is exact in double. The sum is rounded to odd, so that rounding it again to float is
 * the only rounding that shows. */
OWN float fmaf(float a, float b, float c)
{
    const double product = (double)a * (double)b, sum = product + (double)c, part = sum - product;
    const double lost = (product - (sum - part)) + ((double)c - part);
    union {
        double number;
        uint64_t bits;
    } odd = { sum };

    if (lost != 0 && lost - lost == 0 && !(odd.bits & 1))
        odd.bits += (lost > 0) == (sum > 0) ? 1 : (uint64_t)-1;
    return (float)odd.number;
}

/// fma

struct wide { /* 128 bits */
    uint64_t high, low;
};

static struct wide wide_left(struct wide x, int by)
{
    if (by >= 64)
        return (struct wide){ by < 128 ? x.low << (by - 64) : 0, 0 };
    return by ? (struct wide){ x.high << by | x.low >> (64 - by), x.low << by } : x;
}

static struct wide wide_right(struct wide x, int by)
{
    if (by >= 64)
        return (struct wide){ 0, by < 128 ? x.high >> (by - 64) : 0 };
    return by ? (struct wide){ x.high >> by, x.low >> by | x.high << (64 - by) } : x;
}

static struct wide wide_minus(struct wide x, struct wide y)
{
    return (struct wide){ x.high - y.high - (x.low < y.low), x.low - y.low };
}

static _Bool wide_less(struct wide x, struct wide y)
{
    return x.high < y.high || (x.high == y.high && x.low < y.low);
}

/* sign, whole number and power of two of a number that is not 0, its highest bit moved to 125 */
struct fma_part {
    struct wide bits;
    int exponent;
    _Bool minus;
};

static int fma_top(struct wide x) /* its highest bit's number */
{
    int top = 127;

    while (!(wide_right(x, top).low & 1))
        top--;
    return top;
}

static struct fma_part fma_lift(struct fma_part x)
{
    const int by = 125 - fma_top(x.bits);

    return (struct fma_part){ wide_left(x.bits, by), x.exponent - by, x.minus };
}

static struct fma_part fma_split(double x)
{
    union {
        double number;
        uint64_t bits;
    } of = { x };
    const int biased = (int)(of.bits >> 52 & 0x7ff);
    const uint64_t fraction = of.bits & 0x000fffffffffffff;

    return (struct fma_part){ { 0, biased ? fraction | 0x0010000000000000 : fraction },
                              (biased ? biased : 1) - 1075,
                              of.bits >> 63 };
}

static struct wide fma_product(uint64_t x, uint64_t y)
{
    const uint64_t low = 0xffffffff, x0 = x & low, x1 = x >> 32, y0 = y & low, y1 = y >> 32;
    const uint64_t middle = x1 * y0 + (x0 * y0 >> 32);

    return (struct wide){ x1 * y1 + (middle >> 32) + (((middle & low) + x0 * y1) >> 32), x * y };
}

/* the whole number as a double, rounded once, halves to the even one */
static double fma_round(struct fma_part x)
{
    const int top = fma_top(x.bits) + x.exponent; /* the power of two of its highest bit */
    const int drop = top >= -1022 ? top - 52 - x.exponent : -1074 - x.exponent;
    const struct wide kept = wide_right(x.bits, drop > 0 ? drop : 0);
    uint64_t bits = drop < 0 ? kept.low << -drop : kept.low;
    union {
        uint64_t bits;
        double number;
    } y;

    if (top > 1023)
        return x.minus ? -__builtin_inf() : __builtin_inf();
    if (drop > 0 && drop < 128) {
        const struct wide rest = wide_minus(x.bits, wide_left(kept, drop));
        const struct wide half = wide_left((struct wide){ 0, 1 }, drop - 1);
        bits += wide_less(half, rest) || (!wide_less(rest, half) && (bits & 1));
    }
    if (top >= -1022) /* the hidden bit adds one more */
        bits += (uint64_t)(top + 1022) << 52;
    y.bits = (uint64_t)x.minus << 63 | bits;
    return y.number;
}

/* In whole numbers of 128 bits: the smaller is moved right until both count the same, with one bit
 * at its end for all that falls off. */
OWN double fma(double a, double b, double c)
{
    struct fma_part x, y, more;
    struct wide moved;

    if (c - c != 0 && a - a == 0 && b - b == 0)
        return c;
    if (!(a - a == 0 && b - b == 0) || a == 0 || b == 0)
        return a * b + c;
    if (c == 0)
        return a * b;
    x = fma_split(a);
    y = fma_split(b);
    more = fma_lift(fma_split(c));
    x.bits = fma_product(x.bits.low, y.bits.low);
    x.exponent += y.exponent;
    x.minus ^= y.minus;
    x = fma_lift(x);
    if (x.exponent < more.exponent || (x.exponent == more.exponent && wide_less(x.bits, more.bits)))
        y = more, more = x, x = y;
    moved = wide_right(more.bits, x.exponent - more.exponent);
    y.bits = wide_left(moved, x.exponent - more.exponent);
    moved.low |= wide_less(y.bits, more.bits);
    if (x.minus == more.minus) {
        x.bits.low += moved.low;
        x.bits.high += moved.high + (x.bits.low < moved.low);
    } else {
        x.bits = wide_minus(x.bits, moved);
    }
    return x.bits.high || x.bits.low ? fma_round(x) : 0;
}

/// sqrt sqrtf

/* bit by bit; one bit more than a double has, to round by */
static double root_of(double x)
{
    union {
        double number;
        uint64_t bits;
    } of = { x };
    uint64_t rest, root = 0, twice = 0;
    int exponent = (int)(of.bits >> 52 & 0x7ff);

    if (!(x > 0) || exponent == 0x7ff)
        return x == 0 || x > 0 ? x : __builtin_nan("");
    rest = of.bits & 0x000fffffffffffff;
    if (exponent)
        rest |= 0x0010000000000000;
    else
        for (exponent = 1; !(rest >> 52); exponent--)
            rest <<= 1;
    exponent -= 1023;
    if (exponent & 1) {
        rest <<= 1;
        exponent--;
    }
    rest <<= 1;
    for (uint64_t bit = (uint64_t)1 << 53; bit; bit >>= 1) {
        if (twice + bit <= rest) {
            rest -= twice + bit;
            twice += 2 * bit;
            root += bit;
        }
        rest <<= 1;
    }
    root = (root + (root & 1)) >> 1;
    of.bits = ((uint64_t)(exponent / 2 + 1022) << 52) + root;
    return of.number;
}

OWN double sqrt(double x)
{
    return root_of(x);
}

OWN float sqrtf(float x)
{
    return (float)root_of((double)x);
}

/// floorf ceilf truncf

OWN float truncf(float x)
{
    return x - x == 0 && x < 0x1p23f && x > -0x1p23f ? __builtin_copysignf((float)(int32_t)x, x)
                                                     : x;
}

OWN float floorf(float x)
{
    const float y = truncf(x);
    return y > x ? y - 1 : y;
}

OWN float ceilf(float x)
{
    const float y = truncf(x);
    return y < x ? __builtin_copysignf(y + 1, x) : y;
}

/// floor ceil trunc

OWN double trunc(double x)
{
    return x - x == 0 && x < 0x1p52 && x > -0x1p52 ? __builtin_copysign((double)(int64_t)x, x) : x;
}

OWN double floor(double x)
{
    const double y = trunc(x);
    return y > x ? y - 1 : y;
}

OWN double ceil(double x)
{
    const double y = trunc(x);
    return y < x ? __builtin_copysign(y + 1, x) : y;
}

/// rintf

/* to the nearest, halves to the even one: what adding and taking away 2^23 does */
OWN float rintf(float x)
{
    const float y = __builtin_copysignf(0x1p23f, x);
    return x < 0x1p23f && x > -0x1p23f ? __builtin_copysignf((x + y) - y, x) : x;
}

/// rint

OWN double rint(double x)
{
    const double y = __builtin_copysign(0x1p52, x);
    return x < 0x1p52 && x > -0x1p52 ? __builtin_copysign((x + y) - y, x) : x;
}

/// fmod fmodf

/* C's remainder, exact: a is made smaller by the greatest power of two times b that fits */
static double rest_of(double a, double b)
{
    double rest = __builtin_fabs(a);

    b = __builtin_fabs(b);
    if (!(a - a == 0) || b != b || b == 0)
        return __builtin_nan("");
    if (b - b != 0)
        return a;
    while (rest >= b) {
        union {
            double number;
            uint64_t bits;
        } part = { b }, top = { rest };
        const int64_t apart = (int64_t)(top.bits >> 52) - (int64_t)(part.bits >> 52);
        if (apart > 1 && part.bits >> 52)
            part.bits += (uint64_t)(apart - 1) << 52;
        while (part.number <= rest / 2)
            part.number *= 2;
        rest -= part.number;
    }
    return __builtin_copysign(rest, a);
}

OWN double fmod(double a, double b)
{
    return rest_of(a, b);
}

OWN float fmodf(float a, float b)
{
    return (float)rest_of((double)a, (double)b);
}
