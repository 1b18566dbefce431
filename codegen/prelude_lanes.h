/*
 * Whole numbers, lanes among themselves, threads: text for generated programs like prelude.h.
 */

/// C, CUDA: f32x16 f64x16 f64x8 f32 f64

/* NaN wins */
static inline f32x16 max_f32x16(const f32x16 a, const f32x16 b)
{
    return select_f32x16(a > b, a, select_f32x16(a != a, a, b));
}

/* NaN wins */
static inline f32x16 min_f32x16(const f32x16 a, const f32x16 b)
{
    return select_f32x16(a < b, a, select_f32x16(a != a, a, b));
}

/// C, CUDA: i32x16 u32x16 u8x16 i64x16 u64x16 i64x8 i32 u32 u8 i64 u64

static inline i32x16 max_i32x16(const i32x16 a, const i32x16 b)
{
    return select_i32x16(a > b, a, b);
}

static inline i32x16 min_i32x16(const i32x16 a, const i32x16 b)
{
    return select_i32x16(a < b, a, b);
}

/// C, CUDA: i32x16 i64x16 i64x8 i32 i64

/* the least number is its own absolute value */
static inline i32x16 abs_i32x16(const i32x16 x)
{
    return (i32x16)select_u32x16(x < 0, 0u - (u32x16)x, (u32x16)x);
}

/// C, CUDA: i32 i64

/* truncated; by 0 gives 0 */
static inline i32 div_i32(const i32 a, const i32 b)
{
    return b == 0 ? 0 : b == -1 ? (i32)(0u - (u32)a) : a / b;
}

/* the sign of a; by 0 gives 0 */
static inline i32 rem_i32(const i32 a, const i32 b)
{
    return b == 0 || b == -1 ? 0 : a % b;
}

