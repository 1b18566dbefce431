/*
 * taper's own elementary functions, as text for generated programs; maths.c says how it is read.
 *
 * Each is written once, for f32x16, and renamed for single numbers (C's tails, CUDA): the same IEEE
 * operations in the same order, so the same bits. Hence no operation that has no twin: masks are
 * only joined by & and |, and chosen by select. Errors are in units of the last place, by
 * tests/maths.c.
 */

/// C: f32x16

/* C's remainder, by the C library: exact, with the sign of a */
static inline f32x16 fmod_f32x16(f32x16 a, const f32x16 b)
{
    for (int lane = 0; lane < LANES; lane++)
        a[lane] = __builtin_fmodf(a[lane], b[lane]);
    return a;
}

/// C

static inline f32 fmod_f32(const f32 a, const f32 b)
{
    return __builtin_fmodf(a, b);
}

/// CUDA

static inline f32 fmod_f32(const f32 a, const f32 b)
{
    return fmodf(a, b);
}

/// C, CUDA: f32x16 f64x8 f64x16 f32 f64

static inline f32x16 div_f32x16(const f32x16 a, const f32x16 b)
{
    return a / b;
}

/* C's remainder: exact, with the sign of a */
static inline f32x16 rem_f32x16(const f32x16 a, const f32x16 b)
{
    return fmod_f32x16(a, b);
}

/* the remainder with the sign of b */
static inline f32x16 mod_f32x16(const f32x16 a, const f32x16 b)
{
    const f32x16 r = fmod_f32x16(a, b);
    return select_f32x16((r != 0.0f) & ((r < 0.0f) != (b < 0.0f)), r + b, r);
}

/* 1.5 ulp */
static inline f32x16 rsqrt_f32x16(const f32x16 x)
{
    return 1.0f / sqrt_f32x16(x);
}

/// C, CUDA: f32x16 f32

/* 2^n for -127 < n < 128 */
static inline f32x16 two_to_f32x16(const i32x16 n)
{
    return from_bits_f32x16((i32x16)(((u32x16)n + 127u) << 23));
}

/* p * 2^n for -254 < n < 256 in two steps, so that subnormals and overflow come out */
static inline f32x16 scale_f32x16(const f32x16 p, const i32x16 n)
{
    const u32x16 both = (u32x16)n + 254u, half = both >> 1;
    const f32x16 first = from_bits_f32x16((i32x16)(half << 23));
    return p * first * from_bits_f32x16((i32x16)((both - half) << 23));
}

/* e^x = (1 + result) 2^n for |x| < 10^5: x = n ln 2 + r, and a polynomial of degree 7 in r */
static inline f32x16 exp_part_f32x16(const f32x16 x, i32x16 *n)
{
    const f32x16 shifted = poly_f32x16(x, splat_f32x16(0x1.715476p+0f), 0x1.8p+23f);
    const f32x16 whole = shifted - 0x1.8p+23f;
    f32x16 r = fma_f32x16(whole, splat_f32x16(-0x1.62e430p-1f), x);
    r = fma_f32x16(whole, splat_f32x16(0x1.05c610p-29f), r);
    const f32x16 z = r * r, low = poly_f32x16(splat_f32x16(0x1.555556p-3f), r, 0x1p-1f);
    const f32x16 mid = poly_f32x16(splat_f32x16(0x1.110eecp-7f), r, 0x1.5554e0p-5f);
    f32x16 p = poly_f32x16(splat_f32x16(0x1.a51992p-13f), r, 0x1.6d5a12p-10f);
    p = fma_f32x16(fma_f32x16(p, z, mid), z, low);
    *n = (i32x16)((u32x16)bits_f32x16(shifted) - 0x4b400000u);
    return fma_f32x16(p, z, r);
}

/* 1 ulp */
static inline f32x16 exp_f32x16(const f32x16 x)
{
    i32x16 n;
    f32x16 y = select_f32x16(x > 89.0f, splat_f32x16(89.0f), x);
    y = exp_part_f32x16(select_f32x16(y < -104.0f, splat_f32x16(-104.0f), y), &n);
    return scale_f32x16(y + 1.0f, n);
}

