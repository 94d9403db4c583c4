// Mesh layers (formats.avatar.MeshLayer), innermost first, each with its own nearest-surface pass, front faces only, straight
// "over" in display sRGB (formats.render). Vertices and normals are those that PoseVertices wrote.
#ifndef FLAMEPORT_MESH
#define FLAMEPORT_MESH

#include "color.hlsl"
#include "moment.hlsl"
#include "records.hlsl"

StructuredBuffer<float4> _PosedIn;
StructuredBuffer<uint4> _Corners; // three per triangle: vertex, bits of u and of v, 0
float4 _Picture;                  // as in draw.hlsl
float4 _Depth;
float _Linear;

struct MeshCorner
{
    float4 position : SV_POSITION;
    float3 head : TEXCOORD0; // in head space
    float3 normal : TEXCOORD1;
    float2 uv : TEXCOORD2;
};

MeshCorner meshCornerOf(uint v)
{
    uint4 corner = _Corners[v];
    float3 p = _PosedIn[field(1).z + corner.x].xyz;
    float3 t = mul(viewRotation(), p) + viewTranslation();
    float4 k = _Frame[4];
    float2 at = (k.xy * t.xy + k.zw * t.z) * 2 / _Picture.xy - t.z;
    MeshCorner o;
    o.position = float4(at.x, -at.y * _Picture.z, _Depth.x * t.z + _Depth.y, t.z);
    o.head = p;
    o.normal = _PosedIn[field(13).w + corner.x].xyz;
    o.uv = asfloat(corner.yz);
    return o;
}

#ifdef MESH_PAINT

// The pictures: one image with alpha, or BakedAvatar's bases (three channels), position features, and alpha in red.
Texture2DArray<float4> _Bases;
Texture2DArray<float4> _Features;
Texture2DArray<float4> _Alpha;
StructuredBuffer<float> _Shading;       // W1 [hidden, features + 6], W2 [bases, hidden]: the network's output as it comes
StructuredBuffer<float2> _FeatureRange; // per feature: least, span
uint _BaseCount;                        // 0: the first image of _Bases is the layer's texture
uint _FeatureCount;
uint _FeatureChannels; // 1 or 3: how many channels of each feature image count
uint _Hidden;
uint _Opaque;
uint _ViewSpace; // 1: normal and direction in the camera's axes (x right, y up, z towards the viewer)
float _Temperature;

#define MOST_INPUTS 64
#define MOST_HIDDEN 64

#ifdef EXACT_LOOKUP
// Bilinear in full precision; texture units blend with eight bits. (0, 0) is the image's top-left corner.
float4 look(Texture2DArray<float4> image, float2 uv, uint layer)
{
    uint width, height, layers;
    image.GetDimensions(width, height, layers);
    int2 last = int2(width, height) - 1;
    float2 p = uv * float2(width, height) - 0.5, low = floor(p), f = p - low;
    int2 a = clamp((int2)low, int2(0, 0), last), b = clamp((int2)low + 1, int2(0, 0), last);
    int l = (int)layer;
    float4 top = lerp(image.Load(int4(a, l, 0)), image.Load(int4(b.x, a.y, l, 0)), f.x);
    float4 bottom = lerp(image.Load(int4(a.x, b.y, l, 0)), image.Load(int4(b, l, 0)), f.x);
    return lerp(top, bottom, f.y);
}
#else
SamplerState sampler_linear_clamp;
float4 look(Texture2DArray<float4> image, float2 uv, uint layer)
{
    return image.SampleLevel(sampler_linear_clamp, float3(uv, layer), 0);
}
#endif

// sum_k softmax(temperature W2 relu(W1 x))_k bases_k (Duan et al., "BakedAvatar", ACM TOG 2023, eq. 8).
float3 mixedBases(float2 uv, float3 normal, float3 direction)
{
    float x[MOST_INPUTS];
    float h[MOST_HIDDEN];
    uint inputs = _FeatureCount + 6;
    for (uint n = 0; n < _FeatureCount; n++)
    {
        float4 image = look(_Features, uv, n / _FeatureChannels);
        uint channel = n % _FeatureChannels;
        float value = channel == 0 ? image.x : (channel == 1 ? image.y : image.z);
        x[n] = _FeatureRange[n].x + _FeatureRange[n].y * value;
    }
    x[_FeatureCount] = normal.x;
    x[_FeatureCount + 1] = normal.y;
    x[_FeatureCount + 2] = normal.z;
    x[_FeatureCount + 3] = direction.x;
    x[_FeatureCount + 4] = direction.y;
    x[_FeatureCount + 5] = direction.z;
    for (uint i = 0; i < _Hidden; i++)
    {
        float sum = 0;
        for (uint j = 0; j < inputs; j++)
            sum += _Shading[i * inputs + j] * x[j];
        h[i] = max(sum, 0);
    }
    float most = -1e30, total = 0;
    float3 c = float3(0, 0, 0);
    for (uint k = 0; k < _BaseCount; k++)
    {
        float sum = 0;
        for (uint j = 0; j < _Hidden; j++)
            sum += _Shading[_Hidden * (inputs + k) + j] * h[j];
        float logit = _Temperature * sum, top = max(most, logit);
        float kept = exp(most - top), added = exp(logit - top);
        total = total * kept + added;
        c = c * kept + added * look(_Bases, uv, k).xyz;
        most = top;
    }
    return c / total;
}

float4 meshPaintOf(MeshCorner i)
{
    float4 c = float4(0, 0, 0, 1);
    if (_BaseCount == 0)
        c = look(_Bases, i.uv, 0);
    else
    {
        float3 n = unit3(i.normal, 1e-20), d = unit3(i.head - _Frame[3].xyz, 1e-20);
        if (_ViewSpace == 1)
        {
            n = unit3(mul(viewRotation(), n) * float3(1, -1, -1), 1e-20);
            d = unit3(mul(viewRotation(), d) * float3(1, -1, -1), 1e-20);
        }
        c = float4(mixedBases(i.uv, n, d), look(_Alpha, i.uv, 0).x);
    }
    float a = _Opaque == 1 ? 1 : saturate(c.w);
    return float4((_Linear > 0 ? toLinear(c.xyz) : c.xyz) * a, a);
}

#endif
#endif
