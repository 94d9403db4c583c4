using System;
using System.Collections.Generic;

namespace Flameport
{
    /// <summary>What of a project keeps avatars from looking as they should, and what to do about it.</summary>
    public static class Advice
    {
        /// <summary>Return a line for each thing that is to be known.</summary>
        /// <param name="compute">The graphics API has compute shaders.</param>
        /// <param name="linear">The project's colours are linear.</param>
        /// <param name="direct">The avatar is drawn straight onto the camera's picture.</param>
        /// <param name="pipeline">Type of the render pipeline's asset; empty for the built-in pipeline.</param>
        public static IEnumerable<string> On(bool compute, bool linear, bool direct, string pipeline)
        {
            if (!compute) yield return "This graphics API has no compute shaders: the avatar is posed on the processor. Project "
                + "Settings > Player > Graphics APIs has others.";
            if (linear && direct) yield return "Direct drawing in linear colours: soft edges look otherwise than trained. "
                + "Quality Exact does not have that.";
            if (pipeline.StartsWith("HD", StringComparison.Ordinal)) yield return "HDRP is experimental. In Unity 2022.3 "
                + "it needs a Custom Pass Volume at After Post Process with an Avatar Custom Pass.";
        }
    }
}
