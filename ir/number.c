/*
 * number: the floating types of two bytes, as bits and as numbers.
 *
 * f16 is IEEE 754 binary16; bf16 is the upper half of an f32. A number becomes one of them by way
 * of f32, as the generated code has it, to nearest with ties to even.
 */
#include "ir/ir.h"

#include <string.h>

static uint32_t bits_of(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float from_bits(uint32_t bits)
{
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint16_t to_bf16(float x)
{
    uint32_t bits = bits_of(x);

    if (x != x)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static uint16_t to_f16(float x)
{
    const uint32_t bits = bits_of(x), size = bits & 0x7fffffff;
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);

    if (size >= 0x47800000) /* 2^16 and more; nan */
        return sign | (size > 0x7f800000 ? 0x7e00 : 0x7c00);
    if (size < 0x38800000) /* less than 2^-14: as a multiple of 2^-24, which 0.5 + it rounds to */
        return sign | (uint16_t)(bits_of(from_bits(size) + 0.5f) - 0x3f000000);
    return sign | (uint16_t)((size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13);
}

static float of_f16(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16, size = (uint32_t)(half & 0x7fff) << 13;

    if (size >= 0x0f800000)
        return from_bits(sign | size | 0x7f800000);
    return from_bits(sign | bits_of(from_bits(size) * 0x1p112f));
}

uint16_t ir_half(enum ir_dtype dtype, float x)
{
    return dtype == IR_F16 ? to_f16(x) : to_bf16(x);
}

float ir_of_half(enum ir_dtype dtype, uint16_t half)
{
    return dtype == IR_F16 ? of_f16(half) : from_bits((uint32_t)half << 16);
}

double ir_rounded(enum ir_dtype dtype, double value)
{
    if (dtype == IR_F64)
        return value;
    if (dtype == IR_F32)
        return (double)(float)value;
    return (double)ir_of_half(dtype, ir_half(dtype, (float)value));
}

bool ir_in_range(enum ir_dtype dtype, int64_t value)
{
    const int bits = 8 * ir_dtypes[dtype].bytes;

    switch (ir_dtypes[dtype].kind) {
    case 'b':
        return value == 0 || value == 1;
    case 'u': /* of u64 the bits */
        return bits == 64 || (value >= 0 && value >> bits == 0);
    default:
        return bits == 64 || value >> (bits - 1) == 0 || value >> (bits - 1) == -1;
    }
}
