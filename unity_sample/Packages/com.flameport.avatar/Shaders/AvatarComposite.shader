// Puts a picture that Avatar.shader and AvatarMesh.shader drew in display sRGB onto a target of the project's colours.
Shader "Flameport/AvatarComposite"
{
    SubShader
    {
        Tags { "Queue" = "Transparent" "RenderType" = "Transparent" "IgnoreProjector" = "True" }
        Pass
        {
            Name "Composite"
            Cull Off
            ZWrite Off
            ZTest LEqual
            Blend One OneMinusSrcAlpha

            HLSLPROGRAM
            #pragma target 3.5
            #pragma vertex WholeTarget
            #pragma fragment Composite
            #define FROM_TEXTURE
            #include "draw.hlsl"

            Texture2D<float4> _AvatarPicture; // as large as the target
            float _Front;                     // clip-space z of what is nearest in it: solid things before that hide it

            float4 WholeTarget(uint v : SV_VertexID) : SV_POSITION { return wholeTarget(v, _Front); }

            float4 Composite(float4 position : SV_POSITION) : SV_Target
            {
                return composited(_AvatarPicture.Load(int3(position.xy, 0)));
            }
            ENDHLSL
        }
    }
}
