/*
 * Angles, in float: text for generated programs like maths.h.
 */

/// C, CUDA: f32x16 f32

/* x = quadrant pi / 2 + r with |r| < 0.8, in double; huge x first lose their whole turns, by
 * products with pieces of 1 / 2 pi that are exact */
static inline f64x16 turn_f32x16(const f32x16 x, i32x16 *quadrant)
{
    f64x16 wide = to_f64x16(x);
    const i64x16 huge = abs_f64x16(wide) > 0x1p+40;
    if (any_i64x16(huge)) {
        static const f64 turn[] = { 0x1.45f306p-3,  0x1.b939104p-28,  0x1.4a7f098p-56,
                                    0x1.57d1f5p-82, 0x1.a6ee06cp-109, 0x1.b14acc8p-137,
                                    0x1.e21c82p-165 };
        f64x16 part = splat_f64x16(0.0);
        for (int i = 0; i < 7; i++) {
            const f64x16 product = wide * turn[i];
            part = part + (product - round_f64x16(product));
            part = part - round_f64x16(part);
        }
        wide = select_f64x16(huge, part * 0x1.921fb54442d18p+2, wide);
    }
    const f64x16 shifted = poly_f64x16(wide, splat_f64x16(0x1.45f306dc9c883p-1), 0x1.8p+52);
    const f64x16 whole = shifted - 0x1.8p+52;
    f64x16 r = fma_f64x16(whole, splat_f64x16(-0x1.921fb54442d18p+0), wide);
    r = fma_f64x16(whole, splat_f64x16(-0x1.1a62633145c07p-54), r);
    *quadrant = to_i32x16(bits_f64x16(shifted) & 3);
    return r;
}

/* sin x for |x| < 0.8 */
static inline f32x16 sin_part_f32x16(const f32x16 x)
{
    const f32x16 z = x * x;
    f32x16 p = poly_f32x16(splat_f32x16(-0x1.9951e8p-13f), z, 0x1.110774p-7f);
    p = poly_f32x16(p, z, -0x1.555546p-3f);
    return copysign_f32x16(fma_f32x16(p, x * z, x), x);
}

/* cos x for |x| < 0.8 */
static inline f32x16 cos_part_f32x16(const f32x16 x)
{
    const f32x16 z = x * x;
    f32x16 p = poly_f32x16(splat_f32x16(0x1.99e80cp-16f), z, -0x1.6c0c28p-10f);
    p = poly_f32x16(p, z, 0x1.55554ap-5f);
    p = poly_f32x16(p, z, -0x1p-1f);
    return poly_f32x16(p, z, 1.0f);
}

/* polynomials of degree 7 and 8 by quadrants; 1.7 ulp for every x */
static inline f32x16 sin_f32x16(const f32x16 x)
{
    i32x16 quadrant;
    const f32x16 r = to_f32x16(turn_f32x16(x, &quadrant));
    const f32x16 y = select_f32x16((quadrant & 1) == 0, sin_part_f32x16(r), cos_part_f32x16(r));
    return select_f32x16((quadrant & 2) == 0, y, -y);
}

/* 1.7 ulp for every x */
static inline f32x16 cos_f32x16(const f32x16 x)
{
    i32x16 quadrant;
    const f32x16 r = to_f32x16(turn_f32x16(x, &quadrant));
    const f32x16 y = select_f32x16((quadrant & 1) == 0, cos_part_f32x16(r), sin_part_f32x16(r));
    return select_f32x16(((quadrant + 1) & 2) == 0, y, -y);
}

/* an odd polynomial of degree 15, and -1 / tan in every other quadrant; 1.7 ulp */
static inline f32x16 tan_f32x16(const f32x16 x)
{
    i32x16 quadrant;
    const f64x16 wide = turn_f32x16(x, &quadrant);
    const f32x16 r = to_f32x16(wide), z = r * r;
    f32x16 p = poly_f32x16(splat_f32x16(0x1.1f1264p-8f), z, 0x1.5fbb5cp-14f);
    p = poly_f32x16(p, z, 0x1.632140p-7f);
    p = poly_f32x16(p, z, 0x1.5cb268p-6f);
    p = poly_f32x16(p, z, 0x1.badae0p-5f);
    p = poly_f32x16(p, z, 0x1.110d9ap-3f);
    p = poly_f32x16(p, z, 0x1.555560p-2f);
    const f64x16 y = wide + to_f64x16(p * (r * z));
    return select_f32x16((quadrant & 1) == 0, to_f32x16(y), to_f32x16(-1.0 / y));
}

