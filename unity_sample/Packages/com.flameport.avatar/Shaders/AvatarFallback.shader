// Avatar.shader for devices without compute shaders, such as OpenGL ES 3.0 and WebGL 2: the Gaussians come out of a texture, which
// the processor filled (Core/Frame/ProcessorFrame.cs). The logic is in draw.hlsl.
Shader "Flameport/AvatarFallback"
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
            #pragma target 3.5
            #pragma vertex SplatCorner
            #pragma fragment SplatPaint
            #define FROM_TEXTURE
            #include "draw.hlsl"

            Corner SplatCorner(uint v : SV_VertexID) { return cornerOf(v); }

            float4 SplatPaint(Corner i) : SV_Target { return paintOf(i.q, i.color); }
            ENDHLSL
        }
    }
}
