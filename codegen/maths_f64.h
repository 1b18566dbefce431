/*
 * Elementary functions in double: text for generated programs like maths.h, written for f64x8.
 *
 * exp, log and what is short are vector code; the f32 functions that need more digits on the way
 * use them too (f64x16). The others call the C library for each lane.
 */

/// C, CUDA: f64x8 f64x16 f64

/* 2^n for -1023 < n < 1024 */
static inline f64x8 two_to_f64x8(const i64x8 n)
{
    return from_bits_f64x8((i64x8)(((u64x8)n + 1023u) << 52));
}

/* e^x = (1 + result) 2^n for |x| < 10^5: x = n ln 2 + r, and a polynomial of degree 12 in r */
static inline f64x8 exp_part_f64x8(const f64x8 x, i64x8 *n)
{
    const f64x8 shifted = poly_f64x8(x, splat_f64x8(0x1.71547652b82fep+0), 0x1.8p+52);
    const f64x8 whole = shifted - 0x1.8p+52;
    f64x8 r = fma_f64x8(whole, splat_f64x8(-0x1.62e42fefa39efp-1), x);
    r = fma_f64x8(whole, splat_f64x8(-0x1.abc9e3b39803fp-56), r);
    f64x8 p = poly_f64x8(splat_f64x8(0x1.1ec92cdf559e5p-29), r, 0x1.af321606339acp-26);
    p = poly_f64x8(p, r, 0x1.27e48a7459f07p-22);
    p = poly_f64x8(p, r, 0x1.71ddf97826959p-19);
    p = poly_f64x8(p, r, 0x1.a01a01f441639p-16);
    p = poly_f64x8(p, r, 0x1.a01a01b61269dp-13);
    p = poly_f64x8(p, r, 0x1.6c16c16c0a17dp-10);
    p = poly_f64x8(p, r, 0x1.111111110e549p-7);
    p = poly_f64x8(p, r, 0x1.555555555556cp-5);
    p = poly_f64x8(p, r, 0x1.555555555555dp-3);
    p = poly_f64x8(p, r, 0x1p-1);
    *n = (i64x8)((u64x8)bits_f64x8(shifted) - 0x4338000000000000u);
    return fma_f64x8(p, r * r, r);
}

/* 1.1 ulp */
static inline f64x8 exp_f64x8(const f64x8 x)
{
    i64x8 n;
    f64x8 y = select_f64x8(x > 710.0, splat_f64x8(710.0), x);
    y = exp_part_f64x8(select_f64x8(y < -746.0, splat_f64x8(-746.0), y), &n) + 1.0;
    const i64x8 half = n >> 1; /* in two steps, so that subnormals and overflow come out */
    return y * two_to_f64x8(half) * two_to_f64x8(n - half);
}

/* x = 2^n m with m in 0.7 .. 1.4, s = (m - 1) / (m + 1), log m = 2 artanh s; 1 ulp */
static inline f64x8 log_f64x8(const f64x8 x)
{
    const i64x8 tiny = x < 0x1p-1022;
    const f64x8 normal = select_f64x8(tiny, x * 0x1p+54, x);
    const u64x8 bits = (u64x8)bits_f64x8(normal) - 0x3fe6a09e667f3bcdu;
    const f64x8 f =
        from_bits_f64x8((i64x8)((bits & 0x000fffffffffffffu) + 0x3fe6a09e667f3bcdu)) - 1.0;
    f64x8 n = from_bits_f64x8(((i64x8)bits >> 52) + 0x4338000000000000) - 0x1.8p+52;
    n = select_f64x8(tiny, n - 54.0, n);
    const f64x8 s = f / (f + 2.0), z = s * s;
    f64x8 p = poly_f64x8(splat_f64x8(0x1.2f118ea73dea8p-3), z, 0x1.39a0945174f14p-3);
    p = poly_f64x8(p, z, 0x1.746649b8e3e37p-3);
    p = poly_f64x8(p, z, 0x1.c71c51d7ae965p-3);
    p = poly_f64x8(p, z, 0x1.249249422a5fcp-2);
    p = poly_f64x8(p, z, 0x1.999999997f9f7p-2);
    p = poly_f64x8(p, z, 0x1.5555555555593p-1);
    const f64x8 low = fma_f64x8(f - p * z, s, n * -0x1.abc9e3b39803fp-56);
    const f64x8 y = fma_f64x8(n, splat_f64x8(0x1.62e42fefa39efp-1), f - low);
    const f64x8 zero = select_f64x8(x == 0.0, splat_f64x8(-inf_f64), splat_f64x8(nan_f64));
    return select_f64x8((x > 0.0) & (x < inf_f64), y, select_f64x8(x > 0.0, x, zero));
}