/* x = n + r, and a polynomial of degree 6 in r; 0.79 ulp */
static inline f32x16 exp2_f32x16(const f32x16 x)
{
    f32x16 y = select_f32x16(x > 129.0f, splat_f32x16(129.0f), x);
    y = select_f32x16(y < -151.0f, splat_f32x16(-151.0f), y);
    const f32x16 shifted = y + 0x1.8p+23f, r = y - (shifted - 0x1.8p+23f);
    f32x16 p = poly_f32x16(splat_f32x16(0x1.4bd2c4p-13f), r, 0x1.5fbf60p-10f);
    p = poly_f32x16(p, r, 0x1.3b21c6p-7f);
    p = poly_f32x16(p, r, 0x1.c6ada6p-5f);
    p = poly_f32x16(p, r, 0x1.ebfbe6p-3f);
    p = poly_f32x16(p, r, 0x1.62e432p-1f);
    p = poly_f32x16(p, r, 1.0f);
    return scale_f32x16(p, (i32x16)((u32x16)bits_f32x16(shifted) - 0x4b400000u));
}

/* p 2^n + (2^n - 1), with half of each so that 2^128 does not overflow; 1.5 ulp */
static inline f32x16 expm1_f32x16(const f32x16 x)
{
    i32x16 n;
    f32x16 y = select_f32x16(x > 89.0f, splat_f32x16(89.0f), x);
    y = exp_part_f32x16(select_f32x16(y < -18.0f, splat_f32x16(-18.0f), y), &n);
    const f32x16 half = two_to_f32x16(n - 1);
    return copysign_f32x16(fma_f32x16(y, half, half - 0.5f) * 2.0f, x);
}

/* x = 2^n m with m in 0.7 .. 1.4, then a polynomial of degree 10 in m - 1; 0.94 ulp */
static inline f32x16 log_f32x16(const f32x16 x)
{
    const i32x16 tiny = x < 0x1p-126f;
    const f32x16 normal = select_f32x16(tiny, x * 0x1p+23f, x);
    const u32x16 bits = (u32x16)bits_f32x16(normal) - 0x3f3504f3u;
    const f32x16 f = from_bits_f32x16((i32x16)((bits & 0x007fffffu) + 0x3f3504f3u)) - 1.0f;
    f32x16 n = to_f32x16((i32x16)bits >> 23);
    n = select_f32x16(tiny, n - 23.0f, n);
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

/* the logarithm of u = 1 + x as rounded, then what the rounding lost; 1.5 ulp */
static inline f32x16 log1p_f32x16(const f32x16 x)
{
    const f32x16 u = x + 1.0f, y = log_f32x16(u);
    const f32x16 lost = (x - (u - 1.0f)) / u;
    return copysign_f32x16(select_f32x16((x > -1.0f) & (x < inf_f32), y + lost, y), x);
}

/* an odd polynomial below 0.625, above it 1 - 2 / (e^2x + 1); 1.4 ulp */
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
    const f32x16 e = exp_part_f32x16(select_f32x16(y > 19.0f, splat_f32x16(19.0f), y), &n) + 1.0f;
    const f32x16 high = 1.0f - 2.0f / (e * two_to_f32x16(n) + 1.0f);
    return copysign_f32x16(select_f32x16(y < 1.25f, low, high), x);
}

/* e^|x| / 2, which is finite where cosh is */
static inline f32x16 half_exp_f32x16(const f32x16 x)
{
    i32x16 n;
    const f32x16 y = abs_f32x16(x);
    const f32x16 p = exp_part_f32x16(select_f32x16(y > 90.0f, splat_f32x16(90.0f), y), &n);
    return scale_f32x16(p + 1.0f, n - 1);
}

/* h + 1 / 4h with h = e^|x| / 2; 1.5 ulp */
static inline f32x16 cosh_f32x16(const f32x16 x)
{
    const f32x16 h = half_exp_f32x16(x);
    return h + 0.25f / h;
}

