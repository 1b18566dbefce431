/*
 * The first lines of generated programs: types, lanes in and out, and what the languages call by
 * other names. This is text, not code of the library: maths.c prints the pieces that a program
 * uses, and says how they are read.
 *
 * Single numbers have the functions that lanes have, so that a function above these is written
 * once. A comparison gives all ones or 0 in a lane, 1 or 0 alone: masks are only joined by & and |,
 * and chosen by select.
 */

/// CUDA

typedef float f32;

typedef double f64;

typedef int i32;

typedef unsigned u32;

typedef long long i64;

typedef unsigned long long u64;

typedef unsigned char u8;

typedef signed char i8;

typedef unsigned short u16;

typedef short i16;

/// C

/* memory of one type later holds another */
typedef float f32 __attribute__((may_alias));

typedef double f64 __attribute__((may_alias));

typedef int i32 __attribute__((may_alias));

typedef unsigned u32 __attribute__((may_alias));

typedef long long i64 __attribute__((may_alias));

typedef unsigned long long u64 __attribute__((may_alias));

typedef unsigned char u8 __attribute__((may_alias));

typedef signed char i8 __attribute__((may_alias));

typedef unsigned short u16 __attribute__((may_alias));

typedef short i16 __attribute__((may_alias));

/* lanes stay inside this file, so it does not matter how a vector_size would be handed to others */
#pragma GCC diagnostic ignored "-Wpsabi"

typedef float f32x16 __attribute__((vector_size(64), aligned(4), may_alias));

typedef int i32x16 __attribute__((vector_size(64), aligned(4), may_alias));

typedef unsigned u32x16 __attribute__((vector_size(64), aligned(4), may_alias));

typedef unsigned char u8x16 __attribute__((vector_size(16), aligned(1), may_alias));

typedef signed char i8x16 __attribute__((vector_size(16), aligned(1), may_alias));

typedef unsigned short u16x16 __attribute__((vector_size(32), aligned(2), may_alias));

typedef short i16x16 __attribute__((vector_size(32), aligned(2), may_alias));

typedef double f64x8 __attribute__((vector_size(64), aligned(8), may_alias));

typedef long long i64x8 __attribute__((vector_size(64), aligned(8), may_alias));

typedef unsigned long long u64x8 __attribute__((vector_size(64), aligned(8), may_alias));

typedef double f64x16 __attribute__((vector_size(128), aligned(8), may_alias));

typedef long long i64x16 __attribute__((vector_size(128), aligned(8), may_alias));

typedef unsigned long long u64x16 __attribute__((vector_size(128), aligned(8), may_alias));

/// C: f32x16 i32x16 u32x16 u8x16 i8x16 u16x16 i16x16 f64x8 i64x8 f64x16 i64x16 u64x16

static inline f32x16 load_f32x16(const f32 *from)
{
    return *(const f32x16 *)from;
}

static inline void store_f32x16(f32 *to, const f32x16 x)
{
    *(f32x16 *)to = x;
}

/* past the cache, for results larger than it; `to` is aligned to the vector */
static inline void stream_f32x16(f32 *to, const f32x16 x)
{
#if __has_builtin(__builtin_nontemporal_store)
    typedef f32 whole __attribute__((vector_size(sizeof(f32x16))));
    __builtin_nontemporal_store((whole)x, (whole *)to);
#else
    *(f32x16 *)to = x;
#endif
}

/* the first n lanes, 0 in the others */
static inline f32x16 load_part_f32x16(const f32 *from, const long n)
{
    f32x16 x = { 0 };
    __builtin_memcpy(&x, from, (unsigned long)n * sizeof(f32));
    return x;
}

/* the first n lanes */
static inline void store_part_f32x16(f32 *to, const long n, const f32x16 x)
{
    __builtin_memcpy(to, &x, (unsigned long)n * sizeof(f32));
}

/* the lanes from, from + step, from + 2 step, ... */
static inline f32x16 load_step_f32x16(const f32 *from, const long step)
{
    f32x16 x;
    for (long lane = 0; lane < LANES; lane++)
        x[lane] = from[lane * step];
    return x;
}

/* from[index] of each lane */
static inline f32x16 gather_f32x16(const f32 *from, const i32x16 index)
{
    f32x16 x;
    for (int lane = 0; lane < LANES; lane++)
        x[lane] = from[index[lane]];
    return x;
}

/* x - 0 is x for every x, so this becomes one broadcast; 0 + x would not */
static inline f32x16 splat_f32x16(const f32 x)
{
    return x - (f32x16){ 0 };
}

/* 0, 1, 2, ... */
static inline f32x16 iota_f32x16(void)
{
    f32x16 x;
    for (int lane = 0; lane < LANES; lane++)
        x[lane] = (f32)lane;
    return x;
}

#define to_f32x16(x) __builtin_convertvector(x, f32x16)

/// C: f32x16 i32x16 u32x16 u8x16 f64x8 i64x8 f64x16 i64x16 u64x16

/* a where the mask is set, else b */
static inline f32x16 select_f32x16(const i32x16 mask, const f32x16 a, const f32x16 b)
{
    return (f32x16)((mask & (i32x16)a) | (~mask & (i32x16)b));
}

/// C, CUDA: f32 i32 u32 u8 i8 u16 i16 f64 i64 u64

static inline f32 splat_f32(const f32 x)
{
    return x;
}

static inline f32 select_f32(const i32 mask, const f32 a, const f32 b)
{
    return mask ? a : b;
}

#define to_f32(x) ((f32)(x))

/// C: i32x16 i64x16

static inline i32 any_i32x16(const i32x16 mask)
{
#if __has_builtin(__builtin_reduce_or)
    return __builtin_reduce_or(mask) != 0;
#else
    i32 any = 0;
    for (int lane = 0; lane < LANES; lane++)
        any |= mask[lane] != 0;
    return any;
#endif
}

/// C: i32x16

/* truth values are bytes in memory and masks in registers */
static inline i32x16 load_mask_i32x16(const u8 *from)
{
    return -__builtin_convertvector(*(const u8x16 *)from, i32x16);
}

static inline void store_mask_i32x16(u8 *to, const i32x16 mask)
{
    *(u8x16 *)to = __builtin_convertvector(-mask, u8x16);
}

/// C, CUDA: i32 i64

static inline i32 any_i32(const i32 mask)
{
    return mask;
}

/// CUDA

/* 16 bytes set out for shared memory; zeros, where they are not there */
static inline void copy_16(void *to, const void *from, const i32 there)
{
#ifdef EMULATED
    emulated.copy(emulated.user, to, from, 16, there);
#else
    asm volatile(
        "cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"((u32)__cvta_generic_to_shared(to)),
        "l"(from), "r"(there ? 16 : 0)
        : "memory");
#endif
}

/* .. 4 bytes */
static inline void copy_4(void *to, const void *from, const i32 there)
{
#ifdef EMULATED
    emulated.copy(emulated.user, to, from, 4, there);
#else
    asm volatile(
        "cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"((u32)__cvta_generic_to_shared(to)),
        "l"(from), "r"(there ? 4 : 0)
        : "memory");
#endif
}

/* what this thread has copied is there; what others have is, when all have met then */
static inline void copies_arrive(void)
{
#ifdef EMULATED
    emulated.arrive(emulated.user);
#else
    asm volatile("cp.async.wait_all;" ::: "memory");
#endif
}

/// C, CUDA

/* rounds down, where C rounds towards zero */
static inline long floor_div(const long a, const long b)
{
    return (a < 0 ? a - (b - 1) : a) / b;
}
