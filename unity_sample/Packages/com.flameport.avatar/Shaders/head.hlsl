// Vertices moved by shapes and joints (formats.deform.deform_head, skin): the head, mesh layers, and Gaussians that have such
// tables of their own. Only shapes whose coefficients are not zero are read.
#ifndef FLAMEPORT_HEAD
#define FLAMEPORT_HEAD

#include "moment.hlsl"
#include "records.hlsl"
#include "texels.hlsl"

RWStructuredBuffer<float4> _Posed;

struct Displacement
{
    float3 rest;  // before skinning
    float3 after; // after it, turned by the root: lids of eyelid space `posed`
};

float3 shapesSum(uint i, uint row, uint active, uint first, uint known)
{
    uint4 place = field(9);
    uint stride = field(11).x;
    bool exact = isExact();
    float3 sum = float3(0, 0, 0);
    for (uint k = 0; k < active; k++)
    {
        float2 p = pairAt(row, k);
        uint shape = (uint)p.x;
        if (shape < known)
            sum += p.y * displacementTexel(place.w + (first + shape) * stride, i, exact);
    }
    return sum;
}

Displacement displacement(uint i)
{
    uint3 known = field(9).xyz, active = activeShapes(), rows = pairRows();
    Displacement d;
    d.rest = shapesSum(i, rows.x, active.x, 0, known.x) + shapesSum(i, rows.y, active.y, known.x, known.y);
    d.after = float3(0, 0, 0);
    float3 lids = shapesSum(i, rows.z, active.z, known.x + known.y, known.z);
    if (field(11).y == 1)
        d.after = mul(rootRotation(), lids);
    else
        d.rest += lids;
    return d;
}

// A joint matrix as rows.
struct Rows
{
    float4 x;
    float4 y;
    float4 z;
};

float3 through(Rows m, float3 p)
{
    float4 q = float4(p, 1);
    return float3(dot(m.x, q), dot(m.y, q), dot(m.z, q));
}

float3x3 linearPart(Rows m) { return float3x3(m.x.xyz, m.y.xyz, m.z.xyz); }

void lean(inout Rows m, uint joint, float weight)
{
    uint row = jointsRow() + 3 * joint;
    m.x += weight * _Frame[row];
    m.y += weight * _Frame[row + 1];
    m.z += weight * _Frame[row + 2];
}

// The joints' matrices, weighted; what weights lack to 1 stays where it is, or is the fifth joint's where one is named.
Rows blended(uint i)
{
    uint4 skin = field(10);
    bool exact = isExact();
    Rows m;
    m.x = m.y = m.z = float4(0, 0, 0, 0);
    float sum = 0;
    uint fifth = 0;
    for (uint g = 0; g < skin.z; g++)
    {
        uint4 word = _Texels[skin.x + i * skin.z + g];
        float4 weights;
        uint4 joints = word;
        if (exact)
            weights = floatTexel(skin.y + i * skin.z + g);
        else
        {
            weights = float4(unorms16(word.x), unorms16(word.y));
            joints = uint4(word.z & 0xff, (word.z >> 8) & 0xff, (word.z >> 16) & 0xff, word.z >> 24);
            if (g == 0)
                fifth = word.w;
        }
        lean(m, jointOf(skin.w, joints.x), weights.x);
        lean(m, jointOf(skin.w, joints.y), weights.y);
        lean(m, jointOf(skin.w, joints.z), weights.z);
        lean(m, jointOf(skin.w, joints.w), weights.w);
        sum += weights.x + weights.y + weights.z + weights.w;
    }
    float missing = 1 - sum;
    if (fifth != 0)
        lean(m, jointOf(skin.w, fifth - 1), max(missing, 0));
    else if (field(15).x == 0 && abs(missing) >= 1e-5)
    {
        m.x += missing * float4(1, 0, 0, 0);
        m.y += missing * float4(0, 1, 0, 0);
        m.z += missing * float4(0, 0, 1, 0);
    }
    return m;
}

float3 posedBy(Rows m, float3 rest, Displacement d) { return through(m, rest + d.rest) + d.after; }

// A vertex of the head or of a mesh layer, to the record's row of _Posed; the head's blended matrices and a mesh layer's
// normals to rows of their own.
void poseVertex(uint i)
{
    if (i >= countOf())
        return;
    uint4 places = field(1);
    uint4 rows = field(13);
    Rows m = blended(i);
    _Posed[places.z + i] = float4(posedBy(m, floatTexel(places.x + i).xyz, displacement(i)), 1);
    if (rows.z != NONE)
    {
        _Posed[rows.z + 3 * i] = m.x;
        _Posed[rows.z + 3 * i + 1] = m.y;
        _Posed[rows.z + 3 * i + 2] = m.z;
    }
    if (places.y != NONE)
        _Posed[rows.w + i] = float4(unit3(mul(linearPart(m), floatTexel(places.y + i).xyz), 1e-20), 0);
}

#endif
