namespace Flameport
{
    /// <summary>Names that shaders know; in HLSL each begins with an underscore.</summary>
    public enum Property
    {
        Texels, Records, Rings, Frame, Posed, World, WorldIn, Ellipses, Keys, KeysIn, KeysOut, ValuesIn, ValuesOut, Places,
        PlacesIn, Record, Total, Count, Shift, Picture, Depth, Linear, Order, EllipsesIn, EllipseTexels, AvatarPicture, PosedIn,
        Corners, Bases, Features, Alpha, Shading, FeatureRange, BaseCount, FeatureCount, FeatureChannels, Hidden, ViewSpace,
        Temperature, Opaque, Front,
    }

    /// <summary>Kernels of `AvatarKernels.compute`, by name.</summary>
    public enum Kernel { PoseVertices, TurnVertices, PoseSplats, ProjectSplats, CountDigits, ScanDigits, Scatter }

    /// <summary>Shaders that draw: `Avatar.shader`, `AvatarMesh.shader`, `AvatarComposite.shader`,
    /// `AvatarFallback.shader`.</summary>
    public enum Program { Splats, Mesh, Composite, Fallback }

    /// <summary>What is drawn into: the camera's colours or its depth; a half-float picture; a depth of meshes' own.</summary>
    public enum Sheet { Camera, Picture, MeshDepth }

    /// <summary>
    /// What a player asks of an engine's graphics: things that last, and steps of the list of commands that the engine is
    /// filling now. Things are the engine's own objects.
    /// </summary>
    public interface ICanvas
    {
        /// <summary>Return a buffer of elements, of words where they are given.</summary>
        object CreateBuffer(int count, int stride, uint[]? words);

        /// <summary>Return a PNG as an array of one texture, numbers as they are, clamped, its first row at v = 1.</summary>
        object CreatePicture(byte[] png);

        /// <summary>Return a texture of four floats a texel.</summary>
        object CreateTexels(int width, int height);

        /// <summary>Whether a thing is still there.</summary>
        bool IsAlive(object thing);

        /// <summary>Destroy a thing.</summary>
        void Destroy(object thing);

        /// <summary>Fill a buffer, when the commands run, or a texture, now.</summary>
        void Upload(object thing, float[] numbers);

        /// <summary>Give a kernel a buffer.</summary>
        void Bind(Kernel kernel, Property name, object buffer);

        /// <summary>Give all kernels a number.</summary>
        void SetConstant(Property name, int value);

        /// <summary>Run a kernel in so many groups.</summary>
        void Dispatch(Kernel kernel, int groups);

        /// <summary>Give the next draws a buffer or a texture.</summary>
        void Set(Property name, object thing);

        /// <summary>Give the next draws a whole number.</summary>
        void Set(Property name, int value);

        /// <summary>Give the next draws a number.</summary>
        void Set(Property name, float value);

        /// <summary>Give the next draws four numbers.</summary>
        void Set(Property name, float x, float y, float z, float w);

        /// <summary>Draw vertices of a shader's pass, three a triangle.</summary>
        void Draw(Program program, int pass, int vertices);

        /// <summary>Draw into other targets from now on.</summary>
        void Target(Sheet color, Sheet depth, bool clear);

        /// <summary>Let nothing hide what comes next.</summary>
        void ClearDepth();
    }
}