/* t / (t + 2) with t = e^2x - 1; 3 ulp */
static inline f64x8 tanh_f64x8(const f64x8 x)
{
    i64x8 n;
    const f64x8 y = abs_f64x8(x) * 2.0;
    const f64x8 p = exp_part_f64x8(select_f64x8(y > 40.0, splat_f64x8(40.0), y), &n);
    const f64x8 t = fma_f64x8(p, two_to_f64x8(n), two_to_f64x8(n) - 1.0);
    return copysign_f64x8(t / (t + 2.0), x);
}

/// C: f64x8 f64x16; sin cos tan asin acos atan sinh cosh asinh acosh atanh erf erfc exp2 expm1
/// log1p

/* NAME by the C library */
static inline f64x8 NAME_f64x8(f64x8 x)
{
    for (int lane = 0; lane < LANES; lane++)
        x[lane] = __builtin_NAME(x[lane]);
    return x;
}

/// C: f64; sin cos tan asin acos atan sinh cosh asinh acosh atanh erf erfc exp2 expm1 log1p

static inline f64 NAME_f64(const f64 x)
{
    return __builtin_NAME(x);
}

/// CUDA: f64; sin cos tan asin acos atan sinh cosh asinh acosh atanh erf erfc exp2 expm1 log1p

static inline f64 NAME_f64(const f64 x)
{
    return NAME(x);
}

/// C: f64x8 f64x16; pow atan2 fmod

/* NAME by the C library */
static inline f64x8 NAME_f64x8(f64x8 x, const f64x8 y)
{
    for (int lane = 0; lane < LANES; lane++)
        x[lane] = __builtin_NAME(x[lane], y[lane]);
    return x;
}

/// C: f64; pow atan2 fmod

static inline f64 NAME_f64(const f64 x, const f64 y)
{
    return __builtin_NAME(x, y);
}

/// CUDA: f64; pow atan2 fmod

static inline f64 NAME_f64(const f64 x, const f64 y)
{
    return NAME(x, y);
}

/// C, CUDA: f64x8 f64x16 f64

/* y = P(w) |x| with w = sqrt(-log(1 - x^2)), then three steps of Halley's method; 4 ulp */
static inline f64x8 erfinv_f64x8(const f64x8 x)
{
    const f64x8 a = abs_f64x8(x), w = sqrt_f64x8(-log_f64x8((1.0 - a) * (1.0 + a)));
    f64x8 p = poly_f64x8(splat_f64x8(-0.0005040649586), w, 0.009149699588);
    p = poly_f64x8(p, w, -0.05822616868);
    p = poly_f64x8(p, w, 0.1263157644);
    p = poly_f64x8(p, w, 0.1512099585);
    p = poly_f64x8(p, w, 0.01256820404);
    f64x8 y = poly_f64x8(p, w, 0.8871327581) * a;
    for (int step = 0; step < 3; step++) {
        const f64x8 error = select_f64x8(a < 0.5, erf_f64x8(y) - a, 1.0 - a - erfc_f64x8(y));
        const f64x8 newton = error * 0x1.c5bf891b4ef6ap-1 * exp_f64x8(y * y);
        y = y - newton / (1.0 + y * newton);
    }
    return copysign_f64x8(
        select_f64x8(a < 1.0, y,
                     select_f64x8(a == 1.0, splat_f64x8(inf_f64), splat_f64x8(nan_f64))),
        x);
}
