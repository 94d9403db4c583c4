using System.Runtime.CompilerServices;

/// <summary>The assemblies of render pipelines call what this one keeps to itself.</summary>
[assembly: InternalsVisibleTo("Flameport.Runtime.Universal")]
[assembly: InternalsVisibleTo("Flameport.Runtime.HighDefinition")]
