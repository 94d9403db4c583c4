using System;

namespace Flameport
{
    /// <summary>What bytes mean, read once for the same array; damaged ones are not read again either.</summary>
    public sealed class Parsed<T> where T : class
    {
        private readonly Func<byte[], T> read;
        private object? of;
        private T? value;
        private AvatarException? failure;

        public Parsed(Func<byte[], T> read) { this.read = read; }

        /// <summary>Return what the bytes mean; throws <see cref="AvatarException"/>.</summary>
        public T Of(byte[] data) => Of(data, bytes => bytes);

        /// <summary>Return what the bytes of something mean, asked for once; throws <see cref="AvatarException"/>.</summary>
        public T Of<TSource>(TSource source, Func<TSource, byte[]> bytes) where TSource : class
        {
            if (of != source)
            {
                (of, value, failure) = (source, null, null);
                try
                {
                    value = read(bytes(source));
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