/* asin x for 0 <= x <= 0.55, where z = x * x */
static inline f32x16 asin_part_f32x16(const f32x16 x, const f32x16 z)
{
    f32x16 p = poly_f32x16(splat_f32x16(0x1.731af0p-5f), z, 0x1.18f2fcp-7f);
    p = poly_f32x16(p, z, 0x1.11f938p-5f);
    p = poly_f32x16(p, z, 0x1.6afed2p-5f);
    p = poly_f32x16(p, z, 0x1.334442p-4f);
    p = poly_f32x16(p, z, 0x1.555532p-3f);
    return fma_f32x16(p, x * z, x);
}

/* above 0.55: pi / 2 - 2 asin sqrt((1 - x) / 2); 1.4 ulp */
static inline f32x16 asin_f32x16(const f32x16 x)
{
    const f32x16 a = abs_f32x16(x), half = (1.0f - a) * 0.5f;
    const i32x16 large = a > 0.55f;
    const f32x16 z = select_f32x16(large, half, a * a);
    const f32x16 p = asin_part_f32x16(select_f32x16(large, sqrt_f32x16(half), a), z);
    const f32x16 y =
        fma_f32x16(p, splat_f32x16(-2.0f), splat_f32x16(0x1.921fb6p+0f)) - 0x1.777a5cp-25f;
    return copysign_f32x16(select_f32x16(large, y, p), x);
}

/* like asin; 1.3 ulp */
static inline f32x16 acos_f32x16(const f32x16 x)
{
    const f32x16 a = abs_f32x16(x), half = (1.0f - a) * 0.5f;
    const i32x16 large = a > 0.55f;
    const f32x16 z = select_f32x16(large, half, a * a);
    const f32x16 p = asin_part_f32x16(select_f32x16(large, sqrt_f32x16(half), a), z);
    const f32x16 most = select_f32x16(x < 0.0f, splat_f32x16(0x1.921fb6p+1f), splat_f32x16(0.0f));
    const f32x16 outer = select_f32x16(x < 0.0f, most - 2.0f * p, 2.0f * p);
    return select_f32x16(large, outer, 0x1.921fb6p+0f - copysign_f32x16(p, x));
}

/* the angle of a point whose coordinates are not negative: a polynomial of degree 19 */
static inline f32x16 angle_f32x16(const f32x16 y, const f32x16 x)
{
    const i32x16 steep = y > x;
    const f32x16 low = select_f32x16(steep, x, y), high = select_f32x16(steep, y, x);
    f32x16 t = select_f32x16(low == high, splat_f32x16(1.0f), low / high); /* infinities, too */
    t = select_f32x16(x + y == 0.0f, splat_f32x16(0.0f), t);
    const f32x16 z = t * t;
    f32x16 p = poly_f32x16(splat_f32x16(-0x1.d32d8cp-10f), z, 0x1.6410dcp-7f);
    p = poly_f32x16(p, z, -0x1.fd6fbap-6f);
    p = poly_f32x16(p, z, 0x1.da24cap-5f);
    p = poly_f32x16(p, z, -0x1.580814p-4f);
    p = poly_f32x16(p, z, 0x1.c08c1ap-4f);
    p = poly_f32x16(p, z, -0x1.242084p-3f);
    p = poly_f32x16(p, z, 0x1.9991e4p-3f);
    p = poly_f32x16(p, z, -0x1.55553ep-2f);
    p = fma_f32x16(p, t * z, t);
    return select_f32x16(steep, 0x1.921fb6p+0f - p, p);
}

/* 1.9 ulp */
static inline f32x16 atan_f32x16(const f32x16 x)
{
    return copysign_f32x16(angle_f32x16(abs_f32x16(x), splat_f32x16(1.0f)), x);
}

/* 1.9 ulp */
static inline f32x16 atan2_f32x16(const f32x16 y, const f32x16 x)
{
    const f32x16 a = angle_f32x16(abs_f32x16(y), abs_f32x16(x));
    return copysign_f32x16(select_f32x16(bits_f32x16(x) < 0, 0x1.921fb6p+1f - a, a), y);
}
