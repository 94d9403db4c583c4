// Everything that changes from frame to frame, rows of four floats in _Frame. Whole numbers are floats of that value.
//
//   0..2  view rotation (rows), translation in w: head space to the camera (x right, y down, z forward)
//   3     eye in head space, near plane
//   4     fx fy cx cy, pixels
//   5     width, height, keys: depth that has key 0, keys per metre (0: 32-bit keys)
//   6..8  root joint's rotation (rows)
//   9     how many expressions, pose correctives and lids are active
//   10    the rows where their pairs begin
//   11    the row where joints begin
//   joints: three rows each, rest to head space (formats.deform.PosedHead.joint_transforms)
//   pairs: shape number in its group, coefficient; two pairs a row
//   dynamics: a layer's coefficients, four a row, from the row that its record names
#ifndef FLAMEPORT_MOMENT
#define FLAMEPORT_MOMENT

#include "rotations.hlsl"

StructuredBuffer<float4> _Frame;

float3x3 viewRotation() { return float3x3(_Frame[0].xyz, _Frame[1].xyz, _Frame[2].xyz); }
float3 viewTranslation() { return float3(_Frame[0].w, _Frame[1].w, _Frame[2].w); }
float3x3 rootRotation() { return float3x3(_Frame[6].xyz, _Frame[7].xyz, _Frame[8].xyz); }
uint3 activeShapes() { return (uint3)_Frame[9].xyz; }
uint3 pairRows() { return (uint3)_Frame[10].xyz; }
uint jointsRow() { return (uint)_Frame[11].x; }

// Pair k: shape and coefficient.
float2 pairAt(uint row, uint k)
{
    float4 two = _Frame[row + k / 2];
    return (k & 1) == 0 ? two.xy : two.zw;
}

#endif
