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

/* .. 8 bytes */
static inline void copy_8(void *to, const void *from, const i32 there)
{
#ifdef EMULATED
    emulated.copy(emulated.user, to, from, 8, there);
#else
    asm volatile(
        "cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"((u32)__cvta_generic_to_shared(to)),
        "l"(from), "r"(there ? 8 : 0)
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

/* what each thread has of four matrices of 8 rows of 16 bytes */
typedef struct {
    u32 word[4];
} u32x4;

/* Thread t says where row t % 8 of matrix t / 8 lies, and gets word t % 4 of row t / 4 of each. */
static inline u32x4 matrices_u32x4(const void *row)
{
    u32x4 x;
#ifdef EMULATED
    emulated_matrices(x.word, row, 0);
#else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x.word[0]), "=r"(x.word[1]), "=r"(x.word[2]), "=r"(x.word[3])
                 : "r"((u32)__cvta_generic_to_shared(row))
                 : "memory");
#endif
    return x;
}

/* .. of each turned round: as if what are rows of 8 halves were columns */
static inline u32x4 matrices_turned_u32x4(const void *row)
{
    u32x4 x;
#ifdef EMULATED
    emulated_matrices(x.word, row, 1);
#else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x.word[0]), "=r"(x.word[1]), "=r"(x.word[2]), "=r"(x.word[3])
                 : "r"((u32)__cvta_generic_to_shared(row))
                 : "memory");
#endif
    return x;
}

/* to 10 bits behind the point, ties away from zero */
static inline u32 rounded_u32(const u32 x)
{
#ifdef EMULATED
    return (x & 0x7f800000u) == 0x7f800000u ? x : (x + 0x1000u) & 0xffffe000u;
#else
    u32 y;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(__int_as_float((i32)x)));
    return y;
#endif
}

/* Of 16 rows of a tile, elements 0 to 7 and 8 to 15 along the sum, rows 0 to 7 before 8 to 15: a
 * row's elements lie side by side, rows so far apart. */
static inline u32x4 fragment_along_u16(const u16 *tile, const i32 pitch)
{
    const i32 member = (i32)threadIdx.x % 32;
    return matrices_u32x4(tile + member % 16 * pitch + member / 16 * 8);
}

/* .. the rows lie side by side, their elements so far apart */
static inline u32x4 fragment_across_u16(const u16 *tile, const i32 pitch)
{
    const i32 member = (i32)threadIdx.x % 32;
    return matrices_turned_u32x4(tile + (member % 8 + member / 16 * 8) * pitch +
                                 member / 8 % 2 * 8);
}

/* .. elements 0 to 3 and 4 to 7 */
static inline u32x4 fragment_along_f32(const f32 *tile, const i32 pitch)
{
    const i32 member = (i32)threadIdx.x % 32;
    u32x4 x = matrices_u32x4(tile + member % 16 * pitch + member / 16 * 4);
    x.word[0] = rounded_u32(x.word[0]);
    x.word[1] = rounded_u32(x.word[1]);
    x.word[2] = rounded_u32(x.word[2]);
    x.word[3] = rounded_u32(x.word[3]);
    return x;
}

static inline u32x4 fragment_across_f32(const f32 *tile, const i32 pitch)
{
    const i32 member = (i32)threadIdx.x % 32;
    const f32 *at = tile + member % 4 * pitch + member / 4;
    u32x4 x;
    x.word[0] = rounded_u32((u32)__float_as_int(at[0]));
    x.word[1] = rounded_u32((u32)__float_as_int(at[8]));
    x.word[2] = rounded_u32((u32)__float_as_int(at[4 * pitch]));
    x.word[3] = rounded_u32((u32)__float_as_int(at[4 * pitch + 8]));
    return x;
}

/* 16 by 16 sums of a warp += 16 rows times 16 rows: of thread t rows t / 4 (a) and 8 further on
 * (e), columns 2 (t % 4), one (b), 8 (c) and 9 further on (d) */
static inline void multiply_bf16_f32(const u32x4 x, const u32x4 y, f32 *a, f32 *b, f32 *c, f32 *d,
                                     f32 *e, f32 *f, f32 *g, f32 *h)
{
#ifdef EMULATED
    f32 *const sum[8] = { a, b, c, d, e, f, g, h };
    emulated_multiply(sum, x.word, y.word, 16);
#else
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, "
                 "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(*a), "+f"(*b), "+f"(*e), "+f"(*f)
                 : "r"(x.word[0]), "r"(x.word[1]), "r"(x.word[2]), "r"(x.word[3]), "r"(y.word[0]),
                   "r"(y.word[2]));
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, "
                 "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(*c), "+f"(*d), "+f"(*g), "+f"(*h)
                 : "r"(x.word[0]), "r"(x.word[1]), "r"(x.word[2]), "r"(x.word[3]), "r"(y.word[1]),
                   "r"(y.word[3]));
#endif
}

/* .. of 8 elements, numbers of 19 bits */
static inline void multiply_tf32_f32(const u32x4 x, const u32x4 y, f32 *a, f32 *b, f32 *c, f32 *d,
                                     f32 *e, f32 *f, f32 *g, f32 *h)
{
#ifdef EMULATED
    f32 *const sum[8] = { a, b, c, d, e, f, g, h };
    emulated_multiply(sum, x.word, y.word, 8);
#else
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, "
                 "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(*a), "+f"(*b), "+f"(*e), "+f"(*f)
                 : "r"(x.word[0]), "r"(x.word[1]), "r"(x.word[2]), "r"(x.word[3]), "r"(y.word[0]),
                   "r"(y.word[2]));
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, "
                 "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(*c), "+f"(*d), "+f"(*g), "+f"(*h)
                 : "r"(x.word[0]), "r"(x.word[1]), "r"(x.word[2]), "r"(x.word[3]), "r"(y.word[1]),
                   "r"(y.word[3]));
#endif
}

/// C, CUDA

/* rounds down, where C rounds towards zero */
static inline long floor_div(const long a, const long b)
{
    return (a < 0 ? a - (b - 1) : a) / b;
}
