// The packed texels (exporter/TEXELS.md, variants half and float): one buffer with all tables, the container's bytes unchanged.
// A place is a table's offset in bytes divided by 16.
#ifndef FLAMEPORT_TEXELS
#define FLAMEPORT_TEXELS

StructuredBuffer<uint4> _Texels;

float4 floatTexel(uint i) { return asfloat(_Texels[i]); }

// Component i of a texel, without indexing a vector by a variable.
uint wordOf(uint4 v, uint i)
{
    uint low = (i & 1) == 0 ? v.x : v.y;
    uint high = (i & 1) == 0 ? v.z : v.w;
    return i < 2 ? low : high;
}

float2 unorms16(uint word) { return float2(word & 0xffff, word >> 16) * (1.0 / 65535.0); }

float snorm16(uint bits)
{
    int whole = (int)(bits << 16) >> 16;
    return max(whole * (1.0 / 32767.0), -1.0);
}

float3 bytesToRgb(uint word) { return float3(word & 0xff, (word >> 8) & 0xff, (word >> 16) & 0xff) * (1.0 / 255.0); }

// A half float out of the low 16 bits, by hand: some compilers make 16-bit types of f16tof32, which not every driver takes, and
// drivers may lose subnormal halves, which a displacement of 60 micrometres already is. Infinities are not stored.
float halfBits(uint bits)
{
    uint exponent = (bits >> 10) & 0x1f, mantissa = bits & 0x3ff;
    float size = mantissa * 5.9604645e-8; // 2^-24
    if (exponent != 0)
        size = asfloat(((exponent + 112) << 23) | (mantissa << 13));
    return (bits & 0x8000) != 0 ? -size : size;
}

float2 halves(uint word) { return float2(halfBits(word), halfBits(word >> 16)); }

// Number n of a row of numbers that begins at texel `row`: float32, or float16 eight a texel.
float rowNumber(uint row, uint n, bool exact)
{
    if (exact)
        return asfloat(wordOf(_Texels[row + n / 4], n % 4));
    uint word = wordOf(_Texels[row + n / 8], (n / 2) % 4);
    return halfBits((n & 1) == 0 ? word : word >> 16);
}

float3 rowNumbers3(uint row, uint n, bool exact)
{
    return float3(rowNumber(row, n, exact), rowNumber(row, n + 1, exact), rowNumber(row, n + 2, exact));
}

// Displacement of item i in a shape whose texels begin at `shape`.
float3 displacementTexel(uint shape, uint i, bool exact)
{
    if (exact)
        return floatTexel(shape + i).xyz;
    uint4 pair = _Texels[shape + i / 2];
    uint2 own = (i & 1) == 0 ? pair.xy : pair.zw;
    return float3(halves(own.x), halfBits(own.y));
}

#endif
