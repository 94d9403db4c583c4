using System;

namespace Flameport
{
    /// <summary>What bytes mean, read once for the same array; damaged ones are not read again either.</summary>
    public sealed class Parsed<T> where T : class
    {
        private readonly Func<byte[], T> read;
        private byte[]? of;
        private T? value;
        private AvatarException? failure;

        public Parsed(Func<byte[], T> read) { this.read = read; }

        /// <summary>Return what the bytes mean; throws <see cref="AvatarException"/>.</summary>
        public T Of(byte[] data)
        {
            if (of != data)
            {
                (of, value, failure) = (data, null, null);
                try
                {
                    value = read(data);
                }
                catch (AvatarException error)
                {
                    failure = error;
                }
            }
            return value ?? throw failure!;
        }
    }
}
