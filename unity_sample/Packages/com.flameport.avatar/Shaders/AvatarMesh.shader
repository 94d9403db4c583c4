// Draws a mesh layer that AvatarKernels.compute posed: Depth, then Color, on a depth buffer cleared for this layer. The logic is
// in mesh.hlsl. Front faces are counter-clockwise on the picture, which Unity calls back.
Shader "Flameport/AvatarMesh"
{
    SubShader
    {
        Tags { "Queue" = "Transparent" "RenderType" = "Transparent" "IgnoreProjector" = "True" }
        Pass
        {
            Name "Depth"
            Cull Front
            ZWrite On
            ZTest LEqual
            ColorMask 0

            HLSLPROGRAM
            #pragma target 4.5
            #pragma vertex MeshDepthCorner
            #pragma fragment MeshDepth
            #include "mesh.hlsl"

            MeshCorner MeshDepthCorner(uint v : SV_VertexID) { return meshCornerOf(v); }

            float4 MeshDepth(MeshCorner i) : SV_Target { return float4(0, 0, 0, 0); }
            ENDHLSL
        }
        Pass
        {
            Name "Color"
            Cull Front
            ZWrite Off
            ZTest LEqual
            Blend One OneMinusSrcAlpha

            HLSLPROGRAM
            #pragma target 4.5
            #pragma vertex MeshColorCorner
            #pragma fragment MeshColor
            #define MESH_PAINT
            #include "mesh.hlsl"

            MeshCorner MeshColorCorner(uint v : SV_VertexID) { return meshCornerOf(v); }

            float4 MeshColor(MeshCorner i) : SV_Target { return meshPaintOf(i); }
            ENDHLSL
        }
    }
}
