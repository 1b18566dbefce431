/*
 * taper's own elementary functions, as text for generated programs; maths.c says how it is read.
 *
 * Each is written once, for f32x16, and renamed for single numbers (C's tails, CUDA): the same IEEE
 * operations in the same order, so the same bits. Hence no operation that has no twin: masks are
 * only joined by & and |, and chosen by select. Errors are in units of the last place, by
 * tests/maths.c.
 */

/// C, CUDA: f32x16 f32

static inline f32x16 abs_f32x16(const f32x16 x)
{
    return from_bits_f32x16(bits_f32x16(x) & 0x7fffffff);
}

/* x with the sign of y */
static inline f32x16 copysign_f32x16(const f32x16 x, const f32x16 y)
{
    return from_bits_f32x16((bits_f32x16(x) & 0x7fffffff) | (bits_f32x16(y) & ~0x7fffffff));
}

/* p * x + c: one step of Horner's rule */
static inline f32x16 poly_f32x16(const f32x16 p, const f32x16 x, const f32 c)
{
    return fma_f32x16(p, x, splat_f32x16(c));
}

/* 2^n for -127 < n < 128 */
static inline f32x16 two_to_f32x16(const i32x16 n)
{
    return from_bits_f32x16((i32x16)(((u32x16)n + 127u) << 23));
}

/* p * 2^n in two steps, so that subnormals and overflow come out */
static inline f32x16 scale_f32x16(const f32x16 p, const i32x16 n)
{
    const i32x16 half = n >> 1;
    return p * two_to_f32x16(half) * two_to_f32x16(n - half);
}

/* e^x = result * 2^n for |x| < 10^5: x = n ln 2 + r, and a polynomial of degree 6 in r */
static inline f32x16 exp_part_f32x16(const f32x16 x, i32x16 *n)
{
    const f32x16 shifted = poly_f32x16(x, splat_f32x16(0x1.715476p+0f), 0x1.8p+23f);
    const f32x16 whole = shifted - 0x1.8p+23f;
    f32x16 r = fma_f32x16(whole, splat_f32x16(-0x1.62e430p-1f), x);
    r = fma_f32x16(whole, splat_f32x16(0x1.05c610p-29f), r);
    f32x16 p = poly_f32x16(splat_f32x16(0x1.6fe5acp-10f), r, 0x1.1258f0p-7f);
    p = poly_f32x16(p, r, 0x1.5552fep-5f);
    p = poly_f32x16(p, r, 0x1.555464p-3f);
    p = poly_f32x16(p, r, 0x1p-1f);
    *n = bits_f32x16(shifted) - 0x4b400000;
    return fma_f32x16(p, r * r, r) + 1.0f;
}

/* 0.95 ulp */
static inline f32x16 exp_f32x16(const f32x16 x)
{
    i32x16 n;
    f32x16 y = select_f32x16(x > 89.0f, splat_f32x16(89.0f), x);
    y = exp_part_f32x16(select_f32x16(y < -104.0f, splat_f32x16(-104.0f), y), &n);
    return scale_f32x16(y, n);
}

/* x = 2^n m with m in 0.7 .. 1.4, then a polynomial of degree 10 in m - 1; 0.8 ulp */
static inline f32x16 log_f32x16(const f32x16 x)
{
    const i32x16 tiny = x < 0x1p-126f;
    const u32x16 bits = (u32x16)bits_f32x16(select_f32x16(tiny, x * 0x1p+23f, x)) - 0x3f3504f3u;
    const f32x16 m = from_bits_f32x16((i32x16)((bits & 0x007fffffu) + 0x3f3504f3u));
    const f32x16 n = to_f32x16((i32x16)bits >> 23) -
                     select_f32x16(tiny, splat_f32x16(23.0f), splat_f32x16(0.0f));
    const f32x16 f = m - 1.0f;
    f32x16 p = poly_f32x16(splat_f32x16(-0x1.392058p-4f), f, 0x1.05851ap-3f);
    p = poly_f32x16(p, f, -0x1.0d8586p-3f);
    p = poly_f32x16(p, f, 0x1.22d474p-3f);
    p = poly_f32x16(p, f, -0x1.547196p-3f);
    p = poly_f32x16(p, f, 0x1.99a03cp-3f);
    p = poly_f32x16(p, f, -0x1.00022ap-2f);
    p = poly_f32x16(p, f, 0x1.555554p-2f);
    p = poly_f32x16(p, f, -0x1p-1f);
    const f32x16 y = fma_f32x16(n, splat_f32x16(0x1.62e430p-1f), fma_f32x16(p, f * f, f));
    const f32x16 zero = select_f32x16(x == 0.0f, splat_f32x16(-inf_f32), splat_f32x16(nan_f32));
    return select_f32x16((x > 0.0f) & (x < inf_f32), y, select_f32x16(x > 0.0f, x, zero));
}

/* an odd polynomial below 0.625, above it 1 - 2 / (e^2x + 1); 1.3 ulp */
static inline f32x16 tanh_f32x16(const f32x16 x)
{
    i32x16 n;
    const f32x16 z = x * x;
    f32x16 p = poly_f32x16(splat_f32x16(-0x1.750cdcp-8f), z, 0x1.51f8cep-6f);
    p = poly_f32x16(p, z, -0x1.b835a4p-5f);
    p = poly_f32x16(p, z, 0x1.1106f6p-3f);
    p = poly_f32x16(p, z, -0x1.555532p-2f);
    const f32x16 low = fma_f32x16(p, x * z, x);
    const f32x16 y = abs_f32x16(x) * 2.0f;
    const f32x16 e = exp_part_f32x16(select_f32x16(y > 19.0f, splat_f32x16(19.0f), y), &n);
    const f32x16 high = 1.0f - 2.0f / (e * two_to_f32x16(n) + 1.0f);
    return copysign_f32x16(select_f32x16(y < 1.25f, low, high), x);
}
