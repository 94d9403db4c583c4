// Draws the Gaussians that AvatarKernels.compute posed, projected and ordered. The logic is in draw.hlsl. No pipeline's includes,
// tags or matrices: what it needs of the camera comes in as _Picture and _Depth, so it is the same in every render pipeline.
// One pass, because pipelines differ in which passes of a shader they draw by themselves.
Shader "Flameport/Avatar"
{
    SubShader
    {
        Tags { "Queue" = "Transparent" "RenderType" = "Transparent" "IgnoreProjector" = "True" }
        Pass
        {
            Name "Splats"
            Cull Off
            ZWrite Off
            ZTest LEqual
            Blend One OneMinusSrcAlpha

            HLSLPROGRAM
            #pragma target 4.5
            #pragma vertex SplatCorner
            #pragma fragment SplatPaint
            #include "draw.hlsl"

            Corner SplatCorner(uint v : SV_VertexID) { return cornerOf(v); }

            float4 SplatPaint(Corner i) : SV_Target { return paintOf(i.q, i.color); }
            ENDHLSL
        }
    }
}
