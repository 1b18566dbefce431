/*
 * Numbers with a fraction: their bits, the operations that are one instruction, signs. Text for
 * generated programs like prelude.h.
 */

/// C: f32x16 f64x8 f64x16

static inline i32x16 bits_f32x16(const f32x16 x)
{
    return (i32x16)x;
}

static inline f32x16 from_bits_f32x16(const i32x16 x)
{
    return (f32x16)x;
}

/// C: f32 f64

static inline i32 bits_f32(const f32 x)
{
    return ((union {
               f32 x;
               i32 bits;
           }){ x })
        .bits;
}

static inline f32 from_bits_f32(const i32 bits)
{
    return ((union {
               i32 bits;
               f32 x;
           }){ bits })
        .x;
}

/// C

#define inf_f32 __builtin_inff()

#define inf_f64 __builtin_inf()

#define nan_f32 __builtin_nanf("")

#define nan_f64 __builtin_nan("")

/// CUDA

#define inf_f32 __int_as_float(0x7f800000)

#define inf_f64 __longlong_as_double(0x7ff0000000000000)

#define nan_f32 __int_as_float(0x7fc00000)

#define nan_f64 __longlong_as_double(0x7ff8000000000000)

static inline i32 bits_f32(const f32 x)
{
    return __float_as_int(x);
}

static inline f32 from_bits_f32(const i32 bits)
{
    return __int_as_float(bits);
}

static inline i64 bits_f64(const f64 x)
{
    return __double_as_longlong(x);
}

static inline f64 from_bits_f64(const i64 bits)
{
    return __longlong_as_double(bits);
}

/// C, CUDA: f32x16 f32

/* bf16 is the upper half of an f32 */
static inline f32x16 widen_bf16_f32x16(const u16x16 x)
{
    return from_bits_f32x16((i32x16)(to_u32x16(x) << 16));
}

/* to nearest, ties to even, as all that narrows */
static inline u16x16 narrow_bf16_f32x16(const f32x16 x)
{
    const u32x16 bits = (u32x16)bits_f32x16(x);
    const u32x16 near = bits + 0x7fffu + ((bits >> 16) & 1u);
    return to_u16x16(select_u32x16(x != x, bits | 0x400000u, near) >> 16);
}

/* the exponent is 112 more; in what is below 2^-14 the multiplication counts the zeros */
static inline f32x16 widen_f16_f32x16(const u16x16 x)
{
    const u32x16 half = to_u32x16(x), size = (half & 0x7fffu) << 13;
    const u32x16 finite = (u32x16)bits_f32x16(from_bits_f32x16((i32x16)size) * 0x1p112f);
    const u32x16 all = select_u32x16(size >= 0x0f800000u, size | 0x7f800000u, finite);
    return from_bits_f32x16((i32x16)(all | (half & 0x8000u) << 16));
}

/* below 2^-14 a multiple of 2^-24, which 0.5 + it rounds to; from 2^16 on infinite, or NaN */
static inline u16x16 narrow_f16_f32x16(const f32x16 x)
{
    const u32x16 bits = (u32x16)bits_f32x16(x), size = bits & 0x7fffffffu;
    const u32x16 little = (u32x16)bits_f32x16(from_bits_f32x16((i32x16)size) + 0.5f) - 0x3f000000u;
    const u32x16 usual = (size - 0x38000000u + 0xfffu + ((size >> 13) & 1u)) >> 13;
    const u32x16 huge =
        select_u32x16(size > 0x7f800000u, splat_u32x16(0x7e00u), splat_u32x16(0x7c00u));
    const u32x16 half = select_u32x16(size < 0x38800000u, little, usual);
    return to_u16x16(select_u32x16(size >= 0x47800000u, huge, half) | ((bits >> 16) & 0x8000u));
}

/// C

/* a * b + c, rounded once */
static inline f32x16 fma_f32x16(const f32x16 a, const f32x16 b, const f32x16 c)
{
#if __has_builtin(__builtin_elementwise_fma)
    return __builtin_elementwise_fma(a, b, c);
#elif defined __clang__ && defined __FMA__
#pragma clang fp contract(on)
    return a * b + c;
#else
    f32x16 y = c;
    for (int lane = 0; lane < 16; lane++)
        y[lane] = __builtin_fmaf(a[lane], b[lane], c[lane]);
    return y;
#endif
}

static inline f32 fma_f32(const f32 a, const f32 b, const f32 c)
{
    return __builtin_fmaf(a, b, c);
}

