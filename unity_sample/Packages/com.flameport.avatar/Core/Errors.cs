using System;

namespace Flameport
{
    /// <summary>Something is wrong with what the user gave. The message is one line: what, where, what to do.</summary>
    public abstract class AvatarException : Exception
    {
        protected AvatarException(string message) : base(message) { }
    }

    /// <summary>A file is damaged, or no avatar of flameport's.</summary>
    public sealed class AvatarFormatException : AvatarException
    {
        public AvatarFormatException(string message) : base(message) { }
    }

    /// <summary>A clip is damaged, or does not fit the avatar.</summary>
    public sealed class SequenceException : AvatarException
    {
        public SequenceException(string message) : base(message) { }
    }
}
