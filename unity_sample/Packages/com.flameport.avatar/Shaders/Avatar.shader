// Draws the Gaussians that AvatarKernels.compute posed, projected and ordered. The logic is in draw.hlsl. No pipeline's includes,
// tags or matrices: what it needs of the camera comes in as _Picture and _Depth, so it is the same in every render pipeline.
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
        Pass
        {
            Name "Composite"
            Cull Off
            ZWrite Off
            ZTest Always
            Blend One OneMinusSrcAlpha

            HLSLPROGRAM
            #pragma target 4.5
            #pragma vertex WholeTarget
            #pragma fragment Composite
            #include "draw.hlsl"

            Texture2D<float4> _AvatarPicture; // as large as the target

            float4 WholeTarget(uint v : SV_VertexID) : SV_POSITION { return wholeTarget(v); }

            float4 Composite(float4 position : SV_POSITION) : SV_Target
            {
                return composited(_AvatarPicture.Load(int3(position.xy, 0)));
            }
            ENDHLSL
        }
    }
}