/* an odd polynomial below 1, above it h - 1 / 4h; 1.6 ulp */
static inline f32x16 sinh_f32x16(const f32x16 x)
{
    const f32x16 z = x * x, h = half_exp_f32x16(x);
    f32x16 p = poly_f32x16(splat_f32x16(0x1.756cb4p-19f), z, 0x1.a022bap-13f);
    p = poly_f32x16(p, z, 0x1.1110e0p-7f);
    p = poly_f32x16(p, z, 0x1.555556p-3f);
    const f32x16 low = fma_f32x16(p, x * z, x);
    return copysign_f32x16(select_f32x16(z < 1.0f, low, h - 0.25f / h), x);
}

/* x + x P(x^2) below 1, above it 1 - e^-Q(x); 1.1 ulp */
static inline f32x16 erf_f32x16(const f32x16 x)
{
    i32x16 n;
    const f32x16 z = x * x;
    f32x16 p = poly_f32x16(splat_f32x16(0x1.4771fcp-14f), z, -0x1.a3515ep-11f);
    p = poly_f32x16(p, z, 0x1.53f224p-8f);
    p = poly_f32x16(p, z, -0x1.b7f71ap-6f);
    p = poly_f32x16(p, z, 0x1.ce2ce6p-4f);
    p = poly_f32x16(p, z, -0x1.81273ep-2f);
    p = poly_f32x16(p, z, 0x1.06eba8p-3f);
    const f32x16 low = fma_f32x16(p, x, x);
    f32x16 y = abs_f32x16(x);
    y = select_f32x16(y > 3.95f, splat_f32x16(3.95f), y);
    f32x16 q = poly_f32x16(splat_f32x16(0x1.86dc5cp-13f), y, -0x1.825bf8p-9f);
    q = poly_f32x16(q, y, 0x1.65cc8cp-6f);
    q = poly_f32x16(q, y, -0x1.a65408p-4f);
    q = poly_f32x16(q, y, -0x1.46bacap-1f);
    q = poly_f32x16(q, y, -0x1.2088f6p+0f);
    q = poly_f32x16(q, y, -0x1.65ed58p-12f);
    const f32x16 e = (exp_part_f32x16(q, &n) + 1.0f) * two_to_f32x16(n);
    return copysign_f32x16(select_f32x16(z < 1.0f, low, 1.0f - e), x);
}

/* e^-x^2 P(t) / (1 + 2x) with t = (x - 3) / (x + 3), in double; 0.52 ulp */
static inline f32x16 erfc_f32x16(const f32x16 x)
{
    f64x16 a = abs_f64x16(to_f64x16(x));
    a = select_f64x16(a > 10.5, splat_f64x16(10.5), a);
    const f64x16 t = (a - 3.0) / (a + 3.0);
    f64x16 p = poly_f64x16(splat_f64x16(0x1.21fc826eep-15), t, -0x1.83d3dc3b6p-13);
    p = poly_f64x16(p, t, -0x1.859b90eb3p-11);
    p = poly_f64x16(p, t, 0x1.ff6610737p-10);
    p = poly_f64x16(p, t, 0x1.4bb789f69p-9);
    p = poly_f64x16(p, t, -0x1.85bc5f99ap-6);
    p = poly_f64x16(p, t, 0x1.17c7c6af8p-4);
    p = poly_f64x16(p, t, -0x1.e889693ddp-4);
    p = poly_f64x16(p, t, 0x1.09838ab8ap-3);
    p = poly_f64x16(p, t, -0x1.85a18ae07p-5);
    p = poly_f64x16(p, t, -0x1.15c085a57p-3);
    p = poly_f64x16(p, t, 0x1.40c522daap+0);
    const f64x16 y = p * exp_f64x16(-a * a) / (2.0 * a + 1.0);
    return to_f32x16(select_f64x16(to_f64x16(x) < 0.0, 2.0 - y, y));
}