static inline f64 fma_f64(const f64 a, const f64 b, const f64 c)
{
    return __builtin_fma(a, b, c);
}

/// C: f64x8 f64x16

/* a * b + c, rounded once */
static inline f64x8 fma_f64x8(const f64x8 a, const f64x8 b, const f64x8 c)
{
#if __has_builtin(__builtin_elementwise_fma)
    return __builtin_elementwise_fma(a, b, c);
#elif defined __clang__ && defined __FMA__
#pragma clang fp contract(on)
    return a * b + c;
#else
    f64x8 y = c;
    for (int lane = 0; lane < LANES; lane++)
        y[lane] = __builtin_fma(a[lane], b[lane], c[lane]);
    return y;
#endif
}

/// C: f32x16; sqrt floor ceil trunc

static inline f32x16 NAME_f32x16(f32x16 x)
{
#if __has_builtin(__builtin_elementwise_NAME)
    return __builtin_elementwise_NAME(x);
#else
    for (int lane = 0; lane < LANES; lane++)
        x[lane] = __builtin_NAMEf(x[lane]);
    return x;
#endif
}

/// C: f64x8 f64x16; sqrt floor ceil trunc

static inline f64x8 NAME_f64x8(f64x8 x)
{
#if __has_builtin(__builtin_elementwise_NAME)
    return __builtin_elementwise_NAME(x);
#else
    for (int lane = 0; lane < LANES; lane++)
        x[lane] = __builtin_NAME(x[lane]);
    return x;
#endif
}

/// C

/* to the nearest integer, halves to the even one */
static inline f32x16 round_f32x16(f32x16 x)
{
#if __has_builtin(__builtin_elementwise_rint)
    return __builtin_elementwise_rint(x);
#else
    for (int lane = 0; lane < 16; lane++)
        x[lane] = __builtin_rintf(x[lane]);
    return x;
#endif
}

/// C: f64x8 f64x16

/* to the nearest integer, halves to the even one */
static inline f64x8 round_f64x8(f64x8 x)
{
#if __has_builtin(__builtin_elementwise_rint)
    return __builtin_elementwise_rint(x);
#else
    for (int lane = 0; lane < LANES; lane++)
        x[lane] = __builtin_rint(x[lane]);
    return x;
#endif
}

/// C: f32; sqrt floor ceil trunc

static inline f32 NAME_f32(const f32 x)
{
    return __builtin_NAMEf(x);
}

/// C: f64; sqrt floor ceil trunc

static inline f64 NAME_f64(const f64 x)
{
    return __builtin_NAME(x);
}

/// C

/* to the nearest integer, halves to the even one */
static inline f32 round_f32(const f32 x)
{
    return __builtin_rintf(x);
}

/* to the nearest integer, halves to the even one */
static inline f64 round_f64(const f64 x)
{
    return __builtin_rint(x);
}

/// CUDA

static inline f32 fma_f32(const f32 a, const f32 b, const f32 c)
{
    return __fmaf_rn(a, b, c);
}

static inline f64 fma_f64(const f64 a, const f64 b, const f64 c)
{
    return __fma_rn(a, b, c);
}

static inline f32 sqrt_f32(const f32 x)
{
    return __fsqrt_rn(x);
}

static inline f64 sqrt_f64(const f64 x)
{
    return __dsqrt_rn(x);
}

static inline f32 round_f32(const f32 x)
{
    return rintf(x);
}

static inline f64 round_f64(const f64 x)
{
    return rint(x);
}

/// CUDA: f32; floor ceil trunc

static inline f32 NAME_f32(const f32 x)
{
    return NAMEf(x);
}

/// CUDA: f64; floor ceil trunc

static inline f64 NAME_f64(const f64 x)
{
    return NAME(x);
}

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

/// C, CUDA: f64x8 f64x16 f64

static inline f64x8 abs_f64x8(const f64x8 x)
{
    return from_bits_f64x8(bits_f64x8(x) & 0x7fffffffffffffff);
}

/* x with the sign of y */
static inline f64x8 copysign_f64x8(const f64x8 x, const f64x8 y)
{
    return from_bits_f64x8((bits_f64x8(x) & 0x7fffffffffffffff) |
                           (bits_f64x8(y) & ~0x7fffffffffffffff));
}

/// C, CUDA: f32x16 f64x8 f64x16 f32 f64

/* p * x + c: one step of Horner's rule */
static inline f32x16 poly_f32x16(const f32x16 p, const f32x16 x, const f32 c)
{
    return fma_f32x16(p, x, splat_f32x16(c));
}