/* the sign of b; by 0 gives 0 */
static inline i32 mod_i32(const i32 a, const i32 b)
{
    const i32 r = rem_i32(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

/// C, CUDA: u32x16 u8x16 u64x16 u32 u8 u64

static inline u32x16 abs_u32x16(const u32x16 x)
{
    return x;
}

/// C, CUDA: u32 u8 u64

static inline u32 div_u32(const u32 a, const u32 b)
{
    return b == 0 ? 0 : a / b;
}

static inline u32 rem_u32(const u32 a, const u32 b)
{
    return b == 0 ? 0 : a % b;
}

static inline u32 mod_u32(const u32 a, const u32 b)
{
    return b == 0 ? 0 : a % b;
}

/// C: i32x16 u32x16 u8x16 i64x16 i64x8 u64x16; div rem mod

/* no machine divides whole numbers in lanes */
static inline i32x16 NAME_i32x16(i32x16 a, const i32x16 b)
{
    for (int lane = 0; lane < LANES; lane++)
        a[lane] = NAME_i32(a[lane], b[lane]);
    return a;
}

/// C, CUDA: i32x16 i32

/* 0 when b is not in 0 .. 31 */
static inline i32x16 shl_i32x16(const i32x16 a, const i32x16 b)
{
    const i32x16 y = (i32x16)((u32x16)a << ((u32x16)b & 31u));
    return select_i32x16((u32x16)b < 32u, y, splat_i32x16(0));
}

/* only the sign when b is not in 0 .. 31 */
static inline i32x16 shr_i32x16(const i32x16 a, const i32x16 b)
{
    return a >> select_i32x16((u32x16)b < 32u, b, splat_i32x16(31));
}

/// C, CUDA: u32x16 u32

/* 0 when b is not in 0 .. 31 */
static inline u32x16 shl_u32x16(const u32x16 a, const u32x16 b)
{
    return select_u32x16(b < 32u, a << (b & 31u), splat_u32x16(0));
}

/* 0 when b is not in 0 .. 31 */
static inline u32x16 shr_u32x16(const u32x16 a, const u32x16 b)
{
    return select_u32x16(b < 32u, a >> (b & 31u), splat_u32x16(0));
}

/// C, CUDA: u8x16 u8

/* 0 when b is not in 0 .. 7 */
static inline u8x16 shl_u8x16(const u8x16 a, const u8x16 b)
{
    return select_u8x16(b < 8, (u8x16)(a << (b & 7)), splat_u8x16(0));
}

/* 0 when b is not in 0 .. 7 */
static inline u8x16 shr_u8x16(const u8x16 a, const u8x16 b)
{
    return select_u8x16(b < 8, (u8x16)(a >> (b & 7)), splat_u8x16(0));
}

/// C, CUDA: i64x16 i64x8 i64

/* 0 when b is not in 0 .. 63 */
static inline i64x16 shl_i64x16(const i64x16 a, const i64x16 b)
{
    const i64x16 y = (i64x16)((u64x16)a << ((u64x16)b & 63u));
    return select_i64x16((u64x16)b < 64u, y, splat_i64x16(0));
}

/* only the sign when b is not in 0 .. 63 */
static inline i64x16 shr_i64x16(const i64x16 a, const i64x16 b)
{
    return a >> select_i64x16((u64x16)b < 64u, b, splat_i64x16(63));
}

/// C, CUDA: u64x16 u64

/* 0 when b is not in 0 .. 63 */
static inline u64x16 shl_u64x16(const u64x16 a, const u64x16 b)
{
    return select_u64x16(b < 64u, a << (b & 63u), splat_u64x16(0));
}

/* 0 when b is not in 0 .. 63 */
static inline u64x16 shr_u64x16(const u64x16 a, const u64x16 b)
{
    return select_u64x16(b < 64u, a >> (b & 63u), splat_u64x16(0));
}

/// C: f32x16 i32x16 u32x16 u8x16 f64x16 i64x16 u64x16

/* lane l gets lane l ^ 8 */
static inline f32x16 swap8_f32x16(const f32x16 x)
{
    return __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
}

static inline f32x16 swap4_f32x16(const f32x16 x)
{
    return __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
}

static inline f32x16 swap2_f32x16(const f32x16 x)
{
    return __builtin_shufflevector(x, x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
}

static inline f32x16 swap1_f32x16(const f32x16 x)
{
    return __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
}

/* the sum of the lanes, in a fixed tree */
static inline f32 fold_add_f32x16(f32x16 x)
{
    x += swap8_f32x16(x);
    x += swap4_f32x16(x);
    x += swap2_f32x16(x);
    x += swap1_f32x16(x);
    return x[0];
}

/* the product of the lanes, in a fixed tree */
static inline f32 fold_mul_f32x16(f32x16 x)
{
    x *= swap8_f32x16(x);
    x *= swap4_f32x16(x);
    x *= swap2_f32x16(x);
    x *= swap1_f32x16(x);
    return x[0];
}

/// C: f32x16 i32x16 u32x16 f64x16 i64x16 u64x16; max min

/* the NAME of the lanes; NaN wins */
static inline f32 fold_NAME_f32x16(f32x16 x)
{
    x = NAME_f32x16(x, swap8_f32x16(x));
    x = NAME_f32x16(x, swap4_f32x16(x));
    x = NAME_f32x16(x, swap2_f32x16(x));
    x = NAME_f32x16(x, swap1_f32x16(x));
    return x[0];
}

/// C: f64x8 i64x8

/* lane l gets lane l ^ 4 */
static inline f64x8 swap4_f64x8(const f64x8 x)
{
    return __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3);
}

static inline f64x8 swap2_f64x8(const f64x8 x)
{
    return __builtin_shufflevector(x, x, 2, 3, 0, 1, 6, 7, 4, 5);
}

static inline f64x8 swap1_f64x8(const f64x8 x)
{
    return __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6);
}

/* the sum of the lanes, in a fixed tree */
static inline f64 fold_add_f64x8(f64x8 x)
{
    x += swap4_f64x8(x);
    x += swap2_f64x8(x);
    x += swap1_f64x8(x);
    return x[0];
}

/* the product of the lanes, in a fixed tree */
static inline f64 fold_mul_f64x8(f64x8 x)
{
    x *= swap4_f64x8(x);
    x *= swap2_f64x8(x);
    x *= swap1_f64x8(x);
    return x[0];
}

/// C: f64x8 i64x8; max min

/* the NAME of the lanes; NaN wins */
static inline f64 fold_NAME_f64x8(f64x8 x)
{
    x = NAME_f64x8(x, swap4_f64x8(x));
    x = NAME_f64x8(x, swap2_f64x8(x));
    x = NAME_f64x8(x, swap1_f64x8(x));
    return x[0];
}

/// CUDA: f32 i32 u32 u8 f64 i64 u64

static inline f32 add_f32(const f32 a, const f32 b)
{
    return a + b;
}

static inline f32 mul_f32(const f32 a, const f32 b)
{
    return a * b;
}

/// CUDA: i32

static inline i32 and_i32(const i32 a, const i32 b)
{
    return a & b;
}

static inline i32 or_i32(const i32 a, const i32 b)
{
    return a | b;
}

/// CUDA: f32 i32 u32 u8 f64 i64 u64; add mul max min and or

/* NAME of 64 threads in the tree of four vectors of lanes: (0 + 16) + (32 + 48), then lanes 8, 4, 2
 * and 1 apart. All threads get it. */
static inline f32 fold_NAME_f32(const f32 x)
{
    __shared__ f32 part[32];
    const int thread = threadIdx.x, lane = thread & 15;
    const f32 pair = NAME_f32(x, (f32)__shfl_down_sync(0xffffffffu, x, 16));
    __syncthreads(); /* the last result has been read */
    if ((thread & 16) == 0)
        part[thread / 32 * 16 + lane] = pair;
    __syncthreads();
    f32 y = NAME_f32(part[lane], part[16 + lane]);
    for (int apart = 8; apart > 0; apart /= 2)
        y = NAME_f32(y, (f32)__shfl_down_sync(0xffffffffu, y, apart));
    return (f32)__shfl_sync(0xffffffffu, y, 0);
}

/// C: f32x16 i32x16 u32x16

/* 16 rows become 16 columns: four times, row i and row i + 8 are interleaved */
static inline void transpose_f32x16(f32x16 row[16])
{
    for (int round = 0; round < 4; round++) {
        f32x16 next[16];
        for (int i = 0; i < 8; i++) {
            next[2 * i] = __builtin_shufflevector(row[i], row[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4,
                                                  20, 5, 21, 6, 22, 7, 23);
            next[2 * i + 1] = __builtin_shufflevector(row[i], row[i + 8], 8, 24, 9, 25, 10, 26, 11,
                                                      27, 12, 28, 13, 29, 14, 30, 15, 31);
        }
        for (int i = 0; i < 16; i++)
            row[i] = next[i];
    }
}

/// C

/* A thread that waits long sleeps, so that one that has work can have its processor: Linux's futex,
 * elsewhere the rest of its turn. */
#if defined __linux__ && (defined __x86_64__ || defined __aarch64__)
long syscall(long number, ...);
#else
int sched_yield(void);
#endif

static void barrier_sleep(u32 *gate, const u32 round)
{
#if defined __linux__ && defined __x86_64__
    syscall(202, gate + 16, 128, round, (void *)0); /* futex: wait while it holds the round */
#elif defined __linux__ && defined __aarch64__
    syscall(98, gate + 16, 128, round, (void *)0); /* futex has another number here */
#else
    (void)gate, (void)round;
    sched_yield();
#endif
}

static void barrier_wake(u32 *gate)
{
#if defined __linux__ && defined __x86_64__
    syscall(202, gate + 16, 129, 0x7fffffff); /* futex: wake all that wait */
#elif defined __linux__ && defined __aarch64__
    syscall(98, gate + 16, 129, 0x7fffffff);
#else
    (void)gate;
#endif
}

/* all threads come before one goes on; gate: how many have come, how many sleep (8 words on), and
 * the round (64 bytes on) */
static inline void barrier(u32 *gate, const u32 threads)
{
    const u32 round = __atomic_load_n(gate + 16, __ATOMIC_RELAXED);
    if (__atomic_add_fetch(gate, 1, __ATOMIC_ACQ_REL) == threads) {
        __atomic_store_n(gate, 0, __ATOMIC_RELAXED);
        __atomic_store_n(gate + 16, round + 1, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(gate + 8, __ATOMIC_SEQ_CST) != 0)
            barrier_wake(gate);
        return;
    }
    for (u32 turn = 1; __atomic_load_n(gate + 16, __ATOMIC_ACQUIRE) == round; turn++) {
#if defined __x86_64__
        __builtin_ia32_pause();
#endif
        if (turn >= 2048) {
            __atomic_add_fetch(gate + 8, 1, __ATOMIC_SEQ_CST);
            barrier_sleep(gate, round);
            __atomic_sub_fetch(gate + 8, 1, __ATOMIC_RELAXED);
        }
    }
}

/// C, CUDA: u32x16 u32

/* Philox4x32-10 (Salmon and others, SC 2011): word i % 4 of the counter { i / 4, stream, counter }
 */
static inline u32x16 philox_u32x16(const i64 key, const i64 counter, const u32 stream,
                                   const u32x16 i)
{
    u32 key0 = (u32)key, key1 = (u32)((u64)key >> 32);
    u32x16 a = i >> 2, b = splat_u32x16(stream);
    u32x16 c = splat_u32x16((u32)counter), d = splat_u32x16((u32)((u64)counter >> 32));
    for (int round = 0; round < 10; round++) {
        const u64x16 p = to_u64x16(a) * 0xd2511f53u, q = to_u64x16(c) * 0xcd9e8d57u;
        a = to_u32x16(q >> 32) ^ b ^ key0;
        b = to_u32x16(q);
        c = to_u32x16(p >> 32) ^ d ^ key1;
        d = to_u32x16(p);
        key0 += 0x9e3779b9u;
        key1 += 0xbb67ae85u;
    }
    a = select_u32x16((i & 1u) == 0u, a, b);
    c = select_u32x16((i & 1u) == 0u, c, d);
    return select_u32x16((i & 2u) == 0u, a, c);
}

/// C

/* philox_u32x16 for i, i + 1, ... i + 15 where i is a multiple of 4: a has the words 0 of four
 * counters, then their words 2, b the words 1, then 3 */
static inline u32x16 philox_row_u32x16(const i64 key, const i64 counter, const u32 stream,
                                       const u32 i)
{
    const u64x8 one = { 1, 1, 1, 1 }, two = 1u - one, lane = { 0, 1, 2, 3 };
    const u64x8 factor = one * 0xd2511f53u + two * 0xcd9e8d57u;
    const u64x8 step = one * 0x9e3779b9u + two * 0xbb67ae85u;
    u64x8 k = one * (u32)key + two * ((u64)key >> 32);
    u64x8 a = one * (lane + i / 4) + two * (u32)counter;
    u64x8 b = one * stream + two * ((u64)counter >> 32);
    for (int round = 0; round < 10; round++) {
        const u64x8 p = a * factor;
        const u64x8 q = __builtin_shufflevector(p, p, 4, 5, 6, 7, 0, 1, 2, 3);
        a = (q >> 32) ^ b ^ k;
        b = q & 0xffffffffu;
        k = (k + step) & 0xffffffffu;
    }
    a |= b << 32;
    return (u32x16)__builtin_shufflevector(a, a, 0, 4, 1, 5, 2, 6, 3, 7);
}