/* with w = -log(1 - x^2): a polynomial in w, or above 5 one in its square root; 3.1 ulp */
static inline f32x16 erfinv_f32x16(const f32x16 x)
{
    const f32x16 w = -log_f32x16(fma_f32x16(-x, x, splat_f32x16(1.0f)));
    f32x16 t = w - 2.5f;
    f32x16 p = poly_f32x16(splat_f32x16(-0x1.2df796p-27f), t, 0x1.8f34eep-26f);
    p = poly_f32x16(p, t, 0x1.f4832ep-22f);
    p = poly_f32x16(p, t, -0x1.d0c340p-19f);
    p = poly_f32x16(p, t, -0x1.4d1382p-18f);
    p = poly_f32x16(p, t, 0x1.c9e6dep-13f);
    p = poly_f32x16(p, t, -0x1.486618p-10f);
    p = poly_f32x16(p, t, -0x1.11c4ecp-8f);
    p = poly_f32x16(p, t, 0x1.f91e8ap-3f);
    p = poly_f32x16(p, t, 0x1.805c5ep+0f);
    t = sqrt_f32x16(w) - 3.0f;
    f32x16 q = poly_f32x16(splat_f32x16(0x1.0b4f78p-13f), t, -0x1.4d6070p-12f);
    q = poly_f32x16(q, t, -0x1.37c6bep-14f);
    q = poly_f32x16(q, t, 0x1.87e566p-10f);
    q = poly_f32x16(q, t, -0x1.d64f7cp-9f);
    q = poly_f32x16(q, t, 0x1.7478c8p-8f);
    q = poly_f32x16(q, t, -0x1.f4a410p-8f);
    q = poly_f32x16(q, t, 0x1.3583e8p-7f);
    q = poly_f32x16(q, t, 0x1.006dc8p+0f);
    q = poly_f32x16(q, t, 0x1.6a9efcp+1f);
    q = select_f32x16(abs_f32x16(x) == 1.0f, splat_f32x16(inf_f32), q);
    return select_f32x16(w < 5.0f, p, q) * x;
}

/* log(x + sqrt(x^2 + 1)) in double, the first terms of the series for small x; 0.51 ulp */
static inline f32x16 asinh_f32x16(const f32x16 x)
{
    const f64x16 a = abs_f64x16(to_f64x16(x)), z = a * a;
    const f64x16 y = log_f64x16(a + sqrt_f64x16(z + 1.0));
    const f64x16 low = fma_f64x16(a * z, splat_f64x16(-0x1.5555555555555p-3), a);
    return copysign_f32x16(to_f32x16(select_f64x16(a < 0x1p-10, low, y)), x);
}

/* log(x + sqrt(x^2 - 1)) in double; 0.51 ulp */
static inline f32x16 acosh_f32x16(const f32x16 x)
{
    const f64x16 a = to_f64x16(x);
    const f64x16 y = log_f64x16(a + sqrt_f64x16(a * a - 1.0));
    return to_f32x16(select_f64x16(a < 1.0, splat_f64x16(nan_f64), y));
}

/* log((1 + x) / (1 - x)) / 2 in double, the first terms of the series for small x; 0.51 ulp */
static inline f32x16 atanh_f32x16(const f32x16 x)
{
    const f64x16 a = abs_f64x16(to_f64x16(x)), z = a * a;
    const f64x16 y = log_f64x16((1.0 + a) / (1.0 - a)) * 0.5;
    const f64x16 low = fma_f64x16(a * z, splat_f64x16(0x1.5555555555555p-2), a);
    return copysign_f32x16(to_f32x16(select_f64x16(a < 0x1p-10, low, y)), x);
}

/* e^(y log|x|) in double, then C's special cases; 0.51 ulp */
static inline f32x16 pow_f32x16(const f32x16 x, const f32x16 y)
{
    const f32x16 a = abs_f32x16(x), half = y * 0.5f;
    const i32x16 whole = trunc_f32x16(y) == y;
    const i32x16 odd = whole & (trunc_f32x16(half) != half);
    const i32x16 one = (x == 1.0f) | (y == 0.0f) | ((x == -1.0f) & (abs_f32x16(y) == inf_f32));
    const f64x16 power = exp_f64x16(to_f64x16(y) * log_f64x16(to_f64x16(a)));
    f32x16 z = select_f32x16(odd, copysign_f32x16(to_f32x16(power), x), to_f32x16(power));
    z = select_f32x16((x < 0.0f) & (x > -inf_f32) & (whole == 0), splat_f32x16(nan_f32), z);
    return select_f32x16(one, splat_f32x16(1.0f), z);
}
